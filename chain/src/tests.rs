use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use devstack::{Anvil, AnvilConfig};
use proof::{
    AnchorPlace, Checkpoint, Frontier, Hash, Leaf, LeafKind, Node, consistency_proof, inclusion_proof,
    leaf_hash,
};
use serde_json::{Value, json};

use crate::dev::{DEV_KEY, deploy, ensure_contract};
use crate::*;

const LOG_ID: Hash = [7; 32];

async fn anvil() -> (Anvil, Chain) {
    let anvil = tokio::task::spawn_blocking(|| Anvil::start(&AnvilConfig::default())).await.unwrap().unwrap();
    let chain = Chain::connect(&anvil.url()).await.unwrap();
    (anvil, chain)
}

fn account() -> Account {
    Account::from_key(DEV_KEY).unwrap()
}

fn leaf(leaf_index: u64) -> [u8; 74] {
    Leaf {
        kind: LeafKind::Posting,
        log_id: LOG_ID,
        leaf_index,
        commitment: leaf_hash(&leaf_index.to_be_bytes()),
    }
    .encode()
}

fn root(size: u64) -> Hash {
    let mut frontier = Frontier::default();
    (0..size).for_each(|index| frontier.push(leaf_hash(&leaf(index)), |_, _| {}));
    frontier.root()
}

fn node(node: Node) -> Result<Hash, std::convert::Infallible> {
    let mut frontier = Frontier::default();
    (node.index << node.level..(node.index + 1) << node.level)
        .for_each(|index| frontier.push(leaf_hash(&leaf(index)), |_, _| {}));
    Ok(frontier.root())
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint { origin: "log.example".into(), size, root: root(size) }
}

async fn signed(log: &AuditLog, old: u64, new: u64, root: &Hash) -> Result<SignedTransaction, ChainError> {
    let proof = consistency_proof(old, new, node).unwrap();
    let nonce = log.chain().nonce(&account().address()).await.unwrap();
    let fees = fees_for(log.chain().base_fee_wei().await.unwrap(), tip_floor_wei(log.chain().id()), 40);
    log.sign_anchor(&account(), nonce, fees, new, root, &proof).await
}

async fn anchor(log: &AuditLog, old: u64, new: u64) -> Receipt {
    let signed = signed(log, old, new, &root(new)).await.unwrap();
    assert_eq!(log.chain().receipt(&signed.hash).await.unwrap(), None, "nothing is sent by signing");
    log.chain().send_raw(&signed.raw).await.unwrap();
    log.chain().send_raw(&signed.raw).await.map_or_else(
        // anvil mines at once and then says that the nonce is used up.
        |error| assert!(error.to_string().contains("nonce"), "{error}"),
        |()| (),
    );
    // anvil may answer before the block is there.
    let mined = async {
        loop {
            match log.chain().receipt(&signed.hash).await.unwrap() {
                Some(receipt) => return receipt,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let receipt = tokio::time::timeout(Duration::from_secs(60), mined).await.expect("it is mined in time");
    assert!(receipt.succeeded);
    receipt
}

async fn check(log: &AuditLog, checkpoint: &Checkpoint, leaf_index: u64, hint: Option<u64>) -> AnchorStatus {
    let path = inclusion_proof(leaf_index, checkpoint.size, node).unwrap();
    check_anchor(log.chain(), log.place(), &LOG_ID, checkpoint, &leaf(leaf_index), &path, hint).await.unwrap()
}

#[tokio::test]
async fn a_checkpoint_is_anchored_and_checked() {
    let (_anvil, chain) = anvil().await;
    let log = ensure_contract(&chain, &account(), &LOG_ID).await.unwrap();
    assert_eq!(log.head().await.unwrap().size, 0);
    assert_eq!(check(&log, &checkpoint(3), 1, None).await, AnchorStatus::NotAnchored);
    let first = anchor(&log, 0, 3).await;
    let head = log.head().await.unwrap();
    assert_eq!((head.size, head.root, head.writer), (3, root(3), account().address()));
    let second = anchor(&log, 3, 8).await;
    for hint in [None, Some(first.block), Some(second.block), Some(1 << 40)] {
        for (size, block) in [(3, first.block), (8, second.block)] {
            let status = check(&log, &checkpoint(size), 2, hint).await;
            assert!(
                matches!(status, AnchorStatus::Anchored { block: Some(it), transaction: Some(_), .. } if it == block),
                "{status:?}"
            );
            assert_eq!(log.anchored_root(size, hint).await.unwrap(), Some(root(size)));
        }
        assert_eq!(check(&log, &checkpoint(5), 2, hint).await, AnchorStatus::PassedOver);
        assert_eq!(check(&log, &checkpoint(9), 2, hint).await, AnchorStatus::NotAnchored);
    }
    for size in [3, 8] {
        let other = Checkpoint { root: [1; 32], ..checkpoint(size) };
        assert_eq!(check(&log, &other, 2, None).await, AnchorStatus::Disagrees { root: root(size) });
    }
    // A registrant who has no such log: nothing will come of asking again.
    let nobody = AnchorPlace { registrant: [0x12; 20], ..log.place() };
    let path = inclusion_proof(2, 3, node).unwrap();
    let verdict = check_anchor(&chain, nobody, &LOG_ID, &checkpoint(3), &leaf(2), &path, None).await;
    assert!(matches!(verdict, Err(ChainError::NoContract(_))), "{verdict:?}");
    assert!(log.includes(8, &leaf(5), &inclusion_proof(5, 8, node).unwrap()).await.unwrap());
    assert!(!log.includes(8, &leaf(5), &inclusion_proof(4, 8, node).unwrap()).await.unwrap());
}

/// An endpoint in front of this chain that shows the events of so many blocks at once, and counts how often it does.
fn limited(anvil: Arc<Anvil>, blocks_max: u64) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shown = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&shown);
    let number = |block: &Value| u64::from_str_radix(&block.as_str().unwrap()[2..], 16).unwrap();
    let answer = move |request: &Value| {
        let (method, params) = (request["method"].as_str().unwrap(), &request["params"]);
        if method == "eth_getLogs" {
            if blocks_max <= number(&params[0]["toBlock"]) - number(&params[0]["fromBlock"]) {
                return json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32005, "message": "too many blocks"}});
            }
            counting.fetch_add(1, Ordering::Relaxed);
        }
        json!({"jsonrpc": "2.0", "id": request["id"], "result": anvil.rpc(method, params.clone()).unwrap()})
    };
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while 2 < stream.read_line(&mut line).unwrap() {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer = answer(&serde_json::from_slice(&body).unwrap()).to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}",
                answer.len()
            );
            write!(stream.get_mut(), "{head}\r\n\r\n{answer}").unwrap();
        }
    });
    (url, shown)
}

#[tokio::test]
async fn an_anchor_is_found_where_the_node_shows_few_blocks_at_once() {
    let (anvil, chain) = anvil().await;
    let log = ensure_contract(&chain, &account(), &LOG_ID).await.unwrap();
    anvil.rpc("anvil_mine", json!(["0x400"])).unwrap();
    let first = anchor(&log, 0, 3).await;
    anvil.rpc("anvil_mine", json!(["0x20"])).unwrap();
    let second = anchor(&log, 3, 8).await;
    anvil.rpc("anvil_mine", json!(["0x20"])).unwrap();
    let (url, shown) = limited(Arc::new(anvil), 10);
    let log = AuditLog::new(Chain::connect(&url).await.unwrap(), log.place(), &LOG_ID).unwrap();
    for (size, block) in [(3, Some(first.block)), (8, Some(second.block)), (2, None), (5, None), (9, None)] {
        shown.store(0, Ordering::Relaxed);
        for hint in [None, Some(1)] {
            let sighting = log.sighting(size, hint).await.unwrap();
            assert_eq!(sighting.map(|it| it.block), block, "{size}");
        }
        assert!(shown.load(Ordering::Relaxed) < 40, "the blocks before the first anchor are not searched");
    }
}

#[tokio::test]
async fn an_anchor_becomes_final() {
    let (anvil, chain) = anvil().await;
    let log = ensure_contract(&chain, &account(), &LOG_ID).await.unwrap();
    anchor(&log, 0, 3).await;
    let is_final = |status| matches!(status, AnchorStatus::Anchored { is_final: true, .. });
    assert!(!is_final(check(&log, &checkpoint(3), 0, None).await));
    // anvil's `finalized` is two epochs of 32 blocks behind.
    anvil.rpc("anvil_mine", serde_json::json!(["0x50"])).unwrap();
    assert!(is_final(check(&log, &checkpoint(3), 0, None).await));
}

#[tokio::test]
async fn the_contract_refuses_another_history() {
    let (_anvil, chain) = anvil().await;
    let log = ensure_contract(&chain, &account(), &LOG_ID).await.unwrap();
    anchor(&log, 0, 3).await;
    let refused = signed(&log, 3, 8, &[9; 32]).await.unwrap_err();
    assert!(matches!(&refused, ChainError::Reverted(why) if why.contains("NotAnExtension")), "{refused}");
    let shorter = signed(&log, 2, 2, &root(2)).await.unwrap_err();
    assert!(matches!(&shorter, ChainError::Reverted(why) if why.contains("NotLonger")), "{shorter}");
}

#[tokio::test]
async fn the_same_chain_gives_the_same_contract() {
    let (_anvil, chain) = anvil().await;
    let first = ensure_contract(&chain, &account(), &LOG_ID).await.unwrap();
    let nonce = chain.nonce(&account().address()).await.unwrap();
    let again = ensure_contract(&chain, &account(), &LOG_ID).await.unwrap();
    assert_eq!(first.place(), again.place());
    assert_eq!(chain.nonce(&account().address()).await.unwrap(), nonce, "nothing is sent a second time");
    let other_log = ensure_contract(&chain, &account(), &[8; 32]).await.unwrap();
    assert_eq!(other_log.place(), first.place(), "one contract serves many logs");
    let second = deploy(&chain, &account()).await.unwrap();
    assert_ne!(second.into_array(), first.place().contract);
}

#[tokio::test]
async fn a_wrong_place_is_no_verdict() {
    let (anvil, chain) = anvil().await;
    let at = AnchorPlace { chain_id: 31337, contract: [1; 20], registrant: [2; 20] };
    let log = AuditLog::new(chain.clone(), at, &LOG_ID).unwrap();
    assert!(matches!(log.head().await, Err(ChainError::NoContract(_))));
    let other = AnchorPlace { chain_id: 137, ..at };
    assert!(matches!(AuditLog::new(chain, other, &LOG_ID), Err(ChainError::OtherChain { .. })));
    let lying = Chain::of_id(&anvil.url(), 137).unwrap();
    let path = inclusion_proof(0, 3, node).unwrap();
    let verdict = check_anchor(&lying, other, &LOG_ID, &checkpoint(3), &leaf(0), &path, None).await;
    assert_eq!(verdict, Err(ChainError::OtherChain { found: 31337, expected: 137 }));
}

#[tokio::test]
async fn keys_stand_in_no_text() {
    assert_eq!(format!("{:?}", account()), "Account(0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266)");
    let bad = Account::from_key(&DEV_KEY[1..]).unwrap_err();
    assert!(!bad.to_string().contains(&DEV_KEY[1..8]), "{bad}");
    let url = "http://127.0.0.1:1/v2/secret-key";
    let unreachable = Chain::connect(url).await.unwrap_err();
    assert!(matches!(unreachable, ChainError::Unreachable(_)), "{unreachable}");
    assert!(!unreachable.to_string().contains("secret-key"), "{unreachable}");
}

#[test]
fn fees_outlast_the_wait() {
    let gwei = 1_000_000_000;
    assert_eq!(fees_for(100 * gwei, 25 * gwei, 0), Fees { fee_wei_max: 125 * gwei, tip_wei_max: 25 * gwei });
    assert_eq!(fees_for(100 * gwei, 0, 2).fee_wei_max, 110_250_000_000);
    assert_eq!(fees_for(1, 0, 3).fee_wei_max, 4, "rounded up, so that it grows from any base");
    assert_eq!((tip_floor_wei(137), tip_floor_wei(80002), tip_floor_wei(1)), (25 * gwei, 25 * gwei, gwei));
}
