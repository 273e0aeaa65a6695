//! A log whose operator holds the key and may lie.

use std::path::PathBuf;
use std::sync::Arc;

use proof::{
    Body, Checkpoint, Hash, LEAF_BYTES, Leaf, LeafKind, OpenedLeaf, Policy, Signer, TileId, leaf_hash,
};
use tempfile::TempDir;
use tiles::{Edge, TileStore, plain_form, stored_form};

use crate::{Audit, AuditReport, Finding, Monitor, Source};

const ORIGIN: &str = "log.example/forger";

pub(super) struct Forger {
    pub(super) home: TempDir,
    pub(super) store: Arc<TileStore>,
    pub(super) signer: Signer,
    pub(super) log_id: Hash,
    pub(super) leaves: Vec<[u8; LEAF_BYTES]>,
    pub(super) edge: Edge,
}

impl Forger {
    pub(super) fn new() -> Self {
        let home = TempDir::new().unwrap();
        let store = Arc::new(TileStore::open(home.path().join("log")).unwrap());
        let signer = Signer::new(ORIGIN, &[5; 32]).unwrap();
        let log_id = proof::log_id(ORIGIN, signer.verifier_key().public_key());
        Self { home, store, signer, log_id, leaves: Vec::new(), edge: Edge::default() }
    }

    /// An honest log of this size, published in one step.
    pub(super) fn honest(size: u64) -> Self {
        let mut log = Self::new();
        log.grow(size);
        log
    }

    fn leaf(&self, leaf_index: u64, word: &[u8]) -> [u8; LEAF_BYTES] {
        let commitment = leaf_hash(&[word, &leaf_index.to_be_bytes()].concat());
        Leaf { kind: LeafKind::Posting, log_id: self.log_id, leaf_index, commitment }.encode()
    }

    /// Appends so many leaves, as a seal does.
    pub(super) fn grow(&mut self, count: u64) {
        if count == 0 && self.edge.size() != 0 {
            return;
        }
        let first = self.edge.size();
        self.append((first..first + count).map(|it| self.leaf(it, b"true")).collect());
    }

    /// Appends what the log says of itself, and publishes it nowhere opened.
    pub(super) fn declare(&mut self, body: Body) -> OpenedLeaf {
        let opened = proof::declaration(self.log_id, [1; 16], 1, body);
        self.append(vec![opened.leaf(self.edge.size()).encode()]);
        opened
    }

    fn append(&mut self, leaves: Vec<[u8; LEAF_BYTES]>) {
        self.leaves.extend(&leaves);
        let (after, tiles) = self.edge.extended(&leaves);
        for (tile, bytes) in &tiles {
            self.store.write(*tile, bytes).unwrap();
        }
        self.edge = after;
        self.store.publish_checkpoint(&self.note(), u64::MAX).unwrap();
        for (tile, bytes) in &tiles {
            self.store.hold(*tile, bytes).unwrap();
        }
    }

    pub(super) fn checkpoint(&self) -> Checkpoint {
        Checkpoint { origin: ORIGIN.to_owned(), size: self.edge.size(), root: self.edge.root() }
    }

    pub(super) fn note(&self) -> String {
        self.checkpoint().sign(&self.signer).encode()
    }

    /// Writes another leaf into history, with every tile above it. The checkpoint stays as it was signed.
    pub(super) fn rewrite(&mut self, leaf_index: u64) {
        self.leaves[leaf_index as usize] = self.leaf(leaf_index, b"false");
        let (after, tiles) = Edge::default().extended(&self.leaves);
        for (tile, bytes) in tiles {
            std::fs::write(self.path(&tile.path()), stored_form(tile, &bytes)).unwrap();
        }
        // One that remembers none of the tiles that were there.
        self.store = Arc::new(TileStore::open(self.home.path().join("log")).unwrap());
        self.edge = after;
    }

    /// Puts a checkpoint where the published one stands.
    pub(super) fn show(&self, note: &str) {
        std::fs::write(self.path("checkpoint"), note).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("log").join(name)
    }

    /// Flips one bit of what a tile or bundle holds.
    pub(super) fn flip(&self, tile: TileId, at: usize) {
        let path = self.path(&tile.path());
        let mut bytes = plain_form(tile, std::fs::read(&path).unwrap()).unwrap();
        bytes[at] ^= 1;
        std::fs::write(path, stored_form(tile, &bytes)).unwrap();
    }

    pub(super) fn policy(&self) -> Policy {
        Policy::of_log(self.signer.verifier_key())
    }

    /// A reader's own view: nothing of it was read before.
    pub(super) fn source(&self) -> Source {
        Source::Store(Arc::new(TileStore::open(self.home.path().join("log")).unwrap()))
    }

    pub(super) fn auditing(&self) -> Audit {
        Audit {
            source: self.source(),
            policy: self.policy(),
            parallel: 4,
            memory: None,
            kept: Vec::new(),
            anchors: Vec::new(),
        }
    }

    pub(super) async fn audit(&self) -> AuditReport {
        self.auditing().run(|_, _| {}).await.unwrap()
    }

    pub(super) async fn findings(&self) -> Vec<Finding> {
        self.audit().await.findings
    }

    pub(super) fn monitor(&self) -> Monitor {
        let folder = self.home.path().join("monitor");
        std::fs::create_dir_all(&folder).unwrap();
        Monitor { source: self.source(), policy: self.policy(), chain: None, folder, stale_after_s: None }
    }
}

pub(super) fn tile(level: u8, index: u64, width: u16) -> TileId {
    TileId { level: Some(level), index, width }
}

pub(super) fn bundle(index: u64, width: u16) -> TileId {
    TileId { level: None, index, width }
}
