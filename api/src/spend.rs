//! Spending: redemptions, transfers, and holds with what becomes of them.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use ledger::{Command, MemberRef, Points};
use proof::{Details, PostingKind, Text};
use schemars::JsonSchema;
use serde::Deserialize;
use store::Fed;
use uuid::Uuid;

use crate::Api;
use crate::body::json;
use crate::code::Code;
use crate::dress::Posted;
use crate::error::Problem;
use crate::idempotency;
use crate::post::Wish;
use crate::reviews::is_review;
use crate::route::Asked;
use crate::subject::transaction_not_found;

/// What is to be spent.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRedemption {
    /// The member, by UUID or external id. A partner names them; who speaks for a member may leave it out.
    #[schemars(length(min = 1, max = 200))]
    pub(crate) user_id: Option<String>,
    /// How many points.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub(crate) points: i64,
    /// Whether less is taken where there is less, as long as it is something.
    #[serde(default)]
    pub(crate) up_to: bool,
    /// The partner with whom they are spent. A partner's own may be left out.
    #[schemars(length(min = 1, max = 100))]
    pub(crate) partner_id: Option<String>,
    /// What the merchant calls it.
    #[schemars(length(max = 100))]
    pub(crate) merchant_reference: Option<String>,
    /// What it is about.
    #[schemars(length(max = 500))]
    pub(crate) description: Option<String>,
    /// The version that the account must have. In a batch of all or none only its first item may say it.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub(crate) expected_version: Option<u64>,
}

/// What one member gives another.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTransfer {
    /// Who gives; who speaks for a member may leave it out.
    #[schemars(length(min = 1, max = 200))]
    pub(crate) user_id: Option<String>,
    /// Who receives, by UUID or external id.
    #[schemars(length(min = 1, max = 200))]
    pub(crate) to_user_id: String,
    /// How many points. They keep the day on which they end.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub(crate) points: i64,
    /// What it is about.
    #[schemars(length(max = 500))]
    pub(crate) description: Option<String>,
}

/// What is to be set aside.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewHold {
    /// The member, by UUID or external id. A partner names them; who speaks for a member may leave it out.
    #[schemars(length(min = 1, max = 200))]
    pub(crate) user_id: Option<String>,
    /// How many points.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub(crate) points: i64,
    /// For how many seconds; for as long as the program says where it is left out.
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    pub(crate) seconds: Option<u32>,
    /// The partner for whom. A partner's own may be left out.
    #[schemars(length(min = 1, max = 100))]
    pub(crate) partner_id: Option<String>,
    /// What the merchant calls it.
    #[schemars(length(max = 100))]
    pub(crate) merchant_reference: Option<String>,
    /// What it is about.
    #[schemars(length(max = 500))]
    pub(crate) description: Option<String>,
}

/// What is taken of a hold.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCapture {
    /// How many points; what is left of it where it is left out.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub(crate) points: Option<i64>,
    /// Whether the rest stays set aside rather than being released.
    #[serde(default)]
    pub(crate) keep_rest: bool,
    /// What the merchant calls it.
    #[schemars(length(max = 100))]
    pub(crate) merchant_reference: Option<String>,
    /// What it is about.
    #[schemars(length(max = 500))]
    pub(crate) description: Option<String>,
}

/// Why a hold is given up.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewVoid {
    /// What it is about.
    #[schemars(length(max = 500))]
    pub(crate) description: Option<String>,
}

/// What is added to a hold.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewIncrease {
    /// How many more points.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub(crate) points: i64,
}

/// How long a hold is to stand.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEnd {
    /// For how many seconds from now.
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    pub(crate) seconds: u32,
}

/// A number that the body's schema has bounded.
pub(crate) fn points(number: i64) -> Result<Points, Problem> {
    Points::new(number).map_err(|_| Problem::invalid_parameter("points", "it is out of range"))
}

/// The words of a leaf; an empty one says nothing and is left out.
pub(crate) fn words(merchant_reference: Option<String>, description: Option<String>) -> Details {
    let text = |it: Option<String>| it.and_then(|it| Text::new(it).ok());
    Details {
        merchant_reference: text(merchant_reference),
        description: text(description),
        ..Details::default()
    }
}

/// Posts a wish, and tells of it: 201 with the transaction's address.
pub(crate) async fn answer(
    api: &Api,
    asked: &Asked,
    kind: PostingKind,
    command: Command,
    details: Details,
    expected_version: Option<u64>,
) -> Result<Response, Problem> {
    let key = idempotency::key(asked.headers())?;
    let done = api.post(asked, key, Wish { command, details, expected_version }).await?;
    let transaction = api.tell(kind, &done).await?;
    let mut response = json(&transaction);
    *response.status_mut() = StatusCode::CREATED;
    let id = transaction.transaction_id;
    let address = format!("/api/v1/loyalty/transactions/{id}");
    let headers = response.headers_mut();
    headers.insert("location", HeaderValue::from_str(&address).expect("a UUID is a header's value"));
    if done.replayed {
        headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    response.extensions_mut().insert(Posted { transaction_id: id, leaf_index: transaction.leaf_index });
    Ok(response)
}

/// `POST /api/v1/loyalty/redemptions`
pub(crate) async fn redeem(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let new: NewRedemption = asked.read().await?;
    let (command, details, version) = redemption(&asked, new)?;
    answer(&api, &asked, PostingKind::REDEEM, command, details, version).await
}

pub(crate) fn redemption(
    asked: &Asked,
    new: NewRedemption,
) -> Result<(Command, Details, Option<u64>), Problem> {
    let command = Command::Redeem {
        member: asked.member(new.user_id.as_deref())?,
        points: points(new.points)?,
        partner: asked.partner(new.partner_id)?,
        up_to: new.up_to,
    };
    Ok((command, words(new.merchant_reference, new.description), new.expected_version))
}

/// `POST /api/v1/loyalty/transfers`
pub(crate) async fn transfer(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let new: NewTransfer = asked.read().await?;
    let (command, details) = transferral(&asked, new)?;
    answer(&api, &asked, PostingKind::TRANSFER, command, details, None).await
}

pub(crate) fn transferral(asked: &Asked, new: NewTransfer) -> Result<(Command, Details), Problem> {
    let command = Command::Transfer {
        from: asked.member(new.user_id.as_deref())?,
        to: MemberRef::parse(&new.to_user_id),
        points: points(new.points)?,
    };
    Ok((command, words(None, new.description)))
}

/// `POST /api/v1/loyalty/holds`
pub(crate) async fn hold(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let new: NewHold = asked.read().await?;
    let command = Command::Hold {
        member: asked.member(new.user_id.as_deref())?,
        points: points(new.points)?,
        partner: asked.partner(new.partner_id)?,
        seconds: new.seconds,
    };
    let details = words(new.merchant_reference, new.description);
    answer(&api, &asked, PostingKind::HOLD, command, details, None).await
}

/// `POST /api/v1/loyalty/holds/{hold_id}/capture`
pub(crate) async fn capture(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let new: NewCapture = asked.read().await?;
    let hold = own_hold(&api, &asked).await?;
    let command =
        Command::Capture { hold, points: new.points.map(points).transpose()?, keep_rest: new.keep_rest };
    let details = words(new.merchant_reference, new.description);
    answer(&api, &asked, PostingKind::CAPTURE, command, details, None).await
}

/// `POST /api/v1/loyalty/holds/{hold_id}/void`
pub(crate) async fn void(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let new: NewVoid = asked.read().await?;
    let hold = own(&api, &asked, "hold_id").await?;
    answer(&api, &asked, PostingKind::VOID, Command::Void { hold }, words(None, new.description), None).await
}

/// `POST /api/v1/loyalty/holds/{hold_id}/increase`
pub(crate) async fn increase(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let new: NewIncrease = asked.read().await?;
    let hold = own_hold(&api, &asked).await?;
    let command = Command::Increase { hold, points: points(new.points)? };
    answer(&api, &asked, PostingKind::INCREASE, command, Details::default(), None).await
}

/// `POST /api/v1/loyalty/holds/{hold_id}/extend`
pub(crate) async fn extend(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let new: NewEnd = asked.read().await?;
    let hold = own_hold(&api, &asked).await?;
    let command = Command::Prolong { hold, seconds: new.seconds };
    answer(&api, &asked, PostingKind::EXTEND, command, Details::default(), None).await
}

/// The posting that the path names, if the caller may go on from it: another's does not exist to them.
pub(crate) async fn own(api: &Api, asked: &Asked, parameter: &str) -> Result<Uuid, Problem> {
    owned(api, asked, parameter).await.map(|it| it.posting_id)
}

/// The hold that the path names. One that stands for a redemption under review is gone on from by whoever looks at it;
/// its owner can only give it up.
async fn own_hold(api: &Api, asked: &Asked) -> Result<Uuid, Problem> {
    let hold = owned(api, asked, "hold_id").await?;
    match is_review(&hold) {
        false => Ok(hold.posting_id),
        true => Err(Problem::new(Code::FraudReview, "The redemption is under review: wait, or give it up.")),
    }
}

async fn owned(api: &Api, asked: &Asked, parameter: &str) -> Result<Fed, Problem> {
    let id = Uuid::try_parse(asked.path(parameter)).map_err(|_| transaction_not_found())?;
    let mut conn = api.pool.acquire().await.map_err(store::StoreError::from)?;
    let side = asked.side(api, &mut conn).await?;
    let story = store::story(&mut conn, api.program_id, id).await?;
    let posting = story.map(|it| it.posting).filter(|it| side.disposes_of(it));
    posting.ok_or_else(transaction_not_found)
}
