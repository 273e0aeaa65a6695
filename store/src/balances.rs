//! What a member has, as a decision would find it: a reader is shown what is due as done, whether or not it was posted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ledger::{Account, AccountKind, Day, MemberRef, Moment, Status, Terms};
use sqlx::{Connection, FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::accounts::{self, BalanceRow, is_members_account, member_called};
use crate::directory::{Identity, MemberKey};
use crate::error::StoreError;
use crate::keyring::Secret;
use crate::members::Tier;
use crate::readers::Readers;
use crate::remembered::Snapshot;
use crate::{lots, programs};

/// A member's balance, as of one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberBalance {
    /// The member.
    pub member_id: Uuid,
    /// Whether they take part.
    pub status: Status,
    /// What they have come to, where an operator has settled it.
    pub tier: Option<Tier>,
    /// What can be spent; below zero, what is owed.
    pub available: i64,
    /// What is reserved.
    pub held: i64,
    /// What has not matured.
    pub pending: i64,
    /// The account's version: it grows by one with each change.
    pub sequence: i64,
    /// When it last changed, or the member was enrolled; microseconds since 1970.
    pub updated_at_us: i64,
    /// The last day of the points that end first; `None` where none end.
    pub first_day: Option<Day>,
    /// When that day is over, in microseconds.
    pub first_end_us: Option<i64>,
    /// When it changes by itself, if nothing is done before; `None` where it does not.
    pub next_change_us: Option<i64>,
}

/// A member's account as a decision would find it, with the terms that it would be decided by.
#[derive(Clone, Debug)]
pub struct MemberStanding {
    /// What the member has.
    pub balance: MemberBalance,
    /// The account, lots and reservations included.
    pub account: Account,
    /// The program's terms.
    pub terms: Arc<Terms>,
}

/// The terms of programs, each with the epoch under which they were read.
type KnownTerms = HashMap<i16, (i64, Arc<Terms>)>;

/// Whoever holds one of the locks below only looks up or inserts.
const UNBROKEN: &str = "no reader panics with the lock";

/// Reads balances. Clones share what is known of the programs' terms, and read together.
#[derive(Clone)]
pub struct Reader {
    pool: PgPool,
    readers: Readers,
    terms: Arc<Mutex<KnownTerms>>,
}

/// A member's account, and what tells whether anything is due on it.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub(crate) struct Row {
    pub(crate) ordinal: i64,
    member_id: Uuid,
    tier: Option<String>,
    id: Uuid,
    unit: i16,
    /// When the member was enrolled.
    since_us: i64,
    recorded_at: Option<i64>,
    /// The end of the lot that ends first, and the first instant at which a reservation is due.
    first_day: Option<i32>,
    first_due: Option<i64>,
    #[sqlx(flatten)]
    pub(crate) as_of: Snapshot,
    #[sqlx(flatten)]
    pub(crate) balance: BalanceRow,
}

/// The state of the books as of which a statement reads.
macro_rules! clock {
    () => {
        "clock as materialized (
    select size, epoch,
        greatest(recorded_at, (extract(epoch from clock_timestamp()) * 1000000)::bigint) as now_us,
        (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint as started_us
    from log_head
)"
    };
}
pub(crate) use clock;

/// One statement for all who are asked about. The limits keep the planner from joining the other way round, all accounts with
/// each name.
pub(crate) const READ: &str = concat!(
    "
with ",
    clock!(),
    "
select asked.ordinal, asked.unit, member.member_id, member.tier, member.since_us, account.id, state.*, clock.*
from unnest($1::smallint[], $2::smallint[], $3::uuid[], $4::text[])
    with ordinality as asked (program_id, unit, member_id, external_id, ordinal)
cross join clock
cross join lateral (
    select member_id, tier, (extract(epoch from created_at) * 1000000)::bigint as since_us
    from member
    where member.program_id = asked.program_id
        and member.member_id = ",
    member_called!("asked.program_id", "asked.member_id", "asked.external_id"),
    "
    limit 1
) as member
cross join lateral (
    select account_id, id
    from account
    where ",
    is_members_account!("asked.program_id", "asked.unit", "member.member_id"),
    "
    limit 1
) as account
cross join lateral (
    select balance.*,
        coalesce(
            (select recorded_at from posting where posting.leaf_index = balance.last_leaf_index),
            (select recorded_at from archived_posting where archived_posting.leaf_index = balance.last_leaf_index)
        ) as recorded_at,
        (select min(last_day) from lot where lot.account_id = balance.account_id) as first_day,
        (select min(due_at) from reservation where reservation.account_id = balance.account_id) as first_due
    from balance
    where balance.account_id = account.account_id
    limit 1
) as state
"
);

/// How these members' accounts stand, in their order; `None` where there is no such member.
pub(crate) async fn read(
    conn: &mut PgConnection,
    members: &[MemberKey],
) -> Result<Vec<Option<Row>>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(READ)
        .bind(members.iter().map(|it| it.0).collect::<Vec<_>>())
        .bind(members.iter().map(|it| it.1 as i16).collect::<Vec<_>>())
        .bind(members.iter().map(|it| accounts::id_of(&it.2)).collect::<Vec<_>>())
        .bind(members.iter().map(|it| accounts::name_of(&it.2)).collect::<Vec<_>>())
        .fetch_all(conn)
        .await?;
    let mut found: Vec<Option<Row>> = members.iter().map(|_| None).collect();
    for row in rows {
        let at = row.ordinal as usize - 1;
        found[at] = Some(row);
    }
    Ok(found)
}

impl Reader {
    /// A reader of this database.
    pub fn new(pool: PgPool) -> Self {
        Self { readers: Readers::start(pool.clone()), pool, terms: Arc::default() }
    }

    /// The member's balance in this unit; `None` where there is no such member.
    pub async fn balance(
        &self,
        program_id: i16,
        unit: u16,
        member: &MemberRef,
    ) -> Result<Option<MemberBalance>, StoreError> {
        let Some(row) = self.readers.read((program_id, unit, member.clone())).await? else { return Ok(None) };
        let known = self.known_terms(program_id, row.as_of.epoch);
        if let Some(terms) = &known
            && !row.may_be_due(terms, terms.moment(row.as_of.now_us))
        {
            let account = row.account()?;
            return Ok(Some(row.show(&account, terms)?));
        }
        let mut conn = self.pool.acquire().await?;
        let terms = self.terms(&mut conn, program_id, row.as_of.epoch).await?;
        let settled = self.settled(&mut conn, program_id, unit, member).await?;
        settled.map(|(row, account)| row.show_settled(&account, &terms)).transpose()
    }

    /// The member's account as a decision would find it now, with what it would be decided by; `None` where there is no
    /// such member.
    pub async fn standing(
        &self,
        program_id: i16,
        unit: u16,
        member: &MemberRef,
    ) -> Result<Option<MemberStanding>, StoreError> {
        let mut conn = self.pool.acquire().await?;
        let Some((row, account)) = self.settled(&mut conn, program_id, unit, member).await? else {
            return Ok(None);
        };
        let terms = self.terms(&mut conn, program_id, row.as_of.epoch).await?;
        Ok(Some(MemberStanding { balance: row.show_settled(&account, &terms)?, account, terms }))
    }

    /// The member's account as a decision would find it now, lots and reservations included.
    pub async fn account(
        &self,
        program_id: i16,
        unit: u16,
        member: &MemberRef,
    ) -> Result<Option<Account>, StoreError> {
        let mut conn = self.pool.acquire().await?;
        Ok(self.settled(&mut conn, program_id, unit, member).await?.map(|it| it.1))
    }

    async fn settled(
        &self,
        conn: &mut PgConnection,
        program_id: i16,
        unit: u16,
        member: &MemberRef,
    ) -> Result<Option<(Row, Account)>, StoreError> {
        // One snapshot for the account and all that makes it up.
        let mut transaction = conn.begin_with("begin isolation level repeatable read read only").await?;
        let found = read(&mut transaction, &[(program_id, unit, member.clone())]).await?;
        let Some(row) = found.into_iter().next().flatten() else { return Ok(None) };
        let number = [row.balance.account_id];
        let mut account = row.account()?;
        account.lots =
            lots::open_lots(&mut transaction, &number).await?.into_iter().map(|it| (it.1, it.2)).collect();
        // Which house a reservation is for does not matter to a reader.
        let reservations = lots::open_reservations(&mut transaction, &number, |_| Some(Uuid::nil())).await?;
        account.reservations = reservations.into_iter().map(|it| (it.1, it.2)).collect();
        let terms = self.terms(&mut transaction, program_id, row.as_of.epoch).await?;
        transaction.commit().await?;
        let now = terms.moment(row.as_of.now_us);
        Ok(Some((row, account.when_due(&terms, now))))
    }

    async fn terms(
        &self,
        conn: &mut PgConnection,
        program_id: i16,
        epoch: i64,
    ) -> Result<Arc<Terms>, StoreError> {
        if let Some(terms) = self.known_terms(program_id, epoch) {
            return Ok(terms);
        }
        let terms = Arc::new(programs::terms(conn, program_id).await?);
        self.terms.lock().expect(UNBROKEN).insert(program_id, (epoch, terms.clone()));
        Ok(terms)
    }

    fn known_terms(&self, program_id: i16, epoch: i64) -> Option<Arc<Terms>> {
        let known = self.terms.lock().expect(UNBROKEN).get(&program_id).cloned();
        known.filter(|it| it.0 == epoch).map(|it| it.1)
    }
}

/// The id of this member; `None` where there is no such member.
pub async fn member_id(
    conn: &mut PgConnection,
    program_id: i16,
    external_id: &str,
) -> Result<Option<Uuid>, StoreError> {
    let id = sqlx::query_scalar("select member_id from member where program_id = $1 and external_id = $2")
        .bind(program_id)
        .bind(external_id)
        .fetch_optional(conn)
        .await?;
    Ok(id)
}

impl Row {
    /// Whether something could have fallen due: looked at closely only then.
    fn may_be_due(&self, terms: &Terms, now: Moment) -> bool {
        let ended = self.first_day.is_some_and(|it| it < now.day.number());
        let over = self.first_due.is_some_and(|it| it <= now.us);
        let idle =
            ledger::Day::new(self.balance.active_day).is_some_and(|it| terms.last_idle_day(it) < now.day);
        ended || over || idle
    }

    fn account(&self) -> Result<Account, StoreError> {
        let identity = Identity {
            account_id: self.balance.account_id,
            id: self.id,
            kind: AccountKind::Member,
            unit: self.unit as u16,
            partner: None,
            fund: None,
            // A reader opens nothing.
            secret: Secret::default(),
        };
        self.balance.account(&identity)
    }

    /// What the row says, where nothing is due.
    fn show(&self, account: &Account, terms: &Terms) -> Result<MemberBalance, StoreError> {
        let first_day = self.first_day.and_then(Day::new).filter(|it| *it < Day::NEVER);
        let idle_day = Day::new(self.balance.active_day).map(|it| terms.last_idle_day(it));
        let first_day = first_day.into_iter().chain(idle_day.filter(|it| *it < Day::NEVER)).min();
        let has_points = self.first_day.is_some();
        self.tell(account, terms, first_day.filter(|_| has_points), self.first_due)
    }

    /// What the account says once what is due is done.
    fn show_settled(&self, account: &Account, terms: &Terms) -> Result<MemberBalance, StoreError> {
        let idle_day = terms.last_idle_day(account.active_day);
        let first_day = account.lots.keys().map(|it| it.last_day.min(idle_day)).min();
        let first_due = account.reservations.values().filter_map(|it| it.due_us).min();
        self.tell(account, terms, first_day.filter(|it| *it < Day::NEVER), first_due)
    }

    fn tell(
        &self,
        account: &Account,
        terms: &Terms,
        first_day: Option<Day>,
        first_due: Option<i64>,
    ) -> Result<MemberBalance, StoreError> {
        let first_end_us = first_day.map(|it| terms.end_of(it));
        Ok(MemberBalance {
            first_day,
            first_end_us,
            next_change_us: first_end_us.into_iter().chain(first_due).min(),
            member_id: self.member_id,
            status: account.status,
            tier: Tier::of_row(self.tier.as_deref())?,
            available: account.balances.available,
            held: account.balances.held,
            pending: account.balances.pending,
            sequence: account.sequence as i64,
            updated_at_us: self.recorded_at.unwrap_or(self.since_us),
        })
    }
}
