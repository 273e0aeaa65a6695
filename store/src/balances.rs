//! What a member has.

use ledger::MemberRef;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::error::StoreError;
use crate::programs::POINTS_UNIT;

/// A member's balance, as of one committed posting.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct MemberBalance {
    /// The member.
    pub member_id: Uuid,
    /// What can be spent.
    pub available: i64,
    /// What is reserved.
    pub held: i64,
    /// What has not matured.
    pub pending: i64,
    /// The account's version: it grows by one with each change.
    pub sequence: i64,
    /// When it last changed, or the member was enrolled; microseconds since 1970.
    pub updated_at_us: i64,
}

/// The balance of this member; `None` where there is no such member.
pub async fn member_balance(
    conn: &mut PgConnection,
    program_id: i16,
    member: &MemberRef,
) -> Result<Option<MemberBalance>, StoreError> {
    let (id, name) = match member {
        MemberRef::Id(id) => (Some(*id), None),
        MemberRef::External(name) => (None, Some(name.as_str())),
    };
    let balance = sqlx::query_as(
        "select member.member_id,
             balance.available,
             balance.held,
             balance.pending,
             balance.sequence,
             coalesce(posting.recorded_at, (extract(epoch from member.created_at) * 1000000)::bigint) as updated_at_us
         from member
         join account on account.program_id = member.program_id
             and account.member_id = member.member_id
             and account.partner_id is null
             and account.kind = 1
             and account.unit = $4
         join balance using (account_id)
         left join posting on posting.leaf_index = balance.last_leaf_index
         where member.program_id = $1
             and (member.member_id = $2 or member.external_id = $3)",
    )
    .bind(program_id)
    .bind(id)
    .bind(name)
    .bind(POINTS_UNIT)
    .fetch_optional(conn)
    .await?;
    Ok(balance)
}
