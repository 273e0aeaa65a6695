use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use devstack::{Disk, Error, Postgres, PostgresConfig, Scratch};
use rustix::net::{Shutdown, shutdown};
use rustix::process::Signal;

use crate::support::{is_alive, send};
use crate::wire::asked;

/// What initdb gave the cluster, once and for ever.
fn system_identifier(postgres: &Postgres) -> Vec<u8> {
    fs::read(postgres.folder().join("cluster/global/pg_control")).unwrap()[..8].to_vec()
}

fn setting(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

#[test]
fn a_killed_server_comes_back_in_the_same_folder() {
    let scratch = Scratch::new().unwrap();
    let config = PostgresConfig::new(scratch.path().join("postgres"));
    let killed = Postgres::start(&config).unwrap();
    let (identity, url) = (system_identifier(&killed), killed.url("postgres"));
    let password = |url: &str| url.split(['@', ':']).nth(2).unwrap().to_owned();

    send(killed.pid(), Signal::KILL);
    let again = Postgres::start(&config).unwrap();
    assert_eq!(system_identifier(&again), identity);
    assert_eq!(password(&again.url("postgres")), password(&url));

    let pid = again.pid();
    again.stop().unwrap();
    assert!(!is_alive(pid));
}

#[test]
fn a_power_cut_leaves_what_was_synced_and_nothing_else() {
    let scratch = Scratch::new().unwrap();
    let mut config = PostgresConfig::new(scratch.path().join("postgres"));
    // It is killed for good: the usual kind of shared memory would stay.
    config.settings = vec![setting("dynamic_shared_memory_type", "mmap")];
    let disk = Disk::under(Postgres::start(&config).unwrap()).unwrap();
    config.environment = disk.environment();
    let numbers = "select string_agg(number::text, ' ' order by number) from kept";
    let tell = |statement: &str| {
        let postgres = Postgres::start(&config).unwrap();
        let answer = asked(&postgres.url("postgres"), statement);
        send(postgres.pid(), Signal::KILL);
        answer
    };

    tell("create table kept as select 1 as number");
    disk.cut(|| false).unwrap();
    assert_eq!(tell("insert into kept values (2) returning number"), "2");
    let mut sector = 0;
    let every_other = || {
        sector += 1;
        sector % 2 == 0
    };
    disk.cut(every_other).unwrap();
    assert_eq!(tell(numbers), "1 2");

    // What a disk says that it has, and has not, outlives a kill and no cut.
    disk.lie().unwrap();
    tell("insert into kept values (3)");
    assert_eq!(tell(numbers), "1 2 3");
    disk.cut(|| true).unwrap();
    assert_eq!(tell(numbers), "1 2");
}

#[test]
fn what_an_interrupted_first_start_left_is_no_obstacle() {
    let scratch = Scratch::new().unwrap();
    let config = PostgresConfig::new(scratch.path().join("postgres"));
    let first = Postgres::start(&config).unwrap();
    let folder = first.folder().to_owned();
    first.stop().unwrap();
    fs::rename(folder.join("cluster"), folder.join("cluster.new")).unwrap();
    fs::remove_file(folder.join("cluster.new/global/pg_control")).unwrap();

    Postgres::start(&config).unwrap().stop().unwrap();
}

#[test]
fn a_pid_that_now_belongs_to_another_process_is_no_obstacle() {
    let scratch = Scratch::new().unwrap();
    let config = PostgresConfig::new(scratch.path().join("postgres"));
    let first = Postgres::start(&config).unwrap();
    let pid_file = first.folder().join("cluster/postmaster.pid");
    let text = fs::read_to_string(&pid_file).unwrap();
    let reused = text.replacen(&first.pid().to_string(), &std::process::id().to_string(), 1);
    first.stop().unwrap();
    fs::write(&pid_file, reused).unwrap();

    Postgres::start(&config).unwrap().stop().unwrap();
}

#[test]
fn durability_cannot_be_switched_off() {
    let scratch = Scratch::new().unwrap();
    let mut config = PostgresConfig::new(scratch.path().join("postgres"));
    let durable = ["fsync", "full_page_writes", "synchronous_commit"];
    config.settings = durable.map(|it| setting(it, "off")).into();
    let postgres = Postgres::start(&config).unwrap();
    let options = fs::read_to_string(postgres.folder().join("cluster/postmaster.opts")).unwrap();
    for name in durable {
        // The last one counts.
        let (_, last) = options.rsplit_once(&format!("{name}=")).unwrap();
        assert!(last.starts_with("on"), "{name}: {options}");
    }
}

#[test]
fn two_at_once_do_not_meet() {
    let scratch = Scratch::new().unwrap();
    let start = |name: &str| Postgres::start(&PostgresConfig::new(scratch.path().join(name))).unwrap();
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(|| start("one"));
        let two = scope.spawn(|| start("two"));
        (one.join().unwrap(), two.join().unwrap())
    });
    assert_ne!(one.port(), two.port());
    assert_ne!(system_identifier(&one), system_identifier(&two));
}

#[test]
fn a_taken_port_is_named() {
    let scratch = Scratch::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut config = PostgresConfig::new(scratch.path().join("postgres"));
    config.port = Some(port);
    let error = Postgres::start(&config).unwrap_err();
    assert!(matches!(error, Error::PortTaken { port: it, .. } if it == port), "{error}");
    // A process that another test is just starting may still have a copy, which no longer listens either.
    shutdown(&taken, Shutdown::Both).unwrap();
    assert_eq!(Postgres::start(&config).unwrap().port(), port);
}

#[test]
fn a_folder_serves_one_server() {
    let scratch = Scratch::new().unwrap();
    let config = PostgresConfig::new(scratch.path().join("postgres"));
    let _first = Postgres::start(&config).unwrap();
    let error = Postgres::start(&config).unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error}");
}

#[test]
fn a_refusal_to_start_quotes_the_log() {
    let scratch = Scratch::new().unwrap();
    let mut config = PostgresConfig::new(scratch.path().join("postgres"));
    config.settings = vec![setting("no_such_setting", "1")];
    let error = Postgres::start(&config).unwrap_err();
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

/// Root's own folders are closed to the user that PostgreSQL then runs as. An ordinary user's are not closed to itself.
#[test]
fn a_folder_closed_to_others_serves_too() {
    let scratch = Scratch::new().unwrap();
    let closed = scratch.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let config = PostgresConfig::new(closed.join("postgres"));

    let first = Postgres::start(&config).unwrap();
    let (identity, folder) = (system_identifier(&first), first.folder().to_owned());
    first.stop().unwrap();
    let again = Postgres::start(&config).unwrap();
    assert_eq!((system_identifier(&again), again.folder()), (identity, folder.as_path()));
    again.stop().unwrap();

    let we_are_root = rustix::process::geteuid().is_root();
    assert_eq!(folder != config.data_dir, we_are_root);
    if we_are_root {
        assert_eq!(fs::read_link(config.data_dir.join("moved")).unwrap(), folder);
        fs::remove_dir_all(folder).unwrap();
    }
}
