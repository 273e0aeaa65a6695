//! `GET /api/v1/feed`: everything that the caller may see, oldest first, for whoever missed a stream or a webhook.

use std::sync::Arc;

use axum::response::Response;
use notices::Notice;
use schemars::JsonSchema;
use serde::Serialize;

use crate::Api;
use crate::error::Problem;
use crate::page::paged;
use crate::query::Query;
use crate::route::Asked;
use crate::stream;

/// A page of the feed.
#[derive(Serialize, JsonSchema)]
pub(crate) struct FeedPage {
    /// `list`.
    object: &'static str,
    /// The notices, oldest first. A page may be empty although there is more.
    data: Vec<Notice>,
    /// Whether there is more now.
    has_more: bool,
    /// The `cursor` of the next page: also where there is nothing more yet.
    next_cursor: String,
    /// This list.
    url: &'static str,
}

/// `GET /api/v1/feed`
pub(crate) async fn feed(api: Arc<Api>, asked: Asked) -> Result<Response, Problem> {
    let query = Query::read(&asked.parts.uri, &["limit", "cursor", "unit"])?;
    let limit = query.limit()?;
    let after = query.number("cursor")?.unwrap_or(0);
    let reader = stream::reader(&api, &asked.caller, &asked.parts.headers, query.number("unit")?).await?;
    let mut conn = api.pool.acquire().await.map_err(store::StoreError::from)?;
    let page = notices::page(&mut conn, api.program_id, &reader, after, limit).await?;
    let page = FeedPage {
        object: "list",
        data: page.notices,
        has_more: page.has_more,
        next_cursor: page.seq.to_string(),
        url: "/api/v1/feed",
    };
    let next = page.has_more.then_some(page.next_cursor.as_str());
    Ok(paged(&page, &asked.parts.uri, "cursor", next))
}
