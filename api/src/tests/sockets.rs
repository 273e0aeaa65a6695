//! On a real socket: connections that stay, and an end that loses nothing.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn head(body: &str) -> String {
    format!(
        "POST /loyalty/v1/partner/users/{MEMBER}/redeem HTTP/1.1\r\nhost: x\r\nx-api-key: duka-key\r\n\
         x-idempotency-key: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        Uuid::new_v4(),
        body.len()
    )
}

/// Reads one answer, as far as its content length.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|it| it.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return text;
            }
        }
        let mut more = [0; 4096];
        let length = tokio::time::timeout(PATIENCE, stream.read(&mut more)).await.unwrap().unwrap();
        assert_ne!(length, 0, "the connection ended after {text:?}");
        bytes.extend_from_slice(&more[..length]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_answers_what_it_has_begun() {
    let world = World::new().await.with_points(100).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let server = tokio::spawn(crate::serve(listener, world.router.clone(), None, stop.clone()));

    let body = r#"{"points":5,"merchant_reference":"a"}"#;
    let mut kept = TcpStream::connect(address).await.unwrap();
    let mut idle = TcpStream::connect(address).await.unwrap();
    for _ in 0..3 {
        kept.write_all(format!("{}{body}", head(body)).as_bytes()).await.unwrap();
        assert!(answer(&mut kept).await.starts_with("HTTP/1.1 200"), "one connection serves many requests");
    }
    idle.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    answer(&mut idle).await;

    // The head is there, the body is not: the request has begun once the body is asked for.
    let expecting = head(body).replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
    kept.write_all(expecting.as_bytes()).await.unwrap();
    let mut goes_on = *b"HTTP/1.1 ??? Continue\r\n\r\n";
    tokio::time::timeout(PATIENCE, kept.read_exact(&mut goes_on)).await.unwrap().unwrap();
    assert_eq!(&goes_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    kept.write_all(&body.as_bytes()[..3]).await.unwrap();
    stop.cancel();
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, idle.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(!server.is_finished(), "it waits for what has begun");
    kept.write_all(&body.as_bytes()[3..]).await.unwrap();
    let last = answer(&mut kept).await;
    assert!(last.starts_with("HTTP/1.1 200") && last.contains("\"new_balance\":80"), "{last}");
    tokio::time::timeout(PATIENCE, server).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    assert_eq!(world.check_books().await.leaves, 5);
}
