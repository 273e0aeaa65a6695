//! `books archive` and `books restore` are killed at named points, by what passes on their wire to PostgreSQL, and run again: the
//! same postings are in the same file, byte for byte, nothing else is left beside it, and in the end the books are right.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use devstack::{Fate, Passing, Watch, Wire};
use journeys::{Process, System, daftari};
use rustix::process::{Pid, Signal, kill_process};

use super::{Walk, text};

/// More than move in one transaction.
const LINES: u64 = 1100;

/// A statement at which a command is killed, at which of its kind, and whether PostgreSQL still hears of it.
#[derive(Clone, Copy, Debug)]
struct Blow(&'static str, u32, Fate);

const ARCHIVING: [Blow; 7] = [
    // The file is whole, and nobody wrote it down.
    Blow("insert into archive (", 1, Fate::Cut),
    // It is written down, and has no name yet; it has, and nothing has gone.
    Blow("select archive_id, first_leaf_index", 2, Fate::Cut),
    Blow("insert into archived_posting", 1, Fate::Cut),
    // A part has gone, and another is on its way.
    Blow("delete from posting", 2, Fate::Cut),
    // All have gone: nobody has said so, it was said and not heard, and it was heard.
    Blow("set moved_at", 1, Fate::Cut),
    Blow("set moved_at", 1, Fate::Pass),
    Blow("vacuum (analyze", 1, Fate::Cut),
];

const RESTORING: [Blow; 7] = [
    Blow("set recalled_at", 1, Fate::Cut),
    Blow("set recalled_at", 1, Fate::Pass),
    // Nothing is back, but on its way; then a part is.
    Blow("delete from archived_posting", 1, Fate::Cut),
    Blow("delete from archived_posting", 2, Fate::Cut),
    Blow("delete from archived_posting", 2, Fate::Pass),
    // All are.
    Blow("set restored_at", 1, Fate::Cut),
    Blow("set restored_at", 1, Fate::Pass),
];

#[tokio::test]
async fn archiving_and_restoring_killed_at_named_points_lose_nothing() {
    let folder = System::folder();
    let walk = Walk::start(folder.path()).await;
    let mut members = "member,points,last_day,earned_day\n".to_owned();
    for number in 0..LINES {
        members += &format!("crowd-{number},10,2099-12-31,2026-01-05\n");
    }
    let file = walk.home.join("crowd.csv");
    std::fs::write(&file, members).expect("a file can be written");
    walk.run(&["books", "import", "--actor", "ops", "--enrol", text(&file)]).await.expect(0);
    let before = walk.leaves().await.to_string();

    let first = walk.folder("first");
    let done = walk.archive_what_is_final(&first, &before).await;
    assert!(done.contains(&format!("to before {before} are in ")), "{done}");
    let archive = only_file(&first);
    walk.restore(&first).await;
    for (round, (archiving, restoring)) in ARCHIVING.into_iter().zip(RESTORING).enumerate() {
        let files = walk.folder(&format!("round-{round}"));
        let words = ["books", "archive", "--actor", "ops", "--to", text(&files), "--before", &before];
        let _wire = walk.is_struck(&words, archiving).await;
        let told = walk.run(&words).await.expect(0).stdout;
        assert_eq!(told.contains("was begun and never written down"), round == 0, "{archiving:?}: {told}");
        assert!(only_file(&files) == archive, "{archiving:?}: the file is another");
        walk.run(&["books", "check", "--archive", text(&files)]).await.expect(0);

        let _wire = walk.is_struck(&["books", "restore", "--actor", "ops", text(&files)], restoring).await;
        walk.restore(&files).await;
        assert!(only_file(&files) == archive, "{restoring:?}: the file is another");
    }
    walk.system.interrupt().await;
}

/// The bytes of the one file in the folder, whatever its name begins with.
fn only_file(folder: &Path) -> Vec<u8> {
    let files: Vec<_> = std::fs::read_dir(folder).expect("the folder can be read").flatten().collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let name = files[0].file_name().into_string().expect("its name is text");
    assert!(name.starts_with("postings-"), "{name}");
    std::fs::read(files[0].path()).expect("the file can be read")
}

impl Walk {
    fn folder(&self, name: &str) -> std::path::PathBuf {
        let folder = self.home.join(name);
        std::fs::create_dir(&folder).expect("a folder can be made");
        folder
    }

    async fn leaves(&self) -> u64 {
        let pool = store::connect(self.system.fact("database_url"), 1).await.expect("the database answers");
        let size = store::log_size(&mut pool.acquire().await.expect("a connection")).await;
        pool.close().await;
        size.expect("the log has a size")
    }

    async fn restore(&self, files: &Path) {
        self.run(&["books", "restore", "--actor", "ops", text(files)]).await.expect(0);
        let told = self.run(&["books", "check"]).await.expect(0).stdout;
        assert!(told.contains("The books are right"), "{told}");
    }

    /// Starts a command behind a wire of its own, and kills it there. What it has sent still comes through, while the wire stands.
    async fn is_struck(&self, words: &[&str], blow: Blow) -> Wire {
        let Blow(statement, nth, fate) = blow;
        let started = Arc::new(OnceLock::<Pid>::new());
        let (victim, seen) = (Arc::clone(&started), AtomicU32::new(0));
        let watch: Watch = Arc::new(move |passing| {
            let is_there = matches!(passing, Passing::Statement(text) if text.contains(statement));
            if !is_there || seen.fetch_add(1, Ordering::Relaxed) + 1 != nth {
                return Fate::Pass;
            }
            kill_process(*victim.wait(), Signal::KILL).expect("the command runs");
            fate
        });
        let url = self.system.fact("database_url");
        let port = url.split_once("@127.0.0.1:").and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
        let port: u16 = port.expect("the database's URL names a port");
        let wire = Wire::start(port, watch).expect("a wire");
        let url = url.replace(&format!(":{port}/"), &format!(":{}/", wire.port()));
        let mut command = daftari();
        command.args(words).args(["--database-url", &url, "--wrapping-key-file", &self.wrapping]);
        let log = self.home.join("struck.log");
        let process = Process::start(command, &log);
        let pid = i32::try_from(process.pid()).ok().and_then(Pid::from_raw);
        started.set(pid.expect("a process has a number")).expect("it is set once");
        let told = |_| std::fs::read_to_string(&log).unwrap_or_default();
        assert_eq!(process.end().await.map(told), None, "{blow:?}: a signal ends it");
        wire
    }
}
