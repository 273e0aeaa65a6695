//! Events that waited for their members, taken to their verdicts once these are enrolled: by whomever, and however.

use std::collections::HashMap;

use store::{Committer, PgPool, StoreError};

use crate::intake::{Intake, Retry};

/// How many events are looked for at a time.
const PAGE: u32 = 100;

/// Releases the events of members who take part by now. Two at once post nothing twice: they only do some of it in vain.
pub struct Releaser {
    pool: PgPool,
    committer: Committer,
    intakes: HashMap<i16, Intake>,
}

impl Releaser {
    /// Of all programs of this database.
    pub fn new(pool: PgPool, committer: Committer) -> Self {
        Self { pool, committer, intakes: HashMap::new() }
    }

    /// Releases all that wait for nothing any more, and says how many they were.
    pub async fn pass(&mut self) -> Result<u64, Retry> {
        let mut released = 0;
        loop {
            let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
            let events = store::releasable_events(&mut conn, PAGE).await?;
            drop(conn);
            if events.is_empty() {
                return Ok(released);
            }
            // One after the other: a member's events come into the books in the order in which they came to us.
            for event in events {
                let new = || Intake::new(self.committer.clone(), self.pool.clone(), event.program_id);
                self.intakes.entry(event.program_id).or_insert_with(new).release(&event).await?;
                released += 1;
            }
        }
    }
}
