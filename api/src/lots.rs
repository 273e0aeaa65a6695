//! The points that an account is made up of, by when they end.

use std::sync::Arc;

use axum::response::Response;
use ledger::Day;
use proof::Balances;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::Api;
use crate::balance::{POINTS, user_not_found};
use crate::error::Problem;
use crate::gate;
use crate::page::paged;
use crate::query::Query;
use crate::route::Asked;
use crate::time::last_second;

/// Points of a member that were earned on one day and end on one day.
#[derive(Serialize, JsonSchema)]
pub(crate) struct OpenLot {
    /// Its name.
    lot_id: String,
    /// The day on which they were earned.
    #[schemars(extend("format" = "date"))]
    earned_on: String,
    /// The last day on which they can be spent, in the program's zone; absent where they never end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date"))]
    last_day: Option<String>,
    /// The last second on which they can be spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    expires_on: Option<String>,
    /// How many can be spent.
    available: i64,
    /// How many are set aside.
    held: i64,
    /// How many cannot be spent yet.
    pending: i64,
}

/// A page of points by when they end, what ends first standing first.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LotPage {
    /// `list`.
    object: &'static str,
    /// The points.
    data: Vec<OpenLot>,
    /// Whether there are more.
    has_more: bool,
    /// The `starting_after` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// The account's version: pages of one version fit each other.
    version: u64,
    /// The path of the list.
    url: &'static str,
}

/// `GET /api/v1/loyalty/lots`
pub(crate) async fn lots(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let query = Query::read(&asked.parts.uri, &["limit", "starting_after"])?;
    let limit = query.limit()? as usize;
    let after = query.value("starting_after", "the lot_id of a listed lot", |it| {
        Uuid::try_parse(it).ok().and_then(|id| ledger::Lot::from_id(&id.into_bytes()))
    })?;
    let member = gate::member(&asked.caller, asked.headers())?
        .ok_or_else(|| Problem::invalid_parameter("X-User-ID", "this header is required"))?;
    let standing = api.reader.standing(api.program_id, POINTS, &member).await?.ok_or_else(user_not_found)?;
    let idle_day = standing.terms.last_idle_day(standing.account.active_day);
    let mut rest = standing.account.lots.iter().filter(|(lot, _)| after.is_none_or(|it| it < **lot));
    let open = |(lot, it): (&ledger::Lot, &Balances)| {
        let last_day = Some(lot.last_day.min(idle_day)).filter(|it| *it < Day::NEVER);
        OpenLot {
            lot_id: Uuid::from_bytes(lot.id()).to_string(),
            earned_on: lot.earned_day.to_string(),
            last_day: last_day.map(|it| it.to_string()),
            expires_on: last_day.map(|it| last_second(standing.terms.end_of(it))),
            available: it.available,
            held: it.held,
            pending: it.pending,
        }
    };
    let data: Vec<OpenLot> = rest.by_ref().take(limit).map(open).collect();
    let has_more = rest.next().is_some();
    let next_cursor = data.last().filter(|_| has_more).map(|it| it.lot_id.clone());
    let (version, url) = (standing.balance.sequence as u64, "/api/v1/loyalty/lots");
    let page = LotPage { object: "list", data, has_more, next_cursor, version, url };
    Ok(paged(&page, &asked.parts.uri, "starting_after", page.next_cursor.as_deref()))
}
