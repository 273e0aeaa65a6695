//! Administrative acts: what an operator changes, and the leaf that says so, in one transaction. The leaf is a posting of
//! the kind `act`, without entries; who did it and why stand in its details, and its event hash is that of the document.

use ledger::Posting;
use proof::{Commitments, Details, Hash, Header, LeafKind, PostingKind, SaltPart, Text, salt};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{FromRow, PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

use crate::error::StoreError;
use crate::guard::Guard;
use crate::keyring::Keyring;
use crate::log_head::{self, log_identity};
use crate::rows::Rows;

/// Who acts, and why.
#[derive(Clone, Debug)]
pub struct By {
    /// Who, as leaves name actors.
    pub actor: String,
    /// Why, where it was said.
    pub reason: Option<String>,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deed {
    /// Of which kind, as in `partner.created`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// What it was before; nothing, where it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is after; nothing, where it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// An act that is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// The posting.
    pub act_id: Uuid,
    /// Its leaf.
    pub leaf_index: u64,
    /// When, in microseconds since 1970.
    pub recorded_at_us: i64,
    /// Who.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What was done.
    pub deed: Deed,
}

/// An act in the making: what is changed on its connection is kept with the record of it, or not at all.
pub struct Acting {
    transaction: Transaction<'static, Postgres>,
    guard: Guard,
}

impl Acting {
    /// Begins an act, where the guard lets the log go on.
    pub async fn begin(pool: &PgPool, guard: &Guard) -> Result<Self, StoreError> {
        let mut conn = pool.acquire().await?;
        let (_, timeline) = log_head::clock(&mut conn).await?;
        // Whoever is asked outside may be slow: no transaction waits for it.
        if guard.halted().is_some() || (!guard.was_held_on(timeline) && !guard.check(&mut conn).await?) {
            return Err(StoreError::Unguarded);
        }
        drop(conn);
        Ok(Self { transaction: pool.begin().await?, guard: guard.clone() })
    }

    /// Where the change is made.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Records one thing that was done, before the others: the log has them in the order in which they are said.
    pub async fn also(
        &mut self,
        keyring: &Keyring,
        program_id: i16,
        by: &By,
        deed: &Deed,
    ) -> Result<u64, StoreError> {
        record(&mut self.transaction, &self.guard, keyring, program_id, by, deed).await
    }

    /// Records what was done, and keeps both. Answers the act's leaf.
    pub async fn done(
        self,
        keyring: &Keyring,
        program_id: i16,
        by: &By,
        deed: &Deed,
    ) -> Result<u64, StoreError> {
        let Self { mut transaction, guard } = self;
        let leaf_index = record(&mut transaction, &guard, keyring, program_id, by, deed).await?;
        // A wait for a standby that a time limit ends would be answered as durable where it is not.
        sqlx::query("set local statement_timeout = 0").execute(&mut *transaction).await?;
        transaction.commit().await?;
        guard.saw(leaf_index as i64 + 1);
        Ok(leaf_index)
    }
}

async fn record(
    conn: &mut PgConnection,
    guard: &Guard,
    keyring: &Keyring,
    program_id: i16,
    by: &By,
    deed: &Deed,
) -> Result<u64, StoreError> {
    let log = log_identity(conn).await?;
    let (program, wrapped): (Uuid, Vec<u8>) =
        sqlx::query_as("select id, secret from program where program_id = $1")
            .bind(program_id)
            .fetch_one(&mut *conn)
            .await?;
    let secret = keyring.open(program, &wrapped)?;
    let document = serde_json::to_vec(deed).expect("texts and values are JSON");
    let act_id = Uuid::now_v7();
    let salt_of = |part| salt(&secret, &act_id.into_bytes(), part);
    let text = |it: &str| Text::new(it).map_err(|error| StoreError::Missing(error.to_string()));
    let (actor, reason) = (text(&by.actor)?, by.reason.as_deref().map(text).transpose()?);
    let details = Details { actor: Some(actor), reason, ..Details::default() };

    let (head, clock_us, timeline) = log_head::lock(conn, &log.log_id).await?;
    guard.admit(timeline, &head)?;
    let (leaf_index, now_us) = (head.size as u64, clock_us.max(head.recorded_at));
    let header = Header {
        posting_id: act_id.into_bytes(),
        posting_kind: PostingKind::ACT,
        program: program.into_bytes(),
        recorded_at_us: now_us,
        effective_at_us: now_us,
        rule_set_hash: Hash::default(),
        event_hash: proof::event_hash(&salt_of(SaltPart::Event), &document),
        reverses: [0; 16],
    };
    let commitments = Commitments {
        header: header.commitment(&salt_of(SaltPart::Header)),
        details: details.commitment(&salt_of(SaltPart::Details)),
        body: None,
        entries: vec![],
    };
    let posting = Posting::new(PostingKind::ACT, act_id, vec![]).expect("an act has no entries");
    let mut rows = Rows::default();
    rows.leaf(leaf_index, LeafKind::Posting, &commitments.commitment());
    rows.posting(leaf_index, program_id, &header, &details, &commitments, &posting);
    rows.insert(conn).await?.append(conn, &log.log_id, &head, now_us).await?;
    sqlx::query("insert into act (leaf_index, program_id, document) values ($1, $2, $3)")
        .bind(leaf_index as i64)
        .bind(program_id)
        .bind(document)
        .execute(conn)
        .await?;
    Ok(leaf_index)
}

#[derive(FromRow)]
struct Row {
    leaf_index: i64,
    posting_id: Uuid,
    recorded_at: i64,
    actor: Option<String>,
    reason: Option<String>,
    document: Vec<u8>,
}

/// The program's acts before this leaf, the newest first, at most so many.
pub async fn acts(
    conn: &mut PgConnection,
    program_id: i16,
    before_leaf_index: Option<u64>,
    limit: u32,
) -> Result<Vec<Act>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select act.leaf_index, posting_id, recorded_at, actor, reason, document
         from act
         join posting using (leaf_index)
         where act.program_id = $1
             and act.leaf_index < $2
         order by act.leaf_index desc
         limit $3",
    )
    .bind(program_id)
    .bind(before_leaf_index.and_then(|it| i64::try_from(it).ok()).unwrap_or(i64::MAX))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Row::read).collect()
}

impl Row {
    fn read(self) -> Result<Act, StoreError> {
        let damaged = |_| StoreError::Damaged(format!("leaf {}: its act cannot be read", self.leaf_index));
        Ok(Act {
            act_id: self.posting_id,
            leaf_index: self.leaf_index as u64,
            recorded_at_us: self.recorded_at,
            actor: self.actor,
            reason: self.reason,
            deed: serde_json::from_slice(&self.document).map_err(damaged)?,
        })
    }
}
