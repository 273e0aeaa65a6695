//! What the commands are told that somebody runs who does not trust the log.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::{SecretText, Span, TheBooks};

/// Whom to trust: it never comes from what is checked.
#[derive(Clone, Debug, Args)]
pub(crate) struct Trust {
    /// The policy file: the log's key, its witnesses, where it is anchored. Or give --key.
    #[arg(long, env = "POLICY_FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// The log's public key, in the form `<origin>+<id>+<key>`, instead of a policy.
    #[arg(long, conflicts_with = "policy")]
    pub(crate) key: Option<String>,
}

/// Check a whole log from its tiles: exits with 0 sound, 1 something found, 2 could not check.
#[derive(Clone, Debug, Args)]
pub(crate) struct Audit {
    /// The log: an http(s) address, or a folder.
    pub(crate) log: String,
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// The chain's JSON-RPC: hold the log against every anchor that the chain shows.
    #[arg(long, env = "CHAIN_RPC_URL", hide_env_values = true)]
    pub(crate) rpc: Option<SecretText>,
    /// A signed checkpoint that was kept, which the log must extend; may be given many times.
    #[arg(long)]
    pub(crate) checkpoint: Vec<PathBuf>,
    /// The file in which the audit remembers how far it came, to go on from there.
    #[arg(long)]
    pub(crate) memory: Option<PathBuf>,
    /// How many tiles are read at once.
    #[arg(long, default_value_t = 16)]
    pub(crate) parallel: usize,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) books: TheBooks,
}

/// Follow a log and alarm on a fork, a step back, staleness, or an anchor that disagrees.
#[derive(Clone, Debug, Args)]
pub(crate) struct Monitor {
    /// The log: an http(s) address, or a folder.
    pub(crate) log: String,
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// The chain's JSON-RPC: hold the log against the contract's head too.
    #[arg(long, env = "CHAIN_RPC_URL", hide_env_values = true)]
    pub(crate) rpc: Option<SecretText>,
    /// The folder in which the last checkpoint is remembered, and the proof of a fork is kept.
    #[arg(long, default_value = ".daftari-monitor")]
    pub(crate) memory: PathBuf,
    /// How long to wait between two looks, as in 10s.
    #[arg(long, default_value = "10s")]
    pub(crate) every: Span,
    /// Alarm when nothing fresh has come for so long, as in 1h.
    #[arg(long)]
    pub(crate) stale_after: Option<Span>,
    /// Look once and exit: with 0 sound, 1 something found, 2 could not look.
    #[arg(long)]
    pub(crate) once: bool,
}

/// Run a C2SP witness: cosign the checkpoints of the policy's logs, each only if it extends the last.
#[derive(Clone, Debug, Args)]
pub(crate) struct Witness {
    /// The witness's name: it stands in its key and in every line that it signs.
    #[arg(long, env = "WITNESS_NAME")]
    pub(crate) name: String,
    /// The file with the witness's key, 32 bytes in hexadecimal. It is made when it is not there.
    #[arg(long, env = "WITNESS_KEY_FILE")]
    pub(crate) key_file: PathBuf,
    /// The policy file: the keys of the logs to follow.
    #[arg(long, env = "POLICY_FILE")]
    pub(crate) policy: PathBuf,
    /// The folder in which the last checkpoint of each log is remembered.
    #[arg(long, env = "WITNESS_DIR")]
    pub(crate) memory: PathBuf,
    /// Where to listen.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8086")]
    pub(crate) listen: SocketAddr,
}
