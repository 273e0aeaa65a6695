//! The details: optional words about a posting, so that a receipt can prove which order was paid.

use crate::bytes::{DecodeError, Reader};
use crate::hash::{Hash, T_DETAILS, hash};

/// A text of 1 to 2,000 bytes: 500 characters, whatever they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(String);

/// A text that is empty or longer than 2,000 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a text has 1 to 2,000 bytes")]
pub struct TextLength;

impl Text {
    /// Takes a text of 1 to 2,000 bytes.
    pub fn new(text: impl Into<String>) -> Result<Self, TextLength> {
        let text = text.into();
        if (1..=2000).contains(&text.len()) { Ok(Self(text)) } else { Err(TextLength) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn encode_into(&self, bytes: &mut Vec<u8>) {
        let length = u16::try_from(self.0.len()).expect("a text has at most 2,000 bytes");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(self.0.as_bytes());
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = usize::from(reader.u16()?);
        let text = str::from_utf8(reader.slice(length)?).map_err(|_| DecodeError("a text is not UTF-8"))?;
        Self::new(text).map_err(|_| DecodeError("a text is empty or too long"))
    }
}

/// A leaf's details, each of them optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The merchant's own name for the order.
    pub merchant_reference: Option<Text>,
    /// Who asked: a credential's owner, an operator.
    pub actor: Option<Text>,
    /// Why.
    pub reason: Option<Text>,
    /// In the caller's words.
    pub description: Option<Text>,
    /// The rate used, as `<decimal> <currency>`.
    pub rate: Option<Text>,
}

impl Details {
    /// Their bytes: presence bits, then each text that is there.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0];
        let fields = [&self.merchant_reference, &self.actor, &self.reason, &self.description, &self.rate];
        for (bit, text) in fields.into_iter().enumerate() {
            if let Some(text) = text {
                bytes[0] |= 1 << bit;
                text.encode_into(&mut bytes);
            }
        }
        bytes
    }

    /// Reads details.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let presence = reader.u8()?;
        if presence & !0x1f != 0 {
            return Err(DecodeError("the details have a field that version 1 does not know"));
        }
        let mut text = |bit: u8| (presence & bit != 0).then(|| Text::read(&mut reader)).transpose();
        let details = Self {
            merchant_reference: text(0x01)?,
            actor: text(0x02)?,
            reason: text(0x04)?,
            description: text(0x08)?,
            rate: text(0x10)?,
        };
        reader.end()?;
        Ok(details)
    }

    /// The details' commitment under this salt.
    pub fn commitment(&self, salt: &Hash) -> Hash {
        hash(&[&T_DETAILS, salt, &self.encode()])
    }
}
