//! A partner's way to webhooks: made, verified, told, and told again, on a real server that receives them.

use std::sync::Mutex;

use axum::body::Bytes;
use axum::extract::State;
use notices::webhook::{Checks, Shown};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::*;

const WEBHOOKS: &str = "/api/v1/webhooks";
const PATIENCE: Duration = Duration::from_secs(60);

/// Says challenges again and keeps what it gets.
#[derive(Default)]
pub(super) struct Receiver {
    got: Mutex<Vec<(HeaderMap, Bytes)>>,
    more: Notify,
}

impl Receiver {
    pub(super) async fn start() -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let own = Arc::new(Self::default());
        let router = Router::new().fallback(Self::receive).with_state(own.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (own, url)
    }

    async fn receive(State(own): State<Arc<Self>>, headers: HeaderMap, body: Bytes) -> axum::Json<Value> {
        let said: Value = serde_json::from_slice(&body).unwrap();
        own.got.lock().unwrap().push((headers, body));
        own.more.notify_waiters();
        axum::Json(json!({"challenge": said["data"]["challenge"]}))
    }

    /// The message of this number, once it has come.
    pub(super) async fn message(&self, number: usize) -> (HeaderMap, Bytes) {
        let come = async {
            loop {
                let more = self.more.notified();
                if let Some(it) = self.got.lock().unwrap().get(number) {
                    return it.clone();
                }
                more.await;
            }
        };
        tokio::time::timeout(PATIENCE, come).await.expect("it comes")
    }
}

fn check(message: &(HeaderMap, Bytes), secret: &str) -> Result<(), notices::webhook::Refused> {
    let header = |name: &str| message.0[name].to_str().unwrap();
    let shown = Shown {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signatures: header("webhook-signature"),
        body: &message.1,
    };
    Checks::parse(secret)?.check(shown, time::OffsetDateTime::now_utc().unix_timestamp(), 60)
}

fn ask(method: Method, path: &str, body: &Value) -> Ask {
    Ask { method, ..Ask::post(format!("{WEBHOOKS}{path}"), body.to_string()).with("x-api-key", "duka-key") }
}

fn post(path: &str, body: Value) -> Ask {
    ask(Method::POST, path, &body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_makes_verifies_tests_changes_and_replays_an_endpoint() {
    let world = World::new().await.with_points(1000).await;
    let (receiver, url) = Receiver::start().await;
    let told = world.send(post("", json!({"url": url, "types": ["points.redeemed"]}))).await;
    assert_eq!(told.status, 201, "{}", told.text());
    let made = told.json();
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    assert_eq!(told.header("location"), format!("{WEBHOOKS}/{id}"));
    assert_eq!(made["status"], "unverified");
    let tested = world.send(post(&format!("/{id}/test"), json!({}))).await;
    tested.check_problem(409, "WEBHOOK_NOT_VERIFIED");

    let verified = world.send(post(&format!("/{id}/verification"), json!({}))).await;
    assert_eq!((verified.status.as_u16(), &verified.json()["status"]), (200, &json!("active")));
    assert!(verified.json().get("secret").is_none(), "it was shown once");
    let challenge = receiver.message(0).await;
    assert_eq!(check(&challenge, secret), Ok(()));
    assert!(check(&challenge, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_err());

    let redeemed = world.send(redeem(7)).await.json();
    let message = receiver.message(1).await;
    assert_eq!(check(&message, secret), Ok(()));
    let said: Value = serde_json::from_slice(&message.1).unwrap();
    assert_eq!((&said["type"], &said["data"]["points"]), (&json!("points.redeemed"), &json!(7)));
    assert_eq!(said["data"]["transaction_id"], redeemed["transaction_id"]);
    assert_eq!(world.send(post(&format!("/{id}/test"), json!({}))).await.status, 202);
    let test: Value = serde_json::from_slice(&receiver.message(2).await.1).unwrap();
    assert_eq!(test["type"], "webhook.test");

    let log = format!("/{id}/messages");
    let listed = async {
        loop {
            let page = world.send(ask(Method::GET, &log, &json!({}))).await.json();
            if page["data"].as_array().unwrap().iter().all(|it| it["status"] == "delivered") {
                return page;
            }
        }
    };
    let listed = tokio::time::timeout(PATIENCE, listed).await.unwrap();
    let first = &listed["data"][1];
    assert_eq!(first["id"], message.0["webhook-id"].to_str().unwrap());
    assert_eq!((&first["attempts"], &first["response_status"]), (&json!(1), &json!(200)));
    let one = format!("/{id}/messages/{}/replay", first["id"].as_str().unwrap());
    assert_eq!(world.send(post(&one, json!({}))).await.json()["queued"], 1);
    assert_eq!(receiver.message(3).await.0["webhook-id"], message.0["webhook-id"]);
    let stranger = format!("/{id}/messages/{STRANGER}/replay");
    world.send(post(&stranger, json!({}))).await.check_problem(404, "NOT_FOUND");

    let rotated = world.send(post(&format!("/{id}/secret"), json!({"overlap_seconds": 60}))).await.json();
    let newer = rotated["secret"].as_str().unwrap();
    assert_eq!(world.send(post(&format!("/{id}/test"), json!({}))).await.status, 202);
    let both = receiver.message(4).await;
    assert_eq!((check(&both, secret), check(&both, newer)), (Ok(()), Ok(())));

    let change = ask(Method::PATCH, &format!("/{id}"), &json!({"disabled": true}));
    world.send(change.clone()).await.check_problem(428, "PRECONDITION_REQUIRED");
    world.send(change.clone().with("if-match", "\"1\"")).await.check_problem(412, "PRECONDITION_FAILED");
    let now = world.send(ask(Method::GET, &format!("/{id}"), &json!({}))).await;
    let changed = world.send(change.with("if-match", now.header("etag"))).await;
    assert_eq!(changed.json()["status"], "disabled");
    let delete = ask(Method::DELETE, &format!("/{id}"), &json!({}));
    world.send(delete.clone()).await.check_problem(428, "PRECONDITION_REQUIRED");
    world
        .send(delete.clone().with("if-match", now.header("etag")))
        .await
        .check_problem(412, "PRECONDITION_FAILED");
    assert_eq!(world.send(delete.with("if-match", changed.header("etag"))).await.status, 204);
    world.send(ask(Method::GET, &format!("/{id}"), &json!({}))).await.check_problem(404, "NOT_FOUND");

    // Each change is an act, which tells no secret and of the address the host alone.
    let mut conn = world.pool.acquire().await.unwrap();
    let acts = store::acts(&mut conn, world.program_id, None, 100).await.unwrap();
    let told: Vec<&str> = acts.iter().map(|it| it.deed.action.as_str()).collect();
    let expected =
        ["deleted", "changed", "secret_changed", "verified", "created"].map(|it| format!("webhook.{it}"));
    assert_eq!(told, expected);
    assert!(acts.iter().all(|it| it.actor.as_deref() == Some("partner:duka") && it.deed.subject == id));
    let said = format!("{acts:?}");
    for hidden in [secret, newer, &url] {
        assert!(!said.contains(hidden), "{hidden} in {said}");
    }
    world.check_books().await;
}

#[tokio::test]
async fn an_address_that_changes_on_its_host_is_seen_in_the_act_and_told_by_none() {
    let world = World::new().await;
    let urls = ["/hook?token=first-secret", "/hook?token=other-secret", "?token=first-secret"];
    let urls = urls.map(|it| format!("https://hooks.example{it}"));
    let told = world.send(post("", json!({"url": urls[0]}))).await;
    assert_eq!(told.status, 201, "{}", told.text());
    let path = format!("/{}", told.json()["id"].as_str().unwrap());
    let mut etag = told.header("etag").to_owned();
    for url in [&urls[1], &urls[2], &urls[0]] {
        let changed = ask(Method::PATCH, &path, &json!({"url": url})).with("if-match", &etag);
        let changed = world.send(changed).await;
        assert_eq!(changed.status, 200, "{}", changed.text());
        etag = changed.header("etag").to_owned();
    }
    let mut conn = world.pool.acquire().await.unwrap();
    let mut acts = store::acts(&mut conn, world.program_id, None, 100).await.unwrap();
    acts.reverse();
    let print = |it: &Option<Value>| it.as_ref().unwrap()["url_fingerprint"].as_str().unwrap().to_owned();
    let prints: Vec<String> = acts.iter().map(|it| print(&it.deed.after)).collect();
    assert_eq!(prints.len(), 4);
    assert!(prints[0] != prints[1] && prints[1] != prints[2] && prints[0] != prints[2], "{prints:?}");
    assert_eq!(prints[3], prints[0], "the same address has the same name");
    for (act, before) in acts[1..].iter().zip(&prints) {
        assert_eq!(print(&act.deed.before), *before);
        assert_eq!(act.deed.after.as_ref().unwrap()["host"], "hooks.example");
    }
    let said = format!("{acts:?}");
    for secret in ["first-secret", "other-secret", "token", "/hook"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_its_owners_and_leads_nowhere_inside() {
    let world = World::new().await;
    let inside = [
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "http://example.com/",
        "file:///etc/passwd",
        "x",
    ];
    for url in inside {
        assert_eq!(world.send(post("", json!({"url": url}))).await.invalid_fields(), ["url"], "{url}");
    }
    let told = world.send(post("", json!({"url": "https://example.com/", "types": ["points.rained"]}))).await;
    assert_eq!(told.invalid_fields(), ["types"]);
    let made = world.send(post("", json!({"url": "https://example.com/"}))).await.json();
    let path = format!("/{}", made["id"].as_str().unwrap());
    let others = [
        ask(Method::GET, &path, &json!({})),
        ask(Method::DELETE, &path, &json!({})).with("if-match", "*"),
        ask(Method::PATCH, &path, &json!({})).with("if-match", "*"),
        post(&format!("{path}/secret"), json!({})),
        post(&format!("{path}/verification"), json!({})),
        post(&format!("{path}/replay"), json!({"since": "2026-01-01T00:00:00Z"})),
    ];
    let operator = world.key(Role::Editor, "ops", &["loyalty:read", "loyalty:redeem"]).await;
    for other in others {
        for key in ["kiosk-key", &operator] {
            world.send(other.clone().with("x-api-key", key)).await.check_problem(404, "NOT_FOUND");
        }
    }
    let list = world.send(ask(Method::GET, "", &json!({})).with("x-api-key", "kiosk-key")).await.json();
    assert_eq!(list["data"], json!([]));
    // A dead end says why.
    // Bound, and nobody listens: nor does anybody else meanwhile.
    let silent = tokio::net::TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let dead = format!("http://{}/", silent.local_addr().unwrap());
    let made = world.send(post("", json!({"url": dead}))).await.json();
    let path = format!("/{}/verification", made["id"].as_str().unwrap());
    let problem = world.send(post(&path, json!({}))).await.check_problem(409, "WEBHOOK_NOT_VERIFIED");
    assert!(problem["detail"].as_str().unwrap().contains("could not be asked"), "{problem}");
}
