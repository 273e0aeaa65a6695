//! `daftari anchors`: the story of each anchor, and an operator's word to the worker. It speaks to the database only; the
//! worker reads what was said in its next round.

mod plot;
mod report;
mod rotate;

use std::time::Duration;

use anyhow::Context;
use proof::AnchorPlace;
use store::{AnchorWord, AttemptStory, PgConnection};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config::{Anchors, AnchorsAct, parse_address};

/// How many of the operators' last words are listed.
const WORDS: u32 = 5;

pub(crate) async fn run(config: Anchors) -> anyhow::Result<()> {
    let place = AnchorPlace {
        chain_id: config.chain_id,
        contract: parse_address(&config.contract)?,
        registrant: parse_address(&config.registrant)?,
    };
    let pool = store::connect(&config.database_url.0, 1).await?;
    let conn = &mut *pool.acquire().await?;
    match config.act {
        AnchorsAct::List { limit } => list(conn, &place, limit).await,
        AnchorsAct::Explain { size } => explain(conn, &place, size).await,
        AnchorsAct::Report { staleness, days, svg, json } => {
            let days = Duration::from_secs(u64::from(days) * 24 * 3600);
            report::report(conn, &place, staleness.0, days, svg.as_deref(), json).await
        }
        AnchorsAct::Force => {
            store::force_anchor(conn, &place, &config.actor).await?;
            let order = store::anchor_order(conn, &place).await?;
            match order.paused.or(order.halted) {
                Some(why) => println!(
                    "anchoring stands still ({why}): the newest checkpoint is anchored once it goes on"
                ),
                None => println!("the newest checkpoint is anchored in the worker's next round"),
            }
            Ok(())
        }
        AnchorsAct::Hurry { transaction } => {
            let leaf_index = store::hurry_posting(conn, transaction).await?;
            let leaf_index = leaf_index.with_context(|| format!("there is no posting {transaction}"))?;
            println!("leaf {leaf_index} is anchored soon");
            Ok(())
        }
        AnchorsAct::Pause { why } => {
            store::pause_anchoring(conn, &place, &config.actor, &why).await?;
            println!("paused: {why}");
            Ok(())
        }
        AnchorsAct::Resume { reason } => {
            store::resume_anchoring(conn, &place, &config.actor, reason.as_deref()).await?;
            println!("it goes on in the worker's next round");
            Ok(())
        }
        AnchorsAct::Reconcile { chain_rpc_url, dry_run } => {
            rotate::reconcile(conn, &place, &chain_rpc_url.0, dry_run).await
        }
        AnchorsAct::Rotate(told) => rotate::rotate(conn, &place, *told).await,
    }
}

async fn list(conn: &mut PgConnection, place: &AnchorPlace, limit: u32) -> anyhow::Result<()> {
    let order = store::anchor_order(conn, place).await?;
    if let Some(why) = &order.halted {
        println!("halted: {why}");
    }
    if let Some(why) = &order.paused {
        println!("paused: {why}");
    }
    for AnchorWord { word, actor, why, said_at_us } in store::anchor_words(conn, place, WORDS).await? {
        let why = why.map(|it| format!(": {it}")).unwrap_or_default();
        println!("{}  {word} by {actor}{why}", instant(said_at_us as u64 / 1_000_000)?);
    }
    for story in store::attempt_stories(conn, place, None, limit).await? {
        let block = story.block.map_or("in no block".to_owned(), |it| format!("block {it}"));
        let state = story.state.name();
        let what = if story.size == story.extends { "pinned" } else { "leaves" };
        println!("{:>10} {what}  {state:<10} {block:<18} {}  {}", story.size, cost(&story), hash(&story));
    }
    Ok(())
}

async fn explain(conn: &mut PgConnection, place: &AnchorPlace, size: u64) -> anyhow::Result<()> {
    let stories = store::attempt_stories(conn, place, Some(size), 100).await?;
    anyhow::ensure!(!stories.is_empty(), "no transaction of ours carries the checkpoint of {size} leaves");
    for story in stories {
        println!(
            "{} with nonce {} {}; it offers {} gwei, {} of them as a tip; {}",
            hash(&story),
            story.nonce,
            match story.size == story.extends {
                true => format!("pins {} leaves", story.size),
                false => format!("carries {} leaves beyond {}", story.size, story.extends),
            },
            story.fee_wei_max / 1_000_000_000,
            story.tip_wei_max / 1_000_000_000,
            cost(&story),
        );
        for step in &story.steps {
            let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(step.at_ms) * 1_000_000)?;
            let block = step.block.map(|it| format!(" in block {it}")).unwrap_or_default();
            let state = step.state.name();
            println!("  {}  {state}{block}: {}", at.format(&Rfc3339)?, step.why);
        }
    }
    Ok(())
}

fn cost(story: &AttemptStory) -> String {
    story.paid_wei.map_or("nothing paid".to_owned(), |wei| format!("{:.6} paid", wei as f64 / 1e18))
}

fn hash(story: &AttemptStory) -> String {
    format!("0x{}", hex::encode(story.transaction))
}

/// An instant of so many seconds since 1970, as people read it.
fn instant(time_s: u64) -> anyhow::Result<String> {
    Ok(OffsetDateTime::from_unix_timestamp(i64::try_from(time_s)?)?.format(&Rfc3339)?)
}
