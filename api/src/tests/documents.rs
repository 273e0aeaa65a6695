//! The descriptions that are served: the contract's to the letter, and a page that needs nobody else.

use super::*;

#[tokio::test]
async fn the_contract_is_described_to_the_letter() {
    let world = World::new().await;
    let document = world.send(Ask::get("/loyalty/v1/openapi.json")).await.json();
    assert_eq!(document["openapi"], "3.0.0");
    let golden = json!({
        "title": "M-PESA Loyalty Partner API", "version": "1.0.0",
        "contact": {
            "name": "M-PESA Developer Support", "url": "https://developer.mpesa.com", "email": "developers@mpesa.com",
        },
    });
    assert_eq!(document["info"], golden);
    let servers: Vec<&str> =
        document["servers"].as_array().unwrap().iter().map(|it| it["url"].as_str().unwrap()).collect();
    assert_eq!(
        servers[..2],
        ["https://api.mpesa.com/loyalty/v1", "https://sandbox-api.mpesa.com/loyalty/v1"]
    );
    assert_eq!(document["security"].as_array().unwrap().len(), 2, "either of two, not both");
    let flow = &document["components"]["securitySchemes"]["PartnerAuth"]["flows"]["clientCredentials"];
    assert_eq!(flow["tokenUrl"], "https://auth.mpesa.com/oauth/token");
    assert_eq!(flow["scopes"]["loyalty:redeem"], "Process redemptions");
    assert_eq!(document["components"]["securitySchemes"]["ApiKeyAuth"]["name"], "X-API-Key");

    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/partner/users/{userId}/balance", "/partner/users/{userId}/redeem"]);
    let balance = &document["paths"]["/partner/users/{userId}/balance"]["get"];
    let redeem = &document["paths"]["/partner/users/{userId}/redeem"]["post"];
    let parameter = |operation: &Value, name: &str| {
        operation["parameters"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap().clone()
    };
    assert_eq!(parameter(balance, "X-Partner-ID")["required"], true);
    assert_eq!(parameter(balance, "include_pending")["schema"], json!({"type": "boolean", "default": false}));
    assert_eq!(parameter(balance, "userId")["schema"]["format"], "uuid");
    assert_eq!(parameter(redeem, "X-Idempotency-Key")["required"], true);
    for status in ["200", "401", "404"] {
        assert!(balance["responses"][status].is_object(), "{status}");
    }
    for header in ["X-RateLimit-Limit", "X-RateLimit-Remaining", "Retry-After"] {
        for operation in [balance, redeem] {
            assert_eq!(
                operation["responses"]["429"]["headers"][header]["schema"]["type"], "integer",
                "{header}"
            );
        }
    }
    let told = |operation: &Value, header: &str| operation["responses"]["200"]["headers"][header].is_object();
    assert!(told(balance, "ETag") && told(balance, "X-RateLimit-Remaining"));
    assert!(told(redeem, "Idempotent-Replayed") && !told(redeem, "ETag"));
    // A key that comes again is told so where what it did was archived since.
    assert!(redeem["responses"]["410"]["content"]["application/json"]["examples"]["ARCHIVED"].is_object());
    for status in ["200", "400", "409"] {
        assert!(redeem["responses"][status].is_object(), "{status}");
        assert!(redeem["responses"][status]["content"]["application/json"].is_object(), "{status}");
    }

    for operation in [balance, redeem] {
        for (status, code, words) in [
            ("401", "UNAUTHORIZED", "Invalid or expired authentication credentials"),
            ("404", "USER_NOT_FOUND", "The specified user could not be found"),
            ("429", "RATE_LIMIT_EXCEEDED", "API rate limit exceeded"),
        ] {
            let examples = &operation["responses"][status]["content"]["application/json"]["examples"];
            let example = &examples[code]["value"];
            assert_eq!((&example["error"], &example["message"]), (&json!(code), &json!(words)), "{example}");
            assert_eq!(example["detail"], example["message"]);
        }
    }

    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["BalanceResponse"]["required"], json!(["user_id", "balance", "last_updated"]));
    let example = &schemas["BalanceResponse"]["example"];
    assert_eq!((&example["balance"], &example["pending_points"]), (&json!(15750), &json!(250)), "{example}");
    let fields = &schemas["BalanceResponse"]["properties"];
    assert_eq!((&fields["balance"]["type"], &fields["balance"]["minimum"]), (&json!("integer"), &json!(0)));
    assert_eq!(fields["expires_on"]["format"], "date-time");
    assert_eq!(schemas["Tier"]["enum"], json!(["BRONZE", "SILVER", "GOLD", "PLATINUM"]));
    let request = &schemas["RedemptionRequest"];
    assert_eq!(request["required"], json!(["points", "merchant_reference"]));
    let points = &request["properties"]["points"];
    assert_eq!((&points["minimum"], &points["maximum"]), (&json!(1), &json!(100_000)));
    assert_eq!(request["properties"]["merchant_reference"]["maxLength"], 100);
    assert_eq!(request["properties"]["description"]["maxLength"], 500);
    let response = &schemas["RedemptionResponse"]["properties"];
    assert_eq!(response["status"]["enum"], json!(["SUCCESS", "FAILED", "PENDING"]));
    assert_eq!(response["transaction_id"]["format"], "uuid");
    assert_eq!(schemas["Value"]["properties"]["amount"]["allOf"][0]["$ref"], "#/components/schemas/Amount");
    assert_eq!(
        (&schemas["Amount"]["type"], &schemas["Amount"]["format"]),
        (&json!("number"), &json!("decimal"))
    );
}

/// Every reference leads somewhere, every path's parameters are described, and everything has words.
#[tokio::test]
async fn the_descriptions_are_complete() {
    let world = World::new().await;
    for path in ["/openapi.json", "/loyalty/v1/openapi.json"] {
        let document = world.send(Ask::get(path)).await.json();
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{path}: {pointer} leads nowhere");
        }
        for (name, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let place = format!("{path}: {method} {name}");
                assert!(!operation["summary"].as_str().unwrap().is_empty(), "{place}");
                let parameters = operation["parameters"].as_array().unwrap();
                let in_path = parameters.iter().filter(|it| it["in"] == "path");
                assert_eq!(in_path.count(), name.matches('{').count(), "{place}");
                assert!(
                    parameters.iter().all(|it| !it["description"].as_str().unwrap().is_empty()),
                    "{place}"
                );
                let failures = operation["responses"].as_object().unwrap();
                assert!(failures.contains_key("503") && failures.contains_key("500"), "{place}");
            }
        }
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            // Of two with one name, the second is numbered.
            assert!(!name.ends_with(|it: char| it.is_ascii_digit()), "{path}: {name} is the name of two");
            for (field, it) in schema["properties"].as_object().into_iter().flatten() {
                let has_words =
                    it["description"].is_string() || it["allOf"].is_array() || it.get("$ref").is_some();
                assert!(has_words, "{path}: {name}.{field} is not described");
            }
        }
    }
}

#[test]
fn what_a_change_must_match_is_described_where_it_is_read() {
    let document = crate::openapi(&crate::endpoints(), PUBLIC_URL);
    let paths = &document["paths"];
    let mut walked = 0;
    for (path, methods) in paths.as_object().unwrap() {
        let names =
            |it: &Value| it["parameters"].as_array().unwrap().iter().any(|it| it["name"] == "If-Match");
        if !methods.as_object().unwrap().values().any(names) {
            continue;
        }
        // A change that has a path of its own is one of the thing above it.
        let above = path.rsplit_once('/').unwrap().0;
        let read = if methods["get"].is_object() { &methods["get"] } else { &paths[above]["get"] };
        assert!(read["responses"]["200"]["headers"]["ETag"].is_object(), "{path}");
        walked += 1;
    }
    assert_eq!(walked, 9);
}

#[test]
fn whatever_posts_under_a_key_describes_how_soon_it_is_anchored() {
    let posting = crate::endpoints()
        .into_iter()
        .filter(|endpoint| endpoint.parameters.iter().any(|it| it.name == "Idempotency-Key"));
    let mut walked = 0;
    for endpoint in posting {
        assert!(endpoint.parameters.iter().any(|it| it.name == "Anchor-Priority"), "{}", endpoint.path);
        walked += 1;
    }
    assert!(10 <= walked, "{walked}");
}

#[tokio::test]
async fn the_page_of_paths_needs_no_other_host() {
    let world = World::new().await;
    let page = world.send(Ask::get("/docs/")).await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    for (file, media_type) in [("explorer.js", "text/javascript"), ("explorer.css", "text/css")] {
        assert!(page.text().contains(file), "the page names {file}");
        let told = world.send(Ask::get(format!("/docs/{file}"))).await;
        assert_eq!(told.status, 200);
        assert!(told.header("content-type").starts_with(media_type));
        assert!(!told.text().contains("://"), "{file} names no other host");
        assert!(!told.text().contains("innerHTML"), "what is told is only text");
    }
    assert!(!page.text().contains("://"));
    for path in ["/openapi.json", "/loyalty/v1/openapi.json"] {
        assert!(page.text().contains(path), "the page offers {path}");
    }
    assert_eq!(world.send(Ask::get("/docs")).await.header("location"), "/docs/");
}
