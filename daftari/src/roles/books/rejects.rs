//! `daftari books rejects`: the events that were not posted.

use anyhow::Context;

use crate::config::Rejects;
use crate::keys;

/// How many rejected events are shown at a time.
const PAGE: i64 = 100;

pub(crate) async fn run(Rejects { database, after }: Rejects) -> anyhow::Result<()> {
    let pool = store::connect(&database.database_url.0, 1).await.context("cannot use the database")?;
    let mut conn = pool.acquire().await?;
    let keyring = keys::keyring(&database.wrapping_key_file)?;
    let program = store::program_named(&mut conn, &keyring, &database.program).await?;
    let program = program.with_context(|| format!("there is no program {:?}", database.program))?;
    for event in store::rejected_events(&mut conn, program.program_id, None, after, PAGE).await? {
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
    Ok(())
}

/// The bytes as they came, none lost: as text where they are text, else with `\x..` for what is not.
fn shown(payload: &[u8]) -> String {
    match std::str::from_utf8(payload) {
        Ok(text) => text.escape_debug().to_string(),
        Err(_) => payload.escape_ascii().to_string(),
    }
}
