//! How much whom is allowed: a sliding hour for each member, partner and key, shared by all processes.
//!
//! A process leases a part of what is left, spends it without asking, and books in the background before it is used up. What
//! it admits of somebody whom it has not booked yet is at most a four-hundredth of their quota, so three processes exceed no
//! quota by more than three of these. The nearer the end, the smaller the leases; when nothing is left, nobody
//! asks again until something is.

mod buckets;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use store::{Booked, Booking, PgPool, QuotaSubject, SLICE_S, SLICES, StoreError};
use tokio::sync::{Notify, watch};

use crate::error::Problem;
use buckets::Buckets;

/// As many of them admit no more than one in a hundred too many, with one to spare.
const PROCESSES: u64 = 4;
/// As many are wished for at least: an eighth of what is left, where that is less.
const WISH_MIN: u32 = 8;
/// Subjects in one round of bookings.
const ROUND_MAX: usize = 1000;
/// More subjects than this, and those that nobody has counted on for an hour are forgotten.
const BUCKETS_ROOM: usize = 200_000;
/// Rows of quotas that nobody has used for hours go so often.
const FORGOTTEN_EVERY: Duration = Duration::from_secs(3600);
/// When PostgreSQL does not answer, the next round waits so long.
const PAUSE: Duration = Duration::from_millis(100);

/// Of whom something is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A member.
    Member,
    /// A partner.
    Partner,
    /// A key, or whoever shows it.
    Key,
    /// Tokens for one client, or for one member's session.
    Tokens,
    /// Keys that one operator makes.
    Keys,
    /// Challenges to the endpoints of one partner, or of one operator.
    Challenges,
    /// Moves of a sandbox's clock: each has every process look again at what is settled, of every program.
    Clocks,
    /// An address from which nobody good has come: failures are counted, and nothing else.
    Failures,
}

impl Kind {
    /// What the policy is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Partner => "partner",
            Self::Key => "key",
            Self::Tokens => "tokens",
            Self::Keys => "keys",
            Self::Challenges => "challenges",
            Self::Clocks => "clocks",
            Self::Failures => "failures",
        }
    }

    /// How many an hour there may be of what has the same quota for everybody.
    pub(crate) fn hourly(self) -> i64 {
        match self {
            // A process that asks for a token with each restart, a hundred of them.
            Self::Tokens => 1000,
            Self::Keys => 100,
            // Each is a request of ours to somebody who has not said yet that they want any.
            Self::Challenges => 100,
            Self::Clocks => 60,
            // A guesser of keys has 2^-190 at each; this is for the log's and the database's sake.
            Self::Failures => 1000,
            Self::Member | Self::Partner | Self::Key => unreachable!("theirs are settled by an operator"),
        }
    }
}

/// A quota of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) kind: Kind,
    subject: QuotaSubject,
    pub(crate) limit: u64,
}

impl Quota {
    /// So many requests an hour for this one of a program.
    pub(crate) fn new(program_id: i16, kind: Kind, name: &str, limit: i64) -> Self {
        let hash = Sha256::digest(format!("{program_id}/{}/{name}", kind.name()));
        let (subject, _) = hash.split_first_chunk::<16>().expect("a hash has 32 bytes");
        Self { kind, subject: *subject, limit: limit.max(1) as u64 }
    }

    /// What one process may admit before it has booked it.
    fn credit(&self) -> u32 {
        u32::try_from(self.limit / (100 * PROCESSES)).unwrap_or(u32::MAX)
    }
}

/// How it stands with a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) kind: Kind,
    pub(crate) limit: u64,
    pub(crate) left: u64,
    /// After how many seconds something is free again.
    pub(crate) frees_in_s: u64,
}

/// PostgreSQL did not answer, so nobody knows how much is left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unbooked;

impl From<Unbooked> for Problem {
    fn from(_: Unbooked) -> Self {
        Self::unavailable("Requests cannot be counted just now: ask again with the same key.")
    }
}

/// All quotas, as one process knows them.
#[derive(Clone)]
pub(crate) struct Limits(Arc<Inner>);

struct Inner {
    buckets: RwLock<Buckets>,
    due: Mutex<Vec<Arc<Bucket>>>,
    wake: Notify,
    rounds: AtomicU64,
}

struct Bucket {
    subject: QuotaSubject,
    state: Mutex<State>,
    /// Counts the rounds in which it was booked; an odd one was never made.
    booked: watch::Sender<Result<u64, ()>>,
}

struct State {
    limit: u64,
    /// Leased and not used, until `ends`.
    lease: u32,
    leased: u32,
    slice: i64,
    ends: Instant,
    /// Admitted and not booked.
    debt: u32,
    /// Used since the last booking: as much is wished for, twice.
    spent: u32,
    /// The most that somebody waits for at once.
    whole: u32,
    left: u64,
    frees: Instant,
    refused_until: Option<Instant>,
    /// So much at once there is not before then, as far as is known.
    whole_refused: Option<(u32, Instant)>,
    is_due: bool,
}

/// What was taken from a bucket, and how it stood afterwards.
struct Taken {
    bucket: Arc<Bucket>,
    count: u32,
    /// The slice that it was leased for; none where it is not booked yet.
    slice: Option<i64>,
    standing: Standing,
}

/// What a bucket says at once.
enum Said {
    /// With the slice that it was leased for; without one where it is not booked yet.
    Yes(Standing, Option<i64>),
    No(Standing),
    /// After the next booking.
    Wait,
}

impl Limits {
    /// The quotas in this database. Bookings go on as long as somebody holds them.
    pub(crate) fn start(pool: PgPool) -> Self {
        let inner = Arc::new(Inner {
            buckets: RwLock::new(Buckets::with_room(BUCKETS_ROOM)),
            due: Mutex::default(),
            wake: Notify::new(),
            rounds: AtomicU64::new(0),
        });
        let booking = Arc::downgrade(&inner);
        tokio::spawn(async move {
            let mut forgotten = Instant::now();
            while let Some(inner) = booking.upgrade() {
                let due = inner.take_due();
                if due.is_empty() {
                    // Whoever drops the last handle is noticed within the hour; until then it is one idle task.
                    let _ = tokio::time::timeout(FORGOTTEN_EVERY, inner.wake.notified()).await;
                    continue;
                }
                if FORGOTTEN_EVERY <= forgotten.elapsed() {
                    forgotten = Instant::now();
                    tokio::spawn(forget(pool.clone()));
                }
                inner.rounds.fetch_add(1, Ordering::Relaxed);
                metrics::counter!("daftari_quota_rounds_total").increment(1);
                if let Err(error) = book(&pool, &due).await {
                    tracing::warn!(%error, "quotas cannot be booked");
                    due.iter().for_each(|it| it.fail());
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
        Self(inner)
    }

    /// How often the database was asked.
    #[cfg(test)]
    pub(crate) fn rounds(&self) -> u64 {
        self.0.rounds.load(Ordering::Relaxed)
    }

    /// Takes one from the quota: how it stands afterwards, or, where nothing is left, how it stands.
    pub(crate) async fn take(&self, quota: &Quota) -> Result<Result<Standing, Standing>, Unbooked> {
        Ok(self.taken(quota, 1).await?.map(|it| it.standing))
    }

    /// Takes so many from each of these quotas, or none from any where one has fewer left: then it says when they may be there.
    pub(crate) async fn take_whole(
        &self,
        quotas: &[Quota],
        count: u32,
    ) -> Result<Result<Vec<Standing>, Standing>, Unbooked> {
        let mut all = Vec::with_capacity(quotas.len());
        for quota in quotas {
            let refused = match self.taken(quota, count).await {
                Ok(Ok(taken)) => {
                    all.push(taken);
                    continue;
                }
                Ok(Err(standing)) => Ok(Err(standing)),
                Err(unbooked) => Err(unbooked),
            };
            all.iter().for_each(Taken::give_back);
            return refused;
        }
        Ok(Ok(all.into_iter().map(|it| it.standing).collect()))
    }

    async fn taken(&self, quota: &Quota, count: u32) -> Result<Result<Taken, Standing>, Unbooked> {
        let bucket = self.bucket(quota);
        let mut booked = bucket.booked.subscribe();
        loop {
            booked.mark_unchanged();
            let (said, is_due) = bucket.take(quota, count);
            if is_due {
                self.0.due.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&bucket));
                self.0.wake.notify_one();
            }
            match said {
                Said::Yes(standing, slice) => return Ok(Ok(Taken { bucket, count, slice, standing })),
                Said::No(standing) => return Ok(Err(standing)),
                Said::Wait => {
                    let told = booked.changed().await;
                    told.expect("the bucket is held here");
                    if booked.borrow().is_err() {
                        return Err(Unbooked);
                    }
                }
            }
        }
    }

    fn bucket(&self, quota: &Quota) -> Arc<Bucket> {
        let known = self.0.buckets.read().unwrap_or_else(PoisonError::into_inner).get(&quota.subject);
        known.unwrap_or_else(|| {
            self.0.buckets.write().unwrap_or_else(PoisonError::into_inner).get_or_add(quota)
        })
    }
}

impl Inner {
    fn take_due(&self) -> Vec<Arc<Bucket>> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let from = due.len().saturating_sub(ROUND_MAX);
        due.split_off(from)
    }
}

/// Beside the bookings, which do not wait for it.
async fn forget(pool: PgPool) {
    let forgotten = async { store::forget_quotas(&mut *pool.acquire().await?).await };
    if let Err(error) = forgotten.await {
        tracing::warn!(%error, "old quotas cannot be forgotten");
    }
}

async fn book(pool: &PgPool, due: &[Arc<Bucket>]) -> Result<(), StoreError> {
    let bookings: Vec<(QuotaSubject, Booking)> = due.iter().map(|it| (it.subject, it.booking())).collect();
    let mut conn = pool.acquire().await?;
    let asked = Instant::now();
    let round = store::book_quotas(&mut conn, &bookings).await?;
    let ends = asked + Duration::from_millis(round.left_ms);
    for ((bucket, (_, booking)), booked) in due.iter().zip(&bookings).zip(&round.booked) {
        bucket.apply(booking, booked, round.slice, ends);
    }
    Ok(())
}

impl Bucket {
    fn new(quota: &Quota) -> Self {
        let now = Instant::now();
        let state = State {
            limit: quota.limit,
            lease: 0,
            leased: 0,
            slice: 0,
            ends: now,
            debt: 0,
            spent: 0,
            whole: 0,
            left: quota.limit,
            frees: now,
            refused_until: None,
            whole_refused: None,
            is_due: false,
        };
        let (booked, _) = watch::channel(Ok(0));
        Self { subject: quota.subject, state: Mutex::new(state), booked }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes so many if that can be said at once; and whether a booking is due now.
    fn take(&self, quota: &Quota, count: u32) -> (Said, bool) {
        let (mut state, now) = (self.state(), Instant::now());
        state.limit = quota.limit;
        if let Some(until) = state.refused_until {
            if now < until {
                return (Said::No(state.standing(quota.kind, now)), false);
            }
            state.refused_until = None;
        }
        let said = if now < state.ends && count <= state.lease {
            state.lease -= count;
            state.spent = state.spent.saturating_add(count);
            Said::Yes(state.standing(quota.kind, now), Some(state.slice))
        } else if count <= quota.credit().saturating_sub(state.debt) {
            state.debt += count;
            state.spent = state.spent.saturating_add(count);
            state.left = state.left.saturating_sub(count.into());
            Said::Yes(state.standing(quota.kind, now), None)
        } else if let Some((refused, until)) = state.whole_refused
            && refused <= count
            && now < until
        {
            let frees_in_s = seconds_until(until, now);
            return (Said::No(Standing { frees_in_s, ..state.standing(quota.kind, now) }), false);
        } else {
            if 1 < count {
                state.whole = state.whole.max(count);
            }
            Said::Wait
        };
        let is_low = match now < state.ends && 0 < state.leased {
            true => state.lease <= state.leased / 4,
            false => quota.credit() / 2 < state.debt,
        };
        let is_due = (is_low || matches!(said, Said::Wait)) && !state.is_due;
        state.is_due |= is_due;
        (said, is_due)
    }

    fn booking(&self) -> Booking {
        let mut state = self.state();
        let is_over = state.ends <= Instant::now();
        let returned = if is_over { (state.slice, state.lease) } else { (0, 0) };
        let kept = if is_over { 0 } else { state.lease };
        let whole = std::mem::take(&mut state.whole).saturating_sub(kept);
        let wish = state.spent.saturating_mul(2).max(WISH_MIN);
        Booking { limit: state.limit, used: state.debt, returned, wish, whole }
    }

    fn apply(&self, booking: &Booking, booked: &Booked, slice: i64, ends: Instant) {
        let mut state = self.state();
        if state.slice != slice || 0 < booking.returned.1 {
            state.lease = 0;
        }
        state.lease += booked.lease;
        (state.leased, state.slice, state.ends) = (state.lease, slice, ends);
        state.debt -= booking.used;
        state.spent = 0;
        (state.left, state.is_due) = (booked.left, false);
        let after =
            |slices: u32| ends + Duration::from_secs(u64::from(slices.saturating_sub(1)) * SLICE_S as u64);
        state.frees = after(booked.frees_in);
        // What is wanted whole is more than what is leased already by so much.
        let kept = state.lease - booked.lease;
        state.whole_refused = booked.fits_in.map(|it| (booking.whole.saturating_add(kept), after(it)));
        if booked.lease == 0 && state.lease == 0 {
            state.refused_until = Some(state.frees);
        }
        drop(state);
        self.booked.send_modify(|it| *it = Ok(it.unwrap_or(0).wrapping_add(1)));
    }

    /// Nothing was booked: whoever waits is told, and the next one tries again.
    fn fail(&self) {
        self.state().is_due = false;
        self.booked.send_modify(|it| *it = Err(()));
    }

    fn is_forgettable(&self) -> bool {
        let state = self.state();
        let is_idle = state.ends + Duration::from_secs(SLICES as u64 * SLICE_S as u64) < Instant::now();
        is_idle && !state.is_due
    }
}

impl Taken {
    /// Gives it back, since it is not used. Of a slice that is over, or while a booking counts it, it stays taken.
    fn give_back(&self) {
        let mut state = self.bucket.state();
        match self.slice {
            Some(slice) if slice == state.slice => {
                state.lease += self.count;
                state.refused_until = None;
            }
            None if !state.is_due => {
                let back = self.count.min(state.debt);
                state.debt -= back;
                state.left += u64::from(back);
            }
            _ => {}
        }
    }
}

impl State {
    fn standing(&self, kind: Kind, now: Instant) -> Standing {
        let left = self.left + u64::from(self.lease);
        Standing { kind, limit: self.limit, left, frees_in_s: seconds_until(self.frees, now) }
    }
}

/// Whole seconds until then, and at least one.
fn seconds_until(then: Instant, now: Instant) -> u64 {
    (then.saturating_duration_since(now).as_secs_f64().ceil() as u64).max(1)
}
