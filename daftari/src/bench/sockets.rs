//! WebSockets that listen, one for each member.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, ensure};
use futures::StreamExt;
use futures::future::try_join_all;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};
use tokio_util::sync::CancellationToken;

use super::ground::{API_KEY, PARTNER, PATIENCE};
use super::report::Times;
use crate::load::member;

/// How many are opened at once.
const OPENING: usize = 100;

/// Sockets that are open.
pub(super) struct Sockets {
    tasks: Vec<JoinHandle<anyhow::Result<Times>>>,
    postings: watch::Receiver<u64>,
    stop: CancellationToken,
}

impl Sockets {
    /// Opens so many, one for each of the first members, and waits until each is told where it begins.
    pub(super) async fn open(address: SocketAddr, count: u32) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let (told, postings) = watch::channel(0);
        let told = Arc::new(told);
        let mut tasks = Vec::new();
        for some in (0..count).collect::<Vec<_>>().chunks(OPENING) {
            let opened = try_join_all(some.iter().map(|it| open(address, *it))).await?;
            tasks.extend(opened.into_iter().map(|it| tokio::spawn(listen(it, told.clone(), stop.clone()))));
        }
        Ok(Self { tasks, postings, stop })
    }

    /// Waits until so many postings were told, and closes them; gives how long each telling took.
    pub(super) async fn close(mut self, postings: u64) -> anyhow::Result<Times> {
        let told = tokio::time::timeout(PATIENCE, self.postings.wait_for(|it| postings <= *it)).await;
        let told = *told.with_context(|| format!("of {postings} postings not all are told"))??;
        ensure!(told == postings, "of {postings} postings {told} were told");
        self.stop.cancel();
        let mut all = Times::default();
        for task in self.tasks {
            all.extend(task.await??);
        }
        Ok(all)
    }
}

type Socket = WebSocketStream<TcpStream>;

async fn open(address: SocketAddr, number: u32) -> anyhow::Result<Socket> {
    let mut request = format!("ws://{address}/api/v1/loyalty/stream").into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("x-api-key", API_KEY.parse()?);
    headers.insert("x-partner-id", PARTNER.parse()?);
    headers.insert("x-user-id", member(number).to_string().parse()?);
    let stream = TcpStream::connect(address).await?;
    let (mut socket, _) = client_async(request, stream).await.context("a socket is not opened")?;
    let first = socket.next().await.context("a socket is closed at once")??;
    ensure!(first.to_text()?.contains("stream.opened"), "a socket begins with {first}");
    Ok(socket)
}

async fn listen(
    mut socket: Socket,
    postings: Arc<watch::Sender<u64>>,
    stop: CancellationToken,
) -> anyhow::Result<Times> {
    let mut times = Times::default();
    loop {
        let message = tokio::select! {
            message = socket.next() => message.context("a socket was closed")??,
            () = stop.cancelled() => return Ok(times),
        };
        if let Message::Text(text) = message {
            let notice: Value = serde_json::from_str(&text)?;
            let at = notice["timestamp"].as_str().context("a notice says when")?;
            let took = jiff::Timestamp::now().duration_since(at.parse()?);
            times.took(took.as_secs_f64() * 1000.0);
            // Who does not keep up is told of several together.
            let several = notice["data"]["transactions"].as_array();
            postings.send_modify(|it| *it += several.map_or(1, |it| it.len() as u64));
        }
    }
}

/// Lets this process, and those that it starts, have so many sockets.
pub(super) fn allow_files(count: u64) -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|it| it < count) {
        limit.current = Some(count);
        setrlimit(Resource::Nofile, limit).with_context(|| format!("cannot have {count} open files"))?;
    }
    Ok(())
}
