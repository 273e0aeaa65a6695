//! The log's signing key in a file of its own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use proof::{NoteError, Signer, VerifierKey};
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
}

/// The log's first signing key. It has no `Debug` and no way out but its signatures.
pub struct LogKey {
    signer: Signer,
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
        let text = Zeroizing::new(fs::read_to_string(path).map_err(at)?);
        let signer = Signer::parse(&text).map_err(KeyError::Malformed)?;
        let found = signer.verifier_key().name().to_owned();
        if found != origin {
            return Err(KeyError::OtherOrigin { found, expected: origin.to_owned() });
        }
        Ok(Self { signer })
    }

    /// The key that verifies what it signs.
    pub fn verifier_key(&self) -> VerifierKey {
        self.signer.verifier_key()
    }

    /// The log that begins with this key.
    pub fn log(&self) -> LogIdentity {
        let key = self.verifier_key();
        LogIdentity { log_id: proof::log_id(key.name(), key.public_key()), origin: key.name().to_owned() }
    }

    pub(crate) fn signer(&self) -> &Signer {
        &self.signer
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
