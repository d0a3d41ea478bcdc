//! The server's process, on a port that nobody else has.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;

use super::Builder;
use super::log::Log;

/// How often a port may turn out to be taken.
const TRIES: usize = 10;

/// One life of a server: a restart makes another.
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) port: u16,
    pub(super) log: Arc<Log>,
}

impl Process {
    pub(super) fn start(how: &Builder, dir: &Path) -> Self {
        for _ in 0..TRIES {
            let process = Self::spawn(how, dir);
            if process.log.until("eady to accept connections") {
                return process;
            }
            let log = process.log.text();
            assert!(log.contains("Address already in use"), "the server did not start:\n{log}");
        }
        panic!("found no free port in {TRIES} tries");
    }

    fn spawn(how: &Builder, dir: &Path) -> Self {
        let port = free_port();
        let mut child = how
            .command(dir, port)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cannot run the server; is redis-server installed?");
        let log = Log::follow(child.stdout.take().expect("the log is piped"));
        Self { child, port, log }
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().ok(); // it may have ended by itself
        self.child.wait().expect("cannot wait for the server");
        self.log.until_closed();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("no free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
