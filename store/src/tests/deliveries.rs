//! What is looked at to find the next message: what waits, and not who is there.

use std::time::Duration;

use sqlx::Connection;
use uuid::Uuid;

use super::fixture::{Fixture, PARTNER, explain, keyring};
use crate::*;

/// How many rows about endpoints this connection has read; what it has read in earlier transactions may be among them.
async fn rows_read(conn: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "select coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint
         from pg_stat_xact_user_tables
         where relname in ('webhook_endpoint', 'webhook_course')",
    )
    .fetch_one(conn)
    .await
    .unwrap()
}

#[tokio::test]
async fn the_next_message_costs_the_same_among_ten_thousand_endpoints() {
    let fixture = Fixture::new().await;
    let program_id = fixture.program.program_id;
    let conn = &mut *fixture.pool.acquire().await.unwrap();
    let new = NewEndpoint {
        partner_id: Some(PARTNER.to_owned()),
        url: "https://shop.example/told".to_owned(),
        types: vec![],
        description: String::new(),
        is_asymmetric: false,
    };
    let one = create_endpoint(conn, &keyring(), program_id, &new).await.unwrap();
    assert!(activate_endpoint(conn, program_id, &one).await.unwrap());
    sqlx::query(
        "with others as (
             insert into webhook_endpoint (endpoint_id, program_id, partner_id, url, types, description, signs, secret, status)
             select gen_random_uuid(), program_id, partner_id, url, types, description, signs, secret, status
             from webhook_endpoint, generate_series(1, 10000)
             returning endpoint_id
         )
         insert into webhook_course (endpoint_id) select endpoint_id from others",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    // Much waits for it, of which the first is next.
    let first = queue_test(conn, one.endpoint_id, "webhook.test").await.unwrap();
    for _ in 0..100 {
        queue_test(conn, one.endpoint_id, "webhook.test").await.unwrap();
    }

    let mut transaction = conn.begin().await.unwrap();
    let before = rows_read(&mut transaction).await;
    let lease = lease_endpoint(&mut transaction, program_id, Duration::from_secs(30)).await.unwrap().unwrap();
    assert_eq!(lease.endpoint_id, one.endpoint_id);
    let (endpoint, message) = next_message(&mut transaction, program_id, &lease).await.unwrap().unwrap();
    assert_eq!((endpoint.endpoint_id, message.message_id), (one.endpoint_id, first));
    let read = rows_read(&mut transaction).await - before;
    assert!((1..=10).contains(&read), "{read} rows of endpoints were read");
    transaction.rollback().await.unwrap();

    // Where nothing is new in the log, nobody looks who might be told.
    assert_eq!(log_size(conn).await.unwrap(), 0);
    let mut transaction = conn.begin().await.unwrap();
    let before = rows_read(&mut transaction).await;
    assert!(
        !queue_messages(&mut transaction, program_id, |_, _| unreachable!("nothing is told")).await.unwrap()
    );
    assert_eq!(rows_read(&mut transaction).await, before);
}

/// However many messages the endpoint has, and however many others were made then.
#[tokio::test]
async fn messages_are_sent_again_by_when_they_were_made() {
    let fixture = Fixture::new().await;
    let conn = &mut *fixture.pool.acquire().await.unwrap();
    // Of endpoints that need not be there: each has one of every second.
    sqlx::query("set session_replication_role = replica").execute(&mut *conn).await.unwrap();
    sqlx::query(
        "insert into webhook_message (endpoint_id, message_id, type, created_at)
         select lpad((number / 200)::text, 32, '0')::uuid, gen_random_uuid(), 'webhook.test',
             to_timestamp(number % 200)
         from generate_series(0, 19999) as number",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query("analyze webhook_message").execute(&mut *conn).await.unwrap();
    let (endpoint, made) = (Uuid::from_u128(7), (50_000_000_i64, 60_000_000_i64));
    let plan = explain(deliveries::REPLAY)
        .bind(endpoint)
        .bind(None::<Uuid>)
        .bind(made.0)
        .bind(made.1)
        .fetch_all(&mut *conn)
        .await
        .unwrap()
        .join("\n");
    assert!(plan.contains("webhook_message_of"), "{plan}");
    assert_eq!(replay_messages(conn, endpoint, None, made).await.unwrap(), 10);
    assert_eq!(replay_messages(conn, endpoint, None, (59_000_001, 61_000_001)).await.unwrap(), 2);
    assert_eq!(replay_messages(conn, endpoint, None, (0, i64::MAX)).await.unwrap(), 188);
}
