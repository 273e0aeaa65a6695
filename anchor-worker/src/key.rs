//! The log's signing key: in a file of its own, or behind a program that signs with it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use proof::{NoteError, Signature, Signer, VerifierKey};
use signing::{SigningCommand, SigningError};
use store::LogIdentity;
use zeroize::Zeroizing;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the log's key {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read it.
    #[error("the log's key {} can be read by others: give it mode 0600", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// It is not a key.
    #[error("the log's key: {0}")]
    Malformed(NoteError),
    /// It belongs to another log.
    #[error("the log's key is {found}'s, not {expected}'s")]
    OtherOrigin {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// The program that signs with it does not.
    #[error("the log's key: {0}")]
    Signing(#[from] SigningError),
}

/// A signing key of a log. It has no `Debug` and no way out but its signatures.
pub struct LogKey {
    verifier: VerifierKey,
    hand: Hand,
}

/// Who holds the pen.
enum Hand {
    Memory(Box<Signer>),
    Command(SigningCommand),
}

impl LogKey {
    /// Reads the key of this origin, generating it where there is none yet. Of several processes that start at once,
    /// one generates and all read the same.
    pub fn open(path: &Path, origin: &str) -> Result<Self, KeyError> {
        let at = |source| KeyError::Io { path: path.to_owned(), source };
        match fs::metadata(path) {
            Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
                return Err(KeyError::Exposed { path: path.to_owned() });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => generate(path, origin)?,
            Err(error) => return Err(at(error)),
            Ok(_) => {}
        }
        Self::parse(&Zeroizing::new(fs::read_to_string(path).map_err(at)?), origin)
    }

    /// The key of this origin in its private form, as its file has it.
    pub fn parse(text: &str, origin: &str) -> Result<Self, KeyError> {
        let signer = Signer::parse(text).map_err(KeyError::Malformed)?;
        let verifier = signer.verifier_key();
        if verifier.name() != origin {
            return Err(KeyError::OtherOrigin {
                found: verifier.name().to_owned(),
                expected: origin.to_owned(),
            });
        }
        Ok(Self { verifier, hand: Hand::Memory(Box::new(signer)) })
    }

    /// The key of this origin with these public bytes, behind a program that is given each text to sign. It is asked at
    /// once for a signature over a text that is no checkpoint: a key that is another one's is found before it is used.
    pub async fn behind(
        command: SigningCommand,
        origin: &str,
        public_key: &[u8; 32],
    ) -> Result<Self, KeyError> {
        let verifier = VerifierKey::of_log(origin, public_key).map_err(KeyError::Malformed)?;
        let key = Self { verifier, hand: Hand::Command(command) };
        key.sign_text(&format!("daftari: is this the key of {origin}?\n")).await?;
        Ok(key)
    }

    /// The key that verifies what it signs.
    pub fn verifier_key(&self) -> VerifierKey {
        self.verifier.clone()
    }

    /// The log that begins with this key.
    pub fn log(&self) -> LogIdentity {
        let key = self.verifier_key();
        LogIdentity { log_id: proof::log_id(key.name(), key.public_key()), origin: key.name().to_owned() }
    }

    // What a program signed is verified before anybody sees it.
    pub(crate) async fn sign_text(&self, text: &str) -> Result<Signature, SigningError> {
        match &self.hand {
            Hand::Memory(signer) => Ok(signer.sign(text)),
            Hand::Command(command) => {
                let line = self.verifier.line(command.sign(text.as_bytes()).await?);
                match self.verifier.verifies(text, &line) {
                    true => Ok(line),
                    false => Err(command.wrong_key(&self.verifier.encode())),
                }
            }
        }
    }
}

// The key is whole and durable before it has its name, and a name that is taken is left alone: `hard_link`, unlike
// `rename`, never replaces a key that another process has just made.
fn generate(path: &Path, origin: &str) -> Result<(), KeyError> {
    let at = |source| KeyError::Io { path: path.to_owned(), source };
    let folder = path.parent().filter(|it| *it != Path::new("")).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(at)?;
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(|error| at(io::Error::other(error.to_string())))?;
    let signer = Signer::new(origin, &seed).map_err(KeyError::Malformed)?;
    let mut unique = [0; 8];
    getrandom::fill(&mut unique).map_err(|error| at(io::Error::other(error.to_string())))?;
    let staged = folder.join(format!(".log-key-{:016x}", u64::from_be_bytes(unique)));
    let written = write_new(&staged, &signer).and_then(|()| match fs::hard_link(&staged, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let _ = fs::remove_file(&staged);
    written.and_then(|()| File::open(folder)?.sync_all()).map_err(at)
}

fn write_new(path: &Path, signer: &Signer) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let text = Zeroizing::new(signer.encode());
    writeln!(file, "{}", *text)?;
    file.sync_all()
}
