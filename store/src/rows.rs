//! The rows of one batch, column by column, written by one statement.

use ledger::{Fingerprint, Outcome, Request};
use proof::{Commitments, Details, Entry, Hash, Header, LeafKind, NO_LEAF};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::StoreError;

/// Everything that a batch writes.
#[derive(Default)]
pub(crate) struct Rows {
    leaves: Leaves,
    postings: Postings,
    entries: Entries,
    events: Events,
    outcomes: Outcomes,
}

#[derive(Default)]
struct Leaves {
    leaf_index: Vec<i64>,
    kind: Vec<i16>,
    commitment: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Postings {
    leaf_index: Vec<i64>,
    posting_id: Vec<Uuid>,
    program_id: Vec<i16>,
    kind: Vec<i16>,
    recorded_at: Vec<i64>,
    effective_at: Vec<i64>,
    rule_set_hash: Vec<Option<Vec<u8>>>,
    event_hash: Vec<Option<Vec<u8>>>,
    merchant_reference: Vec<Option<String>>,
    actor: Vec<Option<String>>,
    reason: Vec<Option<String>>,
    description: Vec<Option<String>>,
    rate: Vec<Option<String>>,
    header_commitment: Vec<Vec<u8>>,
    details_commitment: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Entries {
    leaf_index: Vec<i64>,
    ordinal: Vec<i16>,
    account_id: Vec<i64>,
    sequence: Vec<i64>,
    available_change: Vec<i64>,
    held_change: Vec<i64>,
    pending_change: Vec<i64>,
    available_after: Vec<i64>,
    held_after: Vec<i64>,
    pending_after: Vec<i64>,
    lots_digest: Vec<Option<Vec<u8>>>,
    previous_leaf_index: Vec<Option<i64>>,
    previous_commitment: Vec<Option<Vec<u8>>>,
    commitment: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Events {
    leaf_index: Vec<i64>,
    payload: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Outcomes {
    program_id: Vec<i16>,
    source: Vec<String>,
    key: Vec<String>,
    fingerprint: Vec<Vec<u8>>,
    posting_id: Vec<Option<Uuid>>,
    leaf_index: Vec<Option<i64>>,
    refusal: Vec<Option<i16>>,
    points: Vec<i64>,
    available: Vec<i64>,
    recorded_at: Vec<i64>,
}

fn unless_zeros(hash: &Hash) -> Option<Vec<u8>> {
    (*hash != Hash::default()).then(|| hash.to_vec())
}

impl Rows {
    pub(crate) fn leaf(&mut self, leaf_index: u64, kind: LeafKind, commitment: &Hash) {
        self.leaves.leaf_index.push(leaf_index as i64);
        self.leaves.kind.push(kind as i16);
        self.leaves.commitment.push(commitment.to_vec());
    }

    pub(crate) fn posting(
        &mut self,
        leaf_index: u64,
        program_id: i16,
        header: &Header,
        details: &Details,
        commitments: &Commitments,
    ) {
        let text = |text: &Option<proof::Text>| text.as_ref().map(|it| it.as_str().to_owned());
        let rows = &mut self.postings;
        rows.leaf_index.push(leaf_index as i64);
        rows.posting_id.push(Uuid::from_bytes(header.posting_id));
        rows.program_id.push(program_id);
        rows.kind.push(i16::from(header.posting_kind.0));
        rows.recorded_at.push(header.recorded_at_us);
        rows.effective_at.push(header.effective_at_us);
        rows.rule_set_hash.push(unless_zeros(&header.rule_set_hash));
        rows.event_hash.push(unless_zeros(&header.event_hash));
        rows.merchant_reference.push(text(&details.merchant_reference));
        rows.actor.push(text(&details.actor));
        rows.reason.push(text(&details.reason));
        rows.description.push(text(&details.description));
        rows.rate.push(text(&details.rate));
        rows.header_commitment.push(commitments.header.to_vec());
        rows.details_commitment.push(commitments.details.to_vec());
    }

    pub(crate) fn entry(
        &mut self,
        leaf_index: u64,
        ordinal: usize,
        account_id: i64,
        entry: &Entry,
        commitment: &Hash,
    ) {
        let rows = &mut self.entries;
        rows.leaf_index.push(leaf_index as i64);
        rows.ordinal.push(ordinal as i16);
        rows.account_id.push(account_id);
        rows.sequence.push(entry.sequence as i64);
        rows.available_change.push(entry.change.available);
        rows.held_change.push(entry.change.held);
        rows.pending_change.push(entry.change.pending);
        rows.available_after.push(entry.after.available);
        rows.held_after.push(entry.after.held);
        rows.pending_after.push(entry.after.pending);
        rows.lots_digest.push(unless_zeros(&entry.lots_digest));
        let previous = entry.previous_leaf_index;
        rows.previous_leaf_index.push((previous != NO_LEAF).then_some(previous as i64));
        rows.previous_commitment.push(unless_zeros(&entry.previous_commitment));
        rows.commitment.push(commitment.to_vec());
    }

    pub(crate) fn event(&mut self, leaf_index: u64, payload: &[u8]) {
        self.events.leaf_index.push(leaf_index as i64);
        self.events.payload.push(payload.to_vec());
    }

    /// Keeps the outcome with its key, unless it is one that is decided anew each time; tells whether it was kept.
    pub(crate) fn remember(
        &mut self,
        request: &Request,
        fingerprint: Fingerprint,
        outcome: Outcome,
        now_us: i64,
    ) -> bool {
        let (posting_id, leaf_index, refusal, points, available) = match outcome {
            Outcome::Accepted { posting_id, leaf_index, points, available } => {
                (Some(posting_id), Some(leaf_index as i64), None, points, available)
            }
            Outcome::Refused(refusal) => match refusal.remembered_as() {
                Some(code) => {
                    let (available, required) = match refusal {
                        ledger::Refusal::InsufficientBalance { available, required } => (available, required),
                        _ => (0, 0),
                    };
                    (None, None, Some(code as i16), required, available)
                }
                None => return false,
            },
        };
        let rows = &mut self.outcomes;
        rows.program_id.push(request.program);
        rows.source.push(request.source.clone());
        rows.key.push(request.key.clone());
        rows.fingerprint.push(fingerprint.to_vec());
        rows.posting_id.push(posting_id);
        rows.leaf_index.push(leaf_index);
        rows.refusal.push(refusal);
        rows.points.push(points);
        rows.available.push(available);
        rows.recorded_at.push(now_us);
        true
    }

    /// Writes all rows. The caller holds the log's head, and commits.
    pub(crate) async fn write(
        self,
        conn: &mut PgConnection,
        log_id: &Hash,
        now_us: i64,
    ) -> Result<(), StoreError> {
        if self.outcomes.key.is_empty() {
            return Ok(());
        }
        let Self { leaves, postings, entries, events, outcomes } = self;
        let posted = leaves.leaf_index.len() as i64;
        sqlx::query(WRITE)
            .bind(leaves.leaf_index)
            .bind(leaves.kind)
            .bind(leaves.commitment)
            .bind(postings.leaf_index)
            .bind(postings.posting_id)
            .bind(postings.program_id)
            .bind(postings.kind)
            .bind(postings.recorded_at)
            .bind(postings.effective_at)
            .bind(postings.rule_set_hash)
            .bind(postings.event_hash)
            .bind(postings.merchant_reference)
            .bind(postings.actor)
            .bind(postings.reason)
            .bind(postings.description)
            .bind(postings.rate)
            .bind(postings.header_commitment)
            .bind(postings.details_commitment)
            .bind(entries.leaf_index)
            .bind(entries.ordinal)
            .bind(entries.account_id)
            .bind(entries.sequence)
            .bind(entries.available_change)
            .bind(entries.held_change)
            .bind(entries.pending_change)
            .bind(entries.available_after)
            .bind(entries.held_after)
            .bind(entries.pending_after)
            .bind(entries.lots_digest)
            .bind(entries.previous_leaf_index)
            .bind(entries.previous_commitment)
            .bind(entries.commitment)
            .bind(events.leaf_index)
            .bind(events.payload)
            .bind(outcomes.program_id)
            .bind(outcomes.source)
            .bind(outcomes.key)
            .bind(outcomes.fingerprint)
            .bind(outcomes.posting_id)
            .bind(outcomes.leaf_index)
            .bind(outcomes.refusal)
            .bind(outcomes.points)
            .bind(outcomes.available)
            .bind(outcomes.recorded_at)
            .bind(&log_id[..])
            .bind(posted)
            .bind(now_us)
            .execute(conn)
            .await?;
        Ok(())
    }
}

/// One statement for the whole batch, because PostgreSQL's cost is per statement, not per row.
const WRITE: &str = "
with leaves as (
    insert into leaf (leaf_index, kind, commitment)
    select *
    from unnest($1::bigint[], $2::smallint[], $3::bytea[])
), postings as (
    insert into posting (
        leaf_index, posting_id, program_id, kind, recorded_at, effective_at, rule_set_hash, event_hash,
        merchant_reference, actor, reason, description, rate, header_commitment, details_commitment
    )
    select *
    from unnest(
        $4::bigint[], $5::uuid[], $6::smallint[], $7::smallint[], $8::bigint[], $9::bigint[], $10::bytea[], $11::bytea[],
        $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::bytea[], $18::bytea[]
    )
), written as (
    select *
    from unnest(
        $19::bigint[], $20::smallint[], $21::bigint[], $22::bigint[], $23::bigint[], $24::bigint[], $25::bigint[],
        $26::bigint[], $27::bigint[], $28::bigint[], $29::bytea[], $30::bigint[], $31::bytea[], $32::bytea[]
    ) as written (
        leaf_index, ordinal, account_id, sequence, available_change, held_change, pending_change,
        available_after, held_after, pending_after, lots_digest, previous_leaf_index, previous_commitment, commitment
    )
), entries as (
    insert into entry (
        leaf_index, ordinal, account_id, sequence, available_change, held_change, pending_change,
        available_after, held_after, pending_after, lots_digest, previous_leaf_index, previous_commitment, commitment
    )
    select *
    from written
), last as (
    -- An account may have many entries in a batch: its balance is what the last of them came to.
    select distinct on (account_id) *
    from written
    order by account_id, sequence desc
), balances as (
    update balance
    set sequence = last.sequence,
        available = last.available_after,
        held = last.held_after,
        pending = last.pending_after,
        last_leaf_index = last.leaf_index,
        last_commitment = last.commitment
    from last
    where balance.account_id = last.account_id
), events as (
    insert into event (leaf_index, payload)
    select *
    from unnest($33::bigint[], $34::bytea[])
), outcomes as (
    insert into outcome (
        program_id, source, key, fingerprint, posting_id, leaf_index, refusal, points, available, recorded_at
    )
    select *
    from unnest(
        $35::smallint[], $36::text[], $37::text[], $38::bytea[], $39::uuid[], $40::bigint[], $41::smallint[],
        $42::bigint[], $43::bigint[], $44::bigint[]
    )
)
update log_head
set size = size + $46, recorded_at = $47
where log_id = $45
";
