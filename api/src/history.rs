//! What has happened to an account: its transactions, page by page.

use std::sync::Arc;

use axum::response::Response;
use ledger::{House, MemberRef, Name};
use proof::Balances;
use schemars::JsonSchema;
use serde::Serialize;
use store::{Order, PgConnection, Role, StoreError, TrailEntry};
use uuid::Uuid;

use crate::Api;
use crate::balance::{POINTS, user_not_found};
use crate::error::Problem;
use crate::gate;
use crate::page::paged;
use crate::post::{Holdings, LotMoved};
use crate::query::Query;
use crate::route::Asked;
use crate::time::{micros, rfc3339};

/// A page looks at no more entries than this, however few of them are of the wanted kind: an answer in bounded time.
const LOOKED_AT_MAX: u32 = 1000;

/// How much of each balance a transaction changed.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub(crate) struct Change {
    /// Of what can be spent.
    available: i64,
    /// Of what is set aside.
    held: i64,
    /// Of what was earned and cannot be spent yet.
    pending: i64,
}

impl From<Balances> for Change {
    fn from(Balances { available, held, pending }: Balances) -> Self {
        Self { available, held, pending }
    }
}

/// A transaction, as one account sees it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ListedTransaction {
    /// The posting.
    transaction_id: Uuid,
    /// What it is.
    kind: &'static str,
    /// When it was recorded.
    #[schemars(extend("format" = "date-time"))]
    recorded_at: String,
    /// From when it counts.
    #[schemars(extend("format" = "date-time"))]
    effective_at: String,
    /// What it changed.
    change: Change,
    /// What that came to.
    balance: Holdings,
    /// Which of its points moved.
    lots: Vec<LotMoved>,
    /// The transaction that it undoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    reverses: Option<Uuid>,
    /// The hold or the pending earning that it goes on from.
    #[serde(skip_serializing_if = "Option::is_none")]
    follows: Option<Uuid>,
    /// What the merchant calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant_reference: Option<String>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Why it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Its place in the log.
    leaf_index: u64,
    /// Where its receipt is.
    receipt_url: String,
}

/// A page of transactions, newest first.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TransactionPage {
    /// `list`.
    object: &'static str,
    /// The transactions.
    data: Vec<ListedTransaction>,
    /// Whether there are more.
    has_more: bool,
    /// The `starting_after` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// The path of the list.
    url: &'static str,
}

const TRANSACTIONS: &str = "/api/v1/loyalty/transactions";

/// The account whose transactions the caller asks for: the member's, or the partner's own.
async fn account(
    api: &Api,
    conn: &mut PgConnection,
    asked: &Asked,
    user: Option<&str>,
) -> Result<i64, Problem> {
    let name = match (asked.caller.role, &asked.caller.credential.partner_id) {
        (Role::Partner, Some(partner)) if user.is_none() => Name::House(House::Settlement(partner.clone())),
        (Role::Partner, _) => return Err(user_not_found()),
        (Role::Member, _) => {
            let own = gate::member(&asked.caller, asked.headers())?;
            let own =
                own.ok_or_else(|| Problem::invalid_parameter("X-User-ID", "this header is required"))?;
            match user.map(MemberRef::parse) {
                Some(named) if named != own => return Err(user_not_found()),
                _ => Name::Member(own),
            }
        }
        _ => {
            let user =
                user.ok_or_else(|| Problem::invalid_parameter("user_id", "this parameter is required"))?;
            Name::Member(MemberRef::parse(user))
        }
    };
    let number = store::account_number(conn, api.program_id, POINTS, &name).await?;
    number.ok_or_else(user_not_found)
}

/// `GET /api/v1/loyalty/transactions`, newest first. A cursor is a version of the account, so a page stays what it is.
pub(crate) async fn transactions(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    const KNOWN: &[&str] = &[
        "user_id",
        "limit",
        "starting_after",
        "ending_before",
        "type",
        "lot_id",
        "created[gte]",
        "from_seq",
        "to_seq",
    ];
    let query = Query::read(&asked.parts.uri, KNOWN)?;
    let limit = query.limit()? as usize;
    let (after, before) = (query.number::<u64>("starting_after")?, query.number::<u64>("ending_before")?);
    if after.is_some() && before.is_some() {
        return Err(Problem::invalid_parameter("ending_before", "it does not go with starting_after"));
    }
    let since = query.value("created[gte]", "an instant, as in 2026-01-31T10:00:00Z", micros)?;
    let (from, to) = (query.number::<u64>("from_seq")?.unwrap_or(0), query.number::<u64>("to_seq")?);
    let kind = query.text("type");
    let lot = query.value("lot_id", "the lot_id of a listed lot", |it| Uuid::try_parse(it).ok())?;
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let account = account(&api, &mut conn, &asked, query.text("user_id")).await?;

    let order = if before.is_some() { Order::Forward } else { Order::Backward };
    let start = match order {
        Order::Forward => before,
        Order::Backward => after.into_iter().chain(to.map(|it| it.saturating_add(1))).min(),
    };
    let looked_at = if kind.is_some() || lot.is_some() { LOOKED_AT_MAX } else { limit as u32 + 1 };
    let entries = store::history(&mut conn, account, start, order, looked_at).await?;
    let all = entries.len();
    let is_within = |it: &TrailEntry| {
        from <= it.version
            && to.is_none_or(|to| it.version <= to)
            && since.is_none_or(|since| since <= it.recorded_at_us)
    };
    let moves = |it: &TrailEntry, lot: Uuid| it.lots.iter().any(|moved| moved.lot == lot.into_bytes());
    let is_wanted = |it: &TrailEntry| {
        kind.is_none_or(|kind| it.kind.name() == Some(kind)) && lot.is_none_or(|lot| moves(it, lot))
    };
    let mut page = Vec::new();
    let mut last = None;
    // A page that ends before the account's first entry ends where archived ones begin: the next one says so.
    let has_older = order == Order::Backward && entries.last().is_some_and(|it| 1 < it.version);
    let mut has_more = all == looked_at as usize || has_older;
    for entry in entries {
        let is_past = order == Order::Backward && !is_within(&entry);
        if is_past || page.len() == limit {
            has_more = !is_past;
            break;
        }
        last = Some(entry.version);
        if is_wanted(&entry) && is_within(&entry) {
            page.push(entry);
        }
    }
    if order == Order::Forward {
        page.reverse();
        last = page.last().map(|it| it.version);
        has_more = last.is_some_and(|it| 1 < it);
    }
    let next_cursor = last.filter(|_| has_more).map(|it| it.to_string());
    let data = page.into_iter().map(|it| listed(&api, it)).collect();
    let page = TransactionPage { object: "list", data, has_more, next_cursor, url: TRANSACTIONS };
    Ok(paged(&page, &asked.parts.uri, "starting_after", page.next_cursor.as_deref()))
}

fn listed(api: &Api, entry: TrailEntry) -> ListedTransaction {
    ListedTransaction {
        transaction_id: entry.posting_id,
        kind: entry.kind.name().unwrap_or("unknown"),
        recorded_at: rfc3339(entry.recorded_at_us),
        effective_at: rfc3339(entry.effective_at_us),
        change: entry.change.into(),
        balance: Holdings::of(&entry.after, entry.version),
        lots: entry.lots.iter().map(LotMoved::of).collect(),
        reverses: entry.reverses,
        follows: entry.follows,
        merchant_reference: entry.merchant_reference,
        description: entry.description,
        reason: entry.reason,
        leaf_index: entry.leaf_index,
        receipt_url: api.receipt_url(entry.posting_id),
    }
}
