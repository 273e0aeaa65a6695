use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{LazyLock, Mutex, PoisonError, mpsc};
use std::thread;

use crate::Error;

/// Starts `program` such that it is sent `signal` (a name without SIG, as in `TERM`) when this process ends, also when
/// this process is killed with SIGKILL. With `own_group` it does not receive the terminal's Ctrl-C.
pub fn spawn_bound(
    signal: &'static str,
    own_group: bool,
    program: impl AsRef<OsStr>,
    arguments: &[OsString],
) -> Result<Child, Error> {
    let bound = Bound { signal, own_group, user: None };
    bound.spawn(bound.command(program.as_ref(), arguments))
}

/// Another user to run a program as. Only root can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl User {
    /// A command that runs `program` as this user.
    pub(crate) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        self.drop_to(&mut command);
        command.arg("--").arg(program);
        command
    }

    fn drop_to(self, command: &mut Command) {
        command
            .arg(format!("--reuid={}", self.uid))
            .arg(format!("--regid={}", self.gid))
            .arg("--clear-groups");
    }
}

/// How a program is tied to the life of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) signal: &'static str,
    pub(crate) own_group: bool,
    pub(crate) user: Option<User>,
}

impl Bound {
    /// The command that runs `program` so tied; the caller adds folder, streams and environment.
    pub(crate) fn command(&self, program: &OsStr, arguments: &[OsString]) -> Command {
        // If we die between the fork and setpriv's prctl, the death signal is set too late and never comes. So the last
        // step looks whether its parent is still us.
        const STILL_OURS: &str = r#"test "$PPID" = "$0" || exit 125; exec "$@""#;
        let mut command = Command::new("setpriv");
        command.arg("--pdeathsig").arg(self.signal);
        if let Some(user) = self.user {
            user.drop_to(&mut command);
        }
        command.args(["--", "/bin/sh", "-c", STILL_OURS]).arg(std::process::id().to_string());
        command.arg(program).args(arguments);
        if self.own_group {
            command.process_group(0);
        }
        command
    }

    pub(crate) fn spawn(&self, command: Command) -> Result<Child, Error> {
        let program = command.get_program().to_string_lossy().into_owned();
        spawn_from_lasting_thread(command).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => {
                Error::ProgramMissing { program: "setpriv", package: "util-linux (every Linux has it)" }
            }
            _ => Error::Spawn { program, source },
        })
    }
}

type Request = (Command, mpsc::SyncSender<io::Result<Child>>);

/// The kernel sends the death signal when the *thread* that forked ends, not the process. So every fork is made by one
/// thread that lives as long as the process: a test's or a runtime's own thread would take PostgreSQL with it.
fn spawn_from_lasting_thread(command: Command) -> io::Result<Child> {
    static SPAWNER: LazyLock<Mutex<mpsc::Sender<Request>>> = LazyLock::new(|| {
        let (requests, inbox) = mpsc::channel::<Request>();
        thread::Builder::new()
            .name("devstack-spawner".into())
            .spawn(move || {
                for (mut command, answer) in inbox {
                    // Dropped here, the command closes our copies of the streams it was given.
                    let child = command.spawn();
                    drop(command);
                    let _ = answer.send(child);
                }
            })
            .expect("a thread can be started");
        Mutex::new(requests)
    });
    let (answer, child) = mpsc::sync_channel(1);
    let requests = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner).clone();
    requests.send((command, answer)).expect("the spawner lives as long as the process");
    child.recv().expect("the spawner answers every request")
}
