//! What has happened to an account: its transactions, one of them with its story, and the points that it is made up of.

use std::sync::Arc;

use axum::http::HeaderValue;
use axum::http::header::LINK;
use axum::response::Response;
use ledger::{Day, House, MemberRef, Name};
use proof::Balances;
use schemars::JsonSchema;
use serde::Serialize;
use store::{Fed, Order, PgConnection, Role, StoreError, TrailEntry};
use uuid::Uuid;

use crate::Api;
use crate::balance::{POINTS, user_not_found};
use crate::body::json;
use crate::error::Problem;
use crate::gate;
use crate::post::{Holdings, LotMoved};
use crate::query::Query;
use crate::route::Asked;
use crate::subject::transaction_not_found;
use crate::time::{last_second, micros, rfc3339};

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
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let account = account(&api, &mut conn, &asked, query.text("user_id")).await?;

    let order = if before.is_some() { Order::Forward } else { Order::Backward };
    let start = match order {
        Order::Forward => before,
        Order::Backward => after.into_iter().chain(to.map(|it| it.saturating_add(1))).min(),
    };
    let looked_at = if kind.is_some() { LOOKED_AT_MAX } else { limit as u32 + 1 };
    let entries = store::history(&mut conn, account, start, order, looked_at).await?;
    let all = entries.len();
    let is_within = |it: &TrailEntry| {
        from <= it.version
            && to.is_none_or(|to| it.version <= to)
            && since.is_none_or(|since| since <= it.recorded_at_us)
    };
    let is_wanted = |it: &TrailEntry| kind.is_none_or(|kind| it.kind.name() == Some(kind));
    let mut page = Vec::new();
    let mut last = None;
    let mut has_more = all == looked_at as usize;
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
    let link = next_cursor.as_ref().map(|it| format!("<{TRANSACTIONS}?starting_after={it}>; rel=\"next\""));
    let mut response =
        json(&TransactionPage { object: "list", data, has_more, next_cursor, url: TRANSACTIONS });
    if let Some(link) = link.and_then(|it| HeaderValue::from_str(&it).ok()) {
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
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

/// A transaction with what became of it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ToldTransaction {
    /// The posting.
    transaction_id: Uuid,
    /// What it is.
    kind: &'static str,
    /// `SUCCESS`; of a hold `HELD`, `CAPTURED`, `VOIDED` or `LAPSED`; `REVERSED` where all of it was undone, else
    /// `PARTLY_REVERSED`.
    state: &'static str,
    /// How many points it moved.
    points: i64,
    /// When it was recorded.
    #[schemars(extend("format" = "date-time"))]
    recorded_at: String,
    /// From when it counts.
    #[schemars(extend("format" = "date-time"))]
    effective_at: String,
    /// The caller's side of it; absent for whoever has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<Change>,
    /// What that came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<Holdings>,
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
    /// What went on from it or undid it, in order.
    story: Vec<Chapter>,
    /// Its place in the log.
    leaf_index: u64,
    /// Where its receipt is.
    receipt_url: String,
}

/// What went on from a transaction, or undid it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Chapter {
    /// The posting.
    transaction_id: Uuid,
    /// What it is.
    kind: &'static str,
    /// How many points it moved.
    points: i64,
    /// When it was recorded.
    #[schemars(extend("format" = "date-time"))]
    recorded_at: String,
    /// Its place in the log.
    leaf_index: u64,
}

/// `GET /api/v1/loyalty/transactions/{transaction_id}`
pub(crate) async fn transaction(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let id = Uuid::try_parse(asked.path("transaction_id")).map_err(|_| transaction_not_found())?;
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let side = asked.side(&api, &mut conn).await?;
    let story = store::story(&mut conn, api.program_id, id).await?;
    let story = story.filter(|it| side.sees(&it.posting)).ok_or_else(transaction_not_found)?;
    let (posting, later) = (&story.posting, &story.later);
    let own = side.entry(posting);
    let chapter = |it: &Fed| Chapter {
        transaction_id: it.posting_id,
        kind: it.kind.name().unwrap_or("unknown"),
        points: moved(it),
        recorded_at: rfc3339(it.recorded_at_us),
        leaf_index: it.leaf_index,
    };
    Ok(json(&ToldTransaction {
        transaction_id: id,
        kind: posting.kind.name().unwrap_or("unknown"),
        state: state(posting, later),
        points: moved(posting),
        recorded_at: rfc3339(posting.recorded_at_us),
        effective_at: rfc3339(posting.effective_at_us),
        change: own.map(|it| it.change.into()),
        balance: own.map(|it| Holdings::of(&it.after, it.version)),
        reverses: posting.reverses,
        follows: posting.follows,
        merchant_reference: posting.merchant_reference.clone(),
        description: posting.description.clone(),
        reason: posting.reason.clone(),
        story: later.iter().map(chapter).collect(),
        leaf_index: posting.leaf_index,
        receipt_url: api.receipt_url(id),
    }))
}

/// How many points a posting moved: the most that one of its entries did.
pub(crate) fn moved(posting: &Fed) -> i64 {
    let most = |it: Balances| it.available.abs().max(it.held.abs()).max(it.pending.abs());
    posting.entries.iter().map(|it| most(it.change)).max().unwrap_or(0)
}

fn state(posting: &Fed, later: &[Fed]) -> &'static str {
    let has = |name: &str| later.iter().any(|it| it.kind.name() == Some(name));
    let undone: i64 = later.iter().filter(|it| it.reverses == Some(posting.posting_id)).map(moved).sum();
    match posting.kind.name() {
        _ if 0 < undone && moved(posting) <= undone => "REVERSED",
        _ if 0 < undone => "PARTLY_REVERSED",
        Some("hold") if has("lapse") => "LAPSED",
        Some("hold") if has("void") => "VOIDED",
        Some("hold") if has("capture") => "CAPTURED",
        Some("hold") => "HELD",
        _ => "SUCCESS",
    }
}

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
    Ok(json(&LotPage { object: "list", data, has_more, next_cursor, version, url }))
}
