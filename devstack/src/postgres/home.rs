use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use super::user::{can, server_user};
use crate::Error;
use crate::bound::User;

/// Where root keeps what the server's user must reach and the checkout does not let it.
pub(super) const REACHABLE: &str = "/var/lib/daftari";

/// A folder that the server's user owns and can reach.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) folder: PathBuf,
    /// Who the server runs as, where that is not ourselves.
    pub(super) user: Option<User>,
}

impl Home {
    /// Makes or finds the folder.
    ///
    /// Where root's checkout is closed to the server's user (it lies under /root, say), the folder is made under
    /// /var/lib/daftari, and a link named `moved` in the configured folder says where. The link is the only way to it:
    /// whoever removes the configured folder to start afresh does start afresh.
    pub(super) fn prepare(data_dir: &Path) -> Result<Self, Error> {
        let data_dir = &std::path::absolute(data_dir).map_err(Error::folder("find", data_dir))?;
        let user = server_user(data_dir);
        make(data_dir, user)?;
        let Some(user) = user else {
            return ours(data_dir).map(|()| Self { folder: data_dir.clone(), user: None });
        };
        let moved = data_dir.join("moved");
        if let Ok(folder) = fs::read_link(&moved) {
            let metadata = fs::metadata(&folder).map_err(Error::folder("find the moved folder", &folder))?;
            let user = User { uid: metadata.uid(), gid: metadata.gid() };
            return Ok(Self { folder, user: Some(user) });
        }
        if can(user, "-w", data_dir) {
            return Ok(Self { folder: data_dir.clone(), user: Some(user) });
        }
        let folder = move_out(user)?;
        symlink(&folder, &moved).map_err(Error::folder("link", &moved))?;
        tracing::warn!(
            wanted = %data_dir.display(), used = %folder.display(), uid = user.uid,
            "PostgreSQL does not run as root, and its user cannot reach the data folder: the data is elsewhere"
        );
        Ok(Self { folder, user: Some(user) })
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.folder.join("cluster")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }

    /// Writes a file that only the server's user may read.
    pub(super) fn write_secret(&self, path: &Path, secret: &str) -> Result<(), Error> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        file.as_mut()
            .map_err(|it| io::Error::from(it.kind()))
            .and_then(|it| it.write_all(secret.as_bytes()))
            .map_err(Error::folder("write", path))?;
        give(path, self.user)
    }
}

/// Makes the folder and the ones above it; what is made here belongs to the server's user.
fn make(folder: &Path, user: Option<User>) -> Result<(), Error> {
    if folder.is_dir() {
        // An empty folder of root's was made for us to use, by mktemp or an installer.
        let empty = fs::read_dir(folder).is_ok_and(|mut it| it.next().is_none());
        return if empty { give(folder, user) } else { Ok(()) };
    }
    if let Some(parent) = folder.parent() {
        make_parent(parent, user)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::folder("create", folder)(error))
        }
        _ => give(folder, user),
    }
}

fn make_parent(folder: &Path, user: Option<User>) -> Result<(), Error> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_parent(parent, user)?;
    }
    fs::create_dir(folder)
        .or_else(|it| if it.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(it) })
        .map_err(Error::folder("create", folder))?;
    // Under an ordinary user's folder the new one is that user's. Under root's it stays root's.
    match user {
        Some(user) if fs::metadata(folder.join("..")).is_ok_and(|it| it.uid() == user.uid) => {
            give(folder, Some(user))
        }
        _ => Ok(()),
    }
}

fn give(path: &Path, user: Option<User>) -> Result<(), Error> {
    let Some(user) = user else { return Ok(()) };
    chown(path, Some(user.uid), Some(user.gid)).map_err(Error::folder("change the owner of", path))
}

fn ours(folder: &Path) -> Result<(), Error> {
    let owner = fs::metadata(folder).map_err(Error::folder("look at", folder))?.uid();
    let ours = rustix::process::geteuid().as_raw();
    if owner == ours { Ok(()) } else { Err(Error::NotOurs { folder: folder.into(), owner, ours }) }
}

fn move_out(user: User) -> Result<PathBuf, Error> {
    reachable_folder()?;
    let folder = tempfile::Builder::new()
        .prefix("postgres-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(REACHABLE)
        .map_err(Error::folder("create a folder in", REACHABLE))?
        .keep();
    give(&folder, Some(user))?;
    Ok(folder)
}

/// /var/lib/daftari, which everybody may enter and only root may change.
pub(super) fn reachable_folder() -> Result<(), Error> {
    fs::create_dir_all(REACHABLE).map_err(Error::folder("create", REACHABLE))?;
    fs::set_permissions(REACHABLE, Permissions::from_mode(0o755)).map_err(Error::folder("open up", REACHABLE))
}
