//! The page of paths, in a browser that reaches no other host: what it shows, and a request that is sent from it.

use std::collections::BTreeSet;

use journeys::{System, node, root};
use serde_json::{Value, json};

use crate::purchase;

const MEMBER: &str = "0e9f8c52-7d5a-4a43-8f0c-3f3bb2f00e01";

#[tokio::test]
async fn the_page_of_paths_works_without_another_host() {
    let folder = System::folder();
    let system = System::up(folder.path(), &[]).await;
    let api = system.api();
    assert_eq!(api.event(&purchase("explored", MEMBER, 1000)).await.status, 200);

    let key = system.fact("api_key");
    assert!(key.starts_with("lk_test_"), "a sandbox's key");
    let page = format!("{}/docs/", system.fact("api"));
    let seen = node(&root().join("web/explorer.mjs"), &[&page, key, MEMBER]).await.expect(0).json();

    assert_eq!((&seen["elsewhere"], &seen["faults"]), (&json!([]), &json!([])), "{seen}");
    for (shown, document) in [("apis", "/openapi.json"), ("contract", "/loyalty/v1/openapi.json")] {
        let shown: BTreeSet<String> =
            seen[shown].as_array().expect("a list").iter().map(|it| text(it).to_owned()).collect();
        assert_eq!(shown, described(&api.get(document).await.body), "{document}");
    }
    let answer = text(&seen["answer"]);
    assert!(answer.starts_with("200 "), "{answer}");
    assert!(answer.contains("\"new_balance\": 60"), "{answer}");
    assert_eq!(api.balance(MEMBER).await, Some(60), "what the page sent was done");

    system.check_books().await;
    system.interrupt().await;
}

/// The methods and paths of a description, as the page shows them.
fn described(description: &Value) -> BTreeSet<String> {
    let paths = description["paths"].as_object().expect("a description has paths");
    let all = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("a path has methods");
        methods.keys().map(move |it| format!("{} {path}", it.to_uppercase()))
    });
    all.collect()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
