//! What comes to a member: earnings, also pending ones; what another system kept before; what was burned on a chain.

use proof::PostingKind;
use uuid::Uuid;

use crate::account::{Flow, Lot, Parts, Reservation, ReservationKind, Status};
use crate::day::Day;
use crate::decide::{AHEAD_US_MAX, Decided, Desk, amount};
use crate::event::Event;
use crate::points::Points;
use crate::policy::Limit;
use crate::refusal::Refusal;
use crate::request::{House, Item, Maturity, MemberRef};
use crate::side::Side;

/// Whether the event is too far ahead of the time `now_us` to be taken.
pub fn is_ahead(event: &Event, now_us: i64) -> bool {
    now_us.saturating_add(AHEAD_US_MAX) < event.timestamp_us
}

impl Desk<'_> {
    pub(crate) fn earn(
        &mut self,
        item: &Item,
        points: Points,
        event: &Event,
        maturity: Maturity,
        fund: &Option<String>,
    ) -> Decided {
        if is_ahead(event, self.now.us) {
            return Err(Refusal::InFuture);
        }
        let points = points.get();
        let member = self.member(&event.member)?;
        let source = self.house(House::of_fund(fund.as_deref()))?;
        self.check_limits(Flow::Earn, points, member, None)?;
        let budgeted = source.fund.is_some_and(|it| it.budgeted);
        if budgeted && source.balances.available < points {
            let left = source.balances.available.max(0);
            return Err(Refusal::LimitExceeded { limit: Limit::Budget, left, required: points });
        }
        let (account, house) = (member.id, source.id);
        let parts = vec![(self.lot_of_today(source.fund.map_or(0, |it| it.number)), points)];
        let due_us = match maturity {
            Maturity::Now => None,
            Maturity::At(us) if us <= self.now.us => None,
            Maturity::At(us) => Some(Some(us)),
            Maturity::OnConfirmation => Some(None),
        };
        let side = match due_us {
            None => Side::of(member).give(&parts),
            Some(_) => Side::of(member).set_aside(ReservationKind::Pending, &parts),
        };
        self.post(PostingKind::EARN, item.posting_id, vec![side, Side::house(house, -points)])?;
        // An event may be older than the last close: then it counts from the close. Who sends it can choose no other time, as who
        // adjusts can.
        self.last().effective_at_us = event.timestamp_us.max(self.terms.closed_before_us).min(self.now.us);
        if let Some(due_us) = due_us {
            let parts = parts.into_iter().collect();
            let reservation =
                Reservation { kind: ReservationKind::Pending, house, due_us, due_us_max: i64::MAX, parts };
            self.books.change(account).reservations.insert(item.posting_id, reservation);
        }
        self.count(Flow::Earn, points, &[account]);
        self.was_active(account);
        Ok(self.done(points, account))
    }

    pub(crate) fn confirm(&mut self, item: &Item, earning: Uuid) -> Decided {
        let (account, reservation) = self.reserved(earning, ReservationKind::Pending)?;
        if account.status == Status::Closed {
            return Err(Refusal::MemberClosed);
        }
        let (account, points) = (account.id, reservation.points());
        let side = self.books.change(account).free(earning);
        self.post(PostingKind::MATURE, item.posting_id, vec![side])?;
        self.last().follows = Some(earning);
        Ok(self.done(points, account))
    }

    pub(crate) fn cancel(&mut self, item: &Item, earning: Uuid) -> Decided {
        let (account, reservation) = self.reserved(earning, ReservationKind::Pending)?;
        let (points, house) = (reservation.points(), reservation.house);
        let parts: Parts = reservation.parts.iter().map(|(lot, points)| (*lot, *points)).collect();
        let side = Side::of(account).release(ReservationKind::Pending, &parts);
        let account = account.id;
        self.books.change(account).reservations.remove(&earning);
        self.post(PostingKind::CANCEL, item.posting_id, vec![side, Side::house(house, points)])?;
        self.last().reverses = Some(earning);
        self.undone(earning, points);
        Ok(self.done(points, account))
    }

    pub(crate) fn import(
        &mut self,
        item: &Item,
        member: &MemberRef,
        lots: &[(Day, Day, Points)],
        effective_at_us: Option<i64>,
    ) -> Decided {
        let lot = |it: &(Day, Day, Points)| (Lot { last_day: it.0, earned_day: it.1, fund: 0 }, it.2.get());
        let effective_at_us = self.effective(effective_at_us)?;
        let parts = lots.iter().map(lot).collect();
        let done = self.bring_in(PostingKind::IMPORT, item, member, parts, House::Issuance)?;
        self.last().effective_at_us = effective_at_us;
        Ok(done)
    }

    pub(crate) fn deposit(&mut self, item: &Item, member: &MemberRef, amounts: &[(Day, Points)]) -> Decided {
        let lot =
            |it: &(Day, Points)| (Lot { last_day: it.0, earned_day: self.now.day, fund: 0 }, it.1.get());
        let parts = amounts.iter().map(lot).collect();
        self.bring_in(PostingKind::DEPOSIT, item, member, parts, House::Bridge)
    }

    /// Points that were earned elsewhere, or before: no limit of earning is for them.
    fn bring_in(
        &mut self,
        kind: PostingKind,
        item: &Item,
        member: &MemberRef,
        mut parts: Parts,
        from: House,
    ) -> Decided {
        parts.sort();
        let points = amount(&parts)?;
        let member = self.member(member)?;
        let (account, house) = (member.id, self.house(from)?.id);
        let side = Side::of(member).give(&parts);
        self.post(kind, item.posting_id, vec![side, Side::house(house, -points)])?;
        Ok(self.done(points, account))
    }
}
