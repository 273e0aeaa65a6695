use super::{MOMENTA, Motion, PriceTimer};
use crate::tests::sim::Rng;

/// Prices beside their level: each step takes back a tenth, and goes on by this share of the step before.
fn prices(push: f64) -> Vec<f64> {
    let mut rng = Rng::new(21);
    let (mut now, mut before) = (0.0, 0.0);
    (0..1_500)
        .map(|_| {
            let noise = (rng.below(1_000_001) as f64 / 1e6 - 0.5) * 0.3;
            let next = 0.9 * now + push * (now - before) + noise;
            (before, now) = (now, next);
            next
        })
        .collect()
}

#[test]
fn momentum_is_believed_where_it_is_sure_and_nowhere_else() {
    let (without, _) = Motion::of(&prices(0.0));
    assert_eq!((without.momenta(), without.push), (1, 0.0), "chance is not momentum");
    let (with, momentum) = Motion::of(&prices(0.6));
    assert_eq!(with.momenta(), MOMENTA);
    assert!((with.push - 0.6).abs() < 0.1 && (with.pull - 0.9).abs() < 0.05, "{with:?}");
    assert_eq!(with.weight, 1.0, "that of the last step alone");
    let all = prices(0.6);
    let last = all[all.len() - 1] - all[all.len() - 2];
    assert!((momentum - last).abs() < 1e-9, "where it stands at the end");
}

#[test]
fn a_price_that_falls_is_waited_for_and_one_that_rises_is_taken() {
    let mut timer = PriceTimer::new(24, 0);
    for price in prices(0.6) {
        timer.observe(300e9 * price.exp());
    }
    let spread = timer.motion.stride * (MOMENTA / 2) as f64;
    for left in [8, 12] {
        let (falling, rising) = (timer.limit(left, -spread), timer.limit(left, spread));
        assert!(falling < rising, "with {left} slots left: {falling} when it falls, {rising} when it rises");
    }
}
