//! How long a landing holds the main thread, by the size of the body, and what a neighbour notices of it.
//!
//! The server's own count is `cache_landing_usec`. It says nothing of what comes after the landing, when the
//! server sends the replies; the neighbour's `PING` has all that is in it, and the noise of the machine.

use std::time::Duration;

use super::columns::Columns;
use crate::neighbour::Neighbour;
use crate::support::{Client, Gate, Origin, Reply, Server, Value, until};
use crate::table::{Bound, Row, Sample, Table, Unit, progress};
use crate::wire::body;

/// A size, its name, and how many landings are measured together: small ones are too short for less.
const SIZES: [(usize, &str, usize); 6] = [
    (1 << 10, "1 KiB", 50),
    (16 << 10, "16 KiB", 50),
    (256 << 10, "256 KiB", 20),
    (1 << 20, "1 MiB", 10),
    (16 << 20, "16 MiB", 2),
    (100 << 20, "100 MiB", 1),
];
const ROUNDS: usize = 5;
/// How long the neighbour is asked beforehand.
const IDLE: Duration = Duration::from_millis(5);

/// Of one size, milliseconds each.
struct Landing {
    name: &'static str,
    nobody_waits: Sample,
    one_waits: Sample,
    ping: Sample,
    idle: Sample,
}

pub fn run(table: &mut Table) {
    let origin = Origin::start();
    let server = Server::builder().release().config("cache.max-body-size", "128mb").start();
    let landings = SIZES.map(|(size, name, count)| {
        progress(format_args!("landings of {name}"));
        let body = body(size as u64, size);
        let (reply, path) = (Reply::ok(&body), format!("/{size}"));
        let mut lands = Lands { server: &server, client: server.client(), url: origin.url(&path) };
        let [mut nobody_waits, mut one_waits, mut ping, mut idle] = [const { Sample::new() }; 4];
        for _ in 0..ROUNDS {
            origin.on(&path, reply.clone());
            nobody_waits.add(lands.with_nobody(count));
            one_waits.add(lands.with_one(count, &body));
            let gate = Gate::closed();
            origin.on(&path, reply.clone().gate_body(size - 1, &gate));
            let (landing, nothing) = lands.beside_a_neighbour(size, &gate);
            ping.add(landing);
            idle.add(nothing);
        }
        Landing { name, nobody_waits, one_waits, ping, idle }
    });
    let largest = landings.last().expect("there are some");
    let waited_for = |landing: &Landing| Unit::Millis.write(landing.one_waits.median());
    table.add(&Row {
        what: "a landing of 100 MiB: main thread held".into(),
        unit: Unit::Millis,
        asked: Bound::AtMost(1.0),
        measured: largest.nobody_waits.clone(),
        beside: format!(
            "with one who waits {}; of 1 KiB {}",
            waited_for(largest),
            waited_for(&landings[0])
        ),
    });
    let heads = ["nobody waits", "one waits", "PING", "PING before"];
    let columns = Columns::begin("a landing on the main thread, µs", 44, &heads);
    for Landing { name, nobody_waits, one_waits, ping, idle } in &landings {
        let micros = [nobody_waits, one_waits, ping, idle].map(|sample| sample.median() * 1e3);
        columns.line(name, &micros.map(|micros| format!("{micros:.1}")));
    }
    columns.remark(
        "PING: the longest of a neighbour's while it landed; and in as long a time before that.",
    );
}

struct Lands<'a> {
    server: &'a Server,
    client: Client,
    url: String,
}

impl Lands<'_> {
    fn with_nobody(&mut self, count: usize) -> f64 {
        self.measured(count, |lands| {
            lands.client.null(&["CACHE.GET", &lands.url, "60", "20", "NOWAIT"]);
            lands.server.until_gauge("cache_flights", 0);
        })
    }

    fn with_one(&mut self, count: usize, body: &[u8]) -> f64 {
        self.measured(count, |lands| {
            assert!(lands.client.bytes(&["CACHE.GET", &lands.url, "60", "20"]) == body);
        })
    }

    /// Milliseconds that one landing has held the main thread, by the server's own count.
    fn measured(&mut self, count: usize, land: impl Fn(&mut Self)) -> f64 {
        let before = self.server.gauge("cache_landing_usec");
        for _ in 0..count {
            land(self);
            self.forget();
        }
        (self.server.gauge("cache_landing_usec") - before) as f64 / 1e3 / count as f64
    }

    fn forget(&mut self) {
        assert_eq!(self.client.int(&["CACHE.DEL", &self.url]), 1);
    }

    /// The longest `PING` while the last byte came and the flight landed with nobody waiting; and before.
    fn beside_a_neighbour(&mut self, size: usize, gate: &Gate) -> (f64, f64) {
        self.client.null(&["CACHE.GET", &self.url, "60", "20", "NOWAIT"]);
        until("all of it but a byte", || bytes_in_the_air(self.server) + 1 >= size);
        let idle = Neighbour::idle(self.server, IDLE);
        let neighbour = Neighbour::of(self.server);
        gate.open();
        until("the entry", || self.server.call(&["EXISTS", &self.url]) == Ok(Value::Int(1)));
        let longest = neighbour.leave().longest();
        self.forget();
        (longest, idle.longest())
    }
}

/// What `CACHE.FLIGHTS` says has come of the one flight that there is.
fn bytes_in_the_air(server: &Server) -> usize {
    let Ok(Value::Array(flights)) = server.call(&["CACHE.FLIGHTS"]) else {
        return 0;
    };
    let Some(Value::Array(fields)) = flights.first() else {
        return 0;
    };
    let is_bytes = |pair: &[Value]| pair[0] == Value::BulkString(b"bytes".to_vec());
    let pair = fields.chunks_exact(2).find(|pair| is_bytes(pair));
    pair.map_or(0, |pair| match pair[1] {
        Value::Int(bytes) => usize::try_from(bytes).unwrap_or(0),
        _ => 0,
    })
}
