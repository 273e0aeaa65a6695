//! What was erased is what an act in the log says, and nothing else was.

use sqlx::PgConnection;

use crate::accounts::page_end;
use crate::error::StoreError;

/// How an act says it, before the account's id.
pub const ACCOUNT: &str = "account ";
/// Why it was done.
pub const REASON: &str = "erasure";

/// How many accounts are looked through at a time: no statement takes longer because there are more of them.
const ACCOUNTS: i64 = 20_000;

/// How many erased leaves are.
#[cfg(not(test))]
const LEAVES: i64 = 20_000;
#[cfg(test)]
const LEAVES: i64 = 2;

/// Holds every erased account and leaf against the acts that say so. Gives how many entries nobody can open any more.
pub(crate) async fn check(conn: &mut PgConnection, size: i64) -> Result<u64, StoreError> {
    let (mut done, mut closed) = (i64::MIN, 0);
    while let Some(upper) = page_end(conn, done, ACCOUNTS).await? {
        for wrong in [without_an_act(conn, done, upper).await?, with_a_name(conn, done, upper).await?] {
            wrong.map_or(Ok(()), |problem| Err(StoreError::Damaged(problem)))?;
        }
        closed += entries_closed(conn, done, upper, size).await?;
        done = upper;
    }
    let mut done = -1;
    while let Some(upper) = leaves_end(conn, done).await? {
        let wrong = wrong_leaf(conn, done, upper).await?;
        wrong.map_or(Ok(()), |problem| Err(StoreError::Damaged(problem)))?;
        done = upper;
    }
    Ok(closed as u64)
}

/// How many entries the accounts have after one number and up to another that were erased.
async fn entries_closed(
    conn: &mut PgConnection,
    done: i64,
    upper: i64,
    size: i64,
) -> Result<i64, StoreError> {
    let closed = sqlx::query_scalar(
        "select coalesce(sum(sequence), 0)::bigint
         from erasure
         join balance using (account_id)
         where account_id > $1
             and account_id <= $2
             and last_leaf_index < $3",
    )
    .bind(done)
    .bind(upper)
    .bind(size)
    .fetch_one(conn)
    .await?;
    Ok(closed)
}

/// The last of so many erased leaves after this one; none where there are no more.
async fn leaves_end(conn: &mut PgConnection, after: i64) -> Result<Option<i64>, StoreError> {
    let last = sqlx::query_scalar(
        "select max(leaf_index)
         from (select leaf_index from erased_leaf where leaf_index > $1 order by leaf_index limit $2) as page",
    )
    .bind(after)
    .bind(LEAVES)
    .fetch_one(conn)
    .await?;
    Ok(last)
}

/// What is wrong with an erased leaf after one and up to another.
async fn wrong_leaf(conn: &mut PgConnection, done: i64, upper: i64) -> Result<Option<String>, StoreError> {
    let problem = sqlx::query_scalar(
        "select coalesce(
             (
                 select format('leaf %s: it was erased, and its words or its event are there', erased_leaf.leaf_index)
                 from erased_leaf
                 join posting on posting.leaf_index = erased_leaf.leaf_index
                 where erased_leaf.leaf_index > $1
                     and erased_leaf.leaf_index <= $2
                     and (
                         coalesce(merchant_reference, actor, reason, description) is not null
                         or exists (select from event where event.leaf_index = posting.leaf_index)
                     )
                 limit 1
             ),
             (
                 select format('leaf %s: it was erased, and has nothing of an erased account', erased_leaf.leaf_index)
                 from erased_leaf
                 join posting on posting.leaf_index = erased_leaf.leaf_index
                 where erased_leaf.leaf_index > $1
                     and erased_leaf.leaf_index <= $2
                     and not exists (
                         select from entry where entry.leaf_index = posting.leaf_index and entry.account_id = erased_leaf.account_id
                     )
                     and posting.kind <> 19
                 limit 1
             )
         )",
    )
    .bind(done)
    .bind(upper)
    .fetch_one(conn)
    .await?;
    Ok(problem)
}

/// Which account after one number and up to another was erased, and still names somebody.
async fn with_a_name(conn: &mut PgConnection, done: i64, upper: i64) -> Result<Option<String>, StoreError> {
    let problem = sqlx::query_scalar(
        "select format('account %s: it was erased, and still names somebody', account.account_id)
         from erasure
         join account using (account_id)
         join member using (program_id, member_id)
         where account_id > $1
             and account_id <= $2
             and member.external_id is not null
         limit 1",
    )
    .bind(done)
    .bind(upper)
    .fetch_optional(conn)
    .await?;
    Ok(problem)
}

/// What is wrong with an account after one number and up to another that was erased, or says so.
async fn without_an_act(
    conn: &mut PgConnection,
    done: i64,
    upper: i64,
) -> Result<Option<String>, StoreError> {
    let problem = sqlx::query_scalar(
        "select format('account %s: it was erased, and no act in the log says so', account.account_id)
         from account
         left join erasure on erasure.account_id = account.account_id
         left join posting on posting.leaf_index = erasure.leaf_index
         where account.account_id > $3
             and account.account_id <= $4
             and (account.secret = '' or erasure.account_id is not null)
             and not coalesce(
                 account.kind = 1
                     and account.secret = ''
                     and posting.kind = 19
                     and posting.program_id = account.program_id
                     and posting.reason = $1
                     and posting.description = $2 || account.id,
                 false
             )
         limit 1",
    )
    .bind(REASON)
    .bind(ACCOUNT)
    .bind(done)
    .bind(upper)
    .fetch_optional(conn)
    .await?;
    Ok(problem)
}
