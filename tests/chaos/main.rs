//! The chaos test: clients, an origin and a troublemaker that do what they like, for a minute or for as long
//! as they are told (`plan.rs` has how); and what must hold whatever they do.
//!
//! | promise                                | where and how strictly it is checked                           |
//! | -------------------------------------- | -------------------------------------------------------------- |
//! | Each call is answered, by its deadline | `caller.rs`: each call, within its longest timeout and a slack |
//! | ... and once                           | a `PING` with a payload of its own after each call             |
//! | Null only when the patience has ended  | `caller.rs`: never before the shortest timeout in force        |
//! | Each body was sent for key and variant | `body.rs`: each byte; `ledger.rs`: sent whole, at least once   |
//! | No body is from before `CACHE.DEL`     | `calls.rs`, `leases.rs`: in the eyes of who deleted            |
//! | No stale body without `STALE`          | `caller.rs`: none older than the longest expiry and flight     |
//! | Each error has its cause               | `script.rs` says what it does, `caller.rs` asks what was done  |
//! | One download in the air for one key    | `air.rs`: one, and one more for each voiding of late; two      |
//! |                                        | thirds of the time nothing is voided, so that it is one        |
//! | A forged token fills nothing           | `leases.rs`: no such value is ever seen                        |
//! | What was filled once stays filled      | `leases.rs`: a repeated `CACHE.FILL` is OK                     |
//! | All ends where it began                | `end.rs`: gauges, lock keys, threads, memory, unloading        |

// `clippy.toml` allows these in `#[test]` functions; their helpers are tests too.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod air;
mod body;
mod caller;
mod calls;
mod end;
mod leases;
mod ledger;
mod origin;
mod plan;
mod script;
mod storm;
mod trouble;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use caller::Caller;
use end::Before;
use ledger::Ledger;
use origin::Origin;
use plan::Plan;
use storm::Storm;
use support::Server;
use trouble::{AT_START, Trouble};

#[test]
fn no_storm_breaks_a_promise() {
    let plan = Plan::from_environment();
    eprintln!(
        "chaos: for {} s now, {} clients, an origin and a troublemaker do what they like, by seed {} \
         (--seed {} has the same choices again)",
        plan.length.as_secs(),
        plan.clients,
        plan.seed,
        plan.seed
    );
    let ledger = Arc::new(Ledger::new(plan.seed));
    let origin = Origin::start(plan, Arc::clone(&ledger));
    let mut server = Server::builder().config("appendonly", "yes");
    for (name, value) in AT_START {
        server = server.config(name, value);
    }
    let mut server = server.start();
    let before = Before::of(&server);
    let storm = Storm::new(plan, ledger, origin, server.port());
    {
        let _last_words = LastWords(&server);
        rage(&storm);
    }
    let violations = storm.ledger.violations();
    eprintln!(
        "chaos: the storm is over, with {} broken promises; what it has come to:",
        violations.len()
    );
    for line in came_to(&storm, &server) {
        eprintln!("chaos:   {line}");
    }
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
    eprintln!(
        "chaos: now all must end where it began: flights, lock keys, threads, memory, unloading ..."
    );
    end::check(&storm, &server, &before);
    assert!(server.shutdown_nosave(), "the server ended in bad order:\n{}", server.log());
    eprintln!("chaos: it has, and the server has ended in good order");
}

/// What has happened, in words, a line each.
fn came_to(storm: &Storm, server: &Server) -> Vec<String> {
    let info = |field: &str| server.info(&format!("cache_{field}")).unwrap_or_default();
    let mut lines = storm.ledger.summary();
    lines.push(format!(
        "the origin had {} requests; {} downloads succeeded, {} of them by a 304",
        storm.origin.requests(),
        info("downloads"),
        info("revalidated"),
    ));
    lines.push(format!(
        "the module has counted {} hits, {} stale ones, {} misses, {} of which joined a flight, {} \
         leases filled, {} values not stored because they were void",
        info("hits"),
        info("stale_hits"),
        info("misses"),
        info("coalesced"),
        info("leases_filled"),
        info("not_stored_void"),
    ));
    lines
}

fn rage(storm: &Storm) {
    thread::scope(|scope| {
        for number in 0..storm.plan.clients {
            scope.spawn(move || calls::run(Caller::new(storm, number)));
        }
        scope.spawn(|| Trouble::new(storm).run());
        let end = Instant::now() + storm.plan.length;
        while Instant::now() < end && !storm.is_over() {
            thread::sleep(Duration::from_millis(50));
        }
        storm.end();
    });
}

/// What a server that has crashed says about it, which is more than the end of its log.
struct LastWords<'a>(&'a Server);

impl Drop for LastWords<'_> {
    fn drop(&mut self) {
        let log = self.0.log();
        if let Some(at) = log.find("BUG REPORT START").filter(|_| thread::panicking()) {
            let report: Vec<&str> = log[at..].lines().take(60).collect();
            eprintln!("--- the server has crashed ---\n{}", report.join("\n"));
        }
    }
}
