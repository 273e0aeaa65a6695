//! What undoes a posting undoes one that is there, of the same member, all of them together at most the whole of it, and
//! no withdrawal that is known to be claimed.

use sqlx::PgConnection;

use super::ensure;
use crate::error::StoreError;

/// Looks at the reversals and cancellations among these leaves.
pub(super) async fn check(conn: &mut PgConnection, begin: i64, end: i64) -> Result<(), StoreError> {
    let wrong: Option<(i64, String)> = sqlx::query_as(
        "with reversal as (
             select posting.leaf_index, posting.program_id, posting.reverses, entry.account_id,
                 entry.available_change + entry.held_change + entry.pending_change as points
             from posting
             join entry using (leaf_index)
             join account on account.account_id = entry.account_id and account.kind = 1
             where posting.leaf_index >= $1
                 and posting.leaf_index < $2
                 and posting.reverses is not null
         ), looked_at as (
             select reversal.leaf_index, reversal.points,
                 original.leaf_index as original_leaf,
                 exists (
                     select from gateway_claim as claim
                     where claim.withdrawal_id = substring(original.body from 49 for 32)
                         and claim.contract = substring(original.body from 9 for 20)
                         and claim.chain_id = ('x' || encode(substring(original.body from 1 for 8), 'hex'))::bit(64)::bigint
                 ) as claimed,
                 (
                     select entry.available_change + entry.held_change + entry.pending_change
                     from entry
                     where entry.leaf_index = original.leaf_index and entry.account_id = reversal.account_id
                 ) as whole,
                 (
                     select sum(entry.available_change + entry.held_change + entry.pending_change)
                     from posting as other
                     join entry using (leaf_index)
                     where other.reverses = reversal.reverses
                         and other.program_id = reversal.program_id
                         and other.leaf_index <= reversal.leaf_index
                         and entry.account_id = reversal.account_id
                 ) as undone
             from reversal
             left join posting as original
                 on original.posting_id = reversal.reverses
                 and original.program_id = reversal.program_id
                 and original.leaf_index < reversal.leaf_index
         )
         select leaf_index,
             case
                 when original_leaf is null then 'it undoes a posting that is not there'
                 when whole is null then 'it undoes a posting of another member'
                 when claimed then 'it takes back a withdrawal that was claimed on its chain'
                 when sign(points) = sign(whole) then 'it does the same again instead of undoing it'
                 else 'more is undone than there was'
             end
         from looked_at
         where whole is null
             or claimed
             or sign(points) = sign(whole)
             or abs(undone) > abs(whole)
         order by leaf_index
         limit 1",
    )
    .bind(begin)
    .bind(end)
    .fetch_optional(conn)
    .await?;
    let (leaf_index, problem) = wrong.as_ref().map_or((0, ""), |it| (it.0, it.1.as_str()));
    ensure(wrong.is_none(), || format!("leaf {leaf_index}: {problem}"))
}
