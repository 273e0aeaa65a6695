//! What operators do with members: look at them, suspend them, make them active again, close them, merge two, settle their tiers.

use std::sync::Arc;

use axum::http::HeaderValue;
use axum::http::header::ETAG;
use axum::response::Response;
use ledger::{Command, MemberRef, Status};
use proof::{Details, PostingKind, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{MemberBalance, StoreError};
use uuid::Uuid;

use crate::Api;
use crate::acts::deed;
use crate::balance::{POINTS, Tier, user_not_found, version_tag};
use crate::body::json;
use crate::error::Problem;
use crate::post::Holdings;
use crate::precondition::must_match;
use crate::route::Asked;
use crate::spend::answer;
use crate::time::rfc3339;

/// A member, as an operator sees them.
#[derive(Serialize, JsonSchema)]
pub(crate) struct MemberTold {
    /// The member.
    user_id: Uuid,
    /// What other systems call them.
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    /// `active`; `suspended`, who spends nothing; `closed`.
    #[schemars(extend("enum" = ["active", "suspended", "closed"]))]
    status: &'static str,
    /// The member's tier, where they have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<Tier>,
    /// What they have.
    balance: Holdings,
    /// When that last changed.
    #[schemars(extend("format" = "date-time"))]
    last_updated: String,
}

/// What a member is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewStatus {
    /// What they are to be. Of a closed member all points expire.
    status: MemberStatus,
    /// Why.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

/// Whether a member takes part.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MemberStatus {
    /// In everything.
    Active,
    /// Earns, and what was begun is ended; spends nothing.
    Suspended,
    /// In nothing any more.
    Closed,
}

/// What a member has come to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTier {
    /// The tier that they are to have; none where it is left out.
    tier: Option<Tier>,
    /// Why.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

/// What an act says of a member's tier.
#[derive(Serialize)]
struct TierShown {
    tier: Option<Tier>,
}

/// Into whom a member is merged.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMerge {
    /// Who goes on, by UUID or external id.
    #[schemars(length(min = 1, max = 200))]
    into: String,
    /// Why.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

async fn find(api: &Api, asked: &Asked) -> Result<(MemberRef, MemberBalance), Problem> {
    let name = asked.path("user_id");
    let member = Some(name).filter(|it| (1..=200).contains(&it.len())).map(MemberRef::parse);
    let member = member.ok_or_else(user_not_found)?;
    let found = api.reader.balance(api.program_id, POINTS, &member).await?.ok_or_else(user_not_found)?;
    Ok((member, found))
}

/// What a change of a member must match.
fn tag(member: &MemberBalance) -> String {
    format!("\"{}\"", version_tag(member))
}

/// `GET /api/v1/members/{user_id}`
pub(crate) async fn member(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let (_, found) = find(&api, &asked).await?;
    shown(&api, &found).await
}

async fn shown(api: &Api, found: &MemberBalance) -> Result<Response, Problem> {
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let external_id = store::external_id(&mut conn, api.program_id, found.member_id).await?;
    let mut response = json(&MemberTold {
        user_id: found.member_id,
        external_id,
        status: found.status.name(),
        tier: found.tier.map(Tier::from),
        balance: Holdings {
            available: found.available,
            held: found.held,
            pending: found.pending,
            version: found.sequence as u64,
        },
        last_updated: rfc3339(found.updated_at_us),
    });
    let tag = HeaderValue::from_str(&tag(found)).expect("ids and numbers are a header's value");
    response.headers_mut().insert(ETAG, tag);
    Ok(response)
}

/// The member of the path, if they are still what the operator has seen.
async fn seen(api: &Api, asked: &Asked) -> Result<(MemberRef, u64), Problem> {
    let (member, found) = find(api, asked).await?;
    must_match(asked.headers(), &tag(&found))?;
    Ok((member, found.sequence as u64))
}

/// `POST /api/v1/members/{user_id}/status`
pub(crate) async fn set_status(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let new: NewStatus = asked.read().await?;
    let (member, version) = seen(&api, &asked).await?;
    let status = match new.status {
        MemberStatus::Active => Status::Active,
        MemberStatus::Suspended => Status::Suspended,
        MemberStatus::Closed => Status::Closed,
    };
    let command = Command::SetStatus { member, status };
    answer(&api, &asked, PostingKind::ACT, command, reason(new.reason), Some(version)).await
}

/// `PUT /api/v1/members/{user_id}/tier`
pub(crate) async fn set_tier(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let new: NewTier = asked.read().await?;
    let (_, found) = find(&api, &asked).await?;
    let mut acting = api.acting().await?;
    let before = store::lock_tier(acting.conn(), api.program_id, found.member_id).await?;
    let before = before.ok_or_else(user_not_found)?;
    let seen = MemberBalance { tier: before.tier, ..found };
    must_match(asked.headers(), &tag(&seen))?;
    let after = MemberBalance { tier: new.tier.map(store::Tier::from), ..seen.clone() };
    store::set_tier(acting.conn(), api.program_id, after.member_id, after.tier).await?;
    let [was, is] = [&seen, &after].map(|it| TierShown { tier: it.tier.map(Tier::from) });
    // The account, and not whose it is: an act is not erased with the member.
    let deed = deed("member.tier", format!("account {}", before.account), Some(&was), Some(&is));
    api.done(acting, &asked, Some(new.reason), deed).await?;
    shown(&api, &after).await
}

/// `POST /api/v1/members/{user_id}/merge`
pub(crate) async fn merge(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let new: NewMerge = asked.read().await?;
    let (from, version) = seen(&api, &asked).await?;
    let command = Command::Merge { from, to: MemberRef::parse(&new.into) };
    answer(&api, &asked, PostingKind::MERGE, command, reason(new.reason), Some(version)).await
}

fn reason(reason: String) -> Details {
    Details { reason: Text::new(reason).ok(), ..Details::default() }
}
