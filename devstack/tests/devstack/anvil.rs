use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use devstack::{Anvil, AnvilConfig, Scratch};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{eventually, send};

fn kept_in(folder: &Path) -> AnvilConfig {
    AnvilConfig { state_file: Some(folder.join("chain.json")), ..AnvilConfig::default() }
}

fn height(anvil: &Anvil) -> Value {
    anvil.rpc("eth_blockNumber", json!([])).unwrap()
}

fn block_hash(anvil: &Anvil, height: &str) -> Value {
    anvil.rpc("eth_getBlockByNumber", json!([height, false])).unwrap()["hash"].clone()
}

fn mine(anvil: &Anvil, blocks: u32) {
    anvil.rpc("anvil_mine", json!([blocks])).unwrap();
}

#[test]
fn a_stopped_chain_goes_on_where_it_was() {
    let scratch = Scratch::new().unwrap();
    let config = kept_in(scratch.path());
    let anvil = Anvil::start(&config).unwrap();
    mine(&anvil, 5);
    let hash = block_hash(&anvil, "0x3");
    anvil.stop().unwrap();

    let anvil = Anvil::start(&config).unwrap();
    assert_eq!(height(&anvil), "0x5");
    assert_eq!(block_hash(&anvil, "0x3"), hash);
}

#[test]
fn a_killed_chain_loses_about_a_second() {
    let scratch = Scratch::new().unwrap();
    let config = kept_in(scratch.path());
    let anvil = Anvil::start(&config).unwrap();
    mine(&anvil, 5);
    eventually("the kept state has five blocks", || {
        let kept = fs::read(scratch.path().join("chain.json")).unwrap_or_default();
        serde_json::from_slice::<Value>(&kept).is_ok_and(|it| it["best_block_number"] == 5)
    });
    send(anvil.pid(), Signal::KILL);
    drop(anvil);
    assert_eq!(height(&Anvil::start(&config).unwrap()), "0x5");
}

#[test]
fn half_a_state_is_no_obstacle() {
    let scratch = Scratch::new().unwrap();
    let config = kept_in(scratch.path());
    let anvil = Anvil::start(&config).unwrap();
    mine(&anvil, 5);
    anvil.stop().unwrap();

    let whole = fs::read(scratch.path().join("chain.json")).unwrap();
    fs::write(scratch.path().join("chain.live"), &whole[..whole.len() / 2]).unwrap();
    assert_eq!(height(&Anvil::start(&config).unwrap()), "0x5");
}

#[test]
fn a_whole_state_written_at_the_end_is_used() {
    let scratch = Scratch::new().unwrap();
    let config = kept_in(scratch.path());
    let chain_of = |blocks| {
        let anvil = Anvil::start(&config).unwrap();
        mine(&anvil, blocks);
        anvil.stop().unwrap();
        fs::read(scratch.path().join("chain.json")).unwrap()
    };
    let before = chain_of(5);
    let at_the_end = chain_of(2);
    // As after a crash of both: the last second was written by anvil, and not kept any more.
    fs::write(scratch.path().join("chain.json"), before).unwrap();
    fs::write(scratch.path().join("chain.live"), at_the_end).unwrap();
    assert_eq!(height(&Anvil::start(&config).unwrap()), "0x7");
}

#[test]
fn two_chains_do_not_meet_and_have_the_id_they_were_given() {
    let other = AnvilConfig { chain_id: 80002, ..AnvilConfig::default() };
    let (one, two) = (Anvil::start(&AnvilConfig::default()).unwrap(), Anvil::start(&other).unwrap());
    mine(&one, 3);
    assert_eq!((height(&one), height(&two)), (json!("0x3"), json!("0x0")));
    assert_eq!(one.rpc("eth_chainId", json!([])).unwrap(), "0x7a69");
    assert_eq!(two.rpc("eth_chainId", json!([])).unwrap(), "0x13882");
    assert!(two.rpc("no_such_method", json!([])).is_err());
}

#[test]
fn blocks_come_by_themselves_where_asked_for() {
    let config = AnvilConfig { block_time: Some(Duration::from_secs(1)), ..AnvilConfig::default() };
    let anvil = Anvil::start(&config).unwrap();
    eventually("there is a block", || height(&anvil) != "0x0");
}

/// The answer to a web page of this origin, head and body.
fn asked_by_page(anvil: &Anvil, method: &str, origin: &str, content_type: &str) -> String {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"anvil_reset","params":[]}"#;
    let mut stream = TcpStream::connect(("127.0.0.1", anvil.port())).unwrap();
    write!(
        stream,
        "{method} / HTTP/1.0\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: content-type\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.to_lowercase()
}

#[test]
fn only_the_page_of_one_origin_may_call() {
    let ours = "http://127.0.0.1:8080";
    let config = AnvilConfig { allow_origin: Some(ours.to_owned()), ..AnvilConfig::default() };
    let anvil = Anvil::start(&config).unwrap();
    mine(&anvil, 5);
    for origin in [ours, "https://evil.example"] {
        let preflight = asked_by_page(&anvil, "OPTIONS", origin, "application/json");
        assert!(preflight.contains(&format!("access-control-allow-origin: {ours}\r\n")), "{preflight}");
    }
    // What a browser sends without a preflight is not taken for a call.
    asked_by_page(&anvil, "POST", "https://evil.example", "text/plain");
    assert_eq!(height(&anvil), "0x5");
}
