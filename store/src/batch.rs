//! One batch: requests that arrived together, decided in order by the pure core and committed together.
//!
//! The order of locks is the same for everyone: new members in their order, members' balances in account order, the
//! log's head last. Whatever a decision reads is immutable or guarded by one of them.

use std::collections::{BTreeSet, HashMap, HashSet};

use ledger::{AccountKind, Books, Command, MemberRef, Outcome, Parties, Refusal, Request};
use proof::{Commitments, Hash, Header, LeafKind, SaltPart, salt};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::accounts::{self, HouseKey, Identity, MemberKey};
use crate::error::StoreError;
use crate::keyring::Keyring;
use crate::log_head;
use crate::outcomes::{self, OutcomeKey, Remembered};
use crate::programs::Program;
use crate::rows::Rows;

/// What does not change from batch to batch.
pub(crate) struct Context {
    pub(crate) log_id: Hash,
    pub(crate) keyring: Keyring,
    pub(crate) programs: HashMap<i16, Program>,
}

/// What a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What came of it.
    pub outcome: Outcome,
    /// Whether it had come of it before: the key was known.
    pub replayed: bool,
    /// When it was recorded, in microseconds since 1970; of a replay, now.
    pub recorded_at_us: i64,
}

/// A failure of a batch, and whether it may stand all the same.
pub(crate) enum BatchError {
    /// Nothing of it stands.
    RolledBack(StoreError),
    /// It may have been committed: asking again with the same keys tells.
    Unknown(StoreError),
}

/// Decides and commits a batch. The answers are in the order of the requests.
pub(crate) async fn commit(
    conn: &mut PgConnection,
    context: &Context,
    requests: &[&Request],
) -> Result<Vec<Answer>, BatchError> {
    let rolled_back = |error: sqlx::Error| BatchError::RolledBack(error.into());
    let mut transaction = conn.begin().await.map_err(rolled_back)?;
    let answers = match decide(&mut transaction, context, requests).await {
        Ok(answers) => answers,
        Err(error) => {
            // The connection may be gone, and with it the transaction: nothing stands either way.
            let _ = transaction.rollback().await;
            return Err(BatchError::RolledBack(error));
        }
    };
    // From here to the answer, only the database knows whether the postings stand.
    transaction.commit().await.map_err(|error| {
        let error = StoreError::from(error);
        if error.is_outage() { BatchError::Unknown(error) } else { BatchError::RolledBack(error) }
    })?;
    Ok(answers)
}

async fn decide(
    conn: &mut PgConnection,
    context: &Context,
    requests: &[&Request],
) -> Result<Vec<Answer>, StoreError> {
    if let Some(request) = requests.iter().find(|it| !context.programs.contains_key(&it.program)) {
        let problem = format!("program {} began after this process: start it again", request.program);
        return Err(StoreError::Missing(problem));
    }
    let members = resolve_members(conn, context, requests).await?;
    let houses = resolve_houses(conn, context, requests).await?;

    let mut books = Books::default();
    let locked: HashMap<i64, Identity> = members.values().map(|it| (it.account_id, it.clone())).collect();
    for account in accounts::lock_balances(conn, &locked).await? {
        books.insert(account);
    }
    // In a statement after the locks: a joined read would keep the snapshot from before the wait.
    let keys: Vec<OutcomeKey> = requests.iter().map(|it| key(it)).collect();
    let mut known = outcomes::remembered(conn, &keys).await?;

    let head = log_head::lock(conn, &context.log_id).await?;
    let read: HashMap<i64, Identity> = houses.values().map(|it| (it.account_id, it.clone())).collect();
    for account in accounts::read_balances(conn, &read).await? {
        books.insert(account);
    }

    let mut batch =
        Batch { context, books, rows: Rows::default(), now_us: head.now_us, next_leaf: head.size as u64 };
    let mut answers = Vec::with_capacity(requests.len());
    for (request, key) in requests.iter().zip(&keys) {
        let fingerprint = request.fingerprint();
        let (outcome, replayed) = match known.get(key) {
            Some(it) if it.fingerprint == fingerprint => (it.outcome, true),
            Some(_) => (Outcome::Refused(Refusal::KeyReused), false),
            None => {
                let outcome = batch.decide(request, &members, &houses);
                if batch.rows.remember(request, fingerprint, outcome, head.now_us) {
                    known.insert(key.clone(), Remembered { fingerprint, outcome });
                }
                (outcome, false)
            }
        };
        answers.push(Answer { outcome, replayed, recorded_at_us: head.now_us });
    }
    batch.rows.write(conn, &context.log_id, head.now_us).await?;
    Ok(answers)
}

fn key(request: &Request) -> OutcomeKey {
    (request.program, request.source.clone(), request.key.clone())
}

fn member(request: &Request) -> MemberKey {
    let member = match &request.command {
        Command::Earn { event, .. } => event.member.clone(),
        Command::Redeem { member, .. } => MemberRef::Id(*member),
    };
    (request.program, member)
}

fn house(request: &Request) -> HouseKey {
    match &request.command {
        Command::Earn { .. } => (request.program, AccountKind::Issuance, None),
        Command::Redeem { partner, .. } => (request.program, AccountKind::Settlement, Some(partner.clone())),
    }
}

async fn resolve_members(
    conn: &mut PgConnection,
    context: &Context,
    requests: &[&Request],
) -> Result<HashMap<MemberKey, Identity>, StoreError> {
    let wanted: Vec<MemberKey> =
        requests.iter().map(|it| member(it)).collect::<HashSet<_>>().into_iter().collect();
    let found = accounts::member_accounts(conn, &context.keyring, &wanted).await?;
    let strangers: Vec<&Request> = requests
        .iter()
        .copied()
        .filter(|it| context.programs[&it.program].enrols && !found.contains_key(&member(it)))
        .filter(|it| matches!(it.command, Command::Earn { .. }))
        .collect();
    if strangers.is_empty() {
        return Ok(found);
    }
    // Only an event that will be posted enrols: not one of a known key, and not one ahead of the clock.
    let keys: Vec<OutcomeKey> = strangers.iter().map(|it| key(it)).collect();
    let known = outcomes::remembered(conn, &keys).await?;
    let now_us = log_head::clock_us(conn).await?;
    let enrolled: BTreeSet<MemberKey> = strangers
        .into_iter()
        .filter(|it| !known.contains_key(&key(it)) && !is_ahead_of(it, now_us))
        .map(member)
        .collect();
    if enrolled.is_empty() {
        return Ok(found);
    }
    accounts::enrol(conn, &context.keyring, &enrolled).await?;
    accounts::member_accounts(conn, &context.keyring, &wanted).await
}

fn is_ahead_of(request: &Request, now_us: i64) -> bool {
    matches!(&request.command, Command::Earn { event, .. } if ledger::is_ahead(event, now_us))
}

async fn resolve_houses(
    conn: &mut PgConnection,
    context: &Context,
    requests: &[&Request],
) -> Result<HashMap<HouseKey, Identity>, StoreError> {
    let wanted: Vec<HouseKey> =
        requests.iter().map(|it| house(it)).collect::<HashSet<_>>().into_iter().collect();
    let found = accounts::house_accounts(conn, &context.keyring, &wanted).await?;
    // A partner may be unknown; a program's own accounts may not.
    match wanted.iter().find(|it| it.1 != AccountKind::Settlement && !found.contains_key(it)) {
        Some((program, kind, _)) => {
            Err(StoreError::Damaged(format!("program {program} has no {kind:?} account")))
        }
        None => Ok(found),
    }
}

/// A batch under its locks.
struct Batch<'a> {
    context: &'a Context,
    books: Books,
    rows: Rows,
    now_us: i64,
    next_leaf: u64,
}

impl Batch<'_> {
    fn decide(
        &mut self,
        request: &Request,
        members: &HashMap<MemberKey, Identity>,
        houses: &HashMap<HouseKey, Identity>,
    ) -> Outcome {
        if is_ahead_of(request, self.now_us) {
            return Outcome::Refused(Refusal::InFuture);
        }
        let Some(member) = members.get(&member(request)) else {
            return Outcome::Refused(Refusal::MemberUnknown);
        };
        let Some(house) = houses.get(&house(request)) else {
            return Outcome::Refused(Refusal::PartnerUnknown);
        };
        let parties = Parties { member: member.id, house: house.id };
        match self.books.decide(&request.command, parties, self.now_us) {
            Ok(posting) => self.post(request, &posting, [member, house]),
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    /// Gives the posting its leaf: commitments of all parts, and the rows that say the same.
    fn post(
        &mut self,
        request: &Request,
        posting: &ledger::Posting<Uuid>,
        parties: [&Identity; 2],
    ) -> Outcome {
        let leaf_index = self.next_leaf;
        self.next_leaf += 1;
        let program = &self.context.programs[&request.program];
        let posting_id = request.posting_id.into_bytes();
        let salt_of = |part| salt(&program.secret, &posting_id, part);
        let header = self.header(request, posting, program.id, &salt_of(SaltPart::Event));
        let entries = self.books.leaf_entries(posting);
        let mut commitments = Commitments {
            header: header.commitment(&salt_of(SaltPart::Header)),
            details: request.details.commitment(&salt_of(SaltPart::Details)),
            body: None,
            entries: Vec::with_capacity(entries.len()),
        };
        let mut available = 0;
        for (ordinal, entry) in entries.iter().enumerate() {
            let identity = parties.into_iter().find(|it| it.id.into_bytes() == entry.account);
            let identity = identity.expect("a posting is between its parties");
            let commitment = entry.commitment(&salt(&identity.secret, &posting_id, SaltPart::Entry));
            if identity.kind == AccountKind::Member {
                available = entry.after.available;
            }
            self.rows.entry(leaf_index, ordinal, identity.account_id, entry, &commitment);
            self.books.apply(entry, leaf_index, commitment);
            commitments.entries.push(commitment);
        }
        self.rows.leaf(leaf_index, LeafKind::Posting, &commitments.commitment());
        self.rows.posting(leaf_index, request.program, &header, &request.details, &commitments);
        if let Command::Earn { payload, .. } = &request.command {
            self.rows.event(leaf_index, payload);
        }
        let points = match &request.command {
            Command::Earn { points, .. } | Command::Redeem { points, .. } => points.get(),
        };
        Outcome::Accepted { posting_id: request.posting_id, leaf_index, points, available }
    }

    fn header(
        &self,
        request: &Request,
        posting: &ledger::Posting<Uuid>,
        program: Uuid,
        event_salt: &Hash,
    ) -> Header {
        let (effective_at_us, rule_set_hash, event_hash) = match &request.command {
            Command::Earn { event, payload, rule_set_hash, .. } => {
                (event.timestamp_us.min(self.now_us), *rule_set_hash, proof::event_hash(event_salt, payload))
            }
            Command::Redeem { .. } => (self.now_us, Hash::default(), Hash::default()),
        };
        Header {
            posting_id: request.posting_id.into_bytes(),
            posting_kind: posting.kind(),
            program: program.into_bytes(),
            recorded_at_us: self.now_us,
            effective_at_us,
            rule_set_hash,
            event_hash,
            reverses: Default::default(),
        }
    }
}
