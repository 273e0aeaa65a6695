//! What each command does.

use std::collections::BTreeMap;

use jiff::ToSpan;
use ledger::{
    Command, Day, Destination, Done, Event, Flow, HOUSE_LIMIT, House, Item, Limit, Lot, MEMBER_LIMIT,
    Maturity, MemberRef, Name, Points, Refusal, Screening, Status,
};
use proof::{ExpiryAmount, PostingKind, Withdrawal};
use uuid::Uuid;

use crate::attempt::{Attempt, house_of, member_of};
use crate::state::{Past, Place, SetAside, first, points_of};

const FIVE_MINUTES_US: i64 = 300_000_000;
const SECOND_US: i64 = 1_000_000;
const NINETY_DAYS: i128 = 7_776_000;

type Decided = Result<Done, Refusal>;

impl Attempt<'_> {
    pub(crate) fn command(&mut self, item: &Item) -> Decided {
        let id = item.posting_id;
        let spends = matches!(
            item.command,
            Command::Redeem { .. }
                | Command::Transfer { .. }
                | Command::Withdraw { .. }
                | Command::Hold { .. }
                | Command::Increase { .. }
        );
        let may_wait = matches!(item.command, Command::Redeem { .. });
        match self.request.screening {
            Screening::Deny if spends => return Err(Refusal::ScreenDenied),
            Screening::Review if spends && !may_wait => return Err(Refusal::ScreenReview),
            _ => {}
        }
        match &item.command {
            Command::Earn { points, event, maturity, fund, .. } => {
                self.earn(id, points.get(), event, *maturity, fund.as_deref())
            }
            Command::Confirm { earning } => self.confirm(id, *earning),
            Command::Cancel { earning } => self.cancel(id, *earning),
            Command::Import { member, lots, effective_at_us } => {
                let effective_at_us = self.effective(*effective_at_us)?;
                let lot =
                    |it: &(Day, Day, Points)| (Lot { last_day: it.0, earned_day: it.1, fund: 0 }, it.2.get());
                let lots = lots.iter().map(lot).collect();
                let done = self.bring(PostingKind::IMPORT, id, member, lots, House::Issuance)?;
                self.last().effective_at_us = effective_at_us;
                Ok(done)
            }
            Command::Deposit { member, amounts } => {
                let earned_day = self.today();
                let lot = |it: &(Day, Points)| (Lot { last_day: it.0, earned_day, fund: 0 }, it.1.get());
                let lots = amounts.iter().map(lot).collect();
                self.bring(PostingKind::DEPOSIT, id, member, lots, House::Bridge)
            }
            Command::ExpireOnChain { points } => {
                let (bridge, breakage) = (self.house(House::Bridge)?, self.house(House::Breakage)?);
                let amount = i128::from(points.get());
                self.post(PostingKind::EXPIRE, Some(id), &[bridge, breakage], |state| {
                    house_of(state, bridge).points -= amount;
                    house_of(state, breakage).points += amount;
                })?;
                self.done(points.get(), bridge)
            }
            Command::Redeem { member, points, partner, up_to } => {
                self.redeem(id, member, points.get(), partner.as_deref(), *up_to)
            }
            Command::Transfer { from, to, points } => self.transfer(id, from, to, points.get()),
            Command::Withdraw { member, points, destination } => {
                self.withdraw(id, member, points.get(), destination)
            }
            Command::Hold { member, points, partner, seconds } => {
                self.hold(id, member, points.get(), partner.as_deref(), *seconds)
            }
            Command::Capture { hold, points, keep_rest } => self.capture(id, *hold, *points, *keep_rest),
            Command::Void { hold } => self.void(id, *hold),
            Command::Increase { hold, points } => self.increase(id, *hold, points.get()),
            Command::Prolong { hold, seconds } => self.prolong(id, *hold, *seconds),
            Command::Reverse { posting, points } => self.reverse(id, *posting, *points),
            Command::Adjust { member, change, approver, effective_at_us } => {
                self.adjust(item, member, *change, approver.as_deref(), *effective_at_us)
            }
            Command::Extend { member, through, last_day } => self.extend(id, member, *through, *last_day),
            Command::Merge { from, to } => self.merge(id, from, to),
            Command::SetStatus { member, status } => self.set_status(id, member, *status),
            Command::Budget { fund, change } => self.budget(item, fund, *change),
            Command::Settle { account } => {
                Ok(Done { posting: self.effects.len(), points: 0, account: *account })
            }
        }
    }

    fn earn(
        &mut self,
        id: Uuid,
        points: i64,
        event: &Event,
        maturity: Maturity,
        fund: Option<&str>,
    ) -> Decided {
        if self.now.us + FIVE_MINUTES_US < event.timestamp_us {
            return Err(Refusal::InFuture);
        }
        let member = self.taking_part(&event.member)?;
        let house = self.house(fund.map_or(House::Issuance, |it| House::Fund(it.to_owned())))?;
        self.limit(Flow::Earn, points, member, None)?;
        let given = &self.state.houses[&house];
        if given.fund.is_some_and(|it| it.budgeted) && given.points < points.into() {
            let left = given.points.max(0) as i64;
            return Err(Refusal::LimitExceeded { limit: Limit::Budget, left, required: points });
        }
        let fund = given.fund.map_or(0, |it| it.number);
        let lot = Lot { last_day: self.terms.last_day(self.today()), earned_day: self.today(), fund };
        let due_us = match maturity {
            Maturity::At(us) if self.now.us < us => Some(Some(us)),
            Maturity::OnConfirmation => Some(None),
            Maturity::Now | Maturity::At(_) => None,
        };
        self.post(PostingKind::EARN, Some(id), &[member, house], |state| {
            house_of(state, house).points -= i128::from(points);
            let member = member_of(state, member);
            match due_us {
                None => member.give(&[(lot, points)]),
                Some(due_us) => {
                    let place = Place::Pending(id);
                    member.put(lot, place, points);
                    member.set_aside.push(SetAside { place, house, due_us, due_us_max: i64::MAX });
                }
            }
        })?;
        let begin_us = event.timestamp_us.max(self.terms.closed_before_us);
        self.last().effective_at_us = begin_us.min(self.now.us);
        self.flow(Flow::Earn, points, member, None);
        self.is_active(member);
        self.done(points, member)
    }

    fn confirm(&mut self, id: Uuid, earning: Uuid) -> Decided {
        let place = Place::Pending(earning);
        let (member, aside) = self.set_aside(place)?;
        let points = points_of(&self.state.members[&member].parts(aside.place));
        self.post(PostingKind::MATURE, Some(id), &[member], |state| member_of(state, member).free(place))?;
        self.last().follows = Some(earning);
        self.done(points, member)
    }

    fn cancel(&mut self, id: Uuid, earning: Uuid) -> Decided {
        let place = Place::Pending(earning);
        let (member, aside) = self.set_aside(place)?;
        let parts = self.state.members[&member].parts(place);
        let points = points_of(&parts);
        self.post(PostingKind::CANCEL, Some(id), &[member, aside.house], |state| {
            house_of(state, aside.house).points += i128::from(points);
            let member = member_of(state, member);
            member.take(place, &parts);
            member.forget(place);
        })?;
        self.last().reverses = Some(earning);
        self.past_of(earning).reversed += points;
        self.done(points, member)
    }

    fn bring(
        &mut self,
        kind: PostingKind,
        id: Uuid,
        member: &MemberRef,
        mut lots: Vec<(Lot, i64)>,
        from: House,
    ) -> Decided {
        lots.sort();
        let points: i128 = lots.iter().map(|it| i128::from(it.1)).sum();
        if points == 0 || i128::from(MEMBER_LIMIT) < points {
            return Err(Refusal::AmountOutOfRange);
        }
        let (member, house) = (self.taking_part(member)?, self.house(from)?);
        self.post(kind, Some(id), &[member, house], |state| {
            house_of(state, house).points -= points;
            member_of(state, member).give(&lots);
        })?;
        self.done(points as i64, member)
    }

    fn redeem(
        &mut self,
        id: Uuid,
        member: &MemberRef,
        points: i64,
        partner: Option<&str>,
        up_to: bool,
    ) -> Decided {
        let (member, house) = (self.spending(member)?, self.counter(partner)?);
        let may = |lot: &Lot| self.may_go_to(lot, partner);
        let most = points_of(&self.spendable(member, &may)).min(self.above_floor(member));
        let points = if up_to && 0 < most { points.min(most) } else { points };
        let parts = self.chosen(member, points, &may)?;
        self.limit(Flow::Redeem, points, member, Some(house))?;
        if self.request.screening == Screening::Review {
            // It waits as long as a hold may.
            let end_us = self.now.us + i64::from(self.terms.policy.holds.seconds_max) * SECOND_US;
            let place = Place::Held(id);
            self.post(PostingKind::HOLD, Some(id), &[member], |state| {
                let member = member_of(state, member);
                member.set_aside.push(SetAside { place, house, due_us: Some(end_us), due_us_max: end_us });
                reserve(member, place, &parts);
            })?;
            self.flow(Flow::Redeem, points, member, Some(house));
            return self.done(points, member);
        }
        self.post(PostingKind::REDEEM, Some(id), &[member, house], |state| {
            member_of(state, member).take(Place::Free, &parts);
            house_of(state, house).points += i128::from(points);
        })?;
        self.flow(Flow::Redeem, points, member, Some(house));
        self.is_active(member);
        self.done(points, member)
    }

    fn transfer(&mut self, id: Uuid, from: &MemberRef, to: &MemberRef, points: i64) -> Decided {
        let (from, to) = (self.spending(from)?, self.taking_part(to)?);
        if from == to {
            return Err(Refusal::SameMember);
        }
        let parts = self.chosen(from, points, &|_| true)?;
        self.limit(Flow::Transfer, points, from, None)?;
        self.post(PostingKind::TRANSFER, Some(id), &[from, to], |state| {
            member_of(state, from).take(Place::Free, &parts);
            member_of(state, to).give(&parts);
        })?;
        self.flow(Flow::Transfer, points, from, None);
        self.is_active(from);
        self.done(points, from)
    }

    fn withdraw(&mut self, id: Uuid, member: &MemberRef, points: i64, to: &Destination) -> Decided {
        let Some(gateway) = self.terms.gateways.get(&(to.chain_id, to.gateway)).copied() else {
            return Err(Refusal::GatewayUnknown);
        };
        if gateway.unit != self.request.unit {
            return Err(Refusal::GatewayUnknown);
        }
        if to.holder == [0; 20] || to.holder == to.gateway || to.holder == gateway.token {
            return Err(Refusal::HolderUnfit);
        }
        let (now, before) = (i128::from(self.now.us / SECOND_US), i128::from(to.claim_before));
        let latest = now + NINETY_DAYS;
        if before <= now || latest < before {
            return Err(Refusal::ClaimTime { latest: latest as i64 });
        }
        let (member, house) = (self.spending(member)?, self.house(House::Bridge)?);
        let may = |lot: &Lot| self.may_go_to(lot, None);
        self.chosen(member, points, &may)?;
        // A lot is good there up to the last second of its day, by the gateway's clock.
        let until = before + i128::from(gateway.epoch_s);
        let over = |lot: &Lot| (i128::from(lot.last_day.number()) + 1) * 86_400 - i128::from(gateway.zone_s);
        let lasts = |lot: &Lot| may(lot) && until <= over(lot);
        let lasting = points_of(&self.spendable(member, &lasts));
        if lasting < points {
            return Err(Refusal::EndsTooSoon { lasting, until: until as i64 });
        }
        let parts = self.chosen(member, points, &lasts)?;
        self.limit(Flow::Redeem, points, member, None)?;
        let mut days = BTreeMap::<i32, u64>::new();
        for (lot, part) in &parts {
            *days.entry(lot.last_day.number()).or_default() += *part as u64;
        }
        if 64 < days.len() {
            return Err(Refusal::TooManyDays);
        }
        self.post(PostingKind::WITHDRAW, Some(id), &[member, house], |state| {
            let member = member_of(state, member);
            member.take(Place::Free, &parts);
            member.withdrawn.insert(id, (to.withdrawal_id, points));
            house_of(state, house).points += i128::from(points);
        })?;
        self.last().withdrawal = Some(Withdrawal {
            chain_id: to.chain_id,
            gateway: to.gateway,
            holder: to.holder,
            withdrawal_id: to.withdrawal_id,
            claim_before: to.claim_before,
            amounts: days.into_iter().map(|(day, amount)| ExpiryAmount { day, amount }).collect(),
        });
        self.flow(Flow::Redeem, points, member, None);
        self.is_active(member);
        self.done(points, member)
    }

    fn hold(
        &mut self,
        id: Uuid,
        member: &MemberRef,
        points: i64,
        partner: Option<&str>,
        seconds: Option<u32>,
    ) -> Decided {
        let (member, house) = (self.spending(member)?, self.counter(partner)?);
        let holds = self.terms.policy.holds;
        let seconds = seconds.unwrap_or(holds.seconds);
        let due_us_max = self.now.us + i64::from(holds.seconds_max) * SECOND_US;
        if seconds == 0 || holds.seconds_max < seconds {
            return Err(Refusal::HoldTime { latest: due_us_max / SECOND_US });
        }
        let parts = self.chosen(member, points, &|lot| self.may_go_to(lot, partner))?;
        self.limit(Flow::Redeem, points, member, Some(house))?;
        let due_us = Some(self.now.us + i64::from(seconds) * SECOND_US);
        let place = Place::Held(id);
        self.post(PostingKind::HOLD, Some(id), &[member], |state| {
            let member = member_of(state, member);
            member.set_aside.push(SetAside { place, house, due_us, due_us_max });
            reserve(member, place, &parts);
        })?;
        self.flow(Flow::Redeem, points, member, Some(house));
        self.done(points, member)
    }

    fn capture(&mut self, id: Uuid, hold: Uuid, points: Option<Points>, keep_rest: bool) -> Decided {
        let place = Place::Held(hold);
        let (member, aside) = self.set_aside(place)?;
        let parts = self.state.members[&member].parts(place);
        let left = points_of(&parts);
        let points = points.map_or(left, Points::get);
        if left < points {
            return Err(Refusal::MoreThanLeft { left, required: points });
        }
        let captured = first(parts, points);
        self.post(PostingKind::CAPTURE, Some(id), &[member, aside.house], |state| {
            house_of(state, aside.house).points += i128::from(points);
            let member = member_of(state, member);
            member.take(place, &captured);
            if !keep_rest {
                member.free(place);
            } else if points == left {
                member.forget(place);
            }
        })?;
        self.last().follows = Some(hold);
        self.captured.insert(id, captured);
        self.is_active(member);
        self.done(points, member)
    }

    fn void(&mut self, id: Uuid, hold: Uuid) -> Decided {
        let place = Place::Held(hold);
        let (member, _) = self.set_aside(place)?;
        let points = points_of(&self.state.members[&member].parts(place));
        self.post(PostingKind::VOID, Some(id), &[member], |state| member_of(state, member).free(place))?;
        self.last().follows = Some(hold);
        self.done(points, member)
    }

    fn increase(&mut self, id: Uuid, hold: Uuid, points: i64) -> Decided {
        let place = Place::Held(hold);
        let (member, aside) = self.set_aside(place)?;
        if self.state.members[&member].status == Status::Suspended {
            return Err(Refusal::MemberSuspended);
        }
        let partner = self.state.houses[&aside.house].partner.clone();
        let parts = self.chosen(member, points, &|lot| self.may_go_to(lot, partner.as_deref()))?;
        self.limit(Flow::Redeem, points, member, Some(aside.house))?;
        // A capture may take all of it at once.
        let held = points_of(&self.state.members[&member].parts(place));
        if let Some(max) = self.terms.policy.redeem.per_posting
            && max < held + points
        {
            let left = (max - held).max(0);
            return Err(Refusal::LimitExceeded { limit: Limit::PerPosting, left, required: points });
        }
        self.post(PostingKind::INCREASE, Some(id), &[member], |state| {
            reserve(member_of(state, member), place, &parts);
        })?;
        self.last().follows = Some(hold);
        self.flow(Flow::Redeem, points, member, Some(aside.house));
        self.done(points, member)
    }

    fn prolong(&mut self, id: Uuid, hold: Uuid, seconds: u32) -> Decided {
        let place = Place::Held(hold);
        let (member, aside) = self.set_aside(place)?;
        let due_us = Some(self.now.us + i64::from(seconds) * SECOND_US);
        if Some(aside.due_us_max) < due_us || due_us <= aside.due_us {
            return Err(Refusal::HoldTime { latest: aside.due_us_max / SECOND_US });
        }
        let points = points_of(&self.state.members[&member].parts(place));
        self.post(PostingKind::EXTEND, Some(id), &[member], |state| {
            let asides = &mut member_of(state, member).set_aside;
            asides.iter_mut().find(|it| it.place == place).expect("it was found").due_us = due_us;
        })?;
        self.last().follows = Some(hold);
        self.done(points, member)
    }

    fn reverse(&mut self, id: Uuid, posting: Uuid, points: Option<Points>) -> Decided {
        let past = self.past(posting)?.clone();
        let kinds = [
            PostingKind::EARN,
            PostingKind::IMPORT,
            PostingKind::DEPOSIT,
            PostingKind::REDEEM,
            PostingKind::CAPTURE,
            PostingKind::WITHDRAW,
            PostingKind::ADJUST,
        ];
        let Some(house) = past.house.filter(|_| kinds.contains(&past.kind)) else {
            return Err(Refusal::WrongKind);
        };
        let member = &self.state.members[&past.member];
        if member.status == Status::Closed {
            return Err(Refusal::MemberClosed);
        }
        if member.set_aside.iter().any(|it| it.place == Place::Pending(posting)) {
            return Err(Refusal::StillPending);
        }
        if let Some((id, until)) = past.withdrawal {
            if self.chains.paid.contains(&id) {
                return Err(Refusal::AlreadyClaimed);
            }
            if self.chains.known_until < until {
                return Err(Refusal::StillClaimable { until: i64::try_from(until).unwrap_or(i64::MAX) });
            }
        }
        let left = past.points.abs() - past.reversed;
        let points = points.map_or(left, Points::get);
        if left == 0 || left < points {
            return Err(Refusal::MoreThanLeft { left, required: points });
        }
        let alone = self.terms.policy.approval_above.unwrap_or(i64::MAX);
        if past.kind == PostingKind::ADJUST && alone < past.reversed + points {
            return Err(Refusal::ApprovalRequired { above: alone });
        }
        if past.points < 0 {
            self.give_back(id, posting, points, &past, house)?;
        } else {
            self.take_back(id, points, &past, house)?;
        }
        self.last().reverses = Some(posting);
        self.past_of(posting).reversed += points;
        self.done(points, past.member)
    }

    /// The last of what was spent comes back first; what has ended meanwhile can be spent for the days of grace, but for what
    /// was withdrawn.
    fn give_back(
        &mut self,
        id: Uuid,
        posting: Uuid,
        points: i64,
        past: &Past,
        house: Uuid,
    ) -> Result<(), Refusal> {
        let today = self.today();
        let grace = today.plus(i64::from(self.terms.policy.grace_days).days());
        let mut spent = past.parts.clone();
        let mut back = vec![];
        let mut rest = points;
        while 0 < rest {
            let (lot, part) = spent.pop().expect("no more is given back than was spent");
            let some = part.min(rest);
            rest -= some;
            if some < part {
                spent.push((lot, part - some));
            }
            let has_grace = lot.last_day < today && past.kind != PostingKind::WITHDRAW;
            let last_day = if has_grace { grace } else { lot.last_day };
            back.push((Lot { last_day, ..lot }, some));
        }
        back.sort();
        self.post(PostingKind::REVERSE, Some(id), &[past.member, house], |state| {
            house_of(state, house).points -= i128::from(points);
            let member = member_of(state, past.member);
            member.give(&back);
            if let Some((_, left)) = member.withdrawn.get_mut(&posting) {
                *left -= points;
            }
        })?;
        self.past_of(posting).parts = spent;
        Ok(())
    }

    /// From the lots that it went to, then from those that may have been these and end on another day now, then from the others,
    /// then on credit.
    fn take_back(&mut self, id: Uuid, points: i64, past: &Past, house: Uuid) -> Result<(), Refusal> {
        let member = &self.state.members[&past.member];
        let distance = |lot: &Lot| {
            let from = |it: &Lot| match (it == lot, Lot { last_day: lot.last_day, ..*it } == *lot) {
                (true, _) => 0,
                (_, true) => 1,
                _ => 2,
            };
            past.parts.iter().map(|(it, _)| from(it)).min()
        };
        let mut parts = member.parts(Place::Free);
        parts.sort_by_key(|(lot, _)| distance(lot));
        let taken = first(parts, points);
        let owed = points - points_of(&taken);
        let debt_max = self.terms.policy.debt_max;
        if 0 < owed && debt_max < member.debt + owed {
            let left = points_of(&taken) + (debt_max - member.debt).max(0);
            return Err(Refusal::LimitExceeded { limit: Limit::Debt, left, required: points });
        }
        self.post(PostingKind::REVERSE, Some(id), &[past.member, house], |state| {
            house_of(state, house).points += i128::from(points);
            let member = member_of(state, past.member);
            member.take(Place::Free, &taken);
            member.debt += owed;
        })
    }

    fn adjust(
        &mut self,
        item: &Item,
        member: &MemberRef,
        change: i64,
        approver: Option<&str>,
        effective_at_us: Option<i64>,
    ) -> Decided {
        correction(change)?;
        let (Some(actor), Some(_)) = (&item.details.actor, &item.details.reason) else {
            return Err(Refusal::ReasonRequired);
        };
        let needed = self.terms.policy.approval_above.filter(|it| *it < change.abs());
        let asks = owner_of(actor.as_str());
        let second = approver.map(owner_of).filter(|it| !it.is_empty() && *it != asks);
        if let (Some(above), None) = (needed, second) {
            return Err(Refusal::ApprovalRequired { above });
        }
        let effective_at_us = self.effective(effective_at_us)?;
        let (member, house) = (self.taking_part(member)?, self.house(House::Issuance)?);
        let lot = Lot { last_day: self.terms.last_day(self.today()), earned_day: self.today(), fund: 0 };
        let taken = first(self.state.members[&member].parts(Place::Free), -change.min(0));
        let available = points_of(&taken);
        if available < -change {
            return Err(Refusal::InsufficientBalance { available, required: -change });
        }
        self.post(PostingKind::ADJUST, Some(item.posting_id), &[member, house], |state| {
            house_of(state, house).points -= i128::from(change);
            let member = member_of(state, member);
            if 0 < change { member.give(&[(lot, change)]) } else { member.take(Place::Free, &taken) }
        })?;
        self.last().effective_at_us = effective_at_us;
        self.done(change.abs(), member)
    }

    fn extend(&mut self, id: Uuid, member: &MemberRef, through: Day, last_day: Day) -> Decided {
        let member = self.taking_part(member)?;
        let mut soon = self.state.members[&member].parts(Place::Free);
        // Of what is over no end is put off.
        soon.retain(|(lot, _)| (self.today()..=through).contains(&lot.last_day) && lot.last_day < last_day);
        if soon.is_empty() {
            return Err(Refusal::NothingToExtend);
        }
        let later: Vec<_> = soon.iter().map(|(lot, points)| (Lot { last_day, ..*lot }, *points)).collect();
        self.post(PostingKind::EXTEND, Some(id), &[member], |state| {
            let member = member_of(state, member);
            member.take(Place::Free, &soon);
            member.give(&later);
        })?;
        self.done(points_of(&soon), member)
    }

    fn merge(&mut self, id: Uuid, from: &MemberRef, to: &MemberRef) -> Decided {
        let (from, to) = (self.taking_part(from)?, self.taking_part(to)?);
        if from == to {
            return Err(Refusal::SameMember);
        }
        let leaving = &self.state.members[&from];
        if !leaving.set_aside.is_empty() || self.awaits_a_withdrawal(from) {
            return Err(Refusal::MemberReserved);
        }
        let (parts, debt) = (leaving.parts(Place::Free), leaving.debt);
        let (flows, active_day) = (leaving.flows.clone(), leaving.active_day);
        let active_day = active_day.max(self.state.members[&to].active_day);
        let paid = first(self.state.members[&to].parts(Place::Free), debt);
        self.post(PostingKind::MERGE, Some(id), &[from, to], |state| {
            let leaving = member_of(state, from);
            leaving.take(Place::Free, &parts);
            leaving.debt = 0;
            let staying = member_of(state, to);
            staying.give(&parts);
            staying.take(Place::Free, &paid);
            staying.debt += debt - points_of(&paid);
        })?;
        member_of(&mut self.state, from).status = Status::Closed;
        // Where points were brought and some are free now, so is what was done with them.
        let staying = member_of(&mut self.state, to);
        if !parts.is_empty() && !staying.parts(Place::Free).is_empty() {
            staying.active_day = active_day;
            for (at, points) in flows {
                *staying.flows.entry(at).or_default() += points;
            }
        }
        self.done(points_of(&parts) - debt, to)
    }

    fn set_status(&mut self, id: Uuid, member: &MemberRef, status: Status) -> Decided {
        let member =
            if status == Status::Closed { self.known_member(member)? } else { self.taking_part(member)? };
        let leaves = status == Status::Closed;
        let leaving = &self.state.members[&member];
        let owes = leaving.status != Status::Closed && 0 < leaving.debt;
        if leaves && (owes || !leaving.set_aside.is_empty() || self.awaits_a_withdrawal(member)) {
            return Err(Refusal::MemberReserved);
        }
        self.post(PostingKind::ACT, Some(id), &[], |_| {})?;
        member_of(&mut self.state, member).status = status;
        self.done(0, member)
    }

    /// Whether something that was withdrawn is neither paid nor all back.
    fn awaits_a_withdrawal(&self, member: Uuid) -> bool {
        let withdrawn = &self.state.members[&member].withdrawn;
        withdrawn.values().any(|(id, points)| *points != 0 && !self.chains.paid.contains(id))
    }

    fn budget(&mut self, item: &Item, fund: &str, change: i64) -> Decided {
        correction(change)?;
        if item.details.actor.is_none() || item.details.reason.is_none() {
            return Err(Refusal::ReasonRequired);
        }
        let (fund, issuance) = (self.house(House::Fund(fund.to_owned()))?, self.house(House::Issuance)?);
        let left = self.state.houses[&fund].points.max(0) as i64;
        if change < 0 && left < -change {
            return Err(Refusal::LimitExceeded { limit: Limit::Budget, left, required: -change });
        }
        self.post(PostingKind::ADJUST, Some(item.posting_id), &[fund, issuance], |state| {
            house_of(state, fund).points += i128::from(change);
            house_of(state, issuance).points -= i128::from(change);
        })?;
        self.done(change.abs(), fund)
    }

    pub(crate) fn known_member(&self, member: &MemberRef) -> Result<Uuid, Refusal> {
        self.named(&Name::Member(member.clone())).ok_or(Refusal::MemberUnknown)
    }

    fn taking_part(&self, member: &MemberRef) -> Result<Uuid, Refusal> {
        let id = self.known_member(member)?;
        if self.state.members[&id].status == Status::Closed { Err(Refusal::MemberClosed) } else { Ok(id) }
    }

    fn spending(&self, member: &MemberRef) -> Result<Uuid, Refusal> {
        let id = self.taking_part(member)?;
        if self.state.members[&id].status == Status::Suspended {
            Err(Refusal::MemberSuspended)
        } else {
            Ok(id)
        }
    }

    pub(crate) fn house(&self, house: House) -> Result<Uuid, Refusal> {
        let unknown = if let House::Fund(_) = house { Refusal::FundUnknown } else { Refusal::PartnerUnknown };
        self.named(&Name::House(house)).ok_or(unknown)
    }

    /// Where points go that are spent with a partner, or without one.
    fn counter(&self, partner: Option<&str>) -> Result<Uuid, Refusal> {
        self.house(partner.map_or(House::Redemption, |it| House::Settlement(it.to_owned())))
    }

    pub(crate) fn past(&self, posting: Uuid) -> Result<&Past, Refusal> {
        self.state.pasts.get(&(self.request.program, posting)).ok_or(Refusal::PostingUnknown)
    }

    fn past_of(&mut self, posting: Uuid) -> &mut Past {
        self.state.pasts.get_mut(&(self.request.program, posting)).expect("it was found")
    }

    /// The member of an open hold or pending earning, and what is known of it.
    fn set_aside(&self, place: Place) -> Result<(Uuid, SetAside), Refusal> {
        let posting = place.posting().expect("it was set aside by a posting");
        let past = self.past(posting)?;
        let (kind, over) = match place {
            Place::Held(_) => (PostingKind::HOLD, Refusal::HoldOver),
            _ => (PostingKind::EARN, Refusal::PendingOver),
        };
        if past.kind != kind {
            return Err(Refusal::WrongKind);
        }
        let aside = self.state.members[&past.member].set_aside.iter().find(|it| it.place == place);
        aside.map(|it| (past.member, *it)).ok_or(over)
    }

    fn may_go_to(&self, lot: &Lot, partner: Option<&str>) -> bool {
        match self.terms.merchants.get(&lot.fund) {
            Some(merchant) => Some(merchant.as_str()) == partner,
            None => true,
        }
    }

    fn spendable(&self, member: Uuid, may: &dyn Fn(&Lot) -> bool) -> Vec<(Lot, i64)> {
        if self.is_idle(member) {
            return vec![];
        }
        let mut parts = self.state.members[&member].parts(Place::Free);
        parts.retain(|(lot, _)| self.today() <= lot.last_day && may(lot));
        parts
    }

    fn above_floor(&self, member: Uuid) -> i64 {
        points_of(&self.spendable(member, &|_| true)) - self.terms.policy.floor
    }

    fn chosen(
        &self,
        member: Uuid,
        points: i64,
        may: &dyn Fn(&Lot) -> bool,
    ) -> Result<Vec<(Lot, i64)>, Refusal> {
        let parts = self.spendable(member, may);
        let available = points_of(&parts);
        if available < points {
            return Err(Refusal::InsufficientBalance { available, required: points });
        }
        let left = self.above_floor(member).max(0);
        if left < points {
            return Err(Refusal::LimitExceeded { limit: Limit::Floor, left, required: points });
        }
        Ok(first(parts, points))
    }

    fn limit(&self, flow: Flow, points: i64, member: Uuid, house: Option<Uuid>) -> Result<(), Refusal> {
        let limits = match flow {
            Flow::Earn => &self.terms.policy.earn,
            Flow::Redeem => &self.terms.policy.redeem,
            Flow::Transfer => &self.terms.policy.transfer,
        };
        let (day, month) = self.state.members[&member].flowed(flow, self.today());
        let merchant = house.map(|it| &self.state.houses[&it]).filter(|it| it.partner.is_some());
        let merchant_day = merchant.map(|it| it.flowed(flow, self.today()).0);
        let passed = |limit, max: Option<i64>, used: i64| {
            let left = (max? - used).max(0);
            (left < points).then_some(Refusal::LimitExceeded { limit, left, required: points })
        };
        let refusal = passed(Limit::PerPosting, limits.per_posting, 0)
            .or_else(|| passed(Limit::PerDay, limits.per_day, day))
            .or_else(|| passed(Limit::PerMonth, limits.per_month, month))
            .or_else(|| passed(Limit::PerMerchantDay, limits.per_merchant_day, merchant_day?));
        refusal.map_or(Ok(()), Err)
    }

    fn flow(&mut self, flow: Flow, points: i64, member: Uuid, house: Option<Uuid>) {
        let at = (flow as u8, self.today());
        *member_of(&mut self.state, member).flows.entry(at).or_default() += points;
        if let Some(house) = house {
            *house_of(&mut self.state, house).flows.entry(at).or_default() += points;
        }
    }

    fn is_active(&mut self, member: Uuid) {
        member_of(&mut self.state, member).active_day = self.now.day;
    }

    fn effective(&self, asked_us: Option<i64>) -> Result<i64, Refusal> {
        let asked_us = asked_us.unwrap_or(self.now.us);
        if self.now.us + FIVE_MINUTES_US < asked_us {
            return Err(Refusal::InFuture);
        }
        if asked_us < self.terms.closed_before_us || asked_us < 0 {
            return Err(Refusal::PeriodClosed);
        }
        Ok(asked_us.min(self.now.us))
    }

    fn done(&self, points: i64, account: Uuid) -> Decided {
        Ok(Done { posting: self.effects.len() - 1, points, account })
    }
}

fn reserve(member: &mut crate::state::Member, place: Place, parts: &[(Lot, i64)]) {
    member.take(Place::Free, parts);
    for (lot, points) in parts {
        member.put(*lot, place, *points);
    }
}

/// The owner in `role:owner`, and a name without a role as it is.
fn owner_of(name: &str) -> &str {
    name.split_once(':').map_or(name, |it| it.1).trim()
}

fn correction(change: i64) -> Result<(), Refusal> {
    let is_one = change != 0 && change.unsigned_abs() <= HOUSE_LIMIT as u64;
    if is_one { Ok(()) } else { Err(Refusal::AmountOutOfRange) }
}
