//! What goes from a member.

use super::shop::*;
use crate::*;

#[test]
fn a_redemption_takes_what_ends_first_then_what_is_oldest() {
    let mut shop = Shop::under(r#"{"expiry": {"after": {"days": 30}}}"#);
    shop.does(earn("asha", 10));
    shop.at("2026-01-20T10:00:00Z");
    shop.does(earn("asha", 10));
    shop.does(import("asha", &[("2026-02-19", 10), ("2026-02-01", 10)]));
    check(&mut shop, redeem("asha", 5, "duka"), "asha 35, duka 5");
    assert_eq!(
        shop.lots("asha"),
        "2026-02-01 5/0/0, 2026-02-14 10/0/0, 2026-02-19 10/0/0, 2026-02-19 10/0/0"
    );
    check(&mut shop, redeem("asha", 20, ""), "asha 15, redemption 20");
    assert_eq!(shop.lots("asha"), "2026-02-19 5/0/0, 2026-02-19 10/0/0");
    refuse(&mut shop, redeem("asha", 16, "duka"), lacks(15, 16));
    check(&mut shop, redeem_up_to("asha", 16), "asha 0, redemption 35");
    refuse(&mut shop, redeem_up_to("asha", 16), lacks(0, 16));
}

#[test]
fn a_funds_points_are_spent_with_its_merchant_only() {
    let mut shop = Shop::under("{}");
    shop.does(earn_as("asha", 30, Maturity::Now, Some("spring")));
    shop.does(earn("asha", 10));
    refuse(&mut shop, redeem("asha", 11, "cafe"), lacks(10, 11));
    refuse(&mut shop, withdraw("asha", 11, SOON), lacks(10, 11));
    refuse(&mut shop, hold("asha", 11, "", 60), lacks(10, 11));
    check(&mut shop, transfer("asha", "juma", 15), "asha 25, juma 15");
    assert_eq!(shop.lots("juma"), "never 10/0/0, never#1 5/0/0");
    check(&mut shop, redeem("asha", 25, "duka"), "asha 0, duka 25");
}

#[test]
fn a_transfer_keeps_the_days() {
    let mut shop = Shop::under(r#"{"expiry": {"after": {"days": 30}}}"#);
    shop.does(earn("asha", 10));
    shop.at("2026-01-20T10:00:00Z");
    check(&mut shop, transfer("asha", "juma", 4), "asha 6, juma 4");
    assert_eq!(shop.lots("juma"), "2026-02-14 4/0/0");
    refuse(&mut shop, transfer("asha", "asha", 1), Refusal::SameMember);
}

#[test]
fn a_withdrawal_says_what_ends_when() {
    let mut shop = Shop::under("{}");
    shop.does(import("asha", &[("2026-03-31", 5), ("2026-02-28", 7), ("never", 9)]));
    shop.does(earn("asha", 3));
    let request = shop.request(vec![withdraw("asha", 20, SOON)]);
    let decision = shop.decide(&request);
    let withdrawal = decision.postings[0].withdrawal.as_ref().unwrap();
    let amounts: Vec<_> = withdrawal.amounts.iter().map(|it| (it.day, it.amount)).collect();
    let number = |text| day(text).number();
    assert_eq!(amounts, [(number("2026-02-28"), 7), (number("2026-03-31"), 5), (i32::MAX, 8)]);
    assert_eq!(shop.shows("bridge"), "bridge 20");
}

/// What ended within an epoch of its claim could not be minted, and would be gone though it is good in the books.
#[test]
fn what_is_withdrawn_lasts_an_epoch_longer_than_it_can_be_claimed() {
    let mut shop = Shop::under("{}");
    shop.does(import("asha", &[("2026-01-17", 10), ("2026-01-18", 3), ("never", 2)]));
    // At the gateway the 17th ends at 21:00 UTC, and an epoch is a day.
    let last: u64 = 1_768_597_200;
    assert_eq!(
        i64::try_from(last).unwrap(),
        "2026-01-16T21:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second()
    );
    let too_soon = |lasting| Refusal::EndsTooSoon { lasting, until: 1_768_683_601 };
    refuse(&mut shop, withdraw("asha", 16, last + 1), lacks(15, 16));
    refuse(&mut shop, withdraw("asha", 15, last + 1), too_soon(5));
    refuse(&mut shop, withdraw("asha", 6, last + 1), too_soon(5));
    let request = shop.request(vec![withdraw("asha", 4, last + 1)]);
    let decision = shop.decide(&request);
    let amounts = &decision.postings[0].withdrawal.as_ref().unwrap().amounts;
    let days: Vec<_> = amounts.iter().map(|it| (it.day, it.amount)).collect();
    assert_eq!(days, [(day("2026-01-18").number(), 3), (i32::MAX, 1)]);
    assert_eq!(shop.lots("asha"), "2026-01-17 10/0/0, never 1/0/0");
    check(&mut shop, withdraw("asha", 11, last), "asha 0, bridge 15");
}

#[test]
fn a_withdrawal_is_for_somebody_and_for_a_time() {
    let mut shop = Shop::under("{}");
    shop.does(earn("asha", 10));
    for holder in [[0; 20], [1; 20], TOKEN] {
        refuse(&mut shop, withdraw_to(holder, SOON), Refusal::HolderUnfit);
    }
    let now = SOON - 3600;
    let latest = now + 90 * 24 * 3600;
    for before in [0, now, latest + 1, u64::MAX] {
        let latest = i64::try_from(latest).unwrap();
        refuse(&mut shop, withdraw("asha", 1, before), Refusal::ClaimTime { latest });
    }
    shop.does(withdraw("asha", 1, now + 1));
    check(&mut shop, withdraw("asha", 1, latest), "asha 8, bridge 2");
}

#[test]
fn a_member_keeps_the_floor() {
    let mut shop = Shop::under(r#"{"floor": 10}"#);
    shop.does(earn("asha", 30));
    refuse(&mut shop, redeem("asha", 21, "duka"), beyond(Limit::Floor, 20, 21));
    check(&mut shop, redeem_up_to("asha", 30), "asha 10");
    refuse(&mut shop, redeem_up_to("asha", 5), beyond(Limit::Floor, 0, 5));
    check(&mut shop, adjust("asha", -10), "asha 0");
}

#[test]
fn limits_count_a_posting_a_day_a_month_and_a_merchants_day() {
    let limits = r#"{"per_posting": 50, "per_day": 60, "per_month": 100, "per_merchant_day": 70}"#;
    let mut shop = Shop::under(&format!(r#"{{"redeem": {limits}}}"#));
    shop.does(earn("asha", 500));
    shop.does(earn("juma", 500));
    refuse(&mut shop, redeem("asha", 51, "duka"), beyond(Limit::PerPosting, 50, 51));
    shop.does(redeem("asha", 50, "duka"));
    refuse(&mut shop, redeem("asha", 11, ""), beyond(Limit::PerDay, 10, 11));
    refuse(&mut shop, redeem("juma", 21, "duka"), beyond(Limit::PerMerchantDay, 20, 21));
    shop.does(redeem("juma", 21, "cafe"));
    shop.does(hold("juma", 20, "duka", 60));
    shop.at("2026-01-16T10:00:00Z");
    shop.does(redeem("asha", 30, ""));
    refuse(&mut shop, withdraw("asha", 21, SOON + 24 * 3600), beyond(Limit::PerMonth, 20, 21));
    shop.at("2026-02-01T10:00:00Z");
    shop.does(redeem("asha", 50, "duka"));
    // Earning and giving are counted apart.
    let mut shop = Shop::under(r#"{"earn": {"per_day": 5}, "transfer": {"per_day": 3}}"#);
    shop.does(earn("asha", 5));
    refuse(&mut shop, earn("asha", 1), beyond(Limit::PerDay, 0, 1));
    shop.does(transfer("asha", "juma", 3));
    refuse(&mut shop, transfer("asha", "juma", 1), beyond(Limit::PerDay, 0, 1));
}
