//! An erased member whom a topic still names: what Kafka holds is their producers', and nothing of it comes back into the books.

use ledger::{Command, Item, MemberRef, Request, Status};
use proof::{Details, Text};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use uuid::Uuid;

use super::kafka::{Consumer, keyed, send, topic};
use super::*;
use crate::ConsumerConfig;

const PATIENCE: Duration = Duration::from_secs(60);
/// Where brokers keep what consumer groups tell them.
const OFFSETS: &str = "__consumer_offsets";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_topic_holds_of_an_erased_member_does_not_come_back_and_is_not_ours() {
    let (world, config) = (World::new().await, topic(1).await);
    let name = format!("amina-{}", Uuid::new_v4().simple());
    let poison = format!(r#"{{"user_id":"{name}","type":"purchase"}}"#).into_bytes();
    send(&config, &[keyed(&name, "e-1", 5), (name.clone(), poison), keyed("baraka", "e-2", 7)]).await;
    let consumer = Consumer::start(&world, &config);
    until("each has a verdict", async || world.leaves().await == 2 && world.rejected().await.len() == 1)
        .await;
    consumer.stop().await;
    let id = erase(&world, &name).await;
    assert_eq!(world.rejected().await, []);

    // All of it is read once more, as by a group that has lost its offsets, and then a late event.
    let leaves = world.leaves().await;
    send(&config, &[keyed(&name, "e-3", 9), keyed("baraka", "e-4", 1)]).await;
    let again = ConsumerConfig { group: format!("{}.again", config.group), ..config.clone() };
    let consumer = Consumer::start(&world, &again);
    until("the last one is posted", async || leaves < world.leaves().await).await;
    consumer.stop().await;
    assert_eq!(world.leaves().await, leaves + 1);
    assert_eq!(world.rejected().await, [], "nor is what could not be read kept anew");
    let reader = store::Reader::new(world.pool.clone());
    for member in [MemberRef::parse(&name), MemberRef::Id(id)] {
        assert_eq!(reader.balance(world.program_id, 1, &member).await.unwrap(), None);
    }
    world.check_books().await;

    // Their topic has what they have sent. Beside it there is none of ours, and groups have left offsets and no names.
    assert_eq!(topics_like(&config).await, std::slice::from_ref(&config.topic));
    let sent = records(&config, &config.topic).await;
    assert_eq!((sent.len(), sent.iter().filter(|it| holds(it, &name)).count()), (5, 3));
    let kept = records(&config, OFFSETS).await;
    assert!(kept.iter().any(|it| holds(it, &again.group)), "what is looked through is what groups left");
    for trace in [&name, &id.to_string()] {
        assert!(!kept.iter().any(|it| holds(it, trace)), "{trace}");
    }
}

fn holds(record: &[u8], text: &str) -> bool {
    record.windows(text.len()).any(|it| it == text.as_bytes())
}

/// Erases the member as `daftari members erase` does, and gives who they were.
async fn erase(world: &World, name: &str) -> Uuid {
    let log = LogIdentity { log_id: [1; 32], origin: "log.test".into() };
    let keyring = Keyring::new(&[7; 32]);
    let conn = &mut *world.pool.acquire().await.unwrap();
    let found = store::member_to_erase(conn, world.program_id, &MemberRef::parse(name)).await;
    let member = found.unwrap().unwrap();
    let account = member.accounts[0].id;
    let details = Details {
        actor: Text::new("dpo").ok(),
        reason: Text::new(store::ERASURE_REASON).ok(),
        description: Text::new(format!("{}{account}", store::ERASED_ACCOUNT)).ok(),
        ..Details::default()
    };
    let command = Command::SetStatus { member: MemberRef::Id(member.member_id), status: Status::Closed };
    let item = Item { posting_id: Uuid::now_v7(), command, details };
    let request = Request::one(world.program_id, "erasure".to_owned(), format!("erasure:{account}"), item);
    let (committer, committing) =
        Committer::start(world.pool.clone(), &log, Keyring::new(&[7; 32])).await.unwrap();
    let acts = committer.submit(request).await.unwrap().outcome.unwrap();
    let acts: Vec<u64> = acts.iter().map(|it| it.leaf_index).collect();
    drop(committer);
    committing.await.unwrap();
    let sealed = world.check_books().await;
    let root: String = sealed.root.iter().map(|byte| format!("{byte:02x}")).collect();
    let checkpoint = format!(
        "insert into checkpoint (size, previous_size, root, note) values ({}, 0, decode('{root}', 'hex'), '')",
        sealed.leaves
    );
    store::tamper(conn, &checkpoint).await.unwrap();
    store::erase_member(conn, &keyring, world.program_id, &member, &acts).await.unwrap();
    member.member_id
}

fn client(config: &ConsumerConfig) -> BaseConsumer {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.brokers)
        .set("group.id", "looks-only")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true");
    client.create().unwrap()
}

/// The broker's topics whose names have this topic's in them: one for what was refused, or parked, would be called after it.
async fn topics_like(config: &ConsumerConfig) -> Vec<String> {
    let config = config.clone();
    let look = move || {
        let metadata = client(&config).fetch_metadata(None, PATIENCE).unwrap();
        let names = metadata.topics().iter().map(|it| it.name().to_owned());
        names.filter(|it| it.contains(&config.topic)).collect()
    };
    tokio::task::spawn_blocking(look).await.unwrap()
}

/// Keys and values of all records of a topic.
async fn records(config: &ConsumerConfig, topic: &str) -> Vec<Vec<u8>> {
    let (config, topic) = (config.clone(), topic.to_owned());
    let read = move || {
        let client = client(&config);
        let metadata = client.fetch_metadata(Some(&topic), PATIENCE).unwrap();
        let mut found = Vec::new();
        for partition in metadata.topics()[0].partitions() {
            let mut from = TopicPartitionList::new();
            from.add_partition_offset(&topic, partition.id(), Offset::Beginning).unwrap();
            client.assign(&from).unwrap();
            loop {
                match client.poll(PATIENCE) {
                    Some(Ok(message)) => {
                        let parts = [message.key(), message.payload()].map(Option::unwrap_or_default);
                        found.push(parts.concat());
                    }
                    Some(Err(KafkaError::PartitionEOF(_))) => break,
                    other => panic!("{topic}: {other:?}"),
                }
            }
        }
        found
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}
