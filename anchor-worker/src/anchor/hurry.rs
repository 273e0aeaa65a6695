//! Which leaves are in a hurry: looked for once in each stretch of the log, as it is sealed.

use std::collections::VecDeque;

use store::{Hurried, PgConnection, StoreError};

/// How many leaves are looked through in a round, at most: about what is posted in a second.
const ROUND_LEAVES: u64 = 32 * 1024;

/// How many stretches are kept that the head covers: a reorganisation may take their anchor away, and takes no more blocks than
/// there were rounds in so many.
const COVERED_MAX: usize = 1024;

/// What was found so far. A new process begins at the head, so nothing has to be kept.
#[derive(Debug, Default)]
pub(super) struct Hurry {
    looked_to: u64,
    found: VecDeque<Hurried>,
}

impl Hurry {
    /// Looks through what was sealed since, from the lowest head on.
    pub(super) async fn look(
        &mut self,
        conn: &mut PgConnection,
        head_size: u64,
        sealed_size: u64,
    ) -> Result<(), StoreError> {
        while self.found.get(COVERED_MAX).is_some_and(|it| it.last_leaf < head_size) {
            self.found.pop_front();
        }
        let begin = self.looked_to.max(head_size);
        let end = sealed_size.min(begin + ROUND_LEAVES);
        if begin < end {
            self.found.extend(store::hurried_by_rule(conn, begin, end).await?);
            self.looked_to = end;
        }
        Ok(())
    }

    /// When the oldest leaf in a hurry was recorded that a head of this size does not cover. Of a stretch that it covers in
    /// part the oldest counts: too soon is not too late. Marks may come at any time, so they are asked for each time.
    pub(super) async fn beyond(
        &self,
        conn: &mut PgConnection,
        head_size: u64,
        sealed_size: u64,
    ) -> Result<Option<u64>, StoreError> {
        let marked = store::hurried_by_mark(conn, head_size, sealed_size).await?;
        let found = self.found.iter().filter(|it| head_size <= it.last_leaf);
        Ok(found.chain(&marked).map(|it| it.oldest_ms).min())
    }
}
