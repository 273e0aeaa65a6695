//! Statements: what an account held before a period, what counted in it, and what it held after it. They go by the time
//! from which a posting counts, not by when it was recorded: what is recorded late stands in the period that it belongs to.

use proof::Balances;
use sqlx::PgConnection;

use crate::archived;
use crate::error::StoreError;
use crate::trail::{AsOf, POSTING, Row, TrailEntry, size_at, standing};

/// How many entries are looked at at a time: no statement takes longer because there are more of them.
const ENTRIES: i64 = 10_000;

/// An account's statement of a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What counted before the period.
    pub opening: Balances,
    /// What counted in it, by when it did; at most as many lines as were asked for.
    pub lines: Vec<TrailEntry>,
    /// Where the next page begins, if there is more: effective time and version of the last line.
    pub next: Option<(i64, u64)>,
    /// What counted up to its end.
    pub closing: Balances,
    /// Of which size of the log this is true. Of a closed period it stays true.
    pub log_size: u64,
}

/// The account's statement from one instant to before another, in microseconds since 1970, as the log knows it now. `after`
/// is where the page before ended.
pub async fn statement(
    conn: &mut PgConnection,
    account: i64,
    (from_us, to_us): (i64, i64),
    after: Option<(i64, u64)>,
    limit: u32,
) -> Result<Statement, StoreError> {
    let mut look = archived::look(conn).await?;
    let conn = &mut *look;
    let log_size = crate::log_size(conn).await?;
    // Nothing counts later than it is recorded: what was recorded before the period counted before it, and is summed up
    // in one entry. Only what was recorded since is looked at.
    let begin = size_at(conn, from_us.saturating_sub(1)).await?;
    let before = standing(conn, account, AsOf::Size(begin)).await?;
    let since = Since { account, version: before.version as i64, log_size: log_size as i64 };
    let late = since.sum(conn, (i64::MIN, from_us), ENTRIES).await?;
    let within = since.sum(conn, (from_us, to_us), ENTRIES).await?;
    let opening = add(before.balances, late);
    let mut lines = since.lines(conn, (from_us, to_us), after, limit as usize + 1, ENTRIES).await?;
    look.rollback().await?;
    let more = lines.len() > limit as usize;
    lines.truncate(limit as usize);
    let next = lines.last().filter(|_| more).map(|it| (it.effective_at_us, it.version));
    Ok(Statement { opening, lines, next, closing: add(opening, within), log_size })
}

/// An account's entries after a version, up to a size of the log.
pub(crate) struct Since {
    pub(crate) account: i64,
    pub(crate) version: i64,
    pub(crate) log_size: i64,
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
                     and leaf_index < $4
                     and effective_at >= $5
                     and effective_at < $6",
            )
            .bind(self.account)
            .bind(done)
            .bind(done + entries)
            .bind(self.log_size)
            .bind(from_us)
            .bind(to_us)
            .fetch_one(&mut *conn)
            .await?;
            sum = add(sum, Balances { available, held, pending });
            done += entries;
        }
        Ok(sum)
    }

    /// The first of them that count from one instant to before another, and after a line, by when they do; looked for among so many
    /// entries at a time.
    pub(crate) async fn lines(
        &self,
        conn: &mut PgConnection,
        (from_us, to_us): (i64, i64),
        after: Option<(i64, u64)>,
        limit: usize,
        entries: i64,
    ) -> Result<Vec<TrailEntry>, StoreError> {
        let last = self.last(conn).await?;
        let after = after.unwrap_or((i64::MIN, 0));
        let statement = format!(
            "select entry.*, {POSTING}
             from entry
             join posting using (leaf_index)
             where account_id = $1
                 and sequence > $2
                 and sequence <= $3
                 and leaf_index < $4
                 and effective_at >= $5
                 and effective_at < $6
                 and (effective_at, sequence) > ($7, $8)
             order by effective_at, sequence
             limit $9"
        );
        let mut lines: Vec<TrailEntry> = Vec::new();
        let mut done = self.version;
        while done < last {
            let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(statement.as_str()))
                .bind(self.account)
                .bind(done)
                .bind(done + entries)
                .bind(self.log_size)
                .bind(from_us)
                .bind(to_us)
                .bind(after.0)
                .bind(after.1 as i64)
                .bind(limit as i64)
                .fetch_all(&mut *conn)
                .await?;
            for row in rows {
                lines.push(row.read()?);
            }
            lines.sort_unstable_by_key(|it| (it.effective_at_us, it.version));
            lines.truncate(limit);
            done += entries;
        }
        Ok(lines)
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
