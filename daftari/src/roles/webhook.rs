//! `daftari webhook verify`: whether a message that was received is ours, and fresh.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use notices::webhook::{Checks, Refused, Shown};

use crate::config::Webhook;
use crate::signals;

pub(crate) fn run(config: &Webhook) -> ExitCode {
    let Webhook::Verify { body, secret, id, timestamp, signature, tolerance } = config;
    let body = match read(body) {
        Ok(body) => body,
        Err(error) => {
            println!("could not check: {}", crate::told(&error));
            return ExitCode::from(2);
        }
    };
    let shown = Shown { id, timestamp, signatures: signature, body: &body };
    let (now, tolerance) = (signals::now_s() as i64, tolerance.0.as_secs() as i64);
    match Checks::parse(&secret.0).and_then(|it| it.check(shown, now, tolerance)) {
        Ok(()) => {
            println!("valid: the message {id} is signed by this secret, and fresh");
            ExitCode::SUCCESS
        }
        Err(refused @ Refused::Secret) => {
            println!("could not check: {refused}");
            ExitCode::from(2)
        }
        Err(refused) => {
            println!("refused: {refused}");
            ExitCode::from(1)
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match path.as_os_str() == "-" {
        true => std::io::stdin().read_to_end(&mut bytes).context("standard input cannot be read")?,
        false => std::fs::File::open(path)
            .and_then(|mut it| it.read_to_end(&mut bytes))
            .with_context(|| format!("{} cannot be read", path.display()))?,
    };
    Ok(bytes)
}
