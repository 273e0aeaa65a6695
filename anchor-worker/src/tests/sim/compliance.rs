//! Longer plays than a seed's four hundred seconds: what is marked as a matter of compliance, and a whole night.

use super::{Sim, TURNS};

/// Within which time what is marked must be final, in 99 of 100 cases.
const FINAL_WITHIN_MS: u64 = 300_000;

#[test]
fn what_is_marked_is_final_within_five_minutes_at_p99() {
    let mut delays_ms = Vec::new();
    let mut anchors = 0;
    for seed in 0..600 {
        let mut sim = Sim::new(seed);
        // Unmarked, everything would wait for an hour.
        sim.worker.policy.staleness_max_ms = 3_600_000;
        sim.hurries = 15;
        // The chain permits it: its endpoints answer truly, it keeps to what it promised, prices are those that the policy pays,
        // the sender has coin, and nobody else has its key. Late blocks, drops, reorganisations and crashes stay as the seed has
        // them.
        let faults = &mut sim.faults;
        (faults.broke, faults.strangers, faults.spikes, faults.endpoints) = (0, 0, 0, 0);
        faults.reorg_depth_max = 12;
        (faults.breaks_promises, faults.says_nothing_is_final) = (false, false);
        (0..TURNS).for_each(|_| sim.turn());
        // The last is marked too, so that everything is anchored in the end.
        sim.hurried.insert(sim.leaves_ms.len() as u64 - 1);
        sim.settle();
        assert_eq!(sim.broken, None, "seed {seed}");
        assert!(sim.hurried.is_empty(), "seed {seed}: {:?} were never final", sim.hurried);
        delays_ms.append(&mut sim.hurried_for_ms);
        anchors += sim.worker.attempts.len();
    }
    delays_ms.sort_unstable();
    let at = |per_mille: usize| delays_ms[delays_ms.len() * per_mille / 1000];
    let (p50, p99, max) = (at(500), at(990), delays_ms[delays_ms.len() - 1]);
    println!(
        "{} marked, {anchors} transactions: final after {p50} ms, p99 {p99} ms, at most {max} ms",
        delays_ms.len()
    );
    assert!(1_000 < delays_ms.len(), "a simulation in which nothing is marked proves nothing");
    assert!(p99 <= FINAL_WITHIN_MS, "{p99} ms");
}

#[test]
fn a_night_with_every_fault_ends_reconciled() {
    const HOUR: u32 = 3_600;
    for night in 0..4 {
        let mut sim = Sim::new(90_000 + night);
        sim.hurries = 5;
        for hour in 0..8 {
            // Each hour has other faults, and each kind has its hour.
            sim.faults = Sim::new(100 * night + hour).faults;
            sim.faults.has_liar &= 1 < sim.endpoints.len();
            (0..HOUR).for_each(|_| sim.turn());
            assert_eq!(sim.broken, None, "night {night}, hour {hour}");
        }
        sim.settle();
        assert_eq!(sim.broken, None, "night {night}");
        assert!(sim.hurried.is_empty(), "night {night}");
        println!(
            "night {night}: {} leaves, {} transactions, {} reorganisations, {} restarts",
            sim.leaves_ms.len(),
            sim.worker.attempts.len(),
            sim.chain.reorganisations,
            sim.worker.restarts
        );
        assert!(30 < sim.worker.attempts.len() && 10 < sim.chain.reorganisations);
    }
}
