//! What is told without being asked. A [`Notice`] is what a [`Reader`] may see of one posting; the [`Hub`] follows the log
//! and hands notices to whoever listens.

mod hub;
mod notice;
mod subscription;
pub mod webhook;

#[cfg(test)]
mod tests;

pub use hub::{Hub, Told};
pub use notice::{Notice, Reader, types};
pub use subscription::{Page, Subscription, page};
