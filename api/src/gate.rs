//! Who asks, and what they may: nothing is answered to a stranger but health, the public log and the page.

mod known;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use ledger::MemberRef;
use store::{
    AuthMode, Credential, CredentialKind, Environment, Keyring, KnownCredential, PgConnection, PgPool, Role,
    StoreError,
};

pub(crate) use crate::caller::{Caller, member, partner};
use crate::caller::{Identity, only};
use crate::error::{Code, Problem};
use crate::limits::{Kind, Limits, Quota, Standing};
use crate::outside::Outside;
use crate::standings::Standings;
use crate::tokens::{Claims, Keys, Unread, header_of, is_signed};
use known::{Known, Shelf, Shown};

/// The keys of tokens are read again after this time, and when a token names another, but not more often than once a second.
const KEYS_FRESH: Duration = Duration::from_secs(30);
const KEYS_PAUSE: Duration = Duration::from_secs(1);

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
    /// Have what is posted anchored soon, which costs the operator a transaction.
    Hurry,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Read, Self::Redeem, Self::Earn, Self::Adjust, Self::Audit, Self::Admin, Self::Hurry];

    /// The scope as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "loyalty:read",
            Self::Redeem => "loyalty:redeem",
            Self::Earn => "loyalty:earn",
            Self::Adjust => "loyalty:adjust",
            Self::Audit => "audit:read",
            Self::Admin => "admin:*",
            Self::Hurry => "anchor:soon",
        }
    }
}

/// The other end of the connection, as the socket says.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

impl Peer {
    /// The peer from whom this came, as whoever accepted the connection says.
    pub(crate) fn of(parts: &Parts) -> Option<Self> {
        parts.extensions.get().copied()
    }

    /// Its address: an IPv4 caller of a socket that listens for both looks like an IPv6 one.
    pub(crate) fn address(self) -> IpAddr {
        self.0.ip().to_canonical()
    }

    /// By what those who are not known are counted: their address, and of an IPv6 one its network of 64 bits, all of whose addresses
    /// one subscriber has.
    pub(crate) fn origin(self) -> IpAddr {
        match self.address() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        }
    }
}

/// What a token has turned out to be.
enum Vetted {
    Good(Known),
    /// Signed by whom it names, and not good now: it has ended, or was withdrawn.
    Over,
    /// Signed by nobody whom we know.
    Forged,
}

/// The keys of tokens, of each program whose callers are let in.
type ProgramKeys = Arc<[(i16, Keys)]>;

/// Lets callers of one program in, and those of its sandbox where it has one. Clones know the same credentials.
#[derive(Clone)]
pub struct Gate {
    inner: Arc<Inner>,
}

struct Inner {
    pool: PgPool,
    keyring: Arc<Keyring>,
    program_id: i16,
    sandbox: Option<i16>,
    /// Who issues our tokens, and to whom they are shown.
    issuer: String,
    outside: Option<Outside>,
    shelf: Shelf,
    limits: Limits,
    keys: RwLock<Option<(ProgramKeys, Instant)>>,
}

impl Gate {
    /// The gate of one program; credentials of others are strangers' here. `issuer` is the address under which callers reach
    /// us: tokens name it.
    pub fn new(pool: PgPool, keyring: Arc<Keyring>, program_id: i16, issuer: &str) -> Self {
        Self::trusting(pool, keyring, program_id, issuer, None)
    }

    /// A gate that also admits members for whom another issuer vouches.
    pub fn trusting(
        pool: PgPool,
        keyring: Arc<Keyring>,
        program_id: i16,
        issuer: &str,
        outside: Option<Outside>,
    ) -> Self {
        let (issuer, shelf, keys) = (issuer.to_owned(), Shelf::default(), RwLock::default());
        let limits = Limits::start(pool.clone());
        let sandbox = None;
        Self {
            inner: Arc::new(Inner {
                pool,
                keyring,
                program_id,
                sandbox,
                issuer,
                outside,
                shelf,
                limits,
                keys,
            }),
        }
    }

    /// The same, before anybody has passed it, letting the callers of this sandbox in too: to its books, and no others.
    pub fn with_sandbox(mut self, sandbox: i16) -> Self {
        Arc::get_mut(&mut self.inner).expect("nobody has passed this gate yet").sandbox = Some(sandbox);
        self
    }

    /// Whether callers of this program are let in.
    fn takes(&self, program_id: i16) -> bool {
        self.programs().any(|it| it == program_id)
    }

    /// The program, and not its sandbox.
    pub(crate) fn program_id(&self) -> i16 {
        self.inner.program_id
    }

    /// The programs whose callers are let in.
    pub(crate) fn programs(&self) -> impl Iterator<Item = i16> {
        [self.inner.program_id].into_iter().chain(self.inner.sandbox)
    }

    /// The caller, if their credential is known. Whoever shows another is counted by where they come from.
    pub(crate) async fn admit(&self, headers: &HeaderMap, peer: Option<Peer>) -> Result<Caller, Problem> {
        match self.recognise(headers, peer).await {
            Err(problem) if problem.is_refusal() && !problem.is_uncounted() => {
                Err(self.failed(peer, problem).await)
            }
            recognised => recognised,
        }
    }

    /// Takes one request from each of the caller's quotas. Where one is used up, the answer says when to come again.
    pub(crate) async fn count(&self, caller: &Identity) -> Result<Standings, Response> {
        let mut standings = Standings::default();
        for quota in &caller.quotas {
            let taken = self.inner.limits.take(quota).await;
            match taken.map_err(|error| Problem::from(error).into_response())? {
                Ok(standing) => standings.0.push(standing),
                Err(standing) => return Err(Standings(vec![standing]).refused()),
            }
        }
        Ok(standings)
    }

    /// Takes from each of the caller's quotas for the items of one request, of which one is counted already. Where a quota has too
    /// little left, nothing is taken from any, and it says how it stands with that one. More than half of a quota at once is refused
    /// for good: it could wait for ever for an hour in which so much is left.
    pub(crate) async fn count_items(
        &self,
        caller: &Identity,
        items: usize,
    ) -> Result<Result<Standings, Standing>, Problem> {
        let mut quotas = caller.quotas.clone();
        // The smaller one refuses before anything is taken from the larger one.
        quotas.sort_by_key(|it| it.limit);
        let at_once = quotas.first().map_or(u64::MAX, |it| (it.limit / 2).max(1));
        if at_once < items as u64 {
            let words = format!(
                "Each item counts as a request, and half of an hour's requests is the most at once: send at most {at_once} items."
            );
            return Err(Problem::new(Code::ItemCount, words));
        }
        let more = u32::try_from(items.saturating_sub(1)).unwrap_or(u32::MAX);
        Ok(self.inner.limits.take_whole(&quotas, more).await?.map(Standings))
    }

    /// Counts one of something that has a quota of its own in each program.
    pub(crate) async fn count_one(&self, program_id: i16, kind: Kind, name: &str) -> Result<(), Problem> {
        let quota = Quota::new(program_id, kind, name, kind.hourly());
        match self.inner.limits.take(&quota).await? {
            Ok(_) => Ok(()),
            Err(standing) => Err(Problem::rate_limited(standing.frees_in_s)),
        }
    }

    /// Counts a failure of whoever asks from there, whichever program they were after.
    pub(crate) async fn count_failure(&self, peer: Peer) -> Result<(), Problem> {
        self.count_one(self.inner.program_id, Kind::Failures, &peer.origin().to_string()).await
    }

    /// A failure of whoever asks from there: counted by their address, so that no one else's quota is used by it. Where there were
    /// too many, they are told so instead.
    pub(crate) async fn failed(&self, peer: Option<Peer>, problem: Problem) -> Problem {
        let Some(peer) = peer else { return problem };
        match self.count_failure(peer).await {
            Ok(()) => problem,
            Err(too_many) => too_many,
        }
    }

    /// The caller, by what they show.
    async fn recognise(&self, headers: &HeaderMap, peer: Option<Peer>) -> Result<Caller, Problem> {
        let (token, key) = shown(headers)?;
        let by_token = match token {
            Some(token) => Some(self.known_by_token(token).await?.ok_or_else(unknown)?),
            None => None,
        };
        let by_key = match key {
            Some(key) => Some(self.known(CredentialKind::ApiKey, key).await?.ok_or_else(unknown)?),
            None => None,
        };
        for known in by_token.iter().chain(&by_key) {
            known.check_address(peer)?;
            known.check_mode(by_token.is_some(), by_key.is_some())?;
        }
        match (by_token, by_key) {
            (Some(token), Some(key)) => both(&token.identity, &key.identity),
            (Some(one), None) | (None, Some(one)) => Ok(Arc::clone(&one.identity)),
            (None, None) => Err(Problem::unauthorized(
                "Send a bearer token in Authorization, or a key in X-API-Key.",
                "Bearer realm=\"loyalty\"",
            )),
        }
    }

    async fn known_by_token(&self, token: &str) -> Result<Option<Arc<Known>>, Problem> {
        if !is_signed(token) {
            return self.known(CredentialKind::BearerToken, token).await;
        }
        let shown = Shown::new(CredentialKind::BearerToken, token);
        if let Some(known) = self.inner.shelf.get(&shown) {
            return Ok(Some(known));
        }
        let asked = Instant::now();
        let vetted = match &self.inner.outside {
            Some(outside) if outside.issued(token) => self.by_another(outside, token, asked).await?,
            _ => self.by_us(token, asked).await?,
        };
        let (found, is_over) = match vetted {
            Vetted::Good(known) => (Some(known), false),
            Vetted::Over => (None, true),
            Vetted::Forged => (None, false),
        };
        match self.inner.shelf.keep(shown, found) {
            // Nobody guesses what was good once, and many who share an address have tokens that end: they are to hear of it.
            None if is_over => Err(unknown().uncounted()),
            known => Ok(known),
        }
    }

    async fn by_us(&self, token: &str, asked: Instant) -> Result<Vetted, Problem> {
        let Some((program_id, claims)) = self.read_token(token).await? else { return Ok(Vetted::Forged) };
        let mut conn = self.conn().await?;
        let found = store::credential_of_token(&mut conn, claims.credential, claims.jti, claims.sid).await?;
        // A program's keys vouch for its own credentials alone.
        let Some(found) = found.filter(|it| it.credential.program_id == program_id) else {
            return Ok(Vetted::Over);
        };
        let member_hourly = found.member_hourly;
        let left_s = claims.exp - found.now_us / 1_000_000;
        if left_s <= 0 {
            return Ok(Vetted::Over);
        }
        let ends = asked + Duration::from_secs(left_s as u64);
        let mut known = known_of(found, asked)?;
        known.ends = Some(ends);
        known.identity = Arc::new(narrowed(&known.identity, &claims, member_hourly));
        Ok(Vetted::Good(known))
    }

    async fn by_another(&self, outside: &Outside, token: &str, asked: Instant) -> Result<Vetted, Problem> {
        let Some(vouched) = outside.read(token).await? else { return Ok(Vetted::Forged) };
        let mut conn = self.conn().await?;
        let now_s = store::clock_us(&mut conn).await? / 1_000_000;
        let member_hourly = store::member_hourly(&mut conn, self.inner.program_id).await?;
        let Some(left) = vouched.left(now_s) else { return Ok(Vetted::Over) };
        let identity = Identity {
            credential: Credential {
                program_id: self.inner.program_id,
                owner: format!("member:{}", vouched.subject),
                scopes: [Scope::Read, Scope::Redeem].map(|it| it.as_str().to_owned()).to_vec(),
                partner_id: None,
                delegated: false,
            },
            role: Role::Member,
            member: Some(MemberRef::parse(&vouched.subject)),
            credential_id: None,
            references_once: false,
            quotas: vec![Quota::new(self.inner.program_id, Kind::Member, &vouched.subject, member_hourly)],
        };
        let (addresses, mode) = (Vec::new(), AuthMode::Either);
        Ok(Vetted::Good(Known::new(Arc::new(identity), addresses, mode, asked, Some(asked + left))))
    }

    /// What a token of ours says, if it was signed by a key that is known, and whose program's.
    pub(crate) async fn read_token(&self, token: &str) -> Result<Option<(i16, Claims)>, Problem> {
        match self.read_by(&self.keys(None).await?, token) {
            Ok(read) => Ok(Some(read)),
            Err(Unread::NotOurs) => Ok(None),
            Err(Unread::KeyUnknown) => {
                let kid = header_of(token).ok().and_then(|it| it.kid);
                Ok(self.read_by(&self.keys(kid.as_deref()).await?, token).ok())
            }
        }
    }

    fn read_by(&self, keys: &ProgramKeys, token: &str) -> Result<(i16, Claims), Unread> {
        let mut unread = Unread::KeyUnknown;
        for (program_id, keys) in keys.iter() {
            match keys.read(token, &self.inner.issuer) {
                Ok(claims) => return Ok((*program_id, claims)),
                Err(Unread::NotOurs) => unread = Unread::NotOurs,
                Err(Unread::KeyUnknown) => {}
            }
        }
        Err(unread)
    }

    /// Signs what a token of a program's client says.
    pub(crate) async fn sign(&self, program_id: i16, claims: &Claims) -> Result<String, Problem> {
        let keys = self.keys(None).await?;
        let keys = keys.iter().find(|it| it.0 == program_id);
        let (_, keys) = keys.ok_or_else(|| Problem::internal("a client of another program"))?;
        keys.sign(claims).map_err(Problem::internal)
    }

    /// The keys of our tokens, read anew where they are old or a token names one that is not among them.
    pub(crate) async fn keys(&self, missing: Option<&str>) -> Result<ProgramKeys, Problem> {
        let fresh = if missing.is_some() { KEYS_PAUSE } else { KEYS_FRESH };
        if let Some((keys, read)) = &*self.inner.keys.read().unwrap_or_else(PoisonError::into_inner)
            && read.elapsed() < fresh
        {
            return Ok(keys.clone());
        }
        let read = Instant::now();
        let mut keys = Vec::new();
        let mut conn = self.conn().await?;
        for program_id in self.programs() {
            let own = store::token_keys(&mut conn, &self.inner.keyring, program_id).await?;
            keys.push((program_id, Keys::new(&own).map_err(Problem::internal)?));
        }
        let keys = ProgramKeys::from(keys);
        *self.inner.keys.write().unwrap_or_else(PoisonError::into_inner) = Some((keys.clone(), read));
        Ok(keys)
    }

    async fn known(&self, kind: CredentialKind, secret: &str) -> Result<Option<Arc<Known>>, Problem> {
        // A key that was mistyped or made up costs nobody a question to the database.
        if kind == CredentialKind::ApiKey && secret.starts_with("lk_") && Environment::of(secret).is_none() {
            return Ok(None);
        }
        let shown = Shown::new(kind, secret);
        if let Some(known) = self.inner.shelf.get(&shown) {
            return Ok(Some(known));
        }
        let asked = Instant::now();
        let mut conn = self.conn().await?;
        let found = self.look_up(&mut conn, kind, secret).await?;
        let found = found.map(|it| known_of(it, asked)).transpose()?;
        Ok(self.inner.shelf.keep(shown, found))
    }

    /// The credential that a secret belongs to, of a program whose callers are let in.
    pub(crate) async fn look_up(
        &self,
        conn: &mut PgConnection,
        kind: CredentialKind,
        secret: &str,
    ) -> Result<Option<KnownCredential>, Problem> {
        let found = store::credential_of(conn, &self.inner.keyring.pepper(), kind, secret).await?;
        let found = found.filter(|it| self.takes(it.credential.program_id));
        if let Some(found) = &found {
            store::note_use(conn, found.credential_id).await?;
        }
        Ok(found)
    }

    pub(crate) async fn conn(
        &self,
    ) -> Result<impl std::ops::DerefMut<Target = PgConnection> + use<>, Problem> {
        Ok(self.inner.pool.acquire().await.map_err(StoreError::from)?)
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.inner.issuer
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.inner.keyring
    }
}

pub(crate) fn unknown() -> Problem {
    Problem::unauthorized(
        "The credential is not known, or not any more.",
        "Bearer realm=\"loyalty\", error=\"invalid_token\"",
    )
}

fn known_of(found: KnownCredential, asked: Instant) -> Result<Known, Problem> {
    let KnownCredential {
        credential_id,
        credential,
        role,
        addresses,
        auth_mode,
        references_once,
        partner_hourly,
        own_hourly,
        member_hourly,
        ..
    } = found;
    let addresses = networks(&addresses)?;
    let is_member = role == Role::Member && !credential.delegated;
    let member = is_member.then(|| MemberRef::parse(&credential.owner));
    let program_id = credential.program_id;
    let quota = |kind, name: &str, hourly| Quota::new(program_id, kind, name, hourly);
    let partner = credential.partner_id.as_deref().zip(partner_hourly);
    let quotas = [
        partner.map(|(name, hourly)| quota(Kind::Partner, name, hourly)),
        own_hourly.map(|hourly| quota(Kind::Key, &credential_id.to_string(), hourly)),
        is_member.then(|| quota(Kind::Member, &credential.owner, member_hourly)),
    ];
    let quotas = quotas.into_iter().flatten().collect();
    let credential_id = Some(credential_id);
    let identity = Identity { credential, role, member, credential_id, references_once, quotas };
    Ok(Known::new(Arc::new(identity), addresses, auth_mode, asked, None))
}

fn networks(texts: &[String]) -> Result<Vec<IpNet>, Problem> {
    let networks: Result<_, _> = texts.iter().map(|it| it.parse()).collect();
    networks.map_err(|_| Problem::internal("a credential's addresses cannot be read"))
}

/// Whether a caller from there is among these networks; from anywhere where there are none, and nobody from nowhere.
fn is_among(networks: &[IpNet], peer: Option<Peer>) -> bool {
    let peer = peer.map(Peer::address);
    networks.is_empty() || peer.is_some_and(|peer| networks.iter().any(|it| it.contains(&peer)))
}

/// Whether a credential with these addresses is taken from there.
pub(crate) fn is_taken_from(addresses: &[String], peer: Option<Peer>) -> Result<bool, Problem> {
    Ok(is_among(&networks(addresses)?, peer))
}

/// The client of a token, or the member for whom it vouched, with no more than the token and the client may now.
fn narrowed(client: &Identity, claims: &Claims, member_hourly: i64) -> Identity {
    let asked: Vec<&str> = claims.scope.split(' ').collect();
    let mut narrowed = client.clone();
    narrowed.credential.scopes.retain(|it| asked.contains(&it.as_str()));
    if claims.sid.is_some() {
        narrowed.role = Role::Member;
        narrowed.member = Some(MemberRef::parse(&claims.sub));
        narrowed.credential.owner = format!("member:{}", claims.sub);
        narrowed.quotas =
            vec![Quota::new(client.credential.program_id, Kind::Member, &claims.sub, member_hourly)];
        narrowed.credential.partner_id = None;
        narrowed.credential.delegated = false;
    }
    narrowed
}

/// Who shows a token and a key: the same caller by both, with what both may.
fn both(token: &Identity, key: &Identity) -> Result<Caller, Problem> {
    let who = |it: &Identity| {
        let Credential { program_id, owner, partner_id, .. } = &it.credential;
        (*program_id, owner.clone(), it.role, partner_id.clone(), it.member.clone())
    };
    let same = who(token) == who(key);
    if !same {
        return Err(Problem::unauthorized(
            "The token and the key are not of the same owner.",
            "Bearer realm=\"loyalty\", error=\"invalid_token\"",
        ));
    }
    let mut both = token.clone();
    both.credential.scopes.retain(|it| key.credential.scopes.contains(it));
    both.credential.delegated &= key.credential.delegated;
    both.quotas.extend(key.quotas.iter().filter(|it| !token.quotas.contains(it)));
    Ok(Arc::new(both))
}

/// The bearer token and the key that the request shows.
fn shown(headers: &HeaderMap) -> Result<(Option<&str>, Option<&str>), Problem> {
    let bearer = only(headers, "authorization")?.and_then(|it| it.to_str().ok()).and_then(|it| {
        let (scheme, token) = it.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let key = only(headers, "x-api-key")?.and_then(|it| it.to_str().ok());
    Ok((bearer, key))
}

impl Known {
    fn check_address(&self, peer: Option<Peer>) -> Result<(), Problem> {
        match is_among(&self.addresses, peer) {
            true => Ok(()),
            // As if it were not known: whoever has stolen it learns nothing.
            false => Err(unknown()),
        }
    }

    fn check_mode(&self, has_token: bool, has_key: bool) -> Result<(), Problem> {
        let (is_enough, wanted) = match self.auth_mode {
            AuthMode::Either => (true, ""),
            AuthMode::Token => (has_token, "a token from /oauth/token"),
            AuthMode::Key => (has_key, "its key in X-API-Key"),
            AuthMode::Both => (has_token && has_key, "a token and its key, both"),
        };
        let refused =
            || Problem::unauthorized(&format!("This partner shows {wanted}."), "Bearer realm=\"loyalty\"");
        is_enough.then_some(()).ok_or_else(refused)
    }
}
