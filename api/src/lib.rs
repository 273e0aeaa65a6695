//! REST for apps and partners. `routes` is the table that router and documents are made from; `error` alone turns
//! failures into statuses; `redeem` is the hot path; `gate` says who may ask, and the proof service asks it too.

mod access;
mod acts;
mod ask;
mod asyncapi;
mod balance;
mod batch;
mod body;
mod caller;
mod code;
mod correct;
mod cors;
mod dress;
mod endpoint;
mod enrol;
mod error;
mod events;
mod explorer;
mod feed;
mod gate;
mod history;
mod idempotency;
mod keys;
mod limits;
mod lots;
mod members;
mod oauth;
mod openapi;
mod operations;
mod outside;
mod page;
mod parked;
mod partners;
mod places;
mod policy;
mod post;
mod precondition;
mod priority;
mod proxies;
mod query;
mod redeem;
mod references;
mod refusal;
mod reviews;
mod route;
mod routes;
mod sandbox;
mod screen;
mod serve;
mod shape;
mod spend;
mod standings;
mod story;
mod stream;
mod subject;
mod time;
mod tls;
mod tokens;
mod trace;
mod version;
mod webhooks;
mod worth;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ingest::Intake;
use notices::Hub;
use notices::webhook::{Courier, Pace};
use store::{Committer, PgPool, Program, Reader};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use idempotency::Running;
use places::Places;

pub use access::{
    AUDITING, Access, CHANGING, CORRECTING, EVERYBODY, LOOKING, MEMBERS, PARTNERS, TAKING_PART,
};
pub use asyncapi::asyncapi;
pub use caller::{Caller, Identity, member, partner};
pub use code::Code;
pub use cors::for_origins;
pub use endpoint::{Answer, Content, Endpoint, Parameter, Place, SchemaOf};
pub use error::{Invalid, Problem};
pub use gate::{Gate, Peer, Scope};
pub use keys::key_as_shown;
pub use notices::webhook::{Guard, IpNet, Post};
pub use openapi::{contract, openapi};
pub use operations::{Operations, complete, metrics_builder};
pub use outside::Outside;
pub use partners::partner_as_shown;
pub use places::StreamLimits;
pub use proxies::behind;
pub use route::{Asked, Guarded, Route, Routes, endpoints as endpoints_of};
pub use serve::serve;
pub use store::Role;
pub use tls::{Tls, TlsError};

/// What the routes of one program need.
pub struct Api {
    pool: PgPool,
    reader: Reader,
    committer: Committer,
    intake: Intake,
    gate: Gate,
    hub: Arc<Hub>,
    post: Arc<Post>,
    places: Arc<Places>,
    ping_gap: Duration,
    program_id: i16,
    program: Program,
    running: Running,
    screen: screen::Rule,
    public_url: String,
    /// Served beside it, to whoever shows a credential of it.
    sandbox: Option<Arc<Self>>,
}

impl Api {
    /// The API of a program. `public_url` is the address under which callers reach us, without a slash at the end.
    pub fn new(
        pool: PgPool,
        committer: Committer,
        intake: Intake,
        gate: Gate,
        post: Post,
        program: &Program,
        public_url: &str,
    ) -> Self {
        Self {
            reader: Reader::new(pool.clone()),
            hub: Hub::new(pool.clone(), program.program_id),
            post: Arc::new(post),
            places: Places::new(StreamLimits::USUAL),
            ping_gap: stream::PING_GAP,
            pool,
            committer,
            intake,
            gate,
            program_id: program.program_id,
            program: program.clone(),
            running: Running::default(),
            screen: if program.is_sandbox { screen::by_name } else { screen::allow },
            public_url: public_url.to_owned(),
            sandbox: None,
        }
    }

    /// With so many streams at most.
    pub fn with_streams(mut self, limits: StreamLimits) -> Self {
        self.places = Places::new(limits);
        self
    }

    /// With the program's sandbox beside it, whose callers the gate must let in: books of its own, behind the same address, and
    /// its streams counted with this one's.
    pub fn with_sandbox(mut self, mut sandbox: Self) -> Self {
        sandbox.places = Arc::clone(&self.places);
        self.sandbox = Some(Arc::new(sandbox));
        self
    }

    /// Tells listeners and webhooks what happens, until it is stopped. It keeps nothing of the API alive.
    pub fn telling(&self, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        let both = [Some(self), self.sandbox.as_deref()].into_iter().flatten();
        let told = both.map(|it| {
            let (hub, stop) = (it.hub.clone(), stop.clone());
            let courier = Courier::new(it.pool.clone(), it.program_id, it.post.clone(), Pace::default());
            async move {
                tokio::join!(hub.run(stop.clone()), courier.run(stop));
            }
        });
        let told = futures::future::join_all(told);
        async move {
            told.await;
        }
    }

    fn receipt_url(&self, transaction_id: Uuid) -> String {
        format!("{}/v1/receipts/{transaction_id}", self.public_url)
    }
}

impl Guarded for Api {
    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn of(self: Arc<Self>, program_id: i16) -> Option<Arc<Self>> {
        match self.program_id == program_id {
            true => Some(self),
            false => self.sandbox.clone().filter(|it| it.program_id == program_id),
        }
    }
}

/// The routes alone, to be merged with others and made [`complete`].
pub fn routes(api: Arc<Api>) -> Routes {
    let gate = Arc::new(api.gate.clone());
    Routes::new(routes::table(), api).merge(own(gate))
}

/// Where callers come by what the gate asks for.
fn own(gate: Arc<Gate>) -> Routes {
    Routes::new(oauth::table(), gate)
}

/// All endpoints of the API and of the operator, as they are documented.
pub fn endpoints() -> Vec<Endpoint> {
    let mut all = endpoints_of(routes::table());
    all.extend(endpoints_of(oauth::table()));
    all.extend(endpoints_of(operations::table()));
    all
}

/// The API on its own.
pub fn router(api: Arc<Api>, operations: Operations) -> Router {
    complete(routes(api), operations)
}
