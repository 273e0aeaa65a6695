//! The audit: every leaf, every tile, the root that was signed, every checkpoint and anchor that is known.

mod declarations;
mod look;
mod memory;

use std::path::PathBuf;

use futures::StreamExt;
use proof::{
    Checkpoint, Hash, KeyHistory, Leaf, Policy, TILE_WIDTH, TileId, VerifiedCheckpoint, verify_checkpoint,
};
use serde::Serialize;

use crate::anchors::Anchored;
use crate::climb::{Climb, fold};
use crate::finding::Finding;
use crate::proofs::{Extension, extension};
use crate::source::{Source, SourceError};
use look::{Looked, Truth, look};
use memory::Memory;

pub(crate) use memory::write_whole;

/// Enough to see what happened; a log that was wholly replaced would otherwise name each of its leaves.
const FINDINGS_MAX: usize = 100;
/// After so many tiles, about a million leaves, the walk is remembered.
const REMEMBER_TILES: u64 = 4096;

/// An audit of a whole log.
pub struct Audit {
    /// The log.
    pub source: Source,
    /// Whose key it must have signed with.
    pub policy: Policy,
    /// How many tiles are read at once.
    pub parallel: usize,
    /// Where the walk is remembered, so that the next one goes on from there.
    pub memory: Option<PathBuf>,
    /// Signed checkpoints that somebody has kept: the log must extend each.
    pub kept: Vec<String>,
    /// What contracts hold, read before the audit begins.
    pub anchors: Vec<Anchored>,
}

/// What an audit came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// The log.
    pub origin: String,
    /// How many leaves its checkpoint covers.
    pub size: u64,
    /// Its root, hexadecimal.
    pub root: String,
    /// The witnesses of the policy that cosigned it.
    pub witnesses: Vec<String>,
    /// How many leaves an earlier audit had passed already.
    pub resumed_from: u64,
    /// How many leaves were read now.
    pub leaves: u64,
    /// How many tiles and bundles were read now.
    pub tiles: u64,
    /// How many checkpoints, kept or remembered, it was held against.
    pub checkpoints: u64,
    /// How many anchors it was held against.
    pub anchors: u64,
    /// How many of the leaves read now are no postings, and were read opened.
    pub declarations: u64,
    /// How many of those are account maps, read to their last row.
    pub maps: u64,
    /// What those read now say of the log's keys: nobody but you can say whether your policy should.
    pub keys: Vec<KeySaid>,
    /// What is wrong, at most the first hundred.
    pub findings: Vec<Finding>,
}

/// What a `key` leaf says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeySaid {
    /// The leaf.
    pub leaf_index: u64,
    /// Whether it retires the key; else it introduces it.
    pub retired: bool,
    /// The key's public bytes, hexadecimal.
    pub public_key: String,
}

impl Audit {
    /// Reads the whole log, telling after each stretch how far it has come and how far it is.
    pub async fn run(&self, progress: impl FnMut(u64, u64)) -> Result<AuditReport, SourceError> {
        self.remembering(REMEMBER_TILES, progress).await
    }

    pub(crate) async fn remembering(
        &self,
        remember_tiles: u64,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<AuditReport, SourceError> {
        let note = self.source.checkpoint().await?;
        let note = note.ok_or_else(|| SourceError::Unreachable("nothing was ever published there".into()))?;
        let mut report = AuditReport::default();
        let VerifiedCheckpoint { checkpoint, witnesses, .. } = match verify_checkpoint(&note, &self.policy) {
            Ok(verified) => verified,
            Err(refusal) => {
                let (code, problem) = (refusal.code(), refusal.to_string());
                report.findings.push(Finding::CheckpointRefused { code, problem });
                return Ok(report);
            }
        };
        (report.origin, report.size) = (checkpoint.origin.clone(), checkpoint.size);
        (report.root, report.witnesses) = (hex::encode(checkpoint.root), witnesses);
        let memory = match &self.memory {
            Some(path) => Memory::read(path, &checkpoint.origin)?,
            None => Memory::default(),
        };
        let kept = self.kept.iter().chain(memory.checkpoint.as_ref());
        let kept = kept.map(|it| self.read_kept(it)).collect::<Result<Vec<_>, _>>()?;
        let (climb, declarations, declared_to) = (memory.climb, Vec::new(), 0);
        let mut walk =
            Walk { audit: self, remember_tiles, checkpoint, climb, declarations, declared_to, report };
        // What an earlier walk has passed says nothing of a log that is shorter now.
        if walk.checkpoint.size < walk.climb.tiles * TILE_WIDTH {
            walk.climb = Climb::default();
        }
        walk.report.resumed_from = walk.climb.tiles * TILE_WIDTH;
        walk.declared_to = walk.report.resumed_from;
        let mut keys = walk.keys_before();
        walk.walk(&mut keys, &mut progress).await?;
        let size = walk.checkpoint.size;
        walk.read_declarations(&mut keys, size).await?;
        walk.compare(&kept).await?;
        let Walk { climb, mut report, .. } = walk;
        if let Some(path) = &self.memory
            && report.findings.is_empty()
        {
            Memory { checkpoint: Some(note), climb }.write(path)?;
        }
        report.findings.truncate(FINDINGS_MAX);
        Ok(report)
    }

    fn read_kept(&self, note: &str) -> Result<Checkpoint, SourceError> {
        let verified = verify_checkpoint(note, &self.policy.vouched());
        let refused = |refusal: proof::Refusal| SourceError::Damaged {
            path: "a checkpoint that was kept".to_owned(),
            problem: refusal.to_string(),
        };
        Ok(verified.map_err(refused)?.checkpoint)
    }
}

struct Walk<'a> {
    audit: &'a Audit,
    remember_tiles: u64,
    checkpoint: Checkpoint,
    climb: Climb,
    // Those that were passed and are not read yet, and up to where the others were.
    declarations: Vec<Leaf>,
    declared_to: u64,
    report: AuditReport,
}

impl Walk<'_> {
    async fn walk(
        &mut self,
        keys: &mut KeyHistory,
        progress: &mut impl FnMut(u64, u64),
    ) -> Result<(), SourceError> {
        let audit = self.audit;
        let (size, from) = (self.checkpoint.size, self.climb.tiles);
        let log_id = audit.policy.log_id(&self.checkpoint.origin).expect("the checkpoint was verified");
        let looks = (from..size.div_ceil(TILE_WIDTH)).map(|index| {
            let source = audit.source.clone();
            tokio::spawn(async move { look(&source, log_id, index, size).await })
        });
        // Lazily: no more tiles are asked for at once than fit in memory, and they come in order.
        let mut looks = futures::stream::iter(looks).buffered(audit.parallel.max(1));
        let mut rest = None;
        while let Some(looked) = looks.next().await {
            let looked = match looked.expect("looking at a tile does not panic") {
                Ok(looked) => looked,
                // Neither side of it can be read: there is nothing to climb on with.
                Err(error) => return self.unreadable(error).map(|_: Option<Hash>| ()),
            };
            self.report.leaves += looked.hashes().len() as u64;
            self.report.tiles += 2;
            self.declarations.extend(&looked.declarations);
            if (looked.hashes().len() as u64) < TILE_WIDTH {
                rest = Some(looked);
                break;
            }
            self.pass(looked).await?;
            if self.climb.tiles.is_multiple_of(256) {
                progress(self.climb.tiles * TILE_WIDTH, size);
            }
            if self.climb.tiles.is_multiple_of(self.remember_tiles)
                && let Some(path) = &audit.memory
            {
                // What is remembered is not read again, so what was said up to here is read first.
                self.read_declarations(keys, self.climb.tiles * TILE_WIDTH).await?;
                if self.report.findings.is_empty() {
                    // The signed checkpoint is remembered only at the end: until then it is only said, not seen.
                    let checkpoint = Memory::read(path, &self.checkpoint.origin)?.checkpoint;
                    Memory { checkpoint, climb: self.climb.clone() }.write(path)?;
                }
            }
        }
        for (tile, row) in self.climb.open_tiles() {
            self.compare_tile(tile, &row).await?;
        }
        self.end(rest);
        progress(size, size);
        Ok(())
    }

    /// Passes a full tile. Where bundle and tile differ, the tile above tells which of them the tree has.
    async fn pass(&mut self, looked: Looked) -> Result<(), SourceError> {
        let sides = [looked.leaves.as_deref().map(fold), looked.tile.as_deref().map(fold)];
        let truth = match &sides {
            [Some(leaves), Some(tile)] if leaves != tile => {
                let above = proof::Node { level: 8, index: self.climb.tiles };
                let tile_above = TileId::holding(above, self.checkpoint.size);
                let above = match self.audit.source.tile(tile_above).await {
                    Ok(bytes) => TileId::node(&bytes, above),
                    Err(error) => self.unreadable(error)?,
                };
                if above == sides[0] { Truth::Leaves } else { Truth::Tile }
            }
            _ => Truth::Tile,
        };
        let hash = match truth {
            Truth::Leaves => sides[0],
            Truth::Tile => sides[1].or(sides[0]),
        };
        self.note(looked.findings(truth));
        for (tile, row) in self.climb.pass(hash.expect("one of the two was read")) {
            self.compare_tile(tile, &row).await?;
        }
        Ok(())
    }

    /// The last tile, which nothing stands above but the root.
    fn end(&mut self, rest: Option<Looked>) {
        let root = self.checkpoint.root;
        let gives_root = |it: Option<&[Hash]>| it.is_some_and(|rest| self.climb.root(rest) == root);
        let (is_root, findings) = match &rest {
            None => (gives_root(Some(&[])), Vec::new()),
            Some(looked) => {
                let (leaves, tile) =
                    (gives_root(looked.leaves.as_deref()), gives_root(looked.tile.as_deref()));
                let truth = if leaves { Truth::Leaves } else { Truth::Tile };
                (leaves || tile, looked.findings(truth))
            }
        };
        self.note(findings);
        if !is_root {
            self.note([Finding::RootDiffers { size: self.checkpoint.size }]);
        }
    }

    async fn compare_tile(&mut self, tile: TileId, row: &[Hash]) -> Result<(), SourceError> {
        self.report.tiles += 1;
        let bytes = match self.audit.source.tile(tile).await {
            Ok(bytes) => bytes,
            Err(error) => return self.unreadable(error).map(|_: Option<Hash>| ()),
        };
        let published = bytes.as_chunks::<32>().0;
        if let Some(row) = (0..row.len()).find(|at| published[*at] != row[*at]) {
            self.note([Finding::TileChanged { path: tile.path(), row: row as u64 }]);
        }
        Ok(())
    }

    async fn compare(&mut self, kept: &[Checkpoint]) -> Result<(), SourceError> {
        let newer = self.checkpoint.clone();
        for older in kept {
            self.report.checkpoints += 1;
            let (older_size, newer_size) = (older.size, newer.size);
            if newer_size < older_size {
                self.note([Finding::WentBack { shown: newer_size, seen: older_size }]);
                continue;
            }
            match extension(&self.audit.source, older, &newer).await {
                Ok(Extension::Extends) => {}
                Ok(Extension::Forks { .. }) => {
                    self.note([Finding::Forked { older: older_size, newer: newer_size }]);
                }
                Ok(Extension::Unproven) => {
                    self.note([Finding::Unproven { older: older_size, newer: newer_size }]);
                }
                Err(error) => self.unreadable(error).map(|_: Option<Hash>| ())?,
            }
        }
        for anchored in &self.audit.anchors {
            self.report.anchors += 1;
            match anchored.compare(&self.audit.source, &newer).await {
                Ok(finding) => self.note(finding),
                Err(error) => self.unreadable(error).map(|_: Option<Hash>| ())?,
            }
        }
        Ok(())
    }

    // That the log does not answer ends the audit; that it answers with something else is what the audit is for.
    fn unreadable<T>(&mut self, error: SourceError) -> Result<Option<T>, SourceError> {
        match error {
            SourceError::Unreachable(_) => Err(error),
            error => {
                self.note([Finding::TileUnreadable { problem: error.to_string() }]);
                Ok(None)
            }
        }
    }

    fn note(&mut self, findings: impl IntoIterator<Item = Finding>) {
        let room = FINDINGS_MAX.saturating_sub(self.report.findings.len());
        self.report.findings.extend(findings.into_iter().take(room));
    }
}
