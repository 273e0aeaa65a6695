//! Whatever is sent, the answer is ours and never that we broke.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("\0")),
        (0..200_000_i64).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    })
}

/// Objects with the fields that we know, each right or anything.
fn near_miss(fields: &'static [(&'static str, &'static str)]) -> impl Strategy<Value = Value> {
    let values: Vec<_> = fields
        .iter()
        .map(|(_, right)| {
            let right: Value = serde_json::from_str(right).unwrap();
            prop_oneof![3 => Just(Some(right)), 1 => any_json().prop_map(Some), 1 => Just(None)]
        })
        .collect();
    values.prop_map(move |values| {
        let present =
            fields.iter().zip(values).filter_map(|((name, _), value)| Some((name.to_string(), value?)));
        Value::Object(present.collect())
    })
}

const REDEMPTION: &[(&str, &str)] =
    &[("points", "5"), ("merchant_reference", "\"a\""), ("description", "\"b\"")];
const EVENT: &[(&str, &str)] = &[
    ("user_id", "\"u\""),
    ("type", "\"purchase\""),
    ("amount", "7.5"),
    ("timestamp", "\"2025-07-17T14:30:00Z\""),
    ("event_id", "\"e\""),
    ("source", "\"s\""),
    ("events", "[{}]"),
];

#[test]
fn no_json_breaks_us() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let world = runtime.block_on(async { World::new().await.with_points(1000).await });
    let bodies = prop_oneof![
        any_json().prop_map(|it| it.to_string()),
        near_miss(REDEMPTION).prop_map(|it| it.to_string()),
        near_miss(EVENT).prop_map(|it| it.to_string()),
        proptest::collection::vec(near_miss(EVENT), 0..4).prop_map(|it| Value::from(it).to_string()),
        any::<String>(),
        (0_usize..100_000).prop_map(|depth| "[".repeat(depth)),
        (0_usize..100_000).prop_map(|depth| format!("{{\"x\":{}1{}}}", "[".repeat(depth), "]".repeat(depth))),
    ];
    let keys = any::<u128>().prop_map(|it| Uuid::from_u128(it).to_string());
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&(bodies, keys), |(body, key)| {
            runtime.block_on(async {
                for ask in [redeem(1).with("x-idempotency-key", &key), earn(&json!({}))] {
                    let told = world.send(Ask { body: body.clone().into_bytes(), ..ask }).await;
                    prop_assert!(told.status.as_u16() < 500, "{} for {body:?}", told.text());
                    prop_assert!(serde_json::from_slice::<Value>(&told.bytes).is_ok());
                }
                Ok(())
            })
        })
        .unwrap();
    runtime.block_on(world.check_books());
}
