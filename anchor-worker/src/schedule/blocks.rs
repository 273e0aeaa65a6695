//! How often the chain has blocks: measured from headers, since no chain keeps to its promise.

use std::collections::VecDeque;

/// How many of the last intervals count.
const KEPT: usize = 256;
/// What is assumed until two headers were seen.
const UNKNOWN_MS: u64 = 2_000;

/// The last intervals between blocks.
#[derive(Clone, Debug, Default)]
pub struct Blocks {
    last: Option<(u64, u64)>,
    intervals_ms: VecDeque<u64>,
}

impl Blocks {
    /// Takes a header: its number and its time. Old and repeated ones are ignored; says whether it was new.
    pub fn observe(&mut self, number: u64, time_ms: u64) -> bool {
        if let Some((last_number, last_ms)) = self.last {
            if number <= last_number {
                return false;
            }
            self.intervals_ms.push_back(time_ms.saturating_sub(last_ms) / (number - last_number));
            if KEPT < self.intervals_ms.len() {
                self.intervals_ms.pop_front();
            }
        }
        self.last = Some((number, time_ms));
        true
    }

    /// The mean interval; never zero.
    pub fn usual_ms(&self) -> u64 {
        let sum: u64 = self.intervals_ms.iter().sum();
        sum.checked_div(self.intervals_ms.len() as u64).unwrap_or(UNKNOWN_MS).max(1)
    }

    /// The longest interval.
    pub fn slowest_ms(&self) -> u64 {
        self.intervals_ms.iter().max().copied().unwrap_or(UNKNOWN_MS)
    }
}
