//! What anchoring is to the books beside it: how long a redemption takes while the worker anchors, while its chain is silent and
//! while it is started again and again, beside a worker that only seals. And how soon a standby anchors.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use chain::{Account, Addresses, AuditLog, Chain, dev};
use devstack::{Anvil, AnvilConfig, RpcFate, RpcWire};

use crate::bench::api::{Load, ms};
use crate::bench::ground::{self, Ground, PATIENCE, POLL};
use crate::bench::report::{Report, Times};
use crate::bench::role::{Role, answers};
use crate::bench::stage::{self, Stage};
use crate::config::Bench;
use crate::load::Ask;

/// Redemptions a second, whatever the answers take: a load that leaves room.
const RATE: f64 = 500.0;
const CONNECTIONS: u32 = 64;
const PAIRS: usize = 5;
/// A worker that is started again and again lives so long.
const LIFE: Duration = Duration::from_secs(1);
const TAKEOVERS: usize = 3;

/// What a worker does beside sealing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Anchoring {
    Off,
    On,
    Down,
    Restarting,
}

pub(super) async fn measure(config: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let live = Live::start(config).await?;
    let (mut off, mut worst) = (Times::default(), 0.0_f64);
    let asked = [
        (Anchoring::On, "redeem_p99_ratio_on"),
        (Anchoring::Down, "redeem_p99_ratio_down"),
        (Anchoring::Restarting, "redeem_p99_ratio_restarting"),
    ];
    for (anchoring, name) in asked {
        let mut ratios = Times::default();
        for number in 0..PAIRS {
            // Whatever the machine does meanwhile is not always met by the same of the two.
            let (mut one, mut two) = (Anchoring::Off, anchoring);
            if number % 2 == 1 {
                (one, two) = (two, one);
            }
            let (one_ms, two_ms) = (live.p99_ms(one).await?, live.p99_ms(two).await?);
            let (off_ms, on_ms) = if one == Anchoring::Off { (one_ms, two_ms) } else { (two_ms, one_ms) };
            off.took(off_ms);
            ratios.took(on_ms / off_ms);
        }
        report.figure(name, ratios.at(0.5), "× p99 without anchoring, median of 5 pairs");
        worst = worst.max(ratios.at(0.5));
    }
    report.figure("redeem_p99_off_ms", off.at(0.5), "ms, 500 redemptions a second, sealed, not anchored");
    report.figure_at_most("redeem_p99_ratio", worst, "×, the worst of the three", 1.10);
    let takeovers = live.takeovers().await?;
    report.figure_at_most("takeover_s", takeovers.at(1.0) / 1000.0, "s, the slowest of 3", 15.0);
    report.setting(
        "redeem_p99_ratio",
        "daftari api, daftari anchor with an anchor a second and daftari load, each a process of its own; anvil with a block a second",
    );
    live.stop().await
}

struct Live {
    stage: Stage,
    ground: Ground,
    url: String,
    anvil: Anvil,
    /// The worker's way to the chain.
    wire: RpcWire,
    audit_log: AuditLog,
    api: Role,
    target: SocketAddr,
    members: u32,
    part: Duration,
    seed: u64,
    /// How many loads there have been.
    loads: Cell<u64>,
}

impl Live {
    async fn start(config: &Bench) -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
        let stage = Stage::start(&root).await?;
        let url = store::test_database(&stage.postgres.url("postgres")).await?;
        let ground = Ground::set(stage.folder.path())?;
        let log = ground.log();
        let (_, pool) = stage::prepare_log(&url, config.members, log.clone()).await?;
        pool.close().await;
        let settings = AnvilConfig {
            block_time: Some(Duration::from_secs(1)),
            epoch_blocks: Some(1),
            ..AnvilConfig::default()
        };
        let anvil = tokio::task::spawn_blocking(move || Anvil::start(&settings)).await??;
        let account = Account::from_key(dev::DEV_KEY)?;
        let audit_log =
            dev::ensure_contract(&Chain::connect(&anvil.url()).await?, &account, &log.log_id).await?;
        let place = audit_log.place();
        let addresses = Addresses {
            chain_id: place.chain_id,
            audit_log: place.contract.into(),
            registrant: place.registrant.into(),
            points: None,
        };
        std::fs::write(ground.path("addresses.json"), addresses.to_json())?;
        crate::keys::write_secret(Path::new(&ground.path("chain.key")), dev::DEV_KEY)?;
        let wire = RpcWire::start(anvil.port())?;
        let mut api = ground.start_api(&url)?;
        let target = api.address().await?;
        let (members, part, seed) = (config.members, config.duration.0 / 4, config.seed);
        let loads = Cell::new(0);
        Ok(Self { stage, ground, url, anvil, wire, audit_log, api, target, members, part, seed, loads })
    }

    /// Starts a worker and waits until it answers.
    async fn worker(&self, anchors: bool) -> anyhow::Result<Role> {
        let listen = SocketAddr::from(([127, 0, 0, 1], devstack::free_port()?));
        let [addresses, key] = ["addresses.json", "chain.key"].map(|it| self.ground.path(it));
        let url = self.wire.url();
        let mut chain = Vec::new();
        if anchors {
            chain.extend(["--chain-rpc-url", &url, "--addresses", &addresses, "--chain-key-file", &key]);
            chain.extend(["--anchor-gap", "1s", "--anchor-pin-every", "0s"]);
        }
        let worker = self.ground.start_worker(&self.url, &listen.to_string(), &chain)?;
        answers(listen, "/metrics").await?;
        Ok(worker)
    }

    /// What 99 % of redemptions take at most meanwhile.
    async fn p99_ms(&self, anchoring: Anchoring) -> anyhow::Result<f64> {
        let anchors = anchoring != Anchoring::Off;
        let mut worker = self.worker(anchors).await?;
        // Each part begins with all of those before it sealed.
        self.ground.published_with(ground::log_size(&self.url).await?).await?;
        if anchoring == Anchoring::Down {
            self.wire.set(|_| RpcFate::Silence);
        }
        let load = self.load(CONNECTIONS, RATE, self.part);
        let mut loading = std::pin::pin!(load.run(self.target));
        let told = loop {
            tokio::select! {
                told = &mut loading => break told?,
                () = tokio::time::sleep(LIFE), if anchoring == Anchoring::Restarting => {
                    worker.drain().await?;
                    worker = self.worker(anchors).await?;
                }
            }
        };
        self.wire.set(|_| RpcFate::Pass);
        worker.drain().await?;
        Ok(ms(told.of(Ask::Redeem)?.p99_us))
    }

    /// From SIGKILL of the worker that sends until the contract holds what was posted after it.
    async fn takeovers(&self) -> anyhow::Result<Times> {
        let mut times = Times::default();
        let mut sender = self.worker(true).await?;
        self.is_anchored().await?;
        for _ in 0..TAKEOVERS {
            let standby = self.worker(true).await?;
            let killed = Instant::now();
            sender.kill().await?;
            self.load(1, 10.0, Duration::from_millis(200)).run(self.target).await?;
            self.is_anchored().await?;
            times.since(killed);
            sender = standby;
        }
        sender.drain().await?;
        Ok(times)
    }

    /// Waits until the contract holds all that is posted.
    async fn is_anchored(&self) -> anyhow::Result<()> {
        let size = ground::log_size(&self.url).await?;
        let anchored = async {
            while self.audit_log.head().await?.size < size {
                tokio::time::sleep(POLL).await;
            }
            anyhow::Ok(())
        };
        let anchored = tokio::time::timeout(PATIENCE, anchored).await;
        anchored.with_context(|| format!("{size} leaves are not anchored within {PATIENCE:?}"))?
    }

    fn load(&self, connections: u32, rate: f64, duration: Duration) -> Load {
        let number = self.loads.replace(self.loads.get() + 1);
        Load {
            members: self.members,
            // What was asked before is not asked again under the same keys.
            seed: self.seed.wrapping_mul(1000) + number,
            connections,
            rate: Some(rate),
            duration,
            ask: vec![Ask::Redeem],
        }
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.api.drain().await?;
        ground::check_books(&self.url).await?;
        let anvil = self.anvil;
        tokio::task::spawn_blocking(move || anvil.stop()).await??;
        self.stage.stop().await
    }
}
