//! Where a signing key is: in a file, in the environment, or behind a program that signs with it.

use std::path::PathBuf;

use clap::Args;

use super::SecretText;

/// The log's signing key.
#[derive(Clone, Debug, Args)]
pub(crate) struct LogKeyAt {
    /// The file with the log's signing key. It is made when it is not there.
    #[arg(long, env = "LOG_KEY_FILE", required_unless_present_any = ["log_key", "log_key_command"])]
    pub(crate) log_key_file: Option<PathBuf>,
    /// The log's signing key itself, as its file has it: for the environment, since every process sees command lines.
    #[arg(long, env = "LOG_KEY", hide_env_values = true, conflicts_with = "log_key_file")]
    pub(crate) log_key: Option<SecretText>,
    /// A program that signs with the log's key, with its arguments between spaces: it reads the text from standard input and
    /// writes the Ed25519 signature in hexadecimal. docs/runbook.md has examples.
    #[arg(
        long,
        env = "LOG_KEY_COMMAND",
        requires = "log_public_key",
        conflicts_with_all = ["log_key_file", "log_key"]
    )]
    pub(crate) log_key_command: Option<String>,
    /// The 32 public bytes of the log's key in hexadecimal. A key that is another one is refused at the start.
    #[arg(long, env = "LOG_PUBLIC_KEY")]
    pub(crate) log_public_key: Option<String>,
    /// After a rotation: the 32 public bytes of the log's first key in hexadecimal, which the log's id is made from.
    #[arg(long, env = "LOG_FIRST_PUBLIC_KEY")]
    pub(crate) log_first_public_key: Option<String>,
    #[command(flatten)]
    pub(crate) next: NextLogKeyAt,
}

/// The key that is to sign the log beside the one that does, and later in its place. It signs once `daftari log rotate` has
/// introduced it.
#[derive(Clone, Debug, Args)]
pub(crate) struct NextLogKeyAt {
    /// The file with the log's next signing key. It is made when it is not there.
    #[arg(long, env = "NEXT_LOG_KEY_FILE")]
    pub(crate) next_log_key_file: Option<PathBuf>,
    /// The log's next signing key itself, as its file has it: for the environment, since every process sees command lines.
    #[arg(long, env = "NEXT_LOG_KEY", hide_env_values = true, conflicts_with = "next_log_key_file")]
    pub(crate) next_log_key: Option<SecretText>,
    /// A program that signs with the log's next key, as `--log-key-command` is one.
    #[arg(
        long,
        env = "NEXT_LOG_KEY_COMMAND",
        requires = "next_log_public_key",
        conflicts_with_all = ["next_log_key_file", "next_log_key"]
    )]
    pub(crate) next_log_key_command: Option<String>,
    /// The 32 public bytes of the log's next key in hexadecimal. A key that is another one is refused at the start.
    #[arg(long, env = "NEXT_LOG_PUBLIC_KEY")]
    pub(crate) next_log_public_key: Option<String>,
}

/// The key of an account that pays on a chain.
#[derive(Clone, Debug, Args)]
pub(crate) struct ChainKeyAt {
    /// The file with the private key that pays, in hexadecimal, or a wallet's encrypted keystore.
    #[arg(long, env = "CHAIN_KEY_FILE")]
    pub(crate) chain_key_file: Option<PathBuf>,
    /// The file with the keystore's password.
    #[arg(long, env = "CHAIN_KEY_PASSWORD_FILE", requires = "chain_key_file")]
    pub(crate) chain_key_password_file: Option<PathBuf>,
    /// The private key itself: for the environment, since every process sees command lines.
    #[arg(long, env = "CHAIN_KEY", hide_env_values = true, conflicts_with = "chain_key_file")]
    pub(crate) chain_key: Option<SecretText>,
    /// A program that signs with the key that pays, with its arguments between spaces: it reads a hash of 32 bytes from
    /// standard input and writes the secp256k1 signature in hexadecimal. docs/runbook.md has examples.
    #[arg(
        long,
        env = "CHAIN_KEY_COMMAND",
        requires = "chain_sender",
        conflicts_with_all = ["chain_key_file", "chain_key"]
    )]
    pub(crate) chain_key_command: Option<String>,
    /// The address of the account that pays. A key that is another's is refused at the start.
    #[arg(long, env = "CHAIN_SENDER")]
    pub(crate) chain_sender: Option<String>,
}
