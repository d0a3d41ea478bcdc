//! Memory: what an entry takes beyond its key and body, what a client takes
//! that waits, and what a body of 100 MiB takes at its peak.

use std::sync::Arc;

use crate::figures::{Case, Figures, Metric};
use crate::load::Answer;
use crate::machine::Machine;
use crate::peers::redis::{CACHE_GET, GET};
use crate::peers::{Peer, Setting, nginx, redis, varnish};
use crate::rounds::ROUNDS;
use crate::support::{Gate, Origin, Reply, Server};
use crate::table::{Bound, Row, Table, Unit, progress};
use crate::wire::{body, command};

const SIZE: usize = 1 << 10;
const MANY: usize = 1_000_000;
const FEWER: usize = 100_000;
const CLIENTS: usize = 64;
const WAITERS: usize = 1000;
const LARGE: usize = 100 << 20;

/// Beyond key and body.
const ENTRY: Metric = Metric::new("entry", Unit::Bytes);
/// Beyond a client that is connected.
const WAITER: Metric = Metric::new("waiter", Unit::Bytes);
/// Of the body.
const PEAK: Metric = Metric::new("peak", Unit::Times);

/// Headers as a site for images sends them.
pub const HEADERS: [(&str, &str); 5] = [
    ("Content-Type", "image/png"),
    ("ETag", "\"33a64df551425fcc55e4d42a148795d9f25f89d4\""),
    ("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
    ("Cache-Control", "public, max-age=31536000"),
    ("Date", "Wed, 21 Oct 2026 07:28:00 GMT"),
];

pub fn run(table: &mut Table, machine: &Machine) {
    let mut figures = Figures::of("memory");
    let kept =
        entries(&mut figures, FEWER, ROUNDS, &[GET, CACHE_GET, nginx::NGINX, varnish::VARNISH]);
    figures.show(&kept);
    // What it takes of memory does not scatter: one round of so many tells.
    let kept = entries(&mut figures, MANY, 1, &[GET, CACHE_GET]);
    figures.show(&kept);
    waiters(&mut figures);
    peaks(&mut figures);
    table.add(&Row {
        what: "1 KiB entries, 5 headers, against SET EX".into(),
        unit: Unit::Bytes,
        asked: Bound::AtMost(300.0),
        measured: figures.difference(&kept, ENTRY, [CACHE_GET, GET]),
        beside: format!("{MANY} of them"),
    });
    figures.keep(machine);
}

fn start(name: &str, setting: &Setting<'_>) -> Peer {
    match name {
        nginx::NGINX => nginx::start(setting),
        varnish::VARNISH => varnish::start(setting),
        redis => {
            redis::both(setting).into_iter().find(|peer| peer.name == redis).expect("one of both")
        }
    }
}

fn entries(figures: &mut Figures, count: usize, rounds: usize, peers: &[&'static str]) -> Case {
    let case = Case::named(format!("{count} entries of 1 KiB, beyond key and body"))
        .with("entries", count);
    for round in 0..rounds {
        for &name in peers {
            progress(format_args!("{count} entries, round {} of {rounds}, {name}", round + 1));
            figures.add(&case, name, ENTRY, bytes_per_entry(name, count));
        }
    }
    case
}

/// Fills an empty cache, and looks at what it takes.
pub fn bytes_per_entry(name: &'static str, count: usize) -> f64 {
    let origin = Origin::start();
    let value: Arc<[u8]> = body(1, SIZE).into();
    let reply =
        HEADERS.iter().fold(Reply::ok(&value), |reply, (name, value)| reply.header(name, value));
    origin.otherwise(move |_| reply.clone());
    let setting = Setting::before(&origin);
    let peer = start(name, &setting);
    let url = |number: usize| format!("/{number:07}");
    let urls = origin.url("");
    // What it takes once, connections to the origin among it, is no entry's.
    let tongue = peer.tongue();
    if name != GET {
        let (urls, answer) = (origin.url("/first"), peer.answer(&value));
        let request = move |number| tongue.request(&format!("{urls}/{number}"));
        peer.load(CLIENTS).work_off(2000, move |number| (request(number), answer.clone()));
    }
    let before = peer.kept_bytes();
    let mut load = peer.load(CLIENTS);
    if name == GET {
        let answer = Answer::from(&b"+OK\r\n"[..]);
        load.work_off(count, move |number| {
            let key = redis::plain_key(&(urls.clone() + &url(number)), true);
            (command(&[b"SET", key.as_bytes(), &value, b"EX", b"3600"]), answer.clone())
        });
    } else {
        let answer = peer.answer(&value);
        load.work_off(count, move |number| {
            (tongue.request(&(urls.clone() + &url(number))), answer.clone())
        });
    }
    drop(load);
    let key = origin.url(&format!("/{:07}", 0)).len();
    (peer.kept_bytes() - before) / count as f64 - (key + SIZE) as f64
}

/// Clients that wait for a download, against clients that wait for nothing; and for a list, by `BLPOP`.
fn waiters(figures: &mut Figures) {
    let case = Case::named("1,000 clients that wait, each").with("clients", WAITERS);
    let origin = Origin::start();
    for round in 0..ROUNDS {
        let gate = Gate::closed();
        let path = format!("/waited-for/{round}");
        origin.on(&path, Reply::ok("there").gate(&gate));
        let url = origin.url(&path);
        for (name, words, gauge) in [
            (CACHE_GET, ["CACHE.GET", &url, "60", "60"].as_slice(), "cache_waiters"),
            ("BLPOP", &["BLPOP", "a list", "60"], "blocked_clients"),
        ] {
            let server = Server::builder().release().start();
            let mut load = crate::load::Load::connect(server.port(), WAITERS);
            server.until_gauge("connected_clients", WAITERS as u64 + 1);
            let before = server.gauge("used_memory");
            load.send(&command(words));
            server.until_gauge(gauge, WAITERS as u64);
            let more = server.gauge("used_memory") as f64 - before as f64;
            figures.add(&case, name, WAITER, more / WAITERS as f64);
        }
        gate.open();
    }
    figures.show(&case);
}

/// One client and one large body, at the worst moment.
fn peaks(figures: &mut Figures) {
    let case = Case::named("a body of 100 MiB and one client, at the peak").with("size", LARGE);
    let origin = Origin::start();
    let large = body(1, LARGE);
    origin.on("/large", Reply::ok(&large));
    let url = origin.url("/large");
    for round in 0..ROUNDS {
        for name in [GET, CACHE_GET, nginx::NGINX, varnish::VARNISH] {
            progress(format_args!("100 MiB, round {} of {ROUNDS}, {name}", round + 1));
            let peer = start(name, &Setting::before(&origin));
            let before = peer.peak_bytes();
            peer.warm(&url, &large);
            figures.add(&case, name, PEAK, (peer.peak_bytes() - before) / LARGE as f64);
        }
    }
    figures.show(&case);
}
