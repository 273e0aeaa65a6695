//! The proof service on real parts: a real PostgreSQL, the real sealer, and a real chain where one is asked.

mod check;
mod history;
mod log;
mod maps;
mod page;
mod paths;
mod proofs;
mod receipts;

use std::sync::Arc;

use anchor_worker::{LogKey, Sealed, Sealer};
use api::{Api, Gate, Guard, Operations, Post};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use ingest::Intake;
use proof::{AnchorPlace, Policy};
use serde_json::{Value, json};
use store::{Committer, Credential, CredentialKind, Keyring, LogIdentity, PgPool, ProgramSpec};
use tempfile::TempDir;
use tiles::TileStore;
use tower::ServiceExt;
use uuid::Uuid;

use crate::{Page, ProofService, Trusted};

const MEMBER: &str = "550e8400-e29b-41d4-a716-446655440000";
const OTHER: &str = "550e8400-e29b-41d4-a716-446655440001";
const ORIGIN: &str = "log.test/verifier";
const CHAIN_JSON: &str = r#"{"rpc_url":"http://127.0.0.1:8545"}"#;

/// API and proof service behind one door, with the sealer of their log.
struct World {
    pool: PgPool,
    folder: Arc<TileStore>,
    log: LogIdentity,
    vkey: String,
    sealer: Sealer,
    api: api::Routes,
    router: Router,
    home: TempDir,
    program_id: i16,
}

impl World {
    async fn new() -> Self {
        let server = tokio::task::spawn_blocking(devstack::test_postgres_url).await.unwrap().unwrap();
        let pool = store::connect(&store::test_database(&server).await.unwrap(), 8).await.unwrap();
        let home = TempDir::new().unwrap();
        let key = LogKey::open(&home.path().join("log.key"), ORIGIN).unwrap();
        let (log, vkey) = (key.log(), key.verifier_key().encode());
        let folder = Arc::new(TileStore::open(home.path().join("tiles")).unwrap());
        let keyring = Keyring::new(&[7; 32]);
        let spec = ProgramSpec {
            name: "test".into(),
            enrols: true,
            point_value: "0.10".into(),
            currency: "KES".into(),
            rule_set: br#"{"rates":{"purchase":"1"}}"#.to_vec(),
        };
        let mut conn = pool.acquire().await.unwrap();
        store::ensure_log(&mut conn, &log).await.unwrap();
        let program = store::ensure_program(&mut conn, &keyring, &spec).await.unwrap();
        let program_id = program.program_id;
        let callers = [
            ("duka-key", "duka-shop", Some("duka"), false),
            ("kiosk-key", "kiosk-shop", Some("kiosk"), false),
            ("app-key", "app", None, true),
            // As a development identity has it: a partner's, that may speak for any member.
            ("dev-key", "dev", Some("duka"), true),
            ("member-key", MEMBER, None, false),
        ];
        for (secret, owner, partner, delegated) in callers {
            if let Some(partner) = partner {
                store::ensure_partner(&mut conn, &keyring, program_id, partner).await.unwrap();
            }
            let scopes = ["loyalty:read", "loyalty:redeem", "loyalty:earn"].map(String::from).into();
            let partner_id = partner.map(Into::into);
            let credential = Credential { program_id, owner: owner.into(), scopes, partner_id, delegated };
            store::ensure_credential(&mut conn, &keyring, CredentialKind::ApiKey, secret, &credential)
                .await
                .unwrap();
        }
        drop(conn);
        let (committer, _) = Committer::start(pool.clone(), &log, keyring).await.unwrap();
        let intake = Intake::new(committer.clone(), pool.clone(), program_id);
        let url = "https://loyalty.test";
        let gate = Gate::new(pool.clone(), Arc::new(Keyring::new(&[7; 32])), program_id, url);
        let post = Post::new(Keyring::new(&[7; 32]), Guard::default()).unwrap();
        let api = Api::new(pool.clone(), committer, intake, gate, post, &program, url);
        let sealer = Sealer::new(pool.clone(), Arc::clone(&folder), key);
        let api = api::routes(Arc::new(api));
        let mut world =
            Self { pool, folder, log, vkey, sealer, api, router: Router::new(), home, program_id };
        world.serve(&[]);
        world
    }

    /// Serves under a policy with these places.
    fn serve(&mut self, places: &[AnchorPlace]) {
        let trusted = (self.policy_text(places), self.policy(places));
        self.serve_by(Arc::new(move || trusted.clone()));
    }

    /// Serves under what is trusted at each time.
    fn serve_by(&mut self, policy: Trusted) {
        let page = Page { folder: self.home.path().join("page"), policy, chain: CHAIN_JSON.into() };
        let (pool, log, tiles) = (self.pool.clone(), self.log.clone(), Arc::clone(&self.folder));
        let keyring = Arc::new(Keyring::new(&[7; 32]));
        let gate = Gate::new(pool.clone(), Arc::clone(&keyring), self.program_id, "https://loyalty.test");
        let service = ProofService::new(pool, keyring, log, self.program_id, tiles, gate, page);
        let metrics = api::metrics_builder().unwrap().build_recorder().handle();
        let operations = Operations {
            pool: self.pool.clone(),
            commits: None,
            metrics,
            public_url: "https://loyalty.test".into(),
        };
        self.router = api::complete(self.api.clone().merge(crate::routes(Arc::new(service))), operations);
    }

    fn policy_text(&self, places: &[AnchorPlace]) -> String {
        let mut text = format!("log {}\nquorum none\n", self.vkey);
        for place in places {
            let (contract, registrant) = (hex::encode(place.contract), hex::encode(place.registrant));
            text.push_str(&format!("anchor {} 0x{contract} 0x{registrant}\n", place.chain_id));
        }
        text
    }

    fn policy(&self, places: &[AnchorPlace]) -> Policy {
        Policy::parse(&self.policy_text(places)).unwrap()
    }

    async fn seal(&mut self) -> u64 {
        match self.sealer.seal().await.unwrap() {
            Sealed::Checkpoint { size } => size,
            other => panic!("{other:?}"),
        }
    }

    async fn send(&self, request: Request<Body>) -> Told {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        Told { status: parts.status, headers: parts.headers, bytes }
    }

    async fn get(&self, path: &str) -> Told {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Asks for a receipt with this key, in this member's name where there is one.
    async fn receipt(&self, transaction: Uuid, key: &str, member: &str) -> Told {
        let mut request = Request::get(format!("/v1/receipts/{transaction}")).header("x-api-key", key);
        if !member.is_empty() {
            request = request.header("x-user-id", member);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, body: Value) -> Uuid {
        let request = Request::post(path)
            .header("x-api-key", "dev-key")
            .header("content-type", "application/json")
            .header("x-idempotency-key", Uuid::new_v4().to_string());
        let told = self.send(request.body(Body::from(body.to_string())).unwrap()).await;
        assert_eq!(told.status, 200, "{}", told.text());
        let body: Value = serde_json::from_slice(&told.bytes).unwrap();
        body["transaction_id"].as_str().unwrap().parse().unwrap()
    }

    async fn earn(&self, user: &str, amount: u64) -> Uuid {
        let timestamp = "2025-07-17T14:30:00Z";
        let event = json!({"user_id": user, "type": "purchase", "amount": amount, "timestamp": timestamp,
            "event_id": Uuid::new_v4()});
        self.post("/api/v1/events", event).await
    }

    async fn redeem(&self, points: u64) -> Uuid {
        let body = json!({"points": points, "merchant_reference": "ORDER-7"});
        self.post(&format!("/loyalty/v1/partner/users/{MEMBER}/redeem"), body).await
    }
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
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }

    fn check_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        let body: Value = serde_json::from_slice(&self.bytes).unwrap();
        assert_eq!(body["error"], code);
    }
}
