//! Load for a benchmark, from a process of its own: connections that each ask again as soon as they are answered.
//!
//! The client is as small as can be, since it shares the machine with what it measures: one socket per connection,
//! requests written by hand, answers read up to their length.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::config::Load;

/// What a run of load came to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LoadReport {
    /// Requests answered with success.
    pub(crate) succeeded: u64,
    /// Requests answered otherwise.
    pub(crate) failed: u64,
    pub(crate) seconds: f64,
    pub(crate) p50_us: u32,
    pub(crate) p99_us: u32,
    pub(crate) worst_us: u32,
}

/// Member `n` of a benchmark.
pub(crate) fn member(n: u32) -> Uuid {
    Uuid::from_u128(0x00dafa00_0000_4000_8000_000000000000 + u128::from(n))
}

/// Redeems one point again and again, from members drawn at random, and prints the report as JSON.
pub(crate) async fn run(config: Load) -> anyhow::Result<()> {
    let started = Instant::now();
    let ends = started + config.duration.0;
    let mut tasks = Vec::new();
    for connection in 0..config.connections {
        let config = config.clone();
        tasks.push(tokio::spawn(async move { redeem_until(&config, connection, ends).await }));
    }
    let (mut latencies, mut failed) = (Vec::new(), 0);
    for task in tasks {
        let (answered, not) = task.await??;
        latencies.extend(answered);
        failed += not;
    }
    let seconds = started.elapsed().as_secs_f64();
    ensure!(!latencies.is_empty(), "no request succeeded");
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    let report = LoadReport {
        succeeded: latencies.len() as u64,
        failed,
        seconds,
        p50_us: at(0.5),
        p99_us: at(0.99),
        worst_us: at(1.0),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

async fn redeem_until(config: &Load, connection: u32, ends: Instant) -> anyhow::Result<(Vec<u32>, u64)> {
    let mut random = Random(config.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(connection));
    let mut client = Client::connect(config.target).await?;
    let (mut latencies, mut failed) = (Vec::new(), 0);
    while Instant::now() < ends {
        let member = member((random.next() % u64::from(config.members)) as u32);
        let key = Uuid::from_u64_pair(random.next(), random.next());
        let body = format!(r#"{{"points":1,"merchant_reference":"{}"}}"#, random.next() % 1_000_000);
        let request = format!(
            "POST /loyalty/v1/partner/users/{member}/redeem HTTP/1.1\r\nHost: bench\r\nX-API-Key: {}\r\n\
             X-Partner-ID: {}\r\nX-Idempotency-Key: {key}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            config.api_key.0,
            config.partner,
            body.len(),
        );
        let asked = Instant::now();
        let status = client.ask(request.as_bytes()).await?;
        if status == 200 {
            latencies.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
        } else {
            failed += 1;
        }
    }
    Ok((latencies, failed))
}

/// One HTTP/1.1 connection.
pub(crate) struct Client {
    stream: TcpStream,
    /// The last answer, with where its body begins.
    buffer: Vec<u8>,
    body_at: usize,
}

impl Client {
    pub(crate) async fn connect(target: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(target).await.with_context(|| format!("cannot reach {target}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096), body_at: 0 })
    }

    /// Sends a request and reads its answer to the end; gives the status.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if let Some(end) = self.buffer.windows(4).position(|it| it == b"\r\n\r\n") {
                let head = str::from_utf8(&self.buffer[..end])?;
                let status =
                    head.get(9..12).and_then(|it| it.parse().ok()).context("an answer without a status")?;
                let length = head
                    .lines()
                    .find_map(|line| {
                        line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
                    })
                    .unwrap_or(0_usize);
                if end + 4 + length <= self.buffer.len() {
                    self.body_at = end + 4;
                    return Ok(status);
                }
            }
            if tokio::time::timeout(Duration::from_secs(60), self.stream.read_buf(&mut self.buffer)).await??
                == 0
            {
                bail!("the connection was closed before the answer was whole");
            }
        }
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> anyhow::Result<serde_json::Value> {
        let body = &self.buffer[self.body_at..];
        serde_json::from_slice(body).with_context(|| format!("not JSON: {}", String::from_utf8_lossy(body)))
    }

    /// Whether the last answer has this header, as in `name: value`.
    pub(crate) fn has_header(&self, header: &str) -> bool {
        let head = String::from_utf8_lossy(&self.buffer[..self.body_at]);
        head.lines().any(|it| it.eq_ignore_ascii_case(header))
    }
}

/// SplitMix64: enough randomness to spread load, the same for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
