//! Balances, statements, histories, the feed and liability, for people to read.

use anyhow::{Context, ensure};
use jiff::Timestamp;
use ledger::{AccountKind, MemberRef, ReservationKind};
use proof::{Balances, PostingKind};
use store::{AsOf, Fed, FedEntry, MemberStanding, Order, PgConnection, PgPool, Reader, TrailEntry};

use super::archive;
use crate::config::{Balance, Feed, History, Liability, ProgramAt, Statement, Whose};

/// How many lines are read at a time.
const PAGE: u32 = 1000;

pub(super) async fn balance(config: Balance) -> anyhow::Result<()> {
    let (pool, program) = connect(&config.program).await?;
    let member = MemberRef::parse(&config.member);
    let standing = Reader::new(pool).standing(program, config.unit, &member).await?;
    let standing = standing.with_context(|| no_account(&config.member, config.unit))?;
    let MemberStanding { account, terms, .. } = standing;
    let (version, min_version) = (account.sequence, config.min_version.unwrap_or(0));
    ensure!(
        min_version <= version,
        "the account is at version {version}, and --min-version asks for {min_version}: if this database is a standby, ask its \
         primary; if it is the primary, ask for at most {version}"
    );
    println!("version {version}  {}", shown(&account.balances));
    println!("status {}", account.status.name());
    if account.balances.available < 0 {
        println!("owed {}", -account.balances.available);
    }
    // Whoever is idle for too long loses them before their own end.
    let idle_day = terms.last_idle_day(account.active_day);
    for (lot, holds) in &account.lots {
        let (ends, earned, fund) = (lot.last_day.min(idle_day), lot.earned_day, lot.fund);
        println!("lot  ends {ends}  earned {earned}  fund {fund}  {}", shown(holds));
    }
    for (id, reservation) in &account.reservations {
        let kind = match reservation.kind {
            ReservationKind::Hold => "hold",
            ReservationKind::Pending => "pending",
        };
        let until = reservation.due_us.map_or_else(|| "it is confirmed".to_owned(), instant);
        println!("{kind} {id}  {}  until {until}", reservation.points());
    }
    Ok(())
}

pub(super) async fn statement(config: Statement) -> anyhow::Result<()> {
    let (mut conn, account) = open(&config.whose).await?;
    let period = (config.from.as_microsecond(), config.to.as_microsecond());
    let mut statement = store::statement(&mut conn, account, period).await?;
    println!("opening  {}", shown(&statement.opening));
    loop {
        let lines = statement.next(PAGE).await?;
        if lines.is_empty() {
            break;
        }
        lines.iter().for_each(print);
    }
    println!("closing  {}  (as of log size {})", shown(&statement.closing), statement.log_size);
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

pub(super) async fn feed(config: Feed) -> anyhow::Result<()> {
    let (pool, program) = connect(&config.program).await?;
    let mut conn = pool.acquire().await?.detach();
    archive::read(&mut conn, &config.archived).await?;
    let mut next = config.after.map_or(0, |it| it.saturating_add(1));
    let mut left = config.limit;
    loop {
        let page = store::feed(&mut conn, program, next, left.min(PAGE)).await?;
        page.postings.iter().for_each(print_fed);
        left -= page.postings.len() as u32;
        next = page.next_leaf_index;
        // A page that looked at many leaves may have none of the program's, and there is more.
        if left == 0 || page.log_size <= next {
            return Ok(());
        }
    }
}

pub(super) async fn liability(config: Liability) -> anyhow::Result<()> {
    let (pool, program) = connect(&config.program).await?;
    let mut conn = pool.acquire().await?;
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
    let (pool, program) = connect(&whose.program).await?;
    let mut conn = pool.acquire().await?.detach();
    archive::read(&mut conn, &whose.archived).await?;
    let account = store::account_number(&mut conn, program, whose.unit, &name).await?;
    Ok((conn, account.with_context(|| no_account(&whose.account, whose.unit))?))
}

fn no_account(name: &str, unit: u16) -> String {
    format!("there is no account {name:?} in unit {unit}")
}

/// One connection, and the program's number.
async fn connect(at: &ProgramAt) -> anyhow::Result<(PgPool, i16)> {
    let pool = store::connect(&at.database_url.0, 1).await.context("cannot use the database")?;
    let number = store::program_number(&mut *pool.acquire().await?, &at.program).await?;
    Ok((pool, number.with_context(|| format!("there is no program {:?}", at.program))?))
}

fn shown(balances: &Balances) -> String {
    format!("available {}  held {}  pending {}", balances.available, balances.held, balances.pending)
}

fn print(entry: &TrailEntry) {
    println!(
        "{}  {}  {}  {}",
        heading(entry.version, entry.effective_at_us, entry.kind),
        changed(&entry.change),
        shown(&entry.after),
        entry.posting_id,
    );
}

fn print_fed(posting: &Fed) {
    let side = |it: &FedEntry| format!("{} {}", whose(it), changed(&it.change));
    let sides: Vec<String> = posting.entries.iter().map(side).collect();
    println!(
        "{}  {}  {}",
        heading(posting.leaf_index, posting.effective_at_us, posting.kind),
        if sides.is_empty() { "-".to_owned() } else { sides.join(", ") },
        posting.posting_id,
    );
}

/// How a posting's line begins: where it stands, from when it counts, what it does.
fn heading(number: u64, effective_at_us: i64, kind: PostingKind) -> String {
    let kind = kind.name().map_or_else(|| kind.0.to_string(), str::to_owned);
    format!("{number:>6}  {}  {kind:8}", instant(effective_at_us))
}

fn instant(us: i64) -> String {
    Timestamp::from_microsecond(us).map_or_else(|_| "?".to_owned(), |it| it.to_string())
}

fn changed(change: &Balances) -> String {
    let total = change.available + change.held + change.pending;
    format!("{:+} (in all {total:+})", change.available)
}

/// Whose side of a posting it is; a fund has no name here but its account's in leaves.
fn whose(entry: &FedEntry) -> String {
    let kind = entry.kind.name();
    let name = entry.member_id.map(|it| it.to_string()).or_else(|| entry.partner_id.clone());
    let whose = match (name, entry.kind) {
        (Some(name), _) => format!("{kind}:{name}"),
        (None, AccountKind::Fund) => format!("{kind} account {}", entry.account),
        (None, _) => kind.to_owned(),
    };
    if entry.unit == 1 { whose } else { format!("{whose} in unit {}", entry.unit) }
}
