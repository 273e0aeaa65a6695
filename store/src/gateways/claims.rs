//! Whether a withdrawal was claimed or still can be, and against which heads.

use ledger::Claim;
use proof::Hash;
use sqlx::PgConnection;

use super::GatewayAt;
use crate::anchors::fixed;
use crate::error::StoreError;

/// What is known of the claims of these withdrawals, each by chain, contract and id, and when it can be claimed no more.
/// One statement reads how far a chain is known and what was claimed there, so that the two are of one moment.
pub(crate) async fn claims_of(
    conn: &mut PgConnection,
    withdrawals: &[proof::Withdrawal],
) -> Result<Vec<Claim>, StoreError> {
    let rows: Vec<(bool, i64)> = sqlx::query_as(
        "select claim.withdrawal_id is not null or paid.withdrawal_id is not null, coalesce(gateway.known_until, 0)
         from unnest($1::bigint[], $2::bytea[], $3::bytea[])
             with ordinality as wanted (chain_id, contract, withdrawal_id, ordinal)
         left join gateway using (chain_id, contract)
         left join gateway_claim as claim using (chain_id, contract, withdrawal_id)
         left join gateway_paid as paid using (chain_id, contract, withdrawal_id)
         order by wanted.ordinal",
    )
    .bind(withdrawals.iter().map(|it| it.chain_id as i64).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|it| it.gateway.to_vec()).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|it| it.withdrawal_id.to_vec()).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    let claim = |(withdrawal, (is_paid, known_until)): (&proof::Withdrawal, (bool, i64))| Claim {
        before: withdrawal.claim_before,
        is_paid,
        known_until: known_until as u64,
    };
    Ok(withdrawals.iter().zip(rows).map(claim).collect())
}

/// Notes whether a gateway says that it has paid a withdrawal whose claim is not known. Nobody takes it back then.
pub async fn note_paid(
    conn: &mut PgConnection,
    at: &GatewayAt,
    withdrawal_id: &Hash,
    is_paid: bool,
) -> Result<(), StoreError> {
    let statement = match is_paid {
        true => {
            "insert into gateway_paid (chain_id, contract, withdrawal_id)
             values ($1, $2, $3)
             on conflict do nothing"
        }
        false => "delete from gateway_paid where chain_id = $1 and contract = $2 and withdrawal_id = $3",
    };
    sqlx::query(statement)
        .bind(at.chain_id as i64)
        .bind(&at.contract[..])
        .bind(&withdrawal_id[..])
        .execute(conn)
        .await?;
    Ok(())
}

/// The heads that were settled at a gateway and hold this leaf, the smallest first.
pub async fn settled_heads(
    conn: &mut PgConnection,
    at: &GatewayAt,
    leaf_index: u64,
) -> Result<Vec<(u64, Hash)>, StoreError> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "select size, root
         from gateway_settlement
         where chain_id = $1 and contract = $2 and size > $3
         order by size
         limit 100",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .bind(leaf_index as i64)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|(size, root)| Ok((size as u64, fixed(root)?))).collect()
}
