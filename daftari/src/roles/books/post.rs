//! `daftari books post`: one thing that an operator asks of the books, or the several of a file together.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use ledger::{Item, Lot, Request, Screening};
use proof::{Details, Text};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{Accepted, Answer};
use uuid::Uuid;

use crate::config::{Post, What};
use crate::roles::OpenBooks;
use crate::roles::books::Ask;

/// What a file asks. What the command line says too goes before it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    key: Option<String>,
    unit: Option<u16>,
    expected_version: Option<u64>,
    reason: Option<String>,
    description: Option<String>,
    merchant_reference: Option<String>,
    items: Vec<Ask>,
}

pub(crate) async fn run(Post { database, words, what }: Post) -> anyhow::Result<()> {
    let file = match what {
        What::One(ask) => File { items: vec![ask], ..File::default() },
        What::File { file } => read(&file)?,
    };
    let actor = words.actor.clone().context("say who asks: --actor NAME")?;
    let key = words.key.clone().or(file.key).unwrap_or_else(|| Uuid::now_v7().to_string());
    // A variable that is not set would be everybody's key.
    ensure!(
        (1..=255).contains(&key.chars().count()),
        "a key has 1 to 255 characters: give --key another one"
    );
    ensure!(!file.items.is_empty(), "the file asks for nothing: \"items\" has at least one");
    let books = OpenBooks::open(&database).await?;
    let rules = store::rule_sets(&mut *books.pool.acquire().await?, books.program.program_id).await?;
    let details = Details {
        merchant_reference: text("merchant_reference", words.merchant_reference.or(file.merchant_reference))?,
        actor: text("actor", Some(actor))?,
        reason: text("reason", words.reason.or(file.reason))?,
        description: text("description", words.description.or(file.description))?,
        rate: None,
    };
    let mut items = Vec::with_capacity(file.items.len());
    for (at, ask) in file.items.into_iter().enumerate() {
        let event = if at == 0 { key.clone() } else { format!("{key}#{at}") };
        let command = ask.command(&rules, &event).with_context(|| format!("item {at}"))?;
        items.push(Item { posting_id: Uuid::now_v7(), command, details: details.clone() });
    }
    let request = Request {
        program: books.program.program_id,
        unit: words.unit.or(file.unit).unwrap_or(1),
        source: store::OPERATOR_SOURCE.to_owned(),
        key: key.clone(),
        items,
        expected_version: words.expected_version.or(file.expected_version),
        dry_run: words.dry_run,
        hurried: false,
        screening: Screening::Allow,
    };
    let names: Vec<&str> = request.items.iter().map(|it| it.command.name()).collect();
    let (committer, committing) = books.committer().await?;
    let answer = committer.submit(request.clone()).await;
    drop(committer);
    committing.await?;
    let answer = answer.with_context(|| format!("no answer: run it again with --key {key}"))?;
    tell(&answer, &names, &Asked { key: &key, dry_run: words.dry_run, json: words.json })
}

/// Reads a file, whose hash is its key where it names none.
fn read(path: &Path) -> anyhow::Result<File> {
    let bytes = contents(path)?;
    let file: File = serde_json::from_slice(&bytes).with_context(|| {
        format!(
            "{}: a request is {{\"items\": [{{\"kind\": …}}, …]}}, see daftari books kinds",
            path.display()
        )
    })?;
    let hash = || hex::encode(Sha256::digest(&bytes));
    Ok(File { key: Some(file.key.clone().unwrap_or_else(hash)), ..file })
}

/// The bytes of a file, or of standard input where it is called `-`.
pub(crate) fn contents(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(bytes)
}

fn text(field: &str, text: Option<String>) -> anyhow::Result<Option<Text>> {
    text.map(|it| Text::new(it).with_context(|| format!("the {field}"))).transpose()
}

struct Asked<'a> {
    key: &'a str,
    dry_run: bool,
    json: bool,
}

fn tell(answer: &Answer, names: &[&str], asked: &Asked) -> anyhow::Result<()> {
    let items = match &answer.outcome {
        Ok(items) => items,
        Err(refused) => {
            let (refusal, name) = (refused.refusal, names[usize::from(refused.item).min(names.len() - 1)]);
            if asked.json {
                println!(
                    "{}",
                    json!({
                        "refused": refusal.name(),
                        "item": refused.item,
                        "message": refusal.to_string(),
                        "remedy": refusal.remedy(),
                        "key": asked.key,
                        "replayed": answer.replayed,
                    })
                );
            }
            let before = if answer.replayed { ", as it was when this key was first used" } else { "" };
            bail!(
                "refused: {} (item {}, {name}){before}: {refusal}. Nothing was posted. What to do: {}",
                refusal.name(),
                refused.item,
                refusal.remedy(),
            );
        }
    };
    if asked.json {
        let items: Vec<Value> = items.iter().zip(names).map(|(it, name)| as_json(it, name, asked)).collect();
        let answer = json!({
            "dry_run": asked.dry_run,
            "replayed": answer.replayed,
            "key": asked.key,
            "items": items,
        });
        println!("{answer}");
        return Ok(());
    }
    let done = match (asked.dry_run, answer.replayed) {
        (true, _) => "would be posted",
        (false, true) => "was posted before, under this key",
        (false, false) => "posted",
    };
    for (item, name) in items.iter().zip(names) {
        print!("{}", as_text(item, name, done, asked));
    }
    println!("key {}", asked.key);
    Ok(())
}

fn as_json(item: &Accepted, name: &str, asked: &Asked) -> Value {
    let lots: Vec<Value> = item
        .lots
        .iter()
        .filter_map(|it| {
            let lot = Lot::from_id(&it.lot)?;
            Some(json!({
                "last_day": lot.last_day.to_string(),
                "earned_day": lot.earned_day.to_string(),
                "fund": lot.fund,
                "available": it.change.available,
                "held": it.change.held,
                "pending": it.change.pending,
            }))
        })
        .collect();
    let mut told = json!({"kind": name, "points": item.points, "account": item.account});
    if moves(item) {
        told["version"] = json!(item.version);
        told["available"] = json!(item.after.available);
        told["held"] = json!(item.after.held);
        told["pending"] = json!(item.after.pending);
        told["lots"] = json!(lots);
    }
    // What is not posted has no place in the log.
    if !asked.dry_run {
        told["transaction_id"] = json!(item.posting_id);
        told["leaf_index"] = json!(item.leaf_index);
    }
    told
}

/// Whether the posting has an entry of the account, and so a balance to tell: what changes a member's status has none.
fn moves(item: &Accepted) -> bool {
    item.version != 0
}

fn as_text(item: &Accepted, name: &str, done: &str, asked: &Asked) -> String {
    let mut told = format!("{name} {done}");
    if moves(item) {
        told += &format!(": {} points", item.points);
    }
    if !asked.dry_run {
        told += &format!("\n  transaction {}, leaf {}", item.posting_id, item.leaf_index);
    }
    if !moves(item) {
        told += &format!("\n  account {}\n", item.account);
        return told;
    }
    let after = &item.after;
    told += &format!(
        "\n  account {} at version {}: {} available, {} held, {} pending\n",
        item.account, item.version, after.available, after.held, after.pending
    );
    for movement in &item.lots {
        let Some(lot) = Lot::from_id(&movement.lot) else { continue };
        let change = &movement.change;
        told += &format!(
            "  lot that ends {}, earned {}: {:+} available, {:+} held, {:+} pending\n",
            lot.last_day, lot.earned_day, change.available, change.held, change.pending
        );
    }
    told
}
