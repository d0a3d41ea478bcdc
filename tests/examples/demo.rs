//! `scripts/demo`: whoever has seen enough may hang up.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::run::program;
use crate::support::module;

#[test]
fn a_demo_whose_reader_hangs_up_ends_without_a_word_and_leaves_no_server() {
    let mut command = Command::new(program("demo"));
    command.env("CACHE_GET_MODULE", module::path()); // the release build would take minutes
    let mut demo = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let port = lines.find_map(|line| {
        let line = line.unwrap();
        let (_, rest) = line.split_once("is on port ")?;
        rest.split(',').next()?.parse::<u16>().ok()
    });
    drop(lines);
    let output = demo.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{}: {complaint}", output.status);
    let left = std::net::TcpStream::connect(("127.0.0.1", port.expect("it names no port")));
    assert!(left.is_err(), "its server is left");
}
