//! The sweep: posts what has fallen due on accounts that nobody asks about. Every decision posts it first by itself, so no
//! balance depends on a sweep; it serves idle accounts, and whoever adds all accounts up.
//!
//! There is nothing to remember: what is due is found by looking, so a sweep that was cut off is simply begun again, and
//! two at once only do some of the looking twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use futures::future::join_all;
use ledger::{Command, Day, Item, Moment, Request, Terms};
use proof::Details;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::committer::{Committer, SubmitError};
use crate::error::StoreError;
use crate::{outcomes, programs};

/// How many lots or reservations are looked up, and their accounts settled, at a time: less than a batch, so that live
/// requests find room in it.
const PAGE: i64 = 500;
/// How many accounts are looked through for idle ones at a time. They are found without an index: one on the day of the
/// last activity would have to change with every posting.
const STRIDE: i64 = 20_000;

/// Posts what has fallen due, account by account.
pub struct Sweep {
    pool: PgPool,
    committer: Committer,
    pace: Pace,
    /// Under which epoch and on which day a program's idle accounts were last looked for: once is enough for both.
    idle_done: HashMap<i16, (i64, Day)>,
}

/// How hard a sweep works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// One page after the other.
    Full,
    /// After each page it rests for as long as the page took, which is longer the more others have to do.
    Gentle,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Accounts that were settled.
    pub accounts: u64,
    /// Postings that had fallen due on them.
    pub postings: u64,
}

/// What members have who have been idle for too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdleLoss {
    /// How many accounts of theirs have something.
    pub accounts: u64,
    /// How much it is, in smallest units.
    pub points: i64,
}

/// What the members of a program would lose at once under these terms, since they have been idle for too long.
pub async fn idle_loss(
    conn: &mut PgConnection,
    program_id: i16,
    terms: &Terms,
) -> Result<IdleLoss, StoreError> {
    let now = terms.moment(Programs::read(conn).await?.now_us);
    let idle_before = first_active_day(terms, now.day);
    let mut loss = IdleLoss::default();
    if idle_before == Day::default() {
        return Ok(loss);
    }
    for first in (0..=last_account(conn).await?).step_by(STRIDE as usize) {
        let (accounts, points): (i64, i64) = sqlx::query_as(
            "select count(*), coalesce(sum(balance.available), 0)::bigint
             from balance
             join account using (account_id)
             where account.program_id = $1
                 and balance.account_id >= $2
                 and balance.account_id < $3
                 and balance.available > 0
                 and balance.active_day < $4
                 and account.kind = 1",
        )
        .bind(program_id)
        .bind(first)
        .bind(first + STRIDE)
        .bind(idle_before.number())
        .fetch_one(&mut *conn)
        .await?;
        loss.accounts += accounts.unsigned_abs();
        loss.points = loss.points.saturating_add(points);
    }
    Ok(loss)
}

/// Why a sweep ended before everything was settled. What was settled stays so; the next sweep finds the rest.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The database could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An account could not be settled.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

/// An account on which something is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, FromRow)]
struct DueAccount {
    id: Uuid,
    program_id: i16,
    unit: i16,
}

/// What is due, in the order in which it is looked for.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Lots,
    Reservations,
}

/// The programs at one instant.
struct Programs {
    now_us: i64,
    epoch: i64,
    by_id: BTreeMap<i16, (Terms, Moment)>,
}

impl Sweep {
    /// A sweep of this database, which hands what it finds to this committer.
    pub fn new(pool: PgPool, committer: Committer, pace: Pace) -> Self {
        Self { pool, committer, pace, idle_done: HashMap::new() }
    }

    /// Settles every account on which something is due now.
    pub async fn pass(&mut self) -> Result<Swept, SweepError> {
        let programs = Programs::read(&mut *self.connection().await?).await?;
        let mut swept = Swept::default();
        for kind in [Kind::Reservations, Kind::Lots] {
            self.settle_all(kind, &programs, &mut swept).await?;
        }
        self.settle_idle(&programs, &mut swept).await?;
        self.forget_refusals(programs.now_us).await?;
        Ok(swept)
    }

    /// Forgets the refusals whose time is over: asked again under the same key, the request is decided anew.
    async fn forget_refusals(&self, now_us: i64) -> Result<(), SweepError> {
        loop {
            let begun = Instant::now();
            let forgotten = outcomes::forget_refusals(&mut *self.connection().await?, now_us, PAGE).await?;
            if forgotten < PAGE as u64 {
                return Ok(());
            }
            self.rest(begun).await;
        }
    }

    async fn settle_all(&self, kind: Kind, programs: &Programs, swept: &mut Swept) -> Result<(), SweepError> {
        let mut before = BTreeSet::new();
        loop {
            let begun = Instant::now();
            let found = match kind {
                Kind::Lots => expired_lots(&mut *self.connection().await?, programs).await?,
                Kind::Reservations => over_reservations(&mut *self.connection().await?, programs).await?,
            };
            let found: BTreeSet<DueAccount> = found.into_iter().collect();
            let postings = self.settle(&found, swept).await?;
            // What is settled is not found again. Where it is, and nothing was posted, it cannot be settled by us: the
            // check of the books will say what is wrong with it.
            if found.is_empty() || (postings == 0 && found == before) {
                return Ok(());
            }
            before = found;
            self.rest(begun).await;
        }
    }

    /// Of the programs whose members lose their points when they are idle, those who are.
    async fn settle_idle(&mut self, programs: &Programs, swept: &mut Swept) -> Result<(), SweepError> {
        let mut idle_before = BTreeMap::new();
        for (id, (terms, now)) in &programs.by_id {
            let done = self.idle_done.get(id) == Some(&(programs.epoch, now.day));
            let day = first_active_day(terms, now.day);
            if !done && day != Day::default() {
                idle_before.insert(*id, day);
            }
        }
        if idle_before.is_empty() {
            return Ok(());
        }
        let last = last_account(&mut *self.connection().await?).await?;
        for first in (0..=last).step_by(STRIDE as usize) {
            let begun = Instant::now();
            let found = idle_accounts(&mut *self.connection().await?, &idle_before, first).await?;
            for page in found.chunks(PAGE as usize) {
                self.settle(page, swept).await?;
            }
            self.rest(begun).await;
        }
        let done = idle_before.keys().map(|id| (*id, (programs.epoch, programs.by_id[id].1.day)));
        self.idle_done.extend(done);
        Ok(())
    }

    /// Settles these accounts together, and says how much was posted.
    async fn settle(
        &self,
        accounts: impl IntoIterator<Item = &DueAccount>,
        swept: &mut Swept,
    ) -> Result<u64, SweepError> {
        let answers = join_all(accounts.into_iter().map(|it| self.committer.submit(settlement(it)))).await;
        let (mut settled, mut postings) = (0, 0);
        for answer in answers {
            let answer = answer?;
            // The answer's place in the log is behind all that was due.
            let due = answer.outcome.map_or(0, |items| items[0].leaf_index - answer.log_size);
            settled += u64::from(0 < due);
            postings += due;
        }
        metrics::counter!("daftari_sweep_postings_total").increment(postings);
        swept.accounts += settled;
        swept.postings += postings;
        Ok(postings)
    }

    async fn rest(&self, begun: Instant) {
        if self.pace == Pace::Gentle {
            tokio::time::sleep(begun.elapsed()).await;
        }
    }

    async fn connection(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Postgres>, StoreError> {
        Ok(self.pool.acquire().await?)
    }
}

fn settlement(account: &DueAccount) -> Request {
    let command = Command::Settle { account: account.id };
    let item = Item { posting_id: Uuid::nil(), command, details: Details::default() };
    let request = Request::one(account.program_id, "sweep".to_owned(), String::new(), item);
    Request { unit: account.unit as u16, ..request }
}

/// The first day on which a member must have been active so as not to be idle on this one; the first of all days where
/// idle members lose nothing.
fn first_active_day(terms: &Terms, today: Day) -> Day {
    let is_idle = |number: i32| Day::new(number).is_some_and(|it| terms.last_idle_day(it) < today);
    // A later day is never idle where an earlier one is not.
    let (mut idle, mut active) = (0, today.number());
    if !is_idle(idle) {
        return Day::default();
    }
    while idle + 1 < active {
        let middle = idle + (active - idle) / 2;
        if is_idle(middle) { idle = middle } else { active = middle }
    }
    Day::new(active).unwrap_or(today)
}

impl Programs {
    async fn read(conn: &mut PgConnection) -> Result<Self, StoreError> {
        let (now_us, epoch): (i64, i64) = sqlx::query_as(
            "select greatest(recorded_at, (extract(epoch from clock_timestamp()) * 1000000)::bigint), epoch
             from log_head",
        )
        .fetch_one(&mut *conn)
        .await?;
        let ids: Vec<i16> =
            sqlx::query_scalar("select program_id from program").fetch_all(&mut *conn).await?;
        let mut by_id = BTreeMap::new();
        for id in ids {
            let terms = programs::terms(conn, id).await?;
            // By the log's clock: a sandbox's that was moved would have every other program's accounts looked at. What is due there is
            // done at the next request, and shown before.
            let now = terms.moment(now_us - terms.ahead_us);
            by_id.insert(id, (terms, now));
        }
        Ok(Self { now_us, epoch, by_id })
    }
}

/// Accounts of lots whose last day is over, those that ended first before the others. What is on hold does not expire. A lot that is
/// no member's is damage, which `books check` names: it would be found again and again, and fill a page.
pub(crate) const EXPIRED_LOTS: &str = "
    select account.id, account.program_id, account.unit
    from lot
    -- The limit keeps the planner from reading all accounts.
    cross join lateral (select * from account where account.account_id = lot.account_id limit 1) as account
    join unnest($1::smallint[], $2::integer[]) as program (program_id, today) using (program_id)
    where lot.last_day < 2147483647
        and lot.last_day < $3
        and lot.last_day < program.today
        and lot.available > 0
        and account.kind = 1
    order by lot.last_day
    limit $4";

async fn expired_lots(conn: &mut PgConnection, programs: &Programs) -> Result<Vec<DueAccount>, StoreError> {
    let today: Vec<i32> = programs.by_id.values().map(|it| it.1.day.number()).collect();
    let accounts = sqlx::query_as(EXPIRED_LOTS)
        .bind(programs.by_id.keys().copied().collect::<Vec<_>>())
        .bind(&today)
        .bind(today.iter().max().copied().unwrap_or_default())
        .bind(PAGE)
        .fetch_all(conn)
        .await?;
    Ok(accounts)
}

/// Accounts of holds that have lapsed and of earnings that have matured, of members as with lots.
async fn over_reservations(
    conn: &mut PgConnection,
    programs: &Programs,
) -> Result<Vec<DueAccount>, StoreError> {
    let accounts = sqlx::query_as(
        "select account.id, account.program_id, account.unit
         from reservation
         cross join lateral (select * from account where account.account_id = reservation.account_id limit 1) as account
         where due_at <= $1
             and account.kind = 1
         order by due_at
         limit $2",
    )
    .bind(programs.now_us)
    .bind(PAGE)
    .fetch_all(conn)
    .await?;
    Ok(accounts)
}

async fn last_account(conn: &mut PgConnection) -> Result<i64, StoreError> {
    let last = sqlx::query_scalar("select coalesce(max(account_id), 0) from balance").fetch_one(conn).await?;
    Ok(last)
}

/// Of the accounts from this one on, as many as are looked through at a time, those of members who were last active
/// before their program's day and have something to lose.
async fn idle_accounts(
    conn: &mut PgConnection,
    idle_before: &BTreeMap<i16, Day>,
    first: i64,
) -> Result<Vec<DueAccount>, StoreError> {
    let accounts = sqlx::query_as(
        "select account.id, account.program_id, account.unit
         from balance
         cross join lateral (select * from account where account.account_id = balance.account_id limit 1) as account
         join unnest($1::smallint[], $2::integer[]) as program (program_id, idle_before) using (program_id)
         where balance.account_id >= $3
             and balance.account_id < $4
             and balance.available > 0
             and balance.active_day < program.idle_before
             and account.kind = 1",
    )
    .bind(idle_before.keys().copied().collect::<Vec<_>>())
    .bind(idle_before.values().map(|it| it.number()).collect::<Vec<_>>())
    .bind(first)
    .bind(first + STRIDE)
    .fetch_all(conn)
    .await?;
    Ok(accounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The day that is searched for agrees with the core's own question, asked of every day.
    #[test]
    fn idle_members_are_those_whom_the_core_calls_idle() {
        let today = Day::parse("2026-03-01").unwrap();
        for expiry in [
            r#""never""#,
            r#"{"inactivity":{"months":18}}"#,
            r#"{"inactivity":{"days":1}}"#,
            r#"{"inactivity":{"months":1,"days":3}}"#,
            r#"{"inactivity":{"months":700}}"#,
        ] {
            let terms = Terms::parse(format!(r#"{{"expiry":{expiry}}}"#).as_bytes()).unwrap();
            let first = first_active_day(&terms, today);
            for number in 0..=today.number() {
                let day = Day::new(number).unwrap();
                assert_eq!(day < first, terms.last_idle_day(day) < today, "{expiry}: {day}");
            }
        }
    }
}
