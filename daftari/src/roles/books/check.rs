//! `daftari books check`: recomputes everything.

use anyhow::Context;

use crate::config::CheckBooks;
use crate::keys;

/// What a check without the wrapping key leaves open.
const UNOPENED: &str = "\nAmounts, order, commitments and the tree were checked against each other, but not against what was \
                        logged: give --wrapping-key-file to open every posting too.";

pub(crate) async fn run(config: CheckBooks) -> anyhow::Result<()> {
    let pool = store::connect(&config.database_url.0, 1).await.context("cannot use the database")?;
    let mut conn = pool.acquire().await?;
    let (report, unchecked) = match config.wrapping_key_file {
        Some(path) => (store::check_books_opened(&mut conn, &keys::keyring(&path)?).await?, ""),
        None => (store::check_books(&mut conn).await?, UNOPENED),
    };
    println!(
        "The books are right: {} leaves, {} entries, root {}.{unchecked}",
        report.leaves,
        report.entries,
        hex::encode(report.root)
    );
    Ok(())
}
