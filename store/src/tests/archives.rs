//! Old postings that move out and come back, step by step, and what is said of them meanwhile.

use ledger::{Command, MemberRef};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection};
use uuid::Uuid;

use super::erasure::{dump, seal};
use super::fixture::{Fixture, PARTNER, explain, keyring};
use super::world::{World, points};
use crate::*;

/// Few, so that every archive takes several steps.
const PAGE: u32 = 7;

/// An archive, and what its file would hold.
pub(super) struct Filed {
    archive: Archive,
    pub(super) lines: Vec<ArchiveLine>,
}

impl Filed {
    /// Writes down that the leaves before `end` move that have not yet.
    pub(super) async fn begin(conn: &mut PgConnection, end: u64) -> Self {
        let first = archives(conn).await.unwrap().last().map_or(0, |it| it.end_leaf_index);
        let (mut lines, mut next) = (Vec::new(), first);
        loop {
            let page = archive_lines(conn, next, end, PAGE).await.unwrap();
            let Some(last) = page.last() else { break };
            next = last.leaf_index as u64 + 1;
            lines.extend(page);
        }
        let digest = Sha256::digest(lines.iter().map(|it| it.line.as_str()).collect::<String>()).into();
        let postings = lines.len() as u64;
        let file = format!("{first}-{end}");
        let new = NewArchive { first_leaf_index: first, end_leaf_index: end, postings, digest, file: &file };
        begin_archive(conn, &new).await.unwrap();
        Self { archive: archives(conn).await.unwrap().pop().unwrap(), lines }
    }

    fn pages(&self) -> impl Iterator<Item = &[ArchiveLine]> {
        self.lines.chunks(PAGE as usize)
    }

    /// So many steps, and then nothing more.
    async fn go(&self, conn: &mut PgConnection, steps: usize) {
        for page in self.pages().take(steps) {
            take_away(conn, &self.archive, page).await.unwrap();
        }
    }

    pub(super) async fn gone(&self, conn: &mut PgConnection) {
        self.go(conn, usize::MAX).await;
        end_archive(conn, &self.archive).await.unwrap();
    }

    async fn come(&self, conn: &mut PgConnection, steps: usize) {
        for page in self.pages().take(steps) {
            give_back(conn, &self.archive, page).await.unwrap();
        }
    }

    pub(super) async fn back(&self, conn: &mut PgConnection) {
        begin_return(conn, &self.archive).await.unwrap();
        self.come(conn, usize::MAX).await;
        end_return(conn, &self.archive).await.unwrap();
    }
}

/// A connection of its own that reads these archives with the books.
async fn reading(books: &Fixture, filed: &[&Filed]) -> Result<PgConnection, StoreError> {
    let mut conn = books.pool.acquire().await.unwrap().detach();
    begin_reading(&mut conn).await?;
    // What is asked before is answered otherwise after.
    assert_ne!(archives(&mut conn).await?, []);
    for it in filed {
        for page in it.pages() {
            read_lines(&mut conn, &it.archive, page).await?;
        }
    }
    end_reading(&mut conn).await?;
    assert_eq!(archives(&mut conn).await?, []);
    Ok(conn)
}

async fn checked(books: &Fixture, filed: &[&Filed]) -> BooksReport {
    let mut conn = reading(books, filed).await.unwrap();
    let report = check_books_opened(&mut conn, &keyring()).await.unwrap();
    conn.close().await.unwrap();
    report
}

/// Everything but what archives leave behind.
async fn rows(conn: &mut PgConnection) -> Vec<String> {
    let mut rows = dump(conn).await;
    rows.retain(|it| !it.starts_with("public.archive: ") && !it.starts_with("public.archived_partner: "));
    rows.sort();
    rows
}

fn file_named(error: StoreError) -> String {
    match error {
        StoreError::Archived { file, .. } => file,
        other => panic!("it is not that it was archived: {other}"),
    }
}

#[tokio::test]
async fn postings_go_and_come_back_as_they_were_wherever_it_stops() {
    let World { books, .. } = World::new().await;
    seal(&books).await;
    let before = books.check_books().await;
    let mut conn = books.pool.acquire().await.unwrap();
    let was = rows(&mut conn).await;
    let steps = {
        let lines = archive_lines(&mut conn, 0, before.leaves, 10_000).await.unwrap();
        // What has no entry, is the bridge's, or is open stays.
        assert!(lines.len() as u64 + 10 < before.leaves && 40 < lines.len(), "{} lines", lines.len());
        lines.len().div_ceil(PAGE as usize)
    };
    for step in 0..=steps {
        let filed = Filed::begin(&mut conn, before.leaves).await;
        filed.go(&mut conn, step).await;
        // Cut off here: it is known as begun, nobody calls it whole, and the books are whole with the file.
        assert_eq!(archives(&mut conn).await.unwrap()[0].stage, ArchiveStage::Moving);
        assert_eq!(end_archive(&mut conn, &filed.archive).await.is_ok(), step == steps);
        assert_eq!(checked(&books, &[&filed]).await, before);
        filed.gone(&mut conn).await;
        filed.gone(&mut conn).await;
        let left: i64 = sqlx::query_scalar(
            "select count(*) from entry join posting using (leaf_index) join event using (leaf_index)",
        )
        .fetch_one(&mut *conn)
        .await
        .unwrap();
        assert!(left < 5, "earnings have gone but the few that are pending");
        let error = check_books(&mut conn).await.unwrap_err();
        assert_eq!(file_named(error), filed.archive.file);
        assert_eq!(checked(&books, &[&filed]).await, before);

        begin_return(&mut conn, &filed.archive).await.unwrap();
        filed.come(&mut conn, step).await;
        assert_eq!(end_return(&mut conn, &filed.archive).await.is_ok(), step == steps);
        if step < steps {
            assert_eq!(checked(&books, &[&filed]).await, before);
            filed.back(&mut conn).await;
        }
        assert_eq!(archives(&mut conn).await.unwrap(), []);
        assert_eq!(rows(&mut conn).await, was, "cut off after {step} steps");
    }
    assert_eq!(books.check_books().await, before);
}

/// A file that was written before a table had a column.
#[tokio::test]
async fn a_column_that_was_added_later_has_its_default_in_what_comes_back() {
    let World { books, .. } = World::new().await;
    seal(&books).await;
    let mut conn = books.pool.acquire().await.unwrap();
    let size = log_size(&mut conn).await.unwrap();
    let filed = Filed::begin(&mut conn, size).await;
    filed.gone(&mut conn).await;
    for table in ["posting", "entry", "event"] {
        let add = format!("alter table {table} add column later smallint not null default 7");
        sqlx::query(AssertSqlSafe(add)).execute(&mut *conn).await.unwrap();
    }
    let with_file = reading(&books, &[&filed]).await.unwrap();
    filed_with_default(with_file).await;
    filed.back(&mut conn).await;
    filed_with_default(conn.detach()).await;
}

async fn filed_with_default(mut conn: PgConnection) {
    for table in ["posting", "entry", "event"] {
        let told = format!("select count(*) > 5 and bool_and(later = 7) from {table}");
        let told: bool = sqlx::query_scalar(AssertSqlSafe(told)).fetch_one(&mut conn).await.unwrap();
        assert!(told, "{table}");
    }
    conn.close().await.unwrap();
}

#[tokio::test]
async fn a_replay_of_archives_and_rows_is_what_the_books_hold() {
    let World { books, .. } = World::new().await;
    seal(&books).await;
    let mut conn = books.pool.acquire().await.unwrap();
    let size = log_size(&mut conn).await.unwrap();
    let whole = replay(&mut conn, "whole", None, &mut |_| {}).await.unwrap();
    let first = Filed::begin(&mut conn, size / 3).await;
    first.gone(&mut conn).await;
    let second = Filed::begin(&mut conn, size / 2).await;
    second.gone(&mut conn).await;
    let error = replay(&mut conn, "lacking", None, &mut |_| {}).await.unwrap_err();
    assert_eq!(file_named(error), first.archive.file);
    let mut with_files = reading(&books, &[&first, &second]).await.unwrap();
    assert_eq!(replay(&mut with_files, "from_files", None, &mut |_| {}).await.unwrap(), whole);
    with_files.close().await.unwrap();

    // What a file lacks, or says otherwise, is found.
    let error = reading(&books, &[&first]).await.expect_err("a file is missing");
    assert_eq!(file_named(error), second.archive.file);
    let mut changed = Filed { archive: second.archive.clone(), lines: second.lines.clone() };
    let line = &mut changed.lines[3].line;
    *line = line.replacen("\"sequence\": ", "\"sequence\": 1", 1);
    let mut conn = reading(&books, &[&first, &changed]).await.unwrap();
    let problem = check_books_opened(&mut conn, &keyring()).await.unwrap_err().to_string();
    assert!(problem.contains(&format!("leaf {}", changed.lines[3].leaf_index)), "{problem}");
    conn.close().await.unwrap();
}

/// What readers are told of every account, at every point.
async fn told(books: &Fixture, conn: &mut PgConnection, from: u64) -> Vec<String> {
    let mut told = Vec::new();
    let size = log_size(conn).await.unwrap();
    let instants: Vec<i64> = sqlx::query_scalar(
        "select recorded_at from posting union select recorded_at from archived_posting order by 1",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    for instant in instants {
        told.push(format!("size {}", size_at(conn, instant).await.unwrap()));
    }
    let accounts: Vec<(i64, Uuid)> =
        sqlx::query_as("select account_id, id from account order by 1").fetch_all(&mut *conn).await.unwrap();
    for at in from..=size {
        for (number, id) in &accounts {
            let standing = balance_as_of(conn, *number, AsOf::Size(at)).await.unwrap();
            let mapped = mapped_account(conn, &keyring(), at, *id).await.unwrap().map(|it| it.value);
            told.push(format!("{number} at {at}: {standing:?} {mapped:?}"));
        }
        told.push(format!("{:?}", liability(conn, books.program.program_id, Some(at)).await.unwrap()));
    }
    for name in ["amina", "baraka", "chema", "dalila", "hamisi"] {
        told.push(format!("{:?}", books.balance(name).await.map(|it| (it.available, it.updated_at_us))));
    }
    told
}

#[tokio::test]
async fn readers_are_told_what_is_true_or_where_it_is() {
    let World { books, .. } = World::new().await;
    seal(&books).await;
    let mut conn = books.pool.acquire().await.unwrap();
    let conn = &mut *conn;
    let (program, size) = (books.program.program_id, log_size(conn).await.unwrap());
    let accounts: Vec<i64> =
        sqlx::query_scalar("select account_id from account order by 1").fetch_all(&mut *conn).await.unwrap();
    for end in [size / 2, size] {
        let was = told(&books, conn, end).await;
        let mut histories = Vec::new();
        for account in &accounts {
            histories.push(history(conn, *account, None, Order::Backward, 1000).await.unwrap());
        }
        let filed = Filed::begin(conn, end).await;
        filed.gone(conn).await;
        assert_eq!(told(&books, conn, end).await, was, "the past from leaf {end} on is as it was");

        let archived: Vec<i64> = filed.lines.iter().map(|it| it.leaf_index).collect();
        let mut cut = 0;
        for (account, whole) in accounts.iter().zip(&histories) {
            let first = whole.iter().position(|it| archived.contains(&(it.leaf_index as i64)));
            match (first, history(conn, *account, None, Order::Backward, 1000).await) {
                (None, page) => assert_eq!(&page.unwrap(), whole),
                (Some(0), page) => assert_eq!(file_named(page.unwrap_err()), filed.archive.file),
                (Some(first), page) => {
                    assert_eq!(page.unwrap(), whole[..first], "it ends where the archive begins");
                    cut += 1;
                    let from = Some(whole[first - 1].version);
                    let older = history(conn, *account, from, Order::Backward, 1000).await;
                    assert_eq!(file_named(older.unwrap_err()), filed.archive.file);
                }
            }
            let forward = history(conn, *account, None, Order::Forward, 1000).await;
            let fed = feed_of(conn, *account, 0, 1000).await;
            assert_eq!((forward.is_err(), fed.is_err()), (first.is_some(), first.is_some()));
        }
        assert!(end == size || 3 < cut, "{cut} histories go on in the archive");
        assert_eq!(file_named(feed(conn, program, 0, 10).await.unwrap_err()), filed.archive.file);
        feed(conn, program, end, 10).await.unwrap();
        assert_eq!(
            file_named(liability(conn, program, Some(end - 1)).await.unwrap_err()),
            filed.archive.file
        );
        let issuance = accounts[0];
        let then = balance_as_of(conn, issuance, AsOf::Size(end / 2)).await;
        assert_eq!(file_named(then.unwrap_err()), filed.archive.file);
        filed.back(conn).await;
    }
}

#[tokio::test]
async fn what_is_archived_is_not_undone_nor_done_twice_nor_forgotten_by_halves() {
    let books = Fixture::new().await;
    let amina = books.member_with("amina", 500).await;
    let spend = books.redeem("spend", amina, 40);
    let spent = books.committer.submit(spend.clone()).await.unwrap().outcome.unwrap()[0].clone();
    books.member_with("baraka", 100).await;
    seal(&books).await;
    let mut conn = books.pool.acquire().await.unwrap();
    let conn = &mut *conn;
    let program = books.program.program_id;
    let problem = Filed::begin(conn, 2).await;
    problem.gone(conn).await;
    let beyond =
        NewArchive { first_leaf_index: 2, end_leaf_index: 4, postings: 0, digest: [0; 32], file: "f" };
    assert!(begin_archive(conn, &beyond).await.is_err(), "leaf 3 is not sealed");
    let gap = NewArchive { first_leaf_index: 0, end_leaf_index: 3, ..beyond };
    assert!(begin_archive(conn, &gap).await.is_err(), "leaf 0 is archived already");

    // With others that are posted all the same.
    let twice = books.committer.submit(spend.clone());
    let undone =
        books.request("operator", "undo", Command::Reverse { posting: spent.posting_id, points: None });
    let undone = books.committer.submit(undone);
    let event = books.committer.submit(books.earn("fund-amina", "amina", 500));
    let other = books.committer.submit(books.redeem("other", amina, 10));
    let (twice, undone, event, other) = tokio::join!(twice, undone, event, other);
    assert_eq!(twice.unwrap_err(), SubmitError::Archived { leaf_index: 1 });
    assert_eq!(undone.unwrap_err(), SubmitError::Archived { leaf_index: 1 });
    assert_eq!(event.unwrap_err(), SubmitError::Archived { leaf_index: 0 });
    assert_eq!(other.unwrap().outcome.unwrap()[0].leaf_index, 3);
    let remembered = books.committer.remembered(conn, program, "credential:test", "spend").await;
    assert_eq!(file_named(remembered.unwrap_err()), "0-2");
    assert_eq!((log_size(conn).await.unwrap(), books.balance("amina").await.unwrap().available), (4, 450));

    let opened =
        opened_posting(conn, &keyring(), &books.log, program, spent.posting_id, &Viewer::Member(amina)).await;
    assert_eq!(file_named(opened.unwrap_err()), "0-2");
    assert_eq!(file_named(story(conn, program, spent.posting_id).await.unwrap_err()), "0-2");
    assert_eq!(story(conn, program, Uuid::new_v4()).await.unwrap(), None);
    let held = everything_held(conn, program, &MemberRef::Id(amina), &mut Vec::new()).await;
    assert!(matches!(held, Err(HeldError::Store(StoreError::Archived { .. }))));
    let member = member_to_erase(conn, program, &MemberRef::Id(amina)).await.unwrap().unwrap();
    let erased = erase_member(conn, &keyring(), program, &member, &[3]).await;
    assert_eq!(file_named(erased.unwrap_err()), "0-2");
    let report = checked(&books, &[&problem]).await;
    assert_eq!(report.leaves, 4);

    // Read with the files, nothing is missing; a receipt is that of the very leaf.
    let mut with_files = reading(&books, &[&problem]).await.unwrap();
    let (index, leaf) = opened_posting(
        &mut with_files,
        &keyring(),
        &books.log,
        program,
        spent.posting_id,
        &Viewer::Member(amina),
    )
    .await
    .unwrap()
    .unwrap();
    let logged: Vec<u8> = sqlx::query_scalar("select commitment from leaf where leaf_index = 1")
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert_eq!((index, &leaf.leaf(1).commitment[..]), (1, &logged[..]));
    let mut held = Vec::new();
    assert!(everything_held(&mut with_files, program, &MemberRef::Id(amina), &mut held).await.unwrap());
    assert_eq!(String::from_utf8(held).unwrap().matches("\"header_commitment\"").count(), 3);
    tamper(conn, "set lock_timeout = '50ms'").await.unwrap();
    assert!(begin_moving(conn).await.is_err(), "nothing moves while somebody reads");
    with_files.close().await.unwrap();

    problem.back(conn).await;
    let again = books.committer.submit(spend).await.unwrap();
    assert_eq!((again.replayed, again.outcome.unwrap()), (true, vec![spent.clone()]));
    let undo = books.request(
        "operator",
        "undo",
        Command::Reverse { posting: spent.posting_id, points: Some(points(40)) },
    );
    assert!(books.committer.submit(undo).await.unwrap().outcome.is_ok());
    books.check_books().await;
}

/// A restore that was cut off has brought the redemption back and not yet its reversal.
#[tokio::test]
async fn what_was_undone_is_not_undone_again_while_an_archive_stands_over_it() {
    let books = Fixture::new().await;
    let amina = books.member_with("amina", 500).await;
    let spent = books.committer.submit(books.redeem("spend", amina, 40)).await.unwrap().outcome.unwrap();
    let undo = |key: &str| {
        books.request("operator", key, Command::Reverse { posting: spent[0].posting_id, points: None })
    };
    assert!(books.committer.submit(undo("first")).await.unwrap().outcome.is_ok());
    seal(&books).await;
    let mut conn = books.pool.acquire().await.unwrap();
    let filed = Filed::begin(&mut conn, 3).await;
    filed.gone(&mut conn).await;
    begin_return(&mut conn, &filed.archive).await.unwrap();
    give_back(&mut conn, &filed.archive, &filed.lines[..2]).await.unwrap();
    let undone = books.committer.submit(undo("second")).await;
    assert_eq!(undone.unwrap_err(), SubmitError::Archived { leaf_index: 1 });
    filed.back(&mut conn).await;
    assert!(books.committer.submit(undo("second")).await.unwrap().outcome.is_err());
    assert_eq!(books.balance("amina").await.unwrap().available, 500);
}

#[tokio::test]
async fn rows_go_only_as_an_archive_says_they_do() {
    let books = Fixture::new().await;
    for name in ["amina", "baraka", "chema"] {
        books.member_with(name, 10).await;
    }
    seal(&books).await;
    let mut conn = books.pool.acquire().await.unwrap();
    let conn = &mut *conn;
    let mut filed = Filed::begin(conn, 2).await;
    // Before the first has moved, and beside what moves, everything is refused as ever.
    filed.go(conn, 0).await;
    take_away(conn, &filed.archive, &filed.lines[..1]).await.unwrap();
    for statement in [
        "delete from posting",
        "delete from entry",
        "delete from posting where leaf_index = 1",
        "delete from entry_0 where leaf_index = 2",
        "truncate entry_0",
        "update posting set reason = 'other'",
        "update entry set sequence = 9",
        "delete from archived_posting",
        "update archived_posting set leaf_index = 7",
        "truncate archived_posting",
        "delete from archive",
        "update archive set digest = sha256('')",
        "update archive set first_leaf_index = 1",
    ] {
        let error = tamper(conn, statement).await.expect_err(statement).to_string();
        assert!(error.contains("append-only"), "{statement}: {error}");
    }
    // Nor because tables of the session's own, which have the names of ours, say that it is being archived.
    tamper(
        conn,
        "create temporary table archive as
         select 1::bigint as archive_id, 0::bigint as first_leaf_index, 9::bigint as end_leaf_index,
             null::timestamptz as moved_at, null::timestamptz as recalled_at;
         create temporary table archived_posting as
         select 1::bigint as archive_id, 2::bigint as leaf_index",
    )
    .await
    .unwrap();
    let error = tamper(conn, "delete from posting where leaf_index = 2").await.unwrap_err().to_string();
    assert!(error.contains("append-only"), "{error}");
    tamper(conn, "drop table pg_temp.archive, pg_temp.archived_posting").await.unwrap();
    // A row that was changed since it was written to the file is not taken away.
    let true_line = filed.lines[1].line.clone();
    filed.lines[1].line = true_line.replacen("\"sequence\": ", "\"sequence\": 1", 1);
    let error = take_away(conn, &filed.archive, &filed.lines).await.unwrap_err().to_string();
    assert!(error.contains("leaf 1: its rows are not what"), "{error}");
    filed.lines[1].line = true_line;
    assert_eq!(checked(&books, &[&filed]).await.leaves, 3);
    filed.gone(conn).await;
    let error = tamper(conn, "update archive set moved_at = null").await.unwrap_err().to_string();
    assert!(error.contains("append-only"), "{error}");

    // Only one moves at a time, and the newest comes back first.
    begin_moving(conn).await.unwrap();
    let other = &mut *books.pool.acquire().await.unwrap();
    tamper(other, "set lock_timeout = '50ms'").await.unwrap();
    assert!(begin_moving(other).await.is_err() && check_books(other).await.is_err());
    end_moving(conn).await.unwrap();
    let newer = Filed::begin(conn, 3).await;
    newer.gone(conn).await;
    assert!(begin_return(conn, &filed.archive).await.is_err());
    newer.back(conn).await;
    filed.back(conn).await;
    books.check_books().await;
}

#[tokio::test]
async fn what_a_partner_has_shown_counts_when_it_is_archived() {
    let books = Fixture::new().await;
    let amina = books.member_with("amina", 500).await;
    let mut conn = books.pool.acquire().await.unwrap();
    let conn = &mut *conn;
    let shown = async |conn: &mut PgConnection| {
        let readiness = readiness(conn, books.program.program_id, PARTNER).await.unwrap();
        (readiness.has_redeemed, readiness.has_undone)
    };
    assert_eq!(shown(conn).await, (false, false));
    let spent = books.committer.submit(books.redeem("spend", amina, 40)).await.unwrap().outcome.unwrap();
    seal(&books).await;
    let filed = Filed::begin(conn, 2).await;
    filed.gone(conn).await;
    assert_eq!(shown(conn).await, (true, false));

    // Brought back, undone, and archived again, in two parts.
    filed.back(conn).await;
    let undo =
        books.request("operator", "undo", Command::Reverse { posting: spent[0].posting_id, points: None });
    books.committer.submit(undo).await.unwrap().outcome.unwrap();
    seal(&books).await;
    for end in [2, 3] {
        Filed::begin(conn, end).await.gone(conn).await;
        assert_eq!(shown(conn).await, (true, true), "up to leaf {end}");
    }
}

#[tokio::test]
async fn nothing_is_archived_before_its_anchor_is_final() {
    let books = Fixture::new().await;
    for name in ["amina", "baraka"] {
        books.member_with(name, 10).await;
        seal(&books).await;
    }
    let mut conn = books.pool.acquire().await.unwrap();
    let conn = &mut *conn;
    assert_eq!(archivable(conn).await.unwrap(), 2, "a log without a chain asks for a seal");
    for (size, is_final) in [(1, "now()"), (2, "null")] {
        let anchor = format!(
            "insert into anchor (chain_id, contract, registrant, size, block, transaction_hash, final_at)
             values (1, decode(repeat('11', 20), 'hex'), decode(repeat('22', 20), 'hex'), {size}, 7, sha256(''), {is_final})"
        );
        tamper(conn, &anchor).await.unwrap();
    }
    assert_eq!(archivable(conn).await.unwrap(), 1);
    let early =
        NewArchive { first_leaf_index: 0, end_leaf_index: 2, postings: 2, digest: [0; 32], file: "f" };
    assert!(begin_archive(conn, &early).await.is_err());
    tamper(conn, "update anchor set final_at = now()").await.unwrap();
    assert_eq!(archivable(conn).await.unwrap(), 2);
    begin_archive(conn, &early).await.unwrap();
}

/// However many are archived, those of one archive are counted by its range.
#[tokio::test]
async fn what_is_away_is_counted_without_a_look_at_other_archives() {
    let books = Fixture::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    sqlx::query("set session_replication_role = replica").execute(&mut *conn).await.unwrap();
    sqlx::query(
        "insert into archived_posting (leaf_index, posting_id, program_id, recorded_at, archive_id)
         select number, gen_random_uuid(), $1, 0, number / 100
         from generate_series(1, 20000) as number",
    )
    .bind(books.program.program_id)
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query("analyze archived_posting").execute(&mut *conn).await.unwrap();
    let statement = format!(
        "update archive set moved_at = moved_at where archive_id = $1 and {} = postings",
        archives::AWAY
    );
    let plan = explain(&statement).bind(1_i64).fetch_all(&mut *conn).await.unwrap().join("\n");
    assert!(plan.contains("archived_posting_pk") && !plan.contains("Seq Scan on archived_posting"), "{plan}");
}
