//! A client as small as can be, since it shares the machine with what it measures: one socket, requests written by hand,
//! answers read up to their length.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// One HTTP/1.1 connection.
pub(crate) struct Client {
    stream: TcpStream,
    /// The last answer, with where its body begins.
    buffer: Vec<u8>,
    body_at: usize,
}

/// A request as it is sent: `GET /path`, its headers with the end of each line, and a body in JSON or none.
pub(crate) fn written(line: &str, headers: &str, body: &str) -> String {
    let about_body = match body.len() {
        0 => String::new(),
        length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
    };
    format!("{line} HTTP/1.1\r\nHost: bench\r\n{headers}{about_body}\r\n{body}")
}

/// Who asks, as headers.
pub(crate) fn credential(api_key: &str, partner: &str) -> String {
    format!("X-API-Key: {api_key}\r\nX-Partner-ID: {partner}\r\n")
}

impl Client {
    pub(crate) async fn connect(target: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(target).await;
        Self::on(stream.with_context(|| format!("cannot reach {target}"))?)
    }

    /// The same, from this IPv4 address of ours.
    pub(crate) async fn connect_from(own: IpAddr, target: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(own, 0))?;
        let stream = socket.connect(target).await;
        Self::on(stream.with_context(|| format!("cannot reach {target} from {own}"))?)
    }

    fn on(stream: TcpStream) -> anyhow::Result<Self> {
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

    /// The value of this header of the last answer; the name is in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let head = String::from_utf8_lossy(&self.buffer[..self.body_at]);
        let value = |line: &str| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        head.lines().find_map(value)
    }
}
