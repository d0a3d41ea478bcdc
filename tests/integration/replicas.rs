//! Replicas: they get what lands as plain writes, whoever filled it, and refuse what writes.

use crate::fleet::{
    as_master, fence, lease, master_and_replica, promote, replica_of, until_linked,
};
use crate::scene::{BODY, Scene, lock_key};
use crate::support::server::Builder;
use crate::support::{Gate, Reply, Server, Value, signal, until};

/// What two servers must agree in: all that they hold, and when the keys end.
fn contents(server: &Server, keys: &[String]) -> (Value, Vec<i64>) {
    let mut client = server.client();
    let digest = client.call(&["DEBUG", "DIGEST"]).unwrap();
    let ends = keys.iter().map(|key| client.int(&["PEXPIRETIME", key])).collect();
    (digest, ends)
}

#[test]
fn a_replica_without_the_module_follows_every_kind_of_landing() {
    let mut scene = Scene::with(as_master);
    let replica = replica_of(&scene.server, Server::builder().without_module());
    let large = "x".repeat(200_000);
    let body = large.clone();
    scene.origin.otherwise(|_| Reply::ok(BODY));
    scene.serve("/large", Reply::ok(&body));
    scene.origin.on_fn("/same", |request| match request.header("if-none-match") {
        Some(_) => Reply::status(304, "Not Modified"),
        None => Reply::ok(BODY).header("ETag", "\"1\""),
    });
    let client = &mut scene.client;
    let [a, b, c, same, big] =
        ["/a#{t}", "/b#{t}", "/c", "/same", "/large"].map(|path| scene.origin.url(path));
    client.array(&["CACHE.MGET", "2", &a, &b, "600"]);
    client.text(&["CACHE.GET", &c, "-1", "10", "HEADER", "Accept", "x"]);
    client.text(&["CACHE.GET", &big]);
    client.text(&["CACHE.GET", &same, "600", "10", "STALE", "60"]);
    client.text(&["CACHE.GET", &same, "900", "10", "STALE", "60", "REFRESH"]);
    assert_eq!(scene.server.gauge("cache_revalidated"), 1);
    client.text(&["CACHE.GET", &c]);
    assert_eq!(client.int(&["CACHE.DEL", &c]), 1);
    for (key, value, rest) in [
        ("plain", "small", &["60"][..]),
        ("forever", "small", &["-1"]),
        ("stale", "small", &["60", "STALE", "60"]),
        ("large", &large, &["60"]),
    ] {
        let token = lease(client, key, &[]);
        client.ok(&[&["CACHE.FILL", key, &token, value], rest].concat());
    }
    let token = lease(client, "given up", &[]);
    client.ok(&["CACHE.RELEASE", "given up", &token]);
    fence(client);
    let keys = [&a, &b, &same, &big, "plain", "forever", "stale", "large"].map(str::to_owned);
    assert_eq!(contents(&replica, &keys), contents(&scene.server, &keys));
    assert_eq!(replica.client().int(&["DBSIZE"]), 9);
    assert_eq!(replica.client().text(&["GET", "plain"]), "small");
}

#[test]
fn a_replica_refuses_what_writes_and_serves_peek() {
    let (mut scene, replica) = master_and_replica();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url]);
    let token = lease(&mut scene.client, "value", &[]);
    fence(&mut scene.client);
    let mut client = replica.client();
    for call in [
        &["CACHE.GET", &url][..],
        &["CACHE.FETCH", &url],
        &["CACHE.MGET", "1", &url],
        &["CACHE.DEL", &url],
        &["CACHE.LEASE", "value"],
        &["CACHE.FILL", "value", &token, "x"],
        &["CACHE.RELEASE", "value", &token],
    ] {
        let refused = client.error(call);
        assert_eq!(refused, "READONLY You can't write against a read only replica.", "{call:?}");
    }
    assert_eq!(client.text(&["CACHE.PEEK", &url]), BODY);
    client.null(&["CACHE.PEEK", &scene.origin.url("/b")]);
    assert_eq!(scene.origin.total(), 1);
    assert_eq!(replica.gauge("cache_flights"), 0);
}

#[test]
fn a_lock_key_that_came_with_the_full_sync_harms_nothing_after_promotion() {
    let mut scene = Scene::with(as_master);
    let mut flight = scene.take_off("/a");
    let old = lease(&mut scene.client, "value", &["0", "TTL", "3600"]);
    let replica = replica_of(&scene.server, Server::builder());
    let mut client = replica.client();
    for key in [&*flight.url, "value"] {
        assert_eq!(client.int(&["EXISTS", &lock_key(key)]), 1, "what is tested?");
    }
    promote(&replica);
    scene.origin.on("/a", Reply::ok("the replica's own"));
    assert_eq!(client.text(&["CACHE.GET", &flight.url]), "the replica's own");
    let new = lease(&mut client, "value", &["0"]);
    assert!(client.error(&["CACHE.FILL", "value", &old, "late"]).starts_with("LEASELOST "));
    client.ok(&["CACHE.FILL", "value", &new, "in time"]);
    assert_eq!(client.int(&["DBSIZE"]), 2, "the lock keys have stayed");
    flight.land();
    assert_eq!(replica.client().text(&["CACHE.PEEK", &flight.url]), "the replica's own");
}

#[test]
fn who_waits_for_replicas_waits_for_what_it_was_answered() {
    let (mut scene, replica) = master_and_replica();
    let url = scene.serve("/a", Reply::ok(BODY));
    fence(&mut scene.client);
    signal::send("STOP", replica.pid());
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    let told = scene.client.int(&["WAIT", "1", "20"]);
    let token = lease(&mut scene.client, "value", &[]);
    scene.client.ok(&["CACHE.FILL", "value", &token, "computed"]);
    let told_of_fill = scene.client.int(&["WAIT", "1", "20"]);
    signal::send("CONT", replica.pid());
    assert_eq!((told, told_of_fill), (0, 0), "a replica that stands still has acknowledged");
    assert_eq!(scene.client.int(&["WAIT", "1", "20000"]), 1);
    assert_eq!(replica.client().text(&["CACHE.PEEK", &url]), BODY);
    assert_eq!(replica.client().text(&["GET", "value"]), "computed");
}

#[test]
fn a_master_short_of_replicas_refuses_calls_and_recovers() {
    let (mut scene, mut replica) = master_and_replica();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.ok(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    until("the replica to count", || scene.client.call(&["SET", "key", "1"]).is_ok());
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    let mut flight = scene.take_off("/in-the-air");
    let mut joined = scene.waiters(&flight.url, 3);
    replica.kill9();
    until("the replica to be missed", || {
        scene.client.call(&["SET", "key", "1"]).is_err_and(|error| error.starts_with("NOREPLICAS "))
    });
    flight.land();
    for waiter in &mut joined {
        assert_eq!(waiter.reply_bytes(), BODY.as_bytes());
    }
    assert!(!scene.exists(&flight.url));
    assert_eq!(scene.server.gauge("cache_not_stored_refused"), 1);
    assert!(scene.client.error(&["CACHE.GET", &flight.url]).starts_with("NOREPLICAS "));
    assert_eq!(scene.client.text(&["CACHE.PEEK", &url]), BODY);
    replica.restart_as(Builder::without_module);
    crate::fleet::follow(&replica, &scene.server);
    until("the replica to count", || scene.client.call(&["SET", "key", "1"]).is_ok());
    assert_eq!(scene.client.text(&["CACHE.GET", &flight.url]), BODY);
    fence(&mut scene.client);
    assert_eq!(replica.client().int(&["EXISTS", &flight.url]), 1);
}

#[test]
fn a_replica_that_reconnects_in_the_middle_of_a_flight_gets_its_landing() {
    let (mut scene, replica) = master_and_replica();
    let mut flight = scene.take_off("/a");
    let gate = Gate::closed();
    let large = scene.serve("/large", Reply::ok("x".repeat(1 << 20)).gate(&gate));
    let mut waiters = scene.waiters(&large, 3);
    scene.client.int(&["CLIENT", "KILL", "TYPE", "replica"]);
    flight.land();
    gate.open();
    for waiter in &mut waiters {
        assert_eq!(waiter.reply_bytes().len(), 1 << 20);
    }
    until_linked(&replica);
    fence(&mut scene.client);
    let keys = [flight.url, large];
    assert_eq!(contents(&replica, &keys), contents(&scene.server, &keys));
}
