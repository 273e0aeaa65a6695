//! A request is tried on a copy of what it concerns.

use std::collections::BTreeMap;

use ledger::{
    AccountKind, Command, Day, Done, Entry, Fund, HOUSE_LIMIT, Limit, Lot, MEMBER_LIMIT, Moment, Name,
    Posting, Refusal, Refused, Request, Terms,
};
use proof::{Balances, Hash, LotMovement, PostingKind, Withdrawal};
use uuid::Uuid;

use crate::generate::is_paid;
use crate::state::{Chains, House, Member, Past, Place, State, minus, total};

/// The books.
#[derive(Clone, Debug, Default)]
pub struct Model {
    names: BTreeMap<(i16, u16, Name), Uuid>,
    state: State,
    /// What the chains show.
    pub chains: Chains,
}

/// A posting as the model has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    pub kind: PostingKind,
    /// Of what had fallen due, none.
    pub id: Option<Uuid>,
    pub effective_at_us: i64,
    pub reverses: Option<Uuid>,
    pub follows: Option<Uuid>,
    pub item: Option<usize>,
    /// In ascending order of account.
    pub entries: Vec<Entry>,
    pub withdrawal: Option<Withdrawal>,
}

impl From<&Posting> for Effect {
    fn from(posting: &Posting) -> Self {
        Self {
            kind: posting.kind(),
            id: posting.item.map(|_| posting.id),
            effective_at_us: posting.effective_at_us,
            reverses: posting.reverses,
            follows: posting.follows,
            item: posting.item,
            entries: posting.entries().to_vec(),
            withdrawal: posting.withdrawal.clone(),
        }
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub effects: Vec<Effect>,
    pub result: Result<Vec<Done>, Refused>,
}

/// What each capture took of its hold, by posting.
type Captured = BTreeMap<Uuid, Vec<(Lot, i64)>>;

#[derive(Clone)]
pub(crate) struct Attempt<'a> {
    names: &'a BTreeMap<(i16, u16, Name), Uuid>,
    pub(crate) state: State,
    pub(crate) request: &'a Request,
    pub(crate) terms: &'a Terms,
    pub(crate) now: Moment,
    pub(crate) chains: &'a Chains,
    pub(crate) effects: Vec<Effect>,
    pub(crate) captured: Captured,
    pub(crate) item: Option<usize>,
}

impl Model {
    /// Opens an account under a name, or gives another name to one that is open.
    pub fn open(&mut self, program: i16, unit: u16, name: Name, id: Uuid, fund: Option<Fund>) {
        match &name {
            Name::Member(_) => {
                self.state.members.entry(id).or_insert_with(|| Member::new(unit));
            }
            Name::House(house) => {
                let partner = match house {
                    ledger::House::Settlement(partner) => Some(partner.clone()),
                    _ => None,
                };
                self.state.houses.insert(id, House::new(unit, partner, fund));
            }
        }
        self.names.insert((program, unit, name), id);
    }

    /// The account of this name.
    pub fn named(&self, program: i16, unit: u16, name: &Name) -> Option<Uuid> {
        self.names.get(&(program, unit, name.clone())).copied()
    }

    /// How much of what a member withdrew is neither paid nor back.
    pub fn withdrawn(&self, member: Uuid) -> i64 {
        let open = self.state.members[&member].withdrawn.values();
        open.filter(|(id, _)| !self.chains.paid.contains(id)).map(|it| it.1).sum()
    }

    /// The chains pay what was withdrawn so far under an id that [`is_paid`] says will be. These are the ids.
    pub fn pay(&mut self) -> Vec<Hash> {
        let ids = self.state.members.values().flat_map(|it| it.withdrawn.values()).map(|it| it.0);
        let fresh: Vec<Hash> = ids.filter(|it| is_paid(it) && !self.chains.paid.contains(it)).collect();
        self.chains.paid.extend(&fresh);
        fresh
    }

    /// The members' accounts.
    pub fn members(&self) -> &BTreeMap<Uuid, Member> {
        &self.state.members
    }

    /// The house accounts.
    pub fn houses(&self) -> &BTreeMap<Uuid, House> {
        &self.state.houses
    }

    /// Decides a request at the recorded time, and keeps what comes of it, unless it is a dry run.
    pub fn decide(&mut self, request: &Request, terms: &Terms, now: Moment) -> Answer {
        let (state, answer, captured) = self.attempt(request, terms, now);
        if !request.dry_run {
            self.state.members.extend(state.members);
            self.state.houses.extend(state.houses);
            self.state.pasts.extend(state.pasts);
            for effect in &answer.effects {
                let captured = effect.id.and_then(|it| captured.get(&it)).cloned();
                self.remember(request.program, effect, captured);
            }
        }
        answer
    }

    /// What would come of a request.
    pub fn try_out(&self, request: &Request, terms: &Terms, now: Moment) -> Answer {
        self.attempt(request, terms, now).1
    }

    fn attempt(&self, request: &Request, terms: &Terms, now: Moment) -> (State, Answer, Captured) {
        let concerned = self.concerned(request);
        let (names, state) = (&self.names, self.copy(request, &concerned));
        let (effects, captured) = (vec![], BTreeMap::new());
        let chains = &self.chains;
        let mut settled =
            Attempt { names, state, request, terms, now, chains, effects, captured, item: None };
        for account in &concerned {
            settled.settle(*account);
        }
        let mut tried = settled.clone();
        let result = tried.items();
        let mut kept = if result.is_ok() { tried } else { settled };
        for account in &concerned {
            kept.settle(*account);
        }
        let Attempt { state, effects, captured, .. } = kept;
        (state, Answer { effects, result }, captured)
    }

    /// The members' accounts that a request names, or that the postings it goes on from were of.
    fn concerned(&self, request: &Request) -> Vec<Uuid> {
        let mut concerned = vec![];
        for item in &request.items {
            for name in item.command.names() {
                let id = self.names.get(&(request.program, request.unit, name));
                concerned.extend(id.filter(|it| self.state.members.contains_key(it)));
            }
            let past = item.command.original().and_then(|it| self.state.pasts.get(&(request.program, it)));
            concerned.extend(past.map(|it| it.member));
            if let Command::Settle { account } = item.command {
                concerned.extend(Some(account).filter(|it| self.state.members.contains_key(it)));
            }
        }
        concerned.sort();
        concerned.dedup();
        concerned
    }

    fn copy(&self, request: &Request, concerned: &[Uuid]) -> State {
        let members = concerned.iter().map(|it| (*it, self.state.members[it].clone())).collect();
        let originals = request.items.iter().filter_map(|it| it.command.original());
        let past =
            |it: Uuid| Some(((request.program, it), self.state.pasts.get(&(request.program, it))?.clone()));
        State { members, houses: self.state.houses.clone(), pasts: originals.filter_map(past).collect() }
    }

    fn remember(&mut self, program: i16, effect: &Effect, captured: Option<Vec<(Lot, i64)>>) {
        let member = effect.entries.iter().find(|it| self.state.members.contains_key(&it.account));
        let house = effect.entries.iter().find(|it| self.state.houses.contains_key(&it.account));
        let (Some(id), Some(member)) = (effect.id, member) else { return };
        let moved = member.lots.iter().filter_map(|it| {
            let points = total(&it.change).abs();
            (points != 0).then(|| (Lot::from_id(&it.lot).expect("a lot"), points))
        });
        let past = Past {
            kind: effect.kind,
            member: member.account,
            house: house.map(|it| it.account),
            points: total(&member.change),
            parts: captured.unwrap_or_else(|| moved.collect()),
            reversed: 0,
            withdrawal: effect.withdrawal.as_ref().map(|it| (it.withdrawal_id, it.claim_before)),
        };
        self.state.pasts.insert((program, id), past);
    }
}

/// What an account comes to, and by lot.
struct Standing {
    balances: Balances,
    /// Of a house account, its balance, also where it is beyond what a balance can be.
    exact: i128,
    lots: BTreeMap<Lot, Balances>,
}

impl Attempt<'_> {
    pub(crate) fn named(&self, name: &Name) -> Option<Uuid> {
        self.names.get(&(self.request.program, self.request.unit, name.clone())).copied()
    }

    pub(crate) fn is_idle(&self, member: Uuid) -> bool {
        self.terms.last_idle_day(self.state.members[&member].active_day) < self.now.day
    }

    /// Posts what has fallen due on an account, until nothing more has.
    fn settle(&mut self, account: Uuid) {
        self.item = None;
        loop {
            let Some(member) = self.state.members.get(&account) else { return };
            let mut over: Vec<_> =
                member.set_aside.iter().filter(|it| it.due_us <= Some(self.now.us)).collect();
            over.retain(|it| it.due_us.is_some());
            over.sort_by_key(|it| (it.due_us, matches!(it.place, Place::Held(_)), it.place.posting()));
            if let Some(place) = over.first().map(|it| it.place) {
                let kind = if let Place::Held(_) = place { PostingKind::LAPSE } else { PostingKind::MATURE };
                self.due(kind, &[account], |state| member_of(state, account).free(place));
                self.last().follows = place.posting();
                continue;
            }
            let all = self.is_idle(account) || member.status == ledger::Status::Closed;
            let mut expired = member.parts(Place::Free);
            expired.retain(|(lot, _)| all || lot.last_day < self.now.day);
            if expired.is_empty() {
                return;
            }
            let unit = member.unit;
            let breakage = Name::House(ledger::House::Breakage);
            let breakage = self.names[&(self.request.program, unit, breakage)];
            let points: i128 = expired.iter().map(|it| i128::from(it.1)).sum();
            // Where breakage has no room for it, it stays.
            if i128::from(HOUSE_LIMIT) < self.state.houses[&breakage].points + points {
                return;
            }
            self.due(PostingKind::EXPIRE, &[account, breakage], |state| {
                member_of(state, account).take(Place::Free, &expired);
                house_of(state, breakage).points += points;
            });
        }
    }

    fn due(&mut self, kind: PostingKind, accounts: &[Uuid], act: impl FnOnce(&mut State)) {
        self.post(kind, None, accounts, act).expect("what is due can always be posted");
    }

    fn items(&mut self) -> Result<Vec<Done>, Refused> {
        if self.request.items.is_empty() || 100 < self.request.items.len() {
            return Err(Refused { item: 0, refusal: Refusal::ItemCount });
        }
        let mut done = vec![];
        for (at, item) in self.request.items.iter().enumerate() {
            self.item = Some(at);
            let version = if at == 0 { self.version_is_expected(&item.command) } else { Ok(()) };
            let one = version.and_then(|()| self.command(item));
            done.push(one.map_err(|refusal| Refused { item: at as u16, refusal })?);
        }
        Ok(done)
    }

    fn version_is_expected(&self, command: &Command) -> Result<(), Refusal> {
        let Some(expected) = self.request.expected_version else { return Ok(()) };
        let account = match (command.names().first(), command.original()) {
            (Some(Name::Member(member)), _) => self.known_member(member)?,
            (Some(Name::House(house)), _) => self.house(house.clone())?,
            (None, Some(posting)) => self.past(posting)?.member,
            (None, None) => return Ok(()),
        };
        let member = self.state.members.get(&account).map(|it| it.version);
        let version = member.unwrap_or_else(|| self.state.houses[&account].version);
        if version == expected { Ok(()) } else { Err(Refusal::VersionMismatch { version }) }
    }

    fn standing(&self, account: Uuid) -> Standing {
        match self.state.members.get(&account) {
            Some(member) => Standing { balances: member.balances(), exact: 0, lots: member.lots() },
            None => {
                let exact = self.state.houses[&account].points;
                let balances = Balances { available: exact as i64, held: 0, pending: 0 };
                Standing { balances, exact, lots: BTreeMap::new() }
            }
        }
    }

    /// Does something to these accounts, and writes down what changed.
    pub(crate) fn post(
        &mut self,
        kind: PostingKind,
        id: Option<Uuid>,
        accounts: &[Uuid],
        act: impl FnOnce(&mut State),
    ) -> Result<(), Refusal> {
        let before: Vec<Standing> = accounts.iter().map(|it| self.standing(*it)).collect();
        act(&mut self.state);
        let mut entries = vec![];
        for (account, before) in accounts.iter().zip(&before) {
            let after = self.standing(*account);
            let is_member = self.state.members.contains_key(account);
            let change = if is_member {
                minus(after.balances, before.balances)
            } else {
                Balances { available: (after.exact - before.exact) as i64, held: 0, pending: 0 }
            };
            room_for(is_member, before, total(&change))?;
            let lots = movements(&before.lots, &after.lots);
            if usize::from(u16::MAX) < lots.len() {
                return Err(Refusal::AmountOutOfRange);
            }
            let (unit, version) = match self.state.members.get_mut(account) {
                Some(member) => (member.unit, &mut member.version),
                None => {
                    let house = house_of(&mut self.state, *account);
                    (house.unit, &mut house.version)
                }
            };
            *version += 1;
            let sequence = *version;
            entries.push(Entry { account: *account, unit, sequence, change, after: after.balances, lots });
        }
        for account in accounts {
            // Who was never active, or idle for too long, begins anew with what they are given.
            let entry = entries.iter().find(|it| it.account == *account).expect("it has an entry");
            let Some(member) = self.state.members.get(account) else { continue };
            let was_never_active = member.active_day == ledger::Day::default();
            if 0 < total(&entry.change) && (was_never_active || self.is_idle(*account)) {
                member_of(&mut self.state, *account).active_day = self.now.day;
            }
        }
        entries.sort_by_key(|it| it.account);
        self.effects.push(Effect {
            kind,
            id,
            effective_at_us: self.now.us,
            reverses: None,
            follows: None,
            item: self.item,
            entries,
            withdrawal: None,
        });
        Ok(())
    }

    pub(crate) fn last(&mut self) -> &mut Effect {
        self.effects.last_mut().expect("it was just posted")
    }

    pub(crate) fn today(&self) -> Day {
        self.now.day
    }
}

fn room_for(is_member: bool, before: &Standing, points: i64) -> Result<(), Refusal> {
    let kind = if is_member { AccountKind::Member } else { AccountKind::Issuance };
    let limit = if kind == AccountKind::Member { MEMBER_LIMIT } else { HOUSE_LIMIT };
    let available = i128::from(before.balances.available);
    let made_up =
        if is_member { before.lots.values().map(|it| i128::from(total(it))).sum() } else { available };
    let room = if 0 < points { i128::from(limit) - made_up } else { i128::from(limit) + available };
    if i128::from(points.unsigned_abs()) <= room {
        return Ok(());
    }
    let left = room.max(0) as i64;
    Err(Refusal::LimitExceeded { limit: Limit::Balance, left, required: points.abs() })
}

fn movements(before: &BTreeMap<Lot, Balances>, after: &BTreeMap<Lot, Balances>) -> Vec<LotMovement> {
    let mut lots: Vec<Lot> = before.keys().chain(after.keys()).copied().collect();
    lots.sort();
    lots.dedup();
    let of = |lots: &BTreeMap<Lot, Balances>, lot: &Lot| lots.get(lot).copied().unwrap_or_default();
    let moved = lots.into_iter().map(|lot| (lot, minus(of(after, &lot), of(before, &lot))));
    let moved = moved.filter(|(_, change)| *change != Balances::default());
    let written = |(lot, change): (Lot, Balances)| LotMovement {
        lot: lot.id(),
        change,
        last_spendable_day: lot.last_day.number(),
        earned_day: lot.earned_day.number(),
    };
    moved.map(written).collect()
}

pub(crate) fn member_of(state: &mut State, id: Uuid) -> &mut Member {
    state.members.get_mut(&id).expect("the request concerns the member")
}

pub(crate) fn house_of(state: &mut State, id: Uuid) -> &mut House {
    state.houses.get_mut(&id).expect("the house account is open")
}
