//! C2SP signed notes: a text, an empty line, and signature lines of named keys.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer as _, SigningKey, Verifier as _, VerifyingKey};

use crate::hash::hash;

const TYPE_ED25519: u8 = 0x01;
const TYPE_COSIGNATURE: u8 = 0x04;

/// A text that is not a signed note or not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a signed note: {0}")]
pub struct NoteError(pub &'static str);

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The key's name.
    pub name: String,
    /// The first four bytes of the key's hash.
    pub key_id: [u8; 4],
    /// What follows the key id.
    pub bytes: Vec<u8>,
}

/// A signed note, whose signatures are not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    /// The text with its last newline: what is signed.
    pub text: String,
    /// The signature lines.
    pub signatures: Vec<Signature>,
}

impl SignedNote {
    /// Whether this key has signed it.
    pub fn is_signed_by(&self, key: &VerifierKey) -> bool {
        self.signatures.iter().any(|it| key.is_named_by(it) && key.verifies(&self.text, it))
    }

    /// The signature lines, each once: a line that is repeated says no more, and is not to cost more.
    pub(crate) fn each_once(&self) -> impl Iterator<Item = &Signature> {
        let mut met = BTreeSet::new();
        self.signatures.iter().filter(move |&it| met.insert((&it.name, it.key_id, &it.bytes)))
    }

    /// Reads a note, refusing every spelling but the one that [`SignedNote::encode`] writes.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.chars().any(|it| it < ' ' && it != '\n') {
            return Err(NoteError("it holds a control character"));
        }
        let split = note.rfind("\n\n").ok_or(NoteError("there is no empty line before the signatures"))?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError("it does not end with a signature line"))?;
        let signatures = lines.split('\n').map(Signature::parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The note as text.
    pub fn encode(&self) -> String {
        let mut note = format!("{}\n", self.text);
        for signature in &self.signatures {
            note.push_str(&signature.encode());
        }
        note
    }
}

impl Signature {
    /// Reads one line, without its newline.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let rest =
            line.strip_prefix("\u{2014} ").ok_or(NoteError("a signature line begins with an em dash"))?;
        let (name, bytes) =
            rest.split_once(' ').ok_or(NoteError("a signature line has a name and a signature"))?;
        check_name(name)?;
        let bytes = STANDARD.decode(bytes).map_err(|_| NoteError("a signature is not canonical base64"))?;
        match bytes.split_first_chunk::<4>() {
            Some((key_id, bytes)) if !bytes.is_empty() => {
                Ok(Self { name: name.to_owned(), key_id: *key_id, bytes: bytes.to_vec() })
            }
            _ => Err(NoteError("a signature is too short")),
        }
    }

    /// The line, with its newline.
    pub fn encode(&self) -> String {
        format!("\u{2014} {} {}\n", self.name, STANDARD.encode([&self.key_id[..], &self.bytes].concat()))
    }
}

fn check_name(name: &str) -> Result<(), NoteError> {
    if name.is_empty() || name.contains(|it: char| it.is_whitespace() || it == '+') {
        return Err(NoteError("a key's name is not empty and holds neither spaces nor +"));
    }
    Ok(())
}

fn key_id(name: &str, key_type: u8, public_key: &[u8]) -> [u8; 4] {
    let id = hash(&[name.as_bytes(), b"\n", &[key_type], public_key]);
    [id[0], id[1], id[2], id[3]]
}

/// The message that an Ed25519 witness signs over a checkpoint's text.
pub fn cosigned_message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// A key that verifies signature lines, in signed-note's `vkey` form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key_id: [u8; 4],
    key_type: u8,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Reads a `vkey`. Log keys are Ed25519 (0x01), witnesses' are Ed25519 cosignature keys (0x04).
    pub fn parse(vkey: &str) -> Result<Self, NoteError> {
        // The base64 part may hold a `+` of its own: only the first two separate.
        let mut fields = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(NoteError("a vkey has a name, an id and a key"));
        };
        check_name(name)?;
        let bytes = STANDARD.decode(key).map_err(|_| NoteError("a vkey's key is not canonical base64"))?;
        let Some((&key_type, public_key)) = bytes.split_first() else {
            return Err(NoteError("a vkey's key is empty"));
        };
        if ![TYPE_ED25519, TYPE_COSIGNATURE].contains(&key_type) {
            return Err(NoteError("a vkey's type is not supported"));
        }
        let public_key = public_key.try_into().map_err(|_| NoteError("an Ed25519 key has 32 bytes"))?;
        let key =
            VerifyingKey::from_bytes(public_key).map_err(|_| NoteError("the key is not on the curve"))?;
        let verifier =
            Self { name: name.to_owned(), key_id: key_id(name, key_type, public_key), key_type, key };
        if verifier.encode() != vkey || id.len() != 8 {
            return Err(NoteError("a vkey's id does not match its key"));
        }
        Ok(verifier)
    }

    /// The key of this log, from its 32 public bytes.
    pub fn of_log(name: &str, public_key: &[u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        let key =
            VerifyingKey::from_bytes(public_key).map_err(|_| NoteError("the key is not on the curve"))?;
        let key_id = key_id(name, TYPE_ED25519, public_key);
        Ok(Self { name: name.to_owned(), key_id, key_type: TYPE_ED25519, key })
    }

    /// The signature line of this key with a signature that was made elsewhere. Nothing is verified here.
    pub fn line(&self, signature: Vec<u8>) -> Signature {
        Signature { name: self.name.clone(), key_id: self.key_id, bytes: signature }
    }

    /// The `vkey` form.
    pub fn encode(&self) -> String {
        let key = STANDARD.encode([&[self.key_type][..], self.key.as_bytes()].concat());
        format!("{}+{:08x}+{key}", self.name, u32::from_be_bytes(self.key_id))
    }

    /// The key's name: the origin of a log, or a witness's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Ed25519 public key.
    pub fn public_key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether it is a key of a log.
    pub fn is_log_key(&self) -> bool {
        self.key_type == TYPE_ED25519
    }

    /// Whether it is a key of a witness.
    pub fn is_witness_key(&self) -> bool {
        self.key_type == TYPE_COSIGNATURE
    }

    /// Whether the line claims to be of this key.
    pub fn is_named_by(&self, signature: &Signature) -> bool {
        signature.name == self.name && signature.key_id == self.key_id
    }

    /// When this witness's line says that it was made, in Unix seconds; none where the line is another key's.
    pub(crate) fn time_of(&self, signature: &Signature) -> Option<u64> {
        let (time, _) = signature.bytes.split_first_chunk::<8>()?;
        (self.is_witness_key() && self.is_named_by(signature)).then(|| u64::from_be_bytes(*time))
    }

    /// Whether the line is this key's signature over the text.
    pub fn verifies(&self, text: &str, signature: &Signature) -> bool {
        if self.key_type == TYPE_ED25519 {
            return self.verifies_message(text.as_bytes(), &signature.bytes);
        }
        match signature.bytes.split_first_chunk::<8>() {
            Some((time, bytes)) => {
                let time = u64::from_be_bytes(*time);
                time < 1 << 63 && self.verifies_message(cosigned_message(time, text).as_bytes(), bytes)
            }
            None => false,
        }
    }

    fn verifies_message(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify(message, &signature).is_ok())
    }
}

/// A log's signing key.
pub struct Signer {
    name: String,
    key: SigningKey,
}

impl Signer {
    /// The signer of this name, from 32 secret bytes.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), key: SigningKey::from_bytes(seed) })
    }

    /// Reads the private form, `PRIVATE+KEY+<name>+<id>+<base64>`.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let rest =
            text.trim_end().strip_prefix("PRIVATE+KEY+").ok_or(NoteError("it is not a private key"))?;
        let mut fields = rest.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(NoteError("a private key has a name, an id and a key"));
        };
        let bytes = STANDARD.decode(key).map_err(|_| NoteError("the key is not canonical base64"))?;
        let seed = match bytes.split_first() {
            Some((&TYPE_ED25519, seed)) => {
                seed.try_into().map_err(|_| NoteError("an Ed25519 seed has 32 bytes"))?
            }
            _ => return Err(NoteError("the key is not Ed25519")),
        };
        let signer = Self::new(name, seed)?;
        if signer.encode() != text.trim_end() {
            return Err(NoteError("the key's id does not match it"));
        }
        Ok(signer)
    }

    /// The private form: keep it secret.
    pub fn encode(&self) -> String {
        let vkey = self.verifier_key();
        let id = u32::from_be_bytes(vkey.key_id);
        let key = STANDARD.encode([&[TYPE_ED25519][..], self.key.as_bytes()].concat());
        format!("PRIVATE+KEY+{}+{id:08x}+{key}", self.name)
    }

    /// The key that verifies what it signs.
    pub fn verifier_key(&self) -> VerifierKey {
        let public_key = self.key.verifying_key();
        VerifierKey::of_log(&self.name, public_key.as_bytes())
            .expect("its name was checked, and a key is on its curve")
    }

    /// Signs a text, which ends with a newline.
    pub fn sign(&self, text: &str) -> Signature {
        self.verifier_key().line(self.key.sign(text.as_bytes()).to_bytes().to_vec())
    }
}

/// A witness's signing key.
pub struct Cosigner(Signer);

impl Cosigner {
    /// The cosigner of this name, from 32 secret bytes.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        Signer::new(name, seed).map(Self)
    }

    /// The key that verifies what it cosigns.
    pub fn verifier_key(&self) -> VerifierKey {
        let key = self.0.key.verifying_key();
        let key_id = key_id(&self.0.name, TYPE_COSIGNATURE, key.as_bytes());
        VerifierKey { name: self.0.name.clone(), key_id, key_type: TYPE_COSIGNATURE, key }
    }

    /// Cosigns a checkpoint's text at this time, in Unix seconds.
    pub fn cosign(&self, text: &str, time: u64) -> Signature {
        let VerifierKey { name, key_id, .. } = self.verifier_key();
        let signature = self.0.key.sign(cosigned_message(time, text).as_bytes());
        Signature { name, key_id, bytes: [&time.to_be_bytes()[..], &signature.to_bytes()].concat() }
    }
}
