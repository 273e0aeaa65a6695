//! A member's points go to the chain and come back, and the books are held against the chain all the way: through a
//! reorganisation, through SIGKILL, with a burn that nobody can place and a withdrawal that nobody claims.

mod alarms;

use devstack::{Anvil, AnvilConfig, RpcWire};
use journeys::{
    Answered, JsonRpc, System, answer_of, daftari, eventually, kill_all, part, processes_of, sql,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::purchase;

const MEMBER: &str = "5d0f6a1e-7c2b-4d3e-9f8a-1b2c3d4e5f11";
const FRIEND: &str = "5d0f6a1e-7c2b-4d3e-9f8a-1b2c3d4e5f12";
/// anvil's sixth and seventh accounts, for which it signs by itself.
const HOLDER: &str = "0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc";
const BUYER: &str = "0x976ea74026e726554db657fa54763abd0c3a0aa9";
/// anvil's first account, which has every role on a development chain: the log's writer, and whoever pauses the token.
const OPERATOR: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
/// anvil's third account, from which the bridge pays.
const BRIDGE: &str = "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc";

#[tokio::test]
async fn points_go_to_the_chain_and_come_back() {
    let folder = System::folder();
    // A block for each transaction, and final after three: nothing becomes final unless the journey makes blocks.
    let config = AnvilConfig { epoch_blocks: Some(1), ..AnvilConfig::default() };
    let anvil = part(move || Anvil::start(&config)).await;
    let wire = RpcWire::start(anvil.port()).expect("a wire");
    let system = System::up(folder.path(), &["--chain-rpc-url", &wire.url()]).await;
    let chain = JsonRpc::new(&anvil.url());
    let mut crossing = Crossing { chain, wire, system, folder: folder.path().into() };

    let api = crossing.system.api();
    assert_eq!(api.event(&purchase("earned", MEMBER, 5000)).await.status, 200);
    assert_eq!(api.event(&purchase("friend", FRIEND, 100)).await.status, 200);

    let withdrawn = crossing.withdraw(120, 24 * 3600).await;
    crossing.is_claimed_through_a_reorganisation(&withdrawn).await;
    crossing.is_sold_and_burned_through_a_crash().await;
    crossing.is_burned_for_nobody().await;
    crossing.is_never_claimed().await;

    let told = crossing.check(0).await;
    let expected =
        json!({"bridge": 77, "unexpired": 77, "unclaimed": 0, "uncredited": 0, "gone": 0, "elsewhere": 0});
    for (name, points) in expected.as_object().expect("an object") {
        assert_eq!(&told[name], points, "{name}: {told}");
    }
    crossing.what_is_wrong_is_found().await;
    crossing.a_broken_finality_halts().await;
    crossing.is_claimed_by_hand().await;
    crossing.a_stolen_key_anchors().await;
    crossing.expires_there().await;
    crossing.system.check_books().await;
    crossing.system.interrupt().await;
    part(move || anvil.stop()).await;
}

struct Crossing {
    chain: JsonRpc,
    /// The bridge's own way to the chain.
    wire: RpcWire,
    system: System,
    folder: std::path::PathBuf,
}

impl Crossing {
    /// The points are there, the chain forgets it, and they are there again, once.
    async fn is_claimed_through_a_reorganisation(&self, withdrawn: &Value) {
        let told = self.check(0).await;
        assert_eq!((&told["bridge"], &told["unclaimed"]), (&json!(120), &json!(120)), "{told}");
        self.is_settled(withdrawn["leaf_index"].as_u64().expect("a leaf")).await;
        // The settlement stays: what the chain forgets is the claim. While minting is paused nobody is paid.
        self.send(OPERATOR, "points", "pause()", &[]).await;
        self.mine(10).await;
        self.later(61).await;
        self.shows("daftari_bridge_claims_refused", 1.0).await;
        let before = self.call("evm_snapshot", json!([])).await;
        self.send(OPERATOR, "points", "resume()", &[]).await;
        eventually("it is claimed", async || (self.balance(HOLDER).await == 120).then_some(())).await;
        // It is in a block, and in none that is final: the books know nothing of it, and let nobody take it back.
        self.call("evm_revert", json!([before])).await;
        assert_eq!(self.balance(HOLDER).await, 0, "the chain has forgotten it");
        self.send(OPERATOR, "points", "resume()", &[]).await;
        eventually("it is claimed again", async || (self.balance(HOLDER).await == 120).then_some(())).await;
        self.refuses(withdrawn, "still_claimable").await;
        self.mine(10).await;
        eventually("the claim is known", async || {
            self.open().await["withdrawals"].as_array().expect("a list").is_empty().then_some(())
        })
        .await;
        self.refuses(withdrawn, "already_claimed").await;
        self.shows("daftari_bridge_claims_refused", 0.0).await;
        let told = self.check(0).await;
        assert_eq!((&told["unclaimed"], &told["unexpired"]), (&json!(0), &json!(120)), "{told}");
    }

    /// Some of them change hands on the chain and are burned for somebody else's account while the books are down.
    async fn is_sold_and_burned_through_a_crash(&mut self) {
        self.send(HOLDER, "points", "transfer(address,uint256)", &[BUYER, "50"]).await;
        let reference = self.bridge(&["reference", FRIEND]).await.expect(0).stdout.trim().to_owned();
        assert_eq!(self.newest_act().await, ("reference.given".to_owned(), reference.clone()));
        self.burns_by_hand(30, &reference).await;
        self.send(BUYER, "points", "approve(address,uint256)", &[&self.gateway(), "20"]).await;
        self.kill_and_start_again().await;
        self.mine(10).await;
        self.is_credited(FRIEND, 10 + 30).await;
        // Killed right after it was credited, and begun again: it is credited once.
        self.kill_and_start_again().await;
        self.hears_nothing_of_a_burn(5, &reference).await;
        self.is_credited(FRIEND, 10 + 35).await;
        let told = self.check(0).await;
        assert_eq!((&told["unexpired"], &told["uncredited"]), (&json!(85), &json!(0)), "{told}");
    }

    /// As a document says, with nothing of ours.
    async fn burns_by_hand(&self, points: u64, reference: &str) {
        let set = format!(
            "GATEWAY={} POINTS={} HOLDER={BUYER} AMOUNT={points} REFERENCE={reference}",
            self.gateway(),
            self.contract("loyalty_points")
        );
        let commands = journeys::commands_of("contracts/POINTS.md", "By hand");
        let lines = format!("export {set} WALLET='--unlocked --from {BUYER}'\n{commands}");
        let told = journeys::cast(&lines, self.system.fact("chain_rpc_url")).await.expect(0).stdout;
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(&lines[..2], ["120", "50"], "supply and balance: {told}");
        assert_eq!(told.matches("(success)").count(), 2, "{told}");
        assert_eq!(lines.last(), Some(&"1"), "the first burn: {told}");
    }

    /// Whoever burns for a reference that nobody gave out is named, until an operator says whose it is.
    async fn is_burned_for_nobody(&self) {
        let stray = format!("0x{}", "ab".repeat(32));
        self.burn(8, &stray).await;
        self.mine(10).await;
        let burn = eventually("the burn is named", async || {
            let burn = self.open().await["burns"][0].clone();
            burn["problem"].is_string().then_some(burn)
        })
        .await;
        assert!(burn["problem"].as_str().is_some_and(|it| it.contains(&stray)), "{burn}");
        assert_eq!(burn["holder"], BUYER, "{burn}");
        self.shows("daftari_bridge_burns_in_trouble", 1.0).await;
        let told = self.check(0).await;
        assert_eq!((&told["uncredited"], &told["unexpired"]), (&json!(8), &json!(77)), "{told}");
        let number = burn["burn_id"].to_string();
        self.bridge(&["credit", &number, FRIEND]).await.expect(0);
        self.is_credited(FRIEND, 10 + 43).await;
        assert_eq!(self.newest_act().await, ("burn.assigned".to_owned(), number.clone()));
        self.shows("daftari_bridge_burns_in_trouble", 0.0).await;
        self.bridge(&["credit", &number, MEMBER]).await.expect(1);
    }

    /// What an operator did last, and to what.
    async fn newest_act(&self) -> (String, String) {
        let pool = store::connect(self.system.fact("database_url"), 1).await.expect("the database answers");
        let conn = &mut *pool.acquire().await.expect("a connection");
        let program = store::program_number(conn, "default").await.expect("it is read").expect("it is there");
        let acts = store::acts(conn, program, None, 1).await.expect("they are read");
        let deed = &acts.first().expect("there is an act").deed;
        (deed.action.clone(), deed.subject.clone())
    }

    /// Points that nobody claims come back, once no block can claim them any more and that is final.
    async fn is_never_claimed(&self) {
        // Not through a contract that nobody reads.
        let stray = ["--chain-id", "31337", "--gateway", HOLDER, "--holder", HOLDER];
        let stray =
            [&["withdraw", MEMBER, "1", "--claim-before", "2040-01-01T00:00:00Z"], &stray[..]].concat();
        let refused = self.post(&stray).await.expect(1).json();
        assert_eq!(refused["refused"], "gateway_unknown", "{refused}");
        let before = self.points(MEMBER).await;
        let withdrawn = self.withdraw(40, 30).await;
        assert_eq!(self.points(MEMBER).await, before - 40);
        self.refuses(&withdrawn, "still_claimable").await;
        self.later(31).await;
        self.refuses(&withdrawn, "still_claimable").await;
        self.mine(10).await;
        eventually("it comes back", async || (self.points(MEMBER).await == before).then_some(())).await;
        self.refuses(&withdrawn, "more_than_left").await;
    }

    /// Each lie about what the chain showed is named, as long as it stands.
    async fn what_is_wrong_is_found(&self) {
        let paid = "update gateway_claim set withdrawal_id";
        let body = "from posting where posting.body is not null and posting.leaf_index";
        let id = "substring(posting.body from 49 for 32)";
        // It is noted as posted at once: the bridge goes on meanwhile, and would post it.
        let late = "update gateway_claim set lapsed = 1; insert into gateway_expired
            select chain_id, contract, 'claim:' || encode(withdrawal_id, 'hex'), 1, 0 from gateway_claim";
        let never_late = "update gateway_claim set lapsed = 0; delete from gateway_expired";
        for (change, undo, problem) in [
            (
                format!("{paid} = sha256(withdrawal_id)"),
                format!("{paid} = {id} {body} = (select min(leaf_index) {body} >= 0)"),
                "was paid, and is no withdrawal of these books",
            ),
            (late.to_owned(), never_late.to_owned(), "120 points, and 121 were paid"),
            (late.to_owned(), never_late.to_owned(), "78 are accounted for"),
            (
                "insert into gateway_claim select chain_id, contract, ID, holder, set_byte(minted, 15, 40), 0, block,
                 transaction_hash from gateway_claim, posting where leaf_index = (select max(leaf_index) BODY >= 0)"
                    .replace("ID", id)
                    .replace("BODY", body),
                "delete from gateway_claim where get_byte(minted, 15) = 40".to_owned(),
                "was paid, and 40 points were taken back",
            ),
            (
                "update gateway_claim set minted = set_byte(minted, 15, 60)".to_owned(),
                "update gateway_claim set minted = set_byte(minted, 15, 120)".to_owned(),
                "holders have 77 points, and only 17 came to the chain",
            ),
            (
                add_byte("gateway_claim", "holder", 19, 1),
                add_byte("gateway_claim", "holder", 19, -1),
                "was paid to 0x9965507d1a55bcc2695c58ba16fb37d819b0a4dd, and was for",
            ),
            (add_byte("gateway_claim", "minted", 7, 1), add_byte("gateway_claim", "minted", 7, -1), "holds 77 points, and only -43 came to it"),
            (add("gateway_burn", "burn_id", 100), add("gateway_burn", "burn_id", -100), "burn 1 was never seen, and 30 points were credited"),
            (add_byte("gateway_burn", "amounts", 19, 1), add_byte("gateway_burn", "amounts", 19, -1), "burn 1 was of 31 points, and 30 were credited"),
        ] {
            self.tamper(&change).await;
            let told = self.check(1).await;
            assert!(told["problems"].to_string().contains(problem), "{change}: {told}");
            self.tamper(&undo).await;
            self.check(0).await;
        }
        let minted = |points| format!("update gateway_claim set minted = set_byte(minted, 15, {points})");
        self.is_told_while_it_is_wrong(&minted(60), &minted(120)).await;
    }

    /// Where the last block that was read is another one now, nothing can be said, and the bridge stands still.
    async fn a_broken_finality_halts(&self) {
        let other = add_byte("gateway", "block_hash", 0, -1).replace("- 1", "# 1");
        self.tamper(&other).await;
        let rpc = self.system.fact("chain_rpc_url");
        self.bridge(&["check", "--chain-rpc-url", rpc]).await.expect(2);
        self.mine(10).await;
        eventually("it halts", async || {
            let told = self.system.logged("the bridge halts");
            told.iter().any(|it| it.to_string().contains("was final and is another one now")).then_some(())
        })
        .await;
        self.shows("daftari_bridge_halted", 1.0).await;
        self.tamper(&other).await;
        self.shows("daftari_bridge_halted", 0.0).await;
    }

    /// The bridge has nothing to pay with: with what the member's receipt says, anybody claims, as a document says.
    async fn is_claimed_by_hand(&self) {
        self.call("anvil_setBalance", json!([BRIDGE, "0x0"])).await;
        let withdrawn = self.withdraw(7, 24 * 3600).await;
        let id = withdrawn["transaction_id"].as_str().expect("it was posted");
        let rpc = self.system.fact("chain_rpc_url");
        let receipt = self.folder.join("withdrawn.tlog-proof");
        let file = receipt.to_str().expect("a path is text");
        let words = [file, "--policy", self.system.fact("policy"), "--rpc", rpc, "--cast"];
        let (api, path) = (self.system.api(), format!("/v1/receipts/{id}"));
        let printed = eventually("the receipt is anchored", async || {
            let reply = api.try_ask(Method::GET, &path, &[("X-User-ID", MEMBER)], None).await.ok()?;
            std::fs::write(&receipt, reply.text).expect("it can be kept");
            let judged = System::verify(&words).await;
            (judged.code == Some(0)).then_some(judged.stdout)
        })
        .await;
        let said: String = printed.lines().filter(|it| it.contains('=')).fold(String::new(), |said, line| {
            if said.contains("\nPLACE=") { said } else { format!("{said}\n{line}") }
        });
        let by_hand = async |heading| {
            let commands = journeys::commands_of("contracts/POINTS.md", heading);
            let set = format!("export GATEWAY={} WALLET='--unlocked --from {BUYER}'", self.gateway());
            let told = journeys::cast(&format!("{said}\n{set}\n{commands}"), rpc).await.expect(0).stdout;
            assert_eq!(told.matches("(success)").count(), 1, "{told}");
            told.lines().last().expect("it is answered").to_owned()
        };
        let matures_at = by_hand("Claiming by hand").await;
        assert!(matures_at.starts_with(|it: char| it.is_ascii_digit() && it != '0'), "{matures_at}");
        self.later(61).await;
        let before = self.balance(HOLDER).await;
        assert_eq!(by_hand("Once it has stood").await, "true");
        assert_eq!(self.balance(HOLDER).await, before + 7);
        self.mine(10).await;
        eventually("the claim is known", async || {
            self.open().await["withdrawals"].as_array().expect("a list").is_empty().then_some(())
        })
        .await;
        let told = self.check(0).await;
        assert_eq!((&told["bridge"], &told["unexpired"]), (&json!(84), &json!(84)), "{told}");
    }

    /// Points that nobody burned in time go to breakage, once a final block is known that is later.
    async fn expires_there(&self) {
        self.later(14 * 30 * 24 * 3600).await;
        assert_eq!(self.balance(BUYER).await + self.balance(HOLDER).await, 0, "all of it has expired");
        self.mine(10).await;
        let told = eventually("it is posted", async || {
            let told = self.check(0).await;
            (told["bridge"] == 0).then_some(told)
        })
        .await;
        assert_eq!((&told["gone"], &told["unexpired"]), (&json!(0), &json!(0)), "{told}");
        let first = "update gateway_claim set minted = set_byte(minted, 15,";
        self.tamper(&format!("{first} 121) where get_byte(minted, 15) = 120")).await;
        let told = self.check(1).await;
        assert!(
            told["problems"].to_string().contains("expired with 85 points, and 84 were posted"),
            "{told}"
        );
        self.tamper(&format!("{first} 120) where get_byte(minted, 15) = 121")).await;
    }

    async fn tamper(&self, statement: &str) {
        let statement = format!("set session_replication_role = replica; {statement}");
        sql(self.system.fact("database_url"), &statement).await;
    }

    async fn withdraw(&self, points: u64, seconds: u64) -> Value {
        let now = self.call("eth_getBlockByNumber", json!(["latest", false])).await["timestamp"].clone();
        let now = u64::from_str_radix(&now.as_str().expect("a time")[2..], 16).expect("a number");
        let until = bash_date(now + seconds).await;
        let (points, gateway) = (points.to_string(), self.gateway());
        let words =
            ["--chain-id", "31337", "--gateway", &gateway, "--holder", HOLDER, "--claim-before", &until];
        let posted = self.post(&[&["withdraw", MEMBER, &points], &words[..]].concat()).await.expect(0).json();
        posted["items"][0].clone()
    }

    async fn refuses(&self, withdrawn: &Value, reason: &str) {
        let id = withdrawn["transaction_id"].as_str().expect("it was posted");
        let refused = self.post(&["reverse", id]).await.expect(1).json();
        assert_eq!(refused["refused"], reason, "{refused}");
    }

    async fn is_credited(&self, member: &str, points: i64) {
        eventually("it is credited", async || (self.points(member).await == points).then_some(())).await;
    }

    /// What a member can spend: what would be left of it where one point was spent, and that point.
    async fn points(&self, member: &str) -> i64 {
        let told = self.post(&["redeem", member, "1", "--dry-run"]).await.expect(0).json();
        told["items"][0]["available"].as_i64().expect("a number") + 1
    }

    async fn post(&self, words: &[&str]) -> Answered {
        self.run(&[&["books", "post", "--json"], words].concat()).await
    }

    async fn bridge(&self, words: &[&str]) -> Answered {
        let addresses = self.folder.join("contracts.json");
        let at = ["--addresses", addresses.to_str().expect("a path is text")];
        self.run(&[&["bridge"], words, &at].concat()).await
    }

    async fn open(&self) -> Value {
        self.bridge(&["list", "--json"]).await.expect(0).json()
    }

    async fn check(&self, code: i32) -> Value {
        let rpc = self.system.fact("chain_rpc_url");
        self.bridge(&["check", "--json", "--chain-rpc-url", rpc]).await.expect(code).json()
    }

    async fn run(&self, words: &[&str]) -> Answered {
        let mut command = daftari();
        command.env("DATABASE_URL", self.system.fact("database_url")).env("ACTOR", "amina");
        command.env("WRAPPING_KEY_FILE", self.folder.join("keys/wrapping.key")).args(words);
        answer_of(command).await
    }

    async fn kill_and_start_again(&mut self) {
        let chain = self.system.fact("chain_rpc_url").to_owned();
        let parts = processes_of(&self.folder).into_iter().map(|it| it.0);
        let pids: Vec<u32> = [self.system.process.pid()].into_iter().chain(parts).collect();
        kill_all(&pids).await;
        eventually("all of it has ended", async || processes_of(&self.folder).is_empty().then_some(())).await;
        self.system = System::up(&self.folder, &["--chain-rpc-url", &chain]).await;
    }

    fn contract(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.folder.join("contracts.json")).expect("up writes them");
        let addresses: Value = serde_json::from_str(&text).expect("they are JSON");
        addresses["points"][name].as_str().expect("an address is text").to_owned()
    }

    fn gateway(&self) -> String {
        self.contract("points_gateway")
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        self.chain.call(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn mine(&self, blocks: u64) {
        self.call("anvil_mine", json!([format!("{blocks:#x}")])).await;
    }

    /// Waits until the gateway has settled a head that holds this leaf.
    async fn is_settled(&self, leaf_index: u64) {
        let topic = self.chain.keccak(b"Settled(bytes32,uint64,bytes32,uint64)").await;
        let filter =
            json!([{"address": self.gateway(), "topics": [format!("0x{topic}")], "fromBlock": "0x0"}]);
        eventually("it is settled", async || {
            let events = self.call("eth_getLogs", filter.clone()).await;
            let sizes = events.as_array().expect("a list").iter().map(|it| {
                u64::from_str_radix(&it["data"].as_str().expect("bytes")[50..66], 16).expect("a number")
            });
            sizes.into_iter().any(|size| leaf_index < size).then_some(())
        })
        .await;
    }

    /// So many seconds pass on the chain.
    async fn later(&self, seconds: u64) {
        self.call("evm_increaseTime", json!([seconds])).await;
        self.mine(1).await;
    }

    async fn balance(&self, holder: &str) -> u64 {
        let word = format!("{:0>64}", &holder[2..]);
        let answer = self.chain.view(&self.contract("loyalty_points"), "balanceOf(address)", &word).await;
        u64::from_str_radix(&answer.expect("the token answers")[48..], 16).expect("a number")
    }

    async fn burn(&self, points: u64, reference: &str) {
        self.send(BUYER, "gateway", "burn(uint256,bytes32)", &[&points.to_string(), reference]).await;
    }

    /// Sends a transaction from one of anvil's accounts; it is in a block when this returns.
    async fn send(&self, from: &str, to: &str, signature: &str, arguments: &[&str]) {
        let to = self.contract(if to == "gateway" { "points_gateway" } else { "loyalty_points" });
        let selector = self.chain.keccak(signature.as_bytes()).await;
        let word = |it: &&str| match it.strip_prefix("0x") {
            Some(hex) => format!("{hex:0>64}"),
            None => format!("{:064x}", it.parse::<u64>().expect("a number")),
        };
        let data = format!("0x{}{}", &selector[..8], arguments.iter().map(word).collect::<String>());
        let sent = self.call("eth_sendTransaction", json!([{"from": from, "to": to, "data": data}])).await;
        let receipt = eventually("it is in a block", async || {
            let receipt = self.call("eth_getTransactionReceipt", json!([sent])).await;
            receipt.is_object().then_some(receipt)
        })
        .await;
        assert_eq!(receipt["status"], "0x1", "{signature}: {receipt}");
    }
}

/// A number of every row is so much more.
fn add(table: &str, column: &str, change: i64) -> String {
    format!("update {table} set {column} = {column} + {change}")
}

/// A byte of a value of every row is so much more.
fn add_byte(table: &str, column: &str, at: usize, change: i64) -> String {
    let sign = if change < 0 { "- 1" } else { "+ 1" };
    format!("update {table} set {column} = set_byte({column}, {at}, get_byte({column}, {at}) {sign})")
}

/// A Unix time as RFC 3339 has it.
async fn bash_date(seconds: u64) -> String {
    let line = format!("date -u -d @{seconds} +%Y-%m-%dT%H:%M:%SZ");
    journeys::bash(&line).await.expect(0).stdout.trim().to_owned()
}
