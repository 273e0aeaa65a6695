//! What `daftari up` tells: where everything is, and four commands that work as they are pasted.

use std::path::{Path, PathBuf};

use serde::Serialize;
use uuid::Uuid;

const MEMBER: &str = "550e8400-e29b-41d4-a716-446655440000";

/// Where everything is; `up.json` holds the same for programs.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    pub(super) api: String,
    pub(super) chain_rpc_url: String,
    pub(super) database_url: String,
    pub(super) kafka_brokers: Option<String>,
    pub(super) contract: String,
    pub(super) registrant: String,
    pub(super) log_key: String,
    pub(super) policy: PathBuf,
    #[serde(skip)]
    pub(super) redemption: PathBuf,
    pub(super) api_key: String,
    pub(super) token: String,
    pub(super) partner: &'static str,
}

impl Facts {
    /// The words for people.
    pub(super) fn greeting(&self) -> String {
        let Self { api, chain_rpc_url, contract, api_key, partner, .. } = self;
        let kafka = match &self.kafka_brokers {
            Some(brokers) => format!("  Kafka        {brokers}, topic {}\n", ingest::EVENTS_TOPIC),
            None => String::new(),
        };
        let commands = self.commands();
        let [earn, balance, redeem, verify] = &commands;
        format!(
            "
Daftari is up.

  API          {api}        health: {api}/health/ready   figures: {api}/metrics
  explorer     {api}/verify/     checks a receipt in your browser
  log          {api}/checkpoint
  chain        {chain_rpc_url}        AuditLog {contract}
{kafka}  dev key      {api_key}        for development only; partner {partner}

Four commands to paste into another terminal, in this folder:

# earn: an event of 2,500.00 gives 250 points, and enrols the member
{earn}

# balance
{balance}

# redeem 100 points; the answer is kept for the next command
{redeem}

# verify the receipt of that redemption: offline by the log's key, and on chain
{verify}

Ctrl-C stops everything; the data stays.
"
        )
    }

    fn commands(&self) -> [String; 4] {
        let Self { api, api_key, partner, .. } = self;
        let (policy, redemption) = (shown(&self.policy), shown(&self.redemption));
        let (event, key) = (Uuid::now_v7(), Uuid::new_v4());
        let ask = format!("curl -sS -w '\\n' -H 'X-API-Key: {api_key}'");
        let json = "-H 'Content-Type: application/json'";
        let program = std::env::current_exe().map_or_else(|_| "daftari".to_owned(), |it| shown(&it));
        [
            format!(
                "{ask} {json} {api}/api/v1/events -d '{{\"event_id\":\"{event}\",\"user_id\":\"{MEMBER}\",\
                 \"type\":\"purchase\",\"amount\":2500.00,\"timestamp\":\"2026-01-15T10:00:00Z\"}}'"
            ),
            format!("{ask} -H 'X-User-ID: {MEMBER}' {api}/api/v1/loyalty/balance"),
            format!(
                "{ask} {json} -H 'X-Partner-ID: {partner}' -H 'X-Idempotency-Key: {key}' \
                 {api}/loyalty/v1/partner/users/{MEMBER}/redeem \
                 -d '{{\"points\":100,\"merchant_reference\":\"order-981\"}}' | tee {redemption}"
            ),
            format!(
                "{program} verify --wait 30s --policy {policy} --rpc {} --api-key {api_key} \
                 \"$(sed 's/.*\"receipt_url\": *\"\\([^\"]*\\)\".*/\\1/' {redemption})\"",
                self.chain_rpc_url
            ),
        ]
    }
}

/// A path as short as it can be from here.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().and_then(|it| it.canonicalize()).unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
