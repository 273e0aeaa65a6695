//! Roles of the database: one for the service, which can do its work and nothing to history, and one for reports.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::error::StoreError;

/// The service's role: it owns nothing, and of leaves, postings and entries it can only append and read.
pub const APP_ROLE: &str = "daftari_app";

/// The role of those who read reports: the views of the schema `reporting`, of their own programs.
pub const READER_ROLE: &str = "daftari_reader";

/// Makes the roles where they are missing and this connection may, and grants them what they need in this schema. Answers
/// whether they are there. Roles are the whole server's: another database may have made them, also just now.
pub(crate) async fn ensure_roles(conn: &mut PgConnection) -> Result<bool, StoreError> {
    for (role, grants) in [(APP_ROLE, "grant_to_app"), (READER_ROLE, "grant_to_reader")] {
        let may: bool = sqlx::query_scalar(
            "select rolsuper or rolcreaterole or exists (select from pg_roles where rolname = $1)
             from pg_roles
             where rolname = current_user",
        )
        .bind(role)
        .fetch_one(&mut *conn)
        .await?;
        if !may {
            return Ok(false);
        }
        let make = format!(
            "do $$ begin
                 if not exists (select from pg_roles where rolname = '{role}') then
                     create role {role} nologin;
                 end if;
             exception when duplicate_object or unique_violation then
                 null;
             end $$"
        );
        sqlx::query(AssertSqlSafe(make)).execute(&mut *conn).await?;
        sqlx::query(AssertSqlSafe(format!("select {grants}()"))).execute(&mut *conn).await?;
    }
    Ok(true)
}
