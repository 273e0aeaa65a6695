//! `daftari books archive` and `restore`: old postings move into files and back, and are read there for as long as a command
//! runs. What is done first is durable before what it allows: the file before its record, the record before the file's name, and
//! that before the first row goes.

mod file;

use std::path::Path;

use anyhow::{Context, bail, ensure};
use proof::Hash;
use serde_json::{Value, json};
use store::{ArchiveStage, Deed, NewArchive, PgConnection};

use self::file::{Lines, Writer};
use crate::config::{Archive, Archived, Restore};
use crate::roles::OpenBooks;

/// How many postings are read at a time; a page of the file is what one transaction moves.
const PAGE: u32 = 1000;
const DAY_US: i64 = 24 * 3600 * 1_000_000;

pub(crate) async fn archive(config: Archive) -> anyhow::Result<()> {
    let books = OpenBooks::open(&config.database).await?;
    let conn = &mut *books.pool.acquire().await?;
    store::begin_moving(conn).await?;
    let newest = store::archives(conn).await?.pop();
    match &newest {
        Some(it) if it.stage == ArchiveStage::Returning => {
            bail!("{} is coming back: run `daftari books restore` to its end first", it.file)
        }
        // It was cut off: what it had written down is done first.
        Some(it) if it.stage == ArchiveStage::Moving => {
            if config.dry_run {
                println!("{} was cut off, and would be archived to its end first.", it.file);
                return Ok(());
            }
            take_away(conn, &config.to, it).await?;
        }
        _ => {}
    }
    find_strays(conn, &books.log.log_id, &config).await?;
    let first = newest.map_or(0, |it| it.end_leaf_index);
    let before = match (config.before, config.older_than_days) {
        (Some(before), _) => before,
        (None, days) => {
            let instant = store::clock_us(conn).await? - i64::from(days.unwrap_or_default()) * DAY_US;
            store::size_at(conn, instant).await?
        }
    };
    let archivable = store::archivable(conn).await?;
    let end = before.min(archivable);
    if end <= first {
        let is = if config.dry_run { "would be" } else { "is" };
        let why = match before <= first {
            true => "it is younger than what is asked for",
            false => "it is not sealed and anchored for good yet",
        };
        println!("Nothing {is} archived from leaf {first} on: {why}.");
        return Ok(());
    }
    if config.dry_run {
        println!("The leaves from {first} to before {end} would be archived.");
        if end < before {
            println!("Those from {end} to before {before} are not sealed and anchored for good yet.");
        }
        return Ok(());
    }
    let mut writer = Writer::begin(&config.to, &books.log.log_id, first, end)?;
    let mut next = first;
    loop {
        let lines = store::archive_lines(conn, next, end, PAGE).await?;
        let Some(last) = lines.last() else { break };
        next = last.leaf_index as u64 + 1;
        writer.write(&lines)?;
    }
    let written = writer.end()?;
    let mut acting = books.acting().await?;
    let new = NewArchive {
        first_leaf_index: first,
        end_leaf_index: end,
        postings: written.postings,
        digest: written.digest,
        file: &written.file,
    };
    store::begin_archive(acting.conn(), &new).await?;
    let after = range((first, end), written.postings, &written.digest);
    let (action, subject) = ("postings.archived".to_owned(), written.file.clone());
    books.done(acting, &config.who, Deed { action, subject, before: None, after: Some(after) }).await?;
    let newest = store::archives(conn).await?.pop().context("the archive was just written down")?;
    take_away(conn, &config.to, &newest).await
}

/// Takes away what an archiving that was cut off has left of its file, and names the files of which these books know nothing. Such a
/// one stays: it may be the only file of other books with this log, such as those that these were copied from.
async fn find_strays(conn: &mut PgConnection, log_id: &Hash, config: &Archive) -> anyhow::Result<()> {
    let (begun, named) = file::strays(&config.to, log_id, &store::archive_files(conn).await?)?;
    for path in begun {
        if !config.dry_run {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        let done = if config.dry_run { "would be removed" } else { "is removed" };
        println!("{} was begun and never written down: it {done}.", path.display());
    }
    for path in named {
        println!(
            "{} names members, and these books do not know it: if no other books have archived it, destroy it.",
            path.display()
        );
    }
    Ok(())
}

/// A range as acts tell of it.
fn range((first, end): (u64, u64), postings: u64, digest: &Hash) -> Value {
    json!({
        "first_leaf_index": first, "end_leaf_index": end, "postings": postings, "sha256": hex::encode(digest),
    })
}

/// Takes the rows away that the archive's file has, which is read whole before the first of them goes.
async fn take_away(conn: &mut PgConnection, folder: &Path, archive: &store::Archive) -> anyhow::Result<()> {
    let log = store::log_identity(conn).await?;
    file::settle(folder, &log.log_id, archive)?;
    let mut lines = Lines::open(folder, &archive.file)?;
    while let Some(page) = lines.page()? {
        store::take_away(conn, archive, &page).await?;
    }
    store::end_archive(conn, archive).await?;
    store::vacuum_archived(conn)
        .await
        .context("the postings are archived, but VACUUM did not end: run it by hand")?;
    println!(
        "{} postings of the leaves from {} to before {} are in {}. Keep the file: it is the only one.",
        archive.postings, archive.first_leaf_index, archive.end_leaf_index, archive.file
    );
    Ok(())
}

pub(crate) async fn restore(config: Restore) -> anyhow::Result<()> {
    let books = OpenBooks::open(&config.database).await?;
    let conn = &mut *books.pool.acquire().await?;
    store::begin_moving(conn).await?;
    let log = store::log_identity(conn).await?;
    let archives = store::archives(conn).await?;
    let wanted = archives.iter().rev().filter(|it| config.leaf < it.end_leaf_index);
    for archive in wanted.clone() {
        // All of them first: nothing comes back by half because a file is missing.
        file::settle(&config.from, &log.log_id, archive)?;
        if config.dry_run {
            println!(
                "{} would come back, with {} postings of the leaves from {} to before {}.",
                archive.file, archive.postings, archive.first_leaf_index, archive.end_leaf_index
            );
        }
    }
    if config.dry_run {
        return Ok(());
    }
    for archive in wanted {
        if archive.stage != ArchiveStage::Returning {
            let mut acting = books.acting().await?;
            store::begin_return(acting.conn(), archive).await?;
            let leaves = (archive.first_leaf_index, archive.end_leaf_index);
            let before = range(leaves, archive.postings, &archive.digest);
            let (action, subject) = ("postings.restored".to_owned(), archive.file.clone());
            books
                .done(acting, &config.who, Deed { action, subject, before: Some(before), after: None })
                .await?;
        }
        let mut lines = Lines::open(&config.from, &archive.file)?;
        while let Some(page) = lines.page()? {
            store::give_back(conn, archive, &page).await?;
        }
        store::end_return(conn, archive).await?;
        println!(
            "{} is back: {} postings. Keep the file as long as a backup from before now.",
            archive.file, archive.postings
        );
    }
    Ok(())
}

/// Shows this connection the archived postings in this folder with those that are in the tables, if a folder is named.
pub(crate) async fn read(conn: &mut PgConnection, archived: &Archived) -> anyhow::Result<()> {
    let Some(folder) = &archived.folder else { return Ok(()) };
    let log = store::log_identity(conn).await?;
    store::begin_reading(conn).await?;
    let archives = store::archives(conn).await?;
    for archive in &archives {
        Lines::check(folder, &log.log_id, archive)?;
        let mut lines = Lines::open(folder, &archive.file)?;
        while let Some(page) = lines.page()? {
            store::read_lines(conn, archive, &page).await?;
        }
    }
    store::end_reading(conn).await?;
    ensure!(store::archives(conn).await?.is_empty(), "archives are read as if they were none");
    Ok(())
}
