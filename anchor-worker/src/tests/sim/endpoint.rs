//! An endpoint: what it shows of the chain, truly or not.

use std::collections::BTreeMap;

use super::chain::{Block, Sent, SimChain, Tx};
use super::{GWEI, Rng};
use crate::machine::{Attempt, HeadSeen, Report, Sight};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// It shows the chain as it was so many blocks ago.
    Honest {
        lag: u64,
    },
    /// It shows the chain as it was at this height, for ever.
    Frozen {
        height: u64,
    },
    Down,
    /// It takes a transaction and answers with an error.
    Flaky,
    Liar(Lie),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    EverythingIsFinal,
    ItIsIncluded,
    ItIsReverted,
    NothingIsThere,
    TheNonceIsHigher,
    TheChainIsLonger,
    TheHeadIsStrange,
    ItIsCheap,
    ItIsDear,
    YouAreBroke,
    YouAreNotTheWriter,
    ItWasTaken,
}

const LIES: [Lie; 12] = [
    Lie::EverythingIsFinal,
    Lie::ItIsIncluded,
    Lie::ItIsReverted,
    Lie::NothingIsThere,
    Lie::TheNonceIsHigher,
    Lie::TheChainIsLonger,
    Lie::TheHeadIsStrange,
    Lie::ItIsCheap,
    Lie::ItIsDear,
    Lie::YouAreBroke,
    Lie::YouAreNotTheWriter,
    Lie::ItWasTaken,
];

#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) mode: Mode,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self { mode: Mode::Honest { lag: 0 } }
    }
}

impl Endpoint {
    /// Whether it obliges us: it answers truly, and takes what it is sent.
    pub(super) fn is_honest(&self) -> bool {
        matches!(self.mode, Mode::Honest { lag: 0..=1 })
    }

    pub(super) fn change(&mut self, rng: &mut Rng, is_liar: bool, height: u64) {
        self.mode = match rng.below(8) {
            0..=2 if is_liar => Mode::Liar(LIES[rng.below(LIES.len() as u64) as usize]),
            0 | 1 => Mode::Down,
            2 => Mode::Frozen { height },
            3 => Mode::Flaky,
            4 => Mode::Honest { lag: rng.below(6) },
            _ => Mode::Honest { lag: 0 },
        };
    }

    pub(super) fn report(&self, chain: &SimChain, attempts: &[&(u64, Attempt)]) -> Option<Report> {
        let height = match self.mode {
            Mode::Down => return None,
            Mode::Honest { lag } => chain.tip().number.saturating_sub(lag),
            Mode::Frozen { height } => height.min(chain.tip().number),
            Mode::Flaky | Mode::Liar(_) => chain.tip().number,
        };
        let block = chain.at(height);
        let finalized = chain.says_what_is_final.then_some(chain.promised.min(block.number));
        let sights = attempts.iter().map(|it| (it.1.id, sight(chain, block, it.0)));
        let mut report = Report {
            block: block.number,
            base_fee_wei: block.base_fee_wei,
            finalized,
            head: head(block.head),
            nonce: block.nonce,
            nonce_final: finalized.map(|it| chain.at(it).nonce),
            balance_wei: block.balance_wei,
            sights: sights.collect(),
        };
        if let Mode::Liar(lie) = self.mode {
            lie.tell(chain, attempts, &mut report);
        }
        Some(report)
    }

    pub(super) fn send(&self, chain: &mut SimChain, hash: u64, tx: &Tx) -> Option<Sent> {
        match self.mode {
            Mode::Down => None,
            Mode::Flaky => {
                chain.send(hash, tx);
                None
            }
            Mode::Liar(Lie::ItWasTaken | Lie::ItIsIncluded) => Some(Sent::Taken),
            _ => Some(chain.send(hash, tx)),
        }
    }
}

fn head(size: u64) -> HeadSeen {
    // What is owed is our own knowledge: the worker fills it in.
    HeadSeen { size, is_ours: true, admits_us: true, owed: None }
}

fn sight(chain: &SimChain, upto: &Block, hash: u64) -> Sight {
    let mined = chain.blocks.iter().rev().filter(|it| it.number <= upto.number).find_map(|block| {
        let (_, succeeded) = block.mined.iter().find(|it| it.0 == hash)?;
        Some(Sight::Mined { block: block.number, block_hash: block_hash(block.hash), succeeded: *succeeded })
    });
    let pooled = chain.pool.values().any(|it| *it == hash);
    mined.unwrap_or(if pooled { Sight::Pooled } else { Sight::Unknown })
}

fn block_hash(hash: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&hash.to_be_bytes());
    bytes
}

impl Lie {
    fn tell(self, chain: &SimChain, attempts: &[&(u64, Attempt)], report: &mut Report) {
        let last = attempts.iter().rfind(|it| it.1.nonce == report.nonce);
        let forged =
            Sight::Mined { block: report.block, block_hash: [9; 32], succeeded: self != Self::ItIsReverted };
        match self {
            Self::EverythingIsFinal => {
                report.finalized = Some(report.block + 1_000);
                report.nonce_final = Some(report.nonce + 1_000);
            }
            Self::ItIsIncluded | Self::ItIsReverted => {
                if let Some((_, attempt)) = last {
                    report.sights.insert(attempt.id, forged);
                    report.nonce += 1;
                    if self == Self::ItIsIncluded {
                        report.head = head(attempt.size);
                        report.finalized = Some(report.block);
                        report.nonce_final = Some(report.nonce);
                    }
                }
            }
            Self::NothingIsThere => {
                let first = &chain.blocks[0];
                (report.head, report.nonce) = (head(first.head), first.nonce);
                report.sights =
                    attempts.iter().map(|it| (it.1.id, Sight::Unknown)).collect::<BTreeMap<_, _>>();
            }
            Self::TheNonceIsHigher => report.nonce += 7,
            Self::TheChainIsLonger => report.block += 1_000_000_000,
            Self::TheHeadIsStrange => report.head = HeadSeen { is_ours: false, ..head(report.head.size + 1) },
            Self::ItIsCheap => report.base_fee_wei = 7,
            Self::ItIsDear => report.base_fee_wei = 1_000_000 * GWEI,
            Self::YouAreBroke => report.balance_wei = 0,
            Self::YouAreNotTheWriter => report.head.admits_us = false,
            Self::ItWasTaken => {}
        }
    }
}
