//! The stages of a batch and their order: it is read beside others, then decided, inserted, appended and committed, one batch
//! at a time in each (docs/adr, "The committer has two lanes").
//!
//! What is done in each stands behind a [`Session`]. PostgreSQL's is in `batch.rs`. The other one is a test's: a store in
//! memory which fails at any of them, as a seed says (docs/adr, "The order of things has a door").

use ledger::Request;
use tokio::sync::{Mutex, MutexGuard};

use crate::accounts::State;
use crate::batch::Answer;
use crate::error::StoreError;
use crate::log_head::LogHead;
use crate::tip::{LastTip, Tip, Unanswered};

/// Where batches are committed.
pub(crate) trait Database: Send + Sync + 'static {
    type Session: Session;

    /// A session that is in no transaction.
    fn session(&self) -> impl Future<Output = Result<Self::Session, StoreError>> + Send;
}

/// One connection, in the transaction of one batch. Each step is one of the caller's, who takes them in the order below.
pub(crate) trait Session: Send {
    /// What was read for a batch.
    type Read: Send;
    /// What it writes.
    type Rows: Send;
    /// What of it is written under the lock of the log's head.
    type Guarded: Send;

    /// Begins a transaction, locks the members whom these requests are about, and reads all that is not guarded by the head.
    fn read(&mut self, requests: &[&Request]) -> impl Future<Output = Result<Self::Read, StoreError>> + Send;

    /// Whether they may be decided from this tip. An error is that nothing may be.
    fn knows(&self, read: &Self::Read, tip: &Tip) -> Result<bool, StoreError>;

    /// Locks the log's head, and reads what it guards.
    fn lock_head(
        &mut self,
        read: &mut Self::Read,
    ) -> impl Future<Output = Result<(LogHead, Vec<State>), StoreError>> + Send;

    /// Decides them, and moves the tip to where they leave the log.
    fn decide(&self, read: Self::Read, requests: &[&Request], tip: &mut Tip) -> (Self::Rows, Vec<Answer>);

    /// Writes what the head does not guard: perhaps before the batch before is committed.
    fn insert(&mut self, rows: Self::Rows) -> impl Future<Output = Result<Self::Guarded, StoreError>> + Send;

    /// Moves the log's head from there to there, if that is where it stands.
    fn append(
        &mut self,
        guarded: Self::Guarded,
        from: &LogHead,
        to: &LogHead,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Commits: once this is well, the log has come so far for good.
    fn commit(&mut self, to: &LogHead) -> impl Future<Output = Result<(), BatchError>> + Send;

    /// Ends the transaction as if it had not been.
    fn roll_back(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Reads again who is who and what an operator settled.
    fn read_again(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Holds the database against what the world has seen: whether commits go on.
    fn check(&mut self) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Lets go of a connection that nobody must be lent again. It is not closed in good order: whoever does not answer would
    /// not answer to that either.
    fn abandon(self);
}

/// A failure of a batch, and whether it may stand all the same.
pub(crate) enum BatchError {
    /// Nothing of it stands.
    RolledBack(StoreError),
    /// It may have been committed: asking again with the same keys tells.
    Unknown(StoreError),
}

/// Who may be where, of the batches of one process.
#[derive(Default)]
pub(crate) struct Stages {
    pub(crate) tip: LastTip,
    /// Whoever holds it may decide.
    deciding: Mutex<()>,
    /// Whoever holds it may insert rows. It comes after the right to decide: batches are written in the order in which they
    /// are decided. One batch at a time: two could wait for each other's, if the one ahead of the other
    /// was decided anew.
    inserting: Mutex<()>,
    /// Whoever holds it may lock the log's head and commit. It comes after the right to insert, which is then free for the
    /// next batch, and before the head's lock, or one lane could hold the one and wait for the other.
    committing: Mutex<()>,
}

/// A batch that is decided, under its locks, and the next to be written.
struct Decided<'a, R> {
    unanswered: Unanswered<'a>,
    inserting: MutexGuard<'a, ()>,
    /// Where it was decided under the head's lock.
    committing: Option<MutexGuard<'a, ()>>,
    /// How often the tip had turned out not to be so when it was decided from it.
    turns: u64,
    rows: R,
    answers: Vec<Answer>,
    /// The log's head as it was decided from.
    from: LogHead,
    /// The log's head once it stands.
    to: LogHead,
}

/// Locks, reads, decides, writes and commits. The answers are in the order of the requests.
pub(crate) async fn commit<S: Session>(
    session: &mut S,
    stages: &Stages,
    requests: &[&Request],
) -> Result<Vec<Answer>, BatchError> {
    let decided = decide(session, stages, requests).await.map_err(BatchError::RolledBack)?;
    finish(session, stages, decided).await
}

/// Locks, reads and decides: where nobody else appends, from where the batch decided before will leave the log.
async fn decide<'a, S: Session>(
    session: &mut S,
    stages: &'a Stages,
    requests: &[&Request],
) -> Result<Decided<'a, S::Rows>, StoreError> {
    let mut read = session.read(requests).await?;

    let _deciding = stages.deciding.lock().await;
    let (turns, before) = stages.tip.lend();
    let is_ahead = match &before {
        Some(tip) => session.knows(&read, tip)?,
        None => false,
    };
    let (mut tip, under_lock) = match before {
        Some(tip) if is_ahead => (tip, None),
        before => {
            let under_lock = (stages.inserting.lock().await, stages.committing.lock().await);
            let (head, houses) = session.lock_head(&mut read).await?;
            let mut tip = Tip::found(before, head);
            tip.houses.extend(houses.into_iter().map(|it| (it.account.id, it)));
            (tip, Some(under_lock))
        }
    };
    let from = tip.head;
    let (rows, answers) = session.decide(read, requests, &mut tip);
    let to = tip.head;
    let unanswered = stages.tip.take_back(turns, tip);
    let (inserting, committing) = match under_lock {
        Some((inserting, committing)) => (inserting, Some(committing)),
        None => (stages.inserting.lock().await, None),
    };
    Ok(Decided { unanswered, inserting, committing, turns, rows, answers, from, to })
}

/// Writes and commits.
async fn finish<S: Session>(
    session: &mut S,
    stages: &Stages,
    decided: Decided<'_, S::Rows>,
) -> Result<Vec<Answer>, BatchError> {
    let Decided { unanswered, inserting, committing, turns, rows, answers, from, to } = decided;
    let is_ahead = committing.is_none();
    let failed = |error: StoreError| {
        // Its leaves are another's already.
        let error = if is_ahead && error.is_duplicate() { StoreError::Overtaken } else { error };
        BatchError::RolledBack(error)
    };
    let guarded = session.insert(rows).await.map_err(failed)?;
    let _committing = match committing {
        Some(committing) => committing,
        None => stages.committing.lock().await,
    };
    // Whoever is decided ahead of this one learns of a failure before it can go on: this is dropped before what is held.
    let unanswered = unanswered;
    drop(inserting);
    if is_ahead && stages.tip.turns() != turns {
        return Err(BatchError::RolledBack(StoreError::Overtaken));
    }
    session.append(guarded, &from, &to).await.map_err(failed)?;
    session.commit(&to).await?;
    unanswered.stands();
    Ok(answers)
}
