//! Gateways: how far each chain was read, what was claimed and burned there, and what the books still owe or are owed.
//! Only what is final stands here, and each event once.

use std::collections::BTreeMap;
use std::fmt::Display;

use ledger::{Claim, Gateway};
use proof::Hash;
use sqlx::{Connection, FromRow, PgConnection};
use uuid::Uuid;

use crate::anchors::fixed;
use crate::error::StoreError;
use crate::log_head;

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

/// What expired on a chain, or came there too late, and is to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredOnChain {
    /// `epoch:` and its number, or `claim:` and the withdrawal's id.
    pub what: String,
    /// How much.
    pub points: u64,
}

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

/// Whose keys the bridge's requests have.
pub const BRIDGE_SOURCE: &str = "bridge";

/// The key under which a burn is credited.
pub fn burn_key(at: &GatewayAt, burn_id: impl Display) -> String {
    format!("burn:{}:{}:{burn_id}", at.chain_id, hex::encode(at.contract))
}

/// The key under which something that expired is posted.
pub fn expired_key(at: &GatewayAt, what: &str) -> String {
    format!("expired:{}:{}:{what}", at.chain_id, hex::encode(at.contract))
}

/// The key under which a withdrawal is taken back.
pub fn withdrawal_key(withdrawal: &proof::Withdrawal) -> String {
    format!("withdrawal:{}", hex::encode(withdrawal.withdrawal_id))
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
        .execute(&mut *transaction)
        .await?;
    }
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
    for (epoch, expires_at) in &events.expiries {
        sqlx::query(
            "insert into gateway_epoch (chain_id, contract, epoch, expires_at)
             values ($1, $2, $3, $4)
             on conflict do nothing",
        )
        .bind(at.chain_id as i64)
        .bind(&at.contract[..])
        .bind(*epoch as i64)
        .bind(i64::try_from(*expires_at).unwrap_or(i64::MAX))
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// What has expired by the last final block that was read, and is not posted: of each such epoch what came there by claims
/// and did not come back by burns, and what claims came too late for. Of an epoch that has expired nothing more can come back.
pub async fn expired_on_chain(
    conn: &mut PgConnection,
    at: &GatewayAt,
) -> Result<Vec<ExpiredOnChain>, StoreError> {
    let late: Vec<(String, i64)> = sqlx::query_as(
        "select what, lapsed
         from gateway_claim, lateral (select 'claim:' || encode(withdrawal_id, 'hex')) as named (what)
         where chain_id = $1
             and contract = $2
             and lapsed > 0
             and not exists (
                 select from gateway_expired as posted
                 where (posted.chain_id, posted.contract, posted.what) = ($1, $2, named.what)
             )
         order by block, what",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .fetch_all(&mut *conn)
    .await?;
    let over: Vec<i64> = sqlx::query_scalar(
        "select epoch
         from gateway_epoch as epoch
         join gateway using (chain_id, contract)
         where epoch.chain_id = $1
             and epoch.contract = $2
             and epoch.expires_at <= gateway.known_until
             and not exists (
                 select from gateway_expired as posted
                 where (posted.chain_id, posted.contract, posted.what) = ($1, $2, 'epoch:' || epoch.epoch)
             )
         order by epoch",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .fetch_all(&mut *conn)
    .await?;
    let mut expired: Vec<ExpiredOnChain> = late
        .into_iter()
        .map(|(what, points)| ExpiredOnChain { what, points: points.unsigned_abs() })
        .collect();
    if over.is_empty() {
        return Ok(expired);
    }
    let (minted, burned) = (minted_by_epoch(conn, at).await?, burned_by_epoch(conn, at).await?);
    for epoch in over {
        let of = |it: &BTreeMap<u64, u64>| it.get(&(epoch as u64)).copied().unwrap_or_default();
        let points = of(&minted).checked_sub(of(&burned)).ok_or_else(|| {
            StoreError::Damaged(format!("more of epoch {epoch} was burned than came to it"))
        })?;
        expired.push(ExpiredOnChain { what: format!("epoch:{epoch}"), points });
    }
    Ok(expired)
}

/// By epoch, what claims minted.
pub(crate) async fn minted_by_epoch(
    conn: &mut PgConnection,
    at: &GatewayAt,
) -> Result<BTreeMap<u64, u64>, StoreError> {
    let rows =
        all(conn, at, "select minted from gateway_claim where chain_id = $1 and contract = $2").await?;
    Ok(summed(rows.iter().flat_map(|it| decode_minted(it))))
}

/// By epoch, what was burned for credit.
pub(crate) async fn burned_by_epoch(
    conn: &mut PgConnection,
    at: &GatewayAt,
) -> Result<BTreeMap<u64, u64>, StoreError> {
    let rows =
        all(conn, at, "select amounts from gateway_burn where chain_id = $1 and contract = $2").await?;
    Ok(summed(rows.iter().flat_map(|it| decode_burned(it)).map(|it| (it.epoch, it.amount))))
}

async fn all(
    conn: &mut PgConnection,
    at: &GatewayAt,
    query: &'static str,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let rows = sqlx::query_scalar(query).bind(at.chain_id as i64).bind(&at.contract[..]);
    Ok(rows.fetch_all(conn).await?)
}

fn summed(amounts: impl Iterator<Item = (u64, u64)>) -> BTreeMap<u64, u64> {
    let mut sums = BTreeMap::<u64, u64>::new();
    for (epoch, amount) in amounts {
        let sum = sums.entry(epoch).or_default();
        *sum = sum.saturating_add(amount);
    }
    sums
}

/// Notes what was posted for something that expired; no leaf where there was nothing to post.
pub async fn note_expired(
    conn: &mut PgConnection,
    at: &GatewayAt,
    expired: &ExpiredOnChain,
    leaf_index: Option<u64>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into gateway_expired (chain_id, contract, what, points, leaf_index)
         values ($1, $2, $3, $4, $5)
         on conflict do nothing",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .bind(&expired.what)
    .bind(expired.points as i64)
    .bind(leaf_index.map(|it| it as i64))
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

/// What is known of the claims of these withdrawals, each by chain, contract and id, and when it can be claimed no more.
/// One statement reads how far a chain is known and what was claimed there, so that the two are of one moment.
pub(crate) async fn claims_of(
    conn: &mut PgConnection,
    withdrawals: &[proof::Withdrawal],
) -> Result<Vec<Claim>, StoreError> {
    let rows: Vec<(bool, i64)> = sqlx::query_as(
        "select claim.withdrawal_id is not null, coalesce(gateway.known_until, 0)
         from unnest($1::bigint[], $2::bytea[], $3::bytea[])
             with ordinality as wanted (chain_id, contract, withdrawal_id, ordinal)
         left join gateway using (chain_id, contract)
         left join gateway_claim as claim using (chain_id, contract, withdrawal_id)
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

fn decode_burned(bytes: &[u8]) -> Vec<BurnedEpoch> {
    let (rows, _) = bytes.as_chunks::<20>();
    let read = |it: &[u8; 20]| BurnedEpoch {
        epoch: u64::from_be_bytes(it[..8].try_into().expect("eight bytes")),
        last_day: i32::from_be_bytes(it[8..12].try_into().expect("four bytes")),
        amount: u64::from_be_bytes(it[12..].try_into().expect("eight bytes")),
    };
    rows.iter().map(read).collect()
}
