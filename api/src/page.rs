//! A page of a list, with where the next one is.

use axum::http::Uri;
use axum::http::header::{HeaderValue, LINK};
use axum::response::Response;
use serde::Serialize;

use crate::body::json;

/// What says from where on a page is.
const PLACES: [&str; 3] = ["starting_after", "ending_before", "cursor"];

/// A page, and in `Link` the same question from the next one on (RFC 8288): whoever follows it keeps its other parameters.
/// `place` is the parameter that takes the cursor.
pub(crate) fn paged(page: &impl Serialize, asked: &Uri, place: &str, next: Option<&str>) -> Response {
    let mut response = json(page);
    if let Some(next) = next {
        let link = HeaderValue::try_from(link(asked, place, next));
        response.headers_mut().insert(LINK, link.expect("a path and an encoded query are a header's value"));
    }
    response
}

fn link(asked: &Uri, place: &str, next: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(asked.query().unwrap_or_default().as_bytes()) {
        if !PLACES.contains(&&*name) {
            query.append_pair(&name, &value);
        }
    }
    query.append_pair(place, next);
    format!("<{}?{}>; rel=\"next\"", asked.path(), query.finish())
}

#[cfg(test)]
mod tests {
    use super::link;

    #[test]
    fn the_next_page_is_of_the_same_question() {
        let check = |asked: &str, place, expected: &str| {
            assert_eq!(link(&asked.parse().unwrap(), place, "7"), format!("<{expected}>; rel=\"next\""));
        };
        check("/list", "cursor", "/list?cursor=7");
        check("/list?limit=3", "starting_after", "/list?limit=3&starting_after=7");
        check("/list?starting_after=9&type=earn", "starting_after", "/list?type=earn&starting_after=7");
        check("/list?ending_before=5", "starting_after", "/list?starting_after=7");
        check(
            "/list?created[gte]=2026-01-01&q=a%26b%3E",
            "cursor",
            "/list?created%5Bgte%5D=2026-01-01&q=a%26b%3E&cursor=7",
        );
    }
}
