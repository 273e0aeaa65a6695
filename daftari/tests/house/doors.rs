//! Which crate may name which: one door to each outside world, and arrows that point inwards.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{Metadata, MetadataCommand};

use crate::{expect_none, root};

/// An outside world: the one crate that speaks to it, and what names it in a `Cargo.toml`.
struct Door {
    keeper: &'static str,
    /// A crate belongs to this world when its name begins so; other libraries for the same world are a second door too.
    libraries: &'static [&'static str],
    why: &'static str,
}

const DOORS: &[Door] = &[
    Door {
        keeper: "store",
        libraries: &["sqlx", "tokio-postgres", "postgres", "deadpool-postgres", "diesel", "sea-orm"],
        why: "all SQL stands in one crate, so that locks are taken in one order and a query is found in one place; \
              ask `store` a question instead",
    },
    Door {
        keeper: "chain",
        libraries: &["alloy", "ethers", "web3"],
        why: "one crate knows the chain, so that one place decides what was perhaps sent; \
              give `chain` a function instead",
    },
    Door {
        keeper: "ingest",
        libraries: &["rdkafka", "rskafka", "kafka"],
        why: "an event has one way into the books, whichever way it came; add a source to `ingest` instead",
    },
];

const PURE: [&str; 3] = ["proof", "ledger", "model"];

/// What a pure crate must not name, and why.
const IMPURE: &[(&str, &str)] = &[
    ("tokio", "it waits, and a decision does not"),
    ("async-std", "it waits, and a decision does not"),
    ("smol", "it waits, and a decision does not"),
    ("mio", "it opens sockets"),
    ("socket2", "it opens sockets"),
    ("reqwest", "it asks the network"),
    ("ureq", "it asks the network"),
    ("hyper", "it asks and answers the network"),
    ("axum", "it answers the network"),
    ("tower", "it answers the network"),
    ("object_store", "it reads and writes objects"),
    ("rustix", "it calls the system"),
    ("libc", "it calls the system"),
    ("tempfile", "it writes files"),
    ("memmap", "it reads files"),
    ("notify", "it watches files"),
    ("clap", "it reads the command line and the environment"),
    ("tracing", "to log is an act; return what is worth saying"),
    ("log", "to log is an act; return what is worth saying"),
    ("metrics", "to count is an act; return what is worth counting"),
    ("getrandom", "randomness is passed in"),
    ("rand", "randomness is passed in"),
    ("chrono", "it reads the clock, and time is passed in"),
];

/// Which crates of ours a crate may name. Its tests may also name `devstack` and whatever these lead to, and those of
/// `store` the `model` of the books.
const ARROWS: &[(&str, &[&str])] = &[
    ("proof", &[]),
    ("ledger", &["proof"]),
    // The books again, for tests to compare with.
    ("model", &["ledger", "proof"]),
    ("store", &["ledger", "proof"]),
    ("tiles", &["proof"]),
    ("signing", &[]),
    ("chain", &["proof", "signing"]),
    ("ingest", &["ledger", "proof", "store"]),
    ("anchor-worker", &["chain", "ledger", "proof", "signing", "store", "tiles"]),
    ("notices", &["ledger", "proof", "store"]),
    ("api", &["ingest", "ledger", "notices", "proof", "store"]),
    ("verifier", &["api", "chain", "ledger", "proof", "store", "tiles"]),
    // What an outsider runs must not lean on the operator's database.
    ("auditor", &["chain", "proof", "tiles"]),
    ("devstack", &[]),
    // They drive the built executable from outside, and open the books only to check them.
    ("journeys", &["devstack", "ingest", "proof", "store"]),
    (
        "daftari",
        &[
            "anchor-worker",
            "api",
            "auditor",
            "chain",
            "devstack",
            "ingest",
            "ledger",
            "notices",
            "proof",
            "signing",
            "store",
            "tiles",
            "verifier",
        ],
    ),
];

const WHY_ARROWS: &str = "arrows point towards the pure core, so that a proof can be checked without a database and a \
                          decision tested without a server; move the code, or argue for the arrow in an ADR and in ARROWS";

/// The workspace as its manifests declare it. Nothing is resolved, so this needs no network and no lock.
fn workspace() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata reads the workspace")
}

#[test]
fn each_outside_world_has_one_door() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut broken = Vec::new();
    let mut seen = BTreeSet::new();
    for package in workspace().packages {
        let name = package.name.to_string();
        if !arrows.contains_key(name.as_str()) {
            broken.push(format!("{name}: a new crate; say in ARROWS which crates it may name"));
            continue;
        }
        for dependency in &package.dependencies {
            let is_for_tests = dependency.kind == cargo_metadata::DependencyKind::Development;
            broken.extend(broken_door(&name, &dependency.name));
            broken.extend(broken_purity(&name, &dependency.name));
            broken.extend(broken_arrow(&arrows, &name, &dependency.name, is_for_tests));
        }
        seen.insert(name);
    }
    for name in arrows.keys().filter(|it| !seen.contains(**it)) {
        broken.push(format!("{name}: ARROWS speaks of a crate that is not in the workspace; take it out"));
    }
    expect_none(&broken);
}

/// `alloy-primitives` is alloy, `postgres-types` is postgres, but `kafkaesque` would be something else.
fn belongs_to(library: &str, dependency: &str) -> bool {
    dependency
        .strip_prefix(library)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']) || library == "alloy")
}

fn broken_door(name: &str, dependency: &str) -> Option<String> {
    let door = DOORS.iter().find(|door| door.libraries.iter().any(|it| belongs_to(it, dependency)))?;
    (door.keeper != name)
        .then(|| format!("{name} names {dependency}, which only {} may: {}", door.keeper, door.why))
}

fn broken_purity(name: &str, dependency: &str) -> Option<String> {
    if !PURE.contains(&name) {
        return None;
    }
    let (_, why) = IMPURE.iter().find(|(library, _)| belongs_to(library, dependency))?;
    Some(format!("{name} names {dependency}, but it is pure, without I/O, clock or randomness: {why}"))
}

fn broken_arrow(
    arrows: &BTreeMap<&str, &[&str]>,
    name: &str,
    dependency: &str,
    is_for_tests: bool,
) -> Option<String> {
    if !arrows.contains_key(dependency) {
        return None;
    }
    // Real parts are started for every test but those of the pure crates, which need none. A receipt needs a log that
    // was really sealed and anchored, and a sealer real witnesses.
    let test_parts = dependency == "devstack" && !PURE.contains(&name)
        || [("verifier", "anchor-worker"), ("anchor-worker", "auditor"), ("store", "model")]
            .contains(&(name, dependency));
    let is_allowed = arrows[name].contains(&dependency)
        || is_for_tests && (test_parts || reached_from(arrows, name).contains(dependency));
    (!is_allowed).then(|| format!("{name} names {dependency}: {WHY_ARROWS}"))
}

fn reached_from<'a>(arrows: &BTreeMap<&'a str, &'a [&'a str]>, name: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting = arrows[name].to_vec();
    while let Some(next) = waiting.pop() {
        if reached.insert(next) {
            waiting.extend(arrows[next]);
        }
    }
    reached
}

#[test]
fn the_doors_can_be_broken() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    assert!(broken_door("api", "sqlx").is_some());
    assert!(broken_door("verifier", "alloy-primitives").is_some());
    assert!(broken_door("daftari", "tokio-postgres").is_some());
    assert_eq!(broken_door("store", "sqlx"), None);
    assert!(broken_purity("proof", "tokio-util").is_some());
    assert!(broken_purity("ledger", "rand_core").is_some());
    assert_eq!(broken_purity("store", "tokio"), None);
    assert!(broken_arrow(&arrows, "ledger", "store", false).is_some());
    assert!(broken_arrow(&arrows, "tiles", "store", true).is_some());
    assert!(broken_arrow(&arrows, "store", "model", false).is_some());
    assert!(broken_arrow(&arrows, "api", "daftari", false).is_some());
    assert!(broken_arrow(&arrows, "store", "devstack", false).is_some());
    assert!(broken_arrow(&arrows, "proof", "devstack", true).is_some());
    assert_eq!(broken_arrow(&arrows, "store", "devstack", true), None);
    assert_eq!(broken_arrow(&arrows, "verifier", "ingest", true), None, "its API leads there");
}
