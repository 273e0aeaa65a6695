//! An entry: one account's side of a posting, and the link to that account's entry before it.

use crate::bytes::{DecodeError, Reader};
use crate::hash::{Hash, Id, T_ENTRY, T_LOTS, hash};

const ENTRY_BYTES: usize = 146;

/// The leaf index that says *there is none*.
pub const NO_LEAF: u64 = u64::MAX;

/// The three balances of an account, or a change of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balances {
    /// What can be spent.
    pub available: i64,
    /// What is reserved by holds.
    pub held: i64,
    /// What is earned and not yet matured.
    pub pending: i64,
}

/// One account's side of a posting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The account's random id.
    pub account: Id,
    /// The unit; 1 is the program's points.
    pub unit: u16,
    /// The entry's number in the account, from 1, without holes.
    pub sequence: u64,
    /// What changed.
    pub change: Balances,
    /// What it came to.
    pub after: Balances,
    /// The digest of the lot movements, zeros where no lot moved.
    pub lots_digest: Hash,
    /// The leaf of the account's entry before, [`NO_LEAF`] for the first.
    pub previous_leaf_index: u64,
    /// The commitment of the account's entry before, zeros for the first.
    pub previous_commitment: Hash,
}

impl Entry {
    /// Its 146 bytes.
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..16].copy_from_slice(&self.account);
        bytes[16..18].copy_from_slice(&self.unit.to_be_bytes());
        bytes[18..26].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[26..50].copy_from_slice(&self.change.encode());
        bytes[50..74].copy_from_slice(&self.after.encode());
        bytes[74..106].copy_from_slice(&self.lots_digest);
        bytes[106..114].copy_from_slice(&self.previous_leaf_index.to_be_bytes());
        bytes[114..].copy_from_slice(&self.previous_commitment);
        bytes
    }

    /// Reads an entry.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let entry = Self {
            account: reader.array()?,
            unit: reader.u16()?,
            sequence: reader.u64()?,
            change: Balances::read(&mut reader)?,
            after: Balances::read(&mut reader)?,
            lots_digest: reader.array()?,
            previous_leaf_index: reader.u64()?,
            previous_commitment: reader.array()?,
        };
        reader.end()?;
        entry.check()?;
        Ok(entry)
    }

    fn check(&self) -> Result<(), DecodeError> {
        let has_previous = self.previous_leaf_index != NO_LEAF;
        match self.sequence {
            0 => Err(DecodeError("an entry's sequence begins at 1")),
            1 if has_previous || self.previous_commitment != Hash::default() => {
                Err(DecodeError("an account's first entry has none before it"))
            }
            1 if self.change != self.after => {
                Err(DecodeError("an account's first entry starts from nothing"))
            }
            1 => Ok(()),
            _ if !has_previous => Err(DecodeError("a later entry names the one before it")),
            _ => Ok(()),
        }
    }

    /// The entry's commitment under this salt.
    pub fn commitment(&self, salt: &Hash) -> Hash {
        hash(&[&T_ENTRY, salt, &self.encode()])
    }
}

impl Balances {
    fn encode(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.available.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.held.to_be_bytes());
        bytes[16..].copy_from_slice(&self.pending.to_be_bytes());
        bytes
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { available: reader.i64()?, held: reader.i64()?, pending: reader.i64()? })
    }
}

/// What a posting did to one lot of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LotMovement {
    /// The lot's id.
    pub lot: Id,
    /// What changed.
    pub change: Balances,
    /// The last local date on which it can be spent, in days since 1970; `i32::MAX` for never ending.
    pub last_spendable_day: i32,
    /// The local date on which it was earned.
    pub earned_day: i32,
}

const MOVEMENT_BYTES: usize = 48;

impl LotMovement {
    /// The bytes of an entry's lot movements, which stand in ascending order of lot id.
    pub fn encode_all(movements: &[Self]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(movements.len() * MOVEMENT_BYTES);
        for movement in movements {
            bytes.extend_from_slice(&movement.lot);
            bytes.extend_from_slice(&movement.change.encode());
            bytes.extend_from_slice(&movement.last_spendable_day.to_be_bytes());
            bytes.extend_from_slice(&movement.earned_day.to_be_bytes());
        }
        bytes
    }

    /// Reads an entry's lot movements.
    pub fn decode_all(bytes: &[u8]) -> Result<Vec<Self>, DecodeError> {
        let (movements, rest) = bytes.as_chunks::<MOVEMENT_BYTES>();
        if !rest.is_empty() {
            return Err(DecodeError("lot movements have 48 bytes each"));
        }
        let read = |bytes: &[u8; MOVEMENT_BYTES]| {
            let mut reader = Reader::new(bytes);
            Ok(Self {
                lot: reader.array()?,
                change: Balances::read(&mut reader)?,
                last_spendable_day: i32::from_be_bytes(reader.array()?),
                earned_day: i32::from_be_bytes(reader.array()?),
            })
        };
        let movements: Vec<Self> = movements.iter().map(read).collect::<Result<_, _>>()?;
        if movements.windows(2).any(|pair| pair[1].lot <= pair[0].lot) {
            return Err(DecodeError("lot movements stand in ascending order of lot id"));
        }
        Ok(movements)
    }
}

/// The digest of an entry's lot movements, given their bytes.
///
/// # Panics
/// If there are more movements than a `u16` counts.
pub fn lots_digest(movements: &[u8]) -> Hash {
    if movements.is_empty() {
        return Hash::default();
    }
    let count = u16::try_from(movements.len() / MOVEMENT_BYTES);
    let count = count.expect("a posting moves fewer than 65,536 lots of an account");
    hash(&[&T_LOTS, &count.to_be_bytes(), movements])
}
