//! The shell's part in the simulation: it keeps what a database would, and loses what a process would.

use std::collections::BTreeSet;

use super::chain::{Sent, SimChain, Tx};
use super::endpoint::{Endpoint, Lie, Mode};
use crate::machine::{Act, AnchorPolicy, Attempt, Doubt, Memory, Owed, Plan, Report, World, decide};
use crate::schedule::{Blocks, Timing, Verdict, deadline_verdict, lead_ms};
use store::AttemptState;

pub(super) const GAS_MAX: u64 = 75_000;

#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) hash: u64,
    pub(super) it: Attempt,
}

pub(super) struct Worker {
    pub(super) policy: AnchorPolicy,
    pub(super) attempts: Vec<Stored>,
    pub(super) settled_size: u64,
    pub(super) is_halted: bool,
    pub(super) doubt: Option<Doubt>,
    /// What was called final: hash, block and size.
    pub(super) claimed_final: Vec<(u64, u64, u64)>,
    pub(super) story: Vec<String>,
    pub(super) restarts: u64,
    pub(super) lied_to: u64,
    last_anchor_ms: Option<u64>,
    memory: Memory,
    blocks: Blocks,
}

fn is_open(state: AttemptState) -> bool {
    !matches!(
        state,
        AttemptState::Spent | AttemptState::Replaced | AttemptState::Abandoned | AttemptState::Archived
    )
}

impl Worker {
    pub(super) fn new(policy: AnchorPolicy) -> Self {
        Self {
            policy,
            attempts: Vec::new(),
            settled_size: 0,
            is_halted: false,
            doubt: None,
            claimed_final: Vec::new(),
            story: Vec::new(),
            restarts: 0,
            lied_to: 0,
            last_anchor_ms: None,
            memory: Memory::default(),
            blocks: Blocks::default(),
        }
    }

    /// A new process: all that was not stored is gone, and nothing counts as sent by it.
    pub(super) fn restart(&mut self) {
        self.restarts += 1;
        self.memory = Memory::default();
        self.blocks = Blocks::default();
        self.attempts.iter_mut().for_each(|it| it.it.sent_ms = None);
    }

    /// One round. With a crash it ends after so many durable steps. Says whether another follows at once.
    pub(super) fn step(
        &mut self,
        chain: &mut SimChain,
        endpoints: &mut [Endpoint],
        newest: u64,
        leaves_ms: &[u64],
        hurried: &BTreeSet<u64>,
        crash_after: Option<u32>,
    ) -> bool {
        let open: Vec<(u64, Attempt)> = self
            .attempts
            .iter()
            .filter(|it| is_open(it.it.state))
            .map(|it| (it.hash, it.it.clone()))
            .collect();
        let refs: Vec<&(u64, Attempt)> = open.iter().collect();
        let mut reports: Vec<Option<Report>> = endpoints.iter().map(|it| it.report(chain, &refs)).collect();
        for report in reports.iter_mut().flatten() {
            let size = report.head.size;
            report.head.is_ours &= size <= newest;
            report.head.owed = leaves_ms.get(size as usize).map(|oldest_ms| Owed {
                size: newest,
                oldest_ms: *oldest_ms,
                hurried_ms: hurried.range(size..newest).next().map(|it| leaves_ms[*it as usize]),
            });
        }
        let now_ms = chain.now_ms;
        self.blocks.observe(chain.tip().number, chain.tip().time_ms);
        let attempts: Vec<Attempt> = open.iter().map(|it| it.1.clone()).collect();
        let world = World {
            now_ms,
            reports: &reports,
            attempts: &attempts,
            settled_size: self.settled_size,
            nonce_next: self.attempts.iter().map(|it| it.it.nonce + 1).max(),
            gas_max: GAS_MAX,
            pinned: Default::default(),
            spent_wei: 0,
            block_ms: self.blocks.usual_ms(),
        };
        let (policy, last, lead) = (self.policy, self.last_anchor_ms, lead_ms(&self.blocks, 0));
        let timing = |owed: &Owed| {
            let waits = |due_ms| Verdict { timing: Timing::Wait, due_ms, why: "there is time".to_owned() };
            deadline_verdict(&policy, owed, now_ms, lead, last).unwrap_or_else(waits)
        };
        let decision = decide(&policy, &mut self.memory, &world, &timing);
        if decision.act != Act::Rest || !decision.notes.is_empty() {
            let (act, notes, why) = (&decision.act, &decision.notes, &decision.why);
            self.story.push(format!("{now_ms} block {}: {act:?} {notes:?} {why}", chain.tip().number));
        }
        let mut left = crash_after;
        let mut crashes = || match &mut left {
            Some(0) => true,
            Some(steps) => {
                *steps -= 1;
                false
            }
            None => false,
        };
        // All notes are one transaction.
        if crashes() {
            self.restart();
            return false;
        }
        for note in &decision.notes {
            let stored = self.attempts.iter_mut().find(|it| it.it.id == note.id).expect("it is stored");
            if note.state == AttemptState::Included && stored.it.block_hash.is_none() {
                self.last_anchor_ms = Some(now_ms);
            }
            if note.state == AttemptState::Final {
                let block = note.block.expect("it is in a block").0;
                self.claimed_final.push((stored.hash, block, stored.it.size));
            }
            if note.state == AttemptState::Archived {
                self.settled_size = self.settled_size.max(stored.it.size);
            }
            stored.it.state = note.state;
            stored.it.block_hash = note.block.map(|it| it.1);
        }
        if crashes() {
            self.restart();
            return false;
        }
        match decision.act {
            Act::Rest => false,
            Act::Halt(doubt) => {
                (self.is_halted, self.doubt) = (true, Some(doubt));
                false
            }
            Act::Arm(plan) => {
                self.lied_to +=
                    u64::from(matches!(endpoints[plan.endpoint].mode, Mode::Liar(Lie::ItIsIncluded)));
                self.arm(&plan, now_ms);
                true
            }
            Act::Broadcast(ids) => {
                for id in ids {
                    let stored = self.attempts.iter_mut().find(|it| it.it.id == id).expect("it is stored");
                    stored.it.state = AttemptState::Broadcast;
                    stored.it.sent_ms = Some(now_ms);
                    if crashes() {
                        self.restart();
                        return false;
                    }
                    let Attempt { nonce, extends, size, fees, .. } = stored.it;
                    let tx = Tx { nonce, extends, size, fees };
                    let outcomes: Vec<_> =
                        endpoints.iter().filter_map(|it| it.send(chain, stored.hash, &tx)).collect();
                    stored.it.refusals += u32::from(outcomes.contains(&Sent::Underpriced));
                    if crashes() {
                        self.restart();
                        return false;
                    }
                }
                false
            }
        }
    }

    fn arm(&mut self, plan: &Plan, now_ms: u64) {
        let id = self.attempts.len() as i64 + 1;
        let it = Attempt {
            is_foreign: false,
            id,
            nonce: plan.nonce,
            extends: plan.extends,
            size: plan.size,
            fees: plan.fees,
            state: AttemptState::Armed,
            stored_ms: now_ms,
            sent_ms: None,
            refusals: 0,
            block_hash: None,
        };
        self.attempts.push(Stored { hash: id as u64, it });
    }
}
