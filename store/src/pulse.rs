//! Whether this process can commit: for whoever asks how it is doing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::guard::Guard;

/// A commit that has waited for longer is no slow one: PostgreSQL, its standby or the way to them does not answer.
const WAIT_TIME_MAX: Duration = Duration::from_secs(5);

/// Since when each attempt to commit that is under way has been. Clones know the same attempts.
#[derive(Clone, Default)]
pub(crate) struct Pulse(Arc<Mutex<Vec<Instant>>>);

/// An attempt that is under way until this is dropped.
pub(crate) struct Attempt {
    pulse: Pulse,
    since: Instant,
}

impl Pulse {
    pub(crate) fn begin(&self) -> Attempt {
        let since = Instant::now();
        self.lock().push(since);
        Attempt { pulse: self.clone(), since }
    }

    /// How long the oldest of them has been under way.
    fn longest(&self) -> Option<Duration> {
        self.lock().iter().min().map(Instant::elapsed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut under_way = self.pulse.lock();
        // One that began at the same instant is as good.
        if let Some(at) = under_way.iter().position(|it| *it == self.since) {
            under_way.swap_remove(at);
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
