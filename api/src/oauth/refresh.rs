//! Refresh tokens: a session, its turn, and a proof that we wrote them. Nothing of one is kept but the turn.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use store::{Keyring, MemberSession};
use subtle::ConstantTimeEq;
use uuid::Uuid;

const PREFIX: &str = "rt_";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RefreshToken {
    pub(super) session_id: Uuid,
    pub(super) turn: i64,
}

impl RefreshToken {
    pub(super) fn of(session: &MemberSession) -> Self {
        Self { session_id: session.session_id, turn: session.turn }
    }

    pub(super) fn write(self, keyring: &Keyring) -> String {
        let proof = store::refresh_proof(&keyring.pepper(), self.session_id, self.turn);
        let bytes = [&self.session_id.as_bytes()[..], &self.turn.to_be_bytes(), &proof].concat();
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(super) fn read(text: &str, keyring: &Keyring) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (session_id, rest) = bytes.split_first_chunk::<16>()?;
        let (turn, shown) = rest.split_first_chunk::<8>()?;
        let (session_id, turn) = (Uuid::from_bytes(*session_id), i64::from_be_bytes(*turn));
        let proof = store::refresh_proof(&keyring.pepper(), session_id, turn);
        bool::from(proof.ct_eq(shown)).then_some(Self { session_id, turn })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_is_read_only_as_it_was_written() {
        let (ours, theirs) = (Keyring::new(&[1; 32]), Keyring::new(&[2; 32]));
        let token = RefreshToken { session_id: Uuid::from_u128(7), turn: 3 };
        let text = token.write(&ours);
        assert_eq!(RefreshToken::read(&text, &ours), Some(token));
        assert_eq!(RefreshToken::read(&text, &theirs), None);
        for at in 0..text.len() {
            let mut flipped = text.clone().into_bytes();
            flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(
                RefreshToken::read(std::str::from_utf8(&flipped).unwrap(), &ours),
                None,
                "letter {at}"
            );
        }
        assert_eq!(RefreshToken::read("", &ours), None);
    }
}
