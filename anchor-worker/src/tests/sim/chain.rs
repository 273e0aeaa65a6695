//! A chain of blocks with one sender and one contract in it.

use std::collections::BTreeMap;

use ::chain::Fees;

use super::{GWEI, Rng};

pub(super) const GAS: u128 = 60_000;

/// A transaction that was sent, by its hash.
#[derive(Clone, Debug)]
pub(super) struct Tx {
    pub(super) nonce: u64,
    pub(super) extends: u64,
    pub(super) size: u64,
    pub(super) fees: Fees,
}

/// A block, with the state after it.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) number: u64,
    pub(super) hash: u64,
    pub(super) time_ms: u64,
    pub(super) base_fee_wei: u128,
    pub(super) nonce: u64,
    pub(super) head: u64,
    pub(super) balance_wei: u128,
    pub(super) mined: Vec<(u64, bool)>,
}

/// What came of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Taken,
    Underpriced,
    Refused,
}

pub(super) struct SimChain {
    pub(super) now_ms: u64,
    pub(super) next_block_ms: u64,
    pub(super) blocks: Vec<Block>,
    pub(super) pool: BTreeMap<u64, u64>,
    pub(super) sent: BTreeMap<u64, Tx>,
    pub(super) says_what_is_final: bool,
    /// The block that endpoints have called final.
    pub(super) promised: u64,
    /// The block at which something last happened that takes an anchor away or keeps it off.
    pub(super) disturbed_at: u64,
    pub(super) reorganisations: u64,
    /// How many anchors reorganisations took away.
    pub(super) undone: u64,
    pub(super) strangers: u64,
    /// How many of a thousand blocks are made by whoever has heard of the oldest transaction of a nonce alone; and how often that
    /// one was taken.
    pub(super) elders: u64,
    pub(super) taken_elders: u64,
    stranger_waits: bool,
    next_hash: u64,
}

impl SimChain {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let first = Block {
            number: 1_000,
            hash: 1,
            time_ms: 1_000_000,
            base_fee_wei: (50 + u128::from(rng.below(400))) * GWEI,
            nonce: 0,
            head: 0,
            balance_wei: 1_000_000 * GWEI * GWEI,
            mined: Vec::new(),
        };
        Self {
            now_ms: first.time_ms,
            next_block_ms: first.time_ms + 2_000,
            blocks: vec![first],
            pool: BTreeMap::new(),
            sent: BTreeMap::new(),
            says_what_is_final: true,
            promised: 0,
            disturbed_at: 0,
            reorganisations: 0,
            undone: 0,
            strangers: 0,
            elders: 0,
            taken_elders: 0,
            stranger_waits: false,
            next_hash: 2,
        }
    }

    pub(super) fn tip(&self) -> &Block {
        self.blocks.last().expect("there is a first block")
    }

    pub(super) fn at(&self, number: u64) -> &Block {
        let index = number.saturating_sub(self.blocks[0].number) as usize;
        &self.blocks[index.min(self.blocks.len() - 1)]
    }

    pub(super) fn mine(&mut self, rng: &mut Rng, interval_ms: u64) {
        self.now_ms = self.now_ms.max(self.next_block_ms);
        self.next_block_ms = self.now_ms + interval_ms;
        let mut block = self.tip().clone();
        let walked = block.base_fee_wei * u128::from(970 + rng.below(61)) / 1000;
        // It is drawn back to where prices usually are.
        let home = 300 * GWEI;
        block.base_fee_wei = (walked * 49 + home) / 50;
        block.number += 1;
        block.time_ms = self.now_ms;
        self.next_hash += 1;
        block.hash = self.next_hash;
        block.mined.clear();
        if std::mem::take(&mut self.stranger_waits) {
            block.nonce += 1;
            self.disturbed_at = self.disturbed_at.max(block.number);
        }
        while let Some(newest) = self.pool.get(&block.nonce).copied() {
            let hash = self.elder(rng, &block).unwrap_or(newest);
            if hash != newest {
                self.taken_elders += 1;
                self.disturbed_at = self.disturbed_at.max(block.number);
            }
            let tx = &self.sent[&hash];
            let tip = tx.fees.tip_wei_max.min(tx.fees.fee_wei_max.saturating_sub(block.base_fee_wei));
            let cost = GAS * (block.base_fee_wei + tip);
            if tx.fees.fee_wei_max < block.base_fee_wei || tip < 25 * GWEI || block.balance_wei < cost {
                break;
            }
            let succeeds = tx.extends == block.head && block.head < tx.size;
            block.head = if succeeds { tx.size } else { block.head };
            block.balance_wei -= cost;
            block.nonce += 1;
            block.mined.push((hash, succeeds));
        }
        self.pool.retain(|nonce, _| block.nonce <= *nonce);
        self.blocks.push(block);
        if self.says_what_is_final {
            self.promised = self.promised.max(self.tip().number.saturating_sub(4));
        }
    }

    /// The oldest transaction of the next nonce that this block could take, now and then. Without this fault no number is drawn for
    /// it: each seed plays as it did.
    fn elder(&self, rng: &mut Rng, block: &Block) -> Option<u64> {
        if self.elders == 0 || !rng.chance(self.elders) {
            return None;
        }
        let price_wei = block.base_fee_wei + 25 * GWEI;
        let fits = |it: &Tx| it.nonce == block.nonce && price_wei <= it.fees.fee_wei_max;
        self.sent.iter().find(|(_, it)| fits(it)).map(|(hash, _)| *hash)
    }

    /// The last block that took something.
    pub(super) fn last_taken(&self) -> u64 {
        self.blocks.iter().rev().find(|it| !it.mined.is_empty()).map_or(0, |it| it.number)
    }

    /// Goes back to this height. What was in blocks waits in the pool again, most of the time.
    pub(super) fn reorganise(&mut self, height: u64, rng: &mut Rng) {
        let height = height.max(self.blocks[0].number);
        let behind = self.tip().number.saturating_sub(height);
        if behind == 0 {
            return;
        }
        let keep = self.blocks.len() - behind as usize;
        let (undone, fee) = (self.blocks.split_off(keep), self.tip().base_fee_wei);
        self.undone += undone.iter().map(|it| it.mined.len() as u64).sum::<u64>();
        for hash in undone.iter().flat_map(|it| it.mined.iter().map(|it| it.0)) {
            if rng.chance(800) {
                self.pool.entry(self.sent[&hash].nonce).or_insert(hash);
            }
        }
        // The new branch is about as long, but empty so far; its own blocks are not the old ones.
        let (now, next, promised) = (self.now_ms, self.next_block_ms, self.promised);
        let pool = std::mem::take(&mut self.pool);
        for block in undone.iter() {
            let time = block.time_ms;
            self.mine(rng, 0);
            let tip = self.blocks.last_mut().expect("one was mined");
            (tip.time_ms, tip.base_fee_wei) = (time, fee);
        }
        (self.now_ms, self.next_block_ms, self.pool, self.promised) = (now, next, pool, promised);
        let nonce = self.tip().nonce;
        self.pool.retain(|it, _| nonce <= *it);
        self.promised = self.promised.min(self.tip().number);
        self.disturbed_at = self.tip().number + 1;
        self.reorganisations += 1;
    }

    pub(super) fn stranger(&mut self) {
        self.strangers += 1;
        self.stranger_waits = true;
    }

    pub(super) fn spike(&mut self, rng: &mut Rng) {
        let tip = self.blocks.last_mut().expect("there is a first block");
        tip.base_fee_wei = u128::from(300 + rng.below(4_000)) * GWEI;
    }

    pub(super) fn fund(&mut self, wei: u128) {
        self.blocks.last_mut().expect("there is a first block").balance_wei = wei;
        self.disturbed_at = self.tip().number + 1;
    }

    pub(super) fn send(&mut self, hash: u64, tx: &Tx) -> Sent {
        self.sent.insert(hash, tx.clone());
        let gas_max = GAS * 5 / 4;
        let tip = self.tip();
        if tx.nonce < tip.nonce || tip.balance_wei < gas_max * tx.fees.fee_wei_max {
            return Sent::Refused;
        }
        if let Some(other) = self.pool.get(&tx.nonce).filter(|it| **it != hash) {
            // More than a tenth, so that what meets the boundary exactly is refused.
            let old = &self.sent[other].fees;
            let more = |new: u128, old: u128| old * 110 < new * 100;
            if !more(tx.fees.fee_wei_max, old.fee_wei_max) || !more(tx.fees.tip_wei_max, old.tip_wei_max) {
                return Sent::Underpriced;
            }
        }
        self.pool.insert(tx.nonce, hash);
        Sent::Taken
    }
}
