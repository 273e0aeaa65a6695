//! From where a caller comes, where proxies of the operator's stand between: they are believed, and nobody else is.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::middleware::map_request;
use ipnet::IpNet;

use crate::gate::Peer;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The router behind proxies of these networks, whose `X-Forwarded-For` says from where callers come. Without any, the header says
/// nothing: whoever asks could have written it.
pub fn behind(router: Router, trusted: &[IpNet]) -> Router {
    if trusted.is_empty() {
        return router;
    }
    let trusted: Arc<[IpNet]> = trusted.into();
    router.layer(map_request(move |mut request: Request| {
        if let Some(peer) = request.extensions().get::<Peer>().copied() {
            let caller = caller(&trusted, peer.address(), request.headers());
            request.extensions_mut().insert(Peer(SocketAddr::new(caller, 0)));
        }
        async move { request }
    }))
}

/// The address nearest to us that is no trusted proxy's; where there is none, the furthest that can be read.
///
/// Each proxy writes at the right by whom it was asked. So what stands to the left of the first address that is not trusted is that
/// caller's own word, and is not looked at.
pub(crate) fn caller(trusted: &[IpNet], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let hops = lines.flat_map(|it| it.as_bytes().rsplit(|byte| *byte == b',')).map_while(read);
    let mut nearest = peer;
    for hop in hops {
        if !trusted.iter().any(|it| it.contains(&nearest)) {
            break;
        }
        nearest = hop;
    }
    nearest
}

/// An address, which may have a port, and brackets where it is an IPv6 one.
fn read(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|it: IpAddr| it.to_canonical())
}
