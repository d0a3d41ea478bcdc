//! Leases: what one client pays to compute a value under a lease rather than by
//! `GET` and `SET`, and how soon a crowd that waits for it is woken.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use crate::load::{Answer, Load};
use crate::neighbour::Neighbour;
use crate::support::Server;
use crate::support::client::bytes_of;
use crate::table::{Bound, Row, Sample, Table, Unit, progress};
use crate::wire::{body, bulk, command};

const SIZE: usize = 1 << 10;

pub fn run(table: &mut Table) {
    pairs(table);
    crowd(table);
}

/// One client that finds nothing and stores something, again and again.
fn pairs(table: &mut Table) {
    const ROUNDS: usize = 15;
    const ROUND: Duration = Duration::from_millis(300);
    let server = Server::builder().release().start();
    let mut client = Wire::connect(&server);
    let value = body(1, SIZE);
    let [mut by_lease, mut by_set, mut ratio] = [const { Sample::new() }; 3];
    for round in 0..ROUNDS {
        progress(format_args!("LEASE and FILL, GET and SET, round {} of {ROUNDS}", round + 1));
        let mut get_set = |key: &str| {
            client.exchange(&command(&["GET", key]), b"$-1\r\n".len());
            let set = [b"SET", key.as_bytes(), &value[..], b"EX", b"3600"];
            assert_eq!(client.exchange(&command(&set), 5), b"+OK\r\n");
        };
        let pairs = per_second(ROUND, |n| get_set(&format!("set:{round}:{n}")));
        let mut lease_fill = |key: &str| {
            let token = client.lease(key);
            let fill = [b"CACHE.FILL", key.as_bytes(), &token, &value[..], b"3600"];
            assert_eq!(client.exchange(&command(&fill), 5), b"+OK\r\n");
        };
        let leases = per_second(ROUND, |n| lease_fill(&format!("lease:{round}:{n}")));
        by_set.add(pairs);
        by_lease.add(leases);
        ratio.add(leases / pairs);
        server.call(&["FLUSHALL"]).unwrap();
    }
    table.add(&Row {
        what: "LEASE and FILL against GET and SET, 1 KiB".into(),
        unit: Unit::Times,
        asked: Bound::AtLeast(0.45),
        beside: format!(
            "{} against {}",
            Unit::PerSecond.write(by_lease.median()),
            Unit::PerSecond.write(by_set.median())
        ),
        measured: ratio,
    });
}

/// How often something can be done one after the other.
fn per_second(span: Duration, mut act: impl FnMut(usize)) -> f64 {
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < span {
        act(count);
        count += 1;
    }
    count as f64 / begun.elapsed().as_secs_f64()
}

/// A thousand clients that wait for one who computes.
fn crowd(table: &mut Table) {
    const CLIENTS: usize = 1000;
    const ROUNDS: usize = 9;
    let server = Server::builder().release().start();
    let mut load = Load::connect(server.port(), CLIENTS);
    let [mut last, mut pings] = [const { Sample::new() }; 2];
    for round in 0..ROUNDS {
        progress(format_args!("{CLIENTS} wait for a lease, round {} of {ROUNDS}", round + 1));
        let value = body(round as u64, SIZE);
        let key = format!("crowd:{round}");
        let mut holder = server.client();
        let token = bytes_of(holder.array(&["CACHE.LEASE", &key])[1].clone());
        load.send(&command(&["CACHE.LEASE", &key, "20"]));
        server.until_gauge("cache_waiters", CLIENTS as u64);
        let neighbour = Neighbour::of(&server);
        let begun = Instant::now();
        holder.send(&[b"CACHE.FILL", key.as_bytes(), &token, &value]);
        let reply = [b"*2\r\n", &bulk(b"value")[..], &bulk(&value)].concat();
        load.receive(&Answer::from(&reply));
        last.add_millis(begun.elapsed());
        pings.add(neighbour.leave().longest());
        assert_eq!(holder.reply_bytes(), b"OK");
    }
    table.add(&Row {
        what: "1,000 wait for a lease, 1 KiB: last woken in".into(),
        unit: Unit::Millis,
        asked: Bound::AtMost(40.0),
        beside: format!("a neighbour's PING {}", Unit::Millis.write(pings.median())),
        measured: last,
    });
}

/// A connection that does as little as the load generator.
struct Wire {
    stream: TcpStream,
    reply: [u8; 64],
}

impl Wire {
    fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, reply: [0; 64] }
    }

    /// Sends a command and takes in a reply of this length.
    fn exchange(&mut self, command: &[u8], length: usize) -> &[u8] {
        self.stream.write_all(command).unwrap();
        let reply = &mut self.reply[..length];
        self.stream.read_exact(reply).unwrap();
        reply
    }

    /// Leases a key that has nothing; the token.
    fn lease(&mut self, key: &str) -> [u8; 32] {
        const BEFORE: &[u8] = b"*2\r\n$5\r\nlease\r\n$32\r\n";
        let reply = self.exchange(&command(&["CACHE.LEASE", key]), BEFORE.len() + 34);
        assert!(reply.starts_with(BEFORE));
        *reply[BEFORE.len()..].first_chunk().unwrap()
    }
}
