//! Whether what is asked is to stand on a chain soon. That costs the operator a transaction of its own, so who may ask for
//! it is a matter of a scope.

use schemars::JsonSchema;

use crate::caller::only;
use crate::code::Code;
use crate::error::Problem;
use crate::gate::Scope;
use crate::route::Asked;

const HEADER: &str = "Anchor-Priority";

/// How pressing the anchor is of what is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AnchorPriority {
    /// It is sent at once, whatever the price.
    Soon,
}

impl Asked {
    /// How soon what is posted is to be anchored, where the caller says so.
    pub(crate) fn priority(&self) -> Result<Option<AnchorPriority>, Problem> {
        let Some(value) = only(self.headers(), HEADER)? else { return Ok(None) };
        if value != "soon" {
            return Err(Problem::invalid_parameter(HEADER, "it is soon, or left out"));
        }
        let scope = Scope::Hurry.as_str();
        if !self.caller.credential.scopes.iter().any(|it| it == scope) {
            let words =
                format!("{HEADER}: soon needs the scope {scope}: leave it out, or ask the operator for it.");
            return Err(Problem::new(Code::Forbidden, words));
        }
        Ok(Some(AnchorPriority::Soon))
    }
}
