//! The paths of OAuth 2.

use axum::http::Method;
use serde_json::Value;

use super::{Granted, Introspected, OauthError, introspect, jwks, metadata, revoke, token};
use crate::code::Code;
use crate::endpoint::Endpoint;
use crate::gate::Gate;
use crate::route::Route;

const FORM: &str = "application/x-www-form-urlencoded";

/// All of them. A client is who its secret says, so none of them stands before the gate.
pub(crate) fn table() -> Vec<Route<Gate>> {
    let post = |path, name, summary| {
        Endpoint::new(Method::POST, path, name, summary)
            .plain_body(FORM)
            .answers::<OauthError>(400, "The form asks for what is not given; `error` says why.")
            .answers::<OauthError>(401, "The client is not known: `invalid_client`.")
            .refuses(&[Code::RateLimited])
    };
    let get = |path, name, summary| {
        Endpoint::new(Method::GET, path, name, summary).answers::<Value>(200, "The document.")
    };
    vec![
        post("/oauth/token", "getToken", "A token for a client, or for a member for whom an app vouches")
            .answers::<Granted>(200, "The token.")
            .open(token),
        post("/oauth/revoke", "revokeToken", "Withdraws a token, or ends a member's session")
            .answers_empty(200, "It is no use any more, if it was ever one.")
            .open(revoke),
        post("/oauth/introspect", "introspectToken", "What a token says, and whether it is good")
            .answers::<Introspected>(200, "What it says.")
            .open(introspect),
        get("/.well-known/jwks.json", "getJwks", "The keys by which tokens are verified").open(jwks),
        get("/.well-known/oauth-authorization-server", "getOauthMetadata", "Where tokens come from")
            .open(metadata),
    ]
}
