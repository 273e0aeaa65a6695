//! A store in memory that keeps rows, locks and transactions as PostgreSQL does.

use std::collections::{BTreeMap, BTreeSet};

use model::Random;
use proof::Hash;
use uuid::Uuid;

use super::errors::refused;
use crate::error::StoreError;
use crate::log_head::LogHead;

/// A run that has taken more steps comes to no end.
const STEPS_MAX: u64 = 1_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) key: String,
    pub(super) posting_id: Uuid,
    /// The leaf before it, as whoever decided it knew the house.
    pub(super) previous: Option<(u64, Hash)>,
}

/// What is committed, what is under way, and what will happen.
pub(super) struct World {
    pub(super) random: Random,
    pub(super) leaves: Vec<Leaf>,
    /// What came about, how often: for the test to know that it shows something.
    pub(super) came: BTreeMap<&'static str, u64>,
    pub(super) head: LogHead,
    pub(super) keys: BTreeMap<String, u64>,
    open: BTreeMap<u64, Transaction>,
    begun: u64,
    steps: u64,
}

/// A transaction, as the server holds it.
#[derive(Default)]
struct Transaction {
    members: BTreeSet<String>,
    has_head: bool,
    inserted: Vec<(u64, Leaf)>,
    appended: Option<LogHead>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            leaves: vec![],
            came: BTreeMap::new(),
            head: LogHead { size: 0, epoch: 0, recorded_at: 0 },
            keys: BTreeMap::new(),
            open: BTreeMap::new(),
            begun: 0,
            steps: 0,
        }
    }

    pub(super) fn step(&mut self) {
        self.steps += 1;
        assert!(self.steps < STEPS_MAX, "it comes to no end");
    }

    pub(super) fn note(&mut self, what: &'static str) {
        *self.came.entry(what).or_default() += 1;
    }

    /// What the database says of a batch that met another's: one of two codes.
    pub(super) fn collide(&mut self) -> StoreError {
        let code = if self.random.one_in(2) { "40001" } else { "40P01" };
        self.note(code);
        refused(code)
    }

    /// An operator settles something, if nobody has the head just now.
    pub(super) fn settle(&mut self) -> bool {
        let is_free = self.open.values().all(|it| !it.has_head);
        if is_free {
            self.head.epoch += 1;
        }
        is_free
    }

    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    fn last(&self) -> Option<(u64, Hash)> {
        let leaf = self.leaves.last()?;
        Some((self.leaves.len() as u64 - 1, commitment(leaf)))
    }

    pub(super) fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.open.insert(self.begun, Transaction::default());
        self.begun
    }

    /// Ends it as if it had not been.
    pub(super) fn end(&mut self, own: u64) {
        self.open.remove(&own);
    }

    fn others(&self, own: u64) -> impl Iterator<Item = &Transaction> {
        self.open.iter().filter(move |it| *it.0 != own).map(|it| it.1)
    }

    fn own(&mut self, own: u64) -> &mut Transaction {
        self.open.get_mut(&own).expect("it is open")
    }

    pub(super) fn lock_member(&mut self, own: u64, member: &str) -> bool {
        let is_free = self.others(own).all(|it| !it.members.contains(member));
        if is_free {
            self.own(own).members.insert(member.to_owned());
        }
        is_free
    }

    pub(super) fn lock_head(&mut self, own: u64) -> Option<(LogHead, Option<(u64, Hash)>)> {
        if self.others(own).any(|it| it.has_head) {
            return None;
        }
        self.own(own).has_head = true;
        Some((self.head, self.last()))
    }

    /// A row that another transaction has inserted is waited for, as a unique index has it.
    pub(super) fn insert(&mut self, own: u64, index: u64, leaf: &Leaf) -> Option<Result<(), StoreError>> {
        let is_theirs = |it: &(u64, Leaf)| it.0 == index || it.1.key == leaf.key;
        if self.others(own).any(|it| it.inserted.iter().any(is_theirs)) {
            return None;
        }
        if index < self.leaves.len() as u64 || self.keys.contains_key(&leaf.key) {
            return Some(Err(refused("23505")));
        }
        self.own(own).inserted.push((index, leaf.clone()));
        Some(Ok(()))
    }

    /// Compares and swaps, and waits for nobody.
    pub(super) fn append(&mut self, own: u64, is_empty: bool, from: &LogHead, to: &LogHead) -> bool {
        if self.head != *from || (!is_empty && self.others(own).any(|it| it.has_head)) {
            self.note("overtaken");
            return false;
        }
        if !is_empty {
            let own = self.own(own);
            own.has_head = true;
            own.appended = Some(*to);
        }
        true
    }

    /// From here it stands. Whatever a committer did wrong on the way is seen here at the latest.
    pub(super) fn persist(&mut self, own: u64) {
        let transaction = self.open.remove(&own).expect("it is open");
        let Some(to) = transaction.appended else {
            assert!(transaction.inserted.is_empty(), "rows without a head");
            return;
        };
        for (index, leaf) in transaction.inserted {
            assert_eq!(index, self.leaves.len() as u64, "a hole before {leaf:?}");
            assert_eq!(leaf.previous, self.last(), "{leaf:?} was decided from what is not there");
            assert_eq!(self.keys.insert(leaf.key.clone(), index), None, "{leaf:?} is there twice");
            self.leaves.push(leaf);
        }
        assert_eq!((to.size, to.epoch), (self.leaves.len() as i64, self.head.epoch));
        self.head = to;
    }
}

pub(super) fn commitment(leaf: &Leaf) -> Hash {
    let mut hash = Hash::default();
    hash[..16].copy_from_slice(leaf.posting_id.as_bytes());
    hash
}
