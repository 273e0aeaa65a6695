//! A sandbox's clock, which is moved forward so that what falls due can be tried. No live program's is.

use std::sync::Arc;

use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{PgConnection, StoreError};

use crate::Api;
use crate::acts::deed;
use crate::body::json;
use crate::code::Code;
use crate::error::{Invalid, Problem};
use crate::limits::Kind;
use crate::route::Asked;
use crate::time::{micros, rfc3339};

const SECOND_US: i64 = 1_000_000;
/// How far a clock is ahead of the log's at most: some ten years.
const AHEAD_US_MAX: i64 = 10 * 366 * 24 * 3600 * SECOND_US;
/// How much further one request moves it: it is everybody's, and does not go back.
const STEP_US_MAX: i64 = 366 * 24 * 3600 * SECOND_US;

/// Where a sandbox's clock is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewClock {
    /// The instant that it is to show. It goes on from there, and never back.
    #[schemars(extend("format" = "date-time"))]
    now: String,
}

/// A sandbox's clock.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ClockTold {
    /// What it shows.
    #[schemars(extend("format" = "date-time"))]
    now: String,
    /// How far it is ahead of the log's clock.
    ahead_seconds: i64,
}

fn told(clock_us: i64, ahead_us: i64) -> ClockTold {
    ClockTold { now: rfc3339(clock_us + ahead_us), ahead_seconds: ahead_us / SECOND_US }
}

fn demand_sandbox(api: &Api) -> Result<(), Problem> {
    match api.program.is_sandbox {
        true => Ok(()),
        false => {
            Err(Problem::new(Code::Conflict, "Only a sandbox has a clock of its own: ask with its key."))
        }
    }
}

/// `GET /api/v1/sandbox/clock`
pub(crate) async fn clock(api: Arc<Api>, _asked: Asked) -> Result<Response, Problem> {
    demand_sandbox(&api)?;
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let terms = store::terms(&mut conn, api.program_id).await?;
    Ok(json(&told(store::clock_us(&mut conn).await?, terms.ahead_us)))
}

/// A move of the clock.
struct Move {
    clock_us: i64,
    before_us: i64,
    ahead_us: i64,
}

fn invalid(words: &str) -> Problem {
    Problem::invalid(vec![Invalid::in_body("now", "/now", "INVALID", words)])
}

/// The move after which it shows this instant, where that is further on and not too far.
async fn move_to(conn: &mut PgConnection, program_id: i16, to_us: i64) -> Result<Move, Problem> {
    let before_us = store::terms(conn, program_id).await?.ahead_us;
    let clock_us = store::clock_us(conn).await?;
    let ahead_us = to_us.saturating_sub(clock_us);
    if ahead_us <= before_us {
        return Err(Problem::new(
            Code::Conflict,
            "The clock shows that already, or more: it is moved forward.",
        ));
    }
    if STEP_US_MAX < ahead_us - before_us {
        return Err(invalid(
            "it is more than 366 days further: move it in steps, and leave others some of the ten years",
        ));
    }
    if AHEAD_US_MAX < ahead_us {
        return Err(invalid("it is more than ten years ahead"));
    }
    Ok(Move { clock_us, before_us, ahead_us })
}

/// `POST /api/v1/sandbox/clock`
pub(crate) async fn move_clock(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let new: NewClock = asked.read().await?;
    demand_sandbox(&api)?;
    let to_us =
        micros(&new.now).ok_or_else(|| invalid("it is not an instant, as in 2026-01-31T10:00:00Z"))?;
    // What would not move it is not counted. While it is counted nothing of the database is held: counting may ask it, too.
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    move_to(&mut conn, api.program_id, to_us).await?;
    drop(conn);
    // All who share the clock share the quota, or ten partners had ten.
    api.gate.count_one(api.program_id, Kind::Clocks, "").await?;
    let mut acting = api.acting().await?;
    store::lock_program(acting.conn(), api.program_id).await?;
    let Move { clock_us, before_us, ahead_us } = move_to(acting.conn(), api.program_id, to_us).await?;
    store::move_clock(acting.conn(), api.program_id, ahead_us).await?;
    let [before, after] = [before_us, ahead_us].map(|it| told(clock_us, it));
    let deed = deed("clock.moved", &api.program.name, Some(&before), Some(&after));
    api.done(acting, &asked, None, deed).await?;
    Ok(json(&after))
}
