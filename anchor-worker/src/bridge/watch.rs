//! Reading a gateway. A burn that never was would invent points in the books, so here one endpoint is never enough: what
//! more than half of all endpoints show alike in final blocks is written down, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use chain::{ChainError, Gateway, GatewaySeen};
use futures::future::join_all;
use proof::Hash;
use store::{Burn, BurnedEpoch, GatewayEvents, GatewayState, PaidClaim, StoreError};

use super::{Bridge, BridgeDoubt, BridgeError, BridgeObstacle, agreement};

/// How many blocks are asked for at once, at most; fewer where endpoints refuse.
pub(super) const STRIDE_MAX: u64 = 5_000;

/// What one endpoint shows.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Shown {
    /// The block that was read last, as it is now.
    pub(super) before: Option<Hash>,
    pub(super) seen: GatewaySeen,
    /// When the epochs of the claims and burns expire.
    pub(super) expiries: BTreeMap<u64, u64>,
    /// The times of the blocks with burns, in seconds since 1970.
    pub(super) times: BTreeMap<u64, u64>,
}

impl Bridge {
    /// Reads on by one stride, and says how many blocks it was.
    pub(super) async fn watch(&mut self) -> Result<u64, BridgeError> {
        let mut conn = self.connection().await?;
        let state = store::gateway_state(&mut conn, &self.at).await?;
        let state =
            state.ok_or_else(|| StoreError::Missing("the gateway is not known any more".to_owned()))?;
        drop(conn);
        let it = &self.config;
        let target = agreement::agreed_final(&it.endpoints, it.final_depth_min, it.final_depth_alone).await?;
        let Some(target) = target else { return Ok(0) };
        if target <= state.block {
            return Ok(0);
        }
        let end = target.min(state.block + self.stride);
        let shown = self.agreed(&state, end).await?;
        if state.block_hash.is_some_and(|it| shown.before != Some(it)) {
            return Err(BridgeDoubt::FinalityBroken { block: state.block }.into());
        }
        let blocks = end - state.block;
        self.expiries.extend(&shown.expiries);
        let events = self.events(shown);
        if let Some(doubt) = self.strange_claim(&state, &events).await? {
            return Err(doubt.into());
        }
        let (claims, burns) = (events.claims.len(), events.burns.len());
        let mut conn = self.connection().await?;
        if store::record_gateway_events(&mut conn, &self.at, state.block, &events).await?
            && claims + burns != 0
        {
            tracing::info!(chain_id = self.at.chain_id, block = end, claims, burns, "read what is final");
        }
        Ok(blocks)
    }

    /// The first claim that pays none of the withdrawals that are open in the books, or another holder or amount, or
    /// points that outlast it. It was proven against a head that is not ours, or its withdrawal is lost.
    pub(super) async fn strange_claim(
        &self,
        state: &GatewayState,
        events: &GatewayEvents,
    ) -> Result<Option<BridgeDoubt>, BridgeError> {
        let is_unknown = |it: &&PaidClaim| !self.config.accepted_claims.contains(&it.withdrawal_id);
        let claims: Vec<&PaidClaim> = events.claims.iter().filter(is_unknown).collect();
        if claims.is_empty() {
            return Ok(None);
        }
        let ids: Vec<Hash> = claims.iter().map(|it| it.withdrawal_id).collect();
        let mut conn = self.connection().await?;
        let open = store::open_withdrawals_of(&mut conn, &self.at, &ids).await?;
        let (zone_s, end_of) = (self.config.terms.zone_s, |epoch| self.expiries.get(&epoch).copied());
        for claim in claims {
            let mut problem = Some("was paid, and is no open withdrawal of these books".to_owned());
            for withdrawal in open.iter().filter(|it| it.withdrawal_id == claim.withdrawal_id) {
                problem = store::claim_problem(withdrawal, claim, zone_s, end_of);
                if problem.is_none() {
                    break;
                }
            }
            let Some(problem) = problem else { continue };
            // Another bridge may have read on meanwhile: then it is open no more.
            let now = store::gateway_state(&mut conn, &self.at).await?;
            if now.is_none_or(|it| it.block != state.block) {
                return Ok(None);
            }
            let [withdrawal_id, transaction] = [claim.withdrawal_id, claim.transaction].map(hex::encode);
            return Ok(Some(BridgeDoubt::StrangeClaim { withdrawal_id, problem, transaction }));
        }
        Ok(None)
    }

    /// What more than half of all endpoints show alike.
    async fn agreed(&mut self, state: &GatewayState, end: u64) -> Result<Shown, BridgeError> {
        let points = self.config.terms.points;
        let (known, begin) = (&self.expiries, state.block + 1);
        let ask = async |it: &Gateway| {
            let before = match state.block_hash {
                Some(_) => it.block(state.block).await?.map(|it| it.0),
                None => None,
            };
            let seen = it.seen(begin, end).await?;
            let mut expiries = BTreeMap::new();
            let minted = seen.claims.iter().flat_map(|it| &it.minted);
            for (epoch, _) in seen.burns.iter().flat_map(|it| &it.amounts).chain(minted) {
                let expires_at = match known.get(epoch) {
                    Some(known) => *known,
                    None => it.expires_at(&points, *epoch).await?,
                };
                expiries.insert(*epoch, expires_at);
            }
            let mut times = BTreeMap::new();
            let blocks: BTreeSet<u64> = seen.burns.iter().map(|it| it.block).collect();
            for block in blocks {
                let absent = || ChainError::Refused(format!("it has no block {block}"));
                times.insert(block, it.block(block).await?.ok_or_else(absent)?.1);
            }
            Ok::<_, ChainError>(Shown { before, seen, expiries, times })
        };
        let shown = agreement::agreed(
            join_all(self.config.endpoints.iter().map(ask)).await,
            format!("events in the blocks up to {end}"),
        );
        match &shown {
            Ok(_) => self.stride = (self.stride * 2).min(STRIDE_MAX),
            Err(BridgeError::Retry(BridgeObstacle::Chain(ChainError::Refused(_)))) => {
                self.stride = (self.stride / 2).max(1);
            }
            Err(_) => {}
        }
        shown
    }

    pub(super) fn events(&self, shown: Shown) -> GatewayEvents {
        let Shown { seen, expiries, times, .. } = shown;
        let claim = |it: chain::ClaimSeen| PaidClaim {
            withdrawal_id: it.withdrawal_id,
            holder: it.holder,
            minted: it.minted,
            lapsed: it.lapsed,
            block: it.block,
            transaction: it.transaction,
        };
        let zone_s = self.config.terms.zone_s;
        let burned = |burned_s: u64, (epoch, amount): (u64, u64)| BurnedEpoch {
            epoch,
            last_day: credited_day(self.expiries[&epoch], burned_s, zone_s),
            amount,
        };
        let burn = |it: chain::BurnSeen| Burn {
            burn_id: it.burn_id,
            holder: it.holder,
            credit_to: it.credit_to,
            amounts: it.amounts.into_iter().map(|amount| burned(times[&it.block], amount)).collect(),
            block: it.block,
            transaction: it.transaction,
        };
        GatewayEvents {
            block: seen.block,
            block_hash: seen.block_hash,
            time_s: seen.time_s,
            claims: seen.claims.into_iter().map(claim).collect(),
            burns: seen.burns.into_iter().map(burn).collect(),
            settled: seen.settled,
            expiries: expiries.into_iter().collect(),
        }
    }
}

/// The last local day with which burned points come back: that of their epoch, or the one after the burn. A burn is final, and
/// credited, some time after it: what was burned in time on its very last day would else be over when it comes.
fn credited_day(expires_at_s: u64, burned_s: u64, zone_s: i32) -> i32 {
    // The day of the second itself is the last day of what expires a second later.
    let burned = last_day(burned_s.saturating_add(1), zone_s);
    last_day(expires_at_s, zone_s).max(burned.saturating_add(1))
}

/// The last local day of points that expire at this instant: the day of the last second at which they could be spent. They
/// were minted into an epoch that ends no later than their lot, so it is never a later day than the lot had.
fn last_day(expires_at_s: u64, zone_s: i32) -> i32 {
    let last_s = i64::try_from(expires_at_s).unwrap_or(i64::MAX / 2) - 1 + i64::from(zone_s);
    i32::try_from(last_s.div_euclid(24 * 3600)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{credited_day, last_day};

    #[test]
    fn what_is_burned_on_its_last_day_has_one_day_more() {
        const DAY: u64 = 24 * 3600;
        let check =
            |burned, zone, expected| assert_eq!(credited_day(10 * DAY, burned, zone), expected, "{burned}");
        check(0, 0, 9);
        check(9 * DAY - 1, 0, 9);
        check(9 * DAY, 0, 10);
        check(10 * DAY - 1, 0, 10);
        // There the last second is in the tenth day, of which three hours are left.
        check(10 * DAY - 3 * 3600 - 1, 3 * 3600, 10);
        check(10 * DAY - 3 * 3600, 3 * 3600, 11);
    }

    #[test]
    fn the_last_day_is_that_of_the_last_second() {
        const DAY: u64 = 24 * 3600;
        let check = |expires_at, zone, expected| assert_eq!(last_day(expires_at, zone), expected);
        // Where an epoch ends with a local day, that day comes back.
        check(10 * DAY, 0, 9);
        check(10 * DAY - 3 * 3600, 3 * 3600, 9);
        check(10 * DAY + 5 * 3600, -5 * 3600, 9);
        // Where it ends within a day, some of that day was left.
        check(10 * DAY + 1, 0, 10);
        check(10 * DAY, 3 * 3600, 10);
        check(u64::MAX, 0, i32::MAX);
    }
}
