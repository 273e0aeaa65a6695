//! What a committer is held against: the published checkpoint, and at the start and after each failover the contracts and
//! the witnesses, each until it has told.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anchor_worker::{LastSeen, Witnesses};
use anyhow::Context;
use auditor::Source;
use chain::{AuditLog, Chain, ChainError};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use proof::{AnchorPlace, Checkpoint, Policy, verify_checkpoint};
use store::{Ask, Guard, LogIdentity, Seen};
use tiles::TileStore;

use crate::config::Outside;
use crate::roles::policy_file;

/// Whoever does not answer within this time does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The guard that the configuration describes; without a published log, one that knows only what the process commits itself.
pub(crate) fn guard(config: &Outside, log: &LogIdentity) -> anyhow::Result<Guard> {
    let Some(outside) = Known::open(config, log)? else { return Ok(Guard::default()) };
    let outside = Arc::new(outside);
    Ok(Guard::new(Arc::new(move |ask| {
        let outside = Arc::clone(&outside);
        Box::pin(async move { outside.seen(ask).await.map_err(|error| crate::told(&error)) })
    })))
}

/// Says where nothing is asked. For a role that goes on: from a command it would come with each, and soon be read by nobody.
pub(crate) fn warn_unguarded(config: &Outside) {
    if config.published_log.is_none() {
        tracing::warn!("without --published-log, a database that lost commits is not noticed here");
    }
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
    heard: Arc<Mutex<Heard>>,
}

/// What those who were asked have told.
#[derive(Default)]
struct Heard {
    /// What each has shown last: that it is silent now takes nothing of that back, and one that was wrong may say otherwise.
    seen: BTreeMap<String, Seen>,
    /// Who has told since everyone was asked.
    keys: HashSet<String>,
    is_owed: bool,
    /// Whether those who owe an answer are being asked, beside the looks: none waits for them.
    is_asking: bool,
}

impl Heard {
    fn known(&self) -> Vec<Seen> {
        self.seen.values().cloned().collect()
    }

    fn note(&mut self, who: String, key: String, shown: Option<Checkpoint>) {
        match shown {
            Some(Checkpoint { size, root, .. }) => self.seen.insert(key.clone(), Seen { who, size, root }),
            None => self.seen.remove(&key),
        };
        self.keys.insert(key);
    }
}

/// Somebody who is asked.
struct Asked {
    who: String,
    key: String,
    seen: BoxFuture<'static, LastSeen>,
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
        let (log, heard) = (log.clone(), Arc::default());
        Ok(Some(Self { place, source, policy_file, rpc_url, log, heard }))
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
        seen.extend(self.told(ask, &policy).await?);
        Ok(seen)
    }

    /// What contracts and witnesses have shown, ever: everyone is asked once more, or only who has not told yet.
    async fn told(&self, ask: Ask, policy: &Policy) -> anyhow::Result<Vec<Seen>> {
        let is_everyone = ask == Ask::Everyone;
        let (everyone, owing) = {
            let mut heard = self.heard.lock().expect("nobody panics with it");
            if is_everyone {
                heard.keys.clear();
            } else if heard.is_asking || !heard.is_owed {
                return Ok(heard.known());
            }
            let mut asked = self.asked(policy)?;
            let everyone: HashSet<String> = asked.iter().map(|it| it.key.clone()).collect();
            // Whoever has left the policy says nothing any more.
            heard.seen.retain(|key, _| everyone.contains(key));
            asked.retain(|it| !heard.keys.contains(&it.key));
            heard.is_asking |= !is_everyone;
            (everyone, asked)
        };
        let heard = Arc::clone(&self.heard);
        let asking = async move {
            let answers = join_all(owing.into_iter().map(|it| async move {
                let seen = tokio::time::timeout(PATIENCE, it.seen).await;
                (it.who, it.key, seen.unwrap_or_else(|_| Err("no answer in time".to_owned())))
            }));
            let answers = answers.await;
            let mut heard = heard.lock().expect("nobody panics with it");
            for (who, key, seen) in answers {
                match seen {
                    Ok(seen) => heard.note(who, key, seen),
                    // One that is away keeps nobody from going on.
                    Err(problem) if is_everyone => {
                        tracing::warn!(who, problem, "it has not said what it knows, and is asked on");
                    }
                    Err(_) => {}
                }
            }
            heard.is_owed = !everyone.is_subset(&heard.keys);
            heard.is_asking &= is_everyone;
        };
        if is_everyone {
            asking.await;
        } else {
            tokio::spawn(asking);
        }
        Ok(self.heard.lock().expect("nobody panics with it").known())
    }

    /// Everybody whom the policy names.
    fn asked(&self, policy: &Policy) -> anyhow::Result<Vec<Asked>> {
        let mut witnesses = Witnesses::new(policy.clone(), PATIENCE)?;
        let witnesses = witnesses.asked(&self.log.origin).into_iter().map(|(name, seen)| {
            let who = format!("the witness {name}");
            Asked { key: who.clone(), who, seen }
        });
        let mut asked: Vec<Asked> = witnesses.collect();
        let Some(url) = &self.rpc_url else { return Ok(asked) };
        for place in &policy.anchors {
            let (who, key) = (format!("the contract on chain {}", place.chain_id), format!("{place:?}"));
            asked.push(Asked { who, key, seen: head(url.clone(), *place, self.log.clone()).boxed() });
        }
        Ok(asked)
    }
}

/// The last anchored checkpoint; none where the endpoint is another chain's.
async fn head(url: String, place: AnchorPlace, log: LogIdentity) -> LastSeen {
    let told = |error: ChainError| error.to_string();
    let chain = Chain::connect(&url).await.map_err(told)?;
    if chain.id() != place.chain_id {
        return Ok(None);
    }
    let head = AuditLog::new(chain, place, &log.log_id).map_err(told)?.head().await.map_err(told)?;
    Ok((head.size != 0).then_some(Checkpoint { origin: log.origin, size: head.size, root: head.root }))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;
    use proof::{Cosigner, Signer};

    use super::*;

    #[tokio::test]
    async fn who_was_away_is_asked_until_it_has_told() {
        let (origin, home) = ("log.example/guarded".to_owned(), tempfile::TempDir::new().unwrap());
        let signer = Signer::new(&origin, &[5; 32]).unwrap();
        let log_id = proof::log_id(&origin, signer.verifier_key().public_key());
        let note = Checkpoint { origin: origin.clone(), size: 9, root: [7; 32] }.sign(&signer).encode();
        let is_back = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_back);
        let last_seen = get(async move || match told.load(Ordering::Relaxed) {
            true => Ok(note),
            false => Err(StatusCode::SERVICE_UNAVAILABLE),
        });
        let path = format!("/{}/checkpoint", hex::encode(proof::origin_hash(&origin)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let witness = Router::new().route(&path, last_seen);
        tokio::spawn(async move { axum::serve(listener, witness).await });

        let policy_file = home.path().join("policy.txt");
        let witness = Cosigner::new("witness.example/away", &[6; 32]).unwrap().verifier_key().encode();
        let log_key = signer.verifier_key().encode();
        let policy = format!("log {log_key}\nwitness away {witness} {url}\nquorum none\n");
        std::fs::write(&policy_file, policy).unwrap();
        let known = Known {
            place: "a folder".to_owned(),
            source: Source::Store(Arc::new(TileStore::view(home.path().join("log")))),
            policy_file,
            rpc_url: None,
            log: LogIdentity { log_id, origin },
            heard: Arc::default(),
        };
        assert!(known.seen(Ask::Everyone).await.unwrap().is_empty());
        assert!(known.seen(Ask::Published).await.unwrap().is_empty());
        is_back.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        let told = loop {
            let told = known.seen(Ask::Published).await.unwrap();
            tokio::task::yield_now().await;
            if !told.is_empty() {
                break told;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it was not asked again");
        };
        assert_eq!(told, [Seen { who: "the witness away".to_owned(), size: 9, root: [7; 32] }]);
        // Who has told is left alone until everyone is asked again, and what it knew still counts once it is silent.
        is_back.store(false, Ordering::Relaxed);
        assert_eq!(known.seen(Ask::Published).await.unwrap(), told);
        assert!(!known.heard.lock().unwrap().is_owed);
        assert_eq!(known.seen(Ask::Everyone).await.unwrap(), told);
        assert!(known.heard.lock().unwrap().is_owed, "it is asked on");
    }
}
