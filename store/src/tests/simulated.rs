//! The committer's core over a store in memory: queue, lanes, tip, retries, halves and what callers are told, thousands of
//! times, each under the faults and in the interleaving that a seed gives (docs/adr, "The order of things has a door").

mod connection;
mod errors;
mod world;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use futures::future::join_all;
use ledger::{Command, Item, MemberRef, Request, Status};
use metrics_exporter_prometheus::PrometheusBuilder;
use model::Random;
use proof::Details;
use tokio::runtime::Builder;
use uuid::Uuid;

use self::connection::{POISON, Process, take_turns};
use self::world::World;
use crate::committer::{Lanes, Queue, Sizes};
use crate::pulse::Pulse;
use crate::{Guard, SubmitError};

const SEEDS: Range<u64> = 0..5_000;
const CALLERS: u64 = 10;
/// How many requests each of them has, one after the other.
const REQUESTS: u64 = 3;
const MEMBERS: u64 = 4;
/// Small, so that a few callers fill a queue, and overlap.
const SIZES: Sizes = Sizes { batch_max: 3, queue_max: 5, overlap_min: 1 };
/// What has to come about for all this to show anything.
const COMES: [&str; 16] = [
    "40001",
    "40P01",
    "busy",
    "counted as a collision",
    "decided ahead",
    "failed",
    "failed yet persisted",
    "gone away",
    "not to be stored",
    "outdated",
    "overtaken",
    "posted",
    "replayed",
    "stopping",
    "unknown",
    "warned",
];

/// Tells which seed it was.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("it was seed {}", self.0);
        }
    }
}

/// A caller, who asks for one thing after the other until it is done, under the same key.
struct Caller<'a> {
    number: u64,
    random: Random,
    world: &'a Mutex<World>,
    committers: &'a [Queue],
    /// The ids of what was refused without a trace.
    refused: Vec<Uuid>,
}

impl Caller<'_> {
    async fn call(mut self) -> Vec<Uuid> {
        for number in 0..REQUESTS {
            // A few ask for the same under the same key, and now and then for what the database cannot take.
            let key = match self.random.below(8) {
                0 => format!("shared {number}"),
                1 if self.number == 0 => POISON.to_owned(),
                _ => format!("{number} of {}", self.number),
            };
            while !self.ask(&key).await {
                take_turns(self.random.below(20)).await;
            }
        }
        self.refused
    }

    /// Asks once: whether it is settled.
    async fn ask(&mut self, key: &str) -> bool {
        // Each time under another id: so it can be told which of them it was that was posted.
        let posting_id = Uuid::from_u64_pair(self.random.below(u64::MAX), self.random.below(u64::MAX));
        let member = format!("member {}", key.bytes().map(u64::from).sum::<u64>() % MEMBERS);
        let named = MemberRef::External(member.clone());
        let command = Command::SetStatus { member: named, status: Status::Active };
        let item = Item { posting_id, command, details: Details::default() };
        let request = Request::one(1, member, key.to_owned(), item);
        let committer = &self.committers[self.random.below(self.committers.len() as u64) as usize];
        let answer = if self.random.one_in(16) {
            let patience = self.random.below(40);
            tokio::select! {
                biased;
                answer = committer.submit(request) => Some(answer),
                () = take_turns(patience) => None,
            }
        } else {
            Some(committer.submit(request).await)
        };
        let mut world = opened(self.world);
        match answer {
            Some(Ok(answer)) => {
                let leaf_index = answer.outcome.expect("nothing is refused here")[0].leaf_index;
                // Now, not in the end: whoever is told relies on it from here.
                let leaf = world.leaves.get(leaf_index as usize);
                let leaf = leaf.unwrap_or_else(|| panic!("{key:?} was answered, and is not there"));
                assert_eq!(leaf.key, key, "it was answered with another's leaf");
                assert_eq!(leaf.posting_id != posting_id, answer.replayed, "{key:?}");
                world.note(if answer.replayed { "replayed" } else { "posted" });
                return true;
            }
            Some(Err(SubmitError::Unknown)) => world.note("unknown"),
            Some(Err(SubmitError::Busy)) => {
                world.note("busy");
                self.refused.push(posting_id);
            }
            Some(Err(SubmitError::Stopping)) => {
                world.note("stopping");
                self.refused.push(posting_id);
            }
            Some(Err(SubmitError::Failed)) => {
                assert_eq!(key, POISON, "only what cannot be stored fails");
                world.note("not to be stored");
                self.refused.push(posting_id);
                return true;
            }
            Some(Err(error)) => panic!("{key:?}: {error}"),
            None => world.note("gone away"),
        }
        false
    }
}

fn opened(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().expect("nobody has found something wrong")
}

/// Two processes and their callers on one store, until everybody knows what came of what they asked for. One of the processes
/// is ended on the way.
async fn play(seed: u64) -> BTreeMap<&'static str, u64> {
    let world = Arc::new(Mutex::new(World::new(seed)));
    let mut random = Random::new(!seed);
    let mut queues = vec![];
    let mut processes = vec![];
    for _ in 0..2 {
        let (queue, lanes) = Lanes::new(Process::on(&world), Guard::default(), Pulse::default(), SIZES);
        queues.push(queue);
        processes.push(tokio::spawn(lanes.run()));
    }
    let (settles_after, ends_after) = (random.below(200), random.below(300));
    let mut callers = vec![];
    for number in 0..CALLERS {
        let random = Random::new(random.below(u64::MAX));
        let caller = Caller { number, random, world: &world, committers: &queues, refused: vec![] };
        callers.push(caller.call());
    }
    let settling = async {
        take_turns(settles_after).await;
        while !opened(&world).settle() {
            take_turns(1).await;
        }
    };
    let ending = async {
        take_turns(ends_after).await;
        processes[0].abort();
    };
    let (refused, (), ()) = tokio::join!(join_all(callers), settling, ending);

    // Whoever is left ends once nobody can ask any more.
    drop(queues);
    let [ended, left] = <[_; 2]>::try_from(processes).expect("there are two");
    assert!(ended.await.is_err_and(|it| it.is_cancelled()), "a lane panics");
    left.await.expect("no lane panics");
    while !opened(&world).is_idle() {
        take_turns(1).await;
    }
    let world = opened(&world);
    for id in refused.into_iter().flatten() {
        assert!(world.leaves.iter().all(|it| it.posting_id != id), "{id} was refused, and is there");
    }
    world.came.clone()
}

fn play_all(seeds: impl Iterator<Item = u64>) -> BTreeMap<&'static str, u64> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let mut came = BTreeMap::new();
    for seed in seeds {
        let _named = Named(seed);
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        for (what, often) in runtime.block_on(play(seed)) {
            *came.entry(what).or_insert(0) += often;
        }
    }
    let counted = metrics.render();
    let collisions = counted.lines().find_map(|it| it.strip_prefix("daftari_commit_collisions_total "));
    came.extend(collisions.map(|it| ("counted as a collision", it.parse().expect("a count"))));
    came
}

/// Everybody has one answer, and who is told that it is not known asks again and learns the truth. What is answered is
/// committed by then, once, and in a log without holes whose every leaf was decided from the one before it; what is refused is
/// not there.
#[test]
fn whatever_fails_callers_learn_the_truth_and_nothing_is_there_twice() {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut came = BTreeMap::new();
    thread::scope(|scope| {
        let shares: Vec<_> =
            (0..cores).map(|it| scope.spawn(move || play_all(SEEDS.skip(it).step_by(cores)))).collect();
        for share in shares {
            for (what, often) in share.join().expect("it was named which seed fails") {
                *came.entry(what).or_insert(0) += often;
            }
        }
    });
    assert_eq!(came.keys().copied().collect::<Vec<_>>(), COMES, "{came:?}");
}
