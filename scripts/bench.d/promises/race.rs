//! Two commands raced against each other: throughput, and processor time of the
//! server, round by round in turn, so that the ratio holds where the machine's
//! speed does not.

use std::time::Duration;

use crate::load::{Answer, Load, Rate};
use crate::process::cpu_seconds;
use crate::support::Server;
use crate::table::{Sample, progress};

/// How many connections race.
pub const CLIENTS: usize = 50;
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(300);

/// A command, and the very bytes of its reply.
pub struct Contender {
    pub request: Vec<u8>,
    pub reply: Vec<u8>,
}

/// One contender's rounds.
#[derive(Default)]
pub struct Runner {
    pub per_second: Sample,
    pub cpu_micros: Sample,
    pub p99_micros: Sample,
}

impl Runner {
    fn add(&mut self, rate: &Rate, cpu_micros: f64) {
        self.per_second.add(rate.per_second);
        self.cpu_micros.add(cpu_micros);
        self.p99_micros.add(rate.latency.value_at_quantile(0.99) as f64);
    }
}

/// Both, and the second's ratios to the first, round by round.
#[derive(Default)]
pub struct Outcome {
    pub measure: Runner,
    pub runner: Runner,
    pub throughput: Sample,
    pub cpu: Sample,
}

/// Races `runner` against the `measure` that it is held to.
pub fn run(
    name: &str,
    server: &Server,
    load: &mut Load,
    [measure, runner]: [&Contender; 2],
    pipeline: usize,
) -> Outcome {
    let mut outcome = Outcome::default();
    for round in 0..ROUNDS {
        progress(format_args!("{name}, round {} of {ROUNDS}", round + 1));
        let mut run = |contender: &Contender| {
            let before = cpu_seconds(server);
            let run = load.closed_loop(
                &contender.request,
                &Answer::from(&contender.reply),
                pipeline,
                ROUND,
            );
            let used = cpu_seconds(server) - before;
            let requests = run.latency.len() * pipeline as u64;
            (run, used * 1e6 / requests as f64)
        };
        // Whoever goes first in one round goes second in the next.
        let ((first, first_cpu), (second, second_cpu)) = if round % 2 == 0 {
            let first = run(measure);
            (first, run(runner))
        } else {
            let second = run(runner);
            (run(measure), second)
        };
        outcome.throughput.add(second.per_second / first.per_second);
        outcome.cpu.add(second_cpu / first_cpu);
        outcome.measure.add(&first, first_cpu);
        outcome.runner.add(&second, second_cpu);
    }
    outcome
}
