//! Webhooks, as Standard Webhooks 1.0.0 has them. `guard` says where messages may go, `signature` makes them ours, `course` decides
//! what becomes of one, and the `Courier` brings them.

mod courier;
mod course;
mod guard;
mod message;
mod post;
mod signature;

pub use courier::{Courier, Pace};
pub use course::SCHEDULE;
pub use guard::{Blocked, Guard};
pub use ipnet::IpNet;
pub use message::{Challenge, Kind, TEST, VERIFICATION, kinds};
pub use post::{Post, message_id};
pub use signature::{Checks, Refused, Shown, SigningSecret, Signs};
