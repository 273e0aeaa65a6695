//! Which accounts a posting of each kind moves points between.

use ledger::AccountKind::{self, Breakage, Bridge, Fund, Issuance, Member, Redemption, Settlement};
use proof::PostingKind;

/// Whether a posting of this kind has entries of accounts of these kinds, in any order.
pub(super) fn fits(kind: PostingKind, accounts: &[AccountKind]) -> bool {
    let mut accounts = accounts.to_vec();
    accounts.sort();
    match (kind, &accounts[..]) {
        (PostingKind::EARN | PostingKind::CANCEL, [Member, Issuance | Fund]) => true,
        (PostingKind::REDEEM | PostingKind::CAPTURE, [Member, Redemption | Settlement]) => true,
        (PostingKind::TRANSFER | PostingKind::MERGE, [Member, Member]) => true,
        (PostingKind::EXPIRE, [Member, Breakage] | [Breakage, Bridge]) => true,
        (PostingKind::ADJUST, [Member, Issuance] | [Issuance, Fund]) => true,
        (PostingKind::REVERSE, [Member, Issuance | Redemption | Settlement | Bridge | Fund]) => true,
        (PostingKind::WITHDRAW | PostingKind::DEPOSIT, [Member, Bridge]) => true,
        (PostingKind::IMPORT, [Member, Issuance]) => true,
        (PostingKind::ACT, []) => true,
        (kind, [Member]) => [
            PostingKind::HOLD,
            PostingKind::VOID,
            PostingKind::LAPSE,
            PostingKind::MATURE,
            PostingKind::EXTEND,
            PostingKind::INCREASE,
        ]
        .contains(&kind),
        _ => false,
    }
}
