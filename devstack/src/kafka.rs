mod probe;

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use self::probe::has_broker;
use crate::lock::Lock;
use crate::port::{listens, on_free_ports};
use crate::running::{Launch, Log, Running};
use crate::{Error, fetched, home};

const PART: &str = "kafka";

const START_PATIENCE: Duration = Duration::from_secs(120);
const STOP_GRACE: Duration = Duration::from_secs(20);

/// Which broker to start.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// Its folder: made when missing, kept when there. The topics are in `data/`, the log in `kafka.log`.
    pub data_dir: PathBuf,
    /// A port on 127.0.0.1; a free one where there is none.
    pub port: Option<u16>,
    /// Settings as in server.properties. They win over ours, except for the addresses.
    pub settings: Vec<(String, String)>,
}

impl KafkaConfig {
    /// A broker in this folder, with defaults for the rest.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), port: None, settings: Vec::new() }
    }
}

/// One Kafka node on 127.0.0.1, broker and controller in one. A topic has to be created before it is used: a mistyped
/// name is an error, and nobody gets a number of partitions by accident.
#[derive(Debug)]
pub struct Kafka {
    running: Running,
    port: u16,
}

impl Kafka {
    /// Starts the node and returns when its broker is part of the cluster. A new folder is formatted first.
    pub fn start(config: &KafkaConfig) -> Result<Self, Error> {
        let jars = fetched(PART, home().join("../.cache/kafka"))?;
        java_is_there()?;
        let folder =
            std::path::absolute(&config.data_dir).map_err(Error::folder("find", &config.data_dir))?;
        fs::create_dir_all(&folder).map_err(Error::folder("create", &folder))?;
        let lock = Lock::take(PART, folder.join("lock"))?;
        if !folder.join("data").exists() {
            format(&folder, &jars, &lock)?;
        }
        let (running, port) = on_free_ports(PART, config.port, |[port, controller_port]| {
            let properties = properties(&folder.join("data"), port, controller_port, &config.settings);
            let launch = java(&folder, &jars, &lock, "kafka.Kafka", &properties, &[])?;
            let (running, ()) = Running::launch(launch)?
                .wait_until(START_PATIENCE, |pid| (listens(pid, port) && has_broker(port)).then_some(()))?;
            Ok((running, port))
        })?;
        Ok(Self { running, port })
    }

    /// What clients call `bootstrap.servers`.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The broker's port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// False once it has ended by itself.
    pub fn is_running(&mut self) -> bool {
        self.running.is_running()
    }

    /// Where its output goes, if it is kept.
    pub fn log_file(&self) -> Option<&Path> {
        self.running.log_file()
    }

    /// Leaves the cluster, closes its files and waits for the end.
    pub fn stop(mut self) -> Result<(), Error> {
        self.running.stop()
    }
}

/// Gives the node its identity, beside its place, and moves it there when it is complete.
fn format(folder: &Path, jars: &Path, lock: &Lock) -> Result<(), Error> {
    let unfinished = folder.join("data.new");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(Error::folder("remove", &unfinished))?;
    }
    // The ports are not used here, only checked for form.
    let properties = properties(&unfinished, 1, 2, &[]);
    let id = cluster_id().map_err(Error::folder("read", "/dev/urandom"))?;
    let launch =
        java(folder, jars, lock, "kafka.tools.StorageTool", &properties, &["format", "-t", &id, "-c"])?;
    Running::launch(launch)?.finish(START_PATIENCE)?;
    fs::rename(&unfinished, folder.join("data")).map_err(Error::folder("rename", &unfinished))
}

/// 16 random bytes, as Kafka writes them: base64 for URLs, without padding.
fn cluster_id() -> std::io::Result<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut random = [0; 22];
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    // 22 letters hold 132 bits, the id 128: the last letter's low four are zero. A leading `-` would read as an option.
    random[0] &= 0x1f;
    random[21] &= 0x30;
    Ok(random.iter().map(|it| char::from(ALPHABET[usize::from(it & 0x3f)])).collect())
}

fn properties(data: &Path, port: u16, controller_port: u16, settings: &[(String, String)]) -> String {
    let mut text = String::from(
        "\
        # Written by devstack at each start.\n\
        auto.create.topics.enable=false\n\
        # One node can hold one replica; consumers need not wait for others to join.\n\
        offsets.topic.replication.factor=1\n\
        offsets.topic.num.partitions=1\n\
        transaction.state.log.replication.factor=1\n\
        transaction.state.log.min.isr=1\n\
        transaction.state.log.num.partitions=1\n\
        share.coordinator.state.topic.replication.factor=1\n\
        share.coordinator.state.topic.min.isr=1\n\
        share.coordinator.state.topic.num.partitions=1\n\
        group.initial.rebalance.delay.ms=0\n",
    );
    for (name, value) in settings {
        text += &format!("{name}={value}\n");
    }
    // The last one of a name wins.
    text += &format!(
        "\
        process.roles=broker,controller\n\
        node.id=1\n\
        controller.quorum.voters=1@127.0.0.1:{controller_port}\n\
        listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
        advertised.listeners=BROKER://127.0.0.1:{port}\n\
        inter.broker.listener.name=BROKER\n\
        controller.listener.names=CONTROLLER\n\
        listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
        log.dirs={}\n",
        data.display().to_string().replace('\\', "\\\\")
    );
    text
}

/// The JVM on one of Kafka's main classes, small and quick to start. The properties file comes last.
fn java<'a>(
    folder: &Path,
    jars: &Path,
    lock: &'a Lock,
    class: &str,
    properties: &str,
    before_file: &[&str],
) -> Result<Launch<'a>, Error> {
    let file = folder.join("server.properties");
    fs::write(&file, properties).map_err(Error::folder("write", &file))?;
    let mut arguments: Vec<OsString> =
        // Without IPv4 alone it listens on a socket of the other family, which the kernel lists elsewhere.
        ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"]
            .map(OsString::from)
            .into();
    let logging = format!("-Dlog4j2.configurationFile={}", home().join("kafka/log4j2.properties").display());
    arguments.extend([logging.into(), "-cp".into(), jars.join("*").into(), class.into()]);
    arguments.extend(before_file.iter().map(OsString::from));
    arguments.push(file.into());
    Ok(Launch {
        part: PART,
        program: "java".into(),
        arguments,
        environment: &[],
        folder: folder.into(),
        user: None,
        lock: Some(lock),
        log: Log::kept(&folder.join("kafka.log"))?,
        // A clean end may wait for the controller, which is itself. What was written is in the page cache, and the next
        // start checks the tails of its files.
        orphaned: "KILL",
        stop: Signal::TERM,
        grace: STOP_GRACE,
    })
}

fn java_is_there() -> Result<(), Error> {
    let mut look = Command::new("/bin/sh");
    look.args(["-c", "command -v java"]).stdin(Stdio::null()).stdout(Stdio::null());
    if look.status().is_ok_and(|it| it.success()) {
        return Ok(());
    }
    Err(Error::ProgramMissing {
        program: "java",
        package: "a Java runtime, 17 or newer (Debian: openjdk-17-jre-headless)",
    })
}
