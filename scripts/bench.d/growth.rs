//! How each cost grows with its size: at once, ten times, a hundred times of
//! it, so that the slope shows.

use std::sync::Arc;
use std::time::Duration;

use crate::figures::{Case, Figures, Metric};
use crate::machine::Machine;
use crate::memory::bytes_per_entry;
use crate::misses;
use crate::peers::redis::{CACHE_GET, CACHE_GET_STALE, GET};
use crate::peers::{Peer, Setting, redis};
use crate::rounds::{ROUNDS, in_turn};
use crate::stampede::stampede;
use crate::storm::{STALE, Storm};
use crate::support::{Origin, Reply};
use crate::table::{Table, Unit};
use crate::wire::body;

const FACTORS: [usize; 3] = [1, 10, 100];
const SPAN: Duration = Duration::from_millis(300);
const CLIENTS: usize = 50;

pub fn run(_: &mut Table, machine: &Machine) {
    let mut figures = Figures::of("growth");
    let origin = Origin::start();
    origin.otherwise(misses::answer);
    let peers = redis::both(&Setting::before(&origin));
    let both: Vec<&Peer> = peers.iter().collect();
    let ours = &both[1..];

    grow(&mut figures, "hit: CPU by body, from 1 KiB", Unit::Micros, &both, |peer, factor, _| {
        hit_of(&origin, peer, factor << 10)
    });
    grow(
        &mut figures,
        "hit: CPU by entries, from 1,000",
        Unit::Micros,
        &both,
        |peer, factor, _| hit_among(&origin, peer, 1000 * factor),
    );
    let crowd = "stampede: last answer by clients, from 10 (1 KiB)";
    grow(&mut figures, crowd, Unit::Millis, &both, |peer, factor, round| {
        stampede(&origin, peer, 10 * factor, &body(round as u64, 1 << 10)).after(1.0)
    });
    let crowd = "stampede: last answer by body, from 10 KiB (100 clients)";
    grow(&mut figures, crowd, Unit::Millis, &both, |peer, factor, round| {
        stampede(&origin, peer, 100, &body(round as u64, (10 * factor) << 10)).after(1.0)
    });
    let cold = "misses: time by URLs, from 100 (64 clients)";
    grow(&mut figures, cold, Unit::Millis, ours, |peer, factor, round| {
        let urls = 100 * factor;
        let took = misses::download(&origin, peer, (misses::CLIENTS, urls), 1000 * round + factor);
        took.as_secs_f64() * 1e3
    });
    let large = "one cold body: a neighbour's PING by body, from 1 MiB";
    grow(&mut figures, large, Unit::Millis, &both, |peer, factor, round| {
        let (path, large) = (format!("/large/{factor}/{round}"), body(1, factor << 20));
        origin.on(&path, Reply::ok(&large));
        let neighbour = peer.neighbour(&origin);
        peer.warm(&origin.url(&path), &large);
        neighbour.leave().longest()
    });
    storms(&mut figures);
    entries(&mut figures);
    figures.keep(machine);
}

/// Measures a cost at each size, in turn.
fn grow(
    figures: &mut Figures,
    headline: &str,
    unit: Unit,
    peers: &[&Peer],
    mut cost: impl FnMut(&Peer, usize, usize) -> f64,
) {
    for factor in FACTORS {
        let case = case(headline, factor);
        in_turn(case.title(), ROUNDS, peers, |peer, round| {
            let cost = cost(peer, factor, round);
            figures.add(&case, peer.name, Metric::new("cost", unit), cost);
        });
        figures.show(&case);
    }
}

fn case(headline: &str, factor: usize) -> Case {
    Case::named(format!("{headline}: x {factor}")).with("headline", headline).with("factor", factor)
}

/// Microseconds of the server's for each hit of a body of this size.
fn hit_of(origin: &Origin, peer: &Peer, size: usize) -> f64 {
    let (path, body) = (format!("/hit/{size}"), body(size as u64, size));
    origin.on(&path, Reply::ok(&body));
    let url = origin.url(&path);
    peer.warm(&url, &body);
    let (request, answer) = (peer.request_hit(&url), peer.answer(&body));
    let mut load = peer.load(CLIENTS);
    let before = peer.cpu_seconds();
    let rate = load.closed_loop(&request, &answer, 1, SPAN);
    (peer.cpu_seconds() - before) * 1e6 / rate.latency.len() as f64
}

/// Microseconds of the server's for each hit, of as many entries as these, in an order that no cache foresees.
fn hit_among(origin: &Origin, peer: &Peer, entries: usize) -> f64 {
    const HITS: usize = 20_000;
    /// Coprime to all the counts: its multiples visit every entry.
    const STRIDE: usize = 7_919;
    const FILL: &str =
        "for n = 0, ARGV[2] - 1 do redis.call('SET', KEYS[1] .. n, ARGV[1], 'EX', 3600) end";
    let small: Arc<[u8]> = body(1, 64).into();
    let server = peer.server().expect("it is a Redis");
    let (urls, tongue) = (origin.url("/among/"), peer.tongue());
    let prefix = if peer.name == GET { redis::plain_key(&urls, true) } else { urls.clone() };
    server.call(&["FLUSHALL"]).unwrap();
    let count = entries.to_string();
    let words: [&[u8]; 6] =
        [b"EVAL", FILL.as_bytes(), b"1", prefix.as_bytes(), &small, count.as_bytes()];
    server.client().call(&words).unwrap();
    let answer = peer.answer(&small);
    let mut load = peer.load(CLIENTS);
    let before = peer.cpu_seconds();
    load.work_off(HITS, move |number| {
        let url = format!("{urls}{}", number * STRIDE % entries);
        (tongue.request_hit(&url), answer.clone())
    });
    (peer.cpu_seconds() - before) * 1e6 / HITS as f64
}

/// The longest wait of any client while so many URLs expire together and are served stale.
fn storms(figures: &mut Figures) {
    let headline = "expiry storm, STALE: longest wait by URLs, from 10";
    for factor in FACTORS {
        let case = case(headline, factor);
        let storm = Storm::of(10 * factor, Some(STALE));
        let peer = redis::cache_get(&storm.setting());
        in_turn(case.title(), ROUNDS, &[&peer], |peer, _| {
            let waits = storm.rage(peer, Duration::from_millis(2500));
            let longest = waits.max() as f64 / 1e3;
            figures.add(&case, CACHE_GET_STALE, Metric::new("cost", Unit::Millis), longest);
        });
        figures.show(&case);
    }
}

/// What entries take of memory, beyond keys and bodies.
fn entries(figures: &mut Figures) {
    let headline = "memory beyond key and body by entries, from 1,000";
    for factor in FACTORS {
        let case = case(headline, factor);
        let count = 1000 * factor;
        for _ in 0..ROUNDS {
            for name in [GET, CACHE_GET] {
                let bytes = bytes_per_entry(name, count) * count as f64;
                figures.add(&case, name, Metric::new("cost", Unit::Bytes), bytes);
            }
        }
        figures.show(&case);
    }
}
