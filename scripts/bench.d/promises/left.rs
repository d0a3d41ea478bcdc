//! What many misses leave behind once they are over: memory, connections,
//! threads.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::load::{Answer, Load};
use crate::process::{open_files, threads};
use crate::support::{Origin, Reply, Server};
use crate::table::{Bound, Row, Sample, Table, Unit, progress};
use crate::wire::{body, bulk, command};

pub fn run(table: &mut Table) {
    const URLS: usize = 20_000;
    const CLIENTS: usize = 64;
    let origin = Origin::start();
    let value = body(1, 1 << 10);
    let reply = Reply::ok(&value);
    origin.otherwise(move |_| reply.clone());
    let answer = Answer::from(&bulk(&value));
    let server = Server::builder().release().start();
    let fresh = Left::of(&server);
    let after = [1, 2, 3].map(|round| {
        progress(format_args!("{URLS} URLs from an instant origin, round {round} of 3"));
        let mut load = Load::connect(server.port(), CLIENTS);
        let requests: Vec<_> = (0..URLS)
            .map(|n| command(&["CACHE.GET", &origin.url(&format!("/{round}/{n}")), "600", "20"]))
            .collect();
        let (requests, answer) = (Arc::new(requests), answer.clone());
        load.work_off(URLS, move |n| (requests[n].clone(), answer.clone()));
        drop(load);
        Left::of(&server)
    });
    assert_eq!(origin.total(), 3 * URLS as u64, "one download for each");
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
        what: "20,000 misses, FLUSHALL: more used_memory".into(),
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
