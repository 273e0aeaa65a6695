//! An account: who it is, what it holds and how that is made up. Only a posting changes it.

use std::collections::BTreeMap;

use proof::{Balances, LotMovement};
use uuid::Uuid;

use crate::day::{Day, Moment};
use crate::points::{HOUSE_LIMIT, MEMBER_LIMIT};
use crate::policy::Terms;

/// In how many lots one entry may move points: what its digest can count.
pub(crate) const LOTS_MAX: usize = u16::MAX as usize;

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccountKind {
    /// A member's points of one unit.
    Member = 1,
    /// Points come from here.
    Issuance = 2,
    /// Points redeemed without a partner.
    Redemption = 3,
    /// Points that expired.
    Breakage = 4,
    /// Points redeemed with one partner.
    Settlement = 5,
    /// Points that are on a chain. Below zero where more came back, or expired there, than went: nothing holds these against it
    /// when they are posted.
    Bridge = 6,
    /// A fund: what a campaign or a sponsor gives.
    Fund = 7,
}

impl AccountKind {
    /// The kind of this number, as the database writes it.
    pub fn from_i16(kind: i16) -> Option<Self> {
        Some(match kind {
            1 => Self::Member,
            2 => Self::Issuance,
            3 => Self::Redemption,
            4 => Self::Breakage,
            5 => Self::Settlement,
            6 => Self::Bridge,
            7 => Self::Fund,
            _ => return None,
        })
    }

    /// Its name, for people and for documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Issuance => "issuance",
            Self::Redemption => "redemption",
            Self::Breakage => "breakage",
            Self::Settlement => "settlement",
            Self::Bridge => "bridge",
            Self::Fund => "fund",
        }
    }

    /// The most that its balance can be, either way.
    pub fn balance_max(self) -> i64 {
        if self == Self::Member { MEMBER_LIMIT } else { HOUSE_LIMIT }
    }
}

/// Whether a member takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// In everything.
    #[default]
    Active = 1,
    /// Earns and is given points, and what was begun is ended, prolonged or reversed; spends nothing. An operator may adjust them,
    /// and merge them into another, with whom their points can be spent.
    Suspended = 2,
    /// In nothing any more.
    Closed = 3,
}

impl Status {
    /// The status of this number, as the database writes it.
    pub fn from_i16(status: i16) -> Option<Self> {
        Some(match status {
            1 => Self::Active,
            2 => Self::Suspended,
            3 => Self::Closed,
            _ => return None,
        })
    }

    /// Its name, for people and for documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
        }
    }
}

/// Points of one account that were earned on one day, from one fund, and end on one day. The order of lots is the order
/// in which they are spent: what ends first, then what is oldest, then by the fund's number, the program's own first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lot {
    /// The last local date on which it can be spent.
    pub last_day: Day,
    /// The local date on which it was recorded as earned, or what an import says.
    pub earned_day: Day,
    /// The number of the fund that gave it; 0 for the program itself.
    pub fund: u32,
}

impl Lot {
    /// Its id in a leaf: last day, day earned and fund, four bytes each, then four of zero. Ids stand in the order of
    /// spending.
    pub fn id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&self.last_day.number().to_be_bytes());
        id[4..8].copy_from_slice(&self.earned_day.number().to_be_bytes());
        id[8..12].copy_from_slice(&self.fund.to_be_bytes());
        id
    }

    /// The lot of this id, if it is one.
    pub fn from_id(id: &[u8; 16]) -> Option<Self> {
        let word = |at: usize| u32::from_be_bytes([id[at], id[at + 1], id[at + 2], id[at + 3]]);
        let day = |at| Day::new(i32::try_from(word(at)).ok()?);
        (word(12) == 0).then_some(())?;
        Some(Self { last_day: day(0)?, earned_day: day(4)?, fund: word(8) })
    }
}

/// Parts of lots, as a posting takes or gives them.
pub type Parts = Vec<(Lot, i64)>;

/// A reservation: points set aside, by a hold or by an earning that has not matured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Which of the two.
    pub kind: ReservationKind,
    /// The house account that a capture gives to, or that a cancelled earning goes back to.
    pub house: Uuid,
    /// When it lapses, or matures; of an earning that waits to be confirmed, none.
    pub due_us: Option<i64>,
    /// The last instant to which a hold may be extended.
    pub due_us_max: i64,
    /// What is set aside, by lot.
    pub parts: BTreeMap<Lot, i64>,
}

/// What sets points aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationKind {
    /// A hold.
    Hold = 1,
    /// An earning that has not matured.
    Pending = 2,
}

impl ReservationKind {
    /// The kind of this number, as the database writes it.
    pub fn from_i16(kind: i16) -> Option<Self> {
        Some(match kind {
            1 => Self::Hold,
            2 => Self::Pending,
            _ => return None,
        })
    }
}

impl Reservation {
    /// How much is set aside.
    pub fn points(&self) -> i64 {
        self.parts.values().sum()
    }

    /// Takes so much out, from what is spent first.
    pub(crate) fn take(&mut self, points: i64) -> Parts {
        let mut rest = points;
        let mut taken = Parts::new();
        for (lot, amount) in &mut self.parts {
            let part = rest.min(*amount);
            if part != 0 {
                taken.push((*lot, part));
            }
            *amount -= part;
            rest -= part;
        }
        assert_eq!(rest, 0, "no more is taken than is set aside");
        self.parts.retain(|_, amount| *amount != 0);
        taken
    }
}

/// A way that points flow, which limits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// To a member.
    Earn,
    /// From a member to a partner or a chain.
    Redeem,
    /// From a member to another.
    Transfer,
}

/// How much flowed in a day and in its month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// On the day.
    pub day: i64,
    /// In its month.
    pub month: i64,
}

/// What an account has used of its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// The day that the tallies are of.
    pub day: Day,
    /// By flow: earned, redeemed, transferred.
    pub tallies: [Tally; 3],
}

impl Used {
    /// What flowed this way.
    pub fn of(&self, flow: Flow) -> Tally {
        self.tallies[flow as usize]
    }

    /// The same on a day: what was of a day or month that is over is forgotten. A day that comes again, because the program's time
    /// zone was changed, is not over: otherwise a limit could be used twice.
    #[must_use]
    pub fn on(mut self, day: Day) -> Self {
        if self.day < day {
            let same_month = self.day.month() == day.month();
            for tally in &mut self.tallies {
                *tally = Tally { day: 0, month: if same_month { tally.month } else { 0 } };
            }
            self.day = day;
        }
        self
    }

    /// What both have used, as of this day or a later one that either is of: of a member whom another joins.
    #[must_use]
    pub fn with(self, other: Self, day: Day) -> Self {
        let day = day.max(self.day).max(other.day);
        let mut both = self.on(day);
        for (tally, more) in both.tallies.iter_mut().zip(other.on(day).tallies) {
            tally.day = tally.day.saturating_add(more.day);
            tally.month = tally.month.saturating_add(more.month);
        }
        both
    }

    /// Counts so much more of a flow.
    pub fn add(&mut self, flow: Flow, points: i64) {
        let tally = &mut self.tallies[flow as usize];
        tally.day = tally.day.saturating_add(points);
        tally.month = tally.month.saturating_add(points);
    }
}

/// One account's state: everything that a decision about it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The random name under which it stands in leaves.
    pub id: Uuid,
    /// What it is for.
    pub kind: AccountKind,
    /// The unit; 1 is the program's points.
    pub unit: u16,
    /// Of a settlement account: whose.
    pub partner: Option<String>,
    /// Of a fund: what it is.
    pub fund: Option<Fund>,
    /// Of a member: whether they take part.
    pub status: Status,
    /// How many entries it has had: its version. A change of status has none, and leaves the version as it is.
    pub sequence: u64,
    /// What it holds.
    pub balances: Balances,
    /// The local date of the last earning, redemption, capture, withdrawal or transfer out, or of being given points after which
    /// the member began anew; also of a member's who joined them with points.
    pub active_day: Day,
    /// What it has used of its limits; also what a member had who joined with points.
    pub used: Used,
    /// Of a member, the open lots. Available, held and pending of each; they sum to the account's, but that debt is in no
    /// lot.
    pub lots: BTreeMap<Lot, Balances>,
    /// Of a member, the open reservations, by the posting that began them.
    pub reservations: BTreeMap<Uuid, Reservation>,
    /// Of a member who is to leave, what was withdrawn and is neither paid on its chain nor back. It is read for them alone: of
    /// everyone else it says only what the present batch did.
    pub withdrawn: i64,
}

/// What a fund is, besides its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fund {
    /// Its number, in the lots that it gave.
    pub number: u32,
    /// Whether it can give only what was put into it.
    pub budgeted: bool,
}

impl Account {
    /// An account that has had no entry.
    pub fn new(id: Uuid, kind: AccountKind, unit: u16) -> Self {
        Self {
            id,
            kind,
            unit,
            partner: None,
            fund: None,
            status: Status::Active,
            sequence: 0,
            balances: Balances::default(),
            active_day: Day::default(),
            used: Used::default(),
            lots: BTreeMap::new(),
            reservations: BTreeMap::new(),
            withdrawn: 0,
        }
    }

    /// How much can be spent on this day, of the lots that `may` be.
    pub fn spendable(&self, now: Moment, may: impl Fn(&Lot) -> bool) -> i64 {
        self.open_lots(|lot| now.day <= lot.last_day && may(lot)).map(|(_, amount)| amount).sum()
    }

    /// So much of the lots that `may` be taken, in the order of spending; all there is, where it is less. What has ended
    /// and has not expired yet, as after an earlier item of the same request, is taken too: who may take only what can
    /// be spent says so.
    pub(crate) fn choose(&self, points: i64, may: impl Fn(&Lot) -> bool) -> Parts {
        let mut rest = points;
        let mut chosen = Parts::new();
        for (lot, amount) in self.open_lots(may) {
            if rest == 0 {
                break;
            }
            let part = rest.min(amount);
            chosen.push((lot, part));
            rest -= part;
        }
        chosen
    }

    fn open_lots(&self, may: impl Fn(&Lot) -> bool) -> impl Iterator<Item = (Lot, i64)> {
        let open = self.lots.iter().filter(move |(lot, it)| 0 < it.available && may(lot));
        open.map(|(lot, it)| (*lot, it.available))
    }

    /// What falls due first on the account, if it has by now: matured earnings and lapsed holds in their order, then what
    /// has expired; of a member who was closed, all there is.
    pub(crate) fn due(&self, terms: &Terms, now: Moment) -> Option<Due> {
        if self.kind != AccountKind::Member {
            return None;
        }
        let over = self.reservations.iter().filter_map(|(id, it)| Some((it.kind, it.due_us?, *id)));
        let over = over.filter(|(_, due_us, _)| *due_us <= now.us);
        // In the order of time, as a sweep would have met them: in another, a debt would be paid from another lot.
        let first = over.min_by_key(|(kind, due_us, id)| (*due_us, *kind == ReservationKind::Hold, *id));
        match first {
            Some((ReservationKind::Pending, _, id)) => return Some(Due::Mature(id)),
            Some((ReservationKind::Hold, _, id)) => return Some(Due::Lapse(id)),
            None => {}
        }
        let all = self.status == Status::Closed || self.is_idle(terms, now.day);
        let expired =
            self.lots.iter().filter(|(lot, it)| 0 < it.available && (all || lot.last_day < now.day));
        let parts: Parts = expired.take(LOTS_MAX).map(|(lot, it)| (*lot, it.available)).collect();
        (!parts.is_empty()).then_some(Due::Expire(parts))
    }

    /// Whether the member has been idle for longer than the program lets them keep their points.
    pub(crate) fn is_idle(&self, terms: &Terms, day: Day) -> bool {
        terms.last_idle_day(self.active_day) < day
    }

    /// Whether points that are given now are the member's first activity, or the first after their idle time was over. A member
    /// who was never active would else lose all at once when the program begins to look at activity.
    pub fn begins_anew(&self, terms: &Terms, day: Day) -> bool {
        self.active_day == Day::default() || self.is_idle(terms, day)
    }

    /// When the next thing falls due, if nothing is done before: what a sweep goes by. As all instants in an account, and in what is
    /// decided about it, it is of the program's clock, which may be ahead of the log's ([`Terms::ahead_us`]).
    pub fn next_due_us(&self, terms: &Terms) -> i64 {
        let reservations = self.reservations.values().filter_map(|it| it.due_us);
        let idle_day = terms.last_idle_day(self.active_day);
        let lots = self.lots.iter().filter(|(_, it)| 0 < it.available);
        let lots = lots.map(|(lot, _)| terms.end_of(lot.last_day.min(idle_day)));
        reservations.chain(lots).min().unwrap_or(i64::MAX)
    }

    /// Takes what an entry changes. The lots must change by as much as the balances do.
    pub(crate) fn apply(&mut self, change: Balances, lots: &[LotMovement]) {
        let before = in_lots(&self.balances);
        self.sequence += 1;
        self.balances = sum(self.balances, change);
        for movement in lots {
            let lot = Lot::from_id(&movement.lot).expect("a movement is of a lot of ours");
            let balances = self.lots.entry(lot).or_default();
            *balances = sum(*balances, movement.change);
            assert!(
                0 <= balances.available.min(balances.held).min(balances.pending),
                "a lot is never below zero"
            );
            if *balances == Balances::default() {
                self.lots.remove(&lot);
            }
        }
        if self.kind == AccountKind::Member {
            let moved: i64 = lots.iter().map(|it| total(&it.change)).sum();
            assert_eq!(in_lots(&self.balances) - before, moved, "open lots sum to what they make up");
        }
    }
}

pub(crate) fn sum(one: Balances, other: Balances) -> Balances {
    Balances {
        available: one.available + other.available,
        held: one.held + other.held,
        pending: one.pending + other.pending,
    }
}

/// What an account's open lots sum to.
pub(crate) fn in_lots(balances: &Balances) -> i64 {
    balances.available.max(0) + balances.held + balances.pending
}

pub(crate) fn total(balances: &Balances) -> i64 {
    balances.available + balances.held + balances.pending
}

/// What has fallen due on an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// An earning matures.
    Mature(Uuid),
    /// A hold lapses.
    Lapse(Uuid),
    /// These parts of lots have expired.
    Expire(Parts),
}

impl Due {
    /// The reservation that it ends.
    pub(crate) fn reservation(&self) -> Option<Uuid> {
        match self {
            Self::Mature(id) | Self::Lapse(id) => Some(*id),
            Self::Expire(_) => None,
        }
    }
}
