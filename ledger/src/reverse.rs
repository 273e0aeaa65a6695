//! Reversals: a posting undone, or a part of it. Partial ones add up to at most the whole.

use proof::PostingKind;
use uuid::Uuid;

use crate::account::{Lot, Parts, Status};
use crate::books::Original;
use crate::decide::{Decided, Desk};
use crate::points::Points;
use crate::policy::Limit;
use crate::refusal::Refusal;
use crate::request::Item;
use crate::side::Side;

impl Desk<'_> {
    pub(crate) fn reverse(&mut self, item: &Item, posting: Uuid, points: Option<Points>) -> Decided {
        let original = self.original(posting)?.clone();
        let Some(house) = original.house.filter(|_| is_reversible(original.kind)) else {
            return Err(Refusal::WrongKind);
        };
        let member = self.books.account(original.member);
        if member.status == Status::Closed {
            return Err(Refusal::MemberClosed);
        }
        if member.reservations.contains_key(&posting) {
            return Err(Refusal::StillPending);
        }
        // The clock does not say that a withdrawal is over: it may have been claimed, and only the chain knows.
        original.claim.map_or(Ok(()), |it| it.check_lapsed())?;
        let left = original.points().abs() - original.reversed;
        let points = points.map_or(left, Points::get);
        if left < points || left == 0 {
            return Err(Refusal::MoreThanLeft { left, required: points });
        }
        // Else one person alone would move what takes two, and a reversal names no second one.
        let (is_adjusted, all) = (original.kind == PostingKind::ADJUST, original.reversed + points);
        if let Some(above) = self.terms.policy.approval_above.filter(|it| is_adjusted && *it < all) {
            return Err(Refusal::ApprovalRequired { above });
        }
        let (side, house) = if original.points() < 0 {
            (self.give_back(&original, points), Side::house(house, -points))
        } else {
            (self.take_back(&original, points)?, Side::house(house, points))
        };
        let account = side.account;
        self.post(PostingKind::REVERSE, item.posting_id, vec![side, house])?;
        self.last().reverses = Some(posting);
        self.undone(posting, points);
        if original.kind == PostingKind::WITHDRAW {
            self.books.change(account).withdrawn -= points;
        }
        Ok(self.done(points, account))
    }

    /// What was spent returns to the lots it came from, the last one spent first; where such a lot has ended, to one
    /// that can be spent for the program's days of grace; one that ends today or later keeps its day. What was withdrawn has no
    /// grace: a way to the chain and back would make points last for ever. Where idle members lose their points it begins the idle
    /// time of one anew, as whatever they are given does (`Account::begins_anew`).
    fn give_back(&self, original: &Original, points: i64) -> Side {
        let today = self.now.day;
        let grace = today.plus(jiff::Span::new().days(self.terms.policy.grace_days));
        let mut skip = original.reversed;
        let mut rest = points;
        let mut parts = Parts::new();
        for (lot, part) in original.parts().into_iter().rev() {
            let skipped = skip.min(part);
            skip -= skipped;
            let part = rest.min(part - skipped);
            rest -= part;
            let has_grace = lot.last_day < today && original.kind != PostingKind::WITHDRAW;
            let lot = if has_grace { Lot { last_day: grace, ..lot } } else { lot };
            if part != 0 {
                parts.push((lot, part));
            }
        }
        assert_eq!(rest, 0, "no more is given back than was spent");
        parts.sort();
        Side::of(self.books.account(original.member)).give(&parts)
    }

    /// What was earned is taken from its own lot first; then, since it may have been made to end later or been given days of
    /// grace, from lots of the same day and fund; then from others in the order of spending; what is lacking then is owed, as far
    /// as the program lets a member owe.
    fn take_back(&self, original: &Original, points: i64) -> Result<Side, Refusal> {
        let member = self.books.account(original.member);
        let own: Vec<Lot> = original.parts().into_iter().map(|(lot, _)| lot).collect();
        let is_own = |lot: &Lot| own.contains(lot);
        let is_akin = |lot: &Lot| own.iter().any(|it| (it.earned_day, it.fund) == (lot.earned_day, lot.fund));
        let (mut side, mut owed) = (Side::of(member), points);
        for (own, akin) in [(true, true), (false, true), (false, false)] {
            let parts = member.choose(owed, |lot| is_own(lot) == own && is_akin(lot) == akin);
            owed -= parts.iter().map(|it| it.1).sum::<i64>();
            side = side.take(&parts);
        }
        let owed_before = (-member.balances.available).max(0);
        if 0 < owed && self.terms.policy.debt_max < owed_before + owed {
            let left = points - owed + (self.terms.policy.debt_max - owed_before).max(0);
            return Err(Refusal::LimitExceeded { limit: Limit::Debt, left, required: points });
        }
        Ok(side.owe(owed))
    }
}

/// What can be reversed: what went between a member and the house by somebody's wish, and is over. A transfer cannot: what was
/// given is the other member's, and goes back when they give it.
fn is_reversible(kind: PostingKind) -> bool {
    [
        PostingKind::EARN,
        PostingKind::IMPORT,
        PostingKind::DEPOSIT,
        PostingKind::REDEEM,
        PostingKind::CAPTURE,
        PostingKind::WITHDRAW,
        PostingKind::ADJUST,
    ]
    .contains(&kind)
}
