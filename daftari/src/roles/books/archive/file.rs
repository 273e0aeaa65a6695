//! The file of an archive: gzip over lines of JSON, the first and the last of which say what it is and that it is whole
//! (docs/formats.md). It is read as it is written, a page at a time.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use proof::Hash;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{Archive, ArchiveLine};
use tempfile::NamedTempFile;

const FORMAT: &str = "daftari-postings/1";
/// How many postings are read at a time.
const PAGE: usize = 1000;

/// The first line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    format: String,
    log_id: String,
    first_leaf_index: u64,
    end_leaf_index: u64,
}

/// The last line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Foot {
    postings: u64,
    /// Of all lines before.
    sha256: String,
}

/// What of a posting's line is looked at here.
#[derive(Deserialize)]
struct Posting {
    posting: Place,
}

#[derive(Deserialize)]
struct Place {
    leaf_index: i64,
}

/// Where a file of this log is made and waits until it is written down: only then it gets its own name, which is thus never that
/// of a file that nothing lists.
fn waiting(folder: &Path, log_id: &Hash, file: &str) -> PathBuf {
    folder.join(waiting_prefix(log_id) + file)
}

fn waiting_prefix(log_id: &Hash) -> String {
    format!(".{}-", hex::encode(&log_id[..8]))
}

/// Demands that the archive's file is here, whole and the one that was written, and gives it its name if it still waits for it.
pub(super) fn settle(folder: &Path, log_id: &Hash, archive: &Archive) -> anyhow::Result<()> {
    let (waiting, path) = (waiting(folder, log_id, &archive.file), folder.join(&archive.file));
    let at = || format!("cannot write {}", path.display());
    if waiting.exists() && !path.exists() {
        fs::rename(&waiting, &path).with_context(at)?;
        File::open(folder).and_then(|it| it.sync_all()).with_context(at)?;
    }
    Lines::check(folder, log_id, archive)?;
    // An earlier archive of the same range had the same lines.
    if waiting.exists() { fs::remove_file(&waiting).with_context(at) } else { Ok(()) }
}

/// The files of this log in the folder that no record names: first those that were begun and never written down, then those that
/// have a name all the same.
pub(super) fn strays(
    folder: &Path,
    log_id: &Hash,
    recorded: &[String],
) -> anyhow::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut begun, mut named) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_archive = name.starts_with("postings-") && name.ends_with(".jsonl.gz");
        // One that cannot be read may be ours.
        let is_ours = || Lines::open(folder, &name).map_or(true, |it| it.head.log_id == hex::encode(log_id));
        if name.starts_with(&waiting_prefix(log_id)) {
            begun.push(entry.path());
        } else if is_archive && !recorded.contains(&name) && is_ours() {
            named.push(entry.path());
        }
    }
    begun.sort_unstable();
    named.sort_unstable();
    Ok((begun, named))
}

/// A file in the making.
pub(super) struct Writer {
    folder: PathBuf,
    file: String,
    staged: NamedTempFile,
    encoder: GzEncoder<BufWriter<File>>,
    digest: Sha256,
    head: Head,
    postings: u64,
}

/// A file that is whole and durable, and was read back. It waits for its name.
pub(super) struct Written {
    pub(super) file: String,
    pub(super) postings: u64,
    pub(super) digest: Hash,
}

impl Writer {
    pub(super) fn begin(folder: &Path, log_id: &Hash, first: u64, end: u64) -> anyhow::Result<Self> {
        let file = format!("postings-{first:012}-{end:012}.jsonl.gz");
        let at = || format!("cannot write into {}", folder.display());
        // Only its owner may read it: it names members.
        let name = waiting_prefix(log_id) + &file;
        let staged = tempfile::Builder::new().prefix(&name).rand_bytes(0).tempfile_in(folder);
        let staged = staged.with_context(at)?;
        let encoder = BufWriter::new(staged.as_file().try_clone().with_context(at)?);
        let encoder = GzEncoder::new(encoder, Compression::default());
        let head = Head {
            format: FORMAT.to_owned(),
            log_id: hex::encode(log_id),
            first_leaf_index: first,
            end_leaf_index: end,
        };
        let (folder, digest) = (folder.to_owned(), Sha256::new());
        let mut writer = Self { folder, file, staged, encoder, digest, head, postings: 0 };
        let line = serde_json::to_string(&writer.head)?;
        writer.line(&line)?;
        Ok(writer)
    }

    pub(super) fn write(&mut self, lines: &[ArchiveLine]) -> anyhow::Result<()> {
        self.postings += lines.len() as u64;
        lines.iter().try_for_each(|it| self.line(&it.line))
    }

    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        for bytes in [line.as_bytes(), b"\n"] {
            self.digest.update(bytes);
            self.encoder.write_all(bytes).with_context(|| format!("cannot write {}", self.file))?;
        }
        Ok(())
    }

    pub(super) fn end(self) -> anyhow::Result<Written> {
        let Self { folder, file, staged, mut encoder, digest, head, postings } = self;
        let digest: Hash = digest.finalize().into();
        let foot = serde_json::to_string(&Foot { postings, sha256: hex::encode(digest) })?;
        let path = folder.join(&file);
        let at = || format!("cannot write {}", path.display());
        writeln!(encoder, "{foot}").with_context(at)?;
        encoder.finish().with_context(at)?.flush().with_context(at)?;
        staged.as_file().sync_all().with_context(at)?;
        // Read back from where it lies, before anything is taken away because of it.
        let mut lines = Lines::of(File::open(staged.path()).with_context(at)?, path.clone())?;
        ensure!(lines.are(&head, (postings, digest))?, "{} reads otherwise than it was written", file);
        // A file of this name may be the only one of postings that another database, or an earlier day, put into it; or it has
        // these very lines, since the same was archived before and came back.
        let found = Lines::open(&folder, &file).and_then(|mut it| it.are(&head, (postings, digest)));
        ensure!(
            !path.exists() || found.unwrap_or(false),
            "{} is not overwritten, since other postings are in it: name another folder",
            path.display()
        );
        // From here it stays where it is, whatever becomes of the record.
        staged.keep().with_context(at)?;
        File::open(&folder).and_then(|it| it.sync_all()).with_context(at)?;
        Ok(Written { file, postings, digest })
    }
}

/// A file that is read.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<GzDecoder<BufReader<File>>>,
    head: Head,
    digest: Sha256,
    postings: u64,
    end: Option<(u64, Hash)>,
}

impl Lines {
    pub(super) fn open(folder: &Path, file: &str) -> anyhow::Result<Self> {
        let path = folder.join(file);
        let opened =
            File::open(&path).with_context(|| format!("cannot read the archive {}", path.display()))?;
        Self::of(opened, path)
    }

    /// Demands that the archive's file is here, whole, and the one that was written.
    pub(super) fn check(folder: &Path, log_id: &Hash, archive: &Archive) -> anyhow::Result<()> {
        let mut lines = Self::open(folder, &archive.file)?;
        let head = Head {
            format: FORMAT.to_owned(),
            log_id: hex::encode(log_id),
            first_leaf_index: archive.first_leaf_index,
            end_leaf_index: archive.end_leaf_index,
        };
        ensure!(
            lines.are(&head, (archive.postings, archive.digest))?,
            "{} is damaged or another: its lines are not those of the archive's SHA-256 {}",
            lines.path.display(),
            hex::encode(archive.digest)
        );
        Ok(())
    }

    fn of(file: File, path: PathBuf) -> anyhow::Result<Self> {
        let mut reader = BufReader::new(GzDecoder::new(BufReader::new(file)));
        let at = || format!("{} is damaged or no archive of postings", path.display());
        let mut line = String::new();
        reader.read_line(&mut line).with_context(at)?;
        let head = serde_json::from_str(&line).with_context(at)?;
        let digest = Sha256::new_with_prefix(&line);
        Ok(Self { path, reader, head, digest, postings: 0, end: None })
    }

    /// The next postings; none at the end, which was then found to be that of all before it.
    pub(super) fn page(&mut self) -> anyhow::Result<Option<Vec<ArchiveLine>>> {
        let mut page = Vec::new();
        while self.end.is_none() && page.len() < PAGE {
            page.extend(self.next()?);
        }
        Ok(Some(page).filter(|it| !it.is_empty()))
    }

    fn next(&mut self) -> anyhow::Result<Option<ArchiveLine>> {
        let at = || format!("{} is damaged", self.path.display());
        let mut line = String::new();
        self.reader.read_line(&mut line).with_context(at)?;
        ensure!(line.ends_with('\n'), "{} is damaged: it ends too early", self.path.display());
        if let Ok(foot) = serde_json::from_str::<Foot>(&line) {
            let digest: Hash = self.digest.clone().finalize().into();
            let whole = foot == Foot { postings: self.postings, sha256: hex::encode(digest) };
            let nothing_after = self.reader.fill_buf().with_context(at)?.is_empty();
            ensure!(
                whole && nothing_after,
                "{} is damaged: its lines are not what its end says",
                self.path.display()
            );
            self.end = Some((self.postings, digest));
            return Ok(None);
        }
        self.digest.update(&line);
        self.postings += 1;
        let Posting { posting: Place { leaf_index } } = serde_json::from_str(&line).with_context(at)?;
        line.pop();
        Ok(Some(ArchiveLine { leaf_index, line }))
    }

    /// Whether they are those of such a file, to its end.
    fn are(&mut self, head: &Head, read: (u64, Hash)) -> anyhow::Result<bool> {
        Ok(self.read_on()? == read && self.head == *head)
    }

    fn read_on(&mut self) -> anyhow::Result<(u64, Hash)> {
        while self.page()?.is_some() {}
        Ok(self.end.expect("it was read to its end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path, postings: i64) -> Archive {
        let line = |leaf_index| ArchiveLine {
            leaf_index,
            line: format!(r#"{{"event": null, "entries": [], "posting": {{"leaf_index": {leaf_index}}}}}"#),
        };
        let mut writer = Writer::begin(folder, &[5; 32], 0, postings as u64).unwrap();
        writer.write(&(0..postings).map(line).collect::<Vec<_>>()).unwrap();
        let Written { file, postings, digest } = writer.end().unwrap();
        let archive = Archive {
            archive_id: 1,
            first_leaf_index: 0,
            end_leaf_index: postings,
            postings,
            digest,
            file,
            stage: store::ArchiveStage::Moving,
        };
        settle(folder, &[5; 32], &archive).unwrap();
        archive
    }

    #[test]
    fn an_archives_file_says_what_was_written_or_that_it_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let archive = written(folder.path(), 2500);
        Lines::check(folder.path(), &[5; 32], &archive).unwrap();
        let mut lines = Lines::open(folder.path(), &archive.file).unwrap();
        let pages: Vec<Vec<ArchiveLine>> = std::iter::from_fn(|| lines.page().unwrap()).collect();
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000, 500]);
        assert_eq!(
            pages.iter().flatten().map(|it| it.leaf_index).collect::<Vec<_>>(),
            (0..2500).collect::<Vec<_>>()
        );

        // Of another log, or another archive of the same range.
        assert!(Lines::check(folder.path(), &[6; 32], &archive).is_err());
        let other = Archive { digest: [7; 32], ..archive.clone() };
        assert!(Lines::check(folder.path(), &[5; 32], &other).is_err());

        // Its name is taken: by the same lines that is as good, others are refused.
        written(folder.path(), 2500);
        let mut other = Writer::begin(folder.path(), &[5; 32], 0, 2500).unwrap();
        let line = r#"{"event": null, "entries": [], "posting": {"leaf_index": 7}}"#.to_owned();
        other.write(&[ArchiveLine { leaf_index: 7, line }]).unwrap();
        assert!(other.end().is_err());
        Lines::check(folder.path(), &[5; 32], &archive).unwrap();

        // Any bit, and any end that is too early.
        let path = folder.path().join(&archive.file);
        let whole = std::fs::read(&path).unwrap();
        for at in (10..whole.len()).step_by(whole.len() / 40) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            for damaged in [&flipped, &whole[..at].to_vec()] {
                std::fs::write(&path, damaged).unwrap();
                assert!(Lines::check(folder.path(), &[5; 32], &archive).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn a_file_has_its_name_when_it_is_written_down_and_what_never_was_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let names = |files: &[PathBuf]| -> Vec<String> {
            files.iter().map(|it| it.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        };
        // Cut off: of this log, and of another, whose it is to find.
        for log_id in [[5; 32], [6; 32]] {
            Writer::begin(folder.path(), &log_id, 0, 9).unwrap().end().unwrap();
        }
        let (begun, named) = strays(folder.path(), &[5; 32], &[]).unwrap();
        assert_eq!(names(&begun), [".0505050505050505-postings-000000000000-000000000009.jsonl.gz"]);
        assert_eq!(names(&named), [] as [&str; 0]);
        fs::remove_file(&begun[0]).unwrap();

        // Written down, it is no stray; where the record is gone, it is one, and is left alone.
        let archive = written(folder.path(), 5);
        let recorded = std::slice::from_ref(&archive.file);
        assert_eq!(strays(folder.path(), &[5; 32], recorded).unwrap(), (vec![], vec![]));
        let (begun, named) = strays(folder.path(), &[5; 32], &[]).unwrap();
        assert_eq!((names(&begun), names(&named)), (vec![], vec![archive.file.clone()]));
        assert_eq!(strays(folder.path(), &[7; 32], &[]).unwrap(), (vec![], vec![]));

        // The same again leaves one file, and one that is gone is missed.
        written(folder.path(), 5);
        assert_eq!(strays(folder.path(), &[5; 32], recorded).unwrap(), (vec![], vec![]));
        fs::remove_file(folder.path().join(&archive.file)).unwrap();
        assert!(settle(folder.path(), &[5; 32], &archive).is_err());
    }
}
