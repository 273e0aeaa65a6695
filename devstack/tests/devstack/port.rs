use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use devstack::free_port;

/// A process that is being started has a copy of whatever is open for as long as it does not run its program yet.
#[test]
fn a_free_port_can_be_listened_on_while_others_start_processes() {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    Command::new("true").status().unwrap();
                }
            });
        }
        let listened = (0..1000).try_for_each(|_| {
            let port = free_port()?;
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop)
        });
        done.store(true, Ordering::Relaxed);
        listened.unwrap();
    });
}
