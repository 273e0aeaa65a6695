//! What operators do, recorded: each act with who, when and why, what was before and what is after, in a leaf of the log.

use std::sync::Arc;

use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Acting, By, Deed, StoreError};
use uuid::Uuid;

use crate::Api;
use crate::error::Problem;
use crate::page::paged;
use crate::query::Query;
use crate::route::Asked;
use crate::time::rfc3339;

/// Why something is done.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Because {
    /// Why.
    #[schemars(length(min = 1, max = 500))]
    pub(crate) reason: String,
}

impl Api {
    /// Begins an act.
    pub(crate) async fn acting(&self) -> Result<Acting, Problem> {
        Acting::begin(&self.pool, self.committer.guard()).await.map_err(|error| match error {
            StoreError::Unguarded => store::SubmitError::Halted.into(),
            error => error.into(),
        })
    }

    /// Records one thing that was done, before the others.
    pub(crate) async fn also(
        &self,
        acting: &mut Acting,
        asked: &Asked,
        reason: Option<String>,
        deed: Deed,
    ) -> Result<(), Problem> {
        let by = By { actor: asked.actor(), reason };
        acting.also(self.gate.keyring(), self.program_id, &by, &deed).await?;
        Ok(())
    }

    /// Records what was done, and keeps it.
    pub(crate) async fn done(
        &self,
        acting: Acting,
        asked: &Asked,
        reason: Option<String>,
        deed: Deed,
    ) -> Result<(), Problem> {
        let by = By { actor: asked.actor(), reason };
        acting.done(self.gate.keyring(), self.program_id, &by, &deed).await?;
        Ok(())
    }
}

/// What was done to something, from what it was shown as before to what it is shown as after.
pub(crate) fn deed(
    action: &str,
    subject: impl Into<String>,
    before: Option<&impl Serialize>,
    after: Option<&impl Serialize>,
) -> Deed {
    fn value(it: Option<&impl Serialize>) -> Option<Value> {
        it.map(|it| serde_json::to_value(it).expect("what is shown is JSON"))
    }
    Deed { action: action.to_owned(), subject: subject.into(), before: value(before), after: value(after) }
}

/// An act of an operator.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ActTold {
    /// The act: the posting by which the log says it.
    act_id: Uuid,
    /// Of which kind it is, as in `partner.created`.
    action: String,
    /// To what it was done.
    subject: String,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What it was before; absent where it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Value>,
    /// What it is after; absent where it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Value>,
    /// When.
    #[schemars(extend("format" = "date-time"))]
    recorded_at: String,
    /// Its place in the log.
    leaf_index: u64,
}

/// A page of acts, the newest first.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ActPage {
    /// `list`.
    object: &'static str,
    /// The acts.
    data: Vec<ActTold>,
    /// Whether there are more.
    has_more: bool,
    /// The `starting_after` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// The path of the list.
    url: &'static str,
}

/// `GET /api/v1/audit`
pub(crate) async fn list(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let query = Query::read(&asked.parts.uri, &["limit", "starting_after"])?;
    let limit = query.limit()?;
    let before = query.number::<u64>("starting_after")?;
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let mut acts = store::acts(&mut conn, api.program_id, before, limit + 1).await?;
    let has_more = acts.len() > limit as usize;
    acts.truncate(limit as usize);
    let next_cursor = acts.last().filter(|_| has_more).map(|it| it.leaf_index.to_string());
    let told = |it: store::Act| ActTold {
        act_id: it.act_id,
        action: it.deed.action,
        subject: it.deed.subject,
        actor: it.actor,
        reason: it.reason,
        before: it.deed.before,
        after: it.deed.after,
        recorded_at: rfc3339(it.recorded_at_us),
        leaf_index: it.leaf_index,
    };
    let data = acts.into_iter().map(told).collect();
    let page = ActPage { object: "list", data, has_more, next_cursor, url: "/api/v1/audit" };
    Ok(paged(&page, &asked.parts.uri, "starting_after", page.next_cursor.as_deref()))
}
