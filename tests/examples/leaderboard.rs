//! `examples/leaderboard`: the processes of a web app lease what is expensive to compute.

use crate::run::{assert_as_shown, numbers_after, run};
use crate::support::Server;

const COMMAND: &str = "python examples/leaderboard/run.py";
/// How much faster a call must be, at the least, that computes nothing.
const FASTER: f64 = 5.0;
/// Seconds.
const DAY: f64 = 24.0 * 60.0 * 60.0;

#[test]
fn one_process_computes_for_all_until_the_day_is_over() {
    let server = Server::start();
    let output = run(&server, COMMAND);

    let calls = calls_of(&output, "GET /leaderboard/player7 ");
    let [first, again, elsewhere] = &calls[..] else { panic!("{output}") };
    assert!(again.took * FASTER < first.took, "{output}");
    assert!(elsewhere.took * FASTER < first.took, "{output}");
    assert!(elsewhere.process != again.process, "{output}");

    let today = calls_of(&output, "GET /today/player7 ");
    let [first, again] = &today[..] else { panic!("{output}") };
    assert!(again.took * FASTER < first.took, "{output}");

    // Three values were stored; the player who does not exist was leased twice, and released.
    assert_eq!(server.gauge("cache_leases"), 5);
    assert_eq!(server.gauge("cache_leases_filled"), 3);
    assert_eq!(server.gauge("cache_leases_released"), 2);
    assert_eq!(server.gauge("cache_leases_held"), 0);

    let day = numbers_after(&output, "leaderboard:player7 expires in")[0];
    assert!((DAY - 60.0..=DAY).contains(&day), "{output}");
    let today = numbers_after(&output, "today:player7 expires in");
    assert!(today[0] <= DAY, "{output}");
    assert_eq!(today[1..], [0.0, 0.0, 0.0], "midnight: {output}");
    assert_as_shown(COMMAND, &output);
}

/// A line on one call.
struct Call {
    took: f64,
    process: u32,
}

/// `GET /leaderboard/player7    200    432.9 ms   place 175170, process 18419`
fn calls_of(output: &str, beginning: &str) -> Vec<Call> {
    let call = |line: &str| {
        let words: Vec<&str> = line.strip_prefix(beginning)?.split_whitespace().collect();
        Some(Call { took: words[1].parse().ok()?, process: words.last()?.parse().ok()? })
    };
    output.lines().filter_map(call).collect()
}
