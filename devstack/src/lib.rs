//! Starts real PostgreSQL, anvil and Kafka on this machine, for `daftari up` and for tests.
//!
//! Each part is an ordinary value: `start` returns when the part truly answers, `stop` returns when it has ended
//! cleanly, and dropping it stops it too. Whatever happens to this process, also SIGKILL, nothing it started is left
//! running. A part whose folder is kept survives a restart and a `kill -9`; its log is in that folder.
//!
//! Everything here blocks. Callers on tokio use `spawn_blocking`, or start the parts before the runtime.
//! A [`Wire`] stands between a client and a PostgreSQL: a test ends a process or a connection by what passes on it. An
//! [`RpcWire`] stands between a client and a chain, in the weather that a test chooses. A [`Disk`] under a PostgreSQL has
//! what was synced: a test cuts its power.
//! The programs come from `devstack/fetch`; nothing here downloads anything.

mod anvil;
mod bound;
mod error;
mod kafka;
mod lock;
mod port;
mod postgres;
mod rpc_wire;
mod running;
mod scratch;
mod testing;
mod wire;

pub use anvil::{Anvil, AnvilConfig};
pub use bound::spawn_bound;
pub use error::Error;
pub use kafka::{Kafka, KafkaConfig};
pub use port::{free_port, lasting_port};
pub use postgres::{Disk, Postgres, PostgresConfig, STANDBY_NAME};
pub use rpc_wire::{RpcFate, RpcWeather, RpcWire};
pub use scratch::Scratch;
pub use testing::{TEST_KAFKA, TEST_POSTGRES, test_kafka_brokers, test_postgres_config, test_postgres_url};
pub use wire::{Fate, Passing, Watch, Wire};

use std::path::{Path, PathBuf};

/// The folder of this crate in the checkout it was built from: that is where `fetch` puts the parts.
fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program at `path`, or the error that says how to fetch it.
fn fetched(part: &'static str, path: PathBuf) -> Result<PathBuf, Error> {
    if path.exists() { Ok(path) } else { Err(Error::NotFetched { part, path }) }
}
