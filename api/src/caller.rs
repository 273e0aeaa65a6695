//! Whom the gate has admitted, and for whom they speak.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue};
use ledger::MemberRef;
use store::{Credential, Role};

use crate::code::Code;
use crate::error::Problem;
use crate::limits::Quota;

/// Whom the gate has admitted.
pub type Caller = Arc<Identity>;

/// Who asks, and what they may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whose they are, and what they may.
    pub credential: Credential,
    /// In which role they ask.
    pub role: Role,
    /// The member that they are.
    pub member: Option<MemberRef>,
    /// The credential that they showed, or for which their token was issued; none where another issuer vouches for them.
    pub credential_id: Option<i64>,
    /// Whether each reference of the partner that they speak for names one transaction of a kind.
    pub(crate) references_once: bool,
    /// How much they are allowed.
    pub(crate) quotas: Vec<Quota>,
}

/// A header that may be there once. Two of one name are a way to tell a gateway one thing and us another.
pub(crate) fn only<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (_, Some(_)) => Err(Problem::invalid_parameter(name, "it is there more than once")),
        (one, None) => Ok(one),
    }
}

/// Refuses headers that contradict the credential, also on paths that do not go by them. One that speaks for no partner
/// says nothing that `X-Partner-ID` could contradict.
pub(crate) fn contradicted(caller: &Identity, headers: &HeaderMap) -> Result<(), Problem> {
    if caller.credential.partner_id.is_some() {
        partner(caller, headers, false)?;
    }
    member(caller, headers)?;
    Ok(())
}

/// The member on whose behalf the caller asks. `None` where a credential that may speak for any member names none, and
/// for a partner's. A header that contradicts the credential is refused.
pub fn member(caller: &Identity, headers: &HeaderMap) -> Result<Option<MemberRef>, Problem> {
    let named = only(headers, "x-user-id")?.map(|it| match it.to_str() {
        Ok(name) if (1..=200).contains(&name.len()) => Ok(MemberRef::parse(name)),
        _ => Err(Problem::invalid_parameter("X-User-ID", "it is empty, too long, or not plain text")),
    });
    let named = named.transpose()?;
    if caller.credential.delegated {
        return Ok(named);
    }
    match (&caller.member, named) {
        (Some(own), None) => Ok(Some(own.clone())),
        (Some(own), Some(named)) if *own == named => Ok(Some(named)),
        (None, None) => Ok(None),
        _ => Err(Problem::new(
            Code::Forbidden,
            "X-User-ID names somebody that this credential does not speak for.",
        )),
    }
}

/// The partner that the caller speaks for. A header that contradicts the credential is refused.
pub fn partner<'a>(
    caller: &'a Identity,
    headers: &HeaderMap,
    is_header_required: bool,
) -> Result<&'a str, Problem> {
    let named = only(headers, "x-partner-id")?;
    if named.is_none() && is_header_required {
        return Err(Problem::invalid_parameter("X-Partner-ID", "this header is required"));
    }
    match &caller.credential.partner_id {
        None => Err(Problem::new(Code::Forbidden, "This credential does not speak for a partner.")),
        Some(own) if named.is_some_and(|it| it.as_bytes() != own.as_bytes()) => {
            Err(Problem::new(Code::Forbidden, "X-Partner-ID names another partner than the credential's."))
        }
        Some(own) => Ok(own),
    }
}
