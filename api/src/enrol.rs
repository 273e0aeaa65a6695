//! Members who are enrolled before anything has happened.

use std::sync::Arc;

use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use ledger::MemberRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Acting, Deed, Enrolment, NameTaken, New, Role, StoreError};
use uuid::Uuid;

use crate::Api;
use crate::acts::deed;
use crate::body::json;
use crate::caller::partner;
use crate::code::Code;
use crate::error::{Invalid, Problem};
use crate::route::Asked;

/// How many events that waited are released at once with an enrolment; the rest follow within seconds.
const RELEASED_MAX: u32 = 100;

/// A member who is to be enrolled, under an id, an external id, or both.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMember {
    /// The member's UUID; a new one where only an external id is given.
    user_id: Option<Uuid>,
    /// What other systems call them: any string that is no UUID. It means this member from now on, and no other.
    #[schemars(length(min = 1, max = 200))]
    external_id: Option<String>,
}

/// A member who is enrolled.
#[derive(Serialize, JsonSchema)]
pub(crate) struct EnrolledTold {
    /// The member. A partner is not told the id of one who took part before, unless they named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Uuid>,
    /// What other systems call them. A partner is told only what they named.
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    /// How many events that had waited for them were released now. Where there are more, they follow within seconds.
    events_released: usize,
}

/// What an act says of an enrolment. Not who it is: that is not kept where it could not be erased.
#[derive(Serialize)]
struct Enrolled {
    status: &'static str,
}

/// `POST /api/v1/members`: 201 where they are new, or have this name from now on; 200 where nothing is new.
pub(crate) async fn enrol(api: Arc<Api>, mut asked: Asked) -> Result<Response, Problem> {
    if asked.caller.role == Role::Partner {
        partner(&asked.caller, asked.headers(), false)?;
    }
    let NewMember { user_id, external_id } = asked.read().await?;
    let wrong = |field, pointer, code, words: &str| {
        Problem::invalid(vec![Invalid::in_body(field, pointer, code, words)])
    };
    match &external_id {
        None if user_id.is_none() => {
            return Err(wrong("user_id", "/user_id", "REQUIRED", "give a user_id, an external_id, or both"));
        }
        Some(name) if matches!(MemberRef::parse(name), MemberRef::Id(_)) => {
            return Err(wrong(
                "external_id",
                "/external_id",
                "INVALID",
                "a UUID is an id: give it in user_id",
            ));
        }
        _ => {}
    }
    let enrolled = enrol_as(&api, &asked, user_id, external_id.as_deref()).await?.map_err(name_taken)?;
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let member_id = enrolled.member_id;
    let known_as = store::external_id(&mut conn, api.program_id, member_id).await?;
    drop(conn);
    let events_released = release(&api, member_id, known_as.as_deref()).await?;
    let told = match asked.caller.role {
        // Who somebody is whom others have enrolled is none of a partner's business.
        Role::Partner => {
            let user_id = user_id.or((enrolled.new == Some(New::Member)).then_some(member_id));
            EnrolledTold { user_id, external_id, events_released }
        }
        _ => EnrolledTold { user_id: Some(member_id), external_id: known_as, events_released },
    };
    let mut response = json(&told);
    if enrolled.new.is_some() {
        *response.status_mut() = StatusCode::CREATED;
    }
    if let Some(user_id) = told.user_id {
        let address = format!("/api/v1/members/{user_id}");
        let address = HeaderValue::from_str(&address).expect("a UUID is a header's value");
        response.headers_mut().insert(LOCATION, address);
    }
    Ok(response)
}

/// Enrols a member under these names, as an act of whoever asks.
async fn enrol_as(
    api: &Api,
    asked: &Asked,
    member_id: Option<Uuid>,
    external_id: Option<&str>,
) -> Result<Result<Enrolment, NameTaken>, Problem> {
    let mut acting = api.acting().await?;
    let enrolled = enrol_within(api, asked, &mut acting, member_id, external_id).await?;
    if let Some(deed) = enrolled.as_ref().ok().and_then(deed_of) {
        api.done(acting, asked, None, deed).await?;
    }
    Ok(enrolled)
}

/// Enrols a member within an act. Whom an operator names, they take in again, also where that name was erased; and only an
/// operator gives a name to somebody who is a member already.
pub(crate) async fn enrol_within(
    api: &Api,
    asked: &Asked,
    acting: &mut Acting,
    member_id: Option<Uuid>,
    external_id: Option<&str>,
) -> Result<Result<Enrolment, NameTaken>, Problem> {
    let (program_id, keyring) = (api.program_id, api.gate.keyring());
    let may_name = asked.caller.role != Role::Partner;
    if may_name {
        let by_name = external_id.map(|it| MemberRef::External(it.to_owned()));
        let names: Vec<MemberRef> = member_id.map(MemberRef::Id).into_iter().chain(by_name).collect();
        store::readmit_members(acting.conn(), keyring, program_id, &names).await?;
    }
    let enrolled = store::enrol_member(acting.conn(), keyring, program_id, member_id, external_id, may_name);
    Ok(enrolled.await?)
}

/// What the log says of an enrolment, where anything is new.
pub(crate) fn deed_of(enrolled: &Enrolment) -> Option<Deed> {
    let enrols = Enrolled { status: "active" };
    let (action, after) = match enrolled.new? {
        New::Member | New::Account => ("member.enrolled", Some(&enrols)),
        New::Name => ("member.named", None),
    };
    Some(deed(action, enrolled.account.to_string(), None::<&Enrolled>, after))
}

pub(crate) fn name_taken(taken: NameTaken) -> Problem {
    let words = match taken {
        NameTaken::Another => "The id or the external id belongs to another member.",
        NameTaken::Erased => "A member of this name was erased: only an operator takes them in again.",
    };
    Problem::new(Code::Conflict, words)
}

/// Takes what has waited for a member to its verdicts.
async fn release(api: &Api, member_id: Uuid, external_id: Option<&str>) -> Result<usize, Problem> {
    let mut conn = api.pool.acquire().await.map_err(StoreError::from)?;
    let program_id = api.program_id;
    let waiting =
        store::events_parked_for(&mut conn, program_id, member_id, external_id, RELEASED_MAX).await?;
    drop(conn);
    let mut released = 0;
    for event in &waiting {
        released += usize::from(api.intake.release(event).await?.is_some());
    }
    Ok(released)
}
