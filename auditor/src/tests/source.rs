//! The same log behind an address, as a plain file server serves it.

use std::path::PathBuf;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;

use super::forger::Forger;
use crate::{Finding, Source, SourceError};

/// Serves a folder's files, and nothing else.
async fn serve(folder: PathBuf) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let files = Router::new().fallback(async move |request: Request| {
        let path = folder.join(request.uri().path().trim_start_matches('/'));
        match tokio::fs::read(path).await {
            Ok(bytes) => bytes.into_response(),
            Err(_) => StatusCode::NOT_FOUND.into_response(),
        }
    });
    tokio::spawn(async move { axum::serve(listener, files).await });
    address
}

#[tokio::test]
async fn a_log_behind_a_plain_file_server_is_audited_and_followed() {
    let mut log = Forger::honest(600);
    let source = Source::at(&serve(log.path("")).await).unwrap();
    let (mut audit, mut monitor) = (log.auditing(), log.monitor());
    (audit.source, monitor.source) = (source.clone(), source);
    assert_eq!(audit.run(|_, _| {}).await.unwrap().findings, []);
    assert_eq!(monitor.look(1).await.unwrap().findings, []);
    // Where a partial tile is gone, the full one serves.
    log.grow(200);
    let early = log.note();
    log.grow(300);
    assert!(!log.path("tile/0/003.p/32").exists());
    log.show(&early);
    assert_eq!(audit.run(|_, _| {}).await.unwrap().findings, []);
    assert_eq!(monitor.look(1).await.unwrap().findings, []);
    // More bytes than a tile can have are not read.
    std::fs::write(log.path("tile/0/000"), vec![0; 9000]).unwrap();
    let found = audit.run(|_, _| {}).await.unwrap().findings;
    assert!(matches!(&found[..], [Finding::TileUnreadable { .. }]), "{found:?}");
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_no_finding() {
    let log = Forger::honest(6);
    let mut monitor = log.monitor();
    monitor.source = Source::at("http://127.0.0.1:1").unwrap();
    let error = monitor.look(1).await.unwrap_err();
    assert!(matches!(error, crate::MonitorError::Source(SourceError::Unreachable(_))), "{error}");
}
