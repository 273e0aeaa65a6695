//! Our rows about anchors, held against the contract's events from the first to the last. The contract is right: what is
//! missing in our rows is written down, and what no event shows is forgotten where it was never final.

use std::collections::BTreeMap;

use chain::{AuditLog, Sighting};
use store::{Anchor, PgConnection};

use crate::anchor::AnchorError;

/// What the comparison found, by sizes of checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// The contract's head.
    pub head: u64,
    /// What the events show.
    pub anchored: usize,
    /// Shown by events, and missing in our rows or noted with another block or transaction.
    pub written: Vec<u64>,
    /// In our rows, and shown by no event.
    pub vanished: Vec<u64>,
    /// The same, although it was final.
    pub broken: Vec<u64>,
    /// Shown by events, with a root that this log has not signed at that size.
    pub strangers: Vec<u64>,
}

impl Reconciled {
    /// Whether something is wrong that no row of ours puts right.
    pub fn is_doubtful(&self) -> bool {
        !self.strangers.is_empty() || !self.broken.is_empty()
    }
}

/// Compares, and puts our rows right unless it is only to be said. It never says that something is final: that takes more
/// endpoints than one, and the worker asks them.
pub async fn reconcile(
    conn: &mut PgConnection,
    audit_log: &AuditLog,
    only_say: bool,
) -> Result<Reconciled, AnchorError> {
    let place = audit_log.place();
    // Our rows first: what the worker writes down in the meantime is not missing in older events.
    let ours = store::anchors_at(conn, &place).await?;
    let head = audit_log.head().await?;
    let shown = audit_log.chain().latest_block().await?;
    let history: BTreeMap<u64, Sighting> = audit_log.history().await?.into_iter().collect();
    let mut found = Reconciled { head: head.size, anchored: history.len(), ..Reconciled::default() };
    for (size, sighting) in &history {
        let is_signed = store::checkpoint_at(conn, *size).await?.is_some_and(|it| it.root == sighting.root);
        if !is_signed {
            found.strangers.push(*size);
            continue;
        }
        let Sighting { block, transaction, .. } = *sighting;
        let is_noted =
            ours.iter().any(|it| (it.size, it.block, it.transaction) == (*size, block, transaction));
        if !is_noted {
            found.written.push(*size);
            let anchor = Anchor { place, size: *size, block, transaction, is_final: false };
            if !only_say {
                store::record_anchor(conn, &anchor).await?;
            }
        }
    }
    // Of blocks that the endpoint has not come to it says nothing.
    for anchor in ours.iter().filter(|it| it.block <= shown && !history.contains_key(&it.size)) {
        match anchor.is_final {
            true => found.broken.push(anchor.size),
            false => {
                found.vanished.push(anchor.size);
                if !only_say {
                    store::forget_anchor(conn, &place, anchor.size).await?;
                }
            }
        }
    }
    Ok(found)
}
