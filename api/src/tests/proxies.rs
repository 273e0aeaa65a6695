//! Callers behind proxies: what an operator's own proxies say is believed, and nothing else.

use axum::http::{HeaderName, HeaderValue};

use super::*;
use crate::IpNet;
use crate::proxies::caller;

fn trusted() -> Vec<IpNet> {
    ["10.0.0.0/8", "fd00::/8"].map(|it| it.parse().unwrap()).to_vec()
}

#[track_caller]
fn check(peer: &str, lines: &[&str], expected: &str) {
    let name = HeaderName::from_static("x-forwarded-for");
    let value = |it: &&str| (name.clone(), HeaderValue::from_bytes(it.as_bytes()).unwrap());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.iter().map(value) {
        headers.append(name, value);
    }
    let found = caller(&trusted(), peer.parse().unwrap(), &headers);
    assert_eq!(found.to_string(), expected, "{peer} says {lines:?}");
}

#[test]
fn the_caller_is_the_nearest_address_that_is_no_trusted_proxy() {
    check("10.0.0.1", &["203.0.113.9"], "203.0.113.9");
    check("10.0.0.1", &["203.0.113.9, 10.0.0.2"], "203.0.113.9");
    check("10.0.0.1", &["203.0.113.9", "10.0.0.3,10.0.0.2"], "203.0.113.9");
    // What stands further left is the caller's own word.
    check("10.0.0.1", &["192.0.2.7, 203.0.113.9"], "203.0.113.9");
    check("10.0.0.1", &["192.0.2.7", "203.0.113.9"], "203.0.113.9");
    check("10.0.0.1", &["10.0.0.9, 203.0.113.9, 10.0.0.2"], "203.0.113.9");
    // Whoever is no proxy of ours says what they like.
    check("203.0.113.9", &["192.0.2.7"], "203.0.113.9");
    check("203.0.113.9", &["10.0.0.1"], "203.0.113.9");
    // A proxy that was not asked for anybody, or by another one of the operator's.
    check("10.0.0.1", &[], "10.0.0.1");
    check("10.0.0.1", &["10.0.0.2"], "10.0.0.2");

    check("fd00::1", &["2001:db8::7"], "2001:db8::7");
    check("fd00::1", &["2001:DB8:0:0::7, fd00::2"], "2001:db8::7");
    check("10.0.0.1", &["[2001:db8::7]"], "2001:db8::7");
    check("10.0.0.1", &["[2001:db8::7]:4711"], "2001:db8::7");
    check("10.0.0.1", &["203.0.113.9:4711, 10.0.0.2:80"], "203.0.113.9");
    check("10.0.0.1", &["203.0.113.9, ::ffff:10.0.0.2"], "203.0.113.9");
    check("10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9");

    // Beyond what cannot be read nobody is believed.
    for garbage in
        ["", "unknown", "_hidden", "localhost", "203.0.113", "fe80::1%eth0", "203.0.113.9 10.0.0.2", "é"]
    {
        check("10.0.0.1", &[garbage], "10.0.0.1");
        check("10.0.0.1", &[&format!("192.0.2.7, {garbage}, 10.0.0.2")], "10.0.0.2");
        check("10.0.0.1", &[&format!("{garbage}, 203.0.113.9")], "203.0.113.9");
        check("10.0.0.1", &["192.0.2.7", garbage], "10.0.0.1");
    }
}

const PROXY: &str = "10.0.0.1:40000";

#[tokio::test]
async fn a_keys_addresses_are_its_callers_and_not_the_proxys() {
    let world = World::new().await.with_points(10).await;
    let scopes = ["loyalty:read"];
    let key = world.key_as("duka", Role::Partner, Some("duka"), &scopes, &["192.0.2.0/24"]).await;
    let ask = Ask::get(format!("/loyalty/v1/partner/users/{MEMBER}/balance"))
        .with("x-partner-id", "duka")
        .with("x-api-key", &key);
    let before = world.router.clone();
    let behind = World { router: crate::behind(before.clone(), &trusted()), ..world };
    let from = async |world: &World, peer: &str, said: &str| {
        let peer = Some(Peer(peer.parse().unwrap()));
        world.send_from(ask.clone().with("x-forwarded-for", said), peer).await.status.as_u16()
    };
    assert_eq!(from(&behind, PROXY, "192.0.2.7").await, 200);
    assert_eq!(from(&behind, PROXY, "203.0.113.9").await, 401);
    assert_eq!(from(&behind, PROXY, "192.0.2.7, 203.0.113.9").await, 401, "a caller says who they are");
    assert_eq!(from(&behind, PROXY, "garbage").await, 401);
    assert_eq!(from(&behind, "203.0.113.9:1", "192.0.2.7").await, 401, "no proxy of ours");
    assert_eq!(from(&behind, "192.0.2.7:1", "203.0.113.9").await, 200, "no proxy of ours");
    // Where no proxy is named, the header says nothing.
    let alone = World { router: before, ..behind };
    assert_eq!(from(&alone, PROXY, "192.0.2.7").await, 401);
    assert_eq!(from(&alone, "192.0.2.7:1", "203.0.113.9").await, 200);
}

#[tokio::test]
async fn a_guesser_behind_a_proxy_shuts_nobody_else_behind_it_out() {
    let world = World::new().await;
    let world = World { router: crate::behind(world.router.clone(), &trusted()), ..world };
    let peer = Some(Peer(PROXY.parse().unwrap()));
    let guess = Ask::get("/api/v1/feed").with("x-api-key", "lk_live_guess");
    for number in 0..1100 {
        // Whatever a caller writes, the proxy writes at the right from where they come.
        let said = format!("192.0.2.{}, 203.0.113.9", number % 256);
        world.send_from(guess.clone().with("x-forwarded-for", &said), peer).await;
    }
    let from = async |said: &str| world.send_from(guess.clone().with("x-forwarded-for", said), peer).await;
    from("203.0.113.9").await.check_problem(429, "RATE_LIMIT_EXCEEDED");
    from("203.0.113.10").await.check_problem(401, "UNAUTHORIZED");
    from("203.0.113.9, 192.0.2.1").await.check_problem(401, "UNAUTHORIZED");
}
