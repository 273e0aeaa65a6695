//! Blows at named points: not by a hook in the product, but by what passes on its wire to PostgreSQL.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use devstack::{Fate, Passing, Watch};
use tokio::sync::oneshot;

use crate::bench::ground::PATIENCE;

/// A moment that the wire shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// A statement is asked for, and PostgreSQL never hears of it: any of a batch's, so also while locks are held.
    Statement,
    /// A commit is asked for, and PostgreSQL never hears of it: it *failed*.
    BeforeCommit,
    /// A commit is on its way.
    DuringCommit,
    /// PostgreSQL has committed, and whoever asked never hears of it: it *failed yet persisted*.
    AfterCommit,
}

impl Point {
    fn is(self, passing: Passing<'_>) -> bool {
        match (self, passing) {
            (Self::Statement, Passing::Statement(_)) => true,
            (Self::BeforeCommit | Self::DuringCommit, Passing::Statement(text)) => {
                // Other statements may travel with it, and it is the last.
                text.to_ascii_lowercase().ends_with("commit")
            }
            (Self::AfterCommit, Passing::Done(tag)) => tag == "COMMIT",
            _ => false,
        }
    }
}

/// A blow that waits for its moment.
struct Shot {
    at: Point,
    /// How many such moments pass before.
    skip: u64,
    fate: Fate,
    strike: Box<dyn FnOnce() + Send>,
    fired: oneshot::Sender<()>,
}

/// The shots on one wire. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Shots(Arc<Mutex<Option<Shot>>>);

impl Shots {
    /// The watch of that wire.
    pub(super) fn watch(&self) -> Watch {
        let shots = self.clone();
        Arc::new(move |passing| shots.pass(passing))
    }

    /// Strikes when this passes, after so many others of its kind; then it has this fate. Returns when it is done.
    pub(super) async fn fire(
        &self,
        at: Point,
        skip: u64,
        fate: Fate,
        strike: impl FnOnce() + Send + 'static,
    ) -> anyhow::Result<()> {
        let (fired, is_fired) = oneshot::channel();
        let shot = Shot { at, skip, fate, strike: Box::new(strike), fired };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(shot);
        let fired = tokio::time::timeout(PATIENCE, is_fired).await;
        fired
            .with_context(|| format!("nothing passed on the wire that is {at:?}"))?
            .context("the shot was lost")
    }

    fn pass(&self, passing: Passing<'_>) -> Fate {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(shot) = waiting.as_mut().filter(|it| it.at.is(passing)) else { return Fate::Pass };
        if let Some(fewer) = shot.skip.checked_sub(1) {
            shot.skip = fewer;
            return Fate::Pass;
        }
        let Some(Shot { fate, strike, fired, .. }) = waiting.take() else { return Fate::Pass };
        strike();
        let _ = fired.send(());
        fate
    }
}
