//! Programs, their rule sets, partners and house accounts: identity rows that never change once written.

use std::collections::HashMap;

use ledger::{AccountKind, RuleSet};
use proof::Hash;
use sqlx::{Connection, FromRow, PgConnection};
use uuid::Uuid;

use crate::error::StoreError;
use crate::keyring::{Keyring, Secret};

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
    secret: Vec<u8>,
}

/// The program of this name, made now if there is none. What exists already is left as it is.
pub async fn ensure_program(
    conn: &mut PgConnection,
    keyring: &Keyring,
    spec: &ProgramSpec,
) -> Result<Program, StoreError> {
    if let Some(program) = program_named(conn, keyring, &spec.name).await? {
        return Ok(program);
    }
    // All of it or nothing: a program without its accounts or its rules would refuse what it should take.
    let mut transaction = conn.begin().await?;
    let id = Uuid::new_v4();
    let program_id: i16 = sqlx::query_scalar(
        "insert into program (id, name, enrols, point_value, currency, secret)
         values ($1, $2, $3, $4, $5, $6)
         returning program_id",
    )
    .bind(id)
    .bind(&spec.name)
    .bind(spec.enrols)
    .bind(&spec.point_value)
    .bind(&spec.currency)
    .bind(keyring.generate(id))
    .fetch_one(&mut *transaction)
    .await?;
    sqlx::query("insert into rule_set (program_id, version, hash, document) values ($1, 1, sha256($2), $2)")
        .bind(program_id)
        .bind(&spec.rule_set)
        .execute(&mut *transaction)
        .await?;
    for kind in [AccountKind::Issuance, AccountKind::Redemption, AccountKind::Breakage, AccountKind::Bridge] {
        open_house_account(&mut transaction, keyring, program_id, kind, None).await?;
    }
    transaction.commit().await?;
    program_named(conn, keyring, &spec.name)
        .await?
        .ok_or(StoreError::Missing("the program has vanished".to_owned()))
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

/// All programs of this server.
pub(crate) async fn programs(conn: &mut PgConnection, keyring: &Keyring) -> Result<Vec<Program>, StoreError> {
    let rows = sqlx::query_as("select * from program").fetch_all(conn).await?;
    rows.into_iter().map(|row| open(row, keyring)).collect()
}

fn open(row: Row, keyring: &Keyring) -> Result<Program, StoreError> {
    let secret = keyring.open(row.id, &row.secret)?;
    let Row { program_id, id, name, enrols, point_value, currency, .. } = row;
    Ok(Program { program_id, id, name, enrols, point_value, currency, secret })
}

/// The rule sets that postings of this database may name, by their hashes.
pub(crate) async fn rule_sets(conn: &mut PgConnection) -> Result<HashMap<Hash, RuleSet>, StoreError> {
    let documents: Vec<Vec<u8>> = sqlx::query_scalar("select document from rule_set").fetch_all(conn).await?;
    let parse = |document: Vec<u8>| {
        let rules = RuleSet::parse(&document).map_err(|error| StoreError::Damaged(error.to_string()))?;
        Ok((*rules.hash(), rules))
    };
    documents.into_iter().map(parse).collect()
}

/// The program's newest rule set.
pub async fn rule_set(conn: &mut PgConnection, program_id: i16) -> Result<RuleSet, StoreError> {
    let document: Vec<u8> = sqlx::query_scalar(
        "select document from rule_set where program_id = $1 order by version desc limit 1",
    )
    .bind(program_id)
    .fetch_one(conn)
    .await?;
    RuleSet::parse(&document).map_err(|error| StoreError::Damaged(error.to_string()))
}

/// The partner of this id with its settlement account, made now if there is none.
pub async fn ensure_partner(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    partner_id: &str,
) -> Result<(), StoreError> {
    let mut transaction = conn.begin().await?;
    let made =
        sqlx::query("insert into partner (program_id, partner_id) values ($1, $2) on conflict do nothing")
            .bind(program_id)
            .bind(partner_id)
            .execute(&mut *transaction)
            .await?;
    if made.rows_affected() == 1 {
        open_house_account(&mut transaction, keyring, program_id, AccountKind::Settlement, Some(partner_id))
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn open_house_account(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    kind: AccountKind,
    partner_id: Option<&str>,
) -> Result<(), StoreError> {
    let id = Uuid::new_v4();
    sqlx::query(
        "with opened as (
             insert into account (id, program_id, kind, partner_id, unit, secret)
             values ($1, $2, $3, $4, $5, $6)
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
    .bind(POINTS_UNIT)
    .bind(keyring.generate(id))
    .execute(conn)
    .await?;
    Ok(())
}
