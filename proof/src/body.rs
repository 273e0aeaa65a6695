//! The body: what a contract or an auditor reads in the leaves that are more than an ordinary posting.

use crate::bytes::{DecodeError, Reader};
use crate::details::Text;
use crate::hash::{Hash, T_BODY, hash};
use crate::leaf::{LEAF_BYTES, LeafKind};

/// Points that leave for a chain, by the day on which they expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpiryAmount {
    /// The last spendable local date, in days since 1970.
    pub day: i32,
    /// The amount, above zero.
    pub amount: u64,
}

/// What the gateway contract pays out against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// The chain.
    pub chain_id: u64,
    /// The gateway contract on it.
    pub gateway: [u8; 20],
    /// Who receives.
    pub holder: [u8; 20],
    /// Random; a withdrawal is paid once by it.
    pub withdrawal_id: Hash,
    /// After this Unix second the books take the points back.
    pub claim_before: u64,
    /// 1 to 64 amounts, by ascending expiry day.
    pub amounts: Vec<ExpiryAmount>,
}

/// A leaf's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Of a `withdrawal`.
    Withdrawal(Withdrawal),
    /// Of a `map`.
    Map {
        /// The log size that the map describes.
        log_size: u64,
        /// How many accounts it holds.
        accounts: u64,
        /// Its root.
        root: Hash,
    },
    /// Of a `key`.
    Key {
        /// Whether the key is retired, rather than introduced.
        retired: bool,
        /// Its signed-note type.
        signature_type: u8,
        /// The public key.
        public_key: Vec<u8>,
    },
    /// Of an `incident`.
    Incident {
        /// The first leaf that it concerns.
        first_leaf_index: u64,
        /// How many leaves it concerns.
        leaves: u64,
        /// What happened.
        reason: Text,
    },
    /// Of an `orphan`: the lost leaf, as it was published.
    Orphan([u8; LEAF_BYTES]),
    /// Of a `succession`.
    Succession {
        /// The log before this one.
        log_id: Hash,
        /// Its last size.
        size: u64,
        /// Its last root.
        root: Hash,
    },
}

impl Body {
    /// The kind of leaf that it belongs to.
    pub fn kind(&self) -> LeafKind {
        match self {
            Self::Withdrawal(_) => LeafKind::Withdrawal,
            Self::Map { .. } => LeafKind::Map,
            Self::Key { .. } => LeafKind::Key,
            Self::Incident { .. } => LeafKind::Incident,
            Self::Orphan(_) => LeafKind::Orphan,
            Self::Succession { .. } => LeafKind::Succession,
        }
    }

    /// Its bytes.
    ///
    /// # Panics
    /// If a withdrawal has more than 64 amounts or a key more than 65,535 bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Withdrawal(withdrawal) => withdrawal.encode(),
            Self::Map { log_size, accounts, root } => {
                [&log_size.to_be_bytes()[..], &accounts.to_be_bytes(), root].concat()
            }
            Self::Key { retired, signature_type, public_key } => {
                let length = u16::try_from(public_key.len()).expect("a key is shorter than 64 KiB");
                [&[if *retired { 2 } else { 1 }, *signature_type][..], &length.to_be_bytes(), public_key]
                    .concat()
            }
            Self::Incident { first_leaf_index, leaves, reason } => {
                let mut bytes = [first_leaf_index.to_be_bytes(), leaves.to_be_bytes()].concat();
                reason.encode_into(&mut bytes);
                bytes
            }
            Self::Orphan(leaf) => leaf.to_vec(),
            Self::Succession { log_id, size, root } => [&log_id[..], &size.to_be_bytes(), root].concat(),
        }
    }

    /// Reads the body of a leaf of this kind.
    pub fn decode(kind: LeafKind, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let body = match kind {
            LeafKind::Posting => return Err(DecodeError("a posting has no body")),
            LeafKind::Withdrawal => Self::Withdrawal(Withdrawal::read(&mut reader)?),
            LeafKind::Map => {
                Self::Map { log_size: reader.u64()?, accounts: reader.u64()?, root: reader.array()? }
            }
            LeafKind::Key => Self::read_key(&mut reader)?,
            LeafKind::Incident => Self::Incident {
                first_leaf_index: reader.u64()?,
                leaves: reader.u64()?,
                reason: Text::read(&mut reader)?,
            },
            LeafKind::Orphan => Self::Orphan(reader.array()?),
            LeafKind::Succession => {
                Self::Succession { log_id: reader.array()?, size: reader.u64()?, root: reader.array()? }
            }
        };
        reader.end()?;
        Ok(body)
    }

    fn read_key(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let retired = match reader.u8()? {
            1 => false,
            2 => true,
            _ => return Err(DecodeError("a key is introduced or retired")),
        };
        let signature_type = reader.u8()?;
        let length = usize::from(reader.u16()?);
        Ok(Self::Key { retired, signature_type, public_key: reader.slice(length)?.to_vec() })
    }

    /// The body's commitment under this salt.
    pub fn commitment(&self, salt: &Hash) -> Hash {
        hash(&[&T_BODY, salt, &self.encode()])
    }

    /// Whether a body of this kind concerns nobody in particular, so that its salt is zeros.
    pub fn is_public(kind: LeafKind) -> bool {
        kind.has_body() && kind != LeafKind::Withdrawal
    }
}

impl Withdrawal {
    fn encode(&self) -> Vec<u8> {
        assert!((1..=64).contains(&self.amounts.len()), "a withdrawal has 1 to 64 amounts");
        let mut bytes = Vec::with_capacity(89 + self.amounts.len() * 12);
        bytes.extend_from_slice(&self.chain_id.to_be_bytes());
        bytes.extend_from_slice(&self.gateway);
        bytes.extend_from_slice(&self.holder);
        bytes.extend_from_slice(&self.withdrawal_id);
        bytes.extend_from_slice(&self.claim_before.to_be_bytes());
        bytes.push(self.amounts.len() as u8);
        for amount in &self.amounts {
            bytes.extend_from_slice(&amount.day.to_be_bytes());
            bytes.extend_from_slice(&amount.amount.to_be_bytes());
        }
        bytes
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut withdrawal = Self {
            chain_id: reader.u64()?,
            gateway: reader.array()?,
            holder: reader.array()?,
            withdrawal_id: reader.array()?,
            claim_before: reader.u64()?,
            amounts: Vec::new(),
        };
        let count = reader.u8()?;
        if !(1..=64).contains(&count) {
            return Err(DecodeError("a withdrawal has 1 to 64 amounts"));
        }
        for _ in 0..count {
            let next = ExpiryAmount { day: reader.i32()?, amount: reader.u64()? };
            if next.amount == 0 || withdrawal.amounts.last().is_some_and(|last| next.day <= last.day) {
                return Err(DecodeError("a withdrawal's amounts are above zero and ascend by day"));
            }
            withdrawal.amounts.push(next);
        }
        Ok(withdrawal)
    }
}
