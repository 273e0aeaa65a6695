//! What a partner tells the command that checks what they were sent.

use std::path::PathBuf;

use clap::Subcommand;

use super::{SecretText, Span};

/// What a partner does with webhooks.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Webhook {
    /// Check a message that was received: exits with 0 valid, 1 refused, 2 could not check.
    Verify {
        /// The body, byte for byte: a file, or `-` for standard input.
        body: PathBuf,
        /// The endpoint's secret, `whsec_…`, or its public key, `whpk_…`.
        #[arg(long, env = "WEBHOOK_SECRET", hide_env_values = true)]
        secret: SecretText,
        /// The header `webhook-id`.
        #[arg(long)]
        id: String,
        /// The header `webhook-timestamp`.
        #[arg(long)]
        timestamp: String,
        /// The header `webhook-signature`.
        #[arg(long)]
        signature: String,
        /// How old a message may be, as in 5m, and how far in the future.
        #[arg(long, default_value = "5m")]
        tolerance: Span,
    },
}
