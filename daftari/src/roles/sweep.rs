//! `daftari sweep`: settles what falls due on idle accounts, all the time and at its own pace.

use std::time::Duration;

use anyhow::Context;
use ingest::Releaser;
use store::{Committer, Pace, PgPool, SweepError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Sweep;
use crate::roles::{OpenBooks, serve_operations, watch};
use crate::{logging, signals};

pub(crate) async fn run(config: Sweep) -> anyhow::Result<()> {
    let stop = signals::stop_on_signal()?;
    let metrics = logging::collect_metrics()?;
    let books = OpenBooks::open(&config.database).await?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let (committer, committing) = books.lasting_committer().await?;
    let commits = Some(committer.commits());
    let committing = tokio::spawn(watch(committing, stop.clone()));
    let operations =
        tokio::spawn(serve_operations(listener, books.pool.clone(), commits, metrics, stop.clone()));
    keep_sweeping(books.pool.clone(), committer, config.gap.0, stop.clone()).await;
    stop.cancel();
    operations.await??;
    committing.await?
}

/// Sweeps until it is told to stop. A sweep that fails says so and is begun again: nothing depends on it.
pub(crate) async fn keep_sweeping(
    pool: PgPool,
    committer: Committer,
    gap: Duration,
    stop: CancellationToken,
) {
    let mut releaser = Releaser::new(pool.clone(), committer.clone());
    let mut sweep = store::Sweep::new(pool, committer, Pace::Gentle);
    let passes = async {
        loop {
            match sweep.pass().await {
                Ok(swept) if swept.postings == 0 => {}
                Ok(swept) => {
                    tracing::info!(accounts = swept.accounts, postings = swept.postings, "swept");
                }
                // Live requests go first.
                Err(SweepError::Submit(store::SubmitError::Busy)) => {
                    tracing::debug!("too much is under way for a sweep");
                }
                Err(error) => tracing::warn!(%error, "a sweep was cut off: the next one finds the rest"),
            }
            match releaser.pass().await {
                Ok(0) => {}
                Ok(events) => tracing::info!(events, "events are released whose members take part by now"),
                Err(error) => tracing::warn!(%error, "parked events wait on: the next sweep finds them"),
            }
            tokio::time::sleep(gap).await;
        }
    };
    // What was handed in is committed all the same; what was not, the next sweep finds.
    stop.run_until_cancelled(passes).await;
}
