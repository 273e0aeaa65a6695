//! Statements, histories and liability, for people to read.

use anyhow::Context;
use jiff::Timestamp;
use proof::Balances;
use store::{AsOf, Order, PgConnection, TrailEntry};

use super::archive;
use crate::config::{History, Liability, Statement, Whose};

/// How many lines are read at a time.
const PAGE: u32 = 1000;

pub(super) async fn statement(config: Statement) -> anyhow::Result<()> {
    let (mut conn, account) = open(&config.whose).await?;
    let period = (config.from.as_microsecond(), config.to.as_microsecond());
    let mut page = store::statement(&mut conn, account, period, None, PAGE).await?;
    println!("opening  {}", shown(&page.opening));
    loop {
        page.lines.iter().for_each(print);
        if page.next.is_none() {
            break;
        }
        page = store::statement(&mut conn, account, period, page.next, PAGE).await?;
    }
    println!("closing  {}  (as of log size {})", shown(&page.closing), page.log_size);
    Ok(())
}

pub(super) async fn history(config: History) -> anyhow::Result<()> {
    let (mut conn, account) = open(&config.whose).await?;
    let as_of = config.size.map(AsOf::Size).or(config.at.map(|it| AsOf::Instant(it.as_microsecond())));
    if let Some(as_of) = as_of {
        let standing = store::balance_as_of(&mut conn, account, as_of).await?;
        println!("version {}  {}", standing.version, shown(&standing.balances));
        return Ok(());
    }
    let order = if config.after.is_some() { Order::Forward } else { Order::Backward };
    let from = config.after.or(config.before);
    store::history(&mut conn, account, from, order, config.limit).await?.iter().for_each(print);
    Ok(())
}

pub(super) async fn liability(config: Liability) -> anyhow::Result<()> {
    let pool = store::connect(&config.database_url.0, 1).await.context("cannot use the database")?;
    let mut conn = pool.acquire().await?;
    let program = program(&mut conn, &config.program).await?;
    let size = match config.at {
        Some(at) => Some(store::size_at(&mut conn, at.as_microsecond()).await?),
        None => config.size,
    };
    let liability = store::liability(&mut conn, program, size).await?;
    for line in &liability.lines {
        let ends = line.ends.map_or("never".to_owned(), |(year, month)| format!("{year}-{month:02}"));
        let (fund, funder) = (line.fund.as_deref().unwrap_or("-"), line.funder.as_deref().unwrap_or("-"));
        println!("unit {}  ends {ends:7}  fund {fund}  funder {funder}  {}", line.unit, line.points);
    }
    for (unit, debt) in &liability.debts {
        println!("unit {unit}  owed by members  {debt}");
    }
    println!("as of log size {}", liability.log_size);
    Ok(())
}

async fn open(whose: &Whose) -> anyhow::Result<(PgConnection, i64)> {
    let name = whose.name().with_context(|| format!("the house has no account {:?}", whose.account))?;
    let pool = store::connect(&whose.database_url.0, 1).await.context("cannot use the database")?;
    let mut conn = pool.acquire().await?.detach();
    archive::read(&mut conn, &whose.archived).await?;
    let program = program(&mut conn, &whose.program).await?;
    let account = store::account_number(&mut conn, program, whose.unit, &name).await?;
    let account =
        account.with_context(|| format!("there is no account {:?} in unit {}", whose.account, whose.unit))?;
    Ok((conn, account))
}

async fn program(conn: &mut PgConnection, name: &str) -> anyhow::Result<i16> {
    let number = store::program_number(conn, name).await?;
    number.with_context(|| format!("there is no program {name:?}"))
}

fn shown(balances: &Balances) -> String {
    format!("available {}  held {}  pending {}", balances.available, balances.held, balances.pending)
}

fn print(entry: &TrailEntry) {
    let at = Timestamp::from_microsecond(entry.effective_at_us)
        .map_or_else(|_| "?".to_owned(), |it| it.to_string());
    let kind = entry.kind.name().map_or_else(|| entry.kind.0.to_string(), str::to_owned);
    let total = entry.change.available + entry.change.held + entry.change.pending;
    println!(
        "{:>6}  {at}  {kind:8}  {:+} (in all {total:+})  {}  {}",
        entry.version,
        entry.change.available,
        shown(&entry.after),
        entry.posting_id,
    );
}
