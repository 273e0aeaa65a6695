//! A rewritten history against the contract, on a real chain.

use std::time::Duration;

use chain::dev::{DEV_KEY, ensure_contract};
use chain::{Account, AuditLog, Chain, ChainError, fees_for, tip_floor_wei};
use devstack::{Anvil, AnvilConfig};
use proof::{AnchorPlace, Policy};

use super::forger::Forger;
use crate::{Anchored, Finding};

/// Anchors what the log shows now.
async fn anchor(log: &Forger, contract: &AuditLog) -> Result<(), ChainError> {
    let account = Account::from_key(DEV_KEY).unwrap();
    let (chain, head) = (contract.chain(), contract.head().await?);
    let checkpoint = log.checkpoint();
    let proof = log.store.consistency_proof(head.size, checkpoint.size).unwrap();
    let nonce = chain.nonce(&account.address()).await?;
    let fees = fees_for(chain.base_fee_wei().await?, tip_floor_wei(chain.id()), 40);
    let signed =
        contract.sign_anchor(&account, nonce, fees, checkpoint.size, &checkpoint.root, &proof).await?;
    chain.send_raw(&signed.raw).await?;
    let mined = async {
        while contract.head().await.unwrap().size != checkpoint.size {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), mined).await.expect("it is mined in time");
    Ok(())
}

fn with_anchor(log: &Forger, place: AnchorPlace) -> Policy {
    let mut policy = log.policy();
    policy.anchors.push(place);
    policy
}

/// A history rewritten in tiles and under a fresh signature is one that the contract refuses to anchor, and that
/// audit and monitor find by asking the contract, without any memory of their own.
#[tokio::test]
async fn a_rewritten_history_with_a_fresh_signature_is_caught_by_the_contract() {
    let anvil = tokio::task::spawn_blocking(|| Anvil::start(&AnvilConfig::default())).await.unwrap().unwrap();
    let chain = Chain::connect(&anvil.url()).await.unwrap();
    let mut log = Forger::honest(300);
    let account = Account::from_key(DEV_KEY).unwrap();
    let contract = ensure_contract(&chain, &account, &log.log_id).await.unwrap();
    let policy = with_anchor(&log, contract.place());
    for growth in [0, 300, 1] {
        log.grow(growth);
        anchor(&log, &contract).await.unwrap();
    }
    log.grow(50);
    let all = Anchored::all(&chain, &policy, &log.log_id).await.unwrap();
    assert_eq!(all.iter().map(|it| it.size).collect::<Vec<_>>(), [300, 600, 601]);
    let mut audit = log.auditing();
    (audit.policy, audit.anchors) = (policy.clone(), all);
    let report = audit.run(|_, _| {}).await.unwrap();
    assert_eq!((report.anchors, &report.findings[..]), (3, &[][..]));
    let mut monitor = log.monitor();
    (monitor.policy, monitor.chain) = (policy.clone(), Some(chain.clone()));
    let observed = monitor.look(1).await.unwrap();
    assert_eq!((observed.contracts, &observed.findings[..]), (1, &[][..]));

    let honest = log.note();
    log.rewrite(400);
    log.show(&log.note());
    let refused = anchor(&log, &contract).await.unwrap_err();
    assert!(matches!(refused, ChainError::Reverted(_)), "{refused}");
    // Up to 300 the two histories are one.
    audit.source = log.source();
    let found = audit.run(|_, _| {}).await.unwrap().findings;
    let disagrees = |size| Finding::AnchorDisagrees { chain_id: 31337, size };
    assert_eq!(found, [disagrees(600), disagrees(601)]);
    std::fs::remove_file(log.home.path().join("monitor/seen.json")).unwrap();
    monitor.source = log.source();
    assert_eq!(monitor.look(2).await.unwrap().findings, [disagrees(601)]);

    // A log that shows less than is anchored hides something.
    log.rewrite(400);
    let mut short = Forger::honest(100);
    short.show(&short.note());
    monitor.source = short.source();
    std::fs::remove_file(log.home.path().join("monitor/seen.json")).unwrap();
    let ahead = Finding::AnchorAhead { chain_id: 31337, anchored: 601, shown: 100 };
    assert_eq!(monitor.look(3).await.unwrap().findings, [ahead]);
    short.grow(1);
    drop(honest);

    // Nobody has such a log in the contract: that is no answer.
    let stranger = AnchorPlace { registrant: [9; 20], ..contract.place() };
    let policy = with_anchor(&log, stranger);
    let error = Anchored::heads(&chain, &policy, &log.log_id).await.unwrap_err();
    assert!(matches!(error, ChainError::NoContract(_)), "{error}");
}
