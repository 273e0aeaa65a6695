//! What can be asked of the books, once for all its forms: a subcommand of `books post`, an item of a JSON file, and a
//! line of `books kinds`.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use ledger::{Command, Day, Destination, Event, Maturity, MemberRef, Points, RuleSets, Status};
use serde::Deserialize;
use uuid::Uuid;

/// One thing that is asked.
#[derive(Clone, Debug, PartialEq, Subcommand, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Ask {
    /// Give a member what an event earns by the program's rules.
    Earn {
        /// Who earns.
        member: String,
        /// The type of the event, for which the rules have a rate.
        event_type: String,
        /// How much it was, in the program's currency.
        amount: String,
        /// When it was, as in 2026-01-15T10:00:00Z.
        at: String,
        /// The fund that gives the points; without it, issuance.
        #[arg(long)]
        fund: Option<String>,
        /// The points are pending until this instant.
        #[arg(long)]
        matures_at: Option<Instant>,
        /// The points are pending until the earning is confirmed.
        #[arg(long)]
        #[serde(default)]
        on_confirmation: bool,
    },
    /// Let a pending earning be spent now.
    Confirm {
        /// The posting of the earning.
        earning: Uuid,
    },
    /// Send a pending earning back to where it came from.
    Cancel {
        /// The posting of the earning.
        earning: Uuid,
    },
    /// Spend a member's points.
    Redeem {
        /// Who spends.
        member: String,
        /// How much.
        points: i64,
        /// With which partner.
        #[arg(long)]
        partner: Option<String>,
        /// Take less where there is less, as long as it is something.
        #[arg(long)]
        #[serde(default)]
        up_to: bool,
    },
    /// Give a member's points to another member; they keep the day on which they end.
    Transfer {
        /// Who gives.
        from: String,
        /// Who receives.
        to: String,
        /// How much.
        points: i64,
    },
    /// Correct a member's balance. It needs a reason.
    Adjust {
        /// Whose.
        member: String,
        /// What is added, or taken where it is below zero.
        #[arg(allow_hyphen_values = true)]
        change: i64,
        /// Who approved it besides the actor, where the policy asks for that.
        #[arg(long)]
        approver: Option<String>,
        /// From when it counts.
        #[arg(long)]
        effective_at: Option<Instant>,
    },
    /// Undo a posting, or a part of it.
    Reverse {
        /// Which posting.
        posting: Uuid,
        /// How much of it; without it, what is left of it.
        #[arg(long)]
        points: Option<i64>,
    },
    /// Set a member's points aside for a while.
    Hold {
        /// Whose.
        member: String,
        /// How much.
        points: i64,
        /// For which partner.
        #[arg(long)]
        partner: Option<String>,
        /// How long; without it, the policy's time.
        #[arg(long)]
        seconds: Option<u32>,
    },
    /// Give points of a hold to whom they were set aside for.
    Capture {
        /// The posting of the hold.
        hold: Uuid,
        /// How much; without it, what is left of it.
        #[arg(long)]
        points: Option<i64>,
        /// Keep the rest set aside rather than releasing it.
        #[arg(long)]
        #[serde(default)]
        keep_rest: bool,
    },
    /// Give up a hold.
    Void {
        /// The posting of the hold.
        hold: Uuid,
    },
    /// Set more points aside in a hold.
    Increase {
        /// The posting of the hold.
        hold: Uuid,
        /// How many more.
        points: i64,
    },
    /// Let a hold last longer.
    Prolong {
        /// The posting of the hold.
        hold: Uuid,
        /// How long from now.
        seconds: u32,
    },
    /// Put off the day on which a member's points end.
    Extend {
        /// Whose.
        member: String,
        /// Those that end until this day, as in 2026-12-31.
        through: Date,
        /// The day on which they end then; `never` for no day.
        last_day: Date,
    },
    /// Join two members in the unit: the first one's points go over, and the account is closed. In other units, do it again with
    /// `--unit`.
    Merge {
        /// Who is closed.
        from: String,
        /// Who goes on.
        to: String,
    },
    /// Suspend a member in the unit, make them active again, or close them; what a closed member has expires. In other units, do
    /// it again with `--unit`.
    SetStatus {
        /// Who.
        member: String,
        /// What they are then.
        status: Standing,
    },
    /// Send a member's points to a chain.
    Withdraw {
        /// Whose.
        member: String,
        /// How much.
        points: i64,
        /// The chain's id.
        #[arg(long)]
        chain_id: u64,
        /// The gateway contract on it, as in 0x….
        #[arg(long)]
        gateway: String,
        /// Who receives there, as in 0x….
        #[arg(long)]
        holder: String,
        /// Until when it can be claimed, to the second. It is read off the clock at each try, so it is no part of what a key stands
        /// for: asked again under the same key, the first one stands.
        #[arg(long)]
        claim_before: Instant,
    },
    /// Take in points that were burned on a chain.
    Deposit {
        /// To whom.
        member: String,
        /// How much until which day, as in 100@2026-12-31 or 5@never.
        #[arg(required = true)]
        amounts: Vec<Lot>,
    },
    /// Post points to breakage that expired on a chain. The bridge does so by itself.
    ExpireOnChain {
        /// How much.
        points: i64,
    },
    /// Take in points that another system kept before.
    Import {
        /// Whose.
        member: String,
        /// How much until which day and earned on which, as in 100@2026-12-31/2025-11-02.
        #[arg(required = true)]
        lots: Vec<Lot>,
        /// From when it counts.
        #[arg(long)]
        effective_at: Option<Instant>,
    },
    /// Put points into a fund's budget, or take them out. It needs a reason.
    Budget {
        /// Which fund.
        fund: String,
        /// What is put into it, or taken where it is below zero.
        #[arg(allow_hyphen_values = true)]
        change: i64,
    },
}

/// Whether a member takes part.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// In everything.
    Active,
    /// Earns, and ends what was begun; spends nothing.
    Suspended,
    /// In nothing any more.
    Closed,
}

/// An instant, in microseconds since 1970, read from RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Instant(pub(crate) i64);

/// A local date, or `never`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Date(pub(crate) Day);

/// Points with the day on which they end, and the day on which they were earned.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Lot {
    points: i64,
    last_day: Date,
    earned_day: Option<Date>,
}

impl FromStr for Instant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let instant: Result<jiff::Timestamp, _> = text.parse();
        let instant = instant
            .map_err(|_| format!("{text:?} is not an instant with a zone, as in 2026-01-15T10:00:00Z"))?;
        Ok(Self(instant.as_microsecond()))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        jiff::Timestamp::from_microsecond(self.0).map_err(|_| fmt::Error)?.fmt(f)
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let day = Day::parse(text);
        day.map(Self).ok_or_else(|| format!("{text:?} is not a day since 1970, as in 2026-12-31, or never"))
    }
}

impl FromStr for Lot {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let what = || format!("{text:?} is not points until a day, as in 100@2026-12-31");
        let (points, days) = text.split_once('@').ok_or_else(what)?;
        let (last_day, earned_day) = match days.split_once('/') {
            Some((last_day, earned_day)) => (last_day, Some(earned_day.parse()?)),
            None => (days, None),
        };
        Ok(Self { points: points.parse().map_err(|_| what())?, last_day: last_day.parse()?, earned_day })
    }
}

macro_rules! read_from_json_text {
    ($($kind:ty),*) => {$(
        impl TryFrom<String> for $kind {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
    )*};
}

read_from_json_text!(Instant, Date, Lot);

impl Ask {
    /// The same, as the books are asked. `key` names the event, where it is one; what an event earns, the rules say.
    pub(crate) fn command(self, rules: &RuleSets, key: &str) -> anyhow::Result<Command> {
        let member = |name: &str| MemberRef::parse(name);
        Ok(match self {
            Self::Earn { member, event_type, amount, at, fund, matures_at, on_confirmation } => {
                let payload = serde_json::json!({
                    "event_id": key,
                    "user_id": member,
                    "type": event_type,
                    "amount": amount,
                    "timestamp": at,
                });
                let payload = payload.to_string().into_bytes();
                let event = Event::parse(&payload)?;
                let mut earn = Command::earn(rules.earn(&event)?, event, payload);
                if let Command::Earn { maturity, fund: from, .. } = &mut earn {
                    *from = fund;
                    *maturity = match (matures_at, on_confirmation) {
                        (None, false) => Maturity::Now,
                        (Some(at), false) => Maturity::At(at.0),
                        (None, true) => Maturity::OnConfirmation,
                        (Some(_), true) => bail!("an earning matures at an instant or on confirmation"),
                    };
                }
                earn
            }
            Self::Confirm { earning } => Command::Confirm { earning },
            Self::Cancel { earning } => Command::Cancel { earning },
            Self::Redeem { member: who, points: amount, partner, up_to } => {
                Command::Redeem { member: member(&who), points: points(amount)?, partner, up_to }
            }
            Self::Transfer { from, to, points: amount } => {
                Command::Transfer { from: member(&from), to: member(&to), points: points(amount)? }
            }
            Self::Adjust { member: who, change, approver, effective_at } => Command::Adjust {
                member: member(&who),
                change,
                approver,
                effective_at_us: effective_at.map(|it| it.0),
            },
            Self::Reverse { posting, points } => Command::Reverse { posting, points: some_points(points)? },
            Self::Hold { member: who, points: amount, partner, seconds } => {
                Command::Hold { member: member(&who), points: points(amount)?, partner, seconds }
            }
            Self::Capture { hold, points, keep_rest } => {
                Command::Capture { hold, points: some_points(points)?, keep_rest }
            }
            Self::Void { hold } => Command::Void { hold },
            Self::Increase { hold, points: amount } => Command::Increase { hold, points: points(amount)? },
            Self::Prolong { hold, seconds } => Command::Prolong { hold, seconds },
            Self::Extend { member: who, through, last_day } => {
                Command::Extend { member: member(&who), through: through.0, last_day: last_day.0 }
            }
            Self::Merge { from, to } => Command::Merge { from: member(&from), to: member(&to) },
            Self::SetStatus { member: who, status } => {
                Command::SetStatus { member: member(&who), status: status.status() }
            }
            Self::Withdraw { member: who, points: amount, chain_id, gateway, holder, claim_before } => {
                let (gateway, holder) = (address(&gateway)?, address(&holder)?);
                let mut withdrawal_id = [0; 32];
                getrandom::fill(&mut withdrawal_id)?;
                let claim_before =
                    u64::try_from(claim_before.0 / 1_000_000).context("--claim-before is before 1970")?;
                let destination = Destination { chain_id, gateway, holder, withdrawal_id, claim_before };
                Command::Withdraw { member: member(&who), points: points(amount)?, destination }
            }
            Self::Deposit { member: who, amounts } => {
                let amount = |it: Lot| {
                    if it.earned_day.is_some() {
                        bail!("points from a chain are earned when they come: leave the second day out");
                    }
                    Ok((it.last_day.0, points(it.points)?))
                };
                let amounts = amounts.into_iter().map(amount).collect::<anyhow::Result<_>>()?;
                Command::Deposit { member: member(&who), amounts }
            }
            Self::ExpireOnChain { points: amount } => Command::ExpireOnChain { points: points(amount)? },
            Self::Import { member: who, lots, effective_at } => {
                let lot = |it: Lot| {
                    let earned_day = it.earned_day.context(
                        "say also on which day the points were earned, as in 100@2026-12-31/2025-11-02",
                    )?;
                    Ok((it.last_day.0, earned_day.0, points(it.points)?))
                };
                let lots = lots.into_iter().map(lot).collect::<anyhow::Result<_>>()?;
                Command::Import { member: member(&who), lots, effective_at_us: effective_at.map(|it| it.0) }
            }
            Self::Budget { fund, change } => Command::Budget { fund, change },
        })
    }
}

impl Standing {
    fn status(self) -> Status {
        match self {
            Self::Active => Status::Active,
            Self::Suspended => Status::Suspended,
            Self::Closed => Status::Closed,
        }
    }
}

fn points(points: i64) -> anyhow::Result<Points> {
    Points::new(points).with_context(|| format!("{points}"))
}

fn some_points(amount: Option<i64>) -> anyhow::Result<Option<Points>> {
    amount.map(points).transpose()
}

fn address(text: &str) -> anyhow::Result<[u8; 20]> {
    crate::config::parse_address(text)
}
