//! Burns for credit: what came of each, and whom it is to be credited to.

use proof::Hash;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::GatewayAt;
use super::events::{Burn, decode_burned};
use crate::anchors::fixed;
use crate::error::StoreError;

/// A burn, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BurnStory {
    /// What the chain shows.
    pub burn: Burn,
    /// Whom it is to be credited to: the reference's member, or whom an operator named. None where nobody knows.
    pub member_id: Option<Uuid>,
    /// The leaf that credited it.
    pub leaf_index: Option<u64>,
    /// Why it is not credited yet.
    pub problem: Option<String>,
}

/// The burns at a gateway, oldest first: all of them, or only those that are not credited.
pub async fn burns(
    conn: &mut PgConnection,
    at: &GatewayAt,
    only_open: bool,
    limit: u32,
) -> Result<Vec<BurnStory>, StoreError> {
    let rows: Vec<BurnRow> = sqlx::query_as(
        "select burn.burn_id, burn.holder, burn.credit_to, burn.amounts, burn.block, burn.transaction_hash,
             coalesce(burn.member_id, known.member_id) as member_id, burn.leaf_index, burn.problem
         from gateway_burn as burn
         join gateway using (chain_id, contract)
         left join credit_reference as known
             on known.reference = burn.credit_to
             and known.program_id = gateway.program_id
             and known.unit = gateway.unit
         where burn.chain_id = $1 and burn.contract = $2 and (burn.leaf_index is null or not $3)
         -- However many wait for somebody to say whose they are: others are not kept waiting behind them.
         order by $3 and burn.problem is not null and burn.member_id is null, burn.burn_id
         limit $4",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .bind(only_open)
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(BurnStory::try_from).collect()
}

#[derive(FromRow)]
struct BurnRow {
    burn_id: i64,
    holder: Vec<u8>,
    credit_to: Vec<u8>,
    amounts: Vec<u8>,
    block: i64,
    transaction_hash: Vec<u8>,
    member_id: Option<Uuid>,
    leaf_index: Option<i64>,
    problem: Option<String>,
}

impl TryFrom<BurnRow> for BurnStory {
    type Error = StoreError;

    fn try_from(row: BurnRow) -> Result<Self, StoreError> {
        Ok(Self {
            burn: Burn {
                burn_id: row.burn_id as u64,
                holder: fixed(row.holder)?,
                credit_to: fixed(row.credit_to)?,
                amounts: decode_burned(&row.amounts),
                block: row.block as u64,
                transaction: fixed(row.transaction_hash)?,
            },
            member_id: row.member_id,
            leaf_index: row.leaf_index.map(|it| it as u64),
            problem: row.problem,
        })
    }
}

/// Notes what came of a burn: the leaf that credited it, or why there is none yet.
pub async fn note_burn(
    conn: &mut PgConnection,
    at: &GatewayAt,
    burn_id: u64,
    outcome: Result<u64, &str>,
) -> Result<(), StoreError> {
    sqlx::query(
        "update gateway_burn
         set leaf_index = $4, problem = $5
         where chain_id = $1 and contract = $2 and burn_id = $3 and leaf_index is null
             and (leaf_index, problem) is distinct from ($4, $5)",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .bind(burn_id as i64)
    .bind(outcome.ok().map(|it| it as i64))
    .bind(outcome.err())
    .execute(conn)
    .await?;
    Ok(())
}

/// Names the member to whom a burn is credited whose reference nobody knows, or whose reference's member takes part no more:
/// for a member who joined another, that one. False where there is no such burn that is still open.
pub async fn assign_burn(
    conn: &mut PgConnection,
    at: &GatewayAt,
    burn_id: u64,
    member_id: Uuid,
    actor: &str,
) -> Result<bool, StoreError> {
    let assigned = sqlx::query(
        "update gateway_burn
         set member_id = $4, actor = $5
         where chain_id = $1 and contract = $2 and burn_id = $3 and leaf_index is null
             and not exists (
                 select from credit_reference as known
                 join gateway on (gateway.chain_id, gateway.contract) = ($1, $2)
                     and (gateway.program_id, gateway.unit) = (known.program_id, known.unit)
                 join account on (account.program_id, account.unit, account.member_id, account.kind)
                     = (known.program_id, known.unit, known.member_id, 1)
                 join balance using (account_id)
                 where known.reference = credit_to and balance.status <> 3
             )",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .bind(burn_id as i64)
    .bind(member_id)
    .bind(actor)
    .execute(conn)
    .await?;
    Ok(assigned.rows_affected() == 1)
}

/// Gives out a reference: whoever burns for it has this member credited.
pub async fn give_reference(
    conn: &mut PgConnection,
    program_id: i16,
    unit: u16,
    member_id: Uuid,
    actor: &str,
) -> Result<Hash, StoreError> {
    let mut reference = Hash::default();
    getrandom::fill(&mut reference).expect("the operating system gives random bytes");
    sqlx::query(
        "insert into credit_reference (reference, program_id, unit, member_id, actor) values ($1, $2, $3, $4, $5)",
    )
    .bind(&reference[..])
    .bind(program_id)
    .bind(unit as i16)
    .bind(member_id)
    .bind(actor)
    .execute(conn)
    .await?;
    Ok(reference)
}
