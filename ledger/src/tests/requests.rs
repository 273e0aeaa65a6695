//! Requests as a whole: all or nothing, only asked, asked twice.

use proof::{Details, Text};
use proptest::prelude::*;
use uuid::Uuid;

use super::shop::*;
use crate::*;

#[test]
fn items_see_one_another_and_are_posted_all_or_none() {
    let mut shop = Shop::under("{}");
    let request =
        shop.request(vec![earn("asha", 10), redeem("asha", 4, "duka"), transfer("asha", "juma", 6)]);
    let decision = shop.decide(&request);
    assert_eq!(kinds(&decision), ["earn", "redeem", "transfer"]);
    assert_eq!(decision.postings[2].item, Some(2));
    let before = shop.books.account(id("asha")).clone();
    let request = shop.request(vec![earn("asha", 10), redeem("asha", 4, "duka"), redeem("asha", 7, "duka")]);
    let decision = shop.decide(&request);
    assert_eq!(decision.result, Err(Refused { item: 2, refusal: lacks(6, 7) }));
    assert_eq!((kinds(&decision).len(), &before), (0, shop.account("asha")));
    assert_eq!((shop.shows("duka"), shop.shows("juma")), ("duka 4".to_owned(), "juma 6".to_owned()));
}

#[test]
fn a_request_has_1_to_100_items() {
    let mut shop = Shop::under("{}");
    for count in [0, 101] {
        let request = shop.request(vec![earn("asha", 1); count]);
        assert_eq!(shop.decide(&request).result, Err(Refused { item: 0, refusal: Refusal::ItemCount }));
    }
    let request = shop.request(vec![earn("asha", 1); 100]);
    assert_eq!(shop.decide(&request).result.unwrap().len(), 100);
    assert_eq!((shop.shows("asha"), shop.account("asha").sequence), ("asha 100".to_owned(), 100));
}

#[test]
fn an_item_knows_no_posting_of_an_earlier_one() {
    let mut shop = Shop::under("{}");
    shop.does(earn("asha", 100));
    let mut request = shop.request(vec![hold("asha", 10, "duka", 60), redeem("asha", 1, "duka")]);
    request.items[1].command = capture(request.items[0].posting_id, 10, false);
    assert_eq!(shop.decide(&request).result, Err(Refused { item: 1, refusal: Refusal::PostingUnknown }));
}

#[test]
fn a_dry_run_says_what_the_real_one_does_and_does_nothing() {
    let mut shop = Shop::under(r#"{"expiry": {"after": {"days": 1}}}"#);
    let old = shop.does(earn("asha", 10));
    shop.at("2026-01-17T00:00:00Z");
    for commands in [
        vec![redeem("asha", 1, "duka")],
        vec![earn("asha", 5), redeem("asha", 9, "duka")],
        vec![earn("asha", 5), redeem("asha", 5, "duka")],
        vec![earn("asha", 10), reverse(old, 10)],
    ] {
        let real = shop.request(commands);
        let before = shop.account("asha").clone();
        let said = shop.decide(&Request { dry_run: true, ..real.clone() });
        assert_eq!(&before, shop.account("asha"));
        assert_eq!(said, shop.decide(&real));
    }
    refuse(&mut shop, reverse(old, 1), Refusal::MoreThanLeft { left: 0, required: 1 });
}

#[test]
fn what_the_screening_says_of_spends_is_done() {
    let mut shop = Shop::under(r#"{"holds": {"seconds": 60, "seconds_max": 120}}"#);
    let earned = shop.does(earn("asha", 100));
    let held = shop.does(hold("asha", 10, "duka", 100));
    let spends = [
        redeem("asha", 40, "duka"),
        redeem_up_to("asha", 1000),
        transfer("asha", "juma", 1),
        hold("asha", 1, "duka", 60),
        Command::Increase { hold: held, points: pts(1) },
        withdraw("asha", 1, SOON),
    ];
    let screened = |shop: &mut Shop, command: &Command, screening| {
        let request = Request { screening, ..shop.request(vec![command.clone()]) };
        let decision = shop.decide(&request);
        decision.result.map(|_| request.items[0].posting_id).map_err(|it| it.refusal)
    };
    for spend in &spends {
        assert!(spend.is_spend());
        assert_eq!(screened(&mut shop, spend, Screening::Deny), Err(Refusal::ScreenDenied));
    }
    for spend in &spends[2..] {
        assert_eq!(screened(&mut shop, spend, Screening::Review), Err(Refusal::ScreenReview));
    }
    assert_eq!(shop.shows("asha"), "asha 90 held 10");
    let reviewed = screened(&mut shop, &spends[0], Screening::Review).unwrap();
    assert_eq!((shop.shows("asha"), shop.shows("duka")), ("asha 50 held 50".into(), "duka 0".into()));
    let rest = screened(&mut shop, &spends[1], Screening::Review).unwrap();
    assert_eq!(shop.shows("asha"), "asha 0 held 100");
    check(&mut shop, capture(reviewed, 0, false), "asha 0 held 60, duka 40");
    check(&mut shop, Command::Void { hold: rest }, "asha 50 held 10");
    // What gives points back, or only ends what was begun, is not a spend.
    for other in [earn("asha", 1), capture(held, 0, false), reverse(earned, 1), adjust("juma", 1)] {
        assert!(!other.is_spend());
        assert!(screened(&mut shop, &other, Screening::Deny).is_ok(), "{other:?}");
    }
}

#[test]
fn a_redemption_under_review_that_nobody_looks_at_lapses() {
    let mut shop = Shop::under(r#"{"holds": {"seconds": 60, "seconds_max": 120}}"#);
    shop.does(earn("asha", 100));
    let request = Request { screening: Screening::Review, ..shop.request(vec![redeem("asha", 40, "duka")]) };
    let plain = Request { screening: Screening::Allow, ..request.clone() };
    assert_eq!(request.fingerprint(), plain.fingerprint(), "asked again, the first answer stands");
    let reviewed = request.items[0].posting_id;
    assert_eq!(kinds(&shop.decide(&request)), ["hold"]);
    let told = request.items[0].told(kind("hold"), &shop.terms, 0);
    assert_eq!(told.reason.unwrap().as_str(), HELD_FOR_REVIEW);
    assert_eq!(request.items[0].told(kind("redeem"), &shop.terms, 0), request.items[0].details);
    let of = |value| Rate::new(value, "KES").unwrap();
    shop.terms.rates = Rates::new(&[(0, of("0.10")), (100, of("0.12")), (50, of("1")), (100, of("0.13"))]);
    for (at_us, rate) in [(-1, None), (0, Some("0.10 KES")), (99, Some("1 KES")), (100, Some("0.13 KES"))] {
        let rate = rate.map(|it| Text::new(it).unwrap());
        assert_eq!(request.items[0].told(kind("hold"), &shop.terms, at_us).rate, rate, "at {at_us}");
    }
    for wrong in ["", ".1", "1.", "-1", "1e3", "0.123456789", "1234567890123", "1 "] {
        assert_eq!(Rate::new(wrong, "KES"), None, "{wrong}");
    }
    assert_eq!(Rate::new("1", "kes"), None);
    shop.later(119_999_999);
    shop.does(earn("asha", 1));
    assert_eq!(shop.shows("asha"), "asha 61 held 40");
    shop.later(1);
    refuse(&mut shop, capture(reviewed, 0, false), Refusal::HoldOver);
    shop.does(earn("asha", 1));
    assert_eq!(shop.shows("asha"), "asha 102");
}

#[test]
fn a_caller_may_demand_a_version() {
    let mut shop = Shop::under(r#"{"expiry": {"after": {"days": 1}}}"#);
    shop.does(earn("asha", 10));
    shop.at("2026-01-17T00:00:00Z");
    let mut request = shop.request(vec![earn("asha", 1)]);
    request.expected_version = Some(1);
    let refusal = Refusal::VersionMismatch { version: 2 };
    assert_eq!(shop.decide(&request).result, Err(Refused { item: 0, refusal }), "what was due came first");
    request.expected_version = Some(2);
    assert!(shop.decide(&request).result.is_ok());
}

#[test]
fn another_programs_posting_is_not_known() {
    let mut shop = Shop::under("{}");
    let earned = shop.does(earn("asha", 10));
    let mut request = shop.request(vec![reverse(earned, 0)]);
    request.program = 2;
    assert_eq!(shop.decide(&request).result, Err(Refused { item: 0, refusal: Refusal::PostingUnknown }));
}

/// Two requests differ in these parts and no other.
#[track_caller]
fn check_differs(one: &Request, other: &Request, parts: &[&str]) {
    let differs = one.fingerprint().differences(&other.fingerprint());
    assert_eq!(differs.names().collect::<Vec<_>>(), parts);
    assert_eq!(one.fingerprint() == other.fingerprint(), parts.is_empty());
}

#[test]
fn a_fingerprint_tells_requests_apart_part_by_part() {
    let mut shop = Shop::under("{}");
    let mut one = |command| shop.request(vec![command]);
    let redeemed = one(redeem("asha", 15, "duka"));
    check_differs(&redeemed, &one(redeem("asha", 15, "duka")), &[]);
    check_differs(&redeemed, &one(redeem("juma", 15, "duka")), &["member"]);
    check_differs(&redeemed, &one(redeem("asha", 16, "duka")), &["amount"]);
    check_differs(&redeemed, &one(redeem("asha", 15, "cafe")), &["counterpart"]);
    check_differs(&redeemed, &one(redeem("asha", 15, "")), &["counterpart"]);
    check_differs(&redeemed, &one(withdraw("asha", 15, SOON)), &["command", "counterpart"]);
    check_differs(&one(redeem("asha", 15, "")), &one(redeem_up_to("asha", 15)), &["command"]);
    check_differs(&one(earn("asha", 15)), &one(earn("asha", 30)), &[]);
    check_differs(&one(earn("asha", 15)), &one(earn("juma", 15)), &["counterpart"]);
    // An operator says from which fund and from when on; each of these is another wish.
    let ways = [
        (Maturity::Now, None),
        (Maturity::Now, Some("spring")),
        (Maturity::Now, Some("prize")),
        (Maturity::At(5), None),
        (Maturity::At(6), None),
        (Maturity::At(6), Some("spring")),
        (Maturity::OnConfirmation, None),
    ];
    let ways = ways.map(|(maturity, fund)| one(earn_as("asha", 15, maturity, fund)));
    for (at, way) in ways.iter().enumerate() {
        ways[..at].iter().for_each(|other| check_differs(way, other, &["counterpart"]));
    }
    // It is read off the clock at each try.
    check_differs(&one(withdraw("asha", 15, SOON)), &one(withdraw("asha", 15, SOON + 60)), &[]);
    let held = Uuid::from_u128(5);
    check_differs(&one(capture(held, 1, true)), &one(capture(held, 1, false)), &["amount"]);
    check_differs(&one(capture(held, 0, true)), &one(capture(held, 1, true)), &["amount"]);
    check_differs(
        &one(import("asha", &[("never", 1)])),
        &one(import("asha", &[("2026-02-01", 1)])),
        &["amount"],
    );
    let twice = shop.request(vec![redeem("asha", 15, "duka"), redeem("asha", 15, "duka")]);
    check_differs(&redeemed, &twice, &["command", "member", "amount", "counterpart", "details"]);
    let mut other = redeemed.clone();
    (other.key, other.items[0].posting_id) = ("another".to_owned(), Uuid::max());
    // The rate and the actor are ours, not the caller's: a retry after they have changed is still the same request.
    other.items[0].details.rate = Some(Text::new("0.20 KES").unwrap());
    other.items[0].details.actor = None;
    check_differs(&redeemed, &other, &[]);
    other.items[0].details.merchant_reference = Some(Text::new("order-1").unwrap());
    check_differs(&redeemed, &other, &["details"]);
    other.items[0].details = Details::default();
    check_differs(&redeemed, &other, &["details"]);
    check_differs(&redeemed, &Request { unit: 2, ..redeemed.clone() }, &["command"]);
    check_differs(&redeemed, &Request { hurried: true, ..redeemed.clone() }, &["command"]);
}

#[test]
fn what_differs_is_told_in_the_words_of_who_asks() {
    let mut shop = Shop::under("{}");
    let mut told = |first: Vec<Command>, asked: Vec<Command>| {
        let (first, asked) = (shop.request(first), shop.request(asked));
        first.fingerprint().differences(&asked.fingerprint()).in_words_of(&asked).to_string()
    };
    let approved = |by: &str| Command::Adjust {
        member: who("asha"),
        change: 9,
        approver: Some(by.to_owned()),
        effective_at_us: None,
    };
    assert_eq!(told(vec![approved("juma")], vec![approved("baraka")]), "approver or effective_at");
    let closed = vec![status("asha", Status::Closed)];
    assert_eq!(told(vec![status("asha", Status::Active)], closed), "status");
    assert_eq!(
        told(vec![transfer("asha", "juma", 5)], vec![transfer("asha", "zuri", 6)]),
        "points, receiver"
    );
    let other = "kind or unit or priority, partner";
    assert_eq!(told(vec![redeem_up_to("asha", 5)], vec![redeem("asha", 5, "duka")]), other);
    // What has no word in common is told in words that fit all of it.
    let several = |partner: &str| vec![redeem("asha", 5, partner), adjust("asha", 1)];
    assert_eq!(told(several("duka"), several("cafe")), "other side");
}

#[test]
fn a_member_is_not_another_whose_name_has_the_same_bytes() {
    let name = "sixteen bytes...";
    let by_id = MemberRef::Id(Uuid::from_slice(name.as_bytes()).unwrap());
    let mut shop = Shop::under("{}");
    let mut to =
        |member| shop.request(vec![Command::Transfer { from: who("asha"), to: member, points: pts(1) }]);
    check_differs(&to(by_id.clone()), &to(who(name)), &["counterpart"]);
    let mut from =
        |member| shop.request(vec![Command::Redeem { member, points: pts(1), partner: None, up_to: false }]);
    check_differs(&from(by_id), &from(who(name)), &["member"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_remembered_refusal_is_recalled_as_it_was(there in 0..i64::MAX, asked in any::<i64>()) {
        for refusal in Refusal::all() {
            let Some(row) = refusal.row() else { continue };
            let row = RefusalRow { available: there, required: asked, ..row };
            let recalled = Refusal::recall(row).unwrap();
            prop_assert_eq!(Refusal::recall(recalled.row().unwrap()), Some(recalled));
            prop_assert_eq!(recalled.row().unwrap().code, row.code);
        }
    }
}

#[test]
fn a_limit_is_read_under_its_old_number_too() {
    let row = RefusalRow { code: 4, available: 3, required: 9 };
    assert_eq!(Refusal::recall(row), Some(beyond(Limit::Balance, 3, 9)));
    assert_eq!(Refusal::recall(RefusalRow { code: 99, ..row }), None);
    let codes: Vec<i16> = Refusal::all().iter().filter_map(|it| it.row()).map(|it| it.code).collect();
    let once: std::collections::BTreeSet<i16> = codes.iter().copied().collect();
    assert_eq!(codes.len(), once.len(), "each refusal is listed once");
}
