//! The rows of one batch, table by table, written by one statement.

use std::collections::HashMap;

use ledger::{Account, AccountKind, Fingerprint, Posting, Refused, Request, Reservation};
use proof::{Body, Commitments, Details, Entry, Hash, Header, LeafKind, NO_LEAF};
use rust_decimal::Decimal;
use sqlx::{Encode, PgConnection, Postgres, QueryBuilder, Type};
use uuid::Uuid;

use crate::accounts::BalanceRow;
use crate::error::StoreError;
use crate::log_head::{self, LogHead};
use crate::lots::{self, LotRows};
use crate::outcomes::{self, Accepted, ItemRow};

/// Everything that a batch writes.
#[derive(Default)]
pub(crate) struct Rows {
    leaves: Vec<LeafRow>,
    postings: Vec<PostingRow>,
    entries: Vec<EntryRow>,
    members: Vec<BalanceRow>,
    houses: Vec<BalanceRow>,
    events: Vec<EventRow>,
    outcomes: Vec<OutcomeRow>,
    /// The leaves that are to be anchored soon.
    hurried: Vec<i64>,
    pub(crate) lots: LotRows,
    /// The reservations that changed: with the numbers of their accounts and houses, or none where they are over.
    pub(crate) reservations: HashMap<Uuid, Option<(i64, i64, Reservation)>>,
}

/// Rows of the tables of the same names: the fields are the columns, in their order.
#[derive(sqlx::Type)]
#[sqlx(type_name = "leaf")]
struct LeafRow {
    leaf_index: i64,
    kind: i16,
    commitment: Hash,
}

#[derive(sqlx::Type)]
#[sqlx(type_name = "posting")]
struct PostingRow {
    leaf_index: i64,
    posting_id: Uuid,
    program_id: i16,
    kind: i16,
    recorded_at: i64,
    effective_at: i64,
    rule_set_hash: Option<Hash>,
    event_hash: Option<Hash>,
    reverses: Option<Uuid>,
    merchant_reference: Option<String>,
    actor: Option<String>,
    reason: Option<String>,
    description: Option<String>,
    rate: Option<String>,
    header_commitment: Hash,
    details_commitment: Hash,
    body: Option<Vec<u8>>,
    body_commitment: Option<Hash>,
    follows: Option<Uuid>,
}

#[derive(sqlx::Type)]
#[sqlx(type_name = "entry")]
struct EntryRow {
    leaf_index: i64,
    ordinal: i16,
    account_id: i64,
    sequence: i64,
    available_change: i64,
    held_change: i64,
    pending_change: i64,
    available_after: i64,
    held_after: i64,
    pending_after: i64,
    previous_leaf_index: Option<i64>,
    previous_commitment: Option<Hash>,
    commitment: Hash,
    lots: Option<Vec<u8>>,
}

#[derive(sqlx::Type)]
#[sqlx(type_name = "event")]
struct EventRow {
    leaf_index: i64,
    payload: Vec<u8>,
    remainder: Option<String>,
}

#[derive(sqlx::Type)]
#[sqlx(type_name = "outcome")]
struct OutcomeRow {
    program_id: i16,
    source: String,
    key: String,
    fingerprint: Hash,
    posting_id: Option<Uuid>,
    leaf_index: Option<i64>,
    refusal: Option<i16>,
    points: i64,
    available: i64,
    recorded_at: i64,
    account_id: Option<i64>,
    rest: Option<Vec<u8>>,
    item: i16,
}

/// Every row is there: it is found by its key, and no join can be planned the wrong way round.
macro_rules! balance_changes {
    () => {
        "
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
             transferred_month = excluded.transferred_month"
    };
}

fn unless_zeros(hash: &Hash) -> Option<Hash> {
    (*hash != Hash::default()).then_some(*hash)
}

impl Rows {
    pub(crate) fn leaf(&mut self, leaf_index: u64, kind: LeafKind, commitment: &Hash) {
        self.leaves.push(LeafRow {
            leaf_index: leaf_index as i64,
            kind: kind as i16,
            commitment: *commitment,
        });
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
        self.postings.push(PostingRow {
            leaf_index: leaf_index as i64,
            posting_id: Uuid::from_bytes(header.posting_id),
            program_id,
            kind: i16::from(header.posting_kind.0),
            recorded_at: header.recorded_at_us,
            effective_at: header.effective_at_us,
            rule_set_hash: unless_zeros(&header.rule_set_hash),
            event_hash: unless_zeros(&header.event_hash),
            reverses: posting.reverses,
            merchant_reference: text(&details.merchant_reference),
            actor: text(&details.actor),
            reason: text(&details.reason),
            description: text(&details.description),
            rate: text(&details.rate),
            header_commitment: commitments.header,
            details_commitment: commitments.details,
            body: posting.withdrawal.clone().map(|it| Body::Withdrawal(it).encode()),
            body_commitment: commitments.body,
            follows: posting.follows,
        });
    }

    /// Has this leaf anchored soon.
    pub(crate) fn hurry(&mut self, leaf_index: u64) {
        self.hurried.push(leaf_index as i64);
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
        let previous = entry.previous_leaf_index;
        self.entries.push(EntryRow {
            leaf_index: leaf_index as i64,
            ordinal: ordinal as i16,
            account_id,
            sequence: entry.sequence as i64,
            available_change: entry.change.available,
            held_change: entry.change.held,
            pending_change: entry.change.pending,
            available_after: entry.after.available,
            held_after: entry.after.held,
            pending_after: entry.after.pending,
            previous_leaf_index: (previous != NO_LEAF).then_some(previous as i64),
            previous_commitment: unless_zeros(&entry.previous_commitment),
            commitment: *commitment,
            lots: (!lots.is_empty()).then_some(lots),
        });
    }

    /// An account's state as it stands after the batch.
    pub(crate) fn balance(&mut self, account_id: i64, account: &Account, last: Option<&(u64, Hash)>) {
        let of_its_kind =
            if account.kind == AccountKind::Member { &mut self.members } else { &mut self.houses };
        of_its_kind.push(BalanceRow::of(account_id, account, last));
    }

    pub(crate) fn event(&mut self, leaf_index: u64, payload: &[u8], remainder: &Decimal) {
        self.events.push(EventRow {
            leaf_index: leaf_index as i64,
            payload: payload.to_vec(),
            remainder: (!remainder.is_zero()).then(|| remainder.to_string()),
        });
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
        let first = outcome.as_ref().ok().and_then(|it| it.first());
        let refused = outcome.as_ref().err();
        let refusal = refused.and_then(|it| it.refusal.row());
        let available = first.map(|it| it.after.available).or(refusal.map(|it| it.available));
        let rest = outcome.as_ref().map_or(&[][..], |it| &it[1.min(it.len())..]);
        let rest: Vec<ItemRow> =
            rest.iter().map(|it| [it.leaf_index as i64, number(it), it.points]).collect();
        self.outcomes.push(OutcomeRow {
            program_id: request.program,
            source: request.source.clone(),
            key: request.key.clone(),
            fingerprint: fingerprint.0,
            posting_id: first.map(|it| it.posting_id),
            leaf_index: first.map(|it| it.leaf_index as i64),
            refusal: refusal.map(|it| it.code),
            points: first.map(|it| it.points).or(refusal.map(|it| it.required)).unwrap_or_default(),
            available: available.unwrap_or_default(),
            recorded_at: now_us,
            account_id: first.map(&number),
            rest: (!rest.is_empty()).then(|| outcomes::encode_rest(&rest)),
            item: refused.map_or(0, |it| it.item as i16),
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.outcomes.is_empty() && self.leaves.is_empty()
    }

    /// Writes all rows but those that the log's head guards. They may be written before the batch before is committed: what
    /// others could see of them or wait for is guarded by the members' locks, or belongs to leaves that nobody else has.
    pub(crate) async fn insert(self, conn: &mut PgConnection) -> Result<Guarded, StoreError> {
        let guarded =
            Guarded { is_empty: self.is_empty(), posted: self.leaves.len() as i64, houses: self.houses };
        if guarded.is_empty {
            return Ok(guarded);
        }
        let (reservations, over) = lots::reservation_rows(self.reservations);
        let mut insert = Insert::default();
        insert.rows("leaf", self.leaves, "");
        insert.rows("posting", self.postings, "");
        insert.rows("entry", self.entries, "");
        insert.rows("event", self.events, "");
        insert.rows("balance", self.members, balance_changes!());
        insert.rows("lot", self.lots.open, LOT_CHANGES);
        insert.part(LOTS_GONE, self.lots.gone);
        insert.rows("reservation", reservations, RESERVATION_CHANGES);
        insert.part(RESERVATIONS_OVER, over);
        insert.rows("outcome", self.outcomes, "");
        insert.part(HURRIED, self.hurried);
        insert.query.push(" select").build().execute(conn).await?;
        Ok(guarded)
    }
}

/// One statement for all tables, because PostgreSQL's cost is per statement, not per row; and only for those that get rows, since
/// each table costs something by itself. The order is the same for all who insert, so that no two wait for each other. Whole
/// rows, because each column that is unnested by itself is stored and read again by itself.
#[derive(Default)]
struct Insert {
    query: QueryBuilder<Postgres>,
    parts: u32,
}

impl Insert {
    fn rows<T>(&mut self, table: &'static str, rows: Vec<T>, changes: &'static str)
    where
        Vec<T>: for<'t> Encode<'t, Postgres> + Type<Postgres>,
    {
        let before = format!("insert into {table} select * from unnest(");
        self.part((&before, &format!("::{table}[]) {changes}")), rows);
    }

    /// Something that is done with these rows, if there are any.
    fn part<T>(&mut self, (before, after): (&str, &str), rows: Vec<T>)
    where
        Vec<T>: for<'t> Encode<'t, Postgres> + Type<Postgres>,
    {
        if rows.is_empty() {
            return;
        }
        let joint = if self.parts == 0 { "with" } else { "," };
        self.query.push(format_args!("{joint} part_{} as ({before}", self.parts));
        self.query.push_bind(rows).push(after).push(")");
        self.parts += 1;
    }
}

const LOT_CHANGES: &str = "
on conflict (account_id, last_day, earned_day, fund_id) do update
set available = excluded.available,
    held = excluded.held,
    pending = excluded.pending
";

const LOTS_GONE: (&str, &str) = (
    "delete from lot using unnest(",
    "::lot[]) as gone
     where lot.account_id = gone.account_id
         and lot.last_day = gone.last_day
         and lot.earned_day = gone.earned_day
         and lot.fund_id = gone.fund_id",
);

const RESERVATION_CHANGES: &str = "
on conflict (posting_id) do update
set due_at = excluded.due_at,
    parts = excluded.parts
";

const RESERVATIONS_OVER: (&str, &str) = ("delete from reservation where posting_id = any(", ")");

const HURRIED: (&str, &str) =
    ("insert into hurried_posting (leaf_index) select * from unnest(", "::bigint[])");

/// What is written under the lock of the log's head.
pub(crate) struct Guarded {
    is_empty: bool,
    posted: i64,
    houses: Vec<BalanceRow>,
}

/// The head's lock comes first, and nothing is written where somebody else has appended since the batch was decided: its
/// indexes would be another's, and what it knows of the house accounts no longer true. Nor is the lock waited for. Whoever
/// decided under it has it, and to who did not it says that somebody else is about to append, perhaps waiting for rows that
/// this batch has inserted.
const APPEND: &str = concat!(
    "with head as (
         select size = $3 and epoch = $4 and recorded_at = $5 as is_ours
         from log_head
         where log_id = $2
         for no key update skip locked
     ), houses as (
         insert into balance
         select * from unnest($1::balance[]) where (select is_ours from head)",
    balance_changes!(),
    ")
     update log_head
     set size = size + $6, recorded_at = $7
     where log_id = $2 and (select is_ours from head)"
);

impl Guarded {
    /// Appends, if the log's head is still as it was when the batch was decided. The caller commits.
    pub(crate) async fn append(
        self,
        conn: &mut PgConnection,
        log_id: &Hash,
        head: &LogHead,
        recorded_at: i64,
    ) -> Result<(), StoreError> {
        if self.is_empty {
            // What is answered without a trace must have been true too. It waits for no lock here: whoever has it may be
            // waiting for rows of the batch behind, which waits for this one.
            let found = log_head::committed(conn, log_id).await?;
            return if found == *head { Ok(()) } else { Err(StoreError::Overtaken) };
        }
        let appended = sqlx::query(APPEND)
            .bind(self.houses)
            .bind(&log_id[..])
            .bind(head.size)
            .bind(head.epoch)
            .bind(head.recorded_at)
            .bind(self.posted)
            .bind(recorded_at)
            .execute(conn)
            .await?;
        if appended.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Overtaken) }
    }
}
