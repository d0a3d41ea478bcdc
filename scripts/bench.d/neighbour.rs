//! Another client of the same server, with nothing to do with what goes on:
//! it asks for something small again and again, and remembers how long it had
//! to wait. Of a Redis that is `PING`; of an HTTP cache, a small body it has.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::load::{Answer, Answers, micros, record};
use crate::support::Server;

/// Between two requests, so that the neighbour is no load itself.
const PAUSE: Duration = Duration::from_micros(100);

/// The neighbour; it asks until it is to leave.
pub struct Neighbour {
    leave: Arc<AtomicBool>,
    thread: JoinHandle<Waits>,
}

/// How long it waited.
pub struct Waits(Histogram<u64>);

impl Waits {
    /// In milliseconds.
    pub fn longest(&self) -> f64 {
        self.0.max() as f64 / 1e3
    }

    /// All but one in a thousand were no longer than so many milliseconds.
    pub fn p999(&self) -> f64 {
        self.0.value_at_quantile(0.999) as f64 / 1e3
    }
}

impl Neighbour {
    /// One that says `PING`.
    pub fn of(server: &Server) -> Self {
        Self::asking(server.port(), b"PING\r\n".to_vec(), &Answer::from(&b"+PONG\r\n"[..]))
    }

    /// One that asks for something, and gets it.
    pub fn asking(port: u16, request: Vec<u8>, answer: &Answer) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut asker = Asker { stream, request, answers: answer.repeat(1) };
        let leave = Arc::new(AtomicBool::new(false));
        let (told, (tell, asking)) = (Arc::clone(&leave), mpsc::channel());
        let thread = thread::spawn(move || {
            asker.ask();
            tell.send(()).unwrap();
            let mut waits = micros();
            // Told to leave, it asks once more: nothing that went before is missed.
            loop {
                let is_last = told.load(Ordering::Acquire);
                record(&mut waits, asker.ask());
                if is_last {
                    return Waits(waits);
                }
                thread::sleep(PAUSE);
            }
        });
        asking.recv().unwrap();
        Self { leave, thread }
    }

    /// Has it leave, and tell how long it waited since the start.
    pub fn leave(self) -> Waits {
        self.leave.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }

    /// What an idle server makes it wait in this time: what the machine itself is worth.
    pub fn idle(server: &Server, span: Duration) -> Waits {
        let neighbour = Self::of(server);
        thread::sleep(span);
        neighbour.leave()
    }
}

struct Asker {
    stream: TcpStream,
    request: Vec<u8>,
    answers: Answers,
}

impl Asker {
    fn ask(&mut self) -> Duration {
        let mut buffer = [0; 4096];
        let sent = Instant::now();
        self.stream.write_all(&self.request).unwrap();
        self.answers.again();
        while !self.answers.are_here() {
            let count = self.stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the neighbour was hung up on");
            self.answers.take(&buffer[..count]);
        }
        sent.elapsed()
    }
}
