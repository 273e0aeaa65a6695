//! Events that were not posted: kept with their bytes and the reason, where an operator can list them.

use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use crate::error::StoreError;

/// An event that was not posted.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct RejectedEvent {
    /// Its number in the list.
    pub rejected_event_id: i64,
    /// `http`, or the Kafka topic, partition and offset.
    pub origin: String,
    /// The stable code of the reason.
    pub reason: String,
    /// The reason in words.
    pub detail: String,
    /// The bytes as they were received; of an event that was too long, the first of them.
    pub payload: Vec<u8>,
    /// When it was first seen, RFC 3339.
    pub first_seen_at: String,
}

/// Keeps an event that was not posted: of a partner, where one sent it. The same bytes of the same partner are kept once for each
/// reason.
pub async fn keep_rejected(
    conn: &mut PgConnection,
    program_id: i16,
    partner: Option<&str>,
    origin: &str,
    reason: &str,
    detail: &str,
    payload: &[u8],
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into rejected_event (program_id, partner_id, origin, reason, detail, payload)
         values ($1, $2, $3, $4, $5, $6)
         on conflict do nothing",
    )
    .bind(program_id)
    .bind(partner)
    .bind(origin)
    .bind(reason)
    .bind(detail)
    .bind(payload)
    .execute(conn)
    .await?;
    Ok(())
}

/// Rejected events after this one, oldest first, and whether there are more: of everybody, or of one partner; up to so many of
/// them, and none after they have come to so many bytes. The sizes are asked before the events, which then are never held in vain.
pub async fn rejected_page(
    conn: &mut PgConnection,
    program_id: i16,
    partner: Option<&str>,
    after: i64,
    limit: usize,
    bytes_max: i64,
) -> Result<(Vec<RejectedEvent>, bool), StoreError> {
    let sizes: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(page_of(partner, SIZE)))
        .bind(program_id)
        .bind(after)
        .bind(limit as i64 + 1)
        .bind(partner)
        .fetch_all(&mut *conn)
        .await?;
    let mut bytes = 0;
    let fits = |size: &&i64| {
        let fits = bytes < bytes_max;
        bytes += **size;
        fits
    };
    let count = sizes.iter().take(limit).take_while(fits).count();
    let events = rejected_events(conn, program_id, partner, after, count as i64).await?;
    Ok((events, count < sizes.len()))
}

/// Rejected events after this one, oldest first: of everybody, or of one partner.
pub async fn rejected_events(
    conn: &mut PgConnection,
    program_id: i16,
    partner: Option<&str>,
    after: i64,
    limit: i64,
) -> Result<Vec<RejectedEvent>, StoreError> {
    let events = sqlx::query_as(AssertSqlSafe(page_of(partner, EVENT)))
        .bind(program_id)
        .bind(after)
        .bind(limit)
        .bind(partner)
        .fetch_all(conn)
        .await?;
    Ok(events)
}

pub(crate) const SIZE: &str = "octet_length(payload)::bigint + octet_length(detail)";

const EVENT: &str = "rejected_event_id, origin, reason, detail, payload,
    to_char(first_seen_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') as first_seen_at";

/// Asks for a page. A partner's in words of their own: "its own, or everybody's" finds it by no index of partners, since a plan
/// that stays with its connection must hold for both.
pub(crate) fn page_of(partner: Option<&str>, what: &'static str) -> String {
    let whose = if partner.is_some() { "partner_id = $4" } else { "$4::text is null" };
    format!(
        "select {what}
         from rejected_event
         where program_id = $1
             and rejected_event_id > $2
             and {whose}
         order by rejected_event_id
         limit $3"
    )
}
