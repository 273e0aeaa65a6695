use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// Does this postmaster, and no other, take connections on this port?
pub(super) fn is_ready(cluster: &Path, pid: u32, port: u16) -> bool {
    says_ready(cluster, pid, port) && answers(port)
}

/// The postmaster writes into its pid file when it takes connections. That it is ours, and on this port, tells it from
/// another server that took the port a moment earlier.
fn says_ready(cluster: &Path, pid: u32, port: u16) -> bool {
    let Ok(text) = fs::read_to_string(cluster.join("postmaster.pid")) else { return false };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    // Its lines: pid, folder, start time, port, socket folder, address, shared memory, state.
    lines.first() == Some(&pid.to_string().as_str())
        && lines.get(3) == Some(&port.to_string().as_str())
        // A standby takes connections that only read.
        && lines.get(7).is_some_and(|it| ["ready", "standby"].contains(it))
}

/// Does the server ask for a password, that is, would it let us in?
fn answers(port: u16) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        const PROTOCOL_3_0: u32 = 3 << 16;
        let names = b"user\0daftari\0database\0postgres\0\0";
        let mut message = (8 + names.len() as u32).to_be_bytes().to_vec();
        message.extend(PROTOCOL_3_0.to_be_bytes());
        message.extend(names);
        stream.write_all(&message)?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        // R asks for authentication; E is an error, as while the server is still recovering.
        Ok(kind == *b"R")
    };
    ask().unwrap_or(false)
}
