//! HTTP/1.1 on a socket, until told to stop; then what is being answered is answered.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::gate::Peer;

/// From the connection, or the last answer on it, to the end of the next request's head. It is the idle time of a
/// kept-alive connection, too.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// Requests take at most 30 seconds; their answers a moment more.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(35);
/// When the system has no more sockets, trying again at once would only burn.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop`, then closes the socket and drains.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> io::Result<()> {
    let mut server = auto::Builder::new(TokioExecutor::new()).http1_only();
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX).pipeline_flush(true);
    let draining = GracefulShutdown::new();
    loop {
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
        // One that becomes a WebSocket is let go: its stream ends it.
        let service = router.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(address));
            request
        });
        let service = TowerToHyperService::new(service);
        let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let connection = draining.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIME_MAX, draining.shutdown()).await.is_err() {
        tracing::warn!("some connections did not drain in time");
    }
    Ok(())
}
