//! The two commands that show that the books are right.

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use store::Progress;

use super::archive;
use crate::config::{Check, Replay};
use crate::keys;

/// What a check without the wrapping key leaves open.
const UNOPENED: &str = "\nAmounts, order, lots, commitments and the tree were checked against each other, but not against what was \
                        logged: give --wrapping-key-file to open every posting too.";

pub(super) async fn check(config: Check) -> anyhow::Result<()> {
    let keyring = config.wrapping_key_file.map(|path| keys::keyring(&path)).transpose()?;
    let pool = store::connect(&config.database_url.0, 1).await.context("cannot use the database")?;
    let mut conn = pool.acquire().await?;
    archive::read(&mut conn, &config.archived).await?;
    let mut bar = Bar::default();
    let report = store::check_books_watched(&mut conn, keyring.as_ref(), &mut |it| bar.show(it)).await;
    bar.0.finish_and_clear();
    let report = report?;
    println!(
        "The books are right: {} leaves, {} entries{}, root {}.{}",
        report.leaves,
        report.entries,
        match report.closed {
            0 => String::new(),
            closed => format!(", of which {closed} can no longer be opened since their members were erased"),
        },
        hex::encode(report.root),
        if keyring.is_some() { "" } else { UNOPENED }
    );
    Ok(())
}

pub(super) async fn replay(config: Replay) -> anyhow::Result<()> {
    let pool = store::connect(&config.database_url.0, 1).await.context("cannot use the database")?;
    let mut conn = pool.acquire().await?;
    archive::read(&mut conn, &config.archived).await?;
    let mut bar = Bar::default();
    let replayed = store::replay(&mut conn, &config.schema, config.size, &mut |it| bar.show(it)).await;
    bar.0.finish_and_clear();
    let replayed = replayed?;
    println!(
        "{} accounts, {} lots and {} reservations are made anew in the schema {}: digest {}.",
        replayed.accounts,
        replayed.lots,
        replayed.reservations,
        config.schema,
        hex::encode(replayed.made)
    );
    match replayed.kept {
        Some(kept) if kept == replayed.made => println!("The books hold the same."),
        Some(kept) => anyhow::bail!("the books hold something else: digest {}", hex::encode(kept)),
        None => println!("The books as they were then: there is nothing to compare with."),
    }
    Ok(())
}

/// A bar for each thing that is looked at, on a terminal and nowhere else.
struct Bar(ProgressBar, &'static str);

impl Default for Bar {
    fn default() -> Self {
        Self(ProgressBar::hidden(), "")
    }
}

impl Bar {
    fn show(&mut self, progress: Progress) {
        if self.1 != progress.what {
            self.0.finish_and_clear();
            let style = ProgressStyle::with_template("{msg:9} {wide_bar} {pos}/{len} {eta}");
            let bar = ProgressBar::new(progress.total).with_message(progress.what);
            *self = Self(bar.with_style(style.expect("the template is well-formed")), progress.what);
        }
        self.0.set_length(progress.total);
        self.0.set_position(progress.done);
    }
}
