//! Refusals: everything that the books may answer instead of a posting, each with what the caller needs to go on.

use crate::policy::Limit;
use crate::request::Differences;

/// Why a request is refused.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    thiserror::Error,
    strum::EnumMessage,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum Refusal {
    /// No such member, and none may be enrolled.
    #[error("the member is not known")]
    MemberUnknown,
    /// No such partner.
    #[error("the partner is not known")]
    PartnerUnknown,
    /// No such fund.
    #[error("the fund is not known")]
    FundUnknown,
    /// More is asked than there is. Amounts are in the smallest unit.
    #[error("{required} points are asked and {available} are available")]
    InsufficientBalance {
        /// What can be spent on this.
        available: i64,
        /// What is asked.
        required: i64,
    },
    /// A limit would be passed.
    #[error("the limit {} would be passed: {left} points are left of it and {required} are asked", limit.name())]
    LimitExceeded {
        /// Which.
        limit: Limit,
        /// What is left of it.
        left: i64,
        /// What is asked.
        required: i64,
    },
    /// The member is suspended and cannot spend.
    #[error("the member is suspended")]
    MemberSuspended,
    /// The screening refuses it.
    #[error("the screening refuses this")]
    ScreenDenied,
    /// Somebody would have to look at it first, and only a redemption can wait for that.
    #[error("somebody must look at this first, and it cannot wait as a redemption can")]
    ScreenReview,
    /// The member takes part no more.
    #[error("the member's account is closed")]
    MemberClosed,
    /// The member has open holds, pending earnings or withdrawals that may yet come back, or is to be closed with a debt:
    /// these must be over first.
    #[error(
        "the member owes points, or has some on hold, pending or withdrawn and not claimed: end these first"
    )]
    MemberReserved,
    /// Somebody cannot give to themselves.
    #[error("both sides are the same member")]
    SameMember,
    /// No such posting.
    #[error("the posting is not known")]
    PostingUnknown,
    /// The hold was captured, voided or has lapsed.
    #[error("the hold is over: it was captured, voided or has lapsed")]
    HoldOver,
    /// The earning is not pending: it never was, or it was confirmed, cancelled or has matured.
    #[error("the earning is not pending")]
    PendingOver,
    /// The posting is of another kind than the one this is done to.
    #[error("this cannot be done to a posting of this kind")]
    WrongKind,
    /// More is asked than is left of the posting.
    #[error("{left} points are left of it and {required} are asked")]
    MoreThanLeft {
        /// What is left of it.
        left: i64,
        /// What is asked.
        required: i64,
    },
    /// A hold would last for no time, for longer than holds may, or be prolonged to no later end.
    #[error(
        "a hold lasts a second or more, ends at second {latest} after 1970 or before, and is prolonged to a later end"
    )]
    HoldTime {
        /// The last second at which it may end.
        latest: i64,
    },
    /// An earning that is pending is cancelled, not reversed.
    #[error("the earning is pending: cancel it")]
    StillPending,
    /// A withdrawal can be claimed on the chain until then, or it is not final yet that it was not.
    #[error(
        "the withdrawal can be claimed until second {until} after 1970, and no final block of then or later is known"
    )]
    StillClaimable {
        /// The Unix second; from it on it is refused there.
        until: i64,
    },
    /// A withdrawal was paid on the chain: it comes back by being burned there.
    #[error("the withdrawal was claimed on the chain")]
    AlreadyClaimed,
    /// A withdrawal goes through a gateway of its program and unit.
    #[error("the contract is no gateway of this program and unit")]
    GatewayUnknown,
    /// Nobody could spend what is minted to that holder: the zero address, the gateway or the token.
    #[error("the holder is nobody, the gateway or the token: what is minted there is lost")]
    HolderUnfit,
    /// A withdrawal is claimed from now on, and comes back within 90 days if it is not.
    #[error("a withdrawal's claim-before is later than now and no later than second {latest} after 1970")]
    ClaimTime {
        /// The last second that it may name.
        latest: i64,
    },
    /// A withdrawal is of points that last an epoch of the token longer than they can be claimed.
    #[error(
        "only {lasting} of the points last until second {until} after 1970: an epoch longer than they could be claimed"
    )]
    EndsTooSoon {
        /// How many last so long.
        lasting: i64,
        /// The Unix second until which they must.
        until: i64,
    },
    /// No points end so soon, or they end later already; what has ended is not there any more.
    #[error("there are no points whose end this would put off")]
    NothingToExtend,
    /// A withdrawal is of points that end on too many days for one leaf.
    #[error("the points end on more than 64 days: withdraw fewer at once")]
    TooManyDays,
    /// It would take effect in a period that is closed.
    #[error("the period is closed: nothing that takes effect so early is posted any more")]
    PeriodClosed,
    /// The account has changed since the caller looked.
    #[error("the account's version is {version}")]
    VersionMismatch {
        /// Its version.
        version: u64,
    },
    /// It would take effect more than five minutes from now. Up to that a clock may be ahead: it takes effect now.
    #[error("it would take effect more than five minutes from now")]
    InFuture,
    /// A correction names who makes it and why.
    #[error("an adjustment needs an actor and a reason")]
    ReasonRequired,
    /// A correction this large needs a second person; so would the reversal of as much of one, which can name none.
    #[error(
        "to adjust by more than {above}, or to reverse more of an adjustment, needs an approver other than the actor"
    )]
    ApprovalRequired {
        /// What needs none.
        above: i64,
    },
    /// An amount is zero or more than there may be, or its points are of more lots than one posting can move.
    #[error("the amount is zero, or more than one posting can carry")]
    AmountOutOfRange,
    /// A request has one item at least, and a hundred at most.
    #[error("a request has 1 to 100 items")]
    ItemCount,
    /// The program does not count in this unit.
    #[error("the program has no such unit")]
    UnitUnknown,
    /// The same key came with another request.
    #[error("the key was used for another request, with other {differs}")]
    KeyReused {
        /// In what the two differ.
        differs: Differences,
    },
}

/// A refusal as the database keeps it beside its key: a number that is stable for ever, and two amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalRow {
    /// Which.
    pub code: i16,
    /// What there is.
    pub available: i64,
    /// What is asked.
    pub required: i64,
}

/// The numbers of limits begin here.
const LIMITS: i16 = 100;

impl Refusal {
    /// One of each kind, for lists and for tests.
    pub fn all() -> Vec<Self> {
        let limits = Limit::ALL.map(|limit| Self::LimitExceeded { limit, left: 0, required: 0 });
        // A number that is only read any more gives a refusal that has another one now.
        let rest = (1..LIMITS).filter_map(|code| {
            let refusal = Self::recall(RefusalRow { code, available: 0, required: 0 })?;
            refusal.row().is_some_and(|it| it.code == code).then_some(refusal)
        });
        let unremembered = [
            Self::InFuture,
            Self::ReasonRequired,
            Self::ApprovalRequired { above: 0 },
            Self::AmountOutOfRange,
            Self::ItemCount,
            Self::UnitUnknown,
            Self::KeyReused { differs: Differences::default() },
            Self::VersionMismatch { version: 0 },
        ];
        rest.chain(limits).chain(unremembered).collect()
    }

    /// Its name, as an operator and a program know it.
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// What it means, whatever its amounts.
    pub fn meaning(&self) -> &'static str {
        strum::EnumMessage::get_documentation(self).unwrap_or_default()
    }

    /// What whoever asked can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::MemberUnknown => "check the name, or enrol the member first, and ask with a new key",
            Self::PartnerUnknown => "check the name, or make the partner first, and ask with a new key",
            Self::FundUnknown => "check the name, or make the fund first, and ask with a new key",
            Self::InsufficientBalance { .. } => {
                "ask for at most what is available, or redeem up to the amount, with a new key"
            }
            Self::LimitExceeded { limit, .. } => limit.remedy(),
            Self::MemberSuspended => "make the member active first, and ask with a new key",
            Self::ScreenDenied | Self::ScreenReview => {
                "ask the program's operator, and after that with a new key"
            }
            Self::MemberClosed => {
                "after a merge, name the other member, with a new key; what the closed one spent is not reversed, an operator adjusts the other"
            }
            Self::MemberReserved => {
                "capture or void their holds, confirm or cancel what is pending, adjust what they owe to zero or merge them, and wait until what was withdrawn is claimed or back; then ask with a new key"
            }
            Self::SameMember => "name two members, with a new key",
            Self::PostingUnknown => {
                "check the id, and that it is of this program and unit, and ask with a new key"
            }
            Self::HoldOver => "place a new hold, or redeem, with a new key",
            Self::PendingOver => "reverse the earning if it is to be taken back, with a new key",
            Self::WrongKind => {
                "confirm or cancel an earn that is pending; capture, void, increase or prolong a hold; reverse an earn, an import, a deposit, a redeem, a capture, a withdraw or an adjust; ask with a new key"
            }
            Self::MoreThanLeft { .. } => "ask for at most what is left of it, with a new key",
            Self::HoldTime { .. } => "name a time within these, with a new key",
            Self::StillPending => "cancel it instead, with a new key",
            Self::StillClaimable { .. } => {
                "wait until then, and until `daftari bridge run` has read a final block of then or later; then ask with a new key"
            }
            Self::AlreadyClaimed => "nothing: its holder burns the points to bring them back",
            Self::GatewayUnknown => {
                "check the chain and the address: `daftari bridge run` makes a gateway known; then ask with a new key"
            }
            Self::HolderUnfit => "name the address of somebody's wallet, with a new key",
            Self::ClaimTime { .. } => "name a claim-before within these, with a new key",
            Self::EndsTooSoon { .. } => {
                "withdraw only those, name an earlier claim-before, or spend the others here, with a new key"
            }
            Self::NothingToExtend => {
                "name a day that is to come, and through which some points end, with a new key"
            }
            Self::TooManyDays => "withdraw less at a time, each with a new key",
            Self::PeriodClosed => {
                "let it take effect after the close, say in the reason what it is for, and ask with a new key"
            }
            Self::VersionMismatch { .. } => {
                "look at the account again, and ask with the version that you saw"
            }
            Self::InFuture => "name an instant that has passed, and check the clock",
            Self::ReasonRequired => "say who makes it and why",
            Self::ApprovalRequired { .. } => {
                "name somebody else in `--approver`, or over HTTP show their token in `Approver-Authorization`; what cannot be reversed so is adjusted back so"
            }
            Self::AmountOutOfRange => {
                "name an amount from 1 to 9007199254740991, or do it in parts where points of more than 65535 lots would move"
            }
            Self::ItemCount => "split the request",
            Self::UnitUnknown => "check the unit, or make it first",
            Self::KeyReused { .. } => "ask with a new key, or with what was asked first",
        }
    }

    /// How it is remembered with its key, if it depended on state; what is malformed, or went by a version that was out of
    /// date, is decided anew each time.
    pub fn row(&self) -> Option<RefusalRow> {
        let row = |code, available, required| Some(RefusalRow { code, available, required });
        match *self {
            Self::MemberUnknown => row(1, 0, 0),
            Self::PartnerUnknown => row(2, 0, 0),
            Self::InsufficientBalance { available, required } => row(3, available, required),
            // 4 was a balance above its limit, before limits had names.
            Self::FundUnknown => row(5, 0, 0),
            Self::MemberSuspended => row(6, 0, 0),
            Self::MemberClosed => row(7, 0, 0),
            Self::MemberReserved => row(8, 0, 0),
            Self::SameMember => row(9, 0, 0),
            Self::PostingUnknown => row(10, 0, 0),
            Self::HoldOver => row(11, 0, 0),
            Self::PendingOver => row(12, 0, 0),
            Self::WrongKind => row(13, 0, 0),
            Self::MoreThanLeft { left, required } => row(14, left, required),
            Self::HoldTime { latest } => row(15, latest, 0),
            Self::StillPending => row(16, 0, 0),
            Self::StillClaimable { until } => row(17, until, 0),
            Self::NothingToExtend => row(18, 0, 0),
            Self::TooManyDays => row(19, 0, 0),
            Self::PeriodClosed => row(20, 0, 0),
            // 21 was a version that was out of date, before asking again with the one that was seen was asking anew.
            Self::AlreadyClaimed => row(22, 0, 0),
            Self::ScreenDenied => row(23, 0, 0),
            Self::ScreenReview => row(24, 0, 0),
            Self::GatewayUnknown => row(25, 0, 0),
            Self::HolderUnfit => row(26, 0, 0),
            Self::ClaimTime { latest } => row(27, latest, 0),
            Self::EndsTooSoon { lasting, until } => row(28, lasting, until),
            Self::LimitExceeded { limit, left, required } => {
                let at = Limit::ALL.iter().position(|it| *it == limit).expect("all limits are listed");
                row(LIMITS + at as i16, left, required)
            }
            Self::InFuture
            | Self::ReasonRequired
            | Self::ApprovalRequired { .. }
            | Self::AmountOutOfRange
            | Self::ItemCount
            | Self::UnitUnknown
            | Self::VersionMismatch { .. }
            | Self::KeyReused { .. } => None,
        }
    }

    /// The refusal that was remembered so.
    pub fn recall(row: RefusalRow) -> Option<Self> {
        let RefusalRow { code, available, required } = row;
        Some(match code {
            1 => Self::MemberUnknown,
            2 => Self::PartnerUnknown,
            3 => Self::InsufficientBalance { available, required },
            4 => Self::LimitExceeded { limit: Limit::Balance, left: available, required },
            5 => Self::FundUnknown,
            6 => Self::MemberSuspended,
            7 => Self::MemberClosed,
            8 => Self::MemberReserved,
            9 => Self::SameMember,
            10 => Self::PostingUnknown,
            11 => Self::HoldOver,
            12 => Self::PendingOver,
            13 => Self::WrongKind,
            14 => Self::MoreThanLeft { left: available, required },
            15 => Self::HoldTime { latest: available },
            16 => Self::StillPending,
            17 => Self::StillClaimable { until: available },
            18 => Self::NothingToExtend,
            19 => Self::TooManyDays,
            20 => Self::PeriodClosed,
            21 => Self::VersionMismatch { version: available as u64 },
            22 => Self::AlreadyClaimed,
            23 => Self::ScreenDenied,
            24 => Self::ScreenReview,
            25 => Self::GatewayUnknown,
            26 => Self::HolderUnfit,
            27 => Self::ClaimTime { latest: available },
            28 => Self::EndsTooSoon { lasting: available, until: required },
            _ => {
                let limit = *Limit::ALL.get(usize::try_from(code - LIMITS).ok()?)?;
                Self::LimitExceeded { limit, left: available, required }
            }
        })
    }
}
