//! One receipt's check, in Rust and in TypeScript in a browser.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use proof::{
    Checkpoint, Cosigner, Details, Header, LeafKind, OpenedLeaf, Part, Policy, PostingKind, Receipt, Signer,
    inclusion_proof,
};
use serde_json::Value;

use super::ORIGIN;
use crate::bench::report::Report;
use crate::signals::now_s;

/// A receipt with one Ed25519 signature and the path of the large log, checked on one thread; the same with two cosignatures;
/// and in a browser.
pub(super) async fn measure(
    report: &mut Report,
    signer: &Signer,
    leaves: u64,
    home: &Path,
) -> anyhow::Result<()> {
    let receipt = receipt(signer, leaves)?;
    let log = format!("log {}\n", signer.verifier_key().encode());
    let policy = Policy::parse(&log)?;
    report.figure_at_most(
        "verify_rust_us",
        each_us(&receipt, &policy)?,
        "µs a receipt, one Ed25519 signature",
        60.0,
    );

    let (mut witnessed, mut cosigned) = (log.clone(), receipt.clone());
    for number in 1..=2_u8 {
        let cosigner = Cosigner::new(&format!("w{number}"), &[number; 32])?;
        witnessed.push_str(&format!("witness w{number} {}\n", cosigner.verifier_key().encode()));
        let note = proof::SignedNote::parse(&receipt.checkpoint)?;
        let line = cosigner.cosign(&note.text, now_s());
        cosigned.checkpoint.push_str(&line.encode());
    }
    witnessed.push_str("group both all w1 w2\nquorum both\n");
    let each = each_us(&cosigned, &Policy::parse(&witnessed)?)?;
    report.figure("verify_cosigned_rust_us", each, "µs a receipt, two cosignatures besides");

    let (file, policy) = (home.join("one.tlog-proof"), home.join("one-policy.txt"));
    std::fs::write(&file, receipt.encode())?;
    std::fs::write(&policy, log)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/measure.mjs");
    let told = tokio::process::Command::new("node").arg(script).args([&file, &policy]).arg("500").output();
    let told = told.await.context("node cannot be started")?;
    ensure!(told.status.success(), "the browser: {}", String::from_utf8_lossy(&told.stderr));
    let told: Value = serde_json::from_slice(&told.stdout)?;
    let told = |name: &str| told[name].as_f64().with_context(|| format!("the browser did not tell {name}"));
    report.figure_at_most("verify_browser_ms", told("median_ms")?, "ms a receipt in Chromium, median", 5.0);
    report.figure("verify_browser_p99_ms", told("p99_ms")?, "ms");
    Ok(())
}

fn each_us(receipt: &Receipt, policy: &Policy) -> anyhow::Result<f64> {
    let (bytes, checks) = (receipt.encode().into_bytes(), 10_000);
    let begun = Instant::now();
    for _ in 0..checks {
        proof::verify(&bytes, policy)?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e6 / f64::from(checks))
}

fn receipt(signer: &Signer, leaves: u64) -> anyhow::Result<Receipt> {
    let log_id = proof::log_id(ORIGIN, signer.verifier_key().public_key());
    let header = Header {
        posting_id: [1; 16],
        posting_kind: PostingKind::REDEEM,
        program: [2; 16],
        recorded_at_us: 1,
        effective_at_us: 1,
        rule_set_hash: [0; 32],
        event_hash: [0; 32],
        reverses: [0; 16],
    };
    let leaf = OpenedLeaf {
        kind: LeafKind::Posting,
        log_id,
        header: Part::Opened { salt: [3; 32], value: header },
        details: Part::Opened { salt: [4; 32], value: Details::default() },
        body: None,
        entries: vec![Part::Closed([5; 32]), Part::Closed([6; 32])],
        hints: Vec::new(),
    };
    let index = leaves / 3;
    let mut path =
        inclusion_proof(index, leaves, |node| Ok::<_, std::convert::Infallible>([node.level; 32]))?;
    let mut hash = proof::leaf_hash(&leaf.leaf(index).encode());
    // The root that this path leads to: which tree it is makes no difference to the work of checking it.
    (hash, path) = root_of(index, leaves, hash, path);
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: leaves, root: hash };
    let checkpoint = checkpoint.sign(signer).encode();
    Ok(Receipt { leaf, leaf_index: index, path, checkpoint })
}

fn root_of(
    index: u64,
    size: u64,
    mut hash: proof::Hash,
    path: Vec<proof::Hash>,
) -> (proof::Hash, Vec<proof::Hash>) {
    let (mut at, mut last) = (index, size - 1);
    for sibling in &path {
        if at % 2 == 1 || at == last {
            hash = proof::node_hash(sibling, &hash);
            while at % 2 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = proof::node_hash(&hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    (hash, path)
}
