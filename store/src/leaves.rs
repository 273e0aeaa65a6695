//! Leaves in order, with the stored commitments of their parts: what a seal re-hashes before it signs.

use proof::{Commitments, Hash, LeafKind};
use sqlx::{FromRow, PgConnection};

use crate::error::StoreError;

/// A leaf as the database has it. Nothing in it has been checked against anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLeaf {
    /// Its place in the log.
    pub leaf_index: u64,
    /// What it records.
    pub kind: LeafKind,
    /// The commitment that was promised to the caller.
    pub commitment: Hash,
    /// The commitments of its parts; none of a leaf that was lost and taken back as it was published, or whose posting is archived.
    pub parts: Option<Commitments>,
}

#[derive(FromRow)]
struct LeafRow {
    leaf_index: i64,
    kind: i16,
    commitment: Vec<u8>,
    header_commitment: Option<Vec<u8>>,
    details_commitment: Option<Vec<u8>>,
    body_commitment: Option<Vec<u8>>,
    is_alone: bool,
}

/// The leaves from this index on, in order and without holes, at most so many.
///
/// Leaves, postings and entries are committed together and never change, so reading them one after the other shows
/// each leaf whole.
pub async fn leaves(
    conn: &mut PgConnection,
    first_leaf_index: u64,
    limit: u32,
) -> Result<Vec<StoredLeaf>, StoreError> {
    let rows: Vec<LeafRow> = sqlx::query_as(
        "select leaf_index, leaf.kind, leaf.commitment,
             coalesce(posting.header_commitment, declaration.header_commitment) as header_commitment,
             coalesce(posting.details_commitment, declaration.details_commitment) as details_commitment,
             coalesce(posting.body_commitment, declaration.body_commitment) as body_commitment,
             lost_leaf.leaf_index is not null or archived.leaf_index is not null as is_alone
         from leaf
         left join posting using (leaf_index)
         left join declaration using (leaf_index)
         left join lost_leaf using (leaf_index)
         left join (
             select leaf_index from archived_posting where leaf_index >= $1 and leaf_index < $1 + $2
         ) as archived using (leaf_index)
         where leaf_index >= $1 and leaf_index < $1 + $2
         order by leaf_index",
    )
    .bind(first_leaf_index as i64)
    .bind(i64::from(limit))
    .fetch_all(&mut *conn)
    .await?;
    let mut entries = entry_commitments(conn, first_leaf_index, rows.len()).await?.into_iter().peekable();
    let mut leaves = Vec::with_capacity(rows.len());
    for (leaf_index, row) in (first_leaf_index..).zip(rows) {
        let entries =
            std::iter::from_fn(|| entries.next_if(|(it, _)| *it == row.leaf_index)).map(|it| it.1).collect();
        leaves.push(row.read(leaf_index, entries)?);
    }
    match entries.next() {
        Some((leaf_index, _)) => {
            Err(StoreError::Damaged(format!("an entry names leaf {leaf_index}, which is missing")))
        }
        None => Ok(leaves),
    }
}

async fn entry_commitments(
    conn: &mut PgConnection,
    first_leaf_index: u64,
    leaves: usize,
) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    let rows = sqlx::query_as(
        "select leaf_index, commitment
         from entry
         where leaf_index >= $1 and leaf_index < $1 + $2
         order by leaf_index, ordinal",
    )
    .bind(first_leaf_index as i64)
    .bind(leaves as i64)
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

impl LeafRow {
    fn read(self, leaf_index: u64, entries: Vec<Vec<u8>>) -> Result<StoredLeaf, StoreError> {
        if self.leaf_index as u64 != leaf_index {
            return Err(StoreError::Damaged(format!("leaf {leaf_index} is missing")));
        }
        let damaged = |what| StoreError::Damaged(format!("leaf {leaf_index}: {what}"));
        let hash =
            |bytes: Vec<u8>| Hash::try_from(bytes).map_err(|_| damaged("a commitment is not 32 bytes"));
        let kind = u8::try_from(self.kind).ok().and_then(LeafKind::from_u8);
        if usize::from(u8::MAX) < entries.len() {
            return Err(damaged("it has more than 255 entries"));
        }
        let parts = match (self.header_commitment, self.details_commitment) {
            (None, None) if self.is_alone => None,
            (Some(header), Some(details)) => Some(Commitments {
                header: hash(header)?,
                details: hash(details)?,
                body: self.body_commitment.map(hash).transpose()?,
                entries: entries.into_iter().map(hash).collect::<Result<_, _>>()?,
            }),
            _ => return Err(damaged("what it records is missing")),
        };
        Ok(StoredLeaf {
            leaf_index,
            kind: kind.ok_or_else(|| damaged("its kind is unknown"))?,
            commitment: hash(self.commitment)?,
            parts,
        })
    }
}
