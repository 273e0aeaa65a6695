use std::collections::BTreeSet;

use devstack::{Postgres, Scratch, test_postgres_config};
use ledger::{Command, Item, MemberRef, Refusal, Request, Status};
use proof::{Details, Text};
use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;

use super::fixture::{Fixture, keyring};
use super::references::{age_claims, claim};
use super::serial::wait_for_waiting;
use super::world::points;
use crate::*;

/// Every row of every table, as text.
pub(super) async fn dump(conn: &mut PgConnection) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select quote_ident(table_schema) || '.' || quote_ident(table_name)
         from information_schema.tables
         where table_schema in ('public', 'reporting')",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    let mut rows = Vec::new();
    for table in tables {
        let statement = format!("select '{table}: ' || it::text from {table} as it");
        let found: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&mut *conn).await.unwrap();
        rows.extend(found);
    }
    rows
}

/// The forms in which a text may stand in a dump: as itself, or as bytes.
fn traces<'a>(dump: &'a [String], texts: &[String]) -> Vec<&'a String> {
    let bytes: Vec<String> = texts.iter().map(|it| hex::encode(it.as_bytes())).collect();
    let uuids = texts.iter().filter_map(|it| Uuid::parse_str(it).ok()).map(|it| hex::encode(it.as_bytes()));
    let forms: Vec<String> = texts.iter().cloned().chain(bytes).chain(uuids).collect();
    dump.iter().filter(|row| forms.iter().any(|form| row.to_lowercase().contains(form))).collect()
}

/// Does what is on disk of the server's journal hold these bytes?
async fn wal_holds(conn: &mut PgConnection, bytes: &[u8]) -> bool {
    let found = sqlx::query_scalar(
        "select bool_or(position($1 in pg_read_binary_file('pg_wal/' || name)) > 0) from pg_ls_waldir()",
    );
    found.bind(bytes).fetch_one(conn).await.unwrap()
}

/// A checkpoint over all leaves that there are.
pub(super) async fn seal(books: &Fixture) {
    let BooksReport { leaves, root, .. } = books.check_books().await;
    sqlx::query(
        "insert into checkpoint (size, previous_size, root, note)
         values ($1, coalesce((select max(size) from checkpoint), 0), $2, '')",
    )
    .bind(leaves as i64)
    .bind(&root[..])
    .execute(&books.pool)
    .await
    .unwrap();
}

struct Erasing {
    books: Fixture,
    name: String,
    member: Uuid,
}

impl Erasing {
    /// A member with a history of every sort that names them, beside one who stays.
    async fn new() -> Self {
        Self::of(Fixture::new().await).await
    }

    async fn of(books: Fixture) -> Self {
        let name = format!("amina-{}", Uuid::new_v4());
        let member = books.member_with(&name, 500).await;
        books.member_with("baraka", 100).await;
        let mut it = Self { books, name, member };
        let (from, to) = (MemberRef::Id(member), MemberRef::External("baraka".to_owned()));
        it.ask("give", Command::Transfer { from: from.clone(), to, points: points(70) }).await;
        it.ask(
            &format!("order of {}", it.name),
            Command::Redeem { member: from.clone(), points: points(30), partner: None, up_to: false },
        )
        .await;
        // Of the member's own token, whose owner is the name.
        for key in ["own", "own, and refused"] {
            let points = points(if key == "own" { 5 } else { 100_000 });
            let command = Command::Redeem { member: from.clone(), points, partner: None, up_to: false };
            let source = format!("credential:member:{}", it.name);
            let answer = it.books.committer.submit(it.books.request(&source, key, command)).await.unwrap();
            assert_eq!(answer.outcome.is_ok(), key == "own");
        }
        for status in [Status::Suspended, Status::Active] {
            it.ask(&format!("{status:?}"), Command::SetStatus { member: from.clone(), status }).await;
        }
        let payload = format!(r#"{{"user_id":"{}","type":"unknown"}}"#, it.name);
        let conn = &mut *it.books.pool.acquire().await.unwrap();
        let program = it.books.program.program_id;
        keep_rejected(conn, program, None, "http", "no_rate", "none", payload.as_bytes()).await.unwrap();
        // An event that waits for them, and names them in JSON's other letters.
        let payload = payload.replacen("amina", r"\u0061mina", 1);
        let event = ToPark {
            member: &MemberRef::parse(&it.name),
            source: "event:test",
            key: "waits",
            fingerprint: &ledger::Fingerprint([7; 32]),
            origin: "http",
            partner: None,
            payload: payload.as_bytes(),
        };
        park(conn, program, event).await.unwrap().unwrap();
        // A receiver of webhooks that was told of the first earning, and answered with a name.
        sqlx::query(
            "with endpoint as (
                 insert into webhook_endpoint (endpoint_id, program_id, url, types, description, signs, secret)
                 values (gen_random_uuid(), $1, 'https://example.com', '{}', '', 1, '')
                 returning endpoint_id
             ), message as (
                 insert into webhook_message (endpoint_id, message_id, type, leaf_index)
                 select endpoint_id, gen_random_uuid(), 'points.earned', 0 from endpoint
                 returning endpoint_id, number
             )
             insert into webhook_attempt (endpoint_id, number, status, problem, duration_ms)
             select endpoint_id, number, 500, 'no room for ' || $2, 1 from message",
        )
        .bind(program)
        .bind(&it.name)
        .execute(&mut *conn)
        .await
        .unwrap();
        it
    }

    async fn ask(&mut self, key: &str, command: Command) -> Uuid {
        let word = |word: &str| Some(Text::new(format!("{word} of {}", self.name)).unwrap());
        let details = Details {
            actor: word("actor"),
            reason: word("reason"),
            description: word("description"),
            merchant_reference: word("order"),
            rate: None,
        };
        let mut request = self.books.request("operator", key, command);
        request.items[0].details = details;
        let answer = self.books.committer.submit(request).await.unwrap();
        answer.outcome.expect("it is done")[0].posting_id
    }

    async fn found(&self) -> Option<MemberToErase> {
        let conn = &mut *self.books.pool.acquire().await.unwrap();
        member_to_erase(conn, self.books.program.program_id, &MemberRef::parse(&self.name)).await.unwrap()
    }

    /// Closes the account, and gives the leaf of the act.
    async fn close(&self) -> u64 {
        let found = self.found().await.unwrap();
        let command = Command::SetStatus { member: MemberRef::Id(self.member), status: Status::Closed };
        let details = Details {
            actor: Text::new("dpo").ok(),
            reason: Text::new("erasure").ok(),
            description: Text::new(format!("account {}", found.accounts[0].id)).ok(),
            ..Details::default()
        };
        let item = Item { posting_id: Uuid::now_v7(), command, details };
        let mut request = self.books.request("operator", "", item.command.clone());
        (request.key, request.items) = (format!("erase:{}", found.accounts[0].id), vec![item]);
        let answer = self.books.committer.submit(request).await.unwrap();
        answer.outcome.expect("it is closed")[0].leaf_index
    }

    async fn erase(&self, act: u64) -> Result<Erased, StoreError> {
        let found = self.found().await.unwrap();
        let conn = &mut *self.books.pool.acquire().await.unwrap();
        erase_member(conn, &keyring(), self.books.program.program_id, &found, &[act]).await
    }
}

/// What another member's request has claimed stays claimed, whatever its key has in it.
#[tokio::test]
async fn anothers_claims_outlive_an_erasure() {
    let it = Erasing::new().await;
    let another = it.books.balance("baraka").await.unwrap().member_id;
    let key = format!("beside {}", it.name);
    let answer = it.books.committer.submit(it.books.redeem(&key, another, 10)).await.unwrap();
    assert!(answer.outcome.is_ok());
    claim(&it.books, &key).await.unwrap();
    let act = it.close().await;
    seal(&it.books).await;
    it.erase(act).await.unwrap();
    assert!(matches!(claim(&it.books, "another").await, Err((0, Taken::By(_)))));
}

/// What names the member may yet be posted, whoever asked: it is waited for, and then no name is left.
#[tokio::test]
async fn an_erasure_takes_no_claim_that_is_in_doubt() {
    let it = Erasing::new().await;
    let act = it.close().await;
    seal(&it.books).await;
    let mut waiting = it.books.pool.begin().await.unwrap();
    sqlx::query("select pg_current_xact_id()").execute(&mut *waiting).await.unwrap();
    claim(&it.books, &format!("beside {}", it.name)).await.unwrap();
    let refuses = async || {
        let refused = it.erase(act).await.unwrap_err().to_string();
        assert!(refused.contains("may yet be posted: nothing was erased"), "{refused}");
        assert_eq!(claim(&it.books, "another").await, Err((0, Taken::InDoubt)));
    };
    refuses().await;
    age_claims(&it.books).await;
    // Its transaction may wait for a standby.
    refuses().await;
    waiting.rollback().await.unwrap();
    // Of one that was refused just now it is known, and its claim goes with its refusal.
    let refused = format!("refused {}", it.name);
    let answer = it.books.committer.submit(it.books.redeem(&refused, it.member, 10)).await.unwrap();
    assert!(answer.outcome.is_err());
    claim(&it.books, &refused).await.unwrap();
    it.erase(act).await.unwrap();
    let conn = &mut *it.books.pool.acquire().await.unwrap();
    assert_eq!(traces(&dump(conn).await, std::slice::from_ref(&it.name)), Vec::<&String>::new());
    assert_eq!(claim(&it.books, "another").await, Ok(()));
}

/// What is refused is found by names alone, and a short one stands within others' names and numbers, too.
#[tokio::test]
async fn an_erasure_leaves_what_has_the_name_within_another_word() {
    let books = Fixture::new().await;
    let baraka = books.member_with("baraka", 5).await;
    claim(&books, "order-4200").await.unwrap();
    let mut it = Erasing { books, name: String::new(), member: baraka };
    let program = it.books.program.program_id;
    let mut kept = BTreeSet::new();
    for (name, theirs, others) in [
        ("42", ["42", "order_42/a", "420 or 42"], ["order-420", "x42", "42é"]),
        ("a.b+c", ["a.b+c", "for A.B+C!", "(a.b+c)"], ["axb+c", "a.bbc", "a.b+cd"]),
        ("[7]%", ["[7]%", "x[7]%y", "([7]%)"], ["7", "x7%", "[7]x"]),
        ("254712345678", ["TX254712345678", "2547123456780", "of 254712345678"], ["25471234567", "a", "b"]),
        ("Ñandú", ["ÑANDÚ", "ñandú-1", "a ñandú"], ["ñandús", "eñandú", "ñandu"]),
    ] {
        it.name = name.to_owned();
        it.member = it.books.member_with(name, 5).await;
        let conn = &mut *it.books.pool.acquire().await.unwrap();
        for text in theirs.into_iter().chain(others) {
            let answer = it.books.committer.submit(it.books.redeem(text, baraka, 100)).await.unwrap();
            assert!(answer.outcome.is_err());
            keep_rejected(conn, program, None, "http", "no_rate", text, text.as_bytes()).await.unwrap();
        }
        // An event may have the name as a number.
        let is_number = name.bytes().all(|it| it.is_ascii_digit());
        for user in [name.to_owned(), format!("{name}0")].iter().filter(|_| is_number) {
            let event = format!(r#"{{"user_id": {user},"type":"unknown"}}"#);
            keep_rejected(conn, program, None, "http", "no_rate", others[0], event.as_bytes()).await.unwrap();
        }
        let act = it.close().await;
        seal(&it.books).await;
        let gone = if is_number { 4 } else { 3 };
        assert_eq!(it.erase(act).await.unwrap().rejected_events, gone, "{name}");
        kept.extend(others.map(str::to_owned));
        for question in
            ["select key from outcome where refusal is not null", "select detail from rejected_event"]
        {
            let left: Vec<String> = sqlx::query_scalar(question).fetch_all(&mut *conn).await.unwrap();
            assert_eq!(left.into_iter().collect::<BTreeSet<_>>(), kept, "{name}: {question}");
        }
    }
    assert_eq!(claim(&it.books, "another").await, Err((0, Taken::InDoubt)), "the claim is there");
    it.books.check_books().await;
}

/// Whoever checks reads outcomes in the order of their keys, which an erasure changes: it would miss some, or meet them twice.
#[tokio::test]
async fn nobody_checks_while_somebody_erases() {
    let it = Erasing::new().await;
    let (books, program) = (&it.books, it.books.program.program_id);
    let act = it.close().await;
    seal(books).await;
    let found = it.found().await.unwrap();
    let checker = &mut *books.pool.acquire().await.unwrap();
    let eraser = &mut *books.pool.acquire().await.unwrap();
    let refused =
        |error: StoreError| error.to_string().contains("archives, restores, checks or erases just now");
    tamper(checker, "set lock_timeout = '50ms'").await.unwrap();
    tamper(eraser, "set lock_timeout = '50ms'").await.unwrap();
    archives::hold_still(checker).await.unwrap();
    assert!(refused(demand_settled(eraser).await.unwrap_err()), "before anything is closed");
    assert!(refused(erase_member(eraser, &keyring(), program, &found, &[act]).await.unwrap_err()));
    assert_eq!(it.found().await.as_ref(), Some(&found), "nothing was erased");
    archives::let_move(checker).await.unwrap();
    demand_settled(eraser).await.unwrap();

    // An erasure that is about to end.
    let mut gate = books.pool.begin().await.unwrap();
    tamper(&mut gate, "lock table tombstone in access exclusive mode").await.unwrap();
    let watcher = &mut *books.pool.acquire().await.unwrap();
    let opening = async {
        wait_for_waiting(watcher, 1).await;
        let checked = check_books(checker).await;
        gate.commit().await.unwrap();
        checked
    };
    let (erased, checked) = tokio::join!(it.erase(act), opening);
    erased.unwrap();
    assert!(refused(checked.unwrap_err()));
    check_books(checker).await.unwrap();
}

#[tokio::test]
async fn nothing_of_an_erased_member_is_found_in_a_dump_or_the_wal() {
    // With a server of its own: of a journal that many write, a segment may be gone, or stay, because of another.
    let scratch = Scratch::new().unwrap();
    let mut config = test_postgres_config(scratch.path());
    for (name, value) in [("wal_recycle", "off"), ("checkpoint_timeout", "1h")] {
        config.settings.push((name.into(), value.into()));
    }
    let postgres = tokio::task::spawn_blocking(move || Postgres::start(&config)).await.unwrap().unwrap();
    let url = test_database(&postgres.url("postgres")).await.unwrap();
    let it = Erasing::of(Fixture::on(&url).await).await;
    let (books, names) = (&it.books, [it.name.clone(), it.member.to_string()]);
    let conn = &mut *books.pool.acquire().await.unwrap();
    let account = it.found().await.unwrap().accounts[0].clone();
    let wrapped: Vec<u8> = sqlx::query_scalar("select secret from account where id = $1")
        .bind(account.id)
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    let secret = keyring().open(account.id, &wrapped).unwrap();
    // What they burned on a chain was credited to them by hand.
    sqlx::query(
        "with known as (
             insert into gateway (chain_id, contract, program_id, unit, block, block_hash)
             values (31337, decode(repeat('01', 20), 'hex'), $1, 1, 0, '')
             returning chain_id, contract
         )
         insert into gateway_burn
             (chain_id, contract, burn_id, holder, credit_to, amounts, block, transaction_hash, member_id, actor)
         select chain_id, contract, 0, ''::bytea, ''::bytea, decode(repeat('00', 20), 'hex'), 0, ''::bytea, $2, 'dpo'
         from known",
    )
    .bind(books.program.program_id)
    .bind(it.member)
    .execute(&mut *conn)
    .await
    .unwrap();
    claim(books, &format!("order of {}", it.name)).await.unwrap();
    age_claims(books).await;
    let before = dump(conn).await;
    let tables = [
        "member",
        "account",
        "posting",
        "event",
        "outcome",
        "claimed_reference",
        "rejected_event",
        "parked_event",
        "gateway_burn",
        "webhook_attempt",
    ];
    for table in tables {
        let told = traces(&before, &names).iter().any(|it| it.starts_with(&format!("public.{table}: ")));
        assert!(told, "what is looked for is in {table} before");
    }
    assert!(wal_holds(conn, it.name.as_bytes()).await);

    let refused = it.erase(0).await.unwrap_err().to_string();
    assert!(refused.contains("is not closed"), "{refused}");
    let act = it.close().await;
    let refused = it.erase(act).await.unwrap_err().to_string();
    assert!(refused.contains("not sealed yet"), "{refused}");
    seal(books).await;
    let before = books.check_books().await;
    let erased = it.erase(act).await.unwrap();
    assert_eq!((erased.accounts, erased.rejected_events), (1, 2));

    let after = books.check_books().await;
    assert_eq!(after.root, before.root, "the log is as it was");
    // Earning, transfer, two redemptions, and what was left when the account was closed.
    assert_eq!((before.closed, after.closed), (0, 5));
    vacuum_erased(conn).await.unwrap();
    let left: Vec<String> = sqlx::query_scalar(
        "select relid::regclass::text
         from pg_stat_user_tables
         join pg_class on pg_class.oid = relid
         where relkind = 'r'
             and coalesce(pg_partition_root(relid)::oid, relid)::regclass::text = any($1)
             and last_vacuum is null",
    )
    .bind(&tables[..])
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    assert_eq!(left, [""; 0], "what named them stays in no page");
    let rows = dump(conn).await;
    assert_eq!(traces(&rows, &names), Vec::<&String>::new());
    assert!(
        !rows
            .iter()
            .any(|row| row.contains(&hex::encode(&wrapped)) || row.contains(&hex::encode(secret.as_ref())))
    );
    assert!(rows.iter().any(|row| row.contains(&account.id.to_string())), "the amounts' account is there");

    // The server's journal goes with its segments.
    let named = [it.name.as_bytes(), it.member.as_bytes()];
    for named in named {
        assert!(wal_holds(conn, named).await);
    }
    assert!(!wal_holds(conn, secret.as_ref()).await, "the secret never was there");
    for statement in ["select pg_switch_wal()", "checkpoint"] {
        conn.execute(statement).await.unwrap();
    }
    for named in named {
        assert!(!wal_holds(conn, named).await);
    }
}

#[tokio::test]
async fn after_an_erasure_others_proofs_stand_and_the_name_is_nobodys() {
    let mut it = Erasing::new().await;
    let hold =
        Command::Hold { member: MemberRef::Id(it.member), points: points(5), partner: None, seconds: None };
    let hold = it.ask("hold", hold).await;
    it.ask("void", Command::Void { hold }).await;
    let gift = it.ask(
        "gift",
        Command::Transfer {
            from: MemberRef::Id(it.member),
            to: MemberRef::External("baraka".to_owned()),
            points: points(1),
        },
    );
    let gift = gift.await;
    let act = it.close().await;
    seal(&it.books).await;
    it.erase(act).await.unwrap();
    let (books, program) = (&it.books, it.books.program.program_id);
    let conn = &mut *books.pool.acquire().await.unwrap();

    // The other side's receipt is of the very leaf, with what it shares of the erased member closed.
    let baraka = books.balance("baraka").await.unwrap();
    assert_eq!(baraka.available, 171);
    let viewer = Viewer::Member(baraka.member_id);
    let (index, leaf) =
        opened_posting(conn, &keyring(), &books.log, program, gift, &viewer).await.unwrap().unwrap();
    let logged: Vec<u8> = sqlx::query_scalar("select commitment from leaf where leaf_index = $1")
        .bind(index as i64)
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert_eq!(leaf.leaf(index).commitment[..], logged[..]);
    assert_eq!(
        (leaf.details.opened(), leaf.entries.iter().filter(|it| it.opened().is_some()).count()),
        (None, 1)
    );

    // Nobody is called so any more, in this process and in one that begins now.
    assert_eq!((books.balance(&it.name).await, it.found().await), (None, None));
    for committer in [books.committer.clone(), Fixture::committer_on(&books.pool, &books.log).await] {
        let again = committer.submit(books.earn(&format!("fund-{}", it.name), &it.name, 500)).await.unwrap();
        assert!(again.replayed && again.outcome.is_ok(), "although its key named the member");
        let other = books.earn(&Uuid::new_v4().to_string(), &it.name, 5);
        for dry_run in [true, false] {
            let other = committer.submit(ledger::Request { dry_run, ..other.clone() }).await.unwrap();
            assert_eq!(
                other.outcome.unwrap_err().refusal,
                Refusal::MemberUnknown,
                "an event enrols nobody again"
            );
        }
        let back = committer.submit(books.request(
            "operator",
            &Uuid::new_v4().to_string(),
            Command::Reverse { posting: gift, points: None },
        ));
        assert!(back.await.unwrap().outcome.is_err(), "what touched the account stays");
    }
    assert!(books.committer.was_erased(conn, program, &MemberRef::parse(&it.name)).await.unwrap());
    // What was answered under a key that names nobody is answered again.
    let mut twice = books.request("operator", "give", Command::Void { hold });
    twice.dry_run = false;
    assert!(books.committer.submit(twice).await.unwrap().replayed);
    // An operator takes the person in anew, with nothing of before.
    let names = [MemberRef::parse(&it.name)];
    assert_eq!(enrol_members(conn, &keyring(), program, 1, &names).await.unwrap(), 1);
    assert_eq!(books.balance(&it.name).await, None, "a list that is read in again enrols nobody");
    assert_eq!(readmit_members(conn, &keyring(), program, &names).await.unwrap(), 1);
    enrol_members(conn, &keyring(), program, 1, &names).await.unwrap();
    let anew = books.balance(&it.name).await.unwrap();
    assert_eq!((anew.available, anew.sequence), (0, 0));
    assert_ne!(anew.member_id, it.member);
    books.check_books().await;
}

/// Of what was asked for together any item may be an erased member's: the others go on being answered.
#[tokio::test]
async fn a_request_of_which_a_later_item_was_an_erased_members_is_answered_again() {
    let it = Erasing::new().await;
    let books = &it.books;
    let baraka = books.balance("baraka").await.unwrap().member_id;
    let mut both = books.redeem("both", baraka, 10);
    both.items.extend(books.redeem("", it.member, 20).items);
    let mut given = books.redeem("given", baraka, 10);
    let (from, to) = (MemberRef::Id(baraka), MemberRef::Id(it.member));
    given.items.extend(books.request("", "", Command::Transfer { from, to, points: points(5) }).items);
    let first = books.committer.submit(both.clone()).await.unwrap();
    assert_eq!(first.outcome.as_ref().unwrap().len(), 2);
    assert!(books.committer.submit(given).await.unwrap().outcome.is_ok());
    let zeros = "update outcome set fingerprint = decode(repeat('00', 32), 'hex') where rest is not null";
    let refused = sqlx::query(zeros).execute(&books.pool).await.unwrap_err().to_string();
    assert!(refused.contains("outcome is append-only"), "{refused}");
    let act = it.close().await;
    seal(books).await;
    it.erase(act).await.unwrap();
    let forgotten: Vec<String> = sqlx::query_scalar(
        "select key from outcome
         where fingerprint = decode(repeat('00', 32), 'hex') and rest is not null
         order by key",
    )
    .fetch_all(&books.pool)
    .await
    .unwrap();
    assert_eq!(forgotten, ["both", "given"]);
    books.check_books().await;
    for committer in [books.committer.clone(), Fixture::committer_on(&books.pool, &books.log).await] {
        let again = committer.submit(both.clone()).await.unwrap();
        assert!(again.replayed);
        assert_eq!(again.outcome, first.outcome);
    }
}

/// A hash stands in the place of such a key, and of such a source: one of itself, however many whom it named are erased.
#[tokio::test]
async fn a_key_that_named_whoever_was_erased_posts_nothing_twice() {
    let books = Fixture::new().await;
    let member = books.member_with("amina", 50).await;
    let mut it = Erasing { books, name: "amina".to_owned(), member };
    // A name that is found in every hidden key, too.
    let other = it.books.member_with("a", 50).await;
    let spend =
        Command::Redeem { member: MemberRef::Id(member), points: points(5), partner: None, up_to: false };
    let own = it.books.request("credential:member:amina", "own", spend);
    let mut both = it.books.redeem("order-amina", other, 10);
    both.items.extend(it.books.redeem("", member, 10).items);
    claim(&it.books, &both.key).await.unwrap();
    for request in [&own, &both] {
        assert!(it.books.committer.submit(request.clone()).await.unwrap().outcome.is_ok());
    }
    let event = it.books.earn("fund-amina", "amina", 50);
    for (name, member) in [("amina", member), ("a", other)] {
        (it.name, it.member) = (name.to_owned(), member);
        let act = it.close().await;
        seal(&it.books).await;
        it.erase(act).await.unwrap();
        for committer in
            [it.books.committer.clone(), Fixture::committer_on(&it.books.pool, &it.books.log).await]
        {
            for request in [&own, &both, &event] {
                let again = committer.submit(request.clone()).await.unwrap();
                assert!(again.replayed && again.outcome.is_ok(), "{} after {name}", request.key);
                let Request { program, source, key, .. } = request;
                let conn = &mut *it.books.pool.acquire().await.unwrap();
                let told = committer.remembered(conn, *program, source, key).await.unwrap();
                assert_eq!(told.map(|it| it.1), Some(again.outcome), "who only asks what came of it");
            }
        }
        assert_eq!(claim(&it.books, &both.key).await, Ok(()), "it has the reference as before");
    }
    let (program, names) = (it.books.program.program_id, [MemberRef::parse("amina")]);
    let conn = &mut *it.books.pool.acquire().await.unwrap();
    assert_eq!(readmit_members(conn, &keyring(), program, &names).await.unwrap(), 1);
    enrol_members(conn, &keyring(), program, 1, &names).await.unwrap();
    assert!(it.books.committer.submit(event).await.unwrap().replayed, "nor for whoever has the name now");
    assert_eq!(it.books.balance("amina").await.unwrap().available, 0);
    it.books.check_books().await;
}

#[tokio::test]
async fn an_erasure_without_an_act_is_named() {
    let it = Erasing::new().await;
    let conn = &mut *it.books.pool.acquire().await.unwrap();
    for statement in [
        "update posting set reason = null, actor = null, description = null, merchant_reference = null",
        "update outcome set fingerprint = decode(repeat('00', 32), 'hex')",
        "delete from credit_reference; insert into credit_reference values (sha256(''), 1, 1, gen_random_uuid(), 'x');
         update credit_reference set actor = 'y'",
    ] {
        let error = conn.execute(statement).await.unwrap_err().to_string();
        assert!(error.contains("is append-only"), "{statement}: {error}");
    }
    let act = it.close().await;
    seal(&it.books).await;
    it.erase(act).await.unwrap();
    it.books.check_books().await;
    for (statement, named) in [
        ("update account set secret = '' where kind = 1 and secret <> ''", "no act in the log says so"),
        ("insert into erasure values (2, 0)", "no act in the log says so"),
        ("insert into erased_leaf select leaf_index, account_id from erasure", "it was erased"),
        ("update member set external_id = 'amina' where external_id is null", "still names somebody"),
        ("insert into event select min(leaf_index), 'x' from erased_leaf", "its event are there"),
        // However many are looked at before it.
        ("insert into event select max(leaf_index), 'x' from erased_leaf", "its event are there"),
    ] {
        conn.execute("begin").await.unwrap();
        conn.execute(statement).await.unwrap();
        let error = crate::check::erasures::check(conn, i64::MAX).await.expect_err(statement).to_string();
        assert!(error.contains(named), "{statement}: {error}");
        conn.execute("rollback").await.unwrap();
    }
}

#[tokio::test]
async fn a_member_who_was_closed_before_is_erased_all_the_same() {
    let mut it = Erasing::new().await;
    let close = Command::SetStatus { member: MemberRef::Id(it.member), status: Status::Closed };
    it.ask("closed long ago", close).await;
    let act = it.close().await;
    seal(&it.books).await;
    it.erase(act).await.unwrap();
    assert!(it.found().await.is_none());
    it.books.check_books().await;
}

#[tokio::test]
async fn an_export_has_everything_that_a_dump_has_of_a_member() {
    let it = Erasing::new().await;
    let conn = &mut *it.books.pool.acquire().await.unwrap();
    let program = it.books.program.program_id;
    // Read a few rows at a time: what a page begins with, and what another ends with, is there once.
    let mut text = Vec::new();
    assert!(everything_held(conn, program, &MemberRef::parse(&it.name), &mut text).await.unwrap());
    let held: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(held["member"]["external_id"], it.name);
    assert_eq!(held["accounts"][0]["available"], 395);
    assert_eq!(held["postings"].as_array().unwrap().len(), 6, "an earning, three spendings, two acts");
    assert_eq!(held["requests"].as_array().unwrap().len(), 6);
    assert_eq!(held["rejected_events"].as_array().unwrap().len(), 1);
    assert!(held["postings"][0]["event"].as_str().unwrap().contains(&it.name));
    assert!(!held.to_string().contains("baraka"), "and nothing of another");
    let nobody = MemberRef::parse("nobody");
    assert!(!everything_held(conn, program, &nobody, &mut Vec::new()).await.unwrap());
}

/// An act upon a tier names the account alone, but its reason may name anybody.
#[tokio::test]
async fn a_tier_is_exported_and_goes_with_the_member() {
    let it = Erasing::new().await;
    let (books, program) = (&it.books, it.books.program.program_id);
    let mut acting = Acting::begin(&books.pool, books.committer.guard()).await.unwrap();
    let before = lock_tier(acting.conn(), program, it.member).await.unwrap().unwrap();
    assert_eq!(before.tier, None);
    set_tier(acting.conn(), program, it.member, Some(Tier::Gold)).await.unwrap();
    let by = By { actor: "editor:badru".to_owned(), reason: Some(format!("{} asked", it.name)) };
    let deed = Deed {
        action: "member.tier".to_owned(),
        subject: format!("account {}", before.account),
        before: None,
        after: Some(serde_json::json!({"tier": "GOLD"})),
    };
    let leaf = acting.done(&keyring(), program, &by, &deed).await.unwrap();

    let conn = &mut *books.pool.acquire().await.unwrap();
    let mut text = Vec::new();
    assert!(everything_held(conn, program, &MemberRef::Id(it.member), &mut text).await.unwrap());
    let held: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(held["member"]["tier"], "GOLD");
    let act = held["postings"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&act["leaf_index"], &act["act"]["after"]["tier"]),
        (&serde_json::json!(leaf), &serde_json::json!("GOLD"))
    );

    let closed = it.close().await;
    seal(books).await;
    it.erase(closed).await.unwrap();
    assert!(traces(&dump(conn).await, std::slice::from_ref(&it.name)).is_empty());
    let (words, tiers): (Option<String>, i64) =
        sqlx::query_as("select reason, (select count(tier) from member) from posting where leaf_index = $1")
            .bind(leaf as i64)
            .fetch_one(&mut *conn)
            .await
            .unwrap();
    assert_eq!((words, tiers), (None, 0));
    books.check_books().await;
}
