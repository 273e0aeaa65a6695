use std::collections::BTreeMap;

use proof::{Balances, Details, PostingKind};
use proptest::prelude::*;
use uuid::Uuid;

use crate::*;

const EVENT: &str =
    r#"{"user_id":"456","type":"purchase","amount":150.00,"timestamp":"2026-01-15T10:00:00Z"}"#;

fn account(number: u128, kind: AccountKind) -> Account {
    let id = Uuid::from_u128(number);
    Account { id, kind, unit: 1, sequence: 0, balances: Balances::default(), last: None }
}

fn earn(points: i64) -> Command {
    Command::Earn {
        points: Points::new(points).unwrap(),
        rule_set_hash: [1; 32],
        event: Event::parse(EVENT.as_bytes()).unwrap(),
        payload: EVENT.into(),
    }
}

fn redeem(points: i64) -> Command {
    Command::Redeem { member: Uuid::nil(), points: Points::new(points).unwrap(), partner: "duka".to_owned() }
}

fn request(command: Command) -> Request {
    Request {
        program: 1,
        source: "app".to_owned(),
        key: "k".to_owned(),
        posting_id: Uuid::nil(),
        command,
        details: Details::default(),
    }
}

const NOW_US: i64 = 1_800_000_000_000_000;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any order of earns and redeems keeps the sum at zero, no member below zero, and sequences without holes.
    #[test]
    fn the_books_balance(steps in prop::collection::vec((any::<bool>(), 0_usize..3, 1_i64..5000), 0..80)) {
        let members: Vec<Uuid> = (1..4).map(Uuid::from_u128).collect();
        let (issuance, settlement) = (Uuid::from_u128(10), Uuid::from_u128(11));
        let mut books = Books::default();
        for member in 1..4 {
            books.insert(account(member, AccountKind::Member));
        }
        books.insert(account(10, AccountKind::Issuance));
        books.insert(account(11, AccountKind::Settlement));
        let mut model = BTreeMap::<Uuid, (i64, u64)>::new();
        for (leaf_index, (is_earn, who, points)) in steps.into_iter().enumerate() {
            let member = members[who];
            let before = model.get(&member).map_or(0, |it| it.0);
            let command = if is_earn { earn(points) } else { redeem(points) };
            let house = if is_earn { issuance } else { settlement };
            let decision = books.decide(&command, Parties { member, house }, NOW_US);
            if !is_earn && before < points {
                prop_assert_eq!(decision, Err(Refusal::InsufficientBalance { available: before, required: points }));
                continue;
            }
            let change = if is_earn { points } else { -points };
            for entry in books.leaf_entries(&decision.unwrap()) {
                let id = Uuid::from_bytes(entry.account);
                let slot = model.entry(id).or_default();
                slot.0 += if id == member { change } else { -change };
                slot.1 += 1;
                prop_assert_eq!((entry.after.available, entry.sequence), *slot);
                prop_assert_eq!(proof::Entry::decode(&entry.encode()), Ok(entry.clone()));
                books.apply(&entry, leaf_index as u64, [leaf_index as u8; 32]);
            }
            prop_assert_eq!(model.values().map(|it| it.0).sum::<i64>(), 0);
            prop_assert!(members.iter().all(|it| model.get(it).is_none_or(|it| 0 <= it.0)));
        }
    }

    #[test]
    fn no_unbalanced_posting_can_be_built(changes in prop::collection::vec((-50_i64..50, -50_i64..50), 1..6)) {
        let entries: Vec<_> = changes
            .iter()
            .enumerate()
            .map(|(account, &(available, held))| Entry {
                account,
                unit: 1,
                change: Balances { available, held, pending: 0 },
            })
            .collect();
        let sum: i128 = changes.iter().map(|&(a, h)| i128::from(a) + i128::from(h)).sum();
        let posting = Posting::new(PostingKind::EARN, entries);
        prop_assert_eq!(posting.is_ok(), sum == 0);
    }

    #[test]
    fn no_bytes_make_an_event_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Event::parse(&bytes);
        let _ = RuleSet::parse(&bytes);
    }
}

#[test]
fn an_account_stands_in_a_posting_once() {
    let entry =
        |available| Entry { account: 1, unit: 1, change: Balances { available, held: 0, pending: 0 } };
    assert_eq!(Posting::new(PostingKind::EARN, vec![entry(1), entry(-1)]), Err(PostingError::AccountTwice));
    assert_eq!(Posting::<u8>::new(PostingKind::EARN, vec![]), Err(PostingError::EntryCount));
}

#[test]
fn a_balance_beyond_its_limit_is_refused() {
    let mut books = Books::default();
    let mut rich = account(1, AccountKind::Member);
    rich.balances.available = MEMBER_LIMIT - 5;
    books.insert(rich);
    books.insert(account(2, AccountKind::Issuance));
    let parties = Parties { member: Uuid::from_u128(1), house: Uuid::from_u128(2) };
    assert!(books.decide(&earn(5), parties, NOW_US).is_ok());
    assert_eq!(books.decide(&earn(6), parties, NOW_US), Err(Refusal::LimitExceeded));
}

#[test]
fn one_point_too_many_is_an_insufficient_balance() {
    let mut books = Books::default();
    let mut member = account(1, AccountKind::Member);
    member.balances.available = 5;
    books.insert(member);
    books.insert(account(2, AccountKind::Settlement));
    let parties = Parties { member: Uuid::from_u128(1), house: Uuid::from_u128(2) };
    assert!(books.decide(&redeem(5), parties, NOW_US).is_ok());
    let refusal = Refusal::InsufficientBalance { available: 5, required: 6 };
    assert_eq!(books.decide(&redeem(6), parties, NOW_US), Err(refusal));
}

#[test]
fn an_event_from_the_future_is_refused() {
    let mut books = Books::default();
    books.insert(account(1, AccountKind::Member));
    books.insert(account(2, AccountKind::Issuance));
    let parties = Parties { member: Uuid::from_u128(1), house: Uuid::from_u128(2) };
    let event_us = Event::parse(EVENT.as_bytes()).unwrap().timestamp_us;
    let five_minutes_us = 300_000_000;
    assert!(books.decide(&earn(5), parties, event_us - five_minutes_us).is_ok());
    assert_eq!(books.decide(&earn(5), parties, event_us - five_minutes_us - 1), Err(Refusal::InFuture));
}

#[track_caller]
fn check_event(json: &str, expected: Result<&str, &str>) {
    let parsed = Event::parse(json.as_bytes()).map_err(|error| error.to_string());
    match (parsed, expected) {
        (Ok(event), Ok(amount)) => assert_eq!(event.amount.to_string(), amount),
        (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
        (parsed, _) => panic!("{json} gave {parsed:?}"),
    }
}

#[test]
fn events_are_read_exactly_or_refused() {
    check_event(EVENT, Ok("150"));
    check_event(&EVENT.replace("150.00", "0.30000000000000000000000001"), Ok("0.30000000000000000000000001"));
    check_event(&EVENT.replace("150.00", "\"12.5\""), Ok("12.5"));
    check_event(&EVENT.replace("\"456\"", "456"), Ok("150"));
    check_event(&EVENT.replace("{", "{\"shop\":[1,{}],"), Ok("150"));
    check_event(&EVENT.replace("150.00", "-1"), Err("amount: it is below zero"));
    check_event(&EVENT.replace("150.00", "1e40"), Err("amount"));
    check_event(&EVENT.replace("150.00", "true"), Err("amount"));
    check_event(&EVENT.replace("2026-01-15T10:00:00Z", "2026-01-15"), Err("timestamp"));
    check_event(&EVENT.replace("2026-01-15T10:00:00Z", "1969-01-15T10:00:00Z"), Err("before 1970"));
    check_event(&EVENT.replace("\"456\"", "\"\""), Err("user_id"));
    for odd in ["null", "true", "{}", "[]"] {
        check_event(&EVENT.replace("\"456\"", odd), Err("user_id: it is neither a text nor a number"));
        check_event(&EVENT.replace("150.00", odd), Err("amount: it is neither a text nor a number"));
    }
    check_event(&EVENT.replace("\"user_id\"", "\"user\""), Err("missing field `user_id`"));
    check_event("[]", Err("JSON object"));
    check_event("5", Err("timestamp: invalid type: integer `5`, expected a JSON object at line 1"));
}

#[test]
fn an_event_without_an_id_is_named_by_its_four_fields() {
    let id = |json: &str| Event::parse(json.as_bytes()).unwrap().id;
    let derived = id(EVENT);
    assert_eq!(derived, id(&EVENT.replace("150.00", "150")), "the same amount spelled otherwise");
    assert_eq!(derived, id(&EVENT.replace("10:00:00Z", "13:00:00+03:00")), "the same instant elsewhere");
    assert_ne!(derived, id(&EVENT.replace("456", "457")));
    assert_ne!(derived, id(&EVENT.replace("150.00", "150.01")));
    assert_ne!(derived, id(&EVENT.replace("purchase", "refund")));
    assert_ne!(derived, id(&EVENT.replace("10:00:00Z", "10:00:01Z")));
    assert_eq!(id(&EVENT.replace("{", "{\"event_id\":\"e-1\",")), "e-1");
}

#[track_caller]
fn check_earning(rate: &str, amount: &str, expected: Result<i64, RuleError>) {
    let rules = RuleSet::parse(format!(r#"{{"rates":{{"purchase":"{rate}"}}}}"#).as_bytes()).unwrap();
    let event = Event::parse(EVENT.replace("150.00", amount).as_bytes()).unwrap();
    assert_eq!(rules.earn(&event).map(|it| it.points.get()), expected);
}

#[test]
fn a_rate_earns_exact_points_rounded_down() {
    check_earning("0.1", "150.00", Ok(15));
    check_earning("1.15", "100", Ok(115));
    check_earning("0.1", "159.99", Ok(15));
    check_earning("0.1", "9.99", Err(RuleError::Nothing));
    check_earning("1000000000000", "10000000000", Err(RuleError::TooMuch));
    let rules = RuleSet::parse(br#"{"rates":{"airtime":"1"}}"#).unwrap();
    let event = Event::parse(EVENT.as_bytes()).unwrap();
    assert_eq!(rules.earn(&event), Err(RuleError::NoRate("purchase".to_owned())));
    for bad in [
        r#"{"rates":{"a":"0"}}"#,
        r#"{"rates":{"a":"-1"}}"#,
        r#"{"rates":{"a":"x"}}"#,
        "{}",
        r#"{"rates":{},"x":1}"#,
    ] {
        assert!(matches!(RuleSet::parse(bad.as_bytes()), Err(RuleError::Document(_))), "{bad}");
    }
}

#[test]
fn a_fingerprint_tells_requests_apart_and_nothing_else() {
    let same = request(earn(15)).fingerprint();
    assert_eq!(same, request(earn(30)).fingerprint(), "the same event under other rules");
    assert_ne!(same, request(redeem(15)).fingerprint());
    assert_ne!(request(redeem(15)).fingerprint(), request(redeem(16)).fingerprint());
    let mut other = request(redeem(15));
    other.details.merchant_reference = Some(proof::Text::new("order-1").unwrap());
    assert_ne!(other.fingerprint(), request(redeem(15)).fingerprint());
    other = request(redeem(15));
    (other.key, other.posting_id) = ("another".to_owned(), Uuid::max());
    // A rate is ours, not the caller's: a retry after it has changed is still the same request.
    other.details.rate = Some(proof::Text::new("0.20 KES").unwrap());
    assert_eq!(other.fingerprint(), request(redeem(15)).fingerprint());
}

#[test]
fn a_remembered_refusal_is_recalled_as_it_was() {
    let refusal = Refusal::InsufficientBalance { available: 3, required: 9 };
    let all = [Refusal::MemberUnknown, Refusal::PartnerUnknown, refusal, Refusal::LimitExceeded];
    for it in all {
        assert_eq!(Refusal::recall(it.remembered_as().unwrap() as i16, 3, 9), Some(it));
    }
    assert_eq!(Refusal::InFuture.remembered_as(), None);
}
