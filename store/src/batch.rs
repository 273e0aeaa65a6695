//! One batch: requests that arrived together, decided in order by the pure core and committed together.
//!
//! The order of locks is the same for everyone: new members in their order, members' balances in account order, the
//! log's head last. Whatever a decision reads is immutable or guarded by one of them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use ledger::{
    Account, AccountKind, Books, Command, House, Lot, Name, Posting, Refusal, Refused, Request, Status,
    Strangers,
};
use proof::{
    Body, Commitments, Hash, Header, LeafKind, LotMovement, NO_LEAF, PostingKind, SaltPart, lots_digest, salt,
};
use sqlx::{Executor, PgConnection, PgPool};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::Pooled;
use crate::accounts::{self, State};
use crate::directory::{Directory, Identity, MemberKey, Members, Programs, Settled};
use crate::error::StoreError;
use crate::gateways::BRIDGE_SOURCE;
use crate::guard::Guard;
use crate::keyring::Keyring;
use crate::log_head::{self, LogHead};
use crate::lots;
use crate::originals::{self, PostingKey};
use crate::outcomes::{self, Accepted, OutcomeKey, Remembered};
use crate::rows::{Guarded, Rows};
use crate::stages::{BatchError, Database, Session};
use crate::tip::Tip;
use crate::warnings::Warnings;
use crate::withdrawals;

/// What all batches share, of what is known of the log.
pub(crate) struct Context {
    pub(crate) log_id: Hash,
    pub(crate) keyring: Keyring,
    pub(crate) directory: Directory,
    pub(crate) guard: Guard,
    /// Whoever commits listens to what PostgreSQL warns of. There is never another one at it.
    pub(crate) warnings: Mutex<Warnings>,
}

/// A log in PostgreSQL.
pub(crate) struct InPostgres {
    pub(crate) pool: PgPool,
    pub(crate) context: Arc<Context>,
}

/// A connection to it.
pub(crate) struct Connected {
    conn: Pooled,
    context: Arc<Context>,
}

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What came of it: of each item what was posted, or why the request is refused.
    pub outcome: Result<Vec<Accepted>, Refused>,
    /// Whether it had come of it before: the key was known.
    pub replayed: bool,
    /// When it was recorded, in microseconds since 1970; of a replay, now.
    pub recorded_at_us: i64,
    /// How many leaves the log had when it was decided.
    pub log_size: u64,
}

/// Every statement of a batch finds its rows by their keys, whatever the statistics say: a plan that was made for tables
/// still empty would otherwise stay with its connection while they grow. And it is made once, not for every batch.
const BEGIN: &str = "
begin;
set local plan_cache_mode = force_generic_plan;
set local enable_seqscan = off;
set local enable_hashjoin = off;
set local enable_mergejoin = off
";

/// Without a time limit of the server's, because one that passes while a synchronous standby is waited for ends the wait
/// and not the commit: it would be answered as durable where it is not.
const COMMIT: &str = "set local statement_timeout = 0; commit";

/// What is read for a batch under its members' locks.
pub(crate) struct Read {
    programs: Arc<Programs>,
    scene: Scene,
    keys: Vec<OutcomeKey>,
    known: HashMap<OutcomeKey, Remembered>,
    /// The house accounts that the requests name or may touch.
    houses: HashMap<i64, Arc<Identity>>,
    clock_us: i64,
    timeline: i32,
}

impl Database for InPostgres {
    type Session = Connected;

    async fn session(&self) -> Result<Connected, StoreError> {
        Ok(Connected { conn: self.pool.acquire().await?, context: self.context.clone() })
    }
}

impl Session for Connected {
    type Read = Read;
    type Rows = Rows;
    type Guarded = Guarded;

    async fn read(&mut self, requests: &[&Request]) -> Result<Read, StoreError> {
        let context: &Context = &self.context;
        let conn: &mut PgConnection = &mut self.conn;
        sqlx::raw_sql(BEGIN).execute(&mut *conn).await?;
        let mut programs = context.directory.programs();
        if requests.iter().any(|it| programs.program(it.program).is_none()) {
            // It began after this process did, or it does not exist; the second is a caller's error.
            context.directory.read_again(conn, &context.keyring).await?;
            programs = context.directory.programs();
            if let Some(stranger) = requests.iter().find(|it| programs.program(it.program).is_none()) {
                return Err(StoreError::Missing(format!("there is no program {}", stranger.program)));
            }
        }
        let keys: Vec<OutcomeKey> = requests.iter().map(|it| outcomes::key(it)).collect();
        let (members, newcomers) = resolve_members(conn, context, &programs, requests, &keys).await?;
        let mut scene = Scene { newcomers, ..Scene::default() };
        scene.find_originals(conn, context, requests).await?;
        scene.find_settled(conn, context, requests).await?;
        scene.bring_in_members(members);
        scene.lock_members(conn).await?;
        scene.read_withdrawn(conn, requests).await?;
        // In statements after the locks: a joined read would keep the snapshot from before the wait.
        match scene.read_lots(conn, &programs).await {
            // A reservation may be for a house that was opened after the programs were read.
            Err(StoreError::Damaged(_)) if log_head::epoch(conn).await? != programs.epoch => {
                return Err(StoreError::Outdated);
            }
            read => read?,
        }
        scene.read_reversed(conn, requests).await?;
        // After the account locks, so that a retry waits for its twin.
        let known = remembered(conn, context, &programs, &keys).await?;

        let houses = match scene.houses(&programs, requests) {
            // What is reversed or captured may name a house that was opened after the programs were read.
            Err(StoreError::Damaged(_)) if log_head::epoch(conn).await? != programs.epoch => {
                return Err(StoreError::Outdated);
            }
            houses => houses?,
        };
        let (clock_us, timeline) = log_head::clock(conn).await?;
        Ok(Read { programs, scene, keys, known, houses, clock_us, timeline })
    }

    fn knows(&self, read: &Read, tip: &Tip) -> Result<bool, StoreError> {
        if !tip.knows(read.programs.epoch, read.houses.values().map(|it| it.id)) {
            return Ok(false);
        }
        self.context.guard.admit(read.timeline, &tip.head)?;
        Ok(true)
    }

    async fn lock_head(&mut self, read: &mut Read) -> Result<(LogHead, Vec<State>), StoreError> {
        let (head, clock_us, timeline) = log_head::lock(&mut self.conn, &self.context.log_id).await?;
        self.context.guard.admit(timeline, &head)?;
        if head.epoch != read.programs.epoch {
            return Err(StoreError::Outdated);
        }
        read.clock_us = clock_us;
        let houses = accounts::read_balances(&mut self.conn, &read.houses).await?;
        Ok((head, houses))
    }

    fn decide(&self, read: Read, requests: &[&Request], tip: &mut Tip) -> (Rows, Vec<Answer>) {
        let Read { programs, mut scene, keys, mut known, houses, clock_us, .. } = read;
        let head = tip.head;
        for identity in houses.values() {
            scene.insert(tip.houses[&identity.id].clone());
            scene.identities.insert(identity.id, identity.clone());
        }
        let mut batch = Batch {
            programs: &programs,
            scene,
            rows: Rows::default(),
            now_us: clock_us.max(head.recorded_at),
            next_leaf: head.size as u64,
            moved: BTreeSet::new(),
            reserved: HashMap::new(),
        };
        let mut answers = Vec::with_capacity(requests.len());
        for (request, key) in requests.iter().zip(keys) {
            answers.push(batch.answer(request, key, &mut known));
        }
        batch.take_changes();
        let Batch { scene, rows, now_us, next_leaf, .. } = batch;
        tip.houses.extend(houses.values().map(|it| (it.id, scene.state(it.id))));
        if !rows.is_empty() {
            tip.head = LogHead { size: next_leaf as i64, recorded_at: now_us, ..head };
        }
        (rows, answers)
    }

    async fn insert(&mut self, rows: Rows) -> Result<Guarded, StoreError> {
        rows.insert(&mut self.conn).await
    }

    async fn append(&mut self, guarded: Guarded, from: &LogHead, to: &LogHead) -> Result<(), StoreError> {
        guarded.append(&mut self.conn, &self.context.log_id, from, to.recorded_at).await
    }

    async fn commit(&mut self, to: &LogHead) -> Result<(), BatchError> {
        // From here to the answer, only the database knows whether the postings stand.
        let conn: &mut PgConnection = &mut self.conn;
        let mut warnings = self.context.warnings.lock().await;
        let (committed, warned) = warnings.during(conn.execute(sqlx::raw_sql(COMMIT))).await;
        committed.map_err(|error| {
            let error = StoreError::from(error);
            if error.is_outage() { BatchError::Unknown(error) } else { BatchError::RolledBack(error) }
        })?;
        if warned {
            // Whoever asks again with the same key locks what it is about, so that its commit is a later record of the same
            // log, and waits for the standby in its turn.
            return Err(BatchError::Unknown(StoreError::Warned));
        }
        self.context.guard.saw(to.size);
        Ok(())
    }

    async fn roll_back(&mut self) -> Result<(), StoreError> {
        sqlx::raw_sql("rollback").execute(&mut *self.conn).await?;
        Ok(())
    }

    async fn read_again(&mut self) -> Result<(), StoreError> {
        self.context.directory.read_again(&mut self.conn, &self.context.keyring).await
    }

    async fn check(&mut self) -> Result<bool, StoreError> {
        self.context.guard.check(&mut self.conn).await
    }

    fn abandon(self) {
        drop(self.conn.detach());
    }
}

fn member_keys(request: &Request) -> impl Iterator<Item = MemberKey> {
    request.items.iter().flat_map(|it| it.command.names()).filter_map(|name| match name {
        Name::Member(member) => Some((request.program, request.unit, member)),
        Name::House(_) => None,
    })
}

/// Members' accounts, as the requests name them.
type KnownMembers = HashMap<MemberKey, Arc<Identity>>;

/// The accounts of all members whom the requests name, so far as there are such members. It enrols those who may be;
/// they are not kept for other batches, since this one may yet be rolled back. Besides, whom a dry run would enrol.
async fn resolve_members(
    conn: &mut PgConnection,
    context: &Context,
    programs: &Programs,
    requests: &[&Request],
    keys: &[OutcomeKey],
) -> Result<(KnownMembers, BTreeSet<MemberKey>), StoreError> {
    let named = requests.iter().flat_map(|it| member_keys(it)).collect();
    let Members { mut known, strangers } = context.directory.members(named);
    if strangers.is_empty() {
        return Ok((known, BTreeSet::new()));
    }
    let found = accounts::member_accounts(conn, &context.keyring, &strangers).await?;
    context.directory.keep(&found);
    known.extend(found);
    let newcomers: Vec<(&Request, &OutcomeKey)> = requests
        .iter()
        .copied()
        .zip(keys)
        .filter(|(request, _)| enrols(programs, request))
        .filter(|(request, _)| member_keys(request).any(|it| !known.contains_key(&it)))
        .collect();
    if newcomers.is_empty() {
        return Ok((known, BTreeSet::new()));
    }
    // A request of a known key enrols nobody, nor does one ahead of the clock. Any other is decided about an account: it enrols also
    // where it is then refused, as by a limit.
    let asked: Vec<OutcomeKey> = newcomers.iter().map(|it| it.1.clone()).collect();
    let answered = remembered(conn, context, programs, &asked).await?;
    let now_us = log_head::clock_us(conn).await?;
    let (mut enrolled, mut would_be) = (BTreeSet::<MemberKey>::new(), BTreeSet::<MemberKey>::new());
    let enrolling = |it: &(&Request, &OutcomeKey)| !answered.contains_key(it.1) && !is_ahead(it.0, now_us);
    for (request, _) in newcomers.into_iter().filter(enrolling) {
        let strangers = if request.dry_run { &mut would_be } else { &mut enrolled };
        strangers.extend(member_keys(request).filter(|it| !known.contains_key(it)));
    }
    if !enrolled.is_empty() {
        accounts::enrol(conn, &context.keyring, &enrolled).await?;
        let enrolled: Vec<MemberKey> = enrolled.into_iter().collect();
        known.extend(accounts::member_accounts(conn, &context.keyring, &enrolled).await?);
    }
    would_be.retain(|it| !known.contains_key(it));
    if !would_be.is_empty() {
        let may_be = accounts::may_be_enrolled(conn, &context.keyring, &would_be).await?;
        would_be = may_be.into_iter().cloned().collect();
    }
    Ok((known, would_be))
}

async fn remembered(
    conn: &mut PgConnection,
    context: &Context,
    programs: &Programs,
    keys: &[OutcomeKey],
) -> Result<HashMap<OutcomeKey, Remembered>, StoreError> {
    outcomes::remembered(conn, &context.keyring.pepper(), keys, |it| programs.has_erased(it)).await
}

/// Whether the request enrols whom it names: events and imports do, where the program says so. A dry run of one would.
fn enrols(programs: &Programs, request: &Request) -> bool {
    let enrols = programs.program(request.program).is_some_and(|it| {
        it.strangers() == Strangers::Enrol && it.house(request.unit, &House::Issuance).is_some()
    });
    let brings = |command: &Command| matches!(command, Command::Earn { .. } | Command::Import { .. });
    enrols && request.items.iter().all(|it| brings(&it.command))
}

fn is_ahead(request: &Request, now_us: i64) -> bool {
    let ahead =
        |command: &Command| matches!(command, Command::Earn { event, .. } if ledger::is_ahead(event, now_us));
    request.items.iter().any(|it| ahead(&it.command))
}

/// What the decisions of a batch are about.
#[derive(Default)]
pub(crate) struct Scene {
    books: Books,
    /// Everyone who is brought in.
    identities: HashMap<Uuid, Arc<Identity>>,
    /// The members' accounts among them, which are locked.
    members: HashMap<i64, Arc<Identity>>,
    /// Whom a dry run would enrol, and no other request of the batch does.
    newcomers: BTreeSet<MemberKey>,
    states: Vec<State>,
    originals: HashMap<PostingKey, ledger::Original>,
    /// Each account's last entry, which its next one names.
    last: HashMap<Uuid, (u64, Hash)>,
    /// The houses that reservations and originals name.
    houses: HashSet<Uuid>,
}

impl Scene {
    async fn find_originals(
        &mut self,
        conn: &mut PgConnection,
        context: &Context,
        requests: &[&Request],
    ) -> Result<(), StoreError> {
        let named = requests.iter().flat_map(|request| {
            request.items.iter().filter_map(|it| Some((request.program, it.command.original()?)))
        });
        let wanted: Vec<PostingKey> = named.collect::<HashSet<_>>().into_iter().collect();
        if wanted.is_empty() {
            return Ok(());
        }
        for (key, found) in originals::originals(conn, &context.keyring, &wanted).await? {
            self.houses.extend(found.original.house);
            self.bring_in(found.member);
            self.originals.insert(key, found.original);
        }
        Ok(())
    }

    /// The accounts of a sweep, which knows them by their ids.
    async fn find_settled(
        &mut self,
        conn: &mut PgConnection,
        context: &Context,
        requests: &[&Request],
    ) -> Result<(), StoreError> {
        let named = requests.iter().flat_map(|it| &it.items).filter_map(|it| match it.command {
            Command::Settle { account } => Some(account),
            _ => None,
        });
        let wanted: Vec<Uuid> = named.collect();
        if wanted.is_empty() {
            return Ok(());
        }
        for identity in accounts::accounts_by_id(conn, &context.keyring, &wanted).await? {
            self.bring_in(identity);
        }
        Ok(())
    }

    fn bring_in_members(&mut self, members: KnownMembers) {
        for ((program, unit, member), identity) in members {
            self.books.name(program, unit, Name::Member(member), identity.id);
            self.bring_in(identity);
        }
    }

    fn bring_in(&mut self, identity: Arc<Identity>) {
        self.identities.insert(identity.id, identity.clone());
        if identity.kind == AccountKind::Member {
            self.members.insert(identity.account_id, identity);
        }
    }

    async fn lock_members(&mut self, conn: &mut PgConnection) -> Result<(), StoreError> {
        if !self.members.is_empty() {
            self.states = accounts::lock_balances(conn, &self.members).await?;
        }
        Ok(())
    }

    /// What may yet come back, where somebody is to leave.
    async fn read_withdrawn(
        &mut self,
        conn: &mut PgConnection,
        requests: &[&Request],
    ) -> Result<(), StoreError> {
        let leaves = |it: &Command| {
            matches!(it, Command::Merge { .. } | Command::SetStatus { status: Status::Closed, .. })
        };
        if !requests.iter().flat_map(|it| &it.items).any(|it| leaves(&it.command)) {
            return Ok(());
        }
        let numbers: Vec<i64> = self.members.keys().copied().collect();
        for (number, points) in withdrawals::withdrawn(conn, &numbers).await? {
            let id = self.members[&number].id;
            for state in self.states.iter_mut().filter(|it| it.account.id == id) {
                state.account.withdrawn = points;
            }
        }
        Ok(())
    }

    async fn read_lots(&mut self, conn: &mut PgConnection, programs: &Programs) -> Result<(), StoreError> {
        if self.states.is_empty() {
            return Ok(());
        }
        let numbers: Vec<i64> = self.members.keys().copied().collect();
        let mut by_id: HashMap<Uuid, State> =
            std::mem::take(&mut self.states).into_iter().map(|it| (it.account.id, it)).collect();
        let account = |by_id: &mut HashMap<Uuid, State>, number: i64| -> Result<Uuid, StoreError> {
            let id = self.members[&number].id;
            if by_id.contains_key(&id) {
                Ok(id)
            } else {
                Err(StoreError::Damaged(format!("account {number} has no balance")))
            }
        };
        for (number, lot, balances) in lots::open_lots(conn, &numbers).await? {
            let id = account(&mut by_id, number)?;
            by_id.get_mut(&id).expect("it is there").account.lots.insert(lot, balances);
        }
        let reserved =
            by_id.values().filter(|it| it.account.balances.held != 0 || it.account.balances.pending != 0);
        let reserved: Vec<i64> = reserved.map(|it| self.identities[&it.account.id].account_id).collect();
        if !reserved.is_empty() {
            let house = |number| Some(programs.house_numbered(number)?.id);
            for (number, posting, reservation) in lots::open_reservations(conn, &reserved, house).await? {
                let id = account(&mut by_id, number)?;
                self.houses.insert(reservation.house);
                by_id.get_mut(&id).expect("it is there").account.reservations.insert(posting, reservation);
            }
        }
        for state in by_id.into_values() {
            self.insert(state);
        }
        Ok(())
    }

    async fn read_reversed(
        &mut self,
        conn: &mut PgConnection,
        requests: &[&Request],
    ) -> Result<(), StoreError> {
        let undone = requests.iter().flat_map(|request| {
            let undoes = |it: &Command| matches!(it, Command::Reverse { .. } | Command::Cancel { .. });
            let undoing = request.items.iter().filter(move |it| undoes(&it.command));
            undoing.filter_map(|it| Some((request.program, it.command.original()?)))
        });
        let keys: Vec<PostingKey> = undone.filter(|it| self.originals.contains_key(it)).collect();
        if !keys.is_empty() {
            for (key, points) in originals::reversed(conn, &keys).await? {
                self.originals.get_mut(&key).expect("it was asked for").reversed = points;
            }
        }
        for ((program, id), original) in std::mem::take(&mut self.originals) {
            self.books.recall(program, id, original);
        }
        Ok(())
    }

    /// The house accounts that the requests name or may touch.
    fn houses(
        &mut self,
        programs: &Programs,
        requests: &[&Request],
    ) -> Result<HashMap<i64, Arc<Identity>>, StoreError> {
        let mut wanted = HashMap::new();
        let mut want = |identity: &Arc<Identity>| {
            wanted.insert(identity.account_id, identity.clone());
        };
        let units: BTreeSet<u16> =
            self.identities.values().map(|it| it.unit).chain(requests.iter().map(|it| it.unit)).collect();
        for request in requests {
            let settled = programs.program(request.program).expect("the programs were looked at first");
            let named = request.items.iter().flat_map(|it| it.command.names());
            let named = named.filter_map(|it| if let Name::House(house) = it { Some(house) } else { None });
            for house in named {
                if let Some(identity) = settled.house(request.unit, &house) {
                    self.books.name(request.program, request.unit, Name::House(house), identity.id);
                    want(identity);
                }
            }
            // Whatever is asked, something may have expired.
            for unit in &units {
                if let Some(identity) = settled.house(*unit, &House::Breakage) {
                    self.books.name(request.program, *unit, Name::House(House::Breakage), identity.id);
                    want(identity);
                }
            }
        }
        for id in &self.houses {
            let identity = programs.house(*id);
            want(identity.ok_or_else(|| StoreError::Damaged(format!("there is no house account {id}")))?);
        }
        Ok(wanted)
    }

    fn state(&self, id: Uuid) -> State {
        State { account: self.books.account(id).clone(), last: self.last.get(&id).copied() }
    }

    fn insert(&mut self, state: State) {
        if let Some(last) = state.last {
            self.last.insert(state.account.id, last);
        }
        self.books.insert(state.account);
    }

    /// Whom this dry run would enrol, each with a fresh account. They are to be forgotten once it is decided: no other
    /// request knows them, and nothing of them is written.
    fn bring_in_newcomers(&mut self, programs: &Programs, request: &Request) -> BTreeSet<MemberKey> {
        if !request.dry_run || !enrols(programs, request) {
            return BTreeSet::new();
        }
        let newcomers: BTreeSet<MemberKey> =
            member_keys(request).filter(|it| self.newcomers.contains(it)).collect();
        for (program, unit, member) in newcomers.iter().cloned() {
            let account = Account::new(Uuid::new_v4(), AccountKind::Member, unit);
            self.books.name(program, unit, Name::Member(member), account.id);
            self.books.insert(account);
        }
        newcomers
    }
}

/// A batch under its locks.
struct Batch<'a> {
    programs: &'a Programs,
    scene: Scene,
    rows: Rows,
    now_us: i64,
    next_leaf: u64,
    /// The lots that moved.
    moved: BTreeSet<(Uuid, Lot)>,
    /// The reservations that were begun, changed or ended, with their accounts.
    reserved: HashMap<Uuid, Uuid>,
}

impl Batch<'_> {
    fn answer(
        &mut self,
        request: &Request,
        key: OutcomeKey,
        known: &mut HashMap<OutcomeKey, Remembered>,
    ) -> Answer {
        let log_size = self.next_leaf;
        let (outcome, replayed) = match known.get(&key) {
            Some(it) => {
                let fingerprint = request.fingerprint();
                if it.fingerprint.is_of(&fingerprint) {
                    (it.outcome.clone(), true)
                } else {
                    let differs = it.fingerprint.differences(&fingerprint).in_words_of(request);
                    (Err(Refused { item: 0, refusal: Refusal::KeyReused { differs } }), false)
                }
            }
            None => {
                let outcome = self.decide(request);
                if is_kept(request, &outcome) {
                    let fingerprint = request.fingerprint();
                    let number = |it: &Accepted| self.scene.identities[&it.account].account_id;
                    self.rows.remember(request, &fingerprint, &outcome, self.now_us, number);
                    known.insert(key, Remembered { fingerprint, outcome: outcome.clone() });
                }
                (outcome, false)
            }
        };
        Answer { outcome, replayed, recorded_at_us: self.now_us, log_size }
    }

    fn decide(&mut self, request: &Request) -> Result<Vec<Accepted>, Refused> {
        let settled = self.programs.program(request.program).expect("the programs were looked at first");
        if settled.house(request.unit, &House::Issuance).is_none() {
            return Err(Refused { item: 0, refusal: Refusal::UnitUnknown });
        }
        let (recorded_us, now) = (self.now_us, settled.terms.moment(self.now_us));
        let newcomers = self.scene.bring_in_newcomers(self.programs, request);
        let decision = self.scene.books.decide(request, &settled.terms, now);
        for (program, unit, member) in newcomers {
            self.scene.books.forget(program, unit, Name::Member(member));
        }
        let first = self.next_leaf;
        if !request.dry_run {
            for posting in &decision.postings {
                self.post(request, settled, posting);
            }
        }
        let accepted = |done: ledger::Done| {
            let posting = decision.postings.get(done.posting);
            let entry =
                posting.and_then(|it| it.entries().iter().find(|entry| entry.account == done.account));
            let item = posting.and_then(|it| it.item).map(|at| &request.items[at]);
            let rate = posting
                .zip(item)
                .and_then(|(it, item)| item.rate(&settled.terms, it.effective_at_us.min(recorded_us)));
            Accepted {
                posting_id: posting.map(|it| it.id).unwrap_or_default(),
                leaf_index: first + done.posting as u64,
                points: done.points,
                account: done.account,
                after: entry.map(|it| it.after).unwrap_or_default(),
                version: entry.map_or(0, |it| it.sequence),
                lots: entry.map(|it| it.lots.clone()).unwrap_or_default(),
                rate,
            }
        };
        decision.result.map(|done| done.into_iter().map(accepted).collect())
    }

    /// Gives the posting its leaf: commitments of all parts, and the rows that say the same.
    fn post(&mut self, request: &Request, settled: &Settled, posting: &Posting) {
        let leaf_index = self.next_leaf;
        self.next_leaf += 1;
        let item = posting.item.map(|at| &request.items[at]);
        // Where a sandbox's clock was moved, what is decided now has not come in the log's.
        let effective_at_us = posting.effective_at_us.min(self.now_us);
        let secret = &settled.program.secret;
        let posting_id = posting.id.into_bytes();
        let salt_of = |part| salt(secret, &posting_id, part);
        let (rule_set_hash, event_hash) = match item.map(|it| &it.command) {
            Some(Command::Earn { rule_set_hash, payload, .. }) => {
                (*rule_set_hash, proof::event_hash(&salt_of(SaltPart::Event), payload))
            }
            _ => Default::default(),
        };
        let header = Header {
            posting_id,
            posting_kind: posting.kind(),
            program: settled.program.id.into_bytes(),
            recorded_at_us: self.now_us,
            effective_at_us,
            rule_set_hash,
            event_hash,
            reverses: posting.reverses.unwrap_or_default().into_bytes(),
        };
        let details =
            item.map(|it| it.told(posting.kind(), &settled.terms, effective_at_us)).unwrap_or_default();
        let body = posting.withdrawal.clone().map(Body::Withdrawal);
        let kind = if body.is_some() { LeafKind::Withdrawal } else { LeafKind::Posting };
        let mut commitments = Commitments {
            header: header.commitment(&salt_of(SaltPart::Header)),
            details: details.commitment(&salt_of(SaltPart::Details)),
            body: body.as_ref().map(|it| it.commitment(&salt_of(SaltPart::Body))),
            entries: Vec::with_capacity(posting.entries().len()),
        };
        for (ordinal, entry) in posting.entries().iter().enumerate() {
            let identity = &self.scene.identities[&entry.account];
            let lots = LotMovement::encode_all(&entry.lots);
            let last = self.scene.last.get(&entry.account);
            let leaf_entry = proof::Entry {
                account: entry.account.into_bytes(),
                unit: entry.unit,
                sequence: entry.sequence,
                change: entry.change,
                after: entry.after,
                lots_digest: lots_digest(&lots),
                previous_leaf_index: last.map_or(NO_LEAF, |it| it.0),
                previous_commitment: last.map_or(Hash::default(), |it| it.1),
            };
            let commitment = leaf_entry.commitment(&salt(&identity.secret, &posting_id, SaltPart::Entry));
            self.rows.entry(leaf_index, ordinal, identity.account_id, &leaf_entry, lots, &commitment);
            self.moved
                .extend(entry.lots.iter().filter_map(|it| Some((entry.account, Lot::from_id(&it.lot)?))));
            self.scene.last.insert(entry.account, (leaf_index, commitment));
            commitments.entries.push(commitment);
        }
        self.rows.leaf(leaf_index, kind, &commitments.commitment());
        self.rows.posting(leaf_index, request.program, &header, &details, &commitments, posting);
        // What had merely fallen due is nobody's wish.
        if request.hurried && item.is_some() {
            self.rows.hurry(leaf_index);
        }
        if let Some(Command::Earn { payload, remainder, .. }) = item.map(|it| &it.command) {
            self.rows.event(leaf_index, payload, remainder);
        }
        let begun = [PostingKind::HOLD, PostingKind::EARN].contains(&posting.kind()).then_some(posting.id);
        let ended = posting.reverses.filter(|_| posting.kind() == PostingKind::CANCEL);
        let reservations = begun.into_iter().chain(ended).chain(posting.follows);
        for entry in posting.entries().iter().filter(|it| it.change.held != 0 || it.change.pending != 0) {
            self.reserved.extend(reservations.clone().map(|it| (it, entry.account)));
        }
        if let (PostingKind::EXTEND, Some(hold), [entry]) =
            (posting.kind(), posting.follows, posting.entries())
        {
            self.reserved.insert(hold, entry.account);
        }
    }

    /// Everything that the decisions changed, as it stands after the last of them.
    fn take_changes(&mut self) {
        let books = &self.scene.books;
        for account in books.changed() {
            let identity = &self.scene.identities[&account.id];
            self.rows.balance(identity.account_id, account, self.scene.last.get(&account.id));
        }
        for (id, lot) in &self.moved {
            self.rows.lots.push(self.scene.identities[id].account_id, lot, books.account(*id).lots.get(lot));
        }
        for (posting, id) in &self.reserved {
            let open = match books.account(*id).reservations.get(posting) {
                Some(reservation) => {
                    let house = &self.scene.identities[&reservation.house];
                    Some((self.scene.identities[id].account_id, house.account_id, reservation.clone()))
                }
                None => None,
            };
            self.rows.reservations.insert(*posting, open);
        }
    }
}

/// Whether an outcome is kept with its key: not of what nobody asked for or only asked about, and not where it is
/// decided anew each time. What the bridge is refused an operator mends, and the bridge asks again. An earning of somebody
/// unknown may be had once they are enrolled, whatever the policy said of strangers when it was asked for first.
fn is_kept(request: &Request, outcome: &Result<Vec<Accepted>, Refused>) -> bool {
    let settles = request.items.iter().all(|it| matches!(it.command, Command::Settle { .. }));
    let is_strange = matches!(outcome, Err(Refused { refusal: Refusal::MemberUnknown, .. }))
        && request.items.iter().all(|it| matches!(it.command, Command::Earn { .. }));
    let asks_again = request.source == BRIDGE_SOURCE;
    let remembered = outcome.as_ref().map_or_else(|it| !asks_again && it.refusal.row().is_some(), |_| true);
    remembered && !request.dry_run && !settles && !is_strange
}
