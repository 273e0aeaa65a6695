//! REST for apps and partners. `error` alone turns failures into statuses; `redeem` is the hot path; `gate` says who
//! may ask, and the proof service asks it too.

mod balance;
mod body;
mod dress;
mod error;
mod events;
mod gate;
mod operations;
mod redeem;
mod serve;
mod worth;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use ingest::Intake;
use proof::Text;
use rust_decimal::Decimal;
use store::{Committer, PgPool, Program, Reader, StoreError};
use uuid::Uuid;

use worth::Worth;

pub use error::{Code, Invalid, Problem};
pub use gate::{Gate, Scope, member, partner};
pub use operations::{Operations, complete, metrics_builder};
pub use serve::serve;

/// What the routes of one program need.
pub struct Api {
    pool: PgPool,
    reader: Reader,
    committer: Committer,
    intake: Intake,
    gate: Gate,
    program_id: i16,
    worth: Worth,
    /// What one point is worth, as the leaf says it: `<decimal> <currency>`.
    rate: Text,
    public_url: String,
}

impl Api {
    /// The API of a program. `public_url` is the address under which callers reach us, without a slash at the end.
    pub fn new(
        pool: PgPool,
        committer: Committer,
        intake: Intake,
        gate: Gate,
        program: &Program,
        public_url: &str,
    ) -> Result<Self, StoreError> {
        let damaged = |problem: &str| StoreError::Damaged(format!("the program {}: {problem}", program.name));
        let point_value = Decimal::from_str_exact(&program.point_value)
            .map_err(|_| damaged("its point value is not a decimal"))?;
        let rate = Text::new(format!("{} {}", program.point_value, program.currency))
            .map_err(|_| damaged("its rate is too long"))?;
        Ok(Self {
            reader: Reader::new(pool.clone()),
            pool,
            committer,
            intake,
            gate,
            program_id: program.program_id,
            worth: Worth { point_value, currency: program.currency.clone() },
            rate,
            public_url: public_url.to_owned(),
        })
    }

    fn receipt_url(&self, transaction_id: Uuid) -> String {
        format!("{}/v1/receipts/{transaction_id}", self.public_url)
    }
}

/// The routes alone, to be merged with others and made [`complete`].
pub fn routes(api: Arc<Api>) -> Router {
    Router::new()
        .route("/api/v1/events", post(events::post_events))
        .route("/api/v1/rejected-events", get(events::rejected_events))
        .route("/api/v1/loyalty/balance", get(balance::app_balance))
        .route("/loyalty/v1/partner/users/{user_id}/balance", get(balance::partner_balance))
        .route("/loyalty/v1/partner/users/{user_id}/redeem", post(redeem::redeem))
        .with_state(api)
}

/// The API on its own.
pub fn router(api: Arc<Api>, operations: Operations) -> Router {
    complete(routes(api), operations)
}
