use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::{Error, Kafka, KafkaConfig, Postgres, PostgresConfig, Scratch};

/// The variable in which `devstack run` hands on its PostgreSQL: a superuser's URL.
pub const TEST_POSTGRES: &str = "DAFTARI_TEST_POSTGRES";
/// The variable in which `devstack run --kafka` hands on its brokers.
pub const TEST_KAFKA: &str = "DAFTARI_TEST_KAFKA";

/// A superuser's URL of the PostgreSQL for tests: the one of `devstack run`, or, in a plain `cargo test -p store`, one
/// that this process starts when first asked and that ends with it.
pub fn test_postgres_url() -> Result<String, Error> {
    static OURS: Mutex<Option<(Postgres, Scratch)>> = Mutex::new(None);
    given_or_ours(
        TEST_POSTGRES,
        &OURS,
        |folder| Postgres::start(&test_postgres_config(folder)),
        |it| it.url("postgres"),
    )
}

/// The brokers of the Kafka for tests, found the same way.
pub fn test_kafka_brokers() -> Result<String, Error> {
    static OURS: Mutex<Option<(Kafka, Scratch)>> = Mutex::new(None);
    given_or_ours(
        TEST_KAFKA,
        &OURS,
        |folder| Kafka::start(&KafkaConfig::new(folder.join("kafka"))),
        Kafka::brokers,
    )
}

/// A server in a folder to throw away, with room for many tests at once.
pub fn test_postgres_config(folder: &Path) -> PostgresConfig {
    let settings = [
        ("max_connections", "1000"),
        // A database per test is cloned, used and dropped: less WAL per clone, and segments that come back quickly.
        ("wal_level", "minimal"),
        ("max_wal_senders", "0"),
        ("max_wal_size", "256MB"),
        // Goes with the folder, also after a SIGKILL; the posix kind would stay in /dev/shm for ever.
        ("dynamic_shared_memory_type", "mmap"),
    ];
    PostgresConfig {
        settings: settings.map(|(name, value)| (name.into(), value.into())).into(),
        ..PostgresConfig::new(folder.join("postgres"))
    }
}

fn given_or_ours<P>(
    variable: &str,
    ours: &Mutex<Option<(P, Scratch)>>,
    start: impl FnOnce(&Path) -> Result<P, Error>,
    address: impl Fn(&P) -> String,
) -> Result<String, Error> {
    if let Some(given) = given(variable) {
        return Ok(given);
    }
    let mut ours = ours.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((part, _)) = &*ours {
        return Ok(address(part));
    }
    let scratch = Scratch::new()?;
    let part = start(scratch.path())?;
    let address = address(&part);
    // Nobody drops a static. The kernel ends the part with this process, and the scratch folder goes then too.
    *ours = Some((part, scratch));
    Ok(address)
}

#[expect(clippy::disallowed_methods, reason = "how `devstack run` reaches tests, which have no Config")]
fn given(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|it| !it.is_empty())
}
