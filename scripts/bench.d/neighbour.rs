//! Another client of the same server, with nothing to do with what goes on:
//! it says `PING` again and again, and remembers the longest it had to wait.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::Server;

/// Between two pings, so that the neighbour is no load itself.
const PAUSE: Duration = Duration::from_micros(100);

/// The neighbour; it pings until asked for what it saw.
pub struct Neighbour {
    leave: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Neighbour {
    /// Connects and starts.
    pub fn of(server: &Server) -> Self {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap();
        stream.set_nodelay(true).unwrap();
        let leave = Arc::new(AtomicBool::new(false));
        let (told, (tell, pinging)) = (Arc::clone(&leave), mpsc::channel());
        let thread = thread::spawn(move || {
            ping(&mut stream);
            tell.send(()).unwrap();
            let mut longest = Duration::ZERO;
            // Asked to leave, it pings once more: nothing that went before is missed.
            loop {
                let is_last = told.load(Ordering::Acquire);
                longest = longest.max(ping(&mut stream));
                if is_last {
                    return longest;
                }
                thread::sleep(PAUSE);
            }
        });
        pinging.recv().unwrap();
        Self { leave, thread }
    }

    /// The longest `PING` since the start.
    pub fn longest(self) -> Duration {
        self.leave.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }

    /// The longest `PING` of an idle server in this time: what the machine itself is worth.
    pub fn longest_idle(server: &Server, span: Duration) -> Duration {
        let neighbour = Self::of(server);
        thread::sleep(span);
        neighbour.longest()
    }
}

fn ping(stream: &mut TcpStream) -> Duration {
    let mut pong = [0; 7];
    let sent = Instant::now();
    stream.write_all(b"PING\r\n").unwrap();
    stream.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"+PONG\r\n");
    sent.elapsed()
}
