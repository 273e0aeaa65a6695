//! What an operator does.

use proof::{PostingKind, Text};

use super::shop::*;
use crate::*;

#[test]
fn an_adjustment_needs_a_reason_and_above_a_limit_a_second_person() {
    let mut shop = Shop::under(r#"{"approval_above": 100}"#);
    check(&mut shop, adjust("asha", 100), "asha 100, issuance -100");
    check(&mut shop, adjust("asha", -60), "asha 40, issuance -40");
    let approved = |change, approver: &str| Command::Adjust {
        member: who("asha"),
        change,
        approver: Some(approver.to_owned()),
        effective_at_us: None,
    };
    refuse(&mut shop, adjust("asha", 101), Refusal::ApprovalRequired { above: 100 });
    for oneself in ["neema", "editor:neema", " neema ", "", "editor:", " "] {
        refuse(&mut shop, approved(-101, oneself), Refusal::ApprovalRequired { above: 100 });
    }
    check(&mut shop, approved(101, "juma"), "asha 141");
    refuse(&mut shop, approved(-142, "approver:juma"), lacks(141, 142));
    for change in [0, i64::MIN, i64::MAX, HOUSE_LIMIT + 1, -HOUSE_LIMIT - 1] {
        refuse(&mut shop, adjust("asha", change), Refusal::AmountOutOfRange);
        refuse(&mut shop, budget("prize", change), Refusal::AmountOutOfRange);
    }
    for command in [adjust("asha", 1), budget("prize", 1)] {
        for field in [0, 1] {
            let mut request = shop.request(vec![command.clone()]);
            let details = &mut request.items[0].details;
            *(if field == 0 { &mut details.actor } else { &mut details.reason }) = None;
            let refused = Refused { item: 0, refusal: Refusal::ReasonRequired };
            assert_eq!(shop.decide(&request).result, Err(refused));
        }
    }
}

#[test]
fn what_takes_two_to_adjust_is_not_reversed_by_one() {
    let mut shop = Shop::under(r#"{"approval_above": 100}"#);
    let approved = |change| Command::Adjust {
        member: who("asha"),
        change,
        approver: Some("juma".to_owned()),
        effective_at_us: None,
    };
    let given = shop.does(approved(1000));
    for points in [0, 101] {
        refuse(&mut shop, reverse(given, points), Refusal::ApprovalRequired { above: 100 });
    }
    check(&mut shop, reverse(given, 100), "asha 900");
    refuse(&mut shop, reverse(given, 1), Refusal::ApprovalRequired { above: 100 });
    refuse(&mut shop, reverse(given, 901), Refusal::MoreThanLeft { left: 900, required: 901 });
    let taken = check(&mut shop, approved(-900), "asha 0");
    refuse(&mut shop, reverse(taken, 0), Refusal::ApprovalRequired { above: 100 });
    let earned = shop.does(earn("asha", 500));
    check(&mut shop, reverse(earned, 0), "asha 0");
    shop.terms.policy.approval_above = None;
    check(&mut shop, reverse(taken, 0), "asha 900");
}

#[test]
fn a_correction_says_who_approved_it() {
    let mut shop = Shop::under("{}");
    let told = |shop: &mut Shop, approver: Option<&str>, description: Option<String>| {
        let approver = approver.map(str::to_owned);
        let command = Command::Adjust { member: who("asha"), change: 1, approver, effective_at_us: None };
        let mut request = shop.request(vec![command]);
        request.items[0].details.description = description.map(|it| Text::new(it).unwrap());
        let told = request.items[0].told(PostingKind::ADJUST, &shop.terms, 0);
        told.description.map(|it| it.as_str().to_owned())
    };
    let by = || Some("approved by juma".to_owned());
    let line = || Some("line 7".to_owned());
    assert_eq!(told(&mut shop, Some("juma"), None), by());
    assert_eq!(told(&mut shop, Some("juma"), line()), Some("line 7; approved by juma".to_owned()));
    assert_eq!(told(&mut shop, Some("juma"), Some("a".repeat(2000))), by(), "what there is no room for");
    for nobody in [None, Some("")] {
        assert_eq!(told(&mut shop, nobody, line()), line());
    }
}

#[test]
fn a_correction_may_count_from_earlier_but_not_from_a_closed_period() {
    let mut shop = Shop::under("{}");
    let now_us = shop.now.us;
    let from = |effective_at_us| Command::Adjust {
        member: who("asha"),
        change: 1,
        approver: None,
        effective_at_us: Some(effective_at_us),
    };
    let effective = |shop: &mut Shop, asked_us| {
        let request = shop.request(vec![from(asked_us)]);
        shop.decide(&request).postings[0].effective_at_us
    };
    assert_eq!(effective(&mut shop, 0), 0);
    assert_eq!(effective(&mut shop, now_us - 1), now_us - 1);
    assert_eq!(effective(&mut shop, now_us + 300_000_000), now_us, "a clock that is not quite right");
    refuse(&mut shop, from(now_us + 300_000_001), Refusal::InFuture);
    refuse(&mut shop, from(i64::MAX), Refusal::InFuture);
    for early in [-1, i64::MIN] {
        refuse(&mut shop, from(early), Refusal::PeriodClosed);
    }
    shop.terms.closed_before_us = now_us - 10;
    refuse(&mut shop, from(now_us - 11), Refusal::PeriodClosed);
    assert_eq!(effective(&mut shop, now_us - 10), now_us - 10);
    let late = Command::Import { member: who("asha"), lots: vec![], effective_at_us: Some(now_us - 11) };
    refuse(&mut shop, late, Refusal::PeriodClosed);
}

#[test]
fn points_are_made_to_end_later() {
    let mut shop = Shop::under("{}");
    shop.does(import("asha", &[("2026-02-10", 10), ("2026-02-20", 20), ("2026-03-31", 30)]));
    let held = shop.does(hold("asha", 4, "duka", 60));
    check(&mut shop, extend("asha", "2026-02-20", "2026-03-01"), "asha 56 held 4");
    assert_eq!(shop.lots("asha"), "2026-02-10 0/4/0, 2026-03-01 26/0/0, 2026-03-31 30/0/0");
    let nothing = Refusal::NothingToExtend;
    refuse(&mut shop, extend("asha", "2026-02-20", "2026-04-01"), nothing);
    refuse(&mut shop, extend("asha", "never", "2026-01-14"), nothing);
    refuse(&mut shop, extend("asha", "2026-03-31", "2026-03-01"), nothing);
    check(&mut shop, extend("asha", "never", "never"), "asha 56 held 4");
    assert_eq!(shop.lots("asha"), "2026-02-10 0/4/0, never 56/0/0");
    shop.does(Command::Void { hold: held });
    assert_eq!(shop.lots("asha"), "2026-02-10 4/0/0, never 56/0/0");
}

#[test]
fn a_member_joins_another_with_points_or_with_debt() {
    let mut shop = Shop::under(r#"{"debt_max": 100}"#);
    shop.does(import("asha", &[("2026-02-10", 10), ("never", 5)]));
    let held = shop.does(hold("asha", 4, "duka", 60));
    refuse(&mut shop, merge("asha", "juma"), Refusal::MemberReserved);
    refuse(&mut shop, status("asha", Status::Closed), Refusal::MemberReserved);
    shop.does(Command::Void { hold: held });
    refuse(&mut shop, merge("asha", "asha"), Refusal::SameMember);
    check(&mut shop, merge("asha", "juma"), "asha 0, juma 15");
    assert_eq!(shop.lots("juma"), "2026-02-10 10/0/0, never 5/0/0");
    for command in
        [earn("asha", 1), redeem("asha", 1, "duka"), merge("juma", "asha"), status("asha", Status::Active)]
    {
        refuse(&mut shop, command, Refusal::MemberClosed);
    }
    let earned = shop.does(earn("neema", 40));
    shop.does(redeem("neema", 40, "duka"));
    shop.does(reverse(earned, 0));
    check(&mut shop, merge("neema", "juma"), "neema 0, juma -25");
    assert_eq!(shop.lots("juma"), "");
}

#[test]
fn who_joins_another_with_points_brings_their_activity_and_what_they_used() {
    let mut shop = Shop::under(r#"{"expiry": {"inactivity": {"days": 10}}}"#);
    shop.does(earn("juma", 1));
    shop.at("2026-01-25T10:00:00Z");
    shop.does(earn("asha", 100));
    shop.does(merge("asha", "juma"));
    shop.at("2026-02-04T23:59:59Z");
    check(&mut shop, Command::Settle { account: id("juma") }, "juma 101");
    // Who had nothing begins where the other was, and not anew.
    shop.does(merge("juma", "neema"));
    shop.at("2026-02-05T00:00:00Z");
    check(&mut shop, Command::Settle { account: id("neema") }, "neema 0, breakage 101");

    let mut shop = Shop::under(r#"{"redeem": {"per_day": 60, "per_month": 100}}"#);
    shop.does(earn("asha", 100));
    shop.does(earn("juma", 100));
    shop.does(redeem("asha", 60, "duka"));
    shop.does(redeem("juma", 10, "duka"));
    check(&mut shop, merge("asha", "juma"), "asha 0, juma 130");
    refuse(&mut shop, redeem("juma", 1, "duka"), beyond(Limit::PerDay, 0, 1));
    shop.at("2026-01-16T10:00:00Z");
    refuse(&mut shop, redeem("juma", 31, "duka"), beyond(Limit::PerMonth, 30, 31));
    check(&mut shop, redeem("juma", 30, "duka"), "juma 100");
    // Without points nothing comes with them.
    let mut shop = Shop::under(r#"{"redeem": {"per_day": 60}}"#);
    shop.does(earn("asha", 60));
    shop.does(earn("juma", 60));
    shop.does(redeem("asha", 60, "duka"));
    shop.does(merge("asha", "juma"));
    check(&mut shop, redeem("juma", 60, "duka"), "juma 0");
}

/// It would come back to an account that is nobody's any more.
#[test]
fn nobody_leaves_while_what_they_withdrew_may_come_back() {
    let mut shop = Shop::under("{}");
    shop.does(earn("asha", 10));
    shop.chain.known_until = SOON;
    let at_once = shop.request(vec![withdraw("asha", 4, SOON), status("asha", Status::Closed)]);
    assert_eq!(shop.decide(&at_once).result.unwrap_err().refusal, Refusal::MemberReserved);
    let withdrawn = shop.does(withdraw("asha", 4, SOON));
    let leaves = [merge("asha", "juma"), status("asha", Status::Closed)];
    let refuse_both = |shop: &mut Shop| {
        leaves.iter().for_each(|it| refuse(shop, it.clone(), Refusal::MemberReserved));
    };
    refuse_both(&mut shop);
    shop.does(reverse(withdrawn, 3));
    refuse_both(&mut shop);
    shop.does(reverse(withdrawn, 0));
    check(&mut shop, merge("asha", "juma"), "asha 0, juma 10");
}

/// Nothing that could pay it off is posted for somebody who is closed.
#[test]
fn nobody_is_closed_with_a_debt() {
    let mut shop = Shop::under(r#"{"debt_max": 100}"#);
    let earned = shop.does(earn("asha", 40));
    shop.does(redeem("asha", 40, "duka"));
    check(&mut shop, reverse(earned, 0), "asha -40");
    refuse(&mut shop, status("asha", Status::Closed), Refusal::MemberReserved);
    shop.does(adjust("asha", 40));
    check(&mut shop, status("asha", Status::Closed), "asha 0");
    check(&mut shop, status("asha", Status::Closed), "asha 0");
}

#[test]
fn what_expired_on_a_chain_goes_from_the_bridge_to_breakage() {
    let mut shop = Shop::under("{}");
    shop.does(earn("asha", 100));
    shop.does(withdraw("asha", 40, SOON));
    check(&mut shop, expire_on_chain(15), "asha 60, bridge 25, breakage 15");
}

#[test]
fn what_a_closed_member_has_expires_after_what_was_asked() {
    let mut shop = Shop::under("{}");
    shop.does(earn("asha", 40));
    shop.does(earn("juma", 40));
    let request = shop.request(vec![status("asha", Status::Closed), redeem("juma", 1, "duka")]);
    let decision = shop.decide(&request);
    assert_eq!(kinds(&decision), ["act", "redeem", "expire"]);
    let places: Vec<usize> = decision.result.unwrap().iter().map(|it| it.posting).collect();
    assert_eq!(places, [0, 1], "items follow one another without a gap");
    assert_eq!((shop.shows("asha"), shop.shows("breakage")), ("asha 0".to_owned(), "breakage 40".to_owned()));
}
