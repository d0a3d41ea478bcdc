//! `examples/images`: workers in three languages want the same pictures at once.

use crate::run::{assert_as_shown, numbers_after, program, run_with};
use crate::support::Server;

const COMMAND: &str = "python examples/images/run.py";
/// What the origin takes for each picture, in milliseconds.
const DELAY: f64 = 200.0;
const PICTURES: usize = 8;

#[test]
fn three_languages_share_one_download_of_each_picture() {
    let server = Server::start();
    let worker = program("images_worker");
    let output = run_with(&server, COMMAND, &[("IMAGES_WORKER", worker.as_os_str())]);

    let mut longest: f64 = 0.0;
    for client in ["redis-py", "node-redis", "redis-rs"] {
        let [cold, warm] = numbers_after(&output, client)[..] else { panic!("{output}") };
        assert!(warm < DELAY, "{client} has waited for the origin: {output}");
        longest = longest.max(cold);
    }
    assert!(longest >= DELAY, "nobody has waited for the origin: {output}");
    let counts = output.lines().filter(|line| line.contains(".png ")).map(|line| {
        let count = line.split_whitespace().last().unwrap();
        count.parse::<u32>().unwrap()
    });
    assert_eq!(counts.collect::<Vec<_>>(), [1; PICTURES], "{output}");
    assert_eq!(server.gauge("cache_downloads"), PICTURES as u64);
    assert_as_shown(COMMAND, &output);
}
