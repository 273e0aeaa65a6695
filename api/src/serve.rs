//! HTTP/1.1 on a socket, and HTTP/2 where it is under TLS, until told to stop; then what is being answered is answered. Whoever is slow, or sends more in a head
//! than any request of ours needs, is cut.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::gate::Peer;
use crate::tls::{HTTP_2, Tls};

/// All headers of a request together, with its first line: 32 KiB.
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 64;
/// Requests at once on one connection of HTTP/2.
const STREAMS_MAX: u32 = 128;
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
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Tls>,
    stop: CancellationToken,
) -> io::Result<()> {
    serve_within(PATIENCE, listener, router, tls, stop).await
}

/// Serves callers who take no longer than this.
pub(crate) async fn serve_within(
    patience: Patience,
    listener: TcpListener,
    router: Router,
    tls: Option<Tls>,
    stop: CancellationToken,
) -> io::Result<()> {
    let speakers = Speakers::new(patience);
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
        let (speakers, router, watcher) = (speakers.clone(), router.clone(), draining.watcher());
        let (tls, stop) = (tls.clone(), stop.clone());
        tokio::spawn(async move {
            // The server's own time for a head begins with its first byte.
            let mut first = [0];
            let begun = tokio::select! {
                () = stop.cancelled() => false,
                begun = tokio::time::timeout(patience.head, stream.peek(&mut first)) => matches!(begun, Ok(Ok(1))),
            };
            if begun {
                let router = router.map_request(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(Peer(address));
                    request
                });
                let service = TowerToHyperService::new(router);
                match tls {
                    None => converse(&speakers.http_1, patience, stream, service, watcher).await,
                    Some(tls) => {
                        let shaken = tokio::time::timeout(patience.head, tls.acceptor().accept(stream)).await;
                        if let Ok(Ok(stream)) = shaken {
                            let is_http_2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
                            let server = if is_http_2 { &speakers.http_2 } else { &speakers.http_1 };
                            converse(server, patience, stream, service, watcher).await;
                        }
                    }
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

type Server = auto::Builder<TokioExecutor>;

/// A server for each version of the protocol.
#[derive(Clone)]
struct Speakers {
    http_1: Server,
    http_2: Server,
}

impl Speakers {
    fn new(patience: Patience) -> Self {
        let mut http_1 = auto::Builder::new(TokioExecutor::new()).http1_only();
        http_1
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(patience.head)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .pipeline_flush(true);
        let mut http_2 = auto::Builder::new(TokioExecutor::new()).http2_only();
        http_2
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(HEAD_BYTES_MAX as u32)
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(patience.head)
            .keep_alive_timeout(patience.reader);
        Self { http_1, http_2 }
    }
}

/// Answers on one connection until either side ends it. One that becomes a WebSocket is let go: its stream ends it.
async fn converse<S, R>(
    server: &Server,
    patience: Patience,
    stream: S,
    service: TowerToHyperService<R>,
    watcher: Watcher,
) where
    S: AsyncRead + AsyncWrite + Send + 'static,
    R: tower::Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    R::Future: Send,
{
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(patience.reader));
    let io = TokioIo::new(Box::pin(stream));
    let connection = server.serve_connection_with_upgrades(io, service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}
