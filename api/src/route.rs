//! From an endpoint to what serves it. The check of who asks stands here, once: a handler is given the caller, and has
//! no other way to be reached.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::handler::Handler;
use axum::http::header::UPGRADE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use serde::de::DeserializeOwned;
use serde_json::Value;

use store::Role;

use crate::access::Access;
use crate::body::json_body;
use crate::caller::{Caller, contradicted};
use crate::endpoint::Endpoint;
use crate::error::Problem;
use crate::gate::{self, Gate, Peer, Scope};
use crate::limits::Standing;
use crate::shape;
use crate::standings::Standings;

/// What has a gate, before which its endpoints stand.
pub trait Guarded: Send + Sync + 'static {
    /// The gate.
    fn gate(&self) -> &Gate;

    /// What serves the callers of a program: itself its own, its sandbox the sandbox's. Without one, nobody does.
    fn of(self: Arc<Self>, program_id: i16) -> Option<Arc<Self>>;
}

/// What a caller who was admitted asks.
pub struct Asked {
    /// Who asks.
    pub caller: Caller,
    /// The request without its body.
    pub parts: Parts,
    // Nobody locks it: it lets a request be looked at from several places at once.
    body: Mutex<Body>,
    parameters: Option<RawPathParams>,
    schema: Arc<Value>,
    counted: Arc<Mutex<Counted>>,
}

/// How it stands with the caller's quotas after the request.
struct Counted {
    standings: Standings,
    /// Whether one of them had not enough left for all that the request asks.
    is_too_much: bool,
}

impl Asked {
    /// Counts each of these items as a request of the caller's. Where that is too many, nothing of it is to be done.
    pub(crate) async fn count_items(&self, gate: &Gate, items: usize) -> Result<(), Problem> {
        if items < 2 {
            return Ok(());
        }
        let counted = gate.count_items(&self.caller, items).await?;
        let mut told = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        match counted {
            Ok(standings) => {
                told.standings = standings;
                Ok(())
            }
            Err(standing) => {
                *told = Counted { standings: Standings(vec![standing]), is_too_much: true };
                let Standing { left, frees_in_s, .. } = standing;
                let words = format!(
                    "Each of the {items} items counts as a request, and {left} more may be made now: send fewer, or the same later."
                );
                Err(Problem::too_many(&words, frees_in_s))
            }
        }
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// A parameter of the path; empty where it is not UTF-8, or holds U+0000, which no name does.
    pub fn path(&self, name: &str) -> &str {
        let mut parameters = self.parameters.iter().flatten();
        parameters.find(|(it, value)| *it == name && !value.contains('\0')).map_or("", |it| it.1)
    }

    /// The body, held against the schema that is documented for it.
    pub async fn read<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        let bytes = self.json().await?;
        shape::read(&self.schema, &bytes)
    }

    /// The bytes of the body of a request that says it is JSON.
    pub async fn json(&mut self) -> Result<Bytes, Problem> {
        let body = std::mem::take(self.body.get_mut().unwrap_or_else(PoisonError::into_inner));
        json_body(&self.parts.headers, body).await
    }
}

/// An endpoint with what serves it.
pub struct Route<S> {
    endpoint: Endpoint,
    serve: MethodRouter<Arc<S>>,
}

impl Endpoint {
    /// Served to callers with this scope and one of these roles.
    pub fn guarded<S, F, A>(mut self, scope: Scope, roles: &'static [Role], handler: F) -> Route<S>
    where
        S: Guarded,
        F: Fn(Arc<S>, Asked) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        let access = Access { scope, roles };
        let schema = Arc::new(self.body_schema());
        let serve = async move |State(state): State<Arc<S>>, request: Request| {
            served(Threshold { state, access }, schema, request.into_parts(), handler).await
        };
        self.access = Some(access);
        Route { serve: on(filter(&self.method), serve), endpoint: self }
    }

    /// Served like that, and by `greet` to whoever opens a WebSocket and shows no credential: it lets them in itself, once they
    /// have said who they are.
    pub(crate) fn guarded_or_greeted<S, F, A, G, B>(
        mut self,
        scope: Scope,
        roles: &'static [Role],
        handler: F,
        greet: G,
    ) -> Route<S>
    where
        S: Guarded,
        F: Fn(Arc<S>, Asked) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<Response, Problem>> + Send + 'static,
        G: Fn(Threshold<S>, Parts) -> B + Clone + Send + Sync + 'static,
        B: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        let access = Access { scope, roles };
        let schema = Arc::new(self.body_schema());
        let serve = async move |State(state): State<Arc<S>>, request: Request| {
            let (threshold, (parts, body)) = (Threshold { state, access }, request.into_parts());
            match will_say_who(&parts.headers) {
                true => greet(threshold, parts).await.unwrap_or_else(IntoResponse::into_response),
                false => served(threshold, schema, (parts, body), handler).await,
            }
        };
        self.access = Some(access);
        Route { serve: on(filter(&self.method), serve), endpoint: self }
    }

    /// Served to anybody.
    pub fn open<S, H, T>(self, handler: H) -> Route<S>
    where
        S: Send + Sync + 'static,
        H: Handler<T, Arc<S>>,
        T: 'static,
    {
        Route { serve: on(filter(&self.method), handler), endpoint: self }
    }
}

/// Before the gate: what serves those who pass it, and what it asks of them.
pub(crate) struct Threshold<S> {
    pub(crate) state: Arc<S>,
    access: Access,
}

/// Who was let in: by what they are served, who they are, and how it stands with their quotas.
pub(crate) struct Admitted<S> {
    pub(crate) state: Arc<S>,
    pub(crate) caller: Caller,
    standings: Standings,
}

impl<S: Guarded> Threshold<S> {
    /// Lets whoever shows these headers in, and counts it; or says why not. What a caller asks for that they may not is counted,
    /// too.
    pub(crate) async fn admit(
        self,
        headers: &HeaderMap,
        peer: Option<Peer>,
    ) -> Result<Admitted<S>, Response> {
        let Self { state, access } = self;
        let caller = state.gate().admit(headers, peer).await.map_err(IntoResponse::into_response)?;
        let state = state.of(caller.credential.program_id);
        let state = state.ok_or_else(|| gate::unknown().into_response())?;
        let standings = state.gate().count(&caller).await?;
        match access.allow(&caller).and_then(|()| contradicted(&caller, headers)) {
            Ok(()) => Ok(Admitted { state, caller, standings }),
            Err(problem) => {
                let mut refused = problem.into_response();
                standings.tell(refused.headers_mut());
                Err(refused)
            }
        }
    }
}

/// The answer to a request: the handler's, where the caller is let in.
async fn served<S, F, A>(
    threshold: Threshold<S>,
    schema: Arc<Value>,
    (mut parts, body): (Parts, Body),
    handler: F,
) -> Response
where
    S: Guarded,
    F: Fn(Arc<S>, Asked) -> A,
    A: Future<Output = Result<Response, Problem>>,
{
    let Admitted { state, caller, standings } = match threshold.admit(&parts.headers, Peer::of(&parts)).await
    {
        Ok(admitted) => admitted,
        Err(refused) => return refused,
    };
    let parameters = RawPathParams::from_request_parts(&mut parts, &()).await.ok();
    let body = Mutex::new(body);
    let counted = Arc::new(Mutex::new(Counted { standings, is_too_much: false }));
    let asked = Asked { caller, parts, body, parameters, schema, counted: Arc::clone(&counted) };
    let mut response = handler(state, asked).await.unwrap_or_else(IntoResponse::into_response);
    let counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
    // One too many of something else: of that these quotas say nothing.
    if response.status() != StatusCode::TOO_MANY_REQUESTS || counted.is_too_much {
        counted.standings.tell(response.headers_mut());
    }
    response
}

/// Whether somebody opens a WebSocket and shows nothing yet: a page in a browser can send no headers with it.
fn will_say_who(headers: &HeaderMap) -> bool {
    let is_socket = headers.get(UPGRADE).is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let shown = ["authorization", "x-api-key", "x-user-id", "x-partner-id"];
    is_socket && !shown.iter().any(|it| headers.contains_key(*it))
}

fn filter(method: &Method) -> MethodFilter {
    MethodFilter::try_from(method.clone()).expect("the table's methods are common ones")
}

/// Endpoints being served, to be merged with others and made [`crate::complete`].
#[derive(Clone, Default)]
pub struct Routes {
    pub(crate) router: Router,
    pub(crate) endpoints: Vec<Endpoint>,
}

impl Routes {
    /// Serves these from one state.
    pub fn new<S: Send + Sync + 'static>(table: Vec<Route<S>>, state: Arc<S>) -> Self {
        let mut router = Router::new();
        let mut endpoints = Vec::with_capacity(table.len());
        for Route { endpoint, serve } in table {
            router = router.route(endpoint.path, serve);
            endpoints.push(endpoint);
        }
        Self { router: router.with_state(state), endpoints }
    }

    /// With these others.
    pub fn merge(mut self, others: Self) -> Self {
        self.endpoints.extend(others.endpoints);
        Self { router: self.router.merge(others.router), endpoints: self.endpoints }
    }

    /// With something done to how they are served.
    pub fn map(self, change: impl FnOnce(Router) -> Router) -> Self {
        Self { router: change(self.router), endpoints: self.endpoints }
    }
}

/// The endpoints of a table.
pub fn endpoints<S>(table: Vec<Route<S>>) -> Vec<Endpoint> {
    table.into_iter().map(|it| it.endpoint).collect()
}
