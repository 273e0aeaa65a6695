//! The dated versions of `/api/v1`: which one an answer is in, and how its end is told.

use super::*;
use crate::version::{HEADER, Version, is_versioned};
use crate::{Code, endpoints};

const NEWEST: &str = "2026-11-01";

#[tokio::test]
async fn an_answer_says_which_version_it_is_in_and_an_unknown_one_is_refused() {
    let world = World::new().await.with_points(10).await;
    let balance = Ask::get("/api/v1/loyalty/balance").with("authorization", "Bearer member-token");
    for named in ["", NEWEST] {
        let told = world.send(balance.clone().with("loyalty-version", named)).await;
        assert_eq!((told.status.as_u16(), told.header("loyalty-version")), (200, NEWEST), "{}", told.text());
        // Nothing of it is to end.
        assert_eq!((told.header("deprecation"), told.header("sunset")), ("", ""));
    }
    let stranger = world.send(balance.clone().with("authorization", "")).await;
    stranger.check_problem(401, "UNAUTHORIZED");
    assert_eq!(stranger.header("loyalty-version"), NEWEST);

    for unknown in ["2026-11-02", "2026-11", "latest", "v1"] {
        let told = world.send(balance.clone().with("loyalty-version", unknown)).await;
        let problem = told.check_problem(400, "INVALID_REQUEST");
        assert_eq!(problem["validation_errors"][0]["field"], HEADER);
        assert!(problem["detail"].as_str().unwrap().contains(NEWEST), "{problem}");
        assert_eq!(told.header("loyalty-version"), "");
    }
    let mut twice = balance.with("loyalty-version", NEWEST);
    twice.headers.push(("loyalty-version", NEWEST.to_owned()));
    world.send(twice).await.check_problem(400, "INVALID_REQUEST");

    // The partner contract does not know it.
    let told = world.send(redeem(1).with("loyalty-version", "2026-11-02")).await;
    assert_eq!((told.status.as_u16(), told.header("loyalty-version")), (200, ""), "{}", told.text());
    world.check_books().await;
}

#[test]
fn the_end_of_a_version_is_told_with_its_answers() {
    let ending =
        Version { day: "2025-01-01", deprecated_s: Some(1_793_491_200), sunset_s: Some(1_801_440_000) };
    let mut headers = HeaderMap::new();
    ending.tell(&mut headers, PUBLIC_URL);
    let told = |name: &str| headers[name].to_str().unwrap();
    assert_eq!((told("loyalty-version"), told("deprecation")), ("2025-01-01", "@1793491200"));
    assert_eq!(told("sunset"), "Mon, 01 Feb 2027 00:00:00 GMT");
    assert_eq!(told("link"), "<https://loyalty.test/docs/>; rel=\"deprecation\"; type=\"text/html\"");
}

#[test]
fn every_path_that_has_versions_describes_them() {
    let document = crate::openapi(&endpoints(), PUBLIC_URL);
    let mut walked = 0;
    for endpoint in endpoints() {
        let method = endpoint.method.as_str().to_ascii_lowercase();
        let operation = &document["paths"][endpoint.path][method];
        let parameters = operation["parameters"].as_array().unwrap();
        let described = parameters.iter().find(|it| it["name"] == HEADER);
        assert_eq!(described.is_some(), is_versioned(endpoint.path), "{}", endpoint.path);
        let Some(described) = described else { continue };
        assert_eq!(described["schema"], json!({"type": "string", "enum": [NEWEST]}));
        assert!(endpoint.codes().contains(&Code::InvalidRequest), "{}", endpoint.path);
        let good = endpoint.answers.iter().find(|it| it.status < 400).unwrap();
        let headers = &operation["responses"][good.status.to_string()]["headers"];
        for name in [HEADER, "Deprecation", "Sunset"] {
            assert!(headers[name].is_object(), "{}: {name}", endpoint.path);
        }
        walked += 1;
    }
    assert!(40 <= walked, "{walked}");
}
