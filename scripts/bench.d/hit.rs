//! Hits against plain `GET` of a string as large as the body: throughput, and
//! processor time of the server, without a pipeline and with one.

use std::time::Duration;

use crate::load::{Load, Rate};
use crate::process::cpu_seconds;
use crate::resp::{body, bulk, command};
use crate::support::{Origin, Reply, Server};
use crate::table::{Bound, Row, Sample, Table, Unit, progress};

const CLIENTS: usize = 50;
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(300);

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
        table.add(&outcome.throughput(race));
    }
    for (race, outcome) in &raced {
        table.add(&outcome.cpu(race));
    }
}

/// One runner's rounds.
#[derive(Default)]
struct Runner {
    per_second: Sample,
    cpu_micros: Sample,
    p99_micros: Sample,
}

impl Runner {
    fn add(&mut self, rate: &Rate, cpu_micros: f64) {
        self.per_second.add(rate.per_second);
        self.cpu_micros.add(cpu_micros);
        self.p99_micros.add(rate.latency.value_at_quantile(0.99) as f64);
    }
}

/// Both runners, and their ratios round by round.
#[derive(Default)]
struct Outcome {
    get: Runner,
    cache_get: Runner,
    throughput: Sample,
    cpu: Sample,
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

    let reply = bulk(&body);
    let requests = [command(&["GET", &plain]), command(&["CACHE.GET", &url])];
    let mut outcome = Outcome::default();
    for round in 0..ROUNDS {
        progress(format_args!("hits, {}, round {} of {ROUNDS}", race.name(), round + 1));
        let mut run = |request: &[u8]| {
            let before = cpu_seconds(server);
            let run = load.closed_loop(request, &reply, race.pipeline, ROUND);
            let used = cpu_seconds(server) - before;
            let requests = run.latency.len() * race.pipeline as u64;
            (run, used * 1e6 / requests as f64)
        };
        // Whoever goes first in one round goes second in the next.
        let mut done = [None, None];
        for turn in 0..2 {
            let who = (round + turn) % 2;
            done[who] = Some(run(&requests[who]));
        }
        let [Some((get, get_cpu)), Some((cache_get, cache_get_cpu))] = done else { unreachable!() };
        outcome.throughput.add(cache_get.per_second / get.per_second);
        outcome.cpu.add(cache_get_cpu / get_cpu);
        outcome.get.add(&get, get_cpu);
        outcome.cache_get.add(&cache_get, cache_get_cpu);
    }
    outcome
}

impl Race {
    fn name(&self) -> String {
        match self.pipeline {
            1 => format!("{} KiB, no pipeline", self.kib),
            depth => format!("{} KiB, pipeline {depth}", self.kib),
        }
    }
}

impl Outcome {
    fn throughput(&self, race: &Race) -> Row {
        let p99 = self.cache_get.p99_micros.median() / self.get.p99_micros.median();
        Row {
            what: format!("hits against GET, {}", race.name()),
            unit: Unit::Times,
            asked: Bound::AtLeast(race.throughput),
            measured: self.throughput.clone(),
            beside: format!(
                "GET {}; p99 {}",
                Unit::PerSecond.write(self.get.per_second.median()),
                Unit::Times.write(p99),
            ),
        }
    }

    fn cpu(&self, race: &Race) -> Row {
        Row {
            what: format!("server's CPU per hit, {}", race.name()),
            unit: Unit::Times,
            asked: Bound::AtMost(race.cpu),
            measured: self.cpu.clone(),
            beside: format!("GET {:.2} µs", self.get.cpu_micros.median()),
        }
    }
}
