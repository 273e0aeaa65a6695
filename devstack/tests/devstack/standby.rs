use devstack::{Postgres, PostgresConfig, STANDBY_NAME, Scratch, Wire};
use rustix::process::Signal;

use crate::support::{eventually, send};
use crate::wire::{asked, psql};

fn primary(scratch: &Scratch, is_synchronous: bool) -> Postgres {
    let mut config = PostgresConfig::new(scratch.path().join("primary"));
    // It is killed for good: the usual kind of shared memory would stay.
    config.settings = vec![("dynamic_shared_memory_type".into(), "mmap".into())];
    if is_synchronous {
        config.settings.push(("synchronous_standby_names".into(), STANDBY_NAME.into()));
    }
    Postgres::start(&config).unwrap()
}

#[test]
fn a_synchronous_standby_has_all_that_was_committed() {
    let scratch = Scratch::new().unwrap();
    let primary = primary(&scratch, true);
    let config = PostgresConfig::new(scratch.path().join("standby"));
    let standby = primary.start_standby(&config, primary.port()).unwrap();
    asked(&primary.url("postgres"), "create table kept as select generate_series(1, 100) as number");
    let refused = psql(&standby.url("postgres"), &["insert into kept values (0)"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("read-only"), "{refused:?}");

    send(primary.pid(), Signal::KILL);
    standby.promote().unwrap();
    assert_eq!(asked(&standby.url("postgres"), "insert into kept values (101) returning number"), "101");
    assert_eq!(asked(&standby.url("postgres"), "select count(*) from kept"), "101");

    // From here it is a server like any other.
    standby.stop().unwrap();
    let again = Postgres::start(&config).unwrap();
    assert_eq!(asked(&again.url("postgres"), "select count(*) from kept"), "101");
}

#[test]
fn a_standby_whose_wire_is_cut_lags() {
    let scratch = Scratch::new().unwrap();
    let primary = primary(&scratch, false);
    let wire = Wire::unwatched(primary.port()).unwrap();
    let config = PostgresConfig::new(scratch.path().join("standby"));
    let standby = primary.start_standby(&config, wire.port()).unwrap();
    asked(&primary.url("postgres"), "create table kept as select 1 as number");
    eventually("the standby has the table", || {
        psql(&standby.url("postgres"), &["select number from kept"]).status.success()
    });
    wire.cut();
    asked(&primary.url("postgres"), "insert into kept values (2)");
    send(primary.pid(), Signal::KILL);
    standby.promote().unwrap();
    assert_eq!(asked(&standby.url("postgres"), "select string_agg(number::text, ' ') from kept"), "1");
}
