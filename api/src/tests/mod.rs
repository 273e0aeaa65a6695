//! The API against a real PostgreSQL, asked as its callers ask. After each journey the books are checked.

mod administration;
mod contract;
mod documents;
mod doors;
mod enrolment;
mod events;
mod foreign;
mod greetings;
mod hardening;
mod idempotency;
mod keys;
mod limits;
mod members;
mod operations;
mod outside;
mod properties;
mod proxies;
mod rates;
mod reads;
mod reviews;
mod sandbox;
mod sockets;
mod spends;
mod streams;
mod tls;
mod tokens;
mod told;
mod versions;
mod webhooks;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use ingest::Intake;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use store::{
    Committer, Credential, CredentialKind, Keyring, LogIdentity, PartnerFacts, PgPool, Program, ProgramSpec,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

use crate::stream::PING_GAP;
use crate::{Api, Gate, Guard, Operations, Peer, Post, Role, StreamLimits, metrics_builder};

const MEMBER: &str = "550e8400-e29b-41d4-a716-446655440000";
const STRANGER: &str = "00000000-0000-4000-8000-000000000000";
const KEY: &str = "0198a000-0000-7000-8000-000000000001";
const PUBLIC_URL: &str = "https://loyalty.test";
const RULES: &[u8] = br#"{"rates":{"purchase":"1","airtime":"0.5"}}"#;

/// What is usual, for callers on a machine that does much else.
const PATIENT: StreamLimits = StreamLimits { greeting: Duration::from_secs(3600), ..StreamLimits::USUAL };

/// A program with a partner and its callers, on a database of its own.
struct World {
    pool: PgPool,
    router: Router,
    program_id: i16,
    /// Ends what is told.
    hush: CancellationToken,
    committer: Committer,
    program: Program,
}

/// A program that enrols whoever an event names.
fn spec(name: &str) -> ProgramSpec {
    ProgramSpec {
        name: name.into(),
        enrols: true,
        point_value: "0.10".into(),
        currency: "KES".into(),
        rule_set: RULES.to_vec(),
    }
}

fn metrics() -> PrometheusHandle {
    static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();
    INSTALLED.get_or_init(|| metrics_builder().unwrap().install_recorder().unwrap()).clone()
}

async fn test_database() -> String {
    let server = tokio::task::spawn_blocking(devstack::test_postgres_url).await.unwrap().unwrap();
    store::test_database(&server).await.unwrap()
}

impl World {
    async fn new() -> Self {
        Self::on(&test_database().await, "0.10").await
    }

    async fn pinging(gap: Duration) -> Self {
        Self::begin(&test_database().await, "0.10", gap).await
    }

    async fn worth(point_value: &str) -> Self {
        Self::on(&test_database().await, point_value).await
    }

    async fn on(url: &str, point_value: &str) -> Self {
        Self::begin(url, point_value, PING_GAP).await
    }

    async fn begin(url: &str, point_value: &str, ping_gap: Duration) -> Self {
        let pool = store::connect(url, 8).await.unwrap();
        let keyring = Keyring::new(&[7; 32]);
        let log = LogIdentity { log_id: [1; 32], origin: "log.test".into() };
        let spec = ProgramSpec { point_value: point_value.into(), ..spec("test") };
        let mut conn = pool.acquire().await.unwrap();
        store::ensure_log(&mut conn, &log).await.unwrap();
        let program = store::ensure_program(&mut conn, &keyring, &spec).await.unwrap();
        let program_id = program.program_id;
        for partner in ["duka", "kiosk"] {
            store::ensure_partner(&mut conn, &keyring, program_id, partner).await.unwrap();
        }
        let all = ["loyalty:read", "loyalty:redeem", "loyalty:earn"];
        let callers = [
            (CredentialKind::ApiKey, "duka-key", "duka-shop", Some("duka"), false, &all[..]),
            (CredentialKind::BearerToken, "duka-token", "duka-shop", Some("duka"), false, &all[..]),
            (CredentialKind::ApiKey, "kiosk-key", "kiosk-shop", Some("kiosk"), false, &all[..]),
            (CredentialKind::ApiKey, "reader-key", "reader", Some("duka"), false, &all[..1]),
            (CredentialKind::BearerToken, "app-token", "app", None, true, &all[..]),
            (CredentialKind::BearerToken, "member-token", MEMBER, None, false, &all[..1]),
        ];
        for (kind, secret, owner, partner, delegated, scopes) in callers {
            let credential = Credential {
                program_id,
                owner: owner.into(),
                scopes: scopes.iter().map(|it| it.to_string()).collect(),
                partner_id: partner.map(Into::into),
                delegated,
            };
            store::ensure_credential(&mut conn, &keyring, kind, secret, &credential).await.unwrap();
        }
        drop(conn);
        let (committer, _) = Committer::start(pool.clone(), &log, keyring).await.unwrap();
        let hush = CancellationToken::new();
        let router = Self::serving(&pool, &committer, &program, ping_gap, &hush);
        Self { pool, router, program_id, hush, committer, program }
    }

    fn serving(
        pool: &PgPool,
        committer: &Committer,
        program: &Program,
        ping_gap: Duration,
        hush: &CancellationToken,
    ) -> Router {
        let gate = Gate::new(pool.clone(), Arc::new(Keyring::new(&[7; 32])), program.program_id, PUBLIC_URL);
        Self::behind(gate, pool, committer, program, ping_gap, hush)
    }

    fn behind(
        gate: Gate,
        pool: &PgPool,
        committer: &Committer,
        program: &Program,
        ping_gap: Duration,
        hush: &CancellationToken,
    ) -> Router {
        Self::screened_by(crate::screen::allow, gate, pool, committer, program, ping_gap, hush)
    }

    fn screened_by(
        screen: crate::screen::Rule,
        gate: Gate,
        pool: &PgPool,
        committer: &Committer,
        program: &Program,
        ping_gap: Duration,
        hush: &CancellationToken,
    ) -> Router {
        let mut api = Self::api_of(program, gate, pool, committer);
        api.ping_gap = ping_gap;
        api.screen = screen;
        Self::served(api, hush)
    }

    fn api_of(program: &Program, gate: Gate, pool: &PgPool, committer: &Committer) -> Api {
        let intake = Intake::new(committer.clone(), pool.clone(), program.program_id);
        let post =
            Post::new(Keyring::new(&[7; 32]), Guard::new(vec!["127.0.0.0/8".parse().unwrap()])).unwrap();
        let api = Api::new(pool.clone(), committer.clone(), intake, gate, post, program, PUBLIC_URL);
        api.with_streams(PATIENT)
    }

    fn served(api: Api, hush: &CancellationToken) -> Router {
        let (pool, public_url) = (api.pool.clone(), PUBLIC_URL.to_owned());
        let operations = Operations { pool, commits: None, metrics: metrics(), public_url };
        tokio::spawn(api.telling(hush.clone()));
        crate::router(Arc::new(api), operations)
    }

    /// The same books behind another gate.
    fn with_gate(self, gate: Gate) -> Self {
        let router = Self::behind(gate, &self.pool, &self.committer, &self.program, PING_GAP, &self.hush);
        Self { router, ..self }
    }

    /// The same books, served by another process whose screening has this rule.
    fn screening(&self, rule: crate::screen::Rule) -> Self {
        let (pool, committer, program) = (self.pool.clone(), self.committer.clone(), self.program.clone());
        let gate = Gate::new(pool.clone(), Arc::new(Keyring::new(&[7; 32])), program.program_id, PUBLIC_URL);
        let router = Self::screened_by(rule, gate, &pool, &committer, &program, PING_GAP, &self.hush);
        Self { pool, router, program_id: self.program_id, hush: self.hush.clone(), committer, program }
    }

    /// The same books, served by another process that remembers nothing of what this one was shown.
    fn another_process(&self) -> Self {
        let (pool, committer, program) = (self.pool.clone(), self.committer.clone(), self.program.clone());
        let router = Self::serving(&pool, &committer, &program, PING_GAP, &self.hush);
        Self { pool, router, program_id: self.program_id, hush: self.hush.clone(), committer, program }
    }

    async fn send(&self, ask: Ask) -> Told {
        self.send_from(ask, None).await
    }

    /// Sends it as if it came from there.
    async fn send_from(&self, ask: Ask, peer: Option<Peer>) -> Told {
        let mut request = ask.request();
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        Told { status: parts.status, headers: parts.headers, bytes }
    }

    /// The member has this many points.
    async fn with_points(self, points: i64) -> Self {
        let told = self.send(earn(&json!({"user_id": MEMBER, "amount": points}))).await;
        assert_eq!(told.status, 200, "{}", told.text());
        self
    }

    /// Settles something else for the partner.
    async fn settle_partner(&self, change: impl FnOnce(&mut PartnerFacts)) {
        let mut conn = self.pool.acquire().await.unwrap();
        let mut partner = store::partner(&mut conn, self.program_id, "duka").await.unwrap().unwrap();
        change(&mut partner);
        store::set_partner(&mut conn, self.program_id, &partner).await.unwrap();
    }

    /// The key of a new caller of this role.
    async fn key(&self, role: Role, owner: &str, scopes: &[&str]) -> String {
        let credential = Credential {
            program_id: self.program_id,
            owner: owner.into(),
            scopes: scopes.iter().map(|it| it.to_string()).collect(),
            partner_id: (role == Role::Partner).then(|| "duka".into()),
            delegated: role == Role::Member,
        };
        let new = store::NewKey { credential, role, addresses: vec![], lifetime_s: None };
        let mut conn = self.pool.acquire().await.unwrap();
        store::issue_key(&mut conn, &Keyring::new(&[7; 32]), &new).await.unwrap()
    }

    async fn check_books(&self) -> store::BooksReport {
        store::check_books(&mut self.pool.acquire().await.unwrap()).await.unwrap()
    }
}

/// A request in the making.
#[derive(Clone)]
struct Ask {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Ask {
    fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    fn post(path: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { method: Method::POST, path: path.into(), headers, body: body.into() }
    }

    /// Sets a header in place of what it was; an empty value takes it away.
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(it, _)| *it != name);
        if !value.is_empty() {
            self.headers.push((name, value.to_owned()));
        }
        self
    }

    fn request(self) -> Request<Body> {
        let mut request = Request::builder().method(self.method).uri(self.path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request.body(Body::from(self.body)).unwrap()
    }
}

/// A partner's redemption as the contract has it.
fn redeem(points: i64) -> Ask {
    let body = json!({"points": points, "merchant_reference": "ORDER-7"}).to_string();
    Ask::post(format!("/loyalty/v1/partner/users/{MEMBER}/redeem"), body)
        .with("x-api-key", "duka-key")
        .with("x-idempotency-key", KEY)
}

/// A purchase, with these fields in place of the usual ones.
fn earn(fields: &Value) -> Ask {
    Ask::post("/api/v1/events", purchase(fields).to_string()).with("authorization", "Bearer app-token")
}

fn purchase(fields: &Value) -> Value {
    let mut event = json!({
        "user_id": MEMBER,
        "type": "purchase",
        "amount": 100,
        "timestamp": "2025-07-17T14:30:00Z",
        "event_id": Uuid::new_v4(),
    });
    for (name, value) in fields.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

struct Told {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Told {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }

    /// A failure has all members of both contracts, and they agree with each other and with the status line.
    fn check_problem(&self, status: u16, code: &str) -> Value {
        let body = self.json();
        assert_eq!(self.status, status, "{body}");
        assert_eq!(body["error"], code, "{body}");
        assert_eq!(body["status"], status);
        let slug = code.to_ascii_lowercase().replace('_', "-");
        assert_eq!(body["type"], format!("https://loyalty.test/problems/{slug}"));
        assert_eq!(body["detail"], body["message"]);
        assert!(!body["title"].as_str().unwrap().is_empty());
        let request_id = self.header("x-request-id");
        assert!(Uuid::try_parse(request_id).is_ok());
        assert_eq!(body["request_id"], request_id);
        assert_eq!(body["instance"], format!("urn:request:{request_id}"));
        body
    }

    /// The fields that a 400 complains about, in order.
    fn invalid_fields(&self) -> Vec<String> {
        let body = self.check_problem(400, "INVALID_REQUEST");
        let errors = body["validation_errors"].as_array().unwrap_or_else(|| panic!("{body}"));
        errors
            .iter()
            .inspect(|it| assert!(!it["message"].as_str().unwrap().is_empty()))
            .map(|it| it["field"].as_str().unwrap().to_owned())
            .collect()
    }
}
