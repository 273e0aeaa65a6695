//! When to anchor: as late as the promise allows and as cheaply as what was seen of the prices lets hope. Pure: it learns
//! from the headers that it is shown, and reads no clock.

mod blocks;
mod hindsight;
mod inclusion;
mod price;

use store::SeenHeader;

use crate::machine::{AnchorPolicy, Owed};
use inclusion::Inclusion;

pub use blocks::Blocks;
pub use hindsight::{Hindsight, look_back, optimum};
pub use price::PriceTimer;

/// How pressing an anchor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// Later may be cheaper, and there is time.
    Wait,
    /// Now is a good moment.
    Send,
    /// The deadline is near: now, whatever it costs, up to the limit.
    Press,
}

/// The scheduler's word, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How pressing it is.
    pub timing: Timing,
    /// When the anchor must be in a block.
    pub due_ms: u64,
    /// Why, in one line; it is stored with the anchor.
    pub why: String,
}

/// How many slots a window has: enough to choose among, few enough to learn from.
const SLOTS: u64 = 24;
/// A new process learns from so many windows: longer than what is learnt takes to be forgotten.
const RECALLED_WINDOWS: u64 = 60;

/// What was learnt of a chain, by a process.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    blocks: Blocks,
    inclusion: Inclusion,
    slots: Option<Slots>,
    last_base_fee_wei: f64,
}

/// Base fees by slots of a window.
#[derive(Clone, Debug)]
struct Slots {
    slot_ms: u64,
    timer: PriceTimer,
    open: u64,
    sum_wei: f64,
    count: f64,
}

impl Schedule {
    /// What a process knows that has seen these headers, oldest first, and sent at these times.
    pub fn recalled(policy: &AnchorPolicy, headers: &[SeenHeader], sent_ms: &[u64]) -> Self {
        let mut schedule = Self::default();
        let mut sent_ms = sent_ms.iter().peekable();
        // A block that later ones come before was taken back since, or made up.
        let mut lowest = u64::MAX;
        let mut kept: Vec<&SeenHeader> = headers.iter().rev().collect();
        kept.retain(|it| {
            let is_before = it.block < lowest;
            lowest = lowest.min(it.block);
            is_before
        });
        for header in kept.into_iter().rev() {
            while sent_ms.next_if(|it| **it <= header.time_ms).is_some() {
                schedule.sent();
            }
            schedule.observe(policy, header.block, header.time_ms, header.base_fee_wei);
        }
        schedule
    }

    /// How much of the past a new process has to know.
    pub fn recalled_ms(policy: &AnchorPolicy) -> u64 {
        RECALLED_WINDOWS * policy.staleness_max_ms
    }

    /// How often a header is worth being written down: a few times in each slot.
    pub fn remembered_every_ms(policy: &AnchorPolicy) -> u64 {
        match policy.staleness_max_ms {
            0 => 60_000,
            it => (it / SLOTS / 4).clamp(5_000, 600_000),
        }
    }

    /// Takes a header.
    pub fn observe(&mut self, policy: &AnchorPolicy, number: u64, time_ms: u64, base_fee_wei: u128) {
        if !self.blocks.observe(number, time_ms) {
            return;
        }
        self.last_base_fee_wei = base_fee_wei as f64;
        let slot_ms = policy.staleness_max_ms / SLOTS;
        if slot_ms == 0 {
            return;
        }
        let day = if slot_ms == 3_600_000 { SLOTS as usize } else { 0 };
        let slots = self.slots.get_or_insert_with(|| Slots {
            slot_ms,
            timer: PriceTimer::new(SLOTS as usize, day),
            open: time_ms / slot_ms,
            sum_wei: 0.0,
            count: 0.0,
        });
        slots.observe(time_ms, base_fee_wei as f64);
    }

    /// The usual time between two blocks.
    pub fn block_ms(&self) -> u64 {
        self.blocks.usual_ms()
    }

    /// Notes that an anchor was sent at the current price.
    pub fn sent(&mut self) {
        if let Some(slots) = &mut self.slots {
            slots.timer.taken();
        }
    }

    /// Notes that an anchor with this nonce presses since this block.
    pub fn pressed(&mut self, nonce: u64, block: u64) {
        self.inclusion.pressed(nonce, block);
    }

    /// Notes that an anchor with this nonce is in this block.
    pub fn included(&mut self, nonce: u64, block: u64) {
        self.inclusion.included(nonce, block);
    }

    /// How long before a deadline an anchor is sent. A chain that once took nothing for hours makes none early by more than half
    /// of the promise.
    fn lead_ms(&self, policy: &AnchorPolicy) -> u64 {
        let inclusion_p99_ms = self.inclusion.p99_blocks().saturating_mul(self.blocks.usual_ms());
        lead_ms(&self.blocks, inclusion_p99_ms.min(policy.staleness_max_ms / 4))
    }

    /// Whether to anchor now.
    pub fn verdict(
        &self,
        policy: &AnchorPolicy,
        owed: &Owed,
        now_ms: u64,
        last_anchor_ms: Option<u64>,
    ) -> Verdict {
        let lead_ms = self.lead_ms(policy);
        let due_ms = match deadline_verdict(policy, owed, now_ms, lead_ms, last_anchor_ms) {
            Ok(verdict) => return verdict,
            Err(due_ms) => due_ms,
        };
        let (mut timing, mut why) =
            (Timing::Wait, "there is time, and prices are still being learnt".to_owned());
        if let Some(slots) = &self.slots {
            let slots_left = (due_ms.saturating_sub(lead_ms + now_ms) / slots.slot_ms) as usize;
            let timer = &slots.timer;
            if !timer.is_fixed() {
                let share = timer.share_of_level(self.last_base_fee_wei) * 100.0;
                let taken = timer.share_taken(slots_left) * 100.0;
                let takes = timer.takes_price(self.last_base_fee_wei, slots_left);
                timing = if takes { Timing::Send } else { Timing::Wait };
                why = format!(
                    "the price is {share:.0} % of what is usual, and with {slots_left} of {SLOTS} slots left up to {taken:.0} % is taken"
                );
            }
        }
        Verdict { timing, due_ms, why }
    }
}

impl Slots {
    fn observe(&mut self, time_ms: u64, base_fee_wei: f64) {
        let slot = time_ms / self.slot_ms;
        if self.open < slot && 0.0 < self.count {
            self.timer.observe(self.sum_wei / self.count);
            (self.open, self.sum_wei, self.count) = (slot, 0.0, 0.0);
        }
        self.sum_wei += base_fee_wei;
        self.count += 1.0;
    }
}

/// How many blocks before the deadline an anchor is sent, whatever the price.
const LEAD_BLOCKS: u64 = 15;
/// How many of the slowest blocks must fit in between, too.
const LEAD_SLOWEST: u64 = 4;

/// When an anchor that must be in a block by its deadline is sent at the latest: so long before it.
pub fn lead_ms(blocks: &Blocks, inclusion_p99_ms: u64) -> u64 {
    let by_blocks = (LEAD_BLOCKS * blocks.usual_ms()).max(LEAD_SLOWEST * blocks.slowest_ms());
    by_blocks.max(2 * inclusion_p99_ms)
}

/// What the deadlines say, before any price is looked at: `None` where there is time to wait for a better price.
pub fn deadline_verdict(
    policy: &AnchorPolicy,
    owed: &Owed,
    now_ms: u64,
    lead_ms: u64,
    last_anchor_ms: Option<u64>,
) -> Result<Verdict, u64> {
    let due_ms = owed.oldest_ms.saturating_add(policy.staleness_max_ms);
    let hurried_ms = owed.hurried_ms.map(|it| it.saturating_add(policy.hurry_ms));
    let due_ms = hurried_ms.map_or(due_ms, |it| it.min(due_ms));
    if policy.staleness_max_ms == 0 {
        // No promise of an age, so none to be late for: the gap alone spaces the anchors.
        let next_ms = last_anchor_ms.map_or(0, |it| it.saturating_add(policy.gap_min_ms));
        let timing = if next_ms <= now_ms { Timing::Send } else { Timing::Wait };
        let why = match timing {
            Timing::Wait => format!("the last anchor is less than {} s old", policy.gap_min_ms / 1000),
            _ => "there is something to anchor".to_owned(),
        };
        return Ok(Verdict { timing, due_ms: u64::MAX, why });
    }
    if due_ms.saturating_sub(lead_ms) <= now_ms {
        let what = if hurried_ms == Some(due_ms) { "a posting in a hurry" } else { "the oldest leaf" };
        let left_s = due_ms.saturating_sub(now_ms) / 1000;
        let why = format!("{what} is due in {left_s} s and inclusion may take {} s", lead_ms / 1000);
        return Ok(Verdict { timing: Timing::Press, due_ms, why });
    }
    if owed.hurried_ms.is_some() {
        return Ok(Verdict { timing: Timing::Send, due_ms, why: "a posting is in a hurry".to_owned() });
    }
    if let Some(last_ms) = last_anchor_ms.filter(|it| now_ms < it.saturating_add(policy.gap_min_ms)) {
        let why = format!("the last anchor is {} s old, the least gap is longer", (now_ms - last_ms) / 1000);
        return Ok(Verdict { timing: Timing::Wait, due_ms, why });
    }
    Err(due_ms)
}
