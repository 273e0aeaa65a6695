//! The public log, read by tools that are not ours; then PostgreSQL is gone for a while.

use devstack::{Postgres, PostgresConfig, test_postgres_config};
use journeys::{Api, System, eventually, lasting_port, part};
use proof::Receipt;
use serde_json::json;
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{
    Checkpoint, Hash, HashReader, Tile, TileHashReader, TileReader, check_record, check_tree, prove_record,
    prove_tree, record_hash, stored_hash_index, stored_hashes, tree_hash,
};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::purchase;

const MEMBER: &str = "3b2a7a52-4f0e-4a1e-9a3f-7f5b5a3e0c05";
/// More than one tile of 256.
const EVENTS: usize = 300;

#[tokio::test]
async fn the_public_log_needs_no_database() {
    let folder = System::folder();
    let database = PostgresConfig { port: Some(lasting_port()), ..test_postgres_config(folder.path()) };
    let postgres = start(&database).await;
    let system = System::up(folder.path(), &["--database-url", &postgres.url("postgres")]).await;
    let api = system.api();
    let [base, key] = ["api", "log_key"].map(|it| system.fact(it).to_owned());
    let log = Stranger { api: Api::new(&base, "", ""), base, key };

    earn(&api, "first").await;
    let early = log.checkpoint_beyond(EVENTS as u64 - 1).await;
    earn(&api, "second").await;
    let redeemed = api.redeem(MEMBER, Uuid::new_v4(), 100).await;
    let url = redeemed.body["receipt_url"].as_str().expect("a redemption has a receipt").to_owned();
    let words = [&url, "--key", &log.key, "--wait", "60s", "--api-key", system.fact("api_key")];
    System::verify(&words).await.expect(0);
    let receipt = api.get(url.strip_prefix(&log.base).expect("it is the API's")).await;
    let receipt = Receipt::parse(receipt.text.as_bytes()).expect("a receipt");
    let late = log.checkpoint_beyond(receipt.leaf_index).await;
    log.check(&early, &late, &receipt).await;
    system.check_books().await;

    part(move || postgres.stop()).await;
    let ready = api.get("/health/ready").await;
    assert_eq!((ready.status, ready.retry_after), (503, Some(1)), "{}", ready.text);
    assert!(ready.body["detail"].as_str().is_some_and(|it| it.contains("PostgreSQL")), "{}", ready.text);
    assert_eq!(api.get("/health/live").await.status, 200);
    log.check(&early, &late, &receipt).await;
    let key = Uuid::new_v4();
    let refused = api.redeem(MEMBER, key, 50).await;
    assert_eq!((refused.status, refused.retry_after), (503, Some(1)), "{}", refused.text);
    assert_eq!(refused.body["error"], "DEPENDENCY_UNAVAILABLE", "{}", refused.text);

    let postgres = start(&database).await;
    eventually("it is ready again", async || (api.get("/health/ready").await.status == 200).then_some(()))
        .await;
    let redeemed = api.redeem(MEMBER, key, 50).await;
    assert_eq!((redeemed.status, redeemed.replayed), (200, false), "{}", redeemed.text);
    assert_eq!(redeemed.body["new_balance"], 10 * 2 * EVENTS as i64 - 150, "{}", redeemed.text);
    let leaf_index = redeemed.body["leaf_index"].as_u64().expect("a redemption has a leaf");
    let latest = log.checkpoint_beyond(leaf_index).await;
    log.check(&late, &latest, &receipt).await;
    assert_eq!(system.check_books().await.leaves, 2 * EVENTS as u64 + 2);
    system.interrupt().await;
    part(move || postgres.stop()).await;
}

/// Beyond this size the tree has tiles on a third level: 256 x 256 leaves.
const LONG: u64 = 66_000;
const MEMBERS: u64 = 40;

/// Many at once, at random: every checkpoint that was seen on the way is one of the log that other people's tools find at
/// its end, made anew from nothing but the published leaves.
#[tokio::test]
async fn a_long_random_run_is_read_by_an_independent_client() {
    let folder = System::folder();
    let system = System::up(folder.path(), &[]).await;
    let [base, key] = ["api", "log_key"].map(|it| system.fact(it).to_owned());
    let log = Stranger { api: Api::new(&base, "", ""), base, key };
    let mut random = Random(20_261_121);
    let (mut seen, mut posted) = (Vec::<Seen>::new(), 0);
    while posted < LONG {
        let stretch = 1 + random.below(1000);
        posted += act_at_random(&system.api(), &mut random, posted, stretch).await;
        if seen.len() < 40 {
            seen.push(log.checkpoint_beyond(seen.last().map_or(0, |it| it.size)).await);
        }
    }
    seen.push(log.checkpoint_beyond(posted - 1).await);
    let last = seen.last().expect("there is one");
    assert_eq!(last.size, posted, "the log holds what was posted and nothing else");

    // The tree is built from the bundles by another's hands; then the tiles have to lead to the same.
    let mut hashes = Rebuilt(Vec::new());
    for bundle in 0..last.size.div_ceil(256) {
        let bytes = log.get(&data_path(bundle * 256, last.size)).await.expect("a bundle");
        for (leaf, index) in leaves(&bytes).into_iter().zip(bundle * 256..) {
            let more = stored_hashes(index, leaf, &hashes).expect("the leaves come in order");
            hashes.0.extend(more);
        }
    }
    for it in &seen {
        assert_eq!(tree_hash(it.size, &hashes).expect("it is rebuilt"), it.root, "{} leaves", it.size);
    }
    let indexes: Vec<u64> = (0..100).map(|_| random.below(last.size)).collect();
    let (size, root, reader) = (last.size, last.root, log.clone());
    let pairs: Vec<_> =
        seen.windows(2).map(|it| [(it[0].size, it[0].root), (it[1].size, it[1].root)]).collect();
    let checked = tokio::task::spawn_blocking(move || {
        let honest = Tiles { log: reader, handle: Handle::current(), bends: false };
        let tiles = TileHashReader::new(size, root, &honest);
        assert_eq!(tree_hash(size, &tiles).expect("the tiles are there"), root);
        for index in indexes {
            let path = prove_record(size, index, &tiles).expect("the tiles are there");
            let leaf = hashes.read_hashes(&[stored_hash_index(0, index)]).expect("it was rebuilt")[0];
            check_record(&path, size, root, index, leaf).expect("the leaf is in the tree");
        }
        for [(old_size, old_root), (new_size, new_root)] in pairs {
            let extends = prove_tree(new_size, old_size, &tiles).expect("the tiles are there");
            check_tree(&extends, new_size, new_root, old_size, old_root).expect("it was only appended to");
        }
    });
    checked.await.expect("the log is what it was said to be");
    assert_eq!(system.check_books().await.leaves, posted);
    system.interrupt().await;
}

/// So many earnings of random members in one request, and now and then what somebody spends. Answers how many were posted.
async fn act_at_random(api: &Api, random: &mut Random, from: u64, count: u64) -> u64 {
    let member = |number: u64| format!("3b2a7a52-4f0e-4a1e-9a3f-7f5b5a3e1{number:03}");
    let events: Vec<String> = (from..from + count)
        .map(|number| {
            let amount = 10 + random.below(100_000) as i64;
            purchase(&format!("long-{number}"), &member(random.below(MEMBERS)), amount)
        })
        .collect();
    let reply = api.event(&format!("[{}]", events.join(","))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let key = Uuid::from_u128(u128::from(from) + 1);
    let spent = api.redeem(&member(random.below(MEMBERS)), key, 1 + random.below(50) as i64).await;
    // Whoever has too little is refused, and nothing is posted.
    count + u64::from(spent.status == 200)
}

/// Splitmix: the same run each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// All hashes of a tree, as the independent crate numbers them.
struct Rebuilt(Vec<Hash>);

impl HashReader for Rebuilt {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|it| self.0[*it as usize]).collect())
    }
}

async fn start(database: &PostgresConfig) -> Postgres {
    let database = database.clone();
    part(move || Postgres::start(&database)).await
}

/// As many events as need more than one tile, in one request.
async fn earn(api: &Api, name: &str) {
    let events: Vec<String> =
        (0..EVENTS).map(|number| purchase(&format!("{name}-{number}"), MEMBER, 100)).collect();
    let reply = api.event(&format!("[{}]", events.join(","))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let results = reply.body["results"].as_array().expect("a result for each");
    assert!(results.iter().all(|it| it["status"] == json!("POSTED")), "{}", reply.text);
}

/// Somebody who knows the log's address and its key, and uses other people's tools.
#[derive(Clone)]
struct Stranger {
    api: Api,
    base: String,
    key: String,
}

struct Seen {
    size: u64,
    root: Hash,
}

impl Stranger {
    /// The published checkpoint, once it covers this leaf.
    async fn checkpoint_beyond(&self, leaf_index: u64) -> Seen {
        eventually("a checkpoint of that size", async || {
            let note = self.get("checkpoint").await?;
            let seen = self.open(&note);
            (leaf_index < seen.size).then_some(seen)
        })
        .await
    }

    /// Reads a checkpoint whose signature is the log's.
    fn open(&self, note: &[u8]) -> Seen {
        let key = StandardVerifier::new(&self.key).expect("the key is a vkey");
        let origin = self.key.split('+').next().expect("a vkey begins with a name");
        let note = Note::from_bytes(note).expect("a checkpoint is a signed note");
        let (verified, _) =
            note.verify(&VerifierList::new(vec![Box::new(key)])).expect("the log has signed it");
        assert_eq!(verified.len(), 1);
        let checkpoint = Checkpoint::from_bytes(note.text()).expect("a checkpoint");
        assert_eq!((checkpoint.origin(), checkpoint.extension()), (origin, ""));
        Seen { size: checkpoint.size(), root: *checkpoint.hash() }
    }

    /// The tiles lead to the signed root, the receipt's leaf is under it, and it extends what was seen before; and all
    /// this would have been noticed.
    async fn check(&self, early: &Seen, late: &Seen, receipt: &Receipt) {
        let bundle = self.get(&data_path(receipt.leaf_index, late.size)).await.expect("a bundle");
        let (log, early, late) = (self.clone(), (early.size, early.root), (late.size, late.root));
        let (index, leaf) = (receipt.leaf_index, receipt.leaf.leaf(receipt.leaf_index).encode());
        assert_eq!(leaves(&bundle)[(index % 256) as usize], leaf, "the receipt's leaf is the published one");
        let checked = tokio::task::spawn_blocking(move || {
            let honest = Tiles { log: log.clone(), handle: Handle::current(), bends: false };
            let tiles = TileHashReader::new(late.0, late.1, &honest);
            assert_eq!(tree_hash(late.0, &tiles).expect("the tiles are there"), late.1);
            let path = prove_record(late.0, index, &tiles).expect("the tiles are there");
            check_record(&path, late.0, late.1, index, record_hash(&leaf)).expect("the leaf is in the tree");
            assert!(check_record(&path, late.0, late.1, index, record_hash(b"another")).is_err());
            let extends = prove_tree(late.0, early.0, &tiles).expect("the tiles are there");
            check_tree(&extends, late.0, late.1, early.0, early.1).expect("the log was only appended to");
            assert!(check_tree(&extends, late.0, late.1, early.0, late.1).is_err());

            let bent = Tiles { log, handle: Handle::current(), bends: true };
            let tiles = TileHashReader::new(late.0, late.1, &bent);
            assert!(tiles.read_hashes(&[0]).is_err(), "a bent tile is noticed");
        });
        checked.await.expect("the log is what it was said to be");
    }

    async fn get(&self, path: &str) -> Option<Vec<u8>> {
        self.api.bytes(&format!("/{path}")).await
    }
}

/// The bundle of a leaf in a tree of this size, as C2SP `tlog-tiles` names it; the tree has less than 1000 bundles.
fn data_path(leaf_index: u64, size: u64) -> String {
    let bundle = leaf_index / 256;
    match size - bundle * 256 {
        256.. => format!("tile/entries/{bundle:03}"),
        width => format!("tile/entries/{bundle:03}.p/{width}"),
    }
}

/// The leaves of a bundle: each after its length in two bytes.
fn leaves(mut bundle: &[u8]) -> Vec<&[u8]> {
    let mut leaves = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (leaf, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        leaves.push(leaf);
        bundle = rest;
    }
    leaves
}

struct Tiles {
    log: Stranger,
    handle: Handle,
    /// Whether one bit of each tile is changed on the way.
    bends: bool,
}

impl TileReader for Tiles {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = tiles.iter().map(|tile| {
            // The crate writes paths with the tiles' height, as Go's checksum database does; C2SP's have none.
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            let mut bytes = self.handle.block_on(self.log.get(&path)).expect("the tile is there");
            bytes[0] ^= u8::from(self.bends);
            Ok(bytes)
        });
        read.collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}
