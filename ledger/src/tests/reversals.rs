//! What is undone.

use super::shop::*;
use crate::*;

#[test]
fn what_was_spent_goes_back_to_its_lots_last_one_first() {
    let mut shop = Shop::under("{}");
    shop.does(import("asha", &[("2026-02-28", 10), ("2026-03-31", 20), ("never", 30)]));
    let spent = shop.does(redeem("asha", 45, "duka"));
    assert_eq!(shop.lots("asha"), "never 15/0/0");
    check(&mut shop, reverse(spent, 20), "asha 35, duka 25");
    assert_eq!(shop.lots("asha"), "2026-03-31 5/0/0, never 30/0/0");
    check(&mut shop, reverse(spent, 10), "asha 45, duka 15");
    refuse(&mut shop, reverse(spent, 16), Refusal::MoreThanLeft { left: 15, required: 16 });
    check(&mut shop, reverse(spent, 0), "asha 60, duka 0");
    assert_eq!(shop.lots("asha"), "2026-02-28 10/0/0, 2026-03-31 20/0/0, never 30/0/0");
    refuse(&mut shop, reverse(spent, 0), Refusal::MoreThanLeft { left: 0, required: 0 });
}

#[test]
fn what_has_ended_meanwhile_can_be_spent_for_the_days_of_grace() {
    let mut shop = Shop::under(r#"{"grace_days": 7}"#);
    shop.does(import("asha", &[("2026-02-28", 10), ("2026-03-31", 20)]));
    let spent = shop.does(redeem("asha", 30, "duka"));
    shop.at("2026-03-01T00:00:00Z");
    check(&mut shop, reverse(spent, 0), "asha 30");
    assert_eq!(shop.lots("asha"), "2026-03-08 10/0/0, 2026-03-31 20/0/0");
}

#[test]
fn what_was_earned_is_taken_from_its_own_lot_first_then_from_others_then_owed() {
    let mut shop = Shop::under(r#"{"debt_max": 40}"#);
    shop.does(import("asha", &[("2026-02-28", 10), ("2026-03-31", 20)]));
    let earned = shop.does(earn("asha", 100));
    check(&mut shop, reverse(earned, 40), "asha 90, issuance -90");
    assert_eq!(shop.lots("asha"), "2026-02-28 10/0/0, 2026-03-31 20/0/0, never 60/0/0");
    let spent = shop.does(redeem("asha", 80, "duka"));
    assert_eq!(shop.lots("asha"), "never 10/0/0");
    refuse(&mut shop, reverse(earned, 51), beyond(Limit::Debt, 50, 51));
    check(&mut shop, reverse(earned, 50), "asha -40");
    refuse(&mut shop, reverse(earned, 1), beyond(Limit::Debt, 0, 1));
    check(&mut shop, reverse(spent, 0), "asha 40, duka 0");
    assert_eq!(shop.lots("asha"), "never 40/0/0", "the last lot came back first and paid most of the debt");
}

#[test]
fn what_was_earned_is_taken_from_its_own_lot_also_where_that_ends_on_another_day_now() {
    let after_30_days = r#"{"expiry": {"after": {"days": 30}}, "grace_days": 60}"#;
    let mut shop = Shop::under(after_30_days);
    let of_spring = shop.does(earn_as("asha", 30, Maturity::Now, Some("spring")));
    shop.does(earn("asha", 30));
    shop.does(extend("asha", "2026-02-14", "2026-03-01"));
    check(&mut shop, reverse(of_spring, 0), "asha 30, spring 0");
    assert_eq!(shop.lots("asha"), "2026-03-01 30/0/0");
    // What is still where it was earned goes before what was put off, and both before what is another earning's.
    let mut shop = Shop::under(after_30_days);
    let earned = shop.does(earn("asha", 30));
    shop.does(extend("asha", "2026-02-14", "2026-03-01"));
    shop.does(earn("asha", 10));
    shop.does(import("asha", &[("2026-01-20", 10)]));
    shop.does(reverse(earned, 15));
    assert_eq!(shop.lots("asha"), "2026-01-20 10/0/0, 2026-03-01 25/0/0");
    // And where it was spent, came back when it was over and has its grace.
    let mut shop = Shop::under(after_30_days);
    let earned = shop.does(earn("asha", 30));
    let spent = shop.does(redeem("asha", 30, "duka"));
    shop.at("2026-02-20T10:00:00Z");
    shop.does(reverse(spent, 0));
    shop.does(earn("asha", 10));
    assert_eq!(shop.lots("asha"), "2026-03-22 10/0/0, 2026-04-21 30/0/0");
    shop.does(reverse(earned, 25));
    assert_eq!(shop.lots("asha"), "2026-03-22 10/0/0, 2026-04-21 5/0/0");
}

#[test]
fn a_captures_points_go_back_to_the_lots_that_it_took() {
    let mut shop = Shop::under(r#"{"debt_max": 1000}"#);
    shop.does(import("asha", &[("2026-02-28", 20), ("2026-03-31", 30)]));
    let earned = shop.does(earn("asha", 5));
    let held = shop.does(hold("asha", 50, "duka", 60));
    shop.does(redeem("asha", 5, "duka"));
    shop.does(reverse(earned, 0));
    // It takes 20 and 10, releases 20, and these pay the debt of 5.
    let captured = check(&mut shop, capture(held, 30, false), "asha 15, duka 35");
    assert_eq!(shop.lots("asha"), "2026-03-31 15/0/0");
    check(&mut shop, reverse(captured, 0), "asha 45, duka 5");
    assert_eq!(shop.lots("asha"), "2026-02-28 20/0/0, 2026-03-31 25/0/0");
}

#[test]
fn a_withdrawal_is_reversed_once_its_chain_shows_that_it_can_be_claimed_no_more() {
    let mut shop = Shop::under("{}");
    shop.does(earn("asha", 100));
    shop.chain.known_until = SOON;
    let withdrawn = shop.does(withdraw("asha", 60, SOON));
    let claimable = shop.does(withdraw("asha", 10, SOON + 1));
    shop.chain.is_paid = true;
    let claimed = shop.does(withdraw("asha", 30, SOON));
    // Our clock says nothing of what the chain has seen.
    shop.later(1_000_000_000_000_000);
    let until = i64::try_from(SOON + 1).unwrap();
    refuse(&mut shop, reverse(claimable, 0), Refusal::StillClaimable { until });
    refuse(&mut shop, reverse(claimed, 0), Refusal::AlreadyClaimed);
    check(&mut shop, reverse(withdrawn, 0), "asha 60, bridge 40");
}

/// Else whoever withdrew in time and never claimed would have points that never end.
#[test]
fn a_way_to_the_chain_and_back_refreshes_no_points() {
    let mut shop = Shop::under(r#"{"grace_days": 30}"#);
    shop.does(import("asha", &[("2026-01-20", 50)]));
    shop.chain.known_until = SOON;
    let withdrawn = shop.does(withdraw("asha", 20, SOON));
    let spent = shop.does(redeem("asha", 20, ""));
    shop.at("2026-01-25T10:00:00Z");
    shop.does(reverse(withdrawn, 0));
    shop.does(reverse(spent, 0));
    // What was withdrawn, and what was never spent, is over; what was spent has its grace.
    assert_eq!([shop.shows("asha"), shop.shows("breakage")], ["asha 20", "breakage 30"]);
}

#[test]
fn only_what_went_between_a_member_and_the_house_is_reversed() {
    let mut shop = Shop::under("{}");
    let earned = shop.does(earn("asha", 100));
    let given = shop.does(transfer("asha", "juma", 10));
    let held = shop.does(hold("asha", 10, "duka", 60));
    let undone = shop.does(reverse(earned, 5));
    for posting in [given, held, undone] {
        refuse(&mut shop, reverse(posting, 0), Refusal::WrongKind);
    }
    let budgeted = shop.does(budget("prize", 5));
    refuse(&mut shop, reverse(budgeted, 0), Refusal::PostingUnknown);
    let pending = shop.does(earn_as("asha", 5, Maturity::OnConfirmation, None));
    refuse(&mut shop, reverse(pending, 0), Refusal::StillPending);
    shop.does(Command::Confirm { earning: pending });
    check(&mut shop, reverse(pending, 0), "asha 75 held 10");
    shop.does(merge("juma", "neema"));
    let of_juma = shop.does(earn("neema", 1));
    check(&mut shop, reverse(of_juma, 0), "neema 10");
}

#[test]
fn a_member_who_joined_another_gets_nothing_back() {
    let mut shop = Shop::under("{}");
    shop.does(earn("asha", 100));
    let spent = shop.does(redeem("asha", 10, "duka"));
    shop.does(merge("asha", "juma"));
    refuse(&mut shop, reverse(spent, 0), Refusal::MemberClosed);
}
