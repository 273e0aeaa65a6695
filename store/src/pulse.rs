//! Whether this process can commit: for whoever asks how it is doing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::time::MissedTickBehavior;

use crate::committer::ATTEMPT_TIME_MAX;
use crate::guard::Guard;
use crate::warnings::Warnings;

/// A commit that has waited for longer is no slow one: PostgreSQL, its standby or the way to them does not answer.
const WAIT_TIME_MAX: Duration = Duration::from_secs(5);
/// How often it is tried whether commits come to an end again.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// What is known of a process's attempts to commit. Clones know the same.
#[derive(Clone, Default)]
pub(crate) struct Pulse(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// Since when each attempt that is under way has been.
    under_way: Vec<Instant>,
    /// Since when the first of those waited that were given up; nothing has been committed after them.
    given_up: Option<Instant>,
}

/// An attempt that is under way until this is dropped.
pub(crate) struct Attempt {
    pulse: Pulse,
    since: Instant,
    is_answered: bool,
}

impl Pulse {
    pub(crate) fn begin(&self) -> Attempt {
        self.begin_at(Instant::now())
    }

    pub(crate) fn begin_at(&self, since: Instant) -> Attempt {
        self.lock().under_way.push(since);
        Attempt { pulse: self.clone(), since, is_answered: false }
    }

    /// Something was committed: it goes on.
    pub(crate) fn committed(&self) {
        self.lock().given_up = None;
    }

    /// Finds out when it goes on: whoever is not ready is asked for nothing whose commit could tell.
    pub(crate) async fn watch(self, pool: PgPool) {
        let mut warnings = Warnings::default();
        let mut ticks = tokio::time::interval(PROBE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let is_given_up = self.lock().given_up.is_some();
            if is_given_up {
                self.probe(&pool, &mut warnings).await;
            }
        }
    }

    /// Commits nothing, as batches commit: under the lock of the log's head, to the disk and to the standby. While a commit of
    /// a batch is not over, the server holds that lock for it, so this ends without harm, and is tried again.
    pub(crate) async fn probe(&self, pool: &PgPool, warnings: &mut Warnings) {
        let Ok(mut conn) = pool.acquire().await else { return };
        let asked = sqlx::raw_sql("select size from log_head for update").execute(&mut *conn);
        let (answer, warned) = warnings.during(tokio::time::timeout(ATTEMPT_TIME_MAX, asked)).await;
        match answer {
            Ok(Ok(_)) if warned => tracing::debug!("a commit came to an end that its standby may lack"),
            Ok(Ok(_)) => self.committed(),
            Ok(Err(error)) => tracing::debug!(%error, "commits do not go on yet"),
            // Like a batch's: the pool must not lend it again.
            Err(_) => drop(conn.detach()),
        }
    }

    /// How long the oldest of those under way, or given up, has been waiting.
    fn longest(&self) -> Option<Duration> {
        let known = self.lock();
        known.under_way.iter().chain(&known.given_up).min().map(Instant::elapsed)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// PostgreSQL has answered, whatever it said.
    pub(crate) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut known = self.pulse.lock();
        // One that began at the same instant is as good.
        if let Some(at) = known.under_way.iter().position(|it| *it == self.since) {
            known.under_way.swap_remove(at);
        }
        if !self.is_answered && WAIT_TIME_MAX < self.since.elapsed() {
            let first = known.given_up.map_or(self.since, |it| it.min(self.since));
            known.given_up = Some(first);
        }
    }
}

/// The commits of a process, as they look from beside them.
#[derive(Clone)]
pub struct Commits {
    pub(crate) guard: Guard,
    pub(crate) pulse: Pulse,
}

impl Commits {
    /// Why nothing can be committed just now, if nothing can.
    pub fn trouble(&self) -> Option<String> {
        if let Some(halted) = self.guard.halted() {
            return Some(format!("Commits have halted: {halted}."));
        }
        let waited = self.pulse.longest().filter(|it| WAIT_TIME_MAX < *it)?;
        Some(format!("A commit has waited for PostgreSQL for {} s.", waited.as_secs()))
    }
}
