//! `CLIENT UNBLOCK`. On Redis 7.2 (and Valkey 8, which grew from it) a late
//! one would abort the server, so there the call answers 0 and the client
//! waits on.

use crate::scene::{BODY, Scene};
use crate::support::{Client, Value};

/// Whether this server lets a module's client be unblocked in safety.
fn can_unblock(scene: &Scene) -> bool {
    !scene.server.info("redis_version").unwrap().starts_with("7.2.")
}

/// A second waiter of a flight, and what `CLIENT UNBLOCK` says to it.
fn unblock(scene: &mut Scene, url: &str, how: &str) -> (Client, i64) {
    let mut waiter = scene.server.client();
    let id = waiter.id();
    waiter.send(&["CACHE.GET", url, "60", "0"]);
    scene.server.until_gauge("cache_waiters", 2);
    let answer = scene.client.int(&["CLIENT", "UNBLOCK", &id, how]);
    (waiter, answer)
}

fn unblocks(how: &str, reply: &Result<Value, String>) {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    let (mut waiter, answer) = unblock(&mut scene, &flight.url, how);
    if can_unblock(&scene) {
        assert_eq!(answer, 1);
        assert_eq!(waiter.reply(), *reply);
        scene.server.until_gauge("cache_waiters", 1);
        flight.land();
    } else {
        assert_eq!(answer, 0);
        flight.land();
        assert_eq!(waiter.reply_bytes(), BODY.as_bytes());
    }
    assert_eq!(waiter.text(&["PING"]), "PONG");
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn unblocked_by_timeout_is_null() {
    unblocks("TIMEOUT", &Ok(Value::Nil));
}

#[test]
fn unblocked_by_error_is_an_error() {
    let error = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
    unblocks("ERROR", &Err(error.to_owned()));
}

#[test]
fn unblocking_all_around_the_landing_harms_nobody() {
    let mut scene = Scene::new();
    let (url, gate) = scene.hold("/a");
    let mut waiters = scene.server.clients(50);
    let ids: Vec<_> = waiters.iter_mut().map(Client::id).collect();
    for waiter in &mut waiters {
        waiter.send(&["CACHE.GET", &url, "60", "0"]);
    }
    scene.server.until_gauge("cache_waiters", 50);
    for (n, id) in ids.iter().enumerate() {
        scene.client.send(&["CLIENT", "UNBLOCK", id, "TIMEOUT"]);
        if n == 25 {
            gate.open();
        }
    }
    for waiter in &mut waiters {
        let reply = waiter.reply().expect("neither null nor a body");
        assert!([Value::Nil, Value::BulkString(BODY.into())].contains(&reply), "{reply:?}");
        assert_eq!(waiter.text(&["PING"]), "PONG");
    }
    for _ in &ids {
        scene.client.reply().unwrap();
    }
    scene.server.until_gauge("cache_waiters", 0);
    scene.still_works();
}
