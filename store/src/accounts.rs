//! Accounts: who is who from rows that never change, and balances under their locks.

use std::collections::{BTreeSet, HashMap};

use ledger::{Account, AccountKind, MemberRef};
use proof::{Balances, Hash};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::error::StoreError;
use crate::keyring::{Keyring, Secret};
use crate::programs::POINTS_UNIT;

/// A member as a program's caller names them.
pub(crate) type MemberKey = (i16, MemberRef);

/// Which account it is: what never changes of it.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) account_id: i64,
    pub(crate) id: Uuid,
    pub(crate) kind: AccountKind,
    pub(crate) secret: Secret,
}

#[derive(FromRow)]
struct IdentityRow {
    ordinal: i64,
    account_id: i64,
    id: Uuid,
    kind: i16,
    secret: Vec<u8>,
}

impl IdentityRow {
    fn open(self, keyring: &Keyring) -> Result<Identity, StoreError> {
        Ok(Identity {
            account_id: self.account_id,
            id: self.id,
            kind: kind(self.kind)?,
            secret: keyring.open(self.id, &self.secret)?,
        })
    }
}

fn kind(kind: i16) -> Result<AccountKind, StoreError> {
    AccountKind::from_i16(kind)
        .ok_or_else(|| StoreError::Damaged(format!("an account of unknown kind {kind}")))
}

/// The accounts of these members. Whoever is not known is missing from the answer.
pub(crate) async fn member_accounts(
    conn: &mut PgConnection,
    keyring: &Keyring,
    members: &[MemberKey],
) -> Result<HashMap<MemberKey, Identity>, StoreError> {
    let mut found = HashMap::new();
    let (by_id, by_name): (Vec<_>, Vec<_>) = members.iter().partition(|it| matches!(it.1, MemberRef::Id(_)));
    if !by_id.is_empty() {
        let ids: Vec<Uuid> = by_id.iter().filter_map(|it| id_of(&it.1)).collect();
        let rows: Vec<IdentityRow> = sqlx::query_as(
            "select wanted.ordinal, account.account_id, account.id, account.kind, account.secret
             from unnest($1::smallint[], $2::uuid[]) with ordinality as wanted (program_id, member_id, ordinal)
             join account on account.program_id = wanted.program_id
                 and account.member_id = wanted.member_id
                 and account.partner_id is null
                 and account.kind = 1
                 and account.unit = $3",
        )
        .bind(programs(&by_id))
        .bind(ids)
        .bind(POINTS_UNIT)
        .fetch_all(&mut *conn)
        .await?;
        collect(rows, &by_id, keyring, &mut found)?;
    }
    if !by_name.is_empty() {
        let names: Vec<&str> = by_name.iter().filter_map(|it| name_of(&it.1)).collect();
        let rows: Vec<IdentityRow> = sqlx::query_as(
            "select wanted.ordinal, account.account_id, account.id, account.kind, account.secret
             from unnest($1::smallint[], $2::text[]) with ordinality as wanted (program_id, external_id, ordinal)
             join member on member.program_id = wanted.program_id
                 and member.external_id = wanted.external_id
             join account on account.program_id = member.program_id
                 and account.member_id = member.member_id
                 and account.partner_id is null
                 and account.kind = 1
                 and account.unit = $3",
        )
        .bind(programs(&by_name))
        .bind(names)
        .bind(POINTS_UNIT)
        .fetch_all(&mut *conn)
        .await?;
        collect(rows, &by_name, keyring, &mut found)?;
    }
    Ok(found)
}

fn collect(
    rows: Vec<IdentityRow>,
    wanted: &[&MemberKey],
    keyring: &Keyring,
    found: &mut HashMap<MemberKey, Identity>,
) -> Result<(), StoreError> {
    for row in rows {
        let key = wanted[row.ordinal as usize - 1].clone();
        found.insert(key, row.open(keyring)?);
    }
    Ok(())
}

fn programs(members: &[&MemberKey]) -> Vec<i16> {
    members.iter().map(|it| it.0).collect()
}

fn id_of(member: &MemberRef) -> Option<Uuid> {
    match member {
        MemberRef::Id(id) => Some(*id),
        MemberRef::External(_) => None,
    }
}

fn name_of(member: &MemberRef) -> Option<&str> {
    match member {
        MemberRef::Id(_) => None,
        MemberRef::External(name) => Some(name),
    }
}

/// Enrols members who are not known yet. Two committers may try at once: the rows are made in one order, the second
/// waits for the first, and both read the same member afterwards.
pub(crate) async fn enrol(
    conn: &mut PgConnection,
    keyring: &Keyring,
    members: &BTreeSet<MemberKey>,
) -> Result<(), StoreError> {
    let account_ids: Vec<Uuid> = members.iter().map(|_| Uuid::new_v4()).collect();
    let secrets: Vec<Vec<u8>> = account_ids.iter().map(|id| keyring.generate(*id)).collect();
    let member_ids: Vec<Uuid> = members.iter().map(|it| id_of(&it.1).unwrap_or_else(Uuid::new_v4)).collect();
    let names: Vec<Option<&str>> = members.iter().map(|it| name_of(&it.1)).collect();
    let keys: Vec<&MemberKey> = members.iter().collect();
    sqlx::query(
        "with wanted as (
             select *
             from unnest($1::smallint[], $2::uuid[], $3::text[], $4::uuid[], $5::bytea[])
                 with ordinality as wanted (program_id, member_id, external_id, id, secret, ordinal)
         ), enrolled as (
             insert into member (program_id, member_id, external_id)
             select program_id, member_id, external_id
             from wanted
             order by ordinal
             on conflict do nothing
             returning program_id, member_id
         ), opened as (
             insert into account (id, program_id, kind, member_id, unit, secret)
             select id, program_id, 1, member_id, $6, secret
             from wanted
             join enrolled using (program_id, member_id)
             returning account_id
         )
         insert into balance (account_id, sequence, available, held, pending)
         select account_id, 0, 0, 0, 0
         from opened",
    )
    .bind(programs(&keys))
    .bind(member_ids)
    .bind(names)
    .bind(account_ids)
    .bind(secrets)
    .bind(POINTS_UNIT)
    .execute(conn)
    .await?;
    Ok(())
}

/// A house account, as requests name it: a kind, and the partner of a settlement account.
pub(crate) type HouseKey = (i16, AccountKind, Option<String>);

/// These house accounts. A partner that is not known is missing from the answer.
pub(crate) async fn house_accounts(
    conn: &mut PgConnection,
    keyring: &Keyring,
    houses: &[HouseKey],
) -> Result<HashMap<HouseKey, Identity>, StoreError> {
    let rows: Vec<IdentityRow> = sqlx::query_as(
        "select wanted.ordinal, account.account_id, account.id, account.kind, account.secret
         from unnest($1::smallint[], $2::smallint[], $3::text[])
             with ordinality as wanted (program_id, kind, partner_id, ordinal)
         join account on account.program_id = wanted.program_id
             and account.member_id is null
             and account.partner_id is not distinct from wanted.partner_id
             and account.kind = wanted.kind
             and account.unit = $4",
    )
    .bind(houses.iter().map(|it| it.0).collect::<Vec<_>>())
    .bind(houses.iter().map(|it| it.1 as i16).collect::<Vec<_>>())
    .bind(houses.iter().map(|it| it.2.as_deref()).collect::<Vec<_>>())
    .bind(POINTS_UNIT)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| Ok((houses[row.ordinal as usize - 1].clone(), row.open(keyring)?))).collect()
}

#[derive(FromRow)]
struct BalanceRow {
    account_id: i64,
    sequence: i64,
    available: i64,
    held: i64,
    pending: i64,
    last_leaf_index: Option<i64>,
    last_commitment: Option<Vec<u8>>,
}

/// Locks the balances of these accounts in account order, and reads them.
pub(crate) async fn lock_balances(
    conn: &mut PgConnection,
    accounts: &HashMap<i64, Identity>,
) -> Result<Vec<Account>, StoreError> {
    let rows: Vec<BalanceRow> = sqlx::query_as(
        "select *
         from balance
         where account_id = any($1)
         order by account_id
         for no key update",
    )
    .bind(accounts.keys().copied().collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| account(row, accounts)).collect()
}

/// Reads the balances of house accounts, which change only under the lock of the log's head: the caller holds it.
pub(crate) async fn read_balances(
    conn: &mut PgConnection,
    accounts: &HashMap<i64, Identity>,
) -> Result<Vec<Account>, StoreError> {
    let rows: Vec<BalanceRow> = sqlx::query_as("select * from balance where account_id = any($1)")
        .bind(accounts.keys().copied().collect::<Vec<_>>())
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(|row| account(row, accounts)).collect()
}

fn account(row: BalanceRow, accounts: &HashMap<i64, Identity>) -> Result<Account, StoreError> {
    let identity = &accounts[&row.account_id];
    let last = match (row.last_leaf_index, row.last_commitment) {
        (Some(leaf_index), Some(commitment)) => Some((leaf_index as u64, hash(&commitment)?)),
        _ => None,
    };
    Ok(Account {
        id: identity.id,
        kind: identity.kind,
        unit: POINTS_UNIT as u16,
        sequence: row.sequence as u64,
        balances: Balances { available: row.available, held: row.held, pending: row.pending },
        last,
    })
}

pub(crate) fn hash(bytes: &[u8]) -> Result<Hash, StoreError> {
    bytes.try_into().map_err(|_| StoreError::Damaged(format!("a hash of {} bytes", bytes.len())))
}
