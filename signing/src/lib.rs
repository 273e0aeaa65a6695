//! Asking a program for a signature: a key may live in an HSM, in a cloud's KMS or on another machine, where no process of
//! ours can read it. The log's Ed25519 key and the chains' secp256k1 keys share this door.
//!
//! The program is started for each signature. It reads the bytes to sign, all of its standard input, and writes the signature
//! in hexadecimal to its standard output, white space anywhere; then it ends with 0. Whatever it says on standard error is
//! repeated in the error when it fails. What it signs with is never believed: callers verify each signature against the key
//! that they expect, and [`SigningError::WrongKey`] is what they say otherwise.

#[cfg(test)]
mod tests;

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long a signature may take: less than a worker's lease, so that what comes later than that is not sent.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How much of what a failing program said is repeated.
const TOLD_CHARS: usize = 300;

/// Why there is no signature. A signature that was asked for in vain is asked for again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// There is no program in what was configured.
    #[error("the signing command is empty")]
    Empty,
    /// The program cannot be started.
    #[error("the signing command {program} cannot be run: {why}")]
    Unstartable {
        /// Which.
        program: String,
        /// What the system said.
        why: String,
    },
    /// It did not answer in time, and was ended.
    #[error("the signing command {program} gave no signature within {patience:?}")]
    Late {
        /// Which.
        program: String,
        /// How long it had.
        patience: Duration,
    },
    /// It failed.
    #[error("the signing command {program} failed with {status}: {told}")]
    Failed {
        /// Which.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it said on standard error.
        told: String,
    },
    /// What it wrote is no signature.
    #[error("the signing command {program} wrote no signature: {why}")]
    NoSignature {
        /// Which.
        program: String,
        /// What is wrong with it.
        why: String,
    },
    /// It signs with another key than is expected of it.
    #[error("the signing command {program} does not sign with the key of {expected}")]
    WrongKey {
        /// Which.
        program: String,
        /// Whose key it should be.
        expected: String,
    },
}

/// A program that signs. No shell reads it: its words stand between spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningCommand {
    words: Vec<String>,
    patience: Duration,
}

impl SigningCommand {
    /// The program and its arguments, with spaces between.
    pub fn parse(line: &str) -> Result<Self, SigningError> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() { Err(SigningError::Empty) } else { Ok(Self { words, patience: PATIENCE }) }
    }

    /// The same program with another patience.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The program, without its arguments: they may say where the key is.
    pub fn program(&self) -> &str {
        &self.words[0]
    }

    /// Asks for a signature over these bytes.
    pub async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let program = || self.program().to_owned();
        let unstartable =
            |error: std::io::Error| SigningError::Unstartable { program: program(), why: error.to_string() };
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(unstartable)?;
        let mut stdin = child.stdin.take().expect("it is piped");
        let answered = async {
            // One that does not read all of it may sign all the same: its answer is what counts.
            let _ = stdin.write_all(message).await;
            drop(stdin);
            child.wait_with_output().await
        };
        let answered = tokio::time::timeout(self.patience, answered).await;
        let output = answered
            .map_err(|_| SigningError::Late { program: program(), patience: self.patience })?
            .map_err(unstartable)?;
        if !output.status.success() {
            let (status, told) = (output.status.to_string(), told(&output.stderr));
            return Err(SigningError::Failed { program: program(), status, told });
        }
        let digits: Vec<u8> = output.stdout.into_iter().filter(|it| !it.is_ascii_whitespace()).collect();
        let digits = digits.strip_prefix(b"0x").unwrap_or(&digits);
        // What it wrote instead is not repeated: it may be a key.
        match hex::decode(digits) {
            Ok(signature) if !signature.is_empty() => Ok(signature),
            Ok(_) => Err(self.no_signature("nothing")),
            Err(_) => Err(self.no_signature("it is not hexadecimal")),
        }
    }

    /// That what it wrote is no signature.
    pub fn no_signature(&self, why: &str) -> SigningError {
        SigningError::NoSignature { program: self.program().to_owned(), why: why.to_owned() }
    }

    /// That it signs with another key than this one's.
    pub fn wrong_key(&self, expected: &str) -> SigningError {
        SigningError::WrongKey { program: self.program().to_owned(), expected: expected.to_owned() }
    }
}

/// The end of what a program said, in one line.
fn told(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line: Vec<&str> =
        text.split(|it: char| it.is_control()).map(str::trim).filter(|it| !it.is_empty()).collect();
    let line = line.join("; ");
    let skipped = line.chars().count().saturating_sub(TOLD_CHARS);
    line.chars().skip(skipped).collect()
}
