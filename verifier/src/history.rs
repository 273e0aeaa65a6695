//! The check of a folder of receipts: each for itself, then all against each other and against the maps beside them.

use proof::{MapProof, Policy, Verified, verify_history};
use serde::Serialize;
use uuid::Uuid;

use crate::check::{Report, check};
use crate::statement::{STATEMENT, Statement};

/// A verdict on a folder, for people and for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FolderReport {
    /// `valid`, `refused`, `not_anchored` or `could_not_check`.
    pub verdict: &'static str,
    /// 0 valid, 1 refused, 2 could not check.
    pub exit_status: u8,
    /// The file that decided it, where it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The verdict in one sentence.
    pub sentence: String,
    /// How many receipts there are.
    pub receipts: usize,
    /// How many map proofs.
    pub maps: usize,
    /// What a statement beside them says, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// What the receipts prove together.
    pub accounts: Vec<ProvesHistory>,
}

/// One account's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProvesHistory {
    /// The account's random name.
    pub account: Uuid,
    /// Its unit.
    pub unit: u16,
    /// The first entry that is there.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// The available points after it.
    pub available: i64,
    /// Up to which log size nothing is missing at the end; absent where no map says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete_to: Option<u64>,
}

/// Checks files by their names: receipts (`.tlog-proof`), map proofs (`.map-proof`) and a statement ([`STATEMENT`]). Others
/// are not looked at.
pub async fn check_folder(
    files: &[(String, Vec<u8>)],
    policy: &Policy,
    rpc_url: Option<&str>,
) -> FolderReport {
    let (mut receipts, mut maps) = (Vec::<Verified>::new(), Vec::new());
    let mut statement = None;
    for (name, bytes) in files {
        if name.ends_with(".tlog-proof") {
            let report = check(bytes, policy, rpc_url).await;
            // Whether a contract vouches for it, the report says.
            match proof::verify(bytes, &policy.vouched()) {
                Ok(verified) if report.exit_status == 0 => receipts.push(verified),
                _ => return of_file(name, &report),
            }
        } else if name.ends_with(".map-proof") {
            let proof = MapProof::parse(bytes).and_then(|it| it.verify(&policy.vouched()).map(|_| it));
            let proof = match proof {
                Ok(proof) => proof,
                Err(refusal) => return refused(Some(name), format!("Refused: {name}: {refusal}.")),
            };
            // A log could show one holder a map of a history that nobody else sees.
            let report = check(proof.receipt.as_bytes(), policy, rpc_url).await;
            if report.exit_status != 0 {
                return of_file(name, &report);
            }
            maps.push((proof.account, proof.value));
        } else if name == STATEMENT {
            match serde_json::from_slice::<Statement>(bytes) {
                Ok(it) => statement = Some(it),
                Err(error) => return refused(Some(name), format!("Refused: {name}: {error}.")),
            }
        }
    }
    match verify_history(&receipts, &maps) {
        Err(refusal) => refused(None, format!("Refused: {refusal}.")),
        Ok(histories) => {
            let accounts: Vec<ProvesHistory> = histories
                .into_iter()
                .map(|it| ProvesHistory {
                    account: Uuid::from_bytes(it.account),
                    unit: it.unit,
                    first: it.first,
                    last: it.last,
                    available: it.balances.available,
                    complete_to: it.complete_to,
                })
                .collect();
            let statement = match statement.map(|it| it.check(&receipts, &accounts)).transpose() {
                Ok(statement) => statement,
                Err(problem) => return refused(Some(STATEMENT), format!("Refused: {STATEMENT}: {problem}.")),
            };
            let (receipts, maps) = (receipts.len(), maps.len());
            let mut told: Vec<String> = accounts.iter().map(told).collect();
            told.extend(statement.clone());
            let sentence = format!("Valid: {receipts} receipts: {}.", told.join("; "));
            FolderReport {
                verdict: "valid",
                exit_status: 0,
                file: None,
                sentence,
                receipts,
                maps,
                statement,
                accounts,
            }
        }
    }
}

fn told(it: &ProvesHistory) -> String {
    let end = match it.complete_to {
        Some(size) => format!("and nothing came after that up to leaf {size}"),
        None => "and no map says whether something came after that".to_owned(),
    };
    let ProvesHistory { account, first, last, available, .. } = it;
    format!("account {account} has every entry from {first} to {last}, ends at {available} available, {end}")
}

fn of_file(name: &str, report: &Report) -> FolderReport {
    let sentence = format!("{name}: {}", report.sentence);
    let (verdict, exit_status) = (report.verdict, report.exit_status);
    FolderReport { verdict, exit_status, ..refused(Some(name), sentence) }
}

fn refused(file: Option<&str>, sentence: String) -> FolderReport {
    FolderReport {
        verdict: "refused",
        exit_status: 1,
        file: file.map(str::to_owned),
        sentence,
        receipts: 0,
        maps: 0,
        statement: None,
        accounts: Vec::new(),
    }
}
