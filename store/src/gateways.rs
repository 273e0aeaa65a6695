//! Gateways: how far each chain was read, what was claimed and burned there, and what the books still owe or are owed.
//! Only what is final stands here, and each event once.

mod burns;
mod claims;
mod events;
mod expired;
mod keys;

use ledger::Gateway;
use proof::Hash;
use sqlx::{Connection, FromRow, PgConnection};

use crate::anchors::fixed;
use crate::error::StoreError;
use crate::log_head;

pub use burns::{BurnStory, assign_burn, burns, give_reference, note_burn};
pub(crate) use claims::claims_of;
pub use claims::{note_paid, settled_heads};
pub(crate) use events::decode_minted;
pub use events::{Burn, BurnedEpoch, GatewayEvents, PaidClaim, record_gateway_events, record_missed_claims};
pub use expired::{ExpiredOnChain, expired_on_chain, note_expired};
pub(crate) use expired::{burned_by_epoch, minted_by_epoch};
pub use keys::{BRIDGE_SOURCE, burn_key, expired_key, withdrawal_key};

/// A gateway contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayAt {
    /// The chain.
    pub chain_id: u64,
    /// The contract on it.
    pub contract: [u8; 20],
}

/// How far a gateway was read, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayState {
    /// Whose points it mints.
    pub program_id: i16,
    /// In which unit.
    pub unit: u16,
    /// The last final block whose events are known.
    pub block: u64,
    /// Its hash; none before the first was read.
    pub block_hash: Option<Hash>,
    /// Its time, in seconds since 1970.
    pub known_until: u64,
    /// Before this leaf no withdrawal is open.
    pub open_from: u64,
}

/// What makes a gateway known to the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayFacts {
    /// Whose points it mints.
    pub program_id: i16,
    /// What decisions know of it.
    pub terms: Gateway,
    /// From which block on it is read.
    pub first_block: u64,
}

/// Makes a gateway known: from here on the books send points there. One that is known must be as it was.
pub async fn ensure_gateway(
    conn: &mut PgConnection,
    at: &GatewayAt,
    facts: &GatewayFacts,
) -> Result<(), StoreError> {
    let known = known(conn, at).await?;
    let known = match known {
        Some((_, _, Some(_), ..)) => known,
        _ => {
            make_known(conn, at, facts).await?;
            self::known(conn, at).await?
        }
    };
    let Gateway { unit, token, epoch_s, zone_s } = facts.terms;
    let (token, epoch_s) = (Some(token.to_vec()), i32::try_from(epoch_s).ok());
    if known == Some((facts.program_id, unit as i16, token, epoch_s, Some(zone_s))) {
        return Ok(());
    }
    Err(StoreError::Missing(
        "this gateway is known as one of another program or unit, or with another token, other epochs or another local time"
            .to_owned(),
    ))
}

/// Program, unit, token, epoch and zone.
type KnownRow = (i16, i16, Option<Vec<u8>>, Option<i32>, Option<i32>);

async fn known(conn: &mut PgConnection, at: &GatewayAt) -> Result<Option<KnownRow>, StoreError> {
    let row = sqlx::query_as(
        "select program_id, unit, token, epoch_s, zone_s from gateway where chain_id = $1 and contract = $2",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

async fn make_known(conn: &mut PgConnection, at: &GatewayAt, facts: &GatewayFacts) -> Result<(), StoreError> {
    let mut transaction = conn.begin().await?;
    // Withdrawals through it are decided on from here on.
    log_head::raise_epoch(&mut transaction).await?;
    let made = sqlx::query(
        "insert into gateway (chain_id, contract, program_id, unit, block, block_hash, token, epoch_s, zone_s)
         values ($1, $2, $3, $4, $5, '', $6, $7, $8)
         on conflict (chain_id, contract) do update
         set token = excluded.token, epoch_s = excluded.epoch_s, zone_s = excluded.zone_s
         where gateway.token is null",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .bind(facts.program_id)
    .bind(facts.terms.unit as i16)
    .bind(facts.first_block.saturating_sub(1) as i64)
    .bind(&facts.terms.token[..])
    .bind(i64::from(facts.terms.epoch_s))
    .bind(facts.terms.zone_s)
    .execute(&mut *transaction)
    .await
    .map_err(StoreError::from);
    match made {
        Err(error) if error.constraint() == Some("gateway_token_once") => Err(StoreError::Missing(
            "another gateway mints the same token: what expires there would be posted twice".to_owned(),
        )),
        made => {
            made?;
            Ok(transaction.commit().await?)
        }
    }
}

#[derive(FromRow)]
struct TermsRow {
    program_id: i16,
    chain_id: i64,
    contract: Vec<u8>,
    unit: i16,
    token: Vec<u8>,
    epoch_s: i32,
    zone_s: i32,
}

/// What decisions know of the gateways, with the program of each. Of one without a token the bridge has read too little for
/// anything to be sent there.
pub(crate) async fn all_terms(conn: &mut PgConnection) -> Result<Vec<(i16, GatewayAt, Gateway)>, StoreError> {
    let rows: Vec<TermsRow> = sqlx::query_as(
        "select program_id, chain_id, contract, unit, token, epoch_s, zone_s
         from gateway
         where token is not null",
    )
    .fetch_all(conn)
    .await?;
    let read = |row: TermsRow| {
        let at = GatewayAt { chain_id: row.chain_id as u64, contract: fixed(row.contract)? };
        let (unit, token, epoch_s) = (row.unit as u16, fixed(row.token)?, row.epoch_s as u32);
        Ok((row.program_id, at, Gateway { unit, token, epoch_s, zone_s: row.zone_s }))
    };
    rows.into_iter().map(read).collect()
}

/// How far a gateway was read, where it is known.
pub async fn gateway_state(
    conn: &mut PgConnection,
    at: &GatewayAt,
) -> Result<Option<GatewayState>, StoreError> {
    let row: Option<(i16, i16, i64, Vec<u8>, i64, i64)> = sqlx::query_as(
        "select program_id, unit, block, block_hash, known_until, open_from
         from gateway
         where chain_id = $1 and contract = $2",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .fetch_optional(conn)
    .await?;
    let read =
        |(program_id, unit, block, hash, known_until, open_from): (i16, i16, i64, Vec<u8>, i64, i64)| {
            Ok(GatewayState {
                program_id,
                unit: unit as u16,
                block: block as u64,
                block_hash: if hash.is_empty() { None } else { Some(fixed(hash)?) },
                known_until: known_until as u64,
                open_from: open_from as u64,
            })
        };
    row.map(read).transpose()
}
