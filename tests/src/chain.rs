//! The chain as anyone asks it: bare JSON-RPC, without a library of ours or another's.

use reqwest::Client;
use serde_json::{Value, json};

/// An endpoint.
pub struct JsonRpc {
    client: Client,
    url: String,
}

impl JsonRpc {
    /// The endpoint at this URL.
    pub fn new(url: &str) -> Self {
        Self { client: Client::new(), url: url.to_owned() }
    }

    /// Calls a method; an error is the error object.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, Value> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = self.client.post(&self.url).header("Content-Type", "application/json");
        let response = request.body(body.to_string()).send().await.expect("the chain answers");
        let text = response.text().await.expect("the chain answers to the end");
        let mut answer: Value = serde_json::from_str(&text).expect("the chain answers in JSON");
        match answer.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(answer["result"].take()),
        }
    }

    /// The Keccak-256 of these bytes, in hexadecimal without 0x. The node hashes: we have no door to the chain here.
    pub async fn keccak(&self, bytes: &[u8]) -> String {
        let hash = self.call("web3_sha3", json!([format!("0x{}", hex::encode(bytes))])).await;
        hash.expect("the chain hashes").as_str().expect("a hash is text")[2..].to_owned()
    }

    /// What a contract's function answers, as bytes in hexadecimal without 0x. `arguments` are encoded already.
    pub async fn view(&self, contract: &str, signature: &str, arguments: &str) -> Result<String, Value> {
        let selector = self.keccak(signature.as_bytes()).await;
        let data = format!("0x{}{arguments}", &selector[..8]);
        let answer = self.call("eth_call", json!([{"to": contract, "data": data}, "latest"])).await?;
        Ok(answer.as_str().expect("an answer is text")[2..].to_owned())
    }
}
