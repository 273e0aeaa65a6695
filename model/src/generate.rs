//! Random programs of requests: the same seed and the same instants give the same requests.

use jiff::{Timestamp, ToSpan};
use ledger::{
    Command, Day, Destination, Event, Expiry, FlowLimits, Fund, Gateway, HOUSE_LIMIT, HoldPolicy, House,
    Item, MEMBER_LIMIT, Maturity, MemberRef, Moment, Points, Policy, Request, RuleSet, Screening, Status,
    Stretch,
};
use proof::{Details, Hash, Text};
use uuid::Uuid;

/// The rule set by which events earn.
pub const RULES: &[u8] = br#"{"rates":{"purchase":"1"}}"#;

/// The program that requests are of.
pub const PROGRAM: i16 = 1;

/// With this begin the ids of withdrawals that are paid.
const PAID: u8 = 4;
/// The token behind the gateway, and a holder like others.
const TOKEN: [u8; 20] = [5; 20];
const HOLDER: [u8; 20] = [2; 20];
const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 24 * 60 * MINUTE_US;
const PARTNERS: [&str; 3] = ["duka", "cafe", "nobody"];
const FUNDS: [&str; 3] = ["spring", "prize", "none"];

/// How the member of this number is called.
pub fn member(number: u64) -> MemberRef {
    MemberRef::External(format!("m{number}"))
}

/// The house accounts that requests name, with the funds behind them, and the merchant with whom alone a fund's points
/// can be spent. Beside these, requests name a partner and a fund that there are not.
pub fn houses() -> Vec<(House, Option<Fund>, Option<&'static str>)> {
    let plain = [House::Issuance, House::Redemption, House::Breakage, House::Bridge];
    let partners = PARTNERS[..2].iter().map(|it| House::Settlement((*it).to_owned()));
    let mut houses: Vec<_> = plain.into_iter().chain(partners).map(|it| (it, None, None)).collect();
    let fund = |number, budgeted| Some(Fund { number, budgeted });
    houses.push((House::Fund("spring".to_owned()), fund(1, false), Some("duka")));
    houses.push((House::Fund("prize".to_owned()), fund(2, true), None));
    houses
}

/// The gateway of a seed's program, on chain 137. Requests name another one too, which is nobody's.
pub fn gateway(seed: u64) -> [u8; 20] {
    let mut gateway = [1; 20];
    gateway[..8].copy_from_slice(&seed.to_be_bytes());
    gateway
}

/// What decisions know of that gateway: epochs of a week, and a local time that is none of the programs'.
pub fn gateway_terms() -> Gateway {
    Gateway { unit: 1, token: TOKEN, epoch_s: 7 * 24 * 3600, zone_s: 2 * 3600 }
}

/// Whether the chain pays a withdrawal of this id, once what asked for it is over.
pub fn is_paid(withdrawal_id: &Hash) -> bool {
    withdrawal_id[0] == PAID
}

/// Numbers that follow from a seed: SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 0 to below this.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Whether a die of so many sides shows its one.
    pub fn one_in(&mut self, sides: u64) -> bool {
        self.below(sides) == 0
    }

    /// One of these.
    pub fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }

    fn between(&mut self, first: i64, last: i64) -> i64 {
        first + self.below((last - first + 1) as u64) as i64
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.one_in(2).then(|| value(self))
    }
}

/// A policy, with the limits, the debt and the expiry that chance gave it.
pub fn random_policy(random: &mut Random) -> Policy {
    let expiry = match random.below(6) {
        0 => Expiry::Never,
        1 => Expiry::After { days: random.between(1, 20) as u16, months: 0, end_of: None },
        2 => Expiry::After { days: 0, months: random.between(1, 3) as u16, end_of: Some(Stretch::Month) },
        3 => Expiry::After {
            days: 3,
            months: 0,
            end_of: random.of(&[Some(Stretch::Quarter), Some(Stretch::Year)]),
        },
        4 => Expiry::Inactivity { days: random.between(1, 10) as u16, months: 0 },
        _ => Expiry::Inactivity { days: 0, months: 1 },
    };
    let zones = ["UTC", "Africa/Nairobi", "America/St_Johns", "Pacific/Apia"];
    let limit = |random: &mut Random, max| random.one_in(3).then(|| random.between(0, max));
    let mut limits = || FlowLimits {
        per_posting: limit(random, 80),
        per_day: limit(random, 200),
        per_month: limit(random, 600),
        per_merchant_day: limit(random, 300),
    };
    let (earn, redeem, transfer) = (limits(), limits(), limits());
    let is_limited = random.one_in(2);
    let flow = |it: FlowLimits| if is_limited { it } else { FlowLimits::default() };
    Policy {
        time_zone: random.of(&zones).to_owned(),
        strangers: None,
        expiry,
        grace_days: random.of(&[0, 1, 30]),
        debt_max: random.of(&[0, 40, 1000]),
        floor: random.of(&[0, 0, 15]),
        holds: HoldPolicy { seconds: 900, seconds_max: random.of(&[3600, 30 * 24 * 3600]) },
        approval_above: random.of(&[None, Some(30)]),
        earn: flow(earn),
        redeem: flow(redeem),
        transfer: flow(transfer),
    }
}

/// What an earlier request was meant to begin or to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    Earned,
    Pending,
    Held,
    Spent,
}

/// Makes requests, one after the other.
#[derive(Clone, Debug)]
pub struct Generator {
    random: Random,
    seed: u64,
    members: u64,
    count: u64,
    begun: Vec<(Uuid, Begun)>,
    /// What the present wave was meant to begin.
    fresh: Vec<(Uuid, Begun)>,
    /// From how many of a sort one is chosen to go on from.
    reach: usize,
    rules: RuleSet,
}

impl Generator {
    /// Requests about so many members, the first of whom is in a third of them.
    pub fn new(seed: u64, members: u64) -> Self {
        let (random, rules) = (Random::new(seed), RuleSet::parse(RULES).expect("a rule set"));
        Self { random, seed, members, count: 0, begun: vec![], fresh: vec![], reach: 4, rules }
    }

    /// How long nothing is asked: mostly a moment, seldom days.
    pub fn pause_us(&mut self) -> i64 {
        let longest_us = match self.random.below(20) {
            0 if self.random.one_in(2) => 40 * DAY_US,
            0 | 1 => 30 * 60 * MINUTE_US,
            3..6 => 20 * MINUTE_US,
            _ => 2_000_000,
        };
        self.random.between(0, longest_us)
    }

    /// A request was refused: what it was to begin is not gone on from, but for one in ten.
    pub fn refused(&mut self, request: &Request) {
        if !self.random.one_in(10) {
            for begun in [&mut self.begun, &mut self.fresh] {
                begun.retain(|(id, _)| request.items.iter().all(|it| it.posting_id != *id));
            }
        }
    }

    /// So many requests that are asked at once: they seldom go on from one another.
    pub fn wave(&mut self, now: Moment, count: usize) -> Vec<Request> {
        self.begun.append(&mut self.fresh);
        self.reach = 4.max(count / 10);
        (0..count).map(|_| self.next(now)).collect()
    }

    /// What is asked at this time.
    pub fn request(&mut self, now: Moment) -> Request {
        self.begun.append(&mut self.fresh);
        self.next(now)
    }

    fn next(&mut self, now: Moment) -> Request {
        let count = if self.random.one_in(8) { self.random.between(2, 5) } else { 1 };
        let count = if self.random.one_in(500) { self.random.of(&[0, 101]) } else { count };
        let screening = match self.random.below(12) {
            0 => Screening::Review,
            1 => Screening::Deny,
            _ => Screening::Allow,
        };
        let items = (0..count).map(|_| self.item(now, screening)).collect();
        Request {
            program: PROGRAM,
            unit: 1,
            source: "random".to_owned(),
            key: format!("{:x}-{}", self.seed, self.count),
            items,
            expected_version: self.random.one_in(20).then(|| self.random.below(12)),
            dry_run: self.random.one_in(15),
            hurried: false,
            screening,
        }
    }

    fn item(&mut self, now: Moment, screening: Screening) -> Item {
        self.count += 1;
        let posting_id = Uuid::from_u64_pair(self.seed, self.count);
        let command = self.command(now);
        let begun = match &command {
            Command::Earn { maturity: Maturity::Now, .. }
            | Command::Import { .. }
            | Command::Deposit { .. } => Some(Begun::Earned),
            Command::Earn { .. } => Some(Begun::Pending),
            Command::Hold { .. } => Some(Begun::Held),
            Command::Redeem { .. } if screening == Screening::Review => Some(Begun::Held),
            Command::Redeem { .. }
            | Command::Capture { .. }
            | Command::Withdraw { .. }
            | Command::Adjust { .. } => Some(Begun::Spent),
            _ => None,
        };
        self.fresh.extend(begun.map(|it| (posting_id, it)));
        let text = |it: &str| Some(Text::new(it).expect("a short text"));
        // An earning that nobody asks for by hand is an event's, and has its key.
        let is_named = !self.random.one_in(10) || matches!(command, Command::Earn { .. });
        let details = if is_named {
            Details { actor: text("asha"), reason: text("goodwill"), ..Details::default() }
        } else {
            Details::default()
        };
        Item { posting_id, command, details }
    }

    fn command(&mut self, now: Moment) -> Command {
        // What goes on from something needs something that was begun: without, points are earned.
        self.any_command(now).unwrap_or_else(|| self.earning(now))
    }

    fn any_command(&mut self, now: Moment) -> Option<Command> {
        let (who, points) = (self.member(), self.points());
        Some(match self.random.below(100) {
            0..25 => self.earning(now),
            25..41 => Command::Redeem { member: who, points, partner: self.partner(), up_to: false },
            41..45 => Command::Redeem { member: who, points, partner: self.partner(), up_to: true },
            45..52 => Command::Transfer { from: who, to: self.member(), points },
            52..61 => {
                let seconds = self.random.of(&[
                    None,
                    Some(0),
                    Some(3600),
                    Some(90_000),
                    Some(20 * 24 * 3600),
                    Some(40 * 24 * 3600),
                ]);
                Command::Hold { member: who, points, partner: self.partner(), seconds }
            }
            61..68 => {
                let (points, keep_rest) = (self.random.maybe(|_| points), self.random.one_in(2));
                Command::Capture { hold: self.begun(Begun::Held, !keep_rest)?, points, keep_rest }
            }
            68..70 => Command::Void { hold: self.begun(Begun::Held, true)? },
            70..73 => Command::Increase { hold: self.begun(Begun::Held, false)?, points },
            73..75 => {
                let seconds = self.random.of(&[0, 60, 4000, 200_000, u32::MAX]);
                Command::Prolong { hold: self.begun(Begun::Held, false)?, seconds }
            }
            75..77 => Command::Confirm { earning: self.begun(Begun::Pending, true)? },
            77..79 => Command::Cancel { earning: self.begun(Begun::Pending, true)? },
            79..87 => {
                let of = self.random.of(&[Begun::Earned, Begun::Spent, Begun::Spent, Begun::Pending]);
                Command::Reverse { posting: self.begun(of, false)?, points: self.random.maybe(|_| points) }
            }
            87..90 => self.import(who, now),
            90 => {
                let amounts =
                    (0..self.random.below(3)).map(|_| (self.day(now, -5, 60), self.points())).collect();
                Command::Deposit { member: who, amounts }
            }
            91..93 => Command::Withdraw { member: who, points, destination: self.destination(now) },
            93..96 => self.adjustment(who, now),
            96 => Command::Extend {
                member: who,
                through: self.day(now, 0, 60),
                last_day: self.day(now, -3, 90),
            },
            97 if self.random.one_in(4) => Command::ExpireOnChain { points },
            97 => Command::Budget { fund: self.fund().to_owned(), change: self.change() },
            98 => {
                let statuses = [Status::Active, Status::Active, Status::Suspended];
                let closes = self.random.one_in(10);
                let status = if closes { Status::Closed } else { self.random.of(&statuses) };
                Command::SetStatus { member: who, status }
            }
            _ if self.random.one_in(3) => Command::Merge { from: who, to: self.member() },
            _ => Command::SetStatus { member: who, status: Status::Active },
        })
    }

    fn earning(&mut self, now: Moment) -> Command {
        let maturity = match self.random.below(6) {
            0 => Maturity::OnConfirmation,
            1 | 2 => Maturity::At(now.us + self.random.between(-MINUTE_US, 3 * DAY_US)),
            _ => Maturity::Now,
        };
        let late = self.random.of(&[0, MINUTE_US, 3 * DAY_US, 40 * DAY_US, -4 * MINUTE_US]);
        let late = if self.random.one_in(50) { -6 * MINUTE_US } else { late };
        let points = self.points().get().saturating_mul(2).min(MEMBER_LIMIT);
        let at = Timestamp::from_microsecond((now.us - late).max(0)).expect("it is a time of day");
        let MemberRef::External(who) = self.member() else { unreachable!("a member has a name") };
        let payload = format!(
            r#"{{"source":"random","event_id":"{}","user_id":"{who}","type":"purchase","amount":{points},"timestamp":"{at}"}}"#,
            self.count,
        );
        let event = Event::parse(payload.as_bytes()).expect("an event");
        let earning = self.rules.earn(&event).expect("it earns");
        let mut command = Command::earn(earning, event, payload.into_bytes());
        if let Command::Earn { maturity: when, fund, .. } = &mut command {
            *when = maturity;
            *fund = self.random.one_in(4).then(|| self.fund().to_owned());
        }
        command
    }

    fn import(&mut self, member: MemberRef, now: Moment) -> Command {
        let lots = (0..self.random.below(4))
            .map(|_| (self.day(now, -5, 60), self.day(now, -100, 0), self.points()))
            .collect();
        Command::Import { member, lots, effective_at_us: self.effective(now) }
    }

    fn adjustment(&mut self, member: MemberRef, now: Moment) -> Command {
        let approver = self.random.maybe(|it| it.of(&["asha", "juma", "editor:asha", ""]).to_owned());
        Command::Adjust { member, change: self.change(), approver, effective_at_us: self.effective(now) }
    }

    fn destination(&mut self, now: Moment) -> Destination {
        let longest = 90 * 24 * 3600;
        let seconds = self.random.of(&[1, 600, 600, 600, 6 * 3600, 3 * 24 * 3600, longest]);
        let seconds = if self.random.one_in(10) { self.random.of(&[-5, 0, longest + 1]) } else { seconds };
        let claim_before = u64::try_from(now.us / 1_000_000 + seconds).unwrap_or(0);
        let claim_before = if self.random.one_in(30) { u64::MAX } else { claim_before };
        let mut withdrawal_id = [0; 32];
        withdrawal_id[0] = if self.random.one_in(4) { PAID } else { 3 };
        withdrawal_id[16..24].copy_from_slice(&self.seed.to_be_bytes());
        withdrawal_id[24..].copy_from_slice(&self.count.to_be_bytes());
        let gateway = if self.random.one_in(12) { [2; 20] } else { gateway(self.seed) };
        let holder = if self.random.one_in(20) { self.random.of(&[[0; 20], gateway, TOKEN]) } else { HOLDER };
        Destination { chain_id: 137, gateway, holder, withdrawal_id, claim_before }
    }

    /// One in three times the first member; seldom one that there is not.
    fn member(&mut self) -> MemberRef {
        if self.random.one_in(3) {
            member(0)
        } else {
            member(self.random.below(self.members) + self.random.below(50) / 49 * self.members)
        }
    }

    fn points(&mut self) -> Points {
        let points = if self.random.one_in(400) { MEMBER_LIMIT } else { self.random.between(1, 50) };
        Points::new(points).expect("it is in range")
    }

    fn change(&mut self) -> i64 {
        let edges = [0, i64::MIN, i64::MAX, HOUSE_LIMIT, -HOUSE_LIMIT, MEMBER_LIMIT, -MEMBER_LIMIT];
        if self.random.one_in(15) { self.random.of(&edges) } else { self.random.between(-40, 60) }
    }

    fn partner(&mut self) -> Option<String> {
        let index = self.random.below(40) as usize;
        PARTNERS.get(index / 13).filter(|_| index < 28).map(|it| (*it).to_owned())
    }

    fn fund(&mut self) -> &'static str {
        if self.random.one_in(20) { FUNDS[2] } else { self.random.of(&FUNDS[..2]) }
    }

    fn effective(&mut self, now: Moment) -> Option<i64> {
        let edges =
            [now.us, now.us - 2 * DAY_US, now.us + MINUTE_US, now.us + 6 * MINUTE_US, i64::MIN, i64::MAX];
        self.random.maybe(|it| it.of(&edges))
    }

    fn day(&mut self, now: Moment, first: i64, last: i64) -> Day {
        let days = self.random.between(first, last);
        if self.random.one_in(10) { Day::NEVER } else { now.day.plus(days.days()) }
    }

    /// A posting that was asked for, mostly a late one of this sort. What is ended by that is mostly not asked for again.
    fn begun(&mut self, sort: Begun, ends: bool) -> Option<Uuid> {
        if self.random.one_in(50) {
            return Some(Uuid::from_u64_pair(self.seed, u64::MAX));
        }
        let is_any = self.random.one_in(30);
        let begun = if self.random.one_in(20) { &self.fresh } else { &self.begun };
        let of_sort = begun.iter().rev().filter(|it| is_any || it.1 == sort).take(self.reach);
        let recent: Vec<Uuid> = of_sort.map(|it| it.0).collect();
        let chosen = if recent.is_empty() { return None } else { self.random.of(&recent) };
        if ends && !self.random.one_in(3) {
            self.begun.retain(|it| it.0 != chosen);
        }
        Some(chosen)
    }
}
