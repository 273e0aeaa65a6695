//! The outcomes and the acts that tell of a member. No index leads to them: all are looked at, so many at a time.

use sqlx::PgConnection;

use crate::archived;
use crate::error::StoreError;
use crate::outcomes::{ItemRow, decode_rest};

/// How many rows one statement looks at: a small part of a second, far from the time that a statement has.
#[cfg(not(test))]
const PAGE: i64 = 20_000;
#[cfg(test)]
const PAGE: i64 = 3;

/// An outcome that tells of the member.
pub(crate) struct Told {
    pub(crate) source: String,
    pub(crate) key: String,
    pub(crate) leaves: Vec<i64>,
}

/// The leaves in which these accounts have an entry, and those of acts upon them, in the order of the log.
pub(crate) async fn leaves_of(conn: &mut PgConnection, accounts: &[i64]) -> Result<Vec<i64>, StoreError> {
    let mut leaves = Vec::new();
    for account in accounts {
        let mut after = 0;
        loop {
            let page: Vec<(i64, i64)> = sqlx::query_as(
                "select sequence, leaf_index
                 from entry
                 where account_id = $1
                     and sequence > $2
                 order by sequence
                 limit $3",
            )
            .bind(account)
            .bind(after)
            .bind(PAGE)
            .fetch_all(&mut *conn)
            .await?;
            archived::demand_versions(conn, *account, after, page.iter().map(|it| it.0), PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            leaves.extend(page.into_iter().map(|it| it.1));
        }
    }
    leaves.extend(acts_upon(conn, accounts).await?);
    leaves.sort_unstable();
    leaves.dedup();
    Ok(leaves)
}

/// The acts whose documents name these accounts, by the ids that leaves have.
async fn acts_upon(conn: &mut PgConnection, accounts: &[i64]) -> Result<Vec<i64>, StoreError> {
    let (mut leaves, mut after) = (Vec::new(), -1);
    loop {
        let page: Vec<(i64, bool)> = sqlx::query_as(
            "select leaf_index,
                 exists (
                     select
                     from account
                     where account_id = any($1)
                         and position(convert_to(account.id::text, 'UTF8') in document) > 0
                 )
             from act
             where leaf_index > $2
             order by leaf_index
             limit $3",
        )
        .bind(accounts)
        .bind(after)
        .bind(PAGE)
        .fetch_all(&mut *conn)
        .await?;
        let Some((last, _)) = page.last() else { return Ok(leaves) };
        after = *last;
        for (leaf_index, _) in page.into_iter().filter(|it| it.1) {
            archived::demand_here(conn, leaf_index).await?;
            leaves.push(leaf_index);
        }
    }
}

/// The outcomes that tell of these accounts, each with those of its leaves that do.
pub(crate) async fn outcomes_of(
    conn: &mut PgConnection,
    program_id: i16,
    accounts: &[i64],
) -> Result<Vec<Told>, StoreError> {
    let theirs = leaves_of(conn, accounts).await?;
    let (mut told, mut after) = (Vec::new(), (String::new(), String::new()));
    loop {
        let end: Option<(String, String)> = sqlx::query_as(
            "select source, key
             from outcome
             where program_id = $1
                 and (source, key) > ($2, $3)
             order by source, key
             offset $4
             limit 1",
        )
        .bind(program_id)
        .bind(&after.0)
        .bind(&after.1)
        .bind(PAGE - 1)
        .fetch_optional(&mut *conn)
        .await?;
        told.extend(page_of(conn, program_id, accounts, &theirs, &after, end.as_ref()).await?);
        let Some(end) = end else { return Ok(told) };
        after = end;
    }
}

/// Those of them whose key comes after the one and not after the other.
async fn page_of(
    conn: &mut PgConnection,
    program_id: i16,
    accounts: &[i64],
    theirs: &[i64],
    after: &(String, String),
    end: Option<&(String, String)>,
) -> Result<Vec<Told>, StoreError> {
    type Row = (String, String, i64, i64, Option<Vec<u8>>);
    let rows: Vec<Row> = sqlx::query_as(
        "select source, key, leaf_index, account_id, rest
         from outcome
         where program_id = $1
             and (source, key) > ($4, $5)
             and ($6 is null or (source, key) <= ($6, $7))
             and refusal is null
             and (leaf_index = any($2) or account_id = any($3) or rest is not null)",
    )
    .bind(program_id)
    .bind(theirs)
    .bind(accounts)
    .bind(&after.0)
    .bind(&after.1)
    .bind(end.map(|it| &it.0))
    .bind(end.map(|it| &it.1))
    .fetch_all(conn)
    .await?;
    let mut told = Vec::new();
    for (source, key, leaf_index, account, rest) in rows {
        let rest = rest.as_deref().map_or(Some(vec![]), decode_rest);
        let rest = rest.ok_or_else(|| StoreError::Damaged(format!("the outcome of the key {key:?}")))?;
        // Of a transfer an item names who gives: who was given to is found by the leaf.
        let tells =
            |[leaf, account, _]: &ItemRow| theirs.binary_search(leaf).is_ok() || accounts.contains(account);
        let items = [[leaf_index, account, 0]].into_iter().chain(rest);
        let leaves: Vec<i64> = items.filter(tells).map(|it| it[0]).collect();
        if !leaves.is_empty() {
            told.push(Told { source, key, leaves });
        }
    }
    Ok(told)
}
