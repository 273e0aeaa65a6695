//! Streams of pages in a browser, which say in the first message who asks; and how many streams there may be.

use std::net::SocketAddr;

use futures::SinkExt;
use tokio::net::TcpSocket;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::streams::{PATIENCE, STREAM, Socket, events, next, open, redeemed, served};
use super::*;
use crate::places::Places;

const OTHER: &str = "550e8400-e29b-41d4-a716-4466554400ff";

impl World {
    /// A world that is served with so many streams, and their places.
    async fn with_streams(limits: StreamLimits) -> (Self, Arc<Places>) {
        let world = Self::new().await.with_points(1000).await;
        let gate =
            Gate::new(world.pool.clone(), Arc::new(Keyring::new(&[7; 32])), world.program_id, PUBLIC_URL);
        let api = Self::api_of(&world.program, gate, &world.pool, &world.committer).with_streams(limits);
        let places = Arc::clone(&api.places);
        let router = Self::served(api, &world.hush);
        (Self { router, ..world }, places)
    }
}

/// Opens a WebSocket without a header and says this first.
async fn say(at: SocketAddr, query: &str, first: impl Into<Message>) -> Socket {
    let mut socket = open(at, query, &[]).await.unwrap();
    socket.send(first.into()).await.unwrap();
    socket
}

fn auth(fields: Value) -> Message {
    let mut message = json!({"type": "auth"});
    message.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Message::text(message.to_string())
}

/// The status with which a request for a WebSocket was refused.
fn status(opened: Result<Socket, Error>) -> u16 {
    match opened {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_says_who_it_is_in_its_first_message_and_is_told_its_own_alone() {
    let world = World::new().await.with_points(1000).await;
    let at = served(&world).await;
    // A sign of life is no first message.
    let mut page = say(at, "", Message::Ping(Vec::new().into())).await;
    page.send(auth(json!({"token": "member-token"}))).await.unwrap();
    assert_eq!(next(&mut page).await, Ok(json!({"type": "stream.opened", "seq": 1})));
    let mut app = say(at, "?resume_from=0", auth(json!({"token": "app-token", "user_id": MEMBER}))).await;
    assert_eq!(next(&mut app).await, Ok(json!({"type": "stream.opened", "seq": 0})));
    let mut partner = say(at, "", auth(json!({"key": "duka-key", "partner_id": "duka"}))).await;
    assert_eq!(next(&mut partner).await.unwrap()["type"], "stream.opened");

    // What happens to another comes first, and is not told to the member.
    assert_eq!(world.send(earn(&json!({"user_id": OTHER, "amount": 5}))).await.status, 200);
    let asked = redeemed(&world, 7).await;
    let told = next(&mut page).await.unwrap();
    assert_eq!((&told["type"], &told["seq"]), (&json!("points.redeemed"), &json!(2)));
    assert_eq!((&told["data"]["user_id"], &told["data"]["transaction_id"]), (&json!(MEMBER), &asked));
    assert_eq!(next(&mut app).await.unwrap()["type"], "points.earned", "from where it wanted");
    assert_eq!(next(&mut app).await, Ok(told));
    assert_eq!(next(&mut partner).await.unwrap()["data"]["transaction_id"], asked);
    // Nobody who is there listens to a second greeting.
    page.send(auth(json!({"token": "app-token", "user_id": OTHER}))).await.unwrap();
    redeemed(&world, 8).await;
    assert_eq!(next(&mut page).await.unwrap()["data"]["user_id"], MEMBER);
    world.hush.cancel();
    assert_eq!(next(&mut page).await, Err(1001));
    world.check_books().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_after_the_first_message_is_told_by_the_code_of_the_close() {
    let world = World::new().await.with_points(10).await;
    let at = served(&world).await;
    let blind = world.key(Role::Partner, "blind", &["loyalty:redeem"]).await;
    let member = json!({"token": "member-token"});
    let cases = [
        ("", Message::text("hello"), 4400),
        ("", Message::text("{}"), 4400),
        ("", Message::binary(auth(member.clone()).into_data()), 4400),
        ("", Message::text(r#"{"type": "hello", "token": "member-token"}"#), 4400),
        ("", auth(json!({"token": "member-token", "password": "x"})), 4400),
        ("", auth(json!({"token": "member\ntoken"})), 4400),
        ("", auth(json!({"token": "app-token"})), 4400),
        ("?resume_from=2", auth(member.clone()), 4400),
        ("", auth(json!({})), 4401),
        ("", auth(json!({"token": "nobody"})), 4401),
        ("", auth(json!({"key": "member-token"})), 4401),
        ("", auth(json!({"key": "duka-key", "token": "member-token"})), 4401),
        ("", auth(json!({"token": "member-token", "user_id": STRANGER})), 4403),
        ("", auth(json!({"key": "duka-key", "partner_id": "kiosk"})), 4403),
        ("", auth(json!({"key": blind})), 4403),
        ("", auth(json!({"token": "app-token", "user_id": STRANGER})), 4404),
    ];
    for (query, first, code) in cases {
        let said = format!("{query} {first}");
        assert_eq!(next(&mut say(at, query, first).await).await, Err(code), "{said}");
    }
    // One that is longer than any credential is not even read.
    let mut long = say(at, "", auth(json!({"token": "x".repeat(20_000)}))).await;
    let answer = tokio::time::timeout(PATIENCE, futures::StreamExt::next(&mut long)).await.unwrap();
    assert!(!matches!(answer, Some(Ok(Message::Text(_)))), "{answer:?}");
    // An address is no place for a secret, and a header that contradicts is not made good by a message.
    for query in ["?token=member-token", "?access_token=member-token"] {
        assert_eq!(status(open(at, query, &[]).await), 400, "{query}");
    }
    assert_eq!(status(open(at, "", &[("x-user-id", MEMBER)]).await), 401);
    assert_eq!(status(open(at, "", &[("x-api-key", "nobody")]).await), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_say_in_time_who_they_are_is_let_go() {
    let limits = StreamLimits { greeting: Duration::from_millis(100), ..PATIENT };
    let (world, _) = World::with_streams(limits).await;
    let at = served(&world).await;
    assert_eq!(next(&mut open(at, "", &[]).await.unwrap()).await, Err(4408));
    // A server that ends waits for nobody's greeting.
    let world = World::new().await;
    let mut waiting = open(served(&world).await, "", &[]).await.unwrap();
    world.hush.cancel();
    assert_eq!(next(&mut waiting).await, Err(1001));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_streams_are_open_than_there_may_be() {
    let limits = StreamLimits { open: 4, of_client: 3, of_member: 2, ..PATIENT };
    let (world, places) = World::with_streams(limits).await;
    let at = served(&world).await;
    let token = [("authorization", "Bearer member-token")];
    let (kiosk, duka) = ([("x-api-key", "kiosk-key")], [("x-api-key", "duka-key")]);
    let mut first = open(at, "", &token).await.unwrap();
    next(&mut first).await.unwrap();
    // Events take a place as a socket does, and an app takes one of the member's.
    let second = events(at, "authorization: Bearer member-token\r\n").await;
    let app = [("authorization", "Bearer app-token"), ("x-user-id", MEMBER)];
    let refused = async |limit: &str| {
        let figures = world.send(Ask::get("/metrics")).await.text();
        figures.contains(&format!("daftari_streams_refused_total{{limit=\"{limit}\"}}"))
    };
    let waits = async || {
        let mut socket = say(at, "", auth(json!({"token": "member-token"}))).await;
        next(&mut socket).await
    };
    // The events' place is taken before their head is answered.
    let mut lines = second;
    assert!(lines.next_line().await.unwrap().unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(status(open(at, "", &token).await), 429);
    assert_eq!(status(open(at, "", &app).await), 429);
    assert_eq!(waits().await, Err(4429));
    assert!(refused("member").await);

    let mut kiosks = Vec::new();
    for _ in 0..2 {
        kiosks.push(open(at, "", &kiosk).await.unwrap());
    }
    assert_eq!(status(open(at, "", &duka).await), 503);
    let mut late = say(at, "", auth(json!({"key": "duka-key"}))).await;
    assert_eq!(next(&mut late).await, Err(1013));
    assert!(refused("process").await);

    // Where one ends, another may begin.
    drop(first);
    tokio::time::timeout(PATIENCE, places.until_open(3)).await.expect("a place is free again");
    kiosks.push(open(at, "", &kiosk).await.unwrap());
    drop(lines);
    tokio::time::timeout(PATIENCE, places.until_open(3)).await.expect("a place is free again");
    // All places but the one are the client's own: it is told of itself, not of the process.
    assert_eq!(status(open(at, "", &kiosk).await), 429);
    assert!(refused("client").await);
    assert!(open(at, "", &duka).await.is_ok());
}

/// A WebSocket from another address of this machine.
async fn open_from(from: &str, at: SocketAddr) -> Result<Socket, Error> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let stream = socket.connect(at).await.unwrap();
    let request = format!("ws://{at}{STREAM}").into_client_request().unwrap();
    client_async(request, stream).await.map(|it| it.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_take_each_others_places_and_nobody_elses() {
    let limits = StreamLimits { strangers: 2, ..PATIENT };
    let (world, _) = World::with_streams(limits).await;
    let at = served(&world).await;
    let mut first = open_from("127.0.0.1", at).await.unwrap();
    assert_eq!(status(open_from("127.0.0.1", at).await), 429, "one in ten from one address");
    let _second = open_from("127.0.0.2", at).await.unwrap();
    assert_eq!(status(open_from("127.0.0.3", at).await), 503);
    assert!(open(at, "", &[("authorization", "Bearer member-token")]).await.is_ok());
    // Whoever has said who they are is no stranger any more.
    first.send(auth(json!({"token": "member-token"}))).await.unwrap();
    assert_eq!(next(&mut first).await.unwrap()["type"], "stream.opened");
    assert!(open_from("127.0.0.1", at).await.is_ok());
}
