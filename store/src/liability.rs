//! Liability: the points that members hold at a size of the log, by when they end and who gave them.

use std::collections::BTreeMap;

use ledger::Day;
use proof::LotMovement;
use sqlx::{FromRow, PgConnection};

use crate::accounts::page_end;
use crate::archived;
use crate::error::StoreError;

/// How many leaves are read at a time.
const STRIDE: i64 = 10_000;
/// How many accounts are summed up at a time: no statement takes longer because there are more of them.
const ACCOUNTS: i64 = 20_000;

/// Points that are outstanding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outstanding {
    /// The unit.
    pub unit: u16,
    /// The year and month in which they end; `None` for never.
    pub ends: Option<(i16, i8)>,
    /// The fund that gave them; `None` for the program itself.
    pub fund: Option<String>,
    /// Who pays for them, of a fund.
    pub funder: Option<String>,
    /// How many.
    pub points: i64,
}

/// A program's liability at a size of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Liability {
    /// The size.
    pub log_size: u64,
    /// What is outstanding, by unit, month and fund.
    pub lines: Vec<Outstanding>,
    /// What members owe, by unit. Outstanding points less debts are what the house accounts have given and not got back.
    pub debts: BTreeMap<u16, i64>,
}

/// Unit, last day and fund.
pub(crate) type Kind = (i16, i32, i32);

/// Unit, the month in which it ends, and fund.
type Month = (i16, Option<(i16, i8)>, i32);

#[derive(FromRow)]
struct Row {
    leaf_index: i64,
    unit: i16,
    lots: Option<Vec<u8>>,
    available_change: i64,
    available_after: i64,
}

/// A program's liability when the log had this size; now, if none is given.
///
/// It begins with the lots of now and takes back what has moved since: the time it takes goes by how far back it is.
pub async fn liability(
    conn: &mut PgConnection,
    program_id: i16,
    size: Option<u64>,
) -> Result<Liability, StoreError> {
    let mut look = archived::look(conn).await?;
    let conn = &mut *look;
    let (now, mut points, mut debts) = of_now(conn, program_id, ACCOUNTS).await?;
    let size = size.map_or(now, |it| i64::try_from(it).unwrap_or(i64::MAX).min(now));
    archived::demand_since(conn, size).await?;
    for begin in (size..now).step_by(STRIDE as usize) {
        take_back(conn, program_id, begin, now.min(begin + STRIDE), &mut points, &mut debts).await?;
    }
    let funds: Vec<(i32, String, String)> =
        sqlx::query_as("select fund_id, name, funder from fund where program_id = $1")
            .bind(program_id)
            .fetch_all(conn)
            .await?;
    look.rollback().await?;
    let mut by_month: BTreeMap<Month, i64> = BTreeMap::new();
    for ((unit, last_day, fund), points) in points {
        let ends = Day::new(last_day).filter(|it| *it != Day::NEVER).map(Day::month);
        *by_month.entry((unit, ends, fund)).or_default() += points;
    }
    let line = |((unit, ends, number), points): (Month, i64)| {
        let fund = funds.iter().find(|it| it.0 == number);
        let (fund, funder) = (fund.map(|it| it.1.clone()), fund.map(|it| it.2.clone()));
        Outstanding { unit: unit as u16, ends, fund, funder, points }
    };
    let lines = by_month.into_iter().filter(|it| it.1 != 0).map(line).collect();
    let debts = debts.into_iter().filter(|it| it.1 != 0).map(|(unit, debt)| (unit as u16, debt)).collect();
    Ok(Liability { log_size: size as u64, lines, debts })
}

/// The log's size, the lots and the debts, of one instant within a look, read so many accounts at a time.
pub(crate) async fn of_now(
    conn: &mut PgConnection,
    program_id: i16,
    accounts: i64,
) -> Result<(i64, BTreeMap<Kind, i64>, BTreeMap<i16, i64>), StoreError> {
    let size = crate::log_size(conn).await? as i64;
    let (mut lots, mut debts) = (BTreeMap::<Kind, i64>::new(), BTreeMap::<i16, i64>::new());
    let mut done = i64::MIN;
    while let Some(upper) = page_end(conn, done, accounts).await? {
        let page: Vec<(i16, i32, i32, i64)> = sqlx::query_as(
            "select unit, last_day, lot.fund_id, sum(available + held + pending)::bigint
             from lot
             join account on account.account_id = lot.account_id
             where program_id = $1
                 and lot.account_id > $2
                 and lot.account_id <= $3
                 and account.account_id > $2
                 and account.account_id <= $3
             group by 1, 2, 3",
        )
        .bind(program_id)
        .bind(done)
        .bind(upper)
        .fetch_all(&mut *conn)
        .await?;
        for (unit, day, fund, points) in page {
            *lots.entry((unit, day, fund)).or_default() += points;
        }
        let page: Vec<(i16, i64)> = sqlx::query_as(
            "select unit, -sum(available)::bigint
             from balance
             join account on account.account_id = balance.account_id
             where program_id = $1
                 and kind = 1
                 and available < 0
                 and balance.account_id > $2
                 and balance.account_id <= $3
                 and account.account_id > $2
                 and account.account_id <= $3
             group by 1",
        )
        .bind(program_id)
        .bind(done)
        .bind(upper)
        .fetch_all(&mut *conn)
        .await?;
        for (unit, debt) in page {
            *debts.entry(unit).or_default() += debt;
        }
        done = upper;
    }
    Ok((size, lots, debts))
}

/// Takes back what these leaves did.
async fn take_back(
    conn: &mut PgConnection,
    program_id: i16,
    begin: i64,
    end: i64,
    points: &mut BTreeMap<Kind, i64>,
    debts: &mut BTreeMap<i16, i64>,
) -> Result<(), StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select leaf_index, unit, lots, available_change, available_after
         from entry
         join account using (account_id)
         where leaf_index >= $1
             and leaf_index < $2
             and program_id = $3
             and kind = 1",
    )
    .bind(begin)
    .bind(end)
    .bind(program_id)
    .fetch_all(conn)
    .await?;
    for Row { leaf_index, unit, lots, available_change: change, available_after: after } in rows {
        let damaged = || StoreError::Damaged(format!("leaf {leaf_index}: its lots cannot be read"));
        for movement in LotMovement::decode_all(&lots.unwrap_or_default()).map_err(|_| damaged())? {
            let lot = ledger::Lot::from_id(&movement.lot).ok_or_else(damaged)?;
            let change = movement.change;
            *points.entry((unit, lot.last_day.number(), lot.fund as i32)).or_default() -=
                change.available + change.held + change.pending;
        }
        let debt = |available: i64| (-available).max(0);
        *debts.entry(unit).or_default() -= debt(after) - debt(after - change);
    }
    Ok(())
}
