use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Does the broker on this port count itself among the live brokers of its cluster? It listens well before that, and
/// would refuse to create a topic.
pub(super) fn has_broker(port: u16) -> bool {
    live_brokers(port).is_ok_and(|it| 0 < it)
}

/// Metadata request, version 4, about no topic.
fn live_brokers(port: u16) -> io::Result<u32> {
    const METADATA: [u8; 2] = 3u16.to_be_bytes();
    const VERSION: [u8; 2] = 4u16.to_be_bytes();
    const CORRELATION: [u8; 4] = 7u32.to_be_bytes();
    const NO_CLIENT_ID: [u8; 2] = (-1i16).to_be_bytes();
    const NO_TOPICS: [u8; 4] = 0u32.to_be_bytes();
    const NO_AUTO_CREATION: [u8; 1] = [0];
    let request =
        [&METADATA[..], &VERSION, &CORRELATION, &NO_CLIENT_ID, &NO_TOPICS, &NO_AUTO_CREATION].concat();

    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(&(request.len() as u32).to_be_bytes())?;
    stream.write_all(&request)?;

    // Length, correlation id, throttle time, then the array of brokers, which begins with its size.
    let mut head = [0; 16];
    stream.read_exact(&mut head)?;
    let [_length, correlation, _throttle, brokers] =
        [0, 4, 8, 12].map(|at| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
    if correlation == u32::from_be_bytes(CORRELATION) {
        Ok(brokers)
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}
