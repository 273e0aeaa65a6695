//! What goes from a member: to a partner, to another member, to a chain.

use std::collections::BTreeMap;

use proof::{ExpiryAmount, PostingKind, Withdrawal};

use crate::account::{Account, Flow, Lot, Parts};
use crate::decide::{Decided, Desk};
use crate::points::Points;
use crate::policy::{Gateway, Limit};
use crate::refusal::Refusal;
use crate::request::{Destination, House, Item, MemberRef};
use crate::side::Side;

/// On how many days the points of one withdrawal may end: what a leaf's body holds.
const DAYS_MAX: usize = 64;

/// For how long a withdrawal may be claimed, in seconds: 90 days. What nobody claims comes back after that.
const CLAIM_S_MAX: i64 = 90 * 24 * 3600;

impl Desk<'_> {
    pub(crate) fn redeem(
        &mut self,
        item: &Item,
        member: &MemberRef,
        points: Points,
        partner: Option<&str>,
        up_to: bool,
    ) -> Decided {
        let member = self.spender(member)?;
        let house = self.house(House::of_partner(partner))?;
        let may = |lot: &Lot| self.terms.may_be_spent(lot, partner);
        let most = self.spendable(member, may).min(self.above_floor(member));
        let points = if up_to && 0 < most { points.get().min(most) } else { points.get() };
        let parts = self.choose(member, points, may)?;
        self.check_limits(Flow::Redeem, points, member, Some(house))?;
        let (account, house) = (member.id, house.id);
        if self.is_reviewed() {
            return self.hold_parts(item, account, house, parts, self.terms.policy.holds.seconds_max);
        }
        let sides = vec![Side::of(member).take(&parts), Side::house(house, points)];
        self.post(PostingKind::REDEEM, item.posting_id, sides)?;
        self.count(Flow::Redeem, points, &[account, house]);
        self.was_active(account);
        Ok(self.done(points, account))
    }

    pub(crate) fn transfer(
        &mut self,
        item: &Item,
        from: &MemberRef,
        to: &MemberRef,
        points: Points,
    ) -> Decided {
        let points = points.get();
        let (from, to) = (self.spender(from)?, self.member(to)?);
        if from.id == to.id {
            return Err(Refusal::SameMember);
        }
        let parts = self.choose(from, points, |_| true)?;
        self.check_limits(Flow::Transfer, points, from, None)?;
        let account = from.id;
        let sides = vec![Side::of(from).take(&parts), Side::of(to).give(&parts)];
        self.post(PostingKind::TRANSFER, item.posting_id, sides)?;
        self.count(Flow::Transfer, points, &[account]);
        self.was_active(account);
        Ok(self.done(points, account))
    }

    pub(crate) fn withdraw(
        &mut self,
        item: &Item,
        member: &MemberRef,
        points: Points,
        destination: &Destination,
    ) -> Decided {
        let points = points.get();
        // What is sent to a contract that nobody reads is never seen again, and another program's would mint it as its own.
        let gateway = self.gateway(destination)?;
        self.check_destination(destination, &gateway)?;
        let (member, house) = (self.spender(member)?, self.house(House::Bridge)?);
        // On the chain nothing would keep them with their merchant.
        let may = |lot: &Lot| self.terms.may_be_spent(lot, None);
        // Who has too few at all is told that, and not that too few last.
        self.choose(member, points, may)?;
        // What ends sooner could not be minted any more when it is claimed: it would be gone there, and had been good here.
        let lasts = |lot: &Lot| may(lot) && gateway.lasts(lot.last_day, destination.claim_before);
        let lasting = self.spendable(member, lasts);
        if lasting < points {
            return Err(Refusal::EndsTooSoon {
                lasting,
                until: gateway.last_until(destination.claim_before),
            });
        }
        let parts = self.choose(member, points, lasts)?;
        self.check_limits(Flow::Redeem, points, member, None)?;
        let mut by_day = BTreeMap::<i32, u64>::new();
        for (lot, part) in &parts {
            *by_day.entry(lot.last_day.number()).or_default() += part.unsigned_abs();
        }
        if DAYS_MAX < by_day.len() {
            return Err(Refusal::TooManyDays);
        }
        let (account, house) = (member.id, house.id);
        let sides = vec![Side::of(member).take(&parts), Side::house(house, points)];
        self.post(PostingKind::WITHDRAW, item.posting_id, sides)?;
        let Destination { chain_id, gateway, holder, withdrawal_id, claim_before } = *destination;
        let amounts = by_day.into_iter().map(|(day, amount)| ExpiryAmount { day, amount }).collect();
        self.last().withdrawal =
            Some(Withdrawal { chain_id, gateway, holder, withdrawal_id, claim_before, amounts });
        self.books.change(account).withdrawn += points;
        self.count(Flow::Redeem, points, &[account]);
        self.was_active(account);
        Ok(self.done(points, account))
    }

    /// Checks that points can be claimed there, and come back if they are not: the token gives nothing to nobody or to itself, and
    /// what the gateway has is lost.
    fn check_destination(&self, destination: &Destination, gateway: &Gateway) -> Result<(), Refusal> {
        if [[0; 20], destination.gateway, gateway.token].contains(&destination.holder) {
            return Err(Refusal::HolderUnfit);
        }
        let now = self.now.us.div_euclid(1_000_000);
        let latest = now + CLAIM_S_MAX;
        match i64::try_from(destination.claim_before) {
            Ok(before) if now < before && before <= latest => Ok(()),
            _ => Err(Refusal::ClaimTime { latest }),
        }
    }

    /// The parts that are spent, if there are enough and the member keeps what they must.
    pub(crate) fn choose(
        &self,
        member: &Account,
        points: i64,
        may: impl Fn(&Lot) -> bool + Copy,
    ) -> Result<Parts, Refusal> {
        let available = self.spendable(member, may);
        if available < points {
            return Err(Refusal::InsufficientBalance { available, required: points });
        }
        let left = self.above_floor(member).max(0);
        if left < points {
            return Err(Refusal::LimitExceeded { limit: Limit::Floor, left, required: points });
        }
        Ok(member.choose(points, |lot| self.now.day <= lot.last_day && may(lot)))
    }

    /// How much the member can spend of the lots that `may` be. An earlier item of the same request may have given back
    /// what expires at its end: that cannot be spent.
    fn spendable(&self, member: &Account, may: impl Fn(&Lot) -> bool) -> i64 {
        if member.is_idle(self.terms, self.now.day) { 0 } else { member.spendable(self.now, may) }
    }

    fn above_floor(&self, member: &Account) -> i64 {
        self.spendable(member, |_| true) - self.terms.policy.floor
    }
}
