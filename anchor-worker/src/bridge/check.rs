//! While the bridge runs, its books are held against its chain now and then, as `daftari bridge check` does once: a point that is
//! nowhere, or twice, is told within the hour.

use std::time::{Duration, Instant};

use super::{Bridge, BridgeError, audit_bridge};

/// A check reads all that ever crossed: of the time it takes no more than one part in so many.
const SHARE: u32 = 100;

/// When the next check is, and what the last one found.
#[derive(Debug)]
pub(super) struct Checks {
    next: Instant,
    problems: Vec<String>,
    /// Why the last one came to no end.
    obstacle: Option<String>,
}

impl Checks {
    /// The first is when the chain has been read to its end for the first time.
    pub(super) fn new() -> Self {
        Self { next: Instant::now(), problems: Vec::new(), obstacle: None }
    }
}

impl Bridge {
    /// Checks, if it is time.
    pub(super) async fn check_when_due(&mut self) {
        let (every, begun) = (self.config.check_every, Instant::now());
        if every.is_zero() || begun < self.checks.next {
            return;
        }
        self.check().await;
        self.checks.next = Instant::now() + rest(every, begun.elapsed());
    }

    /// Holds the books against the chain, and tells what is wrong: by a line of the log when that changes, and by a gauge.
    pub async fn check(&mut self) {
        let chain_id = self.at.chain_id;
        let (problems, checked_us) = match self.find_problems().await {
            Ok(found) => found,
            Err(error) => {
                let obstacle = Some(error.to_string());
                if self.checks.obstacle != obstacle {
                    tracing::warn!(%error, chain_id, "the books could not be held against the chain: they are as soon as they can be");
                }
                self.checks.obstacle = obstacle;
                return;
            }
        };
        if problems != self.checks.problems {
            for problem in &problems {
                tracing::error!(chain_id, problem, "the books and the chain do not agree");
            }
            if problems.is_empty() {
                tracing::info!(chain_id, "the books and the chain agree again");
            }
        }
        let label = chain_id.to_string();
        metrics::gauge!("daftari_bridge_problems", "chain_id" => label.clone()).set(problems.len() as f64);
        metrics::gauge!("daftari_bridge_checked_at", "chain_id" => label).set(checked_us as f64 / 1e6);
        self.checks.problems = problems;
        self.checks.obstacle = None;
    }

    /// What is wrong, and when it was.
    async fn find_problems(&self) -> Result<(Vec<String>, i64), BridgeError> {
        let mut problems = audit_bridge(&self.config.pool, &self.config.endpoints).await?.problems;
        // It was so when the bridge began; a policy may have changed.
        let mut conn = self.connection().await?;
        let behind = self.config.check_days(&mut conn).await?;
        problems.extend(behind.map(|it| it.to_string()));
        Ok((problems, store::clock_us(&mut conn).await?))
    }

    /// What the last check found that is wrong, in words.
    pub fn problems(&self) -> &[String] {
        &self.checks.problems
    }
}

/// For how long nothing is checked after a check that took so long.
fn rest(every: Duration, took: Duration) -> Duration {
    every.max(took.saturating_mul(SHARE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_takes_a_small_part_of_the_time() {
        let check = |every, took, expected| {
            assert_eq!(
                rest(Duration::from_secs(every), Duration::from_secs(took)),
                Duration::from_secs(expected)
            );
        };
        check(3600, 0, 3600);
        check(3600, 36, 3600);
        check(3600, 37, 3700);
        check(2, 1, 100);
    }
}
