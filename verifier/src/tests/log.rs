//! The public log, as a stranger's tool reads it.

use proof::{Checkpoint, SignedNote, Signer, VerifierKey};

use super::*;

#[tokio::test]
async fn the_log_is_served_as_tlog_tiles_says() {
    let mut world = World::new().await;
    world.get("/checkpoint").await.check_problem(404, "NOT_FOUND");
    for _ in 0..3 {
        world.earn(MEMBER, 5).await;
    }
    assert_eq!(world.seal().await, 3);

    let told = world.get("/checkpoint").await;
    assert_eq!(told.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(told.header("access-control-allow-origin"), "*");
    assert_eq!(told.header("cache-control"), "public, max-age=1");
    let note = SignedNote::parse(&told.text()).unwrap();
    let key = VerifierKey::parse(&world.vkey).unwrap();
    assert!(key.verifies(&note.text, &note.signatures[0]));
    let checkpoint = Checkpoint::parse(&note.text).unwrap();
    assert_eq!((checkpoint.origin.as_str(), checkpoint.size), (ORIGIN, 3));

    // A stranger rebuilds the root from the bundle alone.
    let told = world.get("/tile/entries/000.p/3").await;
    assert_eq!(told.header("content-type"), "application/octet-stream");
    assert_eq!(told.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(told.header("access-control-allow-origin"), "*");
    let mut frontier = proof::Frontier::default();
    for leaf in proof::bundle_leaves(&told.bytes).unwrap() {
        frontier.push(proof::leaf_hash(leaf), |_, _| {});
    }
    assert_eq!(frontier.root(), checkpoint.root);
    assert_eq!(world.get("/tile/0/000.p/3").await.bytes.len(), 96);

    let body: Value = serde_json::from_slice(&world.get("/v1/keys").await.bytes).unwrap();
    let log_id = hex::encode(world.log.log_id);
    let policy = format!("log {}\n", world.vkey);
    let told = json!({
        "origin": ORIGIN, "log_id": log_id, "keys": [world.vkey], "history": [{"vkey": world.vkey}], "is_current": true,
        "policy": policy,
    });
    assert_eq!(body, told);
    let body: Value = serde_json::from_slice(&world.get("/v1/anchors").await.bytes).unwrap();
    assert_eq!(body, json!({"is_current": true, "anchors": []}));
    assert_eq!(world.get("/v1/anchors?limit=100").await.status, 200);
    world.get("/v1/anchors?limit=101").await.check_problem(400, "INVALID_REQUEST");

    // None of it needs PostgreSQL.
    world.pool.close().await;
    assert_eq!(world.get("/checkpoint").await.status, 200);
    assert_eq!(world.get("/tile/0/000.p/3").await.status, 200);
    assert_eq!(world.get("/health/ready").await.status, 503);
    let body: Value = serde_json::from_slice(&world.get("/v1/keys").await.bytes).unwrap();
    assert_eq!((&body["is_current"], &body["policy"]), (&json!(false), &json!(policy)));
}

/// What the log has said of its keys stays said: only what it has said since is read.
#[tokio::test]
async fn what_is_known_of_the_keys_is_not_read_again() {
    let world = World::new().await;
    let conn = &mut *world.pool.acquire().await.unwrap();
    for (seed, told) in [(1, 2), (2, 3)] {
        let key = Signer::new(ORIGIN, &[seed; 32]).unwrap().verifier_key();
        let public_key = key.public_key().to_vec();
        let body = proof::Body::Key { retired: false, signature_type: 1, public_key };
        store::append_declarations(conn, &world.log, vec![body]).await.unwrap();
        for _ in 0..2 {
            let body = world.get("/v1/keys").await.json();
            let history = body["history"].as_array().unwrap();
            assert_eq!((history.len(), &history[told - 1]["vkey"]), (told, &json!(key.encode())));
            // Whoever reads it again misses it.
            let forget = "set session_replication_role = replica; delete from declaration; reset session_replication_role";
            store::tamper(conn, forget).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_bundle_goes_out_compressed_to_whoever_takes_it_so() {
    let mut world = World::new().await;
    for _ in 0..3 {
        world.earn(MEMBER, 5).await;
    }
    world.seal().await;
    let path = "/tile/entries/000.p/3";
    let ask = async |header: &str, value: &str| {
        world.send(Request::get(path).header(header, value).body(Body::empty()).unwrap()).await
    };
    let plain = world.get(path).await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "Accept-Encoding"));
    assert_eq!(proof::bundle_leaves(&plain.bytes).unwrap().len(), 3);
    for accepted in ["gzip", "br;q=1.0, gzip;q=0.8, *;q=0.1", "*"] {
        let packed = ask("accept-encoding", accepted).await;
        assert_eq!(packed.header("content-encoding"), "gzip");
        let id = proof::TileId::parse(&path[1..]).unwrap();
        assert_eq!(packed.bytes, world.folder.read_stored(id).unwrap().unwrap().bytes);
        assert_eq!(tiles::plain_form(id, packed.bytes).unwrap(), plain.bytes);
    }
    for accepted in ["identity", "gzip;q=0", "br, gzip; q=0.0"] {
        assert_eq!(ask("accept-encoding", accepted).await.bytes, plain.bytes, "{accepted}");
    }
    // A range is not given: the whole is, and says so.
    let ranged = ask("range", "bytes=2-5").await;
    assert_eq!((ranged.status.as_u16(), ranged.header("accept-ranges")), (200, "none"));
    assert_eq!(ranged.bytes, plain.bytes);
}

#[tokio::test]
async fn a_checkpoint_that_is_known_is_not_sent_again() {
    let mut world = World::new().await;
    world.earn(MEMBER, 5).await;
    world.seal().await;
    let tag = world.get("/checkpoint").await.header("etag").to_owned();
    let ask = async |world: &World| {
        world
            .send(Request::get("/checkpoint").header("if-none-match", &tag).body(Body::empty()).unwrap())
            .await
    };
    let told = ask(&world).await;
    assert_eq!((told.status.as_u16(), told.bytes.len(), told.header("etag")), (304, 0, tag.as_str()));
    world.earn(MEMBER, 5).await;
    world.seal().await;
    let told = ask(&world).await;
    assert!(told.status == 200 && told.header("etag") != tag);
}

#[tokio::test]
async fn a_tile_has_one_spelling() {
    let mut world = World::new().await;
    world.earn(MEMBER, 5).await;
    world.seal().await;
    assert_eq!(world.get("/tile/0/000.p/1").await.status, 200);
    for path in [
        "/tile/0/000.p/01",
        "/tile/00/000.p/1",
        "/tile/0/0.p/1",
        "/tile/0/x000/000.p/1",
        "/tile/0/000.p/1/",
        "/tile/0/000.p/0",
        "/tile/0/000.p/256",
        "/tile/+0/000.p/1",
        "/tile/64/000",
        "/tile/0/%30%30%30.p/1",
        "/tile//0/000.p/1",
        "/tile/entries/../0/000.p/1",
        "/tile/entries/..%2f..%2flog.key",
        "/tile/0/000.p/2",
        "/tile/0/000",
        "/tile/1/000.p/1",
        "/tile/entries",
        "/tile/../log.key",
        "/tile/.lock",
        "/tile/",
    ] {
        let told = world.get(path).await;
        told.check_problem(404, "NOT_FOUND");
        assert_eq!(told.header("cache-control"), "no-store", "{path}: it may be there soon");
    }
}

/// A seal that ended between its tiles and its checkpoint may be done again with other leaves.
#[tokio::test]
async fn a_tile_is_served_once_a_checkpoint_covers_it() {
    let mut world = World::new().await;
    let leaves = |count: u16| vec![[7; proof::LEAF_BYTES]; usize::from(count)];
    let write = |world: &World, level: Option<u8>, index: u64, width: u16| {
        let tile = proof::TileId { level, index, width };
        let bytes = match level {
            Some(_) => vec![7; 32 * usize::from(width)],
            None => proof::bundle(&leaves(width)),
        };
        world.folder.write(tile, &bytes).unwrap();
        format!("/{}", tile.path())
    };
    let first = write(&world, Some(0), 0, 1);
    world.get(&first).await.check_problem(404, "NOT_FOUND");
    for _ in 0..2 {
        world.earn(MEMBER, 5).await;
    }
    world.seal().await;
    assert_eq!(world.get(&first).await.status, 200, "an older partial tile may stay");
    for (level, index, width) in
        [(Some(0), 0, 3), (None, 0, 3), (None, 0, 256), (Some(0), 1, 1), (Some(1), 0, 1)]
    {
        let path = write(&world, level, index, width);
        let told = world.get(&path).await;
        told.check_problem(404, "NOT_FOUND");
        assert_eq!(told.header("cache-control"), "no-store", "{path}");
    }
    assert_eq!(world.get("/tile/entries/000.p/2").await.status, 200);
}
