//! Writing down what is known, before anything is done.

use chain::{AuditLog, Sighting};
use futures::future::join_all;
use proof::AnchorPlace;
use store::{Anchor, AttemptNote, AttemptState, PgConnection};

use super::look::{ASK_PATIENCE, within};
use super::{AnchorError, AnchorObstacle, Anchorer, Looked};
use crate::machine::{Decision, Note};

impl Anchorer {
    /// Makes our records say what the chain shows, whoever anchored it. A round's notes are one transaction.
    pub(super) async fn note(
        &mut self,
        conn: &mut PgConnection,
        looked: &Looked,
        decision: &Decision,
    ) -> Result<(), AnchorError> {
        let Some(believed) = decision.believed else { return Ok(()) };
        let Some(report) = &looked.reports[believed] else { return Ok(()) };
        let place = self.endpoints[0].place();
        let sender = self.account.address();
        let notes: Vec<_> =
            decision.notes.iter().filter_map(|it| noted(&place, &sender, looked, it)).collect();
        let head_size = report.head.is_ours.then_some(report.head.size);
        store::record_round(conn, &place, head_size, &notes).await?;
        for note in notes {
            self.note_pin(conn, looked, believed, &note).await?;
            let told = looked.stored.iter().find(|it| it.anchor_attempt_id == note.anchor_attempt_id);
            let Some(attempt) = told else { continue };
            if let (AttemptState::Included, Some((block, _))) = (note.state, note.block) {
                self.schedule.included(attempt.nonce, block);
            }
            let first_leaf = store::anchored_before(conn, &place, attempt.size).await?;
            tell(first_leaf, attempt.size, &attempt.transaction, note.state, note.block.map(|it| it.0));
        }
        if report.head.is_ours {
            match self.adopt(conn, looked, believed, report.head.size).await {
                // What others anchored keeps us from nothing: a later round writes it down.
                Err(AnchorError::Retry(AnchorObstacle::Chain(error))) => {
                    self.memory.note_failure(believed);
                    tracing::warn!(chain_id = self.chain_id(), %error, "an anchor is not written down yet");
                }
                adopted => adopted?,
            }
        }
        Ok(())
    }

    /// A pin keeps the head that it met: the contract is asked which that was.
    async fn note_pin(
        &self,
        conn: &mut PgConnection,
        looked: &Looked,
        believed: usize,
        note: &AttemptNote,
    ) -> Result<(), AnchorError> {
        let attempt = looked.stored.iter().find(|it| it.anchor_attempt_id == note.anchor_attempt_id);
        let Some(attempt) = attempt.filter(|it| it.extends == it.size) else { return Ok(()) };
        let place = self.endpoints[0].place();
        let root = within(ASK_PATIENCE, self.endpoints[believed].pinned_root(attempt.size)).await?;
        let ours = store::checkpoint_at(conn, attempt.size).await?;
        let is_pinned = root.is_some() && root == ours.map(|it| it.root);
        store::record_pin(conn, &place, attempt.size, is_pinned).await?;
        Ok(())
    }

    /// Writes down anchors that are not our transactions', or whose transactions were forgotten.
    async fn adopt(
        &self,
        conn: &mut PgConnection,
        looked: &Looked,
        believed: usize,
        head_size: u64,
    ) -> Result<(), AnchorError> {
        let place = self.endpoints[0].place();
        let endpoint = &self.endpoints[believed];
        let latest = store::latest_anchor(conn, &place).await?;
        let finalized = looked.finalized();
        let mut wanted = Vec::new();
        if 0 < head_size && latest.is_none_or(|it| it.size < head_size) {
            wanted.push((head_size, None));
        }
        // Looked for again before it is called final: a reorganisation may have moved it.
        let unsettled = store::anchors_to_settle(conn, &place, finalized.unwrap_or(0)).await?;
        wanted.extend(unsettled.iter().map(|it| (it.size, Some(it.block))));
        // Who is believed in what is next is not believed alone in what is final: all that have answered in this round are asked.
        let seeing = self.endpoints.iter().zip(&looked.snapshots).filter(|it| it.1.is_some());
        let seeing: Vec<&AuditLog> = seeing.map(|it| it.0).collect();
        let mut asked: Vec<(u64, Option<u64>, &AuditLog)> =
            wanted.iter().map(|(size, hint)| (*size, *hint, endpoint)).collect();
        for (size, hint) in wanted.iter().filter(|it| it.1.is_some()) {
            asked.extend(seeing.iter().map(|it| (*size, *hint, *it)));
        }
        let asking = asked.iter().map(|(size, hint, it)| within(ASK_PATIENCE, it.sighting(*size, *hint)));
        let answers = join_all(asking).await;
        let mut failure = None;
        for ((size, _), answer) in wanted.iter().zip(&answers) {
            match answer {
                Ok(Some(seen)) => {
                    let others = asked.iter().zip(&answers).skip(wanted.len()).filter(|it| it.0.0 == *size);
                    let same = others.filter(|it| matches!(it.1, Ok(Some(shown)) if shown == seen)).count();
                    let finalized = finalized.filter(|_| self.endpoints.len() < 2 * same);
                    store::record_anchor(conn, &anchor(place, *size, seen, finalized)).await?;
                }
                Ok(None) => {}
                Err(error) => failure = Some(error.clone()),
            }
        }
        failure.map_or(Ok(()), |it| Err(it.into()))
    }
}

fn anchor(place: AnchorPlace, size: u64, sighting: &Sighting, finalized: Option<u64>) -> Anchor {
    let Sighting { block, transaction, .. } = *sighting;
    let is_final = finalized.is_some_and(|finalized| block <= finalized);
    Anchor { place, size, block, transaction, is_final }
}

fn noted(place: &AnchorPlace, sender: &[u8; 20], looked: &Looked, note: &Note) -> Option<AttemptNote> {
    let attempt = looked.stored.iter().find(|it| it.anchor_attempt_id == note.id)?;
    let why = match note.state {
        AttemptState::Included => "it is in a block",
        AttemptState::Final => "most endpoints call its block final, twice",
        AttemptState::Archived => "it is too deep to be undone",
        AttemptState::Orphaned => "a reorganisation took it away",
        AttemptState::Dropped => "no endpoint knows it any more",
        AttemptState::Broadcast => "an endpoint knows it again",
        AttemptState::Reverted => "the contract refused it in a block",
        AttemptState::Spent => "its refusal is too deep to be undone",
        AttemptState::Replaced => "another of the same nonce is there for good",
        AttemptState::Abandoned if attempt.sender != *sender => "whoever signed it is no longer the writer",
        AttemptState::Abandoned => "its nonce went to a transaction that is not ours",
        AttemptState::Armed => "it is signed and stored",
    };
    let is_there =
        matches!(note.state, AttemptState::Included | AttemptState::Final | AttemptState::Archived);
    let is_pin = attempt.extends == attempt.size;
    let anchor = note.block.filter(|_| is_there && !is_pin).map(|(block, _)| Anchor {
        place: *place,
        size: attempt.size,
        block,
        transaction: attempt.transaction,
        is_final: note.state != AttemptState::Included,
    });
    let paid = note.block.and_then(|_| looked.paid(note.id));
    Some(AttemptNote { anchor_attempt_id: note.id, state: note.state, block: note.block, paid, why, anchor })
}

// From a request's line, which has its leaf's index, to the transaction that anchors it: by the range of leaves.
pub(super) fn tell(
    first_leaf: u64,
    size: u64,
    transaction: &[u8; 32],
    state: AttemptState,
    block: Option<u64>,
) {
    let transaction: String = transaction.iter().map(|byte| format!("{byte:02x}")).collect();
    let transaction = format!("0x{transaction}");
    tracing::info!(first_leaf, last_leaf = size - 1, size, %transaction, ?state, block, "anchor");
}
