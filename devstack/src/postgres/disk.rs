use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempPath;

use super::programs::run;
use super::{PART, Postgres};
use crate::lock::Lock;
use crate::{Error, home};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A disk whose power can be cut: it has what the server on it has synced. What the kernel had only been told, and keeps
/// after a `SIGKILL`, is gone.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    library: TempPath,
}

impl Disk {
    /// Stops a server. It runs on this disk once it is started with its [`environment`](Self::environment).
    pub fn under(postgres: Postgres) -> Result<Self, Error> {
        let folder = postgres.folder();
        let folder = fs::canonicalize(folder).map_err(Error::folder("find", folder))?;
        postgres.stop()?;
        let disk = Self { folder, library: library()? };
        copy(&disk.written(), &disk.synced())?;
        Ok(disk)
    }

    /// What a server has to be started with.
    pub fn environment(&self) -> Vec<(String, String)> {
        let written = self.written();
        let paths: [(&str, &Path); 2] = [("LD_PRELOAD", &self.library), ("DISK_FOLDER", &written)];
        paths.map(|(name, path)| (name.to_owned(), path.display().to_string())).into()
    }

    /// From now on, until the power goes, the disk says that it has what is synced, and has not.
    pub fn lie(&self) -> Result<(), Error> {
        fs::rename(self.synced(), self.aside()).map_err(Error::folder("rename", self.synced()))
    }

    /// Cuts the power of a server that has just been killed with all its processes. Which sectors that were written and
    /// not synced are on the disk all the same is what `survives` says; gives how many are not. Of what came after a lie none is.
    pub fn cut(&self, mut survives: impl FnMut() -> bool) -> Result<u64, Error> {
        let (synced, written) = (self.synced(), self.written());
        // One that is still on its way down still writes.
        let _alone = Lock::take(PART, self.folder.join("lock"))?;
        let lost = if self.aside().exists() {
            fs::rename(self.aside(), &synced).map_err(Error::folder("rename", self.aside()))?;
            0
        } else {
            settle(&synced, &written, &mut survives).map_err(Error::folder("settle", &synced))?
        };
        fs::remove_dir_all(&written).map_err(Error::folder("remove", &written))?;
        copy(&synced, &written)?;
        Ok(lost)
    }

    fn written(&self) -> PathBuf {
        self.folder.join("cluster")
    }

    fn synced(&self) -> PathBuf {
        self.folder.join("cluster.disk")
    }

    fn aside(&self) -> PathBuf {
        self.folder.join("cluster.aside")
    }
}

/// What copies to the disk what is synced. It is in C because no crate of ours may say `unsafe`.
fn library() -> Result<TempPath, Error> {
    let place = std::env::temp_dir();
    let library = tempfile::Builder::new().prefix("daftari-").suffix(".so").tempfile_in(&place);
    let library = library.map_err(Error::folder("create a file in", place))?.into_temp_path();
    let source = home().join("postgres/disk.c");
    run(Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(source))?;
    // The server's user must reach it.
    let opened = fs::set_permissions(&library, Permissions::from_mode(0o755));
    opened.map_err(Error::folder("open up", &library))?;
    Ok(library)
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    run(Command::new("cp").arg("-a").arg(from).arg(to))
}

/// Puts on the disk what survives of what was written; gives how many sectors do not. A file that was never synced is not
/// there at all.
fn settle(synced: &Path, written: &Path, survives: &mut impl FnMut() -> bool) -> io::Result<u64> {
    let mut lost = 0;
    for entry in fs::read_dir(synced)? {
        let entry = entry?;
        let (synced, written) = (entry.path(), written.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            lost += settle(&synced, &written, survives)?;
            continue;
        }
        // Where it has lost its name meanwhile, and the disk had not heard of that yet.
        let Ok(written) = fs::read(written) else { continue };
        let known = fs::read(&synced)?;
        let mut settled = known.clone();
        for (number, sector) in written.chunks(SECTOR_BYTES).enumerate() {
            let place = number * SECTOR_BYTES..number * SECTOR_BYTES + sector.len();
            if known.get(place.clone()) == Some(sector) {
                continue;
            }
            if survives() {
                settled.resize(settled.len().max(place.end), 0);
                settled[place].copy_from_slice(sector);
            } else {
                lost += 1;
            }
        }
        if settled != known {
            fs::write(&synced, settled)?;
        }
    }
    Ok(lost)
}
