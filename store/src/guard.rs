//! Never fork: what the world has seen of the log must be part of what the database holds, or nothing more is committed.
//!
//! A failover may lose commits, and a restored backup does. Whoever went on would give the lost leaves' places to other
//! postings, and no seal could ever cover them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use proof::Hash;
use sqlx::{PgConnection, PgPool};

use crate::checkpoints::{checkpoint_at, timeline};
use crate::error::StoreError;
use crate::log_head;

/// How often the published checkpoint is held against the database, besides at the start and after each failover: so two
/// primaries do not both go on for longer.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A checkpoint of the log as somebody outside the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Who knows it.
    pub who: String,
    /// How many leaves it covers.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Only the place where checkpoints are published, which is asked all the time, and whoever has not told yet.
    Published,
    /// Contracts and witnesses too: at the start, after a failover, and while in doubt.
    Everyone,
}

/// Asks outside. An error is that the published checkpoint cannot be read; contracts and witnesses may be away.
pub type Outside = Arc<dyn Fn(Ask) -> BoxFuture<'static, Result<Vec<Seen>, String>> + Send + Sync>;

/// Holds the database against what is known outside it. Clones share what they know.
#[derive(Clone, Default)]
pub struct Guard {
    outside: Option<Outside>,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// On which timeline of PostgreSQL the database was last found to hold all that is known.
    timeline: Option<i32>,
    /// The log's size after the last commit that this process was told of.
    size: i64,
    /// Why nothing may be committed.
    halted: Option<String>,
    /// Why the last look at what is published saw nothing.
    unread: Option<String>,
}

impl Guard {
    /// A guard that asks there. One by [`Guard::default`] knows only what this process has seen itself.
    pub fn new(outside: Outside) -> Self {
        Self { outside: Some(outside), known: Arc::default() }
    }

    /// Why nothing is committed, if nothing is.
    pub fn halted(&self) -> Option<String> {
        self.known().halted.clone()
    }

    /// Whether the database was found to hold all that is known, on this timeline.
    pub(crate) fn was_held_on(&self, timeline: i32) -> bool {
        self.known().timeline == Some(timeline)
    }

    /// Lets a batch go on from this head, on this timeline, if that is where everything was found to be.
    pub(crate) fn admit(&self, timeline: i32, head: &log_head::LogHead) -> Result<(), StoreError> {
        let known = self.known();
        let is_sure = known.halted.is_none() && known.timeline == Some(timeline) && known.size <= head.size;
        if is_sure { Ok(()) } else { Err(StoreError::Unguarded) }
    }

    /// Remembers that the log has this size: the database has said so. What it shows without having said so may yet be
    /// taken back, as what a primary without its standby has only written.
    pub(crate) fn saw(&self, size: i64) {
        let mut known = self.known();
        known.size = known.size.max(size);
    }

    /// Holds the database against everything that is known of it; answers whether commits may go on.
    pub async fn check(&self, conn: &mut PgConnection) -> Result<bool, StoreError> {
        let asked = self.ask(Ask::Everyone).await;
        self.hold(conn, Ask::Everyone, asked).await
    }

    async fn ask(&self, ask: Ask) -> Result<Vec<Seen>, String> {
        match &self.outside {
            Some(outside) => outside(ask).await,
            None => Ok(Vec::new()),
        }
    }

    /// Outside was asked first: whatever it shows was recorded before, so the database must know it now.
    async fn hold(
        &self,
        conn: &mut PgConnection,
        ask: Ask,
        asked: Result<Vec<Seen>, String>,
    ) -> Result<bool, StoreError> {
        let timeline = timeline(conn).await? as i32;
        // Before the size is read: a batch that is committed meanwhile is in neither.
        let own = self.known().size;
        let size = log_head::log_size(conn).await? as i64;
        let unread = asked.as_ref().err().cloned();
        let shown = match asked {
            Ok(seen) => first_problem(conn, &seen, size as u64).await?,
            // That it does not answer now is no doubt of what was found before.
            Err(_) if ask == Ask::Published => None,
            Err(error) => Some(format!(
                "the published checkpoint cannot be read ({error}), so nobody knows whether the database holds all of it"
            )),
        };
        let forgotten = (size < own).then(|| {
            format!(
                "this process was told that {own} leaves of the log are committed, and the database holds {size}: leaves \
                 {size} to {} are lost",
                own - 1
            )
        });
        let problem = shown.or(forgotten);
        let mut known = self.known();
        if unread.is_some() {
            metrics::counter!("daftari_published_unread_total").increment(1);
        }
        if known.unread != unread {
            match &unread {
                Some(problem) => tracing::warn!(%problem, "what is published is not looked at"),
                None => tracing::info!("what is published is looked at again"),
            }
            known.unread = unread;
        }
        if known.halted != problem {
            match &problem {
                Some(problem) => tracing::error!(%problem, "commits halt"),
                None => tracing::info!(size, "the database holds what is known of the log: commits go on"),
            }
        }
        metrics::gauge!("daftari_commits_halted").set(f64::from(u8::from(problem.is_some())));
        if problem.is_none() && ask == Ask::Everyone {
            known.timeline = Some(timeline);
        }
        let goes_on = problem.is_none();
        known.halted = problem;
        Ok(goes_on)
    }

    /// Looks again and again: at what is published, and while in doubt at everything.
    pub(crate) async fn watch(self, pool: PgPool) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let (timeline, is_halted) = {
                let known = self.known();
                (known.timeline, known.halted.is_some())
            };
            if self.outside.is_none() && !is_halted {
                continue;
            }
            let ask = if is_halted || timeline.is_none() { Ask::Everyone } else { Ask::Published };
            let asked = self.ask(ask).await;
            let looked = async {
                let mut conn = pool.acquire().await?;
                self.hold(&mut conn, ask, asked).await
            };
            if let Err(error) = looked.await {
                tracing::debug!(%error, "the database could not be held against what is published");
            }
        }
    }

    // What the lock guards is whole between any two statements.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn first_problem(
    conn: &mut PgConnection,
    seen: &[Seen],
    size: u64,
) -> Result<Option<String>, StoreError> {
    for Seen { who, size: shown, root } in seen.iter().filter(|it| it.size != 0) {
        if size < *shown {
            return Ok(Some(format!(
                "{who} shows {shown} leaves of the log, and the database holds {size}: leaves {size} to {} are lost",
                shown - 1
            )));
        }
        // Whoever shows a checkpoint of ours was shown one that was recorded before.
        let problem = match checkpoint_at(conn, *shown).await? {
            Some(recorded) if recorded.root == *root => continue,
            Some(_) => "the database holds another history of that size",
            None => {
                "the database never signed one of that size: it lost leaves, and holds others in their places"
            }
        };
        return Ok(Some(format!("{who} shows a checkpoint of {shown} leaves, and {problem}")));
    }
    Ok(None)
}
