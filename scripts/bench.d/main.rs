//! What `scripts/bench` runs: each number the project promises, measured on
//! this machine, in one run, beside what the machine does without the module.
//!
//! | file            | its one job                                           |
//! | --------------- | ----------------------------------------------------- |
//! | `hit.rs`        | hits against plain `GET`: throughput, processor time  |
//! | `stampede.rs`   | many clients on one cold URL                          |
//! | `timeouts.rs`   | how late a null comes                                 |
//! | `large_body.rs` | a body of 100 MiB: the server's stall, its memory     |
//! | `misses.rs`     | many cold URLs: a slow origin, an instant one         |
//! | `whole.rs`      | FETCH, MGET, stale hits, a refresh answered by 304    |
//! | `lease.rs`      | values that clients compute, and who waits for them   |
//! | `safety.rs`     | what the guard costs, and hits beside many downloads  |
//! | `race.rs`       | two commands against each other, round by round       |
//! | `load.rs`       | the load generator that they all use                  |
//! | `neighbour.rs`  | another client, and what it notices of all this       |
//! | `process.rs`    | what the operating system says about the server       |
//! | `resp.rs`       | commands and replies as they go over the wire         |
//! | `table.rs`      | samples, bounds, and how they are printed             |
//!
//! Nothing is asserted about time: a row that misses its bound says so. What
//! is asserted is that every byte of every reply is right.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a benchmark that cannot measure stops
#![allow(clippy::cast_precision_loss)] // nothing here counts beyond 2^52

#[path = "../../tests/support/mod.rs"]
mod support;

mod hit;
mod large_body;
mod lease;
mod load;
mod misses;
mod neighbour;
mod process;
mod race;
mod resp;
mod safety;
mod stampede;
mod table;
mod timeouts;
mod whole;

use std::process::ExitCode;
use std::time::Instant;
use std::{env, thread};

use support::Server;
use table::Table;

/// A part of the suite that can be asked for by name.
struct Scenario {
    name: &'static str,
    run: fn(&mut Table),
}

const SCENARIOS: [Scenario; 9] = [
    Scenario { name: "hit", run: hit::run },
    Scenario { name: "stampede", run: stampede::run },
    Scenario { name: "timeouts", run: timeouts::run },
    Scenario { name: "large-body", run: large_body::run },
    Scenario { name: "slow-origin", run: misses::slow_origin },
    Scenario { name: "misses", run: misses::instant_origin },
    Scenario { name: "whole", run: whole::run },
    Scenario { name: "lease", run: lease::run },
    Scenario { name: "safety", run: safety::run },
];

fn main() -> ExitCode {
    // `cargo bench` adds an option of its own.
    let wanted: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let is_known = |name: &String| SCENARIOS.iter().any(|scenario| scenario.name == name);
    if let Some(unknown) = wanted.iter().find(|name| !is_known(name)) {
        let names = SCENARIOS.map(|scenario| scenario.name).join(", ");
        eprintln!("There is no scenario {unknown:?}; there are {names}.");
        return ExitCode::from(2);
    }
    let begun = Instant::now();
    println!("{}", machine());
    let busy = process::busy_elsewhere();
    if busy > 0.05 {
        println!(
            "This machine is {:.0} % busy with something else: do not trust it.",
            busy * 100.0
        );
    }
    let mut table = Table::begin();
    for Scenario { name, run } in SCENARIOS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            run(&mut table);
        }
    }
    table.end();
    println!("Measured in {} s.", begun.elapsed().as_secs());
    ExitCode::SUCCESS
}

/// What all this ran on.
fn machine() -> String {
    let server = Server::builder().without_module().start();
    let valkey = server.info("valkey_version").map(|version| format!("Valkey {version}"));
    let redis = server.info("redis_version").map(|version| format!("Redis {version}"));
    let server = valkey.or(redis).expect("a server tells its version");
    let cores = thread::available_parallelism().map_or(1, usize::from);
    format!("{server}, {cores} cores, {}", process::model())
}
