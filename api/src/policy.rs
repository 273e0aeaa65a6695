//! What an operator has settled for the program, its limits among it: read and replaced in whole.

use std::sync::Arc;

use axum::response::Response;
use ledger::{Policy, Strangers, Terms};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::StoreError;
use uuid::Uuid;

use crate::Api;
use crate::acts::deed;
use crate::body::json;
use crate::error::{Invalid, Problem};
use crate::precondition::{must_match, tag, tagged};
use crate::route::Asked;

/// A program's policy as it is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPolicy {
    /// The policy. What it leaves out has the value that its description says.
    policy: Policy,
    /// Why.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

/// A program's policy.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PolicyTold {
    /// Expiry, limits, holds, debt: every field of what can be settled, with the value that counts.
    policy: Map<String, Value>,
}

/// A policy in full, as its document would say it.
fn whole(policy: &Policy) -> Map<String, Value> {
    match serde_json::to_value(policy) {
        Ok(Value::Object(fields)) => fields,
        other => unreachable!("a policy is an object: {other:?}"),
    }
}

/// A program, as its operators see it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ProgramTold {
    /// The id under which leaves name it.
    program_id: Uuid,
    /// Its name.
    name: String,
    /// Whether its points are worth nothing.
    sandbox: bool,
    /// Whether an unknown member is enrolled by their first event.
    enrols: bool,
    /// What a point is worth: a decimal.
    point_value: String,
    /// In which currency.
    currency: String,
    /// The hash of the rules by which what happens now earns.
    rule_set: String,
    /// Expiry, limits, holds, debt, as in `/api/v1/limits`.
    policy: Map<String, Value>,
}

/// The programs that a caller may see: its own.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ProgramList {
    /// `list`.
    object: &'static str,
    /// The program.
    data: Vec<ProgramTold>,
    /// Whether there are more: there are not.
    has_more: bool,
}

/// `GET /api/v1/programs`
pub(crate) async fn programs(api: Arc<Api>, _: Asked) -> Result<Response, Problem> {
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let terms = store::terms(&mut conn, api.program_id).await?;
    let now_us = store::clock_us(&mut conn).await?;
    let rules = store::rule_sets(&mut conn, api.program_id).await?;
    let program = ProgramTold {
        program_id: api.program.id,
        name: api.program.name.clone(),
        sandbox: api.program.is_sandbox,
        enrols: terms.policy.strangers(api.program.enrols) == Strangers::Enrol,
        point_value: api.program.point_value.clone(),
        currency: api.program.currency.clone(),
        rule_set: hex::encode(rules.at(now_us).hash()),
        policy: whole(&terms.policy),
    };
    Ok(json(&ProgramList { object: "list", data: vec![program], has_more: false }))
}

/// `GET /api/v1/limits`
pub(crate) async fn limits(api: Arc<Api>, _: Asked) -> Result<Response, Problem> {
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let terms = store::terms(&mut conn, api.program_id).await?;
    Ok(tagged(&PolicyTold { policy: whole(&terms.policy) }))
}

/// `PUT /api/v1/limits`
pub(crate) async fn set_limits(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let NewPolicy { policy, reason } = asked.read().await?;
    if let Err(problem) = Terms::new(policy.clone()) {
        let words = problem.to_string();
        return Err(Problem::invalid(vec![Invalid::in_body("policy", "/policy", "INVALID", words)]));
    }
    let mut acting = api.acting().await?;
    store::lock_program(acting.conn(), api.program_id).await?;
    let before = PolicyTold { policy: whole(&store::terms(acting.conn(), api.program_id).await?.policy) };
    must_match(asked.headers(), &tag(&before))?;
    let after = PolicyTold { policy: whole(&policy) };
    let document = serde_json::to_vec(&policy).map_err(Problem::internal)?;
    store::add_policy(acting.conn(), api.program_id, &document).await?;
    let deed = deed("policy.changed", &api.program.name, Some(&before), Some(&after));
    api.done(acting, &asked, Some(reason), deed).await?;
    Ok(tagged(&after))
}
