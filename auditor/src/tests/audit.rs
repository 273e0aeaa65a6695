use proof::Body;
use tiles::Beside;

use super::forger::{Forger, bundle, tile};
use crate::{Finding, Source, SourceError};

#[tokio::test]
async fn an_honest_log_is_audited_whole() {
    for size in [0, 1, 255, 256, 257, 600, 70_000] {
        let log = Forger::honest(size);
        let mut told = Vec::new();
        let report = log.auditing().run(|done, of| told.push((done, of))).await.unwrap();
        assert_eq!((report.size, report.leaves, &report.findings[..]), (size, size, &[][..]));
        assert_eq!(report.root, hex::encode(log.edge.root()));
        assert_eq!(told.last(), Some(&(size, size)));
        // Every tile that the size implies, and each bundle.
        let written = proof::tiles_between(0, size).len() as u64;
        assert_eq!(report.tiles, written);
    }
    let nothing = Forger::new();
    let error = nothing.auditing().run(|_, _| {}).await.unwrap_err();
    assert!(error.to_string().contains("nothing was ever published"), "{error}");
}

#[tokio::test]
async fn a_flipped_bit_is_named_where_it_is() {
    let log = Forger::honest(70_000);
    let changed = |path: &str, row| Finding::TileChanged { path: path.to_owned(), row };
    let row = |at: usize| at * 76 + 2;
    for (file, at, expected) in [
        (bundle(0, 256), row(3) + 50, Finding::LeafChanged { leaf_index: 3 }),
        (tile(0, 0, 256), 7 * 32, changed("tile/0/000", 7)),
        (bundle(273, 112), row(9) + 60, Finding::LeafChanged { leaf_index: 273 * 256 + 9 }),
        (tile(0, 273, 112), 111 * 32 + 31, changed("tile/0/273.p/112", 111)),
        (tile(1, 0, 256), 5 * 32, changed("tile/1/000", 5)),
        (tile(1, 1, 17), 16 * 32, changed("tile/1/001.p/17", 16)),
        (tile(2, 0, 1), 0, changed("tile/2/000.p/1", 0)),
    ] {
        log.flip(file, at);
        assert_eq!(log.findings().await, [expected], "{}", file.path());
        log.flip(file, at);
    }
    // A compressed bundle that was damaged as it lies does not even unpack.
    let path = log.path("tile/entries/002");
    let bytes = std::fs::read(&path).unwrap();
    let mut spoilt = bytes.clone();
    spoilt[5000] ^= 1;
    std::fs::write(&path, spoilt).unwrap();
    let found = log.findings().await;
    assert!(
        matches!(&found[..], [Finding::TileUnreadable { problem }] if problem.starts_with("tile/entries/002 is damaged")),
        "{found:?}"
    );
    std::fs::write(&path, bytes).unwrap();
    // What is no leaf of this log at all is said so, besides.
    log.flip(bundle(1, 256), row(0) + 41);
    let findings = [Finding::ForeignLeaf { leaf_index: 256 }, Finding::LeafChanged { leaf_index: 256 }];
    assert_eq!(log.findings().await, findings);
    log.flip(bundle(1, 256), row(0) + 41);
    assert_eq!(log.findings().await, []);
}

#[tokio::test]
async fn a_lost_or_short_tile_is_named_and_the_rest_is_read() {
    let log = Forger::honest(600);
    for file in [bundle(0, 256), tile(0, 1, 256), bundle(2, 88), tile(0, 2, 88), tile(1, 0, 2)] {
        let path = log.path(&file.path());
        let bytes = std::fs::read(&path).unwrap();
        for spoilt in [None, Some(&bytes[..bytes.len() - 1])] {
            match spoilt {
                None => std::fs::remove_file(&path).unwrap(),
                Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            }
            let report = log.audit().await;
            let [Finding::TileUnreadable { problem }] = &report.findings[..] else {
                panic!("{:?}", report.findings)
            };
            assert!(problem.contains(&file.path()), "{problem}");
            assert_eq!(report.leaves, 600);
        }
        std::fs::write(&path, bytes).unwrap();
    }
    std::fs::remove_file(log.path("tile/0/000")).unwrap();
    std::fs::remove_file(log.path("tile/entries/000")).unwrap();
    let [Finding::TileUnreadable { problem }] = &log.findings().await[..] else { panic!("one finding") };
    assert!(problem.contains("tile/entries/000 and tile/0/000"), "{problem}");
}

/// A rewritten history, planted in the tiles; then under a fresh signature as well.
#[tokio::test]
async fn a_rewritten_history_is_caught_by_the_audit() {
    let mut log = Forger::honest(600);
    let before = log.note();
    let memory = log.home.path().join("audit.json");
    let remembering = |log: &Forger| {
        let mut audit = log.auditing();
        audit.memory = Some(memory.clone());
        audit
    };
    assert_eq!(remembering(&log).run(|_, _| {}).await.unwrap().findings, []);

    log.rewrite(4);
    assert_eq!(log.findings().await, [Finding::RootDiffers { size: 600 }]);

    // A fresh signature makes a history that is sound in itself: only memory tells.
    log.show(&log.note());
    assert_eq!(log.findings().await, []);
    let mut audit = log.auditing();
    audit.kept = vec![before];
    let report = audit.run(|_, _| {}).await.unwrap();
    assert_eq!(report.findings, [Finding::Forked { older: 600, newer: 600 }]);
    // The leaves that were passed before are not read again, and so lead to the root that was signed before.
    let found = remembering(&log).run(|_, _| {}).await.unwrap().findings;
    assert!(found.contains(&Finding::Forked { older: 600, newer: 600 }), "{found:?}");
    log.grow(100);
    let found = remembering(&log).run(|_, _| {}).await.unwrap().findings;
    assert!(found.contains(&Finding::Forked { older: 600, newer: 700 }), "{found:?}");
}

#[tokio::test]
async fn an_audit_goes_on_where_the_last_one_ended() {
    let mut log = Forger::new();
    let path = log.home.path().join("audit.json");
    let mut passed = 0;
    for step in [1, 254, 1, 300, 3000, 7] {
        log.grow(step);
        let mut audit = log.auditing();
        audit.memory = Some(path.clone());
        let report = audit.run(|_, _| {}).await.unwrap();
        assert_eq!(report.findings, []);
        assert_eq!((report.resumed_from, report.resumed_from + report.leaves), (passed, report.size));
        passed = report.size / 256 * 256;
    }
    // Leaves that were passed are not read again, and what was remembered of them must still lead to the root.
    let text = std::fs::read_to_string(&path).unwrap();
    let first = text.find("[\"").unwrap() + 2;
    let other = if &text[first..=first] == "0" { "1" } else { "0" };
    std::fs::write(&path, [&text[..first], other, &text[first + 1..]].concat()).unwrap();
    let mut audit = log.auditing();
    audit.memory = Some(path.clone());
    let found = audit.run(|_, _| {}).await.unwrap().findings;
    assert!(found.contains(&Finding::RootDiffers { size: log.edge.size() }), "{found:?}");
    // Another log's memory is refused.
    std::fs::write(&path, text.replace("log.example", "log.elsewhere")).unwrap();
    let mut audit = log.auditing();
    audit.memory = Some(path.clone());
    assert!(matches!(audit.run(|_, _| {}).await, Err(SourceError::Damaged { .. })));
}

/// What is remembered as passed is not read again: not before what the log says of itself in it was read.
#[tokio::test]
async fn a_declaration_that_is_lost_is_found_again_and_again() {
    let mut log = Forger::new();
    let opened = log.declare(Body::Succession { log_id: [6; 32], size: 9, root: [7; 32] });
    log.grow(3 * 256);
    let mut audit = log.auditing();
    audit.memory = Some(log.home.path().join("audit.json"));
    for _ in 0..2 {
        let report = audit.remembering(1, |_, _| {}).await.unwrap();
        let found = &report.findings[..];
        assert!(matches!(found, [Finding::DeclarationUnreadable { leaf_index: 0, .. }]), "{found:?}");
        assert_eq!(report.resumed_from, 0);
    }
    log.store.write_beside(Beside::Declaration(0), &opened.encode()).unwrap();
    for resumed_from in [0, 3 * 256] {
        let report = audit.remembering(1, |_, _| {}).await.unwrap();
        assert_eq!((&report.findings[..], report.resumed_from), (&[][..], resumed_from));
    }
}

#[tokio::test]
async fn a_log_that_went_back_is_found() {
    let mut log = Forger::honest(300);
    let early = log.note();
    log.grow(300);
    let late = log.note();
    log.show(&early);
    let mut audit = log.auditing();
    audit.kept = vec![late];
    let report = audit.run(|_, _| {}).await.unwrap();
    assert_eq!(report.findings, [Finding::WentBack { shown: 300, seen: 600 }]);
}

#[tokio::test]
async fn a_checkpoint_that_nobody_signed_ends_the_audit() {
    let log = Forger::honest(10);
    let mut audit = log.auditing();
    let other = proof::Signer::new("log.example/forger", &[6; 32]).unwrap();
    audit.policy = proof::Policy::of_log(other.verifier_key());
    let report = audit.run(|_, _| {}).await.unwrap();
    assert!(
        matches!(&report.findings[..], [Finding::CheckpointRefused { code: "unsigned", .. }]),
        "{:?}",
        report.findings
    );
    let gone = Source::at("http://127.0.0.1:1/").unwrap();
    audit.source = gone;
    assert!(matches!(audit.run(|_, _| {}).await, Err(SourceError::Unreachable(_))));
}
