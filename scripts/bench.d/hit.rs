//! Hits against plain `GET` of a string as large as the body: throughput, and
//! processor time of the server, without a pipeline and with one.

use crate::load::Load;
use crate::race::{self, CLIENTS, Contender, Outcome};
use crate::resp::{body, bulk, command};
use crate::support::{Origin, Reply, Server};
use crate::table::{Bound, Row, Table, Unit};

/// A setting of the race, and what is asked of it.
struct Race {
    kib: usize,
    pipeline: usize,
    throughput: f64,
    cpu: f64,
}

const RACES: [Race; 4] = [
    Race { kib: 1, pipeline: 1, throughput: 0.97, cpu: 1.10 },
    Race { kib: 16, pipeline: 1, throughput: 0.97, cpu: 1.10 },
    Race { kib: 1, pipeline: 16, throughput: 0.95, cpu: 1.20 },
    Race { kib: 16, pipeline: 16, throughput: 0.95, cpu: 1.20 },
];

pub fn run(table: &mut Table) {
    let origin = Origin::start();
    let server = Server::builder().release().start();
    let mut load = Load::connect(&server, CLIENTS);
    let raced: Vec<_> =
        RACES.iter().map(|race| (race, run_race(race, &server, &origin, &mut load))).collect();
    for (race, outcome) in &raced {
        table.add(&throughput(race, outcome));
    }
    for (race, outcome) in &raced {
        table.add(&cpu(race, outcome));
    }
}

fn run_race(race: &Race, server: &Server, origin: &Origin, load: &mut Load) -> Outcome {
    let body = body(race.kib as u64, race.kib << 10);
    let path = format!("/{}-{}", race.kib, race.pipeline);
    origin.on(&path, Reply::ok(&body).header("Content-Type", "image/png"));
    let url = origin.url(&path);
    let plain = format!("{:<width$}", "plain", width = url.len()); // a key as long as the URL
    let mut client = server.client();
    assert!(client.bytes(&["CACHE.GET", &url]) == body);
    client.ok(&[b"SET", plain.as_bytes(), &body]);
    let contender = |args: &[&str]| Contender { request: command(args), reply: bulk(&body) };
    let [get, cache_get] = [contender(&["GET", &plain]), contender(&["CACHE.GET", &url])];
    let name = format!("hits, {}", race.name());
    race::run(&name, server, load, [&get, &cache_get], race.pipeline)
}

impl Race {
    fn name(&self) -> String {
        match self.pipeline {
            1 => format!("{} KiB, no pipeline", self.kib),
            depth => format!("{} KiB, pipeline {depth}", self.kib),
        }
    }
}

fn throughput(race: &Race, outcome: &Outcome) -> Row {
    let p99 = outcome.runner.p99_micros.median() / outcome.measure.p99_micros.median();
    Row {
        what: format!("hits against GET, {}", race.name()),
        unit: Unit::Times,
        asked: Bound::AtLeast(race.throughput),
        measured: outcome.throughput.clone(),
        beside: format!(
            "GET {}; p99 {}",
            Unit::PerSecond.write(outcome.measure.per_second.median()),
            Unit::Times.write(p99),
        ),
    }
}

fn cpu(race: &Race, outcome: &Outcome) -> Row {
    Row {
        what: format!("server's CPU per hit, {}", race.name()),
        unit: Unit::Times,
        asked: Bound::AtMost(race.cpu),
        measured: outcome.cpu.clone(),
        beside: format!("GET {:.2} µs", outcome.measure.cpu_micros.median()),
    }
}
