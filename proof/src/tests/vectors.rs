//! The golden vectors in `vectors/`, which Solidity and TypeScript read too. A change of format shows here as a
//! difference; `UPDATE_VECTORS=1 cargo test -p proof vectors` writes them anew.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::samples::{self, ORIGIN, plain_node, plain_root, signer};
use crate::*;

#[track_caller]
fn check(name: &str, value: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors").join(name);
    let text = serde_json::to_string_pretty(value).unwrap() + "\n";
    #[expect(clippy::disallowed_methods, reason = "a test's own switch, read nowhere else")]
    let update = std::env::var("UPDATE_VECTORS").is_ok();
    if update {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == text, "{} differs from what the code makes: version 1 never changes", path.display());
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn hexes(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(hex).collect()
}

#[test]
fn tree() {
    let leaves: Vec<Hash> = (0_u16..1100).map(|it| leaf_hash(&it.to_be_bytes())).collect();
    let sizes = [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 255, 256, 257, 511, 513, 1000, 1024, 1100,
    ];
    let roots: Vec<_> =
        sizes.iter().map(|&size| json!({"size": size, "root": hex(plain_root(&leaves[..size]))})).collect();
    let mut inclusion = Vec::new();
    let mut consistency = Vec::new();
    for &size in &sizes[1..] {
        let node = |node| Ok::<_, ()>(plain_node(&leaves, node));
        let mut indexes = vec![0, 1, size / 3, size / 2, size - 2.min(size), size - 1];
        indexes.retain(|it| *it < size);
        indexes.sort_unstable();
        indexes.dedup();
        for index in indexes {
            let path = inclusion_proof(index as u64, size as u64, node).unwrap();
            inclusion.push(json!({"index": index, "size": size, "path": hexes(&path)}));
        }
        for &old in sizes.iter().filter(|old| **old <= size) {
            let proof = consistency_proof(old as u64, size as u64, node).unwrap();
            consistency.push(json!({"old": old, "new": size, "proof": hexes(&proof)}));
        }
    }
    check(
        "tree.json",
        &json!({
            "about": "Leaf i is the two bytes of i, big-endian; its hash is SHA-256(0x00 || leaf).",
            "roots": roots, "inclusion": inclusion, "consistency": consistency,
        }),
    );
}

#[test]
fn tile_paths() {
    let paths: Vec<_> = [
        (Some(0), 0, 256),
        (Some(0), 273, 112),
        (Some(1), 1, 17),
        (Some(2), 0, 1),
        (None, 1_234_067, 256),
        (None, 1_000, 255),
        (Some(63), 999, 256),
    ]
    .map(|(level, index, width)| {
        let tile = TileId { level, index, width };
        assert_eq!(TileId::parse(&tile.path()), Some(tile));
        json!({"level": level, "index": index, "width": width, "path": tile.path()})
    })
    .into();
    let refused = [
        "tile/0/0",
        "tile/00/000",
        "tile/0/x000/001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/64/000",
        "tile/0/1000",
        "tile/0/x001",
        "tile/entries/000/",
        "tile/0/000.p/01",
        "checkpoint",
        "tile/0/+01",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
    ];
    for path in refused {
        assert_eq!(TileId::parse(path), None, "{path}");
    }
    let written: Vec<_> = tiles_between(0, 70_000).iter().map(TileId::path).collect();
    assert_eq!(written.len(), 274 * 2 + 2 + 1);
    assert!(written.contains(&"tile/0/273.p/112".to_owned()));
    check("tile.json", &json!({"paths": paths, "refused": refused}));
}

fn part<T: PartValue>(part: &Part<T>) -> Value {
    let Part::Opened { salt, value } = part else { unreachable!("a sample's parts are open") };
    json!({"salt": hex(salt), "bytes": hex(value.part_bytes()), "commitment": hex(part.commitment())})
}

#[test]
fn leaf() {
    let leaves: Vec<_> = samples::leaves()
        .iter()
        .enumerate()
        .map(|(index, opened)| {
            let leaf = opened.leaf(index as u64);
            assert_eq!(Leaf::decode(&leaf.encode()), Ok(leaf));
            assert_eq!(OpenedLeaf::decode(&opened.encode(), index as u64).as_ref(), Ok(opened));
            json!({
                "kind": leaf.kind.name(),
                "index": index,
                "header": part(&opened.header),
                "details": part(&opened.details),
                "body": opened.body.as_ref().map(part),
                "entries": opened.entries.iter().map(part).collect::<Vec<_>>(),
                "commitment": hex(leaf.commitment),
                "leaf": hex(leaf.encode()),
                "leaf_hash": hex(leaf_hash(&leaf.encode())),
            })
        })
        .collect();
    let secrets = [
        ("program", samples::PROGRAM_SECRET),
        ("issuance", samples::ISSUANCE_SECRET),
        ("member", samples::MEMBER_SECRET),
        ("partner", samples::PARTNER_SECRET),
    ];
    let first_key = signer().verifier_key();
    check(
        "leaf.json",
        &json!({
            "about": "One leaf of each kind, as leaves 0 to 7 of one log. Salts come from the secrets by HMAC.",
            "origin": ORIGIN,
            "first_key": hex(first_key.public_key()),
            "log_id": hex(samples::log()),
            "secrets": secrets.map(|(name, secret)| (name, hex(secret))).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            "leaves": leaves,
        }),
    );
}

/// A witness's key and line, made here because only witnesses make them.
fn witness(name: &str, seed: u8, time: u64, text: &str) -> (String, String) {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use ed25519_dalek::Signer as _;
    let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    let public = key.verifying_key();
    let id = crate::hash::hash(&[name.as_bytes(), b"\n\x04", public.as_bytes()]);
    let vkey = format!(
        "{name}+{}+{}",
        hex::encode(&id[..4]),
        STANDARD.encode([&[4][..], public.as_bytes()].concat())
    );
    let signature = key.sign(cosigned_message(time, text).as_bytes()).to_bytes();
    let bytes = [&id[..4], &time.to_be_bytes(), &signature].concat();
    (vkey, format!("\u{2014} {name} {}\n", STANDARD.encode(bytes)))
}

#[test]
fn checkpoint() {
    let signer = signer();
    assert_eq!(Signer::parse(&signer.encode()).unwrap().encode(), signer.encode());
    let note = Checkpoint { origin: ORIGIN.to_owned(), size: 8, root: [5; 32] }.sign(&signer);
    let (witness_key, line) = witness("witness.example/one", 21, 1_770_000_000, &note.text);
    assert_eq!(SignedNote::parse(&note.encode()), Ok(note.clone()));
    check(
        "checkpoint.json",
        &json!({
            "private_key": signer.encode(),
            "vkey": signer.verifier_key().encode(),
            "witness_vkey": witness_key,
            "text": note.text,
            "note": note.encode(),
            "cosigned": note.encode() + &line,
        }),
    );
    let theirs = signed_note::VerifierList::new(vec![Box::new(
        signed_note::StandardVerifier::new(&signer.verifier_key().encode()).unwrap(),
    )]);
    let (verified, _) =
        signed_note::Note::from_bytes(note.encode().as_bytes()).unwrap().verify(&theirs).unwrap();
    assert_eq!(verified.len(), 1, "an independent reader accepts the note");
}

#[test]
fn receipt() {
    let leaves = samples::leaves();
    let sound = samples::receipt(&leaves, 1);
    let note = SignedNote::parse(&sound.checkpoint).unwrap();
    let (one, one_line) = witness("witness.example/one", 21, 1_770_000_000, &note.text);
    let (two, two_line) = witness("witness.example/two", 22, 1_770_000_001, &note.text);
    let (_, beyond) = witness("witness.example/one", 21, 1 << 63, &note.text);
    let policy = format!("# the vectors' log\nlog {}\n", signer().verifier_key().encode());
    let witnessed =
        format!("{policy}witness w1 {one}\nwitness w2 {two}\ngroup both all w1 w2\nquorum both\n");
    let other = Signer::new("other.example/log", &[8; 32]).unwrap();
    let two_logs = format!("{policy}log {}\n", other.verifier_key().encode());
    let same_name = Signer::new(ORIGIN, &[9; 32]).unwrap();
    // The first key has retired in favour of another one.
    let (first, next) = (signer().verifier_key().encode(), Signer::new(ORIGIN, &[10; 32]).unwrap());
    let retired_at = |leaf_index: u64, time: u64| {
        let next = next.verifier_key().encode();
        format!("log {first}\nlog {next}\nretired {first} {leaf_index} {time}\n")
    };
    let witnesses = format!("witness w1 {one}\nwitness w2 {two}\ngroup both all w1 w2\nquorum both\n");
    let retired = retired_at(8, 1_770_000_001);
    let retired_witnessed = retired_at(8, 1_770_000_001) + &witnesses;
    let retired_early = retired_at(8, 1_770_000_000) + &witnesses;
    let retired_small = retired_at(7, 1_770_000_001) + &witnesses;

    let text = sound.encode();
    let member_only = {
        let mut receipt = sound.clone();
        receipt.leaf.entries[1] = Part::Closed(receipt.leaf.entries[1].commitment());
        receipt
    };
    let edited = |edit: &dyn Fn(&mut Receipt)| {
        let mut receipt = sound.clone();
        edit(&mut receipt);
        receipt.encode()
    };
    let raw = |edit: &dyn Fn(&mut Vec<u8>)| {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let mut bytes = sound.leaf.encode();
        edit(&mut bytes);
        text.replacen(&STANDARD.encode(sound.leaf.encode()), &STANDARD.encode(bytes), 1)
    };
    let resigned = |signer: &Signer, origin: &str| {
        let mut checkpoint = Checkpoint::parse(&note.text).unwrap();
        checkpoint.origin = origin.to_owned();
        edited(&|it| it.checkpoint = checkpoint.sign(signer).encode())
    };
    // 68 bytes end in a padded symbol with two unused bits: the alphabet's next letter has one of them set.
    let loose_base64 = {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let at = text.rfind("=\n").unwrap() - 1;
        let next = alphabet.find(&text[at..=at]).unwrap() + 1;
        format!("{}{}{}", &text[..at], &alphabet[next..=next], &text[at + 1..])
    };

    let mut cases = vec![("all parts open", &policy, text.clone(), "valid")];
    for (index, name) in
        ["earn", "", "withdrawal", "map", "key", "incident", "orphan", "succession"].into_iter().enumerate()
    {
        if !name.is_empty() {
            cases.push((name, &policy, samples::receipt(&leaves, index).encode(), "valid"));
        }
    }
    let long = {
        let mut leaves = leaves.clone();
        if let Part::Opened { value, .. } = &mut leaves[1].details {
            value.description = Some(Text::new("\u{1f375}".repeat(500)).unwrap());
        }
        samples::receipt(&leaves, 1).encode()
    };
    assert!(Text::new("x".repeat(2001)).is_err() && Text::new("").is_err());
    let header_at = 2 + 32 + 1 + 32 + 2;
    cases.extend([
        ("a description of 500 characters", &policy, long, "valid"),
        ("the member's own side only", &policy, member_only.encode(), "valid"),
        (
            "a hint that says anything",
            &policy,
            edited(&|it| {
                it.leaf.hints.push(AnchorHint {
                    chain_id: 1,
                    contract: [2; 20],
                    registrant: [3; 20],
                    block: 4,
                    transaction: [5; 32],
                });
            }),
            "valid",
        ),
        ("an unknown signature beside it", &policy, text.clone() + &one_line, "valid"),
        ("two witnesses of two", &witnessed, text.clone() + &one_line + &two_line, "valid"),
        ("a log of another origin that did not sign", &two_logs, text.clone(), "valid"),
        (
            "another log's key named on the checkpoint",
            &two_logs,
            text.clone() + &Signature { bytes: vec![1; 64], ..other.sign("x\n") }.encode(),
            "bad_signature",
        ),
        ("seventy unknown signatures", &policy, text.clone() + &one_line.repeat(70), "valid"),
        ("the same witness twice", &witnessed, text.clone() + &one_line + &one_line, "quorum_missing"),
        (
            "a cosignature of a time beyond 2^63",
            &witnessed,
            text.clone() + &beyond + &two_line,
            "bad_signature",
        ),
        ("no witness", &witnessed, text.clone(), "quorum_missing"),
        ("a retired key alone", &retired, text.clone(), "retired_key"),
        (
            "a retired key, witnessed before it retired",
            &retired_witnessed,
            text.clone() + &one_line + &two_line,
            "valid",
        ),
        ("a retired key and one witness of two", &retired_witnessed, text.clone() + &one_line, "retired_key"),
        (
            "a retired key, witnessed after it retired",
            &retired_early,
            text.clone() + &one_line + &two_line,
            "retired_key",
        ),
        (
            "a retired key over the leaf that retires it",
            &retired_small,
            text.clone() + &one_line + &two_line,
            "retired_key",
        ),
        ("both keys during the overlap", &retired, text.clone() + &next.sign(&note.text).encode(), "valid"),
        ("the next key alone", &retired, resigned(&next, ORIGIN), "valid"),
        (
            "a retired key's spoiled line beside a sound one",
            &retired,
            resigned(&next, ORIGIN) + &Signature { bytes: vec![1; 64], ..signer().sign("x\n") }.encode(),
            "bad_signature",
        ),
        ("longer than 64 KiB", &policy, text.clone() + &"x".repeat(RECEIPT_BYTES_MAX), "too_long"),
        ("empty", &policy, String::new(), "malformed_receipt"),
        ("another first line", &policy, text.replacen("@v1", "@v2", 1), "malformed_receipt"),
        ("no extra line", &policy, text.replacen("extra ", "other ", 1), "malformed_receipt"),
        (
            "an index with a leading zero",
            &policy,
            text.replacen("index 1", "index 01", 1),
            "malformed_receipt",
        ),
        ("a carriage return", &policy, text.replacen("index 1\n", "index 1\r\n", 1), "malformed_receipt"),
        (
            "a path line with a space",
            &policy,
            text.replacen("index 1\n", "index 1\n ", 1),
            "malformed_receipt",
        ),
        ("a byte left over in extra", &policy, raw(&|it| it.push(0)), "malformed_extra"),
        ("extra that ends early", &policy, raw(&|it| it.truncate(it.len() - 1)), "malformed_extra"),
        ("extra of an unknown version", &policy, raw(&|it| it[0] = 2), "malformed_extra"),
        ("extra of an unknown kind", &policy, raw(&|it| it[1] = 8), "malformed_extra"),
        ("a part in an unknown state", &policy, raw(&|it| it[34] = 3), "malformed_extra"),
        ("extra with loose base64", &policy, text.replacen("extra A", "extra  A", 1), "malformed_extra"),
        (
            "a fault of a part before a fault of the layout",
            &policy,
            raw(&|it| {
                it[header_at + 16] = 0;
                it.push(0);
            }),
            "malformed_extra",
        ),
        (
            "a control character in the checkpoint",
            &policy,
            text.replacen("\n8\n", "\n8\t\n", 1),
            "malformed_checkpoint",
        ),
        ("a header of a map in a posting", &policy, raw(&|it| it[header_at + 16] = 0), "malformed_part"),
        (
            "a header effective after it is recorded",
            &policy,
            edited(&|it| {
                if let Part::Opened { value, .. } = &mut it.leaf.header {
                    value.effective_at_us = value.recorded_at_us + 1;
                }
            }),
            "malformed_part",
        ),
        (
            "a first entry that names one before it",
            &policy,
            edited(&|it| {
                if let Part::Opened { value, .. } = &mut it.leaf.entries[1] {
                    value.previous_leaf_index = 0;
                }
            }),
            "malformed_part",
        ),
        (
            "a first entry that does not start from nothing",
            &policy,
            edited(&|it| {
                if let Part::Opened { value, .. } = &mut it.leaf.entries[1] {
                    value.after.held += 1;
                }
            }),
            "malformed_part",
        ),
        ("entries out of order", &policy, edited(&|it| it.leaf.entries.reverse()), "malformed_part"),
        (
            "an entry after its own leaf",
            &policy,
            edited(&|it| {
                if let Part::Opened { value, .. } = &mut it.leaf.entries[0] {
                    value.previous_leaf_index = 1;
                }
            }),
            "malformed_part",
        ),
        (
            "no signature lines",
            &policy,
            edited(&|it| it.checkpoint.clone_from(&note.text)),
            "malformed_checkpoint",
        ),
        ("a trailing newline", &policy, text.clone() + "\n", "malformed_checkpoint"),
        ("a signature with loose base64", &policy, loose_base64, "malformed_checkpoint"),
        (
            "a size with a leading zero",
            &policy,
            edited(&|it| it.checkpoint = note.encode().replacen("\n8\n", "\n08\n", 1)),
            "malformed_checkpoint",
        ),
        ("another origin", &policy, resigned(&other, "other.example/log"), "unknown_log"),
        ("a leaf of another log", &policy, edited(&|it| it.leaf.log_id = [6; 32]), "wrong_log"),
        ("a stranger's key of the same name", &policy, resigned(&same_name, ORIGIN), "unsigned"),
        ("another size", &policy, text.replacen("\n8\n", "\n9\n", 1), "bad_signature"),
        (
            "an index beyond the size",
            &policy,
            text.replacen("index 1\n", "index 8\n", 1),
            "index_beyond_size",
        ),
        ("another index", &policy, text.replacen("index 1\n", "index 2\n", 1), "not_included"),
        (
            "another amount",
            &policy,
            edited(&|it| {
                if let Part::Opened { value, .. } = &mut it.leaf.entries[0] {
                    value.change.available = -399;
                }
            }),
            "not_included",
        ),
        (
            "another merchant reference",
            &policy,
            edited(&|it| {
                if let Part::Opened { value, .. } = &mut it.leaf.details {
                    value.merchant_reference = Some(Text::new("order-982").unwrap());
                }
            }),
            "not_included",
        ),
        (
            "another salt",
            &policy,
            edited(&|it| {
                if let Part::Opened { salt, .. } = &mut it.leaf.header {
                    salt[0] ^= 1;
                }
            }),
            "not_included",
        ),
        ("a shorter path", &policy, edited(&|it| it.path.truncate(2)), "not_included"),
        ("a longer path", &policy, edited(&|it| it.path.push([1; 32])), "not_included"),
        (
            "a public body with a salt",
            &policy,
            {
                let mut receipt = samples::receipt(&leaves, 3);
                if let Some(Part::Opened { salt, .. }) = &mut receipt.leaf.body {
                    salt[31] = 1;
                }
                receipt.encode()
            },
            "malformed_part",
        ),
    ]);

    let cases: Vec<_> = cases
        .into_iter()
        .map(|(name, policy, receipt, verdict)| {
            let outcome = verify(receipt.as_bytes(), &Policy::parse(policy).unwrap());
            let code = outcome.as_ref().map_or_else(Refusal::code, |_| "valid");
            assert_eq!(code, verdict, "{name}");
            json!({"name": name, "policy": policy, "receipt": receipt, "verdict": verdict})
        })
        .collect();
    check("receipt.json", &json!({"cases": cases}));
}

#[test]
fn map() {
    let (accounts, proof) = super::map::sample();
    let rows: Vec<_> = accounts
        .iter()
        .map(|(account, secret, value)| {
            let salt = account.salt(secret);
            let row = account.row(&salt, value);
            json!({
                "account": hex(account.account), "unit": account.unit, "log_size": account.log_size,
                "secret": hex(secret), "sequence": value.sequence, "available": value.balances.available,
                "held": value.balances.held, "pending": value.balances.pending, "leaf_index": value.leaf_index,
                "commitment": hex(value.commitment), "salt": hex(salt), "key": hex(row.key), "value": hex(row.value),
            })
        })
        .collect();
    let tree = super::map::tree(&accounts);
    check(
        "map.json",
        &json!({
            "about": "The account map: rows, their tree in ascending order of key, and a map proof of the first row.",
            "rows": rows,
            "root": hex(tree.root()),
            "vkey": signer().verifier_key().encode(),
            "map_proof": proof.encode(),
        }),
    );
}
