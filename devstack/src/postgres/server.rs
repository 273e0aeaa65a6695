use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::home::Home;
use super::{PART, PostgresConfig};
use crate::Error;
use crate::lock::Lock;
use crate::running::{Launch, Log};

// A fast shutdown writes what is dirty in shared_buffers.
const STOP_GRACE: Duration = Duration::from_secs(60);

/// How the server is run: on loopback, durable whatever `settings` say, and gone at once when we are.
pub(super) fn server<'a>(
    home: &Home,
    programs: &Path,
    lock: &'a Lock,
    port: u16,
    config: &'a PostgresConfig,
) -> Result<Launch<'a>, Error> {
    let given = config.settings.iter().map(|(name, value)| format!("{name}={value}"));
    let durable = ["fsync=on", "full_page_writes=on", "synchronous_commit=on"].map(String::from);
    let place = [
        "listen_addresses=127.0.0.1".into(),
        format!("port={port}"),
        // No socket: its path would have to be short, and reachable by whoever connects.
        "unix_socket_directories=".into(),
        "logging_collector=off".into(),
    ];
    let defaults =
        ["max_connections=200", "timezone=UTC", "log_timezone=UTC", "dynamic_shared_memory_type=posix"]
            .map(String::from);
    let mut arguments: Vec<OsString> = vec!["-D".into(), home.cluster().into()];
    // The last one of a name wins.
    for setting in defaults.into_iter().chain(given).chain(durable).chain(place) {
        arguments.extend(["-c".into(), setting.into()]);
    }
    Ok(Launch {
        part: PART,
        program: programs.join("postgres"),
        arguments,
        environment: &config.environment,
        folder: home.folder.clone(),
        user: home.user,
        lock: Some(lock),
        log: Log::kept(&home.log())?,
        // Immediate shutdown: gone within milliseconds, whatever its sessions are doing. The next start recovers,
        // as it must after a power cut anyway.
        orphaned: "QUIT",
        // Fast shutdown: sessions are ended, everything is written.
        stop: Signal::INT,
        grace: STOP_GRACE,
    })
}
