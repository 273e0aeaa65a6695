//! API keys, for operators. An operator's own key is made on the command line only: no key makes its better.

use std::sync::Arc;

use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Credential, KeyFacts, KeyRefusal, NewKey, Role};

use crate::access::{CHANGING, LOOKING};
use crate::body::{json, not_json};
use crate::code::Code;
use crate::endpoint::Endpoint;
use crate::error::{Invalid, Problem};
use crate::gate::{Gate, Scope};
use crate::limits::Kind;
use crate::route::{Asked, Guarded, Route};
use crate::time::rfc3339;

const OWNER_CHARS_MAX: usize = 100;
/// Ten years: what is to be good for longer, has no end.
const LIFETIME_S_MAX: i64 = 10 * 366 * 86_400;

impl Guarded for Gate {
    fn gate(&self) -> &Gate {
        self
    }
}

/// Whom a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Holder {
    /// A partner.
    Partner,
    /// An app that speaks for any member, naming them.
    App,
    /// Somebody who checks and changes nothing.
    Auditor,
}

/// A key that is to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeyWish {
    /// Whose it is: the client's id at the token endpoint.
    owner: String,
    /// Whom it is for.
    role: Holder,
    /// The partner that it speaks for; its owner if it is left out.
    #[serde(default)]
    partner_id: Option<String>,
    /// What it may do.
    scopes: Vec<String>,
    /// The networks from which it is taken, as in 192.0.2.0/24; from anywhere if there is none.
    #[serde(default)]
    addresses: Vec<String>,
    /// After how many seconds it ends; never if it is left out.
    #[serde(default)]
    expires_in: Option<i64>,
}

/// A key, the one time that it is shown.
#[derive(Serialize, JsonSchema)]
struct KeyMade {
    /// The key. Keep it: it is not to be had again.
    key: String,
    /// What it is called.
    key_id: String,
}

/// A key as operators see it.
#[derive(Serialize, JsonSchema)]
struct KeyShown {
    /// What it is called: its first sixteen letters.
    key_id: String,
    /// Whose it is.
    owner: String,
    /// In which role its owner asks.
    role: &'static str,
    /// The partner that it speaks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    partner_id: Option<String>,
    /// What it may do.
    scopes: Vec<String>,
    /// From where it is taken; from anywhere if there is none.
    addresses: Vec<String>,
    /// Whether it is good now.
    active: bool,
    /// When it was made.
    created_at: String,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// When it was last used, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
    /// When it was withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
}

/// All keys of the program.
#[derive(Serialize, JsonSchema)]
struct KeysShown {
    /// `list`
    object: &'static str,
    /// The keys, the newest first.
    data: Vec<KeyShown>,
    /// Whether there are more: there are not.
    has_more: bool,
}

/// The paths of keys.
pub(crate) fn table() -> Vec<Route<Gate>> {
    const KEYS: &str = "/api/v1/keys";
    vec![
        Endpoint::new(Method::GET, KEYS, "listKeys", "The program's API keys")
            .answers::<KeysShown>(200, "The keys.")
            .guarded(Scope::Admin, LOOKING, list),
        Endpoint::new(Method::POST, KEYS, "createKey", "Makes an API key")
            .body::<KeyWish>()
            .answers::<KeyMade>(201, "The key.")
            .refuses(&[Code::Conflict])
            .guarded(Scope::Admin, CHANGING, create),
        Endpoint::new(Method::DELETE, "/api/v1/keys/{key_id}", "revokeKey", "Withdraws an API key")
            .path::<String>("key_id", "What the key is called: its first sixteen letters.")
            .answers_empty(204, "It is withdrawn, and shut out within two seconds.")
            .refuses(&[Code::NotFound])
            .guarded(Scope::Admin, CHANGING, revoke),
    ]
}

async fn list(gate: Arc<Gate>, _: Asked) -> Result<Response, Problem> {
    let keys = store::keys(&mut *gate.conn().await?, gate.program_id()).await?;
    let data = keys.into_iter().map(shown).collect();
    Ok(json(&KeysShown { object: "list", data, has_more: false }))
}

fn shown(key: KeyFacts) -> KeyShown {
    let is_app = key.delegated && key.partner_id.is_none();
    let role = Role::ALL.into_iter().find(|it| *it as i16 == key.role).map_or("unknown", Role::as_str);
    KeyShown {
        role: if is_app { "app" } else { role },
        key_id: key.key_id,
        owner: key.owner,
        partner_id: key.partner_id,
        scopes: key.scopes,
        addresses: key.addresses,
        active: key.is_active,
        created_at: rfc3339(key.created_us),
        expires_at: key.expires_us.map(rfc3339),
        last_used_at: key.last_used_us.map(rfc3339),
        revoked_at: key.revoked_us.map(rfc3339),
    }
}

async fn create(gate: Arc<Gate>, mut asked: Asked) -> Result<Response, Problem> {
    let body = asked.json().await?;
    let wish: KeyWish = serde_json::from_slice(&body).map_err(|error| not_json(&error))?;
    let new = read(wish, gate.program_id())?;
    gate.count_one(Kind::Keys, &asked.caller.credential.owner).await?;
    let made = store::issue_key(&mut *gate.conn().await?, gate.keyring(), &new).await;
    let key = made.map_err(|refusal| match refusal {
        KeyRefusal::Store(error) => error.into(),
        refusal => Problem::new(Code::Conflict, format!("{refusal}.")),
    })?;
    let key_id = key[..16].to_owned();
    let at =
        HeaderValue::from_str(&format!("/api/v1/keys/{key_id}")).expect("a key's name is a header's value");
    let headers = [(LOCATION, at), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, headers, json(&KeyMade { key, key_id })).into_response())
}

fn read(wish: KeyWish, program_id: i16) -> Result<NewKey, Problem> {
    let KeyWish { owner, role, partner_id, scopes, addresses, expires_in } = wish;
    let mut invalid = Vec::new();
    let mut refuse = |field, pointer, words: &str| {
        invalid.push(Invalid::in_body(field, pointer, "INVALID", words));
    };
    if owner.is_empty() || OWNER_CHARS_MAX < owner.chars().count() || owner.contains(':') {
        refuse("owner", "/owner", "it has 1 to 100 characters, none of them a colon");
    }
    let allowed = match role {
        Holder::Partner | Holder::App => &[Scope::Read, Scope::Redeem, Scope::Earn][..],
        Holder::Auditor => &[Scope::Audit, Scope::Read],
    };
    if scopes.is_empty() || !scopes.iter().all(|it| allowed.iter().any(|may| may.as_str() == it)) {
        let names: Vec<&str> = allowed.iter().map(|it| it.as_str()).collect();
        refuse("scopes", "/scopes", &format!("for this role there are {}", names.join(", ")));
    }
    if role != Holder::Partner && partner_id.is_some() {
        refuse("partner_id", "/partner_id", "only a partner's key speaks for one");
    }
    if !addresses.iter().all(|it| it.parse::<IpNet>().is_ok()) {
        refuse("addresses", "/addresses", "each is a network, as in 192.0.2.0/24");
    }
    if expires_in.is_some_and(|it| !(1..=LIFETIME_S_MAX).contains(&it)) {
        refuse("expires_in", "/expires_in", "it is from a second to ten years");
    }
    if !invalid.is_empty() {
        return Err(Problem::invalid(invalid));
    }
    let (role, delegated, partner_id) = match role {
        Holder::Partner => (Role::Partner, false, Some(partner_id.unwrap_or_else(|| owner.clone()))),
        Holder::App => (Role::Member, true, None),
        Holder::Auditor => (Role::Auditor, false, None),
    };
    Ok(NewKey {
        credential: Credential { program_id, owner, scopes, partner_id, delegated },
        role,
        addresses,
        lifetime_s: expires_in,
    })
}

async fn revoke(gate: Arc<Gate>, asked: Asked) -> Result<Response, Problem> {
    let is_known =
        store::revoke_key(&mut *gate.conn().await?, gate.program_id(), asked.path("key_id")).await?;
    match is_known {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(Problem::new(Code::NotFound, "There is no such key.")),
    }
}
