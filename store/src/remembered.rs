//! Balances that were read before and have not changed since.
//!
//! A balance changes with a leaf, nearly always by an entry, and all else that a reader is shown with the epoch of the log's head. So one
//! small statement that asks for these is as good as reading the balances again, whoever committed: what it does not name stands, as
//! of that statement.

use std::collections::HashMap;

use sqlx::{FromRow, PgConnection};

use crate::balances::{self, Row};
use crate::directory::MemberKey;
use crate::error::StoreError;

/// How many names are remembered at most, with what they have: some 50 MB. One more, and it begins anew.
const NAMES_MAX: usize = 1 << 17;
/// Where there are more entries than this to look through, reading again is cheaper.
const ENTRIES_MAX: usize = 1 << 11;

/// What was read before, as one state of the books.
#[derive(Default)]
pub(crate) struct Remembered {
    /// As of when it stands; there is nothing without.
    as_of: Option<Snapshot>,
    names: HashMap<MemberKey, i64>,
    rows: HashMap<i64, Row>,
}

/// A state of the books, and since when its server runs: another one may be restored, and have gone another way since.
#[derive(Clone, Copy, Debug, PartialEq, FromRow)]
pub(crate) struct Snapshot {
    pub(crate) size: i64,
    pub(crate) epoch: i64,
    pub(crate) now_us: i64,
    pub(crate) started_us: i64,
}

impl Snapshot {
    /// Whether this is the same books later, with what operators settle as it was.
    fn follows(&self, earlier: &Self) -> bool {
        (self.epoch, self.started_us) == (earlier.epoch, earlier.started_us) && earlier.size <= self.size
    }
}

/// Of an account that has changed, the last entry is here: archives take only what something else follows. The order has the
/// planner begin at the first of them, whatever it knows of the table.
pub(crate) const CHANGED: &str = concat!(
    "
with ",
    balances::clock!(),
    "
select clock.*, changed.*
from clock
cross join (
    select coalesce(array_agg(account_id), '{}') as accounts, count(distinct leaf_index) as leaves
    from (select leaf_index, account_id from entry where $1 <= leaf_index order by leaf_index limit $2) as after
) as changed
"
);

#[derive(FromRow)]
struct Changed {
    #[sqlx(flatten)]
    as_of: Snapshot,
    accounts: Vec<i64>,
    /// How many leaves they are of.
    leaves: i64,
}

impl Changed {
    /// Whether the entries tell all that has happened since: a leaf without one may be about anybody, as where a member is
    /// suspended.
    fn is_all_since(&self, earlier: &Snapshot) -> bool {
        self.as_of.follows(earlier) && earlier.size + self.leaves == self.as_of.size
    }
}

impl Remembered {
    /// How these members' accounts stand, in their order; `None` where there is no such member.
    pub(crate) async fn read(
        &mut self,
        conn: &mut PgConnection,
        members: &[MemberKey],
    ) -> Result<Vec<Option<Row>>, StoreError> {
        if members.iter().any(|it| self.row(it).is_some()) {
            self.forget_changed(conn).await?;
        }
        let mut rows: Vec<Option<Row>> = members.iter().map(|it| self.row(it)).collect();
        let unknown: Vec<usize> = (0..rows.len()).filter(|it| rows[*it].is_none()).collect();
        if unknown.is_empty() {
            return Ok(rows);
        }
        let asked: Vec<MemberKey> = unknown.iter().map(|it| members[*it].clone()).collect();
        let found = balances::read(conn, &asked).await?;
        for ((at, member), row) in unknown.into_iter().zip(asked).zip(found) {
            if let Some(row) = &row {
                self.remember(member, row);
            }
            rows[at] = row;
        }
        Ok(rows)
    }

    fn row(&self, member: &MemberKey) -> Option<Row> {
        let mut row = self.rows.get(self.names.get(member)?)?.clone();
        row.as_of = self.as_of?;
        Some(row)
    }

    async fn forget_changed(&mut self, conn: &mut PgConnection) -> Result<(), StoreError> {
        let Some(earlier) = self.as_of else { return Ok(()) };
        let changed: Changed =
            sqlx::query_as(CHANGED).bind(earlier.size).bind(ENTRIES_MAX as i64).fetch_one(conn).await?;
        if changed.is_all_since(&earlier) && changed.accounts.len() < ENTRIES_MAX {
            for account in &changed.accounts {
                self.rows.remove(account);
            }
            self.as_of = Some(changed.as_of);
        } else {
            *self = Self::default();
        }
        Ok(())
    }

    /// A row may be of a later state than the rest: what has happened between is then asked for once more, and it is read again.
    fn remember(&mut self, member: MemberKey, row: &Row) {
        let is_of_these = self.as_of.is_some_and(|it| row.as_of.follows(&it));
        if !is_of_these || NAMES_MAX <= self.names.len() {
            *self = Self { as_of: Some(row.as_of), ..Self::default() };
        }
        self.names.insert(member, row.balance.account_id);
        self.rows.insert(row.balance.account_id, row.clone());
    }
}
