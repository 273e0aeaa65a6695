//! The API, asked over HTTP.

use reqwest::{Client, Method};
use serde_json::Value;
use uuid::Uuid;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The body, where it is JSON.
    pub body: Value,
    /// The body as it came.
    pub text: String,
    /// Whether the server said that it had given this answer before.
    pub replayed: bool,
    /// In how many seconds the server asks to be asked again.
    pub retry_after: Option<u32>,
    /// What a receipt says of its anchor's priority.
    pub anchor_priority: Option<String>,
}

/// A caller with the development credential.
#[derive(Clone)]
pub struct Api {
    client: Client,
    base: String,
    api_key: String,
    partner: String,
}

impl Api {
    /// A caller of the API at this URL.
    pub fn new(base: &str, api_key: &str, partner: &str) -> Self {
        Self {
            client: Client::new(),
            base: base.to_owned(),
            api_key: api_key.to_owned(),
            partner: partner.to_owned(),
        }
    }

    /// Asks, where the connection may fail.
    pub async fn try_ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> reqwest::Result<Reply> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        request = request.header("X-API-Key", &self.api_key).header("X-Partner-ID", &self.partner);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let replayed = response.headers().contains_key("idempotent-replayed");
        let retry_after = response.headers().get("retry-after").and_then(|it| it.to_str().ok()?.parse().ok());
        let priority = response.headers().get("anchor-priority");
        let anchor_priority = priority.and_then(|it| Some(it.to_str().ok()?.to_owned()));
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Reply { status, body, text, replayed, retry_after, anchor_priority })
    }

    /// Gets a path.
    pub async fn get(&self, path: &str) -> Reply {
        self.try_ask(Method::GET, path, &[], None).await.expect("the API answers")
    }

    /// Gets a path as bytes, where there is something.
    pub async fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let response = self.client.get(format!("{}{path}", self.base)).send().await.expect("the API answers");
        match response.status().is_success() {
            true => Some(response.bytes().await.expect("the API answers to the end").to_vec()),
            false => None,
        }
    }

    /// Sends an earn event, or a list of them.
    pub async fn event(&self, event: &str) -> Reply {
        self.try_ask(Method::POST, "/api/v1/events", &[], Some(event.to_owned()))
            .await
            .expect("the API answers")
    }

    /// What the member has, by the app contract; `None` where there is no such member.
    pub async fn balance(&self, user: &str) -> Option<i64> {
        let headers = [("X-User-ID", user)];
        let reply = self.try_ask(Method::GET, "/api/v1/loyalty/balance", &headers, None).await;
        reply.expect("the API answers").body["current_balance"].as_i64()
    }

    /// Redeems, by the partner contract, where the connection may fail.
    pub async fn try_redeem(&self, member: &str, key: Uuid, points: i64) -> reqwest::Result<Reply> {
        let path = format!("/loyalty/v1/partner/users/{member}/redeem");
        let key = key.to_string();
        let body = format!(r#"{{"points":{points},"merchant_reference":"order-{points}"}}"#);
        self.try_ask(Method::POST, &path, &[("X-Idempotency-Key", &key)], Some(body)).await
    }

    /// Redeems, by the partner contract.
    pub async fn redeem(&self, member: &str, key: Uuid, points: i64) -> Reply {
        self.try_redeem(member, key, points).await.expect("the API answers")
    }
}
