//! The one executable. Each role reads its configuration, opens its doors, runs, and drains when it is told to stop.

mod bench;
mod config;
mod keys;
mod load;
mod logging;
mod roles;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use crate::config::{Config, Role};

fn main() -> ExitCode {
    end_quietly_unread();
    // A configuration that cannot be read ends the process here, with one sentence, before anything connects.
    let config = Config::parse();
    match run(config) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("daftari: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// `println!` panics where nobody reads what it says any more, as after `| head`. That is no defect, so nothing is said of it, and all
/// that is open is closed on the way out. A signal would not do: it would also end whoever writes to a socket.
fn end_quietly_unread() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let why = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if !(why.starts_with("failed printing to std") && why.contains("Broken pipe")) {
            usual(panic);
        }
    }));
}

/// The error and its causes in one sentence, without those that were told in the words before them.
pub(crate) fn told(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !sentence.contains(&cause) {
            let colon = if sentence.is_empty() { "" } else { ": " };
            sentence.push_str(colon);
            sentence.push_str(&cause);
        }
    }
    sentence
}

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<ExitCode> {
    logging::start(&config.logging)?;
    tracing::debug!(?config, "configured");
    match config.role {
        Role::Up(config) => roles::up::run(config).await?,
        Role::Api(config) => roles::api::run(config).await?,
        Role::Ingest(config) => roles::ingest::run(config).await?,
        Role::Sweep(config) => roles::sweep::run(config).await?,
        Role::Anchor(config) => roles::anchor::run(*config).await?,
        Role::Verifier(config) => roles::verifier::run(config).await?,
        Role::Verify(config) => return Ok(roles::verify::run(config).await),
        Role::Audit(config) => return Ok(roles::audit::run(config).await),
        Role::Monitor(config) => return roles::monitor::run(config).await,
        Role::Witness(config) => roles::witness::run(config).await?,
        Role::Migrate(config) => roles::migrate::run(config).await?,
        Role::Books(command) => roles::books::run(command).await?,
        Role::Export(config) => roles::export::run(config).await?,
        Role::Members(act) => roles::members::run(act).await?,
        Role::Keys(command) => roles::api_keys::run(command).await?,
        Role::Log(act) => roles::log::run(act).await?,
        Role::Contracts(command) => roles::contracts::run(command).await?,
        Role::Bridge(command) => return roles::bridge::run(command).await,
        Role::Anchors(config) => roles::anchors::run(config).await?,
        Role::Webhook(command) => return Ok(roles::webhook::run(&command)),
        Role::Bench(config) => bench::run(config).await?,
        Role::Load(config) => load::run(config).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_cause_is_told_once() {
        let error =
            anyhow::anyhow!("refused").context("PostgreSQL: refused").context("cannot use the database");
        assert_eq!(super::told(&error), "cannot use the database: PostgreSQL: refused");
    }
}
