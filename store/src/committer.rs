//! Group commit: callers hand in requests and await answers; one task commits all that wait, together.
//!
//! There is no timer. A batch is what arrived during the last commit: under little load that is one request, under
//! much load hundreds, and the speed comes from there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use ledger::{Fingerprint, MemberRef, Refused, Request};
use sqlx::{PgConnection, PgPool};
use tokio::sync::{Mutex, RwLock, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use crate::batch::{Answer, Context, InPostgres};
use crate::directory::Directory;
use crate::erasure;
use crate::error::StoreError;
use crate::guard::Guard;
use crate::keyring::{Keyring, Pepper};
use crate::log_head::LogIdentity;
use crate::outcomes::{self, Accepted};
use crate::pulse::{Commits, Pulse};
use crate::stages::{self, BatchError, Database, Session, Stages};
use crate::waiting::{Named, Waiting, named};

/// How much at once.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// How many requests are committed together at most.
    pub(crate) batch_max: usize,
    /// How many requests may wait; the next one is told at once that we are busy.
    pub(crate) queue_max: usize,
    /// So many must wait for another lane to begin while one writes. Fewer are better committed together with
    /// those who are answered then: a commit costs the same for one as for many.
    pub(crate) overlap_min: usize,
}

const SIZES: Sizes = Sizes { batch_max: 1000, queue_max: 8000, overlap_min: 32 };

/// How often a batch that collided with another committer's is tried again before its callers are told to.
const COLLISIONS_MAX: u32 = 10;

/// How long one attempt may take. The server's own limits are shorter, but a host that is gone without a word keeps none of
/// them; and a commit that waits for a standby has no other.
pub(crate) const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(60);

/// Why a request has no answer. None of these is remembered: asking again with the same key is always right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The queue is full. Nothing was posted.
    #[error("too many requests are waiting: ask again in a moment")]
    Busy,
    /// The database went away before it answered, or warned that it may lose this yet: it may have been posted or not.
    #[error("it is not known whether this was posted: ask again with the same key")]
    Unknown,
    /// The database refuses this request for a reason that is ours. Nothing was posted.
    #[error("the request could not be posted")]
    Failed,
    /// It goes on from a posting that is archived, or was answered by one. Nothing was posted.
    #[error(
        "this is about leaf {leaf_index}, which is archived: restore it first, by `daftari books restore`"
    )]
    Archived {
        /// The leaf.
        leaf_index: u64,
    },
    /// The database may lack what the world has seen of the log: [`Committer::guard`] says what. Nothing was posted.
    #[error("commits have halted: the database may lack what was published of the log")]
    Halted,
    /// The process is draining. Nothing was posted.
    #[error("the service is stopping: ask again with the same key")]
    Stopping,
}

pub(crate) struct Job {
    pub(crate) request: Request,
    pub(crate) answer: oneshot::Sender<Result<Answer, SubmitError>>,
}

/// A handle to the committer; clones share its queue. When the last one is dropped, what waits is committed and the
/// task ends.
#[derive(Clone)]
pub struct Committer {
    queue: Queue,
    guard: Guard,
    pulse: Pulse,
    pepper: Pepper,
}

impl Committer {
    /// Starts the committer of one log, which knows nothing of it outside the database but what it has committed itself.
    pub async fn start(
        pool: PgPool,
        log: &LogIdentity,
        keyring: Keyring,
    ) -> Result<(Self, JoinHandle<()>), StoreError> {
        Self::start_guarded(pool, log, keyring, Guard::default()).await
    }

    /// Starts the committer of one log under a guard that knows what the world has seen of it.
    pub async fn start_guarded(
        pool: PgPool,
        log: &LogIdentity,
        keyring: Keyring,
        guard: Guard,
    ) -> Result<(Self, JoinHandle<()>), StoreError> {
        Self::start_lanes(SIZES, pool, log, keyring, guard).await
    }

    /// The same with smaller batches: what a benchmark sets group commit beside.
    #[doc(hidden)]
    pub async fn start_with_batches_of(
        batch_max: usize,
        pool: PgPool,
        log: &LogIdentity,
        keyring: Keyring,
    ) -> Result<(Self, JoinHandle<()>), StoreError> {
        Self::start_lanes(Sizes { batch_max, ..SIZES }, pool, log, keyring, Guard::default()).await
    }

    async fn start_lanes(
        sizes: Sizes,
        pool: PgPool,
        log: &LogIdentity,
        keyring: Keyring,
        guard: Guard,
    ) -> Result<(Self, JoinHandle<()>), StoreError> {
        let mut conn = pool.acquire().await?;
        let directory = Directory::read(&mut conn, &keyring).await?;
        // In doubt it starts all the same: it says so, and goes on once the doubt is gone.
        guard.check(&mut conn).await?;
        drop(conn);
        let pepper = keyring.pepper();
        let context = Context {
            log_id: log.log_id,
            keyring,
            directory,
            guard: guard.clone(),
            warnings: Mutex::default(),
        };
        let pulse = Pulse::default();
        let mut watching = JoinSet::new();
        watching.spawn(guard.clone().watch(pool.clone()));
        watching.spawn(pulse.clone().watch(pool.clone()));
        let database = InPostgres { pool, context: Arc::new(context) };
        let (queue, lanes) = Lanes::new(database, guard.clone(), pulse.clone(), sizes);
        let task = tokio::spawn(async move {
            lanes.run().await;
            watching.shutdown().await;
        });
        Ok((Self { queue, guard, pulse, pepper }, task))
    }

    /// What holds the database against the world, and says why nothing is committed.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Whether commits come to an end, for whoever asks how this process is doing.
    pub fn commits(&self) -> Commits {
        Commits { guard: self.guard.clone(), pulse: self.pulse.clone() }
    }

    /// Whether this name was a member's who was erased.
    pub async fn was_erased(
        &self,
        conn: &mut PgConnection,
        program_id: i16,
        member: &MemberRef,
    ) -> Result<bool, StoreError> {
        Ok(!erasure::erased_names(conn, &self.pepper, &[(program_id, member)]).await?.is_empty())
    }

    /// What is remembered under a key: the fingerprint of what was asked, and what came of it.
    pub async fn remembered(
        &self,
        conn: &mut PgConnection,
        program_id: i16,
        source: &str,
        key: &str,
    ) -> Result<Option<(Fingerprint, Result<Vec<Accepted>, Refused>)>, StoreError> {
        let known = outcomes::remembered_one(conn, &self.pepper, program_id, source, key).await?;
        Ok(known.map(|it| (it.fingerprint, it.outcome)))
    }

    /// Hands in a request and awaits what came of it, once the database holds it.
    pub async fn submit(&self, request: Request) -> Result<Answer, SubmitError> {
        self.queue.submit(request).await
    }
}

/// Where requests wait.
#[derive(Clone)]
pub(crate) struct Queue(mpsc::Sender<Job>);

impl Queue {
    pub(crate) async fn submit(&self, request: Request) -> Result<Answer, SubmitError> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Job { request, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SubmitError::Busy,
            mpsc::error::TrySendError::Closed(_) => SubmitError::Stopping,
        })?;
        let waiting = self.0.max_capacity() - self.0.capacity();
        metrics::gauge!("daftari_commit_queue_depth").set(waiting as f64);
        answered.await.unwrap_or(Err(SubmitError::Unknown))
    }
}

/// Batches in the making, one lane each. While one is committed the next one is written, and the one after that locks and
/// reads.
pub(crate) struct Lanes<D> {
    database: D,
    stages: Stages,
    guard: Guard,
    pulse: Pulse,
    sizes: Sizes,
    /// Whoever holds it takes of what waits.
    turn: Mutex<Waiting>,
    /// Whom each lane's batch is about.
    about: [std::sync::Mutex<Named>; LANES],
    /// Held to read by every batch in the making: whoever holds it to write knows that there is none.
    making: RwLock<()>,
    /// How many requests are in the making.
    taken: AtomicUsize,
}

const LANES: usize = 2;

impl<D: Database> Lanes<D> {
    /// The lanes, and the queue before them.
    pub(crate) fn new(database: D, guard: Guard, pulse: Pulse, sizes: Sizes) -> (Queue, Self) {
        let (queue, jobs) = mpsc::channel(sizes.queue_max);
        let lanes = Self {
            database,
            stages: Stages::default(),
            guard,
            pulse,
            sizes,
            turn: Mutex::new(Waiting::new(jobs)),
            about: Default::default(),
            making: RwLock::default(),
            taken: AtomicUsize::default(),
        };
        (Queue(queue), lanes)
    }

    /// Until nobody can hand in anything, and all that waited is answered.
    pub(crate) async fn run(self) {
        let lanes = Arc::new(self);
        let mut working = JoinSet::new();
        for lane in 0..LANES {
            let lanes = lanes.clone();
            working.spawn(async move { lanes.work(lane).await });
        }
        // Where one panics, the other ends with it, and so does the task: whoever watches it ends the process, and with it
        // the connection that the panic has left in the middle of a transaction.
        while let Some(ended) = working.join_next().await {
            ended.expect("a lane does not panic");
        }
    }

    async fn work(&self, lane: usize) {
        loop {
            let mut turn = self.turn.lock().await;
            turn.gather().await;
            if turn.len() < self.sizes.overlap_min || !self.stages.tip.is_alone() {
                drop(self.making.write().await);
            }
            if !turn.is_asked().await {
                return;
            }
            turn.gather().await;
            let most = self.share_of(turn.len());
            let jobs = turn.take(most, &self.others(lane));
            metrics::gauge!("daftari_commit_queue_depth").set(turn.len() as f64);
            if self.guard.halted().is_some() {
                // Whoever watches finds out when it is over: no batch needs to.
                answer_all(jobs, SubmitError::Halted);
                continue;
            }
            let _making = self.making.read().await;
            self.set_about(lane, jobs.iter().flat_map(|it| named(&it.request)).collect());
            let taken = jobs.len();
            self.taken.fetch_add(taken, Ordering::Relaxed);
            drop(turn);
            self.commit_all(jobs).await;
            self.set_about(lane, Named::new());
            self.taken.fetch_sub(taken, Ordering::Relaxed);
        }
    }

    /// Whom the batches of the other lanes are about.
    fn others(&self, lane: usize) -> Named {
        let others = (0..LANES).filter(|it| *it != lane);
        others.flat_map(|it| self.about[it].lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }

    fn set_about(&self, lane: usize, members: Named) {
        *self.about[lane].lock().unwrap_or_else(PoisonError::into_inner) = members;
    }

    /// How many of those who wait are committed together: their lane's part of all who have asked. Whoever took all would
    /// leave the other lanes nothing to do, for ever.
    fn share_of(&self, waiting: usize) -> usize {
        let asked = waiting + self.taken.load(Ordering::Relaxed);
        let lanes = if self.stages.tip.is_alone() { LANES } else { 1 };
        self.sizes.batch_max.min(asked.div_ceil(lanes).max(self.sizes.overlap_min))
    }

    /// Commits these jobs. Where the database refuses them together, they are tried in halves, in order, until the one
    /// that it refuses stands alone.
    async fn commit_all(&self, jobs: Vec<Job>) {
        let mut rest = vec![jobs];
        while let Some(mut jobs) = rest.pop() {
            match self.commit_once(&jobs).await {
                Ok(answers) => {
                    for (job, answer) in jobs.into_iter().zip(answers) {
                        // A caller that has gone does not need its answer: the outcome is stored with its key.
                        let _ = job.answer.send(Ok(answer));
                    }
                }
                Err(Failure::Refused(StoreError::Archived { leaf_index, .. })) if jobs.len() == 1 => {
                    answer_all(jobs, SubmitError::Archived { leaf_index });
                }
                Err(Failure::Refused(error)) if jobs.len() == 1 => {
                    tracing::error!(%error, "the database refuses a request");
                    answer_all(jobs, SubmitError::Failed);
                }
                Err(Failure::Refused(error)) => {
                    tracing::warn!(%error, jobs = jobs.len(), "the database refuses a batch: trying it in halves");
                    let second = jobs.split_off(jobs.len() / 2);
                    rest.push(second);
                    rest.push(jobs);
                }
                Err(Failure::Halted) => answer_all(jobs, SubmitError::Halted),
                Err(Failure::Gone(error)) => {
                    tracing::error!(%error, jobs = jobs.len(), "it is not known whether a batch stands");
                    answer_all(jobs, SubmitError::Unknown);
                }
            }
        }
    }

    async fn commit_once(&self, jobs: &[Job]) -> Result<Vec<Answer>, Failure> {
        let requests: Vec<&Request> = jobs.iter().map(|it| &it.request).collect();
        let mut tries = 0;
        loop {
            let started = Instant::now();
            let under_way = self.pulse.begin();
            let mut session = self.database.session().await.map_err(Failure::Gone)?;
            let attempt = stages::commit(&mut session, &self.stages, &requests);
            let attempt = tokio::time::timeout(ATTEMPT_TIME_MAX, attempt).await;
            let failure = match attempt.unwrap_or_else(|_| Err(silent())) {
                Ok(answers) => {
                    under_way.answered();
                    // A batch that has written nothing says nothing of commits.
                    let wrote = |(request, it): (&&Request, &Answer)| {
                        !request.dry_run && !it.replayed && it.outcome.is_ok()
                    };
                    if requests.iter().zip(&answers).any(wrote) {
                        self.pulse.committed();
                    }
                    observe(&answers, started);
                    return Ok(answers);
                }
                Err(BatchError::RolledBack(error)) if !error.is_outage() => {
                    let undone = async {
                        match session.roll_back().await {
                            Ok(()) => self.after_rollback(&mut session, error, &mut tries).await,
                            // The connection is gone, and with it the transaction: nothing stands either way.
                            Err(gone) => Some(Failure::Gone(gone)),
                        }
                    };
                    let undone = tokio::time::timeout(ATTEMPT_TIME_MAX, undone).await;
                    undone.unwrap_or_else(|_| Some(Failure::Gone(StoreError::no_answer())))
                }
                Err(BatchError::RolledBack(error) | BatchError::Unknown(error)) => Some(Failure::Gone(error)),
            };
            match failure {
                Some(Failure::Gone(_)) => session.abandon(),
                _ => under_way.answered(),
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
    }

    /// Whether a batch that was rolled back is to be tried again: none, if it is.
    async fn after_rollback(
        &self,
        session: &mut D::Session,
        error: StoreError,
        tries: &mut u32,
    ) -> Option<Failure> {
        if matches!(error, StoreError::Outdated) {
            return session.read_again().await.err().map(Failure::Gone);
        }
        if matches!(error, StoreError::Overtaken) {
            // Each time somebody else has come further, so this ends.
            metrics::counter!("daftari_commit_overtaken_total").increment(1);
            return None;
        }
        if matches!(error, StoreError::Unguarded) {
            // Who was who on a database that has lost something may be another now, under the same number and in the same epoch.
            let looked = async {
                session.read_again().await?;
                session.check().await
            };
            return match looked.await {
                Ok(goes_on) => (!goes_on).then_some(Failure::Halted),
                Err(error) => Some(Failure::Gone(error)),
            };
        }
        if !is_retriable(&error) || COLLISIONS_MAX <= *tries {
            return Some(Failure::Refused(error));
        }
        metrics::counter!("daftari_commit_collisions_total").increment(1);
        tracing::debug!(%error, "a batch collided with another committer's: trying it again");
        *tries += 1;
        None
    }
}

/// A server that has not answered in all this time may have done anything.
fn silent() -> BatchError {
    BatchError::Unknown(StoreError::no_answer())
}

enum Failure {
    /// The database refused: trying the same again gives the same.
    Refused(StoreError),
    /// The database went away.
    Gone(StoreError),
    /// The database lacks what the world has seen.
    Halted,
}

/// Two committers may be handed the same key for different members at once: the second finds the first's outcome when
/// it tries again.
fn is_retriable(error: &StoreError) -> bool {
    error.is_collision() || error.constraint() == Some("outcome_pk")
}

fn answer_all(jobs: Vec<Job>, error: SubmitError) {
    for job in jobs {
        let _ = job.answer.send(Err(error));
    }
}

fn observe(answers: &[Answer], started: Instant) {
    let posted = answers
        .iter()
        .filter(|it| !it.replayed)
        .filter_map(|it| it.outcome.as_ref().ok())
        .map(Vec::len)
        .sum::<usize>();
    metrics::counter!("daftari_postings_total").increment(posted as u64);
    metrics::histogram!("daftari_commit_batch_size").record(answers.len() as f64);
    metrics::histogram!("daftari_commit_seconds").record(started.elapsed().as_secs_f64());
}
