//! What was asked and answered, replayed on the model in the order of the log.
//!
//! An answer says how many leaves the log had when its decision began: what was due on its accounts and what it asked
//! for are the leaves from there on. Of the answers that say the same number, all but at most one posted nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ledger::{Command, Entry, Fingerprint, Refusal, Refused, Request, Terms};
use model::{Effect, Model};
use proof::{Balances, Body, LeafKind, LotMovement, PostingKind, Text};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::{Accepted, Answer};

type Outcome = Result<Vec<Accepted>, Refused>;

/// A posting as its rows have it.
pub(super) struct Leaf {
    recorded_at_us: i64,
    program: i16,
    effect: Effect,
}

/// What a run came by.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    asked: u64,
    posted: u64,
    leaves: u64,
    replayed: u64,
    reused: u64,
    /// Refused because what they go on from was not committed when their batch began.
    unseen: u64,
    names: BTreeSet<String>,
}

#[derive(Default)]
pub(super) struct History {
    pub(super) model: Model,
    pub(super) label: String,
    pub(super) seen: Seen,
    /// By source and key, what was asked first and what came of it.
    known: HashMap<(String, String), (Fingerprint, Outcome, u64)>,
}

impl History {
    /// Replays a wave that began at this size of the log.
    pub(super) fn take(&mut self, asked: &[(Request, Answer)], leaves: &[Leaf], begin: u64, terms: &Terms) {
        let is_decided = |it: &&(Request, Answer)| !it.1.replayed && reused(&it.1).is_none();
        let mut decided: Vec<&(Request, Answer)> = asked.iter().filter(is_decided).collect();
        decided.sort_by_key(|(_, answer)| (answer.log_size, answer.recorded_at_us));
        let posted = decided.iter().filter(|it| !it.0.dry_run).filter_map(|it| it.1.outcome.as_ref().ok());
        let fresh: HashMap<Uuid, u64> = posted.flatten().map(|it| (it.posting_id, it.leaf_index)).collect();
        let groups: Vec<_> = decided.chunk_by(|one, next| one.1.log_size == next.1.log_size).collect();
        let first = groups.first().map_or(begin + leaves.len() as u64, |it| it[0].1.log_size);
        assert_eq!(first, begin, "{}: leaves that nobody asked for", self.label);
        for (at, group) in groups.iter().enumerate() {
            let from = group[0].1.log_size - begin;
            let to = groups.get(at + 1).map_or(leaves.len() as u64, |it| it[0].1.log_size - begin);
            self.take_group(group, &leaves[from as usize..to as usize], &fresh, terms);
        }
        for (request, answer) in asked {
            self.check_key(request, answer);
        }
        self.seen.asked += asked.len() as u64;
        self.seen.leaves += leaves.len() as u64;
        let kinds = leaves.iter().filter_map(|it| it.effect.kind.name());
        self.seen.names.extend(kinds.map(str::to_owned));
    }

    /// Those that were decided at the same size of the log: one of them posted these leaves, if there are any.
    fn take_group(
        &mut self,
        group: &[&(Request, Answer)],
        leaves: &[Leaf],
        fresh: &HashMap<Uuid, u64>,
        terms: &Terms,
    ) {
        let posts = |at: &usize| !group[*at].0.dry_run && !leaves.is_empty();
        let explained = |at: usize| Some((at, self.explanation(group[at], leaves, fresh, terms)?));
        let poster = (0..group.len()).rev().filter(posts).find_map(explained);
        let others = (0..group.len()).filter(|at| poster.as_ref().is_none_or(|it| it.0 != *at));
        for at in others {
            match self.explanation(group[at], &[], fresh, terms) {
                Some(request) => self.seen.unseen += u64::from(request != group[at].0),
                None => self.fail(group[at], leaves, terms),
            }
        }
        for (request, answer) in group {
            self.keep(request, answer);
        }
        let Some((at, request)) = poster else {
            assert!(leaves.is_empty(), "{}: nobody asked for {:?}", self.label, leaves[0].effect);
            return;
        };
        let (asked, answer) = group[at];
        self.seen.unseen += u64::from(request != *asked);
        self.seen.posted += u64::from(answer.outcome.is_ok());
        self.model.decide(&request, terms, terms.moment(answer.recorded_at_us));
    }

    /// The request as the store understood it, where the model comes to the same on it. A posting of the same wave was
    /// perhaps not committed when the batch began, and then it could not be gone on from; of several, the earlier ones
    /// were committed first.
    fn explanation(
        &self,
        (request, answer): &(Request, Answer),
        leaves: &[Leaf],
        fresh: &HashMap<Uuid, u64>,
        terms: &Terms,
    ) -> Option<Request> {
        let originals = request.items.iter().filter_map(|it| it.command.original());
        let fresh_leaves: BTreeSet<u64> =
            originals.filter_map(|it| fresh.get(&it).copied()).filter(|it| *it < answer.log_size).collect();
        let horizons = [u64::MAX].into_iter().chain(fresh_leaves.into_iter().rev());
        let understood = horizons.map(|horizon| {
            let is_unseen = |id: &Uuid| fresh.get(id).is_some_and(|it| horizon <= *it);
            without(request.clone(), is_unseen)
        });
        understood.into_iter().find(|it| self.comes_to(it, answer, leaves, terms))
    }

    fn comes_to(&self, request: &Request, answer: &Answer, leaves: &[Leaf], terms: &Terms) -> bool {
        let tried = self.tried(request, answer, terms);
        let is_same = |(effect, leaf): (&Effect, &Leaf)| {
            let told = Effect { item: None, id: effect.id.or(leaf.effect.id), ..effect.clone() };
            told == leaf.effect
                && leaf.recorded_at_us == answer.recorded_at_us
                && leaf.program == request.program
        };
        let posted = if request.dry_run { 0 } else { tried.effects.len() };
        outcome(request, &tried, answer.log_size) == answer.outcome
            && posted == leaves.len()
            && tried.effects.iter().zip(leaves).all(is_same)
    }

    fn tried(&self, request: &Request, answer: &Answer, terms: &Terms) -> model::Answer {
        self.model.try_out(request, terms, terms.moment(answer.recorded_at_us))
    }

    fn fail(&self, (request, answer): &(Request, Answer), leaves: &[Leaf], terms: &Terms) -> ! {
        let tried = self.tried(request, answer, terms);
        let effects: Vec<&Effect> = leaves.iter().map(|it| &it.effect).collect();
        panic!(
            "{}: the model comes to something else after {} requests.\nAsked: {request:?}\nAnswered: {answer:?}\n\
             The leaves: {effects:#?}\nThe model: {tried:#?}",
            self.label, self.seen.asked,
        )
    }

    /// What was decided under a key is decided once.
    fn keep(&mut self, request: &Request, answer: &Answer) {
        self.seen.names.extend(answer.outcome.as_ref().err().map(|it| name(&it.refusal)));
        let settles = request.items.iter().any(|it| matches!(it.command, Command::Settle { .. }));
        let is_kept = answer.outcome.as_ref().map_or_else(|it| it.refusal.row().is_some(), |_| true);
        let is_strange = matches!(answer.outcome, Err(Refused { refusal: Refusal::MemberUnknown, .. }))
            && request.items.iter().all(|it| matches!(it.command, Command::Earn { .. }));
        if is_kept && !settles && !is_strange && !request.dry_run {
            let key = (request.source.clone(), request.key.clone());
            let value = (request.fingerprint(), answer.outcome.clone(), answer.log_size);
            let before = self.known.insert(key, value);
            assert!(before.is_none(), "{}: {request:?} came after {before:?}", self.label);
        }
    }

    /// Who asks again is answered what was answered; who asks something else under the same key, what differs.
    fn check_key(&mut self, request: &Request, answer: &Answer) {
        let reused = reused(answer);
        if !answer.replayed && reused.is_none() {
            return;
        }
        let known = self.known.get(&(request.source.clone(), request.key.clone()));
        let (fingerprint, outcome, log_size) = known.expect("a known key has been asked under");
        let now = request.fingerprint();
        assert!(*log_size <= answer.log_size, "{}: it was known too early", self.label);
        match reused {
            Some(differs) => {
                assert_ne!(*fingerprint, now, "{}: the same was asked", self.label);
                let differences = fingerprint.differences(&now).in_words_of(request);
                assert_eq!(differs, differences, "{}", self.label);
                self.seen.reused += 1;
            }
            None => {
                assert_eq!(*fingerprint, now, "{}: something else was asked", self.label);
                assert_eq!(answer.outcome, *outcome, "{}: another answer to {request:?}", self.label);
                self.seen.replayed += 1;
            }
        }
    }
}

fn reused(answer: &Answer) -> Option<ledger::Differences> {
    match answer.outcome {
        Err(Refused { refusal: Refusal::KeyReused { differs }, .. }) => Some(differs),
        _ => None,
    }
}

/// The same, going on from postings that there are not instead of these.
fn without(mut request: Request, is_unseen: impl Fn(&Uuid) -> bool) -> Request {
    for item in &mut request.items {
        let original = match &mut item.command {
            Command::Confirm { earning } | Command::Cancel { earning } => earning,
            Command::Reverse { posting, .. } => posting,
            Command::Capture { hold, .. }
            | Command::Void { hold }
            | Command::Increase { hold, .. }
            | Command::Prolong { hold, .. } => hold,
            _ => continue,
        };
        if is_unseen(original) {
            *original = Uuid::max();
        }
    }
    request
}

/// What the store answers of what the model came to.
fn outcome(request: &Request, answer: &model::Answer, log_size: u64) -> Outcome {
    let accepted = |done: ledger::Done| {
        let effect = answer.effects.get(done.posting);
        let entry = effect.and_then(|it| it.entries.iter().find(|it| it.account == done.account));
        Accepted {
            posting_id: effect.and_then(|it| it.id).unwrap_or_default(),
            leaf_index: log_size + done.posting as u64,
            points: done.points,
            account: done.account,
            after: entry.map(|it| it.after).unwrap_or_default(),
            version: entry.map_or(0, |it| it.sequence),
            lots: entry.map(|it| it.lots.clone()).unwrap_or_default(),
            rate: effect.and_then(|it| it.item).and_then(|at| rate(&request.items[at].command)),
        }
    };
    answer.result.clone().map(|done| done.into_iter().map(accepted).collect())
}

/// What a point is worth to what spends it.
fn rate(command: &Command) -> Option<Text> {
    let spends = matches!(command, Command::Redeem { .. } | Command::Capture { .. });
    spends.then(|| Text::new("1 KES").unwrap())
}

fn name(refusal: &Refusal) -> String {
    match refusal {
        Refusal::LimitExceeded { limit, .. } => limit.name().to_owned(),
        it => format!("{it:?}").split([' ', '{']).next().expect("a name").to_owned(),
    }
}

impl Seen {
    pub(super) fn add(&mut self, other: Self) {
        self.asked += other.asked;
        self.posted += other.posted;
        self.leaves += other.leaves;
        self.replayed += other.replayed;
        self.reused += other.reused;
        self.unseen += other.unseen;
        self.names.extend(other.names);
    }

    /// Every kind of posting and every refusal was come by, and keys were asked under again.
    pub(super) fn check(&self) {
        // It needs another unit, or points that end on 65 days; that a key is reused is counted apart.
        let not_here = ["KeyReused", "UnitUnknown", "TooManyDays"].map(str::to_owned);
        let kinds = (1..20).filter_map(|it| PostingKind(it).name()).map(str::to_owned);
        let all: BTreeSet<String> = Refusal::all().iter().map(name).chain(kinds).collect();
        let missing: Vec<&String> = all.difference(&self.names).filter(|it| !not_here.contains(it)).collect();
        assert!(missing.is_empty(), "no program came by {missing:?}");
        assert!(self.asked / 5 < self.posted, "most programs are about refusals: {self:?}");
        assert!([self.replayed, self.reused, self.unseen].iter().all(|it| 0 < *it), "{self:?}");
    }
}

#[derive(FromRow)]
struct PostingRow {
    leaf_index: i64,
    posting_id: Uuid,
    program_id: i16,
    kind: i16,
    recorded_at: i64,
    effective_at: i64,
    reverses: Option<Uuid>,
    follows: Option<Uuid>,
    body: Option<Vec<u8>>,
}

#[derive(FromRow)]
struct EntryRow {
    leaf_index: i64,
    id: Uuid,
    unit: i16,
    sequence: i64,
    available_change: i64,
    held_change: i64,
    pending_change: i64,
    available_after: i64,
    held_after: i64,
    pending_after: i64,
    lots: Option<Vec<u8>>,
}

/// The postings from this leaf on.
pub(super) async fn leaves_from(conn: &mut PgConnection, begin: u64) -> Vec<Leaf> {
    let rows: Vec<EntryRow> = sqlx::query_as(
        "select entry.*, account.id, account.unit
         from entry
         join account using (account_id)
         where leaf_index >= $1
         order by leaf_index, ordinal",
    )
    .bind(begin as i64)
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    let mut entries: BTreeMap<i64, Vec<Entry>> = BTreeMap::new();
    for row in rows {
        entries.entry(row.leaf_index).or_default().push(row.read());
    }
    let rows: Vec<PostingRow> =
        sqlx::query_as("select * from posting where leaf_index >= $1 order by leaf_index")
            .bind(begin as i64)
            .fetch_all(conn)
            .await
            .unwrap();
    let mut leaves = vec![];
    for row in rows {
        assert_eq!(row.leaf_index as u64, begin + leaves.len() as u64, "leaves have no holes");
        let entries = entries.remove(&row.leaf_index).unwrap_or_default();
        leaves.push(row.read(entries));
    }
    assert!(entries.is_empty(), "an entry of no posting");
    leaves
}

impl EntryRow {
    fn read(self) -> Entry {
        Entry {
            account: self.id,
            unit: self.unit as u16,
            sequence: self.sequence as u64,
            change: Balances {
                available: self.available_change,
                held: self.held_change,
                pending: self.pending_change,
            },
            after: Balances {
                available: self.available_after,
                held: self.held_after,
                pending: self.pending_after,
            },
            lots: LotMovement::decode_all(&self.lots.unwrap_or_default()).unwrap(),
        }
    }
}

impl PostingRow {
    fn read(self, entries: Vec<Entry>) -> Leaf {
        let withdrawal = |bytes: Vec<u8>| match Body::decode(LeafKind::Withdrawal, &bytes) {
            Ok(Body::Withdrawal(it)) => it,
            other => panic!("not a withdrawal: {other:?}"),
        };
        let effect = Effect {
            kind: PostingKind(self.kind as u8),
            id: Some(self.posting_id),
            effective_at_us: self.effective_at,
            reverses: self.reverses,
            follows: self.follows,
            item: None,
            entries,
            withdrawal: self.body.map(withdrawal),
        };
        Leaf { recorded_at_us: self.recorded_at, program: self.program_id, effect }
    }
}
