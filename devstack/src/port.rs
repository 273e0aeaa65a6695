use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt};

use crate::Error;

/// A loopback port that was free a moment ago. Nothing reserves it: whoever binds it must be ready to lose it.
pub fn free_port() -> io::Result<u16> {
    let address = SocketAddrV4::try_from(getsockname(bound(0)?)?)?;
    Ok(address.port())
}

/// A free port of the loopback that is still free when its server starts again: it lies below the range from which the
/// kernel hands out ports, so nobody gets it by accident meanwhile.
pub fn lasting_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    // Two runs at once begin in different places: 100 ports for each of 100 residues, from 20,000 to 30,000.
    let first = 20_000 + (std::process::id() % 100) as u16 * 100;
    loop {
        let port = first + TRIED.fetch_add(1, Ordering::Relaxed);
        if is_free(port) {
            return port;
        }
    }
}

/// Calls `start` with free ports, of which the first is `wanted` where one is, and again with others where it failed
/// because somebody else was quicker.
pub(crate) fn on_free_ports<const N: usize, T>(
    part: &'static str,
    wanted: Option<u16>,
    mut start: impl FnMut([u16; N]) -> Result<T, Error>,
) -> Result<T, Error> {
    const ATTEMPTS: usize = 5;
    if let Some(port) = wanted.filter(|&it| !is_free(it)) {
        return Err(Error::PortTaken { part, port });
    }
    let mut attempt = 1;
    loop {
        let mut ports = [0; N];
        for port in &mut ports {
            *port = free_port().map_err(Error::folder("find a free port on", "127.0.0.1"))?;
        }
        if let Some(port) = wanted {
            ports[0] = port;
        }
        match start(ports) {
            // Asking the kernel is surer than reading the part's log for its words about a taken port.
            Err(Error::Ended { .. }) if wanted.is_some_and(|it| !is_free(it)) => {
                return Err(Error::PortTaken { part, port: ports[0] });
            }
            Err(Error::Ended { .. }) if attempt < ATTEMPTS && !ports.iter().all(|&it| is_free(it)) => {
                attempt += 1
            }
            other => return other,
        }
    }
}

fn is_free(port: u16) -> bool {
    bound(port).is_ok()
}

// It does not listen there: a process that another thread starts just now has a copy of this socket until it runs its program, and
// that of one that listens would keep the server away for so long.
fn bound(port: u16) -> rustix::io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    Ok(socket)
}

/// Is it this process, and not another one that was quicker, that listens on the port? Two of the same kind that
/// started at the same time answer alike; only the kernel knows them apart. Works for processes of our own user.
pub(crate) fn listens(pid: u32, port: u16) -> bool {
    let Some(socket) = listening_socket(port) else { return false };
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    open.flatten()
        .any(|it| fs::read_link(it.path()).is_ok_and(|target| target.as_os_str() == socket.as_str()))
}

fn listening_socket(port: u16) -> Option<String> {
    // Columns: slot, local address, remote address, state (0A is LISTEN), queues, timer, retransmits, uid, timeout, inode.
    // 0100007F is 127.0.0.1 as this machine's little-endian words print it.
    let local = format!("0100007F:{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let ours = columns.get(1) == Some(&local.as_str()) && columns.get(3) == Some(&"0A");
        ours.then(|| format!("socket:[{}]", columns.get(9).copied().unwrap_or_default()))
    })
}
