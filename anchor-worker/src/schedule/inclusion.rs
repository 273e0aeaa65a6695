//! How many blocks pass until a transaction that presses is in one: measured, since it is the chain that decides. What was sent
//! for being cheap may wait for its price as long as it likes, and says nothing of it.

use std::collections::{BTreeMap, VecDeque};

/// How many of the last waits count.
const KEPT: usize = 100;

/// The last waits, and what waits now.
#[derive(Clone, Debug, Default)]
pub(super) struct Inclusion {
    waits_blocks: VecDeque<u64>,
    open: BTreeMap<u64, u64>,
}

impl Inclusion {
    /// Notes that a transaction of this nonce presses since this block.
    pub(super) fn pressed(&mut self, nonce: u64, block: u64) {
        self.open.entry(nonce).or_insert(block);
    }

    /// Notes that one of this nonce is in this block.
    pub(super) fn included(&mut self, nonce: u64, block: u64) {
        if let Some(since) = self.open.remove(&nonce) {
            self.waits_blocks.push_back(block.saturating_sub(since));
            if KEPT < self.waits_blocks.len() {
                self.waits_blocks.pop_front();
            }
        }
        self.open.retain(|it, _| nonce < *it);
    }

    /// Within how many blocks 99 of 100 were in one; of fewer than a hundred, all.
    pub(super) fn p99_blocks(&self) -> u64 {
        let mut waits: Vec<u64> = self.waits_blocks.iter().copied().collect();
        waits.sort_unstable();
        waits.get(waits.len() * 99 / 100).copied().unwrap_or(0)
    }
}
