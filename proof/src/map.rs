//! The account map: one sorted tree over every account at a log size, which makes a chain of receipts complete.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::body::Body;
use crate::bytes::{DecodeError, Reader};
use crate::checkpoint::{decimal, hash_line};
use crate::entry::Balances;
use crate::hash::{Hash, Id, T_MAP_KEY, T_MAP_SALT, T_MAP_VALUE, hash};
use crate::policy::Policy;
use crate::receipt::RECEIPT_BYTES_MAX;
use crate::tree::{leaf_hash, node_hash, verify_inclusion};
use crate::verify::{Refusal, Verified, verify};

const FIRST_LINE: &str = "daftari/map-proof@v1";
const PATH_MAX: usize = 63;
const VALUE_BYTES: usize = 72;

/// An account at a log size. Its id is random and known to its holder and the operator alone: nobody else can find it in
/// the map, and each map has it under another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MapAccount {
    /// The account.
    pub account: Id,
    /// Its unit.
    pub unit: u16,
    /// The log size that the map describes.
    pub log_size: u64,
}

/// What the map says of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapValue {
    /// The number of its last entry.
    pub sequence: u64,
    /// Its balances after that.
    pub balances: Balances,
    /// The leaf of its last entry.
    pub leaf_index: u64,
    /// The commitment of its last entry.
    pub commitment: Hash,
}

/// One row of the map, closed: a key and a commitment, which say nothing to whoever knows neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MapRow {
    /// Where the account stands: the map's rows ascend by it.
    pub key: Hash,
    /// The commitment to its value.
    pub value: Hash,
}

impl MapAccount {
    /// The key under which this account, and no other, stands in this map: whoever knows the account computes it.
    pub fn key(&self) -> Hash {
        hash(&[&T_MAP_KEY, &self.log_size.to_be_bytes(), &self.account, &self.unit.to_be_bytes()])
    }

    /// The salt of its value, under the account's secret.
    pub fn salt(&self, secret: &[u8; 32]) -> Hash {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
        mac.update(&T_MAP_SALT);
        mac.update(&self.log_size.to_be_bytes());
        mac.update(&self.account);
        mac.update(&self.unit.to_be_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Its row.
    pub fn row(&self, salt: &Hash, value: &MapValue) -> MapRow {
        MapRow { key: self.key(), value: hash(&[&T_MAP_VALUE, salt, &value.encode()]) }
    }
}

impl MapValue {
    fn encode(&self) -> [u8; VALUE_BYTES] {
        let mut bytes = [0; VALUE_BYTES];
        bytes[..8].copy_from_slice(&self.sequence.to_be_bytes());
        let Balances { available, held, pending } = self.balances;
        for (at, balance) in [available, held, pending].into_iter().enumerate() {
            bytes[8 + at * 8..16 + at * 8].copy_from_slice(&balance.to_be_bytes());
        }
        bytes[32..40].copy_from_slice(&self.leaf_index.to_be_bytes());
        bytes[40..].copy_from_slice(&self.commitment);
        bytes
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let sequence = reader.u64()?;
        let balances = Balances { available: reader.i64()?, held: reader.i64()?, pending: reader.i64()? };
        if sequence == 0 {
            return Err(DecodeError("an account in the map has an entry"));
        }
        Ok(Self { sequence, balances, leaf_index: reader.u64()?, commitment: reader.array()? })
    }
}

impl MapRow {
    /// The 64 bytes that the map's tree hashes.
    pub fn encode(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.key);
        bytes[32..].copy_from_slice(&self.value);
        bytes
    }
}

/// The map's tree. It is built once and never grows, which is what `rs_merkle` is for; its proofs are checked by our own
/// verifier.
pub struct MapTree {
    keys: Vec<Hash>,
    tree: rs_merkle::MerkleTree<Rfc6962>,
}

impl MapTree {
    /// The tree over these rows, in any order; `None` where an account stands in it twice.
    pub fn new(mut rows: Vec<MapRow>) -> Option<Self> {
        rows.sort_unstable();
        if rows.windows(2).any(|pair| pair[0].key == pair[1].key) {
            return None;
        }
        let hashes: Vec<Hash> = rows.iter().map(|it| leaf_hash(&it.encode())).collect();
        let keys = rows.into_iter().map(|it| it.key).collect();
        Some(Self { keys, tree: rs_merkle::MerkleTree::from_leaves(&hashes) })
    }

    /// How many accounts it holds.
    pub fn accounts(&self) -> u64 {
        self.keys.len() as u64
    }

    /// Its root, as a `map` leaf's body carries it.
    pub fn root(&self) -> Hash {
        self.tree.root().unwrap_or_else(crate::tree::empty_root)
    }

    /// Where this account stands, and the path from there to the root.
    pub fn proof(&self, account: &MapAccount) -> Option<(u64, Vec<Hash>)> {
        let index = self.keys.binary_search(&account.key()).ok()?;
        Some((index as u64, self.tree.proof(&[index]).proof_hashes().to_vec()))
    }
}

/// `rs_merkle` with RFC 6962's prefixes: a lone node goes up unchanged.
pub(crate) struct Rfc6962;

impl Clone for Rfc6962 {
    fn clone(&self) -> Self {
        Self
    }
}

impl rs_merkle::Hasher for Rfc6962 {
    type Hash = Hash;

    fn hash(data: &[u8]) -> Hash {
        hash(&[data])
    }

    fn concat_and_hash(left: &Hash, right: Option<&Hash>) -> Hash {
        right.map_or(*left, |right| node_hash(left, right))
    }
}

/// A file that shows an account's place in the map: the opened row, its path, and the receipt of the `map` leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapProof {
    /// The account.
    pub account: MapAccount,
    /// The salt of its value.
    pub salt: Hash,
    /// What the map says of it.
    pub value: MapValue,
    /// Its row's place in the map.
    pub index: u64,
    /// The path from there to the map's root, the row's sibling first.
    pub path: Vec<Hash>,
    /// The receipt of the `map` leaf, with its body opened.
    pub receipt: String,
}

/// Why a map proof is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapRefusal {
    /// Not the lines of a map proof.
    #[error("it is not a map proof: {0}")]
    Malformed(&'static str),
    /// The receipt that it carries is refused.
    #[error("the map's own receipt: {0}")]
    Receipt(Refusal),
    /// The receipt is of another leaf.
    #[error("the receipt is not of a map of this log size, at or after it, with its body opened")]
    NotThisMap,
    /// The row is not in the map.
    #[error("the account does not stand in the map with this value")]
    NotIncluded,
}

impl MapProof {
    /// The proof as a file.
    pub fn encode(&self) -> String {
        let MapAccount { account, unit, log_size } = &self.account;
        let row =
            [&account[..], &unit.to_be_bytes(), &log_size.to_be_bytes(), &self.salt, &self.value.encode()];
        let mut text = format!("{FIRST_LINE}\nrow {}\nindex {}\n", STANDARD.encode(row.concat()), self.index);
        for hash in &self.path {
            text.push_str(&STANDARD.encode(hash));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.receipt);
        text
    }

    /// Reads a proof, refusing every spelling but the one that [`MapProof::encode`] writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, MapRefusal> {
        let malformed = MapRefusal::Malformed;
        if RECEIPT_BYTES_MAX < bytes.len() {
            return Err(malformed("it is longer than 64 KiB"));
        }
        let text = str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
        let (head, receipt) = text.split_once("\n\n").ok_or(malformed("it has no empty line"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FIRST_LINE) {
            return Err(malformed("it does not begin with daftari/map-proof@v1"));
        }
        let row = lines.next().and_then(|line| line.strip_prefix("row "));
        let row = row.and_then(|it| STANDARD.decode(it).ok()).ok_or(malformed("it has no row line"))?;
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal);
        let index = index.ok_or(malformed("it has no canonical index line"))?;
        let path = lines.map(hash_line).collect::<Option<Vec<_>>>();
        let path =
            path.filter(|it| it.len() <= PATH_MAX).ok_or(malformed("its path is not one of hashes"))?;
        let (account, salt, value) = read_row(&row).map_err(|error| malformed(error.0))?;
        Ok(Self { account, salt, value, index, path, receipt: receipt.to_owned() })
    }

    /// Verifies that the log's map says this of the account: what is verified is the map leaf's receipt.
    pub fn verify(&self, policy: &Policy) -> Result<Verified, MapRefusal> {
        let verified = verify(self.receipt.as_bytes(), policy).map_err(MapRefusal::Receipt)?;
        let body = verified.leaf.body.as_ref().and_then(|it| it.opened());
        let Some(&Body::Map { log_size, accounts, root }) = body else { return Err(MapRefusal::NotThisMap) };
        // A map of leaves that come after it would promise what nobody knows yet.
        if log_size != self.account.log_size || verified.leaf_index < log_size {
            return Err(MapRefusal::NotThisMap);
        }
        let row = leaf_hash(&self.account.row(&self.salt, &self.value).encode());
        match verify_inclusion(self.index, accounts, &row, &self.path, &root) {
            true => Ok(verified),
            false => Err(MapRefusal::NotIncluded),
        }
    }
}

fn read_row(bytes: &[u8]) -> Result<(MapAccount, Hash, MapValue), DecodeError> {
    let mut reader = Reader::new(bytes);
    let account = MapAccount { account: reader.array()?, unit: reader.u16()?, log_size: reader.u64()? };
    let (salt, value) = (reader.array()?, MapValue::decode(&mut reader)?);
    reader.end()?;
    if account.log_size <= value.leaf_index {
        return Err(DecodeError("the account's last entry lies beyond the map"));
    }
    Ok((account, salt, value))
}
