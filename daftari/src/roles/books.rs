//! `daftari books`: looks into the books from outside.

use anyhow::Context;

use crate::config::Books;
use crate::keys;

/// What a check without the wrapping key leaves open.
const UNOPENED: &str = "\nAmounts, order, commitments and the tree were checked against each other, but not against what was \
                        logged: give --wrapping-key-file to open every posting too.";

/// How many rejected events are shown at a time.
const PAGE: i64 = 100;

pub(crate) async fn run(command: Books) -> anyhow::Result<()> {
    match command {
        Books::Check { database_url, wrapping_key_file } => {
            let pool = store::connect(&database_url.0, 1).await.context("cannot use the database")?;
            let mut conn = pool.acquire().await?;
            let (report, unchecked) = match wrapping_key_file {
                Some(path) => (store::check_books_opened(&mut conn, &keys::keyring(&path)?).await?, ""),
                None => (store::check_books(&mut conn).await?, UNOPENED),
            };
            println!(
                "The books are right: {} leaves, {} entries, root {}.{unchecked}",
                report.leaves,
                report.entries,
                hex::encode(report.root)
            );
        }
        Books::Rejects { database, after } => {
            let pool =
                store::connect(&database.database_url.0, 1).await.context("cannot use the database")?;
            let mut conn = pool.acquire().await?;
            let keyring = keys::keyring(&database.wrapping_key_file)?;
            let program = store::program_named(&mut conn, &keyring, &database.program).await?;
            let program = program.with_context(|| format!("there is no program {:?}", database.program))?;
            for event in store::rejected_events(&mut conn, program.program_id, after, PAGE).await? {
                println!(
                    "{}  {}  {}  {}: {}\n    {}",
                    event.rejected_event_id,
                    event.first_seen_at,
                    event.origin,
                    event.reason,
                    event.detail,
                    shown(&event.payload)
                );
            }
        }
    }
    Ok(())
}

/// The bytes as they came, none lost: as text where they are text, else with `\x..` for what is not.
fn shown(payload: &[u8]) -> String {
    match std::str::from_utf8(payload) {
        Ok(text) => text.escape_debug().to_string(),
        Err(_) => payload.escape_ascii().to_string(),
    }
}
