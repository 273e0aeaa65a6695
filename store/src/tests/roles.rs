use futures::future::join_all;
use ledger::Command;
use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;

use super::archives::Filed;
use super::erasure::seal;
use super::fixture::{Fixture, PARTNER, keyring};
use super::world::{named, points};
use crate::*;

/// The same database, as another role.
fn as_role(url: &str, role: &str) -> String {
    format!("{url}&options=-c%20role%3D{role}")
}

#[tokio::test]
async fn the_services_role_does_its_work_and_nothing_to_history() {
    let books = Fixture::new().await;
    let pool = connect(&as_role(&books.url, APP_ROLE), 4).await.unwrap();
    let who: String = sqlx::query_scalar("select current_user").fetch_one(&pool).await.unwrap();
    assert_eq!(who, APP_ROLE);
    let committer = Fixture::committer_on(&pool, &books.log).await;
    let ask = async |key: &str, command| {
        let answer = committer.submit(books.request("operator:test", key, command)).await.unwrap();
        answer.outcome.expect("it is done")[0].posting_id
    };
    // It enrols, posts, sets aside, frees, and uses lots up.
    assert!(committer.submit(books.earn("e", "amina", 100)).await.unwrap().outcome.is_ok());
    let (member, partner) = (named("amina"), Some(PARTNER.to_owned()));
    let hold = ask("h", Command::Hold { member, points: points(60), partner, seconds: None }).await;
    ask("c", Command::Capture { hold, points: None, keep_rest: false }).await;
    let (member, partner) = (named("amina"), None);
    ask("r", Command::Redeem { member, points: points(40), partner, up_to: false }).await;
    let mut conn = pool.acquire().await.unwrap();
    ensure_partitions(&mut conn).await.unwrap();
    keep_rejected(&mut conn, books.program.program_id, None, "http", "no_rate", "none", b"{}").await.unwrap();
    ensure_partner(&mut conn, &keyring(), books.program.program_id, "second").await.unwrap();
    assert!(!begin_import(&mut conn, books.program.program_id, "import:0").await.unwrap());
    end_import(&mut conn, books.program.program_id, "import:0").await.unwrap();
    check_books_opened(&mut conn, &keyring()).await.unwrap();

    let mut refused = Vec::new();
    for table in ["leaf", "posting", "entry", "leaf_0", "posting_0", "entry_0"] {
        refused.extend([
            format!("update {table} set leaf_index = leaf_index"),
            format!("delete from {table}"),
            format!("truncate {table}"),
            format!("alter table {table} disable trigger all"),
            format!("drop trigger {table}_is_append_only on {table}"),
            format!("drop table {table}"),
        ]);
    }
    refused.extend(
        [
            "set session_replication_role = replica",
            "update checkpoint set size = 0",
            "insert into archive (first_leaf_index, end_leaf_index, postings, digest, file) values (0, 9, 1, sha256(''), '')",
            "delete from archived_posting",
            "delete from ended_import",
            "delete from event",
            "update outcome set points = 0",
            "delete from member",
            "update member set member_id = gen_random_uuid()",
            "update account set secret = ''",
            "update policy set document = ''",
            "create table public.mine ()",
            "create or replace function refuse_change() returns trigger language plpgsql as $$ begin return null; end $$",
            "select grant_to_app()",
            "alter table outcome disable trigger all",
        ]
        .map(str::to_owned),
    );
    for statement in refused {
        let error = conn.execute(AssertSqlSafe(statement.clone())).await.expect_err(&statement).to_string();
        assert!(
            error.contains("permission denied") || error.contains("must be owner"),
            "{statement}: {error}"
        );
    }
    // Of outcomes it may clear away what was refused, and nothing else.
    let error = conn.execute("delete from outcome").await.unwrap_err().to_string();
    assert!(error.contains("is append-only"), "{error}");
}

#[tokio::test]
async fn the_service_writes_nothing_where_something_is_archived() {
    let books = Fixture::new().await;
    for name in ["amina", "baraka"] {
        books.member_with(name, 10).await;
    }
    seal(&books).await;
    let mut owner = books.pool.acquire().await.unwrap();
    let filed = Filed::begin(&mut owner, 2).await;
    filed.gone(&mut owner).await;
    let pool = connect(&as_role(&books.url, APP_ROLE), 4).await.unwrap();
    let mut conn = pool.acquire().await.unwrap();
    for (table, rows) in [
        ("posting", "jsonb_populate_record(null::posting, $1::jsonb -> 'posting')"),
        ("entry", "jsonb_populate_recordset(null::entry, $1::jsonb -> 'entries')"),
        ("event", "jsonb_populate_record(null::event, $1::jsonb -> 'event')"),
    ] {
        let insert = AssertSqlSafe(format!("insert into {table} select it.* from {rows} as it"));
        let error = sqlx::query(insert).bind(&filed.lines[0].line).execute(&mut *conn).await.unwrap_err();
        assert!(error.to_string().contains("leaves before 2 are archived"), "{table}: {error}");
    }
    // It posts on behind them, and what was archived comes back.
    let committer = Fixture::committer_on(&pool, &books.log).await;
    assert!(committer.submit(books.earn("e", "amina", 100)).await.unwrap().outcome.is_ok());
    filed.back(&mut owner).await;
    books.check_books().await;
}

#[tokio::test]
async fn a_reader_sees_the_reports_of_its_programs_and_nothing_else() {
    let books = Fixture::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    let spec = ProgramSpec {
        name: "rival".to_owned(),
        enrols: true,
        point_value: "1".to_owned(),
        currency: "KES".to_owned(),
        rule_set: br#"{"rates":{"purchase":"1"},"scale":2}"#.to_vec(),
    };
    let rival = ensure_program(&mut conn, &keyring(), &spec).await.unwrap();
    ensure_partner(&mut conn, &keyring(), rival.program_id, PARTNER).await.unwrap();
    let amina = books.member_with("amina", 150).await;
    books.committer.submit(books.redeem("spent", amina, 40)).await.unwrap();
    let mut theirs = books.earn("theirs", "rama", 12);
    theirs.program = rival.program_id;
    assert!(books.committer.submit(theirs).await.unwrap().outcome.is_ok());
    let rama: Uuid = sqlx::query_scalar("select member_id from member where external_id = 'rama'")
        .fetch_one(&mut *conn)
        .await
        .unwrap();

    let names = ["ours", "rivals"].map(|it| format!("{it}_{}", Uuid::new_v4().simple()));
    for (name, program) in names.iter().zip([books.program.program_id, rival.program_id]) {
        let admit = format!(
            "create role {name} in role {READER_ROLE};
             insert into reporting.reader values ('{name}', {program})"
        );
        conn.execute(AssertSqlSafe(admit)).await.unwrap();
    }
    let [ours, rivals] =
        join_all(names.iter().map(async |it| connect(&as_role(&books.url, it), 1).await.unwrap()))
            .await
            .try_into()
            .unwrap();

    // The names and columns that other systems know.
    type Balance = (Uuid, Uuid, String, bool, i64);
    let balances = r#"select "PlayerId", "OperatorId", "PointsBalance"::text, "LastUpdated" <= now(), "Version"
                      from reporting."PlayerLoyaltyBalance""#;
    let seen: Vec<Balance> = sqlx::query_as(balances).fetch_all(&ours).await.unwrap();
    assert_eq!(seen, [(amina, books.program.id, "110.00".to_owned(), true, 2)]);
    let seen: Vec<Balance> = sqlx::query_as(balances).fetch_all(&rivals).await.unwrap();
    assert_eq!(seen, [(rama, rival.id, "0.12".to_owned(), true, 1)]);
    type Transaction = (Uuid, Option<String>, Uuid, String, bool, i64);
    let transactions: Vec<Transaction> = sqlx::query_as(
        r#"select "PlayerId", "WagerId", "OperatorId", "PointsEarned"::text, "Timestamp" <= now(), "EventOffset"
           from reporting."LoyaltyTransaction"
           where "TransactionId" is not null
           order by "EventOffset""#,
    )
    .fetch_all(&ours)
    .await
    .unwrap();
    let program = books.program.id;
    let expected = [
        (amina, Some("fund-amina".to_owned()), program, "150.00".to_owned(), true, 0),
        (amina, None, program, "-40.00".to_owned(), true, 1),
    ];
    assert_eq!(transactions, expected);
    // An event that is no text, as Kafka may once have brought it, has no name here, and does not end the report.
    conn.execute(
        "alter table event disable trigger all;
         update event set payload = '\\x7b22ff227d' where leaf_index = 0;
         alter table event enable trigger all",
    )
    .await
    .unwrap();
    let wagers: Vec<Option<String>> =
        sqlx::query_scalar(r#"select "WagerId" from reporting."LoyaltyTransaction" order by "EventOffset""#)
            .fetch_all(&ours)
            .await
            .unwrap();
    assert_eq!(wagers, [None, None]);
    let profile: (Uuid, String, String, String) = sqlx::query_as(
        "select customer_id, external_id, status, points_available::numeric(18, 2)::text
         from reporting.customer_loyalty_profiles",
    )
    .fetch_one(&ours)
    .await
    .unwrap();
    assert_eq!(profile, (amina, "amina".to_owned(), "active".to_owned(), "110.00".to_owned()));
    let kinds: Vec<String> =
        sqlx::query_scalar("select kind from reporting.points_transactions order by leaf_index")
            .fetch_all(&ours)
            .await
            .unwrap();
    assert_eq!(kinds, ["earn", "redeem"]);
    let redeemed: (Uuid, String, String) = sqlx::query_as(
        "select customer_id, partner_id, points::numeric(18, 2)::text from reporting.redemption_logs",
    )
    .fetch_one(&ours)
    .await
    .unwrap();
    assert_eq!(redeemed, (amina, PARTNER.to_owned(), "40.00".to_owned()));

    // A function of the reader's own is not shown a row of somebody else's before the view has left it out.
    let spy = format!(
        "create function pg_temp.spy(who uuid) returns boolean language plpgsql cost 0.0001 as $$ begin
             if who <> '{amina}' then raise 'it saw another'; end if;
             return true;
         end $$"
    );
    let mut spying = ours.acquire().await.unwrap();
    spying.execute(AssertSqlSafe(spy)).await.unwrap();
    for view in [
        r#"reporting."PlayerLoyaltyBalance" where pg_temp.spy("PlayerId")"#,
        "reporting.points_transactions where pg_temp.spy(customer_id)",
    ] {
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {view}")))
            .fetch_one(&mut *spying)
            .await
            .unwrap();
        assert_ne!(count, 0);
    }
    for statement in [
        "select * from posting",
        "select secret from account",
        "select * from reporting.movement",
        "select * from reporting.reader",
        "insert into reporting.reader values (current_user, 2)",
        r#"update reporting."PlayerLoyaltyBalance" set "Version" = 0"#,
        "delete from reporting.points_transactions",
    ] {
        let error = spying.execute(statement).await.expect_err(statement).to_string();
        assert!(error.contains("permission denied") || error.contains("cannot"), "{statement}: {error}");
    }
}
