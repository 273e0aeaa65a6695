//! PostgreSQL is away, slow, silent and full, under redemptions that are under way. Each answer is final or says that it is
//! not, asking again with the same key gives the truth, and the API comes back by itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use devstack::{Fate, Passing, Postgres, PostgresConfig, Scratch, Watch, Wire, test_postgres_config};
use futures::stream::{self, StreamExt};
use journeys::{
    Api, Process, Reply, System, answer_of, check_books, daftari, eventually, lasting_port, part,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::purchase;
use crate::roles::{API_KEY, ORIGIN, PARTNER, WRAPPING_KEY, provision, secret_file, text};

const MEMBER: &str = "3e0f9a52-6c1d-4b7e-8f24-91d5c7a0b306";
const EARNED: i64 = 10_000_000;
const CALLERS: usize = 16;
/// Fewer than there would be room for are the API's.
const CONNECTIONS: u32 = 60;
/// How soon every caller is answered once a fault is over: their own second of patience, the longest wait for a connection, and
/// a machine that does much else.
const BACK_TIME_MAX: Duration = Duration::from_secs(60);

#[tokio::test]
async fn postgresql_fails_in_every_way_and_nothing_is_lost_or_doubled() {
    let mut world = World::start().await;
    let earned = world.api.event(&purchase("grant", MEMBER, 10 * EARNED)).await;
    assert_eq!(earned.body["points"], EARNED, "{}", earned.text);
    let load = Load::start(&world.api);
    load.all_are_answered().await;

    world.is_stopped_and_started(&load).await;
    world.is_slow(&load).await;
    world.is_still(&load).await;
    world.is_mute(&load).await;
    world.is_full(&load).await;

    let redeemed = load.finish().await;
    for it in &redeemed {
        // Whoever was not told twice was told the first time.
        assert!(it.refusals != 0 || !it.reply.replayed, "{}: {}", it.key, it.reply.text);
    }
    let persisted = redeemed.iter().filter(|it| it.reply.replayed).count();
    assert!(persisted != 0, "a commit whose answer was lost stands, and is told when it is asked for again");
    world.has_each_once(redeemed).await;
}

/// The API on a PostgreSQL, and the wire between them.
struct World {
    process: Process,
    api: Api,
    sky: Arc<Sky>,
    wire: Wire,
    settings: PostgresConfig,
    postgres: Option<Postgres>,
    // Dropped last: everything above has its files in it.
    folder: Scratch,
}

impl World {
    async fn start() -> Self {
        let folder = System::folder();
        let mut settings = test_postgres_config(folder.path());
        settings.settings.push(("max_connections".to_owned(), CONNECTIONS.to_string()));
        let starting = settings.clone();
        let postgres = part(move || Postgres::start(&starting)).await;
        let wrapping_key = secret_file(folder.path(), "wrapping.key", WRAPPING_KEY);
        let mut migrate = daftari();
        migrate.args(["migrate", "--database-url", &postgres.url("postgres"), "--origin", ORIGIN]);
        migrate.arg("--wrapping-key-file").arg(&wrapping_key);
        migrate.arg("--log-key-file").arg(folder.path().join("log.key"));
        answer_of(migrate).await.expect(0);
        provision(&postgres.url("postgres")).await;

        let sky = Arc::new(Sky::default());
        let wire = Wire::start(postgres.port(), sky.watch()).expect("a port is free");
        let listen = format!("127.0.0.1:{}", lasting_port());
        let mut command = daftari();
        command.args(["--log-format", "json", "api", "--listen", &listen]);
        command.args(["--database-url", &postgres.url_through(&wire, "postgres")]);
        command.arg("--wrapping-key-file").arg(&wrapping_key);
        let process = Process::start(command, &folder.path().join("api.log"));
        let api = Api::new(&format!("http://{listen}"), API_KEY, PARTNER);
        let asking = &api;
        eventually("the API is ready", async || {
            asking.try_ask(reqwest::Method::GET, "/health/ready", &[], None).await.ok().filter(is_ready)
        })
        .await;
        Self { process, api, sky, wire, settings, postgres: Some(postgres), folder }
    }

    fn postgres(&self) -> &Postgres {
        self.postgres.as_ref().expect("it runs")
    }

    /// It is stopped as an operator stops it, and started again elsewhere.
    async fn is_stopped_and_started(&mut self, load: &Load) {
        let postgres = self.postgres.take().expect("it runs");
        part(move || postgres.stop()).await;
        load.all_are_refused().await;
        let ready = self.api.get("/health/ready").await;
        assert_eq!((ready.status, ready.retry_after), (503, Some(1)), "{}", ready.text);
        assert_eq!(self.api.get("/health/live").await.status, 200, "the process itself is well");
        let settings = self.settings.clone();
        let postgres = part(move || Postgres::start(&settings)).await;
        self.wire.lead_to(postgres.port());
        self.postgres = Some(postgres);
        self.is_back(load).await;
    }

    /// Each statement takes longer: everybody waits, and nobody is refused.
    async fn is_slow(&self, load: &Load) {
        let before = load.refusals();
        self.sky.set(Weather::Slow(Duration::from_millis(30)));
        load.all_are_answered().await;
        assert_eq!(load.refusals(), before, "slow is not away");
        self.sky.set(Weather::Clear);
        self.is_back(load).await;
    }

    /// No statement arrives. PostgreSQL ends whoever is silent within a transaction.
    async fn is_still(&self, load: &Load) {
        self.sky.set(Weather::Still);
        load.all_are_refused().await;
        self.sky.set(Weather::Clear);
        self.is_back(load).await;
    }

    /// What is committed is not told: only readiness can say that commits hang, since all else is answered.
    async fn is_mute(&self, load: &Load) {
        self.sky.set(Weather::Mute);
        let (api, sky) = (&self.api, &self.sky);
        eventually("a batch is committed", async || (sky.unheard() != 0).then_some(())).await;
        let told = eventually("readiness tells of it", async || {
            let told = api.get("/health/ready").await;
            Some(told).filter(|it| it.text.contains("A commit has waited for PostgreSQL"))
        })
        .await;
        assert_eq!((told.status, told.retry_after), (503, Some(1)), "{}", told.text);
        load.all_are_refused().await;
        self.sky.set(Weather::Clear);
        self.is_back(load).await;
    }

    /// Others have all of its connections.
    async fn is_full(&self, load: &Load) {
        self.wire.cut();
        let others = store::connect(&self.postgres().url("postgres"), CONNECTIONS).await;
        let others = others.expect("the API has not all of them");
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            // The last of them as soon as PostgreSQL has seen that the API's have ended.
            held.push(others.acquire().await.expect("there is one more"));
        }
        self.wire.lead_to(self.postgres().port());
        load.all_are_refused().await;
        assert_eq!(self.api.get("/health/ready").await.status, 503);
        drop(held);
        others.close().await;
        self.is_back(load).await;
    }

    /// Nobody has done anything for it: everyone is answered soon, and the API is ready.
    async fn is_back(&self, load: &Load) {
        let begun = Instant::now();
        load.all_are_answered().await;
        assert!(begun.elapsed() < BACK_TIME_MAX, "it took {:?} to come back", begun.elapsed());
        let api = &self.api;
        eventually("the API is ready", async || Some(api.get("/health/ready").await).filter(is_ready)).await;
    }

    /// Holds what was answered against the books.
    async fn has_each_once(self, redeemed: Vec<Redeemed>) {
        let Self { process, api, wire, postgres, folder, .. } = self;
        let again: Vec<Reply> = stream::iter(&redeemed)
            .map(|it| api.redeem(MEMBER, it.key, it.points))
            .buffered(CALLERS)
            .collect()
            .await;
        for (first, again) in redeemed.iter().zip(again) {
            assert_eq!((200, &first.reply.text, true), (again.status, &again.text, again.replayed));
        }
        let spent: i64 = redeemed.iter().map(|it| it.points).sum();
        assert_eq!(api.balance(MEMBER).await, Some(EARNED - spent));
        assert_eq!(process.end_with("TERM").await, Some(0));
        drop(wire);

        let postgres = postgres.expect("it runs");
        let url = postgres.url("postgres");
        assert_eq!(check_books(&url).await.leaves as usize, 1 + redeemed.len(), "each key stands once");
        let wrapping_key = folder.path().join("wrapping.key");
        let words = ["books", "check", "--database-url", &url, "--wrapping-key-file", text(&wrapping_key)];
        let checked = System::run(&words).await.expect(0);
        assert!(checked.stdout.starts_with("The books are right: "), "{checked:#?}");
        part(move || postgres.stop()).await;
    }
}

fn is_ready(reply: &Reply) -> bool {
    reply.status == 200
}

/// What becomes of what passes between the API and PostgreSQL.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Weather {
    #[default]
    Clear,
    /// Each statement arrives so much later.
    Slow(Duration),
    /// No statement arrives until the weather changes.
    Still,
    /// Nobody is told that something is committed until the weather changes.
    Mute,
}

#[derive(Default)]
struct Sky {
    weather: Mutex<(Weather, usize)>,
    changed: Condvar,
}

impl Sky {
    fn watch(self: &Arc<Self>) -> Watch {
        let sky = Arc::clone(self);
        Arc::new(move |passing| {
            sky.pass(passing);
            Fate::Pass
        })
    }

    fn set(&self, weather: Weather) {
        *self.state() = (weather, 0);
        self.changed.notify_all();
    }

    /// How many batches were sent to be committed in this weather, whose answers nobody hears.
    fn unheard(&self) -> usize {
        self.state().1
    }

    fn pass(&self, passing: Passing<'_>) {
        let mut state = self.state();
        let weather = state.0;
        let is_same = |it: &mut (Weather, usize)| it.0 == weather;
        match (weather, passing) {
            (Weather::Slow(time), Passing::Statement(_)) => {
                drop(self.changed.wait_timeout_while(state, time, is_same).expect("no watch panics"));
            }
            (Weather::Still, Passing::Statement(_)) | (Weather::Mute, Passing::Done("COMMIT")) => {
                drop(self.changed.wait_while(state, is_same).expect("no watch panics"));
            }
            // As batches are committed, and nothing else is.
            (Weather::Mute, Passing::Statement(text)) if text.ends_with("; commit") => state.1 += 1,
            _ => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, (Weather, usize)> {
        self.weather.lock().expect("no watch panics")
    }
}

/// A redemption that has its final answer.
struct Redeemed {
    key: Uuid,
    points: i64,
    /// How often it was said before that nobody knows.
    refusals: usize,
    reply: Reply,
}

/// How often a caller had a final answer, and how often another.
#[derive(Clone, Copy, Default)]
struct Seen {
    answers: usize,
    refusals: usize,
}

/// Callers who redeem all the time, each one thing after the other.
struct Load {
    callers: JoinSet<Vec<Redeemed>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    is_over: Arc<AtomicBool>,
}

impl Load {
    fn start(api: &Api) -> Self {
        let seen = Arc::new(Mutex::new(vec![Seen::default(); CALLERS]));
        let is_over = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            let (api, seen, is_over) = (api.clone(), Arc::clone(&seen), Arc::clone(&is_over));
            callers.spawn(async move {
                let note = |note: fn(&mut Seen)| note(&mut seen.lock().expect("no caller panics")[number]);
                let mut redeemed = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let points = 1 + redeemed.len() as i64 % 7;
                    let done = redeem(&api, points, || note(|it| it.refusals += 1)).await;
                    redeemed.push(done);
                    note(|it| it.answers += 1);
                }
                redeemed
            });
        }
        Self { callers, seen, is_over }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no caller panics").clone()
    }

    fn refusals(&self) -> usize {
        self.seen().iter().map(|it| it.refusals).sum()
    }

    /// Waits until every caller has one more final answer.
    async fn all_are_answered(&self) {
        self.all_have_more("answers", |it| it.answers).await;
    }

    /// Waits until every caller was once more told to ask again.
    async fn all_are_refused(&self) {
        self.all_have_more("refusals", |it| it.refusals).await;
    }

    async fn all_have_more(&self, what: &str, count: fn(&Seen) -> usize) {
        let before = self.seen();
        eventually(&format!("everybody has more {what}"), async || {
            self.seen().iter().zip(&before).all(|(now, before)| count(before) < count(now)).then_some(())
        })
        .await;
    }

    /// Lets everyone have their last answer.
    async fn finish(self) -> Vec<Redeemed> {
        self.is_over.store(true, Ordering::Relaxed);
        self.callers.join_all().await.into_iter().flatten().collect()
    }
}

/// Redeems as a good client does: where it is not told what came of it, it waits for as long as it was told to, and asks again
/// with the same key.
async fn redeem(api: &Api, points: i64, refused: impl Fn()) -> Redeemed {
    let key = Uuid::new_v4();
    let mut refusals = 0;
    loop {
        let reply = api.redeem(MEMBER, key, points).await;
        if reply.status == 200 {
            return Redeemed { key, points, refusals, reply };
        }
        assert_eq!((reply.status, reply.retry_after), (503, Some(1)), "{}", reply.text);
        assert_eq!(reply.body["error"], "DEPENDENCY_UNAVAILABLE", "{}", reply.text);
        assert!(reply.text.contains("sk again with the same key"), "{}", reply.text);
        refusals += 1;
        refused();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
