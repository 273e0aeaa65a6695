//! Webhook messages on their way. They are queued from the log by whoever holds the cursor, and delivered by whoever holds
//! the endpoint: any number of processes share the work, and a crash loses none of it.

use std::time::Duration;

use sqlx::{Connection, FromRow, PgConnection};
use uuid::Uuid;

use crate::error::StoreError;
use crate::feed::{Fed, feed};
use crate::log_head::log_size;
use crate::webhooks::{Endpoint, active_endpoint, active_endpoints};

/// So many postings are looked at in one transaction.
const PAGE: u32 = 500;
/// So many endpoints of one owner are delivered to at once, by all processes together.
const OF_ONE_OWNER_MAX: i64 = 4;
/// So many endpoints are tried before somebody else is at each of them.
const CANDIDATES: i64 = 64;
/// For so long, messages and what became of them are kept.
const KEPT: &str = "30 days";

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Message {
    /// Its place in the endpoint's order.
    pub number: i64,
    /// The same over all attempts and replays.
    pub message_id: Uuid,
    /// What it tells.
    pub r#type: String,
    /// The posting that it tells of; none for a test.
    pub leaf_index: Option<i64>,
    /// When it was queued, in microseconds since 1970.
    pub created_at_us: i64,
}

/// A message, and how its delivery goes.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Delivery {
    /// The message.
    #[sqlx(flatten)]
    pub message: Message,
    /// Whether it is still to be delivered.
    pub is_due: bool,
    /// How often it was tried.
    pub attempts: i64,
    /// When it was tried last, in microseconds since 1970.
    pub attempted_at_us: Option<i64>,
    /// What was answered then.
    pub status: Option<i16>,
    /// What went wrong then.
    pub problem: Option<String>,
}

/// An endpoint that this process delivers to for now.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct Lease {
    /// The endpoint.
    pub endpoint_id: Uuid,
    lease: Uuid,
    lease_s: f64,
    /// How many attempts at its next message have failed.
    pub failed: i32,
    /// For how many seconds it has been failing.
    pub failing_s: f64,
}

/// An attempt, and what is done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What was answered.
    pub status: Option<u16>,
    /// What went wrong.
    pub problem: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// What is done next.
    pub then: Then,
}

/// What is done after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// It has arrived.
    Delivered,
    /// It is tried again after this time.
    Again(Duration),
    /// It is not tried any more.
    GiveUp,
    /// The endpoint is disabled, for this reason; the message waits until it is enabled.
    Disable(&'static str),
}

/// Looks through the next postings and queues what endpoints are to be told; `wants` says under which type. Answers whether
/// there is more to do now. Where another process is at it, there is not.
pub async fn queue_messages(
    conn: &mut PgConnection,
    program_id: i16,
    wants: impl Fn(&Fed, &Endpoint) -> Option<&'static str>,
) -> Result<bool, StoreError> {
    let mut transaction = conn.begin().await?;
    let cursor: Option<i64> = sqlx::query_scalar(
        "select next_leaf_index from webhook_cursor where program_id = $1 for update skip locked",
    )
    .bind(program_id)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(cursor) = cursor else { return Ok(false) };
    if log_size(&mut transaction).await? as i64 <= cursor {
        return Ok(false);
    }
    let endpoints = active_endpoints(&mut transaction, program_id).await?;
    let Some(first) = endpoints.iter().map(|it| it.first_leaf_index).min() else { return Ok(false) };
    // What was before the first of them concerns none.
    let next = cursor.max(first);
    let page = feed(&mut transaction, program_id, next as u64, PAGE).await?;
    if page.next_leaf_index == next as u64 {
        return Ok(false);
    }
    let (mut whose, mut types, mut leaves) = (Vec::new(), Vec::new(), Vec::new());
    for posting in &page.postings {
        for endpoint in endpoints.iter().filter(|it| it.first_leaf_index <= posting.leaf_index as i64) {
            if let Some(r#type) = wants(posting, endpoint) {
                whose.push(endpoint.endpoint_id);
                types.push(r#type);
                leaves.push(posting.leaf_index as i64);
            }
        }
    }
    let ids: Vec<Uuid> = whose.iter().map(|_| Uuid::now_v7()).collect();
    sqlx::query(
        "with message as (
             insert into webhook_message (endpoint_id, message_id, type, leaf_index)
             select endpoint_id, message_id, type, leaf_index
             from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[])
                 with ordinality as new (endpoint_id, message_id, type, leaf_index, ordinal)
             order by ordinal
             returning endpoint_id, number
         )
         insert into webhook_due (endpoint_id, number)
         select endpoint_id, number from message",
    )
    .bind(whose)
    .bind(ids)
    .bind(types)
    .bind(leaves)
    .execute(&mut *transaction)
    .await?;
    sqlx::query("update webhook_cursor set next_leaf_index = $2 where program_id = $1")
        .bind(program_id)
        .bind(page.next_leaf_index as i64)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(page.next_leaf_index < page.log_size)
}

/// Queues a message that tells of no posting: a test.
pub async fn queue_test(
    conn: &mut PgConnection,
    endpoint_id: Uuid,
    r#type: &str,
) -> Result<Uuid, StoreError> {
    let id = sqlx::query_scalar(
        "with message as (
             insert into webhook_message (endpoint_id, message_id, type)
             values ($1, $2, $3)
             returning endpoint_id, number, message_id
         ), due as (
             insert into webhook_due (endpoint_id, number) select endpoint_id, number from message
         )
         select message_id from message",
    )
    .bind(endpoint_id)
    .bind(Uuid::now_v7())
    .bind(r#type)
    .fetch_one(conn)
    .await?;
    Ok(id)
}

/// Messages that are queued once more. Their time stands alone in the comparison, so that its index serves.
pub(crate) const REPLAY: &str = "insert into webhook_due (endpoint_id, number)
     select endpoint_id, number
     from webhook_message
     where endpoint_id = $1
         and ($2::uuid is null or message_id = $2)
         and created_at >= to_timestamp($3 / 1000000.0)
         and created_at < to_timestamp($4 / 1000000.0)
     on conflict do nothing";

/// Queues messages once more, under their own ids and in their order: this one, or all that were made between two instants in
/// microseconds since 1970, the second left out. The endpoint is tried at once. Gives how many.
pub async fn replay_messages(
    conn: &mut PgConnection,
    endpoint_id: Uuid,
    message_id: Option<Uuid>,
    made: (i64, i64),
) -> Result<u64, StoreError> {
    let mut transaction = conn.begin().await?;
    let queued = sqlx::query(REPLAY)
        .bind(endpoint_id)
        .bind(message_id)
        .bind(made.0)
        .bind(made.1)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("update webhook_course set failed = 0, next_attempt_at = now() where endpoint_id = $1")
        .bind(endpoint_id)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(queued.rows_affected())
}

/// Takes an endpoint that is due, if there is one that nobody else delivers to. It is ours for so long, and after each attempt
/// again. Of one owner only a few are delivered to at once: whoever lets us wait at many of theirs holds up nobody else. Only those
/// for which something waits are looked at, however many there are and however much waits for each.
pub async fn lease_endpoint(
    conn: &mut PgConnection,
    program_id: i16,
    lease: Duration,
) -> Result<Option<Lease>, StoreError> {
    let lease = sqlx::query_as(
        // From one endpoint's first message that waits to the next one's. The limits keep the planner from joining the other way
        // round, all endpoints with these.
        "with recursive waiting (endpoint_id) as (
             (select endpoint_id from webhook_due order by endpoint_id limit 1)
             union all
             select (
                 select due.endpoint_id
                 from webhook_due as due
                 where due.endpoint_id > waiting.endpoint_id
                 order by due.endpoint_id
                 limit 1
             )
             from waiting
             where waiting.endpoint_id is not null
         ), owned as materialized (
             select course.*, endpoint.partner_id, endpoint.status
             from waiting
             cross join lateral (
                 select endpoint_id, next_attempt_at, leased_until
                 from webhook_course
                 where webhook_course.endpoint_id = waiting.endpoint_id
                 limit 1
             ) as course
             cross join lateral (
                 select program_id, partner_id, status
                 from webhook_endpoint
                 where webhook_endpoint.endpoint_id = waiting.endpoint_id
                 limit 1
             ) as endpoint
             where endpoint.program_id = $1
         ), busy as materialized (
             select partner_id
             from owned
             where leased_until > now()
             group by partner_id
             having count(*) >= $4
         ), candidate as materialized (
             select endpoint_id
             from owned
             where status = 2
                 and next_attempt_at <= now()
                 and (leased_until is null or leased_until <= now())
                 and not exists (select from busy where busy.partner_id is not distinct from owned.partner_id)
             order by next_attempt_at
             limit $5
         )
         update webhook_course
         set lease = $2, leased_until = now() + make_interval(secs => $3)
         where endpoint_id = (
             select endpoint_id
             from webhook_course
             where endpoint_id = any (array(select endpoint_id from candidate))
                 and next_attempt_at <= now()
                 and (leased_until is null or leased_until <= now())
             order by next_attempt_at
             limit 1
             for update skip locked
         )
         returning endpoint_id, lease, $3 as lease_s, failed,
             coalesce(extract(epoch from now() - failing_since), 0)::float8 as failing_s",
    )
    .bind(program_id)
    .bind(Uuid::new_v4())
    .bind(lease.as_secs_f64())
    .bind(OF_ONE_OWNER_MAX)
    .bind(CANDIDATES)
    .fetch_optional(conn)
    .await?;
    Ok(lease)
}

/// The message that the endpoint is told next, with the endpoint as it is now; none where none is due, or it is not active.
pub async fn next_message(
    conn: &mut PgConnection,
    program_id: i16,
    lease: &Lease,
) -> Result<Option<(Endpoint, Message)>, StoreError> {
    let message: Option<Message> = sqlx::query_as(
        "select number, message_id, type, leaf_index,
             (extract(epoch from created_at) * 1000000)::bigint as created_at_us
         from webhook_due
         join webhook_message using (endpoint_id, number)
         where endpoint_id = $1
         order by number
         limit 1",
    )
    .bind(lease.endpoint_id)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(message) = message else { return Ok(None) };
    let endpoint = active_endpoint(conn, program_id, lease.endpoint_id).await?;
    Ok(endpoint.map(|it| (it, message)))
}

/// Writes down an attempt and what follows from it. Answers whether the endpoint is still ours: where the lease had ended,
/// another process has taken it, and nothing is written.
pub async fn record_attempt(
    conn: &mut PgConnection,
    lease: &mut Lease,
    number: i64,
    attempt: &Attempt,
) -> Result<bool, StoreError> {
    let mut transaction = conn.begin().await?;
    let wait = match attempt.then {
        Then::Again(wait) => Some(wait.as_secs_f64()),
        _ => None,
    };
    let failed: Option<i32> = sqlx::query_scalar(
        "update webhook_course
         set failed = case when $3::float8 is null then 0 else failed + 1 end,
             next_attempt_at = now() + make_interval(secs => coalesce($3, 0)),
             failing_since = case when $4 then null else coalesce(failing_since, now()) end,
             leased_until = now() + make_interval(secs => $5)
         where endpoint_id = $1 and lease = $2 and leased_until > now()
         returning failed",
    )
    .bind(lease.endpoint_id)
    .bind(lease.lease)
    .bind(wait)
    .bind(attempt.then == Then::Delivered)
    .bind(lease.lease_s)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(failed) = failed else { return Ok(false) };
    sqlx::query(
        "insert into webhook_attempt (endpoint_id, number, status, problem, duration_ms)
         values ($1, $2, $3, $4, $5)",
    )
    .bind(lease.endpoint_id)
    .bind(number)
    .bind(attempt.status.map(|it| it as i16))
    .bind(&attempt.problem)
    .bind(attempt.took.as_millis() as i32)
    .execute(&mut *transaction)
    .await?;
    if matches!(attempt.then, Then::Delivered | Then::GiveUp) {
        sqlx::query("delete from webhook_due where endpoint_id = $1 and number = $2")
            .bind(lease.endpoint_id)
            .bind(number)
            .execute(&mut *transaction)
            .await?;
    }
    if let Then::Disable(because) = attempt.then {
        sqlx::query(
            "update webhook_endpoint
             set status = 3, disabled_because = $2, version = version + 1
             where endpoint_id = $1",
        )
        .bind(lease.endpoint_id)
        .bind(because)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    lease.failed = failed;
    Ok(true)
}

/// Gives an endpoint back, for whoever comes next.
pub async fn release_endpoint(conn: &mut PgConnection, lease: &Lease) -> Result<(), StoreError> {
    sqlx::query(
        "update webhook_course set lease = null, leased_until = null where endpoint_id = $1 and lease = $2",
    )
    .bind(lease.endpoint_id)
    .bind(lease.lease)
    .execute(conn)
    .await?;
    Ok(())
}

/// An endpoint's messages with how their delivery goes, newest first: those before this number.
pub async fn deliveries(
    conn: &mut PgConnection,
    endpoint_id: Uuid,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Delivery>, StoreError> {
    let rows = sqlx::query_as(
        "select number, message_id, type, leaf_index,
             (extract(epoch from created_at) * 1000000)::bigint as created_at_us,
             exists (
                 select from webhook_due as due
                 where due.endpoint_id = message.endpoint_id and due.number = message.number
             ) as is_due,
             (
                 select count(*) from webhook_attempt as every
                 where every.endpoint_id = message.endpoint_id and every.number = message.number
             ) as attempts,
             (extract(epoch from last.attempted_at) * 1000000)::bigint as attempted_at_us,
             last.status, last.problem
         from webhook_message as message
         left join lateral (
             select attempted_at, status, problem
             from webhook_attempt as attempt
             where attempt.endpoint_id = message.endpoint_id and attempt.number = message.number
             order by attempted_at desc
             limit 1
         ) as last on true
         where endpoint_id = $1
             and number < $2
         order by number desc
         limit $3",
    )
    .bind(endpoint_id)
    .bind(before.unwrap_or(i64::MAX))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Forgets messages whose time is over, and that are not still to be delivered; says how many.
pub async fn forget_messages(conn: &mut PgConnection, limit: i64) -> Result<u64, StoreError> {
    let forgotten = sqlx::query(
        "delete from webhook_message
         where ctid = any(array(
             select message.ctid
             from webhook_message as message
             where created_at < now() - $1::interval
                 and not exists (
                     select from webhook_due as due
                     where due.endpoint_id = message.endpoint_id and due.number = message.number
                 )
             order by created_at
             limit $2
         ))",
    )
    .bind(KEPT)
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(forgotten.rows_affected())
}
