//! The processes and the wires between them, and how each of them is ended.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use devstack::{Disk, Fate, Postgres, PostgresConfig, Scratch, Wire};
use proof::Checkpoint;
use rustix::process::{Pid, Signal};
use tokio::sync::watch;

use super::shot::{Point, Shots};
use super::{What, When};
use crate::bench::callers::{Callers, Place};
use crate::bench::ground::{self, DATABASE, Ground, PATIENCE, POLL, mortal_postgres, start_postgres};
use crate::bench::kill::{Postmaster, kill};
use crate::bench::report::Times;
use crate::bench::role::Role;
use crate::bench::verdict::{Findings, Record};
use crate::load::Random;

/// A life under load is at most so long before it ends at a random moment.
const LIFE_MS_MAX: u64 = 250;
/// Starting takes about as long, so a kill within this time hits any part of it.
const START_MS_MAX: u64 = 60;
/// Where the power is cut: so little memory that pages are written all the time, and so little WAL that its files come
/// round again.
const RESTLESS: [(&str, &str); 4] = [
    ("shared_buffers", "4MB"),
    ("min_wal_size", "32MB"),
    ("max_wal_size", "32MB"),
    ("checkpoint_timeout", "30s"),
];

pub(super) struct World {
    ground: Ground,
    settings: PostgresConfig,
    postgres: Postgres,
    /// What PostgreSQL runs on, where its power is cut.
    disk: Option<Arc<Disk>>,
    /// What was published when the power was cut.
    seen: Vec<Checkpoint>,
    /// The API's way to PostgreSQL, where blows fall; the sealer has another.
    wire: Wire,
    shots: Shots,
    sealers_wire: Wire,
    api: Option<Role>,
    sealer: Role,
    place: watch::Sender<Place>,
    drained: HashSet<u32>,
    pub(super) starts: Times,
    pub(super) outages: Times,
    pub(super) power_cuts: u64,
    pub(super) sectors_lost: u64,
    // Dropped last: everything above has its files in it.
    _folder: Scratch,
}

impl World {
    /// Starts it all, and where the power is to be cut with a disk of its own under PostgreSQL.
    pub(super) async fn start(cuts_power: bool) -> anyhow::Result<Self> {
        let folder = Scratch::new()?;
        let mut settings = mortal_postgres(folder.path().join("postgres"));
        let mut postgres = start_postgres(&settings).await?;
        let ground = Ground::set(folder.path())?;
        ground.begin_books(&postgres.url(DATABASE)).await?;
        let mut disk = None;
        if cuts_power {
            let under = tokio::task::spawn_blocking(move || Disk::under(postgres)).await??;
            settings.environment = under.environment();
            settings.settings.extend(RESTLESS.map(|(name, value)| (name.to_owned(), value.to_owned())));
            postgres = start_postgres(&settings).await?;
            disk = Some(Arc::new(under));
        }
        let shots = Shots::default();
        let wire = Wire::start(postgres.port(), shots.watch())?;
        let sealers_wire = Wire::unwatched(postgres.port())?;
        let sealer = ground.start_sealer(&postgres.url_through(&sealers_wire, DATABASE))?;
        let mut world = Self {
            ground,
            settings,
            postgres,
            disk,
            seen: Vec::new(),
            wire,
            shots,
            sealers_wire,
            api: None,
            sealer,
            place: watch::Sender::default(),
            drained: HashSet::new(),
            starts: Times::default(),
            outages: Times::default(),
            power_cuts: 0,
            sectors_lost: 0,
            _folder: folder,
        };
        world.start_api().await?;
        Ok(world)
    }

    /// Where the API is, and will be.
    pub(super) fn places(&self) -> watch::Receiver<Place> {
        self.place.subscribe()
    }

    /// The lives of the API that were ended by SIGTERM.
    pub(super) fn drained(&self) -> &HashSet<u32> {
        &self.drained
    }

    /// From now on what is synced is not on the disk, until its power is cut.
    pub(super) fn have_disk_lie(&self) -> anyhow::Result<()> {
        Ok(self.disk.as_ref().context("there is a disk")?.lie()?)
    }

    /// Ends something, and has it start again.
    pub(super) async fn end(
        &mut self,
        what: What,
        when: When,
        callers: &mut Callers,
        random: &mut Random,
    ) -> anyhow::Result<()> {
        match (what, when) {
            (What::Api, When::Starting) => {
                self.api.take().context("the API runs")?.kill().await?;
                let starting = self.ground.start_api(&self.postgres.url_through(&self.wire, DATABASE))?;
                tokio::time::sleep(Duration::from_millis(random.next() % START_MS_MAX)).await;
                starting.kill().await?;
                self.start_api().await
            }
            (What::Api, _) => {
                let api = self.api.take().context("the API runs")?;
                let pid = api.pid();
                self.strike(when, move || kill(pid, Signal::KILL), callers, random).await?;
                api.killed().await?;
                self.start_api().await
            }
            (What::Drain, _) => {
                let drained = self.api.take().context("the API runs")?;
                self.drained.insert(self.place.borrow().life);
                let (next, address) = self.answering_api().await?;
                let pid = drained.pid();
                self.strike(when, move || kill(pid, Signal::TERM), callers, random).await?;
                self.publish(next, address);
                drained.drained().await
            }
            (What::Sealer, _) => {
                let url = self.postgres.url_through(&self.sealers_wire, DATABASE);
                let killed = std::mem::replace(&mut self.sealer, self.ground.start_sealer(&url)?);
                let pid = killed.pid();
                self.strike(when, move || kill(pid, Signal::KILL), callers, random).await?;
                killed.killed().await
            }
            (What::Postgres, _) => {
                let postmaster = Postmaster::of(&self.postgres);
                self.strike(when, move || postmaster.kill(), callers, random).await?;
                let shot = Instant::now();
                self.restart_postgres(random).await?;
                callers.answers(1).await?;
                self.outages.since(shot);
                Ok(())
            }
            (What::Sessions, _) => {
                let sessions = self.sessions();
                let struck = sessions.clone();
                let strike = move || struck.into_iter().for_each(|it| kill(it, Signal::KILL));
                self.strike(when, strike, callers, random).await?;
                self.has_recovered(&sessions).await
            }
            (What::Connection, _) => {
                self.strike(when, || {}, callers, random).await?;
                callers.answers(1).await
            }
            (What::Everything, _) => {
                let api = self.api.take().context("the API runs")?;
                let (postmaster, roles) = (Postmaster::of(&self.postgres), [api.pid(), self.sealer.pid()]);
                let strike = move || {
                    postmaster.kill();
                    roles.into_iter().for_each(|it| kill(it, Signal::KILL));
                };
                self.strike(when, strike, callers, random).await?;
                api.killed().await?;
                self.restart_postgres(random).await?;
                let url = self.postgres.url_through(&self.sealers_wire, DATABASE);
                std::mem::replace(&mut self.sealer, self.ground.start_sealer(&url)?).killed().await?;
                self.start_api().await?;
                callers.answers(1).await
            }
        }
    }

    /// Starts the PostgreSQL that was killed, after its power was cut where it has a disk of its own.
    async fn restart_postgres(&mut self, random: &mut Random) -> anyhow::Result<()> {
        if let Some(disk) = self.disk.clone() {
            self.seen.extend(self.ground.published()?);
            // Of what was not synced nothing survives, or half of the sectors.
            let (odds, mut chance) = (random.next() % 2, Random(random.next()));
            let cut = move || disk.cut(|| chance.next() % 2 < odds);
            self.sectors_lost += tokio::task::spawn_blocking(cut).await??;
            self.power_cuts += 1;
        }
        self.postgres = start_postgres(&self.settings).await?;
        for wire in [&self.wire, &self.sealers_wire] {
            wire.lead_to(self.postgres.port());
        }
        Ok(())
    }

    /// Strikes when it is time. What passes at a named point is cut, but for a commit that is on its way.
    async fn strike(
        &self,
        when: When,
        strike: impl FnOnce() + Send + 'static,
        callers: &mut Callers,
        random: &mut Random,
    ) -> anyhow::Result<()> {
        match when {
            When::At(point) => {
                // A batch has fewer statements, so this hits any of them.
                let skip = random.next() % if point == Point::Statement { 32 } else { 4 };
                let fate = if point == Point::DuringCommit { Fate::Pass } else { Fate::Cut };
                return self.shots.fire(point, skip, fate, strike).await;
            }
            When::Answered => callers.answers(1).await?,
            When::Moment | When::Starting => {
                // The moment itself, not a wait for anything.
                tokio::time::sleep(Duration::from_millis(random.next() % LIFE_MS_MAX)).await;
            }
        }
        strike();
        Ok(())
    }

    async fn start_api(&mut self) -> anyhow::Result<()> {
        let (api, address) = self.answering_api().await?;
        self.publish(api, address);
        Ok(())
    }

    async fn answering_api(&mut self) -> anyhow::Result<(Role, SocketAddr)> {
        let begun = Instant::now();
        let mut api = self.ground.start_api(&self.postgres.url_through(&self.wire, DATABASE))?;
        let address = api.address().await?;
        self.starts.since(begun);
        Ok((api, address))
    }

    /// Sends the callers to this API.
    fn publish(&mut self, api: Role, address: SocketAddr) {
        self.api = Some(api);
        self.place.send_modify(|it| *it = Place { life: it.life + 1, address: Some(address) });
    }

    /// Waits until PostgreSQL, which begins anew when a session was killed, has recovered and lets somebody in.
    async fn has_recovered(&self, before: &[Pid]) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        // While any of them is left it has not noticed yet.
        while self.sessions().iter().any(|it| before.contains(it))
            || ground::log_size(&self.postgres.url(DATABASE)).await.is_err()
        {
            ensure!(Instant::now() < deadline, "PostgreSQL does not recover within {PATIENCE:?}");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    fn sessions(&self) -> Vec<Pid> {
        Postmaster::of(&self.postgres).sessions().into_iter().map(|(pid, _)| pid).collect()
    }

    /// Holds the record against the books, and asks everything again.
    pub(super) async fn judge(&self, record: &Record) -> anyhow::Result<Findings> {
        record.against_books(&self.postgres.url(DATABASE), &self.places()).await
    }

    /// Has everything sealed and everybody drained, and recomputes the books; gives how many leaves they have.
    pub(super) async fn stop(self) -> anyhow::Result<u64> {
        let Self { ground, postgres, seen, api, sealer, _folder, .. } = self;
        let url = postgres.url(DATABASE);
        let published = ground.published_with(ground::log_size(&url).await?).await?;
        for role in [api.context("the API runs")?, sealer] {
            role.drain().await?;
        }
        let books = ground::check_books(&url).await?;
        let (known, shown) = ((books.leaves, books.root), (published.size, published.root));
        ensure!(known == shown, "the books have {known:?}, and published is {shown:?}");
        for seen in seen {
            ground.ensure_extends(&seen, &published)?;
        }
        tokio::task::spawn_blocking(move || postgres.stop()).await??;
        Ok(books.leaves)
    }
}
