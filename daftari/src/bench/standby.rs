//! Failovers: the primary is killed under load, its standby takes over, and the service goes on there.
//!
//! With a synchronous standby nothing acknowledged may be lost. With one that lags something is, and it must be named;
//! what the service makes of it is told. And where a primary has commits which its standby never had, because somebody
//! cancelled the wait or because it was started again meanwhile, nobody may be answered for them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use devstack::{Postgres, PostgresConfig, STANDBY_NAME, Scratch, Wire};
use rustix::process::{Pid, Signal};
use tokio::sync::watch;

use super::callers::{Callers, Place, Told, endow};
use super::ground::{self, DATABASE, Ground, PATIENCE, POLL, mortal_postgres, start_postgres};
use super::kill::{Postmaster, kill};
use super::report::{Report, Times};
use super::role::Role;
use super::verdict::{Findings, Record};
use crate::config::Bench;
use crate::load::{Client, written};

const CALLERS: u32 = 32;
/// So many requests are answered before something happens, and after.
const ANSWERS: u64 = 300;
/// For how long a primary without its standby is watched for what it answers.
const ALONE_TIME: Duration = Duration::from_secs(2);

pub(super) async fn run(config: &Bench) -> anyhow::Result<Report> {
    let mut report = Report::new("standby", config.seed);
    report.setting("load", format!("{CALLERS} callers over HTTP; one request in ten is sent twice at once"));
    report.setting(
        "server",
        "daftari api and daftari anchor, which seals; two PostgreSQL; all on this machine",
    );
    let (mut promotions, mut outages) = (Times::default(), Times::default());
    let (mut acknowledged, mut findings) = (0, Findings::default());
    for number in 0..config.failovers {
        let failover = fail_over(config.seed + number, &mut promotions, &mut outages).await;
        let (record, found) = failover.with_context(|| format!("failover {number}"))?;
        acknowledged += record.acknowledged();
        findings.add(found);
    }
    report.figure("failovers", config.failovers as f64, "primaries killed, synchronous standbys promoted");
    report.figure("acknowledged", acknowledged as f64, "postings");
    report.figure_at_most("lost", findings.lost.len() as f64, "postings", 0.0);
    report.figure_at_most("doubled", findings.doubled.len() as f64, "postings", 0.0);
    report.figure("promote_p50_ms", promotions.at(0.5), "ms to promote the standby");
    report.figure_at_most("out_worst_ms", outages.at(1.0), "ms from the kill to the next posting", 60_000.0);
    report.figure("out_p50_ms", outages.at(0.5), "ms");
    report.found(findings.in_words());

    let lagging = lag(config.seed).await.context("a standby that lags")?;
    report.figure("lagging_acknowledged", lagging.acknowledged as f64, "postings");
    report.figure("lagging_lost", lagging.findings.lost.len() as f64, "postings, each named");
    report.figure("lagging_known_leaves", lagging.known as f64, "leaves on the promoted standby");
    report.figure("lagging_published_leaves", lagging.published as f64, "leaves in the published checkpoint");
    report.setting("lagging_lost", lagging.findings.in_words().unwrap_or_default());
    report.setting("lagging_sealer", lagging.sealer_says);
    report.setting("lagging_api", lagging.api_says);
    report.figure_at_most(
        "lagging_posted_over",
        lagging.posted_over as f64,
        "postings at leaves that were acknowledged to others",
        0.0,
    );

    for (name, alone) in [("cancelled_wait", Alone::Cancelled), ("restarted_alone", Alone::Restarted)] {
        let findings = answer_alone(config.seed, alone).await.context(name)?;
        let name = format!("{name}_lost");
        report.figure_at_most(
            &name,
            findings.lost.len() as f64,
            "postings, answered by a primary alone",
            0.0,
        );
    }
    Ok(report)
}

/// Kills the primary of a synchronous standby under load, and has the standby take over.
async fn fail_over(
    seed: u64,
    promotions: &mut Times,
    outages: &mut Times,
) -> anyhow::Result<(Record, Findings)> {
    let pair = Pair::start(true).await?;
    let sealer = pair.start_sealer()?;
    let mut told = endow(&pair.places(), seed).await?;
    let mut callers = Callers::start(CALLERS, seed, &pair.places());
    callers.answers(ANSWERS).await?;
    let killed = Instant::now();
    pair.kill_primary();
    let pair = pair.promote().await?;
    promotions.since(killed);
    callers.answers(1).await?;
    outages.since(killed);
    callers.answers(ANSWERS).await?;
    told.extend(callers.finish().await?);
    let (record, findings) = pair.judge(told).await?;
    let url = pair.standby.url(DATABASE);
    let published = pair.ground.published_with(ground::log_size(&url).await?).await?;
    sealer.drain().await?;
    let books = ground::check_books(&url).await?;
    ensure!((books.leaves, books.root) == (published.size, published.root), "another root is published");
    pair.stop().await?;
    Ok((record, findings))
}

/// What became of acknowledged postings that a promoted standby did not have.
struct Lagging {
    acknowledged: u64,
    findings: Findings,
    known: u64,
    published: u64,
    sealer_says: String,
    api_says: String,
    posted_over: u64,
}

/// Cuts an asynchronous standby off, kills the primary later, and has the standby take over all the same.
async fn lag(seed: u64) -> anyhow::Result<Lagging> {
    let pair = Pair::start(false).await?;
    let sealer = pair.start_sealer()?;
    let mut told = endow(&pair.places(), seed).await?;
    let mut callers = Callers::start(CALLERS, seed, &pair.places());
    callers.answers(ANSWERS).await?;
    pair.has_followed().await?;
    pair.line.cut();
    callers.answers(ANSWERS).await?;
    told.extend(callers.finish().await?);
    // What is lost is in the log that everybody has seen.
    let acknowledged = ground::log_size(&pair.primary.url(DATABASE)).await?;
    let published = pair.ground.published_with(acknowledged).await?.size;
    pair.kill_primary();
    let pair = pair.promote().await?;

    let known = ground::log_size(&pair.standby.url(DATABASE)).await?;
    let api_says = pair.halts().await?;
    // Nobody should be answered, so there is nothing to wait for but the time.
    let posting = tokio::time::timeout(ALONE_TIME, endow(&pair.places(), seed + 1)).await;
    ensure!(posting.is_err(), "a halted service answers");
    let posted_over = ground::log_size(&pair.standby.url(DATABASE)).await? - known;
    let (code, sealer_says) = sealer.last_words().await?;
    ensure!(code != Some(0), "the sealer ended well on a log that lost leaves: {sealer_says}");

    // What the standby has of all this is asked of a service that knows nothing of the published log.
    let pair = pair.begin_anew().await?;
    let (record, findings) = pair.judge(told).await?;
    let (acknowledged, lost) = (record.acknowledged(), findings.lost.len() as u64);
    ensure!(known + lost == acknowledged, "{known} leaves and {lost} lost of {acknowledged}");
    pair.stop().await?;
    let sealer_says = sealer_says.lines().last().unwrap_or_default().to_owned();
    Ok(Lagging { acknowledged, findings, known, published, sealer_says, api_says, posted_over })
}

/// How a primary comes to have commits that its synchronous standby never had.
#[derive(Clone, Copy)]
enum Alone {
    /// Somebody cancels the wait: PostgreSQL says so in a warning, and that it has committed.
    Cancelled,
    /// It is killed while a commit waits, and recovers: what waited is there for everybody to read.
    Restarted,
}

/// What was answered for and is lost.
async fn answer_alone(seed: u64, alone: Alone) -> anyhow::Result<Findings> {
    let mut pair = Pair::start(true).await?;
    let mut told = endow(&pair.places(), seed).await?;
    let mut callers = Callers::start(CALLERS, seed, &pair.places());
    callers.answers(ANSWERS).await?;
    pair.line.cut();
    let mut newcomer = None;
    match alone {
        Alone::Cancelled => {
            // The first may have reached the standby, and only the standby's word was cut off. The second began afterwards, and
            // is somebody else's: who was told that it is not known asks for the same again, which is there.
            pair.cancels_a_wait().await?;
            let places = pair.places();
            newcomer = Some(tokio::spawn(async move { endow(&places, seed + 1).await }));
            pair.cancels_a_wait().await?;
        }
        Alone::Restarted => {
            pair.waits_for_standby().await?;
            pair.kill_primary();
            pair.primary = start_postgres(&pair.settings).await?;
            pair.wire.lead_to(pair.primary.port());
        }
    }
    // Nobody should be answered now, so there is nothing to wait for but the time.
    let _ = tokio::time::timeout(ALONE_TIME, callers.answers(ANSWERS)).await;
    pair.kill_primary();
    // A service that had answered for more than the standby has would halt here.
    let pair = pair.promote().await?;
    callers.answers(1).await?;
    told.extend(callers.finish().await?);
    if let Some(newcomer) = newcomer {
        told.extend(newcomer.await.context("a caller panicked")??);
    }
    let (_, findings) = pair.judge(told).await?;
    pair.stop().await?;
    Ok(findings)
}

/// A primary, its standby, and the service on them.
struct Pair {
    ground: Ground,
    settings: PostgresConfig,
    primary: Postgres,
    standby: Postgres,
    /// The standby's way to the primary.
    line: Wire,
    /// The service's way to whichever of them is the primary: what a virtual address is elsewhere.
    wire: Wire,
    api: Role,
    place: watch::Sender<Place>,
    // Dropped last: everything above has its files in it.
    _folder: Scratch,
}

impl Pair {
    async fn start(is_synchronous: bool) -> anyhow::Result<Self> {
        let folder = Scratch::new()?;
        let mut settings = mortal_postgres(folder.path().join("primary"));
        if is_synchronous {
            settings.settings.push(("synchronous_standby_names".to_owned(), STANDBY_NAME.to_owned()));
        }
        let primary = start_postgres(&settings).await?;
        let line = Wire::unwatched(primary.port())?;
        let port = line.port();
        let mut config = mortal_postgres(folder.path().join("standby"));
        // A standby that has just looked for its primary in vain sleeps for so long, and is not promoted meanwhile.
        config.settings.push(("wal_retrieve_retry_interval".to_owned(), "100ms".to_owned()));
        let (primary, standby) = tokio::task::spawn_blocking(move || {
            let standby = primary.start_standby(&config, port)?;
            anyhow::Ok((primary, standby))
        })
        .await??;
        let ground = Ground::set(folder.path())?;
        ground.begin_books(&primary.url(DATABASE)).await?;
        let wire = Wire::unwatched(primary.port())?;
        let mut api = ground.start_guarded_api(&primary.url_through(&wire, DATABASE))?;
        let place = watch::Sender::new(Place { life: 1, address: Some(api.address().await?) });
        Ok(Self { ground, settings, primary, standby, line, wire, api, place, _folder: folder })
    }

    fn start_sealer(&self) -> anyhow::Result<Role> {
        self.ground.start_sealer(&self.primary.url_through(&self.wire, DATABASE))
    }

    fn places(&self) -> watch::Receiver<Place> {
        self.place.subscribe()
    }

    fn kill_primary(&self) {
        Postmaster::of(&self.primary).kill();
    }

    /// Has the standby take over, and the service go there.
    async fn promote(self) -> anyhow::Result<Self> {
        tokio::task::spawn_blocking(move || {
            self.standby.promote()?;
            self.wire.lead_to(self.standby.port());
            Ok(self)
        })
        .await?
    }

    /// Waits until the service says that it commits nothing more, and why.
    async fn halts(&self) -> anyhow::Result<String> {
        let address = self.places().borrow().address.context("the service is somewhere")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut client = Client::connect(address).await?;
            client.ask(written("GET /health/ready", "", "").as_bytes()).await?;
            let body = client.body().unwrap_or_default();
            let detail = body["detail"].as_str().unwrap_or_default();
            if detail.starts_with("Commits have halted") {
                return Ok(detail.to_owned());
            }
            ensure!(Instant::now() < deadline, "the service does not halt within {PATIENCE:?}: {body}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Puts a new service in the place of the old one, which knows nothing of what was.
    async fn begin_anew(self) -> anyhow::Result<Self> {
        let mut api = self.ground.start_api(&self.standby.url_through(&self.wire, DATABASE))?;
        let address = Some(api.address().await?);
        self.place.send_replace(Place { life: 2, address });
        let old = self.api;
        old.drain().await?;
        Ok(Self { api, ..self })
    }

    /// Waits until the standby has all that the primary has now.
    async fn has_followed(&self) -> anyhow::Result<()> {
        let size = ground::log_size(&self.primary.url(DATABASE)).await?;
        let deadline = Instant::now() + PATIENCE;
        while ground::log_size(&self.standby.url(DATABASE)).await? < size {
            ensure!(Instant::now() < deadline, "the standby does not follow within {PATIENCE:?}");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Waits until a session of the primary waits for the standby; gives it.
    async fn waits_for_standby(&self) -> anyhow::Result<Pid> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let sessions = Postmaster::of(&self.primary).sessions();
            if let Some((pid, _)) = sessions.iter().find(|(_, title)| title.contains("COMMIT waiting for")) {
                return Ok(*pid);
            }
            ensure!(Instant::now() < deadline, "no commit waits for the standby: {sessions:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Cancels waits for the standby until the primary shows a longer log.
    async fn cancels_a_wait(&self) -> anyhow::Result<()> {
        let url = self.primary.url(DATABASE);
        let (size, deadline) = (ground::log_size(&url).await?, Instant::now() + PATIENCE);
        while ground::log_size(&url).await? == size {
            ensure!(Instant::now() < deadline, "no commit ends whose wait is cancelled");
            kill(self.waits_for_standby().await?, Signal::INT);
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Holds what was told against the books of the promoted standby.
    async fn judge(&self, told: Vec<Told>) -> anyhow::Result<(Record, Findings)> {
        let record = Record::of(told, &HashSet::new());
        let findings = record.against_books(&self.standby.url(DATABASE), &self.places()).await?;
        Ok((record, findings))
    }

    async fn stop(self) -> anyhow::Result<()> {
        let Self { api, standby, _folder, .. } = self;
        api.drain().await?;
        Ok(tokio::task::spawn_blocking(move || standby.stop()).await??)
    }
}
