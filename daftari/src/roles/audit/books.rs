//! The log held against the operator's own books: every posting is in it, every leaf is one, and the maps say what the
//! accounts have.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use auditor::{AuditReport, Source};
use ledger::AccountKind;
use proof::{Body, Hash, LeafKind, MapIndex, MapRow};
use serde::Serialize;
use store::{Keyring, LogIdentity, PgConnection, StoreError};
use tiles::Beside;

use crate::config::TheBooks;
use crate::keys;
use crate::roles::books::archive;

const PAGE: u32 = 10_000;

/// What holding the log against the books came to.
#[derive(Debug, Serialize)]
pub(super) struct BooksHeld {
    /// How many leaves of the books were recomputed.
    leaves: u64,
    /// How many maps were recomputed from the accounts.
    maps: u64,
    /// What members hold by the newest map, of each program and unit; the house accounts say the same below zero.
    members_hold: BTreeMap<String, i64>,
    /// How many accounts of the newest map were erased: what they had is counted, and nobody can open it.
    erased: u64,
    /// The first thing that is wrong.
    pub(super) problem: Option<String>,
}

impl BooksHeld {
    pub(super) fn told(&self) -> String {
        if let Some(problem) = &self.problem {
            return format!("Found: {problem}.\n");
        }
        let Self { leaves, maps, members_hold, erased, .. } = self;
        let hold: Vec<String> =
            members_hold.iter().map(|(whose, points)| format!("{points} points of {whose}")).collect();
        let hold = if hold.is_empty() {
            "no map says what members hold".to_owned()
        } else {
            format!("members hold {} by the newest, as the house accounts say", hold.join(", "))
        };
        format!(
            "Books: all {leaves} leaves are what the rows say, and what is sealed of them is the log; {maps} maps are what \
             the accounts had: {hold}; {erased} accounts are erased.\n"
        )
    }
}

/// Holds a sound log against the books, where they are at hand.
pub(super) async fn held(
    config: &TheBooks,
    source: &Source,
    report: &AuditReport,
) -> anyhow::Result<Option<BooksHeld>> {
    let (Some(url), Some(key_file)) = (&config.books, &config.wrapping_key_file) else { return Ok(None) };
    let keyring = keys::keyring(key_file)?;
    let pool = store::connect(&url.0, 1).await.context("cannot use the database")?;
    let conn = &mut *pool.acquire().await?;
    archive::read(conn, &config.archived).await?;
    let log = store::log_identity(conn).await?;
    ensure!(log.origin == report.origin, "these books are of the log {}", log.origin);
    let mut held = BooksHeld { leaves: 0, maps: 0, members_hold: BTreeMap::new(), erased: 0, problem: None };
    match held.check(conn, &keyring, &log, source, report).await {
        Ok(problem) => held.problem = problem,
        Err(error) => match error.downcast::<StoreError>() {
            Ok(StoreError::Damaged(problem)) => {
                held.problem = Some(format!("the books are damaged: {problem}"))
            }
            Ok(error) => return Err(error.into()),
            Err(error) => return Err(error),
        },
    }
    Ok(Some(held))
}

impl BooksHeld {
    async fn check(
        &mut self,
        conn: &mut PgConnection,
        keyring: &Keyring,
        log: &LogIdentity,
        source: &Source,
        report: &AuditReport,
    ) -> anyhow::Result<Option<String>> {
        // The rows give the root of every checkpoint that the books have recorded: the one that was audited is one.
        self.leaves = store::check_books_opened(conn, keyring).await?.leaves;
        match store::checkpoint_at(conn, report.size).await? {
            Some(recorded) if hex::encode(recorded.root) == report.root => {}
            Some(_) => {
                return Ok(Some(format!(
                    "the books have another root at {} leaves than the log",
                    report.size
                )));
            }
            None if report.size == 0 => {}
            None => {
                return Ok(Some(format!("the books never signed the checkpoint of {} leaves", report.size)));
            }
        }
        let maps = store::declarations_of(conn, log, LeafKind::Map).await?;
        for (leaf_index, map) in maps.into_iter().filter(|(it, _)| *it < report.size) {
            let Some(Body::Map { log_size, root, .. }) = map.body.as_ref().and_then(|it| it.opened()) else {
                continue;
            };
            let problem = self.check_map(conn, keyring, source, *log_size, *root).await?;
            if let Some(problem) = problem {
                return Ok(Some(format!("the map of leaf {leaf_index}: {problem}")));
            }
            self.maps += 1;
        }
        Ok(None)
    }

    /// Makes a map again from the accounts, and reads the published one beside it.
    async fn check_map(
        &mut self,
        conn: &mut PgConnection,
        keyring: &Keyring,
        source: &Source,
        log_size: u64,
        root: Hash,
    ) -> anyhow::Result<Option<String>> {
        let mut totals: BTreeMap<(i16, u16), [i128; 2]> = BTreeMap::new();
        let mut expected: Vec<(MapRow, i64, bool)> = Vec::new();
        let mut after = 0;
        loop {
            let (page, last) = store::mapped_accounts(conn, keyring, log_size, after, PAGE).await?;
            for it in &page {
                let balances = it.value.balances;
                let total =
                    i128::from(balances.available) + i128::from(balances.held) + i128::from(balances.pending);
                let side = usize::from(it.kind != AccountKind::Member);
                totals.entry((it.program_id, it.account.unit)).or_default()[side] += total;
                let salt = it.secret.as_ref().map(|secret| it.account.salt(secret));
                let row = it.account.row(&salt.unwrap_or_default(), &it.value);
                expected.push((row, it.account_id, salt.is_none()));
            }
            let Some(last) = last else { break };
            after = last;
        }
        expected.sort_unstable();
        self.erased = expected.iter().filter(|it| it.2).count() as u64;
        self.members_hold.clear();
        for ((program, unit), [members, houses]) in totals {
            if members + houses != 0 {
                return Ok(Some(format!(
                    "members hold {members} points of program {program}, unit {unit}, and the house accounts say {}",
                    -houses
                )));
            }
            let points = i64::try_from(members).context("members hold more points than there may be")?;
            self.members_hold.insert(format!("program {program}, unit {unit}"), points);
        }
        let index = MapIndex::decode(&source.beside(Beside::MapIndex(root)).await?)?;
        let mut expected = expected.into_iter();
        for part in 0..index.parts() {
            let rows = MapRow::decode_all(&source.beside(Beside::MapPart(root, part as u32)).await?)?;
            for row in rows {
                match expected.next() {
                    Some((it, number, _)) if row.key > it.key => {
                        return Ok(Some(format!("account {number} is not in it")));
                    }
                    Some((it, number, is_erased)) if row.key == it.key => {
                        if row.value != it.value && !is_erased {
                            return Ok(Some(format!(
                                "it says another thing of account {number} than its entries"
                            )));
                        }
                    }
                    _ => return Ok(Some("it has a row of no account".to_owned())),
                }
            }
        }
        Ok(expected.next().map(|(_, number, _)| format!("account {number} is not in it")))
    }
}
