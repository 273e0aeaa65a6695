//! What becomes of one event, whichever way it came.

use std::sync::Arc;

use ledger::{Command, Earning, Event, Item, Points, Refusal, Refused, Request, RuleError, Strangers};
use proof::{Details, Hash, Text};
use sha2::{Digest, Sha256};
use store::{Accepted, Committer, ParkedEvent, PgPool, StoreError, SubmitError, ToPark};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::rules::KnownRules;

/// The longest event that is read: 64 KiB, where a usual one has two hundred bytes.
pub const EVENT_BYTES_MAX: usize = 1 << 16;
/// How much is said of why an event is not posted: a reason may quote the event.
const DETAIL_CHARS_MAX: usize = 1000;

/// What became of an event. Either way it is dealt with: delivering it again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It earned.
    Posted {
        /// The posting.
        transaction_id: Uuid,
        /// Its leaf.
        leaf_index: u64,
        /// What it earned.
        points: i64,
        /// The member's available points after it.
        balance: i64,
        /// Whether it had been posted before.
        replayed: bool,
    },
    /// It waits: it earns once its member is enrolled.
    Parked {
        /// Its number among those that wait.
        number: i64,
    },
    /// It is not posted because of what it is; it is kept for an operator to read.
    Rejected {
        /// Why.
        code: RejectCode,
        /// Why, in words.
        detail: String,
    },
}

/// Why an event is not posted: stable, as an operator's list and the API show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectCode {
    /// It has more than [`EVENT_BYTES_MAX`] bytes, and is kept without those beyond.
    TooLong,
    /// It cannot be read as an event.
    Unreadable,
    /// No rule gives points for its type.
    NoRate,
    /// It comes to less than the smallest unit of points.
    NothingEarned,
    /// It, or the balance after it, would be more than there may be.
    LimitExceeded,
    /// It is of a member who is not known, and the program enrols nobody by an event.
    UserNotFound,
    /// It is of a member whose account is closed.
    UserClosed,
    /// It says that it happens in the future.
    InFuture,
    /// Its source has used this id for another event.
    IdReused,
}

impl RejectCode {
    /// The code as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "EVENT_TOO_LONG",
            Self::Unreadable => "EVENT_UNREADABLE",
            Self::NoRate => "EVENT_TYPE_WITHOUT_RATE",
            Self::NothingEarned => "NOTHING_EARNED",
            Self::LimitExceeded => "LIMIT_EXCEEDED",
            Self::UserNotFound => "USER_NOT_FOUND",
            Self::UserClosed => "USER_CLOSED",
            Self::InFuture => "EVENT_IN_FUTURE",
            Self::IdReused => "EVENT_ID_REUSED",
        }
    }
}

/// Why there is no verdict: the world's fault, not the event's. Nothing is kept, and asking again is always right.
#[derive(Debug, thiserror::Error)]
pub enum Retry {
    /// The committer has no answer.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The database has none.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who sent an event, and by which way.
#[derive(Clone, Copy)]
struct Sender<'a> {
    partner: Option<&'a str>,
    origin: &'a str,
}

/// The way of an event into the books. Clones share the committer and what is known of the rules.
#[derive(Clone)]
pub struct Intake {
    committer: Committer,
    pool: PgPool,
    program: i16,
    rules: Arc<KnownRules>,
    /// One event at a time is released, since it keeps a connection while another one posts.
    releasing: Arc<Mutex<()>>,
}

impl Intake {
    /// The intake of one program.
    pub fn new(committer: Committer, pool: PgPool, program: i16) -> Self {
        Self { committer, pool, program, rules: Arc::default(), releasing: Arc::default() }
    }

    /// Posts the event, or keeps it as rejected. `origin` tells an operator where it came from: `http`, or the Kafka
    /// topic, partition and offset.
    pub async fn accept(&self, payload: &[u8], origin: &str) -> Result<Verdict, Retry> {
        self.accept_of(None, payload, origin).await
    }

    /// The same of a partner, who is shown what of its own was rejected.
    pub async fn accept_of(
        &self,
        partner: Option<&str>,
        payload: &[u8],
        origin: &str,
    ) -> Result<Verdict, Retry> {
        let from = Sender { partner, origin };
        let verdict = match self.verdict(payload).await? {
            Verdict::Rejected { code: RejectCode::UserNotFound, detail } => {
                self.park(payload, from, detail).await?
            }
            verdict => verdict,
        };
        self.conclude(payload, from, &verdict).await?;
        Ok(verdict)
    }

    /// Takes an event that waits to its verdict, whatever it is; then it waits no more. One that waits no more already has
    /// the verdict of whoever posted it, or none where it was dropped.
    pub async fn release(&self, parked: &ParkedEvent) -> Result<Option<Verdict>, Retry> {
        let number = parked.parked_event_id;
        let _turn = self.releasing.lock().await;
        // Nobody drops it meanwhile. Where this is cut off, it waits on: it is released again, and posted once.
        let mut held = self.pool.begin().await.map_err(StoreError::from)?;
        if !store::hold_parked(&mut held, self.program, number).await? {
            drop(held);
            return match Event::parse(&parked.payload) {
                Ok(event) => self.replay(event).await,
                Err(_) => Ok(None),
            };
        }
        let verdict = self.verdict(&parked.payload).await?;
        let from = Sender { partner: parked.partner_id.as_deref(), origin: &parked.origin };
        self.conclude(&parked.payload, from, &verdict).await?;
        store::unpark(&mut held, self.program, number).await?;
        held.commit().await.map_err(StoreError::from)?;
        Ok(Some(verdict))
    }

    async fn conclude(&self, payload: &[u8], from: Sender<'_>, verdict: &Verdict) -> Result<(), Retry> {
        let origin = from.origin;
        match verdict {
            Verdict::Posted { transaction_id, leaf_index, replayed, .. } => {
                metrics::counter!("daftari_events_total", "verdict" => if *replayed { "REPLAYED" } else { "POSTED" })
                    .increment(1);
                // This line is how a request's correlation id and the posting find each other.
                tracing::info!(%transaction_id, leaf_index, replayed, origin, "event posted");
            }
            Verdict::Parked { number } => {
                metrics::counter!("daftari_events_total", "verdict" => "PARKED").increment(1);
                tracing::info!(number, origin, "event parked");
            }
            Verdict::Rejected { code, detail } => {
                metrics::counter!("daftari_events_total", "verdict" => code.as_str()).increment(1);
                self.keep(payload, from, *code, detail).await?;
                tracing::info!(code = code.as_str(), detail, origin, "event rejected and kept");
            }
        }
        Ok(())
    }

    /// Lets an event of a stranger wait where the program says so, and they are none who was erased.
    async fn park(&self, payload: &[u8], from: Sender<'_>, detail: String) -> Result<Verdict, Retry> {
        let refused = Verdict::Rejected { code: RejectCode::UserNotFound, detail };
        let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
        // What it was made to do with strangers is nothing to wait for.
        let policy = store::terms(&mut conn, self.program).await?.policy;
        let (Strangers::Park, Ok(event)) = (policy.strangers(false), Event::parse(payload)) else {
            return Ok(refused);
        };
        if self.committer.was_erased(&mut conn, self.program, &event.member).await? {
            return Ok(refused);
        }
        let member = event.member.clone();
        let request = self.request(event, &[], nothing());
        let event = ToPark {
            member: &member,
            source: &request.source,
            key: &request.key,
            fingerprint: &request.fingerprint(),
            origin: from.origin,
            partner: from.partner,
            payload,
        };
        Ok(match store::park(&mut conn, self.program, event).await? {
            Some(number) => Verdict::Parked { number },
            None => rejected(RejectCode::IdReused, &"another event waits under its id"),
        })
    }

    async fn verdict(&self, payload: &[u8]) -> Result<Verdict, Retry> {
        if EVENT_BYTES_MAX < payload.len() {
            return Ok(too_long(payload));
        }
        let event = match Event::parse(payload) {
            Ok(event) => event,
            Err(error) => return Ok(rejected(RejectCode::Unreadable, &error)),
        };
        // A field that nobody reads may hold any bytes, and whoever reads events as text could not. What was posted before
        // this was asked stays posted.
        if let Err(error) = std::str::from_utf8(payload) {
            let replay = self.replay(event).await?;
            return Ok(replay.unwrap_or_else(|| rejected(RejectCode::Unreadable, &error)));
        }
        match self.rules.of(&self.pool, self.program).await?.earn(&event) {
            Ok(earning) => match self.committer.submit(self.request(event, payload, earning)).await {
                Ok(answer) => Ok(verdict(answer.outcome, answer.replayed)),
                Err(error @ SubmitError::Archived { .. }) => Ok(posted_long_ago(&error)),
                Err(error) => Err(error.into()),
            },
            // What was posted stays posted, also when today's rules would not post it.
            Err(error) => Ok(self.replay(event).await?.unwrap_or_else(|| rejected(code_of(&error), &error))),
        }
    }

    fn request(&self, event: Event, payload: &[u8], earning: Earning) -> Request {
        let reason = Text::new(event.kind.as_str()).expect("an event's type has 1 to 100 bytes");
        let (source, key) = (format!("{}{}", store::EVENT_SOURCE, event.source), event.id.clone());
        let command = Command::earn(earning, event, payload.to_vec());
        let details = Details { reason: Some(reason), ..Details::default() };
        Request::one(self.program, source, key, Item { posting_id: Uuid::now_v7(), command, details })
    }

    /// The verdict of this very event if it was posted before.
    async fn replay(&self, event: Event) -> Result<Option<Verdict>, Retry> {
        let request = self.request(event, &[], nothing());
        let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
        let known = self.committer.remembered(&mut conn, self.program, &request.source, &request.key).await;
        let known = match known {
            Err(error @ StoreError::Archived { .. }) => return Ok(Some(posted_long_ago(&error))),
            known => known?,
        };
        Ok(known
            .filter(|(fingerprint, outcome)| fingerprint.is_of(&request.fingerprint()) && outcome.is_ok())
            .map(|(_, outcome)| verdict(outcome, true)))
    }

    async fn keep(
        &self,
        payload: &[u8],
        from: Sender<'_>,
        code: RejectCode,
        detail: &str,
    ) -> Result<(), Retry> {
        let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
        // Whom an operator has erased is not to be written down again by an event that comes late or twice.
        if let Some(member) = Event::named(payload)
            && self.committer.was_erased(&mut conn, self.program, &member).await?
        {
            return Ok(());
        }
        let payload = &payload[..payload.len().min(EVENT_BYTES_MAX)];
        let Sender { partner, origin } = from;
        store::keep_rejected(&mut conn, self.program, partner, origin, code.as_str(), detail, payload)
            .await?;
        Ok(())
    }
}

/// An earning of a request that is never submitted: only its fingerprint is looked at, which covers neither the earning nor
/// the bytes.
fn nothing() -> Earning {
    Earning {
        points: Points::new(1).expect("a point is points"),
        remainder: Default::default(),
        rule_set_hash: Hash::default(),
    }
}

/// An event under an id whose posting is archived: it is not posted again, and what it came to then is not told.
fn posted_long_ago(archived: &dyn std::fmt::Display) -> Verdict {
    rejected(RejectCode::IdReused, archived)
}

fn rejected(code: RejectCode, detail: &dyn std::fmt::Display) -> Verdict {
    // PostgreSQL's text holds every character but this one, and a detail may quote the event.
    let detail = detail.to_string().replace('\0', "\u{fffd}");
    Verdict::Rejected { code, detail: detail.chars().take(DETAIL_CHARS_MAX).collect() }
}

/// The whole can still be known by its hash wherever it came from, though only its beginning is kept.
fn too_long(payload: &[u8]) -> Verdict {
    let hash: String = Sha256::digest(payload).iter().map(|byte| format!("{byte:02x}")).collect();
    let detail = format!(
        "it has {} bytes, and an event has at most {EVENT_BYTES_MAX}: only so many are kept; the SHA-256 of all is {hash}",
        payload.len()
    );
    rejected(RejectCode::TooLong, &detail)
}

fn code_of(error: &RuleError) -> RejectCode {
    match error {
        RuleError::NoRate(_) => RejectCode::NoRate,
        RuleError::Nothing => RejectCode::NothingEarned,
        RuleError::TooMuch | RuleError::TooLong => RejectCode::LimitExceeded,
        RuleError::Document(_) => unreachable!("the rule set is read already"),
    }
}

fn verdict(outcome: Result<Vec<Accepted>, Refused>, replayed: bool) -> Verdict {
    match outcome {
        Ok(items) => {
            let Accepted { posting_id, leaf_index, points, after, .. } =
                items.into_iter().next().expect("an event is one item");
            let balance = after.available;
            Verdict::Posted { transaction_id: posting_id, leaf_index, points, balance, replayed }
        }
        Err(Refused { refusal, .. }) => {
            let code = match refusal {
                Refusal::MemberUnknown => RejectCode::UserNotFound,
                Refusal::MemberClosed => RejectCode::UserClosed,
                Refusal::InFuture => RejectCode::InFuture,
                Refusal::KeyReused { .. } => RejectCode::IdReused,
                // Whatever else stands in the way of an earning is a limit: the member's, a fund's or a balance's.
                _ => RejectCode::LimitExceeded,
            };
            rejected(code, &refusal)
        }
    }
}
