//! No path forgets who may ask: the walk goes over the table that the router is made from.

use axum::http::header::ALLOW;

use super::*;
use crate::endpoint::Place;
use crate::{Endpoint, Scope, routes};

/// A request that reaches the endpoint, with every parameter of its path.
fn reach(endpoint: &Endpoint) -> Ask {
    let mut path = endpoint.path.to_owned();
    for parameter in endpoint.parameters.iter().filter(|it| it.place == Place::Path) {
        path = path.replace(&format!("{{{}}}", parameter.name), MEMBER);
    }
    assert!(!path.contains('{'), "{}: a parameter of its path is not described", endpoint.path);
    Ask { method: endpoint.method.clone(), ..Ask::post(path, "{}") }
}

fn guarded() -> impl Iterator<Item = Endpoint> {
    crate::endpoints_of(routes::table()).into_iter().filter(|it| it.access.is_some())
}

#[tokio::test]
async fn every_path_refuses_strangers_and_wrong_scopes() {
    let world = World::new().await;
    let no_scope = world.key(Role::Partner, "idle", &["loyalty:nothing"]).await;
    let mut walked = 0;
    for endpoint in guarded() {
        let ask = reach(&endpoint);
        let told = world.send(ask.clone()).await;
        assert_eq!(told.check_problem(401, "UNAUTHORIZED")["status"], 401, "{}", endpoint.path);
        world.send(ask.clone().with("x-api-key", "forged")).await.check_problem(401, "UNAUTHORIZED");
        let told = world.send(ask.with("x-api-key", &no_scope)).await;
        told.check_problem(403, "FORBIDDEN");
        let scope = endpoint.access.unwrap().scope.as_str();
        assert!(told.header("www-authenticate").contains(&format!("scope=\"{scope}\"")), "{}", endpoint.path);
        walked += 1;
    }
    assert!(5 <= walked, "the table has been walked");
    assert_eq!(world.check_books().await.leaves, 0);
}

#[tokio::test]
async fn every_path_refuses_a_role_that_it_is_not_for() {
    let world = World::new().await;
    let scopes: Vec<&str> = guarded().map(|it| it.access.unwrap().scope.as_str()).collect();
    let mut keys = Vec::new();
    for role in Role::ALL {
        keys.push((role, world.key(role, role.as_str(), &scopes).await));
    }
    for endpoint in guarded() {
        let roles = endpoint.access.unwrap().roles;
        for (role, key) in &keys {
            let told = world.send(reach(&endpoint).with("x-api-key", key)).await;
            let is_refused =
                told.status == 403 && told.json()["detail"].as_str().unwrap().starts_with("This is for");
            assert_eq!(is_refused, !roles.contains(role), "{} {role:?}: {}", endpoint.path, told.text());
        }
    }
    assert_eq!(world.check_books().await.leaves, 0);
}

#[tokio::test]
async fn no_path_overlooks_a_header_that_contradicts() {
    let world = World::new().await.with_points(1).await;
    let scopes: Vec<&str> = guarded().map(|it| it.access.unwrap().scope.as_str()).collect();
    let partner = world.key(Role::Partner, "partner", &scopes).await;
    let mut walked = 0;
    for endpoint in guarded() {
        let access = endpoint.access.unwrap();
        if access.roles.contains(&Role::Partner) {
            let ask = reach(&endpoint).with("x-api-key", &partner).with("x-partner-id", "kiosk");
            let told = world.send(ask).await.check_problem(403, "FORBIDDEN");
            assert!(
                told["detail"].as_str().unwrap().starts_with("X-Partner-ID"),
                "{}: {told}",
                endpoint.path
            );
            let named = reach(&endpoint).with("x-api-key", &partner).with("x-user-id", MEMBER);
            let told = world.send(named).await.check_problem(403, "FORBIDDEN");
            assert!(told["detail"].as_str().unwrap().starts_with("X-User-ID"), "{}: {told}", endpoint.path);
            walked += 1;
        }
        if access.roles.contains(&Role::Member) && access.scope == Scope::Read {
            let ask = reach(&endpoint).with("authorization", "Bearer member-token");
            let told = world.send(ask.with("x-user-id", STRANGER)).await.check_problem(403, "FORBIDDEN");
            assert!(told["detail"].as_str().unwrap().starts_with("X-User-ID"), "{}: {told}", endpoint.path);
            walked += 1;
        }
    }
    assert!(20 <= walked, "{walked} paths have been walked");
    assert_eq!(world.check_books().await.leaves, 1);
}

#[tokio::test]
async fn every_path_of_the_table_is_served_with_its_method_and_no_other() {
    let world = World::new().await;
    for endpoint in crate::endpoints() {
        let ask = reach(&endpoint);
        let told = world.send(ask.clone()).await;
        assert_ne!(told.status, 405, "{}", endpoint.path);
        let told = world.send(Ask { method: Method::TRACE, ..ask }).await;
        told.check_problem(405, "METHOD_NOT_ALLOWED");
        let allowed = told.headers.get(ALLOW).unwrap().to_str().unwrap().to_owned();
        assert!(allowed.split(',').any(|it| it == endpoint.method.as_str()), "{}: {allowed}", endpoint.path);
    }
}
