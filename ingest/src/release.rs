//! Events that waited for their members, taken to their verdicts once these are enrolled: by whomever, and however.

use std::collections::HashMap;

use store::{Committer, PgPool, StoreError, SubmitError};

use crate::intake::{Intake, Retry};

/// How many events are looked for at a time.
const PAGE: u32 = 100;
/// How many that wait are looked at in a pass: the next one goes on from there.
const LOOKED_AT_MAX: u32 = 50_000;

/// Releases the events of members who take part by now. Two at once post nothing twice: they only do some of it in vain.
pub struct Releaser {
    pool: PgPool,
    committer: Committer,
    intakes: HashMap<i16, Intake>,
    /// The last one that was looked at; 0 where the next pass begins anew.
    after: i64,
}

impl Releaser {
    /// Of all programs of this database.
    pub fn new(pool: PgPool, committer: Committer) -> Self {
        Self { pool, committer, intakes: HashMap::new(), after: 0 }
    }

    /// Releases those that wait for nothing any more, and says how many they were. One that cannot be released waits on,
    /// and keeps none of the others.
    pub async fn pass(&mut self) -> Result<u64, Retry> {
        let mut released = 0;
        let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
        let beyond = store::parked_event_beyond(&mut conn, self.after, LOOKED_AT_MAX).await?;
        drop(conn);
        loop {
            let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
            let events = store::releasable_events(&mut conn, self.after, beyond, PAGE).await?;
            drop(conn);
            if events.is_empty() {
                self.after = beyond.map_or(0, |it| it - 1);
                return Ok(released);
            }
            // One after the other: a member's events come into the books in the order in which they came to us.
            for event in events {
                let new = || Intake::new(self.committer.clone(), self.pool.clone(), event.program_id);
                let outcome = self.intakes.entry(event.program_id).or_insert_with(new).release(&event).await;
                match outcome {
                    Ok(verdict) => released += u64::from(verdict.is_some()),
                    Err(Retry::Submit(SubmitError::Failed)) => {
                        let number = event.parked_event_id;
                        tracing::error!(number, "a parked event cannot be released: it waits on");
                    }
                    // Nothing is to be had of the committer just now, whatever the event: it is the next one again.
                    Err(Retry::Submit(error)) => return Err(error.into()),
                    Err(error) => {
                        self.after = event.parked_event_id;
                        return Err(error);
                    }
                }
                self.after = event.parked_event_id;
            }
        }
    }
}
