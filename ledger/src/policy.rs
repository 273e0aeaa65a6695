//! A program's policy: what its operator has settled about expiry, limits, holds and debt. A version of it is a JSON
//! document; what it leaves out has the value said here.

use std::collections::HashMap;

use jiff::ToSpan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::account::{Flow, Lot, Used};
use crate::day::{Day, Moment, Stretch, Zone};
use crate::points::MEMBER_LIMIT;
use crate::rates::Rates;

/// What an operator has settled for a program. Amounts are in the smallest unit: with a scale of 2, 1000 is ten points.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The zone whose dates count, by its IANA name. UTC.
    pub time_zone: String,
    /// What becomes of an event of somebody who is not a member. What was said when the program was made: `enrol` with `--enrols`,
    /// else `refuse`.
    pub strangers: Option<Strangers>,
    /// When points expire. Never.
    pub expiry: Expiry,
    /// For how many days points that a reversal gives back can be spent, where their own time is over. 30.
    pub grace_days: u16,
    /// How far a reversal may bring a member below zero. 0: not at all. A merge may go beyond it.
    pub debt_max: i64,
    /// What a member must keep: what is asked for may not bring them below it. 0.
    pub floor: i64,
    /// How long holds last.
    pub holds: HoldPolicy,
    /// An adjustment above this, each item by itself, needs a second person's approval. None does.
    pub approval_above: Option<i64>,
    /// What limits earning. Imports, adjustments and deposits are not counted.
    pub earn: FlowLimits,
    /// What limits redeeming, holds and withdrawals included.
    pub redeem: FlowLimits,
    /// What limits transfers, by the member who gives.
    pub transfer: FlowLimits,
}

/// What becomes of an event of somebody who is not a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strangers {
    /// They are enrolled by it, also where a limit then refuses it.
    Enrol,
    /// It is refused: who takes part is enrolled first.
    Refuse,
    /// It waits, and earns once they are enrolled.
    Park,
}

/// When points expire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Expiry {
    /// Never.
    #[default]
    Never,
    /// Each lot a period after the day on which its earning was recorded, or at the end of the month, quarter or year then.
    After {
        /// So many days.
        #[serde(default)]
        days: u16,
        /// And so many months.
        #[serde(default)]
        months: u16,
        /// On to the end of this.
        #[serde(default)]
        end_of: Option<Stretch>,
    },
    /// The whole balance, a period after the member last earned (pending too), redeemed, captured, withdrew or gave to another.
    /// Being given points counts only as the first activity, or after the time was over.
    Inactivity {
        /// So many days.
        #[serde(default)]
        days: u16,
        /// And so many months.
        #[serde(default)]
        months: u16,
    },
}

/// How long holds last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HoldPolicy {
    /// One that names no time, in seconds. 15 minutes.
    pub seconds: u32,
    /// The longest, extensions included, from when it was placed. 30 days.
    pub seconds_max: u32,
}

/// What limits one way that points flow. What is left out is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlowLimits {
    /// One posting.
    pub per_posting: Option<i64>,
    /// A member's local day.
    pub per_day: Option<i64>,
    /// A member's month.
    pub per_month: Option<i64>,
    /// A merchant's day, over all members. Only redeeming has a merchant; elsewhere it limits nothing.
    pub per_merchant_day: Option<i64>,
}

/// A limit by its name, as a refusal tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// What one posting may carry.
    PerPosting,
    /// What a member may do in a day.
    PerDay,
    /// What a member may do in a month.
    PerMonth,
    /// What a merchant may do in a day.
    PerMerchantDay,
    /// What a member must keep.
    Floor,
    /// What a fund has to give.
    Budget,
    /// How far a reversal may bring a member below zero.
    Debt,
    /// The most that a balance can be.
    Balance,
}

impl Limit {
    /// All of them; a limit's place is its number in the database.
    pub const ALL: [Self; 8] = [
        Self::PerPosting,
        Self::PerDay,
        Self::PerMonth,
        Self::PerMerchantDay,
        Self::Floor,
        Self::Budget,
        Self::Debt,
        Self::Balance,
    ];

    /// What can be done where it is passed.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::PerPosting => "split it, or raise the limit in the policy, and ask with a new key",
            Self::PerDay | Self::PerMonth | Self::PerMerchantDay => {
                "ask for at most what is left, wait until the time is over, or raise the limit in the policy, and ask with a new key"
            }
            Self::Floor => "the policy makes members keep so much: ask for less, with a new key",
            Self::Budget => "take less, or put points into the fund first, and ask with a new key",
            Self::Debt => {
                "take less, end the member's holds first, or let the policy allow a greater debt, and ask with a new key"
            }
            Self::Balance => "a balance can be no more than that: ask for less, with a new key",
        }
    }

    /// Its name, as a policy and a refusal spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PerPosting => "per_posting",
            Self::PerDay => "per_day",
            Self::PerMonth => "per_month",
            Self::PerMerchantDay => "per_merchant_day",
            Self::Floor => "floor",
            Self::Budget => "budget",
            Self::Debt => "debt_max",
            Self::Balance => "balance",
        }
    }
}

/// Why a document is not a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the policy cannot be read: {0}")]
pub struct PolicyError(String);

/// A policy ready to decide by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What was settled.
    pub policy: Policy,
    /// Nothing that takes effect before this instant is posted any more.
    pub closed_before_us: i64,
    /// The funds whose points can be spent with one merchant only, by number.
    pub merchants: HashMap<u32, String>,
    /// The gateways that mint the program's points, by chain and contract.
    pub gateways: HashMap<(u64, [u8; 20]), Gateway>,
    /// What a point is worth.
    pub rates: Rates,
    /// How far the program's clock is ahead of the log's, in microseconds: a sandbox's may be.
    pub ahead_us: i64,
    zone: Zone,
}

/// What a decision has to know of a gateway. A token never changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The unit whose points it mints.
    pub unit: u16,
    /// The token that they become.
    pub token: [u8; 20],
    /// How long an epoch is, at whose end points expire there, in seconds.
    pub epoch_s: u32,
    /// By how many seconds its local time is ahead of UTC.
    pub zone_s: i32,
}

impl Gateway {
    /// Until which Unix second points must last that can be claimed before this one: an epoch longer. Of the epochs that end
    /// no later than such points there is then one that has not ended, whenever they are claimed.
    pub(crate) fn last_until(&self, claim_before: u64) -> i64 {
        i64::try_from(claim_before).unwrap_or(i64::MAX).saturating_add(self.epoch_s.into())
    }

    /// Whether points of this last day last so long there.
    pub fn lasts(&self, day: Day, claim_before: u64) -> bool {
        self.last_until(claim_before) <= self.end_of(day)
    }

    /// Whether the local days of the two years from this one on, with every change of clocks in them, end no later there than
    /// for the program. Where one does, points outlive their lot on the chain.
    pub fn keeps_days(&self, terms: &Terms, from: Day) -> bool {
        let mut days = (0..2 * 366).filter_map(|it| Day::new(from.number() + it));
        days.all(|day| self.end_of(day) <= terms.end_of(day).div_euclid(1_000_000))
    }

    /// When the day is over there, in Unix seconds.
    fn end_of(&self, day: Day) -> i64 {
        (i64::from(day.number()) + 1) * 24 * 3600 - i64::from(self.zone_s)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            time_zone: "UTC".to_owned(),
            strangers: None,
            expiry: Expiry::Never,
            grace_days: 30,
            debt_max: 0,
            floor: 0,
            holds: HoldPolicy::default(),
            approval_above: None,
            earn: FlowLimits::default(),
            redeem: FlowLimits::default(),
            transfer: FlowLimits::default(),
        }
    }
}

impl Policy {
    /// What becomes of strangers' events in a program that was made to enrol them, or not to.
    pub fn strangers(&self, enrols: bool) -> Strangers {
        self.strangers.unwrap_or(if enrols { Strangers::Enrol } else { Strangers::Refuse })
    }
}

impl Default for HoldPolicy {
    fn default() -> Self {
        Self { seconds: 15 * 60, seconds_max: 30 * 24 * 3600 }
    }
}

impl Terms {
    /// Reads a policy's document.
    pub fn parse(document: &[u8]) -> Result<Self, PolicyError> {
        Self::new(serde_json::from_slice(document).map_err(|error| PolicyError(error.to_string()))?)
    }

    /// Takes a policy, if its parts are within their bounds.
    pub fn new(policy: Policy) -> Result<Self, PolicyError> {
        let bad = |problem: String| Err(PolicyError(problem));
        let Some(zone) = Zone::named(&policy.time_zone) else {
            return bad(format!("no time zone is called {:?}", policy.time_zone));
        };
        let limits = [&policy.earn, &policy.redeem, &policy.transfer]
            .into_iter()
            .flat_map(|it| [it.per_posting, it.per_day, it.per_month, it.per_merchant_day])
            .flatten();
        let amounts = limits.chain(policy.approval_above).chain([policy.debt_max, policy.floor]);
        if let Some(amount) = amounts.into_iter().find(|it| !(0..=MEMBER_LIMIT).contains(it)) {
            return bad(format!("an amount is from 0 to {MEMBER_LIMIT}, not {amount}"));
        }
        if let Expiry::After { days: 0, months: 0, end_of: None }
        | Expiry::Inactivity { days: 0, months: 0 } = policy.expiry
        {
            return bad("expiry: a period has days or months".to_owned());
        }
        if policy.holds.seconds == 0 || policy.holds.seconds_max < policy.holds.seconds {
            return bad("holds: seconds is above 0 and at most seconds_max".to_owned());
        }
        Ok(Self {
            policy,
            closed_before_us: i64::MIN,
            merchants: HashMap::new(),
            gateways: HashMap::new(),
            rates: Rates::default(),
            ahead_us: 0,
            zone,
        })
    }

    /// Whether points of this lot can be spent with this partner; with none, points for one merchant cannot. Debts, reversals and
    /// corrections take them all the same, wherever those come from.
    pub fn may_be_spent(&self, lot: &Lot, partner: Option<&str>) -> bool {
        self.merchants.get(&lot.fund).is_none_or(|merchant| Some(merchant.as_str()) == partner)
    }

    /// What the program's clock shows at an instant of the log's, with the date in the program's zone.
    pub fn moment(&self, us: i64) -> Moment {
        self.zone.moment(us.saturating_add(self.ahead_us))
    }

    /// When the day is over in the program's zone.
    pub fn end_of(&self, day: Day) -> i64 {
        self.zone.end_of(day)
    }

    /// The last day on which points earned on this one can be spent.
    pub fn last_day(&self, earned: Day) -> Day {
        match self.policy.expiry {
            Expiry::Never | Expiry::Inactivity { .. } => Day::NEVER,
            Expiry::After { days, months, end_of } => {
                let day = earned.plus(i64::from(months).months().days(days));
                end_of.map_or(day, |stretch| day.end_of(stretch))
            }
        }
    }

    /// The last day on which a member who was last active on this one can spend, where idle members lose their points. That an
    /// earning matures or is confirmed, or a hold is voided or lapses, is no activity: what comes free after this day expires at once.
    pub fn last_idle_day(&self, active: Day) -> Day {
        match self.policy.expiry {
            Expiry::Inactivity { days, months } => active.plus(i64::from(months).months().days(days)),
            Expiry::Never | Expiry::After { .. } => Day::NEVER,
        }
    }

    /// What limits a flow.
    pub fn limits(&self, flow: Flow) -> &FlowLimits {
        match flow {
            Flow::Earn => &self.policy.earn,
            Flow::Redeem => &self.policy.redeem,
            Flow::Transfer => &self.policy.transfer,
        }
    }
}

impl FlowLimits {
    /// The limit that an amount would pass, and what is left of it. `used` counts what was done before, `merchant` what
    /// the merchant did.
    pub fn passed(
        &self,
        flow: Flow,
        amount: i64,
        used: &Used,
        merchant: Option<&Used>,
    ) -> Option<(Limit, i64)> {
        let merchant_day = merchant.map_or(0, |it| it.of(flow).day);
        let each = [
            (Limit::PerPosting, self.per_posting, 0),
            (Limit::PerDay, self.per_day, used.of(flow).day),
            (Limit::PerMonth, self.per_month, used.of(flow).month),
            (Limit::PerMerchantDay, self.per_merchant_day.filter(|_| merchant.is_some()), merchant_day),
        ];
        each.into_iter().find_map(|(limit, max, used)| {
            let left = max?.saturating_sub(used).max(0);
            (left < amount).then_some((limit, left))
        })
    }
}
