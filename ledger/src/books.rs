//! The books as one batch of decisions sees them. Each decision sees the effect of the one before.

use std::collections::{HashMap, HashSet};

use proof::{Balances, LotMovement, PostingKind};
use uuid::Uuid;

use crate::account::{Account, Lot, Parts, total};
use crate::day::Moment;
use crate::decide::Desk;
use crate::policy::Terms;
use crate::posting::Posting;
use crate::refusal::Refusal;
use crate::request::{Command, Name, Request};

/// The most items that one request may have.
const ITEMS_MAX: usize = 100;

/// A posting that a later one goes on from, as the store read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// What it did.
    pub kind: PostingKind,
    /// The member's account in it; of a posting between two members, the first one's.
    pub member: Uuid,
    /// The house account in it, if there is one.
    pub house: Option<Uuid>,
    /// What it did to the member's lots.
    pub lots: Vec<LotMovement>,
    /// What it did to the member's balances.
    pub change: Balances,
    /// How much of it was reversed by others.
    pub reversed: i64,
    /// Of a withdrawal, what is known of its claim.
    pub claim: Option<Claim>,
}

/// What is known of a withdrawal's claim on its chain. It only ever becomes more certain, so it needs no lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// From this Unix second on it is refused there.
    pub before: u64,
    /// Whether it was paid there.
    pub is_paid: bool,
    /// The time of the last final block up to which all claims are known; zero where nobody has looked.
    pub known_until: u64,
}

impl Claim {
    /// Whether the books may take the points back: unclaimed, for ever, and final.
    pub(crate) fn check_lapsed(&self) -> Result<(), Refusal> {
        if self.is_paid {
            Err(Refusal::AlreadyClaimed)
        } else if self.known_until < self.before {
            Err(Refusal::StillClaimable { until: i64::try_from(self.before).unwrap_or(i64::MAX) })
        } else {
            Ok(())
        }
    }
}

impl Original {
    /// How much came to the member, or went from them where it is below zero: holding and pending apart.
    pub fn points(&self) -> i64 {
        total(&self.change)
    }

    /// What of each lot came or went, without sign.
    pub(crate) fn parts(&self) -> Parts {
        // A capture may also have released a rest, and a debt been paid from that: it took what ends first, so what is
        // beyond its points is of the debt.
        let mut rest = self.points().abs();
        let mut parts = Parts::new();
        for movement in &self.lots {
            let part = total(&movement.change).abs().min(rest);
            rest -= part;
            parts.extend(Lot::from_id(&movement.lot).filter(|_| part != 0).map(|lot| (lot, part)));
        }
        parts
    }
}

/// What came of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its posting's place in the decision.
    pub posting: usize,
    /// How much moved; below zero where a debt was merged, and 0 of a change of status or a merge of nothing. Of what is prolonged, how
    /// much is on hold.
    pub points: i64,
    /// The account whose balance the caller wants to know: the member's, or the fund's.
    pub account: Uuid,
}

/// Why a request is refused, and for which of its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The item's place.
    pub item: u16,
    /// Why.
    pub refusal: Refusal,
}

/// What is to be posted for a request, in order: what had fallen due, what was asked, what then was due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The postings. Even a refused request has some, where something had fallen due.
    pub postings: Vec<Posting>,
    /// What came of each item; their postings follow one another without a gap.
    pub result: Result<Vec<Done>, Refused>,
}

/// The accounts of one batch, as they stand under their locks.
#[derive(Debug, Default)]
pub struct Books {
    accounts: HashMap<Uuid, Account>,
    names: HashMap<(i16, u16, Name), Uuid>,
    originals: HashMap<(i16, Uuid), Original>,
    changed: HashSet<Uuid>,
    /// What changed since the last mark, as it was then.
    before: Before,
}

#[derive(Debug, Default)]
struct Before {
    accounts: HashMap<Uuid, Account>,
    originals: HashMap<(i16, Uuid), Original>,
}

impl Books {
    /// Brings an account in.
    pub fn insert(&mut self, account: Account) {
        self.accounts.insert(account.id, account);
    }

    /// Says which account a name is for.
    pub fn name(&mut self, program: i16, unit: u16, name: Name, account: Uuid) {
        self.names.insert((program, unit, name), account);
    }

    /// Takes an account out again, with this name for it. Only dry runs were decided with it in: nothing that was posted
    /// touches it.
    pub fn forget(&mut self, program: i16, unit: u16, name: Name) {
        if let Some(account) = self.names.remove(&(program, unit, name)) {
            self.accounts.remove(&account);
            self.changed.remove(&account);
        }
    }

    /// Brings in a posting that a request goes on from.
    pub fn recall(&mut self, program: i16, id: Uuid, original: Original) {
        self.originals.insert((program, id), original);
    }

    /// An account that was brought in.
    ///
    /// # Panics
    /// If it was not.
    pub fn account(&self, id: Uuid) -> &Account {
        &self.accounts[&id]
    }

    pub(crate) fn is_known(&self, id: Uuid) -> bool {
        self.accounts.contains_key(&id)
    }

    /// The accounts that any decision has changed, as they are now.
    pub fn changed(&self) -> impl Iterator<Item = &Account> {
        self.changed.iter().map(|id| &self.accounts[id])
    }

    /// Decides a request at the recorded time, and takes what is posted into the books.
    pub fn decide(&mut self, request: &Request, terms: &Terms, now: Moment) -> Decision {
        self.mark();
        let concerned = self.concerned(request);
        let mut desk = Desk::new(self, request, terms, now);
        for account in &concerned {
            desk.post_due(*account);
        }
        if !request.dry_run {
            desk.books.mark();
        }
        let due = desk.postings.len();
        let result = desk.items();
        if result.is_err() {
            // A dry run has one mark: what was due is taken back too, and posted again below.
            desk.postings.truncate(if request.dry_run { 0 } else { due });
            desk.books.undo();
        }
        for account in concerned {
            desk.post_due(account);
        }
        let postings = desk.postings;
        if request.dry_run {
            self.undo();
        }
        Decision { postings, result }
    }

    /// The members' accounts whose due postings come first.
    fn concerned(&self, request: &Request) -> Vec<Uuid> {
        let mut concerned = Vec::new();
        for item in &request.items {
            let named = item.command.names().into_iter().filter(|it| matches!(it, Name::Member(_)));
            concerned.extend(named.filter_map(|it| self.named(request.program, request.unit, &it)));
            let original = item.command.original().and_then(|it| self.original(request.program, it));
            concerned.extend(original.map(|it| it.member));
            if let Command::Settle { account } = item.command {
                concerned.extend(self.is_known(account).then_some(account));
            }
        }
        concerned.sort();
        concerned.dedup();
        concerned
    }

    pub(crate) fn named(&self, program: i16, unit: u16, name: &Name) -> Option<Uuid> {
        self.names.get(&(program, unit, name.clone())).copied()
    }

    pub(crate) fn original(&self, program: i16, id: Uuid) -> Option<&Original> {
        self.originals.get(&(program, id))
    }

    /// The account, to be changed: what it was at the last mark is kept.
    pub(crate) fn change(&mut self, id: Uuid) -> &mut Account {
        let account = self.accounts.get_mut(&id).expect("an account that changes was brought in");
        self.before.accounts.entry(id).or_insert_with(|| account.clone());
        self.changed.insert(id);
        account
    }

    pub(crate) fn change_original(&mut self, program: i16, id: Uuid) -> &mut Original {
        let original = self.originals.get_mut(&(program, id));
        let original = original.expect("a posting that is gone on from was brought in");
        self.before.originals.entry((program, id)).or_insert_with(|| original.clone());
        original
    }

    fn mark(&mut self) {
        self.before = Before::default();
    }

    fn undo(&mut self) {
        let Before { accounts, originals } = std::mem::take(&mut self.before);
        self.accounts.extend(accounts);
        self.originals.extend(originals);
    }
}

/// Whether a request has as many items as it may.
pub(crate) fn item_count_is_right(request: &Request) -> bool {
    (1..=ITEMS_MAX).contains(&request.items.len())
}
