//! What `scripts/bench` runs: the same work done by `CACHE.GET` and by what
//! people use instead, and each number that the project promises, measured on
//! this machine, in one run.
//!
//! | file            | its one job                                           |
//! | --------------- | ----------------------------------------------------- |
//! | `hit.rs`        | bodies that everyone has: throughput, latency, CPU    |
//! | `stampede.rs`   | many clients on one cold URL                          |
//! | `storm.rs`      | many URLs that expire together, under steady traffic  |
//! | `misses.rs`     | many cold URLs: an instant origin, a slow one         |
//! | `neighbours.rs` | what another client notices of all that               |
//! | `memory.rs`     | what an entry, a waiter and a large body take         |
//! | `growth.rs`     | how each of these grows with its size                 |
//! | `promises/`     | what is promised of the module alone                  |
//! | `profile/`      | where each microsecond goes; by name only             |
//! | `peers/`        | the caches, and how they are set up                   |
//! | `load/`         | the load generator that all are driven by             |
//! | `neighbour.rs`  | another client, and what it notices of all this       |
//! | `process.rs`    | what the operating system says; who may use which core |
//! | `machine.rs`    | what all this runs on                                 |
//! | `wire.rs`       | commands, replies and bodies as they go over the wire |
//! | `rounds.rs`     | taking turns                                          |
//! | `figures.rs`    | what was measured, printed and kept for the charts    |
//! | `table.rs`      | samples, bounds, and how they are printed             |
//!
//! Nothing is asserted about time: a row that misses its bound says so. What
//! is asserted is that every byte of every answer is right.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a benchmark that cannot measure stops
#![allow(clippy::cast_precision_loss)] // nothing here counts beyond 2^52

#[path = "../../tests/support/mod.rs"]
mod support;

mod figures;
mod growth;
mod hit;
mod load;
mod machine;
mod memory;
mod misses;
mod neighbour;
mod neighbours;
mod peers;
mod process;
mod profile;
mod promises;
mod rounds;
mod stampede;
mod storm;
mod table;
mod wire;

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use machine::Machine;
use table::Table;

/// A part of the suite that can be asked for by name.
struct Scenario {
    name: &'static str,
    run: Run,
}

enum Run {
    /// Beside what people use instead; what comes of it is kept for the charts.
    Compared(fn(&mut Table, &Machine)),
    /// For itself.
    Alone(fn(&mut Table)),
}

/// Is run only if asked for by its name: it is slow, and takes tools that not every machine has.
const PROFILE: &str = "profile";

const SCENARIOS: [Scenario; 14] = [
    Scenario { name: "hit", run: Run::Compared(hit::run) },
    Scenario { name: "stampede", run: Run::Compared(stampede::run) },
    Scenario { name: "storm", run: Run::Compared(storm::run) },
    Scenario { name: "misses", run: Run::Compared(misses::run) },
    Scenario { name: "neighbours", run: Run::Compared(neighbours::run) },
    Scenario { name: "memory", run: Run::Compared(memory::run) },
    Scenario { name: "growth", run: Run::Compared(growth::run) },
    Scenario { name: "timeouts", run: Run::Alone(promises::timeouts::run) },
    Scenario { name: "large-body", run: Run::Alone(promises::large_body::run) },
    Scenario { name: "left", run: Run::Alone(promises::left::run) },
    Scenario { name: "whole", run: Run::Alone(promises::whole::run) },
    Scenario { name: "lease", run: Run::Alone(promises::lease::run) },
    Scenario { name: "safety", run: Run::Alone(promises::safety::run) },
    Scenario { name: PROFILE, run: Run::Alone(profile::run) },
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
    let machine = Machine::look();
    println!("{}", machine.line());
    let busy = process::busy_elsewhere();
    if busy > 0.05 {
        println!(
            "This machine is {:.0} % busy with something else: do not trust it.",
            busy * 100.0
        );
    }
    let mut table = Table::default();
    for Scenario { name, run } in SCENARIOS {
        let is_usual = wanted.is_empty() && name != PROFILE;
        if is_usual || wanted.iter().any(|wanted| wanted == name) {
            table.begin_scenario(name);
            match run {
                Run::Compared(run) => run(&mut table, &machine),
                Run::Alone(run) => run(&mut table),
            }
        }
    }
    table.end();
    println!("Measured in {} s.", begun.elapsed().as_secs());
    ExitCode::SUCCESS
}
