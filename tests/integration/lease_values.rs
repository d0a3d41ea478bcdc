//! What is stored by a fill: for how long, who reads it, and that filling twice is filling once.

use crate::handmade::now;
use crate::leasing::{Answer, LOST, Leasing, at_rest, locked, queue};
use crate::scene::{BODY, Scene};
use crate::support::client::bytes_of;
use crate::support::{Client, Reply, Value};

/// Leases a key and fills it so.
fn fill(client: &mut Client, key: &str, value: &str, more: &[&str]) -> String {
    let token = client.token(&[key]);
    client.ok(&[&["CACHE.FILL", key, &token, value], more].concat());
    token
}

/// A field of what `CACHE.FETCH` answers.
fn fetched(client: &mut Client, key: &str, field: &str) -> Value {
    let parts = client.array(&["CACHE.FETCH", key]);
    let at = parts.iter().position(|part| *part == Value::BulkString(field.into()));
    parts[at.expect("no such field") + 1].clone()
}

#[test]
fn a_value_lives_for_as_long_as_its_filler_says() {
    let mut scene = Scene::with(|server| server.config("cache.default-expiry", "100"));
    for (more, span) in [
        (&[][..], 100_000),
        (&["600"], 600_000),
        (&["0.5"], 500),
        (&["1e2"], 100_000),
        (&["60", "STALE", "0"], 60_000),
        (&["60", "STALE", "5.5"], 65_500),
        (&["STALE", "20"], 120_000),
    ] {
        let before = now();
        fill(&mut scene.client, "key", "value", more);
        let ends = scene.client.int(&["PEXPIRETIME", "key"]);
        assert!((before + span..=now() + span).contains(&ends), "{more:?}: {}", ends - before);
        scene.client.int(&["DEL", "key"]);
    }
    for more in [&["-1"][..], &["-1", "STALE", "60"]] {
        fill(&mut scene.client, "key", "value", more);
        assert_eq!(scene.client.int(&["TTL", "key"]), -1, "{more:?}");
        assert_eq!(scene.client.lease(&["key"]), Answer::value("value"));
        scene.client.int(&["DEL", "key"]);
    }
    at_rest(&scene);
}

#[test]
fn a_value_ends_when_its_time_is_over_and_its_key_is_leased_again() {
    let mut scene = Scene::new();
    fill(&mut scene.client, "key", "value", &["0.05"]);
    scene.until_expired("key");
    assert!(!scene.exists("key"));
    let token = scene.client.token(&["key"]);
    scene.client.fill("key", &token, "another");
    assert_eq!(scene.client.lease(&["key"]), Answer::value("another"));
    at_rest(&scene);
}

#[test]
fn all_who_read_read_a_value_without_stale_and_plain_get_too() {
    let mut scene = Scene::new();
    fill(&mut scene.client, "key", "value", &[]);
    for command in ["GET", "CACHE.GET", "CACHE.PEEK"] {
        assert_eq!(scene.client.text(&[command, "key"]), "value", "{command}");
    }
    let bulk = |text: &str| Value::BulkString(text.into());
    assert_eq!(scene.client.array(&["CACHE.MGET", "1", "key"]), [bulk("value")]);
    for (field, wanted) in [
        ("status", Value::Int(200)),
        ("headers", Value::Array(vec![])),
        ("body", bulk("value")),
        ("age", Value::Nil),
        ("ttl", Value::Nil),
        ("cache", bulk("hit")),
    ] {
        assert_eq!(fetched(&mut scene.client, "key", field), wanted, "{field}");
    }
    at_rest(&scene);
}

#[test]
fn a_value_with_stale_has_a_head_which_tells_its_age_and_its_end() {
    let mut scene = Scene::new();
    fill(&mut scene.client, "key", "value", &["60", "STALE", "600"]);
    assert!(scene.client.text(&["GET", "key"]).starts_with("HTTP/1.1 200 \r\ncache-get: 1 "));
    for command in ["CACHE.GET", "CACHE.PEEK"] {
        assert_eq!(scene.client.text(&[command, "key"]), "value", "{command}");
    }
    assert_eq!(bytes_of(fetched(&mut scene.client, "key", "body")), b"value");
    assert_eq!(fetched(&mut scene.client, "key", "status"), Value::Int(200));
    assert_eq!(fetched(&mut scene.client, "key", "headers"), Value::Array(vec![]));
    for (field, range) in [("age", 0..=20), ("ttl", 40..=60)] {
        let Value::Int(seconds) = fetched(&mut scene.client, "key", field) else {
            panic!("no {field}")
        };
        assert!(range.contains(&seconds), "{field}: {seconds}");
    }
    at_rest(&scene);
}

#[test]
fn filling_again_is_ok_and_changes_nothing() {
    let mut scene = Scene::new();
    let token = fill(&mut scene.client, "key", "value", &[]);
    let again = |client: &mut Client, value: &str| client.fill("key", &token, value);
    again(&mut scene.client, "another value");
    again(&mut scene.client, &"a large value".repeat(10_000));
    assert_eq!(scene.client.text(&["GET", "key"]), "value");
    scene.client.int(&["DEL", "key"]);
    again(&mut scene.client, "value");
    assert!(!scene.exists("key"));
    scene.client.int(&["CACHE.DEL", "key"]);
    let next = scene.client.token(&["key"]);
    again(&mut scene.client, "value");
    locked(&scene, "key", &next);
    scene.client.ok(&["FLUSHALL"]);
    again(&mut scene.client, "value");
    assert!(!scene.exists("key"));
    assert_eq!(scene.client.error(&["CACHE.FILL", "other", &token, "value"]), LOST);
    assert_eq!(scene.client.error(&["CACHE.RELEASE", "key", &token]), LOST);
    scene.client.ok(&["SELECT", "1"]);
    assert_eq!(scene.client.error(&["CACHE.FILL", "key", &token, "value"]), LOST);
    assert_eq!(scene.server.gauge("cache_leases_filled"), 1);
    scene.client.ok(&["SELECT", "0"]);
    assert_eq!(scene.client.error(&["CACHE.RELEASE", "key", &next]), LOST);
    at_rest(&scene);
}

#[test]
fn filling_a_large_value_twice_in_a_row_is_filling_it_once() {
    let mut scene = Scene::new();
    let value = "large ".repeat(500_000);
    let token = scene.client.token(&["key"]);
    let mut waiter = queue(&scene.server, &["key", "0"], 1).remove(0);
    let mut clients = scene.server.clients(4);
    for client in &mut clients {
        client.send(&["CACHE.FILL", "key", &token, &value]);
    }
    for client in &mut clients {
        assert_eq!(client.reply(), Ok(Value::Okay));
    }
    assert!(waiter.answer() == Answer::value(&value));
    assert!(scene.client.text(&["GET", "key"]) == value);
    assert_eq!(scene.server.gauge("cache_leases_filled"), 1);
    at_rest(&scene);
}

#[test]
fn a_full_server_refuses_to_fill_and_the_lease_is_held_still() {
    let mut scene = Scene::new();
    for size in [10, 1 << 20] {
        let token = scene.client.token(&["key", "TTL", "60"]);
        let mut waiter = queue(&scene.server, &["key", "0", "TTL", "60"], 1).remove(0);
        scene.client.ok(&["CONFIG", "SET", "maxmemory", "1"]);
        let refused = scene.client.error(&["CACHE.FILL", "key", &token, &"x".repeat(size)]);
        assert!(refused.starts_with("OOM "), "{refused}");
        assert_eq!(scene.server.gauge("cache_leases_held"), 1);
        assert_eq!(scene.server.gauge("cache_waiters"), 1);
        scene.client.release("key", &token);
        let token = waiter.answer().token();
        assert!(scene.client.error(&["CACHE.FILL", "key", &token, "x"]).starts_with("OOM "));
        scene.client.ok(&["CONFIG", "SET", "maxmemory", "0"]);
        scene.client.fill("key", &token, "value");
        assert_eq!(scene.client.int(&["DEL", "key"]), 1);
    }
    at_rest(&scene);
}

#[test]
fn too_few_replicas_are_a_refusal_after_which_the_lease_is_held_still() {
    let mut scene = Scene::new();
    let token = scene.client.token(&["key"]);
    scene.client.ok(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let refused = scene.client.error(&["CACHE.FILL", "key", &token, "value"]);
    assert!(refused.starts_with("NOREPLICAS "), "{refused}");
    scene.client.ok(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    scene.client.fill("key", &token, "value");
    assert_eq!(scene.client.text(&["GET", "key"]), "value");
    at_rest(&scene);
}

#[test]
fn a_url_may_be_leased_and_its_value_is_what_get_answers() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    fill(&mut scene.client, &url, "made by hand", &["60"]);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), "made by hand");
    assert_eq!(scene.client.text(&["CACHE.GET", &url, "60", "10", "REFRESH"]), BODY);
    assert_eq!(scene.client.lease(&[&url]), Answer::value(BODY));
    assert_eq!(scene.origin.hits("/a"), 1);
    at_rest(&scene);
}

/// Each is answered in a turn of its own, and by then the value may be another. It is never half of each.
#[test]
fn a_large_value_that_is_set_again_and_again_answers_each_who_waits_whole() {
    let mut scene = Scene::new();
    let [one, other] = ["1", "2"].map(|digit| digit.repeat(3 << 20));
    let token = scene.client.token(&["key", "TTL", "600"]);
    let waiters = queue(&scene.server, &["key", "0"], 24);
    let mut mget = scene.server.client();
    mget.send(&["CACHE.MGET", "1", "key", "60", "0"]);
    scene.server.until_gauge("cache_waiters", 25);
    scene.client.ok(&["SET", "key", &one]);
    let mut setter = scene.server.client();
    scene.client.release("key", &token);
    for value in [&other, &one, &other, &one] {
        setter.ok(&["SET", "key", value]);
        setter.int(&["SETRANGE", "key", "0", value]);
    }
    let values = [&one, &other].map(Answer::value);
    for mut waiter in waiters {
        assert!(values.contains(&waiter.answer()));
    }
    let places = [one, other].map(|value| Value::Array(vec![Value::BulkString(value.into())]));
    assert!(places.contains(&mget.reply().unwrap()));
    assert_eq!(scene.server.gauge("cache_leases"), 1, "nobody needs another lease");
    at_rest(&scene);
}
