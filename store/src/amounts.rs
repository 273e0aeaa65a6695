//! What an entry changed and what that came to, as its columns say it.

use proof::Balances;
use sqlx::FromRow;

#[derive(FromRow)]
pub(crate) struct Amounts {
    available_change: i64,
    held_change: i64,
    pending_change: i64,
    available_after: i64,
    held_after: i64,
    pending_after: i64,
}

impl Amounts {
    pub(crate) fn change(&self) -> Balances {
        Balances { available: self.available_change, held: self.held_change, pending: self.pending_change }
    }

    pub(crate) fn after(&self) -> Balances {
        Balances { available: self.available_after, held: self.held_after, pending: self.pending_after }
    }
}
