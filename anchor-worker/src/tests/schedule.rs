use store::{PaidAnchor, SeenHeader};

use crate::machine::{AnchorPolicy, Owed};
use crate::schedule::{PriceTimer, Schedule, Timing, deadline_verdict, look_back, optimum};

use super::sim::Rng;

/// What the timer pays over these prices beside fixed intervals of all phases; asserts that no gap is beyond the window.
fn vs_fixed(prices: &[f64], window: usize, day: usize) -> f64 {
    let mut paid = 0.0;
    for phase in 0..window {
        let (mut timer, mut gap) = (PriceTimer::new(window, day), phase);
        for price in prices {
            timer.observe(*price);
            gap += 1;
            assert!(gap <= window, "a deadline was missed");
            if timer.takes(window - gap) {
                timer.taken();
                paid += price / window as f64;
                gap = 0;
            }
        }
    }
    paid / prices.iter().map(|it| it / window as f64).sum::<f64>()
}

fn noise(rng: &mut Rng) -> f64 {
    rng.below(1_000_001) as f64 / 1e6 - 0.5
}

#[test]
fn a_wave_over_the_day_is_learnt_and_a_calm_price_costs_nothing_more() {
    let mut rng = Rng::new(7);
    let prices: Vec<f64> = (0..24 * 60).map(|slot| wave(slot, &mut rng)).collect();
    let ratio = vs_fixed(&prices, 24, 24);
    assert!(ratio < 0.85, "{ratio}");
    let mut rng = Rng::new(8);
    let prices: Vec<f64> = (0..24 * 60).map(|_| 414e9 * (1.0 + 0.1 * noise(&mut rng))).collect();
    let ratio = vs_fixed(&prices, 24, 0);
    assert!(ratio < 1.005, "{ratio}");
}

/// A price of an hour, with a wave over the day.
fn wave(slot: usize, rng: &mut Rng) -> f64 {
    let turn = slot as f64 / 24.0 * std::f64::consts::TAU;
    300e9 * (0.35 * turn.sin()).exp() * (1.0 + 0.3 * noise(rng))
}

#[test]
fn what_would_have_saved_nothing_on_paper_is_not_followed() {
    let mut rng = Rng::new(11);
    let prices: Vec<f64> = (0..24 * 60).map(|_| 414e9 * (1.0 + 0.3 * noise(&mut rng))).collect();
    let mut timer = PriceTimer::new(24, 0);
    for price in &prices {
        timer.observe(*price);
        assert!(timer.is_fixed(), "there is nothing to learn");
    }
    let ratio = vs_fixed(&prices, 24, 0);
    assert!(ratio <= 1.0 + 1e-9, "{ratio}");
}

#[test]
fn after_losing_two_posts_it_keeps_to_fixed_intervals_for_a_while() {
    let mut timer = PriceTimer::new(24, 24);
    let mut rng = Rng::new(9);
    (0..24 * 40).for_each(|slot| timer.observe(wave(slot, &mut rng)));
    assert!(!timer.is_fixed(), "it has learnt enough, and saved enough on paper");
    (0..20).for_each(|_| timer.taken());
    timer.observe(wave(24 * 40, &mut rng));
    assert!(timer.is_fixed());
    assert!(!timer.takes(1) && timer.takes(0));
    (1..=24 * 12).for_each(|slot| timer.observe(wave(24 * 40 + slot, &mut rng)));
    assert!(!timer.is_fixed(), "and then it tries again");
}

#[test]
fn deadlines_come_before_prices() {
    let policy = AnchorPolicy {
        staleness_max_ms: 100_000,
        hurry_ms: 40_000,
        gap_min_ms: 30_000,
        ..AnchorPolicy::new(137, Default::default())
    };
    let owed = Owed { size: 2, oldest_ms: 0, hurried_ms: None };
    let timing = |owed: &Owed, now_ms, last_ms| {
        deadline_verdict(&policy, owed, now_ms, 20_000, last_ms).map(|it| (it.timing, it.due_ms))
    };
    assert_eq!(timing(&owed, 50_000, None), Err(100_000), "there is time to look at the price");
    assert_eq!(timing(&owed, 50_000, Some(40_000)), Ok((Timing::Wait, 100_000)), "the gap");
    assert_eq!(timing(&owed, 80_000, Some(79_000)), Ok((Timing::Press, 100_000)), "which a deadline ignores");
    let hurried = Owed { hurried_ms: Some(10_000), ..owed };
    assert_eq!(timing(&hurried, 20_000, None), Ok((Timing::Send, 50_000)));
    assert_eq!(timing(&hurried, 30_000, None), Ok((Timing::Press, 50_000)));
    let eager = AnchorPolicy { staleness_max_ms: 0, ..policy };
    let verdict = deadline_verdict(&eager, &owed, 1_000, 20_000, None).expect("it looks at no price");
    assert_eq!(verdict.timing, Timing::Send);
}

#[test]
fn a_chain_that_takes_its_time_is_sent_to_earlier() {
    let policy = AnchorPolicy { staleness_max_ms: 3_600_000, ..AnchorPolicy::new(137, Default::default()) };
    let mut schedule = Schedule::default();
    (0..100).for_each(|block| schedule.observe(&policy, block, 2_000 * block, 1));
    let owed = Owed { size: 2, oldest_ms: 0, hurried_ms: None };
    let check = |schedule: &Schedule, since_ms| {
        let timing = |now_ms| schedule.verdict(&policy, &owed, now_ms, None).timing;
        assert_ne!(timing(since_ms - 1), Timing::Press, "{since_ms}");
        assert_eq!(timing(since_ms), Timing::Press, "{since_ms}");
    };
    // Fifteen blocks of two seconds.
    check(&schedule, 3_570_000);
    for (nonce, blocks) in [(1, 2), (2, 10), (3, 1)] {
        schedule.pressed(nonce, 100 * nonce);
        schedule.pressed(nonce, 100 * nonce + 1);
        schedule.included(nonce, 100 * nonce + blocks);
    }
    // Twice ten.
    check(&schedule, 3_560_000);
    // What did not press waited as it liked.
    schedule.included(4, 9_000);
    check(&schedule, 3_560_000);
    // One that waited for days makes the others early by half of the promise, and not always.
    schedule.pressed(5, 500);
    schedule.included(5, 100_000);
    check(&schedule, 1_800_000);
    for nonce in 6..106 {
        schedule.pressed(nonce, 1);
        schedule.included(nonce, 3);
    }
    check(&schedule, 3_570_000);
}

/// Headers of two weeks, one in each slot of an hour, with the wave over the day.
fn headers() -> Vec<SeenHeader> {
    let mut rng = Rng::new(12);
    let header = |slot: u64| {
        let base_fee_wei = wave(slot as usize, &mut rng) as u128;
        SeenHeader { block: 1_000 + 1_800 * slot, time_ms: 3_600_000 * slot, base_fee_wei }
    };
    (0..24 * 40).map(header).collect()
}

#[test]
fn what_was_learnt_is_learnt_again_from_what_was_written_down() {
    let policy =
        AnchorPolicy { staleness_max_ms: 24 * 3_600_000, ..AnchorPolicy::new(1, Default::default()) };
    let headers = headers();
    let sent_ms: Vec<u64> = (1..40).map(|day| day * 24 * 3_600_000).collect();
    // A process that lived through it all, and sent before each of these headers was seen.
    let mut lived = Schedule::default();
    for header in &headers {
        if sent_ms.contains(&header.time_ms) {
            lived.sent();
        }
        lived.observe(&policy, header.block, header.time_ms, header.base_fee_wei);
    }
    let again = Schedule::recalled(&policy, &headers, &sent_ms);
    let now_ms = headers.last().unwrap().time_ms;
    let owed = Owed { size: 2, oldest_ms: now_ms - 3_600_000, hurried_ms: None };
    let verdict = again.verdict(&policy, &owed, now_ms, None);
    assert_eq!(verdict, lived.verdict(&policy, &owed, now_ms, None));
    assert!(verdict.why.contains("of what is usual"), "{}", verdict.why);
    assert_eq!(again.block_ms(), lived.block_ms());
    let unknowing = Schedule::default().verdict(&policy, &owed, now_ms, None);
    assert!(unknowing.why.contains("still being learnt"), "{}", unknowing.why);
}

#[test]
fn the_best_in_hindsight_is_the_cheapest_that_is_never_late() {
    assert_eq!(optimum(&[5.0, 1.0, 5.0, 5.0, 1.0, 5.0], 3), 2.0);
    assert_eq!(optimum(&[5.0, 1.0, 5.0, 5.0, 2.0, 5.0], 2), 8.0, "a gap of three slots is one too long");
    assert_eq!(optimum(&[3.0; 12], 3), 12.0, "where prices stand still there is nothing to choose");
}

#[test]
fn what_timing_saved_is_told_beside_fixed_intervals_and_the_best() {
    const HOUR: u64 = 3_600_000;
    // A day's promise; every second hour costs half.
    let header = |slot: u64| SeenHeader {
        block: slot,
        time_ms: slot * HOUR,
        base_fee_wei: if slot.is_multiple_of(2) { 100 } else { 200 },
    };
    let headers: Vec<SeenHeader> = (0..10 * 24).map(header).collect();
    let paid = |day: u64, price: u128| PaidAnchor {
        owed_ms: Some(day * 24 * HOUR),
        included_ms: (day * 24 + 22) * HOUR,
        leaves: 10,
        is_reverted: false,
        is_pin: false,
        paid_wei: price * 1_000,
        gas_used: Some(1_000),
    };
    let all: Vec<PaidAnchor> = (0..10).map(|day| paid(day, 100)).collect();
    let look = |paid: &[PaidAnchor]| look_back(&headers, paid, 24 * HOUR, 0, 240 * HOUR);
    let best = look(&all).unwrap();
    assert_eq!((best.paid_wei, best.fixed_wei), (1_000_000.0, 1_500_000.0));
    assert!(best.optimum_wei <= best.paid_wei && 0.9 < best.share().unwrap());
    // Who paid the mean has saved nothing; and a log that owed nothing on most days would have cost nobody anything.
    let dear: Vec<PaidAnchor> = (0..10).map(|day| paid(day, 150)).collect();
    assert_eq!(look(&dear).unwrap().share(), Some(0.0));
    let few = look(&[paid(0, 100), paid(7, 100)]).unwrap();
    assert_eq!(few.fixed_wei, 300_000.0);
    assert_eq!(look(&[]), None);
}
