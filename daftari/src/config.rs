//! What each role is told. One documented struct per role; nothing else reads the environment.

mod api_keys;
mod archive;
mod books;
mod bridge;
mod door;
mod export;
mod keys_at;
mod log;
mod look;
mod members;

use std::ffi::OsStr;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use api::IpNet;
use clap::builder::{TypedValueParser, ValueParserFactory};
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::load::Ask;

mod outsiders;
mod streams;
mod tiles;
mod webhook;

pub(crate) use api_keys::{CreateKey, KeyRole, Keys};
pub(crate) use archive::{Archive, Archived, Restore};
pub(crate) use books::*;
pub(crate) use bridge::{Bridge, BridgeAt, BridgeRun};
pub(crate) use door::Door;
pub(crate) use export::Export;
pub(crate) use keys_at::{ChainKeyAt, LogKeyAt};
pub(crate) use log::{Adopt, LogAct, MakeMap, Mend, Rotate, Succeed, TheBooks};
pub(crate) use look::{Balance, Check, Feed, History, Liability, ProgramAt, Replay, Statement, Whose};
pub(crate) use members::{EraseMember, ExportMember, Members, SettleTier};
pub(crate) use outsiders::{Audit, Monitor, Trust, Witness};
pub(crate) use streams::Streams;
pub(crate) use tiles::Tiles;
pub(crate) use webhook::Webhook;

/// A loyalty-points ledger that nobody has to trust.
#[derive(Debug, Parser)]
#[command(name = "daftari", version)]
pub(crate) struct Config {
    #[command(flatten)]
    pub(crate) logging: Logging,
    #[command(subcommand)]
    pub(crate) role: Role,
}

/// What this process does.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Run the whole system on this machine, with an embedded default for everything outside.
    Up(Up),
    /// Serve the API for apps and partners.
    Api(Api),
    /// Take events from Kafka.
    Ingest(Ingest),
    /// Settle what falls due on idle accounts.
    Sweep(Sweep),
    /// Seal the log and anchor it.
    Anchor(Box<Anchor>),
    /// Serve checkpoints, tiles, receipts and the verification page.
    Verifier(Verifier),
    /// Check a receipt: exits with 0 valid, 1 refused, 2 could not check.
    Verify(Verify),
    /// Check a whole log from its tiles: exits with 0 sound, 1 something found, 2 could not check.
    Audit(Audit),
    /// Follow a log and alarm on a fork, a step back, staleness, or an anchor that disagrees.
    Monitor(Monitor),
    /// Run a C2SP witness: cosign the checkpoints of the policy's logs, each only if it extends the last.
    Witness(Witness),
    /// Bring the database to this version's schema and begin the log.
    Migrate(Migrate),
    /// Look into the books, and do in them what an operator does.
    #[command(subcommand)]
    Books(Books),
    /// Write what an account went through in a period, with the proofs, into one archive that `daftari verify` checks offline.
    Export(Export),
    /// Erase a member, give them everything that is held about them, or settle their tier.
    #[command(subcommand)]
    Members(Members),
    /// Issue, list and withdraw API keys.
    #[command(subcommand)]
    Keys(Keys),
    /// Make account maps, and find the way out when a database lost what was published.
    #[command(subcommand)]
    Log(LogAct),
    /// Put the contracts on a chain.
    #[command(subcommand)]
    Contracts(Contracts),
    /// Move points between the books and a chain.
    #[command(subcommand)]
    Bridge(Bridge),
    /// Look into the anchors, and tell their worker what to do.
    Anchors(Anchors),
    /// What a partner does with webhooks.
    #[command(subcommand)]
    Webhook(Webhook),
    /// Run a benchmark.
    Bench(Bench),
    /// Make load for a benchmark: the process that the benchmark measures against.
    #[command(hide = true)]
    Load(Load),
}

#[derive(Debug, Args)]
pub(crate) struct Logging {
    /// How log lines are written to standard error.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    pub(crate) log_format: LogFormat,
    /// What is logged: a level, or directives such as `info,store=debug`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info,sqlx=warn", global = true)]
    pub(crate) log_level: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// A URL that may hold a password, which it never shows.
#[derive(Clone)]
pub(crate) struct SecretUrl(pub(crate) String);

/// Reads a [`SecretUrl`]. clap's own way quotes a value that it refuses, password and all.
#[derive(Clone)]
pub(crate) struct SecretUrlParser;

impl ValueParserFactory for SecretUrl {
    type Parser = SecretUrlParser;

    fn value_parser() -> SecretUrlParser {
        SecretUrlParser
    }
}

impl TypedValueParser for SecretUrlParser {
    type Value = SecretUrl;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        url: &OsStr,
    ) -> Result<SecretUrl, clap::Error> {
        match url.to_str() {
            Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(SecretUrl(url.to_owned()))
            }
            _ => {
                let argument = argument.map(|it| format!("{it}: ")).unwrap_or_default();
                let problem = format!("{argument}a database URL begins with postgres://\n");
                Err(clap::Error::raw(ErrorKind::ValueValidation, problem).with_cmd(command))
            }
        }
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A password may stand before the host or among the parameters: only host and database are shown.
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let place = rest.split('?').next().unwrap_or_default();
        let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
        write!(f, "postgres://[redacted]@{place}")
    }
}

/// A text that it never shows.
#[derive(Clone)]
pub(crate) struct SecretText(pub(crate) String);

impl FromStr for SecretText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

impl SecretText {
    /// Endpoints, with commas between.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.0.split(',').map(|it| it.trim().to_owned()).collect()
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A span of time, written as in `500ms`, `2s`, `5m` or `1h`.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub(crate) Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|it: char| it.is_ascii_alphabetic());
        let number: u64 = digits
            .parse()
            .map_err(|_| "a span of time is a number and ms, s, m or h, as in 30s".to_owned())?;
        let millis = match &text[digits.len()..] {
            "ms" => Some(1),
            "s" => Some(1000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            _ => None,
        };
        let millis = millis.and_then(|it: u64| it.checked_mul(number));
        Ok(Self(Duration::from_millis(
            millis.ok_or("a span of time is a number and ms, s, m or h, as in 30s")?,
        )))
    }
}

/// Twenty bytes in hexadecimal with 0x.
pub(crate) fn parse_address(text: &str) -> anyhow::Result<[u8; 20]> {
    let mut address = [0; 20];
    let digits =
        text.strip_prefix("0x").with_context(|| format!("{text:?} is not an address: it begins with 0x"))?;
    hex::decode_to_slice(digits, &mut address)
        .with_context(|| format!("{text:?} is not an address of 20 bytes"))?;
    Ok(address)
}

/// The database, and the key that wraps the secrets in it.
#[derive(Clone, Debug, Args)]
pub(crate) struct Database {
    /// The PostgreSQL database of the books.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: SecretUrl,
    /// How many connections this process may hold.
    #[arg(long, env = "DATABASE_CONNECTIONS", default_value_t = 20)]
    pub(crate) database_connections: u32,
    /// The file with the wrapping key: 32 bytes in hexadecimal, kept outside the database and its backups.
    #[arg(long, env = "WRAPPING_KEY_FILE")]
    pub(crate) wrapping_key_file: PathBuf,
    /// The program that this process serves.
    #[arg(long, env = "PROGRAM", default_value = "default")]
    pub(crate) program: String,
    #[command(flatten)]
    pub(crate) outside: Outside,
}

/// What the world knows of the log: the database must hold all of it, or nothing is committed.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Outside {
    /// Where the log is published, an http(s) address or a folder. Where the database lacks what stands there, commits halt.
    #[arg(long, env = "PUBLISHED_LOG", requires = "log_policy_file")]
    pub(crate) published_log: Option<String>,
    /// The policy with the log's keys, read anew at each look; the witnesses and contracts that it names are asked too.
    #[arg(long, env = "LOG_POLICY_FILE", requires = "published_log")]
    pub(crate) log_policy_file: Option<PathBuf>,
    /// The JSON-RPC of the chain whose contracts are asked.
    #[arg(long, env = "GUARD_RPC_URL", hide_env_values = true, requires = "published_log")]
    pub(crate) guard_rpc_url: Option<SecretText>,
}

/// The log and its signing key.
#[derive(Clone, Debug, Args)]
pub(crate) struct Log {
    /// The log's origin: the name that its checkpoints carry.
    #[arg(long, env = "LOG_ORIGIN")]
    pub(crate) origin: String,
    #[command(flatten)]
    pub(crate) key: LogKeyAt,
}

/// Run the whole system on this machine.
#[derive(Clone, Debug, Args)]
pub(crate) struct Up {
    /// The folder for everything that must survive a restart: keys, database, chain, tiles, logs.
    #[arg(long, env = "DATA_DIR", default_value = ".daftari")]
    pub(crate) data_dir: PathBuf,
    /// Where the API and the page listen. Without it, port 8080 of the loopback, or a free one.
    #[arg(long, env = "LISTEN")]
    pub(crate) listen: Option<SocketAddr>,
    /// Another PostgreSQL than the embedded one.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<SecretUrl>,
    /// Another chain than the embedded anvil. It must know anvil's development accounts.
    #[arg(long, env = "CHAIN_RPC_URL", hide_env_values = true)]
    pub(crate) chain_rpc_url: Option<SecretText>,
    /// Also start Kafka and take events from it. Needs Java.
    #[arg(long)]
    pub(crate) kafka: bool,
    /// Take events from these brokers.
    #[arg(long, env = "KAFKA_BROKERS", conflicts_with = "kafka")]
    pub(crate) kafka_brokers: Option<String>,
    /// The folder with the built verification page.
    #[arg(long, env = "WEB_DIR", default_value = "web/dist")]
    pub(crate) web_dir: PathBuf,
    /// How long to wait between two anchors at least, as in 200ms, 2s, 5m or 1h.
    #[arg(long, env = "ANCHOR_GAP", default_value = "2s")]
    pub(crate) anchor_gap: Span,
    /// Networks to which webhooks may go besides the public internet, with commas between: this machine, where it is not said.
    #[arg(long, env = "WEBHOOK_ALLOW", value_delimiter = ',', default_value = "127.0.0.0/8,::1/128")]
    pub(crate) webhook_allow: Vec<IpNet>,
}

/// Serve the API.
#[derive(Clone, Debug, Args)]
pub(crate) struct Api {
    #[command(flatten)]
    pub(crate) database: Database,
    /// Where to listen.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) door: Door,
    /// Networks to which webhooks may go besides the public internet, with commas between, as in 10.1.0.0/16. Addresses in
    /// them need no https.
    #[arg(long, env = "WEBHOOK_ALLOW", value_delimiter = ',')]
    pub(crate) webhook_allow: Vec<IpNet>,
    #[command(flatten)]
    pub(crate) streams: Streams,
}

/// Take events from Kafka.
#[derive(Clone, Debug, Args)]
pub(crate) struct Ingest {
    #[command(flatten)]
    pub(crate) database: Database,
    /// The Kafka brokers.
    #[arg(long, env = "KAFKA_BROKERS")]
    pub(crate) kafka_brokers: String,
    /// The topic of events, keyed by user.
    #[arg(long, env = "KAFKA_TOPIC", default_value = "loyalty.events")]
    pub(crate) kafka_topic: String,
    /// The consumer group; its members share the topic's partitions.
    #[arg(long, env = "KAFKA_GROUP", default_value = "daftari")]
    pub(crate) kafka_group: String,
    /// Where `/health` and `/metrics` listen.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8081")]
    pub(crate) listen: SocketAddr,
}

/// Settle what falls due on idle accounts.
#[derive(Clone, Debug, Args)]
pub(crate) struct Sweep {
    #[command(flatten)]
    pub(crate) database: Database,
    /// How long to wait between two looks, as in 10s.
    #[arg(long, env = "SWEEP_GAP", default_value = "10s")]
    pub(crate) gap: Span,
    /// Where `/health` and `/metrics` listen.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8084")]
    pub(crate) listen: SocketAddr,
}

/// Seal the log and anchor it.
#[derive(Clone, Debug, Args)]
pub(crate) struct Anchor {
    /// The PostgreSQL database of the books.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: SecretUrl,
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(flatten)]
    pub(crate) tiles: Tiles,
    /// A policy whose witnesses are shown each checkpoint; those with an address cosign it. Read anew for each.
    #[arg(long, env = "WITNESS_POLICY_FILE")]
    pub(crate) witness_policy_file: Option<PathBuf>,
    /// How long the witnesses have for one checkpoint altogether, as in 1s.
    #[arg(long, env = "WITNESS_BUDGET", default_value = "1s")]
    pub(crate) witness_budget: Span,
    /// After how long an idle log's checkpoint is published, and the witnesses are shown it, again, as in 1m.
    #[arg(long, env = "WITNESS_FRESHNESS", default_value = "1m")]
    pub(crate) witness_freshness: Span,
    /// How long to wait between two readings of the whole log, to find what has rotted, as in 24h. With 0s nothing is read again.
    #[arg(long, env = "SCRUB_EVERY", default_value = "24h")]
    pub(crate) scrub_every: Span,
    /// A file of several places to anchor to, instead of the flags for one: docs/runbook.md has an example.
    #[arg(long, env = "ANCHOR_PLACES", conflicts_with_all = ["chain_rpc_url", "addresses", "contract"])]
    pub(crate) places: Option<PathBuf>,
    /// The chain's JSON-RPC, several of them with commas between: more than half must agree on what is final. Without it
    /// the log is sealed and not anchored.
    #[arg(long, env = "CHAIN_RPC_URL", hide_env_values = true)]
    pub(crate) chain_rpc_url: Option<SecretText>,
    /// The addresses that `daftari contracts deploy` wrote, instead of --contract and --registrant.
    #[arg(long, env = "CONTRACT_ADDRESSES", conflicts_with_all = ["contract", "registrant"])]
    pub(crate) addresses: Option<PathBuf>,
    /// The AuditLog contract.
    #[arg(long, env = "AUDIT_CONTRACT")]
    pub(crate) contract: Option<String>,
    /// Who registered the log in it.
    #[arg(long, env = "AUDIT_REGISTRANT")]
    pub(crate) registrant: Option<String>,
    #[command(flatten)]
    pub(crate) chain_key: ChainKeyAt,
    /// How long to wait between two anchors at least, as in 200ms, 2s, 5m or 1h.
    #[arg(long, env = "ANCHOR_GAP", default_value = "5m")]
    pub(crate) anchor_gap: Span,
    /// How old the oldest leaf may be when its anchor is in a block, as in 4h: within that time the worker waits for a
    /// good price. Without it, it anchors as soon as there is something and the gap allows.
    #[arg(long, env = "ANCHOR_STALENESS")]
    pub(crate) anchor_staleness: Option<Span>,
    /// How often the contract's head is pinned, so that receipts are checked by the contract's storage alone; 0s is never.
    #[arg(long, env = "ANCHOR_PIN_EVERY", default_value = "24h")]
    pub(crate) anchor_pin_every: Span,
    /// The highest price for a unit of gas in gwei, base fee and tip, as long as the deadline does not press.
    #[arg(long, env = "ANCHOR_CEILING_GWEI", default_value_t = 5_000)]
    pub(crate) anchor_ceiling_gwei: u64,
    /// What may be spent in 24 hours, in thousandths of the chain's coin.
    #[arg(long, env = "ANCHOR_SPEND_CAP_MILLI")]
    pub(crate) anchor_spend_cap_milli: Option<u64>,
    /// For how many days the sender's balance must suffice at the present price, or the alarm `low_funds` is raised.
    #[arg(long, env = "ANCHOR_WARN_DAYS", default_value_t = 7.0)]
    pub(crate) anchor_warn_days: f64,
    /// What happens when that is spent.
    #[arg(long, env = "ANCHOR_AT_SPEND_CAP", value_enum, default_value_t = AtSpendCap::DeadlineWins)]
    pub(crate) anchor_at_spend_cap: AtSpendCap,
    /// Where `/health` and `/metrics` listen.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8082")]
    pub(crate) listen: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AtSpendCap {
    /// What is due is sent all the same.
    DeadlineWins,
    /// Nothing is sent until the day is over.
    Stop,
}

/// Look into the anchors, and tell their worker what to do.
#[derive(Clone, Debug, Args)]
pub(crate) struct Anchors {
    /// The PostgreSQL database of the books.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: SecretUrl,
    /// The chain's id.
    #[arg(long, env = "CHAIN_ID")]
    pub(crate) chain_id: u64,
    /// The AuditLog contract.
    #[arg(long, env = "AUDIT_CONTRACT")]
    pub(crate) contract: String,
    /// Who registered the log in it.
    #[arg(long, env = "AUDIT_REGISTRANT")]
    pub(crate) registrant: String,
    /// Who speaks.
    #[arg(long, env = "ACTOR", default_value = "command line", global = true)]
    pub(crate) actor: String,
    #[command(subcommand)]
    pub(crate) act: AnchorsAct,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum AnchorsAct {
    /// List the last transactions: size, state, block, cost.
    List {
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Tell the whole story of the anchor of a checkpoint: each step with its time, its fees, and why.
    Explain {
        /// The checkpoint's size.
        size: u64,
    },
    /// Say what was spent, and what fixed intervals and the best in hindsight would have cost.
    Report {
        /// The promise that it is held against, as the worker's `--anchor-staleness`.
        #[arg(long, env = "ANCHOR_STALENESS")]
        staleness: Span,
        /// Over so many days until now.
        #[arg(long, default_value_t = 30)]
        days: u32,
        /// Also draw prices and anchors to this file: an SVG that any browser shows, and that loads nothing.
        #[arg(long)]
        svg: Option<PathBuf>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Anchor the newest checkpoint now, whatever the scheduler waits for.
    Force,
    /// Have one posting anchored soon, at every place and whatever the price. `daftari books hurry` marks kinds and amounts.
    Hurry {
        /// The posting.
        #[arg(long)]
        transaction: uuid::Uuid,
    },
    /// Sign nothing new; what was sent is followed.
    Pause {
        /// Why, for whoever finds it paused.
        why: String,
    },
    /// Go on after a pause, or after a halt that was looked into.
    Resume {
        /// Why.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Hold what is noted of anchors against the contract's events from the first to the last, and put it right.
    Reconcile {
        /// The chain's JSON-RPC.
        #[arg(long, env = "CHAIN_RPC_URL", hide_env_values = true)]
        chain_rpc_url: SecretText,
        /// Only say what is found.
        #[arg(long)]
        dry_run: bool,
    },
    /// Move a role to another key: announce it, wait for the contract's delay, take over. Run it again to go on from where the
    /// contract stands.
    Rotate(Box<RotateRole>),
}

/// Move a role in the audit contract to another key.
#[derive(Clone, Debug, Args)]
pub(crate) struct RotateRole {
    /// The chain's JSON-RPC.
    #[arg(long, env = "CHAIN_RPC_URL", hide_env_values = true)]
    pub(crate) chain_rpc_url: SecretText,
    /// The address of the key that is to hold the role.
    #[arg(long)]
    pub(crate) to: String,
    /// Which role.
    #[arg(long, value_enum, default_value_t = RotatedRole::Writer)]
    pub(crate) role: RotatedRole,
    /// The announced standby takes the writer's place without a delay; admin or writer may send that.
    #[arg(long)]
    pub(crate) at_once: bool,
    /// Wait for the delay to end, and take over.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Send nothing; say what is next, and with which bytes whoever holds the key sends it.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The admin's key. Without one nothing is sent.
    #[command(flatten)]
    pub(crate) key: ChainKeyAt,
}

/// A role that is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RotatedRole {
    /// Whose key anchors.
    Writer,
    /// Whose key takes over when the writer's is lost.
    Standby,
}

impl RotatedRole {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Standby => "standby",
        }
    }
}

impl From<RotatedRole> for chain::Role {
    fn from(role: RotatedRole) -> Self {
        match role {
            RotatedRole::Writer => Self::Writer,
            RotatedRole::Standby => Self::Standby,
        }
    }
}

/// Serve checkpoints, tiles, receipts and the verification page.
#[derive(Clone, Debug, Args)]
pub(crate) struct Verifier {
    #[command(flatten)]
    pub(crate) database: Database,
    #[command(flatten)]
    pub(crate) tiles: Tiles,
    /// The policy that the page shows as a default. Read anew for each answer.
    #[arg(long, env = "POLICY_FILE")]
    pub(crate) policy_file: PathBuf,
    /// The JSON-RPC that the page asks by default; it must be reachable from browsers.
    #[arg(long, env = "PUBLIC_CHAIN_RPC_URL")]
    pub(crate) public_chain_rpc_url: Option<String>,
    /// The folder with the built verification page.
    #[arg(long, env = "WEB_DIR", default_value = "web/dist")]
    pub(crate) web_dir: PathBuf,
    /// Where to listen.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8083")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) door: Door,
}

/// Check a receipt: exits with 0 valid, 1 refused, 2 could not check.
#[derive(Clone, Debug, Args)]
pub(crate) struct Verify {
    /// The receipt: a file, `-` for standard input, an http(s) URL; or a folder of receipts or an archive of
    /// `daftari export`, held against each other.
    pub(crate) receipt: String,
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// The chain's JSON-RPC: check the anchor too.
    #[arg(long, env = "CHAIN_RPC_URL", hide_env_values = true)]
    pub(crate) rpc: Option<SecretText>,
    /// The AuditLog contract, where the policy names none.
    #[arg(long, requires_all = ["registrant", "rpc"])]
    pub(crate) contract: Option<String>,
    /// Who registered the log in the contract.
    #[arg(long, requires = "contract")]
    pub(crate) registrant: Option<String>,
    /// The API key for a receipt behind a URL.
    #[arg(long, env = "DAFTARI_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<SecretText>,
    /// Ask again for this long, as in 30s, while the receipt is not sealed or not anchored yet.
    #[arg(long)]
    pub(crate) wait: Option<Span>,
    /// Print the verdict as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Also print the commands that check the receipt against the contract by hand, for Foundry's cast.
    #[arg(long, conflicts_with = "json")]
    pub(crate) cast: bool,
}

/// Bring the database to this version's schema and begin the log.
#[derive(Clone, Debug, Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    pub(crate) database: Database,
    #[command(flatten)]
    pub(crate) log: Log,
}

/// Put the contracts on a chain.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Contracts {
    /// Deploy what is not there yet, register the log, and print where everything is. Safe to run again.
    Deploy {
        #[command(flatten)]
        sender: ChainSender,
        /// The id of the log, in hexadecimal, as `daftari migrate` prints it.
        #[arg(long)]
        log_id: String,
        /// Who is to have which role, and the terms of the points: docs/trust.md has an example.
        #[arg(long)]
        terms: PathBuf,
        /// Where to write the addresses; else they are printed.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Deploy the token's code of this version and print the timelock's two calls that change to it.
    Upgrade {
        #[command(flatten)]
        sender: ChainSender,
        /// The addresses that `daftari contracts deploy` wrote.
        #[arg(long)]
        addresses: PathBuf,
    },
}

/// A chain, and the account that pays.
#[derive(Clone, Debug, Args)]
pub(crate) struct ChainSender {
    /// The chain's JSON-RPC.
    #[arg(long, env = "CHAIN_RPC_URL", hide_env_values = true)]
    pub(crate) chain_rpc_url: SecretText,
    /// What pays. It is worth nothing afterwards.
    #[command(flatten)]
    pub(crate) key: ChainKeyAt,
}

/// Run a benchmark.
#[derive(Clone, Debug, Args)]
pub(crate) struct Bench {
    /// Which: `anchor`, `api`, `ledger`, `soak`, `growth`, `redeem`, `log`, `import`, `ingest`, `crash`, `power`, `standby`, `gas` or `mutation-contracts`.
    pub(crate) name: String,
    /// For `anchor`: the folder with recorded base fees.
    #[arg(long)]
    pub(crate) traces: Option<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// After the report, end with status 1 where a figure misses its goal, and name each that does.
    #[arg(long)]
    pub(crate) gate: bool,
    /// How long each figure is measured, as in 10s.
    #[arg(long, default_value = "10s")]
    pub(crate) duration: Span,
    /// The seed of everything random.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many members take part.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) members: u32,
    /// How large the log of `log` is.
    #[arg(long, default_value_t = 10_000_000)]
    pub(crate) leaves: u64,
    /// How many accounts are in the map of `log`.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) accounts: u64,
    /// How many entries the large books of `growth` have.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) entries: u64,
    /// How many times `crash` kills something and `power` cuts the power.
    #[arg(long, default_value_t = 1000)]
    pub(crate) kills: u64,
    /// How many primaries `standby` kills.
    #[arg(long, default_value_t = 10)]
    pub(crate) failovers: u64,
}

/// Make load for a benchmark.
#[derive(Clone, Debug, Args)]
pub(crate) struct Load {
    /// The API.
    #[arg(long)]
    pub(crate) target: SocketAddr,
    /// The API key.
    #[arg(long)]
    pub(crate) api_key: SecretText,
    /// The partner.
    #[arg(long)]
    pub(crate) partner: String,
    /// The members, as the number of them: member `n` is the UUID of that number.
    #[arg(long)]
    pub(crate) members: u32,
    /// How many connections ask at once.
    #[arg(long)]
    pub(crate) connections: u32,
    /// For how long.
    #[arg(long)]
    pub(crate) duration: Span,
    /// What they ask for, by turns.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "redeem")]
    pub(crate) ask: Vec<Ask>,
    /// How many requests are sent each second, whatever the answers take. Without it each connection asks again as soon as it
    /// is answered.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// The seed.
    #[arg(long)]
    pub(crate) seed: u64,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Config::command().debug_assert();
    }

    /// What the operators' documents show in their lines there is, with these flags; what they export is said by flags here.
    #[test]
    fn the_commands_of_the_operators_documents_are_well_formed() {
        let (guide, runbook) = (include_str!("../../docs/books.md"), include_str!("../../docs/runbook.md"));
        for (guide, heading, count) in [
            (guide, "The first start", 14),
            (guide, "Posting", 6),
            (guide, "What a member is given", 5),
            (runbook, "Anchoring", 3),
        ] {
            let (_, section) = guide.split_once(&format!("## {heading}\n")).expect("it has the heading");
            let section = section.split("\n## ").next().unwrap_or_default();
            let commands: Vec<&str> = section.lines().filter(|it| it.starts_with("daftari ")).collect();
            assert_eq!(commands.len(), count, "{commands:#?}");
            for command in commands {
                let mut words: Vec<&str> = Vec::new();
                for (at, part) in command.split('"').enumerate() {
                    if at % 2 == 1 { words.push(part) } else { words.extend(part.split_whitespace()) }
                }
                let role = words[1];
                let mut settings = vec![];
                if !["contracts", "verify"].contains(&role) {
                    settings.extend(["--database-url", "postgres://127.0.0.1/books"]);
                }
                if role == "anchors" {
                    settings.extend(["--chain-id", "137", "--contract", "0x1", "--registrant", "0x2"]);
                }
                if !["contracts", "verify", "anchor", "anchors"].contains(&role) {
                    settings.extend(["--wrapping-key-file", "wrapping.key"]);
                }
                if ["migrate", "anchor"].contains(&role) {
                    settings.extend(["--origin", "points.example/log", "--log-key-file", "log.key"]);
                }
                // What is posted comes last, and so does what is asked of anchors.
                let at = match (role, words.get(2)) {
                    ("books", Some(&"post")) => 3,
                    ("anchors", _) => 2,
                    _ => words.len(),
                };
                words.splice(at..at, settings);
                if let Err(error) = Config::try_parse_from(words) {
                    panic!("{command}: {error}");
                }
            }
        }
    }

    #[test]
    fn what_is_stored_is_read_again_each_day_unless_somebody_says_otherwise() {
        let command = Config::command();
        let mut arguments = command.find_subcommand("anchor").unwrap().get_arguments();
        let scrub = arguments.find(|it| it.get_id().as_str() == "scrub_every").unwrap();
        assert_eq!(scrub.get_default_values()[0].to_str(), Some("24h"));
    }

    #[test]
    fn a_printed_configuration_shows_no_secret() {
        let words = [
            "daftari",
            "api",
            "--database-url",
            "postgres://daftari:hunter2@127.0.0.1:5432/books",
            "--wrapping-key-file",
            "wrapping.key",
        ];
        let printed = format!("{:?}", Config::parse_from(words));
        assert!(printed.contains("postgres://[redacted]@127.0.0.1:5432/books"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
        let words =
            ["daftari", "verify", "r", "--key", "k", "--api-key", "lk_test_1", "--rpc", "https://rpc/token"];
        let printed = format!("{:?}", Config::parse_from(words));
        assert!(!printed.contains("lk_test_1") && !printed.contains("token"), "{printed}");
    }

    #[test]
    fn a_bad_configuration_is_one_clear_error() {
        let words = ["daftari", "api", "--database-url", "mysql://x:hunter2@y", "--wrapping-key-file", "k"];
        let error = Config::try_parse_from(words).unwrap_err().to_string();
        assert!(error.contains("a database URL begins with postgres://"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        let error =
            Config::try_parse_from(["daftari", "up", "--anchor-gap", "5 days"]).unwrap_err().to_string();
        assert!(error.contains("a span of time"), "{error}");
    }
}
