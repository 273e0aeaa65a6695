//! The system under test: the built executable, started as a user starts it, and asked from outside.

mod api;
mod process;
mod system;

pub use api::{Api, Reply};
pub use process::{Process, daftari, eventually, root};
pub use system::System;
