//! Who may anchor at a place, what an operator said about it, and the few facts that a decision needs.

use proof::AnchorPlace;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::anchors::is_unsettled;
use crate::error::StoreError;

/// What was said about a place.
#[derive(Clone, Debug, Default, PartialEq, Eq, FromRow)]
pub struct AnchorOrder {
    /// Why an operator paused it, if one did.
    pub paused: Option<String>,
    /// Why the machine stopped, if it did.
    pub halted: Option<String>,
    /// Whether an anchor was asked for that has not been made yet.
    pub is_forced: bool,
}

/// What a decision needs of the database besides the open transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceFacts {
    /// The database's clock, in milliseconds since 1970.
    pub now_ms: u64,
    /// When the greatest anchor was first seen in a block.
    pub last_anchor_ms: Option<u64>,
    /// The size up to which anchors are final and no longer looked after.
    pub settled_size: u64,
    /// The nonce after the last that this sender ever used.
    pub nonce_next: Option<u64>,
    /// What was paid in the last 24 hours.
    pub spent_wei: u128,
}

#[derive(FromRow)]
struct FactsRow {
    now_ms: i64,
    last_anchor_ms: Option<i64>,
    settled_size: i64,
    nonce_next: Option<i64>,
    spent_wei: String,
}

/// Takes or renews the lease of a place for so long, if nobody else holds it; gives the fencing token.
pub async fn hold_lease(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    holder: Uuid,
    span_ms: u64,
) -> Result<Option<i64>, StoreError> {
    let token = sqlx::query_scalar(
        "insert into anchor_lease (chain_id, contract, registrant, holder, token, expires_at)
         values ($1, $2, $3, $4, 1, clock_timestamp() + $5 * interval '1 millisecond')
         on conflict on constraint anchor_lease_pk do update
         set holder = excluded.holder,
             token = anchor_lease.token + (anchor_lease.holder <> excluded.holder)::int,
             expires_at = excluded.expires_at
         where anchor_lease.holder = excluded.holder or anchor_lease.expires_at <= clock_timestamp()
         returning token",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .bind(holder)
    .bind(span_ms as i64)
    .fetch_optional(conn)
    .await?;
    Ok(token)
}

/// Gives a lease up, so that another need not wait for its end.
pub async fn release_lease(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    holder: Uuid,
) -> Result<(), StoreError> {
    sqlx::query(
        "update anchor_lease
         set expires_at = clock_timestamp()
         where chain_id = $1 and contract = $2 and registrant = $3 and holder = $4",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .bind(holder)
    .execute(conn)
    .await?;
    Ok(())
}

/// What was said about a place.
pub async fn anchor_order(conn: &mut PgConnection, place: &AnchorPlace) -> Result<AnchorOrder, StoreError> {
    let order: Option<AnchorOrder> = sqlx::query_as(
        "select paused, halted,
                forced_at is not null and not exists (
                    select from anchor_attempt as it
                    where it.chain_id = $1 and it.contract = $2 and it.registrant = $3 and forced_at < it.stored_at
                        and it.extends < it.size
                ) as is_forced
         from anchor_order
         where chain_id = $1 and contract = $2 and registrant = $3",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .fetch_optional(conn)
    .await?;
    Ok(order.unwrap_or_default())
}

/// Stops a place because the machine is in doubt. The first reason stays.
pub async fn halt_anchoring(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    why: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into anchor_order (chain_id, contract, registrant, halted)
         values ($1, $2, $3, $4)
         on conflict on constraint anchor_order_pk do update
         set halted = coalesce(anchor_order.halted, excluded.halted)",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .bind(why)
    .execute(conn)
    .await?;
    Ok(())
}

/// A change of how a place stands, together with who asked for it: one statement does both, or neither.
macro_rules! said {
    ($change:literal) => {
        concat!(
            "with said as (
                 insert into anchor_word (chain_id, contract, registrant, word, actor, why)
                 values ($1, $2, $3, $4, $5, $6)
             )
             ",
            $change
        )
    };
}

/// Pauses a place: what was sent is followed, and nothing new is signed.
pub async fn pause_anchoring(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    actor: &str,
    why: &str,
) -> Result<(), StoreError> {
    let pause = said!(
        "insert into anchor_order (chain_id, contract, registrant, paused)
         values ($1, $2, $3, $6)
         on conflict on constraint anchor_order_pk do update
         set paused = excluded.paused"
    );
    say(conn, pause, place, "pause", actor, Some(why)).await
}

/// Lets a place go on that was paused, or that stopped in a doubt which an operator has looked into.
pub async fn resume_anchoring(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    actor: &str,
    why: Option<&str>,
) -> Result<(), StoreError> {
    let resume = said!(
        "update anchor_order
         set paused = null, halted = null
         where chain_id = $1 and contract = $2 and registrant = $3"
    );
    say(conn, resume, place, "resume", actor, why).await
}

/// Asks for an anchor at once.
pub async fn force_anchor(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    actor: &str,
) -> Result<(), StoreError> {
    let force = said!(
        "insert into anchor_order (chain_id, contract, registrant, forced_at)
         values ($1, $2, $3, clock_timestamp())
         on conflict on constraint anchor_order_pk do update
         set forced_at = excluded.forced_at"
    );
    say(conn, force, place, "force", actor, None).await
}

async fn say(
    conn: &mut PgConnection,
    statement: &'static str,
    place: &AnchorPlace,
    word: &str,
    actor: &str,
    why: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query(statement)
        .bind(place.chain_id as i64)
        .bind(&place.contract[..])
        .bind(&place.registrant[..])
        .bind(word)
        .bind(actor)
        .bind(why)
        .execute(conn)
        .await?;
    Ok(())
}

/// A word of an operator about a place.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct AnchorWord {
    /// `pause`, `resume` or `force`.
    pub word: String,
    /// Who said it.
    pub actor: String,
    /// Why, where it was said.
    pub why: Option<String>,
    /// When, in microseconds since 1970.
    pub said_at_us: i64,
}

/// The last words about a place, the newest first.
pub async fn anchor_words(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    limit: u32,
) -> Result<Vec<AnchorWord>, StoreError> {
    let words = sqlx::query_as(
        "select word, actor, why, (extract(epoch from said_at) * 1000000)::bigint as said_at_us
         from anchor_word
         where chain_id = $1 and contract = $2 and registrant = $3
         order by anchor_word_id desc
         limit $4",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    Ok(words)
}

/// The facts of a place.
pub async fn place_facts(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    sender: &[u8; 20],
) -> Result<PlaceFacts, StoreError> {
    let row: FactsRow = sqlx::query_as(concat!(
        "select (extract(epoch from clock_timestamp()) * 1000)::bigint as now_ms,
                (select (extract(epoch from included_at) * 1000)::bigint
                 from anchor
                 where chain_id = $1 and contract = $2 and registrant = $3
                 order by size desc
                 limit 1) as last_anchor_ms,
                (select coalesce(max(size), 0)
                 from anchor
                 where chain_id = $1 and contract = $2 and registrant = $3 and final_at is not null
                     and not ",
        is_unsettled!(),
        ") as settled_size,
                (select max(nonce) + 1 from anchor_attempt where chain_id = $1 and sender = $4) as nonce_next,
                (select coalesce(sum(paid_wei), 0)::text
                 from anchor_attempt
                 where chain_id = $1 and contract = $2 and registrant = $3
                     and clock_timestamp() - interval '24 hours' < included_at) as spent_wei"
    ))
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .bind(&sender[..])
    .fetch_one(conn)
    .await?;
    Ok(PlaceFacts {
        now_ms: row.now_ms as u64,
        last_anchor_ms: row.last_anchor_ms.map(|it| it as u64),
        settled_size: row.settled_size as u64,
        nonce_next: row.nonce_next.map(|it| it as u64),
        spent_wei: row.spent_wei.parse().unwrap_or(u128::MAX),
    })
}

/// When this leaf was recorded, in milliseconds since 1970; none where there is no such leaf.
pub async fn leaf_time_ms(conn: &mut PgConnection, leaf_index: u64) -> Result<Option<u64>, StoreError> {
    let time: Option<i64> = sqlx::query_scalar(
        "select recorded_at / 1000 from posting where leaf_index = $1
         union all
         select recorded_at / 1000 from declaration where leaf_index = $1",
    )
    .bind(leaf_index as i64)
    .fetch_optional(conn)
    .await?;
    Ok(time.map(|it| it as u64))
}
