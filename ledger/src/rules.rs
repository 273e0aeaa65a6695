//! A rule set: a version of how events earn. Today a rate for each type of event; what an event earns depends on the
//! event and these bytes alone, so an auditor with both comes to the same points.

use std::collections::BTreeMap;

use proof::Hash;
use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::points::Points;

/// A version of how events earn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSet {
    hash: Hash,
    rates: BTreeMap<String, Decimal>,
    scale: u32,
    rounding: Rounding,
}

/// A program's rule sets, each from an instant on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSets(Vec<(i64, RuleSet)>);

/// What becomes of the part of an earning below the smallest unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// It is cut off.
    #[default]
    Down,
    /// Any part counts as a whole.
    Up,
    /// A half counts as a whole.
    HalfUp,
    /// A half goes to the even neighbour.
    HalfEven,
}

/// What an event earns, and by which rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earning {
    /// How much, in the program's smallest unit.
    pub points: Points,
    /// What rounding took away, in smallest units; below zero where it gave. It is recorded, and neither paid nor added up.
    pub remainder: Decimal,
    /// The hash of the rule set's bytes.
    pub rule_set_hash: Hash,
}

/// Why a rule set cannot be read, or an event earns nothing under it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The document is not a rule set.
    #[error(
        "a rule set is a JSON object {{\"rates\": {{\"<event type>\": \"<points per unit of amount>\"}}}}, \
         which may have \"scale\" (0 to 4) and \"rounding\" (down, up, half_up or half_even): {0}"
    )]
    Document(String),
    /// The event's type has no rate.
    #[error("no rule gives points for events of type {0:?}")]
    NoRate(String),
    /// The amount comes to less than the smallest unit.
    #[error("the event comes to less than the smallest unit of points")]
    Nothing,
    /// The amount comes to more points than there may be.
    #[error("the event comes to more points than one posting can carry")]
    TooMuch,
    /// The amount times its rate has more digits than a decimal holds.
    #[error(
        "the amount times its rate has more than 28 digits, and none is dropped: give the amount or the rate fewer"
    )]
    TooLong,
}

/// What a rule set's bytes say.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleDocument {
    /// How many points an event of each type gives for one unit of its amount, as in `{"purchase": "0.1"}`.
    rates: BTreeMap<String, String>,
    /// How many decimals a point has, 0 to 4: with 2, the smallest unit is a hundredth of a point. The same in all of a program's
    /// rule sets.
    #[serde(default)]
    scale: u32,
    /// What becomes of the part of an earning below the smallest unit. The same in all of a program's rule sets.
    #[serde(default)]
    rounding: Rounding,
}

/// How many digits a new rate may have: an amount of sixteen then has room beside it.
const RATE_DIGITS_MAX: usize = 12;

impl RuleSet {
    /// Reads the bytes of a rule set that is to be settled: what was settled once is read as it is.
    pub fn parse_new(document: &[u8]) -> Result<Self, RuleError> {
        let rules = Self::parse(document)?;
        let has_room = |rate: &Decimal| rate.mantissa().to_string().len() <= RATE_DIGITS_MAX;
        match rules.rates.iter().find(|(_, rate)| !has_room(rate)) {
            Some((kind, rate)) => Err(RuleError::Document(format!(
                "the rate {rate} of {kind:?} has more than {RATE_DIGITS_MAX} digits, which leaves no room for an amount's"
            ))),
            None => Ok(rules),
        }
    }

    /// Reads a rule set's bytes.
    pub fn parse(document: &[u8]) -> Result<Self, RuleError> {
        let bad = |problem: String| RuleError::Document(problem);
        let raw: RuleDocument = serde_json::from_slice(document).map_err(|error| bad(error.to_string()))?;
        let mut rates = BTreeMap::new();
        for (kind, rate) in raw.rates {
            match Decimal::from_str_exact(&rate) {
                Ok(decimal) if decimal.is_sign_positive() && !decimal.is_zero() => {
                    rates.insert(kind, decimal.normalize())
                }
                _ => return Err(bad(format!("the rate {rate:?} of {kind:?} is not a decimal above zero"))),
            };
        }
        if 4 < raw.scale {
            return Err(bad(format!("a point has 0 to 4 decimals, not {}", raw.scale)));
        }
        let hash = proof::rule_set_hash(document);
        Ok(Self { hash, rates, scale: raw.scale, rounding: raw.rounding })
    }

    /// How points are counted, which stays the same through all of a program's rule sets: the decimals of a point, and
    /// what becomes of less than the smallest unit.
    pub fn counting(&self) -> (u32, Rounding) {
        (self.scale, self.rounding)
    }

    /// The hash by which postings name it.
    pub fn hash(&self) -> &Hash {
        &self.hash
    }

    /// What the event earns: its amount times its type's rate, rounded once, to the smallest unit.
    pub fn earn(&self, event: &Event) -> Result<Earning, RuleError> {
        let rate = self.rates.get(&event.kind).ok_or_else(|| RuleError::NoRate(event.kind.clone()))?;
        let exact = self.exact(event.amount, *rate).ok_or(RuleError::TooLong)?;
        let whole = exact.round_dp_with_strategy(0, self.rounding.strategy());
        match whole.to_i64() {
            Some(0) => Err(RuleError::Nothing),
            Some(points) => {
                let points = Points::new(points).map_err(|_| RuleError::TooMuch)?;
                Ok(Earning { points, remainder: (exact - whole).normalize(), rule_set_hash: self.hash })
            }
            None => Err(RuleError::TooMuch),
        }
    }

    /// The product in smallest units with all its digits, where a decimal has room for them: its own product rounds them off.
    fn exact(&self, amount: Decimal, rate: Decimal) -> Option<Decimal> {
        let decimals = amount.scale() + rate.scale();
        let zeros = 10_i128.pow(self.scale.saturating_sub(decimals));
        let digits = amount.mantissa().checked_mul(rate.mantissa())?.checked_mul(zeros)?;
        Decimal::try_from_i128_with_scale(digits, decimals.saturating_sub(self.scale)).ok()
    }
}

impl RuleSets {
    /// The rule sets in the order in which they were settled, each with the instant from which it counts, in microseconds since
    /// 1970: of two that count from the same one, the later. `None` where there are none.
    pub fn new(mut settled: Vec<(i64, RuleSet)>) -> Option<Self> {
        settled.sort_by_key(|it| it.0);
        (!settled.is_empty()).then_some(Self(settled))
    }

    /// The rule set that counts at an instant. Before the first one counts, it is the first one all the same: an event may be
    /// older than the program, and earns.
    pub fn at(&self, effective_at_us: i64) -> &RuleSet {
        let begun = self.0.partition_point(|it| it.0 <= effective_at_us);
        &self.0[begun.saturating_sub(1)].1
    }

    /// What the event earns by the rules of its own time.
    pub fn earn(&self, event: &Event) -> Result<Earning, RuleError> {
        self.at(event.timestamp_us).earn(event)
    }
}

impl Rounding {
    fn strategy(self) -> RoundingStrategy {
        match self {
            Self::Down => RoundingStrategy::ToZero,
            Self::Up => RoundingStrategy::AwayFromZero,
            Self::HalfUp => RoundingStrategy::MidpointAwayFromZero,
            Self::HalfEven => RoundingStrategy::MidpointNearestEven,
        }
    }
}
