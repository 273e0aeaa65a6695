//! What comes over a socket from somebody who means no good, or who is slow.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::serve::{Patience, serve_within};

const LONG: Duration = Duration::from_secs(20);

/// A server of this router, and where it is.
async fn serve(router: Router, patience: Patience) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(serve_within(patience, listener, router, None, CancellationToken::new()));
    address
}

/// All that is answered to these bytes until the server ends the connection.
async fn tell(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may be cut while we are still telling.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.expect("the connection ends");
    String::from_utf8_lossy(&answer).into_owned()
}

fn patient() -> Patience {
    Patience { head: LONG, reader: LONG }
}

#[tokio::test]
async fn what_is_said_twice_or_too_long_is_refused() {
    let world = World::new().await.with_points(10).await;
    let address = serve(world.router.clone(), patient()).await;
    let balance = |headers: &str| {
        format!(
            "GET /loyalty/v1/partner/users/{MEMBER}/balance HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n"
        )
    };
    let check = async |request: &str, status: &str| {
        let told = tell(&address, request.as_bytes()).await;
        let line = told.lines().next().unwrap_or_default();
        assert!(
            line.starts_with(&format!("HTTP/1.1 {status}")),
            "{line:?} for {:?}",
            &request[..request.len().min(300)]
        );
    };
    let good = "x-api-key: duka-key\r\nx-partner-id: duka\r\n";
    check(&balance(good), "200").await;
    // One gateway would have checked the first, another the second.
    check(&balance(&format!("{good}x-partner-id: kiosk\r\n")), "400").await;
    check(&balance(&format!("{good}x-api-key: kiosk-key\r\n")), "400").await;
    check(&balance(&format!("{good}authorization: Bearer a\r\nauthorization: Bearer b\r\n")), "400").await;
    // A body's length in two ways, or in two figures.
    let post = |headers: &str| {
        format!(
            "POST /api/v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n"
        )
    };
    for headers in ["content-length: 5\r\ncontent-length: 6\r\n", "transfer-encoding: chunked, identity\r\n"]
    {
        let told = tell(&address, post(headers).as_bytes()).await;
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 400"), "{headers}: {told}");
        assert!(told.matches("HTTP/1.1 ").count() < 2, "no second request was smuggled in: {told}");
    }
    let both = tell(&address, post("content-length: 4\r\ntransfer-encoding: chunked\r\n").as_bytes()).await;
    assert!(both.matches("HTTP/1.1 ").count() < 2, "no second request was smuggled in: {both}");
    // What is not HTTP at all, or too much of it, is answered with a refusal or with the end of the connection.
    let many: String = (0..100).map(|it| format!("x-{it}: y\r\n")).collect();
    for bad in [
        "GET / HTTP/1.1\r\nhost: x\r\nx-a : b\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nhost: x\r\nx-a: b\r\n c: d\r\n\r\n".to_owned(),
        balance(&format!("{good}{many}")),
        balance(&format!("{good}x-long: {}\r\n", "y".repeat(40_000))),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(70_000)),
    ] {
        let told = tell(&address, bad.as_bytes()).await;
        assert!(
            told.is_empty() || told.starts_with("HTTP/1.1 4"),
            "{told:?} for {:?}",
            &bad[..bad.len().min(300)]
        );
    }
    // No way of writing a path leads round the gate.
    for path in [
        "/api/v1/../v1/keys",
        "/api/v1/%6beys",
        "//api/v1/keys",
        "/api/v1/keys/",
        "/API/v1/keys",
        "/api/v1/keys%00",
        "/api/v1/keys/..%2fkeys",
    ] {
        let told =
            tell(&address, format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
                .await;
        let line = told.lines().next().unwrap_or_default();
        assert!(line.contains(" 401 ") || line.contains(" 404 ") || line.contains(" 405 "), "{path}: {line}");
    }
    world.check_books().await;
}

#[tokio::test]
async fn a_deep_or_endless_body_is_refused() {
    let world = World::new().await;
    let deep = format!("{{\"points\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let told = world.send(Ask { body: deep.into_bytes(), ..redeem(1) }).await;
    told.check_problem(400, "INVALID_REQUEST");
    let told =
        world.send(Ask::post("/api/v1/events", vec![b' '; 2 << 20]).with("x-api-key", "duka-key")).await;
    told.check_problem(413, "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn whoever_is_slow_is_cut() {
    let short = Patience { head: Duration::from_millis(200), reader: Duration::from_millis(200) };
    let big = Router::new().route("/", axum::routing::get(async || vec![0_u8; 64 << 20]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve_within(short, listener, big, None, stop.clone()));
    // A reader who takes the first bytes and no more: a server that is told to stop waits for no longer than the reader may take.
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut bytes = vec![0; 1 << 16];
    stream.read_exact(&mut bytes[..12]).await.unwrap();
    assert_eq!(&bytes[..12], b"HTTP/1.1 200");
    stop.cancel();
    tokio::time::timeout(LONG, server).await.expect("the connection was cut").unwrap().unwrap();
    let mut taken = 0;
    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
        taken += length;
    }
    assert!(taken < 64 << 20, "{taken}");
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut() {
    let short = Patience { head: Duration::from_millis(200), reader: LONG };
    let address = serve(Router::new(), short).await;
    tell(&address, b"GET / HTTP/1.1\r\nhost: ").await;
}

#[tokio::test]
async fn whoever_says_nothing_is_cut() {
    let short = Patience { head: Duration::from_millis(200), reader: LONG };
    let address = serve(Router::new(), short).await;
    tell(&address, b"").await;
}

#[tokio::test]
async fn answers_are_guarded() {
    let world = World::new().await;
    let feed = Ask::get("/api/v1/feed").with("x-api-key", "duka-key");
    for ask in [Ask::get("/health/live"), Ask::get("/nowhere"), Ask::get("/api/v1/keys"), feed] {
        let told = world.send(ask).await;
        assert_eq!(told.header("cache-control"), "no-store", "a cache does not know a key as a credential");
        assert_eq!(told.header("x-content-type-options"), "nosniff");
        assert_eq!(told.header("x-frame-options"), "DENY");
        assert_eq!(told.header("referrer-policy"), "no-referrer");
        assert!(told.header("strict-transport-security").starts_with("max-age="));
        assert_eq!(told.header("server"), "", "what we run is nobody's business");
    }
}
