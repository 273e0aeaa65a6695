//! `daftari contracts`: puts the contracts on a chain, and prepares changes of the token's code.

use std::path::Path;

use anyhow::{Context, ensure};
use chain::{Account, Addresses, Chain, Terms};

use crate::config::{ChainSender, Contracts};
use crate::keys;

pub(crate) async fn run(command: Contracts) -> anyhow::Result<()> {
    match command {
        Contracts::Deploy { sender, log_id, terms, out } => {
            let log_id = parse_log_id(&log_id)?;
            let terms = Terms::parse(&read(&terms)?)?;
            let (chain, account) = connect(&sender).await?;
            let addresses = chain::deploy(&chain, &account, &log_id, &terms).await?.to_json();
            match out {
                Some(path) => std::fs::write(&path, addresses)
                    .with_context(|| format!("cannot write {}", path.display()))?,
                None => print!("{addresses}"),
            }
        }
        Contracts::Upgrade { sender, addresses: file } => {
            let addresses = addresses(&file)?;
            let points = addresses.points.with_context(|| format!("{} names no token", file.display()))?;
            let (chain, account) = connect(&sender).await?;
            ensure!(chain.id() == addresses.chain_id, "the addresses are of chain {}", addresses.chain_id);
            let upgrade = chain::prepare_upgrade(&chain, &account, &points).await?;
            println!(
                "The new code is at {}. It is used once the timelock at {} was sent, by who may propose,\n{}\nand {} s \
                 later, by who may execute,\n{}",
                upgrade.implementation,
                upgrade.timelock,
                upgrade.schedule,
                upgrade.delay_seconds,
                upgrade.execute
            );
        }
    }
    Ok(())
}

/// The addresses in this file.
pub(crate) fn addresses(file: &Path) -> anyhow::Result<Addresses> {
    Addresses::parse(&read(file)?).with_context(|| file.display().to_string())
}

async fn connect(sender: &ChainSender) -> anyhow::Result<(Chain, Account)> {
    let account =
        keys::account(&sender.key).await?.context("a chain needs --chain-key-file or --chain-key-command")?;
    Ok((Chain::connect(&sender.chain_rpc_url.0).await?, account))
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn parse_log_id(text: &str) -> anyhow::Result<[u8; 32]> {
    let mut log_id = [0; 32];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut log_id)
        .with_context(|| format!("{text:?} is not a log id: 32 bytes in hexadecimal"))?;
    Ok(log_id)
}
