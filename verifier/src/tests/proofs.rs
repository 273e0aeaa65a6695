//! Proofs for whoever asks, checked as a stranger checks them.

use std::time::Duration;

use proof::{Hash, verify_consistency, verify_inclusion};

use super::*;

fn hash(value: &Value) -> Hash {
    hex::decode(value.as_str().unwrap()).unwrap().try_into().unwrap()
}

fn hashes(value: &Value) -> Vec<Hash> {
    value.as_array().unwrap().iter().map(hash).collect()
}

/// A log of these sizes, sealed one after the other.
async fn grown(sizes: &[u64]) -> World {
    let mut world = World::new().await;
    let mut size = 0;
    for to in sizes {
        while size < *to {
            world.earn(MEMBER, 1).await;
            size += 1;
        }
        assert_eq!(world.seal().await, *to);
    }
    world
}

#[tokio::test]
async fn proofs_come_from_tiles_with_the_database_gone() {
    let world = grown(&[2, 255, 300]).await;
    let anchors = world.get("/v1/anchors").await.json();
    assert_eq!(anchors, json!({"is_current": true, "anchors": []}));
    world.pool.close().await;

    for (index, size) in [(0, 1), (0, 2), (7, 299), (254, 255), (299, 300), (13, 256)] {
        let told = world.get(&format!("/v1/proofs/inclusion?index={index}&size={size}")).await;
        assert_eq!(told.status, 200, "{}", told.text());
        assert_eq!(told.header("cache-control"), "public, max-age=31536000, immutable");
        let body = told.json();
        let (leaf, root) = (hash(&body["leaf_hash"]), hash(&body["root"]));
        assert!(verify_inclusion(index, size, &leaf, &hashes(&body["path"]), &root), "{index} in {size}");
        let leaf = world.get(&format!("/v1/leaves/{index}")).await.json();
        assert_eq!(leaf["leaf_hash"], body["leaf_hash"]);
        assert_eq!((&leaf["leaf_index"], &leaf["kind"]), (&json!(index), &json!("posting")));
        assert_eq!(leaf["log_id"], hex::encode(world.log.log_id));
    }
    for (from, to) in [(0, 300), (2, 255), (255, 300), (256, 257), (300, 300)] {
        let body = world.get(&format!("/v1/proofs/consistency?from={from}&to={to}")).await.json();
        let roots = (hash(&body["from_root"]), hash(&body["to_root"]));
        assert!(verify_consistency(from, &roots.0, to, &roots.1, &hashes(&body["proof"])), "{from} to {to}");
    }
    // Without a size it is the published one, and the answer is another one soon.
    let told = world.get("/v1/proofs/inclusion?index=5").await;
    assert_eq!(
        (told.json()["size"].clone(), told.header("cache-control")),
        (json!(300), "public, max-age=1")
    );
    assert_eq!(world.get("/v1/proofs/consistency?from=5").await.json()["to"], 300);

    // Everything else that is public is there too.
    for path in ["/checkpoint", "/tile/0/000", "/tile/entries/001.p/44", "/v1/keys", "/verify/policy.txt"] {
        assert_eq!(world.get(path).await.status, 200, "{path}");
    }
    assert_eq!(world.get("/v1/anchors").await.json(), json!({"is_current": false, "anchors": []}));
}

/// What lies in a folder is read where it is asked for: no other thread has to wake.
#[test]
fn proofs_and_tiles_of_a_folder_wait_for_no_other_thread() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let world = grown(&[3]).await;
        let (release, held) = std::sync::mpsc::channel::<()>();
        let holding = tokio::task::spawn_blocking(move || held.recv());
        for path in [
            "/checkpoint",
            "/tile/0/000.p/3",
            "/v1/proofs/inclusion?index=1",
            "/v1/proofs/inclusion?index=1&size=2",
            "/v1/proofs/consistency?from=1&to=3",
            "/v1/leaves/2",
        ] {
            let told = tokio::time::timeout(Duration::from_secs(10), world.get(path)).await;
            assert_eq!(told.expect("nothing waits").status, 200, "{path}");
        }
        release.send(()).unwrap();
        holding.await.unwrap().unwrap();
    });
}

/// Also of a tile that nothing stands above but the checkpoint.
#[tokio::test]
async fn no_proof_is_told_of_a_tile_that_has_rotted() {
    let world = grown(&[3]).await;
    let file = world.home.path().join("tiles/tile/0/000.p/3");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    for question in [
        "inclusion?index=0",
        "inclusion?index=2&size=3",
        "inclusion?index=0&size=2",
        "consistency?from=2&to=3",
    ] {
        world.get(&format!("/v1/proofs/{question}")).await.check_problem(500, "INTERNAL_ERROR");
    }
    // Another process puts it right.
    bytes[40] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(world.get("/v1/proofs/inclusion?index=0").await.status, 200);
}

/// What was kept of a tile is read anew once it is put right, wherever it stands over a leaf.
#[tokio::test]
async fn each_tile_that_is_put_right_is_read_anew() {
    let mut world = World::new().await;
    let mut ids = Vec::new();
    for _ in 0..300 {
        ids.push(world.earn(MEMBER, 1).await);
    }
    world.seal().await;
    let flip = |path: &str| {
        let file = world.home.path().join("tiles").join(path);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[9] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    };
    let statuses = async || {
        let inclusion = world.get("/v1/proofs/inclusion?index=0").await.status.as_u16();
        let consistency = world.get("/v1/proofs/consistency?from=255").await.status.as_u16();
        [inclusion, consistency, world.receipt(ids[0], "member-key", "").await.status.as_u16()]
    };
    // Each is found, and kept, once those above it are whole.
    let rotted = ["tile/1/000.p/1", "tile/0/001.p/44", "tile/0/000"];
    rotted.iter().for_each(|it| flip(it));
    for path in rotted {
        assert_eq!(statuses().await, [500; 3], "{path}");
        flip(path);
    }
    assert_eq!(statuses().await, [200; 3]);
}

#[tokio::test]
async fn a_question_that_has_no_proof_says_why() {
    let world = World::new().await;
    world.get("/v1/proofs/inclusion?index=0").await.check_problem(404, "NOT_FOUND");
    world.get("/v1/leaves/0").await.check_problem(404, "NOT_FOUND");
    let world = grown(&[3]).await;
    for (question, field, message) in [
        ("inclusion", "index", "this parameter is required"),
        ("inclusion?size=2", "index", "this parameter is required"),
        ("inclusion?index=2&size=2", "index", "a tree of 2 leaves has no leaf 2"),
        ("inclusion?index=0&size=0", "index", "a tree of 0 leaves has no leaf 0"),
        ("inclusion?index=0&size=4", "size", "the published checkpoint has 3 leaves"),
        ("inclusion?index=-1", "index", "it is not a number"),
        ("inclusion?index=01", "index", "it is not a number"),
        ("inclusion?index=18446744073709551616", "index", "it is not a number"),
        ("inclusion?index=1&index=2", "index", "it is given once"),
        ("inclusion?leaf=1", "query", "there are index and size"),
        ("consistency", "from", "this parameter is required"),
        ("consistency?from=3&to=2", "from", "a tree of 2 leaves extends none of 3"),
        ("consistency?from=1&to=4", "to", "the published checkpoint has 3 leaves"),
    ] {
        let told = world.get(&format!("/v1/proofs/{question}")).await;
        told.check_problem(400, "INVALID_REQUEST");
        let error = &told.json()["validation_errors"][0];
        assert_eq!((&error["field"], &error["message"]), (&json!(field), &json!(message)), "{question}");
        assert_eq!(told.header("access-control-allow-origin"), "*");
    }
    world.get("/v1/leaves/3").await.check_problem(404, "NOT_FOUND");
    world.get("/v1/leaves/x").await.check_problem(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn our_own_verdict_says_that_it_is_ours() {
    let mut world = World::new().await;
    let id = world.earn(MEMBER, 5).await;
    world.seal().await;
    let told = world.receipt(id, "member-key", "").await;
    assert_eq!(told.header("receipt-state"), "sealed");
    let ask = async |receipt: Vec<u8>| {
        let request = Request::post("/v1/verify").header("content-type", "text/plain");
        world.send(request.body(Body::from(receipt)).unwrap()).await
    };
    let body = ask(told.bytes.clone()).await.json();
    assert_eq!((&body["verdict"], &body["proves"]["transaction_id"]), (&json!("valid"), &json!(id)));
    assert!(body["trust"].as_str().unwrap().contains("trusting it is trusting us"));
    let mut spoilt = told.bytes.clone();
    let at = spoilt.len() - 10;
    spoilt[at] ^= 1;
    let told = ask(spoilt).await;
    assert_eq!((told.status.as_u16(), &told.json()["verdict"]), (200, &json!("refused")));
    assert_eq!(told.header("cache-control"), "no-store");
    let body = ask(vec![b'x'; proof::RECEIPT_BYTES_MAX + 1]).await.json();
    assert_eq!(body["code"], "too_long");
    ask(vec![b'x'; proof::RECEIPT_BYTES_MAX + 2]).await.check_problem(413, "PAYLOAD_TOO_LARGE");
}
