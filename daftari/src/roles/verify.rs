//! `daftari verify`: fetches a receipt and what the chain says of it, and prints the verdict.

mod cast;

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chain::Chain;
use proof::{AnchorPlace, Policy, RECEIPT_BYTES_MAX};
use verifier::{Report, STATEMENT};

use crate::config::{Verify, parse_address};
use crate::roles::trust;

/// How often a receipt that is not there yet is asked for again.
const ASK_EVERY: Duration = Duration::from_millis(250);

pub(crate) async fn run(config: Verify) -> ExitCode {
    if Path::new(&config.receipt).is_dir() || config.receipt.ends_with(".tar") {
        return run_folder(&config).await;
    }
    let (report, by_hand) = match judge(&config).await {
        Ok(judged) => judged,
        Err(error) => (verifier::could_not_check(&crate::told(&error)), String::new()),
    };
    if config.json {
        println!("{}", serde_json::to_string(&report).expect("a report is plain data"));
    } else if config.cast {
        // All of it may be pasted.
        println!("# {}{by_hand}", report.sentence.replace('\n', "\n# "));
    } else {
        println!("{}", report.sentence);
    }
    ExitCode::from(report.exit_status)
}

/// The verdict on all receipts of a folder or an archive, and on whether they are all.
async fn run_folder(config: &Verify) -> ExitCode {
    let judged = async {
        let policy = policy(config).await?;
        let path = Path::new(&config.receipt);
        let mut files = if path.is_dir() { in_folder(path)? } else { in_archive(path)? };
        files.sort();
        let rpc = config.rpc.as_ref().map(|it| it.0.as_str());
        anyhow::Ok(verifier::check_folder(&files, &policy, rpc).await)
    };
    match judged.await {
        Ok(report) if config.json => {
            println!("{}", serde_json::to_string(&report).expect("a report is plain data"));
            ExitCode::from(report.exit_status)
        }
        Ok(report) => {
            println!("{}", report.sentence);
            ExitCode::from(report.exit_status)
        }
        Err(error) => {
            println!("{}", verifier::could_not_check(&crate::told(&error)).sentence);
            ExitCode::from(2)
        }
    }
}

/// How long a statement may be: a line is about 300 bytes.
const STATEMENT_BYTES_MAX: u64 = 1 << 28;

/// How much is read of a file of this name; nothing of others.
fn bytes_max(name: &str) -> Option<u64> {
    match name {
        STATEMENT => Some(STATEMENT_BYTES_MAX),
        name if name.ends_with(".tlog-proof") || name.ends_with(".map-proof") => {
            Some(RECEIPT_BYTES_MAX as u64 + 1)
        }
        _ => None,
    }
}

fn in_folder(folder: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    let folder = std::fs::read_dir(folder).context("the folder cannot be read")?;
    for file in folder.collect::<Result<Vec<_>, _>>()?.into_iter().filter(|it| it.path().is_file()) {
        let name = file.file_name().to_string_lossy().into_owned();
        if let Some(max) = bytes_max(&name) {
            let mut bytes = Vec::new();
            std::fs::File::open(file.path())?.take(max).read_to_end(&mut bytes)?;
            files.push((name, bytes));
        }
    }
    Ok(files)
}

/// Nothing of the archive is written anywhere: its names are only names.
fn in_archive(path: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let at = || format!("the archive {} cannot be read", path.display());
    let mut archive = tar::Archive::new(std::fs::File::open(path).with_context(at)?);
    let mut files = Vec::new();
    for entry in archive.entries().with_context(at)? {
        let entry = entry.with_context(at)?;
        let name = entry.path().with_context(at)?.to_string_lossy().into_owned();
        if let Some(max) = bytes_max(&name) {
            let mut bytes = Vec::new();
            entry.take(max).read_to_end(&mut bytes).with_context(at)?;
            files.push((name, bytes));
        }
    }
    Ok(files)
}

/// The verdict, and the commands that check it by hand where they were asked for.
async fn judge(config: &Verify) -> anyhow::Result<(Report, String)> {
    let policy = policy(config).await?;
    let (report, receipt) = judge_until(config, &policy).await?;
    let verified = receipt.filter(|_| config.cast).and_then(|it| proof::verify(&it, &policy.vouched()).ok());
    let by_hand = verified.map_or_else(String::new, |it| format!("\n{}", cast::commands(&policy, &it)));
    Ok((report, by_hand))
}

/// The verdict, asked for again while time may mend it and the caller waits; and the receipt that it is about.
async fn judge_until(config: &Verify, policy: &Policy) -> anyhow::Result<(Report, Option<Vec<u8>>)> {
    let deadline = Instant::now() + config.wait.map_or(Duration::ZERO, |it| it.0);
    loop {
        let receipt = fetch(config).await?;
        let report = match &receipt {
            Some(receipt) => {
                verifier::check(receipt, policy, config.rpc.as_ref().map(|it| it.0.as_str())).await
            }
            None => verifier::could_not_check("the posting is not sealed yet, ask again in a moment"),
        };
        // Only what time mends is worth waiting for.
        if report.exit_status != 2 || deadline <= Instant::now() {
            return Ok((report, receipt));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn policy(config: &Verify) -> anyhow::Result<Policy> {
    let mut policy = trust::policy(&config.trust)?;
    if let (Some(contract), Some(registrant), Some(rpc)) = (&config.contract, &config.registrant, &config.rpc)
    {
        let (contract, registrant) = (parse_address(contract)?, parse_address(registrant)?);
        let chain_id = Chain::connect(&rpc.0).await?.id();
        policy.anchors = vec![AnchorPlace { chain_id, contract, registrant }];
    }
    Ok(policy)
}

/// The receipt's bytes; nothing where the posting is not sealed yet.
async fn fetch(config: &Verify) -> anyhow::Result<Option<Vec<u8>>> {
    let source = config.receipt.as_str();
    if source.starts_with("http://") || source.starts_with("https://") {
        return download(config).await;
    }
    let mut bytes = Vec::new();
    let limit = RECEIPT_BYTES_MAX as u64 + 1;
    match source {
        "-" => {
            std::io::stdin().take(limit).read_to_end(&mut bytes).context("standard input cannot be read")?
        }
        path => std::fs::File::open(path)
            .and_then(|file| file.take(limit).read_to_end(&mut bytes))
            .with_context(|| format!("the receipt {path} cannot be read"))?,
    };
    Ok(Some(bytes))
}

async fn download(config: &Verify) -> anyhow::Result<Option<Vec<u8>>> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
    let mut request = client.get(&config.receipt);
    if let Some(key) = &config.api_key {
        request = request.header("X-API-Key", &key.0);
    }
    let mut response = request.send().await.with_context(|| format!("{} does not answer", config.receipt))?;
    match response.status().as_u16() {
        200 => {}
        202 => return Ok(None),
        401 | 403 if config.api_key.is_some() => {
            bail!("{} does not take this --api-key: it is not known, or may not read this", config.receipt)
        }
        401 | 403 => bail!("{} asks for a credential that may read it: give --api-key", config.receipt),
        404 => bail!("{} knows no such receipt, or not for this credential", config.receipt),
        status => bail!("{} answered with status {status}", config.receipt),
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.context("the receipt's download broke off")? {
        bytes.extend_from_slice(&chunk);
        if RECEIPT_BYTES_MAX < bytes.len() {
            break;
        }
    }
    Ok(Some(bytes))
}
