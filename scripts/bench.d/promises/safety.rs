//! What being safe costs: the guard on the way of a miss, and hits while
//! downloads stream through the server.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::race::CLIENTS;
use crate::load::{Answer, Load};
use crate::process::cpu_seconds;
use crate::support::{Origin, Reply, Server};
use crate::table::{Bound, Row, Sample, Table, Unit, progress};
use crate::wire::{body, bulk, command};

pub fn run(table: &mut Table) {
    guard(table);
    streams(table);
}

/// Misses under lists of a hundred hosts, ports and networks each, against misses under the lists that a
/// benchmark cannot do without: processor time for each. What they cost drowns in the noise, so the lists are
/// `TIMES` as long, and what they cost is taken for so many times what it would be.
fn guard(table: &mut Table) {
    const URLS: usize = 4000;
    const ROUNDS: usize = 11;
    const TIMES: usize = 30;
    let list = |word: fn(usize) -> String| (0..100 * TIMES).map(word).collect::<Vec<_>>().join(" ");
    let origin = Origin::start();
    let value = body(1, 1 << 10);
    let reply = Reply::ok(&value);
    origin.otherwise(move |_| reply.clone());
    let plain = Server::builder().release().start();
    let listed = Server::builder()
        .release()
        .config("cache.denied-networks", &list(|n| format!("10.{}.{}.0/24", n >> 8, n & 255)))
        .config("cache.allowed-hosts", &(list(|n| format!("*.h{n}.example")) + " 127.0.0.1"))
        .config("cache.allowed-ports", &(list(|n| format!("{}", n + 1)) + " 1024-65535"))
        .start();
    let mut loads = [Load::connect(plain.port(), CLIENTS), Load::connect(listed.port(), CLIENTS)];
    let [mut ratio, mut long] = [const { Sample::new() }; 2];
    for round in 0..ROUNDS {
        progress(format_args!("misses under a guard, round {} of {ROUNDS}", round + 1));
        let mut run = |which: usize| {
            let server = [&plain, &listed][which];
            let exchanges: Vec<_> = (0..URLS)
                .map(|n| {
                    let url = origin.url(&format!("/{which}/{round}/{n}"));
                    (command(&["CACHE.GET", &url, "600", "20"]), Answer::from(&bulk(&value)))
                })
                .collect();
            let before = cpu_seconds(server);
            loads[which].work_off(URLS, move |n| exchanges[n].clone());
            cpu_seconds(server) - before
        };
        let (first, second) = if round % 2 == 0 {
            let first = run(0);
            (first, run(1))
        } else {
            let second = run(1);
            (run(0), second)
        };
        long.add(second / first);
        ratio.add(1.0 + (second / first - 1.0) / TIMES as f64);
    }
    table.add(&Row {
        what: "misses under 300 guard entries: CPU".into(),
        unit: Unit::Times,
        asked: Bound::AtMost(1.02),
        beside: format!(
            "reckoned from {}, which cost {}",
            Unit::Count.write((300 * TIMES) as f64),
            Unit::Times.write(long.median())
        ),
        measured: ratio,
    });
}

/// Hits while 64 downloads stream, against hits while none does.
fn streams(table: &mut Table) {
    const STREAMS: usize = 64;
    const ROUNDS: usize = 9;
    const ROUND: Duration = Duration::from_millis(400);
    let value = body(1, 1 << 10);
    let server = Server::builder()
        .release()
        .config("cache.max-downloads-per-host", "64")
        .config("cache.max-body-size", "400mb")
        .config("cache.fetch-timeout", "300")
        .start();
    let mut client = server.client();
    client.ok(&[b"SET", &b"http://a/hit"[..], &value]);
    let mut load = Load::connect(server.port(), CLIENTS);
    let (request, reply) = (command(&["CACHE.GET", "http://a/hit"]), Answer::from(&bulk(&value)));
    let [mut ratio, mut quiet, mut rate] = [const { Sample::new() }; 3];
    for round in 0..ROUNDS {
        progress(format_args!("hits beside {STREAMS} downloads, round {} of {ROUNDS}", round + 1));
        let alone = load.closed_loop(&request, &reply, 1, ROUND).per_second;
        let river = River::start();
        for n in 0..STREAMS {
            client.null(&["CACHE.GET", &river.url(round * STREAMS + n), "60", "NOWAIT"]);
        }
        river.until_flowing(STREAMS);
        let before = river.sent();
        let beside = load.closed_loop(&request, &reply, 1, ROUND).per_second;
        rate.add((river.sent() - before) as f64 / ROUND.as_secs_f64() / 1_048_576.0);
        drop(river);
        server.until_gauge("cache_flights", 0);
        quiet.add(alone);
        ratio.add(beside / alone);
    }
    table.add(&Row {
        what: "hits while 64 downloads stream".into(),
        unit: Unit::Times,
        asked: Bound::AtLeast(0.85),
        beside: format!(
            "alone {}; the streams bring {:.0} MiB/s",
            Unit::PerSecond.write(quiet.median()),
            rate.median()
        ),
        measured: ratio,
    });
}

/// An origin whose answers flow without end, at the pace of a good line: 1 MiB a second each. Its thread
/// sleeps in between, so that the machine's processors are the server's.
struct River {
    port: u16,
    flow: Arc<Flow>,
}

#[derive(Default)]
struct Flow {
    ends: AtomicBool,
    streams: AtomicUsize,
    sent: AtomicU64,
}

/// How often a stream gets how much.
const TICK: Duration = Duration::from_millis(16);
const DROP: usize = 16 << 10;

impl River {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let flow = Arc::new(Flow::default());
        let shared = Arc::clone(&flow);
        thread::spawn(move || shared.run(&listener));
        Self { port, flow }
    }

    fn url(&self, number: usize) -> String {
        format!("http://127.0.0.1:{}/{number}", self.port)
    }

    fn until_flowing(&self, streams: usize) {
        crate::support::until("the streams to flow", || {
            self.flow.streams.load(Ordering::Relaxed) == streams
        });
    }

    fn sent(&self) -> u64 {
        self.flow.sent.load(Ordering::Relaxed)
    }
}

impl Drop for River {
    fn drop(&mut self) {
        self.flow.ends.store(true, Ordering::Relaxed);
    }
}

impl Flow {
    fn run(&self, listener: &TcpListener) {
        const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 400000000\r\n\r\n";
        listener.set_nonblocking(true).unwrap();
        let drop = vec![b'x'; DROP];
        let mut streams: Vec<TcpStream> = vec![];
        while !self.ends.load(Ordering::Relaxed) {
            while let Ok((mut stream, _)) = listener.accept() {
                stream.set_nonblocking(false).unwrap();
                let _ = stream.read(&mut [0; 1024]).unwrap();
                stream.write_all(HEAD).unwrap();
                streams.push(stream);
            }
            for stream in &mut streams {
                stream.write_all(&drop).unwrap();
                self.sent.fetch_add(DROP as u64, Ordering::Relaxed);
            }
            self.streams.store(streams.len(), Ordering::Relaxed);
            thread::sleep(TICK);
        }
    }
}
