//! `daftari books hurry`: what of a program is anchored soon, whatever the price. It counts at every place.

use anyhow::{Context, ensure};
use proof::PostingKind;
use serde_json::json;

use crate::config::{Hurry, Settle};
use crate::roles::{OpenBooks, deed};

pub(crate) async fn run(Settle { database, who, what }: Settle<Hurry>) -> anyhow::Result<()> {
    let (kind, name) = posting_kind(what.kind.as_deref())?;
    let amount_min = (!what.never).then_some(what.amount_min);
    let books = OpenBooks::open(&database).await?;
    let mut acting = books.acting().await?;
    let program_id = books.program.program_id;
    store::lock_program(acting.conn(), program_id).await?;
    let before = store::set_hurry_rule(acting.conn(), program_id, kind, amount_min).await?;
    ensure!(before.is_some() || amount_min.is_some(), "nothing of the kind was marked");
    if before != amount_min {
        let shown = |amount: u64| json!({ "kind": what.kind, "amount_min": amount });
        let deed = deed("hurry.changed", &books.program.name, before.map(shown), amount_min.map(shown));
        books.done(acting, &who, deed).await?;
    }
    match amount_min {
        Some(amount) => println!("From now on {name} of {amount} or more is anchored soon."),
        None => println!("From now on {name} waits as everything does."),
    }
    Ok(())
}

/// A kind of posting by its name; any where none is given.
fn posting_kind(name: Option<&str>) -> anyhow::Result<(PostingKind, &str)> {
    let Some(name) = name else { return Ok((PostingKind::NONE, "any posting")) };
    let mut kinds = (1..=u8::MAX).map(PostingKind);
    let kind = kinds.find(|it| it.name() == Some(name));
    Ok((kind.with_context(|| format!("{name:?} is no kind of posting"))?, name))
}
