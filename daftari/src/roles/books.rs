//! `daftari books`: looks into the books from outside, and does in them what an operator does. A file for each command.

pub(crate) mod archive;
mod ask;
mod hurry;
mod import;
mod kinds;
mod look;
mod post;
mod prove;
mod rates;
mod rejects;
mod settle;
mod sweep;

pub(crate) use ask::{Ask, Instant};

use crate::config::Books;

pub(crate) async fn run(command: Books) -> anyhow::Result<()> {
    match command {
        Books::Check(config) => prove::check(config).await,
        Books::Replay(config) => prove::replay(config).await,
        Books::Balance(config) => look::balance(config).await,
        Books::Statement(config) => look::statement(config).await,
        Books::History(config) => look::history(config).await,
        Books::Feed(config) => look::feed(config).await,
        Books::Liability(config) => look::liability(config).await,
        Books::Archive(config) => archive::archive(config).await,
        Books::Restore(config) => archive::restore(config).await,
        Books::Rejects(config) => rejects::run(config).await,
        Books::Kinds(config) => kinds::run(&config),
        Books::Post(config) => post::run(config).await,
        Books::Import(config) => import::run(config).await,
        Books::Sweep(config) => sweep::run(config).await,
        Books::Policy(config) => settle::policy(config.act).await,
        Books::Rules(config) => settle::rules(config.act).await,
        Books::Rate(config) => rates::run(config.act).await,
        Books::ClosePeriod(config) => settle::close_period(config).await,
        Books::Hurry(config) => hurry::run(config).await,
        Books::Program(config) => settle::program(config).await,
        Books::Partner(config) => settle::partner(config).await,
        Books::Fund(config) => settle::fund(config).await,
        Books::Unit(config) => settle::unit(config).await,
        Books::Enrol(config) => settle::enrol(config).await,
    }
}
