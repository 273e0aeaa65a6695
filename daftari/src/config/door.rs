//! How callers reach a server, and whom it believes.

use clap::Args;

/// How callers reach this server, and whom it believes.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Door {
    /// The address under which callers reach the API and the receipts, if it is another than where we listen. Tokens name
    /// it, so it is the same for every process that takes them.
    #[arg(long, env = "PUBLIC_URL")]
    pub(crate) public_url: Option<String>,
    /// Another issuer that vouches for members (OpenID Connect), as its tokens name it.
    #[arg(long, env = "MEMBER_ISSUER", requires_all = ["member_audience", "member_keys_url"])]
    pub(crate) member_issuer: Option<String>,
    /// The audience that its tokens for us name.
    #[arg(long, env = "MEMBER_AUDIENCE", requires = "member_issuer")]
    pub(crate) member_audience: Option<String>,
    /// Where its keys are (JWKS).
    #[arg(long, env = "MEMBER_KEYS_URL", requires = "member_issuer")]
    pub(crate) member_keys_url: Option<String>,
}
