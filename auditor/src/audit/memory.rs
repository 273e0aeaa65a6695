//! What an audit remembers between two runs: how far it came, and the checkpoint that it found sound.

use std::io::{ErrorKind, Write};
use std::path::Path;

use proof::Hash;
use serde::{Deserialize, Serialize};

use crate::climb::Climb;
use crate::source::SourceError;

/// What is remembered; nothing at first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) checkpoint: Option<String>,
    pub(super) climb: Climb,
}

#[derive(Serialize, Deserialize)]
struct File {
    checkpoint: Option<String>,
    tiles: u64,
    rows: Vec<String>,
}

impl Memory {
    pub(super) fn read(path: &Path, origin: &str) -> Result<Self, SourceError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(SourceError::Unreachable(format!("{}: {error}", path.display()))),
        };
        let damaged = || SourceError::Damaged {
            path: path.display().to_string(),
            problem: "it is not an audit's memory of this log: remove it to begin anew".to_owned(),
        };
        let file: File = serde_json::from_str(&text).map_err(|_| damaged())?;
        if file.checkpoint.as_ref().is_some_and(|it| it.split('\n').next() != Some(origin)) {
            return Err(damaged());
        }
        let mut climb = Climb { tiles: file.tiles, ..Climb::default() };
        let mut count = file.tiles;
        for (row, text) in climb.rows.iter_mut().zip(&file.rows) {
            let bytes = hex::decode(text).map_err(|_| damaged())?;
            let (hashes, rest): (&[Hash], _) = bytes.as_chunks();
            if !rest.is_empty() || hashes.len() as u64 != count % 256 {
                return Err(damaged());
            }
            *row = hashes.to_vec();
            count /= 256;
        }
        Ok(Self { checkpoint: file.checkpoint, climb })
    }

    /// Whole or not at all: a crash leaves what was remembered before.
    pub(super) fn write(&self, path: &Path) -> Result<(), SourceError> {
        let rows = self.climb.rows.iter().map(|it| hex::encode(it.as_flattened())).collect();
        let file = File { checkpoint: self.checkpoint.clone(), tiles: self.climb.tiles, rows };
        let text = serde_json::to_string(&file).expect("a memory is plain data");
        write_whole(path, &text)
    }
}

/// Writes a file that is whole and durable before it has its name.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), SourceError> {
    let folder = path.parent().filter(|it| *it != Path::new("")).unwrap_or(Path::new("."));
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        std::fs::File::open(folder)?.sync_all()
    });
    written.map_err(|error| SourceError::Unreachable(format!("{}: {error}", path.display())))
}
