//! `daftari verifier`: checkpoints, tiles, receipts and the verification page.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use api::{Gate, Operations};
use serde_json::json;
use store::Program;
use tiles::TileStore;
use tokio::net::TcpListener;
use verifier::{Page, ProofService, Trusted};

use crate::config::Verifier;
use crate::roles::OpenBooks;
use crate::roles::policy_file::PolicyFile;
use crate::{logging, signals};

pub(crate) async fn run(config: Verifier) -> anyhow::Result<()> {
    let stop = signals::stop_on_signal()?;
    let metrics = logging::collect_metrics()?;
    let policy = PolicyFile::open(&config.policy_file)?;
    ensure!(
        config.web_dir.is_dir(),
        "{} is not a folder: it should hold the built page",
        config.web_dir.display()
    );
    if let Some(tile_dir) = config.tiles.tile_dir.as_ref().filter(|it| !it.is_dir()) {
        // The sealer makes it, and may start after us.
        tracing::warn!(tile_dir = %tile_dir.display(), "there is no log in this folder yet");
    }
    let books = OpenBooks::open(&config.database).await?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let page = page(&config.web_dir, Arc::new(move || policy.now()), config.public_chain_rpc_url.as_deref());
    let address = listener.local_addr()?;
    let (public_url, tls) = (config.door.url(address), config.door.tls()?);
    let gate = books.gate(&config.door, &public_url)?;
    let service = Arc::new(assemble(&books, config.tiles.open()?, gate, page)?);
    let operations = Operations { pool: books.pool, commits: None, metrics, public_url };
    tracing::info!(listen = %listener.local_addr()?, "the proof service answers");
    let router = config.door.before(verifier::router(service, operations));
    Ok(api::serve(listener, router, tls, stop).await?)
}

/// The page of this folder, with what it proposes.
pub(crate) fn page(folder: &Path, policy: Trusted, rpc_url: Option<&str>) -> Page {
    Page { folder: folder.to_owned(), policy, chain: json!({"rpc_url": rpc_url}).to_string() }
}

/// The proof service over these books.
pub(crate) fn assemble(
    books: &OpenBooks,
    tiles: TileStore,
    gate: Gate,
    page: Page,
) -> anyhow::Result<ProofService> {
    let (keyring, tiles) = (Arc::new(books.keyring()?), Arc::new(tiles));
    let service = |program: &Program| {
        let (pool, keyring, log) = (books.pool.clone(), keyring.clone(), books.log.clone());
        let (gate, page) = (gate.clone(), page.clone());
        ProofService::new(pool, keyring, log, program.program_id, tiles.clone(), gate, page)
    };
    let live = service(&books.program);
    Ok(match &books.sandbox {
        Some(sandbox) => live.with_sandbox(service(sandbox)),
        None => live,
    })
}
