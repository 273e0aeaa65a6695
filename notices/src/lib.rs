//! What is told without being asked. A [`Notice`] is what a [`Reader`] may see of one posting; the [`Hub`] follows the log
//! and hands notices to whoever listens.

mod examples;
mod hub;
mod notice;
mod subscription;
pub mod webhook;

#[cfg(test)]
mod tests;

pub use hub::{Hub, Told};
pub use notice::{Kind, Notice, Reader, kinds, types};
pub use subscription::{CAUGHT_UP, Caught, Page, Subscription, page};
