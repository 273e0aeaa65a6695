//! The system under test: the built executable, started as a user starts it, and asked from outside.

mod api;
mod ask;
mod chain;
mod machine;
mod process;
mod system;

pub use api::{Api, Reply};
pub use ask::{Answered, answer_of, bash, cast, commands_of, node};
pub use chain::JsonRpc;
pub use devstack::lasting_port;
pub use machine::{kill_all, processes_of, root};
pub use process::{Process, daftari, daftari_path, eventually, part};
pub use system::{System, check_books, sql};
