//! What a committer is held against: the published checkpoint, and at the start and after each failover the contracts and
//! the witnesses.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anchor_worker::Witnesses;
use anyhow::Context;
use auditor::Source;
use chain::{AuditLog, Chain};
use proof::{Policy, verify_checkpoint};
use store::{Ask, Guard, LogIdentity, Seen};
use tiles::TileStore;

use crate::config::Outside;
use crate::roles::policy_file;

/// Whoever does not answer within this time does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The guard that the configuration describes; without a published log, one that knows only what the process commits itself.
pub(crate) fn guard(config: &Outside, log: &LogIdentity) -> anyhow::Result<Guard> {
    let Some(outside) = Known::open(config, log)? else {
        tracing::warn!("without --published-log, a database that lost commits is not noticed here");
        return Ok(Guard::default());
    };
    let outside = Arc::new(outside);
    Ok(Guard::new(Arc::new(move |ask| {
        let outside = Arc::clone(&outside);
        Box::pin(async move { outside.seen(ask).await.map_err(|error| crate::told(&error)) })
    })))
}

/// What is known there now; nothing where nobody is named to be asked.
pub(crate) async fn seen(config: &Outside, log: &LogIdentity, ask: Ask) -> anyhow::Result<Vec<Seen>> {
    match Known::open(config, log)? {
        Some(known) => known.seen(ask).await,
        None => Ok(Vec::new()),
    }
}

struct Known {
    place: String,
    source: Source,
    policy_file: PathBuf,
    rpc_url: Option<String>,
    log: LogIdentity,
}

impl Known {
    fn open(config: &Outside, log: &LogIdentity) -> anyhow::Result<Option<Self>> {
        let (Some(place), Some(policy_file)) = (&config.published_log, &config.log_policy_file) else {
            return Ok(None);
        };
        policy_file::read(policy_file)?;
        let source = match place {
            it if it.starts_with("http://") || it.starts_with("https://") => Source::at(it)?,
            folder => {
                if !Path::new(folder).is_dir() {
                    tracing::warn!(folder, "there is no log in this folder yet");
                }
                Source::Store(Arc::new(TileStore::view(folder)))
            }
        };
        let rpc_url = config.guard_rpc_url.as_ref().map(|it| it.0.clone());
        let (place, policy_file) = (place.clone(), policy_file.clone());
        Ok(Some(Self { place, source, policy_file, rpc_url, log: log.clone() }))
    }

    async fn seen(&self, ask: Ask) -> anyhow::Result<Vec<Seen>> {
        let mut seen = Vec::new();
        let note = tokio::time::timeout(PATIENCE, self.source.greatest_checkpoint()).await;
        // Each time anew: the log's keys change while this process runs. And after the checkpoint: a key is in the policy before it
        // signs alone.
        let (_, policy) = policy_file::read(&self.policy_file)?;
        if let Some(note) = note.context("no answer in time")?? {
            let verified = verify_checkpoint(&note, &policy.of_logs().vouched())
                .with_context(|| format!("the checkpoint at {} is not this log's", self.place))?;
            let who = format!("the published log at {}", self.place);
            seen.push(Seen { who, size: verified.checkpoint.size, root: verified.checkpoint.root });
        }
        if ask == Ask::Everyone {
            let mut witnesses = Witnesses::new(policy.clone(), PATIENCE)?;
            for (name, it) in witnesses.seen(&self.log.origin).await {
                seen.push(Seen { who: format!("the witness {name}"), size: it.size, root: it.root });
            }
            match tokio::time::timeout(PATIENCE, self.contracts(&policy)).await {
                Ok(Ok(heads)) => seen.extend(heads),
                // Like a witness, a chain that is away keeps nobody from going on.
                Ok(Err(error)) => tracing::warn!(%error, "the contracts were not asked what they know"),
                Err(_) => tracing::warn!("the contracts did not say in time what they know"),
            }
        }
        Ok(seen)
    }

    async fn contracts(&self, policy: &Policy) -> anyhow::Result<Vec<Seen>> {
        let Some(url) = &self.rpc_url else { return Ok(Vec::new()) };
        let chain = Chain::connect(url).await?;
        let chain_id = chain.id();
        let mut heads = Vec::new();
        for place in policy.anchors.iter().filter(|it| it.chain_id == chain_id) {
            let head = AuditLog::new(chain.clone(), *place, &self.log.log_id)?.head().await?;
            let who = format!("the contract on chain {chain_id}");
            heads.push(Seen { who, size: head.size, root: head.root });
        }
        Ok(heads)
    }
}
