//! Workers are killed at named points, again and again: not by a hook in them, but by what passes on their wires to PostgreSQL
//! and to the chain. By turns a standby takes over and the same worker begins anew, and in the end rows, contract and account agree.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use devstack::{Fate, Passing, RpcFate, RpcWire, Watch, Wire};
use journeys::{System, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::sync::oneshot;

use super::chain::Chain;
use super::office::{Office, WRITER, Worker, log_id};

const PATIENCE: Duration = Duration::from_secs(60);
const SEND: &str = "eth_sendRawTransaction";

/// A moment that a worker's wires show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    /// It stores what it has signed, and PostgreSQL never hears of it: it *failed*.
    BeforeStoring,
    /// PostgreSQL stores it, and the worker does not live to learn of it: it *failed yet persisted*.
    AfterStoring,
    /// It is stored, and nobody was told that it is about to be sent.
    BeforeNoting,
    /// It is noted as sent, and the chain never hears of it.
    BeforeSending,
    /// The chain has it, and the worker does not live to learn of it.
    AfterSending,
    /// What became of it is not written down.
    BeforeWritingDown,
}

impl Point {
    /// By which statement PostgreSQL's wire shows it; else the chain's wire does.
    fn statement(self) -> Option<&'static str> {
        match self {
            Self::BeforeStoring | Self::AfterStoring => Some("insert into anchor_attempt"),
            Self::BeforeNoting => Some("sent_at = clock_timestamp()"),
            Self::BeforeWritingDown => Some("included_at = case"),
            Self::BeforeSending | Self::AfterSending => None,
        }
    }
}

/// Each, and whether a standby is there then.
const POINTS: [(Point, bool); 6] = [
    (Point::BeforeStoring, true),
    (Point::AfterStoring, false),
    (Point::BeforeNoting, true),
    (Point::BeforeSending, false),
    (Point::AfterSending, true),
    (Point::BeforeWritingDown, false),
];

#[tokio::test]
async fn workers_killed_at_named_points_lose_no_anchor_and_pay_for_each_once() {
    let folder = System::folder();
    let system = System::up(folder.path(), &[]).await;
    let chain = Chain::still(folder.path(), 4244, &log_id(&system)).await;
    let mut crew = Crew::of(Office::open(folder.path(), system, vec![chain]).await);
    crew.start().await;
    crew.office.grow().await;
    crew.office.is_told(0, "included").await;
    for (point, has_standby) in POINTS {
        crew.is_struck(point, has_standby).await;
    }
    // A transaction that no block takes any more is replaced by one that offers more.
    crew.replacement_is_struck(Point::AfterStoring, 20).await;
    crew.replacement_is_struck(Point::AfterSending, 200).await;
    crew.agrees_with_the_chain().await;
    crew.workers.pop().expect("one is left").worker.stop().await;
    crew.office.close().await;
}

/// A blow that waits for its point.
struct Shot {
    at: Point,
    fired: oneshot::Sender<u32>,
}

/// The blow that waits, whichever worker it meets. Clones are the same.
#[derive(Clone, Default)]
struct Shots(Arc<Mutex<Option<Shot>>>);

impl Shots {
    /// Whoever comes to this point first is killed there; gives their process id.
    async fn fall_at(&self, at: Point, act: impl Future<Output = ()>) -> u32 {
        let (fired, struck) = oneshot::channel();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Shot { at, fired });
        act.await;
        let struck = tokio::time::timeout(PATIENCE, struck).await;
        struck.unwrap_or_else(|_| panic!("nobody comes to {at:?}")).expect("the shot is not lost")
    }

    /// Kills the process if it is where the blow waits; gives that point.
    fn strike(&self, is_there: impl Fn(Point) -> bool, process: &OnceLock<u32>) -> Option<Point> {
        let pid = *process.get()?;
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shot = waiting.take_if(|it| is_there(it.at))?;
        let number = Pid::from_raw(i32::try_from(pid).ok()?)?;
        kill_process(number, Signal::KILL).expect("the worker runs");
        // Whoever waits may have given up, and says so.
        let _ = shot.fired.send(pid);
        Some(shot.at)
    }
}

/// A worker behind wires of its own.
struct Wired {
    worker: Worker,
    wires: (Wire, RpcWire),
}

impl Wired {
    async fn start(office: &Office, shots: &Shots, name: &str) -> Self {
        let process = Arc::new(OnceLock::new());
        let (url, port) = office.database();
        let wire = Wire::start(port, statements(shots.clone(), Arc::clone(&process))).expect("a wire");
        let rpc = RpcWire::start(office.chains[0].port()).expect("a wire");
        let (falls, struck) = (shots.clone(), Arc::clone(&process));
        rpc.set(move |method| {
            let is_there = |at: Point| at.statement().is_none() && method == SEND;
            match falls.strike(is_there, &struck) {
                None => RpcFate::Pass,
                Some(Point::AfterSending) => RpcFate::Lose,
                Some(_) => RpcFate::Unavailable,
            }
        });
        let places = office.places(&format!("places-{name}.json"), &[json!({"rpc_urls": [rpc.url()]})]);
        let url = url.replace(&format!(":{port}/"), &format!(":{}/", wire.port()));
        let worker = office.worker_at(name, &places, &url).await;
        process.set(worker.process.pid()).expect("it is set once");
        Self { worker, wires: (wire, rpc) }
    }
}

fn statements(shots: Shots, process: Arc<OnceLock<u32>>) -> Watch {
    Arc::new(move |passing| {
        let Passing::Statement(text) = passing else { return Fate::Pass };
        let is_there = |at: Point| at.statement().is_some_and(|it| text.contains(it));
        match shots.strike(is_there, &process) {
            None | Some(Point::AfterStoring) => Fate::Pass,
            Some(_) => Fate::Cut,
        }
    })
}

/// The workers at one place: the first holds the lease.
struct Crew {
    office: Office,
    shots: Shots,
    workers: Vec<Wired>,
    started: u32,
    /// What the dead have sent still comes through.
    past: Vec<(Wire, RpcWire)>,
}

impl Crew {
    fn of(office: Office) -> Self {
        Self { office, shots: Shots::default(), workers: Vec::new(), started: 0, past: Vec::new() }
    }

    async fn start(&mut self) {
        self.started += 1;
        let name = format!("wired-{}", self.started);
        self.workers.push(Wired::start(&self.office, &self.shots, &name).await);
    }

    /// The sender is killed there, and the leaf that it was about is anchored all the same.
    async fn is_struck(&mut self, point: Point, has_standby: bool) {
        if has_standby {
            self.start().await;
        }
        let Self { shots, office, .. } = self;
        let struck = shots
            .fall_at(point, async {
                office.grow().await;
            })
            .await;
        self.is_buried(struck, point).await;
        if !has_standby {
            self.start().await;
        }
        self.office.is_anchored(0).await;
        self.office.is_told(0, "included").await;
    }

    /// Of two workers one sends, the first, unless it was held up for longer than its lease.
    async fn is_buried(&mut self, struck: u32, point: Point) {
        let sent = self.workers.iter().position(|it| it.worker.process.pid() == struck);
        let Wired { worker, wires } =
            self.workers.remove(sent.unwrap_or_else(|| panic!("{point:?}: no worker's")));
        assert_eq!(worker.process.end().await, None, "a signal ends it");
        self.past.push(wires);
    }

    /// The price outgrows what waits for a block, and whoever replaces it is killed at it.
    async fn replacement_is_struck(&mut self, point: Point, gwei: u64) {
        self.start().await;
        self.office.chains[0].takes_at_once(false).await;
        self.office.grow().await;
        let chain = &self.office.chains[0];
        let first = chain.has_one_waiting().await;
        let struck = self.shots.fall_at(point, chain.costs_gwei(gwei)).await;
        self.is_buried(struck, point).await;
        let chain = &self.office.chains[0];
        eventually("the replacement waits for a block", async || {
            (chain.has_one_waiting().await != first).then_some(())
        })
        .await;
        chain.takes_at_once(true).await;
        chain.call("evm_mine", json!([])).await;
        self.office.is_anchored(0).await;
        self.office.is_told(0, "included").await;
    }

    /// Every story ends; the contract, the account and our rows say the same: an anchor for each leaf, each paid for once.
    async fn agrees_with_the_chain(&self) {
        let (office, chain) = (&self.office, &self.office.chains[0]);
        chain.mine(0x200).await;
        eventually("every story has ended", async || {
            let listed = office.anchors(0, &["list", "--limit", "100"]).await.expect(0).stdout;
            let mut states = listed.lines().map(|it| it.split_whitespace().nth(2));
            states.all(|it| matches!(it, Some("archived" | "replaced"))).then_some(())
        })
        .await;
        assert_eq!(chain.nonce(WRITER).await, office.posted, "one transaction for each leaf");
        let told = office.anchors(0, &["report", "--staleness", "1h", "--json"]).await.expect(0).json();
        assert_eq!((&told["transactions"], &told["reverted"]), (&json!(office.posted), &json!(0)), "{told}");
        let told = office.anchors(0, &["reconcile", "--chain-rpc-url", &chain.url, "--dry-run"]).await;
        let told = told.expect(0).stdout;
        assert!(told.contains(&format!("its events show {} anchors", office.posted)), "{told}");
        assert_eq!(told.lines().count(), 1, "nothing is missing and nothing too much: {told}");
    }
}

impl Office {
    /// The database's URL, and the port in it.
    fn database(&self) -> (String, u16) {
        let url = self.system.fact("database_url");
        let port = url.split_once("@127.0.0.1:").and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
        (url.to_owned(), port.expect("the database's URL names a port"))
    }
}
