use std::net::TcpStream;
use std::process::Command;

use devstack::{TEST_POSTGRES, test_postgres_url};

use crate::support::eventually;

#[test]
fn one_server_serves_the_whole_process() {
    let url = test_postgres_url().unwrap();
    assert_eq!(test_postgres_url().unwrap(), url);
    println!("url {url}");
}

#[test]
fn the_lazily_started_server_ends_with_its_process() {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", "testing::one_server_serves_the_whole_process", "--nocapture"]);
    let output = process.env_remove(TEST_POSTGRES).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let url = output.lines().find_map(|it| it.split("url ").nth(1)).unwrap_or_else(|| panic!("{output}"));
    let address = url.split(['@', '/']).find(|it| it.starts_with("127.0.0.1:")).unwrap();
    eventually("nobody listens any more", || TcpStream::connect(address).is_err());
}
