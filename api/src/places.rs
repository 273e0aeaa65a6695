//! How many streams may be open: of a process, of a client, of a member, and of strangers who have not said yet who they are. Strangers
//! have places of their own, so they take none from those who are known.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use notices::Reader;
use tokio::sync::watch;
use uuid::Uuid;

use crate::caller::Identity;
use crate::error::Problem;
use crate::gate::Peer;

/// When to come again where somebody else, or oneself, has all places: streams last.
const AGAIN_S: u64 = 30;

/// How many streams one process has open at most, and how long a stranger may take.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// All together.
    pub open: usize,
    /// Of one client: a partner, or whoever owns the credential, whichever members it speaks for.
    pub of_client: usize,
    /// Of one member.
    pub of_member: usize,
    /// WebSockets on which nobody has said yet who they are; a tenth of them from one address.
    pub strangers: usize,
    /// How long it may take to say who one is.
    pub greeting: Duration,
}

impl StreamLimits {
    /// What is usual.
    pub const USUAL: Self = Self {
        open: 15_000,
        of_client: 5_000,
        of_member: 20,
        strangers: 1_000,
        greeting: Duration::from_secs(5),
    };
}

/// The places of one process.
pub(crate) struct Places {
    pub(crate) limits: StreamLimits,
    taken: watch::Sender<HashMap<Whose, usize>>,
}

/// Whose places are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Whose {
    Everybody,
    Client(i16, String),
    Member(i16, Uuid),
    Strangers,
    Address(IpAddr),
}

/// A place that is taken until it is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    of: Vec<Whose>,
}

impl Places {
    pub(crate) fn new(limits: StreamLimits) -> Arc<Self> {
        Arc::new(Self { limits, taken: watch::Sender::new(HashMap::new()) })
    }

    /// Returns once so many are open.
    #[cfg(test)]
    pub(crate) async fn until_open(&self, count: usize) {
        let open = |it: &HashMap<Whose, usize>| it.get(&Whose::Everybody).copied().unwrap_or(0);
        let mut taken = self.taken.subscribe();
        taken.wait_for(|it| open(it) == count).await.expect("the sender is here");
    }

    /// A place for somebody who is known.
    pub(crate) fn take(self: &Arc<Self>, caller: &Identity, reader: &Reader) -> Result<Place, Problem> {
        let credential = &caller.credential;
        let client = match &credential.partner_id {
            Some(partner) => format!("partner:{partner}"),
            None => format!("owner:{}", credential.owner),
        };
        let mut of = vec![Whose::Everybody, Whose::Client(credential.program_id, client)];
        if let Reader::Member(id, _) = reader {
            of.push(Whose::Member(credential.program_id, *id));
        }
        self.take_all(of)
    }

    /// A place for somebody who has not said yet who they are.
    pub(crate) fn take_stranger(self: &Arc<Self>, peer: Option<Peer>) -> Result<Place, Problem> {
        let address = peer.map(|it| Whose::Address(it.origin()));
        self.take_all([Whose::Strangers].into_iter().chain(address).collect())
    }

    fn take_all(self: &Arc<Self>, of: Vec<Whose>) -> Result<Place, Problem> {
        let mut full = None;
        self.taken.send_if_modified(|taken| {
            full = of.iter().find(|it| self.limit(it) <= taken.get(*it).copied().unwrap_or(0));
            if full.is_none() {
                of.iter().for_each(|it| *taken.entry(it.clone()).or_default() += 1);
            }
            full.is_none()
        });
        if let Some(full) = full {
            metrics::counter!("daftari_streams_refused_total", "limit" => full.name()).increment(1);
            return Err(full.refusal());
        }
        metrics::gauge!("daftari_streams", "of" => of[0].name()).increment(1.0);
        Ok(Place { places: Arc::clone(self), of })
    }

    fn limit(&self, of: &Whose) -> usize {
        match of {
            Whose::Everybody => self.limits.open,
            Whose::Client(..) => self.limits.of_client,
            Whose::Member(..) => self.limits.of_member,
            Whose::Strangers => self.limits.strangers,
            Whose::Address(_) => self.limits.strangers.div_ceil(10),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.send_modify(|taken| {
            for it in &self.of {
                if let Some(count) = taken.get_mut(it) {
                    *count -= 1;
                    if *count == 0 {
                        taken.remove(it);
                    }
                }
            }
        });
        metrics::gauge!("daftari_streams", "of" => self.of[0].name()).decrement(1.0);
    }
}

impl Whose {
    /// What figures call it.
    fn name(&self) -> &'static str {
        match self {
            Self::Everybody => "process",
            Self::Client(..) => "client",
            Self::Member(..) => "member",
            Self::Strangers => "strangers",
            Self::Address(_) => "address",
        }
    }

    /// 503 where others have the places, 429 where the caller has them.
    fn refusal(&self) -> Problem {
        let too_many = |words: &str| Problem::too_many(words, AGAIN_S);
        match self {
            Self::Everybody | Self::Strangers => {
                Problem::unavailable("As many streams are open as this process takes: come again.")
            }
            Self::Client(..) => too_many("As many streams are open as one client may have: close one."),
            Self::Member(..) => too_many("As many streams are open as one member may have: close one."),
            Self::Address(_) => too_many("Too many from this address have not said yet who they are."),
        }
    }
}
