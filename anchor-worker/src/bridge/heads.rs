//! Heads that are none of this log's. Whoever anchored one has the writer's key, and once it is settled and mature proves
//! withdrawals to the gateway that the books never made.

use chain::Gateway;
use futures::future::join_all;
use proof::Hash;

use super::{Bridge, BridgeError, agreement};

impl Bridge {
    /// Looks at what was settled and is none of this log's: each is told once, and again in every round by the gauge, until
    /// most endpoints say that its settlement was cancelled.
    pub(super) async fn look_at_settled(&mut self) -> Result<(), BridgeError> {
        let settled = store::strange_settlements(&mut *self.connection().await?, &self.at).await?;
        let mut strange = Vec::new();
        for (size, root) in settled {
            let ask = async |it: &Gateway| it.matures_at(size, &root).await;
            let answers = join_all(self.config.endpoints.iter().map(ask)).await;
            if matches!(agreement::agreed(answers, "settlement"), Ok(u64::MAX)) {
                continue;
            }
            if !self.settled_strange.contains(&(size, root)) {
                let chain_id = self.at.chain_id;
                tracing::error!(chain_id, size, "a head is settled that is none of this log's");
            }
            strange.push((size, root));
        }
        self.settled_strange = strange;
        self.tell_strange();
        Ok(())
    }

    /// Notes the contract's head, which is to be settled, as this endpoint shows it: whether it is none of this log's.
    pub(super) async fn is_strange(
        &mut self,
        number: usize,
        size: u64,
        root: &Hash,
    ) -> Result<bool, BridgeError> {
        let is_strange = size != 0 && !self.is_ours(size, root).await?;
        let before = match is_strange {
            true => self.strange.insert(number, (size, *root)),
            false => self.strange.remove(&number),
        };
        if is_strange && before != Some((size, *root)) {
            let chain_id = self.at.chain_id;
            tracing::error!(
                chain_id,
                size,
                "an endpoint shows a head that is none of this log's: it is not settled"
            );
        }
        self.tell_strange();
        Ok(is_strange)
    }

    /// Whether this log was sealed so. Of any other head nothing of ours can be proven, and to settle it would help whoever
    /// anchored it.
    pub(super) async fn is_ours(&self, size: u64, root: &Hash) -> Result<bool, BridgeError> {
        let sealed = store::checkpoint_at(&mut *self.connection().await?, size).await?;
        Ok(sealed.is_some_and(|it| it.root == *root))
    }

    /// The heads that are none of this log's: the contract's, where it was looked at, and what is settled.
    pub fn strange_heads(&self) -> Vec<(u64, Hash)> {
        self.strange.values().chain(&self.settled_strange).copied().collect()
    }

    fn tell_strange(&self) {
        let is_any = !self.strange_heads().is_empty();
        metrics::gauge!("daftari_bridge_strange_head", "chain_id" => self.at.chain_id.to_string())
            .set(f64::from(u8::from(is_any)));
    }
}
