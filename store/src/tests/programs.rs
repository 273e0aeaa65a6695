//! Random programs against the store as it is: waves of requests to several committers at once, and the model, which
//! knows of no SQL and no batch, must come to the same. `history.rs` replays what was answered in leaf order.

mod history;

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::thread;
use std::time::Instant;

use futures::future::join_all;
use ledger::{Command, Flow, House, Item, Name, Policy, Request, Terms};
use model::{Generator, RULES, Random, gateway, gateway_terms, houses, member, random_policy};
use proof::Details;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::runtime::Runtime;
use uuid::Uuid;

use self::history::History;
use super::fixture::{Fixture, keyring};
use crate::accounts::{self, State};
use crate::balances;
use crate::directory::{Directory, Identity, MemberKey};
use crate::readers::Readers;
use crate::{log_head, lots, *};

const SEEDS: Range<u64> = 0..200;
const WAVES: usize = 10;
const WAVE: usize = 500;
const MEMBERS: u64 = 12;
const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 24 * 60 * MINUTE_US;

/// One seed's program in the books and in the model.
struct Run<'a> {
    pool: &'a PgPool,
    committers: Vec<&'a Committer>,
    program: i16,
    policy: Policy,
    terms: Terms,
    gateway: GatewayAt,
    accounts: HashMap<i64, std::sync::Arc<Identity>>,
    members: Vec<Uuid>,
    random: Random,
    generator: Generator,
    history: History,
    /// What was asked, by however late a caller asks again.
    asked: Vec<Request>,
}

impl<'a> Run<'a> {
    async fn open(pool: &'a PgPool, committers: &'a [Committer], seed: u64) -> Self {
        let mut conn = pool.acquire().await.unwrap();
        let spec = ProgramSpec {
            name: format!("seed {seed}"),
            enrols: false,
            point_value: "1".to_owned(),
            currency: "KES".to_owned(),
            rule_set: RULES.to_vec(),
        };
        let program = ensure_program(&mut conn, &keyring(), &spec).await.unwrap().program_id;
        let mut random = Random::new(seed);
        let policy = random_policy(&mut random);
        let count = 2 + usize::from(random.one_in(3));
        let mut run = Self {
            pool,
            committers: committers.iter().take(count).collect(),
            program,
            terms: Terms::new(policy.clone()).unwrap(),
            gateway: GatewayAt { chain_id: 137, contract: gateway(seed) },
            policy,
            accounts: HashMap::new(),
            members: vec![],
            random,
            generator: Generator::new(seed, MEMBERS),
            history: History::default(),
            asked: vec![],
        };
        let terms = ledger::Gateway { token: gateway(!seed), ..gateway_terms() };
        let facts = GatewayFacts { program_id: program, terms, first_block: 1 };
        ensure_gateway(&mut conn, &run.gateway, &facts).await.unwrap();
        run.terms.gateways.insert((run.gateway.chain_id, run.gateway.contract), terms);
        run.open_accounts(&mut conn).await;
        run.settle_policy(&mut conn).await;
        run
    }

    async fn open_accounts(&mut self, conn: &mut PgConnection) {
        let program = self.program;
        for (house, fund, merchant) in houses() {
            if let House::Settlement(partner) = &house {
                ensure_partner(conn, &keyring(), program, partner).await.unwrap();
            }
            if let (House::Fund(name), Some(fund)) = (house, fund) {
                let (funder, merchant) = ("sponsor".to_owned(), merchant.map(str::to_owned));
                let spec = FundSpec { name, funder, merchant, budgeted: fund.budgeted };
                ensure_fund(conn, &keyring(), program, &spec).await.unwrap();
            }
        }
        let directory = Directory::read(conn, &keyring()).await.unwrap();
        for (house, fund, merchant) in houses() {
            let identity = directory.programs().program(program).unwrap().house(1, &house).unwrap().clone();
            self.history.model.open(program, 1, Name::House(house), identity.id, fund);
            self.accounts.insert(identity.account_id, identity);
            let restricted = fund.zip(merchant).map(|(fund, it)| (fund.number, it.to_owned()));
            self.terms.merchants.extend(restricted);
        }
        let keys: BTreeSet<MemberKey> = (0..MEMBERS).map(|it| (program, 1, member(it))).collect();
        accounts::enrol(conn, &keyring(), &keys).await.unwrap();
        let keys: Vec<MemberKey> = keys.into_iter().collect();
        for ((_, unit, name), identity) in accounts::member_accounts(conn, &keyring(), &keys).await.unwrap() {
            self.history.model.open(program, unit, Name::Member(name), identity.id, None);
            self.members.push(identity.id);
            self.accounts.insert(identity.account_id, identity);
        }
        self.members.sort();
    }

    async fn settle_policy(&self, conn: &mut PgConnection) {
        let document = serde_json::to_vec(&self.policy).unwrap();
        add_policy(conn, self.program, &document).await.unwrap();
    }

    /// Time passes, and sometimes the operator settles something.
    async fn pass_time(&mut self) -> i64 {
        let mut conn = self.pool.acquire().await.unwrap();
        let longest_us =
            self.random.of(&[0, MINUTE_US, 60 * MINUTE_US, 60 * MINUTE_US, DAY_US, 2 * DAY_US, 40 * DAY_US]);
        let jump_us = self.random.below(longest_us as u64 + 1) as i64;
        // Recorded time never goes back: where the last one is ahead of the clock, it is the time.
        let now_us: i64 = sqlx::query_scalar(
            "update log_head
             set recorded_at = $1 + greatest(recorded_at, (extract(epoch from clock_timestamp()) * 1000000)::bigint)
             returning recorded_at",
        )
        .bind(jump_us)
        .fetch_one(&mut *conn)
        .await
        .unwrap();
        self.show_claims(&mut conn, now_us).await;
        if self.random.one_in(6) {
            let policy = random_policy(&mut self.random);
            self.policy = Policy { time_zone: self.policy.time_zone.clone(), ..policy };
            let before = std::mem::replace(&mut self.terms, Terms::new(self.policy.clone()).unwrap());
            self.terms.merchants = before.merchants;
            self.terms.gateways = before.gateways;
            self.terms.closed_before_us = before.closed_before_us;
            self.settle_policy(&mut conn).await;
        }
        if self.random.one_in(6) {
            // `close_period` goes by the clock, of which the books' time is ahead here.
            self.terms.closed_before_us = now_us - DAY_US;
            let mut transaction = conn.begin().await.unwrap();
            let first_leaf_index = log_head::raise_epoch(&mut transaction).await.unwrap();
            sqlx::query(
                "insert into period_close (program_id, closed_before, actor, first_leaf_index)
                 values ($1, $2, 'asha', $3)
                 on conflict do nothing",
            )
            .bind(self.program)
            .bind(self.terms.closed_before_us)
            .bind(first_leaf_index)
            .execute(&mut *transaction)
            .await
            .unwrap();
            transaction.commit().await.unwrap();
        }
        now_us
    }

    /// The chain shows what was claimed until a day ago: of what earlier waves withdrew, some.
    async fn show_claims(&mut self, conn: &mut PgConnection, now_us: i64) {
        let at = self.gateway;
        let known = gateway_state(conn, &at).await.unwrap().expect("it was made known");
        let known_until = (now_us / 1_000_000) as u64 - 24 * 3600;
        let paid = |withdrawal_id| PaidClaim {
            withdrawal_id,
            holder: [2; 20],
            minted: vec![(1, 1)],
            lapsed: 0,
            block: 1,
            transaction: [0; 32],
        };
        let claims = self.history.model.pay().into_iter().map(paid).collect();
        let events = GatewayEvents {
            block: known.block + 1,
            block_hash: [7; 32],
            time_s: known_until,
            claims,
            ..GatewayEvents::default()
        };
        assert!(record_gateway_events(conn, &at, known.block, &events).await.unwrap());
        self.history.model.chains.known_until = known_until;
    }

    /// What a wave asks: new requests, sweeps, and earlier requests again, with what they asked or with something else.
    fn requests(&mut self, now_us: i64, size: usize) -> Vec<Request> {
        let mut requests = self.generator.wave(self.terms.moment(now_us), size);
        for at in 0..requests.len() {
            requests[at].program = self.program;
            if self.random.one_in(20) {
                let command = Command::Settle { account: self.random.of(&self.members) };
                let details = Details::default();
                requests[at].items = vec![Item { posting_id: Uuid::nil(), command, details }];
            } else if self.random.one_in(20) {
                requests[at].expected_version = self.version(&requests[at]);
            }
            if at != 0 && self.random.one_in(12) {
                let earlier = if self.asked.is_empty() || self.random.one_in(2) {
                    requests[self.random.below(at as u64) as usize].clone()
                } else {
                    self.random.of(&self.asked)
                };
                if self.random.one_in(3) {
                    requests[at].key = earlier.key;
                } else {
                    requests[at] = earlier;
                }
            }
        }
        self.asked.extend(requests.iter().cloned());
        requests
    }

    /// The version of whom a request names first, or one that they may have soon.
    fn version(&mut self, request: &Request) -> Option<u64> {
        let name = request.items.first()?.command.names().into_iter().next()?;
        let model = &self.history.model;
        let account = model.named(self.program, 1, &name)?;
        let version = model.members().get(&account)?.version;
        Some(version + self.random.below(60))
    }

    async fn wave(&mut self, size: usize) {
        let now_us = self.pass_time().await;
        let requests = self.requests(now_us, size);
        let mut conn = self.pool.acquire().await.unwrap();
        let begin = log_size(&mut conn).await.unwrap();
        let mut submits = vec![];
        for request in &requests {
            submits.push(self.random.of(&self.committers).submit(request.clone()));
        }
        let answers: Vec<Answer> = join_all(submits).await.into_iter().map(Result::unwrap).collect();
        let leaves = history::leaves_from(&mut conn, begin).await;
        for (request, answer) in requests.iter().zip(&answers) {
            if answer.outcome.is_err() {
                self.generator.refused(request);
            }
        }
        let asked: Vec<(Request, Answer)> = requests.into_iter().zip(answers).collect();
        self.history.take(&asked, &leaves, begin, &self.terms);
    }

    /// What is remembered of the members' balances is what one reads anew.
    async fn check_remembered(&self, readers: &Readers) {
        let keys: Vec<MemberKey> = (0..MEMBERS).map(|it| (self.program, 1, member(it))).collect();
        let remembered = join_all(keys.iter().map(|it| readers.read(it.clone()))).await;
        let anew = balances::read(&mut self.pool.acquire().await.unwrap(), &keys).await.unwrap();
        for (remembered, anew) in remembered.into_iter().zip(anew) {
            let (mut remembered, anew) = (remembered.unwrap().unwrap(), anew.unwrap());
            // Its place among what was asked, and the instant, are another.
            remembered.ordinal = anew.ordinal;
            remembered.as_of.now_us = anew.as_of.now_us;
            assert_eq!(remembered, anew, "{}", self.history.label);
        }
    }

    /// Every account as the tables have it is as the model has it.
    async fn check_accounts(&self) {
        let mut conn = self.pool.acquire().await.unwrap();
        let numbers: Vec<i64> = self.accounts.keys().copied().collect();
        let house = |number| Some(self.accounts.get(&number)?.id);
        let mut accounts: HashMap<i64, ledger::Account> = HashMap::new();
        for State { account, .. } in accounts::read_balances(&mut conn, &self.accounts).await.unwrap() {
            let number = *self.accounts.iter().find(|it| it.1.id == account.id).unwrap().0;
            accounts.insert(number, account);
        }
        for (number, lot, balances) in lots::open_lots(&mut conn, &numbers).await.unwrap() {
            accounts.get_mut(&number).unwrap().lots.insert(lot, balances);
        }
        for (number, id, it) in lots::open_reservations(&mut conn, &numbers, house).await.unwrap() {
            accounts.get_mut(&number).unwrap().reservations.insert(id, it);
        }
        let last_us: i64 =
            sqlx::query_scalar("select recorded_at from log_head").fetch_one(&mut *conn).await.unwrap();
        let today = self.terms.moment(last_us).day;
        assert_eq!(accounts.len(), self.accounts.len(), "every account has a balance");
        for account in accounts.values() {
            let flows = [Flow::Earn, Flow::Redeem, Flow::Transfer];
            let used = flows.map(|it| account.used.on(today).of(it)).map(|it| (it.day, it.month));
            let id = account.id;
            if let Some(house) = self.history.model.houses().get(&id) {
                let have = (i128::from(account.balances.available), account.sequence);
                assert_eq!(have, (house.points, house.version), "{:?}", account.kind);
                assert_eq!(used, flows.map(|it| house.flowed(it, today)), "what {:?} has used", account.kind);
                continue;
            }
            let member = &self.history.model.members()[&id];
            assert_eq!(account.balances, member.balances(), "the balances of {id}");
            assert_eq!(account.lots, member.lots(), "the lots of {id}");
            assert_eq!(account.reservations, member.reservations(), "the reservations of {id}");
            assert_eq!(used, flows.map(|it| member.flowed(it, today)), "what {id} has used");
            let have = (account.sequence, account.status, account.active_day);
            assert_eq!(have, (member.version, member.status, member.active_day), "{id}");
        }
    }
}

/// Which seeds are run: those of `PROGRAM_SEEDS`, such as `0..8`, else enough for a million requests.
fn seeds() -> Range<u64> {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch, read nowhere else")]
    let given = std::env::var("PROGRAM_SEEDS").ok();
    let Some(given) = given else { return SEEDS };
    let (first, end) = given.split_once("..").expect("PROGRAM_SEEDS is as 0..8");
    first.parse().expect("a number")..end.parse().expect("a number")
}

/// Whatever several committers make of requests that arrive at once, is what the model makes of them one after the other,
/// in the order of the log. Each core, up to eight, plays its share of the seeds on books of its own.
#[test]
fn random_programs_run_on_several_committers_as_one_after_the_other() {
    let cores = thread::available_parallelism().map_or(1, usize::from).min(8);
    let shares: Vec<Vec<u64>> = (0..cores).map(|it| seeds().skip(it).step_by(cores).collect()).collect();
    let played = thread::scope(|scope| {
        let shares = shares.into_iter().filter(|it| !it.is_empty());
        let playing: Vec<_> =
            shares.map(|it| scope.spawn(move || Runtime::new().unwrap().block_on(play(it)))).collect();
        playing.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>()
    });
    let mut seen = history::Seen::default();
    played.into_iter().for_each(|it| seen.add(it));
    eprintln!("{seen:?}");
    // Fewer may not come by everything.
    if 6 <= seeds().count() {
        seen.check();
    }
}

/// A few requests at a time: what they change is forgotten, and the rest is remembered.
#[tokio::test]
async fn a_balance_that_is_remembered_is_as_it_stands() {
    let books = Fixture::new().await;
    let committers = [books.committer.clone()];
    let readers = Readers::start(books.pool.clone());
    for seed in 0..4 {
        let mut run = Run::open(&books.pool, &committers, seed).await;
        for wave in 0..100 {
            run.history.label = format!("seed {seed}, wave {wave} of {:?}", run.policy);
            run.wave(3).await;
            run.check_remembered(&readers).await;
        }
    }
}

async fn play(seeds: Vec<u64>) -> history::Seen {
    let books = Fixture::new().await;
    let mut committers = vec![books.committer.clone()];
    for batch_max in [40, 1000] {
        let (pool, log) = (books.pool.clone(), &books.log);
        let started = Committer::start_with_batches_of(batch_max, pool, log, keyring()).await;
        committers.push(started.unwrap().0);
    }
    let (began, mut seen) = (Instant::now(), history::Seen::default());
    for seed in &seeds {
        let mut run = Run::open(&books.pool, &committers, *seed).await;
        for wave in 0..WAVES {
            run.history.label = format!("seed {seed}, wave {wave} of {:?}", run.policy);
            run.wave(WAVE).await;
        }
        run.check_accounts().await;
        seen.add(run.history.seen);
    }
    eprintln!("{} seeds in {:?}", seeds.len(), began.elapsed());
    let report = books.check_books().await;
    eprintln!("{} leaves checked after {:?}", report.leaves, began.elapsed());
    seen
}
