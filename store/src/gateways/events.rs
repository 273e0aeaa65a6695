//! What final blocks hold of a gateway, written down once.

use proof::Hash;
use sqlx::{Connection, PgConnection};

use super::GatewayAt;
use crate::error::StoreError;

/// What a range of final blocks holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayEvents {
    /// The last block of the range.
    pub block: u64,
    /// Its hash.
    pub block_hash: Hash,
    /// Its time, in seconds since 1970.
    pub time_s: u64,
    /// What was paid.
    pub claims: Vec<PaidClaim>,
    /// What was burned.
    pub burns: Vec<Burn>,
    /// Which heads were settled, by size and root.
    pub settled: Vec<(u64, Hash)>,
    /// When the epochs of these claims and burns expire.
    pub expiries: Vec<(u64, u64)>,
}

/// A withdrawal that was paid on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaidClaim {
    /// Which.
    pub withdrawal_id: Hash,
    /// To whom.
    pub holder: [u8; 20],
    /// By epoch.
    pub minted: Vec<(u64, u64)>,
    /// What had expired by then.
    pub lapsed: u64,
    /// The block.
    pub block: u64,
    /// The transaction.
    pub transaction: Hash,
}

/// Points that were burned to be credited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burn {
    /// Its number at the gateway.
    pub burn_id: u64,
    /// Who burned.
    pub holder: [u8; 20],
    /// What they named.
    pub credit_to: Hash,
    /// By epoch.
    pub amounts: Vec<BurnedEpoch>,
    /// The block.
    pub block: u64,
    /// The transaction.
    pub transaction: Hash,
}

/// Points of one epoch that were burned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BurnedEpoch {
    /// The epoch.
    pub epoch: u64,
    /// The last day on which its points can be spent.
    pub last_day: i32,
    /// How much.
    pub amount: u64,
}

/// Writes down what the final blocks after `after` hold, all of it or nothing. False where another has read on meanwhile.
pub async fn record_gateway_events(
    conn: &mut PgConnection,
    at: &GatewayAt,
    after: u64,
    events: &GatewayEvents,
) -> Result<bool, StoreError> {
    let mut transaction = conn.begin().await?;
    let moved = sqlx::query(
        "update gateway
         set block = $4, block_hash = $5, known_until = $6
         where chain_id = $1 and contract = $2 and block = $3",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .bind(after as i64)
    .bind(events.block as i64)
    .bind(&events.block_hash[..])
    .bind(events.time_s as i64)
    .execute(&mut *transaction)
    .await?;
    if moved.rows_affected() == 0 {
        return Ok(false);
    }
    for claim in &events.claims {
        write_claim(&mut transaction, at, claim).await?;
    }
    follow_on(&mut transaction, at, &events.burns).await?;
    for burn in &events.burns {
        sqlx::query(
            "insert into gateway_burn
                 (chain_id, contract, burn_id, holder, credit_to, amounts, block, transaction_hash)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(at.chain_id as i64)
        .bind(&at.contract[..])
        .bind(burn.burn_id as i64)
        .bind(&burn.holder[..])
        .bind(&burn.credit_to[..])
        .bind(encode_burned(&burn.amounts))
        .bind(burn.block as i64)
        .bind(&burn.transaction[..])
        .execute(&mut *transaction)
        .await?;
    }
    for (size, root) in &events.settled {
        sqlx::query(
            "insert into gateway_settlement (chain_id, contract, size, root)
             values ($1, $2, $3, $4)
             on conflict do nothing",
        )
        .bind(at.chain_id as i64)
        .bind(&at.contract[..])
        .bind(*size as i64)
        .bind(&root[..])
        .execute(&mut *transaction)
        .await?;
    }
    write_epochs(&mut transaction, at, &events.expiries).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Writes down claims of blocks that were read before, without them. One that is known stays as it is.
pub async fn record_missed_claims(
    conn: &mut PgConnection,
    at: &GatewayAt,
    events: &GatewayEvents,
) -> Result<(), StoreError> {
    let mut transaction = conn.begin().await?;
    for claim in &events.claims {
        let is_known: bool = sqlx::query_scalar(
            "select exists (
                 select from gateway_claim where chain_id = $1 and contract = $2 and withdrawal_id = $3
             )",
        )
        .bind(at.chain_id as i64)
        .bind(&at.contract[..])
        .bind(&claim.withdrawal_id[..])
        .fetch_one(&mut *transaction)
        .await?;
        if !is_known {
            write_claim(&mut transaction, at, claim).await?;
        }
    }
    write_epochs(&mut transaction, at, &events.expiries).await?;
    Ok(transaction.commit().await?)
}

async fn write_claim(conn: &mut PgConnection, at: &GatewayAt, claim: &PaidClaim) -> Result<(), StoreError> {
    sqlx::query(
        "insert into gateway_claim
             (chain_id, contract, withdrawal_id, holder, minted, lapsed, block, transaction_hash)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .bind(&claim.withdrawal_id[..])
    .bind(&claim.holder[..])
    .bind(encode_minted(&claim.minted))
    .bind(i64::try_from(claim.lapsed).unwrap_or(i64::MAX))
    .bind(claim.block as i64)
    .bind(&claim.transaction[..])
    .execute(conn)
    .await?;
    Ok(())
}

async fn write_epochs(
    conn: &mut PgConnection,
    at: &GatewayAt,
    expiries: &[(u64, u64)],
) -> Result<(), StoreError> {
    for (epoch, expires_at) in expiries {
        sqlx::query(
            "insert into gateway_epoch (chain_id, contract, epoch, expires_at)
             values ($1, $2, $3, $4)
             on conflict do nothing",
        )
        .bind(at.chain_id as i64)
        .bind(&at.contract[..])
        .bind(*epoch as i64)
        .bind(i64::try_from(*expires_at).unwrap_or(i64::MAX))
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Burns are numbered without holes: what comes after a hole is not written down before what belongs into it. Of a gateway
/// that is not read from its beginning, the first that is seen may have any number.
async fn follow_on(conn: &mut PgConnection, at: &GatewayAt, burns: &[Burn]) -> Result<(), StoreError> {
    let last: Option<i64> =
        sqlx::query_scalar("select max(burn_id) from gateway_burn where chain_id = $1 and contract = $2")
            .bind(at.chain_id as i64)
            .bind(&at.contract[..])
            .fetch_one(conn)
            .await?;
    let mut last = last.map(|it| it as u64);
    for burn in burns {
        if let Some(last) = last.filter(|it| it + 1 != burn.burn_id) {
            let missing = last + 1;
            return Err(StoreError::Missing(format!(
                "burn {missing} was not shown, and burn {} was",
                burn.burn_id
            )));
        }
        last = Some(burn.burn_id);
    }
    Ok(())
}

fn encode_minted(minted: &[(u64, u64)]) -> Vec<u8> {
    minted.iter().flat_map(|it| [it.0.to_be_bytes(), it.1.to_be_bytes()].concat()).collect()
}

pub(crate) fn decode_minted(bytes: &[u8]) -> Vec<(u64, u64)> {
    let (pairs, _) = bytes.as_chunks::<16>();
    let number = |it: &[u8]| u64::from_be_bytes(it.try_into().expect("eight bytes"));
    pairs.iter().map(|it| (number(&it[..8]), number(&it[8..]))).collect()
}

fn encode_burned(amounts: &[BurnedEpoch]) -> Vec<u8> {
    let each = |it: &BurnedEpoch| {
        [&it.epoch.to_be_bytes()[..], &it.last_day.to_be_bytes(), &it.amount.to_be_bytes()].concat()
    };
    amounts.iter().flat_map(each).collect()
}

pub(super) fn decode_burned(bytes: &[u8]) -> Vec<BurnedEpoch> {
    let (rows, _) = bytes.as_chunks::<20>();
    let read = |it: &[u8; 20]| BurnedEpoch {
        epoch: u64::from_be_bytes(it[..8].try_into().expect("eight bytes")),
        last_day: i32::from_be_bytes(it[8..12].try_into().expect("four bytes")),
        amount: u64::from_be_bytes(it[12..].try_into().expect("eight bytes")),
    };
    rows.iter().map(read).collect()
}
