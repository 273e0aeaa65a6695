//! Notices over real sockets: both transports say the same, cut and resumed, and end when they must.

use std::net::SocketAddr;

use axum::http::HeaderValue;
use futures::StreamExt;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::*;

pub(super) const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const STREAM: &str = "/api/v1/loyalty/stream";

pub(super) async fn served(world: &World) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(crate::serve(listener, world.router.clone(), None, world.hush.clone()));
    address
}

pub(super) type Socket = WebSocketStream<TcpStream>;

pub(super) async fn open(
    at: SocketAddr,
    query: &str,
    headers: &[(&'static str, &str)],
) -> Result<Socket, Error> {
    let mut request = format!("ws://{at}{STREAM}{query}").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let stream = TcpStream::connect(at).await.unwrap();
    client_async(request, stream).await.map(|it| it.0)
}

/// The next notice on the socket, or the code that it was closed with.
pub(super) async fn next(socket: &mut Socket) -> Result<Value, u16> {
    loop {
        let frame = tokio::time::timeout(PATIENCE, socket.next()).await.expect("something comes");
        match frame.expect("a close comes before the end").unwrap() {
            Message::Text(text) => return Ok(serde_json::from_str(&text).unwrap()),
            Message::Close(frame) => return Err(frame.map_or(0, |it| it.code.into())),
            _ => {}
        }
    }
}

pub(super) async fn events(at: SocketAddr, headers: &str) -> Lines<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let head = format!("GET {STREAM} HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    BufReader::new(stream).lines()
}

/// The next server-sent event: its id and what it says. None when the stream has ended.
async fn next_event(lines: &mut Lines<BufReader<TcpStream>>) -> Option<(u64, Value)> {
    let mut id = None;
    loop {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("something comes");
        let line = line.ok()??;
        if line == "0" {
            // The last chunk.
            return None;
        }
        if let Some(text) = line.strip_prefix("id: ") {
            id = text.parse().ok();
        }
        if let Some(data) = line.strip_prefix("data: ") {
            return Some((id.unwrap(), serde_json::from_str(data).unwrap()));
        }
    }
}

pub(super) async fn redeemed(world: &World, points: i64) -> Value {
    let told = world.send(redeem(points).with("x-idempotency-key", &Uuid::new_v4().to_string())).await;
    assert_eq!(told.status, 200, "{}", told.text());
    told.json()["transaction_id"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_sockets_and_a_stream_of_events_say_the_same_in_one_order() {
    let world = World::new().await.with_points(1000).await;
    let at = served(&world).await;
    let token = [("authorization", "Bearer member-token")];
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let mut socket = open(at, "", &token).await.unwrap();
        assert_eq!(next(&mut socket).await, Ok(json!({"type": "stream.opened", "seq": 1})));
        sockets.push(socket);
    }
    let mut lines = events(at, "authorization: Bearer member-token\r\n").await;
    assert_eq!(next_event(&mut lines).await.unwrap().1["type"], "stream.opened");
    let mut partner = open(at, "", &[("x-api-key", "duka-key")]).await.unwrap();
    let mut other = open(at, "?resume_from=0", &[("x-api-key", "kiosk-key")]).await.unwrap();
    assert_eq!(next(&mut partner).await, Ok(json!({"type": "stream.opened", "seq": 1})));
    next(&mut other).await.unwrap();
    let mut asked = Vec::new();
    for points in 1..=5 {
        asked.push(redeemed(&world, points).await);
    }
    let mut told = Vec::new();
    for seq in 2..=6 {
        told.push(next(&mut sockets[0]).await.unwrap());
        let notice = told.last().unwrap();
        assert_eq!((&notice["seq"], &notice["type"]), (&json!(seq), &json!("points.redeemed")));
        assert_eq!(next_event(&mut lines).await.unwrap(), (seq, notice.clone()));
        let of_partner = next(&mut partner).await.unwrap();
        assert_eq!(of_partner["data"]["transaction_id"], notice["data"]["transaction_id"]);
    }
    let ids: Vec<_> = told.iter().map(|it| it["data"]["transaction_id"].clone()).collect();
    assert_eq!(ids, asked);
    // Transaction, delta, reason and context, as an app shows them.
    let data = &told[0]["data"];
    assert_eq!((&data["change"]["available"], &data["balance"]["available"]), (&json!(-1), &json!(999)));
    assert_eq!((&data["merchant_reference"], &data["partner_id"]), (&json!("ORDER-7"), &json!("duka")));
    assert_eq!(data["value"], json!({"amount": "0.10", "currency": "KES"}));
    for socket in &mut sockets[1..] {
        for notice in &told {
            assert_eq!(next(socket).await.as_ref(), Ok(notice));
        }
    }
    // Another partner was told nothing, and is told that the server ends.
    world.hush.cancel();
    assert_eq!(next(&mut other).await, Err(1001));
    assert_eq!(next_event(&mut lines).await, None);
    world.check_books().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_where_it_was_cut_and_the_feed_has_the_same() {
    let world = World::new().await.with_points(1000).await;
    let at = served(&world).await;
    let token = [("authorization", "Bearer member-token")];
    let mut socket = open(at, "", &token).await.unwrap();
    next(&mut socket).await.unwrap();
    redeemed(&world, 1).await;
    let mut told = vec![next(&mut socket).await.unwrap()];
    drop(socket);
    redeemed(&world, 2).await;
    redeemed(&world, 3).await;
    let mut lines = events(at, "authorization: Bearer member-token\r\nlast-event-id: 2\r\n").await;
    assert_eq!(next_event(&mut lines).await.unwrap(), (2, json!({"type": "stream.opened", "seq": 2})));
    told.push(next_event(&mut lines).await.unwrap().1);
    drop(lines);
    let mut socket = open(at, "?resume_from=3", &token).await.unwrap();
    next(&mut socket).await.unwrap();
    told.push(next(&mut socket).await.unwrap());
    redeemed(&world, 4).await;
    told.push(next(&mut socket).await.unwrap());

    let (mut fed, mut cursor) = (Vec::new(), "0".to_owned());
    loop {
        let ask = Ask::get(format!("/api/v1/feed?limit=2&cursor={cursor}"));
        let page = world.send(ask.with("authorization", "Bearer member-token")).await.json();
        fed.extend(page["data"].as_array().unwrap().clone());
        cursor = page["next_cursor"].as_str().unwrap().to_owned();
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(fed[1..], told, "without the earning, which was before");
    assert_eq!(cursor, "5");
    let ask = Ask::get("/api/v1/feed").with("x-api-key", "kiosk-key");
    assert_eq!(world.send(ask).await.json()["data"], json!([]), "another partner's feed");
    let viewer = world.key(Role::Viewer, "ops", &["loyalty:read"]).await;
    let all = world.send(Ask::get("/api/v1/feed").with("x-api-key", &viewer)).await.json();
    assert_eq!(all["data"].as_array().unwrap().len(), 5);
    assert!(all["data"][4]["data"]["entries"].as_array().unwrap().len() == 2);
    world.check_books().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_refused_like_any_other_path() {
    let world = World::new().await.with_points(10).await;
    let at = served(&world).await;
    let token = ("authorization", "Bearer member-token");
    let status = |error: Error| match error {
        Error::Http(response) => response.status().as_u16(),
        other => panic!("{other}"),
    };
    assert_eq!(status(open(at, "", &[("authorization", "Bearer nobody")]).await.unwrap_err()), 401);
    assert_eq!(status(open(at, "", &[token, ("x-user-id", STRANGER)]).await.unwrap_err()), 403);
    let app = ("authorization", "Bearer app-token");
    assert_eq!(status(open(at, "", &[app, ("x-user-id", STRANGER)]).await.unwrap_err()), 404);
    assert_eq!(status(open(at, "", &[app]).await.unwrap_err()), 400);
    assert_eq!(
        status(open(at, "?resume_from=2", &[token]).await.unwrap_err()),
        400,
        "nobody was told so much"
    );
    assert_eq!(status(open(at, "?resume_from=x", &[token]).await.unwrap_err()), 400);
    assert!(open(at, "?resume_from=1", &[token]).await.is_ok());
    let told = world.send(Ask::get(STREAM).with("authorization", "Bearer member-token")).await;
    assert_eq!(told.invalid_fields(), ["Accept"]);
    // Only a WebSocket has a first message: events are for whoever shows a credential.
    world.send(Ask::get(STREAM).with("accept", "text/event-stream")).await.check_problem(401, "UNAUTHORIZED");
    let other = Ask::get(STREAM).with("upgrade", "h2c").with("connection", "upgrade");
    world.send(other).await.check_problem(401, "UNAUTHORIZED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_closes_when_its_credential_ends_and_when_nobody_is_there() {
    // Whoever is not there for as long is let go: so long nobody may be kept from reading who is.
    let world = World::pinging(Duration::from_secs(4)).await.with_points(10).await;
    let at = served(&world).await;
    let key = world.key(Role::Partner, "leaver", &["loyalty:read"]).await;
    let mut socket = open(at, "", &[("x-api-key", &key)]).await.unwrap();
    next(&mut socket).await.unwrap();
    let mut lines = events(at, &format!("x-api-key: {key}\r\n")).await;
    next_event(&mut lines).await.unwrap();
    let mut conn = world.pool.acquire().await.unwrap();
    let keys = store::keys(&mut conn, world.program_id, None, 100).await.unwrap();
    let id = &keys.iter().find(|it| it.owner == "leaver").unwrap().key_id;
    assert!(store::revoke_key(&mut conn, world.program_id, id).await.unwrap());
    assert_eq!(next(&mut socket).await, Err(4401));
    assert_eq!(next_event(&mut lines).await, None);

    // One that answers no ping is let go, without a word.
    let silent = open(at, "", &[("authorization", "Bearer member-token")]).await.unwrap();
    let mut stream = silent.into_inner();
    let gone = async {
        let mut bytes = [0; 256];
        while let Ok(1..) = tokio::io::AsyncReadExt::read(&mut stream, &mut bytes).await {}
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it is closed");
}
