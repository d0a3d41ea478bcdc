//! Many cold URLs, each another: from an origin that takes no time at all, and
//! from one that takes a second for each; plain and by TLS.

use std::sync::Arc;
use std::time::Duration;

use crate::figures::{Case, Figures, Metric};
use crate::machine::Machine;
use crate::peers::redis::CACHE_GET;
use crate::peers::{Peer, Setting, nginx, python, redis, varnish};
use crate::rounds::{ROUNDS, in_turn};
use crate::support::{Origin, Reply, Request};
use crate::table::{Bound, Row, Table, Unit};
use crate::wire::body;

pub const SIZE: usize = 1 << 10;
pub const CLIENTS: usize = 64;
/// What an instant origin is asked for in a round.
const INSTANT: usize = 10_000;
/// The same for Python's clients, which take so much longer.
const INSTANT_PYTHON: usize = 1000;
const SLOW: Duration = Duration::from_secs(1);
const SLOW_URLS: [usize; 2] = [1000, 5000];

const RATE: Metric = Metric::new("rate", Unit::PerSecond);
const TOOK: Metric = Metric::new("took", Unit::Seconds);

pub fn run(table: &mut Table, machine: &Machine) {
    let mut figures = Figures::of("misses");
    for origin in [Origin::start as fn() -> Origin, Origin::tls] {
        instant(&mut figures, &origin());
        for urls in SLOW_URLS {
            slow(&mut figures, &origin(), urls);
        }
    }
    promises(table, &figures);
    figures.keep(machine);
}

/// Those that can download from this origin.
fn peers(origin: &Origin, downloads: usize) -> Vec<Peer> {
    let setting = Setting { downloads, ..Setting::before(origin) };
    let mut peers = vec![redis::cache_get(&setting), nginx::start(&setting)];
    if !origin.is_tls() {
        peers.push(varnish::start(&setting));
    }
    // Its libraries do not get thousands of connections up within their own timeout.
    if downloads <= 1024 {
        peers.push(python::start(&setting, python::CACHE_ASIDE));
    }
    peers
}

fn instant(figures: &mut Figures, origin: &Origin) {
    origin.otherwise(answer);
    let case = instant_case(origin.is_tls());
    let peers = peers(origin, 1024);
    let peers: Vec<&Peer> = peers.iter().collect();
    in_turn(case.title(), ROUNDS, &peers, |peer, round| {
        let urls = if peer.is_client() { INSTANT_PYTHON } else { INSTANT };
        let took = download(origin, peer, (CLIENTS, urls), round);
        figures.add(&case, peer.name, RATE, urls as f64 / took.as_secs_f64());
    });
    figures.show(&case);
}

fn slow(figures: &mut Figures, origin: &Origin, urls: usize) {
    // Thousands of connections for each peer: none is worth keeping, and there is a limit to open files.
    origin.otherwise(|request| answer(request).delay(SLOW).close_after());
    let case = slow_case(origin.is_tls(), urls);
    let peers = peers(origin, urls);
    let peers: Vec<&Peer> = peers.iter().collect();
    in_turn(case.title(), ROUNDS, &peers, |peer, round| {
        let took = download(origin, peer, (urls, urls), round);
        figures.add(&case, peer.name, TOOK, took.as_secs_f64());
    });
    figures.show(&case);
}

/// Has that many clients work off that many URLs that nobody has asked for.
pub fn download(
    origin: &Origin,
    peer: &Peer,
    (clients, urls): (usize, usize),
    round: usize,
) -> Duration {
    let before = origin.total();
    let mut load = peer.load(clients);
    let exchanges: Vec<_> = (0..urls)
        .map(|number| {
            let path = format!("/misses/{round}/{}/{number}", peer.name.replace(' ', "-"));
            (peer.request(&origin.url(&path)), peer.answer(&body_of(&path)))
        })
        .collect();
    let exchanges = Arc::new(exchanges);
    let took = load.work_off(urls, move |number| exchanges[number].clone());
    assert_eq!(origin.total() - before, urls as u64, "one download for each");
    took
}

/// Every path has a body of its own.
fn body_of(path: &str) -> Vec<u8> {
    let seed = path.bytes().fold(7_u64, |seed, byte| seed.wrapping_mul(31) + u64::from(byte));
    body(seed, SIZE)
}

pub fn answer(request: &Request) -> Reply {
    Reply::ok(body_of(&request.path))
}

fn instant_case(tls: bool) -> Case {
    let how = if tls { " by TLS" } else { "" };
    Case::named(format!("misses, {CLIENTS} clients, an instant origin{how}"))
        .with("tls", u8::from(tls))
        .with("origin_ms", 0)
        .with("clients", CLIENTS)
}

fn slow_case(tls: bool, urls: usize) -> Case {
    let how = if tls { " by TLS" } else { "" };
    Case::named(format!("{urls} URLs at once, the origin takes 1 s{how}"))
        .with("tls", u8::from(tls))
        .with("origin_ms", 1000)
        .with("urls", urls)
}

fn promises(table: &mut Table, figures: &Figures) {
    let case = instant_case(false);
    let of = |peer| figures.median(&case, peer, RATE);
    table.add(&Row {
        what: "misses, an instant origin, against Varnish".into(),
        unit: Unit::Times,
        asked: Bound::AtLeast(1.0),
        measured: figures.ratio(&case, RATE, [CACHE_GET, varnish::VARNISH]),
        beside: format!(
            "{}, Varnish {}, nginx {}",
            of(CACHE_GET),
            of(varnish::VARNISH),
            of(nginx::NGINX),
        ),
    });
    let case = slow_case(false, 1000);
    table.add(&Row {
        what: "1,000 URLs at once, the origin takes 1 s".into(),
        unit: Unit::Seconds,
        asked: Bound::AtMost(2.5),
        measured: figures.sample(&case, CACHE_GET, TOOK).clone(),
        beside: String::new(),
    });
}
