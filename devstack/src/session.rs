use std::ffi::OsString;
use std::io::{IsTerminal, stdin};
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::thread;

use devstack::{
    Anvil, AnvilConfig, Error, Kafka, KafkaConfig, Postgres, Scratch, TEST_KAFKA, TEST_POSTGRES, spawn_bound,
    test_postgres_config,
};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::signal::unix::SignalKind;

/// What was asked for, running in one scratch folder.
pub(crate) struct Parts {
    // Dropped in this order: the folder goes last.
    postgres: Postgres,
    kafka: Option<Kafka>,
    anvil: Option<Anvil>,
    _scratch: Scratch,
}

impl Parts {
    pub(crate) fn start(kafka: bool, anvil: bool) -> Result<Self, Error> {
        let scratch = Scratch::new()?;
        let folder = scratch.path();
        // Side by side: each spends most of its start waiting.
        let (postgres, kafka) = thread::scope(|scope| {
            let kafka = kafka.then(|| scope.spawn(|| Kafka::start(&KafkaConfig::new(folder.join("kafka")))));
            let postgres = Postgres::start(&test_postgres_config(folder));
            (postgres, kafka.map(|it| it.join().expect("starting does not panic")))
        });
        let anvil = anvil.then(|| Anvil::start(&AnvilConfig::default())).transpose()?;
        Ok(Self { postgres: postgres?, kafka: kafka.transpose()?, anvil, _scratch: scratch })
    }

    pub(crate) fn stop(self) -> Result<(), Error> {
        let Self { postgres, kafka, anvil, _scratch } = self;
        kafka.map_or(Ok(()), Kafka::stop)?;
        anvil.map_or(Ok(()), Anvil::stop)?;
        postgres.stop()
    }

    fn environment(&self) -> Vec<OsString> {
        let url = self.postgres.url("postgres");
        let mut variables = vec![format!("{TEST_POSTGRES}={url}")];
        variables.extend(self.kafka.as_ref().map(|it| format!("{TEST_KAFKA}={}", it.brokers())));
        variables.extend(self.anvil.as_ref().map(|it| format!("DAFTARI_TEST_ANVIL={}", it.url())));
        variables.into_iter().map(OsString::from).collect()
    }
}

/// The command, running.
pub(crate) struct Session {
    child: Child,
    // At a terminal the command stays in our group, so that it may read from it, and the terminal itself sends its
    // Ctrl-C to all of us. Elsewhere it leads a group of its own, and a signal to us reaches all it has started.
    own_group: bool,
}

impl Session {
    pub(crate) fn start(command: &[OsString], parts: &Parts) -> Result<Self, Error> {
        let own_group = !stdin().is_terminal();
        let arguments = [parts.environment(), command.to_vec()].concat();
        Ok(Self { child: spawn_bound("TERM", own_group, "env", &arguments)?, own_group })
    }

    /// The exit code, once the command has ended. Death by a signal counts as shells count it.
    pub(crate) fn ended(&mut self) -> Option<u8> {
        let status = self.child.try_wait().expect("our own child can be waited for")?;
        if self.own_group {
            // Whatever it left in the background.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::TERM);
        }
        let code = status.code().or_else(|| status.signal().map(|it| 128 + it));
        code.and_then(|it| u8::try_from(it).ok())
    }

    /// Passes on a signal that we were sent.
    pub(crate) fn forward(&self, kind: SignalKind) {
        let pid = Pid::from_child(&self.child);
        let signal = match kind {
            _ if kind == SignalKind::interrupt() => Signal::INT,
            _ if kind == SignalKind::hangup() => Signal::HUP,
            _ => Signal::TERM,
        };
        // An error means that it has just ended, which is what was asked for.
        let _ = match self.own_group {
            true => kill_process_group(pid, signal),
            false if signal == Signal::TERM => kill_process(pid, signal),
            false => Ok(()),
        };
    }
}
