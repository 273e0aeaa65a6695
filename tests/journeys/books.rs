//! An operator's life with the books, from the command line alone: a program is made, balances come from another system,
//! what is asked is posted or refused with what to do, what is due is swept, and whoever is cut off begins again.

use std::path::PathBuf;

use devstack::{Postgres, Scratch, test_postgres_config};
use journeys::{
    Answered, Api, Process, System, answer_of, bash, check_books, commands_of, daftari, eventually,
    lasting_port, part, root, sql,
};
use serde_json::{Value, json};

const ORIGIN: &str = "journeys.example/books";
const WRAPPING_KEY: &str = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
const GUIDE: &str = "docs/books.md";
/// Members of the import that is cut off.
const CUT_OFF: u64 = 3000;

#[tokio::test]
async fn an_operator_keeps_the_books_from_the_command_line() {
    let office = Office::new().await;
    office.is_furnished().await;
    office.posts_and_is_refused().await;
    office.reads_what_was_posted().await;
    office.takes_in_another_systems_books().await;
    office.settled_what_the_log_says().await;
    office.is_cut_off_and_begins_again().await;
    office.posts_what_was_refused_from_one_file().await;
    office.enrols_whom_an_import_did_not_know().await;
    check_books(&office.database_url).await;
    office.stop().await;
}

struct Office {
    postgres: Postgres,
    database_url: String,
    folder: Scratch,
}

impl Office {
    async fn new() -> Self {
        let folder = System::folder();
        let home = folder.path().to_owned();
        let postgres = part(move || Postgres::start(&test_postgres_config(&home))).await;
        let database_url = postgres.url("postgres");
        let office = Self { postgres, database_url, folder };
        office.file("wrapping.key", WRAPPING_KEY);
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(office.path("wrapping.key"), private)
            .expect("a file can be closed to others");
        let mut migrate = daftari();
        migrate.args(["migrate", "--database-url", &office.database_url, "--origin", ORIGIN]);
        migrate.arg("--wrapping-key-file").arg(office.path("wrapping.key"));
        migrate.arg("--log-key-file").arg(office.path("log.key"));
        answer_of(migrate).await.expect(0);
        office
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).expect("a file can be written");
        self.path(name).to_str().expect("a path is text").to_owned()
    }

    fn any_command(&self, words: &[&str]) -> tokio::process::Command {
        let mut command = daftari();
        command.env("DATABASE_URL", &self.database_url).env("WRAPPING_KEY_FILE", self.path("wrapping.key"));
        command.env("ACTOR", "amina").args(words);
        command
    }

    fn command(&self, words: &[&str]) -> tokio::process::Command {
        self.any_command(&[&["books"], words].concat())
    }

    async fn books(&self, words: &[&str]) -> Answered {
        answer_of(self.command(words)).await
    }

    /// Asks for one thing, which is posted: what came of it.
    async fn posted(&self, words: &[&str]) -> Value {
        let answered = self.books(&[&["post", "--json"], words].concat()).await.expect(0).json();
        answered["items"][0].clone()
    }

    /// Asks for one thing, which is refused for this reason; the error says what to do.
    async fn refused(&self, words: &[&str], reason: &str) {
        let answered = self.books(&[&["post", "--json"], words].concat()).await.expect(1);
        assert_eq!(answered.json()["refused"], reason, "{answered:#?}");
        assert!(answered.stderr.contains("What to do: "), "{answered:#?}");
    }

    async fn available(&self, member: &str) -> i64 {
        let told = self.books(&["balance", member]).await.expect(0).stdout;
        let available = told.split_once("available ").and_then(|it| it.1.split_once(' '));
        available.expect("it is told").0.parse().expect("a number")
    }

    /// A program with all that it may have.
    async fn is_furnished(&self) {
        let rules = self.file("rules.json", r#"{"rates":{"purchase":"0.1"}}"#);
        let stranger = self.books(&["partner", "duka"]).await.expect(1);
        assert!(stranger.stderr.contains("there is no program"), "{stranger:#?}");
        let program =
            ["program", "--point-value", "0.10", "--currency", "KES", "--rules", &rules, "--enrols"];
        let made = self.books(&program).await.expect(0);
        assert_eq!(made.stdout, "The program default was made.\n");
        assert_eq!(self.books(&program).await.expect(0).stdout, "The program default was there already.\n");
        self.books(&["partner", "duka"]).await.expect(0);
        self.books(&["unit", "2"]).await.expect(0);
        let fund = ["fund", "spring", "--funder", "sponsor", "--merchant", "duka", "--budgeted"];
        self.books(&fund).await.expect(0);
        let other = self.books(&["fund", "spring", "--funder", "somebody"]).await.expect(1);
        assert!(other.stderr.contains("nothing was changed"), "{other:#?}");

        let usual = self.books(&["policy", "show"]).await.expect(0).json();
        assert_eq!((&usual["expiry"], &usual["holds"]["seconds"]), (&json!("never"), &json!(900)));
        let bad = self.file("bad.json", r#"{"expirey":"never"}"#);
        let bad = self.books(&["policy", "set", &bad]).await.expect(1);
        assert!(bad.stderr.contains("unknown field `expirey`") && bad.stderr.contains("books kinds policy"));
        let policy = json!({
            "time_zone": "Africa/Nairobi",
            "approval_above": 1000,
            "debt_max": 500,
            "redeem": {"per_day": 400},
        });
        let policy = self.file("policy.json", &policy.to_string());
        let dry = self.books(&["policy", "set", &policy, "--dry-run"]).await.expect(0);
        assert!(dry.stderr.contains("Under it nothing expires by inactivity."), "{dry:#?}");
        let idle = self.file("idle.json", r#"{"expiry":{"inactivity":{"days":10}}}"#);
        let dry = self.books(&["policy", "set", &idle, "--dry-run"]).await.expect(0);
        assert!(dry.stderr.contains("By inactivity 0 accounts lose 0 points at once."), "{dry:#?}");
        let after = self.books(&["policy", "show"]).await.expect(0).json();
        assert_eq!(after, usual, "a dry run settles nothing");
        let set = self.books(&["policy", "set", &policy]).await.expect(0).json();
        assert_eq!((&set["redeem"]["per_day"], &set["grace_days"]), (&json!(400), &json!(30)));
        assert_eq!(set, self.books(&["policy", "show"]).await.expect(0).json());
        let guide = std::fs::read_to_string(root().join(GUIDE)).expect("there is a guide");
        let from = written("--currency KES --from ", &guide).await;
        let rate = ["rate", "set", "--point-value", "0.12", "--currency", "KES", "--from", &from];
        self.books(&rate).await.expect(0);
    }

    async fn posts_and_is_refused(&self) {
        let dry = ["earn", "nobody", "purchase", "1000", "2026-01-15T10:00:00Z", "--dry-run"];
        assert_eq!(self.posted(&dry).await["available"], 100, "as for whom it would enrol");
        self.refused(&["redeem", "nobody", "1"], "member_unknown").await;
        self.refused(&["redeem", "asha", "1"], "member_unknown").await;
        self.books(&["enrol", "asha", "juma", "halima", "jelani"]).await.expect(0);
        self.books(&["enrol", "asha"]).await.expect(0);
        let earn = ["earn", "asha", "purchase", "5000", "2026-01-15T10:00:00Z", "--key", "till-1"];
        let earned = self.posted(&earn).await;
        assert_eq!((&earned["points"], &earned["available"]), (&json!(500), &json!(500)), "{earned}");
        assert_eq!(earned["lots"][0]["available"], 500, "{earned}");
        let again = self.books(&[&["post", "--json"], &earn[..]].concat()).await.expect(0);
        assert!(
            !again.stderr.contains("--published-log"),
            "a role says so once, no command each time: {again:#?}"
        );
        let again = again.json();
        assert_eq!((&again["replayed"], &again["items"][0]), (&json!(true), &earned));

        let dry = self.posted(&["redeem", "asha", "100", "--partner", "duka", "--dry-run"]).await;
        assert_eq!(dry["available"], 400);
        assert_eq!(self.available("asha").await, 500, "a dry run changes nothing");
        let redeemed = self.posted(&["redeem", "asha", "100", "--partner", "duka"]).await;
        assert_eq!(redeemed["available"], 400);
        self.refused(&["redeem", "asha", "301", "--partner", "duka"], "limit_exceeded").await;
        let id = redeemed["transaction_id"].as_str().expect("it has an id");
        assert_eq!(self.posted(&["reverse", id, "--points", "40"]).await["available"], 440);
        self.refused(&["reverse", id, "--points", "61"], "more_than_left").await;

        self.refused(&["adjust", "asha", "-1001"], "reason_required").await;
        let adjust = ["adjust", "juma", "2000", "--reason", "goodwill"];
        self.refused(&adjust, "approval_required").await;
        let approved = [&adjust[..], &["--approver", "baraka"]].concat();
        assert_eq!(self.posted(&approved).await["available"], 2000);

        let hold = self.posted(&["hold", "juma", "300", "--partner", "duka"]).await;
        assert_eq!((&hold["available"], &hold["held"]), (&json!(1700), &json!(300)));
        let id = hold["transaction_id"].as_str().expect("it has an id");
        self.posted(&["capture", id, "--points", "100", "--keep-rest"]).await;
        self.posted(&["prolong", id, "7200"]).await;
        assert_eq!(self.posted(&["void", id]).await["held"], 0);
        self.refused(&["capture", id], "hold_over").await;

        let to_fund = ["budget", "spring", "50", "--reason", "the sponsor has paid"];
        assert_eq!(self.posted(&to_fund).await["available"], 50);
        let promised = ["earn", "asha", "purchase", "600", "2026-01-16T10:00:00Z", "--fund", "spring"];
        self.refused(&promised, "limit_exceeded").await;
        let promised = ["earn", "asha", "purchase", "500", "2026-01-16T10:00:00Z", "--fund", "spring"];
        let pending = self.posted(&[&promised[..], &["--on-confirmation"]].concat()).await;
        assert_eq!((&pending["pending"], &pending["lots"][0]["fund"]), (&json!(50), &json!(1)));
        let id = pending["transaction_id"].as_str().expect("it has an id");
        assert_eq!(self.posted(&["confirm", id]).await["pending"], 0);

        let told = self.posted(&["set-status", "asha", "suspended", "--dry-run"]).await;
        assert_eq!(told.get("leaf_index"), None, "nothing was posted: {told}");
        assert_eq!(told.get("available"), None, "it moves nothing, so it tells no balance: {told}");
        self.posted(&["set-status", "asha", "suspended"]).await;
        self.refused(&["redeem", "asha", "1"], "member_suspended").await;
        self.posted(&["set-status", "asha", "active"]).await;

        let gateway = ["--chain-id", "137", "--gateway", "0x1111111111111111111111111111111111111111"];
        let holder = ["--holder", "0x2222222222222222222222222222222222222222"];
        // As the operator's guide writes it, on whatever day it is read.
        let until = written("--claim-before ", &commands_of(GUIDE, "To the chain and back")).await;
        let before = ["--claim-before", &until];
        self.books(&["enrol", "amani"]).await.expect(0);
        self.posted(&["adjust", "amani", "100", "--reason", "goodwill"]).await;
        let withdraw = [&["withdraw", "amani", "40"], &gateway[..], &holder[..], &before[..]].concat();
        // A gateway that nobody has made known would be a hole.
        let stray = self.books(&[&["post"], &withdraw[..]].concat()).await.expect(1);
        assert!(stray.stderr.contains("is no gateway of this program"), "{stray:#?}");
        self.sql(
            "insert into gateway (chain_id, contract, program_id, unit, block, block_hash, token, epoch_s, zone_s)
             select 137, decode(repeat('11', 20), 'hex'), program_id, 1, 0, '', decode(repeat('33', 20), 'hex'), 86400, 0
             from program",
        )
        .await;
        assert_eq!(self.posted(&withdraw).await["available"], 60);
        // Whoever left now would leave it to nobody.
        self.refused(&["merge", "amani", "asha"], "member_reserved").await;
        assert_eq!(self.posted(&["deposit", "amani", "30@2099-12-31", "10@never"]).await["available"], 100);

        // Several things together, from a file: all of them or nothing.
        let items = json!([
            {"kind": "transfer", "from": "juma", "to": "asha", "points": 100},
            {"kind": "redeem", "member": "asha", "points": 1, "partner": "kiosk"},
        ]);
        let request = json!({"reason": "a gift", "items": items});
        let file = self.file("request.json", &request.to_string());
        self.refused(&["file", &file], "partner_unknown").await;
        assert_eq!(self.available("juma").await, 1900, "the transfer went back with it");
        let request = json!({"reason": "a gift", "items": [items[0]]});
        let file = self.file("request.json", &request.to_string());
        let first = self.books(&["post", "file", &file]).await.expect(0);
        assert!(first.stdout.contains("transfer posted: 100 points"), "{first:#?}");
        assert!(first.stdout.contains("1800 available, 0 held, 0 pending"), "{first:#?}");
        let again = self.books(&["post", "file", &file]).await.expect(0);
        assert!(again.stdout.contains("was posted before, under this key"), "{again:#?}");
        let nothing = self.file("nothing.json", r#"{"items":[]}"#);
        let told = self.books(&["post", "file", &nothing]).await.expect(1).stderr;
        assert!(told.contains("the file asks for nothing"), "{told}");
        let told = self.books(&["post", "redeem", "juma", "1", "--key", ""]).await.expect(1).stderr;
        assert!(told.contains("a key has 1 to 255 characters"), "{told}");
        for (words, problem) in [
            (&["enrol", " "][..], "not only blanks"),
            (&["enrol", "as\tha"], "no control character"),
            (&["partner", &"d".repeat(101)], "a name has 1 to 100 characters"),
            (&["rate", "set", "--point-value", "abc", "--currency", "KES"], "a number as in 0.10"),
            (&["rate", "set", "--point-value", "1", "--currency", "kes"], "three capitals"),
        ] {
            let told = self.books(words).await.expect(2).stderr;
            assert!(told.contains(problem), "{told}");
        }

        let merged = self.posted(&["merge", "juma", "asha"]).await;
        assert_eq!((&merged["points"], &merged["available"]), (&json!(1800), &json!(2390)));
        self.refused(&["redeem", "juma", "1"], "member_closed").await;

        let future = self.books(&["close-period", "2100-01-01T00:00:00Z"]).await.expect(1);
        assert!(future.stderr.contains("give an instant that has passed"), "{future:#?}");
        let closed = self.books(&["close-period", "2026-02-01T00:00:00Z"]).await.expect(0);
        assert!(closed.stdout.contains("2026-02-01T00:00:00Z"), "{closed:#?}");
        let late = ["--reason", "late", "--effective-at", "2026-01-31T00:00:00Z"];
        self.refused(&[&["adjust", "asha", "1"], &late[..]].concat(), "period_closed").await;
    }

    /// A balance with all that makes it up, and the feed.
    async fn reads_what_was_posted(&self) {
        self.posted(&["adjust", "halima", "100", "--reason", "goodwill"]).await;
        let hold = self.posted(&["hold", "halima", "30"]).await;
        let pending = ["earn", "halima", "purchase", "100", "2026-02-15T10:00:00Z", "--on-confirmation"];
        let pending = self.posted(&pending).await;
        let [hold_id, pending_id] =
            [&hold, &pending].map(|it| it["transaction_id"].as_str().expect("it has an id"));
        let told = self.books(&["balance", "halima", "--min-version", "3"]).await.expect(0).stdout;
        assert!(
            told.starts_with(
                "version 3  available 70  held 30  pending 10\nstatus active\nlot  ends never  earned "
            ),
            "{told}"
        );
        assert!(told.contains(&format!("\nhold {hold_id}  30  until 2")), "{told}");
        assert!(told.contains(&format!("\npending {pending_id}  10  until it is confirmed\n")), "{told}");
        let older = self.books(&["balance", "halima", "--min-version", "4"]).await.expect(1);
        assert!(older.stdout.is_empty(), "{older:#?}");
        assert!(older.stderr.contains("is at version 3, and --min-version asks for 4"), "{older:#?}");
        let none = self.books(&["balance", "halima", "--unit", "2"]).await.expect(1);
        assert!(none.stderr.contains("there is no account \"halima\" in unit 2"), "{none:#?}");

        let earned = self.posted(&["earn", "jelani", "purchase", "1000", "2026-02-15T10:00:00Z"]).await;
        self.posted(&["redeem", "jelani", "100", "--partner", "duka"]).await;
        self.posted(&["reverse", earned["transaction_id"].as_str().expect("it has an id")]).await;
        self.posted(&["set-status", "jelani", "suspended"]).await;
        let told = self.books(&["balance", "jelani"]).await.expect(0).stdout;
        assert_eq!(
            told, "version 3  available -100  held 0  pending 0\nstatus suspended\nowed 100\n",
            "a debt is in no lot"
        );

        let feed = async |words: &[&str]| -> Vec<String> {
            let told = self.books(&[&["feed"], words].concat()).await.expect(0).stdout;
            told.lines().map(str::to_owned).collect()
        };
        let all = feed(&["--limit", "1000"]).await;
        assert_eq!(feed(&["--limit", "2"]).await, all[..2]);
        let leaf = hold["leaf_index"].as_u64().expect("it has a leaf");
        let page = feed(&["--after", &(leaf - 1).to_string(), "--limit", "2"]).await;
        let at = all.iter().position(|it| it.ends_with(hold_id)).expect("the hold is told");
        assert_eq!(page, all[at..at + 2]);
        assert!(page[0].starts_with(&format!("{leaf:>6}  20")), "{page:#?}");
        assert!(
            page[0].contains("  hold      member:") && page[0].contains(" -30 (in all +0)  "),
            "{page:#?}"
        );
        assert!(page[1].ends_with(pending_id) && page[1].contains("issuance -10 (in all -10)"), "{page:#?}");
        let names =
            ["settlement:duka +100 (in all +100)", "fund account ", "  act       -  ", "  transfer  member:"];
        for name in names {
            assert!(all.iter().any(|it| it.contains(name)), "nobody is told {name:?}: {all:#?}");
        }
        // Else it lapses in the sweep, where postings are counted.
        self.posted(&["void", hold_id]).await;
        assert_eq!(self.available("halima").await, 100);
        let newest = self.leaves().await - 1;
        assert!(feed(&["--after", &newest.to_string()]).await.is_empty());
    }

    async fn takes_in_another_systems_books(&self) {
        let header = "member,points,last_day,earned_day,effective_at,reason";
        let bad = format!(
            "{header}\nzuri,100,2099-12-31,2026-01-05,,\nzuri,0,2099-12-31,2026-01-05,,\nzuri,5,soon,,,\n"
        );
        let bad = self.file("bad.csv", &bad);
        let answered = self.books(&["import", &bad]).await.expect(1);
        for problem in ["line 3: points: an amount", "line 4: last_day: \"soon\"", "nothing was posted"] {
            assert!(answered.stderr.contains(problem), "{answered:#?}");
        }
        let leaves = self.leaves().await;
        for (name, text) in [("empty.csv", ""), ("headless.csv", "zuri,50"), ("empty.jsonl", "\n")] {
            let answered = self.books(&["import", &self.file(name, text)]).await.expect(1);
            for told in ["line 1: ", header, "nothing was posted"] {
                assert!(answered.stderr.contains(told), "{answered:#?}");
            }
        }
        assert_eq!(self.leaves().await, leaves);

        let lines = [
            "zuri,100,2099-12-31,2026-01-05,,",
            "zuri,20,2098-12-31,2026-01-05,,",
            "neema,50,2099-12-31,,2026-02-15T10:00:00Z,welcome",
            "neema,-20,,,2026-03-01T10:00:00Z,",
            "pili,10,2099-12-31,,2026-01-15T10:00:00Z,",
            "tatu,5,2099-12-31,2026-01-05,,",
            "tatu,-6,,,2026-03-01T10:00:00Z,",
        ];
        let file = self.file("balances.csv", &format!("{header}\n{}\n", lines.join("\n")));
        let dry = self.books(&["import", &file, "--dry-run"]).await.expect(1);
        assert!(
            dry.stdout.contains("3 postings would be posted, 0 requests answered as before, 2 refused"),
            "{dry:#?}"
        );
        assert!(dry.stdout.contains("4 members would be enrolled"), "{dry:#?}");
        self.refused(&["redeem", "zuri", "1"], "member_unknown").await;

        let mended = self.path("mended.csv");
        let refused = mended.to_str().expect("a path is text");
        let done = self.books(&["import", &file, "--refused", refused]).await.expect(1);
        assert!(
            done.stdout.contains("3 postings posted, 0 requests answered as before, 2 refused"),
            "{done:#?}"
        );
        assert!(done.stderr.contains("line 6: period_closed"), "{done:#?}");
        assert!(done.stderr.contains("line 8: insufficient_balance: 6 points are asked and 5"), "{done:#?}");
        assert!(done.stderr.contains("with it lines 7 to 8, of the same member"), "{done:#?}");
        for remedy in
            ["for, and import the file of refused lines\n", "amount, in the file of refused lines\n"]
        {
            assert!(done.stderr.contains(remedy), "{done:#?}");
        }
        let kept = std::fs::read_to_string(&mended).expect("the refused lines are kept");
        assert_eq!(kept.trim_end().lines().collect::<Vec<_>>(), [header, lines[4], lines[5], lines[6]]);
        assert_eq!((self.available("zuri").await, self.available("neema").await), (120, 30));

        // The same file again is the same import; the lines that were mended are another.
        let again = self.books(&["import", &file]).await.expect(1);
        assert!(
            again.stdout.contains("0 postings posted, 4 requests answered as before, 2 refused"),
            "{again:#?}"
        );
        assert_eq!(self.available("zuri").await, 120);
        // Begun anew with another approver, a line that was posted is no refused one: in a file by itself it would be
        // posted twice.
        let none = self.path("none.csv");
        let refused = none.to_str().expect("a path is text");
        let other = ["import", &file, "--approver", "wanjiru", "--refused", refused];
        let other = self.books(&other).await.expect(1);
        assert!(other.stderr.contains("imported before under other terms or flags"), "{other:#?}");
        assert!(!none.exists(), "{other:#?}");
        let kept = kept.replace("2026-01-15T10", "2026-02-15T10").replace(",-6,", ",-5,");
        let mended = self.file("mended.csv", &kept);
        let done = self.books(&["import", &mended]).await.expect(0);
        assert!(done.stdout.contains("3 postings posted"), "{done:#?}");
        assert_eq!(self.available("pili").await, 10);

        let json = r#"{"member":"wema","points":7,"last_day":"never","earned_day":"2026-01-05"}"#;
        let json = self.file("balances.jsonl", &format!("{json}\n"));
        self.books(&["import", &json]).await.expect(0);
        assert_eq!(self.available("wema").await, 7);
    }

    /// Whatever was settled is an act in the log, once, with who and why, what was before and what is after.
    async fn settled_what_the_log_says(&self) {
        let before = self.leaves().await;
        let rules = self.file("more.json", r#"{"rates":{"purchase":"0.2"}}"#);
        let told = self.books(&["rules", "set", &rules, "--from", "2100-01-01T00:00:00Z"]).await.expect(0);
        let told: Vec<&str> = told.stdout.lines().collect();
        assert!(told[2].starts_with("2100-01-01T00:00:00Z "), "{told:#?}");
        assert_eq!(
            (told[1], told[3]),
            (r#"{"rates":{"purchase":"0.1"}}"#, r#"{"rates":{"purchase":"0.2"}}"#)
        );
        let rate = ["rate", "set", "--point-value", "0.12", "--currency", "KES"];
        self.books(&[&rate[..], &["--actor", "baraka", "--reason", "inflation"]].concat()).await.expect(0);
        let changed = ["partner", "duka", "--auth-mode", "key", "--references-once", "true"];
        let changed = [&changed[..], &["--reason", "it asked for it"]].concat();
        self.books(&changed).await.expect(0);
        let hurry = ["hurry", "--kind", "redeem", "--amount-min", "100000"];
        self.books(&hurry).await.expect(0);
        let tier = ["members", "tier", "asha", "gold", "--reason", "a good year"];
        answer_of(self.any_command(&tier)).await.expect(0);
        let keys = async |words: &[&str]| {
            answer_of(self.any_command(&[&["keys"], words].concat())).await.expect(0).stdout
        };
        let made = async |owner: &str| {
            let words = ["create", "--owner", owner, "--role", "auditor", "--scopes", "audit:read"];
            keys(&words).await.trim().to_owned()
        };
        let (withdrawn, key) = (made("zahra").await, made("yusuf").await);
        keys(&["revoke", &withdrawn[..16], "--reason", "she left"]).await;
        keys(&["rotate-signing"]).await;
        assert_eq!(self.leaves().await, before + 9);
        // What changes nothing is no act.
        keys(&["revoke", &withdrawn[..16]]).await;
        answer_of(self.any_command(&tier)).await.expect(0);
        for words in [
            &changed[..],
            &hurry,
            &["unit", "2"],
            &["enrol", "asha"],
            &["close-period", "2026-01-01T00:00:00Z"],
        ] {
            self.books(words).await.expect(0);
        }
        assert_eq!(self.leaves().await, before + 9);

        let listen = format!("127.0.0.1:{}", lasting_port());
        let process = Process::start(self.any_command(&["api", "--listen", &listen]), &self.path("api.log"));
        let api = Api::new(&format!("http://{listen}"), &key, "");
        let told = eventually("the API tells of the acts", async || {
            let told = api.try_ask(reqwest::Method::GET, "/api/v1/audit?limit=100", &[], None).await.ok();
            told.filter(|it| it.status == 200)
        })
        .await;
        let acts = told.body["data"].as_array().expect("a list");
        let said: Vec<String> = acts
            .iter()
            .rev()
            .map(|it| {
                let text = |name: &str| it[name].as_str().unwrap_or("-");
                format!("{} {} {} {}", text("action"), text("subject"), text("actor"), text("reason"))
            })
            .collect();
        let (withdrawn, key) = (&withdrawn[..16], &key[..16]);
        let token_key = acts[0]["subject"].as_str().expect("it has a name");
        let tiered = acts.iter().find(|it| it["action"] == "member.tier").expect("it is an act");
        let account = tiered["subject"].as_str().expect("it has a name");
        assert!(account.starts_with("account "), "{account}");
        assert_eq!((&tiered["before"]["tier"], &tiered["after"]["tier"]), (&Value::Null, &json!("GOLD")));
        assert_eq!(
            said,
            [
                "program.created default operator:amina -".to_owned(),
                "partner.created duka operator:amina -".to_owned(),
                "unit.opened default operator:amina -".to_owned(),
                "fund.created spring operator:amina -".to_owned(),
                "policy.changed default operator:amina -".to_owned(),
                "rate.added default operator:amina -".to_owned(),
                "members.enrolled default operator:amina -".to_owned(),
                "members.enrolled default operator:amina -".to_owned(),
                "period.closed default operator:amina -".to_owned(),
                "rules.added default operator:amina -".to_owned(),
                "rate.added default operator:baraka inflation".to_owned(),
                "partner.changed duka operator:amina it asked for it".to_owned(),
                "hurry.changed default operator:amina -".to_owned(),
                format!("member.tier {account} operator:amina a good year"),
                format!("key.created {withdrawn} operator:amina -"),
                format!("key.created {key} operator:amina -"),
                format!("key.revoked {withdrawn} operator:amina she left"),
                format!("token_key.made {token_key} operator:amina -"),
            ],
            "{}",
            told.text
        );
        let act = |action: &str| {
            let act = acts.iter().find(|it| it["action"] == action);
            act.unwrap_or_else(|| panic!("{action}: {}", told.text))
        };
        let [partner, policy, key] = ["partner.changed", "policy.changed", "key.revoked"].map(act);
        let settled = |it: &Value| (it["auth_mode"].clone(), it["references_once"].clone());
        assert_eq!(
            (settled(&partner["before"]), settled(&partner["after"])),
            ((json!("either"), json!(false)), (json!("key"), json!(true)))
        );
        assert_eq!(
            (&policy["before"]["policy"]["debt_max"], &policy["after"]["policy"]["debt_max"]),
            (&json!(0), &json!(500))
        );
        assert_eq!((&key["before"]["active"], &key["after"]["active"]), (&json!(true), &json!(false)));
        assert_eq!(act("members.enrolled")["after"], json!({"members": 1, "unit": 1}));
        assert_eq!(process.log().matches("without --published-log").count(), 1, "{}", process.log());
        assert_eq!(process.end_with("TERM").await, Some(0));
    }

    /// An import and a sweep are killed on their way, and begun again: each line is posted once, and so is each expiry.
    async fn is_cut_off_and_begins_again(&self) {
        let mut text = "member,points,last_day,earned_day\n".to_owned();
        // A day that lasts for as long as the test does, also where midnight comes meanwhile.
        let last_day = self.day_in(2).await;
        for number in 0..CUT_OFF {
            text += &format!("crowd-{number},10,{last_day},2026-01-05\n");
        }
        let file = self.file("crowd.csv", &text);
        let before = self.leaves().await;
        self.kill_on_its_way(&["import", &file], before, CUT_OFF).await;
        let done = self.books(&["import", &file]).await.expect(0);
        assert!(done.stdout.contains(&format!("{CUT_OFF} lines")), "{done:#?}");
        assert_eq!(self.leaves().await, before + CUT_OFF);
        assert_eq!(self.available("crowd-0").await, 10);

        // Four days pass: recorded time never goes back.
        self.sql("update log_head set recorded_at = recorded_at + 4 * 86400000000").await;
        let before = self.leaves().await;
        assert_eq!(self.available("crowd-0").await, 0, "what is due is done first");
        assert_eq!(self.leaves().await, before, "and posted by nobody who only reads");
        self.kill_on_its_way(&["sweep"], before, CUT_OFF).await;
        self.books(&["sweep"]).await.expect(0);
        assert_eq!(self.leaves().await, before + CUT_OFF);
        let idle = self.books(&["sweep"]).await.expect(0);
        assert_eq!(idle.stdout, "0 accounts had something due: 0 postings.\n");
        self.refused(&["redeem", "crowd-0", "1"], "insufficient_balance").await;
    }

    /// Lines that were refused are posted from the file that has them, and not from the first one as well, whatever has become
    /// possible, was approved or is forgotten since.
    async fn posts_what_was_refused_from_one_file(&self) {
        let lines = [
            "imara,5,2099-12-31,2026-01-05,,".to_owned(),
            format!("jabali,7,2099-12-31,,{}T00:00:00Z,", self.day_in(20).await),
            "imara,-6,,,,".to_owned(),
            "kito,3000,2099-12-31,2026-01-05,,".to_owned(),
            "kito,-1001,,,,".to_owned(),
        ];
        let header = "member,points,last_day,earned_day,effective_at,reason";
        let file = self.file("partly.csv", &format!("{header}\n{}\n", lines.join("\n")));
        let refused = self.path("partly-refused.csv");
        let refused = refused.to_str().expect("a path is text");
        let dry = self.books(&["import", &file, "--dry-run", "--refused", refused]).await.expect(2);
        assert!(dry.stderr.contains("cannot be used with"), "{dry:#?}");
        let done = self.books(&["import", &file, "--refused", refused]).await.expect(1);
        assert!(
            done.stdout.contains("1 postings posted, 0 requests answered as before, 3 refused"),
            "{done:#?}"
        );
        for problem in ["line 3: in_future", "line 4: insufficient_balance", "line 6: approval_required"] {
            assert!(done.stderr.contains(problem), "{done:#?}");
        }
        let kept = std::fs::read_to_string(refused).expect("the refused lines are kept");

        self.sql("update log_head set recorded_at = recorded_at + 40 * 86400000000").await;
        self.books(&["sweep"]).await.expect(0);
        self.posted(&["adjust", "imara", "100", "--reason", "goodwill"]).await;
        let done = self.books(&["import", refused, "--approver", "wanjiru"]).await.expect(0);
        assert!(done.stdout.contains("4 postings posted, 0 requests answered as before"), "{done:#?}");
        let again = self.path("partly-again.csv");
        let again = again.to_str().expect("a path is text");
        let leaves = self.leaves().await;
        for words in [&["--dry-run"][..], &["--refused", again]] {
            let words = [&["import", &file, "--approver", "wanjiru"], words].concat();
            let done = self.books(&words).await.expect(1);
            assert!(done.stdout.contains("0 postings "), "{done:#?}");
            assert!(done.stdout.contains("1 requests answered as before, 3 refused"), "{done:#?}");
            assert!(done.stderr.contains("line 3: refused when this file was imported"), "{done:#?}");
        }
        assert_eq!(self.leaves().await, leaves, "nothing was posted");
        let same = std::fs::read_to_string(again).expect("the refused lines are kept");
        assert_eq!(same, kept, "it is the same file, and the same import");
        let done = self.books(&["import", again, "--approver", "wanjiru"]).await.expect(0);
        assert!(done.stdout.contains("0 postings posted, 3 requests answered as before"), "{done:#?}");
        let left =
            (self.available("imara").await, self.available("jabali").await, self.available("kito").await);
        assert_eq!(left, (99, 7, 1999));
    }

    /// In a program that enrols nobody by itself, all lines of strangers are refused, and their file is another one.
    async fn enrols_whom_an_import_did_not_know(&self) {
        let rules = self.file("closed.json", r#"{"rates":{"purchase":"0.1"}}"#);
        let closed = ["--program", "closed"];
        let program = ["program", "--point-value", "0.10", "--currency", "KES", "--rules", &rules];
        self.books(&[&program[..], &closed].concat()).await.expect(0);
        let json = r#"{"member":"zola","points":7,"last_day":"never","earned_day":"2026-01-05"}"#;
        let file = self.file("strangers.jsonl", &format!("{json}\n"));
        let refused = self.path("strangers-refused.jsonl");
        let refused = refused.to_str().expect("a path is text");
        let import = async |words: &[&str]| self.books(&[&["import"], words, &closed].concat()).await;
        let done = import(&[file.as_str(), "--refused", refused]).await.expect(1);
        assert!(done.stderr.contains("line 1: member_unknown"), "{done:#?}");
        assert!(done.stderr.contains("import that one, with --enrol"), "{done:#?}");
        let again = import(&[file.as_str(), "--enrol"]).await.expect(1);
        assert!(again.stdout.contains("0 members enrolled"), "{again:#?}");
        assert!(again.stderr.contains("--refused FILE writes, with --enrol"), "{again:#?}");
        let done = import(&[refused, "--enrol"]).await.expect(0);
        assert!(done.stdout.contains("1 postings posted, 0 requests answered as before"), "{done:#?}");
        assert!(done.stdout.contains("1 members enrolled"), "{done:#?}");
    }

    /// Starts a command, and kills it once it has posted something. However fast it is, it does not come to its last posting:
    /// that one waits for a lock.
    async fn kill_on_its_way(&self, words: &[&str], before: u64, all: u64) {
        let pool = store::connect(&self.database_url, 1).await.expect("the database answers");
        let mut holder = pool.acquire().await.expect("a connection");
        let gate = format!(
            "create function waits() returns trigger language plpgsql as
                 $$ begin perform pg_advisory_xact_lock_shared(7); return new; end $$;
             create trigger waits before update on log_head for each row
                 when ({} <= new.size) execute function waits();
             select pg_advisory_lock(7)",
            before + all
        );
        store::tamper(&mut holder, &gate).await.expect("it is done");
        let process = Process::start(self.command(words), &self.path("killed.log"));
        eventually("something is posted", async || (before < self.leaves().await).then_some(())).await;
        process.kill().await;
        let leaves = self.leaves().await;
        assert!(before < leaves && leaves < before + all, "{leaves}: it was not killed on its way");
        // What waits goes on to its end; then the trigger can be dropped.
        let open = "select pg_advisory_unlock(7); drop trigger waits on log_head; drop function waits()";
        store::tamper(&mut holder, open).await.expect("it is done");
        drop(holder);
        pool.close().await;
    }

    async fn leaves(&self) -> u64 {
        let pool = store::connect(&self.database_url, 1).await.expect("the database answers");
        let size = store::log_size(&mut pool.acquire().await.expect("a connection")).await;
        pool.close().await;
        size.expect("the log has a size")
    }

    async fn sql(&self, statement: &str) {
        sql(&self.database_url, statement).await;
    }

    /// The day that it is in so many days, as of now.
    async fn day_in(&self, days: u32) -> String {
        let date = answer_of({
            let mut date = tokio::process::Command::new("date");
            date.args(["-u", "-d", &format!("{days} days"), "+%F"]);
            date
        });
        date.await.expect(0).stdout.trim().to_owned()
    }

    async fn stop(self) {
        let Self { postgres, folder, .. } = self;
        part(move || postgres.stop()).await;
        drop(folder);
    }
}

/// What a shell makes of what stands behind a flag in a document.
async fn written(flag: &str, document: &str) -> String {
    let (_, rest) = document.split_once(flag).expect("the flag is shown");
    let expression = rest.split(['\n', '`']).next().unwrap_or_default();
    bash(&format!("printf %s {expression}")).await.expect(0).stdout
}
