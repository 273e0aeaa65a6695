//! The header: what a posting is, apart from whose it is and how much.

use crate::bytes::{DecodeError, Reader};
use crate::hash::{Hash, Id, T_HEADER, hash};

const HEADER_BYTES: usize = 129;

/// What a posting does. A number that this version does not name is shown as a number, never refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PostingKind(pub u8);

impl PostingKind {
    /// The leaf is no posting.
    pub const NONE: Self = Self(0);
    /// Points come from issuance to a member.
    pub const EARN: Self = Self(1);
    /// A member's points go to a partner or to redemption.
    pub const REDEEM: Self = Self(2);
    /// A member's points go to another member.
    pub const TRANSFER: Self = Self(3);
    /// Points whose time is over go to breakage.
    pub const EXPIRE: Self = Self(4);
    /// Somebody corrects a balance, or puts points into a fund.
    pub const ADJUST: Self = Self(5);
    /// Another posting is undone, or a part of it.
    pub const REVERSE: Self = Self(6);
    /// Points are set aside.
    pub const HOLD: Self = Self(7);
    /// Points that were set aside go to a partner or to redemption.
    pub const CAPTURE: Self = Self(8);
    /// A hold is given up.
    pub const VOID: Self = Self(9);
    /// A member's points go to a chain.
    pub const WITHDRAW: Self = Self(10);
    /// Points come from a chain.
    pub const DEPOSIT: Self = Self(11);
    /// A hold's time is over.
    pub const LAPSE: Self = Self(12);
    /// A pending earning can be spent.
    pub const MATURE: Self = Self(13);
    /// A pending earning goes back.
    pub const CANCEL: Self = Self(14);
    /// Points, or a hold, end later.
    pub const EXTEND: Self = Self(15);
    /// More points are set aside in a hold.
    pub const INCREASE: Self = Self(16);
    /// A member joins another.
    pub const MERGE: Self = Self(17);
    /// Points that another system kept before.
    pub const IMPORT: Self = Self(18);
    /// An administrative act, without entries.
    pub const ACT: Self = Self(19);

    const NAMES: [&str; 20] = [
        "none", "earn", "redeem", "transfer", "expire", "adjust", "reverse", "hold", "capture", "void",
        "withdraw", "deposit", "lapse", "mature", "cancel", "extend", "increase", "merge", "import", "act",
    ];

    /// Its name, where this version knows one.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMES.get(usize::from(self.0)).copied()
    }
}

/// A leaf's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The posting's id, which the API calls `transaction_id`.
    pub posting_id: Id,
    /// What the posting does; [`PostingKind::NONE`] where the leaf is no posting.
    pub posting_kind: PostingKind,
    /// The program; zeros where the leaf concerns the whole log.
    pub program: Id,
    /// When it was recorded, in microseconds since 1970 UTC.
    pub recorded_at_us: i64,
    /// From when it counts, never after it was recorded.
    pub effective_at_us: i64,
    /// The rule set that decided; zeros where none did.
    pub rule_set_hash: Hash,
    /// The salted hash of the event that caused it; zeros where none did.
    pub event_hash: Hash,
    /// The posting that it reverses; zeros where none.
    pub reverses: Id,
}

impl Header {
    /// Its 129 bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..16].copy_from_slice(&self.posting_id);
        bytes[16] = self.posting_kind.0;
        bytes[17..33].copy_from_slice(&self.program);
        bytes[33..41].copy_from_slice(&self.recorded_at_us.to_be_bytes());
        bytes[41..49].copy_from_slice(&self.effective_at_us.to_be_bytes());
        bytes[49..81].copy_from_slice(&self.rule_set_hash);
        bytes[81..113].copy_from_slice(&self.event_hash);
        bytes[113..].copy_from_slice(&self.reverses);
        bytes
    }

    /// Reads a header.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let header = Self {
            posting_id: reader.array()?,
            posting_kind: PostingKind(reader.u8()?),
            program: reader.array()?,
            recorded_at_us: reader.i64()?,
            effective_at_us: reader.i64()?,
            rule_set_hash: reader.array()?,
            event_hash: reader.array()?,
            reverses: reader.array()?,
        };
        reader.end()?;
        if header.recorded_at_us < header.effective_at_us {
            return Err(DecodeError("it takes effect after it was recorded"));
        }
        Ok(header)
    }

    /// The header's commitment under this salt.
    pub fn commitment(&self, salt: &Hash) -> Hash {
        hash(&[&T_HEADER, salt, &self.encode()])
    }
}
