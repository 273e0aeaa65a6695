//! Members of another issuer, whose keys are fetched over HTTP from where the operator said.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Json;
use axum::routing::get;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};

use super::*;
use crate::Outside;

const ISSUER: &str = "https://id.operator.test";
const PKCS8_ED25519: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// Another operator's issuer: a key, and an address where its public half is to be had.
struct Issuer {
    key: EncodingKey,
    public: Jwk,
    url: String,
    fetched: Arc<AtomicUsize>,
}

impl Issuer {
    async fn new() -> Self {
        let key = EncodingKey::from_ed_der(&[&PKCS8_ED25519[..], &[42; 32]].concat());
        let mut public = Jwk::from_encoding_key(&key, Algorithm::EdDSA).unwrap();
        public.common.key_id = Some("k1".into());
        let (keys, fetched) = (JwkSet { keys: vec![public.clone()] }, Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&fetched);
        let serve = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let keys = keys.clone();
            async move { Json(keys) }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let router = Router::new().route("/keys", get(serve));
        tokio::spawn(crate::serve(listener, router, None, CancellationToken::new()));
        Self { key, public, url, fetched }
    }

    fn sign(&self, header: &Header, claims: &Value) -> String {
        format!("Bearer {}", jsonwebtoken::encode(header, claims, &self.key).unwrap())
    }
}

fn header() -> Header {
    Header { kid: Some("k1".into()), ..Header::new(Algorithm::EdDSA) }
}

#[tokio::test]
async fn a_member_of_another_issuer_is_who_it_says_and_nobody_else() {
    let world = World::new().await.with_points(10).await;
    let issuer = Issuer::new().await;
    let outside = Outside::new(ISSUER, "loyalty", &issuer.url).unwrap();
    let keyring = Arc::new(Keyring::new(&[7; 32]));
    let us = "https://loyalty.test";
    let gate = Gate::trusting(world.pool.clone(), keyring, world.program_id, us, Some(outside));
    let world = world.with_gate(gate);
    let now_s = store::clock_us(&mut world.pool.acquire().await.unwrap()).await.unwrap() / 1_000_000;
    let claims = |fields: Value| {
        let mut claims = json!({"iss": ISSUER, "aud": "loyalty", "sub": MEMBER, "exp": now_s + 60});
        for (name, value) in fields.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    let ask = Ask::get("/api/v1/loyalty/balance");
    let good = issuer.sign(&header(), &claims(json!({})));
    let told = world.send(ask.clone().with("authorization", &good)).await;
    assert_eq!((told.status.as_u16(), &told.json()["current_balance"]), (200, &json!(10)), "{}", told.text());
    let named = ask.clone().with("authorization", &good).with("x-user-id", STRANGER);
    world.send(named).await.check_problem(403, "FORBIDDEN");
    let unknown = issuer.sign(&header(), &claims(json!({"sub": "nobody-here"})));
    world.send(ask.clone().with("authorization", &unknown)).await.check_problem(404, "USER_NOT_FOUND");

    let refused = async |token: String| {
        let told = world.send(ask.clone().with("authorization", &token)).await;
        told.check_problem(401, "UNAUTHORIZED");
    };
    for fields in [
        json!({"aud": "another"}),
        json!({"aud": null}),
        json!({"exp": now_s - 1}),
        json!({"exp": null}),
        json!({"nbf": now_s + 3600}),
        json!({"sub": ""}),
        json!({"sub": "x".repeat(201)}),
        json!({"iss": "https://loyalty.test"}),
    ] {
        refused(issuer.sign(&header(), &claims(fields))).await;
    }
    refused(issuer.sign(&Header { kid: None, ..header() }, &claims(json!({})))).await;
    refused(issuer.sign(&Header { crit: Some(vec!["b64".into()]), ..header() }, &claims(json!({})))).await;
    // The public key as the secret of an HMAC, and a key that nobody has published.
    let secret = serde_json::to_value(&issuer.public).unwrap()["x"].as_str().unwrap().to_owned();
    let forger = Issuer { key: EncodingKey::from_secret(secret.as_bytes()), ..Issuer::new().await };
    refused(
        forger.sign(&Header { kid: Some("k1".into()), ..Header::new(Algorithm::HS256) }, &claims(json!({}))),
    )
    .await;
    let forger =
        Issuer { key: EncodingKey::from_ed_der(&[&PKCS8_ED25519[..], &[43; 32]].concat()), ..forger };
    refused(forger.sign(&header(), &claims(json!({})))).await;
    // Names of keys that are not there do not make us ask for each.
    let before = issuer.fetched.load(Ordering::Relaxed);
    for name in 0..20 {
        let header = Header { kid: Some(format!("unknown-{name}")), ..header() };
        refused(issuer.sign(&header, &claims(json!({})))).await;
    }
    assert!(issuer.fetched.load(Ordering::Relaxed) <= before + 1);
}
