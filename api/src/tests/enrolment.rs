//! Who takes part: enrolled by their first event, by an operator or a partner, or waited for.

use store::{Deed, acts};

use super::*;

/// A program that lets strangers' events wait, with an operator and a partner who enrols.
struct Desk {
    world: World,
    operator: String,
    partner: String,
}

impl Desk {
    async fn of_a_program_that(strangers: &str) -> Self {
        let world = World::new().await;
        let policy = json!({"strangers": strangers}).to_string();
        let mut conn = world.pool.acquire().await.unwrap();
        store::add_policy(&mut conn, world.program_id, policy.as_bytes()).await.unwrap();
        drop(conn);
        let operator = world.key(Role::Editor, "amina", &["admin:*", "loyalty:earn"]).await;
        let partner = world.key_of("duka-desk", Some("duka"), &["loyalty:earn", "loyalty:read"]).await;
        Self { world, operator, partner }
    }

    async fn enrol(&self, key: &str, body: Value) -> Told {
        self.world.send(Ask::post("/api/v1/members", body.to_string()).with("x-api-key", key)).await
    }

    async fn look(&self, member: &str) -> Told {
        self.world.send(Ask::get(format!("/api/v1/members/{member}")).with("x-api-key", &self.operator)).await
    }

    async fn waiting(&self) -> Vec<Value> {
        let ask = Ask::get("/api/v1/parked-events").with("x-api-key", &self.operator);
        self.world.send(ask).await.json()["data"].as_array().unwrap().clone()
    }

    async fn deeds(&self) -> Vec<Deed> {
        let mut conn = self.world.pool.acquire().await.unwrap();
        let acts = acts(&mut conn, self.world.program_id, None, 100).await.unwrap();
        acts.into_iter().map(|it| it.deed).collect()
    }
}

fn of(member: &str, id: &str, amount: i64) -> Ask {
    earn(&json!({"user_id": member, "event_id": id, "amount": amount}))
}

#[tokio::test]
async fn an_event_of_a_stranger_does_what_the_program_says() {
    for (strangers, status, told) in
        [("enrol", 200, "POSTED"), ("park", 202, "PARKED"), ("refuse", 422, "USER_NOT_FOUND")]
    {
        let desk = Desk::of_a_program_that(strangers).await;
        let answer = desk.world.send(of("juma", "e-1", 50)).await;
        let body = answer.json();
        let said = body.get("error").unwrap_or(&body["status"]);
        assert_eq!((answer.status.as_u16(), said), (status, &json!(told)), "{strangers}: {body}");
        assert_eq!(desk.look("juma").await.status == 200, strangers == "enrol", "{strangers}");
        let program = Ask::get("/api/v1/programs").with("x-api-key", &desk.operator);
        let program = desk.world.send(program).await.json();
        assert_eq!(program["data"][0]["enrols"], strangers == "enrol");
        desk.world.check_books().await;
    }
}

#[tokio::test]
async fn what_waits_earns_once_its_member_is_enrolled_and_once_only() {
    let desk = Desk::of_a_program_that("park").await;
    let first = desk.world.send(of("juma", "e-1", 50)).await.json();
    assert_eq!(desk.world.send(of("juma", "e-1", 50)).await.json(), first, "the same event waits once");
    desk.world.send(of("juma", "e-1", 51)).await.check_problem(422, "EVENT_ID_REUSED");
    let many = json!([
        purchase(&json!({"user_id": "juma", "event_id": "e-2", "amount": 7})),
        purchase(&json!({"user_id": "asha"}))
    ]);
    let many = Ask::post("/api/v1/events", many.to_string()).with("authorization", "Bearer app-token");
    let many = desk.world.send(many).await;
    assert_eq!((many.status.as_u16(), &many.json()["results"][1]["status"]), (200, &json!("PARKED")));
    let waiting = desk.waiting().await;
    let mut whose: Vec<&str> = waiting.iter().map(|it| it["user_id"].as_str().unwrap()).collect();
    whose.sort();
    assert_eq!(whose, ["asha", "juma", "juma"]);
    assert_eq!(desk.world.check_books().await.leaves, 0);

    let told = desk.enrol(&desk.partner, json!({"external_id": "juma"})).await;
    let body = told.json();
    assert_eq!((told.status.as_u16(), &body["events_released"]), (201, &json!(2)), "{body}");
    let member = body["user_id"].as_str().unwrap();
    assert_eq!(told.header("location"), format!("/api/v1/members/{member}"));
    let seen = desk.look(member).await.json();
    assert_eq!((&seen["external_id"], &seen["balance"]["available"]), (&json!("juma"), &json!(57)));
    assert_eq!(desk.world.send(of("juma", "e-1", 50)).await.json()["replayed"], true);
    let again = desk.enrol(&desk.partner, json!({"external_id": "juma"})).await;
    let known = json!({"external_id": "juma", "events_released": 0});
    assert_eq!((again.status.as_u16(), again.json()), (200, known), "a partner learns no id");
    assert!(again.headers.get("location").is_none(), "nor here");
    assert_eq!(desk.waiting().await.len(), 1);
    let deeds = desk.deeds().await;
    assert_eq!(deeds.len(), 1, "what is so already is no act");
    assert_eq!(deeds[0].action, "member.enrolled");
    assert!(!format!("{deeds:?}").contains("juma") && !format!("{deeds:?}").contains(member), "{deeds:?}");
    desk.world.check_books().await;
}

/// However they were enrolled: the worker finds what waits for them.
#[tokio::test]
async fn whoever_is_enrolled_elsewhere_is_not_waited_for_any_more() {
    let desk = Desk::of_a_program_that("park").await;
    for event in 0..120 {
        assert_eq!(desk.world.send(of("juma", &format!("e-{event}"), 1)).await.status, 202);
    }
    let walk = of("juma", "w", 5);
    let mut conn = desk.world.pool.acquire().await.unwrap();
    let releaser = || ingest::Releaser::new(desk.world.pool.clone(), desk.world.committer.clone());
    assert_eq!(releaser().pass().await.unwrap(), 0, "nobody is enrolled yet");
    let names = [ledger::MemberRef::External("juma".into())];
    let keyring = Keyring::new(&[7; 32]);
    store::enrol_members(&mut conn, &keyring, desk.world.program_id, 1, &names).await.unwrap();
    let (mut one, mut other) = (releaser(), releaser());
    let (one, other) = tokio::join!(one.pass(), other.pass());
    assert!(120 <= one.unwrap() + other.unwrap());
    assert_eq!(desk.look("juma").await.json()["balance"]["available"], 120);
    assert_eq!(desk.waiting().await, Vec::<Value>::new());
    assert_eq!(desk.world.send(walk).await.status, 200);
    desk.world.check_books().await;
}

/// The sender was refused before the program let strangers wait: that stands in nobody's way.
#[tokio::test]
async fn what_was_refused_of_a_stranger_waits_and_earns_once_the_program_says_so() {
    let desk = Desk::of_a_program_that("refuse").await;
    desk.world.send(of("juma", "e-1", 50)).await.check_problem(422, "USER_NOT_FOUND");
    let mut conn = desk.world.pool.acquire().await.unwrap();
    store::add_policy(&mut conn, desk.world.program_id, br#"{"strangers":"park"}"#).await.unwrap();
    assert_eq!(desk.world.send(of("juma", "e-1", 50)).await.status, 202);
    let told = desk.enrol(&desk.operator, json!({"external_id": "juma"})).await;
    assert_eq!((told.status.as_u16(), &told.json()["events_released"]), (201, &json!(1)));
    assert_eq!(desk.look("juma").await.json()["balance"]["available"], 50);
    desk.world.check_books().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_released_keeps_no_other() {
    let desk = Desk::of_a_program_that("park").await;
    for member in ["broken", "juma"] {
        assert_eq!(desk.world.send(of(member, member, 50)).await.status, 202);
    }
    let mut conn = desk.world.pool.acquire().await.unwrap();
    let names = ["broken", "juma"].map(|it| ledger::MemberRef::External(it.into()));
    let keyring = Keyring::new(&[7; 32]);
    store::enrol_members(&mut conn, &keyring, desk.world.program_id, 1, &names).await.unwrap();
    // Their secret opens with no key of ours.
    let broken = "update account
        set secret = '\\x00'
        where member_id = (select member_id from member where external_id = 'broken')";
    store::tamper(&mut conn, broken).await.unwrap();
    let mut releaser = ingest::Releaser::new(desk.world.pool.clone(), desk.world.committer.clone());
    for released in [1, 0] {
        assert_eq!(releaser.pass().await.unwrap(), released);
        let waiting = desk.waiting().await;
        let whose: Vec<&Value> = waiting.iter().map(|it| &it["user_id"]).collect();
        assert_eq!(whose, ["broken"]);
    }
    assert_eq!(desk.look("juma").await.json()["balance"]["available"], 50);
}

#[tokio::test]
async fn who_released_an_event_and_why_is_said_also_of_a_members() {
    let desk = Desk::of_a_program_that("park").await;
    assert_eq!(desk.world.send(of("juma", "e-1", 50)).await.status, 202);
    let mut conn = desk.world.pool.acquire().await.unwrap();
    let names = [ledger::MemberRef::External("juma".into())];
    let keyring = Keyring::new(&[7; 32]);
    store::enrol_members(&mut conn, &keyring, desk.world.program_id, 1, &names).await.unwrap();
    let number = desk.waiting().await[0]["id"].to_string();
    let because = json!({"reason": "asked at the counter"}).to_string();
    let release = Ask::post(format!("/api/v1/parked-events/{number}/release"), because);
    assert_eq!(desk.world.send(release.with("x-api-key", &desk.operator)).await.status, 200);
    let told = acts(&mut conn, desk.world.program_id, None, 100).await.unwrap();
    let [act] = &told[..] else { panic!("{told:?}") };
    assert_eq!((act.deed.action.as_str(), &act.deed.subject), ("parked_event.released", &number));
    assert_eq!(act.reason.as_deref(), Some("asked at the counter"));
    desk.world.check_books().await;
}

#[tokio::test]
async fn an_operator_releases_an_event_with_its_member_or_drops_it() {
    let desk = Desk::of_a_program_that("park").await;
    for (member, id) in [("juma", "e-1"), ("asha", "e-2")] {
        assert_eq!(desk.world.send(of(member, id, 50)).await.status, 202);
    }
    let waiting = desk.waiting().await;
    let at = |place: usize, what: &str| format!("/api/v1/parked-events/{}{what}", waiting[place]["id"]);
    let release = Ask::post(at(0, "/release"), json!({"reason": "known at the counter"}).to_string());
    let release = release.with("x-api-key", &desk.operator);
    let told = desk.world.send(release.clone()).await;
    let released = told.json();
    assert_eq!((told.status.as_u16(), &released["balance"]), (200, &json!(50)), "{released}");
    desk.world.send(release).await.check_problem(404, "NOT_FOUND");
    let drop = Ask { method: Method::DELETE, ..Ask::get(at(1, "")) }.with("x-api-key", &desk.operator);
    assert_eq!(desk.world.send(drop.clone()).await.status, 204);
    desk.world.send(drop).await.check_problem(404, "NOT_FOUND");
    desk.look("asha").await.check_problem(404, "USER_NOT_FOUND");
    assert_eq!(desk.waiting().await, Vec::<Value>::new());
    let told: Vec<String> = desk.deeds().await.into_iter().map(|it| it.action).collect();
    assert_eq!(told, ["parked_event.dropped", "parked_event.released", "member.enrolled"]);
    // Whoever goes through the log finds the member, then why the event went on, then what it earned.
    let mut conn = desk.world.pool.acquire().await.unwrap();
    let acts = acts(&mut conn, desk.world.program_id, None, 100).await.unwrap();
    let leaves: Vec<u64> = acts.iter().rev().map(|it| it.leaf_index).collect();
    assert_eq!((&leaves[..2], released["leaf_index"].as_u64()), (&[0, 1][..], Some(2)));
    desk.world.check_books().await;
}

#[tokio::test]
async fn an_external_id_means_one_member_whoever_gives_it() {
    let desk = Desk::of_a_program_that("refuse").await;
    let strange = "+254 700 / наша ☂";
    let made = desk.enrol(&desk.operator, json!({"external_id": strange})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let member = made.json()["user_id"].as_str().unwrap().to_owned();
    let earned = desk.world.send(of(strange, "e-1", 9)).await;
    assert_eq!((earned.status.as_u16(), &earned.json()["balance"]), (200, &json!(9)));

    // By id first, and named afterwards, once, by an operator: a partner names nobody who is a member already.
    let by_id = desk.enrol(&desk.partner, json!({"user_id": MEMBER})).await;
    assert_eq!((by_id.status.as_u16(), by_id.json().get("external_id")), (201, None));
    let named = json!({"user_id": MEMBER, "external_id": "amina"});
    desk.enrol(&desk.partner, named.clone()).await.check_problem(409, "CONFLICT");
    assert_eq!(desk.enrol(&desk.operator, named.clone()).await.status, 201);
    assert_eq!(desk.enrol(&desk.operator, named.clone()).await.status, 200);
    assert_eq!(desk.deeds().await[0].action, "member.named");
    // Who names both knows both; who names one is shown that one.
    for known in [named, json!({"user_id": MEMBER}), json!({"external_id": "amina"})] {
        let told = desk.enrol(&desk.partner, known.clone()).await;
        let mut body = told.json();
        body.as_object_mut().unwrap().remove("events_released");
        assert_eq!((told.status.as_u16(), body), (200, known));
    }
    assert_eq!(desk.world.send(of("amina", "e-2", 5)).await.json()["balance"], 5);
    assert_eq!(desk.look(MEMBER).await.json()["balance"]["available"], 5);
    for taken in [
        json!({"user_id": MEMBER, "external_id": "another"}),
        json!({"user_id": MEMBER, "external_id": strange}),
        json!({"user_id": STRANGER, "external_id": "amina"}),
        json!({"user_id": member, "external_id": "amina"}),
    ] {
        desk.enrol(&desk.partner, taken).await.check_problem(409, "CONFLICT");
    }
    desk.look(STRANGER).await.check_problem(404, "USER_NOT_FOUND");
    for wrong in [json!({}), json!({"external_id": MEMBER}), json!({"external_id": ""})] {
        assert_eq!(desk.enrol(&desk.partner, wrong).await.status, 400);
    }
    // Two at once are one member.
    let twin = json!({"external_id": "twin"});
    let (one, other) =
        tokio::join!(desk.enrol(&desk.operator, twin.clone()), desk.enrol(&desk.operator, twin));
    assert_eq!(one.json()["user_id"], other.json()["user_id"]);
    assert_eq!(one.status.as_u16() + other.status.as_u16(), 401, "one of them is told that it is new");
    desk.world.check_books().await;
}

#[tokio::test]
async fn whoever_was_erased_waits_nowhere_and_is_taken_in_again_by_an_operator_only() {
    let desk = Desk::of_a_program_that("park").await;
    let keyring = Keyring::new(&[7; 32]);
    let told = desk.enrol(&desk.operator, json!({"external_id": "juma"})).await;
    assert_eq!(told.status, 201);
    let close = json!({"status": "closed", "reason": store::ERASURE_REASON}).to_string();
    let close = Ask::post("/api/v1/members/juma/status", close).with("x-api-key", &desk.operator);
    let closed = desk.world.send(close.with("if-match", "*").with("idempotency-key", "close")).await;
    let act = closed.json()["leaf_index"].as_u64().unwrap();
    let mut conn = desk.world.pool.acquire().await.unwrap();
    let named = ledger::MemberRef::External("juma".into());
    let covered =
        store::RecordedCheckpoint { size: act + 1, previous_size: 0, root: [0; 32], note: String::new() };
    let recording = store::record_checkpoint(&mut conn, &mut store::Warnings::default(), &covered).await;
    assert_eq!(recording.unwrap(), store::Recording::Recorded);
    let member = store::member_to_erase(&mut conn, desk.world.program_id, &named).await.unwrap().unwrap();
    store::erase_member(&mut conn, &keyring, desk.world.program_id, &member, &[act]).await.unwrap();

    desk.world.send(of("juma", "e-1", 50)).await.check_problem(422, "USER_NOT_FOUND");
    assert_eq!(desk.waiting().await, Vec::<Value>::new());
    desk.enrol(&desk.partner, json!({"external_id": "juma"})).await.check_problem(409, "CONFLICT");
    assert_eq!(desk.enrol(&desk.operator, json!({"external_id": "juma"})).await.status, 201);
    assert_eq!(desk.world.send(of("juma", "e-1", 50)).await.json()["balance"], 50);
}
