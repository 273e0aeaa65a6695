//! `daftari witness`: cosigns the checkpoints of the logs that it follows.

use std::sync::Arc;

use anyhow::Context;
use proof::{Cosigner, Policy};
use tokio::net::TcpListener;

use crate::config::Witness;
use crate::keys;
use crate::signals::{self, now_s};

pub(crate) async fn run(config: Witness) -> anyhow::Result<()> {
    let stop = signals::stop_on_signal()?;
    let at = || format!("the policy {} cannot be read", config.policy.display());
    let policy =
        Policy::parse(&std::fs::read_to_string(&config.policy).with_context(at)?).with_context(at)?;
    if !config.key_file.exists() {
        keys::write_secret(&config.key_file, &keys::random_hex()?)?;
    }
    let cosigner = Cosigner::new(&config.name, &*keys::read_key(&config.key_file)?)?;
    let key = cosigner.verifier_key().encode();
    let witness = auditor::Witness::open(cosigner, &policy, config.memory, Arc::new(now_s))?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    // What logs and verifiers write into their policies.
    println!("witness {} {key} http://{}", config.name, listener.local_addr()?);
    let serving = axum::serve(listener, Arc::new(witness).router());
    serving.with_graceful_shutdown(async move { stop.cancelled().await }).await?;
    Ok(())
}
