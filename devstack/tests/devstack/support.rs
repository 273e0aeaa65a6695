use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 60 s: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Is there such a process, other than one that only waits to be reaped?
pub(crate) fn is_alive(pid: u32) -> bool {
    parent_and_state(pid).is_some_and(|(_, state)| !matches!(state, 'Z' | 'X'))
}

/// Everything that this process has started, and what that has started.
pub(crate) fn descendants(of: u32) -> Vec<u32> {
    let pids =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|it| it.file_name().to_str()?.parse().ok());
    let parents: HashMap<u32, u32> =
        pids.filter_map(|pid| parent_and_state(pid).map(|(parent, _)| (pid, parent))).collect();
    let comes_from = |mut pid: u32| loop {
        match parents.get(&pid) {
            Some(&parent) if parent == of => return true,
            Some(&parent) => pid = parent,
            None => return false,
        }
    };
    parents.keys().copied().filter(|&it| comes_from(it)).collect()
}

/// The scratch folder that one of these processes was told of.
pub(crate) fn scratch_folder(pids: &[u32]) -> Option<PathBuf> {
    pids.iter().find_map(|pid| {
        let command_line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        command_line.split('\0').map(PathBuf::from).find(|it| {
            it.is_absolute() && it.file_name().is_some_and(|it| it.to_string_lossy().starts_with("daftari-"))
        })
    })
}

fn parent_and_state(pid: u32) -> Option<(u32, char)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything; state and parent follow it.
    let mut rest = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = rest.next()?.chars().next()?;
    Some((rest.next()?.parse().ok()?, state))
}
