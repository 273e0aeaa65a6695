//! `daftari log mend`: what has rotted in the object store is written again, as it was published.

use std::sync::Arc;

use anchor_worker::Mended;
use anyhow::{Context, bail, ensure};
use auditor::Source;
use proof::verify_checkpoint;

use crate::config::Mend;
use crate::roles::trust;

pub(super) async fn mend(config: Mend) -> anyhow::Result<()> {
    let policy = trust::policy(&config.trust)?;
    let tiles = Arc::new(if config.dry_run { config.tiles.view()? } else { config.tiles.open()? });
    let note = Source::Store(Arc::clone(&tiles)).greatest_checkpoint().await?;
    let note = note.context("nothing was ever published there")?;
    // Witnesses may be away, or refuse because of what is damaged.
    let signed = verify_checkpoint(&note, &policy.of_logs().vouched());
    let checkpoint = signed.context("the published checkpoint")?.checkpoint;
    let log_id = policy.log_id(&checkpoint.origin).context("the policy names another log")?;
    let pool = store::connect(&config.database_url.0, 1).await.context("cannot use the database")?;
    let conn = &mut *pool.acquire().await?;
    let log = store::log_identity(conn).await?;
    ensure!(log.log_id == log_id, "the database holds another log than the one that is published there");
    let is = if config.dry_run { "would be" } else { "is" };
    let (mut put_right, mut left) = (0, 0);
    let told = |mended: Mended| {
        let Mended { path, problem, left: why } = mended;
        match why {
            None => {
                put_right += 1;
                println!("{path} {is} put right: {problem}.");
            }
            Some(why) => {
                left += 1;
                println!("{path} is left as it is: {problem}, and {why}.");
            }
        }
    };
    anchor_worker::mend(conn, &log, &tiles, &checkpoint, config.dry_run, told).await?;
    if left != 0 {
        bail!("{left} could not be put right: take them from a copy of the log, then mend it again");
    }
    let (size, are) = (checkpoint.size, if config.dry_run { "To be put right" } else { "Put right" });
    match put_right {
        0 => println!("Every tile, bundle and declaration of the {size} leaves is as it was published."),
        _ => println!("{are}: {put_right}. All else of the {size} leaves is as it was published."),
    }
    Ok(())
}
