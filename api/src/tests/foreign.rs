//! Nobody reaches what is another's: every path that takes an id, every role, and the ids of another program, another partner
//! and another member.

use super::*;
use crate::endpoint::Place;
use crate::{Endpoint, Scope, routes};

pub(super) const FOREIGN: &str = "0badcafe-0000-4000-8000-00000000beef";
/// What nobody here may read.
const FOREIGN_POINTS: i64 = 31_415_926;
pub(super) const ALL: [&str; 4] = ["loyalty:read", "loyalty:redeem", "loyalty:earn", "loyalty:adjust"];

/// Ids that exist, and are another's.
pub(super) struct Theirs {
    /// A member's, where it is that of another program.
    member: &'static str,
    redemption: String,
    hold: String,
    /// An event that waits for somebody.
    parked: String,
    program: String,
}

impl World {
    /// Another program beside this one, in the same database and log.
    async fn neighbour(&self) -> World {
        let keyring = Keyring::new(&[7; 32]);
        let mut conn = self.pool.acquire().await.unwrap();
        let program = store::ensure_program(&mut conn, &keyring, &spec("neighbour")).await.unwrap();
        for partner in ["duka", "kiosk"] {
            store::ensure_partner(&mut conn, &keyring, program.program_id, partner).await.unwrap();
        }
        drop(conn);
        let (pool, committer, hush) = (self.pool.clone(), self.committer.clone(), self.hush.clone());
        let router = Self::serving(&pool, &committer, &program, PING_GAP, &hush);
        World { pool, router, program_id: program.program_id, hush, committer, program }
    }

    /// The number of an event that waits here.
    async fn parks(&self) -> String {
        let event = store::ToPark {
            member: &ledger::MemberRef::External("nobody yet".into()),
            source: "event:theirs",
            key: &Uuid::new_v4().to_string(),
            fingerprint: &ledger::Fingerprint([2; 32]),
            origin: "http",
            partner: None,
            payload: b"{}",
        };
        let mut conn = self.pool.acquire().await.unwrap();
        store::park(&mut conn, self.program_id, event).await.unwrap().unwrap().to_string()
    }

    /// A redemption and a hold of this member at this partner.
    pub(super) async fn spent(&self, key: &str, member: &'static str) -> Theirs {
        let told = self
            .send(
                earn(&json!({"user_id": member, "amount": FOREIGN_POINTS}))
                    .with("authorization", "")
                    .with("x-api-key", key),
            )
            .await;
        assert_eq!(told.status, 200, "{}", told.text());
        let body = json!({"points": 7, "merchant_reference": "theirs"}).to_string();
        let redeem = Ask::post(format!("/loyalty/v1/partner/users/{member}/redeem"), body);
        let redeem = redeem.with("x-api-key", key).with("x-idempotency-key", &Uuid::new_v4().to_string());
        let redemption = self.send(redeem).await.json()["transaction_id"].as_str().unwrap().to_owned();
        let hold = Ask::post("/api/v1/loyalty/holds", json!({"user_id": member, "points": 7}).to_string());
        let hold = hold.with("x-api-key", key).with("idempotency-key", &Uuid::new_v4().to_string());
        let hold = self.send(hold).await.json()["transaction_id"].as_str().unwrap().to_owned();
        let parked = self.parks().await;
        Theirs { member, redemption, hold, parked, program: self.program.id.to_string() }
    }
}

/// The request with one of their ids in its path, and everything else as it should be.
fn reach(endpoint: &Endpoint, theirs: &Theirs) -> Option<Ask> {
    let mut path = endpoint.path.to_owned();
    for parameter in endpoint.parameters.iter().filter(|it| it.place == Place::Path) {
        let id = match parameter.name {
            "userId" | "user_id" => theirs.member,
            "transaction_id" => &theirs.redemption,
            "hold_id" => &theirs.hold,
            "parked_event_id" => &theirs.parked,
            "program_id" => &theirs.program,
            // Theirs are of a caller, so that the same key is another request's here.
            "idempotency_key" | "key_id" => return None,
            // Each program has a partner of this name: its own is what it gets.
            "partner_id" => return None,
            // Webhooks of others are walked in their own tests.
            _ if endpoint.path.contains("/webhooks/") => return None,
            other => panic!("{}: say what is another's {other}", endpoint.path),
        };
        path = path.replace(&format!("{{{}}}", parameter.name), id);
    }
    let body = match endpoint.path.rsplit('/').next() {
        Some("redeem") => json!({"points": 1, "merchant_reference": "mine"}),
        Some("extend") => json!({"seconds": 60}),
        Some("increase") => json!({"points": 1}),
        Some("reversals" | "approve" | "deny" | "release") => json!({"reason": "mine"}),
        Some("rates") => json!({"point_value": "1", "currency": "KES", "reason": "mine"}),
        Some("status") => json!({"status": "closed", "reason": "mine"}),
        Some("tier") => json!({"tier": "GOLD", "reason": "mine"}),
        Some("merge") => json!({"into": MEMBER, "reason": "mine"}),
        _ => json!({}),
    };
    let ask = Ask { method: endpoint.method.clone(), ..Ask::post(path, body.to_string()) };
    let ask = ask.with("x-idempotency-key", &Uuid::new_v4().to_string()).with("if-match", "*");
    Some(if endpoint.path.ends_with("/balance") { ask.with("x-partner-id", "duka") } else { ask })
}

impl World {
    /// A key of each role.
    pub(super) async fn callers(&self) -> Vec<(&'static str, String)> {
        let mut callers = vec![
            ("duka", self.key_of("duka-2", Some("duka"), &ALL).await),
            ("app", self.key_of("app-2", None, &ALL).await),
        ];
        for role in [Role::Viewer, Role::Editor, Role::Approver, Role::Auditor] {
            let mut scopes = ALL.to_vec();
            scopes.extend(["audit:read", "admin:*"]);
            callers.push((role.as_str(), self.key_as(role.as_str(), role, None, &scopes, &[]).await));
        }
        callers
    }

    /// No caller is given anything by an id that is another program's. Says how many requests that were.
    pub(super) async fn gives_nothing_of(
        &self,
        theirs: &Theirs,
        callers: &[(&'static str, String)],
    ) -> usize {
        let mut walked = 0;
        let endpoints = crate::endpoints_of(routes::table());
        for endpoint in endpoints.iter().filter(|it| it.access.is_some() && it.path.contains('{')) {
            for (name, key) in callers {
                let Some(ask) = reach(endpoint, theirs) else { continue };
                // A member whom the app names is another program's, too.
                let ask = if *name == "app" { ask.with("x-user-id", theirs.member) } else { ask };
                let told = self.send(ask.with("x-api-key", key)).await;
                assert!(
                    [403, 404].contains(&told.status.as_u16()),
                    "{} {name}: {}",
                    endpoint.path,
                    told.text()
                );
                assert!(!told.text().contains(&FOREIGN_POINTS.to_string()), "{} {name}", endpoint.path);
                walked += 1;
            }
        }
        walked
    }
}

#[tokio::test]
async fn no_path_gives_or_changes_what_is_anothers() {
    let world = World::new().await.with_points(1000).await;
    let neighbour = world.neighbour().await;
    let there = neighbour.key_of("their-shop", Some("duka"), &ALL).await;
    let kiosk = world.key_of("kiosk-shop", Some("kiosk"), &ALL).await;
    let of_neighbour = neighbour.spent(&there, FOREIGN).await;
    let of_kiosk = world.spent(&kiosk, MEMBER).await;
    let before = world.check_books().await.leaves;

    let callers = world.callers().await;
    let mut walked = world.gives_nothing_of(&of_neighbour, &callers).await;
    let endpoints = crate::endpoints_of(routes::table());
    for endpoint in endpoints.iter().filter(|it| it.access.is_some() && it.path.contains('{')) {
        // Another partner's transactions, of a member whom both serve.
        let is_transaction = endpoint.path.contains("transaction_id") || endpoint.path.contains("hold_id");
        let for_partners = endpoint.access.is_some_and(|it| it.roles.contains(&Role::Partner));
        if let (true, Some(ask)) = (is_transaction && for_partners, reach(endpoint, &of_kiosk)) {
            let told = world.send(ask.with("x-api-key", &callers[0].1)).await;
            assert_eq!(told.status, 404, "{}: {}", endpoint.path, told.text());
            walked += 1;
        }
    }
    assert!(40 <= walked, "{walked}");
    // Whom no header makes another.
    for endpoint in endpoints.iter().filter(|it| it.access.is_some_and(|it| it.scope == Scope::Read)) {
        let ask =
            Ask { method: endpoint.method.clone(), ..Ask::get(endpoint.path.replace("{userId}", MEMBER)) };
        for (header, value) in [("x-user-id", FOREIGN), ("x-user-id", STRANGER)] {
            let told = world
                .send(ask.clone().with("authorization", "Bearer member-token").with(header, value))
                .await;
            assert!([400, 403, 404].contains(&told.status.as_u16()), "{}: {}", endpoint.path, told.text());
        }
        let told = world.send(ask.with("x-api-key", &callers[0].1).with("x-partner-id", "kiosk")).await;
        assert!(
            told.status != 200 || !endpoint.path.contains("partner"),
            "{}: {}",
            endpoint.path,
            told.text()
        );
    }
    // What another partner or another program's sent, and was not posted, stands in no list.
    for (there, key, kind) in [(&world, &kiosk, "theirs"), (&neighbour, &there, "the neighbour's")] {
        let event = purchase(&json!({"type": kind})).to_string();
        let told = there.send(Ask::post("/api/v1/events", event).with("x-api-key", key)).await;
        told.check_problem(422, "EVENT_TYPE_WITHOUT_RATE");
    }
    let mut listed = 0;
    for endpoint in endpoints.iter().filter(|it| it.access.is_some() && it.method == Method::GET) {
        // A stream has no end: streams have tests of their own.
        if endpoint.path.contains('{') || endpoint.path.ends_with("/stream") {
            continue;
        }
        for (name, key) in &callers {
            let told = world.send(Ask::get(endpoint.path).with("x-api-key", key)).await;
            let is_anothers = *name == "duka" && told.text().contains("theirs");
            assert!(!is_anothers && !told.text().contains("neighbour's"), "{} {name}", endpoint.path);
            listed += usize::from(told.status == 200);
        }
    }
    assert!(10 <= listed, "{listed}");
    assert_eq!(world.check_books().await.leaves, before, "nothing was posted");
}
