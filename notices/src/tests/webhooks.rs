//! Messages on their way to a real server, which answers as it is told, over crashes of whoever brings them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use store::{Endpoint, EndpointStatus, Keyring, NewEndpoint};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::webhook::{Checks, Courier, Guard, Pace, Post, Shown};

/// Quick enough for a test; each attempt has its wait.
const SCHEDULE: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(50), Duration::from_millis(50), Duration::from_millis(50)];

/// A message as it came.
#[derive(Clone, Debug)]
struct Got {
    path: String,
    id: String,
    timestamp: String,
    signatures: String,
    bytes: Vec<u8>,
}

impl Got {
    fn body(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    fn check(&self, secret: &str) {
        let Self { id, timestamp, signatures, bytes: body, .. } = self;
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let shown = Shown { id, timestamp, signatures, body };
        assert_eq!(Checks::parse(secret).unwrap().check(shown, now, 60), Ok(()));
    }
}

type Answering = Box<dyn Fn(&Got, usize) -> (u16, Vec<(&'static str, String)>) + Send + Sync>;

/// A server that keeps what it gets, and answers by what it is told and by how much it has got.
struct Receiver {
    url: String,
    got: Mutex<Vec<Got>>,
    answering: Mutex<Answering>,
    more: Notify,
    /// While it stands, nobody is answered.
    is_silent: Mutex<bool>,
}

impl Receiver {
    async fn start() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Arc::new(Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            got: Mutex::default(),
            answering: Mutex::new(Box::new(|_, _| (204, vec![]))),
            more: Notify::new(),
            is_silent: Mutex::new(false),
        });
        let router = Router::new().fallback(Self::receive).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    async fn receive(
        State(own): State<Arc<Self>>,
        uri: axum::http::Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> impl IntoResponse {
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        let got = Got {
            path: uri.path().to_owned(),
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signatures: header("webhook-signature"),
            bytes: body.to_vec(),
        };
        let (status, headers) = {
            let mut all = own.got.lock().unwrap();
            let answer = own.answering.lock().unwrap()(&got, all.len());
            all.push(got);
            answer
        };
        own.more.notify_waiters();
        let is_silent = *own.is_silent.lock().unwrap();
        if is_silent {
            std::future::pending::<()>().await;
        }
        let mut answer = StatusCode::from_u16(status).unwrap().into_response();
        for (name, value) in headers {
            answer.headers_mut().insert(name, value.parse().unwrap());
        }
        answer
    }

    fn answer(&self, answering: impl Fn(&Got, usize) -> u16 + Send + Sync + 'static) {
        *self.answering.lock().unwrap() = Box::new(move |got, count| (answering(got, count), vec![]));
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// Waits until it has got what is asked for.
    async fn until(&self, is_enough: impl Fn(&[Got]) -> bool) -> Vec<Got> {
        let enough = async {
            loop {
                let more = self.more.notified();
                let got = self.got();
                if is_enough(&got) {
                    return got;
                }
                more.await;
            }
        };
        tokio::time::timeout(PATIENCE, enough).await.unwrap_or_else(|_| panic!("it has {:#?}", self.got()))
    }
}

fn post() -> Arc<Post> {
    let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
    Arc::new(Post::new(Keyring::new(&[9; 32]), guard).unwrap())
}

impl World {
    /// One who keeps what it takes for longer than it is away, also on a machine that does much else.
    fn courier(&self) -> JoinHandle<()> {
        self.courier_for(PATIENCE)
    }

    /// One whose endpoints another one takes over so long after its death.
    fn courier_for(&self, lease: Duration) -> JoinHandle<()> {
        let pace = Pace { schedule: &SCHEDULE, lease };
        let courier = Courier::new(self.pool.clone(), self.program_id, post(), pace);
        tokio::spawn(courier.run(CancellationToken::new()))
    }

    /// A verified endpoint of the partner's, and its secret.
    async fn endpoint(&self, partner: Option<&str>, url: &str, types: &[&str]) -> (Endpoint, String) {
        let new = NewEndpoint {
            partner_id: partner.map(str::to_owned),
            url: url.to_owned(),
            types: types.iter().map(|it| it.to_string()).collect(),
            description: String::new(),
            is_asymmetric: url.ends_with("asymmetric"),
        };
        let mut conn = self.pool.acquire().await.unwrap();
        let keyring = Keyring::new(&[9; 32]);
        let made = store::create_endpoint(&mut conn, &keyring, self.program_id, &new).await.unwrap();
        assert!(store::activate_endpoint(&mut conn, self.program_id, &made).await.unwrap());
        let secret = post().secrets(&made).unwrap()[0].shown();
        (made, secret)
    }

    async fn until_nothing_is_due(&self, endpoint: Uuid) {
        let settled = async {
            let mut conn = self.pool.acquire().await.unwrap();
            while store::deliveries(&mut conn, endpoint, None, 100).await.unwrap().iter().any(|it| it.is_due)
            {
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.unwrap();
    }

    async fn now(&self, partner: Option<&str>, id: Uuid) -> Endpoint {
        let mut conn = self.pool.acquire().await.unwrap();
        store::endpoint(&mut conn, self.program_id, partner, id).await.unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_endpoint_is_told_in_order_what_it_asked_for_and_can_check_it() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let amina = member(1);
    world.earn(amina, 1000).await;
    let all = world.endpoint(Some("duka"), &format!("{}/all", receiver.url), &[]).await;
    let some = world.endpoint(Some("duka"), &format!("{}/asymmetric", receiver.url), &["points.held"]).await;
    world.endpoint(Some("kiosk"), &format!("{}/kiosk", receiver.url), &[]).await;
    let operator = world.endpoint(None, &format!("{}/operator", receiver.url), &["points.earned"]).await;
    assert!(all.1.starts_with("whsec_") && some.1.starts_with("whpk_"));
    let mut asked = Vec::new();
    for points in 1..=10 {
        asked.push(world.redeem(amina, points, "duka").await);
    }
    asked.push(world.hold(amina, 5, "duka").await);
    world.earn(amina, 3).await;
    let couriers = [world.courier(), world.courier()];
    let got = receiver.until(|it| 13 <= it.len()).await;
    let to = |path: &str| got.iter().filter(|it| it.path == path).cloned().collect::<Vec<_>>();
    let ids =
        |got: &[Got]| got.iter().map(|it| it.body()["data"]["transaction_id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&to("/all")), asked.iter().map(|it| json!(it)).collect::<Vec<_>>());
    assert_eq!(ids(&to("/asymmetric")), [json!(asked[10])]);
    assert_eq!(to("/kiosk").len(), 0, "another partner's are not theirs");
    assert_eq!(to("/operator").len(), 1, "what was before it was there is not told to it");
    to("/all").iter().for_each(|it| it.check(&all.1));
    to("/asymmetric").iter().for_each(|it| it.check(&some.1));
    to("/operator").iter().for_each(|it| it.check(&operator.1));
    let body = to("/all")[0].body();
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["data", "timestamp", "type"]);
    assert_eq!((&body["type"], &body["data"]["sequence"]), (&json!("points.redeemed"), &json!(2)));
    couriers.iter().for_each(JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_tried_again_under_its_id_and_keeps_its_place_and_holds_up_nobody_else() {
    let world = World::new().await;
    let (bad, good) = (Receiver::start().await, Receiver::start().await);
    let amina = member(1);
    world.earn(amina, 1000).await;
    let (failing, secret) = world.endpoint(Some("duka"), &bad.url, &[]).await;
    world.endpoint(Some("duka"), &good.url, &[]).await;
    bad.answer(|_, count| if count < 2 { 500 } else { 200 });
    for points in 1..=3 {
        world.redeem(amina, points, "duka").await;
    }
    let courier = world.courier();
    good.until(|it| it.len() == 3).await;
    let got = bad.until(|it| it.len() == 5).await;
    let ids: Vec<&str> = got.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids[..3], [ids[0]; 3], "the same until it has arrived");
    assert!(ids[0] != ids[3] && ids[3] != ids[4] && ids[0].starts_with("msg_"));
    assert_eq!(got[0].bytes, got[2].bytes);
    got.iter().for_each(|it| it.check(&secret));

    // A message that is never taken is given up after the last attempt, and the next one has its turn.
    let failed = bad.got().len();
    bad.answer(move |_, count| if count < failed + 4 { 503 } else { 200 });
    let lost = world.redeem(amina, 4, "duka").await;
    world.redeem(amina, 5, "duka").await;
    let got = bad.until(|it| it.len() == failed + 5).await;
    assert!(got[failed..failed + 4].iter().all(|it| it.body()["data"]["transaction_id"] == json!(lost)));
    assert_eq!(got[failed + 4].body()["data"]["points"], 5);

    world.until_nothing_is_due(failing.endpoint_id).await;
    // It is on the list, and goes out again when its owner asks.
    let mut conn = world.pool.acquire().await.unwrap();
    let list = store::deliveries(&mut conn, failing.endpoint_id, None, 10).await.unwrap();
    let given_up: Vec<_> = list.iter().filter(|it| it.status == Some(503)).collect();
    assert_eq!((given_up.len(), given_up[0].attempts, given_up[0].is_due), (1, 4, false));
    let id = Some(given_up[0].message.message_id);
    let every = (0, i64::MAX);
    assert_eq!(store::replay_messages(&mut conn, failing.endpoint_id, id, every).await.unwrap(), 1);
    let again = bad.until(|it| it.len() == failed + 6).await.pop().unwrap();
    assert_eq!(again.id, got[failed].id);
    world.until_nothing_is_due(failing.endpoint_id).await;
    assert_eq!(store::replay_messages(&mut conn, failing.endpoint_id, None, every).await.unwrap(), 5);
    let range = bad.until(|it| it.len() == failed + 11).await;
    let points = range[failed + 6..].iter().map(|it| it.body()["data"]["points"].as_i64().unwrap());
    assert_eq!(points.collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    courier.abort();
}

/// Also more than are forgotten at once.
#[tokio::test(flavor = "multi_thread")]
async fn old_messages_are_forgotten_until_none_is_left() {
    let world = World::new().await;
    let (endpoint, _) = world.endpoint(Some("duka"), "https://duka.example/told", &[]).await;
    let mut conn = world.pool.acquire().await.unwrap();
    let made = format!(
        "insert into webhook_message (endpoint_id, message_id, type, created_at)
         select '{}', gen_random_uuid(), 'webhook.test',
             now() - case when number <= 3 then interval '29 days' else interval '31 days' end
         from generate_series(1, 2503) as number",
        endpoint.endpoint_id
    );
    store::tamper(&mut conn, &made).await.unwrap();
    let courier = world.courier();
    let forgotten = async {
        while store::deliveries(&mut conn, endpoint.endpoint_id, None, 100).await.unwrap().len() != 3 {}
    };
    tokio::time::timeout(PATIENCE, forgotten).await.unwrap();
    courier.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_disabled_and_a_redirect_is_a_failure() {
    let world = World::new().await;
    let (gone, moved, elsewhere) =
        (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let amina = member(1);
    world.earn(amina, 1000).await;
    let (endpoint, _) = world.endpoint(Some("duka"), &gone.url, &[]).await;
    world.endpoint(Some("duka"), &moved.url, &[]).await;
    gone.answer(|_, _| 410);
    let target = elsewhere.url.clone();
    *moved.answering.lock().unwrap() = Box::new(move |_, _| (307, vec![("location", target.clone())]));
    world.redeem(amina, 1, "duka").await;
    let courier = world.courier();
    moved.until(|it| it.len() == SCHEDULE.len()).await;
    assert_eq!(elsewhere.got().len(), 0, "nobody is sent on");
    let is_disabled = async {
        loop {
            let now = world.now(Some("duka"), endpoint.endpoint_id).await;
            if now.status() == EndpointStatus::Disabled {
                return now;
            }
        }
    };
    let disabled = tokio::time::timeout(PATIENCE, is_disabled).await.unwrap();
    assert_eq!(disabled.disabled_because.as_deref(), Some("it answered 410 Gone"));
    assert_eq!(gone.got().len(), 1);
    courier.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn couriers_that_are_killed_in_the_middle_lose_nothing() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let amina = member(1);
    world.earn(amina, 10_000).await;
    let (_, secret) = world.endpoint(Some("duka"), &receiver.url, &[]).await;
    let mut asked = Vec::new();
    for _ in 0..3 {
        for points in 1..=5 {
            asked.push(json!(world.redeem(amina, points, "duka").await));
        }
        // It has arrived, and whoever brought it dies before they hear so.
        let before = receiver.got().len();
        *receiver.is_silent.lock().unwrap() = true;
        let courier = world.courier_for(Duration::from_secs(1));
        receiver.until(|it| before < it.len()).await;
        courier.abort();
        let _ = courier.await;
        *receiver.is_silent.lock().unwrap() = false;
        let next = world.courier_for(Duration::from_secs(1));
        let all = asked.clone();
        receiver
            .until(move |it| it.iter().any(|it| it.body()["data"]["transaction_id"] == *all.last().unwrap()))
            .await;
        next.abort();
        let _ = next.await;
    }
    let got = receiver.got();
    got.iter().for_each(|it| it.check(&secret));
    let mut told: Vec<(String, Value)> = Vec::new();
    for one in &got {
        let it = (one.id.clone(), one.body()["data"]["transaction_id"].clone());
        if !told.contains(&it) {
            told.push(it);
        }
    }
    let transactions: Vec<Value> = told.into_iter().map(|it| it.1).collect();
    assert_eq!(transactions, asked, "each is told in order, and under one id however often");
    assert!(asked.len() < got.len(), "what was not heard of was told again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_answered_by_who_wants_to_be_told_and_two_secrets_sign_while_one_is_changed() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    world.earn(member(1), 100).await;
    let (endpoint, old) = world.endpoint(Some("duka"), &receiver.url, &[]).await;
    let refused = post().challenge(&endpoint).await.unwrap().unwrap_err();
    assert!(refused.contains("challenge"), "204 says nothing: {refused}");
    let inside = Post::new(Keyring::new(&[9; 32]), Guard::default()).unwrap();
    let refused = inside.challenge(&endpoint).await.unwrap().unwrap_err();
    assert!(refused.contains("127.0.0.1"), "{refused}");
    assert_eq!(receiver.got().len(), 1, "the guard lets nothing through to where it must not go");

    let mut conn = world.pool.acquire().await.unwrap();
    store::rotate_secret(&mut conn, &Keyring::new(&[9; 32]), endpoint.endpoint_id, 3600).await.unwrap();
    let changed = world.now(Some("duka"), endpoint.endpoint_id).await;
    let new = post().secrets(&changed).unwrap()[0].shown();
    assert_ne!(old, new);
    let courier = world.courier();
    store::queue_test(&mut conn, endpoint.endpoint_id, "webhook.test").await.unwrap();
    let got = receiver.until(|it| it.len() == 2).await.pop().unwrap();
    assert_eq!(got.body()["type"], "webhook.test");
    got.check(&old);
    got.check(&new);
    store::rotate_secret(&mut conn, &Keyring::new(&[9; 32]), endpoint.endpoint_id, 0).await.unwrap();
    let changed = world.now(Some("duka"), endpoint.endpoint_id).await;
    assert_eq!(post().secrets(&changed).unwrap().len(), 1, "the one before has ended");
    courier.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_many_endpoints_leaves_room_for_others() {
    let world = World::new().await;
    let mut conn = world.pool.acquire().await.unwrap();
    let mut dukas = Vec::new();
    for (number, partner) in ["duka"; 6].into_iter().chain(["kiosk"]).enumerate() {
        let url = format!("https://{partner}.example/{number}");
        let (endpoint, _) = world.endpoint(Some(partner), &url, &[]).await;
        store::queue_test(&mut conn, endpoint.endpoint_id, "webhook.test").await.unwrap();
        dukas.extend((partner == "duka").then_some(endpoint.endpoint_id));
    }
    let mut taken = Vec::new();
    while let Some(lease) = store::lease_endpoint(&mut conn, world.program_id, PATIENCE).await.unwrap() {
        taken.push(lease);
    }
    let of_duka: Vec<_> = taken.iter().filter(|it| dukas.contains(&it.endpoint_id)).collect();
    assert_eq!((of_duka.len(), taken.len()), (4, 5), "nobody has all who deliver to themselves");
    store::release_endpoint(&mut conn, of_duka[0]).await.unwrap();
    let next = store::lease_endpoint(&mut conn, world.program_id, PATIENCE).await.unwrap();
    assert!(next.is_some_and(|it| dukas.contains(&it.endpoint_id)), "the next one has its turn");
    assert_eq!(store::lease_endpoint(&mut conn, world.program_id, PATIENCE).await.unwrap(), None);
}
