//! What a receipt is and how anyone checks it: leaf codec, Merkle tree, tiles, checkpoint, receipt and the one
//! function that verifies them. Pure: no I/O, no clock, no randomness. `docs/formats.md` is normative.

#![warn(missing_docs)]

mod body;
mod bytes;
mod checkpoint;
mod declaration;
mod details;
mod entry;
mod hash;
mod header;
mod history;
mod keys;
mod leaf;
mod map;
mod map_parts;
mod note;
mod policy;
mod receipt;
mod tile;
mod tree;
mod verify;
mod witness;

#[cfg(test)]
mod tests;

pub use body::{Body, ExpiryAmount, Withdrawal};
pub use bytes::DecodeError;
pub use checkpoint::{Checkpoint, CheckpointError};
pub use declaration::declaration;
pub use details::{Details, Text, TextLength};
pub use entry::{Balances, Entry, LotMovement, NO_LEAF, lots_digest};
pub use hash::{Hash, Id, SaltPart, event_hash, log_id, origin_hash, rule_set_hash, salt};
pub use header::{Header, PostingKind};
pub use history::{History, HistoryRefusal, verify_history};
pub use keys::{KeyHistory, KeyLeaf, KeyTerm};
pub use leaf::{Commitments, LEAF_BYTES, Leaf, LeafKind};
pub use map::{MapAccount, MapProof, MapRefusal, MapRow, MapTree, MapValue};
pub use map_parts::{MAP_PART_ROWS, MapIndex};
pub use note::{Cosigner, NoteError, Signature, SignedNote, Signer, VerifierKey, cosigned_message};
pub use policy::{AnchorPlace, Policy, PolicyError, RetiredKey};
pub use receipt::{AnchorHint, OpenedLeaf, Part, PartValue, RECEIPT_BYTES_MAX, Receipt, ReceiptError};
pub use tile::{TILE_WIDTH, TileGroup, TileId, TileRows, bundle, bundle_leaves, root_over, tiles_between};
pub use tree::{
    Frontier, Node, consistency_proof, empty_root, inclusion_proof, leaf_hash, node_hash, subtree_root,
    verify_consistency, verify_inclusion,
};
pub use verify::{Refusal, Verified, VerifiedCheckpoint, verify, verify_checkpoint, verify_receipt};
pub use witness::{ADD_CHECKPOINT_BYTES_MAX, AddCheckpoint, WitnessRefusal};
