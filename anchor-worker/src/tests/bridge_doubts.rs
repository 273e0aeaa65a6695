//! The bridge on a real chain, through endpoints that lie, lag or refuse.

use std::time::{Duration, Instant};

use chain::{Chain, Gateway};
use devstack::{RpcFate, RpcWire};
use serde_json::{Value, json};

use super::bridge::Bridged;
use crate::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway and a bridge that sees it through one wire.
struct Doubtful {
    it: Bridged,
    wire: RpcWire,
    bridge: Bridge,
}

impl Doubtful {
    /// With this many points of asha's withdrawn under each of these ids, sealed and anchored.
    async fn new(withdrawn: &[(i64, u8)]) -> Self {
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
        let ours = it.log.published().unwrap();
        it.anchor(ours.size, &ours.root).await;
        Self { it, wire, bridge }
    }

    fn rpc(&self, method: &str, params: Value) -> Value {
        self.it.anvil.rpc(method, params).unwrap()
    }

    /// So many seconds pass on the chain.
    fn later(&self, seconds: u64) {
        self.rpc("evm_increaseTime", json!([seconds]));
        self.rpc("evm_mine", json!([]));
    }

    /// Steps until the chain shows this.
    async fn steps_until(&mut self, what: &str, is_so: impl AsyncFn(&Self) -> bool) {
        let started = Instant::now();
        while !is_so(self).await {
            self.bridge.step().await.unwrap();
            assert!(started.elapsed() < PATIENCE, "{what}: not in time");
        }
    }

    /// Has the head settled, and lets it mature.
    async fn settles(&mut self) {
        let ours = self.it.log.published().unwrap();
        let is_settled =
            async |it: &Self| it.it.gateway.matures_at(ours.size, &ours.root).await.unwrap() != 0;
        self.steps_until("it is settled", is_settled).await;
        self.later(61);
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
    it.steps_until("the first is paid", async |it| it.is_claimed(3).await).await;
    assert!(!it.is_claimed(4).await, "it is none of the first transaction");
    it.steps_until("the second is paid", async |it| it.is_claimed(4).await).await;
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
    it.settles().await;
}
