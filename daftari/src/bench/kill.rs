//! Ends processes of others' making, by number.

use devstack::Postgres;
use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal to a process that is ours: a child that nobody has waited for, or one of PostgreSQL's, so the number is
/// still its own. It may have ended by itself a moment ago, which is as good.
pub(super) fn kill(pid: Pid, signal: Signal) {
    let _ = kill_process(pid, signal);
}

/// The first process of a PostgreSQL, by which the others are found when it is to be killed.
#[derive(Clone, Copy)]
pub(super) struct Postmaster(Pid);

impl Postmaster {
    pub(super) fn of(postgres: &Postgres) -> Self {
        Self(Pid::from_raw(postgres.pid() as i32).expect("a process has a number"))
    }

    /// Kills it with all its processes; itself first, so that it starts none anew.
    pub(super) fn kill(self) {
        for pid in [self.0].into_iter().chain(self.children()) {
            kill(pid, Signal::KILL);
        }
    }

    /// Its processes that serve somebody, with their titles, which say user, database, client, and what they do now.
    pub(super) fn sessions(self) -> Vec<(Pid, String)> {
        let titled = self.children().into_iter().filter_map(|pid| {
            let title = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
            Some((pid, String::from_utf8_lossy(&title).into_owned()))
        });
        titled.filter(|(_, title)| title.starts_with("postgres: daftari ")).collect()
    }

    fn children(self) -> Vec<Pid> {
        let number = self.0.as_raw_nonzero();
        let children = std::fs::read_to_string(format!("/proc/{number}/task/{number}/children"));
        let children = children.unwrap_or_default();
        children.split_whitespace().filter_map(|it| Pid::from_raw(it.parse().ok()?)).collect()
    }
}
