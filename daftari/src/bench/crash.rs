//! Crashes: the API, the sealer, PostgreSQL and connections are ended under load, at random moments and at named points,
//! and started again. Callers ask again until they are answered; then the books must hold what they were told, once.
//!
//! A kill is not a power cut: what a process has handed to the kernel stays. So the power is cut too, of a disk that has
//! what PostgreSQL has synced.

mod shot;
mod world;

use std::collections::HashMap;
use std::time::Instant;

use anyhow::Context;

use self::shot::Point;
use self::world::World;
use super::callers::{Callers, endow};
use super::report::Report;
use super::verdict::Record;
use crate::config::Bench;
use crate::load::Random;

const CALLERS: u32 = 32;

/// What is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    /// The API, by SIGKILL.
    Api,
    /// The API, by SIGTERM, while the next one starts: as a new version is rolled out.
    Drain,
    /// The sealer, by SIGKILL.
    Sealer,
    /// PostgreSQL with all that belongs to it, by SIGKILL.
    Postgres,
    /// PostgreSQL's sessions, by SIGKILL: it ends whatever else it has running, and recovers.
    Sessions,
    /// One of the API's connections to PostgreSQL.
    Connection,
    /// API, sealer and PostgreSQL at once, by SIGKILL.
    Everything,
}

/// And when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// At a random moment under load.
    Moment,
    /// While it starts.
    Starting,
    /// When a caller has an answer, and others of the same batch may not.
    Answered,
    /// When this passes between the API and PostgreSQL.
    At(Point),
}

/// What comes in each round, in an order of its own.
const ROUND: [(What, When); 20] = [
    (What::Api, When::Moment),
    (What::Api, When::Moment),
    (What::Api, When::Starting),
    (What::Api, When::Answered),
    (What::Api, When::At(Point::Statement)),
    (What::Api, When::At(Point::Statement)),
    (What::Api, When::At(Point::BeforeCommit)),
    (What::Api, When::At(Point::DuringCommit)),
    (What::Api, When::At(Point::AfterCommit)),
    (What::Drain, When::Moment),
    (What::Drain, When::At(Point::DuringCommit)),
    (What::Sealer, When::Moment),
    (What::Postgres, When::Moment),
    (What::Postgres, When::At(Point::BeforeCommit)),
    (What::Postgres, When::At(Point::DuringCommit)),
    (What::Postgres, When::At(Point::AfterCommit)),
    (What::Sessions, When::Moment),
    (What::Connection, When::At(Point::Statement)),
    (What::Connection, When::At(Point::BeforeCommit)),
    (What::Connection, When::At(Point::AfterCommit)),
];

/// What comes in each round of power cuts: the power of PostgreSQL's machine, or of the one that all of it runs on.
const CUTS: [(What, When); 8] = [
    (What::Postgres, When::Moment),
    (What::Postgres, When::Moment),
    (What::Postgres, When::At(Point::DuringCommit)),
    (What::Postgres, When::At(Point::AfterCommit)),
    (What::Everything, When::Moment),
    (What::Everything, When::Moment),
    (What::Everything, When::Answered),
    (What::Everything, When::At(Point::AfterCommit)),
];

pub(super) async fn run(config: &Bench) -> anyhow::Result<Report> {
    play(config, "crash", &ROUND, World::start(false).await?).await
}

/// The same with a power cut at each end of PostgreSQL.
pub(super) async fn power(config: &Bench) -> anyhow::Result<Report> {
    let mut report = play(config, "power", &CUTS, World::start(true).await?).await?;
    let lost = lost_by_a_lying_disk(config.seed).await.context("a disk that lies")?;
    report.figure_at_least("lost_by_a_lying_disk", lost as f64, "postings, found as they must be", 1.0);
    Ok(report)
}

/// What goes with the power of a disk that said of everything that it had it: a harness that finds nothing here finds nothing.
async fn lost_by_a_lying_disk(seed: u64) -> anyhow::Result<usize> {
    let mut world = World::start(true).await?;
    let mut told = endow(&world.places(), seed).await?;
    world.have_disk_lie()?;
    let mut callers = Callers::start(CALLERS, seed, &world.places());
    callers.answers(100).await?;
    world.end(What::Everything, When::Answered, &mut callers, &mut Random(seed)).await?;
    told.extend(callers.finish().await?);
    let record = Record::of(told, world.drained());
    Ok(world.judge(&record).await?.lost.len())
}

async fn play(
    config: &Bench,
    name: &'static str,
    round: &[(What, When)],
    mut world: World,
) -> anyhow::Result<Report> {
    let begun = Instant::now();
    let mut told = endow(&world.places(), config.seed).await?;
    let mut callers = Callers::start(CALLERS, config.seed, &world.places());
    let mut ended = Ended::default();
    let mut random = Random(config.seed);
    'rounds: loop {
        for (what, when) in shuffled(round, &mut random) {
            if config.kills <= ended.kills() {
                break 'rounds;
            }
            let at = || format!("{what:?} {when:?}, seed {}", config.seed);
            world.end(what, when, &mut callers, &mut random).await.with_context(at)?;
            ended.count(what);
        }
    }
    told.extend(callers.finish().await?);
    let seconds = begun.elapsed().as_secs_f64();
    let record = Record::of(told, world.drained());
    let findings = world.judge(&record).await?;

    let mut report = Report::new(name, config.seed);
    report.setting("load", format!("{CALLERS} callers over HTTP; one request in ten is sent twice at once"));
    report.setting("server", "daftari api and daftari anchor, which seals; PostgreSQL; all on this machine");
    report.figure("kills", ended.kills() as f64, "SIGKILLs");
    report.figure("kills_of_the_api", ended.of(What::Api), "");
    report.figure("kills_of_the_sealer", ended.of(What::Sealer), "");
    report.figure("kills_of_postgres", ended.of(What::Postgres), "");
    report.figure("kills_of_sessions", ended.of(What::Sessions), "");
    report.figure("connections_cut", ended.of(What::Connection), "");
    report.figure("drains", ended.of(What::Drain), "SIGTERMs");
    report.figure("power_cuts", world.power_cuts as f64, "");
    report.figure("sectors_lost", world.sectors_lost as f64, "written by PostgreSQL and not synced");
    report.figure("seconds", seconds, "s under load");
    report.figure("acknowledged", record.acknowledged() as f64, "postings");
    report.figure("refused", record.refused() as f64, "requests");
    report.figure("failed_yet_persisted", record.persisted as f64, "requests: no answer, and posted");
    report.figure("failed", record.failed as f64, "requests: no answer, and posted when asked again");
    report.figure("api_start_p50_ms", world.starts.at(0.5), "ms to where the API answers");
    report.figure("api_start_worst_ms", world.starts.at(1.0), "ms");
    report.figure("postgres_out_p50_ms", world.outages.at(0.5), "ms from its next start to the next posting");
    report.figure("postgres_out_worst_ms", world.outages.at(1.0), "ms");
    report.figure_at_most("lost", findings.lost.len() as f64, "postings", 0.0);
    report.figure_at_most("doubled", findings.doubled.len() as f64, "postings", 0.0);
    report.figure_at_most("unbalanced", findings.unbalanced.len() as f64, "members", 0.0);
    report.figure_at_most("drained_unanswered", findings.undrained.len() as f64, "postings", 0.0);
    report.found(findings.in_words());
    report.figure("leaves_checked", world.stop().await? as f64, "leaves: the books, and the published root");
    Ok(report)
}

fn shuffled(round: &[(What, When)], random: &mut Random) -> Vec<(What, When)> {
    let mut round = round.to_vec();
    for last in (1..round.len()).rev() {
        round.swap(last, (random.next() % (last as u64 + 1)) as usize);
    }
    round
}

/// How many of each were ended.
#[derive(Default)]
struct Ended(HashMap<What, u64>);

impl Ended {
    fn count(&mut self, what: What) {
        *self.0.entry(what).or_default() += 1;
    }

    fn of(&self, what: What) -> f64 {
        self.0.get(&what).copied().unwrap_or_default() as f64
    }

    fn kills(&self) -> u64 {
        let is_kill = |it: &(&What, &u64)| !matches!(it.0, What::Drain | What::Connection);
        self.0.iter().filter(is_kill).map(|it| it.1).sum()
    }
}
