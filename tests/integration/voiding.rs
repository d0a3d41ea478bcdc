//! A flight is void once the ground it would land on is gone: its waiters
//! still get the body, and nothing is written.

use crate::fleet::{lease, token_of};
use crate::scene::{BODY, Flight, Scene, lock_key};
use crate::support::{Gate, Reply, Server, Value};

/// Lands a flight and asserts that its body was answered and not stored, for
/// the reason that this gauge counts.
fn lands_unstored(scene: &Scene, flight: &mut Flight, gauge: &str) {
    flight.land();
    scene.until_all_landed();
    assert_eq!(scene.server.gauge(gauge), 1);
    assert!(!scene.exists(&flight.url));
}

#[test]
fn what_empties_or_swaps_a_database_voids_its_flights() {
    for command in [
        &["FLUSHALL"][..],
        &["FLUSHALL", "SYNC"],
        &["FLUSHALL", "ASYNC"],
        &["FLUSHDB"],
        &["FLUSHDB", "ASYNC"],
        &["SWAPDB", "0", "1"],
        &["SWAPDB", "1", "0"],
    ] {
        let mut scene = Scene::new();
        let mut flight = scene.take_off("/a");
        scene.client.ok(command);
        lands_unstored(&scene, &mut flight, "cache_not_stored_void");
        for db in ["0", "1"] {
            scene.client.ok(&["SELECT", db]);
            assert_eq!(scene.client.int(&["DBSIZE"]), 0, "{command:?} left something in db {db}");
        }
        scene.still_works();
    }
}

#[test]
fn other_databases_are_left_alone() {
    for command in [&["FLUSHDB"][..], &["SWAPDB", "1", "2"]] {
        let mut scene = Scene::new();
        let mut flight = scene.take_off("/a");
        let mut other = scene.server.client();
        other.ok(&["SELECT", "5"]);
        other.ok(command);
        flight.land();
        assert_eq!(scene.client.text(&["CACHE.PEEK", &flight.url]), BODY, "{command:?}");
        assert_eq!(scene.server.gauge("cache_not_stored_void"), 0);
    }
}

#[test]
fn who_asks_after_the_flush_gets_a_flight_of_its_own() {
    let mut scene = Scene::new();
    let mut void = scene.take_off("/a");
    scene.client.ok(&["FLUSHALL"]);
    let (_, gate) = scene.hold("/a");
    let mut asks_after = scene.waiters(&void.url, 1).remove(0);
    scene.origin.until_hits("/a", 2);
    void.land();
    assert!(!scene.exists(&void.url));
    assert!(scene.exists(&lock_key(&void.url)), "the void flight took the other's lock key along");
    gate.open();
    assert_eq!(asks_after.reply_bytes(), BODY.as_bytes());
    assert_eq!(scene.client.text(&["CACHE.PEEK", &void.url]), BODY);
}

#[test]
fn a_reload_voids_what_is_in_the_air() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    scene.client.ok(&["DEBUG", "RELOAD"]);
    flight.land();
    scene.until_all_landed();
    assert!(!scene.exists(&flight.url));
    scene.still_works();
}

#[test]
fn a_demotion_voids_what_is_in_the_air() {
    let mut scene = Scene::new();
    let flight = scene.take_off("/a");
    scene.client.ok(&["REPLICAOF", "127.0.0.1", "1"]);
    flight.gate.open();
    scene.until_all_landed();
    scene.server.until_gauge("cache_waiters", 0);
    assert!(!scene.exists(&flight.url));
    assert_eq!(scene.server.gauge("cache_not_stored_replica"), 1);
    scene.client.ok(&["REPLICAOF", "NO", "ONE"]);
    assert!(!scene.exists(&flight.url));
    scene.still_works();
}

#[test]
fn a_full_sync_from_a_master_voids_what_is_in_the_air() {
    let master = Server::builder().without_module().config("repl-diskless-sync-delay", "0").start();
    master.client().ok(&["SET", "key", "the master's"]);
    let mut scene = Scene::new();
    let flight = scene.take_off("/a");
    scene.client.ok(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    crate::support::until("the sync", || {
        scene.server.info("master_link_status").as_deref() == Some("up")
    });
    flight.gate.open();
    scene.until_all_landed();
    assert!(!scene.exists(&flight.url));
    assert_eq!(scene.client.text(&["GET", "key"]), "the master's");
    assert_eq!(scene.client.int(&["DBSIZE"]), 1);
}

#[test]
fn a_server_paused_for_writes_answers_and_does_not_store() {
    let mut scene =
        Scene::with(|server| server.config("appendonly", "yes").config("appendfsync", "always"));
    let mut flight = scene.take_off("/a");
    scene.client.ok(&["CLIENT", "PAUSE", "100000", "WRITE"]);
    lands_unstored(&scene, &mut flight, "cache_not_stored_paused");
    assert!(scene.exists(&lock_key(&flight.url)), "the keyspace was touched while paused");
    scene.client.ok(&["CLIENT", "UNPAUSE"]);
    assert_eq!(scene.client.text(&["CACHE.GET", &flight.url]), BODY);
    assert!(scene.exists(&flight.url));
    assert!(!scene.exists(&lock_key(&flight.url)));
    assert!(scene.server.is_alive());
}

#[test]
fn a_paused_server_answers_peek() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    flight.land();
    scene.client.ok(&["CLIENT", "PAUSE", "100000", "WRITE"]);
    assert_eq!(scene.client.text(&["CACHE.PEEK", &flight.url]), BODY);
}

#[test]
fn a_flight_that_fails_while_paused_leaves_the_server_alive() {
    let mut scene = Scene::with(|server| server.config("appendonly", "yes"));
    let gate = crate::support::Gate::closed();
    let url = scene.serve("/a", crate::support::Reply::status(404, "Not Found").gate(&gate));
    let mut waiter = scene.waiters(&url, 1).remove(0);
    scene.client.ok(&["CLIENT", "PAUSE", "100000", "WRITE"]);
    gate.open();
    assert_eq!(waiter.reply_error(), "HTTPSTATUS 404 Not Found");
    scene.client.ok(&["CLIENT", "UNPAUSE"]);
    scene.still_works();
}

#[test]
fn a_pause_of_everything_holds_up_no_answer() {
    let mut scene = Scene::with(|server| server.config("appendonly", "yes"));
    let mut flight = scene.take_off("/a");
    scene.client.ok(&["CLIENT", "PAUSE", "300", "ALL"]);
    flight.land();
    scene.still_works();
    assert!(scene.server.is_alive());
}

#[test]
fn a_swap_voids_the_flights_of_both_databases_and_of_no_other() {
    let mut scene = Scene::new();
    let gate = Gate::closed();
    let url = scene.serve("/a", Reply::ok(BODY).gate(&gate));
    let mut waiters = scene.server.clients(3);
    for (db, waiter) in waiters.iter_mut().enumerate() {
        waiter.ok(&["SELECT", &db.to_string()]);
        waiter.send(&["CACHE.GET", &url, "3600", "0"]);
    }
    scene.origin.until_hits("/a", 3);
    scene.client.ok(&["SWAPDB", "0", "1"]);
    gate.open();
    for waiter in &mut waiters {
        assert_eq!(waiter.reply_bytes(), BODY.as_bytes());
    }
    scene.until_all_landed();
    assert_eq!(scene.server.gauge("cache_not_stored_void"), 2);
    let sizes = waiters.iter_mut().map(|client| client.int(&["DBSIZE"]));
    assert_eq!(sizes.collect::<Vec<_>>(), [0, 0, 1]);
}

#[test]
fn what_voids_flights_voids_leases_and_their_waiters_get_the_value_all_the_same() {
    for command in [&["FLUSHALL", "ASYNC"][..], &["SWAPDB", "0", "1"], &["DEBUG", "RELOAD"]] {
        let mut scene = Scene::new();
        let token = lease(&mut scene.client, "value", &["0", "TTL", "3600"]);
        let mut waiter = scene.server.client();
        waiter.send(&["CACHE.LEASE", "value", "0"]);
        scene.server.until_gauge("cache_waiters", 1);
        scene.client.ok(command);
        let late = scene.client.error(&["CACHE.FILL", "value", &token, "computed"]);
        assert!(late.starts_with("LEASELOST "), "{command:?}: {late}");
        let told = waiter.reply();
        let words = ["value", "computed"].map(|word| Value::BulkString(word.into()));
        assert_eq!(told, Ok(Value::Array(words.into())), "{command:?}");
        assert!(!scene.exists("value"));
        lease(&mut scene.client, "value", &["0"]);
    }
}

#[test]
fn a_flush_in_the_background_leaves_answers_that_are_under_way_whole() {
    let mut scene = Scene::new();
    let body = "x".repeat(4 << 20);
    let gate = Gate::closed();
    let url = scene.serve("/large", Reply::ok(&body).gate(&gate));
    let mut waiters = scene.waiters(&url, 10);
    let mut lone = scene.take_off("/lone");
    gate.open();
    scene.until_fresh(&url);
    scene.client.ok(&["FLUSHALL", "ASYNC"]);
    for waiter in &mut waiters {
        assert!(waiter.reply_bytes() == body.as_bytes(), "an answer was damaged");
    }
    lands_unstored(&scene, &mut lone, "cache_not_stored_void");
    scene.still_works();
}

#[test]
fn a_lease_lost_while_writes_are_paused_goes_to_the_next() {
    let mut scene =
        Scene::with(|server| server.config("appendonly", "yes").config("appendfsync", "always"));
    let mut holder = scene.server.client();
    lease(&mut holder, "value", &["0", "TIED"]);
    let mut next = scene.server.client();
    next.send(&["CACHE.LEASE", "value", "0"]);
    scene.server.until_gauge("cache_waiters", 1);
    scene.client.ok(&["CLIENT", "PAUSE", "100000", "WRITE"]);
    drop(holder);
    let Ok(Value::Array(words)) = next.reply() else {
        panic!("the next was given no lease");
    };
    let token = token_of(words);
    next.send(&["CACHE.FILL", "value", &token, "computed"]); // which the server holds back
    scene.client.ok(&["CLIENT", "UNPAUSE"]);
    assert_eq!(next.reply(), Ok(Value::Okay));
    assert_eq!(scene.client.text(&["GET", "value"]), "computed");
    scene.still_works();
}
