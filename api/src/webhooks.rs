//! `/api/v1/webhooks`: where a partner, or the operator, wants to be told. An endpoint is told nothing before it has
//! answered a challenge, and its secret is shown when it is made or changed, never again.

use std::sync::Arc;

use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use notices::types;
use notices::webhook::TEST;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Acting, Endpoint, EndpointChange, EndpointStatus, NewEndpoint, PgConnection, StoreError};
use uuid::Uuid;

use crate::Api;
use crate::acts::deed;
use crate::body::json;
use crate::error::{Code, Invalid, Problem};
use crate::gate;
use crate::limits::Kind;
use crate::page::paged;
use crate::precondition::must_match;
use crate::query::Query;
use crate::route::Asked;
use crate::time::{micros, rfc3339};

/// So many endpoints a partner may have.
const ENDPOINTS_MAX: usize = 20;
const DESCRIPTION_CHARS_MAX: usize = 500;
/// Both secrets sign for a day where it is not said, and for a week at most.
const OVERLAP_S: u32 = 24 * 3600;
const OVERLAP_S_MAX: u32 = 7 * 24 * 3600;
const PATH: &str = "/api/v1/webhooks";

/// A new endpoint.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookRequest {
    /// Where: an https address of the public internet.
    #[schemars(length(min = 1, max = 2000))]
    url: String,
    /// What it is told of; everything where it names nothing.
    #[serde(default)]
    types: Vec<String>,
    /// What its owner says of it.
    #[serde(default)]
    #[schemars(length(max = 500))]
    description: String,
    /// How its messages are signed.
    #[serde(default)]
    signature: Signature,
}

/// How messages are signed.
#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) enum Signature {
    /// By a secret that both sides know.
    #[default]
    #[serde(rename = "v1")]
    Symmetric,
    /// By ed25519: the receiver knows the public key.
    #[serde(rename = "v1a")]
    Asymmetric,
}

/// What is changed of an endpoint; what is left out stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookChange {
    /// Where: it must be verified again.
    url: Option<String>,
    /// What it is told of.
    types: Option<Vec<String>>,
    /// What its owner says of it.
    #[schemars(length(max = 500))]
    description: Option<String>,
    /// Whether it is disabled. Enabled again, it must be verified again.
    disabled: Option<bool>,
}

/// How a secret is changed.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretChange {
    /// For how many seconds the one before signs too; a day where it is not said.
    #[schemars(range(max = 604_800))]
    overlap_seconds: Option<u32>,
}

/// Which messages go out once more.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRequest {
    /// Those made at this instant or after it.
    #[schemars(extend("format" = "date-time"))]
    since: String,
    /// Those made before this instant; until now where it is not said.
    #[schemars(extend("format" = "date-time"))]
    until: Option<String>,
}

/// An endpoint.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WebhookEndpoint {
    /// Its id.
    id: Uuid,
    /// Where.
    url: String,
    /// What it is told of; everything where it names nothing.
    types: Vec<String>,
    /// What its owner says of it.
    description: String,
    /// How its messages are signed.
    signature: Signature,
    /// `unverified`, `active` or `disabled`.
    status: &'static str,
    /// Why it is disabled, where nobody did it by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_because: Option<String>,
    /// When it was made.
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    /// The secret, or the public key: when it is made or changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// An owner's endpoints.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WebhookList {
    /// `list`.
    object: &'static str,
    /// The endpoints, oldest first.
    data: Vec<WebhookEndpoint>,
    /// Never: there are few.
    has_more: bool,
    /// This list.
    url: &'static str,
}

/// What became of a message.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WebhookMessage {
    /// Its `webhook-id`.
    id: String,
    /// What it tells.
    r#type: String,
    /// The posting's place in the log; none for a test.
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf_index: Option<i64>,
    /// `pending`, `delivered` or `failed`.
    status: &'static str,
    /// How often it was tried.
    attempts: i64,
    /// When it was made.
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    /// When it was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    attempted_at: Option<String>,
    /// What was answered then.
    #[serde(skip_serializing_if = "Option::is_none")]
    response_status: Option<i16>,
    /// What went wrong then.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// A page of messages.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WebhookMessages {
    /// `list`.
    object: &'static str,
    /// The messages, newest first.
    data: Vec<WebhookMessage>,
    /// Whether there are older ones.
    has_more: bool,
    /// The `cursor` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// The path of the list.
    url: String,
}

/// How many messages wait to go out.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Queued {
    /// How many.
    queued: u64,
    /// The `webhook-id`, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// `POST /api/v1/webhooks`
pub(crate) async fn create(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let partner_id = owner(&asked)?;
    let new: WebhookRequest = asked.read().await?;
    check(&api, Some(&new.url), Some(&new.types), Some(&new.description))?;
    let mut acting = api.acting().await?;
    // Two at once are counted one after the other.
    store::lock_program(acting.conn(), api.program_id).await?;
    let own = store::endpoints(acting.conn(), api.program_id, partner_id.as_deref()).await?;
    if ENDPOINTS_MAX <= own.len() {
        let words = format!("There are {ENDPOINTS_MAX} endpoints already: delete one.");
        return Err(Problem::new(Code::LimitExceeded, words));
    }
    let new = NewEndpoint {
        partner_id,
        url: new.url,
        types: new.types,
        description: new.description,
        is_asymmetric: matches!(new.signature, Signature::Asymmetric),
    };
    let made = store::create_endpoint(acting.conn(), api.post.keyring(), api.program_id, &new).await?;
    done(&api, &asked, acting, "webhook.created", [None, Some(&made)]).await?;
    let mut response = shown(&made, Some(secret(&api, &made)?));
    *response.status_mut() = StatusCode::CREATED;
    let location = format!("{PATH}/{}", made.endpoint_id);
    response
        .headers_mut()
        .insert(LOCATION, HeaderValue::from_str(&location).expect("a path is a header's value"));
    Ok(response)
}

/// `GET /api/v1/webhooks`
pub(crate) async fn list(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let partner_id = owner(&asked)?;
    let own = store::endpoints(&mut *connection(&api).await?, api.program_id, partner_id.as_deref()).await?;
    let data = own.iter().map(|it| described(it, None)).collect();
    Ok(json(&WebhookList { object: "list", data, has_more: false, url: PATH }))
}

/// `GET /api/v1/webhooks/{id}`
pub(crate) async fn get(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let (id, partner_id) = (id(&asked)?, owner(&asked)?);
    Ok(shown(&found(&api, &mut *connection(&api).await?, id, partner_id).await?, None))
}

/// `PATCH /api/v1/webhooks/{id}`
pub(crate) async fn change(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let (id, partner_id) = (id(&asked)?, owner(&asked)?);
    let wish: WebhookChange = asked.read().await?;
    check(&api, wish.url.as_deref(), wish.types.as_deref(), wish.description.as_deref())?;
    let mut acting = api.acting().await?;
    let known = found(&api, acting.conn(), id, partner_id.clone()).await?;
    must_match(&asked.parts.headers, &etag(&known))?;
    let change = EndpointChange {
        url: wish.url,
        types: wish.types,
        description: wish.description,
        is_disabled: wish.disabled,
    };
    if !store::change_endpoint(acting.conn(), api.program_id, &known, &change).await? {
        return Err(changed_meanwhile());
    }
    let changed = found(&api, acting.conn(), id, partner_id).await?;
    done(&api, &asked, acting, "webhook.changed", [Some(&known), Some(&changed)]).await?;
    Ok(shown(&changed, None))
}

/// `DELETE /api/v1/webhooks/{id}`
pub(crate) async fn delete(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let (id, partner_id) = (id(&asked)?, owner(&asked)?);
    let mut acting = api.acting().await?;
    let known = found(&api, acting.conn(), id, partner_id).await?;
    must_match(asked.headers(), &etag(&known))?;
    if !store::delete_endpoint(acting.conn(), api.program_id, &known).await? {
        return Err(changed_meanwhile());
    }
    done(&api, &asked, acting, "webhook.deleted", [Some(&known), None]).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/v1/webhooks/{id}/verification`
pub(crate) async fn verify(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let (id, partner_id) = (id(&asked)?, owner(&asked)?);
    let known = found(&api, &mut *connection(&api).await?, id, partner_id.clone()).await?;
    let whose = partner_id.as_deref().unwrap_or(&asked.caller.credential.owner);
    api.gate.count_one(api.program_id, Kind::Challenges, whose).await?;
    // Nothing of the database is held while the endpoint takes its time.
    if let Err(problem) = api.post.challenge(&known).await? {
        let words = format!("The endpoint did not answer the challenge: {problem}.");
        return Err(Problem::new(Code::WebhookNotVerified, words));
    }
    let mut acting = api.acting().await?;
    if !store::activate_endpoint(acting.conn(), api.program_id, &known).await? {
        return Err(changed_meanwhile());
    }
    let active = found(&api, acting.conn(), id, partner_id).await?;
    done(&api, &asked, acting, "webhook.verified", [Some(&known), Some(&active)]).await?;
    Ok(shown(&active, None))
}

/// `POST /api/v1/webhooks/{id}/secret`
pub(crate) async fn rotate(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let (id, partner_id) = (id(&asked)?, owner(&asked)?);
    let wish: SecretChange = asked.read().await?;
    let overlap = wish.overlap_seconds.unwrap_or(OVERLAP_S);
    if OVERLAP_S_MAX < overlap {
        let words = format!("it is at most {OVERLAP_S_MAX}");
        let field = Invalid::in_body("overlap_seconds", "/overlap_seconds", "OUT_OF_RANGE", words);
        return Err(Problem::invalid(vec![field]));
    }
    let mut acting = api.acting().await?;
    let known = found(&api, acting.conn(), id, partner_id.clone()).await?;
    store::rotate_secret(acting.conn(), api.post.keyring(), known.endpoint_id, overlap).await?;
    let changed = found(&api, acting.conn(), id, partner_id).await?;
    done(&api, &asked, acting, "webhook.secret_changed", [Some(&known), Some(&changed)]).await?;
    Ok(shown(&changed, Some(secret(&api, &changed)?)))
}

/// `POST /api/v1/webhooks/{id}/test`
pub(crate) async fn test(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let (id, partner_id) = (id(&asked)?, owner(&asked)?);
    let mut conn = connection(&api).await?;
    let known = found(&api, &mut conn, id, partner_id).await?;
    if known.status() != EndpointStatus::Active {
        return Err(Problem::new(Code::WebhookNotVerified, "The endpoint is not active: verify it first."));
    }
    let message = store::queue_test(&mut conn, known.endpoint_id, TEST).await?;
    Ok(queued(1, Some(message)))
}

/// `GET /api/v1/webhooks/{id}/messages`
pub(crate) async fn messages(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let (id, partner_id) = (id(&asked)?, owner(&asked)?);
    let query = Query::read(&asked.parts.uri, &["cursor", "limit"])?;
    let (before, limit) = (query.number("cursor")?, query.limit()?);
    let mut conn = connection(&api).await?;
    let known = found(&api, &mut conn, id, partner_id).await?;
    let mut page = store::deliveries(&mut conn, known.endpoint_id, before, limit + 1).await?;
    let has_more = page.len() > limit as usize;
    page.truncate(limit as usize);
    let next_cursor = page.last().filter(|_| has_more).map(|it| it.message.number.to_string());
    let data = page.into_iter().map(|it| WebhookMessage {
        id: notices::webhook::message_id(it.message.message_id),
        r#type: it.message.r#type,
        leaf_index: it.message.leaf_index,
        status: match (it.is_due, it.status) {
            (true, _) => "pending",
            (false, Some(200..=299)) => "delivered",
            (false, _) => "failed",
        },
        attempts: it.attempts,
        created_at: rfc3339(it.message.created_at_us),
        attempted_at: it.attempted_at_us.map(rfc3339),
        response_status: it.status,
        problem: it.problem,
    });
    let url = asked.parts.uri.path().to_owned();
    let page = WebhookMessages { object: "list", data: data.collect(), has_more, next_cursor, url };
    Ok(paged(&page, &asked.parts.uri, "cursor", page.next_cursor.as_deref()))
}

/// `POST /api/v1/webhooks/{id}/messages/{message_id}/replay`
pub(crate) async fn replay_one(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let (id, partner_id) = (id(&asked)?, owner(&asked)?);
    let message = asked.path("message_id");
    let message: Uuid = message.strip_prefix("msg_").unwrap_or(message).parse().map_err(|_| not_found())?;
    let mut conn = connection(&api).await?;
    let known = found(&api, &mut conn, id, partner_id).await?;
    let every = (0, i64::MAX);
    match store::replay_messages(&mut conn, known.endpoint_id, Some(message), every).await? {
        0 => Err(Problem::new(Code::NotFound, "There is no such message, or it is still to be delivered.")),
        count => Ok(queued(count, Some(message))),
    }
}

/// `POST /api/v1/webhooks/{id}/replay`
pub(crate) async fn replay(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let (id, partner_id) = (id(&asked)?, owner(&asked)?);
    let wish: ReplayRequest = asked.read().await?;
    let since = instant("since", "/since", &wish.since)?;
    let until = wish.until.as_deref().map_or(Ok(i64::MAX), |it| instant("until", "/until", it))?;
    let mut conn = connection(&api).await?;
    let known = found(&api, &mut conn, id, partner_id).await?;
    Ok(queued(store::replay_messages(&mut conn, known.endpoint_id, None, (since, until)).await?, None))
}

/// An endpoint as acts tell of it. Of its address the host alone, and a fingerprint of all of it: what follows the host may hold a
/// secret of its owner's, and that it was changed must be seen all the same.
#[derive(Serialize)]
struct EndpointSettled<'a> {
    host: &'a str,
    url_fingerprint: String,
    types: &'a [String],
    status: &'static str,
}

/// Records what was done to an endpoint, and keeps it.
async fn done(
    api: &Api,
    asked: &Asked,
    acting: Acting,
    action: &str,
    [before, after]: [Option<&Endpoint>; 2],
) -> Result<(), Problem> {
    let id = before.or(after).map(|it| it.endpoint_id.to_string()).unwrap_or_default();
    let settled = |it: &'_ Endpoint| -> serde_json::Value {
        // A query may follow the host at once.
        let url = reqwest::Url::parse(&it.url).ok();
        let host = url.as_ref().map_or("", |it| it.authority()).rsplit('@').next().unwrap_or_default();
        let url_fingerprint = api.post.keyring().fingerprint("daftari/v1/webhook-url", &it.url);
        let settled = EndpointSettled { host, url_fingerprint, types: &it.types, status: status(it) };
        serde_json::to_value(settled).expect("texts are JSON")
    };
    let deed = deed(action, id, before.map(settled).as_ref(), after.map(settled).as_ref());
    api.done(acting, asked, None, deed).await
}

async fn connection(api: &Api) -> Result<impl std::ops::DerefMut<Target = PgConnection> + use<>, Problem> {
    Ok(api.pool.acquire().await.map_err(StoreError::from)?)
}

/// Whose endpoints the caller sees: their partner's, or as an operator the operator's own.
fn owner(asked: &Asked) -> Result<Option<String>, Problem> {
    match asked.caller.credential.partner_id {
        Some(_) => Ok(Some(gate::partner(&asked.caller, asked.headers(), false)?.to_owned())),
        None => Ok(None),
    }
}

fn not_found() -> Problem {
    Problem::new(Code::NotFound, "There is no such endpoint.")
}

fn id(asked: &Asked) -> Result<Uuid, Problem> {
    asked.path("id").parse().map_err(|_| not_found())
}

async fn found(
    api: &Api,
    conn: &mut PgConnection,
    id: Uuid,
    partner_id: Option<String>,
) -> Result<Endpoint, Problem> {
    store::endpoint(conn, api.program_id, partner_id.as_deref(), id).await?.ok_or_else(not_found)
}

fn check(
    api: &Api,
    url: Option<&str>,
    types_wanted: Option<&[String]>,
    description: Option<&str>,
) -> Result<(), Problem> {
    let mut invalid = Vec::new();
    if let Some(Err(blocked)) = url.map(|it| api.post.check_url(it)) {
        invalid.push(Invalid::in_body("url", "/url", "NOT_ALLOWED", blocked.to_string()));
    }
    let unknown = |it: &&String| types().all(|known| known != it.as_str());
    if let Some(name) = types_wanted.and_then(|it| it.iter().find(unknown)) {
        let known: Vec<&str> = types().collect();
        let words = format!("{name:?} is not one of {}", known.join(", "));
        invalid.push(Invalid::in_body("types", "/types", "UNKNOWN_TYPE", words));
    }
    let has_bad_text = |it: &str| DESCRIPTION_CHARS_MAX < it.chars().count() || it.contains('\0');
    if description.is_some_and(has_bad_text) {
        let words = format!("it has at most {DESCRIPTION_CHARS_MAX} characters, and none is U+0000");
        invalid.push(Invalid::in_body("description", "/description", "INVALID_TEXT", words));
    }
    if invalid.is_empty() { Ok(()) } else { Err(Problem::invalid(invalid)) }
}

fn instant(field: &'static str, pointer: &'static str, text: &str) -> Result<i64, Problem> {
    micros(text).ok_or_else(|| {
        let words = "it is not an instant as in 2026-01-15T10:00:00Z";
        Problem::invalid(vec![Invalid::in_body(field, pointer, "INVALID", words)])
    })
}

fn etag(endpoint: &Endpoint) -> String {
    format!("\"{}\"", endpoint.version)
}

fn changed_meanwhile() -> Problem {
    Problem::new(Code::PreconditionFailed, "The endpoint was changed meanwhile: read it again.")
}

fn secret(api: &Api, endpoint: &Endpoint) -> Result<String, Problem> {
    let secrets = api.post.secrets(endpoint)?;
    let newest = secrets.first().ok_or_else(|| Problem::internal("an endpoint has no secret"))?;
    Ok(newest.shown())
}

fn status(endpoint: &Endpoint) -> &'static str {
    match endpoint.status() {
        EndpointStatus::Unverified => "unverified",
        EndpointStatus::Active => "active",
        EndpointStatus::Disabled => "disabled",
    }
}

fn described(endpoint: &Endpoint, secret: Option<String>) -> WebhookEndpoint {
    WebhookEndpoint {
        id: endpoint.endpoint_id,
        url: endpoint.url.clone(),
        types: endpoint.types.clone(),
        description: endpoint.description.clone(),
        signature: if endpoint.is_asymmetric() { Signature::Asymmetric } else { Signature::Symmetric },
        status: status(endpoint),
        disabled_because: endpoint.disabled_because.clone(),
        created_at: rfc3339(endpoint.created_at_us),
        secret,
    }
}

fn shown(endpoint: &Endpoint, secret: Option<String>) -> Response {
    let mut response = json(&described(endpoint, secret));
    let etag = HeaderValue::from_str(&etag(endpoint)).expect("a number is a header's value");
    response.headers_mut().insert(ETAG, etag);
    response.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
    response
}

fn queued(queued: u64, message: Option<Uuid>) -> Response {
    let mut response = json(&Queued { queued, id: message.map(notices::webhook::message_id) });
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}
