//! What an account went through in a period, for somebody who checks it elsewhere: a statement, a receipt for each of its
//! lines, those of the entries just before and after, and the newest map.

use std::sync::Arc;

use api::Problem;
use proof::{Part, Policy};
use store::{AsOf, Keyring, LogIdentity, Order, PgConnection, TrailEntry, Viewer};
use tiles::TileStore;
use uuid::Uuid;

use crate::maps::MapPlace;
use crate::receipts::{assemble, covering};
use crate::statement::{Line, STATEMENT, Statement};

/// How many entries are read at a time.
const PAGE: u32 = 1000;

/// Whose period is exported, and from where.
pub struct Export {
    /// The log's tiles.
    pub tiles: Arc<TileStore>,
    /// Where the log is anchored, and who signs it.
    pub policy: Policy,
    /// What opens the member's entries.
    pub keyring: Keyring,
    /// The log.
    pub log: LogIdentity,
    /// The program.
    pub program_id: i16,
    /// The member.
    pub member_id: Uuid,
    /// The account's number and its random name.
    pub account: (i64, Uuid),
    /// Its unit.
    pub unit: u16,
    /// The period in microseconds since 1970: its first instant, and the first after it.
    pub period_us: (i64, i64),
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database has no answer.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// A leaf is not covered by a checkpoint yet.
    #[error("leaf {0} is not sealed yet: ask again in a second")]
    NotSealed(u64),
    /// A proof cannot be made.
    #[error("no proof can be made: {0}")]
    Proof(String),
}

impl Export {
    /// The files, by name.
    pub async fn files(&self, conn: &mut PgConnection) -> Result<Vec<(String, Vec<u8>)>, ExportError> {
        let entries = self.entries(conn).await?;
        let mut files = Vec::new();
        let mut mapped = None;
        for entry in &entries {
            let viewer = Viewer::Member(self.member_id);
            let (program, posting) = (self.program_id, entry.posting_id);
            let opened =
                store::opened_posting(conn, &self.keyring, &self.log, program, posting, &viewer).await?;
            let (leaf_index, leaf) = opened
                .ok_or_else(|| ExportError::Proof(format!("the posting of leaf {}", entry.leaf_index)))?;
            let own = leaf.entries.iter().find_map(Part::opened).cloned();
            let told = |problem: Problem| ExportError::Proof(problem.told().to_owned());
            let covering = covering(&self.tiles, &self.policy, conn, leaf_index).await.map_err(told)?;
            let covering = covering.ok_or(ExportError::NotSealed(leaf_index))?;
            let text = assemble(&self.tiles, leaf, leaf_index, covering).await.map_err(told)?;
            files.push((format!("{:012}.tlog-proof", entry.version), text.into_bytes()));
            mapped = own.map(|it| (it, leaf_index)).or(mapped);
        }
        if let Some((entry, leaf_index)) = mapped {
            let place =
                MapPlace { tiles: &self.tiles, policy: &self.policy, keyring: &self.keyring, log: &self.log };
            let told = |problem: Problem| ExportError::Proof(problem.told().to_owned());
            if let Some(proof) = place.proof(conn, &entry, leaf_index).await.map_err(told)? {
                files.push(("newest.map-proof".to_owned(), proof.encode().into_bytes()));
            }
        }
        let statement = self.statement(&entries);
        files.push((
            STATEMENT.to_owned(),
            serde_json::to_vec_pretty(&statement).expect("a statement is plain data"),
        ));
        Ok(files)
    }

    /// The period's entries, and the ones just before and after it.
    async fn entries(&self, conn: &mut PgConnection) -> Result<Vec<TrailEntry>, ExportError> {
        let (number, (from, to)) = (self.account.0, self.period_us);
        let before = store::balance_as_of(conn, number, AsOf::Instant(from - 1)).await?.version;
        let mut entries: Vec<TrailEntry> = Vec::new();
        let mut after = before.saturating_sub(1);
        loop {
            let page = store::history(conn, number, Some(after), Order::Forward, PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            for entry in page {
                after = entry.version;
                let is_beyond = to <= entry.recorded_at_us;
                entries.push(entry);
                if is_beyond {
                    return Ok(entries);
                }
            }
            if is_last {
                return Ok(entries);
            }
        }
    }

    fn statement(&self, entries: &[TrailEntry]) -> Statement {
        let (from_us, to_us) = self.period_us;
        let before = entries.iter().rfind(|it| it.recorded_at_us < from_us);
        let opening = before.map(|it| it.after.into()).unwrap_or_default();
        let within = entries.iter().filter(|it| (from_us..to_us).contains(&it.recorded_at_us));
        let lines: Vec<Line> = within
            .map(|it| Line {
                sequence: it.version,
                leaf_index: it.leaf_index,
                transaction_id: it.posting_id,
                kind: it.kind.name().map_or_else(|| it.kind.0.to_string(), str::to_owned),
                recorded_at_us: it.recorded_at_us,
                change: it.change.into(),
                after: it.after.into(),
            })
            .collect();
        let closing = lines.last().map_or(opening, |it| it.after);
        let (log, account) = (self.log.origin.clone(), self.account.1);
        Statement { log, account, unit: self.unit, from_us, to_us, opening, lines, closing }
    }
}
