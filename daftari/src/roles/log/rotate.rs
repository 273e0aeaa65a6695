//! `daftari log rotate`: another key begins to sign the log, or one ceases to.

use anyhow::Context;
use proof::VerifierKey;

use crate::config::Rotate;
use crate::keys;
use crate::roles::{guard, policy_file};

pub(super) async fn rotate(config: Rotate) -> anyhow::Result<()> {
    let held = keys::log_keys(&config.log).await?;
    let pool = store::connect(&config.database_url.0, 2).await.context("cannot use the database")?;
    let conn = &mut *pool.acquire().await?;
    store::ensure_log(conn, &held.log()).await?;
    let guard = guard::guard(&config.outside, &held.log())?;
    if !guard.check(conn).await? {
        anyhow::bail!("{}", guard.halted().unwrap_or_default());
    }
    let (key, retires) = match &config.retire {
        Some(public_key) => {
            (VerifierKey::of_log(&config.log.origin, &keys::parse_public_key(public_key)?)?, true)
        }
        None => {
            let next = keys::next_log_key(&config.log).await?;
            (
                next.context("give --next-log-key-file or --next-log-key-command, or --retire")?
                    .verifier_key(),
                false,
            )
        }
    };
    let policy = config.outside.log_policy_file.as_deref().map(policy_file::read).transpose()?;
    let is_anchored = policy.is_some_and(|(_, it)| !it.anchors.is_empty());
    let vkey = key.encode();
    let says = if retires { "retires" } else { "introduces" };
    if config.dry_run {
        match retires {
            true => anchor_worker::check_retirement(conn, &held, &key, is_anchored).await?,
            false => anchor_worker::check_introduction(conn, &held, &key).await?,
        }
        println!(
            "Leaf {} or a later one would say that the log {says} {vkey}.",
            store::log_size(conn).await?
        );
        return Ok(());
    }
    let leaf_index = match retires {
        true => anchor_worker::retire(conn, &held, &key, is_anchored).await?,
        false => anchor_worker::introduce(conn, &held, &key).await?,
    };
    println!("Leaf {leaf_index} {says} {vkey}.");
    println!("Verifiers trust from now on:\n{}", held.history_in(conn).await?.policy_lines().trim_end());
    Ok(())
}
