//! `examples/memoize`: a decorator that others can copy, and what it holds to.

use std::fs;
use std::path::Path;

use crate::run::{assert_as_shown, run};
use crate::support::Server;

const COMMAND: &str = "python examples/memoize/run.py";

/// The program holds functions at a gate, so its lines are facts and not a matter of luck.
#[test]
fn it_does_what_its_readme_says() {
    let server = Server::start();
    let output = run(&server, COMMAND);

    for (what, computed) in [
        ("20 threads call square(12) at once", "computed once"),
        ("the one background thread", "computed twice"),
        ("find('nobody') is None", "computed once"),
        ("20 tasks await rates('EUR') at once", "computed once"),
        ("the one background task", "computed twice"),
    ] {
        let line = output.lines().find(|line| line.starts_with(what));
        let line = line.unwrap_or_else(|| panic!("no {what:?} in:\n{output}"));
        assert!(line.ends_with(computed), "{line}");
    }
    assert_eq!(server.gauge("cache_leases_released"), 1, "the quote that failed");
    assert_eq!(server.gauge("cache_leases_lost"), 1, "the price that was deleted meanwhile");
    assert_eq!(server.gauge("cache_leases_held"), 0);
    assert_as_shown(COMMAND, &output);
}

#[test]
fn the_decorator_is_one_short_file() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/memoize/memoize.py");
    let lines = fs::read_to_string(file).unwrap().lines().count();
    assert!(lines < 80, "it has {lines} lines");
}
