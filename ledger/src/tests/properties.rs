//! What holds whatever is asked. Random programs of everything run beside the model, in `model/tests`.

use proptest::prelude::*;

use super::shop::*;
use crate::*;

/// Lots by days from today and points.
fn some_lots() -> impl Strategy<Value = Vec<(i32, i32, i64)>> {
    prop::collection::vec((0_i32..30, 0_i32..5, 1_i64..100), 1..8)
}

fn imported(lots: &[(i32, i32, i64)]) -> (Shop, i64) {
    let mut shop = Shop::under(r#"{"debt_max": 100000}"#);
    let today = shop.now.day.number();
    let lot = |it: &(i32, i32, i64)| {
        (Day::new(today + it.0).unwrap(), Day::new(today - it.1).unwrap(), Points::new(it.2).unwrap())
    };
    let all = lots.iter().map(lot).collect();
    shop.does(Command::Import { member: who("asha"), lots: all, effective_at_us: None });
    let sum = lots.iter().map(|it| it.2).sum();
    (shop, sum)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    /// Whatever is spent, what is left ends no sooner than what was spent.
    #[test]
    fn points_are_spent_in_the_order_in_which_they_end(lots in some_lots(), points in 1_i64..800) {
        let (mut shop, sum) = imported(&lots);
        let before = shop.account("asha").lots.clone();
        let asked = shop.ask(redeem("asha", points, "duka"));
        if sum < points {
            prop_assert_eq!(asked, Err(lacks(sum, points)));
            prop_assert_eq!(&before, &shop.account("asha").lots);
            return Ok(());
        }
        let after = &shop.account("asha").lots;
        let spent = before.iter().filter(|(lot, it)| after.get(lot) != Some(it)).map(|it| *it.0);
        prop_assert!(spent.max() <= after.keys().next().copied().or(before.keys().last().copied()));
        prop_assert_eq!(after.values().map(|it| it.available).sum::<i64>(), sum - points);
    }

    /// Reversing everything, in any parts, brings back every lot.
    #[test]
    fn reversing_everything_brings_back_every_lot(
        lots in some_lots(),
        spends in prop::collection::vec((1_i64..200, any::<bool>(), 1_i64..200), 1..6),
    ) {
        let (mut shop, _) = imported(&lots);
        let before = shop.account("asha").lots.clone();
        let mut spent = vec![];
        for (points, is_held, part) in spends {
            if !is_held {
                spent.extend(shop.ask(redeem("asha", points, "duka")).map(|it| (it, part)));
            } else if let Ok(held) = shop.ask(hold("asha", points, "duka", 60)) {
                let captured = shop.ask(capture(held, part.min(points), true)).unwrap();
                spent.push((captured, part));
                let _ = shop.ask(Command::Void { hold: held });
            }
        }
        for (posting, part) in spent {
            let _ = shop.ask(reverse(posting, part));
            let rest = shop.ask(reverse(posting, 0));
            let nothing = Err(Refusal::MoreThanLeft { left: 0, required: 0 });
            prop_assert!(rest.is_ok() || rest == nothing);
        }
        prop_assert_eq!(&before, &shop.account("asha").lots);
        prop_assert_eq!(shop.shows("duka"), "duka 0");
    }

    /// An earning that is taken back in parts is taken back once, whatever became of its points.
    #[test]
    fn parts_of_a_reversal_add_up_to_the_whole(
        lots in some_lots(),
        spent in 0_i64..600,
        parts in prop::collection::vec(1_i64..80, 1..8),
    ) {
        let (mut shop, sum) = imported(&lots);
        let earned = shop.does(earn("asha", 100));
        let spent = if shop.ask(redeem("asha", spent.max(1), "duka")).is_ok() { spent.max(1) } else { 0 };
        let mut left = 100;
        for part in parts {
            match shop.ask(reverse(earned, part)) {
                Ok(_) => left -= part,
                Err(refusal) => {
                    prop_assert!(left < part);
                    prop_assert_eq!(refusal, Refusal::MoreThanLeft { left, required: part });
                }
            }
            prop_assert_eq!(shop.account("asha").balances.available, sum + left - spent);
        }
    }

    /// What is set aside outlives its day, and what is not does not.
    #[test]
    fn expiry_never_takes_what_is_held(lots in some_lots(), points in 1_i64..300, days in 0_i64..40) {
        let (mut shop, _) = imported(&lots);
        let _ = shop.ask(hold("asha", points, "duka", 30 * 24 * 3600));
        let held = shop.account("asha").balances.held;
        shop.later((days * 24 * 3600 * 1_000_000).min(30 * 24 * 3600 * 1_000_000 - 1));
        shop.does(Command::Settle { account: id("asha") });
        let account = shop.account("asha");
        prop_assert_eq!(account.balances.held, held);
        let today = shop.now.day;
        prop_assert!(account.lots.iter().all(|(lot, it)| today <= lot.last_day || it.available == 0));
    }

    #[test]
    fn lots_have_ids_in_the_order_of_spending(one in any::<(u16, u16, u32)>(), other in any::<(u16, u16, u32)>()) {
        let lot = |(last, earned, fund): (u16, u16, u32)| {
            let last_day = if last == u16::MAX { Day::NEVER } else { Day::new(last.into()).unwrap() };
            Lot { last_day, earned_day: Day::new(earned.into()).unwrap(), fund }
        };
        let (one, other) = (lot(one), lot(other));
        prop_assert_eq!(one.cmp(&other), one.id().cmp(&other.id()));
        prop_assert_eq!(Lot::from_id(&one.id()), Some(one));
    }

    #[test]
    fn no_bytes_make_a_lot_or_an_event_panic(id in any::<[u8; 16]>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(lot) = Lot::from_id(&id) {
            prop_assert_eq!(lot.id(), id);
        }
        let _ = (Event::parse(&bytes), RuleSet::parse(&bytes), Terms::parse(&bytes));
    }
}
