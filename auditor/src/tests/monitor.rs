use std::time::{Duration, UNIX_EPOCH};

use chain::Chain;
use proof::AnchorPlace;

use super::forger::{Forger, bundle};
use crate::{Finding, MonitorError, Observation, Source, SourceError, is_fork, read_fork};

async fn look(log: &Forger) -> Observation {
    log.monitor().look(1_000).await.unwrap()
}

#[tokio::test]
async fn a_growing_log_is_followed() {
    let mut log = Forger::new();
    assert_eq!(look(&log).await, Observation::default());
    let mut size = 0;
    for step in [1, 255, 1, 700] {
        log.grow(step);
        size += step;
        let observed = look(&log).await;
        assert_eq!((observed.size, &observed.findings[..]), (size, &[][..]));
        assert_eq!(look(&log).await.findings, [], "the same again");
    }
}

/// A rewritten history, planted in the tiles and under a fresh signature, at each relation of the two sizes.
#[tokio::test]
async fn a_fork_is_caught_and_its_proof_is_kept() {
    for growth in [0, 1, 500] {
        let mut log = Forger::honest(600);
        assert_eq!(look(&log).await.findings, []);
        log.rewrite(4);
        log.grow(growth);
        log.show(&log.note());
        let observed = look(&log).await;
        let newer = 600 + growth;
        assert_eq!(observed.findings, [Finding::Forked { older: 600, newer }]);
        let folder = observed.evidence.unwrap();
        assert_eq!(read_fork(&folder, &log.policy()), Some((600, newer)), "anybody can check it");
        // The last checkpoint that was consistent stays the one to hold against.
        assert_eq!(look(&log).await.findings, [Finding::Forked { older: 600, newer }]);

        let other = proof::Signer::new("log.example/forger", &[6; 32]).unwrap();
        assert_eq!(read_fork(&folder, &proof::Policy::of_log(other.verifier_key())), None);
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let proof = serde_json::from_str(&read("proof.json")).unwrap();
        let older = read("older.checkpoint");
        assert!(!is_fork(&older, &older, &proof, &log.policy()), "one checkpoint is no fork");
    }
}

/// While a fork lasts, its log goes on: the proof that was kept first is enough, however often it is looked at.
#[tokio::test]
async fn a_fork_that_grows_has_one_proof() {
    let mut log = Forger::honest(600);
    look(&log).await;
    log.rewrite(4);
    let mut proofs = Vec::new();
    for newer in 601..604 {
        log.grow(1);
        let observed = look(&log).await;
        assert_eq!(observed.findings, [Finding::Forked { older: 600, newer }]);
        proofs.extend(observed.evidence);
    }
    assert!(proofs.len() == 3 && proofs.iter().all(|it| *it == proofs[0]), "{proofs:?}");
    assert_eq!(read_fork(&proofs[0], &log.policy()), Some((600, 601)));

    // The same where it shows less than was seen.
    let log = Forger::honest(600);
    look(&log).await;
    let mut shorter = Forger::honest(300);
    shorter.rewrite(7);
    let mut proofs = Vec::new();
    for older in 301..304 {
        shorter.grow(1);
        log.show(&shorter.note());
        let observed = look(&log).await;
        assert_eq!(observed.findings, [Finding::Forked { older, newer: 600 }]);
        proofs.extend(observed.evidence);
    }
    assert!(proofs.len() == 3 && proofs.iter().all(|it| *it == proofs[0]), "{proofs:?}");
    assert_eq!(read_fork(&proofs[0], &log.policy()), Some((301, 600)));
}

#[tokio::test]
async fn an_honest_pair_is_no_fork() {
    let mut log = Forger::honest(300);
    let older = log.note();
    log.grow(300);
    let root = hex::encode(log.edge.root());
    for root in [root, "00".repeat(32)] {
        let proof = crate::ForkProof { root, proof: Vec::new() };
        assert!(!is_fork(&older, &log.note(), &proof, &log.policy()));
    }
}

#[tokio::test]
async fn a_smaller_checkpoint_is_a_fork_or_a_step_back() {
    let mut log = Forger::honest(300);
    let early = log.note();
    log.grow(300);
    look(&log).await;
    let late = log.note();
    log.show(&early);
    assert_eq!(look(&log).await.findings, [Finding::WentBack { shown: 300, seen: 600 }]);
    std::fs::remove_file(log.path("checkpoint")).unwrap();
    assert_eq!(look(&log).await.findings, [Finding::WentBack { shown: 0, seen: 600 }]);
    log.show(&late);
    assert_eq!(look(&log).await.findings, []);

    let mut forged = Forger::honest(300);
    forged.rewrite(7);
    log.show(&forged.note());
    let observed = look(&log).await;
    assert_eq!(observed.findings, [Finding::Forked { older: 300, newer: 600 }]);
    assert_eq!(read_fork(&observed.evidence.unwrap(), &log.policy()), Some((300, 600)));
}

/// Planted in the tiles alone: they no longer lead from one signed checkpoint to the other.
#[tokio::test]
async fn tiles_that_prove_nothing_are_said_so() {
    let mut log = Forger::honest(600);
    look(&log).await;
    log.grow(1);
    let signed = log.note();
    log.rewrite(4);
    log.show(&signed);
    let observed = look(&log).await;
    assert_eq!(observed.findings, [Finding::Unproven { older: 600, newer: 601 }]);
    let kept = std::fs::read_to_string(observed.evidence.unwrap().join("newer.checkpoint")).unwrap();
    assert_eq!(kept, signed);
    // A bundle is no part of a consistency proof: that is the audit's to find.
    let log = Forger::honest(600);
    look(&log).await;
    log.flip(bundle(0, 256), 60);
    assert_eq!(look(&log).await.findings, []);
}

/// What a log has signed is kept, also where it withholds what would show that it forked.
#[tokio::test]
async fn checkpoints_whose_tiles_are_withheld_are_kept() {
    let mut log = Forger::honest(600);
    let before = log.note();
    look(&log).await;
    log.rewrite(4);
    log.grow(1);
    log.show(&log.note());
    std::fs::rename(log.path("tile"), log.path("withheld")).unwrap();
    let observed = look(&log).await;
    assert!(matches!(observed.findings[..], [Finding::TileUnreadable { .. }]), "{:?}", observed.findings);
    let folder = observed.evidence.unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!((read("older.checkpoint"), read("newer.checkpoint")), (before, log.note()));
    assert_eq!(read_fork(&folder, &log.policy()), None, "it proves nothing alone");
}

/// However long an outage lasts, it fills no disk; and what is shown at its end is kept as what was shown at its beginning.
#[tokio::test]
async fn what_is_kept_without_tiles_is_bounded() {
    let mut log = Forger::honest(600);
    let monitor = log.monitor();
    look(&log).await;
    let kept: Vec<_> = (0..1024).map(|it| monitor.folder.join(format!("unproven-{it}"))).collect();
    for (folder, second) in kept.iter().zip(0..) {
        std::fs::create_dir(folder).unwrap();
        if second == 512 {
            std::fs::create_dir(folder.join("older.checkpoint.fork")).unwrap();
        }
        let kept_at = UNIX_EPOCH + Duration::from_secs(second);
        std::fs::File::open(folder).unwrap().set_modified(kept_at).unwrap();
    }
    let mut evidence = Vec::new();
    for _ in 0..2 {
        log.grow(1);
        std::fs::rename(log.path("tile"), log.path("withheld")).unwrap();
        // The same again has its room.
        for _ in 0..2 {
            let observed = look(&log).await;
            assert!(
                matches!(observed.findings[..], [Finding::TileUnreadable { .. }]),
                "{:?}",
                observed.findings
            );
            evidence.extend(observed.evidence);
        }
        std::fs::rename(log.path("withheld"), log.path("tile")).unwrap();
    }
    assert!(evidence.len() == 4 && evidence.iter().all(|it| it.join("newer.checkpoint").is_file()));
    assert!(evidence[0] == evidence[1] && evidence[1] != evidence[2] && evidence[2] == evidence[3]);
    let gone: Vec<_> = (0..1024).filter(|it| !kept[*it].exists()).collect();
    assert_eq!(gone, [511, 513], "of the middle, where nothing is proven yet");
}

/// An outage is no evidence: what was kept in it goes once the log is seen to have grown from it, and nothing else does.
#[tokio::test]
async fn what_was_kept_in_an_outage_goes_unless_it_is_a_fork() {
    let mut log = Forger::honest(600);
    look(&log).await;
    let without_tiles = async |log: &Forger| {
        std::fs::rename(log.path("tile"), log.path("withheld")).unwrap();
        let observed = look(log).await;
        std::fs::rename(log.path("withheld"), log.path("tile")).unwrap();
        observed.evidence.unwrap()
    };
    let mut kept = Vec::new();
    for _ in 0..3 {
        log.grow(1);
        kept.push(without_tiles(&log).await);
    }
    assert!(kept.iter().all(|it| it.is_dir()));
    assert_eq!(look(&log).await.findings, []);
    assert!(!kept.iter().any(|it| it.exists()), "{kept:?}");

    let mut forged = Forger::honest(600);
    forged.rewrite(4);
    forged.grow(1);
    log.show(&forged.note());
    let kept = without_tiles(&log).await;
    // However far the log grows, it is one fork with one proof.
    let mut proofs = Vec::new();
    for _ in 0..2 {
        log.grow(1);
        let observed = look(&log).await;
        assert_eq!(observed.findings, [Finding::Forked { older: 601, newer: 604 }]);
        proofs.extend(observed.evidence);
        assert_eq!(read_fork(proofs.last().unwrap(), &log.policy()), Some((601, 604)));
        assert!(kept.is_dir());
    }
    assert_eq!(proofs[0], proofs[1]);

    // What was cut off while it was removed goes with the next look.
    std::fs::remove_dir_all(&kept).unwrap();
    std::fs::create_dir(&kept).unwrap();
    assert_eq!(look(&log).await.findings, []);
    assert!(!kept.exists());
}

#[tokio::test]
async fn a_stale_checkpoint_is_an_alarm() {
    let mut log = Forger::honest(5);
    let mut monitor = log.monitor();
    monitor.stale_after_s = Some(60);
    assert_eq!(monitor.look(1_000).await.unwrap().findings, []);
    assert_eq!(monitor.look(1_060).await.unwrap().findings, []);
    assert_eq!(monitor.look(1_061).await.unwrap().findings, [Finding::Stale { age_s: 61 }]);
    log.grow(1);
    assert_eq!(monitor.look(1_062).await.unwrap().findings, []);
    // So is a log that does not answer at all.
    monitor.source = Source::at("http://127.0.0.1:1").unwrap();
    assert!(matches!(monitor.look(1_122).await, Err(MonitorError::Source(SourceError::Unreachable(_)))));
    assert_eq!(monitor.look(1_123).await.unwrap().findings, [Finding::Stale { age_s: 61 }]);
}

/// Whoever can keep us from the chain does not keep us from the log.
#[tokio::test]
async fn a_fork_is_seen_while_the_chain_is_down() {
    let mut log = Forger::honest(600);
    let mut monitor = log.monitor();
    let place = AnchorPlace { chain_id: 31337, contract: [1; 20], registrant: [2; 20] };
    monitor.policy.anchors.push(place);
    monitor.chain = Some(Chain::of_id("http://127.0.0.1:1", place.chain_id).unwrap());
    let observed = monitor.look(1_000).await.unwrap();
    assert_eq!((observed.size, observed.contracts, &observed.findings[..]), (600, 0, &[][..]));
    assert!(observed.unanswered.is_some());
    log.rewrite(4);
    log.show(&log.note());
    monitor.source = log.source();
    let observed = monitor.look(1_001).await.unwrap();
    assert_eq!(observed.findings, [Finding::Forked { older: 600, newer: 600 }]);
}
