//! Lots and reservations: what makes up an account. Both are read after the account's lock, and change only under it.

use std::collections::{BTreeMap, HashMap};

use ledger::{Day, Lot, Reservation, ReservationKind};
use proof::Balances;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::error::StoreError;

/// A row of the table `lot`: the fields are the columns, in their order.
#[derive(FromRow, sqlx::Type)]
#[sqlx(type_name = "lot")]
pub(crate) struct LotRow {
    account_id: i64,
    last_day: i32,
    earned_day: i32,
    fund_id: i32,
    available: i64,
    held: i64,
    pending: i64,
}

/// The open lots of these accounts.
pub(crate) async fn open_lots(
    conn: &mut PgConnection,
    accounts: &[i64],
) -> Result<Vec<(i64, Lot, Balances)>, StoreError> {
    let rows: Vec<LotRow> =
        sqlx::query_as("select * from lot where account_id = any($1)").bind(accounts).fetch_all(conn).await?;
    rows.into_iter().map(LotRow::read).collect()
}

impl LotRow {
    fn read(self) -> Result<(i64, Lot, Balances), StoreError> {
        let (Some(last_day), Some(earned_day), Ok(fund)) =
            (Day::new(self.last_day), Day::new(self.earned_day), u32::try_from(self.fund_id))
        else {
            return Err(StoreError::Damaged(format!("account {}: a lot that is none", self.account_id)));
        };
        let balances = Balances { available: self.available, held: self.held, pending: self.pending };
        Ok((self.account_id, Lot { last_day, earned_day, fund }, balances))
    }
}

/// A row of the table `reservation`: the fields are the columns, in their order.
#[derive(FromRow, sqlx::Type)]
#[sqlx(type_name = "reservation")]
pub(crate) struct ReservationRow {
    posting_id: Uuid,
    account_id: i64,
    kind: i16,
    house_id: i64,
    due_at: Option<i64>,
    due_at_max: i64,
    parts: Vec<u8>,
}

/// The open reservations of these accounts, by account. `houses` gives the account behind a number.
pub(crate) async fn open_reservations(
    conn: &mut PgConnection,
    accounts: &[i64],
    house: impl Fn(i64) -> Option<Uuid>,
) -> Result<Vec<(i64, Uuid, Reservation)>, StoreError> {
    let rows: Vec<ReservationRow> = sqlx::query_as("select * from reservation where account_id = any($1)")
        .bind(accounts)
        .fetch_all(conn)
        .await?;
    let read = |row: ReservationRow| {
        let damaged = || StoreError::Damaged(format!("the reservation {} cannot be read", row.posting_id));
        let reservation = Reservation {
            kind: ReservationKind::from_i16(row.kind).ok_or_else(damaged)?,
            house: house(row.house_id).ok_or_else(damaged)?,
            due_us: row.due_at,
            due_us_max: row.due_at_max,
            parts: decode_parts(&row.parts).ok_or_else(damaged)?,
        };
        Ok((row.account_id, row.posting_id, reservation))
    };
    rows.into_iter().map(read).collect()
}

pub(crate) fn encode_parts(parts: &BTreeMap<Lot, i64>) -> Vec<u8> {
    parts.iter().flat_map(|(lot, points)| [&lot.id()[..], &points.to_be_bytes()].concat()).collect()
}

fn decode_parts(bytes: &[u8]) -> Option<BTreeMap<Lot, i64>> {
    let (parts, rest) = bytes.as_chunks::<24>();
    let read = |part: &[u8; 24]| {
        let (id, points) = part.split_at(16);
        Some((Lot::from_id(id.try_into().ok()?)?, i64::from_be_bytes(points.try_into().ok()?)))
    };
    if rest.is_empty() { parts.iter().map(read).collect() } else { None }
}

/// What a batch did to lots: those that are open after it, and those that are no more.
#[derive(Default)]
pub(crate) struct LotRows {
    pub(crate) open: Vec<LotRow>,
    pub(crate) gone: Vec<LotRow>,
}

impl LotRows {
    /// A lot as it stands after the batch; none where it is used up.
    pub(crate) fn push(&mut self, account_id: i64, lot: &Lot, balances: Option<&Balances>) {
        let rows = if balances.is_some() { &mut self.open } else { &mut self.gone };
        let balances = balances.copied().unwrap_or_default();
        rows.push(LotRow {
            account_id,
            last_day: lot.last_day.number(),
            earned_day: lot.earned_day.number(),
            fund_id: lot.fund as i32,
            available: balances.available,
            held: balances.held,
            pending: balances.pending,
        });
    }
}

/// The rows of the reservations that a batch changed, and which are over. They come by posting, with the account's number and
/// the house's; without one where it is over.
pub(crate) fn reservation_rows(
    changed: HashMap<Uuid, Option<(i64, i64, Reservation)>>,
) -> (Vec<ReservationRow>, Vec<Uuid>) {
    let (mut rows, mut over) = (Vec::new(), Vec::new());
    for (posting_id, open) in changed {
        match open {
            Some((account_id, house_id, it)) => rows.push(ReservationRow {
                posting_id,
                account_id,
                kind: it.kind as i16,
                house_id,
                due_at: it.due_us,
                due_at_max: it.due_us_max,
                parts: encode_parts(&it.parts),
            }),
            None => over.push(posting_id),
        }
    }
    (rows, over)
}
