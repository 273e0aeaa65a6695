//! Connections to the simulated store. Each step takes its time and goes wrong, as the seed says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use ledger::{Account, AccountKind, Request};
use tokio::task::yield_now;
use uuid::Uuid;

use super::errors::{lost, refused};
use super::world::{Leaf, World, commitment};
use crate::accounts::State;
use crate::batch::Answer;
use crate::error::StoreError;
use crate::log_head::LogHead;
use crate::outcomes::Accepted;
use crate::stages::{BatchError, Database, Session};
use crate::tip::Tip;

/// A key of which the database takes no row.
pub(super) const POISON: &str = "poison";
/// The one account that the head guards: each leaf names the one before it, as the account's entries do.
const HOUSE: Uuid = Uuid::from_u128(1);
/// Each step fails so seldom in each way.
const FAULT_ONE_IN: u64 = 60;

/// A process's way to the world, and what it knows of it.
#[derive(Clone)]
pub(super) struct Process {
    world: Arc<Mutex<World>>,
    /// Under which epoch it last read what an operator settles.
    epoch: Arc<AtomicI64>,
}

impl Process {
    pub(super) fn on(world: &Arc<Mutex<World>>) -> Self {
        Self { world: world.clone(), epoch: Arc::default() }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("nobody has found something wrong")
    }

    /// Lets others run a few times.
    async fn take_time(&self, turns_max: u64) {
        let turns = self.world().random.below(turns_max);
        take_turns(turns).await;
    }

    /// Lets others run who are in the way.
    async fn wait(&self) {
        self.world().step();
        yield_now().await;
    }
}

pub(super) async fn take_turns(turns: u64) {
    for _ in 0..turns {
        yield_now().await;
    }
}

impl Database for Process {
    type Session = Connection;

    async fn session(&self) -> Result<Connection, StoreError> {
        let mut connection = Connection { process: self.clone(), transaction: None };
        connection.pass().await?;
        Ok(connection)
    }
}

pub(super) struct Connection {
    process: Process,
    transaction: Option<u64>,
}

impl Drop for Connection {
    /// The server sees that nobody is there any more.
    fn drop(&mut self) {
        if let Some(own) = self.transaction.take()
            && let Ok(mut world) = self.process.world.lock()
        {
            world.end(own);
        }
    }
}

impl Connection {
    fn own(&self) -> u64 {
        self.transaction.expect("it has begun")
    }

    /// Takes its time, and goes wrong as the seed says.
    async fn pass(&mut self) -> Result<(), StoreError> {
        let fault = {
            let mut world = self.process.world();
            world.step();
            world.random.below(FAULT_ONE_IN)
        };
        self.process.take_time(4).await;
        match fault {
            0 => {
                self.lose();
                Err(lost())
            }
            1 => Err(self.process.world().collide()),
            _ => Ok(()),
        }
    }

    /// The connection is gone. The server notices by and by.
    fn lose(&mut self) {
        if let Some(own) = self.transaction.take() {
            self.later(move |world| {
                world.end(own);
            });
        }
    }

    fn later(&self, does: impl FnOnce(&mut World) + Send + 'static) {
        let process = self.process.clone();
        tokio::spawn(async move {
            process.take_time(8).await;
            does(&mut process.world());
        });
    }
}

/// What was read under the members' locks.
pub(super) struct Read {
    known: BTreeMap<String, u64>,
    epoch: i64,
    is_ahead: bool,
}

impl Session for Connection {
    type Read = Read;
    type Rows = Vec<(u64, Leaf)>;
    type Guarded = bool;

    async fn read(&mut self, requests: &[&Request]) -> Result<Read, StoreError> {
        let epoch = self.process.epoch.load(Ordering::Relaxed);
        self.pass().await?;
        let own = self.process.world().begin();
        self.transaction = Some(own);
        // Whom a request is about, its source says here.
        let members: BTreeSet<&str> = requests.iter().map(|it| it.source.as_str()).collect();
        for member in members {
            while !self.process.world().lock_member(own, member) {
                self.process.wait().await;
            }
        }
        self.pass().await?;
        let world = self.process.world();
        let known = requests.iter().filter_map(|it| Some((it.key.clone(), *world.keys.get(&it.key)?)));
        Ok(Read { known: known.collect(), epoch, is_ahead: true })
    }

    fn knows(&self, read: &Read, tip: &Tip) -> Result<bool, StoreError> {
        Ok(tip.knows(read.epoch, [HOUSE]))
    }

    async fn lock_head(&mut self, read: &mut Read) -> Result<(LogHead, Vec<State>), StoreError> {
        let own = self.own();
        let (head, last) = loop {
            let locked = self.process.world().lock_head(own);
            match locked {
                Some(locked) => break locked,
                None => self.process.wait().await,
            }
        };
        self.pass().await?;
        if head.epoch != read.epoch {
            self.process.world().note("outdated");
            return Err(StoreError::Outdated);
        }
        read.is_ahead = false;
        Ok((head, vec![State { account: Account::new(HOUSE, AccountKind::Issuance, 1), last }]))
    }

    fn decide(&self, read: Read, requests: &[&Request], tip: &mut Tip) -> (Vec<(u64, Leaf)>, Vec<Answer>) {
        let Read { mut known, is_ahead, .. } = read;
        {
            let mut world = self.process.world();
            if is_ahead && tip.head != world.head {
                world.note("decided ahead");
            }
        }
        let house = tip.houses.get_mut(&HOUSE).expect("it was read");
        let mut rows = vec![];
        let mut answers = vec![];
        for request in requests {
            let next = tip.head.size as u64;
            let (leaf_index, replayed) = match known.get(&request.key) {
                Some(leaf_index) => (*leaf_index, true),
                None => {
                    let leaf = Leaf {
                        key: request.key.clone(),
                        posting_id: request.items[0].posting_id,
                        previous: house.last,
                    };
                    house.last = Some((next, commitment(&leaf)));
                    known.insert(request.key.clone(), next);
                    rows.push((next, leaf));
                    // The clock stands: that a head is another one, only its size tells.
                    tip.head.size += 1;
                    (next, false)
                }
            };
            answers.push(answer(leaf_index, replayed));
        }
        (rows, answers)
    }

    async fn insert(&mut self, rows: Vec<(u64, Leaf)>) -> Result<bool, StoreError> {
        let own = self.own();
        let is_empty = rows.is_empty();
        self.pass().await?;
        for (index, leaf) in rows {
            if leaf.key == POISON {
                return Err(refused("22021"));
            }
            loop {
                let inserted = self.process.world().insert(own, index, &leaf);
                match inserted {
                    Some(inserted) => break inserted?,
                    None => self.process.wait().await,
                }
            }
        }
        self.pass().await?;
        Ok(is_empty)
    }

    async fn append(&mut self, is_empty: bool, from: &LogHead, to: &LogHead) -> Result<(), StoreError> {
        self.pass().await?;
        let own = self.own();
        let appended = self.process.world().append(own, is_empty, from, to);
        if appended { Ok(()) } else { Err(StoreError::Overtaken) }
    }

    async fn commit(&mut self, _to: &LogHead) -> Result<(), BatchError> {
        let own = self.own();
        self.process.take_time(4).await;
        let fate = self.process.world().random.below(FAULT_ONE_IN);
        match fate {
            0 => {
                let mut world = self.process.world();
                world.note("failed");
                Err(BatchError::RolledBack(world.collide()))
            }
            1 => {
                self.process.world().note("failed");
                self.lose();
                Err(BatchError::Unknown(lost()))
            }
            2 | 3 => {
                // The connection is gone, and the server goes on with what it was told.
                self.process.world().note("failed yet persisted");
                self.transaction = None;
                self.later(move |world| world.persist(own));
                Err(BatchError::Unknown(lost()))
            }
            4 => {
                self.transaction = None;
                let mut world = self.process.world();
                world.note("warned");
                world.persist(own);
                Err(BatchError::Unknown(StoreError::Warned))
            }
            _ => {
                self.transaction = None;
                self.process.world().persist(own);
                // The answer is on its way.
                self.process.take_time(4).await;
                Ok(())
            }
        }
    }

    async fn roll_back(&mut self) -> Result<(), StoreError> {
        self.pass().await?;
        if let Some(own) = self.transaction.take() {
            self.process.world().end(own);
        }
        Ok(())
    }

    async fn read_again(&mut self) -> Result<(), StoreError> {
        self.pass().await?;
        let epoch = self.process.world().head.epoch;
        self.process.epoch.store(epoch, Ordering::Relaxed);
        Ok(())
    }

    async fn check(&mut self) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn abandon(self) {}
}

fn answer(leaf_index: u64, replayed: bool) -> Answer {
    let accepted = Accepted {
        posting_id: Uuid::nil(),
        leaf_index,
        points: 1,
        account: HOUSE,
        after: Default::default(),
        version: 1,
        lots: vec![],
        rate: None,
    };
    Answer { outcome: Ok(vec![accepted]), replayed, recorded_at_us: 0, log_size: 0 }
}
