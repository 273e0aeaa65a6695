//! `daftari books rate`: what a point is worth, from when on.

use anyhow::{Context, bail};
use ledger::Rate;

use crate::config::RateAct;
use crate::roles::books::Instant;
use crate::roles::{OpenBooks, deed};

pub(crate) async fn run(act: RateAct) -> anyhow::Result<()> {
    let (RateAct::Show { database } | RateAct::Set { database, .. }) = &act;
    let books = OpenBooks::open(database).await?;
    if let RateAct::Set { who, point_value, currency, from, .. } = &act {
        let rate = Rate::new(point_value, currency);
        let rate = rate.context("a rate is a decimal as in 0.10, in a currency as in KES")?;
        let program_id = books.program.program_id;
        let mut acting = books.acting().await?;
        store::lock_program(acting.conn(), program_id).await?;
        let Some(from_us) = store::add_rate(acting.conn(), program_id, &rate, from.map(|it| it.0)).await?
        else {
            bail!("--from has passed: what was posted keeps the rate that it names");
        };
        let after = serde_json::json!({
            "point_value": point_value, "currency": currency, "from": Instant(from_us).to_string(),
        });
        books.done(acting, who, deed("rate.added", &books.program.name, None, Some(after))).await?;
    }
    for (from_us, rate) in store::rates(&mut *books.pool.acquire().await?, books.program.program_id).await? {
        println!("{} {}", Instant(from_us), rate.text().as_str());
    }
    Ok(())
}
