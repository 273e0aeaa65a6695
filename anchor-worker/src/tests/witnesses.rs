//! Our checkpoints before real witnesses: honest, slow, lying, and one that knows more than we do.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use auditor::Witness;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use proof::{Checkpoint, Cosigner, Policy, Signer, verify_checkpoint};
use tempfile::TempDir;

use super::fixture::Fixture;
use crate::{Doubt, SealError, Sealed, Sealer, Witnesses};

/// Longer than any of these tests may take.
const AMPLE: Duration = Duration::from_secs(60);

struct Witnessed {
    it: Fixture,
    homes: TempDir,
    lines: Vec<String>,
}

impl Witnessed {
    async fn new() -> Self {
        Self { it: Fixture::new().await, homes: TempDir::new().unwrap(), lines: Vec::new() }
    }

    fn home(&self, name: &str) -> PathBuf {
        self.homes.path().join(name)
    }

    fn cosigner(name: &str) -> Cosigner {
        Cosigner::new(&format!("witness.test/{name}"), &proof::origin_hash(name)).unwrap()
    }

    async fn listen(&mut self, name: &str, router: Router) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let key = Self::cosigner(name).verifier_key().encode();
        self.lines.push(format!("witness {name} {key} {url}\n"));
    }

    async fn honest(&mut self, name: &str) {
        let logs = Policy::of_log(self.it.key().verifier_key());
        let clock = Arc::new(|| 1_700_000_000);
        let witness = Witness::open(Self::cosigner(name), &logs, self.home(name), clock).unwrap();
        self.listen(name, Arc::new(witness).router()).await;
    }

    fn policy(&self, quorum: &str) -> Policy {
        let key = self.it.key().verifier_key().encode();
        Policy::parse(&format!("log {key}\n{}{quorum}\n", self.lines.concat())).unwrap()
    }

    fn sealer(&self, quorum: &str, budget: Duration) -> Sealer {
        let witnesses = Witnesses::new(self.policy(quorum), budget).unwrap();
        self.it.sealer().with_witnesses(witnesses).with_freshness(AMPLE)
    }

    /// Who of the policy has cosigned what is published.
    fn published_by(&self, quorum: &str) -> Vec<String> {
        let note = self.it.folder.checkpoint().unwrap().unwrap();
        verify_checkpoint(&note, &self.policy(quorum)).unwrap().witnesses
    }
}

#[tokio::test]
async fn a_published_checkpoint_carries_its_cosignatures() {
    let mut world = Witnessed::new().await;
    world.honest("a").await;
    world.honest("bb").await;
    let quorum = "group both all a bb\nquorum both";
    let mut sealer = world.sealer(quorum, AMPLE);
    let mut size = 0;
    for count in [1, 299, 5] {
        world.it.post(count).await;
        size += count;
        assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size });
        assert_eq!(world.published_by(quorum), ["a", "bb"]);
    }
    // A receipt of an earlier checkpoint carries what was said of that one.
    let note = store::cosigned_note(&mut world.it.pool.acquire().await.unwrap(), 300).await.unwrap().unwrap();
    assert_eq!(verify_checkpoint(&note, &world.policy(quorum)).unwrap().witnesses, ["a", "bb"]);
    // A sealer that knows nothing of the witnesses learns from them what they have seen.
    world.it.post(1).await;
    let mut newcomer = world.sealer(quorum, AMPLE);
    assert_eq!(newcomer.seal().await.unwrap(), Sealed::Checkpoint { size: size + 1 });
    assert_eq!(world.published_by(quorum), ["a", "bb"]);
}

/// Whoever comes into the policy while a sealer runs cosigns its next checkpoint, and whoever is taken out does not.
#[tokio::test]
async fn a_policy_that_changes_is_followed() {
    let mut world = Witnessed::new().await;
    world.honest("a").await;
    let told = Arc::new(Mutex::new(world.policy("quorum a")));
    let read = Arc::clone(&told);
    let now = Box::new(move || read.lock().unwrap().clone());
    let witnesses = Witnesses::following(now, AMPLE).unwrap();
    let mut sealer = world.it.sealer().with_witnesses(witnesses).with_freshness(AMPLE);
    world.it.post(3).await;
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size: 3 });
    assert_eq!(world.published_by("quorum none"), ["a"]);

    world.honest("bb").await;
    *told.lock().unwrap() = world.policy("group both all a bb\nquorum both");
    world.it.post(2).await;
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size: 5 });
    assert_eq!(world.published_by("quorum none"), ["a", "bb"]);

    let left = world.lines.remove(0);
    *told.lock().unwrap() = world.policy("quorum bb");
    world.it.post(2).await;
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size: 7 });
    world.lines.insert(0, left);
    assert_eq!(world.published_by("quorum none"), ["bb"]);
}

/// An idle log's checkpoint is shown again, so that its cosignatures stay fresh.
#[tokio::test]
async fn an_idle_log_is_witnessed_again() {
    let mut world = Witnessed::new().await;
    world.it.post(2).await;
    world.it.seal_all().await;
    assert_eq!(world.published_by("quorum none"), [""; 0]);
    world.honest("a").await;
    let witnesses = Witnesses::new(world.policy("quorum a"), AMPLE).unwrap();
    let mut sealer = world.it.sealer().with_witnesses(witnesses).with_freshness(Duration::ZERO);
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Nothing);
    assert_eq!(world.published_by("quorum a"), ["a"]);
}

#[tokio::test]
async fn a_slow_or_lying_witness_delays_nothing_beyond_the_budget() {
    let mut world = Witnessed::new().await;
    world.listen("slow", Router::new().route("/add-checkpoint", post(std::future::pending::<()>))).await;
    let other = Witnessed::cosigner("somebody-else").cosign("another text\n", 1).encode();
    let lying = Router::new().route("/add-checkpoint", post(async move || other));
    world.listen("lying", lying).await;
    // One that says it has seen more, and shows nothing of it but a checkpoint that somebody else has signed.
    let origin_hash: String =
        proof::origin_hash(&world.it.key().log().origin).iter().map(|it| format!("{it:02x}")).collect();
    let forged = Checkpoint { origin: world.it.key().log().origin, size: 1 << 62, root: [7; 32] };
    let forged = forged.sign(&Signer::new(&forged.origin, &[0x77; 32]).unwrap()).encode();
    let ahead =
        async || (StatusCode::CONFLICT, [("content-type", "text/x.tlog.size")], "4611686018427387904\n");
    let boasting = Router::new()
        .route("/add-checkpoint", post(ahead))
        .route(&format!("/{origin_hash}/checkpoint"), get(async move || forged));
    world.listen("boasting", boasting).await;
    world.lines.push(
        "witness nowhere witness.test/n+x+y http://127.0.0.1:1\n"
            .replace("witness.test/n+x+y", &Witnessed::cosigner("nowhere").verifier_key().encode()),
    );
    world.it.post(2).await;
    let begun = Instant::now();
    let mut sealer =
        world.sealer("group g any slow lying boasting nowhere\nquorum g", Duration::from_millis(300));
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size: 2 });
    assert!(begun.elapsed() < AMPLE / 2, "{:?}", begun.elapsed());
    assert_eq!(world.published_by("quorum none"), [""; 0]);

    // Once enough have cosigned, nobody waits for the slow one.
    world.honest("good").await;
    world.it.post(2).await;
    let begun = Instant::now();
    let mut sealer = world.sealer("group g any slow lying boasting nowhere good\nquorum g", AMPLE);
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size: 4 });
    assert!(begun.elapsed() < AMPLE / 2, "{:?}", begun.elapsed());
    assert_eq!(world.published_by("group g any good\nquorum g"), ["good"]);
}

/// The database and the tiles are put back to an earlier state together, and go on: only the witness remembers.
#[tokio::test]
async fn a_witness_that_has_seen_more_halts_sealing() {
    let mut world = Witnessed::new().await;
    world.honest("a").await;
    world.it.post(5).await;
    let mut sealer = world.sealer("quorum a", AMPLE);
    sealer.seal().await.unwrap();
    let note = world.it.folder.checkpoint().unwrap().unwrap();
    world.it.post(5).await;
    sealer.seal().await.unwrap();
    world
        .it
        .tamper(
            "delete from cosignature where size = 10; delete from checkpoint where size = 10;
             update log_head set size = 5; delete from leaf where leaf_index >= 5;
             delete from posting where leaf_index >= 5; delete from entry where leaf_index >= 5",
        )
        .await;
    std::fs::write(world.it.home.path().join("log/checkpoint"), &note).unwrap();
    std::fs::write(world.it.home.path().join("log.published"), &note).unwrap();

    let error = world.sealer("quorum a", AMPLE).seal().await.unwrap_err();
    let SealError::Halt(Doubt::SeenBeyond { seen: 10, known: 5, .. }) = &error else { panic!("{error}") };
    assert_eq!(
        error.to_string(),
        "sealing halts: the witness a has seen 10 leaves of this log, but the database knows only 5: it lost commits"
    );
    // One that was not told at its start finds it when it shows what it has signed, before anybody else sees it.
    let silent = world.policy("quorum a");
    let witnesses = Witnesses::new(silent, AMPLE).unwrap();
    let mut sealer = world.it.sealer().with_witnesses(witnesses).with_freshness(Duration::ZERO);
    sealer.timeline = Some(store::timeline(&mut world.it.pool.acquire().await.unwrap()).await.unwrap());
    let error = sealer.seal().await.unwrap_err();
    assert!(matches!(error, SealError::Halt(Doubt::SeenBeyond { seen: 10, known: 5, .. })), "{error}");
    assert_eq!(world.it.folder.checkpoint().unwrap().unwrap(), note, "nothing is published in doubt");
}

/// A witness that is away at the start is asked again while sealing goes on.
#[tokio::test]
async fn a_witness_that_was_away_is_asked_until_it_answers() {
    let mut world = Witnessed::new().await;
    let (log, keys) = (world.it.key().log(), world.it.keys());
    let origin_hash: String = proof::origin_hash(&log.origin).iter().map(|it| format!("{it:02x}")).collect();
    let other = Checkpoint { origin: log.origin, size: 4, root: [7; 32] };
    let other = keys.sign(&other, &keys.history()).await.unwrap().unwrap().encode();
    let is_back = Arc::new(AtomicBool::new(false));
    let (told, away) = (Arc::clone(&is_back), StatusCode::SERVICE_UNAVAILABLE);
    let last_seen = get(async move || if told.load(Ordering::Relaxed) { Ok(other) } else { Err(away) });
    let witness = Router::new()
        .route("/add-checkpoint", post(async move || away))
        .route(&format!("/{origin_hash}/checkpoint"), last_seen);
    world.listen("away", witness).await;
    world.it.post(4).await;
    let mut sealer = world.sealer("quorum none", AMPLE);
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size: 4 });
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Nothing);

    is_back.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    let halted = loop {
        match sealer.seal().await {
            Ok(sealed) => assert_eq!(sealed, Sealed::Nothing),
            Err(halted) => break halted,
        }
        assert!(begun.elapsed() < AMPLE, "the witness was not asked again");
    };
    assert!(matches!(halted, SealError::Halt(Doubt::SeenOtherwise { size: 4, .. })), "{halted}");
}

/// A folder put back from a backup does not forget what was published.
#[tokio::test]
async fn a_store_that_was_put_back_still_halts_a_database_that_was() {
    let it = Fixture::new().await;
    it.post(5).await;
    it.seal_all().await;
    let note = it.folder.checkpoint().unwrap().unwrap();
    it.post(5).await;
    it.seal_all().await;
    it.tamper("delete from checkpoint where size = 10").await;
    std::fs::write(it.home.path().join("log/checkpoint"), &note).unwrap();
    let error = it.sealer().seal().await.unwrap_err();
    assert!(matches!(error, SealError::Halt(Doubt::Behind { published: 10, known: 5 })), "{error}");
}
