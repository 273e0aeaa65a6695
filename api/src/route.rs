//! From an endpoint to what serves it. The check of who asks stands here, once: a handler is given the caller, and has
//! no other way to be reached.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::handler::Handler;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use serde::de::DeserializeOwned;
use serde_json::Value;

use store::Role;

use crate::access::Access;
use crate::body::json_body;
use crate::caller::Caller;
use crate::endpoint::Endpoint;
use crate::error::Problem;
use crate::gate::{self, Gate, Peer, Scope};
use crate::shape;

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
}

impl Asked {
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
        let admit = async move |State(state): State<Arc<S>>, request: Request| {
            let (mut parts, body) = request.into_parts();
            let caller = state.gate().admit(&parts.headers, Peer::of(&parts), access).await?;
            let state = state.of(caller.credential.program_id).ok_or_else(gate::unknown)?;
            let standings = match state.gate().count(&caller).await {
                Ok(standings) => standings,
                Err(refused) => return Ok(refused),
            };
            let parameters = RawPathParams::from_request_parts(&mut parts, &()).await.ok();
            let body = Mutex::new(body);
            let answered = handler(state, Asked { caller, parts, body, parameters, schema }).await;
            let mut response = answered.unwrap_or_else(IntoResponse::into_response);
            standings.tell(response.headers_mut());
            Ok::<_, Problem>(response)
        };
        self.access = Some(access);
        Route { serve: on(filter(&self.method), admit), endpoint: self }
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
