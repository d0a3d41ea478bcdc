//! Many cold URLs, each another: from an origin that takes a second for each,
//! and from one that takes no time at all.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::load::Load;
use crate::process::{open_files, threads};
use crate::resp::{body, bulk, command};
use crate::support::{Origin, Reply, Request, Server};
use crate::table::{Bound, Row, Sample, Table, Unit, progress};

const SIZE: usize = 1 << 10;

/// The body behind a path: each has its own.
fn body_of(path: &str) -> Vec<u8> {
    let seed = path.bytes().fold(7_u64, |seed, byte| seed.wrapping_mul(31) + u64::from(byte));
    body(seed, SIZE)
}

fn answer(request: &Request) -> Reply {
    Reply::ok(body_of(&request.path))
}

/// The call for a path, and the reply that must come.
fn exchange(origin: &Origin, path: &str) -> (Vec<u8>, Vec<u8>) {
    (command(&["CACHE.GET", &origin.url(path), "600", "20"]), bulk(&body_of(path)))
}

pub fn slow_origin(table: &mut Table) {
    const URLS: usize = 1000;
    const ROUNDS: usize = 3;
    let mut took = Sample::default();
    let mut most = Sample::default();
    for round in 0..ROUNDS {
        progress(format_args!("{URLS} URLs of 1 s, round {} of {ROUNDS}", round + 1));
        let origin = Origin::start();
        origin.otherwise(|request| answer(request).delay(Duration::from_secs(1)));
        let server = Server::builder()
            .release()
            .config("cache.max-downloads", "1024")
            .config("cache.max-downloads-per-host", "1024")
            .start();
        let mut load = Load::connect(&server, URLS);
        let exchanges: Vec<_> = (0..URLS).map(|n| exchange(&origin, &format!("/{n}"))).collect();
        took.add(load.work_off(URLS, move |n| exchanges[n].clone()).as_secs_f64());
        most.add(origin.most_in_the_air() as f64);
        assert_eq!(origin.total(), URLS as u64, "one download for each");
    }
    table.add(&Row {
        what: "1,000 URLs at once, the origin takes 1 s".into(),
        unit: Unit::Seconds,
        asked: Bound::AtMost(2.5),
        beside: format!("downloads at once {}", Unit::Count.write(most.median())),
        measured: took,
    });
}

pub fn instant_origin(table: &mut Table) {
    const URLS: usize = 20_000;
    const CLIENTS: usize = 64;
    let origin = Origin::start();
    origin.otherwise(answer);
    let server = Server::builder().release().start();
    let fresh = Left::of(&server);
    let [mut cold, mut warm] = [Sample::default(), Sample::default()];
    let after = [1, 2, 3].map(|round| {
        progress(format_args!("{URLS} URLs from an instant origin, round {round} of 3"));
        let mut load = Load::connect(&server, CLIENTS);
        let exchanges: Vec<_> =
            (0..URLS).map(|n| exchange(&origin, &format!("/{round}/{n}"))).collect();
        let exchanges = Arc::new(exchanges);
        for sample in [&mut cold, &mut warm] {
            let exchanges = Arc::clone(&exchanges);
            let took = load.work_off(URLS, move |n| exchanges[n].clone());
            sample.add(URLS as f64 / took.as_secs_f64());
        }
        drop(load);
        Left::of(&server)
    });
    assert_eq!(origin.total(), 3 * URLS as u64, "one download for each");
    table.add(&Row {
        what: "20,000 URLs, 64 clients, an instant origin".into(),
        unit: Unit::PerSecond,
        asked: Bound::AtLeast(8000.0),
        beside: format!("as hits {}", Unit::PerSecond.write(warm.median())),
        measured: cold,
    });
    table.add(&memory_left(&fresh, &after));
    table.add(&threads_left(&server, &fresh, &after));
}

/// What a server has when nothing goes on and nothing is stored.
struct Left {
    threads: usize,
    used_kib: f64,
    /// Open files: what is above a fresh server's are connections to origins.
    files: f64,
}

impl Left {
    fn of(server: &Server) -> Self {
        server.call(&["FLUSHALL"]).unwrap();
        server.until_gauge("connected_clients", 1); // that is the one who asks
        Self {
            threads: threads(server),
            used_kib: settled(|| server.gauge("used_memory") as f64 / 1024.0),
            files: open_files(server) as f64,
        }
    }
}

/// What it comes to: the server gives memory back step by step, ten times a second.
fn settled(look: impl Fn() -> f64) -> f64 {
    let mut before = f64::INFINITY;
    loop {
        let now = look();
        if now >= before - 1.0 {
            return now;
        }
        before = now;
        thread::sleep(Duration::from_millis(500));
    }
}

/// The memory that the third round took and did not give back, but for that of
/// the connections it keeps to be used again: what one of those is worth is
/// what the second round left, over the connections it left.
fn memory_left(fresh: &Left, [_, second, third]: &[Left; 3]) -> Row {
    let a_connection = (second.used_kib - fresh.used_kib) / (second.files - fresh.files);
    let newly_kept = third.files - second.files;
    let mut more = Sample::default();
    more.add(third.used_kib - second.used_kib - newly_kept * a_connection);
    Row {
        what: "... then FLUSHALL: more used_memory".into(),
        unit: Unit::Kib,
        asked: Bound::AtMost(256.0),
        beside: format!(
            "{} connections kept, {a_connection:.0} KiB each",
            third.files - fresh.files,
        ),
        measured: more,
    }
}

/// The threads that are still there when those that download have gone idle, and gone.
fn threads_left(server: &Server, fresh: &Left, after: &[Left; 3]) -> Row {
    progress("waiting for the download threads to go, some 10 s after their last work");
    server.until_gauge("cache_threads", 0);
    let give_up = Instant::now() + Duration::from_secs(5); // they are counted out before they end
    while threads(server) > fresh.threads && Instant::now() < give_up {
        thread::sleep(Duration::from_millis(10));
    }
    let mut more = Sample::default();
    more.add(threads(server) as f64 - fresh.threads as f64);
    Row {
        what: "... then idle: more threads".into(),
        unit: Unit::Count,
        asked: Bound::AtMost(0.0),
        beside: format!("{} at work, fresh {}", after[1].threads, fresh.threads),
        measured: more,
    }
}
