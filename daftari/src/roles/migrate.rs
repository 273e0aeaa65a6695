//! `daftari migrate`: the schema of this version, and the log's beginning.

use anyhow::Context;

use crate::config::Migrate;
use crate::keys;

pub(crate) async fn run(config: Migrate) -> anyhow::Result<()> {
    let held = keys::log_keys(&config.log).await?;
    let pool = store::connect(&config.database.database_url.0, 2).await.context("cannot use the database")?;
    let has_roles = store::migrate(&pool).await?;
    store::ensure_log(&mut *pool.acquire().await?, &held.log()).await?;
    println!("The database has the schema of this version and holds the log {}.", config.log.origin);
    println!("Contracts know it by this id: 0x{}", hex::encode(held.log().log_id));
    println!(
        "Verifiers know it by this key, for their policy:\n{}",
        held.history().policy_lines().trim_end()
    );
    if has_roles {
        println!(
            "The service can connect as a member of {}, readers of reports as members of {}.",
            store::APP_ROLE,
            store::READER_ROLE
        );
    } else {
        println!(
            "This user may make no roles: whoever may, makes {} and {}, and runs this again.",
            store::APP_ROLE,
            store::READER_ROLE
        );
    }
    Ok(())
}
