//! Events that come several times, by HTTP and by Kafka, and one that nobody can read.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt};
use ingest::EVENTS_TOPIC;
use journeys::{System, answer_of, daftari, eventually, part};
use serde_json::Value;
use uuid::Uuid;

use crate::purchase;

const EVENTS: usize = 12;
const BY_HTTP: usize = 2;
const BY_KAFKA: usize = 3;
/// How many deliveries are on their way at once.
const AT_ONCE: usize = 6;
/// Deliveries are shuffled by this; another number is another order, and no order may matter.
const SEED: u64 = 20_260_115;

#[tokio::test]
async fn an_event_is_posted_once_whichever_way_it_comes() {
    let brokers = part(devstack::test_kafka_brokers).await;
    let folder = System::folder();
    let system = System::up(folder.path(), &["--kafka-brokers", &brokers]).await;
    // The broker is shared, and so is the topic: whom this journey speaks of is its own.
    let members: Vec<String> = (0..EVENTS).map(|_| Uuid::new_v4().to_string()).collect();

    let postings = deliver_all(&system, &brokers, &members).await;
    assert_eq!(postings.iter().collect::<BTreeSet<_>>().len(), EVENTS, "each event has a posting of its own");
    for (number, posting) in postings.iter().enumerate() {
        posted_once(&system, posting).await;
        assert_eq!(system.api().balance(&members[number]).await, Some(points(number)), "event {number}");
    }

    poison_is_set_aside(&system, &brokers, &members[0], points(0)).await;
    system.check_books().await;
    system.interrupt().await;
}

/// Delivers every event in every way, in a shuffled order; gives the posting of each.
async fn deliver_all(system: &System, brokers: &str, members: &[String]) -> Vec<String> {
    let mut deliveries: Vec<(usize, usize)> =
        (0..EVENTS).flat_map(|event| (0..BY_HTTP + BY_KAFKA).map(move |way| (event, way))).collect();
    shuffle(&mut deliveries);
    let api = system.api();
    let delivered = deliveries.into_iter().map(|(number, way)| {
        let api = &api;
        async move {
            let event = event(number, &members[number], way % 2 == 0);
            if BY_HTTP <= way {
                publish(brokers, &members[number], &[event.as_bytes()]).await;
                return None;
            }
            let reply = api.event(&event).await;
            assert_eq!(
                (reply.status, &reply.body["points"]),
                (200, &points(number).into()),
                "{}",
                reply.text
            );
            Some((number, reply.body["transaction_id"].as_str().expect("it has an id").to_owned()))
        }
    });
    let answers: Vec<_> = stream::iter(delivered).buffer_unordered(AT_ONCE).collect().await;
    let mut postings = vec![String::new(); EVENTS];
    for (number, posting) in answers.into_iter().flatten() {
        assert!(
            postings[number].is_empty() || postings[number] == posting,
            "event {number} was posted twice"
        );
        postings[number] = posting;
    }
    postings
}

fn points(number: usize) -> i64 {
    10 * (1 + number as i64)
}

/// Every third event has no id, and is known by its four fields, however they are spelled.
fn event(number: usize, member: &str, plainly: bool) -> String {
    let amount = 10 * points(number);
    if !number.is_multiple_of(3) {
        return purchase(&format!("{member}/{number}"), member, amount);
    }
    match plainly {
        true => format!(
            r#"{{"user_id":"{member}","type":"purchase","amount":{amount},"timestamp":"2026-01-15T10:00:00Z"}}"#
        ),
        false => format!(
            r#"{{"timestamp": "2026-01-15T13:00:00+03:00", "amount": "{amount}.00", "type": "purchase", "user_id": "{member}"}}"#
        ),
    }
}

/// All deliveries of the posting have had their verdict, and one of them posted it.
async fn posted_once(system: &System, posting: &str) {
    let verdicts = eventually("every delivery's verdict", async || {
        let verdicts: Vec<Value> =
            system.logged(posting).into_iter().filter(|it| it["message"] == "event posted").collect();
        (verdicts.len() == BY_HTTP + BY_KAFKA).then_some(verdicts)
    })
    .await;
    let first = verdicts.iter().filter(|it| it["replayed"] == false).count();
    assert_eq!(first, 1, "{verdicts:#?}");
    let origins: Vec<&str> = verdicts.iter().filter_map(|it| it["origin"].as_str()).collect();
    let from_kafka: BTreeSet<&&str> = origins.iter().filter(|it| it.starts_with("kafka:")).collect();
    assert_eq!(from_kafka.len(), BY_KAFKA, "{origins:?}");
}

/// What nobody can read stands between two good events of one partition: it is listed, and they are posted.
async fn poison_is_set_aside(system: &System, brokers: &str, member: &str, before: i64) {
    let [first, last] = ["first", "last"].map(|it| purchase(&format!("{member}/{it}"), member, 1000));
    let cut = format!(r#"{{"user_id":"{member}","type":"purch"#);
    let noise = [member.as_bytes(), b"\x00\xff\xfe"].concat();
    publish(brokers, member, &[first.as_bytes(), cut.as_bytes(), &noise, last.as_bytes()]).await;
    let rejects = eventually("both poison messages in the list, and both events in the books", async || {
        let mut list = daftari();
        list.args(["books", "rejects", "--database-url", system.fact("database_url"), "--wrapping-key-file"]);
        list.arg(system.home().join("keys/wrapping.key"));
        let listed = answer_of(list).await.expect(0).stdout;
        let balance = system.api().balance(member).await;
        (listed.matches(member).count() == 2 && balance == Some(before + 200)).then_some(listed)
    })
    .await;
    for bytes in [cut.escape_debug().to_string(), noise.escape_ascii().to_string()] {
        let mut lines = rejects.lines().skip_while(|it| !it.contains("EVENT_UNREADABLE")).peekable();
        let mut reason = "";
        let line = lines.find(|it| {
            let found = it.trim() == bytes;
            if !found {
                reason = it;
            }
            found
        });
        assert!(line.is_some(), "{bytes} is not listed as it came:\n{rejects}");
        for words in ["kafka:loyalty.events/", "EVENT_UNREADABLE", "an event is a JSON object"] {
            assert!(reason.contains(words), "{words}: {reason}");
        }
    }
}

async fn publish(brokers: &str, member: &str, events: &[&[u8]]) {
    let keyed = events.iter().map(|&it| (member, it));
    ingest::publish(brokers, EVENTS_TOPIC, keyed).await.expect("the broker takes events");
}

/// Fisher and Yates, with the numbers of splitmix64.
fn shuffle<T>(things: &mut [T]) {
    let mut state = SEED;
    for last in (1..things.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = state;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        things.swap(last, ((number ^ (number >> 31)) % (last as u64 + 1)) as usize);
    }
}
