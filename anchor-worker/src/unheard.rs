//! Who outside the database has not said yet what it has seen of the log. Each is asked until it has.

use std::fmt;
use std::time::{Duration, Instant};

use chain::AuditLog;
use proof::{AnchorPlace, Checkpoint};
use tokio::task::JoinSet;

use crate::witnesses::{LastSeen, Witnesses};

/// How often whoever refuses at once is asked, at most.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Contracts and witnesses that have not answered on this timeline of PostgreSQL.
#[derive(Default)]
pub(crate) struct Unheard {
    /// Every endpoint that has not answered, each by a number of its own: one that is behind answers for no other.
    contracts: Vec<(usize, AuditLog)>,
    /// Names in the policy.
    witnesses: Vec<String>,
    /// One question to each of them, while it is under way: nobody waits for whoever is silent.
    asking: JoinSet<Told>,
    /// When they were asked last.
    asked: Option<Instant>,
}

/// Somebody outside.
pub(crate) enum Who {
    Contract(AnchorPlace, usize),
    Witness(String),
}

/// An answer.
pub(crate) struct Told {
    pub(crate) who: Who,
    pub(crate) seen: LastSeen,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contract(place, _) => write!(f, "the contract on chain {}", place.chain_id),
            Self::Witness(name) => write!(f, "the witness {name}"),
        }
    }
}

impl Unheard {
    /// All of them.
    pub(crate) fn of(contracts: &[AuditLog], witnesses: Option<&Witnesses>) -> Self {
        let witnesses = witnesses.map(Witnesses::names).unwrap_or_default();
        Self {
            contracts: contracts.iter().cloned().enumerate().collect(),
            witnesses,
            asking: JoinSet::new(),
            asked: None,
        }
    }

    /// Asks all of them at once, now and then, where the last questions have come to an end. Whoever has left the policy is asked no more.
    pub(crate) fn ask(&mut self, origin: &str, witnesses: Option<&mut Witnesses>) {
        if !self.asking.is_empty() || self.asked.is_some_and(|it| it.elapsed() < ASK_EVERY) {
            return;
        }
        self.asked = Some(Instant::now());
        for (number, contract) in self.contracts.clone() {
            let origin = origin.to_owned();
            self.asking.spawn(async move {
                let head = contract.head().await.map_err(|error| error.to_string());
                let seen = head
                    .map(|it| (it.size != 0).then_some(Checkpoint { origin, size: it.size, root: it.root }));
                Told { who: Who::Contract(contract.place(), number), seen }
            });
        }
        let Some(witnesses) = witnesses.filter(|_| !self.witnesses.is_empty()) else { return };
        for (name, seen) in witnesses.asked(origin) {
            if self.witnesses.contains(&name) {
                self.asking.spawn(async move { Told { who: Who::Witness(name), seen: seen.await } });
            }
        }
    }

    /// The next answer that is there by then, while anybody is left who has not told.
    pub(crate) async fn told(&mut self, deadline: Instant) -> Option<Told> {
        if self.contracts.is_empty() && self.witnesses.is_empty() {
            return None;
        }
        let told = tokio::time::timeout_at(deadline.into(), self.asking.join_next()).await.ok()??;
        Some(told.expect("asking does not panic"))
    }

    /// One has told: it is asked no more.
    pub(crate) fn has_told(&mut self, who: &Who) {
        match who {
            Who::Contract(_, number) => self.contracts.retain(|it| it.0 != *number),
            Who::Witness(name) => self.witnesses.retain(|it| it != name),
        }
    }
}
