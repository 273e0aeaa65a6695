//! Webhook endpoints: where their owners want to be told, of what, and how they know that it is us.

use sqlx::{Connection, FromRow, PgConnection};
use uuid::Uuid;

use crate::error::StoreError;
use crate::keyring::Keyring;
use crate::log_head;

/// Where a new endpoint is, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEndpoint {
    /// Whose it is; the operator's own where it is no partner's.
    pub partner_id: Option<String>,
    /// Where.
    pub url: String,
    /// What it is told of; everything where it is empty.
    pub types: Vec<String>,
    /// What its owner says of it.
    pub description: String,
    /// Whether it is signed by ed25519 rather than by a shared secret.
    pub is_asymmetric: bool,
}

/// Whether an endpoint is told anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointStatus {
    /// It has not shown yet that it wants to be.
    Unverified = 1,
    /// It is.
    Active = 2,
    /// It is not, until its owner says so.
    Disabled = 3,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Endpoint {
    /// Its id.
    pub endpoint_id: Uuid,
    /// Whose it is; the operator's own where it is no partner's.
    pub partner_id: Option<String>,
    /// Where.
    pub url: String,
    /// What it is told of; everything where it is empty.
    pub types: Vec<String>,
    /// What its owner says of it.
    pub description: String,
    signs: i16,
    status: i16,
    /// Why it is disabled, where nobody did it by hand.
    pub disabled_because: Option<String>,
    /// From which leaf on it is told.
    pub first_leaf_index: i64,
    /// Grows with each change by its owner.
    pub version: i32,
    /// When it was made, in microseconds since 1970.
    pub created_at_us: i64,
    /// The wrapped secrets that sign now: the newest, and while it is changed the one before.
    pub secrets: Vec<Vec<u8>>,
}

impl Endpoint {
    /// Whether it is told anything.
    pub fn status(&self) -> EndpointStatus {
        match self.status {
            2 => EndpointStatus::Active,
            3 => EndpointStatus::Disabled,
            _ => EndpointStatus::Unverified,
        }
    }

    /// Whether it is signed by ed25519.
    pub fn is_asymmetric(&self) -> bool {
        self.signs == 2
    }

    /// Whether it is told of this type.
    pub fn wants(&self, r#type: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|it| it == r#type)
    }
}

/// What an owner changes; what is none stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointChange {
    /// Where; it must be verified again.
    pub url: Option<String>,
    /// What it is told of.
    pub types: Option<Vec<String>>,
    /// What its owner says of it.
    pub description: Option<String>,
    /// Whether it is disabled.
    pub is_disabled: Option<bool>,
}

const READ: &str = "
select endpoint_id, partner_id, url, types, description, signs, status, disabled_because, first_leaf_index, version,
    (extract(epoch from created_at) * 1000000)::bigint as created_at_us,
    array_remove(array[secret, case when now() < previous_until then previous_secret end], null) as secrets
from webhook_endpoint
";

/// Makes an endpoint, with a secret of its own. It is told nothing before it is verified.
pub async fn create_endpoint(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    new: &NewEndpoint,
) -> Result<Endpoint, StoreError> {
    let id = Uuid::now_v7();
    let mut transaction = conn.begin().await?;
    sqlx::query(
        "insert into webhook_endpoint (endpoint_id, program_id, partner_id, url, types, description, signs, secret)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id)
    .bind(program_id)
    .bind(&new.partner_id)
    .bind(&new.url)
    .bind(&new.types)
    .bind(&new.description)
    .bind(if new.is_asymmetric { 2_i16 } else { 1 })
    .bind(keyring.generate(id))
    .execute(&mut *transaction)
    .await?;
    sqlx::query("insert into webhook_course (endpoint_id) values ($1)")
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "insert into webhook_cursor (program_id, next_leaf_index) values ($1, 0) on conflict do nothing",
    )
    .bind(program_id)
    .execute(&mut *transaction)
    .await?;
    let made = endpoint(&mut transaction, program_id, new.partner_id.as_deref(), id).await?;
    transaction.commit().await?;
    made.ok_or_else(|| StoreError::Damaged("an endpoint is gone that was just made".to_owned()))
}

/// An owner's endpoints, oldest first.
pub async fn endpoints(
    conn: &mut PgConnection,
    program_id: i16,
    partner_id: Option<&str>,
) -> Result<Vec<Endpoint>, StoreError> {
    let statement = format!(
        "{READ} where program_id = $1 and partner_id is not distinct from $2 order by created_at, endpoint_id"
    );
    let rows = sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(program_id).bind(partner_id);
    Ok(rows.fetch_all(conn).await?)
}

/// One of an owner's endpoints; of another's there is none.
pub async fn endpoint(
    conn: &mut PgConnection,
    program_id: i16,
    partner_id: Option<&str>,
    id: Uuid,
) -> Result<Option<Endpoint>, StoreError> {
    let statement =
        format!("{READ} where program_id = $1 and partner_id is not distinct from $2 and endpoint_id = $3");
    let row = sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(program_id).bind(partner_id).bind(id);
    Ok(row.fetch_optional(conn).await?)
}

/// Those who are told something.
pub(crate) async fn active_endpoints(
    conn: &mut PgConnection,
    program_id: i16,
) -> Result<Vec<Endpoint>, StoreError> {
    let statement = format!("{READ} where program_id = $1 and status = 2");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(program_id).fetch_all(conn).await?)
}

/// The endpoint, where it is told something.
pub(crate) async fn active_endpoint(
    conn: &mut PgConnection,
    program_id: i16,
    id: Uuid,
) -> Result<Option<Endpoint>, StoreError> {
    let statement = format!("{READ} where program_id = $1 and status = 2 and endpoint_id = $2");
    let row = sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(program_id).bind(id);
    Ok(row.fetch_optional(conn).await?)
}

/// Changes an endpoint, if it still has this version; answers whether it had. Enabled again it goes on with what is
/// queued, and is told what happens from now on.
pub async fn change_endpoint(
    conn: &mut PgConnection,
    program_id: i16,
    endpoint: &Endpoint,
    change: &EndpointChange,
) -> Result<bool, StoreError> {
    let status = match (&change.url, change.is_disabled) {
        (_, Some(true)) => EndpointStatus::Disabled,
        // Whoever answers there now may be somebody else.
        (Some(url), _) if *url != endpoint.url => EndpointStatus::Unverified,
        (_, Some(false)) if endpoint.status() == EndpointStatus::Disabled => EndpointStatus::Unverified,
        _ => endpoint.status(),
    };
    let changed = sqlx::query(
        "update webhook_endpoint
         set url = coalesce($3, url),
             types = coalesce($4, types),
             description = coalesce($5, description),
             status = $6,
             disabled_because = case when $6 = status then disabled_because end,
             version = version + 1
         where endpoint_id = $1
             and version = $2
             and program_id = $7",
    )
    .bind(endpoint.endpoint_id)
    .bind(endpoint.version)
    .bind(&change.url)
    .bind(&change.types)
    .bind(&change.description)
    .bind(status as i16)
    .bind(program_id)
    .execute(conn)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// An endpoint that was verified under this address is told from here on; answers whether it still has this version.
pub async fn activate_endpoint(
    conn: &mut PgConnection,
    program_id: i16,
    endpoint: &Endpoint,
) -> Result<bool, StoreError> {
    let mut transaction = conn.begin().await?;
    // Whoever looks through the log sees the endpoint, or has not come to this leaf yet.
    sqlx::query("select from webhook_cursor where program_id = $1 for update")
        .bind(program_id)
        .execute(&mut *transaction)
        .await?;
    let size = log_head::log_size(&mut transaction).await?;
    let changed = sqlx::query(
        "update webhook_endpoint
         set status = 2, disabled_because = null, version = version + 1, first_leaf_index = $3
         where endpoint_id = $1 and version = $2",
    )
    .bind(endpoint.endpoint_id)
    .bind(endpoint.version)
    .bind(size as i64)
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "update webhook_course set failed = 0, failing_since = null, next_attempt_at = now() where endpoint_id = $1",
    )
    .bind(endpoint.endpoint_id)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(changed.rows_affected() == 1)
}

/// Takes an endpoint away, with all that is queued for it, if it still has this version; answers whether it had.
pub async fn delete_endpoint(
    conn: &mut PgConnection,
    program_id: i16,
    endpoint: &Endpoint,
) -> Result<bool, StoreError> {
    let gone = sqlx::query(
        "delete from webhook_endpoint
         where endpoint_id = $1
             and version = $2
             and program_id = $3",
    )
    .bind(endpoint.endpoint_id)
    .bind(endpoint.version)
    .bind(program_id)
    .execute(conn)
    .await?;
    Ok(gone.rows_affected() == 1)
}

/// Gives an endpoint a new secret. For so many seconds the one before signs too.
pub async fn rotate_secret(
    conn: &mut PgConnection,
    keyring: &Keyring,
    id: Uuid,
    overlap_s: u32,
) -> Result<(), StoreError> {
    sqlx::query(
        "update webhook_endpoint
         set previous_secret = secret,
             previous_until = now() + make_interval(secs => $2),
             secret = $3,
             version = version + 1
         where endpoint_id = $1",
    )
    .bind(id)
    .bind(f64::from(overlap_s))
    .bind(keyring.generate(id))
    .execute(conn)
    .await?;
    Ok(())
}
