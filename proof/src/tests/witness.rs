use std::collections::BTreeMap;

use ed25519_dalek::{Signature as RawSignature, SigningKey, Verifier};

use super::samples::plain_root;
use crate::*;

const ORIGIN: &str = "log.example/witnessed";

fn signer() -> Signer {
    Signer::new(ORIGIN, &[3; 32]).unwrap()
}

fn hashes(size: u64) -> Vec<Hash> {
    (0..size).map(|it| leaf_hash(&it.to_be_bytes())).collect()
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint { origin: ORIGIN.to_owned(), size, root: plain_root(&hashes(size)) }
}

fn request(old_size: u64, size: u64) -> AddCheckpoint {
    let leaves = hashes(size);
    let node = |node| Ok::<_, std::convert::Infallible>(super::samples::plain_node(&leaves, node));
    let proof = if old_size <= size { consistency_proof(old_size, size, node).unwrap() } else { Vec::new() };
    AddCheckpoint { old_size, proof, checkpoint: checkpoint(size).sign(&signer()).encode() }
}

/// What a witness that has seen this size decides.
fn decide(request: &AddCheckpoint, seen: u64) -> Result<u64, WitnessRefusal> {
    let policy = Policy::of_log(signer().verifier_key());
    let again = AddCheckpoint::parse(request.encode().as_bytes()).unwrap();
    assert_eq!(again, *request, "it is read as it is written");
    let seen = BTreeMap::from([(ORIGIN.to_owned(), checkpoint(seen))]);
    let seen = |origin: &str| seen.get(origin).filter(|it| it.size != 0).cloned();
    request.decide(&policy, seen).map(|(_, it)| it.size)
}

#[test]
fn a_witness_cosigns_what_extends_the_last() {
    for (old, new) in [(0, 0), (0, 1), (0, 9), (1, 2), (5, 5), (5, 9), (8, 9), (7, 300)] {
        assert_eq!(decide(&request(old, new), old), Ok(new), "{old} to {new}");
    }
}

#[test]
fn a_witness_refuses_everything_else_and_says_why() {
    let spoilt = |change: fn(&mut AddCheckpoint)| {
        let mut request = request(5, 9);
        change(&mut request);
        decide(&request, 5)
    };
    assert_eq!(decide(&request(5, 9), 6), Err(WitnessRefusal::OtherSize { seen: 6 }));
    assert_eq!(decide(&request(0, 9), 6), Err(WitnessRefusal::OtherSize { seen: 6 }));
    assert_eq!(
        decide(&request(9, 5), 9).unwrap_err().to_string().split(':').next(),
        Some("the request is malformed")
    );
    assert_eq!(spoilt(|it| it.proof[0][0] ^= 1), Err(WitnessRefusal::NotConsistent));
    assert_eq!(spoilt(|it| it.proof.clear()), Err(WitnessRefusal::NotConsistent));
    assert_eq!(spoilt(|it| it.proof.push([0; 32])), Err(WitnessRefusal::NotConsistent));
    let other_root = Checkpoint { root: [1; 32], ..checkpoint(5) }.sign(&signer()).encode();
    let same_size = AddCheckpoint { old_size: 5, proof: Vec::new(), checkpoint: other_root };
    assert_eq!(decide(&same_size, 5), Err(WitnessRefusal::NotConsistent));
    let first_with_proof = AddCheckpoint { proof: vec![[0; 32]], ..request(0, 9) };
    assert_eq!(decide(&first_with_proof, 0), Err(WitnessRefusal::NotConsistent));
    let empty = Checkpoint { root: [1; 32], ..checkpoint(0) }.sign(&signer()).encode();
    let empty = AddCheckpoint { old_size: 0, proof: Vec::new(), checkpoint: empty };
    assert_eq!(decide(&empty, 0), Err(WitnessRefusal::NotConsistent));

    let stranger = Signer::new(ORIGIN, &[4; 32]).unwrap();
    let unsigned = AddCheckpoint { checkpoint: checkpoint(9).sign(&stranger).encode(), ..request(5, 9) };
    assert_eq!(decide(&unsigned, 5), Err(WitnessRefusal::Unsigned));
    let elsewhere = Signer::new("log.elsewhere", &[3; 32]).unwrap();
    let unknown =
        Checkpoint { origin: "log.elsewhere".to_owned(), ..checkpoint(9) }.sign(&elsewhere).encode();
    let unknown = AddCheckpoint { checkpoint: unknown, ..request(5, 9) };
    assert_eq!(decide(&unknown, 5), Err(WitnessRefusal::UnknownLog));

    let whole = request(5, 9).encode();
    for body in [
        "",
        "old 5\n",
        &whole[1..],
        &whole.replacen("old 5", "old 05", 1),
        &whole.replacen("old 5", "old -5", 1),
        &whole.replacen("old 5\n", "old 5\nAA==\n", 1),
        &format!("old 5\n{}\n{whole}", format!("{}\n", "A".repeat(43) + "=").repeat(64)),
        &"x".repeat(ADD_CHECKPOINT_BYTES_MAX + 1),
    ] {
        assert!(matches!(AddCheckpoint::parse(body.as_bytes()), Err(WitnessRefusal::Malformed(_))), "{body}");
    }
}

/// The cosignature as the specification's text says it, computed beside our own code.
#[test]
fn a_cosignature_is_what_the_specification_says() {
    let cosigner = Cosigner::new("witness.example/w1", &[9; 32]).unwrap();
    let text = checkpoint(9).encode();
    let line = cosigner.cosign(&text, 1_700_000_000);
    let (time, signature) = line.bytes.split_first_chunk::<8>().unwrap();
    assert_eq!(u64::from_be_bytes(*time), 1_700_000_000);
    let message = format!("cosignature/v1\ntime 1700000000\n{text}");
    let key = SigningKey::from_bytes(&[9; 32]).verifying_key();
    key.verify(message.as_bytes(), &RawSignature::from_slice(signature).unwrap()).unwrap();
    let vkey = cosigner.verifier_key();
    assert_eq!(VerifierKey::parse(&vkey.encode()).unwrap(), vkey);
    assert!(vkey.is_witness_key() && vkey.verifies(&text, &line));

    let note = SignedNote { signatures: vec![signer().sign(&text), line], text };
    let policy =
        format!("log {}\nwitness w {} http://w\nquorum w\n", signer().verifier_key().encode(), vkey.encode());
    let policy = Policy::parse(&policy).unwrap();
    let verified = verify_checkpoint(&note.encode(), &policy).unwrap();
    assert_eq!((verified.witnesses, verified.cosigned_at), (vec!["w".to_owned()], Some(1_700_000_000)));
    assert_eq!(policy.witness_url("w"), Some("http://w"));
    let alone = SignedNote { signatures: note.signatures[..1].to_vec(), ..note };
    assert_eq!(verify_checkpoint(&alone.encode(), &policy), Err(Refusal::QuorumMissing));
    assert!(verify_checkpoint(&alone.encode(), &policy.of_logs()).is_ok());
}

/// Whoever has one valid line can repeat it until a note is as long as it may be.
#[test]
fn a_line_that_is_repeated_is_verified_once() {
    let cosigner = Cosigner::new("witness.example/w1", &[9; 32]).unwrap();
    let text = checkpoint(9).encode();
    let lines = [signer().sign(&text), cosigner.cosign(&text, 1), cosigner.cosign(&text, 2)];
    let signatures = (0..400).map(|at| lines[at % 3].clone()).collect();
    let note = SignedNote { text, signatures };
    assert!(note.each_once().eq(&lines));
    let policy = Policy::of_log(signer().verifier_key());
    assert!(verify_checkpoint(&note.encode(), &policy).is_ok());
}

/// A checkpoint is as fresh as a quorum says, not as the one witness of it that says most.
#[test]
fn a_checkpoint_is_fresh_since_a_quorum_has_cosigned() {
    let cosigners =
        ["a", "b", "c"].map(|it| Cosigner::new(&format!("witness.example/{it}"), &origin_hash(it)).unwrap());
    let text = checkpoint(9).encode();
    let own = [signer().sign(&text)];
    let times = [(0, 10), (1, 20), (1, 15), (2, 1 << 40)];
    let lines = times.map(|(at, time): (usize, u64)| cosigners[at].cosign(&text, time));
    let note = SignedNote { signatures: own.into_iter().chain(lines).collect(), text }.encode();
    let mut policy = format!("log {}\n", signer().verifier_key().encode());
    for (name, cosigner) in ["a", "b", "c"].iter().zip(&cosigners) {
        policy.push_str(&format!("witness {name} {}\n", cosigner.verifier_key().encode()));
    }
    for (quorum, fresh) in [
        ("group g all a b c\nquorum g", 10),
        ("group g 2 a b c\nquorum g", 20),
        ("group g any a b c\nquorum g", 1 << 40),
        ("group g all a b\nquorum g", 10),
        ("quorum none", 1 << 40),
    ] {
        let policy = Policy::parse(&format!("{policy}{quorum}\n")).unwrap();
        assert_eq!(verify_checkpoint(&note, &policy).unwrap().cosigned_at, Some(fresh), "{quorum}");
    }
}
