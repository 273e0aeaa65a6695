//! What the account map says of each account.

use ledger::AccountKind;
use proof::{Balances, MapAccount, MapValue};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::accounts::hash;
use crate::archived;
use crate::error::StoreError;
use crate::keyring::{Keyring, Secret};

/// An account as a map of this log size has it.
pub struct MappedAccount {
    /// Its number in the books.
    pub account_id: i64,
    /// The program that it is of.
    pub program_id: i16,
    /// Whose it is.
    pub kind: AccountKind,
    /// Where it stands in the map.
    pub account: MapAccount,
    /// What the map says of it.
    pub value: MapValue,
    /// What its value is salted with; none where the account was erased.
    pub secret: Option<Secret>,
}

#[derive(FromRow)]
struct Row {
    account_id: i64,
    program_id: i16,
    kind: i16,
    id: Uuid,
    unit: i16,
    secret: Vec<u8>,
    sequence: i64,
    available_after: i64,
    held_after: i64,
    pending_after: i64,
    leaf_index: i64,
    commitment: Vec<u8>,
}

/// The accounts behind this number that have an entry below this log size, in the order of their numbers, at most so many;
/// and the number up to which that is all of them, `None` where it is the last.
///
/// An account that has not moved since is read from its balance, the others from the first entry after it, which says what
/// was before: the one before may be archived.
pub async fn mapped_accounts(
    conn: &mut PgConnection,
    keyring: &Keyring,
    log_size: u64,
    after: i64,
    limit: u32,
) -> Result<(Vec<MappedAccount>, Option<i64>), StoreError> {
    let last: Option<i64> = sqlx::query_scalar(
        "select max(account_id)
         from (select account_id from account where account_id > $1 order by account_id limit $2) as page",
    )
    .bind(after)
    .bind(i64::from(limit))
    .fetch_one(&mut *conn)
    .await?;
    let Some(last) = last else { return Ok((Vec::new(), None)) };
    Ok((between(conn, keyring, log_size, after, last).await?, Some(last)))
}

/// What a map of this log size says of one account; `None` where it has no entry below it.
pub async fn mapped_account(
    conn: &mut PgConnection,
    keyring: &Keyring,
    log_size: u64,
    account: Uuid,
) -> Result<Option<MappedAccount>, StoreError> {
    let number: Option<i64> = sqlx::query_scalar("select account_id from account where id = $1")
        .bind(account)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(number) = number else { return Ok(None) };
    Ok(between(conn, keyring, log_size, number - 1, number).await?.pop())
}

/// How accounts stood at a log size. How many of an account's entries are below it is found by halving: a house account
/// may have had any number since. One that is archived counts as below it.
pub(crate) const STOOD: &str =
    "select account.account_id, account.program_id, account.kind, account.id, account.unit, account.secret, stood.*
     from account
     join balance using (account_id)
     cross join lateral (
         select balance.sequence, balance.available as available_after, balance.held as held_after,
             balance.pending as pending_after, balance.last_leaf_index as leaf_index,
             balance.last_commitment as commitment
         where balance.last_leaf_index < $3
         union all
         (select before.*
          from (
              select next.sequence - 1 as sequence, next.available_after - next.available_change as available_after,
                  next.held_after - next.held_change as held_after,
                  next.pending_after - next.pending_change as pending_after,
                  next.previous_leaf_index, next.previous_commitment
              from entry as next
              where balance.last_leaf_index >= $3
                  and next.account_id = account.account_id
                  and next.sequence > (
                      with recursive narrow (low, high) as (
                          select 0::bigint, balance.sequence
                          union all
                          select case when leaf_index < $3 then middle else low end,
                              case when leaf_index < $3 then high else middle - 1 end
                          from narrow
                          cross join lateral (select (low + high + 1) / 2 as middle) as guess
                          cross join lateral (
                              select coalesce((
                                  select entry.leaf_index
                                  from entry
                                  where entry.account_id = account.account_id and entry.sequence = middle
                              ), -1) as leaf_index
                          ) as probe
                          where low < high
                      )
                      select low from narrow where low = high
                  )
              order by next.sequence
              limit 1
          ) as before
          where before.sequence > 0)
     ) as stood
     where account.account_id > $1
         and account.account_id <= $2
     order by account.account_id";

async fn between(
    conn: &mut PgConnection,
    keyring: &Keyring,
    log_size: u64,
    after: i64,
    last: i64,
) -> Result<Vec<MappedAccount>, StoreError> {
    let mut look = archived::look(conn).await?;
    archived::demand_since(&mut look, log_size as i64).await?;
    let rows: Vec<Row> =
        sqlx::query_as(STOOD).bind(after).bind(last).bind(log_size as i64).fetch_all(&mut *look).await?;
    look.rollback().await?;
    rows.into_iter().map(|it| it.read(keyring, log_size)).collect()
}

impl Row {
    fn read(self, keyring: &Keyring, log_size: u64) -> Result<MappedAccount, StoreError> {
        let account = MapAccount { account: self.id.into_bytes(), unit: self.unit as u16, log_size };
        let value = MapValue {
            sequence: self.sequence as u64,
            balances: Balances {
                available: self.available_after,
                held: self.held_after,
                pending: self.pending_after,
            },
            leaf_index: self.leaf_index as u64,
            commitment: hash(&self.commitment)?,
        };
        let secret = match self.secret.is_empty() {
            true => None,
            false => Some(keyring.open(self.id, &self.secret)?),
        };
        let kind = AccountKind::from_i16(self.kind);
        let kind =
            kind.ok_or_else(|| StoreError::Damaged(format!("an account of unknown kind {}", self.kind)))?;
        let Self { account_id, program_id, .. } = self;
        Ok(MappedAccount { account_id, program_id, kind, account, value, secret })
    }
}
