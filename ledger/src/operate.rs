//! What an operator does: corrections, later ends, members joined, suspended and closed, budgets, what expired on a chain.

use proof::PostingKind;

use crate::account::{Account, Lot, Parts, Status};
use crate::day::Day;
use crate::decide::{Decided, Desk, change_in_range};
use crate::points::Points;
use crate::policy::Limit;
use crate::refusal::Refusal;
use crate::request::{House, Item, MemberRef};
use crate::side::Side;

impl Desk<'_> {
    pub(crate) fn adjust(
        &mut self,
        item: &Item,
        member: &MemberRef,
        change: i64,
        approver: Option<&str>,
        effective_at_us: Option<i64>,
    ) -> Decided {
        change_in_range(change)?;
        let (Some(actor), Some(_)) = (&item.details.actor, &item.details.reason) else {
            return Err(Refusal::ReasonRequired);
        };
        let approved = approver.map(person).is_some_and(|it| !it.is_empty() && it != person(actor.as_str()));
        if let Some(above) = self.terms.policy.approval_above.filter(|it| *it < change.abs() && !approved) {
            return Err(Refusal::ApprovalRequired { above });
        }
        let effective_at_us = self.effective(effective_at_us)?;
        let (member, house) = (self.member(member)?, self.house(House::Issuance)?.id);
        let account = member.id;
        let side = if 0 < change {
            Side::of(member).give(&vec![(self.lot_of_today(0), change)])
        } else {
            // A correction may take what a member must otherwise keep.
            let parts = member.choose(-change, |_| true);
            let available = parts.iter().map(|it| it.1).sum();
            if available < -change {
                return Err(Refusal::InsufficientBalance { available, required: -change });
            }
            Side::of(member).take(&parts)
        };
        self.post(PostingKind::ADJUST, item.posting_id, vec![side, Side::house(house, -change)])?;
        self.last().effective_at_us = effective_at_us;
        Ok(self.done(change.abs(), account))
    }

    pub(crate) fn extend(&mut self, item: &Item, member: &MemberRef, through: Day, last_day: Day) -> Decided {
        let member = self.member(member)?;
        // What is on hold keeps its day, and is captured whatever the day is. What is pending keeps the end that it was earned with.
        // What has ended, as what an earlier item of the same request freed, expires.
        let today = self.now.day;
        let soon = |lot: &Lot| today <= lot.last_day && lot.last_day <= through && lot.last_day < last_day;
        let parts = member.choose(i64::MAX, soon);
        if parts.is_empty() {
            return Err(Refusal::NothingToExtend);
        }
        let points = parts.iter().map(|it| it.1).sum();
        let later: Parts = parts.iter().map(|(lot, it)| (Lot { last_day, ..*lot }, *it)).collect();
        let (account, side) = (member.id, Side::of(member).take(&parts).give(&later));
        self.post(PostingKind::EXTEND, item.posting_id, vec![side])?;
        Ok(self.done(points, account))
    }

    pub(crate) fn merge(&mut self, item: &Item, from: &MemberRef, to: &MemberRef) -> Decided {
        let (from, to) = (self.member(from)?, self.member(to)?);
        if from.id == to.id {
            return Err(Refusal::SameMember);
        }
        self.check_nothing_open(from)?;
        let (leaves, joins, points) = (from.id, to.id, from.balances.available);
        let (active_day, used) = (from.active_day.max(to.active_day), to.used.with(from.used, self.now.day));
        let parts: Parts = from.lots.iter().map(|(lot, it)| (*lot, it.available)).collect();
        let sides = if points < 0 {
            // A debt goes over too: it is paid from what the other has, and what is lacking stays owed.
            let paid = to.choose(-points, |_| true);
            let owed = -points - paid.iter().map(|it| it.1).sum::<i64>();
            vec![Side::of(from).owe(points), Side::of(to).take(&paid).owe(owed)]
        } else {
            vec![Side::of(from).take(&parts), Side::of(to).give(&parts)]
        };
        self.post(PostingKind::MERGE, item.posting_id, sides)?;
        self.books.change(leaves).status = Status::Closed;
        // With points that can be spent comes what they go by: they expire no earlier than before, and are within the same limits.
        let joined = self.books.change(joins);
        if 0 < points && 0 < joined.balances.available {
            joined.active_day = active_day;
            joined.used = used;
        }
        Ok(self.done(points, joins))
    }

    pub(crate) fn set_status(&mut self, item: &Item, member: &MemberRef, status: Status) -> Decided {
        // Whoever is closed can be closed for another reason: to be erased, say.
        let member = match status {
            Status::Closed => self.anyone(member)?,
            _ => self.member(member)?,
        };
        let account = member.id;
        // What a closed member has falls due at once, after what was asked.
        if status == Status::Closed {
            self.check_nothing_open(member)?;
            // Nothing could be posted any more that pays a debt off.
            if member.status != Status::Closed && member.balances.available < 0 {
                return Err(Refusal::MemberReserved);
            }
        }
        self.post(PostingKind::ACT, item.posting_id, vec![])?;
        self.books.change(account).status = status;
        Ok(self.done(0, account))
    }

    /// Checks that nothing can come back to a member who leaves: it would be nobody's.
    fn check_nothing_open(&self, member: &Account) -> Result<(), Refusal> {
        let is_open = !member.reservations.is_empty() || member.withdrawn != 0;
        if is_open { Err(Refusal::MemberReserved) } else { Ok(()) }
    }

    pub(crate) fn expire_on_chain(&mut self, item: &Item, points: Points) -> Decided {
        let points = points.get();
        let (bridge, breakage) = (self.house(House::Bridge)?.id, self.house(House::Breakage)?.id);
        let sides = vec![Side::house(bridge, -points), Side::house(breakage, points)];
        self.post(PostingKind::EXPIRE, item.posting_id, sides)?;
        Ok(self.done(points, bridge))
    }

    pub(crate) fn budget(&mut self, item: &Item, fund: &str, change: i64) -> Decided {
        change_in_range(change)?;
        if item.details.actor.is_none() || item.details.reason.is_none() {
            return Err(Refusal::ReasonRequired);
        }
        let (fund, issuance) = (self.house(House::Fund(fund.to_owned()))?, self.house(House::Issuance)?.id);
        let (account, left) = (fund.id, fund.balances.available.max(0));
        if change < 0 && left < -change {
            return Err(Refusal::LimitExceeded { limit: Limit::Budget, left, required: -change });
        }
        let sides = vec![Side::house(account, change), Side::house(issuance, -change)];
        self.post(PostingKind::ADJUST, item.posting_id, sides)?;
        Ok(self.done(change.abs(), account))
    }
}

/// Who somebody is, in whatever role: over HTTP an actor is named `role:owner`.
fn person(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, owner)| owner).trim()
}
