use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::home::Home;
use super::{PART, START_PATIENCE};
use crate::Error;
use crate::lock::Lock;
use crate::running::{Launch, Log, Running};

/// Makes the cluster beside its place and moves it there when it is complete, so that an interrupted start leaves
/// nothing that looks like a cluster.
pub(super) fn initialise(home: &Home, programs: &Path, lock: &Lock) -> Result<(), Error> {
    let unfinished = home.folder.join("cluster.new");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(Error::folder("remove", &unfinished))?;
    }
    let mut arguments: Vec<OsString> = ["-D".into(), unfinished.clone().into()].into();
    let pwfile = format!("--pwfile={}", home.folder.join("password").display());
    arguments.extend(
        [
            "--username=daftari",
            &pwfile,
            "--auth=scram-sha-256",
            // The password has 192 random bits: stretching it would only make every connection slower.
            "--set=scram_iterations=1",
            // Shared memory as files of the cluster: /dev/shm would keep it when this is interrupted.
            "--set=dynamic_shared_memory_type=mmap",
            "--encoding=UTF8",
            // The same order of text on every machine, whatever its C library and its locale.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        ]
        .map(OsString::from),
    );
    Running::launch(Launch {
        part: PART,
        program: programs.join("initdb"),
        arguments,
        environment: &[],
        folder: home.folder.clone(),
        user: home.user,
        lock: Some(lock),
        log: Log::kept(&home.log())?,
        // It waits for the server it runs meanwhile; killed itself, it would leave that one behind, without the lock.
        orphaned: "TERM",
        stop: Signal::TERM,
        grace: Duration::from_secs(5),
    })?
    .finish(START_PATIENCE)?;
    fs::rename(&unfinished, home.cluster()).map_err(Error::folder("rename", &unfinished))
}

/// The password, made on the first start: loopback is open to every user of the machine.
pub(super) fn password(home: &Home) -> Result<String, Error> {
    let path = home.folder.join("password");
    match fs::read_to_string(&path) {
        Ok(password) if !password.is_empty() => return Ok(password),
        _ if home.cluster().exists() => {
            let source = io::Error::other("the cluster beside it was made with a password that it held");
            return Err(Error::folder("read", &path)(source));
        }
        _ => {}
    }
    let mut random = [0; 24];
    fs::File::open("/dev/urandom")
        .and_then(|mut it| it.read_exact(&mut random))
        .map_err(Error::folder("read", "/dev/urandom"))?;
    let password: String = random.iter().map(|it| format!("{it:02x}")).collect();
    write_password(home, &password)?;
    Ok(password)
}

/// Puts a password where the next start finds it.
pub(super) fn write_password(home: &Home, password: &str) -> Result<(), Error> {
    home.write_secret(&home.folder.join("password"), password)
}

/// A crash leaves `postmaster.pid` behind. PostgreSQL ignores it when that process is gone, but refuses to start when
/// the number has been given to another process of the same user, as happens after every restart of a container.
pub(super) fn forget_a_pid_that_was_reused(home: &Home) -> Result<(), Error> {
    let path = home.cluster().join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
    let pid = text.lines().next().unwrap_or_default();
    let Ok(command_line) = fs::read(format!("/proc/{pid}/cmdline")) else { return Ok(()) };
    let cluster = home.cluster();
    // We hold the lock, so no server of ours runs here, at most one that somebody started by hand.
    if command_line.split(|&it| it == 0).any(|it| it == cluster.as_os_str().as_encoded_bytes()) {
        return Err(Error::InUse { part: PART, folder: home.folder.clone() });
    }
    fs::remove_file(&path).map_err(Error::folder("remove", &path))
}
