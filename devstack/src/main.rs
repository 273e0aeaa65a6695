//! `devstack run [--kafka] [--anvil] -- COMMAND…` runs a command with a PostgreSQL of its own, and with what else it asks for.

mod request;
mod session;

use std::process::{ExitCode, exit};

use devstack::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;

use crate::request::Request;
use crate::session::{Parts, Session};

const USAGE: &str = "\
usage: devstack run [--kafka] [--anvil] -- COMMAND [ARGUMENT…]

Starts PostgreSQL (and Kafka, and anvil) in a temporary folder, runs COMMAND, stops everything, removes the folder and
ends with COMMAND's exit status. COMMAND finds them in
  DAFTARI_TEST_POSTGRES   a superuser's URL
  DAFTARI_TEST_KAFKA      bootstrap servers
  DAFTARI_TEST_ANVIL      a JSON-RPC URL";

// As `env`, `timeout` and `nohup` have it: the wrapper failed, not the command.
const OUR_FAILURE: u8 = 125;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(request) = Request::parse(std::env::args_os().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(OUR_FAILURE);
    };
    match run(request).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("devstack: {error}");
            ExitCode::from(OUR_FAILURE)
        }
    }
}

async fn run(request: Request) -> Result<u8, Error> {
    let handler = |kind| signal(kind).expect("a signal handler can be set");
    let mut interrupt = handler(SignalKind::interrupt());
    let mut terminate = handler(SignalKind::terminate());
    let mut hang_up = handler(SignalKind::hangup());
    let mut a_child_ended = handler(SignalKind::child());
    let mut next_signal = async || {
        tokio::select! {
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = terminate.recv() => SignalKind::terminate(),
            _ = hang_up.recv() => SignalKind::hangup(),
        }
    };

    let wanted = (request.kafka, request.anvil);
    let starting = spawn_blocking(move || Parts::start(wanted.0, wanted.1));
    let parts = tokio::select! {
        parts = starting => parts.expect("starting does not panic")?,
        // Ending now ends whatever has been started, and its folder: that is what they are bound to.
        kind = next_signal() => exit(128 + kind.as_raw_value()),
    };

    let mut session = Session::start(&request.command, &parts)?;
    let code = loop {
        if let Some(code) = session.ended() {
            break code;
        }
        tokio::select! {
            _ = a_child_ended.recv() => {}
            kind = next_signal() => session.forward(kind),
        }
    };
    spawn_blocking(move || parts.stop()).await.expect("stopping does not panic")?;
    Ok(code)
}
