//! What a posting may do to a member's account or a fund's, by its kind and its day: what `ledger` refuses stands in no books,
//! whoever wrote them.

use ledger::{Account, Day, Fund, Lot, Terms};
use proof::{Balances, PostingKind};

/// What an entry does to an account.
pub(crate) struct Step<'a> {
    pub(crate) kind: PostingKind,
    pub(crate) change: Balances,
    /// What it does to lots.
    pub(crate) lots: &'a [(Lot, Balances)],
    /// The day on which it was recorded, and the terms of then.
    pub(crate) day: Day,
    pub(crate) terms: &'a Terms,
}

impl Step<'_> {
    /// Says what is wrong with what a fund gives: with a budget no more than was put into it, and what it lacks nobody takes out.
    pub(crate) fn check_fund(&self, fund: Fund, after: i64) -> Result<(), &'static str> {
        let is_unbounded = self.kind == PostingKind::EARN && !fund.budgeted;
        let is_within = 0 <= self.change.available || 0 <= after || is_unbounded;
        if is_within { Ok(()) } else { Err("it gives more than was put into the fund") }
    }

    /// Says what is wrong with what it does to a member. The account's balances are those after it, its last active day the one before.
    pub(crate) fn check(&self, account: &Account) -> Result<(), &'static str> {
        self.check_debt(account.balances.available)?;
        if self.spends() && (self.is_idle(account) || self.takes(|lot| lot.last_day < self.day)) {
            return Err("it spends what has ended");
        }
        Ok(())
    }

    /// Nobody spends into debt: only what is taken back brings it, as far as the policy lets it, and whoever joins with one.
    fn check_debt(&self, after: i64) -> Result<(), &'static str> {
        match self.kind {
            _ if 0 <= self.change.available || 0 <= after => Ok(()),
            PostingKind::MERGE => Ok(()),
            PostingKind::REVERSE if -after <= self.terms.policy.debt_max => Ok(()),
            PostingKind::REVERSE => Err("it takes back more than the member may owe"),
            _ => Err("it takes more than there is"),
        }
    }

    /// Whether points expire that could still be spent.
    pub(crate) fn expires_early(&self, account: &Account) -> bool {
        let ends_later = |lot: &Lot| self.day <= lot.last_day;
        self.kind == PostingKind::EXPIRE && !self.is_idle(account) && self.takes(ends_later)
    }

    /// Whether it takes or sets aside what the member chose to: of corrections and what is taken back, no day is asked.
    fn spends(&self) -> bool {
        let by_choice = [
            PostingKind::REDEEM,
            PostingKind::TRANSFER,
            PostingKind::WITHDRAW,
            PostingKind::HOLD,
            PostingKind::INCREASE,
        ];
        self.change.available < 0 && by_choice.contains(&self.kind)
    }

    fn is_idle(&self, account: &Account) -> bool {
        self.terms.last_idle_day(account.active_day) < self.day
    }

    fn takes(&self, which: impl Fn(&Lot) -> bool) -> bool {
        self.lots.iter().any(|(lot, change)| change.available < 0 && which(lot))
    }
}
