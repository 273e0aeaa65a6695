//! What an audit or a monitor can find, in words that name it.

use serde::Serialize;

/// Something that is not as an honest log would have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// A bundle holds something else than a leaf of this log at this index.
    #[error("leaf {leaf_index} is not a leaf of this log at this index")]
    ForeignLeaf {
        /// The leaf.
        leaf_index: u64,
    },
    /// A leaf was changed in its bundle: the tiles have another.
    #[error("leaf {leaf_index} was changed in its bundle: the tree has another leaf there")]
    LeafChanged {
        /// The leaf.
        leaf_index: u64,
    },
    /// A tile was changed: it does not hold what is below it.
    #[error("{path} was changed: its hash {row} is not that of what is below it")]
    TileChanged {
        /// The tile.
        path: String,
        /// Which of its hashes.
        row: u64,
    },
    /// A tile or bundle is missing or cannot be read.
    #[error("{problem}")]
    TileUnreadable {
        /// What is wrong.
        problem: String,
    },
    /// A leaf that is no posting is not there opened, or opens to another leaf.
    #[error("leaf {leaf_index} is no posting, and cannot be read: {problem}")]
    DeclarationUnreadable {
        /// The leaf.
        leaf_index: u64,
        /// What is wrong.
        problem: String,
    },
    /// The policy calls a key retired by a leaf that says no such thing, or at another time than the leaf's.
    #[error("leaf {leaf_index} does not retire the key that the policy says it does, or not at that time")]
    KeyNotRetired {
        /// The leaf.
        leaf_index: u64,
    },
    /// The account map beside the tiles is not the one that its leaf commits to.
    #[error("the account map of leaf {leaf_index}: {problem}")]
    MapDiffers {
        /// The leaf.
        leaf_index: u64,
        /// What is wrong.
        problem: String,
    },
    /// The checkpoint is not what the policy asks of one.
    #[error("the checkpoint is not this log's ({code}): {problem}")]
    CheckpointRefused {
        /// The refusal's code of `docs/formats.md`.
        code: &'static str,
        /// In words.
        problem: String,
    },
    /// The leaves are not those that were signed.
    #[error("the leaves do not give the root of the checkpoint of {size} leaves that the log signed")]
    RootDiffers {
        /// The checkpoint's size.
        size: u64,
    },
    /// Two signed checkpoints that cannot both be true.
    #[error(
        "the log signed two histories: its checkpoint of {newer} leaves does not extend the one of {older}"
    )]
    Forked {
        /// The older checkpoint's size.
        older: u64,
        /// The newer one's.
        newer: u64,
    },
    /// The tiles prove nothing between two signed checkpoints.
    #[error("the tiles do not show that the checkpoint of {newer} leaves extends the one of {older}")]
    Unproven {
        /// The older checkpoint's size.
        older: u64,
        /// The newer one's.
        newer: u64,
    },
    /// The log shows less than it has shown before.
    #[error("the log went back: it shows {shown} leaves, and has shown {seen}")]
    WentBack {
        /// What it shows.
        shown: u64,
        /// What it has shown.
        seen: u64,
    },
    /// Nothing fresh has come for too long.
    #[error("the checkpoint is stale: nothing vouches for it since {age_s} seconds")]
    Stale {
        /// How old the newest cosignature, or the file, is.
        age_s: u64,
    },
    /// A contract has another history.
    #[error("the contract on chain {chain_id} has another root at {size} leaves than the log shows")]
    AnchorDisagrees {
        /// The chain.
        chain_id: u64,
        /// The anchored size.
        size: u64,
    },
    /// A contract has more than the log shows.
    #[error(
        "the contract on chain {chain_id} has {anchored} leaves anchored, and the log shows only {shown}"
    )]
    AnchorAhead {
        /// The chain.
        chain_id: u64,
        /// What is anchored.
        anchored: u64,
        /// What the log shows.
        shown: u64,
    },
}
