//! The bridge held against its chain: every point that left the books is somewhere.

use std::collections::BTreeMap;

use chain::{ChainError, Gateway, Supply};
use futures::future::join_all;
use store::{GatewayAt, PgPool, StoreError};

use super::agreement::{agreed, agreed_terms};
use super::{BridgeError, BridgeObstacle};

/// What the books and the chain say of a gateway, as of one final block and one moment of the books.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeAudit {
    /// The block.
    pub block: u64,
    /// What the books have on their account `bridge`.
    pub bridge: i64,
    /// Of that, what has nothing to do with this gateway: others', and what was posted by hand.
    pub elsewhere: i64,
    /// What holders can spend on the chain.
    pub unexpired: i64,
    /// Withdrawals that are neither paid nor taken back.
    pub unclaimed: i64,
    /// Burns that are not credited.
    pub uncredited: i64,
    /// What expired on the chain, or was burned there for nobody's credit, and is not posted.
    pub gone: i64,
    /// What is wrong, in words.
    pub problems: Vec<String>,
}

/// Compares the books with the chain, at the last final block that was read, as more than half of these endpoints show it.
pub async fn audit_bridge(pool: &PgPool, endpoints: &[Gateway]) -> Result<BridgeAudit, BridgeError> {
    let terms = agreed_terms(endpoints).await?;
    let at = GatewayAt { chain_id: endpoints[0].chain().id(), contract: endpoints[0].contract() };
    let books = store::bridge_books(&mut *pool.acquire().await.map_err(StoreError::from)?, &at).await?;
    let state = &books.state;
    let mut problems = books.problems.clone();
    // What came to each epoch by claims, less what was burned of it for credit, is all that can be there.
    let mut came = BTreeMap::<u64, i128>::new();
    for (epoch, minted) in &books.minted {
        *came.entry(*epoch).or_default() += i128::from(*minted);
    }
    for (epoch, burned) in &books.burned {
        *came.entry(*epoch).or_default() -= i128::from(*burned);
    }
    let epochs: Vec<u64> = came.keys().copied().collect();
    let ask = async |it: &Gateway| {
        let hash = it.block(state.block).await?.map(|it| it.0);
        let supply = match it.supply(&terms.points, &epochs, state.block).await {
            // Nothing came, and as of that block there was no token yet.
            Err(ChainError::NoContract(_)) if epochs.is_empty() => Supply::default(),
            supply => supply?,
        };
        Ok((hash, supply))
    };
    let what = format!("supply as of block {}", state.block);
    let (hash, supply) = agreed(join_all(endpoints.iter().map(ask)).await, what)?;
    if state.block_hash != hash {
        return Err(BridgeObstacle::OtherBlock { block: state.block }.into());
    }
    for ((epoch, came), held) in came.iter().zip(&supply.by_epoch) {
        if *came < i128::from(*held) {
            problems.push(format!("epoch {epoch} holds {held} points, and only {came} came to it"));
        }
    }
    let on_chain: i128 = came.values().sum();
    let unexpired = i64::try_from(supply.unexpired).unwrap_or(i64::MAX);
    if on_chain < i128::from(unexpired) {
        problems.push(format!("holders have {unexpired} points, and only {on_chain} came to the chain"));
    }
    let gone = on_chain - i128::from(unexpired) + i128::from(books.lapsed) - i128::from(books.expired);
    let gone = i64::try_from(gone).unwrap_or(i64::MAX);
    if gone < 0 {
        problems.push(format!("{} points more were posted as expired than have", -i128::from(gone)));
    }
    let audit = BridgeAudit {
        block: state.block,
        bridge: books.bridge,
        elsewhere: books.elsewhere,
        unexpired,
        unclaimed: books.unclaimed,
        uncredited: books.uncredited,
        gone,
        problems,
    };
    Ok(audit.added_up())
}

impl BridgeAudit {
    fn added_up(mut self) -> Self {
        let terms = [self.elsewhere, self.unexpired, self.unclaimed, self.uncredited, self.gone];
        let sum: i128 = terms.into_iter().map(i128::from).sum();
        if sum != i128::from(self.bridge) {
            self.problems
                .push(format!("the account bridge has {} points, and {sum} are accounted for", self.bridge));
        }
        self
    }
}
