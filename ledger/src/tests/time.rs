//! What falls due, and that it is done first.

use proptest::prelude::*;

use super::shop::*;
use crate::*;

#[test]
fn points_expire_when_their_last_day_is_over_where_the_program_is() {
    let mut shop = Shop::under(
        r#"{"time_zone": "Africa/Nairobi", "expiry": {"after": {"months": 1, "end_of": "month"}}}"#,
    );
    shop.at("2026-01-31T21:00:00Z");
    shop.does(earn("asha", 10));
    assert_eq!(shop.lots("asha"), "2026-03-31 10/0/0", "in Nairobi it is February");
    shop.at("2026-03-31T20:59:59.999999Z");
    check(&mut shop, redeem("asha", 1, "duka"), "asha 9");
    shop.later(1);
    refuse(&mut shop, redeem("asha", 1, "duka"), lacks(0, 1));
    assert_eq!(shop.shows("breakage"), "breakage 9");
}

#[test]
fn the_whole_balance_expires_after_idle_days_but_what_is_held() {
    let mut shop = Shop::under(r#"{"expiry": {"inactivity": {"days": 10}}}"#);
    shop.does(import("asha", &[("never", 10)]));
    shop.does(earn("asha", 100));
    shop.at("2026-01-25T00:00:00Z");
    let held = shop.does(hold("asha", 20, "duka", 20 * 24 * 3600));
    shop.does(transfer("asha", "juma", 10));
    shop.at("2026-02-04T23:59:59Z");
    check(&mut shop, adjust("asha", 1), "asha 81 held 20");
    shop.at("2026-02-05T00:00:00Z");
    refuse(&mut shop, redeem("asha", 1, "duka"), lacks(0, 1));
    assert_eq!(shop.shows("breakage"), "breakage 81");
    check(&mut shop, capture(held, 15, false), "asha 5, duka 15");
    assert_eq!(shop.shows("juma"), "juma 10", "nobody asked about juma yet");
    check(&mut shop, earn("juma", 1), "juma 1, breakage 91");
}

#[test]
fn a_hold_is_no_activity_and_who_is_given_points_begins_anew() {
    let mut shop = Shop::under(r#"{"expiry": {"inactivity": {"days": 10}}}"#);
    shop.does(earn("asha", 10));
    shop.at("2026-01-20T00:00:00Z");
    let held = shop.does(hold("asha", 1, "duka", 60));
    shop.does(Command::Void { hold: held });
    shop.at("2026-01-26T00:00:00Z");
    check(&mut shop, adjust("asha", 5), "asha 5, breakage 10");
    shop.at("2026-02-05T00:00:00Z");
    check(&mut shop, redeem("asha", 1, "duka"), "asha 4");
}

#[test]
fn who_was_only_brought_over_keeps_the_points_when_activity_begins_to_count() {
    let mut shop = Shop::under("{}");
    shop.does(import("asha", &[("2030-01-01", 50)]));
    shop.terms = Shop::under(r#"{"expiry": {"inactivity": {"days": 10}}}"#).terms;
    shop.at("2026-01-24T00:00:00Z");
    check(&mut shop, redeem("asha", 1, "duka"), "asha 49");
    let mut shop = Shop::under("{}");
    shop.does(import("asha", &[("2030-01-01", 50)]));
    shop.terms = Shop::under(r#"{"expiry": {"inactivity": {"days": 10}}}"#).terms;
    shop.at("2026-01-27T00:00:00Z");
    check(&mut shop, Command::Settle { account: id("asha") }, "asha 0, breakage 50");
    // However long ago it says that it was.
    let mut shop = Shop::under(r#"{"expiry": {"inactivity": {"days": 10}}}"#);
    let a_year_ago = Some(shop.now.us - 365 * 24 * 3600 * 1_000_000);
    let lots = vec![(day("2030-01-01"), day("2025-01-01"), pts(50))];
    shop.does(Command::Import { member: who("asha"), lots, effective_at_us: a_year_ago });
    shop.at("2026-01-24T00:00:00Z");
    check(&mut shop, redeem("asha", 1, "duka"), "asha 49");
}

#[test]
fn what_is_due_is_posted_in_the_order_of_time() {
    let ask_late = |sweep: bool| {
        let mut shop = Shop::under(r#"{"debt_max": 100}"#);
        let earned = shop.does(earn("asha", 50));
        shop.does(redeem("asha", 50, "duka"));
        shop.does(import("asha", &[("2026-01-20", 50)]));
        shop.does(hold("asha", 50, "duka", 3 * 24 * 3600));
        shop.does(reverse(earned, 0));
        let matures = shop.now.us + 10 * 24 * 3600 * 1_000_000;
        shop.does(earn_as("asha", 50, Maturity::At(matures), None));
        // The hold lapses first, and what it releases pays the debt.
        shop.at("2026-01-19T00:00:00Z");
        if sweep {
            shop.does(Command::Settle { account: id("asha") });
        }
        shop.at("2026-02-01T00:00:00Z");
        shop.does(Command::Settle { account: id("asha") });
        (shop.shows("asha"), shop.lots("asha"))
    };
    assert_eq!(ask_late(false), ask_late(true));
    assert_eq!(ask_late(false).0, "asha 50");
}

#[test]
fn due_postings_say_what_they_end_and_have_ids_of_their_own() {
    let mut shop = Shop::under(r#"{"expiry": {"after": {"days": 1}}}"#);
    shop.does(earn("asha", 10));
    let held = shop.does(hold("asha", 4, "duka", 60));
    let due_us = shop.now.us + 60 * 1_000_000;
    let pending = shop.does(earn_as("asha", 5, Maturity::At(due_us), None));
    shop.at("2026-01-17T00:00:00Z");
    let request = shop.request(vec![redeem("asha", 1, "duka")]);
    let decision = shop.decide(&request);
    assert_eq!(kinds(&decision), ["mature", "lapse", "expire"]);
    let ids: std::collections::BTreeSet<_> = decision.postings.iter().map(|it| it.id).collect();
    assert_eq!(ids.len(), 3);
    let follows: Vec<_> = decision.postings.iter().map(|it| (it.follows, it.item)).collect();
    assert_eq!(follows, [(Some(pending), None), (Some(held), None), (None, None)]);
    assert_eq!(decision.result, Err(Refused { item: 0, refusal: lacks(0, 1) }));
    assert_eq!(shop.shows("breakage"), "breakage 15", "what was due stays done");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    /// The two sides of every due-first decision: what a reader is shown, and what a sweep posts.
    #[test]
    fn a_reader_is_shown_what_a_sweep_would_post(
        lots in prop::collection::vec((0_i32..40, 1_i64..50), 1..6),
        holds in prop::collection::vec((1_i64..60, 1_u32..3_000_000), 0..4),
        pending in prop::collection::vec((1_i64..60, 1_i64..3_000_000), 0..4),
        idle in 0..2_u8,
        seconds in 0..5_000_000_i64,
    ) {
        let mut shop = Shop::under(if idle == 1 { r#"{"expiry": {"inactivity": {"days": 12}}}"# } else { "{}" });
        let today = shop.now.day.number();
        let lots = lots.iter().map(|it| (Day::new(today + it.0).unwrap(), shop.now.day, pts(it.1))).collect();
        shop.does(Command::Import { member: who("asha"), lots, effective_at_us: None });
        for (points, seconds) in holds {
            let _ = shop.ask(hold("asha", points, "duka", seconds));
        }
        for (points, seconds) in pending {
            let at = shop.now.us + seconds * 1_000_000;
            shop.does(earn_as("asha", points, Maturity::At(at), None));
        }
        let next_us = shop.account("asha").next_due_us(&shop.terms);
        shop.later(seconds * 1_000_000);
        let shown = shop.account("asha").when_due(&shop.terms, shop.now);
        prop_assert_eq!(&shown == shop.account("asha"), shop.now.us < next_us);
        shop.does(Command::Settle { account: id("asha") });
        prop_assert_eq!(&shown, shop.account("asha"));
    }
}

#[test]
fn a_day_that_comes_again_does_not_give_a_limit_twice() {
    let day = |number| Day::new(number).expect("a day");
    let mut used = Used::default().on(day(20_000));
    used.add(Flow::Redeem, 5);
    // The program moved to a time zone where it is still the day before.
    assert_eq!(used.on(day(19_999)).of(Flow::Redeem).day, 5);
    assert_eq!(used.on(day(20_001)).of(Flow::Redeem).day, 0);
}
