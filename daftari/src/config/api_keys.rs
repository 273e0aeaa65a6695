//! API keys, for operators.

use clap::{Args, Subcommand, ValueEnum};

use crate::config::{Database, Span, Who};

/// Issue, list and withdraw API keys.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make a key and print it, once. It is the client's secret at the token endpoint, too, with the owner as its id.
    Create(CreateKey),
    /// List the program's keys, the newest first.
    List {
        #[command(flatten)]
        database: Database,
    },
    /// Make a new key that signs tokens. It signs after ten minutes, so that everybody has seen it; what the old one has
    /// signed is good to its end.
    RotateSigning {
        #[command(flatten)]
        database: Database,
        #[command(flatten)]
        who: Who,
        /// The old key is in somebody's hands: nothing that it signed is taken from now on.
        #[arg(long)]
        leaked: bool,
    },
    /// Withdraw a key. Whoever uses it is shut out within two seconds.
    Revoke {
        #[command(flatten)]
        database: Database,
        #[command(flatten)]
        who: Who,
        /// What the key is called: its first sixteen letters.
        key_id: String,
    },
}

/// Make a key and print it, once.
#[derive(Clone, Debug, Args)]
pub(crate) struct CreateKey {
    #[command(flatten)]
    pub(crate) database: Database,
    #[command(flatten)]
    pub(crate) who: Who,
    /// Whose it is. Two keys of one owner may be good at once, so that one can take the other's place.
    #[arg(long)]
    pub(crate) owner: String,
    /// In which role its owner asks.
    #[arg(long, value_enum)]
    pub(crate) role: KeyRole,
    /// The partner that it speaks for; its owner if it is left out.
    #[arg(long)]
    pub(crate) partner: Option<String>,
    /// What it may do, as in loyalty:read; several with commas between.
    #[arg(long, value_delimiter = ',', required = true)]
    pub(crate) scopes: Vec<String>,
    /// A network from which it is taken, as in 192.0.2.0/24; several with commas between. From anywhere if it is left out.
    #[arg(long, value_delimiter = ',')]
    pub(crate) addresses: Vec<ipnet::IpNet>,
    /// After how long it ends, as in 2160h; never if it is left out.
    #[arg(long)]
    pub(crate) lifetime: Option<Span>,
}

/// In which role a key's owner asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyRole {
    /// A partner.
    Partner,
    /// An app that speaks for any member, naming them.
    App,
    /// An operator who looks.
    Viewer,
    /// An operator who changes.
    Editor,
    /// An operator who approves what another has changed.
    Approver,
    /// Somebody who checks and changes nothing.
    Auditor,
}
