//! API keys, for operators. An operator's own key is made on the command line only: no key makes its better.

use std::sync::Arc;

use axum::http::header::{CACHE_CONTROL, ETAG, LOCATION};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Credential, KeyFacts, KeyRefusal, NewKey, Role};

use crate::Api;
use crate::access::{CHANGING, LOOKING};
use crate::acts::deed;
use crate::body::{json, not_json};
use crate::code::Code;
use crate::endpoint::Endpoint;
use crate::error::{Invalid, Problem};
use crate::gate::Scope;
use crate::limits::Kind;
use crate::page::paged;
use crate::precondition::{must_match, tag};
use crate::query::Query;
use crate::route::{Asked, Route};
use crate::routes::{CURSOR, LIMIT};
use crate::time::rfc3339;

const OWNER_CHARS_MAX: usize = 100;
/// Ten years: what is to be good for longer, has no end.
const LIFETIME_S_MAX: i64 = 10 * 366 * 86_400;

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
#[derive(Clone, Serialize, JsonSchema)]
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

/// A page of the program's keys.
#[derive(Serialize, JsonSchema)]
struct KeysShown {
    /// `list`
    object: &'static str,
    /// The keys, the newest first.
    data: Vec<KeyShown>,
    /// Whether there are more.
    has_more: bool,
    /// The `starting_after` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// The path of the list.
    url: &'static str,
}

const KEYS: &str = "/api/v1/keys";

/// The paths of keys.
pub(crate) fn table() -> Vec<Route<Api>> {
    const KEY_ID: &str = "What the key is called: its first sixteen letters.";
    vec![
        Endpoint::new(Method::GET, KEYS, "listKeys", "The program's API keys")
            .query::<u32>("limit", LIMIT)
            .query::<String>("starting_after", CURSOR)
            .answers::<KeysShown>(200, "A page, the newest first.")
            .guarded(Scope::Admin, LOOKING, list),
        Endpoint::new(Method::POST, KEYS, "createKey", "Makes an API key")
            .body::<KeyWish>()
            .answers::<KeyMade>(201, "The key.")
            .refuses(&[Code::Conflict])
            .guarded(Scope::Admin, CHANGING, create),
        Endpoint::new(Method::GET, "/api/v1/keys/{key_id}", "getKey", "An API key")
            .path::<String>("key_id", KEY_ID)
            .answers_tagged::<KeyShown>(200, "The key; the ETag is what its withdrawal must match.")
            .refuses(&[Code::NotFound])
            .guarded(Scope::Admin, LOOKING, get),
        Endpoint::new(Method::DELETE, "/api/v1/keys/{key_id}", "revokeKey", "Withdraws an API key")
            .path::<String>("key_id", KEY_ID)
            .required_header::<String>("If-Match", "The ETag of the key that the operator has seen.")
            .answers_empty(204, "It is withdrawn, and shut out within two seconds.")
            .refuses(&[Code::NotFound, Code::PreconditionFailed, Code::PreconditionRequired])
            .guarded(Scope::Admin, CHANGING, revoke),
    ]
}

async fn list(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let query = Query::read(&asked.parts.uri, &["limit", "starting_after"])?;
    let (limit, after) = (query.limit()?, query.text("starting_after"));
    let mut conn = api.gate.conn().await?;
    let mut keys = store::keys(&mut conn, api.program_id, after, i64::from(limit) + 1).await?;
    let has_more = keys.len() > limit as usize;
    keys.truncate(limit as usize);
    let next_cursor = keys.last().filter(|_| has_more).map(|it| it.key_id.clone());
    let data = keys.into_iter().map(shown).collect();
    let page = KeysShown { object: "list", data, has_more, next_cursor, url: KEYS };
    Ok(paged(&page, &asked.parts.uri, "starting_after", page.next_cursor.as_deref()))
}

async fn get(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let found = store::key_facts(&mut *api.gate.conn().await?, api.program_id, asked.path("key_id")).await?;
    let key = found.map(shown).ok_or_else(not_found)?;
    let mut response = json(&key);
    let tag = HeaderValue::from_str(&key.tag()).expect("hexadecimal digits are a header's value");
    response.headers_mut().insert(ETAG, tag);
    Ok(response)
}

fn not_found() -> Problem {
    Problem::new(Code::NotFound, "There is no such key.")
}

impl KeyShown {
    /// Its use changes nothing that an operator has settled.
    fn tag(&self) -> String {
        tag(&Self { last_used_at: None, ..self.clone() })
    }
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

/// A key as acts show it, for who makes one without asking over HTTP.
pub fn key_as_shown(key: KeyFacts) -> serde_json::Value {
    serde_json::to_value(shown(key)).expect("what is shown is JSON")
}

async fn create(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let body = asked.json().await?;
    let wish: KeyWish = serde_json::from_slice(&body).map_err(|error| not_json(&error))?;
    let new = read(wish, api.program_id)?;
    api.gate.count_one(api.program_id, Kind::Keys, &asked.caller.credential.owner).await?;
    let mut acting = api.acting().await?;
    let made = store::issue_key(acting.conn(), api.gate.keyring(), &new).await;
    let key = made.map_err(|refusal| match refusal {
        KeyRefusal::Store(error) => error.into(),
        refusal => Problem::new(Code::Conflict, format!("{refusal}.")),
    })?;
    let key_id = key[..16].to_owned();
    let after = store::key_facts(acting.conn(), api.program_id, &key_id).await?.map(shown);
    let deed = deed("key.created", &key_id, None::<&KeyShown>, after.as_ref());
    api.done(acting, &asked, None, deed).await?;
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
    if owner.is_empty() || OWNER_CHARS_MAX < owner.chars().count() || owner.contains([':', '\0']) {
        refuse("owner", "/owner", "it has 1 to 100 characters, none of them a colon or U+0000");
    }
    let allowed = match role {
        // What a partner undoes is its own; correcting what is not takes an operator's role.
        Holder::Partner => &[Scope::Read, Scope::Redeem, Scope::Earn, Scope::Adjust, Scope::Hurry][..],
        Holder::App => &[Scope::Read, Scope::Redeem, Scope::Earn, Scope::Hurry],
        Holder::Auditor => &[Scope::Audit, Scope::Read],
    };
    if scopes.is_empty() || !scopes.iter().all(|it| allowed.iter().any(|may| may.as_str() == it)) {
        let names: Vec<&str> = allowed.iter().map(|it| it.as_str()).collect();
        refuse("scopes", "/scopes", &format!("for this role there are {}", names.join(", ")));
    }
    if role != Holder::Partner && partner_id.is_some() {
        refuse("partner_id", "/partner_id", "only a partner's key speaks for one");
    } else if partner_id.as_deref().is_some_and(|it| it.contains('\0')) {
        refuse("partner_id", "/partner_id", "it holds the character U+0000");
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

async fn revoke(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let (mut acting, key_id) = (api.acting().await?, asked.path("key_id"));
    // Of two who withdraw it at once, one is told that it has changed.
    store::lock_program(acting.conn(), api.program_id).await?;
    let before = store::key_facts(acting.conn(), api.program_id, key_id).await?.map(shown);
    let before = before.ok_or_else(not_found)?;
    must_match(asked.headers(), &before.tag())?;
    store::revoke_key(acting.conn(), api.program_id, key_id).await?;
    let after = store::key_facts(acting.conn(), api.program_id, key_id).await?.map(shown);
    let deed = deed("key.revoked", key_id, Some(&before), after.as_ref());
    api.done(acting, &asked, None, deed).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
