use std::collections::BTreeMap;

use futures::future::join_all;
use ledger::{AccountKind, Command, HELD_FOR_REVIEW, House, MemberRef, Name, Status};
use proof::Balances;
use uuid::Uuid;

use super::fixture::{Fixture, PARTNER, explain, keyring};
use super::world::{World, named, points};
use crate::log_head;
use crate::remembered::{self, Remembered};
use crate::walk::Walk;
use crate::*;

/// Every account folded from what stood in the log when it had this size: number, unit, kind, version, balances and lots.
async fn replayed(conn: &mut PgConnection, size: i64) -> Vec<(i64, ledger::Account)> {
    let mut walk = Walk::up_to(conn, size).await.unwrap();
    let mut all = Vec::new();
    while let Some(page) = walk.next(conn).await.unwrap() {
        all.extend(page.into_iter().map(|(folded, _)| (folded.account_id, folded.account)));
    }
    all
}

#[tokio::test]
async fn a_balance_as_of_any_point_is_what_a_replay_up_to_it_gives() {
    let World { books, .. } = World::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    let times: Vec<i64> = sqlx::query_scalar("select recorded_at from posting order by leaf_index")
        .fetch_all(&mut *conn)
        .await
        .unwrap();
    for size in 0..=times.len() {
        // The instant of the last leaf: all that were recorded at it are in.
        let instant = size.checked_sub(1).map_or(0, |it| times[it]);
        let at_instant = times.partition_point(|it| *it <= instant);
        assert_eq!(size_at(&mut conn, instant).await.unwrap(), at_instant as u64);
        for (number, account) in replayed(&mut conn, size as i64).await {
            let standing = balance_as_of(&mut conn, number, AsOf::Size(size as u64)).await.unwrap();
            assert_eq!(
                (standing.version, standing.balances),
                (account.sequence, account.balances),
                "size {size}"
            );
            let by_time = balance_as_of(&mut conn, number, AsOf::Instant(instant)).await.unwrap();
            let by_size = balance_as_of(&mut conn, number, AsOf::Size(at_instant as u64)).await.unwrap();
            assert_eq!(by_time, by_size);
        }
    }
    assert_eq!(size_at(&mut conn, i64::MAX).await.unwrap(), times.len() as u64);
}

/// A map of any size, also of one that is long past.
#[tokio::test]
async fn a_map_says_of_each_account_how_it_stood() {
    let World { books, .. } = World::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    let accounts: Vec<(i64, Uuid)> =
        sqlx::query_as("select account_id, id from account").fetch_all(&mut *conn).await.unwrap();
    for size in 0..=log_size(&mut conn).await.unwrap() {
        for (number, id) in &accounts {
            let standing = balance_as_of(&mut conn, *number, AsOf::Size(size)).await.unwrap();
            let mapped = mapped_account(&mut conn, &keyring(), size, *id).await.unwrap();
            let mapped = mapped.map(|it| (it.value.sequence, it.value.balances));
            let stood = (standing.version > 0).then_some((standing.version, standing.balances));
            assert_eq!(mapped, stood, "account {number} at {size}");
        }
    }
    let plan = explain(mapped::STOOD)
        .bind(0_i64)
        .bind(1_i64)
        .bind(1_i64)
        .fetch_all(&mut *conn)
        .await
        .unwrap()
        .join("\n");
    assert!(plan.contains("Recursive Union"), "its place is found by halving: {plan}");
}

/// However many holds there are on other accounts, and whether or not the planner knows of them.
#[tokio::test]
async fn a_balance_is_found_by_the_keys_of_its_account() {
    let books = Fixture::new().await;
    books.member_with("amina", 100).await;
    let mut conn = books.pool.acquire().await.unwrap();
    sqlx::query(
        "insert into reservation
         select gen_random_uuid(), 1000000 + number / 4, 1, 1, number, number, decode(repeat('00', 24), 'hex')
         from generate_series(1, 20000) as number",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    for prepare in ["select 1", "analyze reservation"] {
        sqlx::query(prepare).execute(&mut *conn).await.unwrap();
        let plan = explain(balances::READ)
            .bind([1_i16])
            .bind([0_i16])
            .bind([None::<Uuid>])
            .bind([Some("amina")])
            .fetch_all(&mut *conn)
            .await
            .unwrap()
            .join("\n");
        assert!(plan.contains("reservation_by_account"), "{plan}");
        assert!(!plan.contains("reservation_by_due"), "{plan}");
    }
}

/// Each start waits for the house's accounts, and so do all batches after a settlement.
#[tokio::test]
async fn the_houses_accounts_are_found_without_a_look_at_the_members() {
    let books = Fixture::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    accounts_of_nobody(&mut conn, books.program.program_id).await;
    let plan = explain(directory::HOUSES).fetch_all(&mut *conn).await.unwrap().join("\n");
    assert!(plan.contains("account_of_house") && !plan.contains("Seq Scan on account"), "{plan}");
}

/// Where there is no sandbox, members have accounts beside the partner's.
#[tokio::test]
async fn a_partners_readiness_is_found_without_a_look_at_the_members() {
    let books = Fixture::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    accounts_of_nobody(&mut conn, books.program.program_id).await;
    let plan = explain(partners::READINESS)
        .bind(books.program.program_id)
        .bind(PARTNER)
        .fetch_all(&mut *conn)
        .await
        .unwrap()
        .join("\n");
    assert!(plan.contains("(member_id IS NULL) AND (partner_id"), "{plan}");
    assert!(!plan.contains("Seq Scan on account"), "{plan}");
}

/// However many other holds there are, and other postings.
#[tokio::test]
async fn what_waits_for_a_review_is_found_without_a_look_at_other_holds() {
    assert!(story::FOR_REVIEW.contains(HELD_FOR_REVIEW));
    let books = Fixture::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    sqlx::query("set session_replication_role = replica").execute(&mut *conn).await.unwrap();
    sqlx::query(
        "insert into posting (leaf_index, posting_id, program_id, kind, recorded_at, effective_at, reason,
             header_commitment, details_commitment)
         select number, lpad(number::text, 32, '0')::uuid, $1, 7, number, number,
             case when number % 1000 = 0 then $2::text end, decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex')
         from generate_series(1, 20000) as number",
    )
    .bind(books.program.program_id)
    .bind(HELD_FOR_REVIEW)
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query(
        "insert into reservation
         select posting_id, leaf_index, 1, 1, 9000000000000000, 9000000000000000, decode(repeat('00', 24), 'hex')
         from posting",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query("analyze posting, reservation").execute(&mut *conn).await.unwrap();
    let plan = explain(story::FOR_REVIEW)
        .bind(books.program.program_id)
        .bind(0_i64)
        .bind(51_i64)
        .fetch_all(&mut *conn)
        .await
        .unwrap()
        .join("\n");
    assert!(plan.contains("posting_0_program_id_leaf_index_idx"), "{plan}");
    assert!(!plan.contains("Seq Scan on posting_0") && !plan.contains("Seq Scan on reservation"), "{plan}");
}

/// Accounts of members who need not be there.
async fn accounts_of_nobody(conn: &mut PgConnection, program_id: i16) {
    sqlx::query("set session_replication_role = replica").execute(&mut *conn).await.unwrap();
    sqlx::query(
        "insert into account (id, program_id, kind, member_id, unit, secret)
         select gen_random_uuid(), $1, 1, gen_random_uuid(), 1, ''
         from generate_series(1, 20000)",
    )
    .bind(program_id)
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query("analyze account").execute(&mut *conn).await.unwrap();
}

/// A check of the books asks it of every item of every outcome.
#[tokio::test]
async fn whether_an_act_erased_somebody_is_found_without_a_look_at_all_erasures() {
    let books = Fixture::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    sqlx::query("set session_replication_role = replica").execute(&mut *conn).await.unwrap();
    sqlx::query(
        "insert into erasure (account_id, leaf_index)
         select number, number from generate_series(1000001, 1020000) as number",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query("analyze erasure").execute(&mut *conn).await.unwrap();
    let plan = explain(check::outcomes::POSTED)
        .bind([0_i64])
        .bind([1_i64])
        .fetch_all(&mut *conn)
        .await
        .unwrap()
        .join("\n");
    assert!(plan.contains("erasure_by_leaf") && !plan.contains("Seq Scan on erasure"), "{plan}");
}

/// An export has the time of an answer, and an erasure keeps the member's accounts locked.
#[tokio::test]
async fn what_is_held_about_a_member_is_found_without_a_look_at_others() {
    let books = Fixture::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    sqlx::raw_sql(
        "set session_replication_role = replica;
         insert into member_session (session_id, program_id, credential_id, member, scopes, expires_at)
         select gen_random_uuid(), 1, 1, number::text, '{}', now() from generate_series(1, 20000) as number;
         insert into credit_reference (reference, program_id, unit, member_id, actor)
         select sha256(number::text::bytea), 1, 1, gen_random_uuid(), '' from generate_series(1, 20000) as number;
         insert into gateway_burn
             (chain_id, contract, burn_id, holder, credit_to, amounts, block, transaction_hash, member_id)
         select 1, '', number, '', '', decode(repeat('00', 20), 'hex'), 1, '', gen_random_uuid()
         from generate_series(1, 20000) as number;
         insert into webhook_message (endpoint_id, message_id, type, leaf_index)
         select '00000000-0000-0000-0000-000000000001', gen_random_uuid(), '', number
         from generate_series(1, 20000) as number;
         insert into webhook_attempt (endpoint_id, number, problem, duration_ms)
         select endpoint_id, number, '', 0 from webhook_message;
         analyze member_session, credit_reference, gateway_burn, webhook_message, webhook_attempt",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    let nobody = Uuid::new_v4();
    for (question, index) in [
        (explain(held::SESSIONS).bind(1_i16).bind([nobody.to_string()]), "member_session_by_member"),
        (explain(held::REFERENCES).bind(1_i16).bind(nobody), "credit_reference_by_member"),
        (explain(erasure::FORGET_BURNS).bind(1_i16).bind(nobody), "gateway_burn_by_member"),
        (explain(erasure::FORGET_ATTEMPTS).bind([7_i64]), "webhook_message_by_leaf"),
    ] {
        let plan = question.fetch_all(&mut *conn).await.unwrap().join("\n");
        assert!(plan.contains(index), "{plan}");
    }
}

/// An erasure asks it three times, and the last time while the member's accounts are locked.
#[tokio::test]
async fn claims_that_name_a_member_are_looked_up_without_a_look_at_all_outcomes() {
    let books = Fixture::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    sqlx::raw_sql(
        "set session_replication_role = replica;
         insert into claimed_reference (program_id, partner_id, kind, reference, source, key, item)
         select 1, '', '', sha256(number::text::bytea), '', number::text, 0 from generate_series(1, 20000) as number;
         insert into outcome
             (program_id, source, key, fingerprint, posting_id, leaf_index, account_id, points, available, recorded_at)
         select 1, '', number::text, '', gen_random_uuid(), number, 1, 0, 0, 0
         from generate_series(1, 20000) as number;
         analyze claimed_reference, outcome",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    for statement in [erasure::IS_IN_DOUBT, erasure::FORGET_CLAIMS] {
        let plan =
            explain(statement).bind(1_i16).bind(["nobody"]).fetch_all(&mut *conn).await.unwrap().join("\n");
        assert!(plan.contains("outcome_pk") && !plan.contains("Seq Scan on outcome"), "{plan}");
    }
}

/// What is remembered is not read again until an entry names its account, a leaf has none, the head's epoch is another, or it is
/// too much to look through.
#[tokio::test]
async fn a_balance_is_read_again_once_it_may_have_changed() {
    let books = Fixture::new().await;
    books.member_with("amina", 100).await;
    books.member_with("baraka", 100).await;
    let key = |name| (books.program.program_id, 1, MemberRef::parse(name));
    let mut conn = books.pool.acquire().await.unwrap();
    let mut remembered = Remembered::default();
    let mut available = async |name| {
        let rows = remembered.read(&mut books.pool.acquire().await.unwrap(), &[key(name)]).await.unwrap();
        rows[0].as_ref().unwrap().balance.available
    };
    assert_eq!((available("amina").await, available("baraka").await), (100, 100));
    // Not as balances change: nobody is told.
    let behind = "update balance set available = available + 1";
    sqlx::query(behind).execute(&mut *conn).await.unwrap();
    assert_eq!((available("amina").await, available("baraka").await), (100, 100));

    books.committer.submit(books.earn("more", "amina", 10)).await.unwrap().outcome.unwrap();
    assert_eq!((available("amina").await, available("baraka").await), (111, 100));

    log_head::raise_epoch(&mut conn).await.unwrap();
    assert_eq!((available("amina").await, available("baraka").await), (111, 101));

    sqlx::query(behind).execute(&mut *conn).await.unwrap();
    let command = Command::SetStatus { member: MemberRef::parse("amina"), status: Status::Suspended };
    books.committer.submit(books.request("test", "suspend", command)).await.unwrap().outcome.unwrap();
    assert_eq!((available("amina").await, available("baraka").await), (112, 102));

    sqlx::query(behind).execute(&mut *conn).await.unwrap();
    let many = (0..1100).map(|it| books.committer.submit(books.earn(&format!("many-{it}"), "chema", 1)));
    join_all(many).await.into_iter().for_each(|it| drop(it.unwrap().outcome.unwrap()));
    assert_eq!((available("amina").await, available("baraka").await), (113, 103));
}

/// Whether or not the planner knows how many entries there are, and of which leaves.
#[tokio::test]
async fn what_has_changed_is_found_from_the_first_leaf_on() {
    let books = Fixture::new().await;
    books.member_with("amina", 100).await;
    let mut conn = books.pool.acquire().await.unwrap();
    sqlx::query(
        "insert into entry
         select number, 0, 1, number, 0, 0, 0, 0, 0, 0, null, null, decode(repeat('00', 32), 'hex')
         from generate_series(1000, 21000) as number",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "set plan_cache_mode = force_generic_plan; prepare changed (bigint, bigint) as {}",
        remembered::CHANGED
    )))
    .execute(&mut *conn)
    .await
    .unwrap();
    for prepare in ["select 1", "analyze entry"] {
        sqlx::query(prepare).execute(&mut *conn).await.unwrap();
        let plan: Vec<String> =
            sqlx::query_scalar("explain execute changed (20000, 2048)").fetch_all(&mut *conn).await.unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains("on entry_0") && !plan.contains("Seq Scan on entry_0"), "{plan}");
    }
}

/// However many of others there are, and with a plan that was made for nobody in particular.
#[tokio::test]
async fn a_partners_rejected_events_are_found_by_their_partner() {
    let books = Fixture::new().await;
    let program = books.program.program_id;
    let mut conn = books.pool.acquire().await.unwrap();
    let asked = rejects::page_of(Some(PARTNER), rejects::SIZE);
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "insert into rejected_event (program_id, partner_id, origin, reason, detail, payload)
         select {program}, case when number % 10000 = 0 then '{PARTNER}' end, 'http', 'no_rate', 'none',
             convert_to(number::text, 'UTF8')
         from generate_series(1, 20000) as number;
         analyze rejected_event;
         set plan_cache_mode = force_generic_plan;
         prepare page (smallint, bigint, bigint, text) as {asked}"
    )))
    .execute(&mut *conn)
    .await
    .unwrap();
    let explain = format!("explain execute page ({program}, 0, 51, '{PARTNER}')");
    let plan: Vec<String> =
        sqlx::query_scalar(sqlx::AssertSqlSafe(explain)).fetch_all(&mut *conn).await.unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("rejected_event_by_partner"), "{plan}");
    let own = rejected_events(&mut conn, program, Some(PARTNER), 0, 51).await.unwrap();
    let all = rejected_events(&mut conn, program, None, 0, 51).await.unwrap();
    assert_eq!((own.len(), all.len()), (2, 51));
}

#[tokio::test]
async fn liability_at_any_size_adds_up_to_the_house_accounts() {
    let World { books, .. } = World::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    let program = books.program.program_id;
    let size = log_size(&mut conn).await.unwrap();
    let mut owed = 0;
    for size in 0..=size {
        let liability = liability(&mut conn, program, Some(size)).await.unwrap();
        assert_eq!(liability.log_size, size);
        let (mut house, mut lots) = (BTreeMap::<u16, i64>::new(), BTreeMap::<_, i64>::new());
        for (_, account) in replayed(&mut conn, size as i64).await {
            if account.kind != AccountKind::Member {
                *house.entry(account.unit).or_default() += account.balances.available;
            }
            for (lot, it) in account.lots {
                let ends = (lot.last_day != ledger::Day::NEVER).then(|| lot.last_day.month());
                *lots.entry((account.unit, ends, lot.fund)).or_default() +=
                    it.available + it.held + it.pending;
            }
        }
        for (unit, house) in house {
            let lines = liability.lines.iter().filter(|it| it.unit == unit);
            let debt = liability.debts.get(&unit).copied().unwrap_or_default();
            owed += debt;
            assert_eq!(lines.map(|it| it.points).sum::<i64>() - debt, -house, "unit {unit} at size {size}");
        }
        let number = |fund: Option<&str>| match fund {
            None => 0,
            Some("spring") => 1,
            Some("gift") => 2,
            Some(other) => panic!("there is no fund {other}"),
        };
        let told =
            liability.lines.iter().map(|it| ((it.unit, it.ends, number(it.fund.as_deref())), it.points));
        assert_eq!(told.collect::<BTreeMap<_, _>>(), lots);
    }
    assert_ne!(owed, 0, "somebody owed something on the way");
}

#[tokio::test]
async fn statements_go_by_when_it_counted_and_join_without_a_gap() {
    let mut world = World::new().await;
    let program = world.books.program.program_id;
    let mut conn = world.books.pool.acquire().await.unwrap();
    let before = log_head::clock_us(&mut conn).await.unwrap();
    // Recorded now, and counting an hour ago: it belongs into the earlier statement.
    let command = Command::Adjust {
        member: named("amina"),
        change: 17,
        approver: None,
        effective_at_us: Some(before - 3_600_000_000),
    };
    let late = world.ask(command).await;
    world.earn("amina", 1).await;
    let name = Name::Member(named("amina"));
    let account = account_number(&mut conn, program, 1, &name).await.unwrap().unwrap();
    let cuts = [0, before - 3_600_000_001, before - 3_599_999_999, before, i64::MAX];
    let mut opening = Balances::default();
    let mut seen = 0;
    for period in cuts.windows(2) {
        let period = (period[0], period[1]);
        let mut whole = statement(&mut conn, account, period).await.unwrap();
        assert_eq!(whole.opening, opening, "it opens with what the one before closed with");
        let lines = whole.next(1000).await.unwrap();
        assert!(lines.is_sorted_by_key(|it| (it.effective_at_us, it.version)), "{lines:?}");
        assert_eq!(sum(whole.opening, &lines), whole.closing);
        opening = whole.closing;
        // The same in pages of three.
        let mut paged = statement(&mut conn, account, period).await.unwrap();
        let mut again = Vec::new();
        loop {
            let page = paged.next(3).await.unwrap();
            if page.is_empty() {
                break;
            }
            again.extend(page);
        }
        assert_eq!(again, lines);
        if period.0 == before - 3_600_000_001 {
            assert_eq!(lines.iter().map(|it| it.posting_id).collect::<Vec<_>>(), [late]);
        }
        seen += lines.len();
    }
    let now = balance_as_of(&mut conn, account, AsOf::Size(u64::MAX)).await.unwrap();
    assert_eq!((opening, seen as u64), (now.balances, now.version));
}

/// What these lines come to after what there was.
fn sum(opening: Balances, lines: &[TrailEntry]) -> Balances {
    lines.iter().fold(opening, |sum, line| Balances {
        available: sum.available + line.change.available,
        held: sum.held + line.change.held,
        pending: sum.pending + line.change.pending,
    })
}

/// What is recorded meanwhile, and counts from before the lines that were read or from after them, stands in the next one.
#[tokio::test]
async fn a_statement_adds_up_whatever_is_recorded_while_it_is_read() {
    let mut world = World::new().await;
    let mut conn = world.books.pool.acquire().await.unwrap();
    let now = log_head::clock_us(&mut conn).await.unwrap();
    let (program, name) = (world.books.program.program_id, Name::Member(named("amina")));
    let account = account_number(&mut conn, program, 1, &name).await.unwrap().unwrap();
    let size = log_size(&mut conn).await.unwrap();
    let then = balance_as_of(&mut conn, account, AsOf::Size(size)).await.unwrap();
    let late = Command::Adjust {
        member: named("amina"),
        change: 17,
        approver: None,
        effective_at_us: Some(now - 3_600_000_000),
    };
    let mut told = statement(&mut conn, account, (0, i64::MAX)).await.unwrap();
    let (mut lines, mut meanwhile) = (Vec::new(), 0);
    loop {
        let page = told.next(3).await.unwrap();
        if page.is_empty() {
            break;
        }
        lines.extend(page);
        world.ask(late.clone()).await;
        meanwhile += 1;
    }
    assert!(2 < meanwhile, "it has several pages");
    assert_eq!((told.log_size, told.closing), (size, then.balances));
    assert_eq!(sum(told.opening, &lines), told.closing);
    assert_eq!(lines.len() as u64, then.version);
    // One that was not read to its end is not in the way of the next.
    statement(&mut conn, account, (0, i64::MAX)).await.unwrap().next(1).await.unwrap();
    let mut next = statement(&mut conn, account, (0, i64::MAX)).await.unwrap();
    let lines = next.next(1000).await.unwrap();
    assert!(then.version + meanwhile <= lines.len() as u64);
    assert_eq!(sum(next.opening, &lines), next.closing);
}

/// However many entries others have.
#[tokio::test]
async fn a_statements_lines_are_found_by_the_keys_of_its_account() {
    let books = Fixture::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    sqlx::raw_sql(
        "set session_replication_role = replica;
         insert into entry
         select number, 0, number, 1, 0, 0, 0, 0, 0, 0, null, null, decode(repeat('00', 32), 'hex')
         from generate_series(1, 20000) as number;
         insert into posting (leaf_index, posting_id, program_id, kind, recorded_at, effective_at,
             header_commitment, details_commitment)
         select number, lpad(number::text, 32, '0')::uuid, 1, 1, number, number,
             decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex')
         from generate_series(1, 20000) as number;
         analyze entry, posting",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    let plan = explain(&statements::lines())
        .bind(7_i64)
        .bind(0_i64)
        .bind(0_i64)
        .bind(i64::MAX)
        .fetch_all(&mut *conn)
        .await
        .unwrap()
        .join("\n");
    assert!(plan.contains("entry_0_account_id_sequence_idx") && plan.contains("posting_0_pkey"), "{plan}");
    assert!(!plan.contains("Seq Scan on entry_0") && !plan.contains("Seq Scan on posting_0"), "{plan}");
}

#[tokio::test]
async fn what_is_summed_up_in_pages_comes_to_the_same() {
    let World { books, .. } = World::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    let program = books.program.program_id;
    let whole = liability::of_now(&mut conn, program, 1_000_000).await.unwrap();
    assert!(!whole.1.is_empty());
    assert_eq!(liability::of_now(&mut conn, program, 1).await.unwrap(), whole);
    let name = Name::Member(named("amina"));
    let account = account_number(&mut conn, program, 1, &name).await.unwrap().unwrap();
    let now = balance_as_of(&mut conn, account, AsOf::Size(u64::MAX)).await.unwrap();
    let since = statements::Since { account, version: 0 };
    for entries in [1, 2, 1_000_000] {
        let sum = since.sum(&mut conn, (i64::MIN, i64::MAX), entries).await.unwrap();
        assert_eq!(sum, now.balances, "{entries} at a time");
    }
}

#[tokio::test]
async fn a_history_reads_the_same_both_ways_and_the_feed_has_all_of_it() {
    let World { books, .. } = World::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    let program = books.program.program_id;
    let mut fed = Vec::new();
    let mut next = 0;
    loop {
        let page = feed(&mut conn, program, next, 7).await.unwrap();
        next = page.next_leaf_index;
        fed.extend(page.postings);
        if next == page.log_size {
            break;
        }
    }
    let indexes: Vec<u64> = fed.iter().map(|it| it.leaf_index).collect();
    assert_eq!(indexes, (0..log_size(&mut conn).await.unwrap()).collect::<Vec<_>>());
    let size = log_size(&mut conn).await.unwrap();
    let foreign = feed(&mut conn, program + 1, 0, 7).await.unwrap();
    assert_eq!(foreign, FeedPage { postings: vec![], next_leaf_index: size, log_size: size });
    for (name, told) in [
        (Name::Member(named("amina")), AccountKind::Member),
        (Name::House(House::Issuance), AccountKind::Issuance),
        (Name::House(House::Settlement(super::fixture::PARTNER.to_owned())), AccountKind::Settlement),
        (Name::House(House::Fund("spring".to_owned())), AccountKind::Fund),
    ] {
        let account = account_number(&mut conn, program, 1, &name).await.unwrap().unwrap();
        let forward = history(&mut conn, account, None, Order::Forward, 1000).await.unwrap();
        let mut backward = history(&mut conn, account, None, Order::Backward, 1000).await.unwrap();
        backward.reverse();
        assert_eq!(forward, backward);
        assert!((1..).zip(&forward).all(|(version, it)| it.version == version));
        let middle = history(&mut conn, account, Some(1), Order::Forward, 2).await.unwrap();
        assert_eq!(middle, forward.get(1..forward.len().min(3)).unwrap_or_default());
        let newest = history(&mut conn, account, None, Order::Backward, 1).await.unwrap();
        assert_eq!(newest.first(), forward.last());
        let own = feed_of(&mut conn, account, 0, 1000).await.unwrap();
        assert!(own.iter().all(|it| fed.contains(it)), "an account's feed is a part of the whole");
        assert_eq!(own.len(), forward.len());
        for (posting, entry) in own.iter().zip(&forward) {
            assert_eq!((posting.leaf_index, posting.posting_id), (entry.leaf_index, entry.posting_id));
            let is_side = |it: &&FedEntry| (it.kind, it.unit, it.version) == (told, 1, entry.version);
            let mut sides = posting.entries.iter().filter(is_side);
            assert!(sides.any(|it| (it.change, it.after) == (entry.change, entry.after)), "{posting:?}");
        }
        assert_eq!(feed_of(&mut conn, account, 1, 1).await.unwrap().first(), own.get(1));
    }
    let nobody = Name::Member(named("nobody"));
    assert_eq!(account_number(&mut conn, program, 1, &nobody).await.unwrap(), None);
}

/// However many members there are, an account is found by its key.
#[tokio::test]
async fn an_account_is_found_without_looking_at_all_of_them() {
    let mut world = World::new().await;
    for number in 0..30 {
        world.earn(&format!("member-{number}"), 1).await;
    }
    let program = world.books.program.program_id;
    let mut conn = world.books.pool.acquire().await.unwrap();
    let member_id = "select member_id from member where external_id = 'member-7'";
    let member_id: uuid::Uuid = sqlx::query_scalar(member_id).fetch_one(&mut *conn).await.unwrap();
    // As it is where there are too many to be read, which these few would be.
    sqlx::raw_sql("begin; set local enable_seqscan = off").execute(&mut *conn).await.unwrap();
    let looked_at = "select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint
         from pg_stat_xact_user_tables
         where relname in ('account', 'member')";
    let before: i64 = sqlx::query_scalar(looked_at).fetch_one(&mut *conn).await.unwrap();
    let mut found = Vec::new();
    for member in [named("member-7"), ledger::MemberRef::Id(member_id)] {
        found.push(account_number(&mut conn, program, 1, &Name::Member(member)).await.unwrap().unwrap());
    }
    assert_eq!(found[0], found[1]);
    let after: i64 = sqlx::query_scalar(looked_at).fetch_one(&mut *conn).await.unwrap();
    assert!(after - before <= 4, "{} rows were looked at", after - before);
    sqlx::raw_sql("rollback").execute(&mut *conn).await.unwrap();
}

/// An account's history over more entries than one page of the check.
#[tokio::test]
async fn the_check_follows_an_account_across_pages() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 1_000_000).await;
    let requests = (0..11_000).map(|it| books.redeem(&format!("k{it}"), member, 1));
    for chunk in requests.collect::<Vec<_>>().chunks(4_000) {
        let answers =
            futures::future::join_all(chunk.iter().map(|it| books.committer.submit(it.clone()))).await;
        assert!(answers.iter().all(|it| it.as_ref().is_ok_and(|it| it.outcome.is_ok())));
    }
    assert_eq!(books.check_books().await.entries, 2 * 11_001);
    let mut conn = books.pool.acquire().await.unwrap();
    tamper(&mut conn, "update lot set available = available - 1").await.unwrap();
    let found = check_books(&mut conn).await.unwrap_err().to_string();
    assert!(found.contains("its lots are not"), "{found}");
}

#[tokio::test]
async fn the_postings_alone_give_balances_lots_and_reservations_again() {
    let World { books, .. } = World::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    let replayed = replay(&mut conn, "anew", None, &mut |_| {}).await.unwrap();
    assert_eq!(Some(replayed.made), replayed.kept);
    let same: bool = sqlx::query_scalar(
        "select not exists (
             (table lot except table anew.lot) union all (table anew.lot except table lot)
         ) and not exists (
             (select posting_id, account_id, kind, parts from reservation except table anew.reservation)
             union all
             (table anew.reservation except select posting_id, account_id, kind, parts from reservation)
         ) and not exists (
             select account_id, sequence, available, held, pending, last_leaf_index, last_commitment from balance
             except table anew.balance
         )",
    )
    .fetch_one(&mut *conn)
    .await
    .unwrap();
    assert!(same, "the digests are over what the tables hold");
    assert!(0 < replayed.lots && 0 < replayed.reservations);
    // What is changed behind the postings' back shows.
    tamper(&mut conn, "update lot set available = available + 1 where fund_id = 1").await.unwrap();
    let other = replay(&mut conn, "again", None, &mut |_| {}).await.unwrap();
    assert_eq!(other.made, replayed.made);
    assert_ne!(other.kept, replayed.kept);
    // Up to an earlier leaf: the books as they were then.
    let begun = replay(&mut conn, "begun", Some(1), &mut |_| {}).await.unwrap();
    assert_eq!((begun.lots, begun.reservations, begun.kept), (1, 0, None));
    assert!(replay(&mut conn, "begun", None, &mut |_| {}).await.is_err(), "the schema is not empty");
    assert!(replay(&mut conn, "x\"; drop schema public", None, &mut |_| {}).await.is_err());
}

/// The check runs beside three committers, and an operator who changes the terms under it: it never cries wolf.
#[tokio::test]
async fn the_check_runs_beside_the_service() {
    let mut world = World::new().await;
    let program = world.books.program.program_id;
    for it in 0..20 {
        world.earn(&format!("m{it}"), 1000).await;
    }
    let books = world.books;
    let committers = [(); 3].map(async |()| Fixture::committer_on(&books.pool, &books.log).await);
    let committers = futures::future::join_all(committers).await;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let is_over = || stop.load(std::sync::atomic::Ordering::Relaxed);
    let post = async |at: usize| {
        let mut posted = 0;
        while !is_over() {
            let name = format!("m{}", (posted + at) % 20);
            let key = format!("beside-{at}-{posted}");
            let (member, partner) = (named(&name), Some(super::fixture::PARTNER.to_owned()));
            let command = match posted % 3 {
                0 => Command::Hold { member, points: points(1), partner, seconds: None },
                1 => Command::Redeem { member, points: points(1), partner, up_to: false },
                _ => Command::SetStatus { member, status: ledger::Status::Active },
            };
            let request = books.request("operator:test", &key, command);
            committers[at % 3].submit(request).await.unwrap();
            posted += 1;
        }
        posted
    };
    let check = async {
        let mut conn = books.pool.acquire().await.unwrap();
        let keyring = super::fixture::keyring();
        // Where it is never the same day.
        let policies: [&[u8]; 2] =
            [br#"{"time_zone":"Etc/GMT+12"}"#, br#"{"time_zone":"Pacific/Kiritimati"}"#];
        for round in 0..6 {
            let mut settled = books.pool.acquire().await.unwrap();
            let settle = add_policy(&mut settled, program, policies[round % 2]);
            let (checked, settled) = tokio::join!(check_books_opened(&mut conn, &keyring), settle);
            settled.unwrap();
            checked.unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (posted, ()) = tokio::join!(futures::future::join_all((0..6).map(post)), check);
    assert!(posted.iter().all(|it| 0 < *it), "they posted beside it: {posted:?}");
    books.check_books().await;
}
