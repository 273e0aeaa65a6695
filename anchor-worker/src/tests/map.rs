//! The account map, made from real books and read by somebody who does not trust them.

use std::time::Duration;

use auditor::{Audit, AuditReport, Finding, Source};
use proof::Policy;
use store::Keyring;
use tiles::Beside;

use super::fixture::Fixture;
use crate::{MadeMap, make_map, map_due_in, published_in};

async fn mapped() -> (Fixture, MadeMap) {
    let it = Fixture::new().await;
    it.post(3).await;
    let conn = &mut *it.pool.acquire().await.unwrap();
    let made = make_map(conn, &Keyring::new(&[9; 32]), &it.log, &it.folder).await.unwrap().unwrap();
    it.post(300).await;
    it.seal_all().await;
    (it, made)
}

async fn audit(it: &Fixture) -> AuditReport {
    let (source, policy) = (Source::Store(it.folder.clone()), Policy::of_log(it.key().verifier_key()));
    let audit = Audit { source, policy, parallel: 2, memory: None, kept: Vec::new(), anchors: Vec::new() };
    audit.run(|_, _| {}).await.unwrap()
}

#[tokio::test]
async fn an_audit_reads_maps_to_their_last_row() {
    let (it, made) = mapped().await;
    assert_eq!((made.leaf_index, made.log_size, made.accounts), (3, 3, 2));
    let report = audit(&it).await;
    assert_eq!((report.size, report.declarations, report.maps, &report.findings[..]), (304, 1, 1, &[][..]));

    for (beside, expected) in [
        (Beside::MapPart(made.root, 0), "its part 0 was changed"),
        (Beside::MapIndex(made.root), "the account map of leaf 3: its "),
        (Beside::Declaration(3), "cannot be read"),
    ] {
        let sound = it.folder.read_beside(beside).unwrap().unwrap();
        let file = it.home.path().join("log").join(beside.path());
        for at in [0, sound.len() / 2, sound.len() - 1] {
            let mut changed = sound.clone();
            changed[at] ^= 1;
            // Not by the store: it writes nothing over.
            std::fs::write(&file, &changed).unwrap();
            let found = audit(&it).await.findings;
            let named = found.len() == 1 && found[0].to_string().contains(expected);
            assert!(named, "{} at {at}: {found:?}", beside.path());
        }
        std::fs::remove_file(&file).unwrap();
        let found = audit(&it).await.findings;
        assert!(
            matches!(&found[..], [Finding::MapDiffers { .. } | Finding::DeclarationUnreadable { .. }]),
            "{found:?}"
        );
        it.folder.write_beside(beside, &sound).unwrap();
    }
    assert_eq!(audit(&it).await.findings, []);
}

#[tokio::test]
async fn only_a_store_with_the_logs_own_checkpoint_is_its_place() {
    let (it, other) = (Fixture::new().await, Fixture::new().await);
    it.post(3).await;
    other.post(3).await;
    other.seal_all().await;
    let conn = &mut *it.pool.acquire().await.unwrap();
    assert_eq!(published_in(conn, &it.folder).await.unwrap(), None, "nothing is published");
    it.seal_all().await;
    let published = published_in(conn, &it.folder).await.unwrap().map(|it| it.size);
    assert_eq!(published, Some(3));
    assert_eq!(published_in(conn, &other.folder).await.unwrap(), None, "it is another log's");
}

#[tokio::test]
async fn a_map_is_due_a_span_after_the_last_one() {
    let it = Fixture::new().await;
    it.post(3).await;
    let conn = &mut *it.pool.acquire().await.unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    assert_eq!(map_due_in(conn, &it.log, day).await.unwrap(), Duration::ZERO, "there is none");
    make_map(conn, &Keyring::new(&[9; 32]), &it.log, &it.folder).await.unwrap().unwrap();
    let left = map_due_in(conn, &it.log, day).await.unwrap();
    assert!(day / 2 < left && left < day, "{left:?}");
    let passed = Duration::from_micros(1);
    assert_eq!(map_due_in(conn, &it.log, passed).await.unwrap(), Duration::ZERO, "its time has passed");
}
