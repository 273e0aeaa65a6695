//! Events, and what they earn.

use rust_decimal::Decimal;

use crate::*;

const EVENT: &str =
    r#"{"user_id":"456","type":"purchase","amount":150.00,"timestamp":"2026-01-15T10:00:00Z"}"#;

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
    for name in ["event_id", "id"] {
        assert_eq!(id(&EVENT.replace("{", &format!("{{\"{name}\":\"e-1\","))), "e-1");
    }
    let both = EVENT.replace("{", "{\"event_id\":\"e-1\",\"id\":\"e-1\",");
    assert!(Event::parse(both.as_bytes()).is_err(), "one field under two names");
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
fn each_rounding_counts_at_each_scale_and_tells_what_it_took() {
    let modes = ["down", "up", "half_up", "half_even"];
    // Tenths of the smallest unit, and what each mode makes of them.
    for (tenths, counted) in [
        (4, [0, 1, 0, 0]),
        (5, [0, 1, 1, 0]),
        (15, [1, 2, 2, 2]),
        (24, [2, 3, 2, 2]),
        (25, [2, 3, 3, 2]),
        (26, [2, 3, 3, 3]),
        (100_000, [10_000; 4]),
    ] {
        for (mode, points) in modes.into_iter().zip(counted) {
            for scale in [0, 2, 4] {
                let rules = format!(r#"{{"rates":{{"purchase":"1"}},"scale":{scale},"rounding":"{mode}"}}"#);
                let amount = Decimal::new(tenths, 1 + scale).to_string();
                let event = Event::parse(EVENT.replace("150.00", &amount).as_bytes()).unwrap();
                let earned = RuleSet::parse(rules.as_bytes()).unwrap().earn(&event);
                let remainder = Decimal::new(tenths - 10 * points, 1);
                let expected = if points == 0 { Err(RuleError::Nothing) } else { Ok((points, remainder)) };
                let earned = earned.map(|it| (it.points.get(), it.remainder));
                assert_eq!(earned, expected, "{amount} by {rules}");
            }
        }
    }
    for (counting, problem) in [
        (r#""scale":5"#, "a point has 0 to 4 decimals, not 5"),
        (r#""scale":-1"#, "invalid value: integer `-1`, expected u32"),
        (r#""rounding":"nearest""#, "expected one of `down`, `up`, `half_up`, `half_even`"),
    ] {
        let rules = format!(r#"{{"rates":{{"purchase":"1"}},{counting}}}"#);
        let error = RuleSet::parse(rules.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(problem) && error.contains("half_up or half_even"), "{error}");
    }
}

#[test]
fn what_an_event_earns_is_exact_or_refused() {
    // A product of 28 decimals would be rounded up to a whole point.
    check_earning("0.5", "1.9999999999999999999999999999", Err(RuleError::TooLong));
    check_earning("0.5000", "1.9999999999999999999999999990", Err(RuleError::Nothing));
    check_earning("1.0000000000000001", "10000000000000.0000000000001", Err(RuleError::TooLong));
    check_earning("1.000000000000000000001", "1.000000000000000000001", Err(RuleError::TooLong));
    check_earning("10000000000", "1000000000000000000000000000", Err(RuleError::TooLong));
    let long = br#"{"rates":{"purchase":"1.0000000000001"}}"#;
    let refused = RuleSet::parse_new(long).unwrap_err().to_string();
    assert!(
        refused.contains("the rate 1.0000000000001 of \"purchase\" has more than 12 digits"),
        "{refused}"
    );
    assert!(RuleSet::parse_new(br#"{"rates":{"purchase":"0.00123456789012000"}}"#).is_ok());
    let rules = RuleSet::parse(long).expect("what was settled once is read");
    let event = Event::parse(EVENT.replace("150.00", "1.000000000000001").as_bytes()).unwrap();
    let earning = rules.earn(&event).unwrap();
    assert_eq!(
        (earning.points.get(), &*earning.remainder.to_string()),
        (1, "0.0000000000001010000000000001")
    );
}

#[test]
fn whom_bytes_name_is_known_also_where_they_are_no_event() {
    let parsed = Event::parse(EVENT.as_bytes()).unwrap();
    let twice = r#"{"user_id":"457","user_id":"456"}"#;
    for json in [EVENT, r#"{"user_id":"456"}"#, r#"{"amount":[],"user_id":456,"type":7}"#, twice] {
        assert_eq!(Event::named(json.as_bytes()), Some(parsed.member.clone()), "{json}");
    }
    for json in ["{}", r#"{"user_id":null}"#, r#"{"user_id":""}"#, r#"{"user_id":"456""#, "456"] {
        assert_eq!(Event::named(json.as_bytes()), None, "{json}");
    }
}
