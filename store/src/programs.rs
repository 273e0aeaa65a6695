//! Programs, their rule sets, partners and house accounts: identity rows that never change once written.

use std::collections::HashMap;

use ledger::{AccountKind, Policy, Rates, RuleSet, RuleSets, Terms};
use proof::Hash;
use sqlx::{Connection, FromRow, PgConnection};
use uuid::Uuid;

use crate::error::StoreError;
use crate::gateways;
use crate::keyring::{Keyring, Secret};
use crate::log_head;
use crate::rates;

/// The unit in which a program counts its points.
pub(crate) const POINTS_UNIT: i16 = 1;

/// What a program is made of when it begins.
#[derive(Clone, Debug)]
pub struct ProgramSpec {
    /// Its name, unique on this server.
    pub name: String,
    /// Whether an unknown member is enrolled by their first event.
    pub enrols: bool,
    /// What one point is worth, a decimal.
    pub point_value: String,
    /// In which currency.
    pub currency: String,
    /// The rule set's bytes.
    pub rule_set: Vec<u8>,
}

/// A program, with its secret opened.
#[derive(Clone)]
pub struct Program {
    /// The number under which rows name it.
    pub program_id: i16,
    /// The id under which leaves name it.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Whether an unknown member is enrolled by their first event.
    pub enrols: bool,
    /// What one point is worth, a decimal.
    pub point_value: String,
    /// In which currency.
    pub currency: String,
    /// Whether its points are worth nothing: its keys say so, and no other books take them.
    pub is_sandbox: bool,
    pub(crate) secret: Secret,
}

#[derive(FromRow)]
struct Row {
    program_id: i16,
    id: Uuid,
    name: String,
    enrols: bool,
    point_value: String,
    currency: String,
    is_sandbox: bool,
    secret: Vec<u8>,
}

/// The program of this name, made now if there is none. What exists already is left as it is.
pub async fn ensure_program(
    conn: &mut PgConnection,
    keyring: &Keyring,
    spec: &ProgramSpec,
) -> Result<Program, StoreError> {
    ensure(conn, keyring, spec, false).await
}

/// The sandbox of this name, made now if there is none: a program like another, with books of its own and keys that open
/// nothing else.
pub async fn ensure_sandbox(
    conn: &mut PgConnection,
    keyring: &Keyring,
    spec: &ProgramSpec,
) -> Result<Program, StoreError> {
    ensure(conn, keyring, spec, true).await
}

async fn ensure(
    conn: &mut PgConnection,
    keyring: &Keyring,
    spec: &ProgramSpec,
    is_sandbox: bool,
) -> Result<Program, StoreError> {
    if let Some(program) = program_named(conn, keyring, &spec.name).await? {
        return Ok(program);
    }
    // All of it or nothing: a program without its accounts or its rules would refuse what it should take.
    let mut transaction = conn.begin().await?;
    let id = Uuid::new_v4();
    let program_id: i16 = sqlx::query_scalar(
        "insert into program (id, name, enrols, point_value, currency, secret, is_sandbox)
         values ($1, $2, $3, $4, $5, $6, $7)
         returning program_id",
    )
    .bind(id)
    .bind(&spec.name)
    .bind(spec.enrols)
    .bind(&spec.point_value)
    .bind(&spec.currency)
    .bind(keyring.generate(id))
    .bind(is_sandbox)
    .fetch_one(&mut *transaction)
    .await?;
    sqlx::query("insert into rule_set (program_id, version, hash, document) values ($1, 1, sha256($2), $2)")
        .bind(program_id)
        .bind(&spec.rule_set)
        .execute(&mut *transaction)
        .await?;
    open_unit(&mut transaction, keyring, program_id, POINTS_UNIT).await?;
    log_head::raise_epoch(&mut transaction).await?;
    transaction.commit().await?;
    program_named(conn, keyring, &spec.name)
        .await?
        .ok_or(StoreError::Missing("the program has vanished".to_owned()))
}

/// Says which program a sandbox is for, once and for all; answers whether that is so now.
pub async fn name_sandbox(
    conn: &mut PgConnection,
    sandbox_id: i16,
    program_id: i16,
) -> Result<bool, StoreError> {
    let named = sqlx::query(
        "update program
         set sandbox_of = $2
         where program_id = $1
             and is_sandbox
             and coalesce(sandbox_of, $2) = $2",
    )
    .bind(sandbox_id)
    .bind(program_id)
    .execute(conn)
    .await?;
    Ok(named.rows_affected() == 1)
}

/// The program's sandbox, where it has one.
pub async fn sandbox_of(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
) -> Result<Option<Program>, StoreError> {
    let row = sqlx::query_as("select * from program where sandbox_of = $1").bind(program_id);
    row.fetch_optional(conn).await?.map(|row| open(row, keyring)).transpose()
}

/// The program of this name.
pub async fn program_named(
    conn: &mut PgConnection,
    keyring: &Keyring,
    name: &str,
) -> Result<Option<Program>, StoreError> {
    let row = sqlx::query_as("select * from program where name = $1").bind(name).fetch_optional(conn).await?;
    row.map(|row| open(row, keyring)).transpose()
}

/// The number of the program of this name, for whoever reads and opens nothing.
pub async fn program_number(conn: &mut PgConnection, name: &str) -> Result<Option<i16>, StoreError> {
    let number = sqlx::query_scalar("select program_id from program where name = $1").bind(name);
    Ok(number.fetch_optional(conn).await?)
}

/// All programs of this server.
pub(crate) async fn programs(conn: &mut PgConnection, keyring: &Keyring) -> Result<Vec<Program>, StoreError> {
    let rows = sqlx::query_as("select * from program").fetch_all(conn).await?;
    rows.into_iter().map(|row| open(row, keyring)).collect()
}

fn open(row: Row, keyring: &Keyring) -> Result<Program, StoreError> {
    let secret = keyring.open(row.id, &row.secret)?;
    let Row { program_id, id, name, enrols, point_value, currency, is_sandbox, .. } = row;
    Ok(Program { program_id, id, name, enrols, point_value, currency, is_sandbox, secret })
}

/// The rule sets that postings of this database may name, by their hashes.
pub(crate) async fn all_rule_sets(conn: &mut PgConnection) -> Result<HashMap<Hash, RuleSet>, StoreError> {
    let documents: Vec<Vec<u8>> = sqlx::query_scalar("select document from rule_set").fetch_all(conn).await?;
    documents.iter().map(|it| rule_set(it).map(|rules| (*rules.hash(), rules))).collect()
}

/// The program's rule sets.
pub async fn rule_sets(conn: &mut PgConnection, program_id: i16) -> Result<RuleSets, StoreError> {
    let documents = rule_documents(conn, program_id).await?;
    let settled: Result<Vec<_>, StoreError> =
        documents.iter().map(|(from, document)| Ok((*from, rule_set(document)?))).collect();
    RuleSets::new(settled?).ok_or_else(|| StoreError::Damaged("a program without rules".to_owned()))
}

/// The program's rule sets as they were settled, each with the instant from which it counts, in microseconds since 1970: of two
/// that count from the same one, the later.
pub async fn rule_documents(
    conn: &mut PgConnection,
    program_id: i16,
) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    let documents: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "select effective_at, document
         from rule_set
         where program_id = $1
         order by effective_at, version",
    )
    .bind(program_id)
    .fetch_all(conn)
    .await?;
    Ok(documents)
}

fn rule_set(document: &[u8]) -> Result<RuleSet, StoreError> {
    RuleSet::parse(document).map_err(|error| StoreError::Damaged(error.to_string()))
}

/// Settles by which rules events earn that happen from an instant on, in microseconds since 1970. What was posted stays as it
/// was posted.
pub async fn add_rule_set(
    conn: &mut PgConnection,
    program_id: i16,
    document: &[u8],
    effective_at_us: i64,
) -> Result<(), StoreError> {
    let rules = RuleSet::parse_new(document).map_err(|error| StoreError::Missing(error.to_string()))?;
    let mut transaction = conn.begin().await?;
    // Two operators at once settle one after the other.
    sqlx::query("select from program where program_id = $1 for update")
        .bind(program_id)
        .execute(&mut *transaction)
        .await?;
    if rule_sets(&mut transaction, program_id).await?.at(effective_at_us).counting() != rules.counting() {
        return Err(StoreError::Missing(
            "points are counted as they were: scale and rounding stay the same through all of a program's rules".to_owned(),
        ));
    }
    sqlx::query(
        "insert into rule_set (program_id, version, hash, document, effective_at)
         select $1, max(version) + 1, sha256($2), $2, $3
         from rule_set
         where program_id = $1",
    )
    .bind(program_id)
    .bind(document)
    .bind(effective_at_us)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// The partner of this id with its settlement account, made now if there is none.
pub async fn ensure_partner(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    partner_id: &str,
) -> Result<(), StoreError> {
    let mut transaction = conn.begin().await?;
    lock_program(&mut transaction, program_id).await?;
    let made =
        sqlx::query("insert into partner (program_id, partner_id) values ($1, $2) on conflict do nothing")
            .bind(program_id)
            .bind(partner_id)
            .execute(&mut *transaction)
            .await?;
    if made.rows_affected() == 1 {
        open_in_each_unit(&mut transaction, keyring, program_id, HouseOwner::Partner(partner_id)).await?;
        log_head::raise_epoch(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// A unit besides the points: the program counts in it too from now on. What exists already is left as it is. Answers whether
/// it is new.
pub async fn ensure_unit(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    unit: i16,
) -> Result<bool, StoreError> {
    let mut transaction = conn.begin().await?;
    lock_program(&mut transaction, program_id).await?;
    let is_new = !units(&mut transaction, program_id).await?.contains(&unit);
    if is_new {
        open_unit(&mut transaction, keyring, program_id, unit).await?;
        let partners: Vec<String> =
            sqlx::query_scalar("select partner_id from partner where program_id = $1")
                .bind(program_id)
                .fetch_all(&mut *transaction)
                .await?;
        for partner in partners {
            let owner = HouseOwner::Partner(&partner);
            open_house_account(&mut transaction, keyring, program_id, unit, owner).await?;
        }
        log_head::raise_epoch(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(is_new)
}

/// One at a time: two would open the same accounts, or one would miss what the other has just opened accounts for.
pub async fn lock_program(conn: &mut PgConnection, program_id: i16) -> Result<(), StoreError> {
    sqlx::query("select from program where program_id = $1 for no key update")
        .bind(program_id)
        .execute(conn)
        .await?;
    Ok(())
}

async fn open_in_each_unit(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    owner: HouseOwner<'_>,
) -> Result<(), StoreError> {
    for unit in units(conn, program_id).await? {
        open_house_account(conn, keyring, program_id, unit, owner).await?;
    }
    Ok(())
}

async fn units(conn: &mut PgConnection, program_id: i16) -> Result<Vec<i16>, StoreError> {
    let units = sqlx::query_scalar("select unit from account where program_id = $1 and kind = $2")
        .bind(program_id)
        .bind(AccountKind::Issuance as i16)
        .fetch_all(conn)
        .await?;
    Ok(units)
}

async fn open_unit(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    unit: i16,
) -> Result<(), StoreError> {
    for kind in [AccountKind::Issuance, AccountKind::Redemption, AccountKind::Breakage, AccountKind::Bridge] {
        open_house_account(conn, keyring, program_id, unit, HouseOwner::Program(kind)).await?;
    }
    Ok(())
}

/// What a fund is when it begins.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct FundSpec {
    /// Its name, unique in its program.
    pub name: String,
    /// Who pays for it.
    pub funder: String,
    /// The only merchant with whom its points can be spent.
    pub merchant: Option<String>,
    /// Whether it can give only what was put into it.
    pub budgeted: bool,
}

/// The fund of this name with its account in each unit, made now if there is none.
pub async fn ensure_fund(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    spec: &FundSpec,
) -> Result<(), StoreError> {
    let mut transaction = conn.begin().await?;
    lock_program(&mut transaction, program_id).await?;
    let number: Option<i32> = sqlx::query_scalar(
        "insert into fund (program_id, fund_id, name, funder, merchant, budgeted)
         select $1, coalesce(max(fund_id), 0) + 1, $2, $3, $4, $5
         from fund
         where program_id = $1
         on conflict (program_id, name) do nothing
         returning fund_id",
    )
    .bind(program_id)
    .bind(&spec.name)
    .bind(&spec.funder)
    .bind(&spec.merchant)
    .bind(spec.budgeted)
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some(number) = number {
        open_in_each_unit(&mut transaction, keyring, program_id, HouseOwner::Fund(number)).await?;
        log_head::raise_epoch(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// What was settled for a program: its newest policy, its funds' merchants, and its last close.
pub async fn terms(conn: &mut PgConnection, program_id: i16) -> Result<Terms, StoreError> {
    let document: Option<Vec<u8>> =
        sqlx::query_scalar("select document from policy where program_id = $1 order by version desc limit 1")
            .bind(program_id)
            .fetch_optional(&mut *conn)
            .await?;
    let terms = document.map_or_else(|| Terms::new(Policy::default()), |it| Terms::parse(&it));
    let mut terms = terms.map_err(|error| StoreError::Damaged(error.to_string()))?;
    let merchants: Vec<(i32, String)> =
        sqlx::query_as("select fund_id, merchant from fund where program_id = $1 and merchant is not null")
            .bind(program_id)
            .fetch_all(&mut *conn)
            .await?;
    terms.merchants = merchants.into_iter().map(|(number, merchant)| (number as u32, merchant)).collect();
    let gateways = gateways::all_terms(conn).await?.into_iter().filter(|it| it.0 == program_id);
    terms.gateways = gateways.map(|(_, at, gateway)| ((at.chain_id, at.contract), gateway)).collect();
    terms.rates = Rates::new(&rates::rates(conn, program_id).await?);
    terms.ahead_us =
        sqlx::query_scalar("select coalesce(max(ahead_us), 0) from sandbox_clock where program_id = $1")
            .bind(program_id)
            .fetch_one(&mut *conn)
            .await?;
    let closed: Option<i64> =
        sqlx::query_scalar("select max(closed_before) from period_close where program_id = $1")
            .bind(program_id)
            .fetch_one(conn)
            .await?;
    terms.closed_before_us = closed.unwrap_or(i64::MIN);
    Ok(terms)
}

/// Settles a new version of the program's policy.
pub async fn add_policy(conn: &mut PgConnection, program_id: i16, document: &[u8]) -> Result<(), StoreError> {
    Terms::parse(document).map_err(|error| StoreError::Missing(error.to_string()))?;
    let mut transaction = conn.begin().await?;
    let first_leaf_index = log_head::raise_epoch(&mut transaction).await?;
    sqlx::query(
        "insert into policy (program_id, version, document, first_leaf_index)
         select $1, coalesce(max(version), 0) + 1, $2, $3
         from policy
         where program_id = $1",
    )
    .bind(program_id)
    .bind(document)
    .bind(first_leaf_index)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Has a sandbox's clock be so far ahead of the log's, which is further than it was. The database refuses it of every other program.
pub async fn move_clock(conn: &mut PgConnection, program_id: i16, ahead_us: i64) -> Result<(), StoreError> {
    let mut transaction = conn.begin().await?;
    let first_leaf_index = log_head::raise_epoch(&mut transaction).await?;
    sqlx::query("insert into sandbox_clock (program_id, first_leaf_index, ahead_us) values ($1, $2, $3)")
        .bind(program_id)
        .bind(first_leaf_index)
        .bind(ahead_us)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// Closes the program's periods up to an instant, which has passed.
pub async fn close_period(
    conn: &mut PgConnection,
    program_id: i16,
    closed_before_us: i64,
    actor: &str,
) -> Result<(), StoreError> {
    let mut transaction = conn.begin().await?;
    if log_head::clock_us(&mut transaction).await? < closed_before_us {
        return Err(StoreError::Missing(
            "a period is closed once it is over: give an instant that has passed".to_owned(),
        ));
    }
    let first_leaf_index = log_head::raise_epoch(&mut transaction).await?;
    sqlx::query(
        "insert into period_close (program_id, closed_before, actor, first_leaf_index)
         values ($1, $2, $3, $4)
         on conflict do nothing",
    )
    .bind(program_id)
    .bind(closed_before_us)
    .bind(actor)
    .bind(first_leaf_index)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Whose a house account is.
#[derive(Clone, Copy)]
enum HouseOwner<'a> {
    Program(AccountKind),
    Partner(&'a str),
    Fund(i32),
}

async fn open_house_account(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    unit: i16,
    owner: HouseOwner<'_>,
) -> Result<(), StoreError> {
    let (kind, partner_id, fund_id) = match owner {
        HouseOwner::Program(kind) => (kind, None, None),
        HouseOwner::Partner(partner) => (AccountKind::Settlement, Some(partner), None),
        HouseOwner::Fund(number) => (AccountKind::Fund, None, Some(number)),
    };
    let id = Uuid::new_v4();
    sqlx::query(
        "with opened as (
             insert into account (id, program_id, kind, partner_id, unit, secret, fund_id)
             values ($1, $2, $3, $4, $5, $6, $7)
             returning account_id
         )
         insert into balance (account_id, sequence, available, held, pending)
         select account_id, 0, 0, 0, 0
         from opened",
    )
    .bind(id)
    .bind(program_id)
    .bind(kind as i16)
    .bind(partner_id)
    .bind(unit)
    .bind(keyring.generate(id))
    .bind(fund_id)
    .execute(conn)
    .await?;
    Ok(())
}
