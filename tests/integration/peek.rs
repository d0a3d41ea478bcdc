//! `CACHE.PEEK` only reads: the server keeps what it has as it has it.

use crate::scene::Scene;
use crate::support::{Client, Server};

fn encoding(client: &mut Client, key: &str) -> String {
    client.text(&["OBJECT", "ENCODING", key])
}

#[test]
fn a_short_string_keeps_its_encoding() {
    let server = Server::start();
    let mut client = server.client();
    let long = "x".repeat(64);
    for value in ["42", "-9000000000", "short", "", &long] {
        client.ok(&["SET", "k", value]);
        let before = encoding(&mut client, "k");
        assert_eq!(client.text(&["CACHE.PEEK", "k"]), value);
        assert_eq!(encoding(&mut client, "k"), before, "of {value:?}");
    }
}

#[test]
fn short_and_long_strings_read_alike() {
    let mut scene = Scene::new();
    for length in [0, 1, 44, 45, 127, 128, 129, 1000] {
        let value = "v".repeat(length);
        scene.client.ok(&["SET", "k", &value]);
        assert_eq!(scene.client.text(&["CACHE.PEEK", "k"]), value);
    }
    scene.client.int(&["LPUSH", "list", "a"]);
    assert!(scene.client.error(&["CACHE.PEEK", "list"]).starts_with("WRONGTYPE "));
    scene.client.null(&["CACHE.PEEK", "nothing"]);
}

#[test]
fn a_peek_counts_as_one_read_of_the_keyspace() {
    let server = Server::start();
    let mut client = server.client();
    client.ok(&["SET", "short", "42"]);
    client.ok(&["SET", "long", &"v".repeat(1000)]);
    // Redis 7.0 cannot look at a key without counting it: there a short one counts twice.
    let version = server.info("redis_version").unwrap_or_default();
    let short = if version.starts_with("7.0.") { 2 } else { 1 };
    for (key, hits, misses) in [("short", short, 0), ("long", 1, 0), ("nothing", 0, 1)] {
        client.ok(&["CONFIG", "RESETSTAT"]);
        client.call(&["CACHE.PEEK", key]).unwrap();
        assert_eq!(server.gauge("keyspace_hits"), hits, "of {key}");
        assert_eq!(server.gauge("keyspace_misses"), misses, "of {key}");
    }
}
