//! Account maps: made from the books, served beside the tiles, and what they add to a chain of receipts.

use proof::MapProof;

use super::*;
use crate::check_folder;

impl World {
    pub(super) async fn map(&mut self) -> anchor_worker::MadeMap {
        let conn = &mut *self.pool.acquire().await.unwrap();
        let keyring = Keyring::new(&[7; 32]);
        let made = anchor_worker::make_map(conn, &keyring, &self.log, &self.folder).await.unwrap();
        made.expect("something was posted")
    }

    pub(super) async fn map_proof(&self, transaction: Uuid, key: &str, member: &str) -> Told {
        let request = Request::get(format!("/v1/receipts/{transaction}/map")).header("x-api-key", key);
        let request = if member.is_empty() { request } else { request.header("x-user-id", member) };
        self.send(request.body(Body::empty()).unwrap()).await
    }
}

#[tokio::test]
async fn a_members_receipts_are_complete_up_to_the_map() {
    let mut world = World::new().await;
    let first = world.earn(MEMBER, 500).await;
    let second = world.redeem(151).await;
    world.earn("customer 9", 5).await;
    world.seal().await;
    world.map_proof(second, "member-key", "").await.check_problem(404, "NOT_FOUND");
    let made = world.map().await;
    assert_eq!((made.leaf_index, made.log_size), (3, 3));
    // Two members, issuance, and the partner's settlement.
    assert_eq!(made.accounts, 4);
    // The map's leaf is not sealed yet: to the world it is not there.
    world.map_proof(second, "member-key", "").await.check_problem(404, "NOT_FOUND");
    world.seal().await;

    let receipts = [first, second].map(|id| (id, "member-key"));
    let mut files = Vec::new();
    for (id, key) in receipts {
        files.push((format!("{id}.tlog-proof"), world.receipt(id, key, "").await.bytes));
    }
    let told = world.map_proof(second, "member-key", "").await;
    assert_eq!(told.status, 200, "{}", told.text());
    let disposition = format!("attachment; filename=\"{second}.map-proof\"");
    assert_eq!(told.header("content-disposition"), disposition);
    let proof = MapProof::parse(&told.bytes).unwrap();
    assert_eq!((proof.value.sequence, proof.value.balances.available), (2, 349));
    files.push(("newest.map-proof".to_owned(), told.bytes.clone()));
    let report = check_folder(&files, &world.policy(&[]), None).await;
    assert_eq!((report.exit_status, report.accounts[0].complete_to), (0, Some(3)), "{}", report.sentence);

    // With the last receipt hidden, the map tells that there is one.
    let hidden = [files[0].clone(), files[2].clone()];
    let report = check_folder(&hidden, &world.policy(&[]), None).await;
    assert_eq!(report.exit_status, 1, "{}", report.sentence);
    // The partner sees where its own account stands, and nobody anyone else's.
    let theirs = MapProof::parse(&world.map_proof(second, "duka-key", "").await.bytes).unwrap();
    assert_eq!(theirs.value.balances.available, 151);
    assert_ne!(theirs.account.account, proof.account.account);
    world.map_proof(second, "dev-key", OTHER).await.check_problem(404, "TRANSACTION_NOT_FOUND");
    world.map_proof(second, "no-such-key", "").await.check_problem(401, "UNAUTHORIZED");

    // What comes after the map is not in it; the next one has it, and what the account had at each size.
    let third = world.redeem(9).await;
    world.seal().await;
    world.map_proof(third, "member-key", "").await.check_problem(404, "NOT_FOUND");
    let still = MapProof::parse(&world.map_proof(second, "member-key", "").await.bytes).unwrap();
    assert_eq!((still.account.log_size, still.value), (3, proof.value));
    world.map().await;
    world.seal().await;
    let next = MapProof::parse(&world.map_proof(second, "member-key", "").await.bytes).unwrap();
    assert_eq!((next.value.sequence, next.value.balances.available), (3, 340));
}

#[tokio::test]
async fn maps_and_declarations_are_served_as_they_are_kept() {
    let mut world = World::new().await;
    world.earn(MEMBER, 500).await;
    let made = world.map().await;
    let conn = &mut *world.pool.acquire().await.unwrap();
    let again = anchor_worker::make_map(conn, &Keyring::new(&[7; 32]), &world.log, &world.folder).await;
    assert_eq!(again.unwrap(), None, "nothing was posted since");
    // A seal that ends before its checkpoint leaves what another may still replace.
    let declaration = tiles::Beside::Declaration(1);
    world.folder.write_beside(declaration, b"of a seal that never published").unwrap();
    for path in ["/declaration/1", "/checkpoint"] {
        let told = world.get(path).await;
        told.check_problem(404, "NOT_FOUND");
        assert_eq!(told.header("cache-control"), "no-store", "{path}");
    }
    world.seal().await;
    let root = hex::encode(made.root);
    for (path, bytes) in [
        ("declaration/1".to_owned(), None),
        (format!("map/{root}/index"), Some(72)),
        (format!("map/{root}/0"), Some(128)),
    ] {
        let told = world.get(&format!("/{path}")).await;
        assert_eq!(told.status, 200, "{path}");
        assert!(bytes.is_none_or(|it| told.bytes.len() == it), "{path}");
        assert_eq!(told.bytes, std::fs::read(world.home.path().join("tiles").join(&path)).unwrap());
        assert_eq!(told.header("cache-control"), "public, max-age=31536000, immutable");
    }
    for path in [
        "declaration/0",
        "declaration/01",
        "declaration/x",
        "map/00/index",
        &format!("map/{root}/1"),
        &format!("map/{root}/00"),
        &format!("map/{root}/%30"),
    ] {
        let told = world.get(&format!("/{path}")).await;
        told.check_problem(404, "NOT_FOUND");
        assert_eq!(told.header("cache-control"), "no-store", "{path}");
    }
}
