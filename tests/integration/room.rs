//! Room for those who wait: `max-waiters`, `max-waiters-per-flight`, and `max-reply-memory` for what they
//! are answered.

use crate::leasing::Answer;
use crate::scene::{BODY, Scene};
use crate::support::{Client, Gate, Reply, Value};

const WAITERS: &str = "OVERLOADED too many clients are waiting";
const REPLIES: &str = "OVERLOADED too many clients wait for too large a body";
const MIB: usize = 1 << 20;

/// The texts and errors of an `MGET`'s answer; null is nothing.
fn places(reply: Result<Value, String>) -> Vec<String> {
    let Ok(Value::Array(places)) = reply else { panic!("no array: {reply:?}") };
    let text = |place| match place {
        Value::BulkString(bytes) => String::from_utf8(bytes).unwrap(),
        Value::ServerError(error) => crate::support::client::line(&error),
        Value::Nil => String::new(),
        other => panic!("no place of an answer: {other:?}"),
    };
    places.into_iter().map(text).collect()
}

#[test]
fn one_waiter_too_many_is_refused_at_once_by_every_command_that_waits() {
    let mut scene = Scene::with(|server| server.config("cache.max-waiters", "3"));
    let mut flight = scene.take_off("/a");
    let joiners = scene.waiters(&flight.url, 2);
    let url = flight.url.clone();
    let other = scene.serve("/other", Reply::ok(BODY));
    let there = scene.origin.url("/there");
    scene.client.ok(&["SET", &there, "there"]);
    for wanted in [&url, &other] {
        for command in ["CACHE.GET", "CACHE.FETCH"] {
            assert_eq!(scene.client.error(&[command, wanted, "60", "0"]), WAITERS);
        }
    }
    assert_eq!(scene.client.error(&["CACHE.LEASE", &url]), WAITERS);
    let reply = scene.client.call(&["CACHE.MGET", "3", &there, &url, &other]);
    assert_eq!(places(reply), ["there", WAITERS, WAITERS]);
    assert_eq!(scene.server.gauge("cache_failed_overloaded"), 7);
    // Who need not wait is not concerned.
    assert_eq!(scene.client.text(&["CACHE.GET", &there]), "there");
    scene.client.null(&["CACHE.GET", &url, "NOWAIT"]);
    scene.client.null(&["CACHE.PEEK", &url]);
    Answer::of(scene.client.call(&["CACHE.LEASE", "key"]).unwrap()).token();
    assert_eq!(scene.origin.hits("/other"), 0);
    flight.land();
    for mut joiner in joiners {
        assert_eq!(joiner.reply_bytes(), BODY.as_bytes());
    }
    assert_eq!(scene.client.text(&["CACHE.GET", &other]), BODY);
}

#[test]
fn a_miss_that_does_not_wait_starts_its_flight_although_nobody_else_may_wait() {
    let mut scene = Scene::with(|server| server.config("cache.max-waiters", "1"));
    let mut flight = scene.take_off("/a");
    let (url, gate) = scene.hold("/b");
    scene.client.null(&["CACHE.GET", &url, "NOWAIT"]);
    scene.origin.until_hits("/b", 1);
    assert_eq!(scene.server.gauge("cache_waiters"), 1);
    gate.open();
    scene.until_fresh(&url);
    flight.land();
}

#[test]
fn who_waits_for_a_lease_is_a_waiter_too() {
    let mut scene = Scene::with(|server| server.config("cache.max-waiters", "1"));
    let token = Answer::of(scene.client.call(&["CACHE.LEASE", "key"]).unwrap()).token();
    let mut waits = scene.server.client();
    waits.send(&["CACHE.LEASE", "key", "0"]);
    scene.server.until_gauge("cache_waiters", 1);
    assert_eq!(scene.client.error(&["CACHE.LEASE", "key"]), WAITERS);
    scene.client.ok(&["CACHE.FILL", "key", &token, "value"]);
    assert_eq!(Answer::of(waits.reply().unwrap()), Answer::value("value"));
}

#[test]
fn one_flight_has_so_many_waiters_and_another_as_many() {
    let mut scene = Scene::with(|server| server.config("cache.max-waiters-per-flight", "2"));
    let mut flight = scene.take_off("/a");
    let mut other = scene.take_off("/b");
    let joiners = scene.waiters(&flight.url, 1);
    assert_eq!(scene.client.error(&["CACHE.GET", &flight.url]), WAITERS);
    let reply = scene.client.call(&["CACHE.MGET", "1", &flight.url]);
    assert_eq!(places(reply), [WAITERS]);
    assert_eq!(scene.client.error(&["CACHE.LEASE", &flight.url]), WAITERS);
    let others = scene.waiters(&other.url, 1);
    flight.land();
    other.land();
    for mut joiner in joiners.into_iter().chain(others) {
        assert_eq!(joiner.reply_bytes(), BODY.as_bytes());
    }
}

#[test]
fn a_waiter_who_leaves_makes_room_for_another() {
    let mut scene = Scene::with(|server| server.config("cache.max-waiters", "2"));
    let mut flight = scene.take_off("/a");
    drop(scene.waiters(&flight.url, 1));
    scene.server.until_gauge("cache_waiters", 1);
    let mut joiner = scene.waiters(&flight.url, 1).remove(0);
    let impatient = scene.client.error(&["CACHE.GET", &flight.url, "60", "0.01"]);
    assert_eq!(impatient, WAITERS);
    flight.land();
    assert_eq!(joiner.reply_bytes(), BODY.as_bytes());
}

/// The places of one call are waiters like any others.
#[test]
fn one_call_for_many_urls_is_no_way_around_the_limit() {
    let mut scene = Scene::with(|server| server.config("cache.max-waiters", "3"));
    scene.origin.otherwise(|request| Reply::ok(&request.path));
    let urls: Vec<String> = (0..8).map(|n| scene.origin.url(&format!("/{n}"))).collect();
    let mut call = vec!["CACHE.MGET", "8"];
    call.extend(urls.iter().map(String::as_str));
    let answers = places(scene.client.call(&call));
    assert_eq!(answers.iter().filter(|answer| *answer == WAITERS).count(), 5, "{answers:?}");
    assert_eq!(scene.origin.total(), 3);

    let mut scene = Scene::with(|server| server.config("cache.max-waiters-per-flight", "2"));
    let url = scene.serve("/a", Reply::ok("a"));
    let reply = scene.client.call(&["CACHE.MGET", "5", &url, &url, &url, &url, &url]);
    assert_eq!(places(reply), ["a", "a", WAITERS, WAITERS, WAITERS]);
    assert_eq!(scene.origin.total(), 1);
}

/// Waiters for a body of 1 MiB, in the order of their coming, and the gate it lies behind.
fn waiters_for_a_mebibyte(scene: &Scene, count: usize) -> (Vec<Client>, Gate) {
    let gate = Gate::closed();
    let url = scene.serve("/large", Reply::ok(vec![b'x'; MIB]).gate(&gate));
    let one_by_one = (0..count).map(|_| scene.waiters(&url, 1).remove(0));
    (one_by_one.collect(), gate)
}

/// How many of them got it; those who did came before those who did not.
fn answered(waiters: Vec<Client>) -> usize {
    let got: Vec<bool> = waiters
        .into_iter()
        .map(|mut waiter| match waiter.reply() {
            Ok(Value::BulkString(body)) => body.len() == MIB,
            Err(error) if error == REPLIES => false,
            other => panic!("{other:?}"),
        })
        .collect();
    let count = got.iter().filter(|&&got| got).count();
    assert!(got[..count].iter().all(|&got| got), "the latest are those refused: {got:?}");
    count
}

#[test]
fn as_many_are_answered_as_fit_into_the_memory_for_replies() {
    // A little more than five bodies: an entry has a head.
    let scene = Scene::with(|server| server.config("cache.max-reply-memory", "5300kb"));
    let (waiters, gate) = waiters_for_a_mebibyte(&scene, 20);
    gate.open();
    assert_eq!(answered(waiters), 5);
    assert_eq!(scene.server.gauge("cache_failed_overloaded"), 15);
    assert_eq!(scene.server.gauge("cache_downloads"), 1);
    let url = scene.origin.url("/large");
    assert_eq!(scene.server.client().bytes(&["CACHE.GET", &url]).len(), MIB);
}

#[test]
fn one_is_always_answered_however_little_memory_there_is() {
    for count in [1, 2, 20] {
        let scene = Scene::with(|server| server.config("cache.max-reply-memory", "1"));
        let (waiters, gate) = waiters_for_a_mebibyte(&scene, count);
        gate.open();
        assert_eq!(answered(waiters), 1);
        scene.still_works();
    }
}

#[test]
fn the_memory_for_replies_is_a_quarter_of_the_servers_by_default() {
    let scene = Scene::with(|server| server.config("maxmemory", "64mb"));
    let (waiters, gate) = waiters_for_a_mebibyte(&scene, 30);
    gate.open();
    assert_eq!(answered(waiters), 15); // 16 MiB, and each entry has a head

    let mut scene = Scene::new();
    scene.client.ok(&["CONFIG", "SET", "maxmemory", "32mb"]);
    let (waiters, gate) = waiters_for_a_mebibyte(&scene, 12);
    gate.open();
    assert_eq!(answered(waiters), 7);
}

#[test]
fn the_memory_for_replies_is_free_again_when_they_have_gone() {
    let mut scene = Scene::with(|server| server.config("cache.max-reply-memory", "3300kb"));
    for _ in 0..5 {
        let (waiters, gate) = waiters_for_a_mebibyte(&scene, 5);
        gate.open();
        assert_eq!(answered(waiters), 3);
        scene.client.int(&["DEL", &scene.origin.url("/large")]);
    }
}

#[test]
fn a_leases_value_is_under_the_same_limit() {
    let mut scene = Scene::with(|server| server.config("cache.max-reply-memory", "3300kb"));
    let token = Answer::of(scene.client.call(&["CACHE.LEASE", "key"]).unwrap()).token();
    let mut waiters = scene.server.clients(6);
    for (n, waiter) in waiters.iter_mut().enumerate() {
        waiter.send(&["CACHE.LEASE", "key", "0"]);
        scene.server.until_gauge("cache_waiters", n as u64 + 1);
    }
    let value = "x".repeat(MIB);
    scene.client.ok(&["CACHE.FILL", "key", &token, &value]);
    let got: Vec<bool> = waiters.iter_mut().map(|waiter| waiter.reply().is_ok()).collect();
    assert_eq!(got, [true, true, true, false, false, false]);
    assert_eq!(scene.client.int(&["STRLEN", "key"]), i64::try_from(MIB).unwrap());
}

/// Each flight answers at least one; beyond that, what many places get together is bounded too.
#[test]
fn calls_for_many_urls_are_answered_within_the_same_memory() {
    const CALLS: usize = 10;
    const URLS: usize = 8;
    let scene = Scene::with(|server| server.config("cache.max-reply-memory", "5300kb"));
    let gate = Gate::closed();
    let held = gate.clone();
    scene.origin.otherwise(move |_| Reply::ok(vec![b'x'; MIB]).gate(&held));
    let urls: Vec<String> = (0..URLS).map(|n| scene.origin.url(&format!("/{n}"))).collect();
    let count = URLS.to_string();
    let mut call = vec!["CACHE.MGET", &count];
    call.extend(urls.iter().map(String::as_str));
    call.extend(["60", "0"]);
    let mut clients = scene.server.clients(CALLS);
    for client in &mut clients {
        client.send(&call);
    }
    scene.server.until_gauge("cache_waiters", (CALLS * URLS) as u64);
    gate.open();
    let answers = clients.iter_mut().flat_map(|client| places(client.reply()));
    let bodies = answers.filter(|answer| answer.len() == MIB).count();
    assert!((URLS..=URLS + 5).contains(&bodies), "{bodies} MiB were answered, and 5 may be");
}
