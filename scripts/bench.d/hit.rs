//! Hits, by everyone who can cache: throughput, latency and processor time,
//! over the body's size, the number of connections, and with a pipeline. Each
//! cache has one processor for itself.

use std::collections::HashMap;
use std::time::Duration;

use crate::figures::{Case, Figures, Metric};
use crate::load::Load;
use crate::machine::Machine;
use crate::peers::redis::{CACHE_GET, GET, GET_FOR_EVER};
use crate::peers::{Peer, Setting, nginx, python, redis, varnish};
use crate::process::OffFirstCore;
use crate::rounds::{ROUNDS, in_turn};
use crate::support::{Origin, Reply};
use crate::table::{Bound, Row, Table, Unit};
use crate::wire::{body, size};

const SIZES: [usize; 5] = [64, 1 << 10, 16 << 10, 256 << 10, 1 << 20];
const CONNECTIONS: [usize; 3] = [1, 50, 500];
/// The number of connections at which ratios are promised, and so measured more often.
const USUAL: usize = 50;
const PIPELINE: usize = 16;
const ROUND: Duration = Duration::from_millis(300);

const THROUGHPUT: Metric = Metric::new("throughput", Unit::PerSecond);
const P50: Metric = Metric::new("p50", Unit::Millis);
const P99: Metric = Metric::new("p99", Unit::Millis);
const P999: Metric = Metric::new("p999", Unit::Millis);
const CPU: Metric = Metric::new("cpu", Unit::Micros);

pub fn run(table: &mut Table, machine: &Machine) {
    let origin = Origin::start();
    let mut figures = Figures::of("hit");
    {
        let _our_own = OffFirstCore::begin();
        let setting = Setting { is_on_one_core: true, ..Setting::before(&origin) };
        let mut peers: Vec<Peer> = redis::all(&setting).into();
        peers.extend([nginx::start(&setting), varnish::start(&setting)]);
        peers.extend(python::STRATEGIES.map(|name| python::start(&setting, name)));
        for size in SIZES {
            let path = format!("/{size}");
            let body = body(size as u64, size);
            origin.on(&path, Reply::ok(&body).header("Content-Type", "image/png"));
            let hit = Hit { url: origin.url(&path), body };
            for peer in &peers {
                peer.warm(&hit.url, &hit.body);
            }
            for connections in CONNECTIONS {
                hit.race(&mut figures, &peers, connections, 1);
            }
            hit.race(&mut figures, &peers, USUAL, PIPELINE);
        }
    }
    promises(table, &figures);
    figures.keep(machine);
}

/// A body that everyone has.
struct Hit {
    url: String,
    body: Vec<u8>,
}

impl Hit {
    fn race(&self, figures: &mut Figures, peers: &[Peer], connections: usize, pipeline: usize) {
        let case = case(self.body.len(), connections, pipeline);
        // Python's clients are for the usual number of connections, one request at a time.
        let is_usual = connections == USUAL && pipeline == 1;
        let racing: Vec<&Peer> =
            peers.iter().filter(|peer| is_usual || !peer.is_client()).collect();
        let mut loads: HashMap<&str, Load> =
            racing.iter().map(|peer| (peer.name, peer.load(connections))).collect();
        let rounds = if connections == USUAL { 2 * ROUNDS + 1 } else { ROUNDS };
        in_turn(case.title(), rounds, &racing, |peer, _| {
            let load = loads.get_mut(peer.name).expect("everyone has connections");
            let (request, answer) = (peer.request_hit(&self.url), peer.answer(&self.body));
            let before = peer.cpu_seconds();
            let rate = load.closed_loop(&request, &answer, pipeline, ROUND);
            let used = peer.cpu_seconds() - before;
            let requests = rate.latency.len() * pipeline as u64;
            let millis = |quantile| rate.latency.value_at_quantile(quantile) as f64 / 1e3;
            let mut add = |metric, value| figures.add(&case, peer.name, metric, value);
            add(THROUGHPUT, rate.per_second);
            add(P50, millis(0.5));
            add(P99, millis(0.99));
            add(P999, millis(0.999));
            add(CPU, used * 1e6 / requests as f64);
        });
        figures.show(&case);
    }
}

fn case(bytes: usize, connections: usize, pipeline: usize) -> Case {
    let depth = if pipeline > 1 { format!(", pipeline {pipeline}") } else { String::new() };
    let plural = if connections > 1 { "s" } else { "" };
    Case::named(format!("{}, {connections} connection{plural}{depth}", size(bytes)))
        .with("size", bytes)
        .with("connections", connections)
        .with("pipeline", pipeline)
}

fn promises(table: &mut Table, figures: &Figures) {
    for size in [1 << 10, 16 << 10] {
        against_get(table, figures, size, 1, 0.97);
    }
    for (size, asked) in SIZES.into_iter().zip([0.85, 0.97, 0.97, 0.97, 0.97]) {
        against_get(table, figures, size, PIPELINE, asked);
    }
    for bytes in SIZES {
        let case = case(bytes, USUAL, 1);
        table.add(&Row {
            what: format!("server's CPU per hit against GET, {}", size(bytes)),
            unit: Unit::Times,
            asked: Bound::AtMost(1.1),
            measured: figures.ratio(&case, CPU, [CACHE_GET, GET]),
            beside: format!("GET {}", figures.median(&case, GET, CPU)),
        });
    }
    for (bytes, asked) in [(1 << 10, 1.0), (16 << 10, 1.0), (256 << 10, 0.95)] {
        for other in [nginx::NGINX, varnish::VARNISH] {
            against(table, figures, (bytes, THROUGHPUT), other, Bound::AtLeast(asked));
        }
    }
    for other in [nginx::NGINX, varnish::VARNISH] {
        against(table, figures, (1 << 10, P99), other, Bound::AtMost(1.0));
    }
}

fn against_get(table: &mut Table, figures: &Figures, bytes: usize, pipeline: usize, asked: f64) {
    let case = case(bytes, USUAL, pipeline);
    table.add(&Row {
        what: match pipeline {
            1 => format!("hits against GET, {}", size(bytes)),
            depth => format!("hits against GET, {}, pipeline {depth}", size(bytes)),
        },
        unit: Unit::Times,
        asked: Bound::AtLeast(asked),
        measured: figures.ratio(&case, THROUGHPUT, [CACHE_GET, GET]),
        beside: format!(
            "GET {}; p99 {}, CPU {}; of a string without expiry {}",
            figures.median(&case, GET, THROUGHPUT),
            Unit::Times.write(figures.ratio(&case, P99, [CACHE_GET, GET]).median()),
            Unit::Times.write(figures.ratio(&case, CPU, [CACHE_GET, GET]).median()),
            Unit::Times.write(figures.ratio(&case, THROUGHPUT, [CACHE_GET, GET_FOR_EVER]).median()),
        ),
    });
}

fn against(
    table: &mut Table,
    figures: &Figures,
    (bytes, metric): (usize, Metric),
    other: &'static str,
    asked: Bound,
) {
    let case = case(bytes, USUAL, 1);
    table.add(&Row {
        what: format!("hits against {other}, {}, {}", size(bytes), metric.name),
        unit: Unit::Times,
        asked,
        measured: figures.ratio(&case, metric, [CACHE_GET, other]),
        beside: format!("{other} {}", figures.median(&case, other, metric)),
    });
}
