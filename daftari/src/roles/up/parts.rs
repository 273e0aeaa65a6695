//! What runs beside Daftari on this machine: embedded, unless a URL says where else.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use devstack::{Anvil, AnvilConfig, Kafka, KafkaConfig, Postgres, PostgresConfig};

use super::home::Home;
use crate::config::Up;

const USUAL_CHAIN_PORT: u16 = 8545;
/// A shell may have exported it long ago, for something else.
pub(super) const DATABASE_NAMED: &str =
    "DATABASE_URL or --database-url names it: unset it, and `up` starts its own PostgreSQL";

/// The parts, and where they are. The embedded ones stop when this is stopped, or with the process.
pub(super) struct Parts {
    pub(super) database_url: String,
    pub(super) chain_rpc_url: String,
    pub(super) kafka_brokers: Option<String>,
    embedded: Embedded,
}

/// The parts that are ours to stop, shared with who watches them.
#[derive(Clone, Default)]
pub(super) struct Embedded {
    postgres: Shared<Postgres>,
    pub(super) anvil: Shared<Anvil>,
    kafka: Shared<Kafka>,
}

type Shared<T> = Arc<Mutex<Option<T>>>;

impl Embedded {
    /// The first that has ended by itself, in words that say where to look.
    pub(super) fn ended(&self) -> Option<String> {
        ended(&self.postgres, "PostgreSQL", Postgres::is_running, Postgres::log_file)
            .or_else(|| ended(&self.anvil, "anvil", Anvil::is_running, Anvil::log_file))
            .or_else(|| ended(&self.kafka, "Kafka", Kafka::is_running, Kafka::log_file))
    }

    fn stop(&self) -> Result<(), devstack::Error> {
        lock(&self.kafka).take().map_or(Ok(()), Kafka::stop)?;
        lock(&self.anvil).take().map_or(Ok(()), Anvil::stop)?;
        lock(&self.postgres).take().map_or(Ok(()), Postgres::stop)
    }
}

impl Parts {
    /// Those that were started here.
    pub(super) fn embedded(&self) -> Embedded {
        self.embedded.clone()
    }

    /// Starts what is embedded, and says so. Of all web pages only those of this origin may call the chain.
    pub(super) async fn start(config: &Up, home: &Home, page_origin: &str) -> anyhow::Result<Self> {
        let (config, page_origin) = (config.clone(), page_origin.to_owned());
        let folders = [home.path("postgres"), home.path("anvil"), home.path("kafka")];
        tokio::task::spawn_blocking(move || Self::start_blocking(&config, folders, page_origin)).await?
    }

    fn start_blocking(
        config: &Up,
        [postgres, anvil, kafka]: [PathBuf; 3],
        page_origin: String,
    ) -> anyhow::Result<Self> {
        let mut parts = Self {
            database_url: config.database_url.as_ref().map(|it| it.0.clone()).unwrap_or_default(),
            chain_rpc_url: config.chain_rpc_url.as_ref().map(|it| it.0.clone()).unwrap_or_default(),
            kafka_brokers: config.kafka_brokers.clone(),
            embedded: Embedded::default(),
        };
        if config.database_url.is_none() {
            eprintln!("up: starting PostgreSQL");
            let started =
                Postgres::start(&PostgresConfig::new(postgres)).context("PostgreSQL did not start")?;
            parts.database_url = started.url("postgres");
            *lock(&parts.embedded.postgres) = Some(started);
        } else {
            eprintln!("up: using a PostgreSQL that runs already: {DATABASE_NAMED}");
        }
        if config.chain_rpc_url.is_none() {
            eprintln!("up: starting anvil, a local chain");
            std::fs::create_dir_all(&anvil)?;
            let at = |port| AnvilConfig {
                state_file: Some(anvil.join("state.json")),
                block_time: Some(Duration::from_secs(1)),
                port,
                allow_origin: Some(page_origin.clone()),
                ..AnvilConfig::default()
            };
            // The port that wallets and scripts know, where nobody else has it.
            let started = match Anvil::start(&at(Some(USUAL_CHAIN_PORT))) {
                Err(devstack::Error::PortTaken { .. }) => Anvil::start(&at(None)),
                started => started,
            };
            let started = started.context("anvil did not start")?;
            parts.chain_rpc_url = started.url();
            *lock(&parts.embedded.anvil) = Some(started);
        }
        if config.kafka {
            eprintln!("up: starting Kafka");
            let started = Kafka::start(&KafkaConfig::new(kafka)).context("Kafka did not start")?;
            parts.kafka_brokers = Some(started.brokers());
            *lock(&parts.embedded.kafka) = Some(started);
        }
        Ok(parts)
    }

    /// Stops what is embedded, the database last.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        Ok(tokio::task::spawn_blocking(move || self.embedded.stop()).await??)
    }
}

fn ended<T>(
    part: &Shared<T>,
    name: &str,
    is_running: impl Fn(&mut T) -> bool,
    log_file: impl Fn(&T) -> Option<&Path>,
) -> Option<String> {
    let mut part = lock(part);
    let part = part.as_mut()?;
    if is_running(part) {
        return None;
    }
    let log = log_file(part).map(|it| format!(": its log is {}", it.display()));
    Some(format!("{name} has ended by itself{}", log.unwrap_or_default()))
}

// What a lock guards is whole between any two statements, so a panic elsewhere poisons nothing.
fn lock<T>(part: &Shared<T>) -> MutexGuard<'_, Option<T>> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}
