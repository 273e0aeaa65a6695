//! The bridge on a real chain, through endpoints that lie, lag or refuse.

use std::time::{Duration, Instant};

use chain::{Chain, Gateway, fees_for, tip_floor_wei};
use devstack::{RpcFate, RpcWire};
use ledger::{Command, Refusal};
use proof::Hash;
use serde_json::{Value, json};
use store::{GatewayState, Keyring};

use super::anchor::account;
use super::bridge::{Bridged, HOLDER, gateway_of};
use super::fixture::Fixture;
use crate::*;

const PATIENCE: Duration = Duration::from_secs(120);

/// A gateway and a bridge that sees it through one wire.
struct Doubtful {
    it: Bridged,
    wire: RpcWire,
    bridge: Bridge,
}

impl Doubtful {
    /// With this many points of asha's withdrawn under each of these ids, sealed and anchored.
    async fn new(withdrawn: &[(i64, u8)]) -> Self {
        let new = Self::unanchored(withdrawn).await;
        let ours = new.it.log.published().unwrap();
        new.it.anchor(ours.size, &ours.root).await;
        new
    }

    /// With another root anchored than the log's.
    async fn of_root(root: &Hash) -> Self {
        let new = Self::unanchored(&[]).await;
        new.it.anchor(new.it.log.published().unwrap().size, root).await;
        new
    }

    async fn unanchored(withdrawn: &[(i64, u8)]) -> Self {
        let it = Bridged::new().await;
        let wire = RpcWire::start(it.anvil.port()).unwrap();
        let chain = Chain::of_id(&wire.url(), it.at().chain_id).unwrap();
        let seen = Gateway::new(chain, it.at().contract, &it.log.log.log_id);
        let config = BridgeConfig { endpoints: vec![seen], ..it.config(0).await };
        let bridge = Bridge::open(config).await.unwrap();
        it.log.post(2).await;
        for (points, id) in withdrawn {
            it.withdraw(*points, *id, 24 * 3600).await;
        }
        it.log.seal_all().await;
        Self { it, wire, bridge }
    }

    /// The gateway through another endpoint.
    fn seen_through(&self, wire: &RpcWire) -> Gateway {
        let chain = Chain::of_id(&wire.url(), self.it.at().chain_id).unwrap();
        Gateway::new(chain, self.it.at().contract, &self.it.log.log.log_id)
    }

    /// From its first round on the bridge sees these endpoints instead.
    async fn sees(&mut self, endpoints: Vec<Gateway>) {
        let audit_logs = vec![self.it.audit_log.clone(); endpoints.len()];
        let config = BridgeConfig { endpoints, audit_logs, ..self.it.config(0).await };
        self.bridge = Bridge::open(config).await.unwrap();
    }

    fn rpc(&self, method: &str, params: Value) -> Value {
        self.it.anvil.rpc(method, params).unwrap()
    }

    /// So many seconds pass on the chain.
    fn later(&self, seconds: u64) {
        self.rpc("evm_increaseTime", json!([seconds]));
        self.rpc("evm_mine", json!([]));
    }

    /// Steps until one transaction is sent, then waits until the chain shows this.
    async fn sends_once(&mut self, what: &str, is_so: impl AsyncFn(&Self) -> bool) {
        let started = Instant::now();
        while self.bridge.step().await.unwrap().sent == 0 {
            assert!(started.elapsed() < PATIENCE, "{what}: nothing is sent");
        }
        while !is_so(self).await {
            tokio::task::yield_now().await;
            assert!(started.elapsed() < PATIENCE, "{what}: not in time");
        }
    }

    /// Has the head settled, and lets it mature.
    async fn settles(&mut self) {
        let ours = self.it.log.published().unwrap();
        let is_settled =
            async |it: &Self| it.it.gateway.matures_at(ours.size, &ours.root).await.unwrap() != 0;
        self.sends_once("it is settled", is_settled).await;
        self.later(61);
    }

    /// Has these points claimed.
    async fn claims(&mut self, id: u8) {
        self.settles().await;
        self.sends_once("it is paid", async |it| it.is_claimed(id).await).await;
    }

    /// The holder burns so many for nobody's reference.
    async fn burns(&self, points: u64) {
        self.burns_for(points, &[0xab; 32]).await;
    }

    /// The holder burns so many for this reference.
    async fn burns_for(&self, points: u64, reference: &Hash) {
        let gateway = format!("0x{}", hex::encode(self.it.at().contract));
        let token = self.it.gateway.terms().await.unwrap().points;
        let word = |it: &str| format!("{it:0>64}");
        let amount = word(&format!("{points:x}"));
        self.sends(&HOLDER, &token, "approve(address,uint256)", &(word(&gateway[2..]) + &amount)).await;
        let burn = amount + &hex::encode(reference);
        self.sends(&HOLDER, &self.it.at().contract, "burn(uint256,bytes32)", &burn).await;
    }

    /// A reference for whose burns asha is credited.
    async fn reference(&self) -> Hash {
        let program = self.it.log.program.program_id;
        let conn = &mut *self.it.log.pool.acquire().await.unwrap();
        let asha = store::member_id(conn, program, "asha").await.unwrap().unwrap();
        store::give_reference(conn, program, 1, asha, "ops").await.unwrap()
    }

    /// One of anvil's accounts sends this, and it is in a block.
    async fn sends(&self, from: &[u8; 20], to: &[u8; 20], signature: &str, arguments: &str) {
        let hash = self.rpc("web3_sha3", json!([format!("0x{}", hex::encode(signature))]));
        let data = format!("{}{arguments}", &hash.as_str().unwrap()[..10]);
        let [from, to] = [from, to].map(|it| format!("0x{}", hex::encode(it)));
        let sent = self.rpc("eth_sendTransaction", json!([{"from": from, "to": to, "data": data}]));
        let started = Instant::now();
        let receipt = loop {
            match self.rpc("eth_getTransactionReceipt", json!([sent])) {
                Value::Null => tokio::task::yield_now().await,
                receipt => break receipt,
            }
            assert!(started.elapsed() < PATIENCE, "{signature} is in no block");
        };
        assert_eq!(receipt["status"], "0x1", "{signature}: {receipt}");
    }

    fn hides_events(&self) {
        self.wire.set(|method| match method {
            "eth_getLogs" => RpcFate::Answer("[]"),
            _ => RpcFate::Pass,
        });
    }

    async fn known(&self) -> GatewayState {
        let conn = &mut *self.it.log.pool.acquire().await.unwrap();
        store::gateway_state(conn, &self.it.at()).await.unwrap().unwrap()
    }

    /// Of two withdrawals the first was paid and no event said so; the second one, never paid, has come back.
    async fn of_an_unseen_payment() -> Self {
        let mut it = Self::new(&[(2, 3), (3, 4)]).await;
        it.settles().await;
        // The second is paid to nobody.
        it.wire.set(|method| match method {
            "eth_estimateGas" => RpcFate::Answer("\"0x6acfc0\""),
            _ => RpcFate::Pass,
        });
        it.sends_once("it is paid", async |it| it.is_claimed(3).await).await;
        it.hides_events();
        it.later(24 * 3600);
        it.rpc("anvil_mine", json!(["0xa"]));
        let (mut taken_back, started) = (0, Instant::now());
        while taken_back == 0 {
            taken_back += it.bridge.step().await.unwrap().taken_back;
            assert!(started.elapsed() < PATIENCE, "nothing comes back");
        }
        assert_eq!((taken_back, it.bridge.step().await.unwrap().taken_back), (1, 0));
        it
    }

    /// The ids of the withdrawals that are open in the books.
    async fn open(&self) -> Vec<Hash> {
        let conn = &mut *self.it.log.pool.acquire().await.unwrap();
        let open = store::open_withdrawals(conn, &Keyring::new(&[9; 32]), &self.it.at(), 10).await.unwrap();
        open.iter().map(|it| it.withdrawal.withdrawal_id).collect()
    }

    async fn is_claimed(&self, id: u8) -> bool {
        self.it.gateway.is_claimed(&[id; 32]).await.unwrap()
    }
}

#[tokio::test]
async fn a_batch_carries_only_what_a_transaction_has_gas_for() {
    let mut it = Doubtful::new(&[(2, 3), (3, 4)]).await;
    it.settles().await;
    // Each takes seven million gas, says the endpoint: two are more than a transaction may have.
    it.wire.set(|method| match method {
        "eth_estimateGas" => RpcFate::Answer("\"0x6acfc0\""),
        _ => RpcFate::Pass,
    });
    it.sends_once("the first is paid", async |it| it.is_claimed(3).await).await;
    assert!(!it.is_claimed(4).await, "it is none of the first transaction");
    it.sends_once("the second is paid", async |it| it.is_claimed(4).await).await;
}

/// One of two endpoints says that the gateway refuses whatever is claimed; through the other nothing is begun.
#[tokio::test]
async fn what_one_endpoint_alone_refuses_is_claimed() {
    let mut it = Doubtful::new(&[(2, 3)]).await;
    let second = RpcWire::start(it.it.anvil.port()).unwrap();
    let endpoints = vec![it.seen_through(&it.wire), it.seen_through(&second)];
    it.sees(endpoints).await;
    it.settles().await;
    it.wire.set(|method| match method {
        "eth_estimateGas" => RpcFate::Revert,
        _ => RpcFate::Pass,
    });
    second.set(|method| match method {
        "eth_getTransactionCount" => RpcFate::Unavailable,
        _ => RpcFate::Pass,
    });
    it.sends_once("it is paid", async |it| it.is_claimed(3).await).await;
}

/// One of two endpoints has not seen that it is paid.
#[tokio::test]
async fn what_is_paid_is_not_claimed_again_through_an_endpoint_that_lags() {
    let mut it = Doubtful::new(&[(2, 3)]).await;
    it.settles().await;
    it.rpc("anvil_mine", json!(["0xa"]));
    it.sends_once("it is paid", async |it| it.is_claimed(3).await).await;
    it.hides_events();
    let second = RpcWire::start(it.it.anvil.port()).unwrap();
    let endpoints = vec![it.seen_through(&it.wire), it.seen_through(&second)];
    it.sees(endpoints).await;
    // The bridge before has ended.
    it.it.log.tamper("update anchor_lease set expires_at = clock_timestamp()").await;
    second.set(|method| match method {
        "eth_getLogs" => RpcFate::Answer("[]"),
        "eth_estimateGas" => RpcFate::Answer("\"0x6acfc0\""),
        "eth_getTransactionCount" => RpcFate::Unavailable,
        _ => RpcFate::Pass,
    });
    for _ in 0..3 {
        assert_eq!(it.bridge.step().await.unwrap().sent, 0);
    }
    let conn = &mut *it.it.log.pool.acquire().await.unwrap();
    assert_eq!(store::settled_heads(conn, &it.it.at(), 0).await.unwrap().len(), 1, "it could be claimed");
    assert_eq!(it.open().await, [[3; 32]]);
}

/// The first of three endpoints stands still: it never comes to the time from which claims are paid.
#[tokio::test]
async fn an_endpoint_that_stands_still_keeps_no_claim_waiting() {
    let mut it = Doubtful::new(&[(2, 3)]).await;
    let endpoints = vec![it.seen_through(&it.wire), it.it.gateway.clone(), it.it.gateway.clone()];
    it.sees(endpoints).await;
    it.wire.set(|method| match method {
        "eth_blockNumber" | "eth_getBlockByNumber" => RpcFate::Stale,
        _ => RpcFate::Pass,
    });
    it.claims(3).await;
}

#[tokio::test]
async fn what_no_endpoint_takes_was_not_sent() {
    let mut it = Doubtful::new(&[(2, 3)]).await;
    let bridge = "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc";
    let balance = it.rpc("eth_getBalance", json!([bridge, "latest"]));
    it.rpc("anvil_setBalance", json!([bridge, "0x0"]));
    for _ in 0..2 {
        assert_eq!(it.bridge.step().await.unwrap().sent, 0, "it has nothing to pay with");
    }
    it.rpc("anvil_setBalance", json!([bridge, balance]));
    // It waits for no patience to end: nothing of it waits anywhere.
    assert_eq!(it.bridge.step().await.unwrap().sent, 1);
}

/// Its index of events lags behind its blocks.
#[tokio::test]
async fn a_burn_that_an_endpoint_does_not_show_is_waited_for() {
    let mut it = Doubtful::new(&[(2, 3)]).await;
    it.claims(3).await;
    it.burns(1).await;
    it.rpc("anvil_mine", json!(["0xa"]));
    let before = it.known().await;
    it.hides_events();
    for _ in 0..2 {
        let error = it.bridge.step().await.unwrap_err();
        assert!(matches!(error, BridgeError::Retry(_)), "{error}");
        assert!(error.to_string().contains("lack burn 1"), "{error}");
    }
    assert_eq!(it.known().await, before, "nothing of these blocks is written down");
    it.wire.set(|_| RpcFate::Pass);
    it.bridge.step().await.unwrap();
    let conn = &mut *it.it.log.pool.acquire().await.unwrap();
    let burns = store::burns(conn, &it.it.at(), true, 10).await.unwrap();
    assert_eq!(burns.iter().map(|it| it.burn.burn_id).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn what_was_paid_is_not_taken_back_although_no_event_says_so() {
    let it = Doubtful::of_an_unseen_payment().await;
    assert_eq!(it.open().await, [[3; 32]], "one came back, and the other was paid");
}

#[tokio::test]
async fn nobody_takes_back_what_a_gateway_says_it_has_paid() {
    let mut it = Doubtful::of_an_unseen_payment().await;
    let posting = {
        let conn = &mut *it.it.log.pool.acquire().await.unwrap();
        let keyring = Keyring::new(&[9; 32]);
        store::open_withdrawals(conn, &keyring, &it.it.at(), 10).await.unwrap()[0].posting_id
    };
    let back = it.it.log.request("operator:test", "back", Command::Reverse { posting, points: None });
    let answer = it.it.log.committer.submit(back).await.unwrap();
    assert_eq!(answer.outcome.map(|_| ()).map_err(|it| it.refusal), Err(Refusal::AlreadyClaimed));
    // Where it says otherwise, what it had said before keeps nothing.
    it.wire.set(|method| match method {
        "eth_call" => {
            RpcFate::Answer("\"0x0000000000000000000000000000000000000000000000000000000000000000\"")
        }
        _ => RpcFate::Pass,
    });
    assert_eq!(it.bridge.step().await.unwrap().taken_back, 1);
    assert_eq!(it.open().await, Vec::<Hash>::new());
}

/// An index of events that had lagged behind.
#[tokio::test]
async fn a_payment_that_no_event_had_shown_closes_its_withdrawal_once_one_does() {
    let mut it = Doubtful::of_an_unseen_payment().await;
    let known = it.known().await;
    it.wire.set(|_| RpcFate::Pass);
    it.bridge.step().await.unwrap();
    assert_eq!(it.open().await, Vec::<Hash>::new());
    assert_eq!(it.known().await.block, known.block, "it is in a block that was read before");
    let conn = &mut *it.it.log.pool.acquire().await.unwrap();
    let books = store::bridge_books(conn, &it.it.at()).await.unwrap();
    assert_eq!((books.problems, books.unclaimed), (Vec::new(), 0));
    assert_eq!(books.minted.values().sum::<u64>(), 2);
    assert_eq!(it.bridge.step().await.unwrap(), crate::Bridged::default(), "there is nothing left to do");
}

/// New books know nothing of what the old ones sent there, and could credit none of it.
#[tokio::test]
async fn a_gateway_of_other_books_is_not_taken_over() {
    let mut it = Doubtful::new(&[(2, 3)]).await;
    it.claims(3).await;
    it.rpc("anvil_mine", json!(["0xa"]));
    let (new, at) = (Fixture::new().await, it.it.at());
    let opened = async |first_block: u64, endpoint: &Gateway| {
        let config = BridgeConfig {
            endpoints: vec![endpoint.clone()],
            pool: new.pool.clone(),
            committer: new.committer.clone(),
            tiles: new.folder.clone(),
            program_id: new.program.program_id,
            ..it.it.config(first_block).await
        };
        Bridge::open(config).await
    };
    let last = it.it.gateway.chain().finalized_block().await.unwrap().unwrap();
    // Where nobody can be asked, it is not taken either.
    it.wire.set(|method| match method {
        "eth_call" => RpcFate::Unavailable,
        _ => RpcFate::Pass,
    });
    let error = opened(last, &it.seen_through(&it.wire)).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, BridgeError::Retry(BridgeObstacle::Chain(_))), "{error}");
    let error = opened(last, &it.it.gateway).await.map(|_| ()).unwrap_err();
    let is_told = matches!(error, BridgeError::Retry(BridgeObstacle::UsedBefore { unexpired: 2, .. }));
    assert!(is_told, "{error}");
    assert_eq!(store::gateway_state(&mut new.pool.acquire().await.unwrap(), &at).await.unwrap(), None);
    // Read from its beginning, it shows what these books did not send.
    let error = opened(0, &it.it.gateway).await.unwrap().step().await.unwrap_err();
    assert!(matches!(error, BridgeError::Halt(BridgeDoubt::StrangeClaim { .. })), "{error}");
}

/// The old books go on with what was settled, until nothing of theirs is on the chain and new ones may begin with another gateway.
#[tokio::test]
async fn a_gateway_is_emptied_after_its_log_has_ended() {
    let mut it = Doubtful::new(&[(2, 3)]).await;
    it.settles().await;
    let (admin, terms) = (account().address(), it.it.gateway.terms().await.unwrap());
    let next = gateway_of(it.it.gateway.chain(), &[8; 32]).await.1.terms().await.unwrap();
    let place = hex::encode(terms.place);
    let both = format!("{place}{}", hex::encode(next.place));
    it.sends(&admin, &terms.audit, "proposeSuccessor(bytes32,bytes32)", &both).await;
    it.later(3601);
    it.sends(&admin, &terms.audit, "succeed(bytes32)", &place).await;
    it.sends(&admin, &it.it.at().contract, "follow()", "").await;
    assert_eq!(it.it.gateway.terms().await.unwrap().place, next.place);

    // Who knows the gateway may still be started, and nobody else with this log.
    let again = BridgeConfig { account: None, ..it.it.config(0).await };
    assert!(Bridge::open(again).await.is_ok());
    let new = Fixture::new().await;
    let (pool, program_id) = (new.pool.clone(), new.program.program_id);
    let config = BridgeConfig { pool, program_id, ..it.it.config(0).await };
    let error = Bridge::open(config).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, BridgeError::Retry(BridgeObstacle::OtherLog)), "{error}");

    // No head that holds this one is anchored any more.
    it.it.withdraw(3, 4, 3600).await;
    it.it.log.seal_all().await;
    it.sends_once("it is paid", async |it| it.is_claimed(3).await).await;
    it.burns_for(2, &it.reference().await).await;
    it.later(3601);
    it.rpc("anvil_mine", json!(["0xa"]));
    let (mut credited, mut taken_back, started) = (0, 0, Instant::now());
    while credited + taken_back < 2 {
        let done = it.bridge.step().await.unwrap();
        (credited, taken_back) = (credited + done.credited, taken_back + done.taken_back);
        assert!(started.elapsed() < PATIENCE, "{done:?}");
    }
    assert_eq!((credited, taken_back), (1, 1));
    let audit = audit_bridge(&it.it.log.pool, std::slice::from_ref(&it.it.gateway)).await.unwrap();
    assert_eq!(audit, BridgeAudit { block: audit.block, ..BridgeAudit::default() });
}

/// The same books, as they were before a burn was credited.
#[tokio::test]
async fn restored_books_credit_what_they_have_forgotten_and_only_once() {
    let mut it = Doubtful::new(&[(2, 3)]).await;
    it.claims(3).await;
    it.rpc("anvil_mine", json!(["0xa"]));
    it.bridge.step().await.unwrap();
    let reference = it.reference().await;
    let backup = it.it.log.backup().await;
    it.burns_for(1, &reference).await;
    it.rpc("anvil_mine", json!(["0xa"]));
    for restored in [None, Some(backup)] {
        if let Some(url) = restored {
            it.it.log.reopen(url).await;
        }
        let config = BridgeConfig { account: None, ..it.it.config(0).await };
        it.bridge = Bridge::open(config).await.unwrap();
        for credited in [1, 0] {
            assert_eq!(it.bridge.step().await.unwrap().credited, credited);
        }
        it.bridge.check().await;
        assert_eq!(it.bridge.problems(), Vec::<String>::new());
    }
}

/// A payment that no event showed is a point on the chain that the books never sent there.
#[tokio::test]
async fn points_that_are_not_accounted_for_are_told_by_the_bridge_itself() {
    let mut it = Doubtful::of_an_unseen_payment().await;
    it.bridge.check().await;
    let told = it.bridge.problems().to_vec();
    assert!(told.iter().any(|it| it.contains("holders have 2 points, and only 0 came")), "{told:?}");
    it.wire.set(|_| RpcFate::Unavailable);
    it.bridge.check().await;
    assert_eq!(it.bridge.problems(), told, "what is not known now is as it was");
    it.wire.set(|_| RpcFate::Pass);
    it.bridge.step().await.unwrap();
    it.bridge.check().await;
    assert_eq!(it.bridge.problems(), Vec::<String>::new());
}

/// One endpoint of three says that blocks are final which do not exist.
#[tokio::test]
async fn an_endpoint_that_runs_ahead_moves_nothing() {
    let it = Doubtful::new(&[]).await;
    let first = it.it.config(0).await;
    let chain = Chain::of_id(&it.wire.url(), it.it.at().chain_id).unwrap();
    let ahead = Gateway::new(chain, it.it.at().contract, &it.it.log.log.log_id);
    it.wire.set(|method| match method {
        "eth_blockNumber" => RpcFate::Answer("\"0xfffff\""),
        "eth_getBlockByNumber" => RpcFate::Error,
        _ => RpcFate::Pass,
    });
    let honest = it.it.gateway.clone();
    let last = honest.chain().finalized_block().await.unwrap().unwrap();
    let config = BridgeConfig { endpoints: vec![ahead, honest.clone(), honest], account: None, ..first };
    let mut bridge = Bridge::open(config).await.unwrap();
    assert_eq!(bridge.step().await.unwrap().blocks, last);
    assert_eq!(it.known().await.block, last);
}

/// The books are changed instead of the chain: what was paid is then as strange to them as what a stolen key has proven.
#[tokio::test]
async fn a_claim_that_the_books_did_not_ask_for_halts() {
    let mut it = Doubtful::new(&[(2, 3)]).await;
    it.claims(3).await;
    it.burns(1).await;
    it.rpc("anvil_mine", json!(["0xa"]));
    it.it
        .log
        .tamper("create table kept as select leaf_index, body from posting where body is not null")
        .await;
    let withdrawn = async |body: &str| {
        let change =
            format!("update posting set body = {body} from kept where posting.leaf_index = kept.leaf_index");
        it.it.log.tamper(&change).await;
    };
    for (body, problem) in [
        ("set_byte(kept.body, 48, 255)", "is no open withdrawal of these books"),
        (
            "set_byte(kept.body, 28, 255)",
            "was paid to 0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc, and was for 0xff",
        ),
        ("set_byte(kept.body, 100, 7)", "was paid with 2 points, and was of 7"),
        (
            "set_byte(set_byte(set_byte(kept.body, 89, 0), 90, 0), 91, 0)",
            "was paid in points that outlast it",
        ),
    ] {
        withdrawn(body).await;
        let error = it.bridge.step().await.unwrap_err();
        assert!(matches!(error, BridgeError::Halt(BridgeDoubt::StrangeClaim { .. })), "{body}: {error}");
        assert!(error.to_string().contains(problem), "{body}: {error}");
        let conn = &mut *it.it.log.pool.acquire().await.unwrap();
        assert!(
            store::burns(conn, &it.it.at(), true, 10).await.unwrap().is_empty(),
            "{body}: nothing is read on"
        );
    }
    // Whoever knows what it is goes on, and the check names it all the same.
    let mut accepting =
        Bridge::open(BridgeConfig { accepted_claims: vec![[3; 32]], account: None, ..it.it.config(0).await })
            .await
            .unwrap();
    assert_ne!(accepting.step().await.unwrap().blocks, 0);
    let conn = &mut *it.it.log.pool.acquire().await.unwrap();
    let books = store::bridge_books(conn, &it.it.at()).await.unwrap();
    assert!(books.problems.iter().any(|it| it.contains("was paid in points that outlast it")), "{books:?}");
    withdrawn("kept.body").await;
    assert_eq!(store::bridge_books(conn, &it.it.at()).await.unwrap().problems, Vec::<String>::new());
}

#[tokio::test]
async fn a_settled_head_that_is_not_this_logs_is_told_until_it_is_cancelled() {
    let mut it = Doubtful::of_root(&[6; 32]).await;
    let (chain, gateway) = (it.it.gateway.chain(), &it.it.gateway);
    let thief = account();
    let nonce = chain.nonce(&thief.address()).await.unwrap();
    let fees = fees_for(chain.base_fee_wei().await.unwrap(), tip_floor_wei(chain.id()), 40);
    let place = gateway.terms().await.unwrap().place;
    let signed = gateway.sign_settle(&thief, nonce, fees, &place).await.unwrap();
    chain.send_raw(&signed.raw).await.unwrap();
    let size = it.it.log.published().unwrap().size;
    let started = Instant::now();
    while gateway.matures_at(size, &[6; 32]).await.unwrap() == 0 {
        assert!(started.elapsed() < PATIENCE, "it is not settled");
        tokio::task::yield_now().await;
    }
    it.rpc("anvil_mine", json!(["0xa"]));
    // It is read in the first round, and looked at in the next one; nothing of ours waits for it.
    it.bridge.step().await.unwrap();
    it.bridge.step().await.unwrap();
    assert_eq!(it.bridge.strange_heads(), [(size, [6; 32])]);
    let (log, root) = (hex::encode(it.it.log.log.log_id), hex::encode([6; 32]));
    let arguments = format!("{log}{size:064x}{root}");
    it.sends(&thief.address(), &it.it.at().contract, "cancel(bytes32,uint64,bytes32)", &arguments).await;
    it.bridge.step().await.unwrap();
    assert!(it.bridge.strange_heads().is_empty(), "it can prove nothing any more");
}

#[tokio::test]
async fn what_is_burned_on_its_last_day_comes_back_with_the_next_one() {
    let mut it = Doubtful::new(&[(2, 3)]).await;
    it.claims(3).await;
    it.burns(1).await;
    let latest = it.it.gateway.chain().latest_block().await.unwrap();
    let seen = it.it.gateway.seen(1, latest).await.unwrap();
    let (epoch, _) = seen.claims[0].minted[0];
    let token = it.it.gateway.terms().await.unwrap().points;
    let expires_at = it.it.gateway.expires_at(&token, epoch).await.unwrap();
    it.later(expires_at - it.it.gateway.chain().latest_time_s().await.unwrap() - 3600);
    it.burns(1).await;
    it.rpc("anvil_mine", json!(["0xa"]));
    assert_ne!(it.bridge.step().await.unwrap().blocks, 0);
    let conn = &mut *it.it.log.pool.acquire().await.unwrap();
    let burns = store::burns(conn, &it.it.at(), true, 10).await.unwrap();
    let days: Vec<_> = burns.iter().map(|it| it.burn.amounts[0].last_day).collect();
    // There it is three hours later.
    let last_day = (expires_at - 1 + 3 * 3600) as i32 / (24 * 3600);
    assert_eq!(days, [last_day, last_day + 1]);
}
