//! What an operator settles for a program. Whoever commits learns of it before the next decision.

use anyhow::{Context, ensure};
use ledger::MemberRef;
use serde_json::json;
use store::{AuthMode, FundSpec, PartnerFacts, ProgramSpec};

use super::post::contents;
use crate::config::{
    ClosePeriod, Database, Enrol, MakeFund, MakePartner, MakeProgram, MakeUnit, PartnerAuth, PolicyAct,
    RulesAct, Settle,
};
use crate::keys;
use crate::roles::books::Instant;
use crate::roles::{OpenBooks, begin_act, by, deed};

pub(crate) async fn program(Settle { database, who, what }: Settle<MakeProgram>) -> anyhow::Result<()> {
    let rule_set = contents(&what.rules)?;
    ledger::RuleSet::parse_new(&rule_set).with_context(|| what.rules.display().to_string())?;
    let pool = store::connect(&database.database_url.0, 1).await.context("cannot use the database")?;
    let log = store::log_identity(&mut *pool.acquire().await?).await?;
    let keyring = keys::keyring(&database.wrapping_key_file)?;
    let mut acting = begin_act(&pool, &database.outside, &log).await?;
    let conn = acting.conn();
    let MakeProgram { point_value, currency, enrols, sandbox, sandbox_of, .. } = what;
    let spec = ProgramSpec { name: database.program, enrols, point_value, currency, rule_set };
    let was_there = store::program_named(conn, &keyring, &spec.name).await?.is_some();
    let program = match sandbox {
        true => store::ensure_sandbox(conn, &keyring, &spec).await?,
        false => store::ensure_program(conn, &keyring, &spec).await?,
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
    let mut is_named = false;
    if let Some(name) = &sandbox_of {
        let live = store::program_number(conn, name).await?;
        let live = live.with_context(|| format!("there is no program {name}"))?;
        let was = store::sandbox_of(conn, &keyring, live).await?;
        let named = store::name_sandbox(conn, program.program_id, live).await?;
        ensure!(named, "the program {} is another program's sandbox already", program.name);
        is_named = was.is_none_or(|it| it.program_id != program.program_id);
    }
    if !was_there || is_named {
        let action = if was_there { "program.changed" } else { "program.created" };
        let after = json!({
            "point_value": program.point_value, "currency": program.currency, "enrols": program.enrols,
            "sandbox": program.is_sandbox, "sandbox_of": sandbox_of,
        });
        let deed = deed(action, &program.name, None, Some(after));
        acting.done(&keyring, program.program_id, &by(&who), &deed).await?;
    }
    tell(&format!("program {}", program.name), was_there);
    Ok(())
}

pub(crate) async fn partner(Settle { database, who, what }: Settle<MakePartner>) -> anyhow::Result<()> {
    let books = OpenBooks::open(&database).await?;
    let (program_id, keyring) = (books.program.program_id, books.keyring()?);
    let mut acting = books.acting().await?;
    let conn = acting.conn();
    // Nobody makes it meanwhile.
    store::lock_program(conn, program_id).await?;
    let before = store::partner(conn, program_id, &what.partner).await?;
    store::ensure_partner(conn, &keyring, program_id, &what.partner).await?;
    let mode = what.auth_mode.map(|it| match it {
        PartnerAuth::Either => AuthMode::Either,
        PartnerAuth::Token => AuthMode::Token,
        PartnerAuth::Key => AuthMode::Key,
        PartnerAuth::Both => AuthMode::Both,
    });
    let made = store::partner(conn, program_id, &what.partner).await?.context("the partner has vanished")?;
    let after = PartnerFacts {
        auth_mode: mode.map_or(made.auth_mode, |it| it as i16),
        requests_per_hour: what.requests_per_hour.or(made.requests_per_hour),
        references_once: what.references_once.unwrap_or(made.references_once),
        ..made
    };
    if before.as_ref() != Some(&after) {
        store::set_partner(conn, program_id, &after).await?;
        let action = if before.is_some() { "partner.changed" } else { "partner.created" };
        let before = before.as_ref().map(api::partner_as_shown);
        let deed = deed(action, &what.partner, before, Some(api::partner_as_shown(&after)));
        books.done(acting, &who, deed).await?;
    }
    println!("The program has the partner {}.", what.partner);
    if let Some(mode) = mode {
        println!("It shows who it is by {}.", mode.as_str());
    }
    if let Some(hourly) = what.requests_per_hour {
        println!("It has {hourly} requests an hour.");
    }
    match what.references_once {
        Some(true) => println!("Each of its references names one transaction of a kind."),
        Some(false) => println!("Its references may repeat."),
        None => {}
    }
    Ok(())
}

pub(crate) async fn unit(Settle { database, who, what }: Settle<MakeUnit>) -> anyhow::Result<()> {
    let books = OpenBooks::open(&database).await?;
    let mut acting = books.acting().await?;
    let keyring = books.keyring()?;
    if store::ensure_unit(acting.conn(), &keyring, books.program.program_id, what.unit).await? {
        let after = json!({ "unit": what.unit });
        books.done(acting, &who, deed("unit.opened", &books.program.name, None, Some(after))).await?;
    }
    println!("The program counts in the unit {}.", what.unit);
    Ok(())
}

pub(crate) async fn fund(Settle { database, who, what }: Settle<MakeFund>) -> anyhow::Result<()> {
    let books = OpenBooks::open(&database).await?;
    let mut acting = books.acting().await?;
    let conn = acting.conn();
    let MakeFund { name, funder, merchant, budgeted } = what;
    let spec = FundSpec { name, funder, merchant, budgeted };
    let program_id = books.program.program_id;
    store::lock_program(conn, program_id).await?;
    let before = store::fund_named(conn, program_id, &spec.name).await?;
    store::ensure_fund(conn, &books.keyring()?, program_id, &spec).await?;
    let fund = store::fund_named(conn, program_id, &spec.name).await?.context("the fund has vanished")?;
    ensure!(
        fund == spec,
        "the fund {:?} is there already, as {fund:?}: nothing was changed; a fund stays what it is, so make \
         another",
        spec.name
    );
    if before.is_none() {
        let FundSpec { name, funder, merchant, budgeted } = &spec;
        let after = json!({ "name": name, "funder": funder, "merchant": merchant, "budgeted": budgeted });
        books.done(acting, &who, deed("fund.created", name, None, Some(after))).await?;
    }
    tell(&format!("fund {}", spec.name), before.is_some());
    Ok(())
}

pub(crate) async fn enrol(Settle { database, who, what }: Settle<Enrol>) -> anyhow::Result<()> {
    let books = OpenBooks::open(&database).await?;
    let mut acting = books.acting().await?;
    let conn = acting.conn();
    let members: Vec<MemberRef> = what.members.iter().map(|it| MemberRef::parse(it)).collect();
    let program_id = books.program.program_id;
    // By name and by hand: so also those who were erased, who begin anew.
    store::readmit_members(conn, &books.keyring()?, program_id, &members).await?;
    let new = store::enrol_members(conn, &books.keyring()?, program_id, what.unit, &members).await?;
    if new != 0 {
        // How many, and not who: an act names no member, so that none has to be erased from it.
        let after = json!({ "members": new, "unit": what.unit });
        books.done(acting, &who, deed("members.enrolled", &books.program.name, None, Some(after))).await?;
    }
    println!("{} members take part.", members.len());
    Ok(())
}

pub(crate) async fn close_period(Settle { database, who, what }: Settle<ClosePeriod>) -> anyhow::Result<()> {
    let books = OpenBooks::open(&database).await?;
    let mut acting = books.acting().await?;
    let (conn, program_id) = (acting.conn(), books.program.program_id);
    store::lock_program(conn, program_id).await?;
    let before_us = store::terms(conn, program_id).await?.closed_before_us;
    store::close_period(conn, program_id, what.before.0, &who.actor).await?;
    let after_us = store::terms(conn, program_id).await?.closed_before_us;
    if before_us != after_us {
        let shown = |us: i64| json!({ "closed_before": Instant(us).to_string() });
        let before = (before_us != i64::MIN).then(|| shown(before_us));
        let deed = deed("period.closed", &books.program.name, before, Some(shown(after_us)));
        books.done(acting, &who, deed).await?;
    }
    println!("Nothing that takes effect before {} is posted any more.", Instant(after_us));
    Ok(())
}

pub(crate) async fn policy(act: PolicyAct) -> anyhow::Result<()> {
    match act {
        PolicyAct::Show { database } => show_policy(&database).await,
        PolicyAct::Set { database, who, dry_run, file } => {
            let document = contents(&file)?;
            let terms = ledger::Terms::parse(&document)
                .with_context(|| format!("{}: see daftari books kinds policy", file.display()))?;
            let books = OpenBooks::open(&database).await?;
            let program_id = books.program.program_id;
            let loss = store::idle_loss(&mut *books.pool.acquire().await?, program_id, &terms).await?;
            let store::IdleLoss { accounts, points } = loss;
            let is_by_inactivity = matches!(terms.policy.expiry, ledger::Expiry::Inactivity { .. });
            if 0 < accounts || dry_run && is_by_inactivity {
                eprintln!("By inactivity {accounts} accounts lose {points} points at once.");
            } else if dry_run {
                eprintln!("The policy can be set. Under it nothing expires by inactivity.");
            }
            if dry_run {
                return Ok(());
            }
            let mut acting = books.acting().await?;
            let conn = acting.conn();
            store::lock_program(conn, program_id).await?;
            let before = json!({ "policy": store::terms(conn, program_id).await?.policy });
            store::add_policy(conn, program_id, &document).await?;
            let after = json!({ "policy": store::terms(conn, program_id).await?.policy });
            let deed = deed("policy.changed", &books.program.name, Some(before), Some(after));
            books.done(acting, &who, deed).await?;
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
    let program_id = books.program.program_id;
    if let RulesAct::Set { who, file, from, .. } = &act {
        let document = contents(file)?;
        let mut acting = books.acting().await?;
        let from_us = match from {
            Some(instant) => instant.0,
            None => store::clock_us(acting.conn()).await?,
        };
        let set = store::add_rule_set(acting.conn(), program_id, &document, from_us).await;
        set.with_context(|| file.display().to_string())?;
        let rules = store::rule_sets(acting.conn(), program_id).await?;
        let after = json!({
            "rule_set": hex::encode(rules.at(from_us).hash()), "from": Instant(from_us).to_string(),
        });
        books.done(acting, who, deed("rules.added", &books.program.name, None, Some(after))).await?;
    }
    for (from_us, document) in store::rule_documents(&mut *books.pool.acquire().await?, program_id).await? {
        println!("{} {}", Instant(from_us), hex::encode(proof::rule_set_hash(&document)));
        println!("{}", String::from_utf8_lossy(&document).trim());
    }
    Ok(())
}

fn tell(what: &str, was_there: bool) {
    println!("The {what} {}.", if was_there { "was there already" } else { "was made" });
}
