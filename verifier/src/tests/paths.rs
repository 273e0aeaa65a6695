//! The documents about HTTP say what is served. They are written from the same table as the router:
//! `UPDATE_DOCS=1 cargo test -p verifier paths` writes them anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use api::{Code, Endpoint};
use serde_json::Value;

/// The address in the stored description; what a server serves has its own.
const PUBLIC_URL: &str = "http://127.0.0.1:8080";

/// Everything that is served.
fn endpoints() -> Vec<Endpoint> {
    api::endpoints().into_iter().chain(crate::endpoints()).collect()
}

/// A document's text.
fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Compares a document with what it should be, or writes it.
#[track_caller]
fn check(name: &str, wanted: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name), wanted)
            .expect("the document can be written");
    }
    assert!(
        read(name) == wanted,
        "{name} is stale; UPDATE_DOCS=1 cargo test -p verifier paths writes it anew"
    );
}

/// The text with what stands between a section's two marks replaced.
fn with_section(text: &str, section: &str, lines: &[String]) -> String {
    let opening = text.find(&format!("<!-- {section}:")).expect("the section has its opening mark");
    let begin = opening + text[opening..].find('\n').expect("a mark ends its line") + 1;
    let end = text.find(&format!("<!-- /{section} -->")).expect("the section has its closing mark");
    format!("{}\n{}\n\n{}", &text[..begin], lines.join("\n"), &text[end..])
}

fn path_rows() -> Vec<String> {
    let row = |it: &Endpoint| {
        let (scope, roles) = match it.access {
            None => ("none".to_owned(), "anybody".to_owned()),
            Some(access) => {
                let roles: Vec<&str> = access.roles.iter().map(|it| it.as_str()).collect();
                (format!("`{}`", access.scope.as_str()), roles.join(", "))
            }
        };
        format!("| `{} {}` | {scope} | {roles} | {} |", it.method, it.path, it.summary)
    };
    let head = ["| path | scope | who | what |", "| --- | --- | --- | --- |"].map(str::to_owned);
    head.into_iter().chain(endpoints().iter().map(row)).collect()
}

fn error_rows() -> Vec<String> {
    let row = |it: Code| format!("| {} | `{}` | {} |", it.status().as_u16(), it.as_str(), it.title());
    let mut rows: Vec<String> = Code::ALL.iter().copied().map(row).collect();
    rows.sort();
    rows.dedup();
    let head = ["| status | `error` | what it means |", "| --- | --- | --- |"].map(str::to_owned);
    head.into_iter().chain(rows).collect()
}

#[test]
fn the_tables_of_paths_and_errors_are_those_of_the_code() {
    let text = read("docs/api.md");
    let text = with_section(&text, "paths", &path_rows());
    check("docs/api.md", &with_section(&text, "errors", &error_rows()));
}

/// What a client relies on, as one line each: it may grow, and nothing may go.
fn promises(document: &Value) -> BTreeMap<String, String> {
    let mut promises = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().expect("a document has paths") {
        for (method, operation) in methods.as_object().expect("a path has methods") {
            let place = format!("{method} {path}");
            promises.insert(place.clone(), operation["operationId"].to_string());
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap_or_default();
                let said = promised(document, &parameter["schema"]);
                promises.extend(said.into_iter().map(|(at, it)| (format!("{place}: {name}{at}"), it)));
            }
            for (status, response) in operation["responses"].as_object().into_iter().flatten() {
                promises.insert(format!("{place}: {status}"), String::new());
                for (_, content) in response["content"].as_object().into_iter().flatten() {
                    let said = promised(document, &content["schema"]);
                    promises.extend(said.into_iter().map(|(at, it)| (format!("{place}: {status}{at}"), it)));
                }
            }
            for (_, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                let said = promised(document, &content["schema"]);
                promises.extend(said.into_iter().map(|(at, it)| (format!("{place}: body{at}"), it)));
            }
        }
    }
    promises
}

/// The fields of a schema with their types, however deep.
fn promised(document: &Value, schema: &Value) -> BTreeMap<String, String> {
    let mut promised = BTreeMap::new();
    let mut waiting = vec![(String::new(), schema, 0)];
    while let Some((at, schema, depth)) = waiting.pop() {
        let schema = match schema["$ref"].as_str().and_then(|it| it.strip_prefix('#')) {
            Some(pointer) => document.pointer(pointer).expect("a reference leads somewhere"),
            None => schema,
        };
        if 8 < depth {
            continue;
        }
        for word in ["type", "format", "enum", "const"] {
            if let Some(said) = schema.get(word) {
                promised.insert(format!("{at} {word}"), said.to_string());
            }
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            waiting.push((format!("{at}/{name}"), field, depth + 1));
        }
        if let Some(items) = schema.get("items") {
            waiting.push((format!("{at}[]"), items, depth + 1));
        }
        for word in ["oneOf", "anyOf"] {
            for (number, part) in schema[word].as_array().into_iter().flatten().enumerate() {
                waiting.push((format!("{at}|{number}"), part, depth + 1));
            }
        }
    }
    promised
}

/// What is demanded of a caller: nothing may be added.
fn demands(document: &Value) -> Vec<String> {
    let mut demands = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("a document has paths") {
        for (method, operation) in methods.as_object().expect("a path has methods") {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                if parameter["required"] == true {
                    demands.push(format!("{method} {path}: {}", parameter["name"]));
                }
            }
            for (_, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                let schema = &content["schema"];
                let pointer = schema["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
                let schema = pointer.and_then(|it| document.pointer(it)).unwrap_or(schema);
                for field in schema["required"].as_array().into_iter().flatten() {
                    demands.push(format!("{method} {path}: body {field}"));
                }
            }
        }
    }
    demands
}

/// What a client of the older document would trip over in the newer one.
fn breaks(older: &Value, newer: &Value) -> Vec<String> {
    let (before, after) = (promises(older), promises(newer));
    let mut broken = Vec::new();
    for (place, said) in &before {
        match after.get(place) {
            None => broken.push(format!("{place}: it is gone")),
            Some(now) if now != said => broken.push(format!("{place}: it was {said} and is {now}")),
            Some(_) => {}
        }
    }
    let demanded = demands(older);
    for demand in demands(newer) {
        // A new path demands what it likes.
        let place = demand.split(": ").next().unwrap_or_default();
        if before.contains_key(place) && !demanded.contains(&demand) {
            broken.push(format!("{demand}: it is required now"));
        }
    }
    broken
}

#[test]
fn no_change_of_the_paths_breaks_a_client() {
    let document = api::openapi(&endpoints(), PUBLIC_URL);
    // Where a change is meant, `null` is stored in its place first, with a word in the changelog.
    let older: Value =
        serde_json::from_str(&read("docs/openapi.json")).expect("the stored description is JSON");
    if !older.is_null() {
        let broken = breaks(&older, &document);
        assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
    }
    check("docs/openapi.json", &(serde_json::to_string_pretty(&document).expect("it is JSON") + "\n"));
}

#[test]
fn the_stored_description_of_what_is_told_is_the_codes() {
    let document = api::asyncapi(PUBLIC_URL);
    check("docs/asyncapi.json", &(serde_json::to_string_pretty(&document).expect("it is JSON") + "\n"));
}

#[test]
fn a_change_that_breaks_a_client_is_seen() {
    let older = api::openapi(&endpoints(), PUBLIC_URL);
    let redeem = "/loyalty/v1/partner/users/{userId}/redeem";
    let changed = |change: fn(&mut Value)| {
        let mut newer = older.clone();
        change(&mut newer);
        breaks(&older, &newer)
    };
    assert_eq!(breaks(&older, &older), Vec::<String>::new());
    assert!(older["paths"][redeem].is_object());
    let removed = changed(|it| {
        let paths = it["paths"].as_object_mut().expect("it has paths");
        paths.remove("/loyalty/v1/partner/users/{userId}/redeem").expect("it is there");
    });
    assert!(removed.iter().any(|it| it == &format!("post {redeem}: it is gone")), "{removed:?}");
    let field = changed(|it| {
        let fields = &mut it["components"]["schemas"]["RedemptionResponse"]["properties"];
        fields.as_object_mut().expect("it has fields").remove("new_balance").expect("it is there");
    });
    assert!(field.iter().any(|it| it.contains("/new_balance type: it is gone")), "{field:?}");
    let narrowed = changed(|it| {
        it["components"]["schemas"]["RedemptionResponse"]["properties"]["new_balance"]["type"] =
            "string".into();
    });
    assert!(narrowed.iter().any(|it| it.contains("it was \"integer\" and is \"string\"")), "{narrowed:?}");
    let required = changed(|it| {
        let required = &mut it["components"]["schemas"]["RedemptionRequest"]["required"];
        required.as_array_mut().expect("it demands").push("description".into());
    });
    assert_eq!(required, [format!("post {redeem}: body \"description\": it is required now")]);
}
