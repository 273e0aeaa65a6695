//! `daftari api`: REST for apps and partners.

use std::sync::Arc;

use anyhow::Context;
use api::{Api, Gate, Guard, IpNet, Operations, Post, StreamLimits};
use ingest::Intake;
use store::{Committer, Program};
use tokio::net::TcpListener;

use crate::config;
use crate::roles::{OpenBooks, watch};
use crate::{logging, signals};

pub(crate) async fn run(config: config::Api) -> anyhow::Result<()> {
    let stop = signals::stop_on_signal()?;
    let metrics = logging::collect_metrics()?;
    let books = OpenBooks::open(&config.database).await?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.local_addr()?;
    let (public_url, tls) = (config.door.url(address), config.door.tls()?);
    let (committer, committing) = books.lasting_committer().await?;
    let commits = Some(committer.commits());
    let committing = tokio::spawn(watch(committing, stop.clone()));
    let gate = books.gate(&config.door, &public_url)?;
    let limits = config.streams.limits();
    let api = Arc::new(assemble(&books, committer, gate, &config.webhook_allow, limits, &public_url)?);
    let telling = tokio::spawn(api.telling(stop.clone()));
    let operations = Operations { pool: books.pool.clone(), commits, metrics, public_url };
    tracing::info!(listen = %address, "the API answers");
    let router = config.door.before(api::router(api, operations));
    api::serve(listener, router, tls, stop).await?;
    telling.await?;
    // The last handle went with the router: what was handed in is committed, then the committer ends.
    committing.await?
}

/// The API of these books.
pub(crate) fn assemble(
    books: &OpenBooks,
    committer: Committer,
    gate: Gate,
    webhook_allow: &[IpNet],
    streams: StreamLimits,
    public_url: &str,
) -> anyhow::Result<Api> {
    let api = |program: &Program| -> anyhow::Result<Api> {
        let intake = Intake::new(committer.clone(), books.pool.clone(), program.program_id);
        let post = Post::new(books.keyring()?, Guard::new(webhook_allow.to_vec()))?;
        Ok(Api::new(books.pool.clone(), committer.clone(), intake, gate.clone(), post, program, public_url))
    };
    let live = api(&books.program)?.with_streams(streams);
    Ok(match &books.sandbox {
        Some(sandbox) => live.with_sandbox(api(sandbox)?),
        None => live,
    })
}
