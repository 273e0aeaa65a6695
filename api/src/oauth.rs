//! OAuth 2: tokens for clients (RFC 6749, 4.4) and for the members for whom an app vouches (RFC 8693), refreshed, revoked
//! (RFC 7009) and introspected (RFC 7662); and the documents by which others find their way (RFC 8414, JWKS).

mod client;
mod form;
mod refresh;
mod routes;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, HeaderName, PRAGMA, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jsonwebtoken::jwk::JwkSet;
use schemars::JsonSchema;
use serde::Serialize;
use store::{AuthMode, KnownCredential, MemberSession, Role};
use uuid::Uuid;

use crate::body::json;
use crate::error::Problem;
use crate::gate::{Gate, Scope};
use crate::limits::Kind;
use crate::tokens::{ACCESS_S, Claims};
use client::authenticate;
use form::Form;
use refresh::RefreshToken;

pub(crate) use routes::table;

/// How long a member's refresh token is good: each use makes a new one.
const REFRESH_S: u32 = 30 * 24 * 3600;
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// A member as their app knows them: an id, or an external id.
const MEMBER: &str = "urn:daftari:params:oauth:token-type:member";
/// What a member may do by themselves.
const MEMBER_SCOPES: [Scope; 2] = [Scope::Read, Scope::Redeem];

/// A failure as RFC 6749, 5.2 has it.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    error: &'static str,
    description: &'static str,
    /// Whether the client tried by `Authorization`, and is told how to.
    is_challenged: bool,
}

/// A failure: as OAuth has it, or as the rest of the API.
#[derive(Debug)]
pub(crate) enum Failure {
    Refused(Refused),
    Problem(Problem),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<store::StoreError> for Failure {
    fn from(error: store::StoreError) -> Self {
        Self::Problem(error.into())
    }
}

fn refuse(error: &'static str, description: &'static str) -> Failure {
    let (status, is_challenged) = (StatusCode::BAD_REQUEST, false);
    Failure::Refused(Refused { status, error, description, is_challenged })
}

/// What is said when something about a token is refused.
#[derive(Serialize, JsonSchema)]
pub(crate) struct OauthError {
    /// The stable code of RFC 6749.
    error: &'static str,
    /// What went wrong.
    error_description: &'static str,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let refused = match self {
            Self::Refused(refused) => refused,
            Self::Problem(problem) => return problem.into_response(),
        };
        let Refused { status, error, description, is_challenged } = refused;
        let mut response = json(&OauthError { error, error_description: description });
        *response.status_mut() = status;
        if is_challenged {
            let challenge = HeaderValue::from_static("Basic realm=\"loyalty\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        (NOT_STORED, response).into_response()
    }
}

const NOT_STORED: [(HeaderName, HeaderValue); 2] =
    [(CACHE_CONTROL, HeaderValue::from_static("no-store")), (PRAGMA, HeaderValue::from_static("no-cache"))];

/// A token, as RFC 6749, 5.1 has it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Granted {
    /// The access token, for `Authorization: Bearer`.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// After how many seconds it ends.
    expires_in: u32,
    /// What it may do, with spaces between.
    scope: String,
    /// By which the member's app gets the next one, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// What the access token is, where it was exchanged for something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_token_type: Option<&'static str>,
}

/// `POST /oauth/token`
pub(crate) async fn token(State(gate): State<Arc<Gate>>, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let form = Form::read(&parts.headers, body).await?;
    let granted =
        match form.get("grant_type").ok_or_else(|| refuse("invalid_request", "grant_type is missing"))? {
            "client_credentials" => {
                let client = authenticate(&gate, &parts, &form).await?;
                for_client(&gate, &client, &form).await?
            }
            EXCHANGE => {
                let client = authenticate(&gate, &parts, &form).await?;
                for_member(&gate, &client, &form).await?
            }
            "refresh_token" => refreshed(&gate, &form).await?,
            _ => {
                return Err(refuse(
                    "unsupported_grant_type",
                    "ask for client_credentials, a token exchange, or refresh_token",
                ));
            }
        };
    Ok((NOT_STORED, json(&granted)).into_response())
}

async fn for_client(gate: &Gate, client: &KnownCredential, form: &Form) -> Result<Granted, Failure> {
    if client.auth_mode == AuthMode::Key {
        return Err(refuse("unauthorized_client", "this partner shows its key, and no tokens"));
    }
    let scopes = wanted(form, &client.credential.scopes)?;
    grant(gate, client, &client.credential.owner, &scopes, None).await
}

async fn for_member(gate: &Gate, client: &KnownCredential, form: &Form) -> Result<Granted, Failure> {
    if !client.credential.delegated {
        return Err(refuse("unauthorized_client", "this client speaks for no members"));
    }
    if form.get("subject_token_type") != Some(MEMBER) {
        return Err(refuse(
            "invalid_request",
            "subject_token_type is not urn:daftari:params:oauth:token-type:member",
        ));
    }
    let member = form.get("subject_token").filter(|it| (1..=200).contains(&it.len()));
    let member = member.ok_or_else(|| refuse("invalid_request", "subject_token names no member"))?;
    let scopes = &client.credential.scopes;
    let scopes: Vec<String> =
        scopes.iter().filter(|it| MEMBER_SCOPES.map(Scope::as_str).contains(&it.as_str())).cloned().collect();
    let scopes = wanted(form, &scopes)?;
    let id = client.credential_id;
    let mut conn = gate.conn().await?;
    let session =
        store::begin_session(&mut conn, client.credential.program_id, id, member, &scopes, REFRESH_S).await?;
    // Signing may have to read the keys, with a connection of its own.
    drop(conn);
    let mut granted = grant(gate, client, member, &scopes, Some(&session)).await?;
    granted.issued_token_type = Some(ACCESS_TOKEN);
    Ok(granted)
}

async fn refreshed(gate: &Gate, form: &Form) -> Result<Granted, Failure> {
    const GONE: &str = "the refresh token is not good, or not any more";
    let gone = || refuse("invalid_grant", GONE);
    let shown =
        form.get("refresh_token").ok_or_else(|| refuse("invalid_request", "refresh_token is missing"))?;
    let RefreshToken { session_id, turn } = RefreshToken::read(shown, gate.keyring()).ok_or_else(gone)?;
    gate.count_one(gate.program_id(), Kind::Tokens, &session_id.to_string()).await?;
    let mut conn = gate.conn().await?;
    let mut turned = None;
    for program_id in gate.programs() {
        turned = turned.or(store::turn_session(&mut conn, program_id, session_id, turn, REFRESH_S).await?);
    }
    let session = turned.ok_or_else(gone)?;
    let token_id = Uuid::new_v4();
    let client =
        store::credential_of_token(&mut conn, session.credential_id, token_id, Some(session_id)).await?;
    drop(conn);
    let client = client.ok_or_else(gone)?;
    let scopes = wanted(form, &session.scopes)?;
    grant(gate, &client, &session.member, &scopes, Some(&session)).await
}

/// The scopes that are asked for, all of which may be had; all that may be had where none are named.
fn wanted(form: &Form, may: &[String]) -> Result<Vec<String>, Failure> {
    let Some(asked) = form.get("scope") else { return Ok(may.to_vec()) };
    let asked: Vec<String> = asked.split(' ').filter(|it| !it.is_empty()).map(str::to_owned).collect();
    match !asked.is_empty() && asked.iter().all(|it| may.contains(it)) {
        true => Ok(asked),
        false => Err(refuse("invalid_scope", "a scope is unknown, or more than this client may")),
    }
}

async fn grant(
    gate: &Gate,
    client: &KnownCredential,
    subject: &str,
    scopes: &[String],
    session: Option<&MemberSession>,
) -> Result<Granted, Failure> {
    let issued_s = client.now_us / 1_000_000;
    let claims = Claims {
        iss: gate.issuer().to_owned(),
        aud: gate.issuer().to_owned(),
        sub: subject.to_owned(),
        client_id: client.credential.owner.clone(),
        scope: scopes.join(" "),
        iat: issued_s,
        exp: issued_s + i64::from(ACCESS_S),
        jti: Uuid::new_v4(),
        credential: client.credential_id,
        sid: session.map(|it| it.session_id),
    };
    let access_token = gate.sign(client.credential.program_id, &claims).await?;
    let refresh_token = session.map(|it| RefreshToken::of(it).write(gate.keyring()));
    let (token_type, expires_in, scope) = ("Bearer", ACCESS_S, claims.scope);
    Ok(Granted { access_token, token_type, expires_in, scope, refresh_token, issued_token_type: None })
}

/// `POST /oauth/revoke`
pub(crate) async fn revoke(State(gate): State<Arc<Gate>>, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let form = Form::read(&parts.headers, body).await?;
    let token = form.get("token").ok_or_else(|| refuse("invalid_request", "token is missing"))?;
    // A member's device has no secret of its own: whoever holds its refresh token may end the session.
    if let Some(shown) = RefreshToken::read(token, gate.keyring()) {
        let mut conn = gate.conn().await?;
        for program_id in gate.programs() {
            store::end_session(&mut conn, program_id, shown.session_id).await?;
        }
        return Ok((NOT_STORED, StatusCode::OK).into_response());
    }
    let client = authenticate(&gate, &parts, &form).await?;
    // What is not a token of this client's is as good as withdrawn.
    if let Some((_, claims)) = gate.read_token(token).await?.filter(|it| is_of(it, &client)) {
        store::revoke_token(&mut *gate.conn().await?, claims.jti, claims.exp * 1_000_000).await?;
    }
    Ok((NOT_STORED, StatusCode::OK).into_response())
}

/// What a token says, as RFC 7662 has it.
#[derive(Default, Serialize, JsonSchema)]
pub(crate) struct Introspected {
    /// Whether it is good now.
    active: bool,
    /// What it may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// The client for which it was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// For whom it speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    /// `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    /// When it ends, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    /// When it was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    /// Who issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    /// To whom it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<Uuid>,
}

/// `POST /oauth/introspect`
pub(crate) async fn introspect(State(gate): State<Arc<Gate>>, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let form = Form::read(&parts.headers, body).await?;
    let client = authenticate(&gate, &parts, &form).await?;
    let token = form.get("token").ok_or_else(|| refuse("invalid_request", "token is missing"))?;
    let told = match gate.read_token(token).await? {
        Some(read) if is_of(&read, &client) || is_operators(&read, &client) => {
            let claims = read.1;
            let mut conn = gate.conn().await?;
            let good =
                store::credential_of_token(&mut conn, claims.credential, claims.jti, claims.sid).await?;
            good.filter(|it| it.now_us / 1_000_000 < claims.exp).map(|_| claims)
        }
        _ => None,
    };
    let told = told.map_or_else(Introspected::default, |it| Introspected {
        active: true,
        scope: Some(it.scope),
        client_id: Some(it.client_id),
        sub: Some(it.sub),
        token_type: Some("Bearer"),
        exp: Some(it.exp),
        iat: Some(it.iat),
        iss: Some(it.iss),
        aud: Some(it.aud),
        jti: Some(it.jti),
    });
    Ok((NOT_STORED, json(&told)).into_response())
}

/// Whether a program's token is this client's.
fn is_of((program_id, claims): &(i16, Claims), client: &KnownCredential) -> bool {
    *program_id == client.credential.program_id && claims.client_id == client.credential.owner
}

/// Whether the client is an operator of the token's program.
fn is_operators((program_id, _): &(i16, Claims), client: &KnownCredential) -> bool {
    *program_id == client.credential.program_id
        && matches!(client.role, Role::Viewer | Role::Editor | Role::Approver | Role::Auditor)
}

/// `GET /.well-known/jwks.json`
pub(crate) async fn jwks(State(gate): State<Arc<Gate>>) -> Result<Response, Problem> {
    // A new key is shown for longer than this before it signs.
    let kept = [(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"))];
    let keys = gate.keys(None).await?;
    let public = JwkSet { keys: keys.iter().flat_map(|it| it.1.public().keys).collect() };
    Ok((kept, json(&public)).into_response())
}

/// `GET /.well-known/oauth-authorization-server`
pub(crate) async fn metadata(State(gate): State<Arc<Gate>>) -> Response {
    let issuer = gate.issuer();
    let at = |path: &str| format!("{issuer}{path}");
    let methods = ["client_secret_basic", "client_secret_post"];
    json(&serde_json::json!({
        "issuer": issuer,
        "token_endpoint": at("/oauth/token"),
        "revocation_endpoint": at("/oauth/revoke"),
        "introspection_endpoint": at("/oauth/introspect"),
        "jwks_uri": at("/.well-known/jwks.json"),
        "scopes_supported": Scope::ALL.map(Scope::as_str),
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials", "refresh_token", EXCHANGE],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods,
        "service_documentation": at("/openapi.json"),
    }))
}
