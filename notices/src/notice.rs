//! What a reader may see of a posting: streams, the feed and webhooks all say it in this one form.

use ledger::AccountKind;
use proof::{Balances, PostingKind};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use store::{Fed, FedEntry};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::examples;

/// The longest notice: a webhook's body stays below 20 kB with what is put around it.
pub(crate) const NOTICE_BYTES_MAX: usize = 19_000;

/// Who is told, which says what of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reader {
    /// A member: of their own account in a unit.
    Member(Uuid, u16),
    /// A partner: of what was settled with them, and of what became of what they asked for.
    Partner(String),
    /// An operator: of every posting, with all its entries.
    Operator,
}

/// What a reader is told of one posting.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Notice {
    /// What happened, as in `points.redeemed`.
    pub r#type: &'static str,
    /// The reader's place: a member's account version, which has no gaps; else the log's size with this posting.
    pub seq: u64,
    /// When it was recorded.
    #[schemars(extend("format" = "date-time"))]
    pub timestamp: String,
    /// What it says.
    pub data: Data,
}

/// What a notice says.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "NoticeData")]
pub struct Data {
    /// The posting.
    transaction_id: Uuid,
    /// Its place in the log.
    leaf_index: u64,
    /// What it does, as in `redeem`.
    kind: &'static str,
    /// The member whom it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Uuid>,
    /// The member's account version: notices that come in another order are put right by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    /// The partner whom it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    partner_id: Option<String>,
    /// The unit; 1 is the program's points.
    unit: u16,
    /// How much it moved.
    points: i64,
    /// What it did to the reader's own account.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<Amounts>,
    /// What that came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<Amounts>,
    /// What the points that were spent were worth.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Money>,
    /// What the merchant calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant_reference: Option<String>,
    /// Why it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// The transaction that it undoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    reverses: Option<Uuid>,
    /// The transaction that it goes on from: of a capture, the hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    follows: Option<Uuid>,
    /// From when it counts.
    #[schemars(extend("format" = "date-time"))]
    effective_at: String,
    /// Every account's side, for operators.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entries: Vec<Side>,
    /// Whether texts or entries were left out, because the notice would have been too long.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shortened: bool,
}

/// The three balances of an account.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Amounts {
    /// What can be spent; below zero, what is owed.
    available: i64,
    /// What is set aside.
    held: i64,
    /// What cannot be spent yet.
    pending: i64,
}

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "NoticeMoney")]
struct Money {
    /// A decimal.
    amount: String,
    /// Its currency, by ISO 4217.
    currency: String,
}

/// One account's side, as operators see it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
struct Side {
    /// The account's name in leaves.
    account: Uuid,
    /// What it is for.
    of: &'static str,
    /// Whose it is, of a member.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Uuid>,
    /// Whose it is, of a partner.
    #[serde(skip_serializing_if = "Option::is_none")]
    partner_id: Option<String>,
    /// The unit.
    unit: u16,
    /// The account's version after it.
    sequence: u64,
    /// What was done to it.
    change: Amounts,
    /// What that came to.
    balance: Amounts,
}

impl Notice {
    /// What this reader is told of the posting; nothing, where it does not concern them.
    pub fn of(posting: &Fed, reader: &Reader) -> Option<Self> {
        let own = posting.entries.iter().find(|it| reader.owns(it));
        let (seq, partner_id) = match reader {
            Reader::Member(..) => (own?.version, partner_of(posting)),
            Reader::Partner(name) if own.is_some() || posting.partner_id.as_ref() == Some(name) => {
                (posting.leaf_index + 1, Some(name.clone()))
            }
            Reader::Partner(_) => return None,
            Reader::Operator => (posting.leaf_index + 1, partner_of(posting)),
        };
        let member = match reader {
            Reader::Member(..) => own,
            _ => posting.entries.iter().find(|it| it.kind == AccountKind::Member),
        };
        let side = own.or(member).or(posting.entries.first());
        let points = side.map_or(0, |it| moved(&it.change));
        let is_spent = [PostingKind::REDEEM, PostingKind::CAPTURE].contains(&posting.kind);
        let mut notice = Self {
            r#type: type_of(posting.kind),
            seq,
            timestamp: rfc3339(posting.recorded_at_us),
            data: Data {
                transaction_id: posting.posting_id,
                leaf_index: posting.leaf_index,
                kind: posting.kind.name().unwrap_or("other"),
                user_id: member.and_then(|it| it.member_id),
                sequence: member.map(|it| it.version),
                partner_id,
                unit: side.map_or(1, |it| it.unit),
                points,
                change: own.map(|it| it.change.into()),
                balance: own.map(|it| it.after.into()),
                value: posting.rate.as_deref().filter(|_| is_spent).and_then(|it| worth(it, points)),
                merchant_reference: posting.merchant_reference.clone(),
                reason: posting.reason.clone(),
                description: posting.description.clone(),
                reverses: posting.reverses,
                follows: posting.follows,
                effective_at: rfc3339(posting.effective_at_us),
                entries: match reader {
                    Reader::Operator => posting.entries.iter().map(Side::of).collect(),
                    _ => vec![],
                },
                shortened: false,
            },
        };
        if NOTICE_BYTES_MAX < notice.json().len() {
            notice.shorten();
        }
        Some(notice)
    }

    /// The notice as it is sent.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }

    /// Long texts and long lists go; ids and amounts stay.
    fn shorten(&mut self) {
        self.data.shortened = true;
        self.data.entries.clear();
        (self.data.reason, self.data.description) = (None, None);
        if NOTICE_BYTES_MAX < self.json().len() {
            self.data.merchant_reference = None;
        }
    }

    /// What the reader's account came to.
    pub(crate) fn balance(&self) -> Option<Amounts> {
        self.data.balance
    }

    pub(crate) fn transaction_id(&self) -> Uuid {
        self.data.transaction_id
    }
}

impl Reader {
    fn owns(&self, entry: &FedEntry) -> bool {
        match self {
            Self::Member(id, unit) => {
                entry.kind == AccountKind::Member && entry.member_id == Some(*id) && entry.unit == *unit
            }
            Self::Partner(name) => {
                entry.kind == AccountKind::Settlement && entry.partner_id.as_ref() == Some(name)
            }
            Self::Operator => false,
        }
    }
}

impl Side {
    fn of(entry: &FedEntry) -> Self {
        Self {
            account: entry.account,
            of: entry.kind.name(),
            user_id: entry.member_id,
            partner_id: entry.partner_id.clone(),
            unit: entry.unit,
            sequence: entry.version,
            change: entry.change.into(),
            balance: entry.after.into(),
        }
    }
}

impl From<Balances> for Amounts {
    fn from(balances: Balances) -> Self {
        let Balances { available, held, pending } = balances;
        Self { available, held, pending }
    }
}

fn partner_of(posting: &Fed) -> Option<String> {
    let settled = posting.entries.iter().find_map(|it| it.partner_id.clone());
    settled.or_else(|| posting.partner_id.clone())
}

/// How much a change moves: the greatest of its three, without its sign.
fn moved(change: &Balances) -> i64 {
    change.available.abs().max(change.held.abs()).max(change.pending.abs())
}

fn worth(rate: &str, points: i64) -> Option<Money> {
    let (value, currency) = rate.split_once(' ')?;
    let amount = Decimal::from_str_exact(value).ok()?.checked_mul(Decimal::from(points))?;
    Some(Money { amount: amount.to_string(), currency: currency.to_owned() })
}

pub(crate) fn rfc3339(micros: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .ok()
        .and_then(|it| it.format(&Rfc3339).ok())
        .expect("a recorded time is between 1970 and 9999")
}

/// A kind of notice, as documents describe it.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its type.
    pub r#type: &'static str,
    /// When it is told.
    pub words: &'static str,
    pub(crate) posting: PostingKind,
}

const fn kind(posting: PostingKind, r#type: &'static str, words: &'static str) -> Kind {
    Kind { r#type, words, posting }
}

/// The types of notices, by the kind of their posting.
const KINDS: [Kind; 19] = [
    kind(PostingKind::EARN, "points.earned", "Points were earned; they may be pending."),
    kind(PostingKind::REDEEM, "points.redeemed", "Points were spent."),
    kind(PostingKind::TRANSFER, "points.transferred", "Points went from one member to another."),
    kind(PostingKind::EXPIRE, "points.expired", "Points came to their end."),
    kind(PostingKind::ADJUST, "points.adjusted", "Somebody corrected a balance, or filled a fund."),
    kind(PostingKind::REVERSE, "points.reversed", "A transaction was undone, or a part of it."),
    kind(PostingKind::HOLD, "points.held", "Points were set aside; also while a redemption is under review."),
    kind(PostingKind::CAPTURE, "points.captured", "Points that were set aside were spent."),
    kind(PostingKind::VOID, "points.released", "Points that were set aside were given back."),
    kind(PostingKind::WITHDRAW, "points.withdrawn", "Points left the books for a chain."),
    kind(PostingKind::DEPOSIT, "points.deposited", "Points came from a chain."),
    kind(PostingKind::LAPSE, "points.lapsed", "A hold's time was over: its points are free again."),
    kind(PostingKind::MATURE, "points.matured", "Points that were pending can be spent."),
    kind(PostingKind::CANCEL, "points.cancelled", "Points that were pending went back."),
    kind(PostingKind::EXTEND, "points.extended", "Points, or a hold, end later."),
    kind(PostingKind::INCREASE, "points.hold_increased", "More points were set aside in a hold."),
    kind(PostingKind::MERGE, "points.merged", "A member was merged into another."),
    kind(PostingKind::IMPORT, "points.imported", "Points were brought in from other books."),
    kind(PostingKind::ACT, "program.acted", "An operator changed something: told to the operator alone."),
];

/// What is told of a posting by a version that does not know its kind yet.
const OTHER: Kind =
    kind(PostingKind::NONE, "points.changed", "Something of a kind that this version does not know.");

/// Every type that an endpoint can ask for.
pub fn types() -> impl Iterator<Item = &'static str> {
    KINDS.into_iter().map(|it| it.r#type)
}

/// Every kind of notice that can be told.
pub fn kinds() -> Vec<Kind> {
    KINDS.into_iter().chain([OTHER]).collect()
}

impl Kind {
    /// One as a stream tells it.
    pub fn example(&self) -> Notice {
        examples::told_to_a_member(self.posting)
    }
}

fn type_of(kind: PostingKind) -> &'static str {
    KINDS.iter().find(|it| it.posting == kind).map_or(OTHER.r#type, |it| it.r#type)
}
