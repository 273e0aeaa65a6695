//! The rows of one batch, column by column, written by one statement.

use std::collections::HashMap;

use ledger::{Account, Fingerprint, Posting, Refused, Request, Reservation};
use proof::{Body, Commitments, Details, Entry, Hash, Header, LeafKind, NO_LEAF};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::StoreError;
use crate::lots::{self, LotRows};
use crate::outcomes::{self, Accepted, ItemRow};

/// Everything that a batch writes.
#[derive(Default)]
pub(crate) struct Rows {
    leaves: Leaves,
    postings: Postings,
    entries: Entries,
    balances: BalanceColumns,
    events: Events,
    outcomes: Outcomes,
    pub(crate) lots: LotRows,
    /// The reservations that changed: with the numbers of their accounts and houses, or none where they are over.
    pub(crate) reservations: HashMap<Uuid, Option<(i64, i64, Reservation)>>,
}

/// An account's state, column by column.
#[derive(Default)]
struct BalanceColumns {
    account_id: Vec<i64>,
    sequence: Vec<i64>,
    available: Vec<i64>,
    held: Vec<i64>,
    pending: Vec<i64>,
    last_leaf_index: Vec<Option<i64>>,
    last_commitment: Vec<Option<Vec<u8>>>,
    status: Vec<i16>,
    active_day: Vec<i32>,
    used_day: Vec<i32>,
    /// Earned, redeemed and transferred: of the day and of the month each.
    tallies: [[Vec<i64>; 2]; 3],
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
    reverses: Vec<Option<Uuid>>,
    merchant_reference: Vec<Option<String>>,
    actor: Vec<Option<String>>,
    reason: Vec<Option<String>>,
    description: Vec<Option<String>>,
    rate: Vec<Option<String>>,
    header_commitment: Vec<Vec<u8>>,
    details_commitment: Vec<Vec<u8>>,
    body: Vec<Option<Vec<u8>>>,
    body_commitment: Vec<Option<Vec<u8>>>,
    follows: Vec<Option<Uuid>>,
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
    lots: Vec<Option<Vec<u8>>>,
    previous_leaf_index: Vec<Option<i64>>,
    previous_commitment: Vec<Option<Vec<u8>>>,
    commitment: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Events {
    leaf_index: Vec<i64>,
    payload: Vec<Vec<u8>>,
    remainder: Vec<Option<String>>,
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
    account_id: Vec<Option<i64>>,
    rest: Vec<Option<Vec<u8>>>,
    item: Vec<i16>,
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
        posting: &Posting,
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
        rows.reverses.push(posting.reverses);
        rows.merchant_reference.push(text(&details.merchant_reference));
        rows.actor.push(text(&details.actor));
        rows.reason.push(text(&details.reason));
        rows.description.push(text(&details.description));
        rows.rate.push(text(&details.rate));
        rows.header_commitment.push(commitments.header.to_vec());
        rows.details_commitment.push(commitments.details.to_vec());
        let body = posting.withdrawal.clone().map(Body::Withdrawal);
        rows.body.push(body.map(|it| it.encode()));
        rows.body_commitment.push(commitments.body.map(|it| it.to_vec()));
        rows.follows.push(posting.follows);
    }

    pub(crate) fn entry(
        &mut self,
        leaf_index: u64,
        ordinal: usize,
        account_id: i64,
        entry: &Entry,
        lots: Vec<u8>,
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
        rows.lots.push((!lots.is_empty()).then_some(lots));
        let previous = entry.previous_leaf_index;
        rows.previous_leaf_index.push((previous != NO_LEAF).then_some(previous as i64));
        rows.previous_commitment.push(unless_zeros(&entry.previous_commitment));
        rows.commitment.push(commitment.to_vec());
    }

    /// An account's state as it stands after the batch.
    pub(crate) fn balance(&mut self, account_id: i64, account: &Account, last: Option<&(u64, Hash)>) {
        let rows = &mut self.balances;
        rows.account_id.push(account_id);
        rows.sequence.push(account.sequence as i64);
        rows.available.push(account.balances.available);
        rows.held.push(account.balances.held);
        rows.pending.push(account.balances.pending);
        rows.last_leaf_index.push(last.map(|it| it.0 as i64));
        rows.last_commitment.push(last.map(|it| it.1.to_vec()));
        rows.status.push(account.status as i16);
        rows.active_day.push(account.active_day.number());
        rows.used_day.push(account.used.day.number());
        for (columns, tally) in rows.tallies.iter_mut().zip(account.used.tallies) {
            columns[0].push(tally.day);
            columns[1].push(tally.month);
        }
    }

    pub(crate) fn event(&mut self, leaf_index: u64, payload: &[u8], remainder: &Decimal) {
        self.events.leaf_index.push(leaf_index as i64);
        self.events.payload.push(payload.to_vec());
        self.events.remainder.push((!remainder.is_zero()).then(|| remainder.to_string()));
    }

    /// Keeps the outcome with its key.
    pub(crate) fn remember(
        &mut self,
        request: &Request,
        fingerprint: &Fingerprint,
        outcome: &Result<Vec<Accepted>, Refused>,
        now_us: i64,
        number: impl Fn(&Accepted) -> i64,
    ) {
        let rows = &mut self.outcomes;
        rows.program_id.push(request.program);
        rows.source.push(request.source.clone());
        rows.key.push(request.key.clone());
        rows.fingerprint.push(fingerprint.0.to_vec());
        rows.recorded_at.push(now_us);
        let first = outcome.as_ref().ok().and_then(|it| it.first());
        let refused = outcome.as_ref().err();
        let refusal = refused.and_then(|it| it.refusal.row());
        rows.posting_id.push(first.map(|it| it.posting_id));
        rows.leaf_index.push(first.map(|it| it.leaf_index as i64));
        rows.account_id.push(first.map(&number));
        rows.refusal.push(refusal.map(|it| it.code));
        rows.points.push(first.map(|it| it.points).or(refusal.map(|it| it.required)).unwrap_or_default());
        let available = first.map(|it| it.after.available).or(refusal.map(|it| it.available));
        rows.available.push(available.unwrap_or_default());
        let rest = outcome.as_ref().map_or(&[][..], |it| &it[1.min(it.len())..]);
        let rest: Vec<ItemRow> =
            rest.iter().map(|it| [it.leaf_index as i64, number(it), it.points]).collect();
        rows.rest.push((!rest.is_empty()).then(|| outcomes::encode_rest(&rest)));
        rows.item.push(refused.map_or(0, |it| it.item as i16));
    }

    /// Writes all rows. The caller holds the log's head, and commits.
    pub(crate) async fn write(
        self,
        conn: &mut PgConnection,
        log_id: &Hash,
        now_us: i64,
    ) -> Result<(), StoreError> {
        if self.outcomes.key.is_empty() && self.leaves.leaf_index.is_empty() {
            return Ok(());
        }
        let Self { leaves, postings, entries, balances, events, outcomes, lots, reservations } = self;
        lots::write_reservations(conn, &reservations).await?;
        let lots = lots.clear(conn).await?;
        write_events(conn, events).await?;
        let posted = leaves.leaf_index.len() as i64;
        let [earned, redeemed, transferred] = balances.tallies;
        let ([earned_day, earned_month], [redeemed_day, redeemed_month]) = (earned, redeemed);
        let [transferred_day, transferred_month] = transferred;
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
            .bind(postings.reverses)
            .bind(postings.merchant_reference)
            .bind(postings.actor)
            .bind(postings.reason)
            .bind(postings.description)
            .bind(postings.rate)
            .bind(postings.header_commitment)
            .bind(postings.details_commitment)
            .bind(postings.body)
            .bind(postings.body_commitment)
            .bind(postings.follows)
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
            .bind(entries.lots)
            .bind(entries.previous_leaf_index)
            .bind(entries.previous_commitment)
            .bind(entries.commitment)
            .bind(balances.account_id)
            .bind(balances.sequence)
            .bind(balances.available)
            .bind(balances.held)
            .bind(balances.pending)
            .bind(balances.last_leaf_index)
            .bind(balances.last_commitment)
            .bind(balances.status)
            .bind(balances.active_day)
            .bind(balances.used_day)
            .bind(earned_day)
            .bind(earned_month)
            .bind(redeemed_day)
            .bind(redeemed_month)
            .bind(transferred_day)
            .bind(transferred_month)
            .bind(lots.account_id)
            .bind(lots.last_day)
            .bind(lots.earned_day)
            .bind(lots.fund_id)
            .bind(lots.available)
            .bind(lots.held)
            .bind(lots.pending)
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
            .bind(outcomes.account_id)
            .bind(outcomes.rest)
            .bind(outcomes.item)
            .bind(&log_id[..])
            .bind(posted)
            .bind(now_us)
            .execute(conn)
            .await?;
        Ok(())
    }
}

async fn write_events(conn: &mut PgConnection, events: Events) -> Result<(), StoreError> {
    if events.leaf_index.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into event (leaf_index, payload, remainder)
         select *
         from unnest($1::bigint[], $2::bytea[], $3::text[])",
    )
    .bind(events.leaf_index)
    .bind(events.payload)
    .bind(events.remainder)
    .execute(conn)
    .await?;
    Ok(())
}

/// One statement for the whole batch, because PostgreSQL's cost is per statement, not per row.
const WRITE: &str = "
with leaves as (
    insert into leaf (leaf_index, kind, commitment)
    select *
    from unnest($1::bigint[], $2::smallint[], $3::bytea[])
), postings as (
    insert into posting (
        leaf_index, posting_id, program_id, kind, recorded_at, effective_at, rule_set_hash, event_hash, reverses,
        merchant_reference, actor, reason, description, rate, header_commitment, details_commitment,
        body, body_commitment, follows
    )
    select *
    from unnest(
        $4::bigint[], $5::uuid[], $6::smallint[], $7::smallint[], $8::bigint[], $9::bigint[], $10::bytea[], $11::bytea[],
        $12::uuid[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::bytea[], $19::bytea[],
        $20::bytea[], $21::bytea[], $22::uuid[]
    )
), entries as (
    insert into entry (
        leaf_index, ordinal, account_id, sequence, available_change, held_change, pending_change,
        available_after, held_after, pending_after, lots, previous_leaf_index, previous_commitment, commitment
    )
    select *
    from unnest(
        $23::bigint[], $24::smallint[], $25::bigint[], $26::bigint[], $27::bigint[], $28::bigint[], $29::bigint[],
        $30::bigint[], $31::bigint[], $32::bigint[], $33::bytea[], $34::bigint[], $35::bytea[], $36::bytea[]
    )
), balances as (
    -- Every row is there: it is found by its key, and no join can be planned the wrong way round.
    insert into balance (
        account_id, sequence, available, held, pending, last_leaf_index, last_commitment, status, active_day, used_day,
        earned_day, earned_month, redeemed_day, redeemed_month, transferred_day, transferred_month
    )
    select *
    from unnest(
        $37::bigint[], $38::bigint[], $39::bigint[], $40::bigint[], $41::bigint[], $42::bigint[], $43::bytea[],
        $44::smallint[], $45::integer[], $46::integer[],
        $47::bigint[], $48::bigint[], $49::bigint[], $50::bigint[], $51::bigint[], $52::bigint[]
    )
    on conflict (account_id) do update
    set sequence = excluded.sequence,
        available = excluded.available,
        held = excluded.held,
        pending = excluded.pending,
        last_leaf_index = excluded.last_leaf_index,
        last_commitment = excluded.last_commitment,
        status = excluded.status,
        active_day = excluded.active_day,
        used_day = excluded.used_day,
        earned_day = excluded.earned_day,
        earned_month = excluded.earned_month,
        redeemed_day = excluded.redeemed_day,
        redeemed_month = excluded.redeemed_month,
        transferred_day = excluded.transferred_day,
        transferred_month = excluded.transferred_month
), lots as (
    insert into lot (account_id, last_day, earned_day, fund_id, available, held, pending)
    select *
    from unnest(
        $53::bigint[], $54::integer[], $55::integer[], $56::integer[], $57::bigint[], $58::bigint[], $59::bigint[]
    )
    on conflict (account_id, last_day, earned_day, fund_id) do update
    set available = excluded.available,
        held = excluded.held,
        pending = excluded.pending
), outcomes as (
    insert into outcome (
        program_id, source, key, fingerprint, posting_id, leaf_index, refusal, points, available, recorded_at,
        account_id, rest, item
    )
    select *
    from unnest(
        $60::smallint[], $61::text[], $62::text[], $63::bytea[], $64::uuid[], $65::bigint[], $66::smallint[],
        $67::bigint[], $68::bigint[], $69::bigint[], $70::bigint[], $71::bytea[], $72::smallint[]
    )
)
update log_head
set size = size + $74, recorded_at = $75
where log_id = $73
";
