//! What the anchors at a place cost, and what timing saved.

use proof::AnchorPlace;
use store::{PaidAnchor, PgConnection, SeenHeader, StoreError};

use super::{AnchorError, Anchorer};
use crate::schedule::{Hindsight, look_back};

/// Over how long costs are told as figures, and how often.
const TOLD_MS: u64 = 30 * 24 * 3_600_000;
const TOLD_EVERY_MS: u64 = 3_600_000;

/// What was paid for at a place in some time.
#[derive(Clone, Debug, PartialEq)]
pub struct AnchorCosts {
    /// From when, in milliseconds since 1970.
    pub begin_ms: u64,
    /// Until when.
    pub end_ms: u64,
    /// Each that was paid for, oldest first.
    pub paid: Vec<PaidAnchor>,
    /// What was seen of prices in that time.
    pub headers: Vec<SeenHeader>,
    /// What others would have paid; none where too little is known.
    pub hindsight: Option<Hindsight>,
}

/// What was paid for at a place between two times, for a promise of this staleness.
pub async fn anchor_costs(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    staleness_ms: u64,
    begin_ms: u64,
    end_ms: u64,
) -> Result<AnchorCosts, StoreError> {
    let paid = store::paid_anchors(conn, place, begin_ms, end_ms).await?;
    // The first of them may have been owed for a window before.
    let known_ms = begin_ms.saturating_sub(staleness_ms);
    let mut headers = store::headers_between(conn, place.chain_id, known_ms, end_ms).await?;
    let tip_wei = chain::tip_floor_wei(place.chain_id);
    // Whoever anchors at fixed intervals pins as well.
    let anchors: Vec<PaidAnchor> = paid.iter().filter(|it| !it.is_pin).copied().collect();
    let hindsight = look_back(&headers, &anchors, staleness_ms, tip_wei, end_ms);
    headers.retain(|it| begin_ms <= it.time_ms);
    Ok(AnchorCosts { begin_ms, end_ms, paid, headers, hindsight })
}

impl Anchorer {
    /// What anchoring cost in the last thirty days, as figures; once an hour.
    pub(super) async fn tell_costs(
        &mut self,
        conn: &mut PgConnection,
        now_ms: u64,
    ) -> Result<(), AnchorError> {
        let staleness_ms = self.policy.staleness_max_ms;
        if staleness_ms == 0 || now_ms < self.told_costs_ms.saturating_add(TOLD_EVERY_MS) {
            return Ok(());
        }
        self.told_costs_ms = now_ms;
        let place = self.endpoints[0].place();
        let costs = anchor_costs(conn, &place, staleness_ms, now_ms.saturating_sub(TOLD_MS), now_ms).await?;
        let Some(hindsight) = costs.hindsight else { return Ok(()) };
        let chain_id = self.chain_id().to_string();
        let told = [
            ("paid", hindsight.paid_wei),
            ("fixed", hindsight.fixed_wei),
            ("optimum", hindsight.optimum_wei),
        ];
        for (who, wei) in told {
            metrics::gauge!("daftari_anchor_month_wei", "chain_id" => chain_id.clone(), "who" => who)
                .set(wei);
        }
        if let Some(share) = hindsight.share() {
            metrics::gauge!("daftari_anchor_saving_share", "chain_id" => chain_id).set(share);
        }
        Ok(())
    }
}
