//! Never fork: what is known outside the database must be part of what the database knows, or nothing more is signed.

use std::time::Instant;

use proof::Checkpoint;
use store::{
    PgConnection, RecordedCheckpoint, checkpoint_at, latest_checkpoint, record_cosignatures, timeline,
};

use crate::seal::{Doubt, SealError, Sealer};

impl Sealer {
    /// Holds the database against the contracts and the witnesses that answer: at the start, and whenever PostgreSQL is
    /// on another timeline, which is after a failover or a restore. One that does not answer keeps nobody from sealing.
    pub(crate) async fn check_outside(
        &mut self,
        conn: &mut PgConnection,
        known: u64,
    ) -> Result<(), SealError> {
        let now = timeline(conn).await?;
        if self.timeline == Some(now) {
            return Ok(());
        }
        // What stands in the tiles is to be held against this database too.
        self.edge = None;
        for contract in &self.contracts {
            let chain_id = contract.chain().id();
            match contract.head().await {
                Ok(head) if head.size != 0 => {
                    let who = format!("the contract on chain {chain_id}");
                    let seen =
                        Checkpoint { origin: self.log.origin.clone(), size: head.size, root: head.root };
                    check_seen(conn, who, &seen, known).await?;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, chain_id, "the contract was not asked whether it knows more of this log");
                }
            }
        }
        if let Some(witnesses) = &mut self.witnesses {
            for (name, seen) in witnesses.seen(&self.log.origin).await {
                check_seen(conn, format!("the witness {name}"), &seen, known).await?;
            }
        }
        self.timeline = Some(now);
        Ok(())
    }

    /// The note of a recorded checkpoint, with what the witnesses say of it. One of them that has seen more than the
    /// database knows ends it: then there is another history, and this one must not be seen.
    pub(crate) async fn cosigned(
        &mut self,
        conn: &mut PgConnection,
        recorded: &RecordedCheckpoint,
    ) -> Result<String, SealError> {
        let Some(witnesses) = &mut self.witnesses else { return Ok(recorded.note.clone()) };
        let begun = Instant::now();
        let (size, root) = (recorded.size, recorded.root);
        let checkpoint = Checkpoint { origin: self.log.origin.clone(), size, root };
        let cosigned = witnesses.cosign(&self.folder, &recorded.note, &checkpoint).await;
        metrics::histogram!("daftari_witness_seconds").record(begun.elapsed().as_secs_f64());
        if let Some((name, seen)) = cosigned.ahead {
            // Another sealer may have shown it more since: then the database knows it as well.
            let known = latest_checkpoint(conn).await?.map_or(0, |it| it.size);
            if known < seen {
                return Err(Doubt::SeenBeyond { who: format!("the witness {name}"), seen, known }.into());
            }
        }
        if !cosigned.is_quorum {
            tracing::warn!(size, cosigned = cosigned.lines.len(), "published with too few cosignatures");
        }
        // A receipt of this checkpoint will carry them too.
        record_cosignatures(conn, size, &cosigned.lines).await?;
        let lines = cosigned.lines.into_iter().map(|(_, line)| line);
        Ok(std::iter::once(recorded.note.clone()).chain(lines).collect())
    }
}

async fn check_seen(
    conn: &mut PgConnection,
    who: String,
    seen: &Checkpoint,
    known: u64,
) -> Result<(), SealError> {
    if known < seen.size {
        return Err(Doubt::SeenBeyond { who, seen: seen.size, known }.into());
    }
    // Whoever has seen a checkpoint of ours was shown one that was recorded before.
    match checkpoint_at(conn, seen.size).await? {
        Some(recorded) if recorded.root == seen.root => Ok(()),
        None if seen.size == 0 => Ok(()),
        _ => Err(Doubt::SeenOtherwise { who, size: seen.size }.into()),
    }
}
