//! Where the log stands after the last batch that this process decided, committed or not: the next one is decided from there
//! while that one is still being written, and finds out when it is written itself whether that was so.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::accounts::State;
use crate::log_head::LogHead;

/// The head, and all house accounts that were looked at since others last appended. House accounts change only under the
/// head's lock, so as long as nobody else has appended, they are what the last batch left.
pub(crate) struct Tip {
    pub(crate) head: LogHead,
    pub(crate) houses: HashMap<Uuid, State>,
    /// Whether a batch found the head as the one before had left it. Where others append too, deciding ahead is mostly
    /// deciding twice.
    is_alone: bool,
}

/// The tip between two batches. It is lent to one at a time: who fails brings none back, and the next one looks.
#[derive(Default)]
pub(crate) struct LastTip(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// How often the tip turned out not to be so: what was lent before is not taken back after.
    turns: u64,
    /// Whether nobody else appended lately, also while the tip is lent.
    is_alone: bool,
    tip: Option<Tip>,
}

/// The tip of a batch that the database has not answered for: whoever fails, or is cut off on the way, leaves it to nobody.
pub(crate) struct Unanswered<'a> {
    tip: &'a LastTip,
    turns: u64,
    stands: bool,
}

impl Unanswered<'_> {
    /// The batch is committed.
    pub(crate) fn stands(mut self) {
        self.stands = true;
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if !self.stands {
            self.tip.forget(self.turns);
        }
    }
}

impl LastTip {
    pub(crate) fn lend(&self) -> (u64, Option<Tip>) {
        let mut kept = self.lock();
        (kept.turns, kept.tip.take())
    }

    pub(crate) fn take_back(&self, turns: u64, tip: Tip) -> Unanswered<'_> {
        let mut kept = self.lock();
        if kept.turns == turns {
            kept.is_alone = tip.is_alone;
            kept.tip = Some(tip);
        }
        Unanswered { tip: self, turns, stands: false }
    }

    /// How often the tip turned out not to be so.
    pub(crate) fn turns(&self) -> u64 {
        self.lock().turns
    }

    /// A batch that lent it then was not committed, or perhaps not: what was decided from where it would have left the log is
    /// to be decided again, even where the log has come to look the same.
    fn forget(&self, turns: u64) {
        let mut kept = self.lock();
        if kept.turns == turns {
            *kept = Kept { turns: turns + 1, is_alone: false, tip: None };
        }
    }

    /// Whether the next batch may be decided ahead, as far as can be told before it is known what it is about.
    pub(crate) fn is_alone(&self) -> bool {
        self.lock().is_alone
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tip {
    /// Whether the next batch may be decided from it: under these terms, and with these house accounts.
    pub(crate) fn knows(&self, epoch: i64, houses: impl IntoIterator<Item = Uuid>) -> bool {
        self.is_alone
            && self.head.epoch == epoch
            && houses.into_iter().all(|it| self.houses.contains_key(&it))
    }

    /// The tip where the head was read under its lock. What was known of house accounts holds if nobody has appended since.
    pub(crate) fn found(before: Option<Self>, head: LogHead) -> Self {
        match before {
            Some(before) if before.head == head => Self { is_alone: true, ..before },
            _ => Self { head, houses: HashMap::new(), is_alone: false },
        }
    }
}
