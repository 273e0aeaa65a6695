//! What an attacker would ask.

use super::shop::*;
use crate::*;

#[test]
fn what_is_pending_or_held_counts_towards_the_most_that_a_member_can_have() {
    let mut shop = Shop::under("{}");
    shop.does(earn_as("asha", MEMBER_LIMIT - 10, Maturity::OnConfirmation, None));
    check(&mut shop, earn("asha", 4), &format!("asha 4 pending {}", MEMBER_LIMIT - 10));
    refuse(&mut shop, earn("asha", 7), beyond(Limit::Balance, 6, 7));
    refuse(&mut shop, earn_as("asha", 7, Maturity::OnConfirmation, None), beyond(Limit::Balance, 6, 7));
    refuse(&mut shop, adjust("asha", HOUSE_LIMIT), beyond(Limit::Balance, 6, HOUSE_LIMIT));
    shop.does(earn("asha", 6));
    let held = shop.does(hold("asha", 10, "duka", 60));
    refuse(&mut shop, import("asha", &[("never", 1)]), beyond(Limit::Balance, 0, 1));
    // So whatever falls due finds room.
    shop.later(61_000_000);
    refuse(&mut shop, capture(held, 0, false), Refusal::HoldOver);
    assert_eq!(shop.shows("asha"), format!("asha 10 pending {}", MEMBER_LIMIT - 10));
}

#[test]
fn house_accounts_refuse_at_their_limit_either_way() {
    let mut shop = Shop::under("{}");
    check(&mut shop, budget("prize", HOUSE_LIMIT), &format!("prize {HOUSE_LIMIT}, issuance -{HOUSE_LIMIT}"));
    for change in [1, HOUSE_LIMIT] {
        refuse(&mut shop, budget("prize", change), beyond(Limit::Balance, 0, change));
    }
    refuse(&mut shop, earn("asha", 1), beyond(Limit::Balance, 0, 1));
    refuse(&mut shop, import("asha", &[("never", 5)]), beyond(Limit::Balance, 0, 5));
    shop.does(budget("prize", -3));
    refuse(&mut shop, earn("asha", 4), beyond(Limit::Balance, 3, 4));
    check(&mut shop, earn("asha", 3), "asha 3");
    shop.does(earn_as("asha", 9, Maturity::Now, Some("prize")));
    shop.does(budget("prize", -(HOUSE_LIMIT - 12)));
}

/// Breakage has so much, and the fund `spring` has given it.
fn fill_breakage(shop: &mut Shop, points: i64) {
    for (name, available) in [("breakage", points), ("spring", -points)] {
        let mut account = shop.account(name).clone();
        account.balances.available = available;
        shop.books.insert(account);
    }
}

#[test]
fn what_ends_while_breakage_is_full_stays_and_is_not_spent() {
    let mut shop = Shop::under("{}");
    shop.does(import("asha", &[("2026-01-20", 8), ("never", 3)]));
    shop.does(hold("asha", 2, "duka", 60));
    fill_breakage(&mut shop, HOUSE_LIMIT - 7);
    shop.at("2026-01-21T00:00:00Z");
    let request = shop.request(vec![earn("asha", 1)]);
    assert_eq!(kinds(&shop.decide(&request)), ["lapse", "earn"]);
    refuse(&mut shop, redeem("asha", 5, "duka"), lacks(4, 5));
    let settle = Command::Settle { account: id("asha") };
    check(&mut shop, settle, &format!("asha 12, breakage {}", HOUSE_LIMIT - 7));
    assert_eq!(shop.account("asha").when_due(&shop.terms, shop.now).balances.available, 4);
    fill_breakage(&mut shop, HOUSE_LIMIT - 8);
    check(&mut shop, redeem("asha", 4, "duka"), &format!("asha 0, breakage {HOUSE_LIMIT}"));
}

#[test]
fn amounts_that_no_posting_can_carry_are_refused() {
    let mut shop = Shop::under("{}");
    let most = [("never", MEMBER_LIMIT), ("never", 1)];
    for command in [import("asha", &[]), import("asha", &most), deposit("asha", &[]), deposit("asha", &most)]
    {
        refuse(&mut shop, command, Refusal::AmountOutOfRange);
    }
    let many = vec![(Day::NEVER, Day::NEVER, pts(MEMBER_LIMIT)); 2000];
    let many = Command::Import { member: who("asha"), lots: many, effective_at_us: None };
    refuse(&mut shop, many, Refusal::AmountOutOfRange);
    for points in [0, -1, MEMBER_LIMIT + 1, i64::MIN, i64::MAX] {
        assert_eq!(Points::new(points), Err(PointsError));
    }
}

#[test]
fn an_entry_moves_points_in_no_more_lots_than_its_digest_counts() {
    let mut shop = Shop::under("{}");
    let lots = |first: i32, count: i32| {
        let last = shop.now.day.number();
        let lot = |it: i32| (Day::new(last).unwrap(), Day::new(it).unwrap(), pts(1));
        (first..first + count).map(lot).collect()
    };
    let import = |lots| Command::Import { member: who("asha"), lots, effective_at_us: None };
    let (all, half, rest) = (lots(0, 65_536), lots(0, 40_000), lots(40_000, 40_000));
    refuse(&mut shop, import(all), Refusal::AmountOutOfRange);
    shop.does(import(half));
    shop.does(import(rest));
    refuse(&mut shop, redeem("asha", 65_536, "duka"), Refusal::AmountOutOfRange);
    refuse(&mut shop, merge("asha", "juma"), Refusal::AmountOutOfRange);
    shop.at("2026-01-16T00:00:00Z");
    let request = shop.request(vec![earn("asha", 1)]);
    assert_eq!(kinds(&shop.decide(&request)), ["expire", "expire", "earn"]);
}

/// A request of several items whose earlier ones give back points that have ended already.
#[track_caller]
fn check_linked(
    policy: &str,
    items: impl FnOnce(uuid::Uuid, uuid::Uuid) -> Vec<Command>,
    expected: Result<&str, Refusal>,
) {
    let mut shop = Shop::under(policy);
    let floor = std::mem::take(&mut shop.terms.policy.floor);
    shop.does(import("asha", &[("2026-01-20", 50)]));
    let held = shop.does(hold("asha", 50, "duka", 20 * 24 * 3600));
    let earned = shop.does(earn("asha", 10));
    shop.does(redeem("asha", 10, "duka"));
    shop.terms.policy.floor = floor;
    shop.at("2026-01-30T00:00:00Z");
    let request = shop.request(items(held, earned));
    match shop.decide(&request).result {
        Ok(_) => assert_eq!(Ok(shop.shows("asha").as_str()), expected),
        Err(refused) => assert_eq!(Err(refused.refusal), expected),
    }
}

#[test]
fn what_ended_within_a_request_is_neither_spent_nor_overlooked() {
    let void = |hold| Command::Void { hold };
    let keep_20 = r#"{"floor": 20}"#;
    let lasting = earn("asha", 50);
    let spend = |held, points| vec![void(held), lasting.clone(), redeem("asha", points, "duka")];
    check_linked(keep_20, |held, _| spend(held, 31), Err(beyond(Limit::Floor, 30, 31)));
    check_linked(keep_20, |held, _| spend(held, 30), Ok("asha 20"));
    let owing = r#"{"debt_max": 100}"#;
    check_linked(owing, |held, earned| vec![void(held), reverse(earned, 0)], Ok("asha 0"));
    check_linked("{}", |held, _| vec![void(held), adjust("asha", -50)], Ok("asha 0"));
    check_linked("{}", |held, _| vec![void(held), adjust("asha", -51)], Err(lacks(50, 51)));
    check_linked("{}", |held, _| vec![void(held), status("asha", Status::Closed)], Ok("asha 0"));
    check_linked("{}", |held, _| vec![void(held), merge("asha", "juma")], Ok("asha 0"));
    let later = extend("asha", "2026-02-28", "2026-03-01");
    check_linked("{}", |held, _| vec![void(held), later.clone()], Err(Refusal::NothingToExtend));
    let live = import("asha", &[("2026-02-10", 5)]);
    check_linked("{}", |held, _| vec![void(held), live, later.clone()], Ok("asha 5"));
}

#[test]
fn a_hold_given_up_too_late_for_an_idle_member_is_not_spent() {
    let mut shop = Shop::under(r#"{"expiry": {"inactivity": {"days": 3}}}"#);
    shop.does(earn("asha", 50));
    let held = shop.does(hold("asha", 50, "duka", 20 * 24 * 3600));
    shop.at("2026-01-30T00:00:00Z");
    let linked = vec![Command::Void { hold: held }, redeem_up_to("asha", 50)];
    let request = shop.request(linked);
    assert_eq!(shop.decide(&request).result, Err(Refused { item: 1, refusal: lacks(0, 50) }));
    check(&mut shop, Command::Void { hold: held }, "asha 0, breakage 50");
}

#[test]
fn a_debtor_who_joins_takes_what_ended_within_the_request() {
    let mut shop = Shop::under(r#"{"debt_max": 100}"#);
    let earned = shop.does(earn("asha", 30));
    shop.does(redeem("asha", 30, "duka"));
    shop.does(reverse(earned, 0));
    let old = import("juma", &[("2026-01-14", 50)]);
    let request = shop.request(vec![old, merge("asha", "juma")]);
    assert!(shop.decide(&request).result.is_ok());
    assert_eq!((shop.shows("juma"), shop.shows("breakage")), ("juma 0".to_owned(), "breakage 20".to_owned()));
}

#[test]
fn a_posting_balances_by_unit_and_names_an_account_once() {
    let entry = |account: u128, unit, available| Entry {
        account: uuid::Uuid::from_u128(account),
        unit,
        sequence: 1,
        change: proof::Balances { available, held: 0, pending: 0 },
        after: proof::Balances::default(),
        lots: vec![],
    };
    let new = |kind_name, entries| Posting::new(kind(kind_name), uuid::Uuid::nil(), entries).map(|_| ());
    assert_eq!(new("earn", vec![entry(1, 1, 5), entry(2, 1, -5)]), Ok(()));
    let unbalanced = Err(PostingError::Unbalanced { unit: 1, sum: 5 });
    assert_eq!(new("earn", vec![entry(1, 1, 5), entry(2, 2, -5)]), unbalanced);
    assert!(new("earn", vec![entry(1, 1, i64::MAX), entry(2, 1, i64::MAX)]).is_err());
    assert_eq!(new("earn", vec![entry(1, 1, 1), entry(1, 1, -1)]), Err(PostingError::AccountTwice));
    assert_eq!(new("earn", vec![]), Err(PostingError::EntryCount));
    assert_eq!(new("act", vec![entry(1, 1, 0)]), Err(PostingError::EntryCount));
    assert_eq!(new("act", vec![]), Ok(()));
    let many = (0..256).map(|it| entry(it, 1, 0)).collect();
    assert_eq!(new("earn", many), Err(PostingError::EntryCount));
}

#[test]
fn a_policy_out_of_its_bounds_is_no_policy() {
    for (document, part) in [
        (r#"{"time_zone": "Mars/Olympus"}"#, "no time zone"),
        (r#"{"floor": -1}"#, "an amount is from 0"),
        (r#"{"redeem": {"per_day": 9007199254740992}}"#, "an amount is from 0"),
        (r#"{"expiry": {"after": {}}}"#, "a period has days or months"),
        (r#"{"expiry": {"inactivity": {"days": 0}}}"#, "a period has days or months"),
        (r#"{"holds": {"seconds": 0}}"#, "holds: seconds"),
        (r#"{"holds": {"seconds": 10, "seconds_max": 9}}"#, "holds: seconds"),
        (r#"{"flor": 1}"#, "unknown field"),
    ] {
        let error = Terms::parse(document.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(part), "{document}: {error}");
    }
}
