//! Which client asks: its id is the owner of a key, its secret the key. By `Authorization: Basic` or in the form.

use axum::http::StatusCode;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use store::{CredentialKind, Environment, KnownCredential};

use super::form::Form;
use super::{Failure, Refused, refuse};
use crate::caller::only;
use crate::gate::{Gate, Peer, is_taken_from};
use crate::limits::Kind;

/// The client. Its failures are counted by where they come from, its successes as its own.
pub(super) async fn authenticate(
    gate: &Gate,
    parts: &Parts,
    form: &Form,
) -> Result<KnownCredential, Failure> {
    let client = match recognise(gate, parts, form).await {
        Err(Failure::Refused(refused)) if refused.error == "invalid_client" => {
            if let Some(peer) = Peer::of(parts) {
                gate.count_failure(peer).await?;
            }
            return Err(Failure::Refused(refused));
        }
        recognised => recognised?,
    };
    gate.count_one(client.credential.program_id, Kind::Tokens, &client.credential.owner).await?;
    Ok(client)
}

async fn recognise(gate: &Gate, parts: &Parts, form: &Form) -> Result<KnownCredential, Failure> {
    let twice = |_| refuse("invalid_request", "Authorization is there more than once");
    let header = only(&parts.headers, "authorization").map_err(twice)?;
    let in_form = (form.get("client_id"), form.get("client_secret"));
    let (id, secret) = match (header, in_form) {
        (Some(_), (_, Some(_))) => {
            return Err(refuse("invalid_request", "the client shows its secret in two ways"));
        }
        (Some(header), (named, None)) => {
            let basic = header.to_str().ok().and_then(basic).ok_or_else(|| invalid(true))?;
            if named.is_some_and(|it| it != basic.0) {
                return Err(refuse("invalid_request", "client_id names another client"));
            }
            basic
        }
        (None, (Some(id), Some(secret))) => (id.to_owned(), secret.to_owned()),
        (None, _) => return Err(invalid(false)),
    };
    let invalid = || invalid(header.is_some());
    if Environment::of(&secret).is_none() {
        return Err(invalid());
    }
    let mut conn = gate.conn().await?;
    let found = gate.look_up(&mut conn, CredentialKind::ApiKey, &secret).await?;
    let found = found.filter(|it| it.credential.owner == id).ok_or_else(invalid)?;
    match is_taken_from(&found.addresses, Peer::of(parts))? {
        true => Ok(found),
        false => Err(invalid()),
    }
}

fn invalid(is_challenged: bool) -> Failure {
    Failure::Refused(Refused {
        status: StatusCode::UNAUTHORIZED,
        error: "invalid_client",
        description: "the client is not known, or its secret is not good",
        is_challenged,
    })
}

/// Id and secret, each form-encoded before they were joined (RFC 6749, 2.3.1).
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, joined) = header.split_once(' ')?;
    let joined =
        scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(joined.trim()).ok()).flatten()?;
    let joined = String::from_utf8(joined).ok()?;
    let (id, secret) = joined.split_once(':')?;
    Some((plain(id)?, plain(secret)?))
}

fn plain(encoded: &str) -> Option<String> {
    // As the name of a field without a value.
    if encoded.contains(['&', '=']) {
        return None;
    }
    form_urlencoded::parse(encoded.as_bytes()).next().map(|(it, _)| it.into_owned())
}
