//! `daftari books`: looks into the books from outside, and does in them what an operator does. A file for each command.

mod check;
mod rejects;

use crate::config::Books;

pub(crate) async fn run(command: Books) -> anyhow::Result<()> {
    match command {
        Books::Check(config) => check::run(config).await,
        Books::Rejects(config) => rejects::run(config).await,
    }
}
