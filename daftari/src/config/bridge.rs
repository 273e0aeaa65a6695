//! What `daftari bridge` is told.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Database, SecretText, Span, Tiles};

/// Move points between the books and a chain.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Bridge {
    /// Read the gateway, credit what was burned there, take back what was never claimed, and hand in claims.
    Run(Box<BridgeRun>),
    /// List what is open: withdrawals that are not paid, burns that are not credited and why.
    List {
        #[command(flatten)]
        at: BridgeAt,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give out a reference: whoever burns points for it has the member credited. It tells others nothing.
    Reference {
        #[command(flatten)]
        at: BridgeAt,
        /// The member's UUID or external id.
        member: String,
        /// Who asks.
        #[arg(long, env = "ACTOR")]
        actor: String,
    },
    /// Name the member to whom a burn is credited whose reference was never given out, or was given to a member who takes part no
    /// more.
    Credit {
        #[command(flatten)]
        at: BridgeAt,
        /// The burn's number.
        burn: u64,
        /// The member's UUID or external id.
        member: String,
        /// Who asks.
        #[arg(long, env = "ACTOR")]
        actor: String,
    },
    /// Hold the books against the chain: exits with 0 when every point is somewhere, 1 when not, 2 when it cannot tell.
    Check {
        #[command(flatten)]
        at: BridgeAt,
        /// The chain's JSON-RPC, several of them with commas between: more than half must show the same before it is believed.
        #[arg(long, env = "CHAIN_RPC_URL", hide_env_values = true)]
        chain_rpc_url: SecretText,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Which books, and which gateway.
#[derive(Clone, Debug, Args)]
pub(crate) struct BridgeAt {
    #[command(flatten)]
    pub(crate) database: Database,
    /// The addresses that `daftari contracts deploy` wrote.
    #[arg(long, env = "CONTRACT_ADDRESSES")]
    pub(crate) addresses: PathBuf,
    /// The unit whose points the gateway mints.
    #[arg(long, default_value_t = 1)]
    pub(crate) unit: u16,
}

/// The bridge's own process.
#[derive(Clone, Debug, Args)]
pub(crate) struct BridgeRun {
    #[command(flatten)]
    pub(crate) at: BridgeAt,
    #[command(flatten)]
    pub(crate) tiles: Tiles,
    /// The chain's JSON-RPC, several of them with commas between: more than half must show the same before it is believed.
    #[arg(long, env = "CHAIN_RPC_URL", hide_env_values = true)]
    pub(crate) chain_rpc_url: SecretText,
    /// The file with the private key that pays for settlements and claims, in hexadecimal: another one than the anchors'.
    /// Without it these are left to others.
    #[arg(long, env = "BRIDGE_KEY_FILE")]
    pub(crate) bridge_key_file: Option<PathBuf>,
    /// A program that signs with it, as `--chain-key-command` of `daftari anchor`.
    #[arg(long, env = "BRIDGE_KEY_COMMAND", requires = "bridge_sender", conflicts_with = "bridge_key_file")]
    pub(crate) bridge_key_command: Option<String>,
    /// The address of its account.
    #[arg(long, env = "BRIDGE_SENDER")]
    pub(crate) bridge_sender: Option<String>,
    /// The block in which the gateway was deployed, or an earlier one.
    #[arg(long, env = "BRIDGE_FIRST_BLOCK", default_value_t = 0)]
    pub(crate) first_block: u64,
    /// Go on past the claim of this withdrawal id although it is none of these books: an operator knows what it was. May be given
    /// several times.
    #[arg(long)]
    pub(crate) accept_claim: Vec<WithdrawalId>,
    /// How long to wait between two rounds, as in 5s.
    #[arg(long, env = "BRIDGE_GAP", default_value = "5s")]
    pub(crate) gap: Span,
    /// The highest price for a unit of gas in gwei at which settlements and claims are sent.
    #[arg(long, env = "BRIDGE_CEILING_GWEI", default_value_t = 1_000)]
    pub(crate) bridge_ceiling_gwei: u64,
    /// How often the books are held against the chain, as `daftari bridge check` does; 0s turns it off. A check that takes long makes
    /// the next one come later.
    #[arg(long, env = "BRIDGE_CHECK_EVERY", default_value = "1h")]
    pub(crate) check_every: Span,
    /// Where `/health` and `/metrics` listen.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8085")]
    pub(crate) listen: SocketAddr,
}

/// The id of a withdrawal, in hexadecimal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WithdrawalId(pub(crate) [u8; 32]);

impl std::str::FromStr for WithdrawalId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut id = [0; 32];
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut id)
            .map_err(|_| format!("{text:?} is not the id of a withdrawal: 32 bytes in hexadecimal"))?;
        Ok(Self(id))
    }
}
