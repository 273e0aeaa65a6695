//! Credentials that were looked up a moment ago.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use sha2::{Digest, Sha256};
use store::{AuthMode, CredentialKind};

use crate::caller::Identity;

/// A credential is looked up at most once in this time, so one that is withdrawn works for at most twice as long: the
/// first to find it stale asks again while the others go on.
const FRESH: Duration = Duration::from_secs(1);
const STALE: Duration = Duration::from_secs(2);
/// More credentials than this in use within two seconds, and all are looked up again.
const KNOWN_MAX: usize = 10_000;

/// A credential's kind and its secret's hash: a secret itself does not stay in memory longer than its request.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Shown(u8, [u8; 32]);

impl Shown {
    pub(super) fn new(kind: CredentialKind, secret: &str) -> Self {
        Self(kind as u8, Sha256::digest(secret).into())
    }
}

/// A credential that was good when it was looked up.
pub(super) struct Known {
    pub(super) identity: Arc<Identity>,
    pub(super) addresses: Vec<IpNet>,
    pub(super) auth_mode: AuthMode,
    /// When a token ends by itself.
    pub(super) ends: Option<Instant>,
    asked: Instant,
    is_being_asked: AtomicBool,
}

impl Known {
    pub(super) fn new(
        identity: Arc<Identity>,
        addresses: Vec<IpNet>,
        auth_mode: AuthMode,
        asked: Instant,
        ends: Option<Instant>,
    ) -> Self {
        Self { identity, addresses, auth_mode, ends, asked, is_being_asked: AtomicBool::new(false) }
    }

    fn is_good(&self) -> bool {
        let age = self.asked.elapsed();
        let is_fresh = age < FRESH || (age < STALE && self.is_being_asked.swap(true, Ordering::Relaxed));
        is_fresh && self.ends.is_none_or(|it| Instant::now() < it)
    }
}

/// What is known.
#[derive(Default)]
pub(super) struct Shelf(RwLock<HashMap<Shown, Arc<Known>>>);

impl Shelf {
    /// What this shows, if it was looked up a moment ago.
    pub(super) fn get(&self, shown: &Shown) -> Option<Arc<Known>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(shown).filter(|it| it.is_good()).cloned()
    }

    /// Keeps what was looked up just now.
    pub(super) fn keep(&self, shown: Shown, found: Option<Known>) -> Option<Arc<Known>> {
        let found = found.map(Arc::new);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match &found {
            Some(found) => {
                if KNOWN_MAX <= known.len() {
                    known.clear();
                }
                known.insert(shown, Arc::clone(found));
            }
            None => {
                known.remove(&shown);
            }
        }
        found
    }
}
