//! `daftari audit`: checks a whole log from its tiles.

mod books;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use auditor::{Anchored, AuditReport, KeySaid};
use chain::Chain;

use crate::config::Audit;
use crate::roles::trust;
use books::BooksHeld;

/// How often the line of progress is written anew.
const TELL_EVERY: Duration = Duration::from_millis(200);

pub(crate) async fn run(config: Audit) -> ExitCode {
    match audit(&config).await {
        Ok((report, books)) => {
            if config.json {
                let mut told = serde_json::to_value(&report).expect("a report is plain data");
                if let Some(books) = &books {
                    told["books"] = serde_json::to_value(books).expect("a report is plain data");
                }
                println!("{told}");
            } else {
                print!("{}", told(&report));
                if let Some(books) = &books {
                    print!("{}", books.told());
                }
            }
            let is_sound = report.findings.is_empty() && books.is_none_or(|it| it.problem.is_none());
            ExitCode::from(u8::from(!is_sound))
        }
        Err(error) => {
            eprintln!("Could not check: {}.", crate::told(&error));
            ExitCode::from(2)
        }
    }
}

async fn audit(config: &Audit) -> anyhow::Result<(AuditReport, Option<BooksHeld>)> {
    let policy = trust::policy(&config.trust)?;
    let read = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let kept = config.checkpoint.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    // The chain is read before the log: what is anchored was published before.
    let anchors = match &config.rpc {
        Some(rpc) => {
            let origin = policy.log_keys.first().context("the policy names no log")?.name();
            let log_id = policy.log_id(origin).expect("the origin is the policy's");
            Anchored::all(&Chain::connect(&rpc.0).await?, &policy, &log_id).await?
        }
        None => Vec::new(),
    };
    let source = trust::source(&config.log)?;
    let in_tiles = source.clone();
    let (parallel, memory) = (config.parallel, config.memory.clone());
    let audit = auditor::Audit { source, policy, parallel, memory, kept, anchors };
    let mut bar = Bar::new();
    let report = audit.run(|done, of| bar.tell(done, of)).await;
    bar.end();
    let report = report?;
    // What is wrong with the log itself says enough: the books are held against a sound one.
    let books = match report.findings.is_empty() {
        true => books::held(&config.books, &in_tiles, &report).await?,
        false => None,
    };
    Ok((report, books))
}

fn told(report: &AuditReport) -> String {
    let AuditReport { origin, size, leaves, tiles, checkpoints, anchors, maps, .. } = report;
    let mut text = String::new();
    for finding in &report.findings {
        text.push_str(&format!("Found: {finding}.\n"));
    }
    for KeySaid { leaf_index, retired, public_key } in &report.keys {
        let says = if *retired { "retires" } else { "introduces" };
        text.push_str(&format!(
            "Leaf {leaf_index} {says} the log's key {public_key}: does your policy say so?\n"
        ));
    }
    if report.findings.is_empty() {
        let before = match report.resumed_from {
            0 => String::new(),
            passed => format!(" ({passed} were passed before)"),
        };
        text.push_str(&format!(
            "Sound: {origin} has {size} leaves; {leaves} leaves and {tiles} tiles and bundles were read{before}, and \
             they give the root that it signed; it extends {checkpoints} kept checkpoints and {anchors} anchors; {maps} \
             account maps are there to their last row.\n"
        ));
    }
    text
}

/// A line of progress, where somebody looks.
struct Bar {
    is_seen: bool,
    told: Option<Instant>,
    begun: Instant,
}

impl Bar {
    fn new() -> Self {
        Self { is_seen: std::io::stderr().is_terminal(), told: None, begun: Instant::now() }
    }

    fn tell(&mut self, done: u64, of: u64) {
        if !self.is_seen || self.told.is_some_and(|it| it.elapsed() < TELL_EVERY) {
            return;
        }
        self.told = Some(Instant::now());
        let percent = (done * 100).checked_div(of).unwrap_or(100);
        let rate = done as f64 / self.begun.elapsed().as_secs_f64();
        let _ = write!(std::io::stderr(), "\r{percent:>3} %  {done} of {of} leaves  {rate:.0}/s ");
    }

    fn end(&self) {
        if self.told.is_some() {
            eprintln!();
        }
    }
}
