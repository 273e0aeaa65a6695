//! Inclusion proofs and tiles over HTTP, from a server process of its own over the large log.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::ensure;
use axum::serve::ListenerExt;
use proof::{Signer, TileId};
use tokio::process::{Child, Command};

use super::books::Books;
use crate::bench::report::Report;
use crate::bench::role::{answers, own_program};
use crate::config::Bench;
use crate::load::{Client, Random, written};

const CONNECTIONS: u64 = 64;

pub(super) async fn measure(
    report: &mut Report,
    config: &Bench,
    books: &Books,
    signer: &Signer,
    log: &Path,
    home: &Path,
) -> anyhow::Result<()> {
    let server = Server::start(books, signer, log, home).await?;
    let leaves = config.leaves;
    let random_leaf = move |random: &mut Random| random.next() % leaves;
    let (rate, p99_ms) = load(config, server.address, move |random| {
        format!("/v1/proofs/inclusion?index={}&size={leaves}", random_leaf(random))
    })
    .await?;
    report.figure_at_least("proofs_per_s", rate, "inclusion proofs/s over HTTP, 64 connections", 20_000.0);
    report.figure_at_most("proof_p99_ms", p99_ms, "ms", 5.0);
    let tile = move |random: &mut Random| {
        let tile = TileId { level: Some(0), index: random.next() % (leaves / 256), width: 256 };
        format!("/{}", tile.path())
    };
    let (rate, p99_ms) = load(config, server.address, tile).await?;
    report.figure("tile_reads_per_s", rate, "tiles/s over HTTP, 64 connections");
    report.figure("tile_read_p99_ms", p99_ms, "ms");
    drop(server);
    let (plain, _) = load(config, serve_folder(log).await?, tile).await?;
    report.figure("static_reads_per_s", plain, "the same tiles from a plain static file server");
    report.figure_at_least("tile_reads_vs_static", rate / plain, "× the static file server", 0.7);
    Ok(())
}

async fn load(
    config: &Bench,
    target: SocketAddr,
    path: impl Fn(&mut Random) -> String + Clone + Send + 'static,
) -> anyhow::Result<(f64, f64)> {
    let ends = Instant::now() + config.duration.0;
    let begun = Instant::now();
    let asking: Vec<_> = (0..CONNECTIONS)
        .map(|connection| {
            let (path, seed) = (path.clone(), config.seed);
            tokio::spawn(async move {
                let mut random = Random(seed ^ (connection << 32));
                let mut client = Client::connect(target).await?;
                let mut latencies_us = Vec::new();
                while Instant::now() < ends {
                    let request = written(&format!("GET {}", path(&mut random)), "", "");
                    let asked = Instant::now();
                    let status = client.ask(request.as_bytes()).await?;
                    ensure!(status == 200, "{request:?} was answered with {status}");
                    latencies_us.push(asked.elapsed().as_micros() as u64);
                }
                anyhow::Ok(latencies_us)
            })
        })
        .collect();
    let mut latencies_us = Vec::new();
    for each in asking {
        latencies_us.extend(each.await??);
    }
    let rate = latencies_us.len() as f64 / begun.elapsed().as_secs_f64();
    latencies_us.sort_unstable();
    Ok((rate, latencies_us[(latencies_us.len() - 1) * 99 / 100] as f64 / 1000.0))
}

/// `tower-http`'s files, over axum, in this process until it ends: what anybody would put in front of the folder.
async fn serve_folder(folder: &Path) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = axum::Router::new().fallback_service(tower_http::services::ServeDir::new(folder));
    // Without it each answer would wait for the client's delayed acknowledgement.
    let listener = listener.tap_io(|socket| {
        let _ = socket.set_nodelay(true);
    });
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the static file server ended");
        }
    });
    Ok(address)
}

/// `daftari verifier` over this log.
struct Server {
    address: SocketAddr,
    _process: Child,
}

impl Server {
    async fn start(books: &Books, signer: &Signer, log: &Path, home: &Path) -> anyhow::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], devstack::free_port()?));
        let (policy, key, page) = (home.join("policy.txt"), home.join("wrapping.key"), home.join("page"));
        std::fs::write(&policy, format!("log {}\nquorum none\n", signer.verifier_key().encode()))?;
        crate::keys::write_secret(&key, &hex::encode([7; 32]))?;
        std::fs::create_dir_all(&page)?;
        let process = Command::new(own_program()?)
            .args([
                "--log-level",
                "warn",
                "verifier",
                "--listen",
                &address.to_string(),
                "--database-url",
                &books.url,
            ])
            .arg("--wrapping-key-file")
            .arg(&key)
            .arg("--tile-dir")
            .arg(log)
            .arg("--policy-file")
            .arg(&policy)
            .arg("--web-dir")
            .arg(&page)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        answers(address, "/checkpoint").await?;
        Ok(Self { address, _process: process })
    }
}
