//! What comes to a member.

use super::shop::*;
use crate::*;

#[test]
fn an_earning_comes_from_issuance_or_a_fund() {
    let mut shop = Shop::under("{}");
    check(&mut shop, earn("asha", 70), "asha 70, issuance -70");
    check(
        &mut shop,
        earn_as("asha", 30, Maturity::Now, Some("spring")),
        "asha 100, issuance -70, spring -30",
    );
    assert_eq!(shop.lots("asha"), "never 70/0/0, never#1 30/0/0");
}

#[test]
fn a_budgeted_fund_gives_what_was_put_into_it() {
    let mut shop = Shop::under("{}");
    let from_prize = |points| earn_as("asha", points, Maturity::Now, Some("prize"));
    refuse(&mut shop, from_prize(1), beyond(Limit::Budget, 0, 1));
    check(&mut shop, budget("prize", 50), "prize 50, issuance -50");
    check(&mut shop, from_prize(50), "asha 50, prize 0");
    refuse(&mut shop, budget("prize", -1), beyond(Limit::Budget, 0, 1));
}

#[test]
fn a_pending_earning_matures_is_confirmed_or_cancelled() {
    let mut shop = Shop::under("{}");
    let at = shop.now.us + 1_000;
    check(&mut shop, earn_as("asha", 10, Maturity::At(at), None), "asha 0 pending 10");
    let second = check(&mut shop, earn_as("asha", 20, Maturity::OnConfirmation, None), "asha 0 pending 30");
    let third =
        check(&mut shop, earn_as("asha", 30, Maturity::OnConfirmation, Some("spring")), "asha 0 pending 60");
    shop.later(999);
    check(&mut shop, Command::Confirm { earning: second }, "asha 20 pending 40");
    shop.later(1);
    check(&mut shop, Command::Cancel { earning: third }, "asha 30, spring 0, issuance -30");
    refuse(&mut shop, Command::Confirm { earning: third }, Refusal::PendingOver);
    refuse(&mut shop, reverse(third, 0), Refusal::MoreThanLeft { left: 0, required: 0 });
}

#[test]
fn an_earning_counts_from_its_event_or_from_the_last_close() {
    let mut shop = Shop::under("{}");
    let effective = |shop: &mut Shop| {
        let request = shop.request(vec![earn("asha", 1)]);
        shop.decide(&request).postings[0].effective_at_us
    };
    assert_eq!(effective(&mut shop), 1_768_000_000_000_000);
    shop.terms.closed_before_us = 1_768_100_000_000_000;
    assert_eq!(effective(&mut shop), 1_768_100_000_000_000);
    shop.now = shop.terms.moment(1_768_000_000_000_000 - 300_000_000);
    shop.terms.closed_before_us = i64::MIN;
    assert_eq!(effective(&mut shop), shop.now.us, "never after it is recorded");
    shop.later(-1);
    refuse(&mut shop, earn("asha", 1), Refusal::InFuture);
}

#[test]
fn what_is_imported_keeps_its_days() {
    let mut shop = Shop::under("{}");
    check(
        &mut shop,
        import("asha", &[("2026-03-31", 5), ("2026-01-14", 7), ("never", 9)]),
        "asha 14, breakage 7",
    );
    assert_eq!(shop.lots("asha"), "2026-03-31 5/0/0, never 9/0/0");
    check(&mut shop, deposit("asha", &[("2026-03-31", 1), ("2026-03-31", 2)]), "asha 17, bridge -3");
    assert_eq!(shop.lots("asha"), "2026-03-31 5/0/0, 2026-03-31 3/0/0, never 9/0/0");
}

#[test]
fn what_comes_in_pays_a_debt_first() {
    let mut shop = Shop::under(r#"{"debt_max": 50}"#);
    let earning = shop.does(earn("asha", 40));
    shop.does(redeem("asha", 40, "duka"));
    check(&mut shop, reverse(earning, 0), "asha -40, issuance 0");
    check(&mut shop, earn("asha", 15), "asha -25");
    assert_eq!(shop.lots("asha"), "");
    check(&mut shop, earn("asha", 30), "asha 5");
    assert_eq!(shop.lots("asha"), "never 5/0/0");
}
