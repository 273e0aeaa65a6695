//! Which lots a posting may move from one side to the other: what a fund gives is its own, what is meant for one merchant goes to
//! no other, and what a member gives to another stays what it is.

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

/// Whether, between two members, nothing is gained of any lot but what the other gave of it: lots keep their days and their fund.
/// What pays a debt off is gained in no lot.
pub(super) fn keeps(one: &[u8], other: &[u8]) -> bool {
    let [one, other] = [one, other].map(|it| LotMovement::decode_all(it).unwrap_or_default());
    gains_only(&one, &other) && gains_only(&other, &one)
}

fn gains_only(gained: &[LotMovement], given: &[LotMovement]) -> bool {
    gained.iter().filter(|it| 0 < it.change.available).all(|it| {
        // They stand in the order of lots.
        let place = given.binary_search_by_key(&it.lot, |it| it.lot);
        place.is_ok_and(|at| it.change.available <= given[at].change.available.saturating_neg())
    })
}
