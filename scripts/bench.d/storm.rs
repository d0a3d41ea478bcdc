//! An expiry storm: steady traffic on many URLs that were filled together and
//! so expire together, again and again, with and without stale service.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::figures::{Case, Figures, Metric};
use crate::load::Answer;
use crate::machine::Machine;
use crate::peers::redis::CACHE_GET_STALE;
use crate::peers::{Peer, Setting, nginx, python, redis, varnish};
use crate::rounds::{ROUNDS, in_turn};
use crate::stampede::ORIGIN;
use crate::support::{Origin, Reply};
use crate::table::{Bound, Row, Table, Unit};
use crate::wire::body;

pub const URLS: usize = 100;
pub const SIZE: usize = 1 << 10;
/// Requests a second, whatever comes of them: ten for each URL.
pub const RATE: f64 = 1000.0;
/// As many clients as it takes for one to be free whenever a request falls due.
pub const CLIENTS: usize = 500;
pub const EXPIRY: Duration = Duration::from_secs(1);
/// Longer than any refresh.
pub const STALE: Duration = Duration::from_secs(60);
/// Three expiries.
const SPAN: Duration = Duration::from_millis(3800);

/// What the unluckiest client waited.
const LONGEST: Metric = Metric::new("longest", Unit::Millis);
const P99: Metric = Metric::new("p99", Unit::Millis);
/// For each URL and expiry.
const REQUESTS: Metric = Metric::new("origin", Unit::Times);

pub fn run(table: &mut Table, machine: &Machine) {
    let mut figures = Figures::of("storm");
    let fresh = Storm::of(URLS, None);
    let waiting = fresh
        .compare(&mut figures, &[python::CACHE_ASIDE, python::LOCK_AND_POLL, python::TUTORIAL]);
    let stale = Storm::of(URLS, Some(STALE));
    let served = stale.compare(&mut figures, &[]);
    promises(table, &figures, [&waiting, &served]);
    figures.keep(machine);
}

/// The URLs, and the origin behind them.
pub struct Storm {
    pub origin: Origin,
    urls: usize,
    stale: Option<Duration>,
}

impl Storm {
    pub fn of(urls: usize, stale: Option<Duration>) -> Self {
        let origin = Origin::start();
        for number in 0..urls {
            let reply = Reply::ok(Self::body(number)).delay(ORIGIN);
            origin.on(&Self::path(number), reply);
        }
        Self { origin, urls, stale }
    }

    pub fn setting(&self) -> Setting<'_> {
        Setting { expiry: EXPIRY, stale: self.stale, ..Setting::before(&self.origin) }
    }

    fn compare(&self, figures: &mut Figures, clients: &[&'static str]) -> Case {
        let setting = self.setting();
        let case = self.case();
        let start: [fn(&Setting<'_>) -> Peer; 3] = [redis::cache_get, nginx::start, varnish::start];
        let mut peers: Vec<Peer> = start.iter().map(|start| start(&setting)).collect();
        peers.extend(clients.iter().map(|name| python::start(&setting, name)));
        let peers: Vec<&Peer> = peers.iter().collect();
        in_turn(case.title(), ROUNDS, &peers, |peer, _| {
            self.origin.until_in_the_air(0); // what another peer refreshes is none of this one's
            let before = [self.origin.total(), self.origin.waves()];
            let latency = self.rage(peer, SPAN);
            self.origin.until_in_the_air(0);
            let [total, waves] = [self.origin.total() - before[0], self.origin.waves() - before[1]];
            let mut add = |metric, value| figures.add(&case, peer.name, metric, value);
            add(LONGEST, latency.max() as f64 / 1e3);
            add(P99, latency.value_at_quantile(0.99) as f64 / 1e3);
            add(REQUESTS, total as f64 / waves as f64);
        });
        figures.show(&case);
        case
    }

    /// Fills all URLs at once, and keeps on asking for them.
    pub fn rage(&self, peer: &Peer, span: Duration) -> Histogram<u64> {
        let exchanges: Arc<Vec<(Arc<[u8]>, Answer)>> = Arc::new(
            (0..self.urls)
                .map(|number| {
                    let request = peer.request(&self.origin.url(&Self::path(number)));
                    (request.into(), peer.answer(&Self::body(number)))
                })
                .collect(),
        );
        let all = Arc::clone(&exchanges);
        peer.load(self.urls).work_off(self.urls, move |number| {
            let (request, answer) = &all[number];
            (request.to_vec(), answer.clone())
        });
        let mut load = peer.load(CLIENTS);
        let rate =
            load.open_loop(RATE, span, move |number| exchanges[number % exchanges.len()].clone());
        rate.latency
    }

    fn case(&self) -> Case {
        let how = if self.stale.is_some() { "served stale" } else { "not served stale" };
        Case::named(format!("{} URLs that expire together, {how}", self.urls))
            .with("urls", self.urls)
            .with("rate", RATE)
            .with("stale", u8::from(self.stale.is_some()))
    }

    fn path(number: usize) -> String {
        format!("/storm/{number}")
    }

    fn body(number: usize) -> Vec<u8> {
        body(number as u64, SIZE)
    }
}

fn promises(table: &mut Table, figures: &Figures, [waiting, served]: [&Case; 2]) {
    let [ours, varnish] =
        [CACHE_GET_STALE, varnish::VARNISH].map(|peer| figures.sample(served, peer, LONGEST));
    table.add(&Row {
        what: "100 URLs expire, STALE: the longest wait".into(),
        unit: Unit::Times,
        asked: Bound::AtMost(1.0),
        measured: ours.over(varnish),
        beside: format!(
            "{} against Varnish's {} with grace",
            Unit::Millis.write(ours.median()),
            Unit::Millis.write(varnish.median()),
        ),
    });
    for (case, peer) in [(waiting, redis::CACHE_GET), (served, CACHE_GET_STALE)] {
        table.add(&Row {
            what: format!("... {peer}: origin requests for each"),
            unit: Unit::Times,
            asked: Bound::AtMost(1.0),
            measured: figures.sample(case, peer, REQUESTS).clone(),
            beside: format!("Varnish {}", figures.median(case, varnish::VARNISH, REQUESTS)),
        });
    }
}
