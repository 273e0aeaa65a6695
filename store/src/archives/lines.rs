//! The rows that go into a file and come back, a page at a time.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection};

use super::Archive;
use crate::error::StoreError;

/// A posting on its way: the place of its leaf, and everything that its rows say, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ArchiveLine {
    /// Its leaf.
    pub leaf_index: i64,
    /// Its rows.
    pub line: String,
}

/// A posting with everything that moves with it. JSON of a row is what `jsonb_populate_record` makes the same row of.
macro_rules! lines {
    ($such:literal) => {
        concat!(
            "select posting.leaf_index,
                 jsonb_build_object(
                     'posting', to_jsonb(posting),
                     'entries', (
                         select coalesce(jsonb_agg(to_jsonb(entry) order by entry.ordinal), '[]')
                         from entry
                         where entry.leaf_index = posting.leaf_index
                     ),
                     'event', (select to_jsonb(event) from event where event.leaf_index = posting.leaf_index)
                 )::text as line
             from posting
             where ",
            $such,
            " order by posting.leaf_index"
        )
    };
}

/// The next postings of a range that may move, at most so many. Acts stay, and what the bridge adds up, and what a hold or a
/// pending earning that is open goes on from.
pub async fn archive_lines(
    conn: &mut PgConnection,
    first_leaf_index: u64,
    end_leaf_index: u64,
    limit: u32,
) -> Result<Vec<ArchiveLine>, StoreError> {
    let lines = sqlx::query_as(concat!(
        lines!(
            "posting.leaf_index >= $1
             and posting.leaf_index < $2
             and exists (select from entry where entry.leaf_index = posting.leaf_index)
             and not exists (
                 select
                 from entry
                 join account using (account_id)
                 where entry.leaf_index = posting.leaf_index and account.kind = 6
             )
             and not exists (select from reservation where reservation.posting_id = posting.posting_id)"
        ),
        " limit $3"
    ))
    .bind(first_leaf_index as i64)
    .bind(end_leaf_index as i64)
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    Ok(lines)
}

/// Takes away the rows of these lines, where they are still there and say what the lines say.
pub async fn take_away(
    conn: &mut PgConnection,
    archive: &Archive,
    lines: &[ArchiveLine],
) -> Result<(), StoreError> {
    let mut transaction = conn.begin().await?;
    let going: Vec<i64> = sqlx::query_scalar(
        "insert into archived_posting (leaf_index, posting_id, program_id, recorded_at, archive_id)
         select leaf_index, posting_id, program_id, recorded_at, $1
         from posting
         where leaf_index = any($2)
         on conflict do nothing
         returning leaf_index",
    )
    .bind(archive.archive_id)
    .bind(lines.iter().map(|it| it.leaf_index).collect::<Vec<_>>())
    .fetch_all(&mut *transaction)
    .await?;
    let wanted: HashMap<i64, &str> = lines.iter().map(|it| (it.leaf_index, it.line.as_str())).collect();
    let there: Vec<ArchiveLine> = sqlx::query_as(lines!("posting.leaf_index = any($1)"))
        .bind(&going)
        .fetch_all(&mut *transaction)
        .await?;
    for ArchiveLine { leaf_index, line } in &there {
        if wanted.get(leaf_index) != Some(&line.as_str()) {
            let problem = format!("leaf {leaf_index}: its rows are not what {} says", archive.file);
            return Err(StoreError::Damaged(problem));
        }
    }
    sqlx::query(
        "insert into archived_partner as known (account_id, has_redeemed, has_undone)
         select account_id, bool_or(available_change > 0), bool_or(available_change < 0)
         from entry
         join account using (account_id)
         where leaf_index = any($1)
             and account.kind = 5
         group by account_id
         order by account_id
         on conflict (account_id) do update
         set has_redeemed = known.has_redeemed or excluded.has_redeemed,
             has_undone = known.has_undone or excluded.has_undone",
    )
    .bind(&going)
    .execute(&mut *transaction)
    .await?;
    for table in ["event", "entry", "posting"] {
        let delete = format!("delete from {table} where leaf_index = any($1)");
        sqlx::query(AssertSqlSafe(delete)).bind(&going).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Brings back the rows of these lines, where they are not back yet.
pub async fn give_back(
    conn: &mut PgConnection,
    archive: &Archive,
    lines: &[ArchiveLine],
) -> Result<(), StoreError> {
    let mut transaction = conn.begin().await?;
    let coming: Vec<i64> = sqlx::query_scalar(
        "select leaf_index from archived_posting where archive_id = $1 and leaf_index = any($2) for update",
    )
    .bind(archive.archive_id)
    .bind(lines.iter().map(|it| it.leaf_index).collect::<Vec<_>>())
    .fetch_all(&mut *transaction)
    .await?;
    let coming: Vec<&str> =
        lines.iter().filter(|it| coming.contains(&it.leaf_index)).map(|it| it.line.as_str()).collect();
    put(&mut transaction, ["posting", "entry", "event"], &coming).await?;
    sqlx::query(
        "delete from archived_posting
         where leaf_index in (select (line::jsonb -> 'posting' ->> 'leaf_index')::bigint from unnest($1::text[]) as line)",
    )
    .bind(&coming)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Puts what lines say into these tables, of postings, of entries and of events. What they say nothing of, since its column was added
/// later, has the column's default. Lines are of one file, so that the first row says of which columns all of them speak.
pub(super) async fn put(
    conn: &mut PgConnection,
    [posting, entry, event]: [&str; 3],
    lines: &[&str],
) -> Result<(), StoreError> {
    for (table, of, rows) in [
        (posting, "posting", "line::jsonb -> 'posting'"),
        (entry, "entry", "jsonb_array_elements(line::jsonb -> 'entries')"),
        (event, "event", "line::jsonb -> 'event'"),
    ] {
        let rows = format!(
            "(select said from (select {rows} as said from unnest($1::text[]) as line) as every
              where jsonb_typeof(said) = 'object')"
        );
        let columns = format!(
            "select string_agg(quote_ident(attname), ', ')
             from pg_attribute
             where attrelid = '{of}'::regclass
                 and attnum > 0
                 and not attisdropped
                 and attname in (
                     select jsonb_object_keys(said) from (select said from {rows} as those limit 1) as first
                 )"
        );
        let columns: Option<String> =
            sqlx::query_scalar(AssertSqlSafe(columns)).bind(lines).fetch_one(&mut *conn).await?;
        let Some(columns) = columns else { continue };
        let insert = format!(
            "insert into {table} ({columns})
             select {columns}
             from {rows} as those
             cross join lateral jsonb_populate_record(null::{of}, said) as it"
        );
        sqlx::query(AssertSqlSafe(insert)).bind(lines).execute(&mut *conn).await?;
    }
    Ok(())
}

/// Gives the pages that archived rows have left to whoever writes next, and those at a table's end to the disk.
pub async fn vacuum_archived(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("set statement_timeout = 0").execute(&mut *conn).await?;
    for table in ["posting", "entry", "event"] {
        sqlx::query(AssertSqlSafe(format!("vacuum (analyze, index_cleanup on) {table}")))
            .execute(&mut *conn)
            .await?;
    }
    sqlx::query("reset statement_timeout").execute(conn).await?;
    Ok(())
}
