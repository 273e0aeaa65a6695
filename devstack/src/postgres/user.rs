use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::bound::User;

/// The user the server has to run as, where that is not ourselves: only root drops, to the owner of the folder (or of
/// the nearest one above it that exists), or to `nobody` where that is root or has no name here, as when a container
/// sees its host's folders: `initdb` refuses to run as a user without a name.
pub(super) fn server_user(folder: &Path) -> Option<User> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let owner = folder.ancestors().find_map(|it| fs::metadata(it).ok());
    match owner {
        Some(owner) if owner.uid() != 0 && (folder.join("cluster").exists() || has_name(owner.uid())) => {
            Some(User { uid: owner.uid(), gid: owner.gid() })
        }
        _ => Some(nobody()),
    }
}

fn has_name(uid: u32) -> bool {
    let mut look = Command::new("getent");
    look.args(["passwd", &uid.to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
    look.status().is_ok_and(|it| it.success())
}

fn nobody() -> User {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let entry = passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let ["nobody", _, uid, gid, ..] = fields[..] else { return None };
        Some(User { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
    });
    // What the kernel itself calls the user that owns nothing.
    entry.unwrap_or(User { uid: 65534, gid: 65534 })
}

/// Does `test` with this flag (`-x`, `-w`) succeed for that user? Trying is the only answer that knows about modes on
/// the way, ACLs and mounts.
pub(super) fn can(user: User, flag: &str, path: &Path) -> bool {
    let mut command = user.command("test");
    command.arg(flag).arg(path).stdin(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|it| it.success())
}
