//! A chain with the log's contract, and the contract as anybody may call it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use devstack::{Anvil, AnvilConfig};
use journeys::{JsonRpc, eventually, lasting_port, part};
use proof::AnchorPlace;
use serde_json::{Value, json};

/// One chain with its contract.
pub(super) struct Chain {
    anvil: Option<Anvil>,
    state: PathBuf,
    pub(super) id: u64,
    pace: Option<Duration>,
    rpc: JsonRpc,
    pub(super) url: String,
    pub(super) addresses: PathBuf,
    log_id: String,
}

impl Chain {
    /// A chain with a block each second.
    pub(super) async fn start(folder: &Path, id: u64, log_id: &str) -> Self {
        Self::paced(folder, id, log_id, Some(Duration::from_secs(1))).await
    }

    /// A chain with a block for each transaction, and none besides.
    pub(super) async fn still(folder: &Path, id: u64, log_id: &str) -> Self {
        Self::paced(folder, id, log_id, None).await
    }

    async fn paced(folder: &Path, id: u64, log_id: &str, pace: Option<Duration>) -> Self {
        let state = folder.join(format!("chain-{id}/state.json"));
        let port = lasting_port();
        let anvil = Self::launch(&state, id, port, pace).await;
        let url = anvil.url();
        let addresses = folder.join(format!("addresses-{id}.json"));
        let (rpc, log_id) = (JsonRpc::new(&url), log_id.to_owned());
        Self { rpc, url, anvil: Some(anvil), state, id, pace, addresses, log_id }
    }

    async fn launch(state: &Path, chain_id: u64, port: u16, pace: Option<Duration>) -> Anvil {
        let config = AnvilConfig {
            state_file: Some(state.to_owned()),
            port: Some(port),
            chain_id,
            block_time: pace,
            epoch_blocks: Some(1),
            ..AnvilConfig::default()
        };
        part(move || Anvil::start(&config)).await
    }

    pub(super) fn port(&self) -> u16 {
        self.anvil.as_ref().expect("it runs").port()
    }

    pub(super) async fn stop(&mut self) -> u16 {
        let anvil = self.anvil.take().expect("it runs");
        let port = anvil.port();
        part(move || anvil.stop()).await;
        port
    }

    pub(super) async fn start_again(&mut self, port: &u16) {
        self.anvil = Some(Self::launch(&self.state, self.id, *port, self.pace).await);
    }

    pub(super) fn address(&self, name: &str) -> String {
        let text = std::fs::read_to_string(&self.addresses).expect("deploy writes them");
        let addresses: Value = serde_json::from_str(&text).expect("they are JSON");
        addresses[name].as_str().expect("an address is text").to_owned()
    }

    /// Where the log is anchored.
    pub(super) fn anchor_place(&self) -> AnchorPlace {
        let bytes = |name| {
            let bytes = hex::decode(&self.address(name)[2..]).expect("hexadecimal");
            <[u8; 20]>::try_from(bytes).expect("an address has twenty bytes")
        };
        AnchorPlace { chain_id: self.id, contract: bytes("audit_log"), registrant: bytes("registrant") }
    }

    pub(super) fn contract(&self) -> Contract<'_> {
        Contract {
            rpc: &self.rpc,
            address: self.address("audit_log"),
            registrant: self.address("registrant"),
            log_id: self.log_id.clone(),
        }
    }

    /// The size that the contract holds.
    pub(super) async fn anchored(&self) -> u64 {
        self.contract().head().await.0
    }

    pub(super) async fn call(&self, method: &str, params: Value) -> Value {
        self.rpc.call(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    pub(super) async fn mine(&self, blocks: u64) {
        self.call("anvil_mine", json!([format!("{blocks:#x}")])).await;
    }

    /// A block with this base fee.
    pub(super) async fn costs_gwei(&self, gwei: u64) {
        let wei = format!("{:#x}", gwei * 1_000_000_000);
        self.call("anvil_setNextBlockBaseFeePerGas", json!([wei])).await;
        self.call("evm_mine", json!([])).await;
    }

    /// Whether a block holds what is sent, as soon as it is.
    pub(super) async fn takes_at_once(&self, is_so: bool) {
        self.call("evm_setAutomine", json!([is_so])).await;
    }

    /// Waits until a transaction waits for a block; gives what waits.
    pub(super) async fn has_one_waiting(&self) -> Value {
        eventually("a transaction waits", async || {
            let status = self.call("txpool_status", json!([])).await;
            (status["pending"] == "0x1").then_some(())
        })
        .await;
        self.call("txpool_content", json!([])).await
    }

    /// How many transactions of this account are in blocks.
    pub(super) async fn nonce(&self, account: &str) -> u64 {
        let nonce = self.call("eth_getTransactionCount", json!([account, "latest"])).await;
        u64::from_str_radix(&nonce.as_str().expect("a number is text")[2..], 16).expect("a number")
    }

    /// Waits until this transaction is in a block; gives its status.
    pub(super) async fn status_of(&self, hash: &Value) -> Value {
        let receipt = eventually("it is in a block", async || {
            let receipt = self.call("eth_getTransactionReceipt", json!([hash])).await;
            receipt.is_object().then_some(receipt)
        })
        .await;
        receipt["status"].clone()
    }
}

/// The log's place in a contract.
pub(crate) struct Contract<'a> {
    pub(crate) rpc: &'a JsonRpc,
    pub(crate) address: String,
    pub(crate) registrant: String,
    pub(crate) log_id: String,
}

impl Contract<'_> {
    pub(crate) async fn place(&self) -> String {
        let both = format!("{}{:0>64}", &self.log_id[2..], &self.registrant[2..]);
        self.rpc.keccak(&hex::decode(both).expect("hexadecimal")).await
    }

    /// The size and the root that it holds.
    pub(crate) async fn head(&self) -> (u64, [u8; 32]) {
        let place = self.place().await;
        let head = self.rpc.view(&self.address, "head(bytes32)", &place).await.expect("the contract answers");
        let size = u64::from_str_radix(&head[48..64], 16).expect("a size");
        let root = hex::decode(&head[64..128]).expect("hexadecimal");
        (size, root.try_into().expect("a root has 32 bytes"))
    }

    /// Whoever has the writer's key anchors what this log has never signed. A head whose size is a power of two is extended
    /// by any leaf that is claimed to follow it; an empty one by anything.
    pub(crate) async fn is_forged_by(&self, writer: &str) -> u64 {
        let (size, root) = self.head().await;
        let forged = [0xab; 32];
        let (root, proof) = match size {
            0 => (forged, Vec::new()),
            _ => (proof::node_hash(&root, &forged), vec![forged]),
        };
        assert!(size == 0 || size.is_power_of_two(), "{size} leaves are extended by a longer proof");
        let words = [
            self.place().await,
            format!("{:064x}", size + 1),
            hex::encode(root),
            format!("{:064x}", 4 * 32),
            format!("{:064x}", proof.len()),
        ];
        let proof: String = proof.iter().map(hex::encode).collect();
        let sent = self
            .send(writer, "anchor(bytes32,uint64,bytes32,bytes32[])", &format!("{}{proof}", words.concat()))
            .await;
        eventually("the forgery is in a block", async || {
            let receipt =
                self.rpc.call("eth_getTransactionReceipt", json!([sent])).await.expect("it answers");
            receipt.is_object().then(|| assert_eq!(receipt["status"], "0x1", "{receipt}"))
        })
        .await;
        assert_eq!(self.head().await, (size + 1, root));
        size + 1
    }

    /// Sends a call from one of anvil's accounts; gives its hash.
    pub(crate) async fn send(&self, from: &str, signature: &str, arguments: &str) -> Value {
        let selector = self.rpc.keccak(signature.as_bytes()).await;
        let data = format!("0x{}{arguments}", &selector[..8]);
        let call = json!([{"from": from, "to": self.address, "data": data}]);
        self.rpc
            .call("eth_sendTransaction", call)
            .await
            .unwrap_or_else(|error| panic!("{signature}: {error}"))
    }
}
