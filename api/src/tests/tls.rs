//! TLS at the door, and pages of other origins.

use axum::http::HeaderValue;
use reqwest::{Certificate, Client, Method, Version};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::{Tls, for_origins};

/// A certificate for `localhost` that was made a moment ago, and its key, in files.
struct Papers {
    folder: devstack::Scratch,
    root: Certificate,
}

impl Papers {
    fn new() -> Self {
        let folder = devstack::Scratch::new().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let root = Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
        std::fs::write(folder.path().join("certificate.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder, root }
    }

    fn tls(&self) -> Tls {
        let file = |name| self.folder.path().join(name);
        Tls::read(&file("certificate.pem"), &file("key.pem")).unwrap()
    }

    fn client(&self) -> reqwest::ClientBuilder {
        Client::builder().tls_certs_only([self.root.clone()])
    }
}

#[tokio::test]
async fn a_server_with_a_certificate_speaks_tls_and_nothing_else() {
    let (world, papers) = (World::new().await.with_points(10).await, Papers::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = CancellationToken::new();
    let serving =
        tokio::spawn(crate::serve(listener, world.router.clone(), Some(papers.tls()), stop.clone()));
    let url = format!("https://localhost:{port}/loyalty/v1/partner/users/{MEMBER}/balance");
    let ask = async |client: Client| {
        let request = client.get(&url).header("x-api-key", "duka-key").header("x-partner-id", "duka");
        request.send().await
    };
    for (client, version) in
        [(papers.client(), Version::HTTP_2), (papers.client().http1_only(), Version::HTTP_11)]
    {
        let answer = ask(client.build().unwrap()).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
    }
    let stranger = ask(Papers::new().client().build().unwrap()).await;
    assert!(stranger.unwrap_err().is_connect(), "a certificate that nobody vouches for is not believed");
    let mut plain = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    stop.cancel();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_certificate_that_is_of_no_use_is_told_with_its_file() {
    let (one, other) = (Papers::new(), Papers::new());
    let file = |papers: &Papers, name: &str| papers.folder.path().join(name);
    let refused = |certificate: &std::path::Path, key: &std::path::Path| {
        Tls::read(certificate, key).err().expect("it is of no use").to_string()
    };
    let (certificate, key) = (file(&one, "certificate.pem"), file(&one, "key.pem"));
    assert!(refused(&file(&one, "absent.pem"), &key).contains("absent.pem"));
    assert!(refused(&key, &key).contains("key.pem"), "a key is no certificate");
    assert!(refused(&certificate, &certificate).contains("certificate.pem"), "a certificate is no key");
    assert!(refused(&certificate, &file(&other, "key.pem")).contains("cannot be used together"));
}

#[tokio::test]
async fn only_pages_of_named_origins_may_ask() {
    let world = World::new().await.with_points(10).await;
    let router = for_origins(world.router.clone(), &[HeaderValue::from_static("https://app.example")]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1/loyalty/balance", listener.local_addr().unwrap());
    tokio::spawn(crate::serve(listener, router, None, CancellationToken::new()));
    let ask = async |method: Method, origin: &str| {
        let request = Client::new()
            .request(method, &url)
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization");
        request.send().await.unwrap()
    };
    let allowed = |answer: &reqwest::Response| {
        let origin = answer.headers().get("access-control-allow-origin");
        origin.map(|it| it.to_str().unwrap().to_owned())
    };
    let named = ask(Method::OPTIONS, "https://app.example").await;
    assert_eq!((named.status().as_u16(), allowed(&named).as_deref()), (200, Some("https://app.example")));
    assert!(named.headers()["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
    assert_eq!(allowed(&ask(Method::OPTIONS, "https://elsewhere.example").await), None);
    assert!(named.headers()["access-control-allow-headers"].to_str().unwrap().contains("last-event-id"));
    // A refusal can be read by a page, too, and asks for credentials all the same.
    let refused = ask(Method::GET, "https://app.example").await;
    let told = refused.headers()["access-control-expose-headers"].to_str().unwrap();
    assert!(told.contains("idempotent-replayed") && told.contains("retry-after"), "{told}");
    assert_eq!((refused.status().as_u16(), allowed(&refused).as_deref()), (401, Some("https://app.example")));
    assert_eq!(allowed(&ask(Method::GET, "https://elsewhere.example").await), None);
}
