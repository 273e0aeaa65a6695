//! Tokens: how they are had, what they open, and how they end.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use store::{AuthMode, NewKey};

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";
const EXCHANGE: &str = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
    &subject_token_type=urn:daftari:params:oauth:token-type:member";

impl World {
    /// A key of this owner; a partner's where one is named, else an app's.
    pub(super) async fn key_of(&self, owner: &str, partner: Option<&str>, scopes: &[&str]) -> String {
        let role = if partner.is_some() { Role::Partner } else { Role::Member };
        self.key_as(owner, role, partner, scopes, &[]).await
    }

    pub(super) async fn key_as(
        &self,
        owner: &str,
        role: Role,
        partner: Option<&str>,
        scopes: &[&str],
        addresses: &[&str],
    ) -> String {
        let texts = |all: &[&str]| all.iter().map(|it| it.to_string()).collect::<Vec<_>>();
        let credential = Credential {
            program_id: self.program_id,
            owner: owner.into(),
            scopes: texts(scopes),
            partner_id: partner.map(Into::into),
            delegated: role == Role::Member,
        };
        let new = NewKey { credential, role, addresses: texts(addresses), lifetime_s: None };
        let mut conn = self.pool.acquire().await.unwrap();
        store::issue_key(&mut conn, &Keyring::new(&[7; 32]), &new).await.unwrap()
    }

    pub(super) async fn token(&self, id: &str, secret: &str, form: &str) -> Told {
        self.send(token(form).with("authorization", &basic(id, secret))).await
    }

    pub(super) async fn revoke_key(&self, key: &str) {
        let mut conn = self.pool.acquire().await.unwrap();
        assert!(store::revoke_key(&mut conn, self.program_id, &key[..16]).await.unwrap());
    }
}

pub(super) fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

fn token(form: &str) -> Ask {
    Ask::post("/oauth/token", form).with("content-type", FORM)
}

fn bearer(told: &Told) -> String {
    assert_eq!(told.status, 200, "{}", told.text());
    assert_eq!(told.header("cache-control"), "no-store");
    format!("Bearer {}", told.json()["access_token"].as_str().unwrap())
}

fn balance() -> Ask {
    Ask::get("/api/v1/loyalty/balance")
}

fn partner_balance() -> Ask {
    Ask::get(format!("/loyalty/v1/partner/users/{MEMBER}/balance")).with("x-partner-id", "duka")
}

fn check_refused(told: &Told, status: u16, error: &str) {
    assert_eq!((told.status.as_u16(), &told.json()["error"]), (status, &json!(error)), "{}", told.text());
    assert_eq!(told.header("cache-control"), "no-store");
    assert!(!told.json()["error_description"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_client_gets_a_token_as_the_rfc_says() {
    let world = World::new().await.with_points(10).await;
    let key = world.key_of("duka", Some("duka"), &["loyalty:read", "loyalty:redeem"]).await;
    let told = world.token("duka", &key, "grant_type=client_credentials").await;
    let by_basic = bearer(&told);
    let body = told.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3600);
    assert_eq!(body["scope"], "loyalty:read loyalty:redeem");
    assert!(body.get("refresh_token").is_none(), "this grant has none");
    let form =
        format!("grant_type=client_credentials&client_id=duka&client_secret={key}&scope=loyalty%3Aread");
    let narrow = world.send(token(&form)).await;
    assert_eq!(narrow.json()["scope"], "loyalty:read");
    let narrow = bearer(&narrow);
    for token in [&by_basic, &narrow] {
        let told = world.send(partner_balance().with("authorization", token)).await;
        assert_eq!((told.status.as_u16(), &told.json()["balance"]), (200, &json!(10)), "{}", told.text());
    }
    let redeem = redeem(1).with("x-api-key", "");
    let told = world.send(redeem.clone().with("authorization", &narrow)).await;
    told.check_problem(403, "FORBIDDEN");
    assert!(told.header("www-authenticate").contains("insufficient_scope"));
    assert_eq!(world.send(redeem.with("authorization", &by_basic)).await.status, 200);
    world.check_books().await;
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_by_the_rfcs_own_names() {
    let world = World::new().await;
    let key = world.key_of("duka", Some("duka"), &["loyalty:read"]).await;
    let grant = "grant_type=client_credentials";
    let ask = |form: &str| token(form).with("authorization", &basic("duka", &key));
    let check = async |ask: Ask, status, error| check_refused(&world.send(ask).await, status, error);
    check(ask(""), 400, "invalid_request").await;
    check(ask("grant_type=password&username=a&password=b"), 400, "unsupported_grant_type").await;
    check(ask("grant_type=client_credentials&scope=admin:*"), 400, "invalid_scope").await;
    check(ask("grant_type=client_credentials&scope=%20"), 400, "invalid_scope").await;
    check(ask("grant_type=client_credentials&grant_type=client_credentials"), 400, "invalid_request").await;
    check(ask(grant).with("content-type", "application/json"), 400, "invalid_request").await;
    check(ask(&format!("{grant}&x={}", "x".repeat(20_000))), 400, "invalid_request").await;
    check(ask(&format!("{grant}&client_id=kiosk")), 400, "invalid_request").await;
    check(ask(&format!("{grant}&client_id=duka&client_secret={key}")), 400, "invalid_request").await;
    check(ask(EXCHANGE), 400, "unauthorized_client").await;
    check(ask("grant_type=refresh_token"), 400, "invalid_request").await;
    check(ask("grant_type=refresh_token&refresh_token=rt_AAAA"), 400, "invalid_grant").await;
    check(token(grant), 401, "invalid_client").await;
    // Another's key, another's name, nobody's key, a mistyped one: one answer.
    let other = world.key_of("kiosk", Some("kiosk"), &["loyalty:read"]).await;
    let (nobody, slip) = (store::Environment::Live.generate(), format!("{}x", &key[..45]));
    for (id, secret) in [("duka", &other), ("kiosk", &key), ("duka", &nobody), ("duka", &slip)] {
        let told = world.token(id, secret, grant).await;
        check_refused(&told, 401, "invalid_client");
        assert_eq!(told.header("www-authenticate"), "Basic realm=\"loyalty\"");
    }
    check(token(grant).with("authorization", "Basic !!!"), 401, "invalid_client").await;
    let told = world.send(Ask::get("/oauth/token")).await;
    told.check_problem(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn a_token_ends_with_its_revocation_or_with_its_key() {
    let world = World::new().await.with_points(10).await;
    let key = world.key_of("duka", Some("duka"), &["loyalty:read"]).await;
    let grant = "grant_type=client_credentials";
    let first = bearer(&world.token("duka", &key, grant).await);
    let second = bearer(&world.token("duka", &key, grant).await);
    let form = |token: &str| format!("token={}", token.trim_start_matches("Bearer "));
    let ask = |path: &str, token: &str, id: &str, key: &str| {
        Ask::post(path, form(token)).with("content-type", FORM).with("authorization", &basic(id, key))
    };
    let told = world.send(ask("/oauth/introspect", &first, "duka", &key)).await.json();
    assert_eq!(told["active"], true);
    assert_eq!((&told["sub"], &told["scope"]), (&json!("duka"), &json!("loyalty:read")));
    assert_eq!(told["exp"].as_i64().unwrap() - told["iat"].as_i64().unwrap(), 3600);

    // Another client is told nothing of it, and cannot withdraw it.
    let other = world.key_of("kiosk", Some("kiosk"), &["loyalty:read"]).await;
    let told = world.send(ask("/oauth/introspect", &first, "kiosk", &other)).await;
    assert_eq!(told.json(), json!({"active": false}));
    assert_eq!(world.send(ask("/oauth/revoke", &first, "kiosk", &other)).await.status, 200);
    assert_eq!(world.send(ask("/oauth/introspect", &first, "duka", &key)).await.json()["active"], true);

    assert_eq!(world.send(ask("/oauth/revoke", &first, "duka", &key)).await.status, 200);
    assert_eq!(world.send(ask("/oauth/revoke", "none of ours", "duka", &key)).await.status, 200);
    assert_eq!(world.send(ask("/oauth/introspect", &first, "duka", &key)).await.json()["active"], false);
    // It had not been shown to the gate, which therefore learns of it at once.
    let told = world.send(partner_balance().with("authorization", &first)).await;
    assert!(told.header("www-authenticate").contains("invalid_token"));
    told.check_problem(401, "UNAUTHORIZED");

    assert_eq!(world.send(partner_balance().with("authorization", &second)).await.status, 200);
    world.revoke_key(&key).await;
    world.until_shut_out(partner_balance().with("authorization", &second)).await;
}

#[tokio::test]
async fn a_token_that_is_over_is_no_guess_of_whoever_shares_an_address() {
    let world = World::new().await;
    let key = world.key_of("duka", Some("duka"), &["loyalty:read"]).await;
    let token = bearer(&world.token("duka", &key, "grant_type=client_credentials").await);
    let form = format!("token={}", token.trim_start_matches("Bearer "));
    let revoke = Ask::post("/oauth/revoke", form).with("content-type", FORM);
    assert_eq!(world.send(revoke.with("authorization", &basic("duka", &key))).await.status, 200);
    let peer = Some(Peer("192.0.2.77:1000".parse().unwrap()));
    // More than an address may guess in an hour: each is told that its token is over, and not that it is to wait.
    for _ in 0..1100 {
        let told = world.send_from(partner_balance().with("authorization", &token), peer).await;
        assert_eq!(told.status, 401, "{}", told.text());
    }
    let guess = partner_balance().with("authorization", "Bearer guess");
    world.send_from(guess, peer).await.check_problem(401, "UNAUTHORIZED");
}

impl World {
    /// Asks until the credential, which was withdrawn just now, is not taken any more: whoever asks two seconds later is refused,
    /// however long the answer takes.
    pub(super) async fn until_shut_out(&self, ask: Ask) {
        let withdrawn = std::time::Instant::now();
        loop {
            let asked = withdrawn.elapsed();
            if self.send(ask.clone()).await.status != 200 {
                return;
            }
            assert!(asked < Duration::from_secs(2), "it is taken still, {asked:?} after");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_member_speaks_for_nobody_else() {
    let world = World::new().await.with_points(10).await;
    let app = world.key_of("app", None, &["loyalty:read", "loyalty:redeem", "loyalty:earn"]).await;
    let told = world.token("app", &app, &format!("{EXCHANGE}&subject_token={MEMBER}")).await;
    let token = bearer(&told);
    assert_eq!(told.json()["scope"], "loyalty:read loyalty:redeem", "no member earns by their own word");
    assert_eq!(told.json()["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    let told = world.send(balance().with("authorization", &token)).await;
    assert_eq!((told.status.as_u16(), &told.json()["current_balance"]), (200, &json!(10)));
    let named = |member: &str| balance().with("authorization", &token).with("x-user-id", member);
    assert_eq!(world.send(named(MEMBER)).await.status, 200);
    world.send(named(STRANGER)).await.check_problem(403, "FORBIDDEN");
    world.send(partner_balance().with("authorization", &token)).await.check_problem(403, "FORBIDDEN");
    let event = earn(&json!({})).with("authorization", &token);
    world.send(event).await.check_problem(403, "FORBIDDEN");
    let told =
        world.token("app", &app, &format!("{EXCHANGE}&subject_token={MEMBER}&scope=loyalty:earn")).await;
    check_refused(&told, 400, "invalid_scope");
}

#[tokio::test]
async fn a_refresh_token_used_twice_ends_its_session() {
    let world = World::new().await.with_points(10).await;
    let app = world.key_of("app", None, &["loyalty:read"]).await;
    let told = world.token("app", &app, &format!("{EXCHANGE}&subject_token={MEMBER}")).await;
    let first = told.json()["refresh_token"].as_str().unwrap().to_owned();
    // The device has no secret of the app's.
    let use_it = async |shown: &str| {
        world.send(token(&format!("grant_type=refresh_token&refresh_token={shown}"))).await
    };
    let told = use_it(&first).await;
    let (access, second) = (bearer(&told), told.json()["refresh_token"].as_str().unwrap().to_owned());
    assert_ne!(first, second);
    assert_eq!(world.send(balance().with("authorization", &access)).await.status, 200);
    let told = use_it(&second).await;
    let third = told.json()["refresh_token"].as_str().unwrap().to_owned();
    // Stolen, and used by the thief.
    check_refused(&use_it(&first).await, 400, "invalid_grant");
    check_refused(&use_it(&third).await, 400, "invalid_grant");
    world.until_shut_out(balance().with("authorization", &access)).await;

    // Whoever holds a refresh token may give it back.
    let told = world.token("app", &app, &format!("{EXCHANGE}&subject_token={MEMBER}")).await;
    let shown = told.json()["refresh_token"].as_str().unwrap().to_owned();
    let back = Ask::post("/oauth/revoke", format!("token={shown}")).with("content-type", FORM);
    assert_eq!(world.send(back).await.status, 200);
    check_refused(&use_it(&shown).await, 400, "invalid_grant");
}

#[tokio::test]
async fn a_partner_shows_what_was_settled_for_it() {
    let world = World::new().await.with_points(10).await;
    let key = world.key_of("duka", Some("duka"), &["loyalty:read"]).await;
    let stranger = world.key_of("second", Some("duka"), &["loyalty:read"]).await;
    let token = bearer(&world.token("duka", &key, "grant_type=client_credentials").await);
    let ask = |has_token: bool, key: &str| {
        let ask = partner_balance().with("x-api-key", key);
        if has_token { ask.with("authorization", &token) } else { ask }
    };
    let modes = [
        (AuthMode::Either, [200, 200, 200]),
        (AuthMode::Token, [200, 401, 200]),
        (AuthMode::Key, [401, 200, 200]),
        (AuthMode::Both, [401, 401, 200]),
    ];
    for (mode, wanted) in modes {
        world.settle_partner(|it| it.auth_mode = mode as i16).await;
        // Another gate has not yet seen either.
        let world = world.another_process();
        let mut told = Vec::new();
        for (has_token, key) in [(true, ""), (false, key.as_str()), (true, key.as_str())] {
            told.push(world.send(ask(has_token, key)).await.status.as_u16());
        }
        assert_eq!(told, wanted, "{mode:?}");
        // A token beside somebody else's key is neither's.
        world.send(ask(true, &stranger)).await.check_problem(401, "UNAUTHORIZED");
        if mode == AuthMode::Key {
            let told = world.token("duka", &key, "grant_type=client_credentials").await;
            check_refused(&told, 400, "unauthorized_client");
        }
    }
}

#[tokio::test]
async fn a_key_is_taken_from_its_addresses_only() {
    let world = World::new().await.with_points(10).await;
    let scopes = ["loyalty:read"];
    let key =
        world.key_as("duka", Role::Partner, Some("duka"), &scopes, &["192.0.2.0/24", "2001:db8::/32"]).await;
    let from = async |peer: Option<&str>| {
        let peer = peer.map(|it| crate::Peer(it.parse().unwrap()));
        world.send_from(partner_balance().with("x-api-key", &key), peer).await.status.as_u16()
    };
    assert_eq!(from(Some("192.0.2.7:5000")).await, 200);
    assert_eq!(from(Some("[2001:db8::1]:5000")).await, 200);
    assert_eq!(from(Some("[::ffff:192.0.2.7]:5000")).await, 200, "IPv4 on a socket for both");
    assert_eq!(from(Some("192.0.3.7:5000")).await, 401);
    assert_eq!(from(None).await, 401, "nobody knows from where");
    let ask = token("grant_type=client_credentials").with("authorization", &basic("duka", &key));
    let peer = Some(crate::Peer("192.0.3.7:5000".parse().unwrap()));
    check_refused(&world.send_from(ask, peer).await, 401, "invalid_client");
}

#[tokio::test]
async fn operators_are_no_members() {
    let world = World::new().await.with_points(10).await;
    // Its owner is named like a member, who has points.
    for role in [Role::Viewer, Role::Editor, Role::Approver, Role::Auditor] {
        let key = world.key_as(MEMBER, role, None, &["loyalty:read", "loyalty:earn"], &[]).await;
        world.send(balance().with("x-api-key", &key)).await.check_problem(403, "FORBIDDEN");
        world
            .send(earn(&json!({})).with("authorization", "").with("x-api-key", &key))
            .await
            .check_problem(403, "FORBIDDEN");
        world.revoke_key(&key).await;
    }
}

#[tokio::test]
async fn the_documents_lead_to_what_is_served() {
    let world = World::new().await;
    let told = world.send(Ask::get("/.well-known/oauth-authorization-server")).await.json();
    assert_eq!(told["issuer"], "https://loyalty.test");
    for name in ["token_endpoint", "revocation_endpoint", "introspection_endpoint"] {
        let path = told[name].as_str().unwrap().strip_prefix("https://loyalty.test").unwrap();
        let told = world.send(Ask::post(path, "").with("content-type", FORM)).await;
        assert!([400, 401].contains(&told.status.as_u16()), "{path}: {}", told.text());
    }
    let keys = Ask::get(told["jwks_uri"].as_str().unwrap().strip_prefix("https://loyalty.test").unwrap());
    let before = world.send(keys.clone()).await.json();
    let key = world.key_of("duka", Some("duka"), &["loyalty:read"]).await;
    let token = bearer(&world.token("duka", &key, "grant_type=client_credentials").await);
    let mut conn = world.pool.acquire().await.unwrap();
    store::rotate_token_key(&mut conn, &Keyring::new(&[7; 32]), world.program_id, 0, 3600).await.unwrap();
    drop(conn);
    let next = world.another_process();
    let after = next.send(keys).await.json();
    assert_eq!((before["keys"].as_array().unwrap().len(), after["keys"].as_array().unwrap().len()), (1, 2));
    assert_eq!(after["keys"][1], before["keys"][0]);
    for key in after["keys"].as_array().unwrap() {
        assert_eq!(
            (&key["kty"], &key["crv"], &key["use"]),
            (&json!("OKP"), &json!("Ed25519"), &json!("sig"))
        );
        assert!(key.get("d").is_none(), "the private half stays here");
    }
    // What the old one signed is taken, and a process that knows only the old one takes what the new one signed.
    let told = next.send(partner_balance().with("authorization", &token)).await;
    assert_eq!(told.json()["error"], "USER_NOT_FOUND", "{}", told.text());
    let token = bearer(&next.token("duka", &key, "grant_type=client_credentials").await);
    tokio::time::timeout(std::time::Duration::from_secs(60), async {
        while world.send(partner_balance().with("authorization", &token)).await.status == 401 {}
    })
    .await
    .expect("it reads the keys again");
}
