use std::path::Path;
use std::sync::Arc;

use proof::{AddCheckpoint, Cosigner, Policy, Signature, VerifierKey, verify_checkpoint};
use tempfile::TempDir;

use super::forger::Forger;
use crate::{SourceError, Witness};

fn cosigner() -> Cosigner {
    Cosigner::new("witness.example/w1", &[9; 32]).unwrap()
}

fn open(policy: &Policy, folder: &Path) -> Result<Witness, SourceError> {
    Witness::open(cosigner(), policy, folder.to_owned(), Arc::new(|| 1_700_000_000))
}

/// A witness that listens, as a log meets it.
struct Served {
    client: reqwest::Client,
    url: String,
    key: VerifierKey,
    task: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn start(policy: &Policy, folder: &Path) -> Self {
        Self::of(Arc::new(open(policy, folder).unwrap())).await
    }

    async fn of(witness: Arc<Witness>) -> Self {
        let router = witness.router();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { client: reqwest::Client::new(), url, key: cosigner().verifier_key(), task }
    }

    async fn add(&self, body: String) -> (u16, String, String) {
        let answer =
            self.client.post(format!("{}/add-checkpoint", self.url)).body(body).send().await.unwrap();
        let content_type = answer.headers().get("content-type").map(|it| it.to_str().unwrap().to_owned());
        (answer.status().as_u16(), content_type.unwrap_or_default(), answer.text().await.unwrap())
    }

    async fn last(&self, origin: &str) -> (u16, String) {
        let path = format!("{}/{}/checkpoint", self.url, hex::encode(proof::origin_hash(origin)));
        let answer = self.client.get(path).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

fn request(log: &Forger, old_size: u64) -> String {
    let size = log.edge.size();
    let proof = log.store.consistency_proof(old_size.min(size), size).unwrap();
    AddCheckpoint { old_size, proof, checkpoint: log.note() }.encode()
}

#[tokio::test]
async fn a_witness_follows_a_log_and_survives_a_restart() {
    let home = TempDir::new().unwrap();
    let mut log = Forger::honest(300);
    let origin = log.checkpoint().origin;
    let witness = Served::start(&log.policy(), home.path()).await;
    assert_eq!(witness.last(&origin).await.0, 404);

    let (status, _, line) = witness.add(request(&log, 0)).await;
    assert_eq!(status, 200, "{line}");
    let line = Signature::parse(line.trim_end_matches('\n')).unwrap();
    assert!(witness.key.is_named_by(&line) && witness.key.verifies(&log.checkpoint().encode(), &line));
    assert_eq!(witness.add(request(&log, 300)).await.0, 200, "the same again, with a fresh time");

    let policy =
        format!("log {}\nwitness w {}\nquorum w\n", log.signer.verifier_key().encode(), witness.key.encode());
    let policy = Policy::parse(&policy).unwrap();
    let (status, note) = witness.last(&origin).await;
    assert_eq!(status, 200);
    assert_eq!(verify_checkpoint(&note, &policy).unwrap().checkpoint, log.checkpoint());
    assert!(open(&log.policy(), home.path()).is_err(), "a second process would cosign behind its back");

    witness.task.abort();
    let _ = witness.task.await;
    drop(witness.client);
    log.grow(300);
    // The aborted server's connections end a moment after it.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while open(&log.policy(), home.path()).is_err() {
        assert!(std::time::Instant::now() < deadline, "the first witness never let go");
        tokio::task::yield_now().await;
    }
    let witness = Served::start(&log.policy(), home.path()).await;
    let (status, content_type, body) = witness.add(request(&log, 0)).await;
    assert_eq!((status, content_type.as_str(), body.as_str()), (409, "text/x.tlog.size", "300\n"));
    assert_eq!(witness.add(request(&log, 300)).await.0, 200);
}

#[tokio::test]
async fn a_witness_never_cosigns_two_histories() {
    let home = TempDir::new().unwrap();
    let mut log = Forger::honest(300);
    let witness = Served::start(&log.policy(), home.path()).await;
    assert_eq!(witness.add(request(&log, 0)).await.0, 200);
    let honest = witness.last(&log.checkpoint().origin).await;

    log.rewrite(4);
    assert_eq!(witness.add(request(&log, 300)).await.0, 422, "the same size, another root");
    assert_eq!(witness.add(request(&log, 0)).await.0, 409);
    log.grow(50);
    assert_eq!(witness.add(request(&log, 300)).await.0, 422, "a larger one over another history");
    assert_eq!(witness.last(&log.checkpoint().origin).await, honest);

    let stranger = Forger { signer: proof::Signer::new("log.example/forger", &[6; 32]).unwrap(), ..log };
    assert_eq!(witness.add(request(&stranger, 300)).await.0, 403);
    let unknown = Forger { signer: proof::Signer::new("log.example/forger", &[6; 32]).unwrap(), ..stranger };
    let mut checkpoint = unknown.checkpoint();
    checkpoint.origin = "log.unknown".to_owned();
    let note = checkpoint.sign(&unknown.signer).encode();
    let request = AddCheckpoint { old_size: 0, proof: Vec::new(), checkpoint: note };
    assert_eq!(witness.add(request.encode()).await.0, 404);
    assert_eq!(witness.add("nonsense".to_owned()).await.0, 400);
    assert_eq!(witness.add("x".repeat(100_000)).await.0, 413);
}

/// Of many that come at once with the same old size, each is held against the one before it.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_histories_at_once_one_is_cosigned() {
    let home = TempDir::new().unwrap();
    let log = Forger::honest(300);
    let mut other = Forger::honest(300);
    other.rewrite(4);
    let witness = Arc::new(Served::start(&log.policy(), home.path()).await);
    let asked: Vec<_> = (0..16)
        .map(|turn| {
            let (witness, body) =
                (Arc::clone(&witness), request(if turn % 2 == 0 { &log } else { &other }, 0));
            tokio::spawn(async move { witness.add(body).await.0 })
        })
        .collect();
    let mut cosigned = 0;
    for answer in asked {
        match answer.await.unwrap() {
            200 => cosigned += 1,
            status => assert_eq!(status, 409),
        }
    }
    assert_eq!(cosigned, 1);
}

/// Whoever sends what no log has signed makes no log that is known wait.
#[tokio::test]
async fn what_is_refused_waits_for_nobody() {
    let home = TempDir::new().unwrap();
    let log = Forger::honest(3);
    let witness = Arc::new(open(&log.policy(), home.path()).unwrap());
    let (held, is_held) = tokio::sync::oneshot::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let busy = Arc::clone(&witness);
    let busy = std::thread::spawn(move || {
        let _seen = busy.seen.lock().unwrap();
        held.send(()).unwrap();
        let _ = released.recv();
    });
    is_held.await.unwrap();
    let stranger = Forger { signer: proof::Signer::new("log.example/forger", &[6; 32]).unwrap(), ..log };
    let witness = Served::of(witness).await;
    let answer = witness.add(request(&stranger, 0));
    let answer = tokio::time::timeout(std::time::Duration::from_secs(60), answer).await;
    drop(release);
    busy.join().unwrap();
    assert_eq!(answer.expect("it waits for nobody").0, 403);
}
