//! Many clients on one cold URL: what a neighbour notices while they are all
//! answered, and how soon the last of them has its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::load::Load;
use crate::neighbour::Neighbour;
use crate::resp::{body, bulk, command};
use crate::support::{Gate, Origin, Reply, Server};
use crate::table::{Bound, Row, Sample, Table, Unit, progress};

/// How long an idle server is pinged, for comparison: about as long as a crowd takes.
const IDLE: Duration = Duration::from_millis(150);

pub fn run(table: &mut Table) {
    let crowd = Crowd { clients: 1000, size: 100 << 10, rounds: 5 };
    let seen = crowd.run();
    table.add(&Row {
        what: "1,000 waiters, 100 KiB: a neighbour's PING".into(),
        unit: Unit::Millis,
        asked: Bound::AtMost(10.0),
        beside: format!(
            "GETs {}, idle {}; all in {}",
            Unit::Millis.write(seen.get.ping.median()),
            Unit::Millis.write(seen.idle.median()),
            Unit::Millis.write(seen.cache_get.last.median()),
        ),
        measured: seen.cache_get.ping,
    });
    let crowd = Crowd { clients: 200, size: 16 << 10, rounds: 9 };
    let seen = crowd.run();
    table.add(&Row {
        what: "200 waiters, 16 KiB: the last is answered in".into(),
        unit: Unit::Millis,
        asked: Bound::AtMost(15.0),
        beside: format!("GETs {}", Unit::Millis.write(seen.get.last.median())),
        measured: seen.cache_get.last,
    });
}

struct Crowd {
    clients: usize,
    size: usize,
    rounds: usize,
}

/// What was seen of a crowd, once a round.
#[derive(Default)]
struct Seen {
    /// The neighbour's longest `PING`.
    ping: Sample,
    /// From the origin's last byte, or for `GET` from the first request, to
    /// the last client's last byte.
    last: Sample,
}

#[derive(Default)]
struct Outcome {
    cache_get: Seen,
    get: Seen,
    idle: Sample,
}

impl Crowd {
    fn run(&self) -> Outcome {
        let origin = Origin::start();
        let server = Server::builder().release().start();
        let mut load = Load::connect(&server, self.clients);
        let mut outcome = Outcome::default();
        for round in 0..self.rounds {
            let Self { clients, rounds, .. } = self;
            progress(format_args!("{clients} waiters, round {} of {rounds}", round + 1));
            outcome.idle.add_millis(Neighbour::longest_idle(&server, IDLE));
            let body = body(round as u64, self.size);
            let reply: Arc<[u8]> = bulk(&body).into();
            self.stampede(&server, &origin, &mut load, &body, &reply, &mut outcome.cache_get);
            Self::same_by_get(&server, &mut load, &body, &reply, &mut outcome.get);
        }
        outcome
    }

    /// The origin has sent all but the last byte when the gate opens, so that
    /// its opening is the moment of that byte.
    fn stampede(
        &self,
        server: &Server,
        origin: &Origin,
        load: &mut Load,
        body: &[u8],
        reply: &Arc<[u8]>,
        seen: &mut Seen,
    ) {
        let gate = Gate::closed();
        origin.on("/wanted", Reply::ok(body).gate_body(body.len() - 1, &gate));
        let before = origin.hits("/wanted");
        server.call(&["FLUSHALL"]).unwrap();
        load.send(&command(&["CACHE.GET", &origin.url("/wanted"), "60", "20"]));
        server.until_gauge("cache_waiters", self.clients as u64);
        let neighbour = Neighbour::of(server);
        let begun = Instant::now();
        gate.open();
        load.receive(reply);
        seen.last.add_millis(begun.elapsed());
        seen.ping.add_millis(neighbour.longest());
        assert_eq!(origin.hits("/wanted") - before, 1, "one download for all");
    }

    fn same_by_get(
        server: &Server,
        load: &mut Load,
        body: &[u8],
        reply: &Arc<[u8]>,
        seen: &mut Seen,
    ) {
        server.client().ok(&[b"SET", &b"plain"[..], body]);
        let neighbour = Neighbour::of(server);
        let begun = Instant::now();
        load.send(&command(&["GET", "plain"]));
        load.receive(reply);
        seen.last.add_millis(begun.elapsed());
        seen.ping.add_millis(neighbour.longest());
    }
}
