//! A walk through all accounts in the order of their numbers: each is folded from its entries and shown together with what
//! the tables say of it, in one snapshot. A snapshot is as short as one page, so the walk may go on beside the service for
//! as long as it takes; it keeps one page of entries and one of accounts in memory.

use std::collections::BTreeMap;

use ledger::{Account, AccountKind, Day, Fund, Reservation};
use proof::Hash;
use sqlx::{Connection, FromRow, PgConnection};
use uuid::Uuid;

use crate::accounts::{BalanceRow, hash};
use crate::directory::Identity;
use crate::error::StoreError;
use crate::fold::{EntryRow, Folded};
use crate::history::History;
use crate::keyring::Secret;
use crate::lots;

/// How many accounts and how many entries are read at a time.
const ACCOUNTS: i64 = 1_000;
const ENTRIES: i64 = 10_000;

/// One snapshot, in which rows are found by their keys: a page is short however long the tables are.
pub(crate) const PAGE: &str = "
begin isolation level repeatable read read only;
set local plan_cache_mode = force_custom_plan;
set local enable_seqscan = off;
set local enable_hashjoin = off;
set local enable_mergejoin = off
";

/// What the tables say of an account.
pub(crate) struct Stored {
    /// Houses of reservations are nil where the account is not known.
    pub(crate) account: Account,
    pub(crate) last: Option<(i64, Hash)>,
    /// Of a house's account, the last local date on which anything can have been counted.
    pub(crate) today: Option<Day>,
}

/// Where a walk stands.
pub(crate) struct Walk {
    /// All accounts up to this number are done.
    done: i64,
    /// The next one, if some of its entries were read already.
    open: Option<Folded>,
    /// Only entries of leaves below this.
    size: i64,
    /// What an operator has settled; read again where it has changed.
    history: History,
    houses: BTreeMap<i64, Uuid>,
}

#[derive(FromRow)]
struct AccountRow {
    id: Uuid,
    kind: i16,
    unit: i16,
    program_id: i16,
    fund_id: Option<i32>,
    budgeted: Option<bool>,
    #[sqlx(flatten)]
    balance: BalanceRow,
}

impl Walk {
    /// A walk through all that stands in the log.
    pub(crate) async fn all(conn: &mut PgConnection) -> Result<Self, StoreError> {
        Self::up_to(conn, i64::MAX).await
    }

    /// A walk through what stood in the log when it had this size. What the tables say is of now.
    pub(crate) async fn up_to(conn: &mut PgConnection, size: i64) -> Result<Self, StoreError> {
        let (history, houses) = (History::read(conn).await?, houses(conn).await?);
        Ok(Self { done: i64::MIN, open: None, size, history, houses })
    }

    /// How far it has come, by the number of the last account.
    pub(crate) fn done(&self) -> i64 {
        self.done
    }

    /// The next accounts, which may be none in one page; `None` when there are no more.
    pub(crate) async fn next(
        &mut self,
        conn: &mut PgConnection,
    ) -> Result<Option<Vec<(Folded, Stored)>>, StoreError> {
        let mut snapshot = conn.begin_with(PAGE).await?;
        let page = self.page(&mut snapshot).await;
        snapshot.rollback().await?;
        page
    }

    async fn page(&mut self, conn: &mut PgConnection) -> Result<Option<Vec<(Folded, Stored)>>, StoreError> {
        if self.history.is_outdated(conn).await? {
            (self.history, self.houses) = (History::read(conn).await?, houses(conn).await?);
        }
        let rows = accounts_after(conn, self.done).await?;
        let upper = if rows.len() < ACCOUNTS as usize {
            i64::MAX
        } else {
            rows.last().expect("it is full").balance.account_id
        };
        let from = self
            .open
            .as_ref()
            .map_or((self.done, i64::MAX), |it| (it.account_id, it.account.sequence as i64));
        let entries = entries_after(conn, from, upper, self.size).await?;
        if rows.is_empty() && entries.is_empty() {
            return Ok(None);
        }
        // Where the page of entries is full, the last account in it may have more.
        let full = entries.len() == ENTRIES as usize;
        let complete = if full { entries.last().expect("it is full").account_id - 1 } else { upper };
        let mut folded: BTreeMap<i64, Folded> = BTreeMap::new();
        for row in &rows {
            let kind = AccountKind::from_i16(row.kind).ok_or_else(|| row.damaged("its kind is unknown"))?;
            let number = row.balance.account_id;
            let mut it = Folded::new(number, row.id, kind, row.unit as u16);
            it.account.fund = row.fund();
            folded.insert(number, it);
        }
        folded.extend(self.open.take().map(|it| (it.account_id, it)));
        for entry in &entries {
            let at = |problem: &str| {
                StoreError::Damaged(format!(
                    "entry {} of account {} at leaf {}: {problem}",
                    entry.sequence, entry.account_id, entry.leaf_index
                ))
            };
            let account =
                folded.get_mut(&entry.account_id).ok_or_else(|| at("the account has no balance"))?;
            account.take(entry, &self.history).map_err(at)?;
        }
        let mut later = folded.split_off(&complete.saturating_add(1));
        self.open = if full { later.remove(&(complete + 1)) } else { None };
        let last = rows.last().map_or(i64::MAX, |it| it.balance.account_id);
        self.done = if full { complete } else { last };
        self.stored(conn, rows, folded).await.map(Some)
    }

    async fn stored(
        &self,
        conn: &mut PgConnection,
        rows: Vec<AccountRow>,
        mut folded: BTreeMap<i64, Folded>,
    ) -> Result<Vec<(Folded, Stored)>, StoreError> {
        let members: Vec<i64> = folded
            .values()
            .filter(|it| it.account.kind == AccountKind::Member)
            .map(|it| it.account_id)
            .collect();
        let mut lots: BTreeMap<i64, BTreeMap<_, _>> = BTreeMap::new();
        for (number, lot, balances) in lots::open_lots(conn, &members).await? {
            lots.entry(number).or_default().insert(lot, balances);
        }
        let mut reservations: BTreeMap<i64, Vec<(Uuid, Reservation)>> = BTreeMap::new();
        let house = |number: i64| Some(self.houses.get(&number).copied().unwrap_or_default());
        for (number, id, reservation) in lots::open_reservations(conn, &members, house).await? {
            reservations.entry(number).or_default().push((id, reservation));
        }
        let now_us: i64 =
            sqlx::query_scalar("select coalesce(max(recorded_at), 0) from log_head").fetch_one(conn).await?;
        let mut pairs = Vec::with_capacity(folded.len());
        for row in rows {
            let number = row.balance.account_id;
            let Some(folded) = folded.remove(&number) else { continue };
            let (mut account, last) = row.read()?;
            account.lots = lots.remove(&number).unwrap_or_default();
            account.reservations = reservations.remove(&number).unwrap_or_default().into_iter().collect();
            let is_house = account.kind != AccountKind::Member;
            let today = is_house.then(|| self.history.latest_day(row.program_id, now_us));
            pairs.push((folded, Stored { account, last, today }));
        }
        Ok(pairs)
    }
}

/// The house's accounts, by their numbers.
async fn houses(conn: &mut PgConnection) -> Result<BTreeMap<i64, Uuid>, StoreError> {
    let houses: Vec<(i64, Uuid)> =
        sqlx::query_as("select account_id, id from account where kind <> 1").fetch_all(conn).await?;
    Ok(houses.into_iter().collect())
}

async fn accounts_after(conn: &mut PgConnection, after: i64) -> Result<Vec<AccountRow>, StoreError> {
    let rows = sqlx::query_as(
        "select account.id, account.kind, account.unit, account.program_id, account.fund_id, fund.budgeted, balance.*
         from balance
         join account using (account_id)
         left join fund on fund.program_id = account.program_id and fund.fund_id = account.fund_id
         where account_id > $1
         order by account_id
         limit $2",
    )
    .bind(after)
    .bind(ACCOUNTS)
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

async fn entries_after(
    conn: &mut PgConnection,
    (account, sequence): (i64, i64),
    upper: i64,
    size: i64,
) -> Result<Vec<EntryRow>, StoreError> {
    let rows = sqlx::query_as(
        "select entry.*, posting.posting_id, posting.program_id, posting.kind, posting.recorded_at, posting.reverses,
             posting.follows,
             posting.body,
             case when entry.held_change <> 0 or entry.pending_change <> 0 then (
                 select account.id
                 from entry as other
                 join account using (account_id)
                 where other.leaf_index = entry.leaf_index and other.ordinal <> entry.ordinal
                 limit 1
             ) end as house,
             case when posting.kind = 8 and entry.lots is null then (
                 select string_agg(
                     int8send(aside.leaf_index) || int8send(aside.recorded_at) || int8send(theirs.held_change), ''::bytea
                 )
                 from posting as aside
                 join entry as theirs on theirs.leaf_index = aside.leaf_index
                 where (aside.posting_id = posting.follows or aside.follows = posting.follows)
                     and aside.program_id = posting.program_id
                     and aside.kind in (7, 16)
                     and aside.leaf_index < entry.leaf_index
                     and aside.leaf_index > coalesce((
                         select max(before.leaf_index)
                         from posting as before
                         where before.follows = posting.follows
                             and before.program_id = posting.program_id
                             and before.kind = 8
                             and before.leaf_index < entry.leaf_index
                     ), -1)
             ) end as set_aside,
             case when posting.kind = 17 and entry.available_change > 0 then (
                 select array[
                     active_day, used_day, earned_day, earned_month, redeemed_day, redeemed_month, transferred_day, transferred_month
                 ]::bigint[]
                 from entry as other
                 join balance using (account_id)
                 where other.leaf_index = entry.leaf_index and other.ordinal <> entry.ordinal
                 limit 1
             ) end as joined
         from entry
         join posting using (leaf_index)
         where (entry.account_id, entry.sequence) > ($1, $2)
             and entry.account_id <= $3
             and entry.leaf_index < $4
         order by entry.account_id, entry.sequence
         limit $5",
    )
    .bind(account)
    .bind(sequence)
    .bind(upper)
    .bind(size)
    .bind(ENTRIES)
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

impl AccountRow {
    fn damaged(&self, problem: &str) -> StoreError {
        StoreError::Damaged(format!("account {}: {problem}", self.balance.account_id))
    }

    fn fund(&self) -> Option<Fund> {
        let number = u32::try_from(self.fund_id?).ok()?;
        Some(Fund { number, budgeted: self.budgeted.unwrap_or_default() })
    }

    fn read(&self) -> Result<(Account, Option<(i64, Hash)>), StoreError> {
        let identity = Identity {
            account_id: self.balance.account_id,
            id: self.id,
            kind: AccountKind::from_i16(self.kind).ok_or_else(|| self.damaged("its kind is unknown"))?,
            unit: self.unit as u16,
            partner: None,
            fund: None,
            // Nothing is opened here.
            secret: Secret::default(),
        };
        let last = match (self.balance.last_leaf_index, &self.balance.last_commitment) {
            (Some(leaf_index), Some(commitment)) => Some((leaf_index, hash(commitment)?)),
            _ => None,
        };
        Ok((self.balance.account(&identity)?, last))
    }
}
