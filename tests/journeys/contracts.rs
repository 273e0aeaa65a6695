//! The contracts, as an operator meets them: deployed by a command, and never mistaken for others.

use std::path::{Path, PathBuf};

use journeys::{Answered, JsonRpc, System, answer_of, daftari};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::purchase;

const MEMBER: &str = "5d0f6a1e-7c2b-4d3e-9f8a-1b2c3d4e5f07";
/// The key of anvil's second account, known to everyone.
const PAYER_KEY: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const TERMS: &str = r#"{
    "writer": "0x0101010101010101010101010101010101010101",
    "standby": "0x0202020202020202020202020202020202020202",
    "admin": "0x0303030303030303030303030303030303030303",
    "delay_seconds": 172800,
    "points": {
        "name": "Duka Points", "symbol": "DUKA", "decimals": 0,
        "epoch_seconds": 2592000, "epoch_offset_seconds": 0, "validity_epochs": 12, "day_mint_max": 1000000,
        "pauser": "0x0404040404040404040404040404040404040404",
        "guardian": "0x0505050505050505050505050505050505050505",
        "timelock_delay_seconds": 604800,
        "proposers": ["0x0606060606060606060606060606060606060606"],
        "executors": ["0x0000000000000000000000000000000000000000"],
        "claim_delay_seconds": 3600, "burn_min": 100, "zone_seconds": 10800
    }
}"#;

#[tokio::test]
async fn contracts_are_deployed_and_told_from_others() {
    let folder = System::folder();
    let system = System::up(folder.path(), &[]).await;
    let operator = Operator { system: &system, key: secret(folder.path(), "payer.key", PAYER_KEY) };
    let terms = folder.path().join("terms.json");
    std::fs::write(&terms, TERMS).expect("a file can be written");
    let out = folder.path().join("addresses.json");
    let [terms, out] = [&terms, &out].map(|it| it.to_str().expect("a path is text"));

    let log_id = "0x".to_owned() + &"5a".repeat(32);
    let deploy = ["deploy", "--terms", terms, "--log-id", &log_id, "--out", out];
    operator.contracts(&deploy).await.expect(0);
    let addresses = std::fs::read_to_string(out).expect("the addresses are written");
    operator.contracts(&deploy).await.expect(0);
    assert_eq!(std::fs::read_to_string(out).expect("they are written again"), addresses);
    let addresses: Value = serde_json::from_str(&addresses).expect("they are JSON");
    assert_eq!(addresses["audit_log"], system.fact("contract"), "the audit contract has one address for all");
    let chain = JsonRpc::new(system.fact("chain_rpc_url"));
    for name in ["loyalty_points", "implementation", "points_gateway", "timelock"] {
        let code = chain.call("eth_getCode", json!([addresses["points"][name], "latest"])).await;
        assert!(code.is_ok_and(|it| it != json!("0x")), "{name}: {addresses}");
    }
    let upgrade = operator.contracts(&["upgrade", "--addresses", out]).await.expect(0).stdout;
    let implementation = addresses["points"]["implementation"].as_str().expect("an address is text");
    assert!(
        upgrade.to_lowercase().contains(implementation),
        "this version's code is there already: {upgrade}"
    );

    // Another contract answers where the audit contract should be: the anchor role ends, and nothing else does.
    let token = addresses["points"]["loyalty_points"].as_str().expect("an address is text");
    let registrant = system.fact("registrant");
    let refused = operator.anchor(&["--contract", token, "--registrant", registrant]).await;
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("is not the audit contract's"), "{refused:#?}");
    let api = system.api();
    assert_eq!(api.event(&purchase("after", MEMBER, 10_000)).await.status, 200);
    let redeemed = api.redeem(MEMBER, Uuid::new_v4(), 100).await;
    let receipt = redeemed.body["receipt_url"].as_str().expect("a redemption has a receipt").to_owned();
    let words = [&receipt, "--policy", system.fact("policy"), "--rpc", system.fact("chain_rpc_url")];
    System::verify(&[&words[..], &["--wait", "60s", "--api-key", system.fact("api_key")]].concat())
        .await
        .expect(0);
    system.check_books().await;
    system.interrupt().await;
}

/// Who runs commands against the chain of a system.
struct Operator<'a> {
    system: &'a System,
    key: PathBuf,
}

impl Operator<'_> {
    async fn contracts(&self, words: &[&str]) -> Answered {
        let mut command = daftari();
        command.arg("contracts").args(words);
        command
            .args(["--chain-rpc-url", self.system.fact("chain_rpc_url"), "--chain-key-file"])
            .arg(&self.key);
        answer_of(command).await
    }

    async fn anchor(&self, words: &[&str]) -> Answered {
        let home = self.system.home();
        let origin = self.system.fact("log_key").split('+').next().expect("a key begins with its origin");
        let mut command = daftari();
        command.args(["anchor", "--origin", origin, "--listen", "127.0.0.1:0"]).args(words);
        command.arg("--log-key-file").arg(home.join("keys/log.key")).arg("--tile-dir").arg(home.join("log"));
        command.args(["--database-url", self.system.fact("database_url")]);
        command
            .args(["--chain-rpc-url", self.system.fact("chain_rpc_url"), "--chain-key-file"])
            .arg(&self.key);
        answer_of(command).await
    }
}

fn secret(folder: &Path, name: &str, secret: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, secret).expect("a file can be written");
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, closed).expect("a file can be closed to others");
    path
}
