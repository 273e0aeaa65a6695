//! Postings as they stand, opened for whoever may see them.

use std::collections::HashMap;

use ledger::{AccountKind, Event, RuleSet};
use proof::{
    Body, Details, Entry, Hash, Header, LeafKind, NO_LEAF, OpenedLeaf, Part, PostingKind, SaltPart, Text,
    salt,
};
use rust_decimal::Decimal;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::accounts::hash;
use crate::amounts::Amounts;
use crate::archived;
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
    /// Whoever checks the program sees the house's entries, and never a member's.
    Auditor,
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
    header_commitment: Vec<u8>,
    details_commitment: Vec<u8>,
    body_commitment: Option<Vec<u8>>,
    body: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    remainder: Option<String>,
    is_erased: bool,
    program: Uuid,
    program_secret: Vec<u8>,
}

#[derive(FromRow)]
struct EntryRow {
    leaf_index: i64,
    id: Uuid,
    kind: i16,
    unit: i16,
    member_id: Option<Uuid>,
    partner_id: Option<String>,
    secret: Vec<u8>,
    sequence: i64,
    #[sqlx(flatten)]
    amounts: Amounts,
    lots: Option<Vec<u8>>,
    previous_leaf_index: Option<i64>,
    previous_commitment: Option<Vec<u8>>,
    commitment: Vec<u8>,
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
    let mut look = archived::look(conn).await?;
    let conn = &mut *look;
    let row: Option<PostingRow> = sqlx::query_as(
        "select posting.*, null::bytea as payload, null::text as remainder,
             exists (select from erased_leaf where erased_leaf.leaf_index = posting.leaf_index) as is_erased,
             program.id as program, program.secret as program_secret
         from posting
         join program using (program_id)
         where posting_id = $1
             and program_id = $2",
    )
    .bind(posting_id)
    .bind(program_id)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else {
        archived::demand_postings(conn, &[(program_id, posting_id)]).await?;
        look.rollback().await?;
        return Ok(None);
    };
    let leaf_index = row.leaf_index as u64;
    let (entries, is_party) = open_entries(conn, keyring, &row, viewer).await?;
    look.rollback().await?;
    Ok(is_party.then(|| open_leaf(keyring, log, row, entries)).transpose()?.map(|leaf| (leaf_index, leaf)))
}

/// The entries of these leaves, in the order of the log.
async fn entry_rows(conn: &mut PgConnection, begin: i64, end: i64) -> Result<Vec<EntryRow>, StoreError> {
    let rows = sqlx::query_as(
        "select account.id, account.kind, account.unit, account.member_id, account.partner_id, account.secret, entry.*
         from entry
         join account using (account_id)
         where entry.leaf_index >= $1
             and entry.leaf_index < $2
         order by entry.leaf_index, entry.ordinal",
    )
    .bind(begin)
    .bind(end)
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

async fn open_entries(
    conn: &mut PgConnection,
    keyring: &Keyring,
    posting: &PostingRow,
    viewer: &Viewer,
) -> Result<(Vec<Part<Entry>>, bool), StoreError> {
    let rows = entry_rows(conn, posting.leaf_index, posting.leaf_index + 1).await?;
    let mut is_party = *viewer == Viewer::Auditor;
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        let is_theirs = match viewer {
            Viewer::Member(id) => row.member_id == Some(*id),
            Viewer::Auditor => row.kind != AccountKind::Member as i16,
            Viewer::Partner(id) => {
                row.kind == AccountKind::Settlement as i16 && row.partner_id.as_deref() == Some(id.as_str())
            }
        };
        is_party |= is_theirs;
        entries.push(match is_theirs {
            true => open_entry(keyring, posting, row)?,
            false => Part::Closed(hash(&row.commitment)?),
        });
    }
    Ok((entries, is_party))
}

/// The entry, opened, but where its account was erased.
fn open_entry(keyring: &Keyring, posting: &PostingRow, row: EntryRow) -> Result<Part<Entry>, StoreError> {
    if row.secret.is_empty() {
        return Ok(Part::Closed(hash(&row.commitment)?));
    }
    let secret = keyring.open(row.id, &row.secret)?;
    let salt = salt(&secret, &posting.posting_id.into_bytes(), SaltPart::Entry);
    Ok(Part::Opened { salt, value: entry(row)? })
}

/// Recomputes every commitment of the postings of these leaves from what the rows say and the secrets, and what each
/// event earned by the rules that its posting names; tells the first that is not what was logged.
pub(crate) async fn check_openings(
    conn: &mut PgConnection,
    keyring: &Keyring,
    log: &LogIdentity,
    rules: &HashMap<Hash, RuleSet>,
    begin: i64,
    end: i64,
) -> Result<(), StoreError> {
    let postings: Vec<PostingRow> = sqlx::query_as(
        "select posting.*, coalesce(event.payload, act.document) as payload, event.remainder,
             exists (select from erased_leaf where erased_leaf.leaf_index = posting.leaf_index) as is_erased,
             program.id as program, program.secret as program_secret
         from posting
         join program using (program_id)
         left join event using (leaf_index)
         left join act using (leaf_index)
         where leaf_index >= $1
             and leaf_index < $2
         order by leaf_index",
    )
    .bind(begin)
    .bind(end)
    .fetch_all(&mut *conn)
    .await?;
    let mut rows = entry_rows(conn, begin, end).await?.into_iter().peekable();
    for posting in postings {
        let leaf_index = posting.leaf_index;
        let damaged = |what: &str| {
            StoreError::Damaged(format!(
                "leaf {leaf_index}: what the rows say of its {what} is not what was logged"
            ))
        };
        let logged = [hash(&posting.header_commitment)?, hash(&posting.details_commitment)?];
        let logged_body = posting.body_commitment.as_deref().map(hash).transpose()?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next_if(|it| it.leaf_index == leaf_index) {
            let commitment = hash(&row.commitment)?;
            let part = open_entry(keyring, &posting, row)?;
            if part.commitment() != commitment {
                return Err(damaged("entries"));
            }
            entries.push(part);
        }
        if !posting.is_erased {
            check_event(keyring, &posting).map_err(|_| damaged("event"))?;
        }
        let earning = check_earning(&posting, &entries, rules);
        let opened = open_leaf(keyring, log, posting, entries)?.commitments();
        if opened.header != logged[0] {
            return Err(damaged("header"));
        }
        if opened.details != logged[1] {
            return Err(damaged("details"));
        }
        if opened.body != logged_body {
            return Err(damaged("body"));
        }
        earning.map_err(|_| damaged("earning"))?;
    }
    Ok(())
}

/// What an event earned is what the rule set that the posting names gives for it.
fn check_earning(
    posting: &PostingRow,
    entries: &[Part<Entry>],
    rules: &HashMap<Hash, RuleSet>,
) -> Result<(), StoreError> {
    let wrong = || StoreError::Damaged(String::new());
    let Some(payload) = &posting.payload else { return Ok(()) };
    if posting.kind == i16::from(PostingKind::ACT.0) {
        return Ok(());
    }
    let event = Event::parse(payload).map_err(|_| wrong())?;
    let rule_set = rules.get(&optional_hash(posting.rule_set_hash.clone())?).ok_or_else(wrong)?;
    let earning = rule_set.earn(&event).map_err(|_| wrong())?;
    let kept = posting.remainder.as_deref().map_or(Ok(Decimal::ZERO), Decimal::from_str_exact);
    if kept != Ok(earning.remainder) {
        return Err(wrong());
    }
    let points = earning.points.get();
    let gained =
        entries.iter().filter_map(Part::opened).map(|it| it.change.available + it.change.pending).max();
    if gained == Some(points) { Ok(()) } else { Err(wrong()) }
}

/// The event's bytes that are kept are those that the header names.
fn check_event(keyring: &Keyring, posting: &PostingRow) -> Result<(), StoreError> {
    let secret = keyring.open(posting.program, &posting.program_secret)?;
    let salt = salt(&secret, &posting.posting_id.into_bytes(), SaltPart::Event);
    let kept = posting.payload.as_ref().map(|it| proof::event_hash(&salt, it).to_vec());
    if kept == posting.event_hash { Ok(()) } else { Err(StoreError::Damaged(String::new())) }
}

fn entry(row: EntryRow) -> Result<Entry, StoreError> {
    Ok(Entry {
        account: row.id.into_bytes(),
        unit: row.unit as u16,
        sequence: row.sequence as u64,
        change: row.amounts.change(),
        after: row.amounts.after(),
        lots_digest: proof::lots_digest(&row.lots.unwrap_or_default()),
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
    let details = match row.is_erased {
        true => Part::Closed(hash(&row.details_commitment)?),
        false => Part::Opened {
            salt: salt(&secret, &posting_id, SaltPart::Details),
            value: Details {
                merchant_reference: text(row.merchant_reference)?,
                actor: text(row.actor)?,
                reason: text(row.reason)?,
                description: text(row.description)?,
                rate: text(row.rate)?,
            },
        },
    };
    let body = row.body.map(|it| Body::decode(LeafKind::Withdrawal, &it));
    let body = body.transpose().map_err(|error| StoreError::Damaged(error.to_string()))?;
    Ok(OpenedLeaf {
        kind: if body.is_some() { LeafKind::Withdrawal } else { LeafKind::Posting },
        log_id: log.log_id,
        header: Part::Opened { salt: salt(&secret, &posting_id, SaltPart::Header), value: header },
        details,
        body: body.map(|value| Part::Opened { salt: salt(&secret, &posting_id, SaltPart::Body), value }),
        entries,
        hints: Vec::new(),
    })
}
