//! `examples/predictions`: a model is asked for the same flower once.

use crate::run::{assert_as_shown, numbers_after, run};
use crate::support::Server;

const COMMAND: &str = "python examples/predictions/run.py";

#[test]
fn the_same_features_are_predicted_once() {
    let server = Server::start();
    let output = run(&server, COMMAND);

    assert_eq!(numbers_after(&output, "The model has predicted"), [2.0]);
    assert_eq!(server.gauge("cache_downloads"), 2);
    assert_eq!(server.gauge("cache_hits"), 3);
    assert_eq!(server.gauge("cache_failed_httpstatus"), 1);
    let mut left: Vec<u32> = output.lines().filter_map(time_to_live).collect();
    left.sort_unstable();
    let [short, long] = left[..] else { panic!("{output}") };
    assert!((1..=60).contains(&short) && (61..=600).contains(&long), "{output}");
    assert_as_shown(COMMAND, &output);
}

/// `cache:variant:37423ead...:{http://127.0.0.1:36893/predict}   60 s`
fn time_to_live(line: &str) -> Option<u32> {
    let words: Vec<&str> = line.strip_prefix("cache:variant:")?.split_whitespace().collect();
    words.get(1)?.parse().ok()
}
