//! Quotas that several processes share: each leases a part of what is left, and asks again when that is used up.

use std::collections::BTreeMap;

use sqlx::{Connection, FromRow, PgConnection};

use crate::error::StoreError;
use crate::window::{Booked, SLICE_S, Window};

/// What one process books of one quota.
#[derive(Clone, Copy, Debug)]
pub struct Booking {
    /// How many requests an hour there may be.
    pub limit: u64,
    /// How many there were that are not booked yet.
    pub used: u32,
    /// What was leased in an earlier slice and not used.
    pub returned: (i64, u32),
    /// How many more are wished for.
    pub wish: u32,
    /// How many more are wanted at once, or none of them.
    pub whole: u32,
}

/// The bookings of one round, with when they were made.
#[derive(Clone, Debug)]
pub struct Round {
    /// The slice in which the leases may be used.
    pub slice: i64,
    /// How many milliseconds of it are left.
    pub left_ms: u64,
    /// What came of each booking.
    pub booked: Vec<Booked>,
}

#[derive(FromRow)]
struct Row {
    subject: Vec<u8>,
    slice: i64,
    used: Vec<u8>,
}

/// A subject of a quota: a hash of who it is.
pub type QuotaSubject = [u8; 16];

/// Books these, each of another subject, all in one transaction.
pub async fn book_quotas(
    conn: &mut PgConnection,
    bookings: &[(QuotaSubject, Booking)],
) -> Result<Round, StoreError> {
    let subjects: Vec<&[u8]> = bookings.iter().map(|it| &it.0[..]).collect();
    let mut transaction = conn.begin().await?;
    sqlx::query(
        "insert into quota (subject, slice, used)
         select subject, 0, ''
         from unnest($1::bytea[]) as wanted (subject)
         order by subject
         on conflict do nothing",
    )
    .bind(&subjects)
    .execute(&mut *transaction)
    .await?;
    // In one order for everybody, so that no two wait for each other.
    let rows: Vec<Row> = sqlx::query_as(
        "select subject, slice, used
         from quota
         where subject = any ($1)
         order by subject
         for no key update",
    )
    .bind(&subjects)
    .fetch_all(&mut *transaction)
    .await?;
    // After the locks, so that whoever waited does not book into the past.
    let now_ms: i64 = sqlx::query_scalar("select (extract(epoch from clock_timestamp()) * 1000)::bigint")
        .fetch_one(&mut *transaction)
        .await?;
    let slice = now_ms.div_euclid(SLICE_S * 1000);
    let mut windows: BTreeMap<Vec<u8>, Window> = rows
        .into_iter()
        .map(|it| {
            let window = Window::read(it.slice, &it.used).unwrap_or_else(|| Window::new(slice));
            (it.subject, window)
        })
        .collect();
    let booked = bookings
        .iter()
        .map(|(subject, it)| {
            let window = windows.entry(subject.to_vec()).or_insert_with(|| Window::new(slice));
            window.book(slice, it.limit, it.used, it.returned, it.wish, it.whole)
        })
        .collect();
    let (slices, used): (Vec<i64>, Vec<Vec<u8>>) = windows.values().map(Window::write).unzip();
    let subjects: Vec<&[u8]> = windows.keys().map(Vec::as_slice).collect();
    sqlx::query(
        "update quota
         set slice = written.slice, used = written.used
         from unnest($1::bytea[], $2::bigint[], $3::bytea[]) as written (subject, slice, used)
         where quota.subject = written.subject",
    )
    .bind(&subjects)
    .bind(&slices)
    .bind(&used)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    let left_ms = (SLICE_S * 1000 - now_ms.rem_euclid(SLICE_S * 1000)) as u64;
    Ok(Round { slice, left_ms, booked })
}

/// So many are forgotten in one statement.
const FORGET_MAX: u64 = 10_000;

/// Forgets who has not asked for two hours. A page at a time, so that nobody's booking waits for all of them; and what is
/// being booked or forgotten by somebody is left to them: it is not waited for out of the order in which bookings lock.
pub async fn forget_quotas(conn: &mut PgConnection) -> Result<u64, StoreError> {
    let mut forgotten = 0;
    loop {
        let page = sqlx::query(
            "delete from quota
             where ctid = any(array(
                 select ctid
                 from quota
                 where slice < extract(epoch from now())::bigint / $1 - 120
                 limit $2
                 for update skip locked
             ))",
        )
        .bind(SLICE_S)
        .bind(FORGET_MAX as i64)
        .execute(&mut *conn)
        .await?
        .rows_affected();
        forgotten += page;
        if page < FORGET_MAX {
            return Ok(forgotten);
        }
    }
}

/// How many requests an hour each member of a program has.
pub async fn member_hourly(conn: &mut PgConnection, program_id: i16) -> Result<i64, StoreError> {
    let hourly = sqlx::query_scalar("select member_requests_per_hour from program where program_id = $1");
    Ok(hourly.bind(program_id).fetch_one(conn).await?)
}
