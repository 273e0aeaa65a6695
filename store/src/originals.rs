//! Postings that a request goes on from: the hold of a capture, the redemption that is reversed.

use std::collections::HashMap;
use std::sync::Arc;

use ledger::{AccountKind, Original};
use proof::{Balances, Body, LeafKind, LotMovement, PostingKind, Withdrawal};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::archived;
use crate::directory::{Identity, IdentityRow};
use crate::error::StoreError;
use crate::gateways::claims_of;
use crate::keyring::Keyring;

/// A posting by its program and id.
pub(crate) type PostingKey = (i16, Uuid);

/// A posting of this kind, with the member's account; of one between two members, the first one's.
pub(crate) struct Found {
    pub(crate) original: Original,
    pub(crate) member: Arc<Identity>,
}

#[derive(FromRow)]
struct Row {
    ordinal: i64,
    posting_kind: i16,
    body: Option<Vec<u8>>,
    available_change: i64,
    held_change: i64,
    pending_change: i64,
    lots: Option<Vec<u8>>,
    house: Option<Uuid>,
    #[sqlx(flatten)]
    identity: IdentityRow,
}

/// What these postings did. All of it but how much was reversed never changes, or, as what is known of a withdrawal's
/// claim, only becomes more certain: it needs no lock. What is not a
/// posting of its program, or concerns no member, is missing from the answer.
pub(crate) async fn originals(
    conn: &mut PgConnection,
    keyring: &Keyring,
    wanted: &[PostingKey],
) -> Result<HashMap<PostingKey, Found>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select distinct on (wanted.ordinal)
             wanted.ordinal, posting.kind as posting_kind, posting.body,
             entry.available_change, entry.held_change, entry.pending_change, entry.lots,
             account.account_id, account.id, account.kind, account.unit, account.secret,
             (select house.id
              from entry as other
              join account as house using (account_id)
              where other.leaf_index = posting.leaf_index and house.kind <> 1) as house
         from unnest($1::smallint[], $2::uuid[]) with ordinality as wanted (program_id, posting_id, ordinal)
         join posting using (program_id, posting_id)
         join entry on entry.leaf_index = posting.leaf_index
         join account on account.account_id = entry.account_id and account.kind = 1 and account.secret <> ''
         order by wanted.ordinal, entry.ordinal",
    )
    .bind(wanted.iter().map(|it| it.0).collect::<Vec<_>>())
    .bind(wanted.iter().map(|it| it.1).collect::<Vec<_>>())
    .fetch_all(&mut *conn)
    .await?;
    let mut withdrawals = Vec::new();
    let read = |row: Row| {
        let key = wanted[row.ordinal as usize - 1];
        let damaged = || StoreError::Damaged(format!("the posting {} cannot be read", key.1));
        let member = Arc::new(row.identity.open(keyring)?);
        debug_assert_eq!(member.kind, AccountKind::Member, "the statement asks for members");
        let original = Original {
            kind: PostingKind(row.posting_kind as u8),
            member: member.id,
            house: row.house,
            lots: LotMovement::decode_all(&row.lots.unwrap_or_default()).map_err(|_| damaged())?,
            change: Balances {
                available: row.available_change,
                held: row.held_change,
                pending: row.pending_change,
            },
            reversed: 0,
            claim: None,
        };
        if let Some(body) = row.body {
            withdrawals.push((key, withdrawal(&body).ok_or_else(damaged)?));
        }
        Ok((key, Found { original, member }))
    };
    let mut found: HashMap<PostingKey, Found> =
        rows.into_iter().map(read).collect::<Result<_, StoreError>>()?;
    let missing: Vec<PostingKey> = wanted.iter().filter(|it| !found.contains_key(it)).copied().collect();
    if !missing.is_empty() && are_somewhere(conn, &missing).await? {
        archived::demand_postings(conn, &missing).await?;
        // They were posted, or restored, just now: asked again, they are found.
        return Err(StoreError::Overtaken);
    }
    if !withdrawals.is_empty() {
        let (keys, bodies): (Vec<PostingKey>, Vec<Withdrawal>) = withdrawals.into_iter().unzip();
        for (key, claim) in keys.iter().zip(claims_of(conn, &bodies).await?) {
            found.get_mut(key).expect("it was just read").original.claim = Some(claim);
        }
    }
    Ok(found)
}

/// Whether any of these that was not found a moment ago is archived, or is here now: in one look at the database, since it may
/// be on its way from the one to the other.
async fn are_somewhere(conn: &mut PgConnection, missing: &[PostingKey]) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar(
        "select exists (
             select
             from unnest($1::smallint[], $2::uuid[]) as wanted (program_id, posting_id)
             left join posting using (program_id, posting_id)
             left join archived_posting using (program_id, posting_id)
             where archived_posting.leaf_index is not null
                 or exists (
                     select
                     from entry
                     join account using (account_id)
                     where entry.leaf_index = posting.leaf_index and account.kind = 1 and account.secret <> ''
                 )
         )",
    )
    .bind(missing.iter().map(|it| it.0).collect::<Vec<_>>())
    .bind(missing.iter().map(|it| it.1).collect::<Vec<_>>())
    .fetch_one(conn)
    .await?;
    Ok(found)
}

fn withdrawal(body: &[u8]) -> Option<Withdrawal> {
    match Body::decode(LeafKind::Withdrawal, body) {
        Ok(Body::Withdrawal(withdrawal)) => Some(withdrawal),
        _ => None,
    }
}

/// How much of each of these postings was reversed. Asked after the lock of the member's account, under which every
/// reversal is made. Where an archive stands over one of them, its reversals may be in the file although it is here: in one
/// look at the database either they are, or the archive that took them is.
pub(crate) async fn reversed(
    conn: &mut PgConnection,
    postings: &[PostingKey],
) -> Result<Vec<(PostingKey, i64)>, StoreError> {
    let rows: Vec<(i16, Uuid, Option<i64>, Option<i64>)> = sqlx::query_as(
        "select wanted.program_id, wanted.posting_id, sums.points, under.leaf_index
         from (select distinct * from unnest($1::smallint[], $2::uuid[]) as it (program_id, posting_id)) as wanted
         cross join lateral (
             select sum(abs(entry.available_change + entry.held_change + entry.pending_change))::bigint as points
             from posting
             join entry using (leaf_index)
             join account on account.account_id = entry.account_id and account.kind = 1 and account.secret <> ''
             where posting.program_id = wanted.program_id and posting.reverses = wanted.posting_id
         ) as sums
         left join lateral (
             select original.leaf_index
             from (
                 select leaf_index
                 from posting
                 where posting.posting_id = wanted.posting_id and posting.program_id = wanted.program_id
                 union all
                 select leaf_index
                 from archived_posting
                 where archived_posting.posting_id = wanted.posting_id
                     and archived_posting.program_id = wanted.program_id
             ) as original
             where exists (
                 select from archive where restored_at is null and end_leaf_index > original.leaf_index
             )
             limit 1
         ) as under on true",
    )
    .bind(postings.iter().map(|it| it.0).collect::<Vec<_>>())
    .bind(postings.iter().map(|it| it.1).collect::<Vec<_>>())
    .fetch_all(&mut *conn)
    .await?;
    if let Some(leaf_index) = rows.iter().find_map(|it| it.3) {
        archived::demand_since(conn, leaf_index).await?;
        // It was restored just now: asked again, it is seen whole.
        return Err(StoreError::Overtaken);
    }
    Ok(rows.into_iter().filter_map(|it| Some(((it.0, it.1), it.2?))).collect())
}
