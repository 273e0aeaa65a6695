//! The check behind `daftari verify`: from a receipt's bytes, a policy, and what the chain said, to one verdict.

use chain::{AnchorStatus, Chain, ChainError};
use proof::{AnchorPlace, Entry, Part, Policy, Verified};
use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// What the chain's half came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainFinding {
    /// Nobody gave an endpoint to ask.
    NotAsked,
    /// The contract has this size with this root.
    Anchored {
        /// Where.
        place: AnchorPlace,
        /// In which block, where the node shows it.
        block: Option<u64>,
        /// Whether the chain has promised to keep it.
        is_final: bool,
    },
    /// The contract has nothing at this size yet.
    NotAnchored,
    /// The contract has nothing at this size and stands beyond it.
    PassedOver,
    /// The contract has this size with another root.
    Disagrees,
    /// The chain did not answer, or the policy names no contract there.
    Unreachable(String),
}

/// A verdict, for people and for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Report {
    /// `valid`, `refused`, `not_anchored` or `could_not_check`.
    pub verdict: &'static str,
    /// 0 valid, 1 refused, 2 could not check.
    pub exit_status: u8,
    /// The refusal's code of `docs/formats.md`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The verdict in one sentence.
    pub sentence: String,
    /// What the receipt proves, where the log's half of the check was passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proves: Option<Proves>,
}

/// What a receipt proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Proves {
    /// The log.
    pub origin: String,
    /// The place in it.
    pub leaf_index: u64,
    /// The signed size.
    pub log_size: u64,
    /// The signed root, hexadecimal.
    pub root: String,
    /// The witnesses of the policy that cosigned.
    pub witnesses: Vec<String>,
    /// What the leaf records.
    pub leaf_kind: &'static str,
    /// The posting, where the header is opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<Uuid>,
    /// What it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub posting_kind: Option<String>,
    /// When it was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<String>,
    /// The merchant's name for the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merchant_reference: Option<String>,
    /// The holder's own side.
    pub entries: Vec<ProvesEntry>,
    /// The chain and contract that hold the checkpoint, where they were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchored: Option<ProvesAnchor>,
}

/// One opened entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProvesEntry {
    /// The account's random name.
    pub account: Uuid,
    /// The entry's number in it.
    pub sequence: u64,
    /// The change of available points.
    pub change: i64,
    /// The available points after it.
    pub available: i64,
}

/// Where the checkpoint stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProvesAnchor {
    /// The chain.
    pub chain_id: u64,
    /// The contract, hexadecimal.
    pub contract: String,
    /// In which block, where the node shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<u64>,
    /// Whether the chain has promised to keep it.
    pub is_final: bool,
}

/// Checks a receipt: the log's half, and the chain's where there is an endpoint to ask. The endpoint is believed for
/// what the chain says; key, contract and registrant are the policy's.
pub async fn check(receipt: &[u8], policy: &Policy, rpc_url: Option<&str>) -> Report {
    // What only a key that has retired has signed may be anchored: the contract says.
    let finding = match (proof::verify(receipt, &policy.vouched()), rpc_url) {
        (Ok(verified), Some(url)) => ask(&verified, policy, url)
            .await
            .unwrap_or_else(|error| ChainFinding::Unreachable(error.to_string())),
        _ => ChainFinding::NotAsked,
    };
    judge(receipt, policy, &finding)
}

/// Judges a receipt, given what the chain said.
pub fn judge(receipt: &[u8], policy: &Policy, finding: &ChainFinding) -> Report {
    let may_be_vouched = matches!(finding, ChainFinding::Anchored { .. } | ChainFinding::Unreachable(_));
    let verified = match proof::verify(receipt, policy) {
        Err(proof::Refusal::RetiredKey) if may_be_vouched => proof::verify(receipt, &policy.vouched()),
        verified => verified,
    };
    report(verified, finding)
}

async fn ask(verified: &Verified, policy: &Policy, url: &str) -> Result<ChainFinding, ChainError> {
    let chain = Chain::connect(url).await?;
    let leaf = verified.leaf.leaf(verified.leaf_index).encode();
    let mut found = Vec::new();
    for &place in policy.anchors.iter().filter(|it| it.chain_id == chain.id()) {
        let hint = verified.leaf.hints.iter().find(|it| {
            (it.chain_id, it.contract, it.registrant) == (place.chain_id, place.contract, place.registrant)
        });
        let status = chain::check_anchor(
            &chain,
            place,
            &verified.leaf.log_id,
            &verified.checkpoint,
            &leaf,
            &verified.path,
            hint.map(|it| it.block),
        );
        match status.await? {
            AnchorStatus::Anchored { block, is_final, .. } => {
                found.push(ChainFinding::Anchored { place, block, is_final });
            }
            // Whatever the others hold: the log has shown two histories.
            AnchorStatus::Disagrees { .. } => return Ok(ChainFinding::Disagrees),
            AnchorStatus::NotAnchored => found.push(ChainFinding::NotAnchored),
            AnchorStatus::PassedOver => found.push(ChainFinding::PassedOver),
        }
    }
    let anchored = found.iter().position(|it| matches!(it, ChainFinding::Anchored { .. }));
    Ok(found.into_iter().nth(anchored.unwrap_or(0)).unwrap_or_else(|| {
        ChainFinding::Unreachable(format!(
            "it serves chain {}, and the policy names no contract there",
            chain.id()
        ))
    }))
}

fn report(verified: Result<Verified, proof::Refusal>, finding: &ChainFinding) -> Report {
    // The log's half comes first: what the chain says of a receipt that is refused says nothing.
    let verified = match verified {
        Ok(verified) => verified,
        Err(refusal) => return refused(refusal.code(), &refusal.to_string(), None),
    };
    let mut proves = proves(&verified);
    let what = format!(
        "{} stands at index {} of {}, in the checkpoint of {} leaves that the log signed",
        named(&proves),
        proves.leaf_index,
        proves.origin,
        proves.log_size,
    );
    match finding {
        ChainFinding::NotAsked => valid(format!("Valid: {what}; the chain was not asked."), proves),
        ChainFinding::Anchored { place, block, is_final } => {
            let contract = format!("0x{}", hex::encode(place.contract));
            let since = block.map(|it| format!(" since block {it}")).unwrap_or_default();
            let sentence = format!(
                "Valid: {what}, and the contract {contract} on chain {} holds that checkpoint{since}.",
                place.chain_id
            );
            let (block, is_final) = (*block, *is_final);
            proves.anchored = Some(ProvesAnchor { chain_id: place.chain_id, contract, block, is_final });
            valid(sentence, proves)
        }
        ChainFinding::NotAnchored => not_anchored(
            format!("Not anchored yet: {what}, but the contract holds nothing of that size: ask again."),
            proves,
        ),
        ChainFinding::PassedOver => not_anchored(
            format!(
                "Not anchored: {what}, but the contract passed over that size and holds a larger one: fetch the \
                 receipt again, a newer one carries an anchored checkpoint."
            ),
            proves,
        ),
        ChainFinding::Disagrees => refused(
            "anchor_disagrees",
            "the contract holds this size with another root, so the log signed two histories",
            Some(proves),
        ),
        ChainFinding::Unreachable(problem) => Report {
            proves: Some(proves),
            ..could_not_check(&format!("{what}, but the chain could not be asked: {problem}"))
        },
    }
}

/// A receipt that could not be had, or a policy that cannot be read.
pub fn could_not_check(problem: &str) -> Report {
    Report {
        verdict: "could_not_check",
        exit_status: 2,
        code: None,
        sentence: format!("Could not check: {problem}."),
        proves: None,
    }
}

fn valid(sentence: String, proves: Proves) -> Report {
    Report { verdict: "valid", exit_status: 0, code: None, sentence, proves: Some(proves) }
}

fn not_anchored(sentence: String, proves: Proves) -> Report {
    Report { verdict: "not_anchored", exit_status: 2, code: None, sentence, proves: Some(proves) }
}

fn refused(code: &'static str, problem: &str, proves: Option<Proves>) -> Report {
    let sentence = format!("Refused ({code}): {problem}.");
    Report { verdict: "refused", exit_status: 1, code: Some(code), sentence, proves }
}

/// The posting in words: what it did, to which order, and what the holder's side came to.
fn named(proves: &Proves) -> String {
    let Some(id) = proves.transaction_id else { return format!("the {} leaf", proves.leaf_kind) };
    let mut told: Vec<String> = proves.posting_kind.iter().cloned().collect();
    told.extend(proves.merchant_reference.iter().map(|it| format!("order {it:?}")));
    let side = |it: &ProvesEntry| {
        format!("{:+} points to {} available, entry {}", it.change, it.available, it.sequence)
    };
    told.extend(proves.entries.iter().map(side));
    match told.is_empty() {
        true => format!("transaction {id}"),
        false => format!("transaction {id} ({})", told.join(", ")),
    }
}

fn proves(verified: &Verified) -> Proves {
    let leaf = &verified.leaf;
    let (header, details) = (leaf.header.opened(), leaf.details.opened());
    Proves {
        origin: verified.checkpoint.origin.clone(),
        leaf_index: verified.leaf_index,
        log_size: verified.checkpoint.size,
        root: hex::encode(verified.checkpoint.root),
        witnesses: verified.witnesses.clone(),
        leaf_kind: leaf.kind.name(),
        transaction_id: header.map(|it| Uuid::from_bytes(it.posting_id)),
        posting_kind: header
            .map(|it| it.posting_kind.name().map_or_else(|| it.posting_kind.0.to_string(), str::to_owned)),
        recorded_at: header.and_then(|it| rfc3339(it.recorded_at_us)),
        merchant_reference: details
            .and_then(|it| it.merchant_reference.as_ref())
            .map(|it| it.as_str().to_owned()),
        entries: leaf.entries.iter().filter_map(Part::opened).map(entry).collect(),
        anchored: None,
    }
}

fn entry(entry: &Entry) -> ProvesEntry {
    ProvesEntry {
        account: Uuid::from_bytes(entry.account),
        sequence: entry.sequence,
        change: entry.change.available,
        available: entry.after.available,
    }
}

pub(crate) fn rfc3339(micros: i64) -> Option<String> {
    let instant = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).ok()?;
    instant.format(&Rfc3339).ok()
}
