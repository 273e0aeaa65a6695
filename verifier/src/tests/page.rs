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
