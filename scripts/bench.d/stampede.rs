//! Many clients on one cold URL, all at once: how many requests the origin
//! sees, how soon everyone has the answer once it exists, and what a
//! neighbour notices of all that.

use std::time::{Duration, Instant};

use crate::figures::{Case, Figures, Metric};
use crate::machine::Machine;
use crate::neighbour::Waits;
use crate::peers::redis::{CACHE_GET, GET};
use crate::peers::{Peer, Setting, nginx, python, redis, varnish};
use crate::rounds::{ROUNDS, in_turn};
use crate::support::{Origin, Reply};
use crate::table::{Bound, Row, Table, Unit};
use crate::wire::{body, size};

/// What the origin takes before its first byte: long enough for all to be there.
pub const ORIGIN: Duration = Duration::from_millis(250);

const SIZES: [usize; 3] = [1 << 10, 100 << 10, 1 << 20];
const CLIENTS: [usize; 3] = [10, 100, 1000];

/// From the origin's last byte to the last client's.
const LAST: Metric = Metric::new("last", Unit::Millis);
const P50: Metric = Metric::new("p50", Unit::Millis);
const P99: Metric = Metric::new("p99", Unit::Millis);
const REQUESTS: Metric = Metric::new("origin", Unit::Count);
const PING: Metric = Metric::new("ping", Unit::Millis);

pub fn run(table: &mut Table, machine: &Machine) {
    let origin = Origin::start();
    let setting = Setting::before(&origin);
    let [get, cache_get] = redis::both(&setting);
    let mut peers = vec![get, cache_get, nginx::start(&setting), varnish::start(&setting)];
    peers.extend(python::STRATEGIES.map(|name| python::start(&setting, name)));
    let peers: Vec<&Peer> = peers.iter().collect();
    let mut figures = Figures::of("stampede");
    for size in SIZES {
        for clients in CLIENTS {
            compare(&mut figures, &origin, &peers, (size, clients));
        }
    }
    // What was promised before there was anyone to compare with.
    compare(&mut figures, &origin, &peers[..2], FEW);
    promises(table, &figures);
    figures.keep(machine);
}

const FEW: (usize, usize) = (16 << 10, 200);

fn compare(
    figures: &mut Figures,
    origin: &Origin,
    peers: &[&Peer],
    (bytes, clients): (usize, usize),
) {
    let case = case(bytes, clients);
    in_turn(case.title(), ROUNDS, peers, |peer, round| {
        let body = body(round as u64, bytes);
        let seen = stampede(origin, peer, clients, &body);
        let mut add = |metric, value| figures.add(&case, peer.name, metric, value);
        add(LAST, seen.after(1.0));
        add(P50, seen.after(0.5));
        add(P99, seen.after(0.99));
        if peer.name != GET {
            add(REQUESTS, seen.requests as f64);
        }
        add(PING, seen.ping.longest());
    });
    figures.show(&case);
}

/// What was seen of one.
pub struct Seen {
    /// In milliseconds, the shortest first.
    waits: Vec<f64>,
    requests: u64,
    /// What a neighbour waited meanwhile.
    ping: Waits,
}

impl Seen {
    /// After so many milliseconds, this part of all had the answer.
    pub fn after(&self, part: f64) -> f64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part")]
        let at = (part * self.waits.len() as f64).ceil() as usize;
        self.waits[at.clamp(1, self.waits.len()) - 1]
    }
}

/// Sends that many clients after a URL that nobody has; for `GET`, after a body that is there.
pub fn stampede(origin: &Origin, peer: &Peer, clients: usize, body: &[u8]) -> Seen {
    let path = format!("/stampede/{}", origin.total());
    origin.on(&path, Reply::ok(body).delay(ORIGIN));
    let url = origin.url(&path);
    if peer.name == GET {
        peer.store(&url, body);
    }
    let mut load = peer.load(clients);
    let neighbour = peer.neighbour(origin);
    let begun = Instant::now();
    load.send(&peer.request(&url));
    let times = load.receive(&peer.answer(body));
    let ping = neighbour.leave();
    let there = origin.first_answered(&path).unwrap_or(begun);
    let wait = |time: &Instant| time.saturating_duration_since(there).as_secs_f64() * 1e3;
    let mut waits: Vec<f64> = times.iter().map(wait).collect();
    waits.sort_by(f64::total_cmp);
    Seen { waits, requests: origin.hits(&path), ping }
}

fn case(bytes: usize, clients: usize) -> Case {
    Case::named(format!("{clients} clients on one cold URL, {}", size(bytes)))
        .with("size", bytes)
        .with("clients", clients)
}

fn promises(table: &mut Table, figures: &Figures) {
    for bytes in SIZES {
        against_the_best(table, figures, bytes);
    }
    for (bytes, asked) in [(100 << 10, 10.0), (1 << 20, 12.0)] {
        let case = case(bytes, 1000);
        table.add(&Row {
            what: format!("1,000 clients, {}: a neighbour's PING", size(bytes)),
            unit: Unit::Millis,
            asked: Bound::AtMost(asked),
            measured: figures.sample(&case, CACHE_GET, PING).clone(),
            beside: format!("GETs {}", figures.median(&case, GET, PING)),
        });
    }
    table.add(&Row {
        what: "... against what GETs of it cause".into(),
        unit: Unit::Times,
        asked: Bound::AtMost(0.05),
        measured: figures.ratio(&case(1 << 20, 1000), PING, [CACHE_GET, GET]),
        beside: String::new(),
    });
    let few = case(FEW.0, FEW.1);
    table.add(&Row {
        what: "200 clients, 16 KiB: the last is answered in".into(),
        unit: Unit::Millis,
        asked: Bound::AtMost(15.0),
        measured: figures.sample(&few, CACHE_GET, LAST).clone(),
        beside: format!("GETs {}", figures.median(&few, GET, LAST)),
    });
}

/// 1,000 clients, against whoever answers the last of them soonest without this project.
fn against_the_best(table: &mut Table, figures: &Figures, bytes: usize) {
    let case = case(bytes, 1000);
    let last = |peer| figures.sample(&case, peer, LAST).median();
    let others = figures.peers(&case).into_iter();
    let others = others.filter(|peer| ![GET, CACHE_GET, python::CACHE_GET].contains(peer));
    let best = others.min_by(|a, b| last(a).total_cmp(&last(b))).expect("there are others");
    table.add(&Row {
        what: format!("1,000 clients, {}: origin requests", size(bytes)),
        unit: Unit::Count,
        asked: Bound::AtMost(1.0),
        measured: figures.sample(&case, CACHE_GET, REQUESTS).clone(),
        beside: format!("{best} {}", figures.median(&case, best, REQUESTS)),
    });
    table.add(&Row {
        what: format!("... the last client, against {best}"),
        unit: Unit::Times,
        asked: Bound::AtMost(1.0),
        measured: figures.ratio(&case, LAST, [CACHE_GET, best]),
        beside: format!(
            "{} against {}; GETs {}",
            figures.median(&case, CACHE_GET, LAST),
            figures.median(&case, best, LAST),
            figures.median(&case, GET, LAST),
        ),
    });
}
