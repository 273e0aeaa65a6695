//! What has happened to an account, as readers see it: its balance at any point of the log, and its history. All of it
//! comes from rows that never change, so none of it takes a lock; since they may be archived meanwhile, it is read in one look.

use ledger::{AccountKind, House, MemberRef, Name};
use proof::{Balances, LotMovement, PostingKind};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::accounts::{self, is_members_account, member_called};
use crate::amounts::Amounts;
use crate::archived;
use crate::error::StoreError;

/// A point of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// When it had so many leaves.
    Size(u64),
    /// At this instant, in microseconds since 1970: after the last leaf that was not recorded after it.
    Instant(i64),
}

/// What an account held at a point of the log. What had fallen due by then shows from the leaf that posted it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its version.
    pub version: u64,
    /// What it held.
    pub balances: Balances,
    /// The leaf of its last entry; `None` before the first.
    pub leaf_index: Option<u64>,
}

/// Which way a history is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// From the oldest on.
    Forward,
    /// From the newest back.
    Backward,
}

/// What one posting did to one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailEntry {
    /// The posting's leaf.
    pub leaf_index: u64,
    /// The account's version after it.
    pub version: u64,
    /// The posting.
    pub posting_id: Uuid,
    /// What it does.
    pub kind: PostingKind,
    /// When it was recorded, in microseconds since 1970.
    pub recorded_at_us: i64,
    /// From when it counts.
    pub effective_at_us: i64,
    /// What it changed.
    pub change: Balances,
    /// What that came to.
    pub after: Balances,
    /// Which lots it moved.
    pub lots: Vec<LotMovement>,
    /// The posting that it undoes.
    pub reverses: Option<Uuid>,
    /// The hold or the pending earning that it goes on from.
    pub follows: Option<Uuid>,
    /// What the merchant calls it.
    pub merchant_reference: Option<String>,
    /// Why it was done.
    pub reason: Option<String>,
    /// What it is about.
    pub description: Option<String>,
}

#[derive(FromRow)]
pub(crate) struct Row {
    pub(crate) leaf_index: i64,
    sequence: i64,
    posting_id: Uuid,
    kind: i16,
    recorded_at: i64,
    effective_at: i64,
    #[sqlx(flatten)]
    amounts: Amounts,
    lots: Option<Vec<u8>>,
    reverses: Option<Uuid>,
    follows: Option<Uuid>,
    merchant_reference: Option<String>,
    reason: Option<String>,
    description: Option<String>,
}

/// The number of the account that is called so; `None` where there is none.
pub async fn account_number(
    conn: &mut PgConnection,
    program_id: i16,
    unit: u16,
    name: &Name,
) -> Result<Option<i64>, StoreError> {
    let (kind, owner) = match name {
        Name::Member(member) => return member_account_number(conn, program_id, unit, member).await,
        Name::House(House::Issuance) => (AccountKind::Issuance, None),
        Name::House(House::Redemption) => (AccountKind::Redemption, None),
        Name::House(House::Breakage) => (AccountKind::Breakage, None),
        Name::House(House::Bridge) => (AccountKind::Bridge, None),
        Name::House(House::Settlement(partner)) => (AccountKind::Settlement, Some(partner.as_str())),
        Name::House(House::Fund(fund)) => (AccountKind::Fund, Some(fund.as_str())),
    };
    let number = sqlx::query_scalar(
        "select account_id
         from account
         left join fund using (program_id, fund_id)
         where program_id = $1
             and unit = $2
             and kind = $3
             and member_id is null
             and coalesce(partner_id, fund.name) is not distinct from $4",
    )
    .bind(program_id)
    .bind(unit as i16)
    .bind(kind as i16)
    .bind(owner)
    .fetch_optional(conn)
    .await?;
    Ok(number)
}

/// There are many members, and each is found by their key.
async fn member_account_number(
    conn: &mut PgConnection,
    program_id: i16,
    unit: u16,
    member: &MemberRef,
) -> Result<Option<i64>, StoreError> {
    let number = sqlx::query_scalar(concat!(
        "select account_id
         from account
         where ",
        is_members_account!("$1", "$4", member_called!("$1", "$2", "$3"))
    ))
    .bind(program_id)
    .bind(accounts::id_of(member))
    .bind(accounts::name_of(member))
    .bind(unit as i16)
    .fetch_optional(conn)
    .await?;
    Ok(number)
}

/// How many leaves the log had at an instant. Recorded times only grow, so the place is found by halving.
pub async fn size_at(conn: &mut PgConnection, instant_us: i64) -> Result<u64, StoreError> {
    let size: i64 = sqlx::query_scalar(
        "with recursive narrow (low, high) as (
             select 0::bigint, size
             from log_head
             union all
             select case when recorded_at <= $1 then middle else low end,
                 case when recorded_at <= $1 then high else middle - 1 end
             from narrow
             cross join lateral (select (low + high + 1) / 2 as middle) as guess
             cross join lateral (
                 -- A leaf that is no posting was made after the posting before it.
                 select greatest(0, (
                     select recorded_at
                     from posting
                     where leaf_index < middle
                     order by leaf_index desc
                     limit 1
                 ), (
                     select recorded_at
                     from archived_posting
                     where leaf_index < middle
                     order by leaf_index desc
                     limit 1
                 )) as recorded_at
             ) as probe
             where low < high
         )
         select low
         from narrow
         where low = high",
    )
    .bind(instant_us)
    .fetch_one(conn)
    .await?;
    Ok(size as u64)
}

/// What the account held at a point of the log.
pub async fn balance_as_of(
    conn: &mut PgConnection,
    account: i64,
    as_of: AsOf,
) -> Result<Standing, StoreError> {
    let mut look = archived::look(conn).await?;
    let standing = standing(&mut look, account, as_of).await?;
    look.rollback().await?;
    Ok(standing)
}

/// What the account held once this posting was recorded, with all that was recorded together with it: a member who is closed loses
/// what they had by what follows.
pub async fn balance_when_recorded(
    conn: &mut PgConnection,
    account: Uuid,
    leaf_index: u64,
) -> Result<Standing, StoreError> {
    let mut look = archived::look(conn).await?;
    let found: Option<(i64, i64)> = sqlx::query_as(
        "select account.account_id, posting.recorded_at
         from account
         cross join posting
         where account.id = $1
             and posting.leaf_index = $2",
    )
    .bind(account)
    .bind(leaf_index as i64)
    .fetch_optional(&mut *look)
    .await?;
    let standing = match found {
        Some((account, recorded_at)) => standing(&mut look, account, AsOf::Instant(recorded_at)).await?,
        None => {
            archived::demand_here(&mut look, leaf_index as i64).await?;
            Standing::default()
        }
    };
    look.rollback().await?;
    Ok(standing)
}

/// The same, within a look.
pub(crate) async fn standing(
    conn: &mut PgConnection,
    account: i64,
    as_of: AsOf,
) -> Result<Standing, StoreError> {
    let size = match as_of {
        AsOf::Size(size) => i64::try_from(size).unwrap_or(i64::MAX),
        AsOf::Instant(us) => size_at(conn, us).await? as i64,
    };
    // An account's entries are numbered without holes, in the order of the log: the place is found by halving, however
    // many there are before or after it. One that is archived counts as before it, and what it came to is what the next
    // one, or the balance, says that there was.
    let row: Option<(i64, i64, i64, i64, i64, bool)> = sqlx::query_as(
        "with recursive narrow (low, high, is_guessed) as (
             select 0::bigint, sequence, false
             from balance
             where account_id = $1
             union all
             select case when leaf_index < $2 then middle else low end,
                 case when leaf_index < $2 then high else middle - 1 end,
                 is_guessed or leaf_index < 0
             from narrow
             cross join lateral (select (low + high + 1) / 2 as middle) as guess
             cross join lateral (
                 select coalesce((
                     select leaf_index
                     from entry
                     where account_id = $1 and sequence = middle
                 ), -1) as leaf_index
             ) as probe
             where low < high
         )
         select coalesce(next.previous_leaf_index, balance.last_leaf_index), low,
             coalesce(next.available_after - next.available_change, balance.available),
             coalesce(next.held_after - next.held_change, balance.held),
             coalesce(next.pending_after - next.pending_change, balance.pending),
             is_guessed
         from narrow
         join balance on balance.account_id = $1
         left join entry as next on next.account_id = $1 and next.sequence = low + 1
         where low = high and low > 0",
    )
    .bind(account)
    .bind(size)
    .fetch_optional(&mut *conn)
    .await?;
    if row.is_some_and(|it| it.5) {
        archived::demand_since(conn, size).await?;
    }
    Ok(row.map_or_else(Standing::default, |(leaf_index, version, available, held, pending, _)| Standing {
        version: version as u64,
        balances: Balances { available, held, pending },
        leaf_index: Some(leaf_index as u64),
    }))
}

/// An account's history by version, at most so much of it: forward what comes after version `from`, backward what comes
/// before it; without one, from the beginning or the end. A page backward ends where archived entries begin; one that would be
/// of those alone, and one forward that would lack any, is refused.
pub async fn history(
    conn: &mut PgConnection,
    account: i64,
    from: Option<u64>,
    order: Order,
    limit: u32,
) -> Result<Vec<TrailEntry>, StoreError> {
    let mut look = archived::look(conn).await?;
    let conn = &mut *look;
    let from = from.map(|it| i64::try_from(it).unwrap_or(i64::MAX));
    let (bounds, direction) = match order {
        Order::Forward => ((from.unwrap_or(0), i64::MAX), "asc"),
        Order::Backward => ((0, from.unwrap_or(i64::MAX)), "desc"),
    };
    let statement = format!(
        "select entry.*, {POSTING}
         from entry
         join posting using (leaf_index)
         where account_id = $1
             and sequence > $2
             and sequence < $3
         order by sequence {direction}
         limit $4"
    );
    let mut rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
        .bind(account)
        .bind(bounds.0)
        .bind(bounds.1)
        .bind(i64::from(limit))
        .fetch_all(&mut *conn)
        .await?;
    match order {
        Order::Forward => {
            let found = rows.iter().map(|it| it.sequence);
            archived::demand_versions(conn, account, bounds.0, found, i64::from(limit)).await?;
        }
        Order::Backward => {
            let newest = rows.first().map_or(0, |it| it.sequence);
            let whole = (0..=newest).rev().zip(&rows).take_while(|(version, it)| *version == it.sequence);
            rows.truncate(whole.count());
            let above = rows.first().map_or(1, |it| it.sequence + 1);
            if above < bounds.1 {
                archived::demand_version(conn, account, above).await?;
            }
        }
    }
    look.rollback().await?;
    rows.into_iter().map(Row::read).collect()
}

/// What of a posting stands beside an entry.
pub(crate) const POSTING: &str =
    "posting.posting_id, posting.kind, posting.recorded_at, posting.effective_at,
    posting.reverses, posting.follows, posting.merchant_reference, posting.reason, posting.description";

impl Row {
    pub(crate) fn read(self) -> Result<TrailEntry, StoreError> {
        let damaged = |_| StoreError::Damaged(format!("leaf {}: its lots cannot be read", self.leaf_index));
        let lots = LotMovement::decode_all(self.lots.as_deref().unwrap_or_default()).map_err(damaged)?;
        Ok(TrailEntry {
            leaf_index: self.leaf_index as u64,
            version: self.sequence as u64,
            posting_id: self.posting_id,
            kind: PostingKind(self.kind as u8),
            recorded_at_us: self.recorded_at,
            effective_at_us: self.effective_at,
            change: self.amounts.change(),
            after: self.amounts.after(),
            lots,
            reverses: self.reverses,
            follows: self.follows,
            merchant_reference: self.merchant_reference,
            reason: self.reason,
            description: self.description,
        })
    }
}
