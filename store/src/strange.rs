//! What a gateway shows that these books have not asked for.

use proof::{Body, Hash, LeafKind, Withdrawal};
use sqlx::PgConnection;

use crate::anchors::fixed;
use crate::error::StoreError;
use crate::gateways::{GatewayAt, PaidClaim};

const DAY_S: i64 = 24 * 3600;

/// What is wrong with a claim as payment of this withdrawal: another holder, another amount, or points that outlast what was
/// withdrawn. `end_of` says when an epoch ends, where that is known.
pub fn claim_problem(
    withdrawal: &Withdrawal,
    claim: &PaidClaim,
    zone_s: i32,
    end_of: impl Fn(u64) -> Option<u64>,
) -> Option<String> {
    if claim.holder != withdrawal.holder {
        let (paid, meant) = (hex::encode(claim.holder), hex::encode(withdrawal.holder));
        return Some(format!("was paid to 0x{paid}, and was for 0x{meant}"));
    }
    let points: u64 = withdrawal.amounts.iter().map(|it| it.amount).sum();
    let paid = claim.minted.iter().fold(claim.lapsed, |sum, it| sum.saturating_add(it.1));
    if paid != points {
        return Some(format!("was paid with {paid} points, and was of {points}"));
    }
    let end_of_day = |day: i32| (i64::from(day) + 1) * DAY_S - i64::from(zone_s);
    // Each lot is minted into one epoch, in order; those that had expired are left out.
    let mut lots = withdrawal.amounts.iter();
    let is_in_time = claim.minted.iter().all(|(epoch, amount)| {
        let ends = end_of(*epoch).map(|it| i64::try_from(it).unwrap_or(i64::MAX));
        lots.any(|lot| lot.amount == *amount && ends.is_none_or(|it| it <= end_of_day(lot.day)))
    });
    (!is_in_time).then(|| "was paid in points that outlast it".to_owned())
}

/// The open withdrawals through a gateway that have one of these ids.
pub async fn open_withdrawals_of(
    conn: &mut PgConnection,
    at: &GatewayAt,
    ids: &[Hash],
) -> Result<Vec<Withdrawal>, StoreError> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "select open.leaf_index, open.body
         from gateway
         join open_withdrawal as open on open.leaf_index >= gateway.open_from
             and open.program_id = gateway.program_id
         where gateway.chain_id = $1
             and gateway.contract = $2
             and substring(open.body from 1 for 28) = $3
             and substring(open.body from 49 for 32) = any($4)",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .bind([&at.chain_id.to_be_bytes()[..], &at.contract].concat())
    .bind(ids.iter().map(|it| it.to_vec()).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    let read = |(leaf_index, body): (i64, Vec<u8>)| match Body::decode(LeafKind::Withdrawal, &body) {
        Ok(Body::Withdrawal(withdrawal)) => Ok(withdrawal),
        _ => Err(StoreError::Damaged(format!("leaf {leaf_index}: its body cannot be read"))),
    };
    rows.into_iter().map(read).collect()
}

/// The heads that were settled at a gateway and that this log was never sealed with.
pub async fn strange_settlements(
    conn: &mut PgConnection,
    at: &GatewayAt,
) -> Result<Vec<(u64, Hash)>, StoreError> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "select size, root
         from gateway_settlement as settled
         where chain_id = $1
             and contract = $2
             and not exists (
                 select from checkpoint where (checkpoint.size, checkpoint.root) = (settled.size, settled.root)
             )
         order by size
         limit 100",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|(size, root)| Ok((size as u64, fixed(root)?))).collect()
}

#[cfg(test)]
mod tests {
    use proof::ExpiryAmount;

    use super::*;

    #[test]
    fn what_is_paid_is_what_was_withdrawn() {
        let lot = |day, amount| ExpiryAmount { day, amount };
        let withdrawal = Withdrawal {
            chain_id: 137,
            gateway: [1; 20],
            holder: [2; 20],
            withdrawal_id: [3; 32],
            claim_before: 0,
            amounts: vec![lot(9, 5), lot(19, 5), lot(29, 7)],
        };
        // An epoch is a day, whose end its number tells; of the tenth nothing is known.
        let end_of = |epoch| (epoch != 10).then_some(epoch * DAY_S as u64);
        let check = |holder, zone_s, minted: &[(u64, u64)], lapsed, expected: Option<&str>| {
            let minted = minted.to_vec();
            let claim =
                PaidClaim { withdrawal_id: [3; 32], holder, minted, lapsed, block: 0, transaction: [0; 32] };
            let told = claim_problem(&withdrawal, &claim, zone_s, end_of);
            match (told, expected) {
                (None, None) => {}
                (Some(told), Some(expected)) => assert!(told.contains(expected), "{told}"),
                (told, expected) => panic!("{told:?} is not {expected:?}"),
            }
        };
        let whole = [(9, 5), (20, 5), (30, 7)];
        check([2; 20], 0, &whole, 0, None);
        check([9; 20], 0, &whole, 0, Some("was paid to 0x0909"));
        check([2; 20], 0, &whole, 1, Some("with 18 points, and was of 17"));
        check([2; 20], 0, &whole[1..], 0, Some("with 12 points, and was of 17"));
        check([2; 20], 0, &[(u64::MAX, u64::MAX), (9, 5)], 0, Some("points, and was of 17"));
        check([2; 20], 0, &whole[1..], 5, None);
        check([2; 20], 0, &[(9, 5), (21, 5), (30, 7)], 0, Some("outlast"));
        check([2; 20], 0, &[(9, 5), (10, 5), (30, 7)], 0, None);
        // Further west the day ends later, and so may the epoch.
        check([2; 20], -24 * 3600, &[(9, 5), (21, 5), (31, 7)], 0, None);
        check([2; 20], 1, &whole, 0, Some("outlast"));
        // As much in all, and not as it was withdrawn.
        check([2; 20], 0, &[(9, 7), (9, 5), (9, 5)], 0, Some("outlast"));
        check([2; 20], 0, &[], 17, None);
    }
}
