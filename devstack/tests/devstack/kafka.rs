use std::fs;

use devstack::{Kafka, KafkaConfig, Scratch};
use rustix::process::Signal;

use crate::support::{is_alive, send};

#[test]
fn a_killed_broker_comes_back_in_the_same_folder() {
    let scratch = Scratch::new().unwrap();
    let config = KafkaConfig::new(scratch.path().join("kafka"));
    // Dates and the order of lines aside, this is the node's identity.
    let identity = || {
        let text = fs::read_to_string(config.data_dir.join("data/meta.properties")).unwrap();
        let mut lines: Vec<String> =
            text.lines().filter(|it| !it.starts_with('#')).map(String::from).collect();
        lines.sort();
        lines
    };
    let killed = Kafka::start(&config).unwrap();
    let before = identity();
    send(killed.pid(), Signal::KILL);
    drop(killed);

    let again = Kafka::start(&config).unwrap();
    assert_eq!(identity(), before);
    assert_eq!(again.brokers(), format!("127.0.0.1:{}", again.port()));
    let pid = again.pid();
    again.stop().unwrap();
    assert!(!is_alive(pid));
}
