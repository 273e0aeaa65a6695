//! Withdrawals: what left the books for a chain and has neither been paid there nor been taken back.

use proof::{Body, Commitments, Hash, LeafKind, SaltPart, Withdrawal, salt};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::accounts::hash;
use crate::error::StoreError;
use crate::gateways::GatewayAt;
use crate::keyring::Keyring;

/// A withdrawal that is open, with all that shows its leaf to a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenWithdrawal {
    /// Its leaf.
    pub leaf_index: u64,
    /// The program.
    pub program_id: i16,
    /// The posting.
    pub posting_id: Uuid,
    /// What the leaf says.
    pub withdrawal: Withdrawal,
    /// The commitments of the leaf's parts.
    pub parts: Commitments,
    /// The body's salt.
    pub salt: Hash,
}

impl OpenWithdrawal {
    /// How much it is of.
    pub fn points(&self) -> u64 {
        self.withdrawal.amounts.iter().map(|it| it.amount).sum()
    }
}

#[derive(FromRow)]
struct Row {
    leaf_index: i64,
    program_id: i16,
    posting_id: Uuid,
    body: Vec<u8>,
    header_commitment: Vec<u8>,
    details_commitment: Vec<u8>,
    body_commitment: Vec<u8>,
    entries: Vec<Vec<u8>>,
    program: Uuid,
    secret: Vec<u8>,
}

/// The withdrawals through a gateway that are open, in the order of the log, from its `open_from` on.
pub async fn open_withdrawals(
    conn: &mut PgConnection,
    keyring: &Keyring,
    at: &GatewayAt,
    limit: u32,
) -> Result<Vec<OpenWithdrawal>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select posting.leaf_index, posting.program_id, posting.posting_id, posting.body,
             posting.header_commitment, posting.details_commitment, posting.body_commitment,
             array(
                 select entry.commitment from entry where entry.leaf_index = posting.leaf_index order by entry.ordinal
             ) as entries,
             program.id as program, program.secret
         from gateway
         join open_withdrawal as open on open.leaf_index >= gateway.open_from
             and open.program_id = gateway.program_id
         join posting on posting.leaf_index = open.leaf_index
         join program on program.program_id = posting.program_id
         where gateway.chain_id = $1
             and gateway.contract = $2
             and substring(open.body from 1 for 28) = $3
         order by posting.leaf_index
         limit $4",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .bind([&at.chain_id.to_be_bytes()[..], &at.contract].concat())
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| row.read(keyring)).collect()
}

/// Of these accounts, how much was withdrawn and is open. Asked under the accounts' locks, under which it is withdrawn and taken
/// back.
pub(crate) async fn withdrawn(
    conn: &mut PgConnection,
    accounts: &[i64],
) -> Result<Vec<(i64, i64)>, StoreError> {
    let rows = sqlx::query_as(
        "select entry.account_id, sum(open.points)::bigint
         from gateway
         join open_withdrawal as open on open.leaf_index >= gateway.open_from
             and open.program_id = gateway.program_id
             and substring(open.body from 1 for 28) = int8send(gateway.chain_id) || gateway.contract
         join entry on entry.leaf_index = open.leaf_index
         where entry.account_id = any($1)
         group by entry.account_id",
    )
    .bind(accounts)
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

impl Row {
    fn read(self, keyring: &Keyring) -> Result<OpenWithdrawal, StoreError> {
        let damaged = || StoreError::Damaged(format!("leaf {}: its body cannot be read", self.leaf_index));
        let body = Body::decode(LeafKind::Withdrawal, &self.body).map_err(|_| damaged())?;
        let Body::Withdrawal(withdrawal) = body else { return Err(damaged()) };
        let secret = keyring.open(self.program, &self.secret)?;
        Ok(OpenWithdrawal {
            leaf_index: self.leaf_index as u64,
            program_id: self.program_id,
            posting_id: self.posting_id,
            withdrawal,
            parts: Commitments {
                header: hash(&self.header_commitment)?,
                details: hash(&self.details_commitment)?,
                body: Some(hash(&self.body_commitment)?),
                entries: self.entries.iter().map(|it| hash(it)).collect::<Result<_, _>>()?,
            },
            salt: salt(&secret, &self.posting_id.into_bytes(), SaltPart::Body),
        })
    }
}

/// Notes that no withdrawal before this leaf is open any more, so that nobody looks there again.
pub async fn note_open_from(
    conn: &mut PgConnection,
    at: &GatewayAt,
    leaf_index: u64,
) -> Result<(), StoreError> {
    sqlx::query("update gateway set open_from = $3 where chain_id = $1 and contract = $2 and open_from < $3")
        .bind(at.chain_id as i64)
        .bind(&at.contract[..])
        .bind(leaf_index as i64)
        .execute(conn)
        .await?;
    Ok(())
}
