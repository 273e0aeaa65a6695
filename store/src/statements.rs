//! Statements: what an account held before a period, what counted in it, and what it held after it. They go by the time
//! from which a posting counts, not by when it was recorded: what is recorded late stands in the period that it belongs to.

use proof::Balances;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::archived;
use crate::error::StoreError;
use crate::trail::{AsOf, POSTING, Row, TrailEntry, size_at, standing};

/// How many entries are summed up at a time: no sum takes longer because there are more of them.
const ENTRIES: i64 = 10_000;

/// An account's statement of a period, true of one size of the log, however long its lines are read.
#[derive(Debug)]
pub struct Statement<'c> {
    /// What counted before the period.
    pub opening: Balances,
    /// What counted up to its end.
    pub closing: Balances,
    /// Of which size of the log this is true. Of a closed period it stays true.
    pub log_size: u64,
    conn: &'c mut PgConnection,
}

/// The account's statement from one instant to before another, in microseconds since 1970, as the log knows it now.
pub async fn statement(
    conn: &mut PgConnection,
    account: i64,
    (from_us, to_us): (i64, i64),
) -> Result<Statement<'_>, StoreError> {
    let mut look = archived::look(conn).await?;
    let log_size = crate::log_size(&mut look).await?;
    // Nothing counts later than it is recorded: what was recorded before the period counted before it, and is summed up
    // in one entry. Only what was recorded since is looked at.
    let begin = size_at(&mut look, from_us.saturating_sub(1)).await?;
    let before = standing(&mut look, account, AsOf::Size(begin)).await?;
    let since = Since { account, version: before.version as i64 };
    let opening = add(before.balances, since.sum(&mut look, (i64::MIN, from_us), ENTRIES).await?);
    let closing = add(opening, since.sum(&mut look, (from_us, to_us), ENTRIES).await?);
    since.put_in_order(&mut look, (from_us, to_us)).await?;
    // Here the server puts the lines in order.
    look.commit().await?;
    Ok(Statement { opening, closing, log_size, conn })
}

impl Statement<'_> {
    /// Its next lines, by when they count, at most so many and at least one; none when there are no more.
    pub async fn next(&mut self, limit: u32) -> Result<Vec<TrailEntry>, StoreError> {
        let fetch = format!("fetch forward {limit} from statement_line");
        let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(fetch)).fetch_all(&mut *self.conn).await?;
        rows.into_iter().map(Row::read).collect()
    }
}

/// An account's entries after a version that count from one instant to before another, by when they do.
pub(crate) fn lines() -> String {
    format!(
        "select entry.*, {POSTING}
         from entry
         join posting using (leaf_index)
         where account_id = $1
             and sequence > $2
             and effective_at >= $3
             and effective_at < $4
         order by effective_at, sequence"
    )
}

/// An account's entries after a version.
pub(crate) struct Since {
    pub(crate) account: i64,
    pub(crate) version: i64,
}

impl Since {
    /// What they come to that count from one instant to before another, summed up so many entries at a time.
    pub(crate) async fn sum(
        &self,
        conn: &mut PgConnection,
        (from_us, to_us): (i64, i64),
        entries: i64,
    ) -> Result<Balances, StoreError> {
        let last = self.last(conn).await?;
        let mut sum = Balances::default();
        let mut done = self.version;
        while done < last {
            let (available, held, pending): (i64, i64, i64) = sqlx::query_as(
                "select coalesce(sum(available_change), 0)::bigint,
                     coalesce(sum(held_change), 0)::bigint,
                     coalesce(sum(pending_change), 0)::bigint
                 from entry
                 join posting using (leaf_index)
                 where account_id = $1
                     and sequence > $2
                     and sequence <= $3
                     and effective_at >= $4
                     and effective_at < $5",
            )
            .bind(self.account)
            .bind(done)
            .bind(done + entries)
            .bind(from_us)
            .bind(to_us)
            .fetch_one(&mut *conn)
            .await?;
            sum = add(sum, Balances { available, held, pending });
            done += entries;
        }
        Ok(sum)
    }

    /// Has the server keep those in order that count from one instant to before another. No index has their order, so they are
    /// sorted once, when the look is over, into a temporary file; then no snapshot stands, however slowly they are read.
    async fn put_in_order(
        &self,
        conn: &mut PgConnection,
        (from_us, to_us): (i64, i64),
    ) -> Result<(), StoreError> {
        // An earlier statement's, whether or not it was read to its end.
        sqlx::query("close all").execute(&mut *conn).await?;
        // It takes longer the more there are.
        sqlx::query("set local statement_timeout = 0").execute(&mut *conn).await?;
        let declare = format!("declare statement_line no scroll cursor with hold for {}", lines());
        sqlx::query(AssertSqlSafe(declare))
            .bind(self.account)
            .bind(self.version)
            .bind(from_us)
            .bind(to_us)
            .execute(conn)
            .await?;
        Ok(())
    }

    /// The account's last version.
    async fn last(&self, conn: &mut PgConnection) -> Result<i64, StoreError> {
        let last = sqlx::query_scalar("select coalesce(max(sequence), 0) from entry where account_id = $1")
            .bind(self.account)
            .fetch_one(conn)
            .await?;
        Ok(last)
    }
}

fn add(one: Balances, other: Balances) -> Balances {
    Balances {
        available: one.available + other.available,
        held: one.held + other.held,
        pending: one.pending + other.pending,
    }
}
