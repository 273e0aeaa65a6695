//! Never fork: what is known outside the database must be part of what the database knows, or nothing more is signed.

use std::time::{Duration, Instant};

use proof::Checkpoint;
use store::{
    PgConnection, RecordedCheckpoint, checkpoint_at, latest_checkpoint, record_cosignatures, timeline,
};

use crate::seal::{Doubt, SealError, Sealer};
use crate::unheard::{Told, Unheard};

/// So long sealing waits at the start, and on a new timeline, for those outside to answer. Whoever has not is asked on, and
/// nothing waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

impl Sealer {
    /// Holds the database against the contracts and the witnesses: at the start, and whenever PostgreSQL is on another
    /// timeline, which is after a failover or a restore. One that does not answer keeps nobody from sealing, and is asked
    /// again at the seals that follow until it has.
    pub(crate) async fn check_outside(&mut self, conn: &mut PgConnection) -> Result<(), SealError> {
        let now = timeline(conn).await?;
        let is_new = self.timeline != Some(now);
        if is_new {
            // What stands in the tiles is to be held against this database too.
            self.edge = None;
            self.unheard = Unheard::of(&self.contracts, self.witnesses.as_ref());
        }
        self.unheard.ask(&self.log.origin, self.witnesses.as_mut());
        let deadline = Instant::now() + if is_new { PATIENCE } else { Duration::ZERO };
        while let Some(Told { who, seen }) = self.unheard.told(deadline).await {
            match seen {
                Ok(seen) => {
                    if let Some(seen) = seen {
                        check_seen(conn, who.to_string(), &seen).await?;
                    }
                    self.unheard.has_told(&who);
                }
                Err(problem) if is_new => {
                    tracing::warn!(%who, problem, "it was not asked whether it knows more of this log, and will be");
                }
                Err(_) => {}
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

async fn check_seen(conn: &mut PgConnection, who: String, seen: &Checkpoint) -> Result<(), SealError> {
    // Whoever has seen a checkpoint of ours was shown one that was recorded before.
    match checkpoint_at(conn, seen.size).await? {
        Some(recorded) if recorded.root == seen.root => return Ok(()),
        None if seen.size == 0 => return Ok(()),
        _ => {}
    }
    let known = latest_checkpoint(conn).await?.map_or(0, |it| it.size);
    Err(match seen.size {
        size if known < size => Doubt::SeenBeyond { who, seen: size, known }.into(),
        size => Doubt::SeenOtherwise { who, size }.into(),
    })
}
