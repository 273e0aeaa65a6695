//! Leaves that are no postings: what the log says of itself.

use std::ops::Range;

use proof::{Body, Hash, KeyHistory, LeafKind, OpenedLeaf, VerifierKey};
use sqlx::{Connection, FromRow, PgConnection, Postgres, Transaction};
use uuid::Uuid;

use crate::error::StoreError;
use crate::log_head::{self, LogIdentity};

#[derive(FromRow)]
struct DeclarationRow {
    leaf_index: i64,
    kind: i16,
    declaration_id: Uuid,
    recorded_at: i64,
    body: Vec<u8>,
}

/// Appends these bodies to the log, one after the other, all or none. Answers the first one's leaf index, once the
/// database holds them.
pub async fn append_declarations(
    conn: &mut PgConnection,
    log: &LogIdentity,
    bodies: Vec<Body>,
) -> Result<u64, StoreError> {
    let mut transaction = conn.begin().await?;
    let first = append(&mut transaction, log, bodies).await?;
    commit(transaction).await?;
    Ok(first)
}

async fn commit(mut transaction: Transaction<'_, Postgres>) -> Result<(), StoreError> {
    // A wait for a standby that a time limit ends would be answered as durable where it is not.
    sqlx::query("set local statement_timeout = 0").execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// Begins the log with this body: it is its first leaf, or nothing.
pub async fn begin_log(conn: &mut PgConnection, log: &LogIdentity, body: Body) -> Result<(), StoreError> {
    let mut transaction = conn.begin().await?;
    if append(&mut transaction, log, vec![body]).await? != 0 {
        return Err(StoreError::Missing("the log has begun already".to_owned()));
    }
    commit(transaction).await
}

/// The same within the caller's transaction, which holds the log's head from here on.
pub(crate) async fn append(
    conn: &mut PgConnection,
    log: &LogIdentity,
    bodies: Vec<Body>,
) -> Result<u64, StoreError> {
    let (head, clock_us, _) = log_head::lock(conn, &log.log_id).await?;
    let now_us = clock_us.max(head.recorded_at);
    let count = bodies.len() as i64;
    let (mut kinds, mut ids, mut encoded) = (Vec::new(), Vec::new(), Vec::new());
    let (mut leaves, mut parts) = (Vec::new(), [const { Vec::new() }; 3]);
    for body in bodies {
        let id = Uuid::now_v7();
        kinds.push(body.kind() as i16);
        ids.push(id);
        encoded.push(body.encode());
        let commitments = proof::declaration(log.log_id, id.into_bytes(), now_us, body).commitments();
        leaves.push(commitments.commitment().to_vec());
        let body = commitments.body.expect("a declaration has a body");
        for (column, commitment) in parts.iter_mut().zip([commitments.header, commitments.details, body]) {
            column.push(commitment.to_vec());
        }
    }
    let [headers, details, bodies] = parts;
    sqlx::query(
        "with told as (
             select $1 + ordinal - 1 as leaf_index, kind, declaration_id, body, commitment, header, details, body_commitment
             from unnest($3::smallint[], $4::uuid[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[], $9::bytea[])
                 with ordinality
                 as told (kind, declaration_id, body, commitment, header, details, body_commitment, ordinal)
         ), leaves as (
             insert into leaf (leaf_index, kind, commitment)
             select leaf_index, kind, commitment
             from told
         ), declarations as (
             insert into declaration (
                 leaf_index, declaration_id, recorded_at, body, header_commitment, details_commitment, body_commitment
             )
             select leaf_index, declaration_id, $2, body, header, details, body_commitment
             from told
         )
         update log_head
         set size = size + $10, recorded_at = $2
         where log_id = $11",
    )
    .bind(head.size)
    .bind(now_us)
    .bind(kinds)
    .bind(ids)
    .bind(encoded)
    .bind(leaves)
    .bind(headers)
    .bind(details)
    .bind(bodies)
    .bind(count)
    .bind(&log.log_id[..])
    .execute(conn)
    .await?;
    Ok(head.size as u64)
}

/// The declaration at this leaf, with every part opened; `None` where the leaf is a posting.
pub async fn declaration_at(
    conn: &mut PgConnection,
    log: &LogIdentity,
    leaf_index: u64,
) -> Result<Option<OpenedLeaf>, StoreError> {
    let found = declarations_between(conn, log, leaf_index, leaf_index + 1).await?;
    Ok(found.into_iter().next().map(|(_, it)| it))
}

/// All declarations of this kind, in the order of the log.
pub async fn declarations_of(
    conn: &mut PgConnection,
    log: &LogIdentity,
    kind: LeafKind,
) -> Result<Vec<(u64, OpenedLeaf)>, StoreError> {
    declarations(conn, log, 0..i64::MAX as u64, Some(&[kind])).await
}

/// What the log that begins with this key has said of its keys.
pub async fn key_history(
    conn: &mut PgConnection,
    log: &LogIdentity,
    first: VerifierKey,
) -> Result<KeyHistory, StoreError> {
    let mut history = KeyHistory::new(first);
    read_keys(conn, log, &mut history, 0..i64::MAX as u64).await?;
    Ok(history)
}

/// Takes in what these leaves say of the log's keys; all before them is known already.
pub async fn read_keys(
    conn: &mut PgConnection,
    log: &LogIdentity,
    history: &mut KeyHistory,
    leaves: Range<u64>,
) -> Result<(), StoreError> {
    // The kinds that `KeyHistory` heeds.
    let kinds = [LeafKind::Key, LeafKind::Orphan];
    for (leaf_index, leaf) in declarations(conn, log, leaves, Some(&kinds)).await? {
        history.read(leaf_index, &leaf);
    }
    Ok(())
}

/// The declarations of these leaves, in the order of the log.
pub async fn declarations_between(
    conn: &mut PgConnection,
    log: &LogIdentity,
    begin: u64,
    end: u64,
) -> Result<Vec<(u64, OpenedLeaf)>, StoreError> {
    declarations(conn, log, begin..end, None).await
}

async fn declarations(
    conn: &mut PgConnection,
    log: &LogIdentity,
    leaves: Range<u64>,
    kinds: Option<&[LeafKind]>,
) -> Result<Vec<(u64, OpenedLeaf)>, StoreError> {
    let kinds: Option<Vec<i16>> = kinds.map(|it| it.iter().map(|kind| *kind as i16).collect());
    let rows: Vec<DeclarationRow> = sqlx::query_as(
        "select leaf_index, leaf.kind, declaration_id, declaration.recorded_at, declaration.body
         from declaration
         join leaf using (leaf_index)
         where leaf_index >= $1
             and leaf_index < $2
             and ($3::smallint[] is null or leaf.kind = any($3))
         order by leaf_index",
    )
    .bind(leaves.start as i64)
    .bind(leaves.end as i64)
    .bind(kinds)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|it| it.open(log.log_id)).collect()
}

impl DeclarationRow {
    fn open(self, log_id: Hash) -> Result<(u64, OpenedLeaf), StoreError> {
        let damaged = |problem: &str| {
            StoreError::Damaged(format!("leaf {}: its declaration: {problem}", self.leaf_index))
        };
        let kind = u8::try_from(self.kind).ok().and_then(LeafKind::from_u8);
        let kind = kind.filter(|it| Body::is_public(*it)).ok_or_else(|| damaged("its leaf is a posting"))?;
        let body = Body::decode(kind, &self.body).map_err(|error| damaged(error.0))?;
        let opened = proof::declaration(log_id, self.declaration_id.into_bytes(), self.recorded_at, body);
        Ok((self.leaf_index as u64, opened))
    }
}
