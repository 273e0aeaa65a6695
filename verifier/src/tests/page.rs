//! The page's files, and nothing else of the machine.

use std::fs;

use super::*;

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let world = World::new().await;
    let folder = world.home.path().join("page");
    fs::create_dir_all(folder.join("deep")).unwrap();
    for (name, text) in [
        ("index.html", "<!doctype html>"),
        ("verify.js", "1"),
        ("verify-style.css", "a{}"),
        ("icon.svg", "<svg/>"),
        ("verify.js.map", "{}"),
        (".hidden.html", "no"),
        ("deep/file.js", "no"),
        ("secret.key", "no"),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    for (path, content_type) in [
        ("/verify/", "text/html; charset=utf-8"),
        ("/verify/index.html", "text/html; charset=utf-8"),
        ("/verify/verify.js", "text/javascript; charset=utf-8"),
        ("/verify/verify-style.css", "text/css; charset=utf-8"),
        ("/verify/icon.svg", "image/svg+xml"),
        ("/verify/policy.txt", "text/plain; charset=utf-8"),
        ("/verify/chain.json", "application/json"),
    ] {
        let told = world.get(path).await;
        assert_eq!((told.status.as_u16(), told.header("content-type")), (200, content_type), "{path}");
        let security = told.header("content-security-policy");
        for rule in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src *"] {
            assert!(security.contains(rule), "{security}");
        }
        assert_eq!(told.header("x-content-type-options"), "nosniff");
        assert_eq!(told.header("cross-origin-opener-policy"), "same-origin");
    }
    assert_eq!(world.get("/verify/policy.txt").await.text(), world.policy_text(&[]));
    assert_eq!(world.get("/verify/chain.json").await.text(), CHAIN_JSON);
    for path in [
        "/verify/.hidden.html",
        "/verify/secret.key",
        "/verify/deep/file.js",
        "/verify/deep%2ffile.js",
        "/verify/..%2flog.key",
        "/verify/../log.key",
        "/verify/%2e%2e/log.key",
        "/verify/none.js",
        "/verify/x%00.js",
        "/verify/deep",
        "/verify/%ff.js",
        "/verify/verify.js.map",
    ] {
        world.get(path).await.check_problem(404, "NOT_FOUND");
    }
    for (path, place) in [("/", "/verify/"), ("/verify", "/verify/")] {
        let told = world.get(path).await;
        assert!(told.status.is_redirection());
        assert_eq!(told.header("location"), place);
    }
}

/// The operator replaces the policy's file: from the next answer on it is the one that is shown and the one that is used.
#[tokio::test]
async fn a_policy_that_is_replaced_serves_from_then_on() {
    let mut world = World::new().await;
    let place = AnchorPlace { chain_id: 137, contract: [1; 20], registrant: [2; 20] };
    let told = Arc::new(std::sync::Mutex::new((world.policy_text(&[]), world.policy(&[]))));
    let read = Arc::clone(&told);
    world.serve_by(Arc::new(move || read.lock().unwrap().clone()));
    let places = async |world: &World| {
        let anchors: Value = serde_json::from_str(&world.get("/v1/anchors").await.text()).unwrap();
        anchors["anchors"].as_array().unwrap().len()
    };
    assert_eq!(places(&world).await, 0);
    *told.lock().unwrap() = (world.policy_text(&[place]), world.policy(&[place]));
    assert_eq!(places(&world).await, 1);
    assert_eq!(world.get("/verify/policy.txt").await.text(), world.policy_text(&[place]));
}
