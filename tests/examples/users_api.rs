//! `examples/users_api`: the processes of a Flask app share what one of them has asked a slow API for.

use crate::run::{assert_as_shown, run};
use crate::support::Server;

const COMMAND: &str = "python examples/users_api/run.py";
/// What the API takes for each answer, in milliseconds.
const DELAY: f64 = 500.0;
/// How much faster a call must be, at the least, that does not ask the API.
const FASTER: f64 = 5.0;

#[test]
fn what_one_process_has_asked_for_all_others_have() {
    let server = Server::start();
    let output = run(&server, COMMAND);

    let calls = calls(&output, "GET /get_user/1 ");
    let [first, again, elsewhere, after_the_end] = &calls[..] else { panic!("{output}") };
    assert!(first.took >= DELAY, "{output}");
    for call in [again, elsewhere, after_the_end] {
        assert!(call.took * FASTER < first.took, "{output}");
    }
    assert!(elsewhere.process != again.process, "{output}");

    for user in ["/users/1 ", "/users/2 ", "/users/99 "] {
        let count = output.lines().find_map(|line| line.strip_prefix(user)).map(str::trim);
        assert_eq!(count, Some("1"), "{user}: {output}");
    }
    assert_eq!(server.gauge("cache_failed_httpstatus"), 1);
    assert_as_shown(COMMAND, &output);
}

/// A line on one call.
struct Call {
    took: f64,
    process: u32,
}

/// `GET /get_user/1     200    511.8 ms   Ada Lovelace, process 17833`
fn calls(output: &str, beginning: &str) -> Vec<Call> {
    let call = |line: &str| {
        let words: Vec<&str> = line.strip_prefix(beginning)?.split_whitespace().collect();
        Some(Call { took: words[1].parse().ok()?, process: words.last()?.parse().ok()? })
    };
    output.lines().filter_map(call).collect()
}
