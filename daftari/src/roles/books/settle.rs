//! What an operator settles for a program. Whoever commits learns of it before the next decision.

use anyhow::{Context, ensure};
use ledger::MemberRef;
use store::{AuthMode, FundSpec, ProgramSpec};

use super::post::contents;
use crate::config::{
    ClosePeriod, Database, Enrol, MakeFund, MakePartner, MakeProgram, MakeUnit, PartnerAuth, PolicyAct,
    RulesAct, Settle,
};
use crate::keys;
use crate::roles::OpenBooks;
use crate::roles::books::Instant;

pub(crate) async fn program(Settle { database, what }: Settle<MakeProgram>) -> anyhow::Result<()> {
    let rule_set = contents(&what.rules)?;
    ledger::RuleSet::parse(&rule_set).with_context(|| what.rules.display().to_string())?;
    let pool = store::connect(&database.database_url.0, 1).await.context("cannot use the database")?;
    let mut conn = pool.acquire().await?;
    store::log_identity(&mut conn).await?;
    let keyring = keys::keyring(&database.wrapping_key_file)?;
    let MakeProgram { point_value, currency, enrols, sandbox, sandbox_of, .. } = what;
    let spec = ProgramSpec { name: database.program, enrols, point_value, currency, rule_set };
    let was_there = store::program_named(&mut conn, &keyring, &spec.name).await?.is_some();
    let program = match sandbox {
        true => store::ensure_sandbox(&mut conn, &keyring, &spec).await?,
        false => store::ensure_program(&mut conn, &keyring, &spec).await?,
    };
    let same = (&program.point_value, &program.currency, program.enrols, program.is_sandbox)
        == (&spec.point_value, &spec.currency, enrols, sandbox);
    ensure!(
        same,
        "the program {:?} is there already, and a point of it is worth {} {}: nothing was changed",
        program.name,
        program.point_value,
        program.currency
    );
    if let Some(name) = sandbox_of {
        let live = store::program_number(&mut conn, &name).await?;
        let live = live.with_context(|| format!("there is no program {name}"))?;
        let named = store::name_sandbox(&mut conn, program.program_id, live).await?;
        ensure!(named, "the program {} is another program's sandbox already", program.name);
    }
    tell(&format!("program {}", program.name), was_there);
    Ok(())
}

pub(crate) async fn partner(Settle { database, what }: Settle<MakePartner>) -> anyhow::Result<()> {
    let books = OpenBooks::open(&database).await?;
    let mut conn = books.pool.acquire().await?;
    let keyring = books.keyring()?;
    store::ensure_partner(&mut conn, &keyring, books.program.program_id, &what.partner).await?;
    println!("The program has the partner {}.", what.partner);
    if let Some(mode) = what.auth_mode {
        let mode = match mode {
            PartnerAuth::Either => AuthMode::Either,
            PartnerAuth::Token => AuthMode::Token,
            PartnerAuth::Key => AuthMode::Key,
            PartnerAuth::Both => AuthMode::Both,
        };
        store::set_auth_mode(&mut conn, books.program.program_id, &what.partner, mode).await?;
        println!("It shows who it is by {}.", mode.as_str());
    }
    if let Some(hourly) = what.requests_per_hour {
        store::set_partner_hourly(&mut conn, books.program.program_id, &what.partner, hourly).await?;
        println!("It has {hourly} requests an hour.");
    }
    Ok(())
}

pub(crate) async fn unit(Settle { database, what }: Settle<MakeUnit>) -> anyhow::Result<()> {
    let books = OpenBooks::open(&database).await?;
    let mut conn = books.pool.acquire().await?;
    let keyring = books.keyring()?;
    store::ensure_unit(&mut conn, &keyring, books.program.program_id, what.unit).await?;
    println!("The program counts in the unit {}.", what.unit);
    Ok(())
}

pub(crate) async fn fund(Settle { database, what }: Settle<MakeFund>) -> anyhow::Result<()> {
    let books = OpenBooks::open(&database).await?;
    let mut conn = books.pool.acquire().await?;
    let MakeFund { name, funder, merchant, budgeted } = what;
    let spec = FundSpec { name, funder, merchant, budgeted };
    let program_id = books.program.program_id;
    let before = store::fund_named(&mut conn, program_id, &spec.name).await?;
    store::ensure_fund(&mut conn, &books.keyring()?, program_id, &spec).await?;
    let fund =
        store::fund_named(&mut conn, program_id, &spec.name).await?.context("the fund has vanished")?;
    ensure!(
        fund == spec,
        "the fund {:?} is there already, as {fund:?}: nothing was changed; a fund stays what it is, so make \
         another",
        spec.name
    );
    tell(&format!("fund {}", spec.name), before.is_some());
    Ok(())
}

pub(crate) async fn enrol(Settle { database, what }: Settle<Enrol>) -> anyhow::Result<()> {
    let books = OpenBooks::open(&database).await?;
    let mut conn = books.pool.acquire().await?;
    let members: Vec<MemberRef> = what.members.iter().map(|it| MemberRef::parse(it)).collect();
    let program_id = books.program.program_id;
    // By name and by hand: so also those who were erased, who begin anew.
    store::readmit_members(&mut conn, &books.keyring()?, program_id, &members).await?;
    store::enrol_members(&mut conn, &books.keyring()?, program_id, what.unit, &members).await?;
    println!("{} members take part.", members.len());
    Ok(())
}

pub(crate) async fn close_period(Settle { database, what }: Settle<ClosePeriod>) -> anyhow::Result<()> {
    let books = OpenBooks::open(&database).await?;
    let mut conn = books.pool.acquire().await?;
    let program_id = books.program.program_id;
    store::close_period(&mut conn, program_id, what.before.0, &what.actor).await?;
    let closed = Instant(store::terms(&mut conn, program_id).await?.closed_before_us);
    println!("Nothing that takes effect before {closed} is posted any more.");
    Ok(())
}

pub(crate) async fn policy(act: PolicyAct) -> anyhow::Result<()> {
    match act {
        PolicyAct::Show { database } => show_policy(&database).await,
        PolicyAct::Set { database, file } => {
            let document = contents(&file)?;
            let books = OpenBooks::open(&database).await?;
            let mut conn = books.pool.acquire().await?;
            let set = store::add_policy(&mut conn, books.program.program_id, &document).await;
            set.with_context(|| format!("{}: see daftari books kinds policy", file.display()))?;
            drop(conn);
            books.pool.close().await;
            show_policy(&database).await
        }
    }
}

async fn show_policy(database: &Database) -> anyhow::Result<()> {
    let books = OpenBooks::open(database).await?;
    let terms = store::terms(&mut *books.pool.acquire().await?, books.program.program_id).await?;
    println!("{}", serde_json::to_string_pretty(&terms.policy)?);
    Ok(())
}

pub(crate) async fn rules(act: RulesAct) -> anyhow::Result<()> {
    let (RulesAct::Show { database } | RulesAct::Set { database, .. }) = &act;
    let books = OpenBooks::open(database).await?;
    let mut conn = books.pool.acquire().await?;
    let program_id = books.program.program_id;
    if let RulesAct::Set { file, from, .. } = &act {
        let from_us = match from {
            Some(instant) => instant.0,
            None => store::clock_us(&mut conn).await?,
        };
        let set = store::add_rule_set(&mut conn, program_id, &contents(file)?, from_us).await;
        set.with_context(|| file.display().to_string())?;
    }
    for (from_us, hash) in store::rule_sets(&mut conn, program_id).await?.versions() {
        println!("{} {}", Instant(from_us), hex::encode(hash));
    }
    Ok(())
}

fn tell(what: &str, was_there: bool) {
    println!("The {what} {}.", if was_there { "was there already" } else { "was made" });
}
