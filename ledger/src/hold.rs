//! Holds: points set aside for a while, then captured, once or several times, voided, or lapsed by themselves.

use proof::PostingKind;
use uuid::Uuid;

use crate::account::{Flow, LOTS_MAX, Parts, Reservation, ReservationKind, Status};
use crate::decide::{Decided, Desk};
use crate::points::Points;
use crate::policy::Limit;
use crate::refusal::Refusal;
use crate::request::{House, Item, MemberRef};
use crate::side::Side;

const SECOND_US: i64 = 1_000_000;

impl Desk<'_> {
    pub(crate) fn hold(
        &mut self,
        item: &Item,
        member: &MemberRef,
        points: Points,
        partner: Option<&str>,
        seconds: Option<u32>,
    ) -> Decided {
        let points = points.get();
        let member = self.spender(member)?;
        let house = self.house(House::of_partner(partner))?;
        let seconds = seconds.unwrap_or(self.terms.policy.holds.seconds);
        if seconds == 0 || self.terms.policy.holds.seconds_max < seconds {
            return Err(Refusal::HoldTime { latest: self.due_us_max() / SECOND_US });
        }
        let parts = self.choose(member, points, |lot| self.terms.may_be_spent(lot, partner))?;
        self.check_limits(Flow::Redeem, points, member, Some(house))?;
        let (account, house) = (member.id, house.id);
        self.hold_parts(item, account, house, parts, seconds)
    }

    /// The latest end of a hold that is placed now.
    fn due_us_max(&self) -> i64 {
        self.now.us + i64::from(self.terms.policy.holds.seconds_max) * SECOND_US
    }

    /// Sets these parts aside for a house, for so long.
    pub(crate) fn hold_parts(
        &mut self,
        item: &Item,
        account: Uuid,
        house: Uuid,
        parts: Parts,
        seconds: u32,
    ) -> Decided {
        let points: i64 = parts.iter().map(|(_, points)| points).sum();
        let due_us = self.now.us + i64::from(seconds) * SECOND_US;
        let due_us_max = self.due_us_max();
        let member = self.books.account(account);
        let side = Side::of(member).take(&parts).set_aside(ReservationKind::Hold, &parts);
        self.post(PostingKind::HOLD, item.posting_id, vec![side])?;
        let parts = parts.into_iter().collect();
        let reservation =
            Reservation { kind: ReservationKind::Hold, house, due_us: Some(due_us), due_us_max, parts };
        self.books.change(account).reservations.insert(item.posting_id, reservation);
        // Setting aside is not yet spending: only a capture is the member's activity.
        self.count(Flow::Redeem, points, &[account, house]);
        Ok(self.done(points, account))
    }

    pub(crate) fn capture(
        &mut self,
        item: &Item,
        hold: Uuid,
        points: Option<Points>,
        keep_rest: bool,
    ) -> Decided {
        let (account, reservation) = self.reserved(hold, ReservationKind::Hold)?;
        let (account, house, left) = (account.id, reservation.house, reservation.points());
        let points = points.map_or(left, Points::get);
        if left < points {
            return Err(Refusal::MoreThanLeft { left, required: points });
        }
        let member = self.books.change(account);
        let reservation = member.reservations.get_mut(&hold).expect("it was found");
        let captured = reservation.take(points);
        let rest: Parts = reservation.parts.iter().map(|(lot, points)| (*lot, *points)).collect();
        if !keep_rest || rest.is_empty() {
            member.reservations.remove(&hold);
        }
        let mut side = Side::of(member).release(ReservationKind::Hold, &captured);
        if !keep_rest {
            side = side.release(ReservationKind::Hold, &rest).give(&rest);
        }
        self.post(PostingKind::CAPTURE, item.posting_id, vec![side, Side::house(house, points)])?;
        self.last().follows = Some(hold);
        self.was_active(account);
        Ok(self.done(points, account))
    }

    pub(crate) fn void(&mut self, item: &Item, hold: Uuid) -> Decided {
        let (account, reservation) = self.reserved(hold, ReservationKind::Hold)?;
        let (account, points) = (account.id, reservation.points());
        let side = self.books.change(account).free(hold);
        self.post(PostingKind::VOID, item.posting_id, vec![side])?;
        self.last().follows = Some(hold);
        Ok(self.done(points, account))
    }

    pub(crate) fn increase(&mut self, item: &Item, hold: Uuid, points: Points) -> Decided {
        let points = points.get();
        let (member, reservation) = self.reserved(hold, ReservationKind::Hold)?;
        if member.status == Status::Suspended {
            return Err(Refusal::MemberSuspended);
        }
        let house = self.books.account(reservation.house);
        let (account, partner) = (member.id, house.partner.as_deref());
        let parts = self.choose(member, points, |lot| self.terms.may_be_spent(lot, partner))?;
        self.check_limits(Flow::Redeem, points, member, Some(house))?;
        // One capture may take it all, as one posting.
        let held = reservation.points();
        if let Some(max) = self.terms.limits(Flow::Redeem).per_posting.filter(|max| *max < held + points) {
            let left = (max - held).max(0);
            return Err(Refusal::LimitExceeded { limit: Limit::PerPosting, left, required: points });
        }
        // What a hold sets aside is freed by one posting.
        if LOTS_MAX < reservation.parts.len() + parts.len() {
            return Err(Refusal::AmountOutOfRange);
        }
        let house = house.id;
        let side = Side::of(member).take(&parts).set_aside(ReservationKind::Hold, &parts);
        self.post(PostingKind::INCREASE, item.posting_id, vec![side])?;
        self.last().follows = Some(hold);
        let reservation = self.books.change(account).reservations.get_mut(&hold).expect("it was found");
        for (lot, points) in parts {
            *reservation.parts.entry(lot).or_default() += points;
        }
        self.count(Flow::Redeem, points, &[account, house]);
        Ok(self.done(points, account))
    }

    pub(crate) fn prolong(&mut self, item: &Item, hold: Uuid, seconds: u32) -> Decided {
        let (account, reservation) = self.reserved(hold, ReservationKind::Hold)?;
        let due_us = self.now.us + i64::from(seconds) * SECOND_US;
        let (account, points) = (account.id, reservation.points());
        if reservation.due_us_max < due_us || reservation.due_us.is_some_and(|it| due_us <= it) {
            return Err(Refusal::HoldTime { latest: reservation.due_us_max / SECOND_US });
        }
        let side = Side::of(self.books.account(account));
        self.post(PostingKind::EXTEND, item.posting_id, vec![side])?;
        self.last().follows = Some(hold);
        let reservation = self.books.change(account).reservations.get_mut(&hold).expect("it was found");
        reservation.due_us = Some(due_us);
        Ok(self.done(points, account))
    }
}
