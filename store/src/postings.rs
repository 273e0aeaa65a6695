//! Postings as they stand, opened for whoever may see them.

use ledger::AccountKind;
use proof::{
    Balances, Details, Entry, Header, LeafKind, NO_LEAF, OpenedLeaf, Part, PostingKind, SaltPart, Text, salt,
};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::accounts::hash;
use crate::error::StoreError;
use crate::keyring::Keyring;
use crate::log_head::LogIdentity;

/// On whose behalf a posting is opened: it decides which entry they see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// A member sees their own entry.
    Member(Uuid),
    /// A partner sees its settlement entry.
    Partner(String),
}

#[derive(FromRow)]
struct PostingRow {
    leaf_index: i64,
    posting_id: Uuid,
    kind: i16,
    recorded_at: i64,
    effective_at: i64,
    rule_set_hash: Option<Vec<u8>>,
    event_hash: Option<Vec<u8>>,
    reverses: Option<Uuid>,
    merchant_reference: Option<String>,
    actor: Option<String>,
    reason: Option<String>,
    description: Option<String>,
    rate: Option<String>,
    program: Uuid,
    program_secret: Vec<u8>,
}

#[derive(FromRow)]
struct EntryRow {
    id: Uuid,
    kind: i16,
    unit: i16,
    member_id: Option<Uuid>,
    partner_id: Option<String>,
    secret: Vec<u8>,
    sequence: i64,
    available_change: i64,
    held_change: i64,
    pending_change: i64,
    available_after: i64,
    held_after: i64,
    pending_after: i64,
    lots_digest: Option<Vec<u8>>,
    previous_leaf_index: Option<i64>,
    previous_commitment: Option<Vec<u8>>,
    commitment: Vec<u8>,
}

/// The leaf index of this posting of the program.
pub async fn leaf_index_of(
    conn: &mut PgConnection,
    program_id: i16,
    posting_id: Uuid,
) -> Result<Option<u64>, StoreError> {
    let index: Option<i64> =
        sqlx::query_scalar("select leaf_index from posting where posting_id = $1 and program_id = $2")
            .bind(posting_id)
            .bind(program_id)
            .fetch_optional(conn)
            .await?;
    Ok(index.map(|it| it as u64))
}

/// The posting's leaf with header, details and the viewer's own entry opened; `None` where there is no such posting of
/// the program, or the viewer has no entry in it: to them it does not exist.
pub async fn opened_posting(
    conn: &mut PgConnection,
    keyring: &Keyring,
    log: &LogIdentity,
    program_id: i16,
    posting_id: Uuid,
    viewer: &Viewer,
) -> Result<Option<(u64, OpenedLeaf)>, StoreError> {
    let row: Option<PostingRow> = sqlx::query_as(
        "select posting.*, program.id as program, program.secret as program_secret
         from posting
         join program using (program_id)
         where posting_id = $1
             and program_id = $2",
    )
    .bind(posting_id)
    .bind(program_id)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let leaf_index = row.leaf_index as u64;
    let (entries, is_party) = open_entries(conn, keyring, &row, viewer).await?;
    Ok(is_party.then(|| open_leaf(keyring, log, row, entries)).transpose()?.map(|leaf| (leaf_index, leaf)))
}

async fn open_entries(
    conn: &mut PgConnection,
    keyring: &Keyring,
    posting: &PostingRow,
    viewer: &Viewer,
) -> Result<(Vec<Part<Entry>>, bool), StoreError> {
    let rows: Vec<EntryRow> = sqlx::query_as(
        "select account.id, account.kind, account.unit, account.member_id, account.partner_id, account.secret, entry.*
         from entry
         join account using (account_id)
         where entry.leaf_index = $1
         order by entry.ordinal",
    )
    .bind(posting.leaf_index)
    .fetch_all(conn)
    .await?;
    let mut is_party = false;
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        let is_theirs = match viewer {
            Viewer::Member(id) => row.member_id == Some(*id),
            Viewer::Partner(id) => {
                row.kind == AccountKind::Settlement as i16 && row.partner_id.as_deref() == Some(id.as_str())
            }
        };
        if !is_theirs {
            entries.push(Part::Closed(hash(&row.commitment)?));
            continue;
        }
        is_party = true;
        let secret = keyring.open(row.id, &row.secret)?;
        let salt = salt(&secret, &posting.posting_id.into_bytes(), SaltPart::Entry);
        entries.push(Part::Opened { salt, value: entry(row)? });
    }
    Ok((entries, is_party))
}

fn entry(row: EntryRow) -> Result<Entry, StoreError> {
    Ok(Entry {
        account: row.id.into_bytes(),
        unit: row.unit as u16,
        sequence: row.sequence as u64,
        change: Balances {
            available: row.available_change,
            held: row.held_change,
            pending: row.pending_change,
        },
        after: Balances { available: row.available_after, held: row.held_after, pending: row.pending_after },
        lots_digest: optional_hash(row.lots_digest)?,
        previous_leaf_index: row.previous_leaf_index.map_or(NO_LEAF, |it| it as u64),
        previous_commitment: optional_hash(row.previous_commitment)?,
    })
}

fn optional_hash(bytes: Option<Vec<u8>>) -> Result<proof::Hash, StoreError> {
    bytes.map_or(Ok(proof::Hash::default()), |it| hash(&it))
}

fn text(text: Option<String>) -> Result<Option<Text>, StoreError> {
    text.map(|it| Text::new(it).map_err(|error| StoreError::Damaged(error.to_string()))).transpose()
}

fn open_leaf(
    keyring: &Keyring,
    log: &LogIdentity,
    row: PostingRow,
    entries: Vec<Part<Entry>>,
) -> Result<OpenedLeaf, StoreError> {
    let secret = keyring.open(row.program, &row.program_secret)?;
    let posting_id = row.posting_id.into_bytes();
    let header = Header {
        posting_id,
        posting_kind: PostingKind(row.kind as u8),
        program: row.program.into_bytes(),
        recorded_at_us: row.recorded_at,
        effective_at_us: row.effective_at,
        rule_set_hash: optional_hash(row.rule_set_hash)?,
        event_hash: optional_hash(row.event_hash)?,
        reverses: row.reverses.unwrap_or_default().into_bytes(),
    };
    let details = Details {
        merchant_reference: text(row.merchant_reference)?,
        actor: text(row.actor)?,
        reason: text(row.reason)?,
        description: text(row.description)?,
        rate: text(row.rate)?,
    };
    Ok(OpenedLeaf {
        kind: LeafKind::Posting,
        log_id: log.log_id,
        header: Part::Opened { salt: salt(&secret, &posting_id, SaltPart::Header), value: header },
        details: Part::Opened { salt: salt(&secret, &posting_id, SaltPart::Details), value: details },
        body: None,
        entries,
        hints: Vec::new(),
    })
}
