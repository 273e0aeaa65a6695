//! Events that wait until whom they name is a member.

use ledger::{Fingerprint, MemberRef};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::accounts::{id_of, is_members_account, member_called, name_of};
use crate::error::StoreError;

/// An event that is to wait.
#[derive(Clone, Copy, Debug)]
pub struct ToPark<'a> {
    /// Whom it names.
    pub member: &'a MemberRef,
    /// Who tells of it, as requests say.
    pub source: &'a str,
    /// By which its source knows it.
    pub key: &'a str,
    /// What it asks.
    pub fingerprint: &'a Fingerprint,
    /// `http`, or the Kafka topic, partition and offset.
    pub origin: &'a str,
    /// The partner that sent it, if one did.
    pub partner: Option<&'a str>,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// An event that waits.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ParkedEvent {
    /// Its number.
    pub parked_event_id: i64,
    /// The program that it is for.
    pub program_id: i16,
    member_id: Option<Uuid>,
    external_id: Option<String>,
    /// Where it came from.
    pub origin: String,
    /// The partner that sent it.
    pub partner_id: Option<String>,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Since when it waits, in microseconds since 1970.
    pub parked_us: i64,
}

impl ParkedEvent {
    /// Whom it names.
    pub fn member(&self) -> MemberRef {
        let external = || MemberRef::External(self.external_id.clone().unwrap_or_default());
        self.member_id.map_or_else(external, MemberRef::Id)
    }
}

/// Lets the event wait, and gives its number; `None` where another one waits under its name.
pub async fn park(
    conn: &mut PgConnection,
    program_id: i16,
    event: ToPark<'_>,
) -> Result<Option<i64>, StoreError> {
    // An update that changes nothing gives the row that is there, also where somebody else takes it away just now.
    let (number, fingerprint): (i64, Vec<u8>) = sqlx::query_as(
        "insert into parked_event (program_id, member_id, external_id, source, key, fingerprint, origin, payload, partner_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (program_id, source, key) do update set parked_at = parked_event.parked_at
         returning parked_event_id, fingerprint",
    )
    .bind(program_id)
    .bind(id_of(event.member))
    .bind(name_of(event.member))
    .bind(event.source)
    .bind(event.key)
    .bind(&event.fingerprint.0[..])
    .bind(event.origin)
    .bind(event.payload)
    .bind(event.partner)
    .fetch_one(conn)
    .await?;
    Ok(Some(number).filter(|_| fingerprint == event.fingerprint.0))
}

const COLUMNS: &str = "
select parked_event_id, program_id, member_id, external_id, origin, partner_id, payload,
    (extract(epoch from parked_at) * 1000000)::bigint as parked_us
from parked_event
";

/// The program's events that wait after this one, oldest first, at most so many.
pub async fn parked_events(
    conn: &mut PgConnection,
    program_id: i16,
    after: i64,
    limit: u32,
) -> Result<Vec<ParkedEvent>, StoreError> {
    let statement =
        format!("{COLUMNS} where program_id = $1 and parked_event_id > $2 order by parked_event_id limit $3");
    let events = sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(program_id).bind(after);
    Ok(events.bind(i64::from(limit)).fetch_all(conn).await?)
}

/// The program's event of this number, while it waits.
pub async fn parked_event(
    conn: &mut PgConnection,
    program_id: i16,
    number: i64,
) -> Result<Option<ParkedEvent>, StoreError> {
    let statement = format!("{COLUMNS} where program_id = $1 and parked_event_id = $2");
    let event = sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(program_id).bind(number);
    Ok(event.fetch_optional(conn).await?)
}

/// What waits for this member, by either name, oldest first, at most so many.
pub async fn events_parked_for(
    conn: &mut PgConnection,
    program_id: i16,
    member_id: Uuid,
    external_id: Option<&str>,
    limit: u32,
) -> Result<Vec<ParkedEvent>, StoreError> {
    let statement = format!(
        "{COLUMNS}
         where program_id = $1
             and (member_id = $2 or external_id = $3)
         order by parked_event_id
         limit $4"
    );
    let events = sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(program_id).bind(member_id);
    Ok(events.bind(external_id).bind(i64::from(limit)).fetch_all(conn).await?)
}

/// The event that follows this many of those that wait after this one, of any program; `None` where there are no more.
pub async fn parked_event_beyond(
    conn: &mut PgConnection,
    after: i64,
    count: u32,
) -> Result<Option<i64>, StoreError> {
    let beyond = sqlx::query_scalar(
        "select parked_event_id
         from parked_event
         where parked_event_id > $1
         order by parked_event_id
         offset $2
         limit 1",
    );
    Ok(beyond.bind(after).bind(i64::from(count)).fetch_optional(conn).await?)
}

/// Events of any program whose member takes part by now, of those after this one and before that one, oldest first, at
/// most so many.
pub async fn releasable_events(
    conn: &mut PgConnection,
    after: i64,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<ParkedEvent>, StoreError> {
    let has_account = is_members_account!(
        "parked_event.program_id",
        "1",
        member_called!("parked_event.program_id", "parked_event.member_id", "parked_event.external_id")
    );
    let statement = format!(
        "{COLUMNS}
         where parked_event_id > $1
             and parked_event_id < $2
             and exists (select from account where {has_account} and account.secret <> '')
         order by parked_event_id
         limit $3"
    );
    let events = sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(after).bind(before.unwrap_or(i64::MAX));
    Ok(events.bind(i64::from(limit)).fetch_all(conn).await?)
}

/// Keeps the event of this number from everybody else until the transaction ends; says whether it waits still.
pub async fn hold_parked(conn: &mut PgConnection, program_id: i16, number: i64) -> Result<bool, StoreError> {
    let held: Option<i64> = sqlx::query_scalar(
        "select parked_event_id
         from parked_event
         where program_id = $1
             and parked_event_id = $2
         for update",
    )
    .bind(program_id)
    .bind(number)
    .fetch_optional(conn)
    .await?;
    Ok(held.is_some())
}

/// Lets the event of this number wait no more; says whether it did.
pub async fn unpark(conn: &mut PgConnection, program_id: i16, number: i64) -> Result<bool, StoreError> {
    let gone = sqlx::query("delete from parked_event where program_id = $1 and parked_event_id = $2")
        .bind(program_id)
        .bind(number)
        .execute(conn)
        .await?;
    Ok(gone.rows_affected() == 1)
}
