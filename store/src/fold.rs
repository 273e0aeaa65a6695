//! An account as its entries make it up, one after the other from the first: what `books check` compares with what stands
//! in the tables, and what `books replay` writes anew.
//!
//! Postings do not tell everything. When a hold is due, the house that an untouched hold is for, and whether a member is
//! suspended or closed, stand in no entry: `check/outcomes.rs` holds them against what was asked, where an outcome tells it.

use ledger::{Account, AccountKind, Day, Flow, Lot, Reservation, ReservationKind, Tally, Used};
use proof::{Balances, Body, Hash, LeafKind, LotMovement, PostingKind, Withdrawal};
use sqlx::FromRow;
use uuid::Uuid;

use crate::allowed::Step;
use crate::amounts::Amounts;
use crate::history::History;
use crate::outcomes::decode_rest;

/// An entry, with what its posting says.
#[derive(FromRow)]
pub(crate) struct EntryRow {
    pub(crate) leaf_index: i64,
    pub(crate) account_id: i64,
    pub(crate) sequence: i64,
    #[sqlx(flatten)]
    amounts: Amounts,
    lots: Option<Vec<u8>>,
    previous_leaf_index: Option<i64>,
    previous_commitment: Option<Vec<u8>>,
    commitment: Vec<u8>,
    posting_id: Uuid,
    program_id: i16,
    kind: i16,
    recorded_at: i64,
    reverses: Option<Uuid>,
    follows: Option<Uuid>,
    body: Option<Vec<u8>>,
    /// Where the entry sets points aside or frees them: the account on the other side, if there is one.
    house: Option<Uuid>,
    /// Of a house's capture, what the hold has set aside since the capture before: leaf index, recorded time and points of each.
    set_aside: Option<Vec<u8>>,
    /// Where points come by a merge, of the other side: the day on which it was last active, the day that its tallies are of, and
    /// these. Its balance still says so where it is who joined, since nothing was posted there after it.
    joined: Option<Vec<i64>>,
}

/// An account, folded up to its last entry.
pub(crate) struct Folded {
    pub(crate) account_id: i64,
    /// Without its status. Of reservations only kind, house and parts are known, and the house of a hold only once some of
    /// it was captured: it is nil before.
    pub(crate) account: Account,
    /// The last entry.
    pub(crate) last: Option<(i64, Hash)>,
    /// Whether points expired that could still be spent: only those of a member who was closed do.
    pub(crate) is_emptied: bool,
}

impl Folded {
    pub(crate) fn new(account_id: i64, id: Uuid, kind: AccountKind, unit: u16) -> Self {
        Self { account_id, account: Account::new(id, kind, unit), last: None, is_emptied: false }
    }

    /// Takes the next entry, or says what is wrong with it.
    pub(crate) fn take(&mut self, entry: &EntryRow, history: &History) -> Result<(), &'static str> {
        self.take_balances(entry)?;
        let moved = self.take_lots(entry)?;
        if self.account.kind == AccountKind::Member {
            self.take_reservation(entry, &moved)?;
        }
        self.take_use(entry, &moved, history)
    }

    fn take_balances(&mut self, entry: &EntryRow) -> Result<(), &'static str> {
        if entry.sequence as u64 != self.account.sequence + 1 {
            return Err("its sequence leaves a hole");
        }
        let change = entry.amounts.change();
        let after = add(self.account.balances, change);
        if after != Some(entry.amounts.after()) {
            return Err("its balances do not follow from the entry before");
        }
        if entry.previous_leaf_index != self.last.map(|it| it.0)
            || entry.previous_commitment.as_deref() != self.last.as_ref().map(|it| &it.1[..])
        {
            return Err("it does not name the entry before");
        }
        if self.last.is_some_and(|it| entry.leaf_index <= it.0) {
            return Err("it stands in the log before the entry before");
        }
        let after = entry.amounts.after();
        let max = self.account.kind.balance_max();
        if after.available.abs() > max || ![after.held, after.pending].iter().all(|it| (0..=max).contains(it))
        {
            return Err("a balance is beyond what it can be");
        }
        if self.account.kind != AccountKind::Member && (after.held != 0 || after.pending != 0) {
            return Err("a house account has points on hold or pending");
        }
        let commitment =
            Hash::try_from(&entry.commitment[..]).map_err(|_| "its commitment is not 32 bytes")?;
        self.last = Some((entry.leaf_index, commitment));
        self.account.sequence += 1;
        Ok(())
    }

    /// What the entry did to lots. They change by as much as the balances do, but that debt is in no lot.
    fn take_lots(&mut self, entry: &EntryRow) -> Result<Vec<(Lot, Balances)>, &'static str> {
        let (before, after, change) = (self.account.balances, entry.amounts.after(), entry.amounts.change());
        self.account.balances = after;
        let Some(bytes) = &entry.lots else {
            let still =
                change.held == 0 && change.pending == 0 && before.available.max(0) == after.available.max(0);
            return match self.account.kind {
                AccountKind::Member if !still => Err("its points are in no lot"),
                _ => Ok(vec![]),
            };
        };
        if self.account.kind != AccountKind::Member {
            return Err("a house account has lots");
        }
        let movements = LotMovement::decode_all(bytes).map_err(|_| "its lots cannot be read")?;
        let mut moved = Vec::with_capacity(movements.len());
        let mut sum = Balances::default();
        for movement in &movements {
            let lot = Lot::from_id(&movement.lot).ok_or("a lot is none of ours")?;
            let days = (lot.last_day.number(), lot.earned_day.number());
            if days != (movement.last_spendable_day, movement.earned_day) {
                return Err("a lot's days are not those of its id");
            }
            if movement.change == Balances::default() {
                return Err("a lot is named that does not move");
            }
            let open = self.account.lots.entry(lot).or_default();
            *open = add(*open, movement.change).ok_or("a lot has more than there may be")?;
            if open.available < 0 || open.held < 0 || open.pending < 0 {
                return Err("a lot goes below zero");
            }
            if *open == Balances::default() {
                self.account.lots.remove(&lot);
            }
            sum = add(sum, movement.change).ok_or("its lots have more than there may be")?;
            moved.push((lot, movement.change));
        }
        let available = after.available.max(0) - before.available.max(0);
        if sum != (Balances { available, held: change.held, pending: change.pending }) {
            return Err("its lots do not change by as much as its balances");
        }
        Ok(moved)
    }

    /// Points that are set aside belong to a reservation: which one, the posting says.
    fn take_reservation(&mut self, entry: &EntryRow, moved: &[(Lot, Balances)]) -> Result<(), &'static str> {
        let change = entry.amounts.change();
        let kind = entry.posting_kind();
        let begins = match kind {
            PostingKind::HOLD => Some(ReservationKind::Hold),
            PostingKind::EARN if change.pending != 0 => Some(ReservationKind::Pending),
            _ => None,
        };
        if let Some(begins) = begins {
            let house = entry.house.unwrap_or_default();
            let new = Reservation { kind: begins, house, due_us: None, due_us_max: 0, parts: [].into() };
            self.account.reservations.insert(entry.posting_id, new);
        }
        let (named, wanted, ends) = match kind {
            PostingKind::HOLD => (Some(entry.posting_id), ReservationKind::Hold, false),
            PostingKind::EARN => (begins.map(|_| entry.posting_id), ReservationKind::Pending, false),
            PostingKind::CAPTURE | PostingKind::INCREASE => (entry.follows, ReservationKind::Hold, false),
            PostingKind::EXTEND => (entry.follows, ReservationKind::Hold, false),
            PostingKind::VOID | PostingKind::LAPSE => (entry.follows, ReservationKind::Hold, true),
            PostingKind::MATURE => (entry.follows, ReservationKind::Pending, true),
            PostingKind::CANCEL => (entry.reverses, ReservationKind::Pending, true),
            _ => (None, ReservationKind::Hold, false),
        };
        let Some(id) = named else {
            let still = change.held == 0 && change.pending == 0;
            return if still { Ok(()) } else { Err("points are set aside for nothing") };
        };
        let open = self.account.reservations.get_mut(&id).filter(|it| it.kind == wanted);
        let open = open.ok_or("it goes on from a reservation that is not open")?;
        if kind == PostingKind::CAPTURE {
            let house = entry.house.ok_or("a capture goes to nobody")?;
            if !open.house.is_nil() && open.house != house {
                return Err("a capture goes to another than the one before");
            }
            open.house = house;
        }
        for (lot, change) in moved {
            let set_aside = if wanted == ReservationKind::Hold { change.held } else { change.pending };
            let part = open.parts.entry(*lot).or_default();
            *part += set_aside;
            if *part < 0 {
                return Err("it takes more out of a reservation than is set aside");
            }
        }
        open.parts.retain(|_, points| *points != 0);
        let empty = open.parts.is_empty();
        if ends && !empty {
            return Err("it ends a reservation and leaves points set aside");
        }
        if empty {
            self.account.reservations.remove(&id);
        }
        // So they add up to what is set aside: each changes by what the lots do, and those by what the balances do.
        Ok(())
    }

    /// What counts against limits, on which day the member was active, and the order in which lots are spent.
    fn take_use(
        &mut self,
        entry: &EntryRow,
        moved: &[(Lot, Balances)],
        history: &History,
    ) -> Result<(), &'static str> {
        let terms = history.terms(entry.program_id, entry.leaf_index).ok_or("its program is not known")?;
        let day = terms.moment(entry.recorded_at).day;
        let (kind, change) = (entry.posting_kind(), entry.amounts.change());
        let total = change.available + change.held + change.pending;
        let is_member = self.account.kind == AccountKind::Member;
        let account = &mut self.account;
        let step = Step { kind, change, lots: moved, day, terms };
        if let Some(fund) = account.fund {
            step.check_fund(fund, account.balances.available)?;
        }
        if is_member {
            step.check(account)?;
            if self.is_emptied && kind != PostingKind::EXPIRE {
                return Err("it goes on after the account was closed");
            }
            self.is_emptied |= step.expires_early(account);
        }
        let active_day = account.active_day;
        if is_member && 0 < total && account.begins_anew(terms, day) {
            account.active_day = day;
        }
        // A debtor who joins another gets what is owed, and has nothing after it: only who is joined has.
        let has_points = 0 < account.balances.available;
        if let Some(joined) = entry.joined.as_deref().filter(|_| is_member && has_points) {
            let (theirs, used) = activity(joined).ok_or("who joined was active on no day")?;
            account.active_day = active_day.max(theirs);
            account.used = account.used.with(used, day);
        }
        let counted = match kind {
            PostingKind::EARN if is_member => Some((Flow::Earn, total)),
            PostingKind::REDEEM if is_member => Some((Flow::Redeem, -total)),
            PostingKind::REDEEM => Some((Flow::Redeem, total)),
            PostingKind::WITHDRAW if is_member => Some((Flow::Redeem, -total)),
            PostingKind::HOLD | PostingKind::INCREASE => Some((Flow::Redeem, change.held)),
            PostingKind::TRANSFER if total < 0 => Some((Flow::Transfer, -total)),
            _ => None,
        };
        if let Some((flow, points)) = counted {
            account.used = account.used.on(day);
            account.used.add(flow, points);
        }
        // A hold counts for its house when it is set aside, and a capture is what tells which house that is.
        let aside = entry.set_aside.as_deref().filter(|_| !is_member).and_then(decode_rest);
        for [leaf_index, recorded_at, points] in aside.unwrap_or_default() {
            let terms = history.terms(entry.program_id, leaf_index).ok_or("its program is not known")?;
            count_late(&mut account.used, terms.moment(recorded_at).day, points);
        }
        let holds = [PostingKind::HOLD, PostingKind::INCREASE].contains(&kind);
        if is_member && (counted.is_some() && !holds || kind == PostingKind::CAPTURE) {
            account.active_day = day;
        }
        let own = Lot { last_day: terms.last_day(day), earned_day: day, fund: 0 };
        if is_member && kind == PostingKind::EARN && moved.iter().any(|it| Lot { fund: 0, ..it.0 } != own) {
            return Err("what is earned has another day or end than it should");
        }
        let spends = [PostingKind::REDEEM, PostingKind::TRANSFER, PostingKind::WITHDRAW].contains(&kind);
        // Lots for one merchant only may have had to stay, and those that do not last where a withdrawal goes.
        let withdrawal = entry.withdrawal();
        let goes = |it: &Withdrawal| Some((terms.gateways.get(&(it.chain_id, it.gateway))?, it.claim_before));
        let gateway = withdrawal.as_ref().and_then(goes);
        let may_stay = |it: &Lot| {
            let is_short = gateway.is_some_and(|(gateway, before)| !gateway.lasts(it.last_day, before));
            is_short || terms.merchants.contains_key(&it.fund)
        };
        if (spends && total < 0 || holds) && !is_in_order(account, moved, day, &may_stay) {
            return Err("it spends a lot while an earlier one is left");
        }
        Ok(())
    }
}

/// On which day a member was last active, and what they have used of their limits, as an entry's row has it.
fn activity(row: &[i64]) -> Option<(Day, Used)> {
    let [active_day, used_day, tallies @ ..] = row else { return None };
    let date = |number: &i64| Day::new(i32::try_from(*number).ok()?);
    let tally = |at: usize| Some(Tally { day: *tallies.get(at)?, month: *tallies.get(at + 1)? });
    let used = Used { day: date(used_day)?, tallies: [tally(0)?, tally(2)?, tally(4)?] };
    Some((date(active_day)?, used))
}

/// Counts what was set aside on a day that may be over by now: then it is of its month at most. A later day is known by what is
/// counted on it, so that this is never more than the house has counted.
fn count_late(used: &mut Used, day: Day, points: i64) {
    if used.day <= day {
        *used = used.on(day);
        used.add(Flow::Redeem, points);
    } else if used.day.month() == day.month() {
        let month = &mut used.tallies[Flow::Redeem as usize].month;
        *month = month.saturating_add(points);
    }
}

/// Whether nothing is left of any lot that should have been spent before the last one that was, but of those that may stay.
fn is_in_order(
    account: &Account,
    moved: &[(Lot, Balances)],
    day: Day,
    may_stay: &dyn Fn(&Lot) -> bool,
) -> bool {
    let Some((last, _)) = moved.iter().filter(|it| it.1.available < 0).max_by_key(|it| it.0) else {
        return true;
    };
    let mut earlier = account.lots.range(..*last);
    !earlier.any(|(lot, it)| 0 < it.available && day <= lot.last_day && !may_stay(lot))
}

impl EntryRow {
    pub(crate) fn posting_kind(&self) -> PostingKind {
        PostingKind(u8::try_from(self.kind).unwrap_or_default())
    }

    fn withdrawal(&self) -> Option<Withdrawal> {
        match Body::decode(LeafKind::Withdrawal, self.body.as_deref()?) {
            Ok(Body::Withdrawal(withdrawal)) => Some(withdrawal),
            _ => None,
        }
    }
}

fn add(one: Balances, other: Balances) -> Option<Balances> {
    Some(Balances {
        available: one.available.checked_add(other.available)?,
        held: one.held.checked_add(other.held)?,
        pending: one.pending.checked_add(other.pending)?,
    })
}
