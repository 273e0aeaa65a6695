//! The program's rule sets, as of the last second.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ledger::RuleSets;
use store::{PgPool, StoreError};
use tokio::sync::Mutex;

/// For how long they are used before the database is asked whether there is a newer one.
const FRESH: Duration = Duration::from_secs(1);

/// Changed rules are seen within [`FRESH`]; until then events cost no query.
#[derive(Default)]
pub(crate) struct KnownRules {
    known: RwLock<Option<(Instant, Arc<RuleSets>)>>,
    asking: Mutex<()>,
}

impl KnownRules {
    pub(crate) async fn of(&self, pool: &PgPool, program: i16) -> Result<Arc<RuleSets>, StoreError> {
        if let Some(rules) = self.fresh() {
            return Ok(rules);
        }
        let _turn = self.asking.lock().await;
        // Whoever had the turn before may have asked.
        if let Some(rules) = self.fresh() {
            return Ok(rules);
        }
        let asked = Instant::now();
        let rules = Arc::new(store::rule_sets(&mut *pool.acquire().await?, program).await?);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some((asked, Arc::clone(&rules)));
        Ok(rules)
    }

    fn fresh(&self) -> Option<Arc<RuleSets>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(asked, _)| asked.elapsed() < FRESH).map(|(_, rules)| Arc::clone(rules))
    }
}
