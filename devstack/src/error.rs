use std::io;
use std::path::PathBuf;

/// Why a part could not be started or stopped. Each message says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{part} is not here (looked for {path}): run `devstack/fetch {part}` first")]
    NotFetched { part: &'static str, path: PathBuf },

    #[error("the program `{program}` is missing: install {package}")]
    ProgramMissing { program: &'static str, package: &'static str },

    #[error("port {port} for {part} is taken: choose another, or leave it out to get a free one")]
    PortTaken { part: &'static str, port: u16 },

    #[error("{folder} is in use by another running {part}: stop that one first, or choose another folder")]
    InUse { part: &'static str, folder: PathBuf },

    #[error(
        "{folder} belongs to user {owner}, and we are user {ours}: run as that user (or as root), or choose another folder"
    )]
    NotOurs { folder: PathBuf, owner: u32, ours: u32 },

    #[error("{part} ended while it was starting ({status}). {log}")]
    Ended { part: &'static str, status: String, log: String },

    #[error("{part} did not answer within {seconds} s, and was stopped. {log}")]
    NotReady { part: &'static str, seconds: u64, log: String },

    #[error(
        "{part} did not end within {seconds} s of being asked to, and was killed: its next start has to recover"
    )]
    Killed { part: &'static str, seconds: u64 },

    #[error("anvil refused {method}: {message}")]
    Rpc { method: String, message: String },

    #[error("could not {act} {path}: {source}")]
    Folder { act: &'static str, path: PathBuf, source: io::Error },

    #[error("could not start {program}: {source}")]
    Spawn { program: String, source: io::Error },
}

impl Error {
    /// For `map_err`: the operating system refused to let us `act` on `path`.
    pub(crate) fn folder(act: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Folder { act, path, source }
    }
}
