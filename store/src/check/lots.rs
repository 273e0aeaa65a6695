//! Which lots may move between a member and a house account: what a fund gives is its own, and what is meant for one merchant
//! goes to no other.

use ledger::{Lot, Terms};
use proof::{LotMovement, PostingKind};

/// Looks at a member's lots in a posting with a house account, which is this fund's or this partner's. What cannot be read is
/// left to the pass over accounts, and so is the merchant of a hold, which no posting tells before a capture.
pub(super) fn check(
    kind: PostingKind,
    lots: &[u8],
    fund: u32,
    partner: Option<&str>,
    terms: &Terms,
) -> Result<(), &'static str> {
    let movements = LotMovement::decode_all(lots).unwrap_or_default();
    let moved = movements.iter().filter_map(|it| Some((Lot::from_id(&it.lot)?, &it.change)));
    for (lot, change) in moved {
        match kind {
            PostingKind::EARN | PostingKind::ADJUST | PostingKind::IMPORT | PostingKind::DEPOSIT
                if (0 < change.available || 0 < change.pending) && lot.fund != fund =>
            {
                return Err("it gives points of another fund");
            }
            // Of a hold, also what is released was chosen for the merchant.
            PostingKind::REDEEM | PostingKind::CAPTURE | PostingKind::WITHDRAW
                if !terms.may_be_spent(&lot, partner) =>
            {
                return Err("it spends points that are meant for another merchant");
            }
            _ => {}
        }
    }
    Ok(())
}
