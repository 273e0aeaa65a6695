//! What an operator has settled for the program, its limits among it: read and replaced in whole.

use std::sync::Arc;

use axum::response::Response;
use ledger::{Policy, Rate, Strangers, Terms};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{PgConnection, StoreError};
use uuid::Uuid;

use crate::Api;
use crate::acts::deed;
use crate::body::json;
use crate::code::Code;
use crate::error::{Invalid, Problem};
use crate::precondition::{must_match, tag, tagged};
use crate::route::Asked;
use crate::time::{micros, rfc3339};
use crate::worth::Worth;

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
    /// What a point is worth now: a decimal.
    point_value: String,
    /// In which currency.
    currency: String,
    /// What it was worth, is worth and will be worth, in the order in which that was settled: of what counts from the same instant,
    /// the last.
    rates: Vec<RateTold>,
    /// The hash of the rules by which what happens now earns.
    rule_set: String,
    /// Expiry, limits, holds, debt, as in `/api/v1/limits`.
    policy: Map<String, Value>,
}

/// What a point is worth from an instant on.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RateTold {
    /// A decimal.
    point_value: String,
    /// In which currency.
    currency: String,
    /// From when on; what is spent then is worth so much.
    #[schemars(extend("format" = "date-time"))]
    from: String,
}

/// What a point is to be worth.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRate {
    /// A decimal, with up to 12 digits before the point and 8 after.
    #[schemars(length(min = 1, max = 21))]
    point_value: String,
    /// In which currency, by three capital letters.
    #[schemars(length(min = 3, max = 3))]
    currency: String,
    /// From when on: an instant that has not passed. From now on, where it is left out.
    #[schemars(extend("format" = "date-time"))]
    from: Option<String>,
    /// Why.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
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

async fn told(api: &Api, conn: &mut PgConnection) -> Result<ProgramTold, Problem> {
    let terms = store::terms(conn, api.program_id).await?;
    let rules = store::rule_sets(conn, api.program_id).await?;
    let rates = store::rates(conn, api.program_id).await?;
    let now_us = store::clock_us(conn).await?;
    let rate = terms.rates.at(now_us).and_then(Worth::parse);
    let Worth { point_value, currency } = rate.ok_or_else(|| Problem::internal("the program has no rate"))?;
    let rate = |(from, rate): &(i64, Rate)| RateTold {
        point_value: rate.point_value().to_owned(),
        currency: rate.currency().to_owned(),
        from: rfc3339(*from),
    };
    Ok(ProgramTold {
        program_id: api.program.id,
        name: api.program.name.clone(),
        sandbox: api.program.is_sandbox,
        enrols: terms.policy.strangers(api.program.enrols) == Strangers::Enrol,
        point_value: point_value.to_string(),
        currency,
        rates: rates.iter().map(rate).collect(),
        rule_set: hex::encode(rules.at(now_us).hash()),
        policy: whole(&terms.policy),
    })
}

/// `GET /api/v1/programs`
pub(crate) async fn programs(api: Arc<Api>, _: Asked) -> Result<Response, Problem> {
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let program = told(&api, &mut conn).await?;
    Ok(json(&ProgramList { object: "list", data: vec![program], has_more: false }))
}

/// The caller's own program, which the path must name: others do not exist here.
fn is_own(api: &Api, asked: &Asked) -> Result<(), Problem> {
    match asked.path("program_id").parse::<Uuid>() {
        Ok(id) if id == api.program.id => Ok(()),
        _ => Err(Problem::new(Code::NotFound, "There is no such program.")),
    }
}

/// `GET /api/v1/programs/{program_id}`
pub(crate) async fn program(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    is_own(&api, &asked)?;
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    Ok(tagged(&told(&api, &mut conn).await?))
}

/// `POST /api/v1/programs/{program_id}/rates`
pub(crate) async fn add_rate(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    is_own(&api, &asked)?;
    let new: NewRate = asked.read().await?;
    let wrong = |field: &'static str, words: &str| {
        Problem::invalid(vec![Invalid::in_body(field, &format!("/{field}"), "INVALID", words)])
    };
    let rate = Rate::new(&new.point_value, &new.currency)
        .ok_or_else(|| wrong("point_value", "a decimal as in 0.10, of a currency as in KES"))?;
    let from_us = new.from.as_deref().and_then(micros);
    let mut acting = api.acting().await?;
    store::lock_program(acting.conn(), api.program_id).await?;
    let before = told(&api, acting.conn()).await?;
    must_match(asked.headers(), &tag(&before))?;
    let added = store::add_rate(acting.conn(), api.program_id, &rate, from_us).await?;
    added.ok_or_else(|| wrong("from", "it has passed: what was posted keeps its rate"))?;
    let after = told(&api, acting.conn()).await?;
    let deed = deed("rate.added", &api.program.name, Some(&before.rates), Some(&after.rates));
    api.done(acting, &asked, Some(new.reason), deed).await?;
    Ok(tagged(&after))
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
