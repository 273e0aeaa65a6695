//! Lots and reservations: what makes up an account. Both are read after the account's lock, and change only under it.

use std::collections::{BTreeMap, HashMap};

use ledger::{Day, Lot, Reservation, ReservationKind};
use proof::Balances;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::error::StoreError;

#[derive(FromRow)]
struct LotRow {
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

#[derive(FromRow)]
struct ReservationRow {
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
    open: LotColumns,
    gone: LotColumns,
}

#[derive(Default)]
pub(crate) struct LotColumns {
    pub(crate) account_id: Vec<i64>,
    pub(crate) last_day: Vec<i32>,
    pub(crate) earned_day: Vec<i32>,
    pub(crate) fund_id: Vec<i32>,
    pub(crate) available: Vec<i64>,
    pub(crate) held: Vec<i64>,
    pub(crate) pending: Vec<i64>,
}

impl LotRows {
    /// A lot as it stands after the batch; none where it is used up.
    pub(crate) fn push(&mut self, account_id: i64, lot: &Lot, balances: Option<&Balances>) {
        let columns = if balances.is_some() { &mut self.open } else { &mut self.gone };
        columns.account_id.push(account_id);
        columns.last_day.push(lot.last_day.number());
        columns.earned_day.push(lot.earned_day.number());
        columns.fund_id.push(lot.fund as i32);
        let balances = balances.copied().unwrap_or_default();
        columns.available.push(balances.available);
        columns.held.push(balances.held);
        columns.pending.push(balances.pending);
    }

    /// Deletes the lots that are used up, and gives the others to be written with the rest of the batch.
    pub(crate) async fn clear(self, conn: &mut PgConnection) -> Result<LotColumns, StoreError> {
        if !self.gone.account_id.is_empty() {
            sqlx::query(
                "delete from lot
                 using unnest($1::bigint[], $2::integer[], $3::integer[], $4::integer[])
                     as gone (account_id, last_day, earned_day, fund_id)
                 where lot.account_id = gone.account_id
                     and lot.last_day = gone.last_day
                     and lot.earned_day = gone.earned_day
                     and lot.fund_id = gone.fund_id",
            )
            .bind(self.gone.account_id)
            .bind(self.gone.last_day)
            .bind(self.gone.earned_day)
            .bind(self.gone.fund_id)
            .execute(conn)
            .await?;
        }
        Ok(self.open)
    }
}

/// Writes the reservations that a batch changed: by posting, the account's number and the house's with it; without
/// one where it is over.
pub(crate) async fn write_reservations(
    conn: &mut PgConnection,
    changed: &HashMap<Uuid, Option<(i64, i64, Reservation)>>,
) -> Result<(), StoreError> {
    if changed.is_empty() {
        return Ok(());
    }
    let over: Vec<Uuid> = changed.iter().filter(|(_, it)| it.is_none()).map(|(id, _)| *id).collect();
    if !over.is_empty() {
        sqlx::query("delete from reservation where posting_id = any($1)")
            .bind(over)
            .execute(&mut *conn)
            .await?;
    }
    let open: Vec<_> = changed.iter().filter_map(|(id, it)| Some((id, it.as_ref()?))).collect();
    if open.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into reservation (posting_id, account_id, kind, house_id, due_at, due_at_max, parts)
         select *
         from unnest($1::uuid[], $2::bigint[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[])
         on conflict (posting_id) do update
         set due_at = excluded.due_at,
             parts = excluded.parts",
    )
    .bind(open.iter().map(|it| *it.0).collect::<Vec<_>>())
    .bind(open.iter().map(|it| it.1.0).collect::<Vec<_>>())
    .bind(open.iter().map(|it| it.1.2.kind as i16).collect::<Vec<_>>())
    .bind(open.iter().map(|it| it.1.1).collect::<Vec<_>>())
    .bind(open.iter().map(|it| it.1.2.due_us).collect::<Vec<_>>())
    .bind(open.iter().map(|it| it.1.2.due_us_max).collect::<Vec<_>>())
    .bind(open.iter().map(|it| encode_parts(&it.1.2.parts)).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}
