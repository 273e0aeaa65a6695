use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::PART;
use super::home::{REACHABLE, reachable_folder};
use super::user::can;
use crate::bound::User;
use crate::{Error, fetched, home};

/// What `devstack/fetch postgres` has fetched: server and client programs, with their libraries beside them.
fn package() -> PathBuf {
    home().join("../.cache/postgres")
}

/// One of the programs that whoever called us runs.
pub(super) fn program(name: &str) -> Result<PathBuf, Error> {
    fetched(PART, package().join("bin").join(name))
}

/// The folder with `initdb` and `postgres`, one that the server's user can reach: a checkout under /root is closed to
/// it, and then the programs are copied once, by what they were fetched from, to a folder that is not.
pub(super) fn reachable_by(user: Option<User>) -> Result<PathBuf, Error> {
    let program = program("postgres")?;
    match user {
        Some(user) if !can(user, "-x", &program) => copied(&package()),
        _ => Ok(package().join("bin")),
    }
}

fn copied(package: &Path) -> Result<PathBuf, Error> {
    let stamp = package.join(".fetched");
    let pin = fs::read_to_string(&stamp).map_err(Error::folder("read", &stamp))?;
    let copy = Path::new(REACHABLE).join(format!("programs-{:.16}", pin.trim()));
    if !copy.exists() {
        reachable_folder()?;
        let unfinished = Path::new(REACHABLE).join(format!("programs.new-{}", std::process::id()));
        run(Command::new("cp").args(["-R", "-P", "--no-preserve=ownership"]).arg(package).arg(&unfinished))?;
        run(Command::new("chmod").args(["-R", "a+rX,go-w"]).arg(&unfinished))?;
        // Whoever renames first has made it; the copies are the same.
        if fs::rename(&unfinished, &copy).is_err() {
            fs::remove_dir_all(&unfinished).map_err(Error::folder("remove", &unfinished))?;
        }
        tracing::info!(copy = %copy.display(), "copied PostgreSQL's programs to where its user can reach them");
    }
    Ok(copy.join("bin"))
}

pub(super) fn run(command: &mut Command) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|source| Error::Spawn { program: program.clone(), source })?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Spawn { program, source: std::io::Error::other(status.to_string()) })
}
