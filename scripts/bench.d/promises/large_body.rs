//! A body of 100 MiB: how long putting it into the keyspace stalls the server,
//! and how much memory it takes with one client waiting for it.
//!
//! Each round has a server of its own, so that no round finds memory that the
//! one before has left.

use std::time::Duration;

use crate::load::{Answer, Load};
use crate::neighbour::Neighbour;
use crate::process::{command_micros, peak_resident_kib, resident_kib};
use crate::support::{Gate, Origin, Reply, Server, Value, until};
use crate::table::{Bound, Row, Sample, Table, Unit, progress};
use crate::wire::{body, bulk, command};

const SIZE: usize = 100 << 20;
const ROUNDS: usize = 3;
/// How long an idle server is pinged, for comparison.
const IDLE: Duration = Duration::from_millis(150);

pub fn run(table: &mut Table) {
    let body = body(100, SIZE);
    let reply = Answer::from(&bulk(&body));
    let origin = Origin::start();
    let mut stalls = Stalls::default();
    let [mut memory, mut memory_by_set] = [Sample::default(), Sample::default()];
    for round in 0..ROUNDS {
        progress(format_args!("100 MiB into the keyspace, round {} of {ROUNDS}", round + 1));
        stalls.measure(&origin, &body);
        memory.add(peak(&origin, &body, |load, url| {
            load.send(&command(&["CACHE.GET", url, "60", "20"]));
            load.receive(&reply);
        }));
        memory_by_set.add(peak(&origin, &body, |load, _| {
            load.send(&redis::pack_command(&[b"SET", &b"plain"[..], &body].map(<[u8]>::to_vec)));
            load.receive(&Answer::from(&b"+OK\r\n"[..]));
            load.send(&command(&["GET", "plain"]));
            load.receive(&reply);
        }));
    }
    table.add(&Row {
        what: "100 MiB into the keyspace: held for SET".into(),
        unit: Unit::Millis,
        asked: Bound::AtMost(1.0),
        beside: format!(
            "PING {}, idle {}; SET by a client {}, PING {}",
            Unit::Millis.write(stalls.ping.median()),
            Unit::Millis.write(stalls.idle.median()),
            Unit::Millis.write(stalls.set_by_client.median()),
            Unit::Millis.write(stalls.ping_by_client.median()),
        ),
        measured: stalls.set,
    });
    table.add(&Row {
        what: "100 MiB and a client for it: peak memory".into(),
        unit: Unit::Times,
        asked: Bound::AtMost(2.6),
        beside: format!("SET and GET {}", Unit::Times.write(memory_by_set.median())),
        measured: memory,
    });
}

/// A server that takes a body of this size.
fn server() -> Server {
    Server::builder().release().config("cache.max-body-size", "128mb").start()
}

/// How long the server was busy, or seemed so, while the body landed with
/// nobody waiting: nothing but the landing is in it.
#[derive(Default)]
struct Stalls {
    /// What the server says its `SET` took, which is what the landing calls.
    set: Sample,
    ping: Sample,
    idle: Sample,
    set_by_client: Sample,
    ping_by_client: Sample,
}

impl Stalls {
    fn measure(&mut self, origin: &Origin, body: &[u8]) {
        let server = server();
        self.idle.add(Neighbour::idle(&server, IDLE).longest());
        let before = resident_kib(&server);
        let mut client = server.client();
        let gate = Gate::closed();
        origin.on("/large", Reply::ok(body).gate_body(body.len() - 1, &gate));
        let url = origin.url("/large");
        client.null(&["CACHE.GET", &url, "60", "0.01"]);
        until("nearly all of it to arrive", || {
            resident_kib(&server) - before > SIZE as u64 / 1024 * 99 / 100
        });
        let (set, ping) = held(&server, || {
            gate.open();
            until("the entry to be there", || server.call(&["EXISTS", &url]) == Ok(Value::Int(1)));
        });
        self.set.add(set);
        self.ping.add(ping);
        assert!(client.bytes(&["CACHE.PEEK", &url]) == body);
        let (set, ping) = held(&server, || client.ok(&[b"SET", &b"plain"[..], body]));
        self.set_by_client.add(set);
        self.ping_by_client.add(ping);
    }
}

/// Milliseconds that the server spent in `SET`, and the longest `PING` meanwhile.
fn held(server: &Server, act: impl FnOnce()) -> (f64, f64) {
    server.call(&["CONFIG", "RESETSTAT"]).unwrap();
    let neighbour = Neighbour::of(server);
    act();
    let longest = neighbour.leave().longest();
    (command_micros(server, "set") / 1e3, longest)
}

/// What an exchange adds to the server's resident memory at its peak, over the size of the body.
fn peak(origin: &Origin, body: &[u8], exchange: impl FnOnce(&mut Load, &str)) -> f64 {
    origin.on("/large", Reply::ok(body));
    let server = server();
    let mut load = Load::connect(server.port(), 1);
    let before = resident_kib(&server);
    exchange(&mut load, &origin.url("/large"));
    (peak_resident_kib(&server) - before) as f64 * 1024.0 / SIZE as f64
}
