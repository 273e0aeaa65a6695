//! What stands in a query: each parameter at most once, and none that is not described.

use axum::extract::Query as Pairs;
use axum::http::Uri;

use crate::error::{Invalid, Problem};

/// No text of the database holds it.
const NUL: &str = "it holds the character U+0000: leave it out";

/// The parameters of a request.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the query, of which these are the parameters.
    pub(crate) fn read(uri: &Uri, known: &[&'static str]) -> Result<Self, Problem> {
        let pairs: Pairs<Vec<(String, String)>> = Pairs::try_from_uri(uri)
            .map_err(|_| Problem::invalid_parameter("query", "the query cannot be read"))?;
        let mut faults = Vec::new();
        for (at, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                faults.push(Invalid::parameter(name.clone(), "UNKNOWN", "there is no such parameter"));
            } else if pairs[..at].iter().any(|it| it.0 == *name) {
                faults.push(Invalid::parameter(name.clone(), "DUPLICATE", "it is given more than once"));
            } else if pairs[at].1.contains('\0') {
                faults.push(Invalid::parameter(name.clone(), "INVALID", NUL));
            }
        }
        if faults.is_empty() { Ok(Self(pairs.0)) } else { Err(Problem::invalid(faults)) }
    }

    /// One parameter of the M-PESA contract's query, beside which others are not looked at.
    pub(crate) fn lenient(uri: &Uri, name: &'static str) -> Result<Self, Problem> {
        let bad = |words: &str| Problem::invalid_parameter(name, words);
        let pairs: Pairs<Vec<(String, String)>> =
            Pairs::try_from_uri(uri).map_err(|_| bad("the query cannot be read"))?;
        let own: Vec<(String, String)> = pairs.0.into_iter().filter(|it| it.0 == name).collect();
        match own.as_slice() {
            [_, _, ..] => Err(bad("it is given more than once")),
            [(_, value)] if value.contains('\0') => Err(bad(NUL)),
            _ => Ok(Self(own)),
        }
    }

    /// A parameter as it stands there.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|it| it.0 == name).map(|it| it.1.as_str())
    }

    /// A parameter that `read` understands.
    pub(crate) fn value<T>(
        &self,
        name: &'static str,
        what: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let wrong = || Problem::invalid_parameter(name, format!("it is not {what}"));
        self.text(name).map(|it| read(it).ok_or_else(wrong)).transpose()
    }

    /// A whole number that is not below zero.
    pub(crate) fn number<T: TryFrom<i64>>(&self, name: &'static str) -> Result<Option<T>, Problem> {
        self.value(name, "a whole number", |it| {
            let number = it.parse::<i64>().ok().filter(|number| 0 <= *number && number.to_string() == it)?;
            T::try_from(number).ok()
        })
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, Problem> {
        Ok(self.value(name, "true or false", |it| it.parse().ok())?.unwrap_or_default())
    }

    /// How long a page is: 1 to 100, and 50 where it is not said.
    pub(crate) fn limit(&self) -> Result<u32, Problem> {
        let limit = self.value("limit", "a number from 1 to 100", |it| {
            it.parse::<u32>().ok().filter(|it| (1..=100).contains(it))
        })?;
        Ok(limit.unwrap_or(50))
    }
}
