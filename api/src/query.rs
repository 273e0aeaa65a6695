//! What stands behind the question mark.

use std::str::FromStr;

use axum::http::Uri;

use crate::error::Problem;

/// The parameters of a query, in their order.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn of(uri: &Uri) -> Result<Self, Problem> {
        let query = axum::extract::Query::try_from_uri(uri);
        let query = query.map_err(|_| Problem::invalid_parameter("query", "it cannot be read"))?;
        Ok(Self(query.0))
    }

    /// A number that may be left out.
    pub(crate) fn number<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, Problem> {
        let mut values = self.0.iter().filter(|it| it.0 == name).map(|it| it.1.parse::<T>());
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(Ok(number)), None) => Ok(Some(number)),
            _ => Err(Problem::invalid_parameter(name, "it is a number, once")),
        }
    }

    /// How many a page holds: from 1 to 100, and 50 where it is not said.
    pub(crate) fn limit(&self) -> Result<u32, Problem> {
        let limit = self.number("limit")?.unwrap_or(50);
        match limit {
            1..=100 => Ok(limit),
            _ => Err(Problem::invalid_parameter("limit", "it is a number from 1 to 100")),
        }
    }
}
