//! `daftari ingest`: events from Kafka.

use anyhow::Context;
use ingest::{ConsumerConfig, Intake};
use tokio::net::TcpListener;

use crate::config::Ingest;
use crate::roles::{OpenBooks, serve_operations, watch};
use crate::{logging, signals};

pub(crate) async fn run(config: Ingest) -> anyhow::Result<()> {
    let stop = signals::stop_on_signal()?;
    let metrics = logging::collect_metrics()?;
    let books = OpenBooks::open(&config.database).await?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let (committer, committing) = books.lasting_committer().await?;
    let commits = Some(committer.commits());
    let committing = tokio::spawn(watch(committing, stop.clone()));
    let intake = Intake::new(committer, books.pool.clone(), books.program.program_id);
    let consumer = ConsumerConfig {
        topic: config.kafka_topic,
        group: config.kafka_group,
        ..ConsumerConfig::new(config.kafka_brokers)
    };
    let operations =
        tokio::spawn(serve_operations(listener, books.pool.clone(), commits, metrics, stop.clone()));
    ingest::consume(intake, &consumer, stop.clone()).await?;
    stop.cancel();
    operations.await??;
    committing.await?
}
