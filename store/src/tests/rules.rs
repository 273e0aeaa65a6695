use super::fixture::{Fixture, keyring};
use crate::*;

const RULES: &[u8] = br#"{"rates":{"purchase":"0.333"},"scale":2,"rounding":"half_up"}"#;

/// A program that counts hundredths of a point, and rounds them.
async fn hundredths(books: &Fixture) -> i16 {
    let spec = ProgramSpec {
        name: "hundredths".to_owned(),
        enrols: true,
        point_value: "1".to_owned(),
        currency: "KES".to_owned(),
        rule_set: RULES.to_vec(),
    };
    let mut conn = books.pool.acquire().await.unwrap();
    ensure_program(&mut conn, &keyring(), &spec).await.unwrap().program_id
}

#[tokio::test]
async fn all_rules_of_a_program_count_alike() {
    let books = Fixture::new().await;
    let program_id = hundredths(&books).await;
    let mut conn = books.pool.acquire().await.unwrap();
    for counting in ["", r#","scale":2"#, r#","rounding":"half_up""#, r#","scale":4,"rounding":"half_up""#] {
        let rules = format!(r#"{{"rates":{{"purchase":"1"}}{counting}}}"#);
        let refused = add_rule_set(&mut conn, program_id, rules.as_bytes(), 7).await.unwrap_err().to_string();
        assert!(refused.contains("scale and rounding stay the same"), "{rules}: {refused}");
    }
    let alike = br#"{"rates":{"purchase":"1"},"scale":2,"rounding":"half_up"}"#;
    add_rule_set(&mut conn, program_id, alike, 7).await.unwrap();
    let settled = rule_documents(&mut conn, program_id).await.unwrap();
    assert_eq!(settled, [(0, RULES.to_vec()), (7, alike.to_vec())]);
}

#[tokio::test]
async fn what_rounding_took_or_gave_is_kept_beside_the_event() {
    let books = Fixture::new().await;
    let program_id = hundredths(&books).await;
    let mut earned = vec![];
    for (key, amount) in [("given", 5), ("taken", 1), ("even", 1000)] {
        let mut request = books.earn_by(RULES, key, "amina", amount);
        request.program = program_id;
        earned.push(books.committer.submit(request).await.unwrap().outcome.unwrap()[0].points);
    }
    assert_eq!(earned, [167, 33, 33_300]);
    let kept: Vec<Option<String>> = sqlx::query_scalar("select remainder from event order by leaf_index")
        .fetch_all(&books.pool)
        .await
        .unwrap();
    assert_eq!(kept, [Some("-0.5".to_owned()), Some("0.3".to_owned()), None]);
    books.check_books().await;
}
