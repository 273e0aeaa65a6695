//! What the books refuse, as a caller of the API is told: a stable code, and words that say what to do.

use ledger::Refusal;

use crate::code::Code;
use crate::error::Problem;

/// The code of a refusal.
pub(crate) fn code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::MemberUnknown => Code::UserNotFound,
        Refusal::PartnerUnknown => Code::PartnerNotFound,
        Refusal::FundUnknown | Refusal::UnitUnknown | Refusal::GatewayUnknown => Code::NotFound,
        Refusal::InsufficientBalance { .. } => Code::InsufficientBalance,
        Refusal::LimitExceeded { .. } => Code::LimitExceeded,
        Refusal::ScreenDenied => Code::FraudDenied,
        Refusal::ScreenReview => Code::FraudReview,
        Refusal::MemberSuspended => Code::MemberSuspended,
        Refusal::MemberClosed => Code::MemberClosed,
        Refusal::MemberReserved => Code::MemberReserved,
        Refusal::SameMember => Code::SameMember,
        Refusal::PostingUnknown => Code::TransactionNotFound,
        Refusal::HoldOver => Code::HoldAlreadySettled,
        Refusal::PendingOver => Code::EarningAlreadySettled,
        Refusal::WrongKind => Code::WrongKind,
        Refusal::MoreThanLeft { .. } => Code::MoreThanLeft,
        Refusal::HoldTime { .. } => Code::HoldTimeOutOfRange,
        Refusal::StillPending => Code::StillPending,
        Refusal::StillClaimable { .. } => Code::StillClaimable,
        Refusal::AlreadyClaimed => Code::AlreadyClaimed,
        Refusal::NothingToExtend => Code::NothingToExtend,
        Refusal::EndsTooSoon { .. } => Code::EndsTooSoon,
        Refusal::ClaimTime { .. } => Code::ClaimTimeOutOfRange,
        Refusal::HolderUnfit => Code::HolderUnfit,
        Refusal::TooManyDays => Code::TooManyDays,
        Refusal::PeriodClosed => Code::PeriodClosed,
        Refusal::VersionMismatch { .. } => Code::VersionConflict,
        Refusal::InFuture => Code::InFuture,
        Refusal::ReasonRequired => Code::ReasonRequired,
        Refusal::ApprovalRequired { .. } => Code::ApprovalRequired,
        Refusal::AmountOutOfRange => Code::AmountOutOfRange,
        Refusal::ItemCount => Code::ItemCount,
        Refusal::KeyReused { .. } => Code::IdempotencyKeyReused,
    }
}

/// A refusal as it is answered.
pub(crate) fn problem(refusal: &Refusal) -> Problem {
    if let Refusal::InsufficientBalance { available, required } = refusal {
        return Problem::insufficient_balance(*available, *required);
    }
    Problem::new(code(refusal), words(refusal))
}

/// What is wrong, and what can be done about it.
pub(crate) fn words(refusal: &Refusal) -> String {
    let mut words = format!("{refusal}: {}.", refusal.remedy());
    if let Some(first) = words.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    words
}
