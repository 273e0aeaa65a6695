//! HTTP/1.1 on a socket, until told to stop; then what is being answered is answered. Whoever is slow, or sends more in a head
//! than any request of ours needs, is cut.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::gate::Peer;

/// All headers of a request together, with its first line: 32 KiB.
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 64;
/// Further connections wait until others end: the system's sockets are for the database, too.
const CONNECTIONS_MAX: usize = 20_000;
/// Requests take at most 30 seconds; their answers a moment more.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(35);
/// When the system has no more sockets, trying again at once would only burn.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long callers may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From the connection, or the last answer on it, to the end of the next request's head. It is the idle time of a
    /// kept-alive connection, too.
    pub(crate) head: Duration,
    /// For taking some of an answer that is there.
    pub(crate) reader: Duration,
}

const PATIENCE: Patience = Patience { head: Duration::from_secs(30), reader: Duration::from_secs(30) };

/// Serves until `stop`, then closes the socket and drains.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> io::Result<()> {
    serve_within(PATIENCE, listener, router, stop).await
}

/// Serves callers who take no longer than this.
pub(crate) async fn serve_within(
    patience: Patience,
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let mut server = auto::Builder::new(TokioExecutor::new()).http1_only();
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .pipeline_flush(true);
    let draining = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let place = place.expect("the semaphore is never closed");
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are small and awaited: they must not wait for more to send.
        stream.set_nodelay(true)?;
        let (server, router, watcher) = (server.clone(), router.clone(), draining.watcher());
        let stop = stop.clone();
        tokio::spawn(async move {
            // The server's own time for a head begins with its first byte.
            let mut first = [0];
            let begun = tokio::select! {
                () = stop.cancelled() => false,
                begun = tokio::time::timeout(patience.head, stream.peek(&mut first)) => matches!(begun, Ok(Ok(1))),
            };
            if begun {
                // One that becomes a WebSocket is let go: its stream ends it.
                let service = router.map_request(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(Peer(address));
                    request
                });
                let mut stream = TimeoutStream::new(stream);
                stream.set_write_timeout(Some(patience.reader));
                let (io, service) = (TokioIo::new(Box::pin(stream)), TowerToHyperService::new(service));
                let connection = server.serve_connection_with_upgrades(io, service).into_owned();
                if let Err(error) = watcher.watch(connection).await {
                    tracing::debug!(%error, "a connection ended early");
                }
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIME_MAX, draining.shutdown()).await.is_err() {
        tracing::warn!("some connections did not drain in time");
    }
    Ok(())
}
