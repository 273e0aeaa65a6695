pub(crate) mod rpc;
mod state;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use self::state::{Keeper, StateFiles};
use crate::lock::Lock;
use crate::port::{listens, on_free_ports};
use crate::running::{Launch, Log, Running};
use crate::{Error, fetched, home};

const PART: &str = "anvil";

// A state of many megabytes takes a while to read back.
const START_PATIENCE: Duration = Duration::from_secs(120);
const STOP_GRACE: Duration = Duration::from_secs(20);

/// Which chain to start.
#[derive(Debug, Clone)]
pub struct AnvilConfig {
    /// Where the chain is kept between runs; without one it ends with the process. Its log and its lock are beside it.
    pub state_file: Option<PathBuf>,
    /// A port on 127.0.0.1; a free one where there is none.
    pub port: Option<u16>,
    pub chain_id: u64,
    /// How often a block is made, in whole seconds; without one, a block per transaction.
    pub block_time: Option<Duration>,
    /// Blocks per epoch: `safe` is one epoch behind `latest`, `finalized` two. anvil's own default is 32.
    pub epoch_blocks: Option<u64>,
    /// The one web origin that may call, as in `http://127.0.0.1:8080`. Without one any page may that a browser on this
    /// machine visits, and each of anvil's methods with it: `anvil_reset` too.
    pub allow_origin: Option<String>,
}

impl Default for AnvilConfig {
    fn default() -> Self {
        Self {
            state_file: None,
            port: None,
            chain_id: 31337,
            block_time: None,
            epoch_blocks: None,
            allow_origin: None,
        }
    }
}

/// A local chain with anvil's ten well-known funded accounts.
#[derive(Debug)]
pub struct Anvil {
    // Dropped in this order: first the process writes its last state, then the keeper keeps it.
    running: Running,
    keeper: Option<Keeper>,
    port: u16,
}

impl Anvil {
    /// Starts the chain and returns when it answers.
    ///
    /// With a state file it goes on where it was: after a stop exactly there, after a `kill -9` at most about a second
    /// earlier. Blocks, transactions, receipts and logs survive; state as of an earlier block does not, so after a
    /// restart `eth_call` answers only for blocks since then (keeping it would cost the whole state once per block).
    pub fn start(config: &AnvilConfig) -> Result<Self, Error> {
        let program = fetched(PART, home().join(PROGRAM))?;
        let files = config.state_file.as_ref().map(|it| StateFiles::beside(it)).transpose()?;
        let lock = files.as_ref().map(|it| Lock::take(PART, it.lock.clone())).transpose()?;
        if let Some(files) = &files {
            files.recover()?;
        }
        let (running, port) = on_free_ports(PART, config.port, |[port]| {
            let launch = launch(config, program.clone(), files.as_ref(), lock.as_ref(), port)?;
            let (running, ()) = Running::launch(launch)?
                .wait_until(START_PATIENCE, |pid| is_ready(pid, port, config.chain_id).then_some(()))?;
            Ok((running, port))
        })?;
        Ok(Self { running, keeper: files.map(Keeper::start), port })
    }

    /// Where it answers JSON-RPC, over HTTP and WebSocket.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// False once it has ended by itself.
    pub fn is_running(&mut self) -> bool {
        self.running.is_running()
    }

    /// Where its output goes, if it is kept.
    pub fn log_file(&self) -> Option<&Path> {
        self.running.log_file()
    }

    /// One JSON-RPC call, as in `rpc("evm_mine", json!([]))`.
    pub fn rpc(&self, method: &str, params: Value) -> Result<Value, Error> {
        rpc::call(self.port, method, &params)
    }

    /// Ends the chain; where it has a state file, everything up to now is in it.
    pub fn stop(mut self) -> Result<(), Error> {
        self.running.stop()?;
        self.keeper.take().map_or(Ok(()), Keeper::finish)
    }
}

// npm has no build for other processors under this name; the missing program says so.
const PROGRAM: &str = "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil";

fn launch<'a>(
    config: &AnvilConfig,
    program: PathBuf,
    files: Option<&StateFiles>,
    lock: Option<&'a Lock>,
    port: u16,
) -> Result<Launch<'a>, Error> {
    let mut arguments: Vec<OsString> = ["--quiet", "--host", "127.0.0.1"].map(OsString::from).into();
    arguments.extend(["--port".into(), port.to_string().into()]);
    arguments.extend(["--chain-id".into(), config.chain_id.to_string().into()]);
    if let Some(period) = config.block_time {
        arguments.extend(["--block-time".into(), period.as_secs().max(1).to_string().into()]);
    }
    if let Some(blocks) = config.epoch_blocks {
        arguments.extend(["--slots-in-an-epoch".into(), blocks.to_string().into()]);
    }
    if let Some(origin) = &config.allow_origin {
        arguments.extend(["--allow-origin".into(), origin.into()]);
    }
    if let Some(files) = files {
        if files.kept.exists() {
            arguments.extend(["--load-state".into(), files.kept.clone().into()]);
        }
        arguments.extend(["--dump-state".into(), files.live.clone().into()]);
        arguments.extend(["--state-interval", "1"].map(OsString::from));
    }
    let folder = files.and_then(|it| it.kept.parent()).map_or_else(std::env::temp_dir, PathBuf::from);
    Ok(Launch {
        part: PART,
        program,
        arguments,
        environment: &[],
        folder,
        user: None,
        lock,
        log: files.map_or_else(Log::unnamed, |it| Log::kept(&it.log))?,
        // On TERM it writes its state once more and ends at once.
        orphaned: if files.is_some() { "TERM" } else { "KILL" },
        stop: Signal::TERM,
        grace: STOP_GRACE,
    })
}

fn is_ready(pid: u32, port: u16, chain_id: u64) -> bool {
    listens(pid, port)
        && rpc::call(port, "eth_chainId", &json!([])).is_ok_and(|it| it == json!(format!("{chain_id:#x}")))
}

impl StateFiles {
    /// The files for this state file, in a folder that exists.
    fn beside(state_file: &Path) -> Result<Self, Error> {
        let kept = std::path::absolute(state_file).map_err(Error::folder("find", state_file))?;
        if let Some(folder) = kept.parent() {
            fs::create_dir_all(folder).map_err(Error::folder("create", folder))?;
        }
        let [live, log, lock] = ["live", "log", "lock"].map(|it| kept.with_extension(it));
        Ok(Self { kept, live, log, lock })
    }
}
