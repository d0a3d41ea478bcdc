//! Processor time and context switches of a miss, by thread: the server's, and this program's, which is origin
//! and clients in one and shares the machine with it.

use std::sync::Arc;
use std::time::Duration;

use super::columns::Columns;
use super::syscalls::Strace;
use super::threads::{Threads, Used};
use crate::load::{Answer, Load};
use crate::support::{Origin, Reply, Server};
use crate::table::{Bound, Row, Sample, Table, Unit, progress};
use crate::wire::{body, bulk, command};

/// What the origin answers, to all: that costs it the least.
const SIZE: usize = 1 << 10;
/// Threads whose share is less than this are not told of.
const LEAST_MICROS: f64 = 0.05;
const TOP_CALLS: usize = 10;

struct Case {
    name: &'static str,
    clients: usize,
    misses: usize,
    switches: f64,
}

const CASES: [Case; 2] = [
    Case { name: "64 clients", clients: 64, misses: 30_000, switches: 6.0 },
    Case { name: "1 client", clients: 1, misses: 6_000, switches: 14.0 },
];

/// What a number of misses took.
struct Misses {
    count: f64,
    took: Duration,
    server: Vec<(String, Used)>,
    here: Vec<(String, Used)>,
}

pub fn run(table: &mut Table) {
    let origin = Origin::start();
    let body = body(1, SIZE);
    let reply = Reply::ok(&body);
    origin.otherwise(move |_| reply.clone());
    for case in &CASES {
        progress(format_args!("misses of {}", case.name));
        let server = Server::builder().release().start();
        let mut scene = Scene { origin: &origin, server: &server, body: &body, next: 0 };
        let mut load = Load::connect(server.port(), case.clients);
        scene.miss(&mut load, case.misses / 10); // the threads and connections there will be
        let misses = scene.measured(&mut load, case.misses);
        let calls = Strace::of(&server).map(|strace| {
            scene.miss(&mut load, case.misses / 10);
            strace.end()
        });
        table.add(&switches(case, &misses));
        by_thread(case, &misses);
        if let Some(calls) = calls {
            by_call(case, &calls);
        }
    }
}

struct Scene<'a> {
    origin: &'a Origin,
    server: &'a Server,
    body: &'a [u8],
    /// The number of the next URL: none is asked for twice.
    next: usize,
}

impl Scene<'_> {
    fn miss(&mut self, load: &mut Load, count: usize) -> Duration {
        let url = |number| self.origin.url(&format!("/{number}"));
        let call = |number| command(&["CACHE.GET", &url(number), "600", "20"]);
        let calls: Vec<_> = (self.next..self.next + count).map(call).collect();
        let (calls, answer) = (Arc::new(calls), Answer::from(&bulk(self.body)));
        self.next += count;
        load.work_off(count, move |number| (calls[number].clone(), answer.clone()))
    }

    fn measured(&mut self, load: &mut Load, count: usize) -> Misses {
        let server = self.server.pid().to_string();
        let look = || (Threads::of(&server), Threads::of("self"));
        let before = look();
        let took = self.miss(load, count);
        let after = look();
        Misses {
            count: count as f64,
            took,
            server: after.0.since(&before.0).into_iter().collect(),
            here: after.1.since(&before.1).into_iter().collect(),
        }
    }
}

fn switches(case: &Case, misses: &Misses) -> Row {
    let sum = |of: fn(&Used) -> f64| misses.server.iter().map(|(_, used)| of(used)).sum::<f64>();
    let mut measured = Sample::default();
    measured.add((sum(|used| used.voluntary) + sum(|used| used.involuntary)) / misses.count);
    let took = misses.took.as_secs_f64();
    Row {
        what: format!("context switches per miss, {}", case.name),
        unit: Unit::Times,
        asked: Bound::AtMost(case.switches),
        measured,
        beside: format!(
            "{} misses; server's CPU {:.1} µs each",
            Unit::PerSecond.write(misses.count / took),
            sum(|used| used.micros) / misses.count
        ),
    }
}

fn by_thread(case: &Case, misses: &Misses) {
    let heads =
        ["threads", "CPU µs", "in kernel", "of all CPU", "ready, µs", "vol. sw.", "invol. sw."];
    let columns = Columns::begin(&format!("a miss, {}, by thread", case.name), 34, &heads);
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let all = misses.took.as_secs_f64() * 1e6 * cores / misses.count;
    let mut idle = all;
    for (whose, threads) in [("server", &misses.server), ("bench", &misses.here)] {
        for (name, used) in threads {
            let each = |number: f64| number / misses.count;
            idle -= each(used.micros);
            if each(used.micros) < LEAST_MICROS {
                continue;
            }
            let kernel = 100.0 * used.kernel / (used.user + used.kernel).max(1.0);
            let cells = [
                format!("{:.0}", used.threads),
                format!("{:.1}", each(used.micros)),
                format!("{kernel:.0} %"),
                format!("{:.0} %", 100.0 * each(used.micros) / all),
                format!("{:.1}", each(used.waited)),
                format!("{:.2}", each(used.voluntary)),
                format!("{:.2}", each(used.involuntary)),
            ];
            columns.line(&format!("{whose}: {name}"), &cells);
        }
    }
    let cells = ["", &format!("{idle:.1}"), "", &format!("{:.0} %", 100.0 * idle / all)];
    columns.line("nobody, or the kernel's own", &cells);
    columns.remark(&format!(
        "A miss each {:.1} µs; `ready`: runnable, and waiting for a core.",
        all / cores
    ));
}

fn by_call(case: &Case, calls: &[(String, f64)]) {
    let misses = (case.misses / 10) as f64;
    let title = format!("a miss, {}, system calls", case.name);
    let columns = Columns::begin(&title, 34, &["each"]);
    for (name, count) in calls.iter().take(TOP_CALLS) {
        columns.line(name, &[format!("{:.2}", count / misses)]);
    }
    columns.remark("Under strace all is slower, so that more of them find something to wait for.");
}
