//! What was learnt of prices outlives the process: headers are written down as they are seen, and read at the start.

use store::{PgConnection, SeenHeader};

use super::{AnchorError, Anchorer, Looked};
use crate::schedule::Schedule;

impl Anchorer {
    /// Learns anew what the process before had learnt. Once in a process, and again after another held the lease.
    pub(super) async fn recall(&mut self, conn: &mut PgConnection) -> Result<(), AnchorError> {
        let (policy, place) = (self.policy, self.endpoints[0].place());
        let now_ms = store::clock_us(conn).await? as u64 / 1000;
        let span_ms = Schedule::recalled_ms(&policy);
        let begin_ms = now_ms.saturating_sub(span_ms);
        // A chain's clock may be ahead of ours.
        let headers = store::headers_between(conn, place.chain_id, begin_ms, now_ms + span_ms).await?;
        let sent_ms = store::first_stored_since(conn, &place, begin_ms).await?;
        let learning = tokio::task::spawn_blocking(move || Schedule::recalled(&policy, &headers, &sent_ms));
        self.schedule = learning.await.expect("learning does not panic");
        self.is_recalled = true;
        Ok(())
    }

    /// Writes down what the newest block costs, a few times in each slot.
    pub(super) async fn remember(
        &mut self,
        conn: &mut PgConnection,
        looked: &Looked,
        now_ms: u64,
    ) -> Result<(), AnchorError> {
        let Some(snapshot) = looked.usual() else { return Ok(()) };
        let time_ms = snapshot.block_time_s.saturating_mul(1000);
        // What a chain's clock is behind or ahead of ours is less than a window: anything else is made up, or of no use.
        let is_odd = self.policy.staleness_max_ms.max(60_000) < time_ms.abs_diff(now_ms);
        let again_ms = self.remembered_ms.saturating_add(Schedule::remembered_every_ms(&self.policy));
        if is_odd || now_ms < again_ms {
            return Ok(());
        }
        self.remembered_ms = now_ms;
        let header = SeenHeader { block: snapshot.block, time_ms, base_fee_wei: snapshot.base_fee_wei };
        store::record_header(conn, self.chain_id(), &header).await?;
        self.tell_costs(conn, now_ms).await
    }
}
