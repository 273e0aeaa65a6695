//! A request: what a caller wants, under a key that makes asking twice the same as asking once.

use proof::{Details, Hash};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::event::Event;
use crate::points::Points;

/// How a caller names a member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberRef {
    /// By the program's own id.
    Id(Uuid),
    /// By what the operator's other systems call them.
    External(String),
}

impl MemberRef {
    /// Reads a name: a UUID in its usual form is the member's id, anything else is an external id.
    pub fn parse(name: &str) -> Self {
        match Uuid::try_parse(name) {
            Ok(id) if name.len() == 36 => Self::Id(id),
            _ => Self::External(name.to_owned()),
        }
    }
}

/// What is asked of the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Points from issuance to a member, because of an event.
    Earn {
        /// How much.
        points: Points,
        /// The rule set that said so.
        rule_set_hash: Hash,
        /// What happened. The fingerprint covers it and not the points: the same event delivered again after the rules
        /// have changed is still the same event.
        event: Event,
        /// The event's bytes, as they were received.
        payload: Vec<u8>,
    },
    /// A member's points to a partner's settlement.
    Redeem {
        /// Who spends.
        member: Uuid,
        /// How much.
        points: Points,
        /// With whom.
        partner: String,
    },
}

/// The hash of what was asked: the same key with another fingerprint is another request.
pub type Fingerprint = [u8; 32];

/// A request to the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The program, as the store numbers it.
    pub program: i16,
    /// Who chose the key: the credential's owner, or the event's source.
    pub source: String,
    /// The caller's key.
    pub key: String,
    /// The id that the posting gets if there is one.
    pub posting_id: Uuid,
    /// What is asked.
    pub command: Command,
    /// The words that go into the leaf with it.
    pub details: Details,
}

impl Request {
    /// The fingerprint of the canonical request, version 1. It covers what the caller wishes and nothing else: not the
    /// key, the posting's id, the bytes in which the request arrived, or the rate that we add to it.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hasher = Sha256::new();
        hasher.update([1]);
        let mut field = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        match &self.command {
            Command::Earn { event, .. } => {
                field(b"earn");
                field(&event.digest());
            }
            Command::Redeem { member, points, partner } => {
                field(b"redeem");
                field(member.as_bytes());
                field(&points.get().to_be_bytes());
                field(partner.as_bytes());
            }
        }
        field(&Details { rate: None, ..self.details.clone() }.encode());
        hasher.finalize().into()
    }
}
