//! Every kind of secret is used, right and wrong, in front of processes that tell all that they can be asked to tell.

use devstack::RpcWire;
use journeys::{Process, answer_of, daftari, eventually, lasting_port, root};
use reqwest::{Client, Method};
use serde_json::Value;
use uuid::Uuid;

use crate::purchase;
use crate::roles::{PARTNER, World, text, verify_from_anywhere};

const MEMBER: &str = "c5a1d6e2-8f37-4b90-a2c4-6d0e9b7f1308";
const RPC_KEY: &str = "rpc-0c1d2e3f4a5b6c7d8e9f";
const HOOK: &str = "hook-7a1b9c3d5e2f4a6b8c0d";
/// What is shown and was never good.
const WRONG_KEY: &str = "lk_live_00000000000000000000000000000000000000";
const WRONG_TOKEN: &str = "wrong-token-4f9a1c7e";
const WRONG_PASSWORD: &str = "wrong-password-2b8d6e0a";
const IN_A_QUERY: &str = "in-a-query-9e3c5a71";

#[tokio::test]
async fn no_log_tells_a_secret_however_talkative() {
    let mut world = World::new().await;
    world.log_level = "trace";
    let chain = RpcWire::start(world.anvil.port()).expect("a port is free");
    let proofs = format!("127.0.0.1:{}", lasting_port());
    let public_url = format!("http://{proofs}");
    let policy = world.path("policy.txt");
    let page = world.path("page");
    std::fs::create_dir(&page).expect("a folder can be made");
    std::fs::write(page.join("index.html"), "").expect("a file can be written");
    world.chain_url = format!("{}/v3/{RPC_KEY}", chain.url());
    let roles = [
        world.start("api", "1", &["--public-url", &public_url, "--webhook-allow", "127.0.0.0/8"]),
        world.start("anchor", "1", &[]),
        world.start_at(&proofs, "verifier", "1", &["--policy-file", text(&policy), "--web-dir", text(&page)]),
    ];
    for role in &roles {
        role.is_ready().await;
    }
    let mut secrets = Secrets(world.own_secrets());
    secrets.0.extend([RPC_KEY, HOOK, WRONG_KEY, WRONG_TOKEN, WRONG_PASSWORD, IN_A_QUERY].map(str::to_owned));

    let api = &roles[0];
    let earned = api.api().event(&purchase("talk", MEMBER, 10_000)).await;
    assert_eq!(earned.status, 200, "{}", earned.text);
    let [partner, app] = [
        secrets.make_key(&world, &["--owner", "shop", "--role", "partner", "--partner", PARTNER]).await,
        secrets.make_key(&world, &["--owner", "app", "--role", "app"]).await,
    ];
    let client = Asking { client: Client::new(), url: api.url.clone() };
    secrets.of_a_client(&client, &partner).await;
    secrets.of_a_member(&client, &app).await;
    secrets.of_webhooks(&client, &world, &partner).await;
    client.is_refused().await;
    let redeemed = api.api().redeem(MEMBER, Uuid::new_v4(), 7).await;
    verify_from_anywhere(&world, &redeemed).await;
    cannot_reach_its_database(&world, &secrets).await;

    for role in roles {
        let log = role.process.log();
        // Whoever says nothing tells nothing: each has logged at its lowest level what it asked, of others' crates too.
        assert!(log.contains("TRACE") && log.contains("sqlx"), "{} is not talkative", role.name);
        assert_eq!(role.process.end_with("TERM").await, Some(0));
    }
    secrets.are_kept(&world);
    world.stop().await;
}

/// What nobody may read in a log.
struct Secrets(Vec<String>);

impl Secrets {
    fn keep(&mut self, it: &Value) -> String {
        let secret = it.as_str().unwrap_or_else(|| panic!("{it} is no secret")).to_owned();
        assert!(16 <= secret.len(), "{secret} could be anything");
        self.0.push(secret.clone());
        secret
    }

    /// A token of three parts, of which the last one is what makes it good.
    fn keep_token(&mut self, it: &Value) -> String {
        let token = self.keep(it);
        let (_, signature) = token.rsplit_once('.').expect("a token has parts");
        self.0.push(signature.to_owned());
        token
    }

    async fn make_key(&mut self, world: &World, words: &[&str]) -> String {
        let mut make = daftari();
        make.args(["--log-level", "trace", "keys", "create", "--database-url", &world.database_url]);
        make.arg("--wrapping-key-file").arg(world.path("wrapping.key")).args(words);
        make.args(["--scopes", "loyalty:read,loyalty:redeem,loyalty:earn"]);
        let made = answer_of(make).await.expect(0);
        let key = self.keep(&Value::from(made.stdout.trim()));
        self.are_not_in(&made.stderr);
        key
    }

    /// A client's token, by its secret in the header and in the form, used, looked at and withdrawn.
    async fn of_a_client(&mut self, client: &Asking, key: &str) {
        let form = "grant_type=client_credentials";
        let request = client.form("/oauth/token", form).basic_auth("shop", Some(key));
        let request = request.build().expect("it is a request");
        let basic = request.headers()["authorization"].to_str().expect("it is text");
        self.0.push(basic.strip_prefix("Basic ").expect("it is Basic").to_owned());
        let granted = client.done(request).await;
        let token = self.keep_token(&granted["access_token"]);
        let shown = format!("client_id=shop&client_secret={key}");
        client.post("/oauth/token", &format!("{form}&{shown}")).await;
        client.get("/api/v1/feed", "authorization", &format!("Bearer {token}"), 200).await;
        let looked = client.post("/oauth/introspect", &format!("token={token}&{shown}")).await;
        assert_eq!(looked["active"], true, "{looked}");
        client.post("/oauth/revoke", &format!("token={token}&{shown}")).await;
    }

    /// A member's tokens, refreshed, and a refresh token that is used twice.
    async fn of_a_member(&mut self, client: &Asking, key: &str) {
        let form = format!(
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={MEMBER}\
             &subject_token_type=urn:daftari:params:oauth:token-type:member&client_id=app&client_secret={key}"
        );
        let granted = client.post("/oauth/token", &form).await;
        let token = self.keep_token(&granted["access_token"]);
        let refresh = self.keep(&granted["refresh_token"]);
        client.get("/api/v1/loyalty/balance", "authorization", &format!("Bearer {token}"), 200).await;
        let form = format!("grant_type=refresh_token&refresh_token={refresh}");
        let granted = client.post("/oauth/token", &form).await;
        self.keep_token(&granted["access_token"]);
        self.keep(&granted["refresh_token"]);
        let again = client.post("/oauth/token", &form).await;
        assert_eq!(again["error"], "invalid_grant", "{again}");
    }

    /// A webhook's secret, changed, which signs a message that is received under an address with a secret in it.
    async fn of_webhooks(&mut self, client: &Asking, world: &World, key: &str) {
        let mut receiver = tokio::process::Command::new("node");
        receiver.arg(root().join("sdk/examples/receiver.mjs")).arg(world.path("message.json"));
        receiver.kill_on_drop(true);
        let mut receiver = Process::start(receiver, &world.path("receiver.txt"));
        let port = receiver.lines_until("").await.remove(0);
        let body = serde_json::json!({"url": format!("http://127.0.0.1:{port}/{HOOK}"), "types": ["points.redeemed"]});
        let made = client.change("/api/v1/webhooks", key, &body).await;
        let secret = self.keep(&made["secret"]);
        self.0.push(secret.trim_start_matches("whsec_").to_owned());
        let path = format!("/api/v1/webhooks/{}", made["id"].as_str().expect("it has an id"));
        let verified = client.change(&format!("{path}/verification"), key, &Value::Null).await;
        assert_eq!(verified["status"], "active", "{verified}");
        let changed = client.change(&format!("{path}/secret"), key, &serde_json::json!({})).await;
        self.keep(&changed["secret"]);
        client.change(&format!("{path}/test"), key, &serde_json::json!({})).await;
        // The three headers of the message, and nothing else, are printed.
        receiver.lines_until("v1,").await;
        assert_eq!(receiver.end().await, Some(0));
        // Nobody is there for the next one, which is told of, but not where.
        client.change(&format!("{path}/test"), key, &serde_json::json!({})).await;
        eventually("a message cannot be sent", async || {
            let request =
                client.client.get(format!("{}{path}/messages", client.url)).header("X-API-Key", key);
            let told = client.done(request.build().expect("it is a request")).await;
            told["data"][0]["problem"].as_str().map(str::to_owned)
        })
        .await;
    }

    fn are_not_in(&self, said: &str) {
        for secret in &self.0 {
            let line = said.lines().find(|it| it.contains(secret));
            assert_eq!(line, None, "{secret} is told");
        }
    }

    fn are_kept(&self, world: &World) {
        assert_eq!(self.0.len(), 6 + 6 + 2 + 3 + 6 + 3, "each of them was used");
        world.no_log_holds(&self.0, 3 + 1);
    }
}

/// Somebody who asks the API.
struct Asking {
    client: Client,
    url: String,
}

impl Asking {
    fn form(&self, path: &str, form: &str) -> reqwest::RequestBuilder {
        let request = self.client.post(format!("{}{path}", self.url));
        request.header("Content-Type", "application/x-www-form-urlencoded").body(form.to_owned())
    }

    async fn done(&self, request: reqwest::Request) -> Value {
        let response = self.client.execute(request).await.expect("the API answers");
        let text = response.text().await.expect("the API answers to the end");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    async fn post(&self, path: &str, form: &str) -> Value {
        self.done(self.form(path, form).build().expect("it is a request")).await
    }

    async fn change(&self, path: &str, key: &str, body: &Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.url)).header("X-API-Key", key);
        let request = match body {
            Value::Null => request,
            body => request.header("Content-Type", "application/json").body(body.to_string()),
        };
        self.done(request.build().expect("it is a request")).await
    }

    async fn get(&self, path: &str, header: &str, value: &str, status: u16) {
        let asked = self.client.request(Method::GET, format!("{}{path}", self.url)).header(header, value);
        let answered = asked.send().await.expect("the API answers").status().as_u16();
        assert_eq!(answered, status, "{path}");
    }

    /// What is not good is not told either: a letter may have been mistyped.
    async fn is_refused(&self) {
        self.get("/api/v1/feed", "x-api-key", WRONG_KEY, 401).await;
        self.get("/api/v1/feed", "authorization", &format!("Bearer {WRONG_TOKEN}"), 401).await;
        let query = format!("/api/v1/loyalty/balance?access_token={IN_A_QUERY}");
        self.get(&query, "accept", "application/json", 401).await;
        self.get(&format!("/no/such/path/{IN_A_QUERY}"), "accept", "application/json", 404).await;
        let form = format!("grant_type=client_credentials&client_id=shop&client_secret={WRONG_KEY}");
        let refused = self.post("/oauth/token", &form).await;
        assert_eq!(refused["error"], "invalid_client", "{refused}");
        let form = format!("grant_type=refresh_token&refresh_token={WRONG_TOKEN}");
        let refused = self.post("/oauth/token", &form).await;
        assert_eq!(refused["error"], "invalid_grant", "{refused}");
    }
}

/// A process that is given a wrong password says so, and not which.
async fn cannot_reach_its_database(world: &World, secrets: &Secrets) {
    let password = world.database_url.split(['@', ':']).nth(2).expect("the URL has a password");
    let wrong = world.database_url.replace(password, WRONG_PASSWORD);
    let mut api = daftari();
    api.args(["--log-level", "trace", "api", "--database-url", &wrong, "--listen", "127.0.0.1:0"]);
    api.arg("--wrapping-key-file").arg(world.path("wrapping.key"));
    let ended = answer_of(api).await.expect(1);
    assert!(ended.stderr.contains("password authentication failed"), "{ended:#?}");
    secrets.are_not_in(&ended.stderr);
}
