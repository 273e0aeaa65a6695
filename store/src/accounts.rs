//! Accounts: members' by their names, and every account's state under its lock.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ledger::{Account, Day, MemberRef, Status, Tally, Used};
use proof::{Balances, Hash};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::directory::{Identity, IdentityRow, MemberKey};
use crate::erasure;
use crate::error::StoreError;
use crate::keyring::Keyring;

#[derive(FromRow)]
struct MemberRow {
    ordinal: i64,
    #[sqlx(flatten)]
    identity: IdentityRow,
}

/// The id of the member who has this id or, without one, this name in the program.
macro_rules! member_called {
    ($program:literal, $member_id:literal, $external_id:literal) => {
        concat!(
            "coalesce(",
            $member_id,
            ",
                 (select called.member_id
                  from member as called
                  where called.program_id = ",
            $program,
            " and called.external_id = ",
            $external_id,
            "))"
        )
    };
}
pub(crate) use member_called;

/// Whether `account` is this member's in a unit. It names each column of the key by which accounts are unique, so that one is
/// found by it, not among all of them.
macro_rules! is_members_account {
    ($program:literal, $unit:literal, $($member_id:tt)+) => {
        concat!(
            "account.program_id = ",
            $program,
            "
                 and account.member_id = ",
            $($member_id)+,
            "
                 and account.partner_id is null
                 and account.kind = 1
                 and account.unit = ",
            $unit,
            "
                 and account.fund_id is null"
        )
    };
}
pub(crate) use is_members_account;

/// The accounts of these members. Whoever is not known is missing from the answer.
pub(crate) async fn member_accounts(
    conn: &mut PgConnection,
    keyring: &Keyring,
    members: &[MemberKey],
) -> Result<HashMap<MemberKey, Arc<Identity>>, StoreError> {
    // The limit keeps the planner from joining the other way round, all accounts with each name.
    let rows: Vec<MemberRow> = sqlx::query_as(concat!(
        "select wanted.ordinal, found.*
         from unnest($1::smallint[], $2::smallint[], $3::uuid[], $4::text[])
             with ordinality as wanted (program_id, unit, member_id, external_id, ordinal)
         cross join lateral (
             select account_id, id, kind, unit, secret
             from account
             where ",
        is_members_account!(
            "wanted.program_id",
            "wanted.unit",
            member_called!("wanted.program_id", "wanted.member_id", "wanted.external_id")
        ),
        "
                 -- Who was erased is nobody: without a secret nothing can be posted.
                 and account.secret <> ''
             limit 1
         ) as found"
    ))
    .bind(members.iter().map(|it| it.0).collect::<Vec<_>>())
    .bind(members.iter().map(|it| it.1 as i16).collect::<Vec<_>>())
    .bind(members.iter().map(|it| id_of(&it.2)).collect::<Vec<_>>())
    .bind(members.iter().map(|it| name_of(&it.2)).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    let open = |row: MemberRow| {
        let key = members[row.ordinal as usize - 1].clone();
        Ok((key, Arc::new(row.identity.open(keyring)?)))
    };
    rows.into_iter().map(open).collect()
}

/// The member's account of this number, and of which program it is.
pub(crate) async fn accounts_by_id(
    conn: &mut PgConnection,
    keyring: &Keyring,
    ids: &[Uuid],
) -> Result<Vec<Arc<Identity>>, StoreError> {
    let rows: Vec<IdentityRow> = sqlx::query_as(
        "select account_id, id, kind, unit, secret from account where id = any($1) and kind = 1 and secret <> ''",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| row.open(keyring).map(Arc::new)).collect()
}

pub(crate) fn id_of(member: &MemberRef) -> Option<Uuid> {
    match member {
        MemberRef::Id(id) => Some(*id),
        MemberRef::External(_) => None,
    }
}

pub(crate) fn name_of(member: &MemberRef) -> Option<&str> {
    match member {
        MemberRef::Id(_) => None,
        MemberRef::External(name) => Some(name),
    }
}

/// Those of these members who may be enrolled: whoever was erased is left out.
pub(crate) async fn may_be_enrolled<'a>(
    conn: &mut PgConnection,
    keyring: &Keyring,
    members: &'a BTreeSet<MemberKey>,
) -> Result<Vec<&'a MemberKey>, StoreError> {
    let names: Vec<(i16, &MemberRef)> = members.iter().map(|it| (it.0, &it.2)).collect();
    let erased = erasure::erased_names(conn, &keyring.pepper(), &names).await?;
    Ok(members.iter().enumerate().filter(|it| !erased.contains(&it.0)).map(|it| it.1).collect())
}

/// Enrols members who are not known yet, and opens accounts in units that they have none of. Two committers may try at
/// once: the rows are made in one order, the second waits for the first, and both read the same member afterwards. Whoever
/// was erased is left out. Says whether any account was opened.
pub(crate) async fn enrol(
    conn: &mut PgConnection,
    keyring: &Keyring,
    members: &BTreeSet<MemberKey>,
) -> Result<bool, StoreError> {
    let members = may_be_enrolled(conn, keyring, members).await?;
    let account_ids: Vec<Uuid> = members.iter().map(|_| Uuid::new_v4()).collect();
    let secrets: Vec<Vec<u8>> = account_ids.iter().map(|id| keyring.generate(*id)).collect();
    let member_ids: Vec<Uuid> = members.iter().map(|it| id_of(&it.2).unwrap_or_else(Uuid::new_v4)).collect();
    sqlx::query(
        "insert into member (program_id, member_id, external_id)
         select program_id, member_id, external_id
         from unnest($1::smallint[], $2::uuid[], $3::text[])
             with ordinality as wanted (program_id, member_id, external_id, ordinal)
         order by ordinal
         on conflict do nothing",
    )
    .bind(members.iter().map(|it| it.0).collect::<Vec<_>>())
    .bind(&member_ids)
    .bind(members.iter().map(|it| name_of(&it.2)).collect::<Vec<_>>())
    .execute(&mut *conn)
    .await?;
    // In a statement of its own, which sees the members that another has just enrolled.
    let opened = sqlx::query(
        "with wanted as (
             select wanted.program_id, wanted.unit, wanted.id, wanted.secret, wanted.ordinal,
                 coalesce(named.member_id, wanted.member_id) as member_id
             from unnest($1::smallint[], $2::smallint[], $3::uuid[], $4::text[], $5::uuid[], $6::bytea[])
                 with ordinality as wanted (program_id, unit, member_id, external_id, id, secret, ordinal)
             left join member as named on named.program_id = wanted.program_id
                 and named.external_id = wanted.external_id
         ), opened as (
             insert into account (id, program_id, kind, member_id, unit, secret)
             select id, program_id, 1, member_id, unit, secret
             from wanted
             order by ordinal
             on conflict do nothing
             returning account_id
         )
         insert into balance (account_id, sequence, available, held, pending)
         select account_id, 0, 0, 0, 0
         from opened",
    )
    .bind(members.iter().map(|it| it.0).collect::<Vec<_>>())
    .bind(members.iter().map(|it| it.1 as i16).collect::<Vec<_>>())
    .bind(&member_ids)
    .bind(members.iter().map(|it| name_of(&it.2)).collect::<Vec<_>>())
    .bind(account_ids)
    .bind(secrets)
    .execute(conn)
    .await?;
    Ok(0 < opened.rows_affected())
}

/// An account's state, and the last entry, which the next one names.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) account: Account,
    pub(crate) last: Option<(u64, Hash)>,
}

/// A row of the table `balance`: the fields are the columns, in their order.
#[derive(Clone, Debug, PartialEq, FromRow, sqlx::Type)]
#[sqlx(type_name = "balance")]
pub(crate) struct BalanceRow {
    pub(crate) account_id: i64,
    sequence: i64,
    pub(crate) available: i64,
    held: i64,
    pending: i64,
    pub(crate) last_leaf_index: Option<i64>,
    pub(crate) last_commitment: Option<Hash>,
    status: i16,
    pub(crate) active_day: i32,
    used_day: i32,
    earned_day: i64,
    earned_month: i64,
    redeemed_day: i64,
    redeemed_month: i64,
    transferred_day: i64,
    transferred_month: i64,
}

/// Locks the balances of these accounts in account order, and reads them.
pub(crate) async fn lock_balances(
    conn: &mut PgConnection,
    accounts: &HashMap<i64, Arc<Identity>>,
) -> Result<Vec<State>, StoreError> {
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
    rows.into_iter().map(|row| row.read(accounts)).collect()
}

/// Reads the balances of house accounts, which change only under the lock of the log's head: the caller holds it.
pub(crate) async fn read_balances(
    conn: &mut PgConnection,
    accounts: &HashMap<i64, Arc<Identity>>,
) -> Result<Vec<State>, StoreError> {
    let rows: Vec<BalanceRow> = sqlx::query_as("select * from balance where account_id = any($1)")
        .bind(accounts.keys().copied().collect::<Vec<_>>())
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(|row| row.read(accounts)).collect()
}

impl BalanceRow {
    fn read(self, accounts: &HashMap<i64, Arc<Identity>>) -> Result<State, StoreError> {
        let identity = &accounts[&self.account_id];
        let last = self.last_leaf_index.zip(self.last_commitment).map(|it| (it.0 as u64, it.1));
        Ok(State { account: self.account(identity)?, last })
    }

    /// The row of an account as it stands now, with its last entry.
    pub(crate) fn of(account_id: i64, account: &Account, last: Option<&(u64, Hash)>) -> Self {
        let [earned, redeemed, transferred] = account.used.tallies;
        Self {
            account_id,
            sequence: account.sequence as i64,
            available: account.balances.available,
            held: account.balances.held,
            pending: account.balances.pending,
            last_leaf_index: last.map(|it| it.0 as i64),
            last_commitment: last.map(|it| it.1),
            status: account.status as i16,
            active_day: account.active_day.number(),
            used_day: account.used.day.number(),
            earned_day: earned.day,
            earned_month: earned.month,
            redeemed_day: redeemed.day,
            redeemed_month: redeemed.month,
            transferred_day: transferred.day,
            transferred_month: transferred.month,
        }
    }

    /// The account without its lots and reservations.
    pub(crate) fn account(&self, identity: &Identity) -> Result<Account, StoreError> {
        let damaged = |what| StoreError::Damaged(format!("account {}: {what}", self.account_id));
        let day = |number| Day::new(number).ok_or_else(|| damaged("a day that is none"));
        let tally = |day, month| Tally { day, month };
        let mut account = Account::new(identity.id, identity.kind, identity.unit);
        account.partner = identity.partner.clone();
        account.fund = identity.fund;
        account.status = Status::from_i16(self.status).ok_or_else(|| damaged("an unknown status"))?;
        account.sequence = self.sequence as u64;
        account.balances = Balances { available: self.available, held: self.held, pending: self.pending };
        account.active_day = day(self.active_day)?;
        account.used = Used {
            day: day(self.used_day)?,
            tallies: [
                tally(self.earned_day, self.earned_month),
                tally(self.redeemed_day, self.redeemed_month),
                tally(self.transferred_day, self.transferred_month),
            ],
        };
        Ok(account)
    }
}

/// The number of the last of so many accounts after this one, of all programs; none where there are no more.
pub(crate) async fn page_end(
    conn: &mut PgConnection,
    after: i64,
    accounts: i64,
) -> Result<Option<i64>, StoreError> {
    let last: Option<i64> = sqlx::query_scalar(
        "select max(account_id)
         from (select account_id from account where account_id > $1 order by account_id limit $2) as page",
    )
    .bind(after)
    .bind(accounts)
    .fetch_one(conn)
    .await?;
    Ok(last)
}

pub(crate) fn hash(bytes: &[u8]) -> Result<Hash, StoreError> {
    bytes.try_into().map_err(|_| StoreError::Damaged(format!("a hash of {} bytes", bytes.len())))
}
