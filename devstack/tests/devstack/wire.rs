use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use devstack::{Fate, Passing, Postgres, PostgresConfig, Scratch, Wire};

/// Runs statements one after the other on one connection; the first that fails ends it.
pub(crate) fn psql(url: &str, statements: &[&str]) -> Output {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/postgres/bin/psql");
    let mut psql = Command::new(program);
    psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]).arg(url);
    psql.args(statements.iter().flat_map(|it| ["-c", it])).stdin(Stdio::null());
    psql.output().expect("psql is fetched: devstack/fetch postgres")
}

/// What a statement answers.
pub(crate) fn asked(url: &str, statement: &str) -> String {
    let output = psql(url, &[statement]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn a_commit_fails_or_fails_yet_persists() {
    let scratch = Scratch::new().unwrap();
    let postgres = Postgres::start(&PostgresConfig::new(scratch.path().join("postgres"))).unwrap();
    let url = postgres.url("postgres");
    asked(&url, "create table kept (number int)");

    let check = |cut_at: Option<Passing<'static>>, number: u32, stands: &str| {
        let watch = Arc::new(move |it: Passing<'_>| if Some(it) == cut_at { Fate::Cut } else { Fate::Pass });
        let wire = Wire::start(postgres.port(), watch).unwrap();
        let insert = format!("insert into kept values ({number})");
        let output = psql(&postgres.url_through(&wire, "postgres"), &["begin", &insert, "commit"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), cut_at.is_none(), "{cut_at:?}: {said}");
        let count = format!("select count(*) from kept where number = {number}");
        assert_eq!(asked(&url, &count), stands, "{cut_at:?}: {said}");
    };
    check(None, 1, "1");
    check(Some(Passing::Statement("begin")), 2, "0");
    check(Some(Passing::Done("INSERT 0 1")), 3, "0");
    check(Some(Passing::Statement("commit")), 4, "0");
    check(Some(Passing::Done("COMMIT")), 5, "1");
}

#[test]
fn a_wire_is_cut_and_led_elsewhere() {
    let scratch = Scratch::new().unwrap();
    let start = |name: &str| Postgres::start(&PostgresConfig::new(scratch.path().join(name))).unwrap();
    let (one, two) = (start("one"), start("two"));
    let wire = Wire::unwatched(one.port()).unwrap();
    assert_eq!(asked(&one.url_through(&wire, "postgres"), "show port"), one.port().to_string());
    wire.cut();
    assert!(!psql(&one.url_through(&wire, "postgres"), &["select 1"]).status.success());
    wire.lead_to(two.port());
    assert_eq!(asked(&two.url_through(&wire, "postgres"), "show port"), two.port().to_string());
}

#[test]
fn a_cut_ends_what_is_under_way() {
    let scratch = Scratch::new().unwrap();
    let postgres = Postgres::start(&PostgresConfig::new(scratch.path().join("postgres"))).unwrap();
    let wire = Arc::new(Mutex::new(None::<Wire>));
    let held = Arc::clone(&wire);
    let watch = Arc::new(move |it: Passing<'_>| {
        // From another thread, as a test would: a watch is asked in the middle of a connection's own.
        if it == Passing::Statement("select pg_sleep(600)") {
            let held = Arc::clone(&held);
            std::thread::spawn(move || held.lock().unwrap().as_ref().expect("it is started").cut());
        }
        Fate::Pass
    });
    *wire.lock().unwrap() = Some(Wire::start(postgres.port(), watch).unwrap());
    let url = postgres.url_through(wire.lock().unwrap().as_ref().unwrap(), "postgres");
    assert!(!psql(&url, &["select pg_sleep(600)"]).status.success());
}
