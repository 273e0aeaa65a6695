//! The way from a handler to the books, and what is told of what came of it.

use ledger::{Command, Item, Refusal};
use proof::{Balances, Details, LotMovement, PostingKind, Text};
use schemars::JsonSchema;
use serde::Serialize;
use store::{Accepted, Answer, StoreError};
use uuid::Uuid;

use crate::Api;
use crate::code::Code;
use crate::error::Problem;
use crate::refusal;
use crate::route::Asked;
use crate::screen::screen;
use crate::worth::{Amount, Worth};

/// What a caller wishes to be posted.
pub(crate) struct Wish {
    pub(crate) command: Command,
    pub(crate) details: Details,
    /// The version that the account must have.
    pub(crate) expected_version: Option<u64>,
}

/// What was posted.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Transaction {
    /// The posting.
    pub(crate) transaction_id: Uuid,
    /// What it is.
    pub(crate) kind: &'static str,
    /// `SUCCESS`, or `PENDING` while it is looked at.
    #[schemars(extend("enum" = ["SUCCESS", "PENDING"]))]
    pub(crate) status: &'static str,
    /// How many points moved.
    pub(crate) points: i64,
    /// What the account holds now.
    pub(crate) balance: Holdings,
    /// Which of its points moved.
    pub(crate) lots: Vec<LotMoved>,
    /// What the points were worth, where they were spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<Money>,
    /// Until when a hold stands, or a redemption waits, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub(crate) expires_at: Option<String>,
    /// Its place in the log.
    pub(crate) leaf_index: u64,
    /// Where its receipt is.
    pub(crate) receipt_url: String,
}

/// What an account holds.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub(crate) struct Holdings {
    /// What can be spent; below zero, what is owed.
    pub(crate) available: i64,
    /// What is set aside.
    pub(crate) held: i64,
    /// What was earned and cannot be spent yet.
    pub(crate) pending: i64,
    /// The account's version: it grows by one with each change.
    pub(crate) version: u64,
}

/// Points that were earned on one day and end on one day.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct LotMoved {
    /// The day on which they were earned.
    #[schemars(extend("format" = "date"))]
    pub(crate) earned_on: String,
    /// The last day on which they can be spent; absent where they never end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date"))]
    pub(crate) last_day: Option<String>,
    /// How many were added to what can be spent, or below zero taken.
    pub(crate) available: i64,
    /// How many were set aside, or below zero released.
    pub(crate) held: i64,
    /// How many began to wait, or below zero ended it.
    pub(crate) pending: i64,
}

/// An amount of money, as a text with every digit.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Money {
    /// How much.
    pub(crate) amount: String,
    /// In which currency.
    pub(crate) currency: String,
}

/// Whether what was posted waits for somebody to look at it: a redemption whose points are set aside.
pub(crate) fn is_pending(kind: PostingKind, accepted: &Accepted) -> bool {
    kind == PostingKind::REDEEM && accepted.lots.iter().any(|it| 0 < it.change.held)
}

/// What came of a wish.
pub(crate) struct Done {
    pub(crate) accepted: Accepted,
    pub(crate) replayed: bool,
}

impl Api {
    /// Who chose a key: its caller.
    pub(crate) fn source(asked: &Asked) -> String {
        format!("credential:{}", asked.caller.credential.owner)
    }

    /// Posts one wish under a key.
    pub(crate) async fn post(&self, asked: &Asked, key: String, wish: Wish) -> Result<Done, Problem> {
        let request = self.request(asked, key, wish)?;
        self.claim_references(asked, &request.key, &request.items).await.map_err(|it| it.1)?;
        let command = request.items[0].command.clone();
        let Answer { outcome, replayed, .. } = self.running.submit(&self.committer, request).await?;
        match outcome {
            Ok(items) => {
                let accepted = items.into_iter().next();
                let accepted = accepted.ok_or_else(|| Problem::internal("a posting came to nothing"))?;
                Ok(Done { accepted, replayed })
            }
            Err(refused) => Err(self.refused(&command, &refused.refusal).await?.replayed(replayed)),
        }
    }

    /// The request for one wish.
    pub(crate) fn request(&self, asked: &Asked, key: String, wish: Wish) -> Result<ledger::Request, Problem> {
        let Wish { command, mut details, expected_version } = wish;
        details.actor = Text::new(asked.actor()).ok();
        let screening = screen(self.screen, &asked.caller, [&command]);
        let item = Item { posting_id: Uuid::now_v7(), command, details };
        let request = ledger::Request::one(self.program_id, Self::source(asked), key, item);
        let hurried = asked.priority()?.is_some();
        Ok(ledger::Request { expected_version, screening, hurried, ..request })
    }

    /// A hold that is over has lapsed, or somebody has ended it: the caller can do something else about each.
    pub(crate) async fn refused(&self, command: &Command, refused: &Refusal) -> Result<Problem, StoreError> {
        let mut problem = refusal::problem(refused);
        if let (Refusal::HoldOver, Some(hold)) = (refused, command.original()) {
            let mut conn = self.pool.acquire().await?;
            let story = store::story(&mut conn, self.program_id, hold).await?;
            if story.is_some_and(|it| it.later.iter().any(|it| it.kind == PostingKind::LAPSE)) {
                problem = Problem::new(Code::HoldExpired, "The hold has lapsed: place a new one, or redeem.");
            }
        }
        Ok(problem)
    }

    /// What is told of a posting.
    pub(crate) async fn tell(&self, kind: PostingKind, done: &Done) -> Result<Transaction, Problem> {
        let Accepted { posting_id, leaf_index, points, account, after, version, ref lots, .. } =
            done.accepted;
        let balance = match version {
            // It has no entry that would say what the account held. It is told the same whenever it is asked.
            0 => {
                let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
                let held = store::balance_when_recorded(&mut conn, account, leaf_index).await?;
                Holdings::of(&held.balances, held.version)
            }
            _ => Holdings::of(&after, version),
        };
        let is_pending = is_pending(kind, &done.accepted);
        let stands = kind == PostingKind::HOLD || is_pending;
        let spends = matches!(kind, PostingKind::REDEEM | PostingKind::CAPTURE);
        let rate = done.accepted.rate.as_ref().filter(|_| spends).and_then(Worth::parse);
        let due = match stands {
            true => {
                let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
                store::due_at(&mut conn, posting_id).await?
            }
            false => None,
        };
        Ok(Transaction {
            transaction_id: posting_id,
            kind: kind.name().unwrap_or("unknown"),
            status: if is_pending { "PENDING" } else { "SUCCESS" },
            points,
            balance,
            lots: lots.iter().map(LotMoved::of).collect(),
            value: rate.map(|it| it.money(points)),
            expires_at: due.map(crate::time::rfc3339),
            leaf_index,
            receipt_url: self.receipt_url(posting_id),
        })
    }
}

impl Holdings {
    pub(crate) fn of(balances: &Balances, version: u64) -> Self {
        let Balances { available, held, pending } = *balances;
        Self { available, held, pending, version }
    }
}

impl LotMoved {
    pub(crate) fn of(movement: &LotMovement) -> Self {
        let day =
            |number| ledger::Day::new(number).filter(|it| *it < ledger::Day::NEVER).map(|it| it.to_string());
        Self {
            earned_on: day(movement.earned_day).unwrap_or_default(),
            last_day: day(movement.last_spendable_day),
            available: movement.change.available,
            held: movement.change.held,
            pending: movement.change.pending,
        }
    }
}

impl Worth {
    /// What so many points are worth.
    pub(crate) fn money(&self, points: i64) -> Money {
        let Amount(amount) = self.amount(points);
        Money { amount: amount.to_string(), currency: self.currency.clone() }
    }
}
