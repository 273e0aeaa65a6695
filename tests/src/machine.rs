//! This machine: the checkout, and the processes that run on it.

use std::path::{Path, PathBuf};

use tokio::process::Command;

/// The checkout's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the checkout is there")
}

/// The processes that a system in this folder has started: their command line names something in it, or they stand in
/// it, as PostgreSQL's children do. With their command lines.
pub fn processes_of(folder: &Path) -> Vec<(u32, String)> {
    let inside = format!("{}/", folder.display());
    let numbers = std::fs::read_dir("/proc").expect("/proc is there").flatten();
    let processes = numbers.filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
    let ours = processes.filter_map(|pid| {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let words = std::fs::read(process.join("cmdline")).ok()?;
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        let stands_inside = std::fs::read_link(process.join("cwd")).is_ok_and(|it| it.starts_with(folder));
        (stands_inside || words.contains(&inside)).then_some((pid, words))
    });
    ours.collect()
}

/// Sends SIGKILL to these processes, all at once. One that has just ended by itself is as good.
pub async fn kill_all(pids: &[u32]) {
    let mut kill = Command::new("kill");
    kill.arg("-KILL").args(pids.iter().map(u32::to_string));
    kill.stderr(std::process::Stdio::null()).status().await.expect("kill is installed");
}
