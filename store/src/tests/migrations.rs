use std::borrow::Cow;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use uuid::Uuid;

use crate::pool::MIGRATIONS;

async fn empty_database() -> PgConnection {
    let server: PgConnectOptions = devstack::test_postgres_url().unwrap().parse().unwrap();
    let name = format!("forward_{}", Uuid::new_v4().simple());
    let mut admin = server.connect().await.unwrap();
    sqlx::query(AssertSqlSafe(format!("create database {name} template template0")))
        .execute(&mut admin)
        .await
        .unwrap();
    admin.close().await.unwrap();
    server.database(&name).connect().await.unwrap()
}

/// Everything about the schema that our migrations decide, as text.
async fn schema(conn: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "select format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default)
         from information_schema.columns where table_schema = 'public' and table_name <> '_sqlx_migrations'
         union all
         select format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
         from pg_constraint where connamespace = 'public'::regnamespace
         union all
         select indexdef from pg_indexes where schemaname = 'public'
         union all
         select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
         union all
         select pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace
         union all
         select format('%s.%s %s', schemaname, viewname, definition) from pg_views where schemaname = 'reporting'
         order by 1",
    )
    .fetch_all(conn)
    .await
    .unwrap()
}

#[tokio::test]
async fn migrations_run_forward_from_every_version() {
    let mut fresh = empty_database().await;
    MIGRATIONS.run(&mut fresh).await.unwrap();
    let newest = schema(&mut fresh).await;
    assert!(newest.iter().any(|it| it.contains("checkpoint_extends_once")), "the schema is what is compared");
    for count in 1..MIGRATIONS.migrations.len() {
        let mut conn = empty_database().await;
        first(count).run(&mut conn).await.unwrap();
        let done: i64 =
            sqlx::query_scalar("select count(*) from _sqlx_migrations").fetch_one(&mut conn).await.unwrap();
        assert_eq!(done, count as i64, "it is older");
        MIGRATIONS.run(&mut conn).await.unwrap();
        assert_eq!(schema(&mut conn).await, newest, "from version {count}");
    }
}

/// So many migrations, and no later ones.
fn first(count: usize) -> Migrator {
    let released = MIGRATIONS.migrations[..count].to_vec();
    Migrator { migrations: Cow::Owned(released), ..Migrator::DEFAULT }
}

#[tokio::test]
async fn what_was_remembered_of_outdated_versions_is_forgotten_and_nothing_else() {
    let mut conn = empty_database().await;
    let earlier = MIGRATIONS.iter().take_while(|it| it.version < 107).count();
    first(earlier).run(&mut conn).await.unwrap();
    sqlx::raw_sql(
        "insert into outcome
             (program_id, source, key, fingerprint, posting_id, leaf_index, refusal, points, available, recorded_at, account_id)
         values
             (1, 'owner', 'accepted', decode(repeat('01', 32), 'hex'), gen_random_uuid(), 0, null, 5, 5, 1, 1),
             (1, 'owner', 'outdated', decode(repeat('02', 32), 'hex'), null, null, 21, 0, 7, 2, null),
             (1, 'owner', 'too little', decode(repeat('03', 32), 'hex'), null, null, 1, 6, 5, 3, null)",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    MIGRATIONS.run(&mut conn).await.unwrap();
    let left: Vec<String> =
        sqlx::query_scalar("select key from outcome order by key").fetch_all(&mut conn).await.unwrap();
    assert_eq!(left, ["accepted", "too little"]);
}
