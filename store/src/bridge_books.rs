//! What the books say of a gateway, for whoever holds it against the chain.

use std::collections::{BTreeMap, HashMap};

use proof::{Body, Hash, LeafKind, PostingKind, Withdrawal};
use sqlx::{Connection, FromRow, PgConnection};
use uuid::Uuid;

use crate::anchors::fixed;
use crate::error::StoreError;
use crate::gateways::{
    BRIDGE_SOURCE, GatewayAt, GatewayState, PaidClaim, burn_key, burned_by_epoch, burns, decode_minted,
    expired_key, gateway_state, minted_by_epoch,
};
use crate::strange::claim_problem;

/// What the books say of a gateway, all of it as of one moment.
#[derive(Clone, Debug)]
pub struct BridgeBooks {
    /// How far its chain is known.
    pub state: GatewayState,
    /// What the account `bridge` has.
    pub bridge: i64,
    /// What went there and came from there by something else than this gateway.
    pub elsewhere: i64,
    /// Withdrawals that are neither paid nor taken back.
    pub unclaimed: i64,
    /// Burns that are not credited.
    pub uncredited: i64,
    /// What had expired when it was claimed.
    pub lapsed: i64,
    /// What was posted to breakage because it had expired.
    pub expired: i64,
    /// By epoch, what claims minted.
    pub minted: BTreeMap<u64, u64>,
    /// By epoch, what was burned for credit.
    pub burned: BTreeMap<u64, u64>,
    /// What is wrong, in words.
    pub problems: Vec<String>,
}

#[derive(FromRow)]
struct EntryRow {
    leaf_index: i64,
    posting_id: Uuid,
    kind: i16,
    body: Option<Vec<u8>>,
    reverses: Option<Uuid>,
    change: i64,
}

#[derive(FromRow)]
struct ClaimRow {
    withdrawal_id: Vec<u8>,
    holder: Vec<u8>,
    minted: Vec<u8>,
    lapsed: i64,
    block: i64,
    transaction_hash: Vec<u8>,
    zone_s: i32,
}

impl ClaimRow {
    fn read(self) -> Result<PaidClaim, StoreError> {
        Ok(PaidClaim {
            withdrawal_id: fixed(self.withdrawal_id)?,
            holder: fixed(self.holder)?,
            minted: decode_minted(&self.minted),
            lapsed: self.lapsed as u64,
            block: self.block as u64,
            transaction: fixed(self.transaction_hash)?,
        })
    }
}

/// What went through the gateway by one withdrawal.
struct Sent {
    leaf_index: i64,
    withdrawal: Withdrawal,
    points: i64,
    taken_back: i64,
    is_paid: bool,
}

/// Adds up the account `bridge` of the gateway's program and unit, and holds it against what is known of the chain.
pub async fn bridge_books(conn: &mut PgConnection, at: &GatewayAt) -> Result<BridgeBooks, StoreError> {
    let mut transaction = conn.begin().await?;
    sqlx::raw_sql("set transaction isolation level repeatable read, read only")
        .execute(&mut *transaction)
        .await?;
    let books = read(&mut transaction, at).await?;
    transaction.commit().await?;
    Ok(books)
}

async fn read(conn: &mut PgConnection, at: &GatewayAt) -> Result<BridgeBooks, StoreError> {
    let state = gateway_state(conn, at).await?;
    let state = state.ok_or_else(|| {
        StoreError::Missing("nothing was read of this gateway yet: run daftari bridge run first".to_owned())
    })?;
    let entries = entries(conn, &state).await?;
    let credited = posted_under(conn, state.program_id, &burn_key(at, "")).await?;
    let credited = credited.into_iter().filter_map(|(leaf, burn)| Some((leaf, burn.parse().ok()?))).collect();
    let mut books = BridgeBooks {
        bridge: entries.iter().map(|it| it.change).sum(),
        state,
        elsewhere: 0,
        unclaimed: 0,
        uncredited: 0,
        lapsed: 0,
        expired: 0,
        minted: minted_by_epoch(conn, at).await?,
        burned: burned_by_epoch(conn, at).await?,
        problems: Vec::new(),
    };
    let expired = posted_under(conn, books.state.program_id, &expired_key(at, "")).await?;
    let mut sent = books.add_up(at, &entries, &credited, &expired);
    books.hold_expired(&entries, &expired);
    books.hold_claims(conn, at, &mut sent).await?;
    books.hold_burns(conn, at, &entries, &credited).await?;
    books.unclaimed = sent.values().filter(|it| !it.is_paid).map(|it| it.points - it.taken_back).sum();
    Ok(books)
}

/// Every entry of the account `bridge`, in order.
async fn entries(conn: &mut PgConnection, state: &GatewayState) -> Result<Vec<EntryRow>, StoreError> {
    let rows = sqlx::query_as(
        "select posting.leaf_index, posting.posting_id, posting.kind, posting.body, posting.reverses,
             entry.available_change as change
         from account
         join entry using (account_id)
         join posting using (leaf_index)
         where account.program_id = $1 and account.unit = $2 and account.kind = 6
         order by posting.leaf_index",
    )
    .bind(state.program_id)
    .bind(state.unit as i16)
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// The leaves that the bridge posted under keys that begin so, each with the rest of its key.
async fn posted_under(
    conn: &mut PgConnection,
    program_id: i16,
    prefix: &str,
) -> Result<HashMap<i64, String>, StoreError> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select key, leaf_index
         from outcome
         where program_id = $1 and source = $2 and key like $3 and leaf_index is not null",
    )
    .bind(program_id)
    .bind(BRIDGE_SOURCE)
    .bind(format!("{prefix}%"))
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|(key, leaf)| (leaf, key[prefix.len()..].to_owned())).collect())
}

impl BridgeBooks {
    /// Of each epoch that is posted, as much is posted as came there and did not come back.
    fn hold_expired(&mut self, entries: &[EntryRow], expired: &HashMap<i64, String>) {
        for it in entries {
            let epoch =
                expired.get(&it.leaf_index).and_then(|what| what.strip_prefix("epoch:")?.parse().ok());
            let Some(epoch) = epoch else { continue };
            let of = |it: &BTreeMap<u64, u64>| it.get(&epoch).map_or(0, |it| i128::from(*it));
            let (left, posted) = (of(&self.minted) - of(&self.burned), -i128::from(it.change));
            if left != posted {
                self.problems.push(format!(
                    "epoch {epoch} expired with {left} points, and {posted} were posted to breakage"
                ));
            }
        }
    }

    fn add_up(
        &mut self,
        at: &GatewayAt,
        entries: &[EntryRow],
        credited: &HashMap<i64, u64>,
        expired: &HashMap<i64, String>,
    ) -> HashMap<Uuid, Sent> {
        let mut sent = HashMap::<Uuid, Sent>::new();
        for it in entries {
            let body = it.body.as_deref().map(|it| Body::decode(LeafKind::Withdrawal, it));
            let undone = it.reverses.filter(|_| it.kind == PostingKind::REVERSE.0 as i16);
            match body {
                Some(Ok(Body::Withdrawal(withdrawal)))
                    if (withdrawal.chain_id, withdrawal.gateway) == (at.chain_id, at.contract) =>
                {
                    let (leaf_index, points) = (it.leaf_index, it.change);
                    let one = Sent { leaf_index, withdrawal, points, taken_back: 0, is_paid: false };
                    sent.insert(it.posting_id, one);
                }
                _ => match undone.and_then(|it| sent.get_mut(&it)) {
                    Some(withdrawn) => withdrawn.taken_back -= it.change,
                    None if credited.contains_key(&it.leaf_index) => {}
                    None if expired.contains_key(&it.leaf_index) => self.expired -= it.change,
                    None => self.elsewhere += it.change,
                },
            }
        }
        sent
    }

    /// Each claim pays one withdrawal of these books, all of it to its holder, and one that was not taken back.
    async fn hold_claims(
        &mut self,
        conn: &mut PgConnection,
        at: &GatewayAt,
        sent: &mut HashMap<Uuid, Sent>,
    ) -> Result<(), StoreError> {
        let rows: Vec<ClaimRow> = sqlx::query_as(
            "select claim.withdrawal_id, claim.holder, claim.minted, claim.lapsed, claim.block, claim.transaction_hash,
                 coalesce(gateway.zone_s, 0) as zone_s
             from gateway_claim as claim
             join gateway using (chain_id, contract)
             where chain_id = $1 and contract = $2",
        )
        .bind(at.chain_id as i64)
        .bind(&at.contract[..])
        .fetch_all(&mut *conn)
        .await?;
        let ends: Vec<(i64, i64)> = sqlx::query_as(
            "select epoch, expires_at from gateway_epoch where chain_id = $1 and contract = $2",
        )
        .bind(at.chain_id as i64)
        .bind(&at.contract[..])
        .fetch_all(conn)
        .await?;
        let ends: HashMap<u64, u64> = ends.into_iter().map(|it| (it.0 as u64, it.1 as u64)).collect();
        let mut by_id: HashMap<Hash, &mut Sent> =
            sent.values_mut().map(|it| (it.withdrawal.withdrawal_id, it)).collect();
        for row in rows {
            let (zone_s, lapsed) = (row.zone_s, row.lapsed);
            let claim = row.read()?;
            self.lapsed += lapsed;
            let paid = claim.minted.iter().fold(claim.lapsed, |sum, it| sum.saturating_add(it.1));
            let Some(withdrawal) = by_id.get_mut(&claim.withdrawal_id) else {
                let id = hex::encode(claim.withdrawal_id);
                self.problems.push(format!("0x{id} was paid, and is no withdrawal of these books"));
                continue;
            };
            withdrawal.is_paid = true;
            let Sent { leaf_index, points, taken_back, .. } = **withdrawal;
            if paid != points.unsigned_abs() {
                self.problems
                    .push(format!("leaf {leaf_index} withdrew {points} points, and {paid} were paid"));
            } else if let Some(problem) =
                claim_problem(&withdrawal.withdrawal, &claim, zone_s, |epoch| ends.get(&epoch).copied())
            {
                self.problems.push(format!("leaf {leaf_index} {problem}"));
            }
            if taken_back != 0 {
                self.problems
                    .push(format!("leaf {leaf_index} was paid, and {taken_back} points were taken back"));
            }
        }
        Ok(())
    }

    /// Each credited burn was one, and of as much.
    async fn hold_burns(
        &mut self,
        conn: &mut PgConnection,
        at: &GatewayAt,
        entries: &[EntryRow],
        credited: &HashMap<i64, u64>,
    ) -> Result<(), StoreError> {
        let mut given: HashMap<u64, i64> =
            entries.iter().filter_map(|it| Some((*credited.get(&it.leaf_index)?, -it.change))).collect();
        for story in burns(conn, at, false, u32::MAX >> 1).await? {
            let burn = &story.burn;
            let points = burn.amounts.iter().map(|it| it.amount as i64).sum::<i64>();
            match given.remove(&burn.burn_id) {
                None => self.uncredited += points,
                Some(given) if given != points => {
                    let id = burn.burn_id;
                    self.problems
                        .push(format!("burn {id} was of {points} points, and {given} were credited"));
                }
                Some(_) => {}
            }
        }
        for (burn_id, points) in given {
            self.problems.push(format!("burn {burn_id} was never seen, and {points} points were credited"));
        }
        Ok(())
    }
}
