//! `daftari export`: an account's period with its proofs, in one archive.

use std::sync::Arc;

use anyhow::{Context, ensure};
use ledger::MemberRef;
use proof::Policy;

use crate::config::Export;
use crate::keys;
use crate::roles::OpenBooks;
use crate::roles::books::archive;

pub(crate) async fn run(config: Export) -> anyhow::Result<()> {
    ensure!(config.from < config.to, "--from is before --to");
    ensure!(
        config.file.extension().is_some_and(|it| it == "tar"),
        "the archive's name ends in .tar: daftari verify knows it by that"
    );
    let at = || format!("the policy {} cannot be read", config.policy_file.display());
    let text = std::fs::read_to_string(&config.policy_file).with_context(at)?;
    let policy = Policy::parse(&text).with_context(at)?;
    let books = OpenBooks::open(&config.database).await?;
    let conn = &mut *books.pool.acquire().await?;
    archive::read(conn, &config.archived).await?;
    let program_id = books.program.program_id;
    let member = store::member_to_erase(conn, program_id, &MemberRef::parse(&config.member)).await?;
    let member = member.context("there is no such member")?;
    let account = member.accounts.iter().find(|it| it.unit == config.unit as i16);
    let account = account.with_context(|| format!("the member has no account in unit {}", config.unit))?;
    let export = verifier::Export {
        tiles: Arc::new(config.tiles.open()?),
        policy,
        keyring: books.keyring()?,
        log: books.log.clone(),
        program_id,
        member_id: member.member_id,
        account: (account.account_id, account.id),
        unit: config.unit,
        period_us: (config.from.as_microsecond(), config.to.as_microsecond()),
    };
    let mut files = export.files(conn).await?;
    // For whoever reads the archive: what to trust never comes from what is checked.
    files.push(("policy.txt".to_owned(), text.into_bytes()));
    keys::write_private(&config.file, &archive(&files)?)?;
    let receipts = files.iter().filter(|it| it.0.ends_with(".tlog-proof")).count();
    println!("{} holds {receipts} receipts and their statement.", config.file.display());
    println!("Anywhere: daftari verify {} --policy POLICY", config.file.display());
    Ok(())
}

/// The same files are the same bytes: no times, no owners.
fn archive(files: &[(String, Vec<u8>)]) -> anyhow::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, name, &bytes[..])?;
    }
    Ok(archive.into_inner()?)
}
