//! The log's key is changed: both sign during the overlap, and what one of them holds follows from the leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use auditor::{Audit, Finding, Source};
use proof::{Body, LeafKind, Policy, Refusal, Text, VerifierKey, verify_checkpoint};
use tokio::runtime::Handle;

use super::fixture::{Fixture, ORIGIN};
use crate::failpoint::{Act, Failpoint, Moment};
use crate::{
    Doubt, LogKey, LogKeys, Obstacle, RotateError, SealError, Sealed, Sealer, adopt, introduce, lost, retire,
};

struct Rotation {
    it: Fixture,
}

impl Rotation {
    fn next(&self) -> LogKey {
        LogKey::open(&self.it.home.path().join("next.key"), ORIGIN).unwrap()
    }

    fn both(&self) -> LogKeys {
        LogKeys::from(self.it.key()).and(self.next())
    }

    /// What is left once the first key is gone.
    fn later(&self) -> LogKeys {
        let first = *self.it.key().verifier_key().public_key();
        LogKeys::of_log_begun_with(&first, self.next()).unwrap()
    }

    async fn seal(&self, keys: impl Into<LogKeys>) -> Result<Sealed, SealError> {
        Sealer::new(self.it.pool.clone(), self.it.folder.clone(), keys).seal().await
    }

    /// Which of the first and the next key have signed what is published.
    fn signed(&self) -> [bool; 2] {
        let note = self.it.folder.checkpoint().unwrap().unwrap();
        [self.it.key(), self.next()].map(|key| {
            verify_checkpoint(&note, &Policy::of_log(key.verifier_key())).map_err(|it| it.code()).is_ok()
        })
    }

    async fn introduce(&self, key: &VerifierKey) -> Result<u64, RotateError> {
        introduce(&mut self.it.pool.acquire().await.unwrap(), &self.both(), key).await
    }

    async fn retire(&self, key: &VerifierKey) -> Result<u64, RotateError> {
        retire(&mut self.it.pool.acquire().await.unwrap(), &self.both(), key, false).await
    }

    /// The same where verifiers' policies name a contract.
    async fn retire_anchored(&self, key: &VerifierKey) -> Result<u64, RotateError> {
        retire(&mut self.it.pool.acquire().await.unwrap(), &self.both(), key, true).await
    }
}

fn refused<T: std::fmt::Debug>(said: Result<T, RotateError>, why: &str) {
    let told = said.unwrap_err().to_string();
    assert!(told.contains(why), "{told}");
}

#[tokio::test]
async fn a_key_takes_anothers_place_with_an_overlap() {
    let world = Rotation { it: Fixture::new().await };
    let (first, next) = (world.it.key().verifier_key(), world.next().verifier_key());
    world.it.post(3).await;
    assert_eq!(world.seal(world.both()).await.unwrap(), Sealed::Checkpoint { size: 3 });
    assert_eq!(world.signed(), [true, false], "nobody has heard of the next key");
    refused(world.retire(&first).await, "the only key");
    refused(world.introduce(&first).await, "first key");

    let introduced = world.introduce(&next).await.unwrap();
    assert_eq!(introduced, 3);
    refused(world.introduce(&next).await, "leaf 3 has introduced");
    // A sealer that has not been given it goes on alone: verifiers of the first key still follow.
    assert_eq!(world.seal(world.it.key()).await.unwrap(), Sealed::Checkpoint { size: 4 });
    assert_eq!(world.signed(), [true, false]);
    refused(world.retire(&first).await, "no other key has signed");
    world.it.post(2).await;
    assert_eq!(world.seal(world.both()).await.unwrap(), Sealed::Checkpoint { size: 6 });
    assert_eq!(world.signed(), [true, true]);

    refused(world.retire_anchored(&first).await, "is not in a block yet");
    let retired = world.retire(&first).await.unwrap();
    assert_eq!(retired, 6);
    refused(world.retire(&first).await, "leaf 6 has retired");
    refused(world.introduce(&first).await, "does not come back");
    refused(world.retire(&next).await, "the only key");
    let waits = world.seal(world.it.key()).await.unwrap_err();
    assert!(matches!(waits, SealError::Retry(Obstacle::NoKey)), "{waits}");
    assert_eq!(world.seal(world.both()).await.unwrap(), Sealed::Checkpoint { size: 7 });
    assert_eq!(world.signed(), [false, true], "the first key signs no more");
    world.it.post(1).await;
    assert_eq!(world.seal(world.later()).await.unwrap(), Sealed::Checkpoint { size: 8 });
    assert_eq!(world.later().log(), world.it.log, "the log is the one that began with the first key");

    let conn = &mut *world.it.pool.acquire().await.unwrap();
    let lines = world.later().history_in(conn).await.unwrap().policy_lines();
    let policy = Policy::parse(&lines).unwrap();
    for (size, verdict) in
        [(3, Some(Refusal::RetiredKey)), (4, Some(Refusal::RetiredKey)), (6, None), (7, None)]
    {
        let note = store::cosigned_note(conn, size).await.unwrap().unwrap();
        assert_eq!(verify_checkpoint(&note, &policy).err(), verdict, "{size}");
        assert!(verify_checkpoint(&note, &policy.vouched()).is_ok(), "{size}");
    }
    let report = world.it.check_books().await;
    assert_eq!(report.leaves, 8);
}

impl Rotation {
    /// Puts the database back to a backup, takes back what was published since, and seals what follows from that.
    async fn adopt(&mut self, backup: String, lost_kinds: &[LeafKind]) {
        self.it.reopen(backup).await;
        let halted = self.seal(self.both()).await.unwrap_err();
        assert!(matches!(halted, SealError::Halt(Doubt::Behind { .. })), "{halted}");
        let conn = &mut *self.it.pool.acquire().await.unwrap();
        let found = lost(conn, &self.both(), &self.it.folder, &[]).await.unwrap().unwrap();
        assert_eq!(found.leaves.iter().map(|it| it.kind).collect::<Vec<_>>(), lost_kinds);
        let first = found.leaves[0].leaf_index;
        adopt(conn, &self.both(), &found, Text::new("a backup was restored").unwrap(), false).await.unwrap();
        let size = first + 2 * lost_kinds.len() as u64 + 1;
        assert_eq!(self.seal(self.both()).await.unwrap(), Sealed::Checkpoint { size });
    }

    /// The lines that the log's leaves come to by now.
    async fn lines(&self) -> Policy {
        let conn = &mut *self.it.pool.acquire().await.unwrap();
        Policy::parse(&self.both().history_in(conn).await.unwrap().policy_lines()).unwrap()
    }

    /// What a stranger with this policy finds in the tiles.
    async fn findings(&self, policy: Policy) -> Vec<Finding> {
        let source = Source::Store(Arc::clone(&self.it.folder));
        let (memory, kept, anchors) = (None, Vec::new(), Vec::new());
        let audit = Audit { source, policy, parallel: 1, memory, kept, anchors };
        audit.run(|_, _| {}).await.unwrap().findings
    }
}

/// The leaf that introduced a key is lost, and comes back without effect: from there on the first key signs alone, as
/// whoever reads the leaves expects, until the next one is introduced anew.
#[tokio::test]
async fn a_lost_introduction_is_adopted_without_effect_and_made_anew() {
    let mut world = Rotation { it: Fixture::new().await };
    let (first, next) = (world.it.key().verifier_key(), world.next().verifier_key());
    world.it.post(5).await;
    world.it.seal_all().await;
    let backup = world.it.backup().await;
    assert_eq!(world.introduce(&next).await.unwrap(), 5);
    world.it.post(2).await;
    assert_eq!(world.seal(world.both()).await.unwrap(), Sealed::Checkpoint { size: 8 });
    assert_eq!(world.signed(), [true, true]);

    world.adopt(backup, &[LeafKind::Key, LeafKind::Posting, LeafKind::Posting]).await;
    assert_eq!(world.signed(), [true, false], "what was lost introduces nobody");
    assert_eq!(world.lines().await, Policy::of_log(first));
    assert_eq!(world.findings(world.lines().await).await, []);

    assert_eq!(world.introduce(&next).await.unwrap(), 12);
    world.it.post(1).await;
    assert_eq!(world.seal(world.both()).await.unwrap(), Sealed::Checkpoint { size: 14 });
    assert_eq!(world.signed(), [true, true]);
    assert_eq!(world.findings(world.lines().await).await, []);
    assert_eq!(world.it.check_books().await.leaves, 14);
}

/// The leaf that retired a key is lost: that key signs again, and a policy that calls it retired is told that the log does
/// not say so any more. It is retired anew.
#[tokio::test]
async fn a_lost_retirement_is_adopted_without_effect_and_made_anew() {
    let mut world = Rotation { it: Fixture::new().await };
    let (first, next) = (world.it.key().verifier_key(), world.next().verifier_key());
    assert_eq!(world.introduce(&next).await.unwrap(), 0);
    world.it.post(3).await;
    assert_eq!(world.seal(world.both()).await.unwrap(), Sealed::Checkpoint { size: 4 });
    let backup = world.it.backup().await;
    assert_eq!(world.retire(&first).await.unwrap(), 4);
    assert_eq!(world.seal(world.both()).await.unwrap(), Sealed::Checkpoint { size: 5 });
    assert_eq!(world.signed(), [false, true]);
    let told_before = world.lines().await;
    assert_eq!(world.findings(told_before.clone()).await, []);

    world.adopt(backup, &[LeafKind::Key]).await;
    assert_eq!(world.signed(), [true, true], "nobody has retired");
    assert_eq!(world.findings(world.lines().await).await, []);
    assert_eq!(world.findings(told_before).await, [Finding::KeyNotRetired { leaf_index: 4 }]);

    assert_eq!(world.retire(&first).await.unwrap(), 7);
    assert_eq!(world.seal(world.both()).await.unwrap(), Sealed::Checkpoint { size: 8 });
    assert_eq!(world.signed(), [false, true]);
    assert_eq!(world.findings(world.lines().await).await, []);
    assert_eq!(world.it.check_books().await.leaves, 8);
}

/// A retirement that is committed while a sealer is at work waits for the next seal: that one knows of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_retires_during_a_seal_signs_no_checkpoint_that_says_so() {
    let world = Rotation { it: Fixture::new().await };
    let (first, next) = (world.it.key().verifier_key(), world.next().verifier_key());
    assert_eq!(world.introduce(&next).await.unwrap(), 0);
    let publishes = (Act::PublishCheckpoint, Moment::Before);
    let sealer = |failpoint: Failpoint| {
        Sealer::new(world.it.pool.clone(), world.it.folder.clone(), world.both()).with_failpoint(failpoint)
    };
    // A checkpoint that is recorded and not published is published first by the next seal, which has read the keys by then.
    let ended = sealer(Arc::new(move |act: Act, moment: Moment| (act, moment) == publishes))
        .seal()
        .await
        .unwrap_err();
    assert!(matches!(ended, SealError::Retry(Obstacle::Failpoint(..))), "{ended}");
    world.it.post(1).await;
    let (pool, log) = (world.it.pool.clone(), world.it.log.clone());
    let (public_key, is_said) = (first.public_key().to_vec(), AtomicBool::new(false));
    let mut sealer = sealer(Arc::new(move |act: Act, moment: Moment| {
        if (act, moment) == publishes && !is_said.swap(true, Ordering::Relaxed) {
            let body = Body::Key { retired: true, signature_type: 1, public_key: public_key.clone() };
            let says = async {
                let conn = &mut *pool.acquire().await.unwrap();
                let leaf_index = store::append_declarations(conn, &log, vec![body]).await.unwrap();
                assert_eq!(leaf_index, 2);
            };
            tokio::task::block_in_place(|| Handle::current().block_on(says));
        }
        false
    }));
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size: 2 });
    assert_eq!(world.signed(), [true, true], "the retirement is not covered yet");
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size: 3 });
    assert_eq!(world.signed(), [false, true]);
}

/// A key that was stolen after it retired dates back what it signs; and nothing that it signs later is looked at.
#[tokio::test]
async fn whoever_has_a_retired_key_is_believed_by_nobody() {
    let world = Rotation { it: Fixture::new().await };
    let first = world.it.key().verifier_key();
    world.introduce(&world.next().verifier_key()).await.unwrap();
    world.seal(world.both()).await.unwrap();
    world.retire(&first).await.unwrap();
    world.seal(world.both()).await.unwrap();
    let conn = &mut *world.it.pool.acquire().await.unwrap();
    let policy = Policy::parse(&world.both().history_in(conn).await.unwrap().policy_lines()).unwrap();
    let thief = std::fs::read_to_string(world.it.home.path().join("log.key")).unwrap();
    let thief = proof::Signer::parse(&thief).unwrap();
    let forged =
        |size| proof::Checkpoint { origin: ORIGIN.to_owned(), size, root: [6; 32] }.sign(&thief).encode();
    assert_eq!(verify_checkpoint(&forged(1), &policy).err(), Some(Refusal::RetiredKey));
    assert_eq!(verify_checkpoint(&forged(2), &policy.vouched()).err(), Some(Refusal::RetiredKey));
    // The log itself takes nothing of it back.
    let home = world.it.home.path().join("log");
    std::fs::write(home.join("checkpoint"), forged(9)).unwrap();
    let halts = world.seal(world.later()).await.unwrap_err();
    assert!(matches!(halts, SealError::Halt(_)), "{halts}");
}

/// An idle log's checkpoint is published again at its interval, whether anybody witnesses it or not.
#[tokio::test]
async fn an_idle_log_is_published_again() {
    let it = Fixture::new().await;
    it.post(2).await;
    let mut sealer = it.sealer().with_freshness(Duration::ZERO);
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size: 2 });
    let path = it.home.path().join("log/checkpoint");
    let inode = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&path).unwrap());
    let (before, note) = (std::fs::File::open(&path).unwrap(), std::fs::read_to_string(&path).unwrap());
    let first = inode();
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Nothing);
    assert_ne!(inode(), first, "it was written anew");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), note, "and says the same");
    drop(before);
    let mut rare = it.sealer().with_freshness(Duration::from_secs(3600));
    rare.seal().await.unwrap();
    let again = std::fs::File::open(&path).unwrap();
    let second = inode();
    assert_eq!(rare.seal().await.unwrap(), Sealed::Nothing);
    assert_eq!(inode(), second, "its interval is not over");
    drop(again);
}
