//! The witnesses of a policy, as a log meets them: they are shown each checkpoint, and what they sign is added to it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use proof::{AddCheckpoint, Checkpoint, Policy, Signature, VerifierKey, origin_hash, verify_checkpoint};
use reqwest::{Client, Response, StatusCode};
use tiles::TileStore;

/// More than any answer of a witness that means well.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The last checkpoint of the log that somebody outside has seen, if any; or why it has not said.
pub type LastSeen = Result<Option<Checkpoint>, String>;

/// Tells which policy holds now.
pub type PolicyNow = Box<dyn Fn() -> Policy + Send + Sync>;

/// The witnesses of a policy that say where they listen.
pub struct Witnesses {
    now: PolicyNow,
    policy: Policy,
    client: Client,
    budget: Duration,
    each: Vec<Known>,
}

#[derive(Clone)]
struct Known {
    name: String,
    key: VerifierKey,
    url: String,
    /// The size that the witness has seen last, as far as we know.
    size: u64,
}

/// What came of showing a checkpoint to the witnesses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cosigned {
    /// What they signed, each as its name in the policy and its line.
    pub(crate) lines: Vec<(String, String)>,
    /// Whether they are enough for the policy.
    pub(crate) is_quorum: bool,
    /// One that has seen a larger checkpoint of this log than the one it was shown.
    pub(crate) ahead: Option<(String, u64)>,
}

enum Answer {
    Cosigned(Signature),
    /// It says that it has seen this size last: nothing but its word.
    OtherSize(u64),
    /// It has shown a larger checkpoint of this log, which a key of the log has signed.
    Ahead(u64),
}

impl Witnesses {
    /// The witnesses of this policy, which altogether have so long for one checkpoint.
    pub fn new(policy: Policy, budget: Duration) -> Result<Self, reqwest::Error> {
        Self::following(Box::new(move || policy.clone()), budget)
    }

    /// The witnesses of a policy that may change, which is asked for each time before they are.
    pub fn following(now: PolicyNow, budget: Duration) -> Result<Self, reqwest::Error> {
        let client = Client::builder().timeout(budget).build()?;
        let policy = now();
        Ok(Self { each: listening(&policy, &[]), now, policy, client, budget })
    }

    fn follow(&mut self) {
        let policy = (self.now)();
        if policy != self.policy {
            self.each = listening(&policy, &self.each);
            self.policy = policy;
            tracing::info!(witnesses = self.each.len(), "the witnesses' policy is another now");
        }
    }

    /// Shows a checkpoint to all of them at once. It ends when the policy has enough, when all have answered, or when the
    /// budget is used up: a witness that is slow or lies costs no more than that.
    pub(crate) async fn cosign(
        &mut self,
        store: &Arc<TileStore>,
        note: &str,
        checkpoint: &Checkpoint,
    ) -> Cosigned {
        self.follow();
        let is_quorum = self.policy.is_quorum(&BTreeSet::new());
        let logs = self.policy.of_logs().vouched();
        let mut cosigned = Cosigned { is_quorum, ..Cosigned::default() };
        let mut asking: FuturesUnordered<_> = (0..self.each.len())
            .map(|at| {
                let (client, known, logs) = (self.client.clone(), self.each[at].clone(), &logs);
                async move { (at, show(&client, known, logs, store, note, checkpoint).await) }
            })
            .collect();
        let collect = async {
            while let Some((at, shown)) = asking.next().await {
                let known = &mut self.each[at];
                let name = known.name.clone();
                match shown {
                    Ok(Answer::Cosigned(line)) => {
                        known.size = checkpoint.size;
                        metrics::counter!("daftari_cosignatures_total", "witness" => name.clone())
                            .increment(1);
                        cosigned.lines.push((name, line.encode()));
                    }
                    Ok(Answer::Ahead(size)) => {
                        known.size = size;
                        if cosigned.ahead.as_ref().is_none_or(|(_, it)| *it < size) {
                            cosigned.ahead = Some((name, size));
                        }
                    }
                    shown => {
                        let problem =
                            shown.err().unwrap_or_else(|| "it says another size each time".to_owned());
                        metrics::counter!("daftari_witness_failures_total", "witness" => name.clone())
                            .increment(1);
                        tracing::warn!(
                            witness = name,
                            problem,
                            size = checkpoint.size,
                            "a witness has not cosigned"
                        );
                    }
                }
                let names = cosigned.lines.iter().map(|(name, _)| name.as_str()).collect();
                cosigned.is_quorum = self.policy.is_quorum(&names);
                if cosigned.is_quorum && self.policy.asks_for_witnesses() {
                    return;
                }
            }
        };
        if tokio::time::timeout(self.budget, collect).await.is_err() {
            tracing::warn!(
                size = checkpoint.size,
                cosigned = cosigned.lines.len(),
                "the witnesses' time is up"
            );
        }
        // In the policy's order, whoever was first.
        let order = |name: &str| self.policy.witnesses.iter().position(|(it, _)| it == name);
        cosigned.lines.sort_by_key(|(name, _)| order(name));
        cosigned
    }

    /// What each witness has seen last of this log, to be waited for.
    pub fn asked(&mut self, origin: &str) -> Vec<(String, BoxFuture<'static, LastSeen>)> {
        self.follow();
        let logs = self.policy.of_logs().vouched();
        let asked = self.each.iter().cloned().map(|known| {
            let (client, logs, origin) = (self.client.clone(), logs.clone(), origin.to_owned());
            (known.name.clone(), async move { seen_by(&client, &known, &logs, &origin).await }.boxed())
        });
        asked.collect()
    }

    /// Those that are asked.
    pub(crate) fn names(&self) -> Vec<String> {
        self.each.iter().map(|it| it.name.clone()).collect()
    }
}

/// The last checkpoint of this log that a witness has seen. It counts only as a key of the log has signed it.
async fn seen_by(client: &Client, known: &Known, logs: &Policy, origin: &str) -> LastSeen {
    let url = format!("{}/{}/checkpoint", known.url, hex_of(&origin_hash(origin)));
    let answer = client.get(url).send().await;
    let answer = answer.map_err(|error| error.without_url().to_string())?;
    if answer.status() == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let answer = answer.error_for_status().map_err(|error| error.without_url().to_string())?;
    let note = String::from_utf8(read(answer).await?).map_err(|_| "its answer is not text".to_owned())?;
    let seen = verify_checkpoint(&note, logs).map_err(|refusal| refusal.to_string())?.checkpoint;
    Ok((seen.origin == origin).then_some(seen))
}

/// The witnesses of this policy that say where they listen, with what is known of each already.
fn listening(policy: &Policy, known: &[Known]) -> Vec<Known> {
    let each = policy.witnesses.iter().filter_map(|(name, key)| {
        let url = policy.witness_url(name)?.trim_end_matches('/').to_owned();
        let size = known.iter().find(|it| it.key == *key).map_or(0, |it| it.size);
        Some(Known { name: name.clone(), key: key.clone(), url, size })
    });
    each.collect()
}

/// Shows a witness a checkpoint; where it says that it has seen another size than we thought, once more from there. That it
/// has seen a larger one it must show: anybody can say a number, and this one would halt sealing.
async fn show(
    client: &Client,
    known: Known,
    logs: &Policy,
    store: &Arc<TileStore>,
    note: &str,
    checkpoint: &Checkpoint,
) -> Result<Answer, String> {
    let mut answer = show_from(client, &known, known.size, store, note, checkpoint).await?;
    if let Answer::OtherSize(size) = answer
        && size <= checkpoint.size
    {
        answer = show_from(client, &known, size, store, note, checkpoint).await?;
    }
    match answer {
        Answer::OtherSize(size) if checkpoint.size < size => {
            let seen = seen_by(client, &known, logs, &checkpoint.origin).await?.map_or(0, |it| it.size);
            if checkpoint.size < seen {
                return Ok(Answer::Ahead(seen));
            }
            Err(format!("it says that it has seen {size} leaves, and shows no such checkpoint of ours"))
        }
        answer => Ok(answer),
    }
}

async fn show_from(
    client: &Client,
    known: &Known,
    old_size: u64,
    store: &Arc<TileStore>,
    note: &str,
    checkpoint: &Checkpoint,
) -> Result<Answer, String> {
    // A larger size than ours was said by the witness itself: it is asked again from nothing, and says so again.
    let (old_size, size) = (if checkpoint.size < old_size { 0 } else { old_size }, checkpoint.size);
    let store = Arc::clone(store);
    let proof = tokio::task::spawn_blocking(move || store.consistency_proof(old_size, size)).await;
    let proof = proof.expect("the store does not panic").map_err(|error| error.to_string())?;
    let body = AddCheckpoint { old_size, proof, checkpoint: note.to_owned() }.encode();
    let answer = client.post(format!("{}/add-checkpoint", known.url)).body(body).send().await;
    let answer = answer.map_err(|error| error.without_url().to_string())?;
    let status = answer.status();
    let is_size = answer.headers().get("content-type").is_some_and(|it| it == "text/x.tlog.size");
    let text = String::from_utf8(read(answer).await?).map_err(|_| "its answer is not text".to_owned())?;
    match status {
        StatusCode::OK => {
            let lines = text.lines().filter_map(|it| Signature::parse(it).ok());
            let mut own =
                lines.filter(|it| known.key.is_named_by(it) && known.key.verifies(&checkpoint.encode(), it));
            own.next()
                .map(Answer::Cosigned)
                .ok_or_else(|| "it answered without a signature of its key".to_owned())
        }
        StatusCode::CONFLICT if is_size => {
            let size = text.trim_end_matches('\n').parse();
            size.map(Answer::OtherSize).map_err(|_| "it answered with no size".to_owned())
        }
        status => Err(format!("it answered with {status}: {}", text.lines().next().unwrap_or_default())),
    }
}

async fn read(mut answer: Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| error.without_url().to_string())? {
        bytes.extend_from_slice(&chunk);
        if ANSWER_BYTES_MAX < bytes.len() {
            return Err(format!("its answer has more than {ANSWER_BYTES_MAX} bytes"));
        }
    }
    Ok(bytes)
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}
