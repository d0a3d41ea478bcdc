//! What another client notices while all this goes on: one that pings the
//! Redis, or asks an HTTP cache for a small body that it has.

use std::time::Duration;

use crate::figures::{Case, Figures, Metric};
use crate::machine::Machine;
use crate::misses;
use crate::neighbour::{Neighbour, Waits};
use crate::peers::redis::{CACHE_GET, GET};
use crate::peers::{Peer, Setting, nginx, redis, varnish};
use crate::rounds::{ROUNDS, in_turn};
use crate::stampede::stampede;
use crate::storm::Storm;
use crate::support::{Origin, Reply};
use crate::table::{Bound, Row, Table, Unit};
use crate::wire::body;

const P999: Metric = Metric::new("ping_p999", Unit::Millis);
const LONGEST: Metric = Metric::new("ping_max", Unit::Millis);

const SPAN: Duration = Duration::from_millis(500);
const LARGE: usize = 100 << 20;

pub fn run(table: &mut Table, machine: &Machine) {
    let mut figures = Figures::of("neighbours");
    let origin = Origin::start();
    origin.otherwise(misses::answer);
    let hits = Hits::of(&origin);
    let large = body(1, LARGE);
    let setting = Setting::before(&origin);
    let [get, cache_get] = redis::both(&setting);
    let peers = [get, cache_get, nginx::start(&setting), varnish::start(&setting)];
    let all: Vec<&Peer> = peers.iter().collect();
    for peer in &all {
        peer.warm(&hits.url, &hits.body);
    }

    compare(&mut figures, &origin, "idle", &all, |_, _| std::thread::sleep(SPAN));
    compare(&mut figures, &origin, "hits", &all, |peer, _| hits.keep_on(peer));
    compare(&mut figures, &origin, "a stampede", &all, |peer, round| {
        stampede(&origin, peer, 1000, &body(round as u64, 100 << 10));
    });
    compare(&mut figures, &origin, "misses", &all[1..], |peer, round| {
        misses::download(&origin, peer, (misses::CLIENTS, 5000), round);
    });
    compare(&mut figures, &origin, "a body of 100 MiB", &all, |peer, round| {
        let path = format!("/large/{round}/{}", peer.name);
        origin.on(&path, Reply::ok(&large));
        peer.warm(&origin.url(&path), &large);
        origin.on(&path, Reply::ok("")); // so that it is not kept here
    });
    drop(peers);

    let storm = Storm::of(100, None);
    let setting = storm.setting();
    let peers = [redis::cache_get(&setting), nginx::start(&setting), varnish::start(&setting)];
    let all: Vec<&Peer> = peers.iter().collect();
    compare(&mut figures, &storm.origin, "an expiry storm", &all, |peer, _| {
        storm.rage(peer, Duration::from_millis(1400));
    });
    promises(table, &figures);
    figures.keep(machine);
}

fn case(during: &str) -> Case {
    Case::named(format!("a neighbour during: {during}")).with("during", during)
}

fn compare(
    figures: &mut Figures,
    origin: &Origin,
    during: &str,
    peers: &[&Peer],
    mut go_on: impl FnMut(&Peer, usize),
) {
    let case = case(during);
    in_turn(case.title(), ROUNDS, peers, |peer, round| {
        let neighbour: Neighbour = peer.neighbour(origin);
        go_on(peer, round);
        let waits: Waits = neighbour.leave();
        figures.add(&case, peer.name, LONGEST, waits.longest());
        figures.add(&case, peer.name, P999, waits.p999());
    });
    figures.show(&case);
}

/// A body that everyone has, and clients who keep on asking for it.
struct Hits {
    url: String,
    body: Vec<u8>,
}

impl Hits {
    fn of(origin: &Origin) -> Self {
        let body = body(1, 1 << 10);
        origin.on("/hit", Reply::ok(&body));
        Self { url: origin.url("/hit"), body }
    }

    fn keep_on(&self, peer: &Peer) {
        let (request, answer) = (peer.request_hit(&self.url), peer.answer(&self.body));
        peer.load(50).closed_loop(&request, &answer, 1, SPAN);
    }
}

fn promises(table: &mut Table, figures: &Figures) {
    let case = case("a body of 100 MiB");
    table.add(&Row {
        what: "a body of 100 MiB: a neighbour's PING".into(),
        unit: Unit::Times,
        asked: Bound::AtMost(1.0),
        measured: figures.ratio(&case, LONGEST, [CACHE_GET, GET]),
        beside: format!(
            "{}; as SET and GET {}",
            figures.median(&case, CACHE_GET, LONGEST),
            figures.median(&case, GET, LONGEST)
        ),
    });
}
