//! The keys that this process holds of a log: one, or two while one takes the other's place.

use proof::{Checkpoint, KeyHistory, NoteError, Policy, SignedNote, VerifierKey};
use signing::SigningError;
use store::{LogIdentity, PgConnection, StoreError};

use crate::key::LogKey;

/// Some of a log's keys, one at least.
pub struct LogKeys {
    first: VerifierKey,
    held: Vec<LogKey>,
}

impl From<LogKey> for LogKeys {
    /// The log that begins with this key.
    fn from(key: LogKey) -> Self {
        Self { first: key.verifier_key(), held: vec![key] }
    }
}

impl LogKeys {
    /// The log that began with the key of these public bytes, which has retired since.
    pub fn of_log_begun_with(first: &[u8; 32], key: LogKey) -> Result<Self, NoteError> {
        let first = VerifierKey::of_log(key.verifier_key().name(), first)?;
        Ok(Self { first, held: vec![key] })
    }

    /// The same with one key more.
    #[must_use]
    pub fn and(mut self, key: LogKey) -> Self {
        self.held.push(key);
        self
    }

    /// The log.
    pub fn log(&self) -> LogIdentity {
        let origin = self.first.name().to_owned();
        LogIdentity { log_id: proof::log_id(&origin, self.first.public_key()), origin }
    }

    /// What is known of the log's keys before any leaf is read.
    pub fn history(&self) -> KeyHistory {
        KeyHistory::new(self.first.clone())
    }

    /// What the log has said of its keys by now.
    pub async fn history_in(&self, conn: &mut PgConnection) -> Result<KeyHistory, StoreError> {
        store::key_history(conn, &self.log(), self.first.clone()).await
    }

    /// Whoever trusts these keys and no others.
    pub fn policy(&self) -> Policy {
        let mut policy = Policy::of_log(self.first.clone());
        let others = self.verifier_keys().filter(|it| *it != self.first);
        policy.log_keys.extend(others);
        policy
    }

    fn verifier_keys(&self) -> impl Iterator<Item = VerifierKey> {
        self.held.iter().map(LogKey::verifier_key)
    }

    /// Signs a checkpoint with each key that is held and stands at its size, the oldest first; nothing where none does.
    pub(crate) async fn sign(
        &self,
        checkpoint: &Checkpoint,
        history: &KeyHistory,
    ) -> Result<Option<SignedNote>, SigningError> {
        let text = checkpoint.encode();
        let (mut signatures, mut missing) = (Vec::new(), 0);
        for key in history.standing_at(checkpoint.size) {
            match self.held.iter().find(|it| it.verifier_key() == *key) {
                Some(held) => signatures.push(held.sign_text(&text).await?),
                None => missing += 1,
            }
        }
        // Verifiers that know one of them only may not know the one that signs.
        metrics::gauge!("daftari_log_keys_missing").set(f64::from(missing));
        Ok((!signatures.is_empty()).then_some(SignedNote { text, signatures }))
    }

    /// Whether a key of the log has signed it, as far as the log and this process know its keys.
    pub(crate) fn have_signed(&self, note: &SignedNote, history: &KeyHistory) -> bool {
        let known = history.terms().iter().map(|it| it.key.clone());
        known.chain(self.verifier_keys()).any(|key| note.is_signed_by(&key))
    }
}
