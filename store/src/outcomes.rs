//! Outcomes: what was asked under a key and what came of it, so that asking again gives the same answer.

use std::collections::HashMap;

use ledger::{Fingerprint, Refusal, RefusalRow, Refused, Request};
use proof::{Balances, LotMovement, Text};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::archived;
use crate::erasure::hidden_keys;
use crate::error::StoreError;
use crate::keyring::Pepper;

/// Whose keys an operator's are, whoever it is: the same file is posted once, though two should post it.
pub const OPERATOR_SOURCE: &str = "operator";

/// What stands before an event's source, whose keys are its events' ids.
pub const EVENT_SOURCE: &str = "event:";

/// A key with whom it belongs to.
pub(crate) type OutcomeKey = (i16, String, String);

/// An item that was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The posting.
    pub posting_id: Uuid,
    /// Its leaf.
    pub leaf_index: u64,
    /// How much moved.
    pub points: i64,
    /// The account that the rest tells of: the member's, or a fund's.
    pub account: Uuid,
    /// What it came to.
    pub after: Balances,
    /// Its version then.
    pub version: u64,
    /// Which of its lots changed.
    pub lots: Vec<LotMovement>,
    /// What a point was worth, as the leaf says it, where it does.
    pub rate: Option<Text>,
}

/// What is remembered under a key.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) outcome: Result<Vec<Accepted>, Refused>,
}

#[derive(FromRow)]
struct Row {
    ordinal: i64,
    fingerprint: Vec<u8>,
    leaf_index: Option<i64>,
    refusal: Option<i16>,
    item: i16,
    points: i64,
    available: i64,
    account_id: Option<i64>,
    rest: Option<Vec<u8>>,
}

/// What an outcome's row says: of what was posted, only where it stands.
struct Kept {
    fingerprint: Fingerprint,
    outcome: Result<Vec<ItemRow>, Refused>,
}

pub(crate) fn key(request: &Request) -> OutcomeKey {
    (request.program, request.source.clone(), request.key.clone())
}

/// What is remembered under these keys, also where one named somebody who was erased and a hash stands in its place, which is
/// asked for in the programs that have erased anybody.
pub(crate) async fn remembered(
    conn: &mut PgConnection,
    pepper: &Pepper,
    keys: &[OutcomeKey],
    has_erased: impl Fn(i16) -> bool,
) -> Result<HashMap<OutcomeKey, Remembered>, StoreError> {
    let hidden: Vec<(OutcomeKey, &OutcomeKey)> = keys
        .iter()
        .filter(|it| has_erased(it.0))
        .flat_map(|key| hidden_keys(pepper, key).map(|it| (it, key)))
        .collect();
    if hidden.is_empty() {
        return stored(conn, keys).await;
    }
    let asked: Vec<OutcomeKey> = keys.iter().chain(hidden.iter().map(|it| &it.0)).cloned().collect();
    let mut known = stored(conn, &asked).await?;
    for (hidden, key) in hidden {
        if let Some(it) = known.remove(&hidden) {
            known.entry(key.clone()).or_insert(it);
        }
    }
    Ok(known)
}

async fn stored(
    conn: &mut PgConnection,
    keys: &[OutcomeKey],
) -> Result<HashMap<OutcomeKey, Remembered>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        // The limit keeps the planner from joining the other way round, all outcomes with each key.
        "select wanted.ordinal, known.*
         from unnest($1::smallint[], $2::text[], $3::text[]) with ordinality as wanted (program_id, source, key, ordinal)
         cross join lateral (
             select fingerprint, leaf_index, refusal, item, points, available, account_id, rest
             from outcome
             where outcome.program_id = wanted.program_id
                 and outcome.source = wanted.source
                 and outcome.key = wanted.key
             limit 1
         ) as known",
    )
    .bind(keys.iter().map(|it| it.0).collect::<Vec<_>>())
    .bind(keys.iter().map(|it| it.1.as_str()).collect::<Vec<_>>())
    .bind(keys.iter().map(|it| it.2.as_str()).collect::<Vec<_>>())
    .fetch_all(&mut *conn)
    .await?;
    let kept = rows.iter().map(Row::read).collect::<Result<Vec<Kept>, _>>()?;
    // All together: keys are asked for under the members' locks.
    let items: Vec<ItemRow> =
        kept.iter().filter_map(|it| it.outcome.as_ref().ok()).flatten().copied().collect();
    let mut items = accepted(conn, &items).await?.into_iter();
    let remembered = rows.iter().zip(kept).map(|(row, Kept { fingerprint, outcome })| {
        let outcome = outcome.map(|it| items.by_ref().take(it.len()).collect());
        (keys[row.ordinal as usize - 1].clone(), Remembered { fingerprint, outcome })
    });
    Ok(remembered.collect())
}

/// What is remembered under one key.
pub(crate) async fn remembered_one(
    conn: &mut PgConnection,
    pepper: &Pepper,
    program_id: i16,
    source: &str,
    key: &str,
) -> Result<Option<Remembered>, StoreError> {
    let keys = [(program_id, source.to_owned(), key.to_owned())];
    Ok(remembered(conn, pepper, &keys, |_| true).await?.into_values().next())
}

/// How long a refusal that depended on state is remembered, in microseconds: 30 days.
const REFUSAL_LIFE_US: i64 = 30 * 24 * 3600 * 1_000_000;

/// The refusals that are forgotten. The instant is given, since no index serves what is compared with `clock_timestamp()`.
pub(crate) const FORGET_REFUSALS: &str = "delete from outcome
     where ctid = any(array(
         select ctid
         from outcome
         where refusal is not null and recorded_at < $1
         order by recorded_at
         limit $2
     ))";

/// Forgets at most so many refusals whose time is over at this microsecond, and says how many. What was accepted is never
/// forgotten.
pub(crate) async fn forget_refusals(
    conn: &mut PgConnection,
    now_us: i64,
    limit: i64,
) -> Result<u64, StoreError> {
    let forgotten =
        sqlx::query(FORGET_REFUSALS).bind(now_us - REFUSAL_LIFE_US).bind(limit).execute(conn).await?;
    Ok(forgotten.rows_affected())
}

impl Row {
    fn read(&self) -> Result<Kept, StoreError> {
        let damaged = || StoreError::Damaged("an outcome that is neither accepted nor refused".to_owned());
        let fingerprint = Fingerprint(self.fingerprint.as_slice().try_into().map_err(|_| damaged())?);
        let outcome = match (self.leaf_index, self.account_id, self.refusal) {
            (Some(leaf_index), Some(account_id), None) => {
                let rest = self.rest.as_ref().map_or(Ok(vec![]), |it| decode_rest(it).ok_or_else(damaged))?;
                Ok([[leaf_index, account_id, self.points]].into_iter().chain(rest).collect())
            }
            (None, None, Some(code)) => {
                let row = RefusalRow { code, available: self.available, required: self.points };
                let refusal = Refusal::recall(row).ok_or_else(damaged)?;
                Err(Refused { item: self.item as u16, refusal })
            }
            _ => return Err(damaged()),
        };
        Ok(Kept { fingerprint, outcome })
    }
}

#[derive(FromRow)]
struct AcceptedRow {
    posting_id: Uuid,
    leaf_index: i64,
    points: i64,
    account: Uuid,
    sequence: Option<i64>,
    available_after: Option<i64>,
    held_after: Option<i64>,
    pending_after: Option<i64>,
    lots: Option<Vec<u8>>,
    rate: Option<String>,
}

/// What was answered of these items, rebuilt from their entries.
async fn accepted(conn: &mut PgConnection, items: &[ItemRow]) -> Result<Vec<Accepted>, StoreError> {
    if items.is_empty() {
        return Ok(vec![]);
    }
    let rows: Vec<AcceptedRow> = sqlx::query_as(
        "select posting.posting_id, posting.leaf_index, item.points, account.id as account,
             entry.sequence, entry.available_after, entry.held_after, entry.pending_after, entry.lots, posting.rate
         from unnest($1::bigint[], $2::bigint[], $3::bigint[])
             with ordinality as item (leaf_index, account_id, points, ordinal)
         join posting using (leaf_index)
         join account using (account_id)
         left join entry on entry.leaf_index = posting.leaf_index and entry.account_id = item.account_id
         order by item.ordinal",
    )
    .bind(items.iter().map(|it| it[0]).collect::<Vec<_>>())
    .bind(items.iter().map(|it| it[1]).collect::<Vec<_>>())
    .bind(items.iter().map(|it| it[2]).collect::<Vec<_>>())
    .fetch_all(&mut *conn)
    .await?;
    if rows.len() != items.len() {
        for [leaf_index, ..] in items {
            archived::demand_here(conn, *leaf_index).await?;
        }
        return Err(lost(conn, items).await?);
    }
    rows.into_iter().map(AcceptedRow::read).collect()
}

/// Why a posting of these items was not found, although none is archived.
async fn lost(conn: &mut PgConnection, items: &[ItemRow]) -> Result<StoreError, StoreError> {
    let nowhere: Option<i64> = sqlx::query_scalar(
        "select item.leaf_index
         from unnest($1::bigint[], $2::bigint[]) as item (leaf_index, account_id)
         where not exists (select from account where account.account_id = item.account_id)
             or not exists (select from posting where posting.leaf_index = item.leaf_index)
                 and not exists (select from archived_posting where archived_posting.leaf_index = item.leaf_index)
         limit 1",
    )
    .bind(items.iter().map(|it| it[0]).collect::<Vec<_>>())
    .bind(items.iter().map(|it| it[1]).collect::<Vec<_>>())
    .fetch_optional(conn)
    .await?;
    Ok(match nowhere {
        Some(leaf_index) => StoreError::Damaged(format!(
            "an outcome names leaf {leaf_index}, which has no posting, or an account that is not there"
        )),
        // It was restored just now: asked again, it is found.
        None => StoreError::Overtaken,
    })
}

impl AcceptedRow {
    fn read(self) -> Result<Accepted, StoreError> {
        let lots = LotMovement::decode_all(&self.lots.unwrap_or_default());
        let damaged = |_| StoreError::Damaged(format!("leaf {}: its lots cannot be read", self.leaf_index));
        Ok(Accepted {
            posting_id: self.posting_id,
            leaf_index: self.leaf_index as u64,
            points: self.points,
            account: self.account,
            after: Balances {
                available: self.available_after.unwrap_or_default(),
                held: self.held_after.unwrap_or_default(),
                pending: self.pending_after.unwrap_or_default(),
            },
            version: self.sequence.unwrap_or_default() as u64,
            lots: lots.map_err(damaged)?,
            rate: self.rate.and_then(|it| Text::new(it).ok()),
        })
    }
}

/// Leaf index, account and points of an item.
pub(crate) type ItemRow = [i64; 3];

/// The items but the first, as an outcome keeps them.
pub(crate) fn encode_rest(rest: &[ItemRow]) -> Vec<u8> {
    rest.iter().flatten().flat_map(|it| it.to_be_bytes()).collect()
}

pub(crate) fn decode_rest(bytes: &[u8]) -> Option<Vec<ItemRow>> {
    let (numbers, over) = bytes.as_chunks::<8>();
    let (items, odd) = numbers.as_chunks::<3>();
    (over.is_empty() && odd.is_empty()).then(|| items.iter().map(|it| it.map(i64::from_be_bytes)).collect())
}
