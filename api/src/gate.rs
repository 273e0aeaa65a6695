//! Who asks, and what they may: nothing is answered to a stranger but health, the public log and the page.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use ledger::MemberRef;
use sha2::{Digest, Sha256};
use store::{CredentialKind, Environment, KnownCredential, Pepper, PgPool, Role};

use crate::access::Access;
use crate::code::Code;
use crate::error::Problem;

/// Whom the gate has admitted.
pub type Caller = Arc<KnownCredential>;

/// A credential is looked up at most once in this time, so one that is withdrawn works for at most twice as long: the
/// first to find it stale asks again while the others go on.
const FRESH: Duration = Duration::from_secs(1);
const STALE: Duration = Duration::from_secs(2);
/// More credentials than this in use within two seconds, and all are looked up again.
const KNOWN_MAX: usize = 10_000;

/// What a credential may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Read loyalty data.
    Read,
    /// Process redemptions.
    Redeem,
    /// Hand in events.
    Earn,
    /// Correct balances.
    Adjust,
    /// Read what auditors read.
    Audit,
    /// Run the program.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Read, Self::Redeem, Self::Earn, Self::Adjust, Self::Audit, Self::Admin];

    /// The scope as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "loyalty:read",
            Self::Redeem => "loyalty:redeem",
            Self::Earn => "loyalty:earn",
            Self::Adjust => "loyalty:adjust",
            Self::Audit => "audit:read",
            Self::Admin => "admin:*",
        }
    }
}

/// Lets callers of one program in. Clones know the same credentials.
#[derive(Clone)]
pub struct Gate {
    inner: Arc<Inner>,
}

/// A credential's kind and its secret's hash: a secret itself does not stay in memory longer than its request.
type Shown = (u8, [u8; 32]);

struct Inner {
    pool: PgPool,
    pepper: Pepper,
    program_id: i16,
    known: RwLock<HashMap<Shown, Arc<Known>>>,
}

struct Known {
    credential: Caller,
    asked: Instant,
    is_being_asked: AtomicBool,
}

impl Gate {
    /// The gate of one program; credentials of others are strangers' here.
    pub fn new(pool: PgPool, pepper: Pepper, program_id: i16) -> Self {
        Self { inner: Arc::new(Inner { pool, pepper, program_id, known: RwLock::default() }) }
    }

    /// The caller, if their credential is known, has the scope, and is of one of the roles.
    pub(crate) async fn admit(&self, headers: &HeaderMap, access: Access) -> Result<Caller, Problem> {
        let Some((kind, secret)) = shown(headers) else {
            return Err(Problem::unauthorized(
                "Send a bearer token in Authorization, or a key in X-API-Key.",
                "Bearer realm=\"loyalty\"",
            ));
        };
        let Some(credential) = self.credential(kind, secret).await? else {
            return Err(Problem::unauthorized(
                "The credential is not known, or not any more.",
                "Bearer realm=\"loyalty\", error=\"invalid_token\"",
            ));
        };
        let scope = access.scope.as_str();
        if !credential.credential.scopes.iter().any(|it| it == scope) {
            return Err(Problem::missing_scope(scope));
        }
        if !access.roles.contains(&credential.role) {
            return Err(Problem::wrong_role(credential.role, access.roles));
        }
        Ok(credential)
    }

    async fn credential(&self, kind: CredentialKind, secret: &str) -> Result<Option<Caller>, Problem> {
        // A key that was mistyped or made up costs nobody a question to the database.
        if kind == CredentialKind::ApiKey && secret.starts_with("lk_") && Environment::of(secret).is_none() {
            return Ok(None);
        }
        let key = (kind as u8, Sha256::digest(secret).into());
        if let Some(credential) = self.known(&key) {
            return Ok(Some(credential));
        }
        let asked = Instant::now();
        let mut conn = self.inner.pool.acquire().await.map_err(store::StoreError::from)?;
        let found = store::credential_of(&mut conn, &self.inner.pepper, kind, secret).await?;
        let found = found.filter(|it| it.credential.program_id == self.inner.program_id);
        if let Some(found) = &found {
            store::note_use(&mut conn, found.credential_id).await?;
        }
        let found = found.map(Arc::new);
        let mut known = self.inner.known.write().unwrap_or_else(PoisonError::into_inner);
        match &found {
            Some(credential) => {
                if KNOWN_MAX <= known.len() {
                    known.clear();
                }
                let credential = Arc::clone(credential);
                known.insert(
                    key,
                    Arc::new(Known { credential, asked, is_being_asked: AtomicBool::new(false) }),
                );
            }
            None => {
                known.remove(&key);
            }
        }
        Ok(found)
    }

    fn known(&self, key: &Shown) -> Option<Caller> {
        let known = self.inner.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(key)?;
        let age = known.asked.elapsed();
        let is_good = age < FRESH || (age < STALE && known.is_being_asked.swap(true, Ordering::Relaxed));
        is_good.then(|| Arc::clone(&known.credential))
    }
}

/// The credential that the request shows: a bearer token before an API key.
fn shown(headers: &HeaderMap) -> Option<(CredentialKind, &str)> {
    let bearer = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok()).and_then(|it| {
        let (scheme, token) = it.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let token = bearer.map(|it| (CredentialKind::BearerToken, it));
    token.or_else(|| Some((CredentialKind::ApiKey, headers.get("x-api-key")?.to_str().ok()?)))
}

/// The member on whose behalf the caller asks. `None` where a credential that may speak for any member names none, and
/// for a partner's or an operator's. A header that contradicts the credential is refused.
pub fn member(caller: &KnownCredential, headers: &HeaderMap) -> Result<Option<MemberRef>, Problem> {
    let named = headers.get("x-user-id").map(|it| match it.to_str() {
        Ok(name) if (1..=200).contains(&name.len()) => Ok(name),
        _ => Err(Problem::invalid_parameter("X-User-ID", "it is empty, too long, or not plain text")),
    });
    let named = named.transpose()?;
    if caller.credential.delegated {
        return Ok(named.map(MemberRef::parse));
    }
    let own = (caller.role == Role::Member).then_some(caller.credential.owner.as_str());
    match (own, named) {
        (Some(own), None) => Ok(Some(MemberRef::parse(own))),
        (Some(own), Some(named)) if MemberRef::parse(own) == MemberRef::parse(named) => {
            Ok(Some(MemberRef::parse(own)))
        }
        (None, None) => Ok(None),
        _ => Err(Problem::new(
            Code::Forbidden,
            "X-User-ID names somebody that this credential does not speak for.",
        )),
    }
}

/// The partner that the caller speaks for. A header that contradicts the credential is refused.
pub fn partner<'a>(
    caller: &'a KnownCredential,
    headers: &HeaderMap,
    is_header_required: bool,
) -> Result<&'a str, Problem> {
    let named = headers.get("x-partner-id");
    if named.is_none() && is_header_required {
        return Err(Problem::invalid_parameter("X-Partner-ID", "this header is required"));
    }
    match &caller.credential.partner_id {
        None => Err(Problem::new(Code::Forbidden, "This credential does not speak for a partner.")),
        Some(own) if named.is_some_and(|it| it.as_bytes() != own.as_bytes()) => {
            Err(Problem::new(Code::Forbidden, "X-Partner-ID names another partner than the credential's."))
        }
        Some(own) => Ok(own),
    }
}
