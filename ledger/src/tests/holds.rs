//! What is set aside.

use super::shop::*;
use crate::*;

const SECOND_US: i64 = 1_000_000;

#[test]
fn a_hold_is_captured_in_parts() {
    let mut shop = Shop::under("{}");
    shop.does(earn("asha", 100));
    let held = check(&mut shop, hold("asha", 80, "duka", 60), "asha 20 held 80, duka 0");
    check(&mut shop, capture(held, 30, true), "asha 20 held 50, duka 30");
    refuse(&mut shop, capture(held, 51, true), Refusal::MoreThanLeft { left: 50, required: 51 });
    check(&mut shop, Command::Increase { hold: held, points: pts(10) }, "asha 10 held 60");
    check(&mut shop, capture(held, 40, false), "asha 30, duka 70");
    refuse(&mut shop, capture(held, 1, false), Refusal::HoldOver);
    let held = shop.does(hold("asha", 30, "", 60));
    check(&mut shop, capture(held, 0, true), "asha 0, redemption 30");
    refuse(&mut shop, Command::Void { hold: held }, Refusal::HoldOver);
}

#[test]
fn a_hold_grows_to_what_one_posting_may_be() {
    let mut shop = Shop::under(r#"{"redeem": {"per_posting": 100}}"#);
    shop.does(earn("asha", 200));
    let held = shop.does(hold("asha", 80, "duka", 60));
    let more = |points| Command::Increase { hold: held, points: pts(points) };
    refuse(&mut shop, more(21), beyond(Limit::PerPosting, 20, 21));
    check(&mut shop, more(20), "asha 100 held 100");
    refuse(&mut shop, more(1), beyond(Limit::PerPosting, 0, 1));
    shop.does(capture(held, 30, true));
    check(&mut shop, more(30), "asha 70 held 100, duka 30");
}

#[test]
fn a_late_capture_is_refused_swept_or_not() {
    let mut shop = Shop::under("{}");
    shop.does(earn("asha", 100));
    let held = shop.does(hold("asha", 80, "duka", 60));
    shop.later(60 * SECOND_US - 1);
    check(&mut shop, capture(held, 10, true), "asha 20 held 70");
    shop.later(1);
    refuse(&mut shop, capture(held, 10, true), Refusal::HoldOver);
    assert_eq!(shop.shows("asha"), "asha 90");
}

#[test]
fn a_hold_lasts_as_long_as_holds_may() {
    let mut shop = Shop::under(r#"{"holds": {"seconds": 60, "seconds_max": 120}}"#);
    shop.does(earn("asha", 100));
    let latest = shop.now.us / SECOND_US + 120;
    for seconds in [0, 121, u32::MAX] {
        refuse(&mut shop, hold("asha", 1, "duka", seconds), Refusal::HoldTime { latest });
    }
    let usual = Command::Hold { member: who("asha"), points: pts(5), partner: None, seconds: None };
    let held = shop.does(usual);
    shop.later(30 * SECOND_US);
    let longer = |seconds| Command::Prolong { hold: held, seconds };
    for seconds in [0, 30, 91] {
        refuse(&mut shop, longer(seconds), Refusal::HoldTime { latest });
    }
    shop.does(longer(90));
    shop.later(89 * SECOND_US);
    check(&mut shop, capture(held, 1, true), "asha 95 held 4");
    shop.later(SECOND_US);
    refuse(&mut shop, Command::Void { hold: held }, Refusal::HoldOver);
}

#[test]
fn what_ends_while_it_is_held_can_be_captured_but_not_be_spent_again() {
    let mut shop = Shop::under(r#"{"expiry": {"after": {"days": 30}}}"#);
    shop.does(earn("asha", 100));
    let first = shop.does(hold("asha", 60, "duka", 40 * 24 * 3600 / 2));
    let second = shop.does(hold("asha", 20, "duka", 40 * 24 * 3600 / 2));
    for held in [first, second] {
        shop.at("2026-01-30T00:00:00Z");
        shop.does(Command::Prolong { hold: held, seconds: 15 * 24 * 3600 + 10 });
    }
    shop.at("2026-02-14T00:00:05Z");
    assert_eq!(shop.shows("asha"), "asha 20 held 80");
    shop.terms.policy.holds.seconds_max = 0;
    shop.now = Moment { day: day("2026-02-15"), ..shop.now };
    check(&mut shop, capture(first, 50, true), "asha 0 held 30, duka 50, breakage 20");
    check(&mut shop, Command::Void { hold: second }, "asha 0 held 10, breakage 40");
    check(&mut shop, capture(first, 4, false), "asha 0, duka 54, breakage 46");
}

#[test]
fn a_suspended_member_ends_what_was_begun_and_begins_nothing() {
    let mut shop = Shop::under("{}");
    shop.does(earn("asha", 100));
    let held = shop.does(hold("asha", 50, "duka", 60));
    shop.does(status("asha", Status::Suspended));
    let suspended = Refusal::MemberSuspended;
    refuse(&mut shop, redeem("asha", 1, "duka"), suspended);
    refuse(&mut shop, transfer("asha", "juma", 1), suspended);
    refuse(&mut shop, hold("asha", 1, "duka", 60), suspended);
    refuse(&mut shop, withdraw("asha", 1, SOON), suspended);
    refuse(&mut shop, Command::Increase { hold: held, points: pts(1) }, suspended);
    check(&mut shop, earn("asha", 1), "asha 51 held 50");
    shop.does(earn("juma", 1));
    check(&mut shop, transfer("juma", "asha", 1), "asha 52 held 50");
    check(&mut shop, capture(held, 20, false), "asha 82, duka 20");
    shop.does(status("asha", Status::Active));
    check(&mut shop, redeem("asha", 82, "duka"), "asha 0");
}
