//! Many things in one request: each for itself, or all or none.

use std::sync::Arc;

use axum::http::HeaderValue;
use axum::response::Response;
use futures::{StreamExt, stream};
use ledger::{Item, Request};
use proof::PostingKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Answer, SubmitError};

use crate::Api;
use crate::ask::Reason;
use crate::body::json;
use crate::code::Code;
use crate::error::{Invalid, Problem};
use crate::idempotency;
use crate::post::{Done, Transaction, Wish};
use crate::route::Asked;
use crate::screen::screen;
use crate::spend::{NewRedemption, NewTransfer, redemption, transferral};

/// How many items of one batch are on their way at once.
const IN_FLIGHT_MAX: usize = 256;

/// Many things in one request.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBatch {
    /// Whether each item stands for itself, or all are posted or none: of those at most 100.
    mode: Mode,
    /// The items. Where all are posted or none, only the first may have an `expected_version`.
    #[schemars(length(min = 1, max = 1000))]
    items: Vec<BatchItem>,
}

/// How the items of a batch belong together.
#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Each for itself.
    Independent,
    /// All, or none.
    AllOrNone,
}

/// One item of a batch.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BatchItem {
    /// Spends points.
    Redemption(NewRedemption),
    /// Gives points to another member.
    Transfer(NewTransfer),
}

/// What came of a batch, item by item.
#[derive(Serialize, JsonSchema)]
pub(crate) struct BatchTold {
    /// What came of each item, in their order.
    results: Vec<ItemTold>,
}

/// What came of an item.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ItemTold {
    /// `SUCCESS`, `PENDING` while it is looked at, or `REFUSED`; `UNKNOWN` where asking again with the same key tells.
    status: &'static str,
    /// What was posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<Transaction>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Reason>,
}

impl ItemTold {
    fn posted(transaction: Transaction) -> Self {
        Self { status: transaction.status, transaction: Some(transaction), refusal: None }
    }
}

/// `POST /api/v1/loyalty/batches`
pub(crate) async fn batch(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    let NewBatch { mode, items } = asked.read().await?;
    if asked.caller.credential.partner_id.is_some()
        && items.iter().any(|it| matches!(it, BatchItem::Transfer(_)))
    {
        return Err(Problem::wrong_role(asked.caller.role, crate::access::MEMBERS));
    }
    let key = idempotency::key(asked.headers())?;
    asked.count_items(&api.gate, items.len()).await?;
    let mut wishes = Vec::with_capacity(items.len());
    for item in items {
        wishes.push(match item {
            BatchItem::Redemption(new) => {
                let (command, details, expected_version) = redemption(&asked, new)?;
                (PostingKind::REDEEM, Wish { command, details, expected_version })
            }
            BatchItem::Transfer(new) => {
                let (command, details) = transferral(&asked, new)?;
                (PostingKind::TRANSFER, Wish { command, details, expected_version: None })
            }
        });
    }
    let (results, replayed) = match mode {
        Mode::Independent => each(&api, &asked, &key, wishes).await?,
        Mode::AllOrNone => all(&api, &asked, key, wishes).await?,
    };
    let mut response = json(&BatchTold { results });
    if replayed {
        response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Each item under a key of its own, which the batch's key and its place make; and whether all had been answered before.
async fn each(
    api: &Api,
    asked: &Asked,
    key: &str,
    wishes: Vec<(PostingKind, Wish)>,
) -> Result<(Vec<ItemTold>, bool), Problem> {
    let requests: Vec<(PostingKind, Request)> = wishes
        .into_iter()
        .enumerate()
        .map(|(at, (kind, wish))| Ok((kind, api.request(asked, format!("{key}#{at}"), wish)?)))
        .collect::<Result<_, Problem>>()?;
    let on_their_way = requests.into_iter().map(async |(kind, request)| {
        if let Err((_, problem)) = api.claim_references(asked, &request.key, &request.items).await {
            let (error, message) = (problem.code().as_str(), problem.told().to_owned());
            let (status, refusal) = match problem.code() {
                Code::ReferenceReused => ("REFUSED", Some(Reason { error, message })),
                Code::IdempotencyInProgress => ("UNKNOWN", None),
                _ => return Err(problem),
            };
            return Ok((ItemTold { status, transaction: None, refusal }, false));
        }
        match api.committer.submit(request).await {
            Ok(Answer { outcome: Ok(items), replayed, .. }) => {
                let accepted = items.into_iter().next();
                let accepted = accepted.ok_or_else(|| Problem::internal("an item came to nothing"))?;
                Ok((ItemTold::posted(api.tell(kind, &Done { accepted, replayed }).await?), replayed))
            }
            Ok(Answer { outcome: Err(refused), replayed, .. }) => {
                let refusal = Some(Reason::of(&refused.refusal));
                Ok((ItemTold { status: "REFUSED", transaction: None, refusal }, replayed))
            }
            Err(error @ (SubmitError::Failed | SubmitError::Archived { .. })) => Err(error.into()),
            Err(_) => Ok((ItemTold { status: "UNKNOWN", transaction: None, refusal: None }, false)),
        }
    });
    let told: Vec<Result<(ItemTold, bool), Problem>> =
        stream::iter(on_their_way.collect::<Vec<_>>()).buffered(IN_FLIGHT_MAX).collect().await;
    let (told, replayed): (Vec<ItemTold>, Vec<bool>) = told.into_iter().collect::<Result<_, _>>()?;
    Ok((told, replayed.into_iter().all(|it| it)))
}

/// All items in one request of the books; and whether it had been answered before.
async fn all(
    api: &Api,
    asked: &Asked,
    key: String,
    wishes: Vec<(PostingKind, Wish)>,
) -> Result<(Vec<ItemTold>, bool), Problem> {
    let mut kinds = Vec::with_capacity(wishes.len());
    let mut items: Vec<Item> = Vec::with_capacity(wishes.len());
    let mut whole: Option<Request> = None;
    for (at, (kind, wish)) in wishes.into_iter().enumerate() {
        // A request of the books holds one version, that of its first item's account: no other is taken and then not held.
        if 0 < at && wish.expected_version.is_some() {
            return Err(version_not_held(at));
        }
        let mut request = api.request(asked, key.clone(), wish)?;
        kinds.push(kind);
        items.append(&mut request.items);
        whole.get_or_insert(request);
    }
    let whole = whole.ok_or_else(|| Problem::internal("a batch has an item"))?;
    let claimed = api.claim_references(asked, &whole.key, &items).await;
    claimed.map_err(|(at, problem)| match problem.code() {
        Code::ReferenceReused => problem.of_item(at),
        _ => problem,
    })?;
    let commands: Vec<_> = items.iter().map(|it| it.command.clone()).collect();
    let screening = screen(api.screen, &asked.caller, &commands);
    let whole = Request { items, screening, ..whole };
    let Answer { outcome, replayed, .. } = api.running.submit(&api.committer, whole).await?;
    match outcome {
        Ok(items) => {
            let mut told = Vec::with_capacity(items.len());
            for (kind, accepted) in kinds.into_iter().zip(items) {
                told.push(ItemTold::posted(api.tell(kind, &Done { accepted, replayed }).await?));
            }
            Ok((told, replayed))
        }
        Err(refused) => {
            let at = usize::from(refused.item);
            let problem = match commands.get(at) {
                Some(command) => api.refused(command, &refused.refusal).await?,
                None => crate::refusal::problem(&refused.refusal),
            };
            Err(problem.of_item(at).replayed(replayed))
        }
    }
}

fn version_not_held(at: usize) -> Problem {
    let field = format!("items.{at}.redemption.expected_version");
    let pointer = format!("/items/{at}/redemption/expected_version");
    let words = "only the first item may have it where all are posted or none: \
                 put this item first, or send it by itself";
    Problem::invalid(vec![Invalid::in_body(field, &pointer, "UNSUPPORTED", words)])
}
