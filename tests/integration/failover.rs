//! A master is demoted with flights in the air: its clients go elsewhere, it writes nothing any more, and
//! the replica that takes its place has the entries and works at once.

use crate::fleet::{
    fence, follow, is_unblocked, lease, master_and_replica, promote, replica_of, until_linked,
    until_role,
};
use crate::scene::{BODY, Flight, Scene};
use crate::support::client::bytes_of;
use crate::support::sentinel::Sentinel;
use crate::support::until::until_equal;
use crate::support::{Client, Reply, Server, Value, until};

/// Clients that wait in every way there is, on a flight and on a lease; and the lease.
pub fn all_who_can_wait(scene: &mut Scene, flight: &Flight) -> (Vec<Client>, String) {
    let token = lease(&mut scene.client, "value", &["0", "TTL", "3600"]);
    let calls = [
        &["CACHE.GET", &flight.url, "60", "0"][..],
        &["CACHE.FETCH", &flight.url, "60", "0"],
        &["CACHE.MGET", "2", &flight.url, &flight.url, "60", "0"],
        &["CACHE.LEASE", "value", "0"],
    ];
    let mut waiters = scene.server.clients(calls.len());
    for (waiter, call) in waiters.iter_mut().zip(calls) {
        waiter.send(call);
    }
    scene.server.until_gauge("cache_waiters", 6);
    (waiters, token)
}

/// The keys of a server but lock keys, which are its own.
fn keys(server: &Server) -> Vec<Vec<u8>> {
    let keys = server.client().array(&["KEYS", "*"]).into_iter().map(bytes_of);
    let mut keys: Vec<_> = keys.filter(|key| !key.starts_with(b"cache:lock:")).collect();
    keys.sort();
    keys
}

/// Asserts that a promoted replica has an entry, and goes on where its master has stopped.
fn works_at_once(scene: &Scene, promoted: &Server, entry: &str, in_the_air: &str) {
    let mut client = promoted.client();
    assert_eq!(client.text(&["CACHE.GET", entry]), BODY);
    let (path, asked) = ("/entry", scene.origin.hits("/entry"));
    assert_eq!(asked, 1, "{path} was fetched again");
    scene.serve("/in-the-air", Reply::ok("the new master's"));
    assert_eq!(client.text(&["CACHE.GET", in_the_air]), "the new master's");
    let token = lease(&mut client, "value", &[]);
    client.ok(&["CACHE.FILL", "value", &token, "computed"]);
}

#[test]
fn a_demoted_master_lets_go_of_all_who_wait_and_writes_nothing() {
    let (mut scene, replica) = master_and_replica();
    let entry = scene.serve("/entry", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &entry]);
    fence(&mut scene.client);
    let mut flight = scene.take_off("/in-the-air");
    let (waiters, token) = all_who_can_wait(&mut scene, &flight);
    promote(&replica);
    let mut client = scene.server.client();
    client.ok(&["REPLICAOF", "127.0.0.1", &replica.port().to_string()]);
    for mut waiter in waiters {
        let error = waiter.reply_error();
        assert!(is_unblocked(&error), "{error}");
    }
    assert!(is_unblocked(&flight.leader.reply_error()));
    scene.server.until_gauge("cache_waiters", 0);
    works_at_once(&scene, &replica, &entry, &flight.url);
    until_linked(&scene.server);
    flight.gate.open();
    scene.server.until_gauge("cache_not_stored_replica", 1);
    assert!(client.error(&["CACHE.FILL", "value", &token, "late"]).starts_with("READONLY "));
    fence(&mut replica.client());
    assert_eq!(client.text(&["CACHE.PEEK", &flight.url]), "the new master's");
    assert_eq!(client.text(&["GET", "value"]), "computed");
    assert_eq!(keys(&scene.server), keys(&replica));
}

#[test]
fn a_master_that_comes_back_forgets_the_leases_it_had_given() {
    let (mut scene, replica) = master_and_replica();
    let token = lease(&mut scene.client, "value", &["0", "TTL", "3600"]);
    promote(&replica);
    follow(&scene.server, &replica);
    promote(&scene.server);
    let mut client = scene.server.client();
    let late = client.error(&["CACHE.FILL", "value", &token, "late"]);
    assert!(late.starts_with("LEASELOST "), "{late}");
    let new = lease(&mut client, "value", &["0"]);
    client.ok(&["CACHE.FILL", "value", &new, "in time"]);
    assert_eq!(client.text(&["GET", "value"]), "in time");
}

#[test]
fn a_failover_in_agreement_loses_no_entry_and_no_waiter() {
    let (mut scene, replica) = master_and_replica();
    let entry = scene.serve("/entry", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &entry]);
    let mut flight = scene.take_off("/in-the-air");
    let (waiters, _) = all_who_can_wait(&mut scene, &flight);
    let port = replica.port().to_string();
    until_equal("the failover to begin", &Ok(Value::Okay), || {
        scene.client.call(&["FAILOVER", "TO", "127.0.0.1", &port])
    });
    for mut waiter in waiters {
        assert!(is_unblocked(&waiter.reply_error()));
    }
    assert!(is_unblocked(&flight.leader.reply_error()));
    until_role(&replica, "master");
    works_at_once(&scene, &replica, &entry, &flight.url);
    flight.gate.open();
    scene.server.until_gauge("cache_not_stored_replica", 1);
    until_linked(&scene.server);
    fence(&mut replica.client());
    assert_eq!(scene.server.client().text(&["CACHE.PEEK", &flight.url]), "the new master's");
}

#[test]
fn a_replica_of_a_replica_follows_through_a_promotion() {
    let (mut scene, middle) = master_and_replica();
    let last = replica_of(&middle, Server::builder());
    let entry = scene.serve("/entry", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &entry]);
    until("the entry to trickle down", || last.client().int(&["EXISTS", &entry]) == 1);
    let flight = scene.take_off("/in-the-air");
    scene.server.kill9();
    promote(&middle);
    works_at_once(&scene, &middle, &entry, &flight.url);
    fence(&mut middle.client());
    assert_eq!(last.client().text(&["CACHE.PEEK", &flight.url]), "the new master's");
}

#[test]
fn under_sentinel_a_killed_master_is_replaced_and_its_entries_with_it() {
    let (mut scene, replica) = master_and_replica();
    let sentinel = Sentinel::watch(&scene.server, 1);
    let entry = scene.serve("/entry", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &entry]);
    fence(&mut scene.client);
    let flight = scene.take_off("/in-the-air");
    let (waiters, _) = all_who_can_wait(&mut scene, &flight);
    scene.server.kill9();
    for mut waiter in waiters {
        assert!(waiter.reply_error().starts_with("no reply"));
    }
    until_equal("the master's port", &replica.port(), || sentinel.master_port());
    until_role(&replica, "master");
    works_at_once(&scene, &replica, &entry, &flight.url);
}

#[test]
fn under_sentinel_a_demoted_master_lets_go_of_all_who_wait_and_follows() {
    let (mut scene, replica) = master_and_replica();
    let sentinel = Sentinel::watch(&scene.server, 1);
    let entry = scene.serve("/entry", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &entry]);
    fence(&mut scene.client);
    let flight = scene.take_off("/in-the-air");
    let (waiters, token) = all_who_can_wait(&mut scene, &flight);
    sentinel.fail_over(&replica);
    for mut waiter in waiters {
        // The sentinel hangs up on all clients as well, which may overtake what they are told.
        let end = waiter.reply_error();
        assert!(is_unblocked(&end) || end.starts_with("no reply"), "{end}");
    }
    until_role(&scene.server, "slave");
    works_at_once(&scene, &replica, &entry, &flight.url);
    flight.gate.open();
    scene.server.until_gauge("cache_not_stored_replica", 1);
    until_linked(&scene.server);
    fence(&mut replica.client());
    let mut client = scene.server.client();
    assert_eq!(client.text(&["CACHE.PEEK", &flight.url]), "the new master's");
    assert!(client.error(&["CACHE.FILL", "value", &token, "late"]).starts_with("READONLY "));
}

/// Clients that can be sent to another server wait in every way there is, and that server becomes the master.
fn redirected(make_master: impl FnOnce(&mut Scene, &Server)) {
    let (mut scene, replica) = master_and_replica();
    if !scene.server.is_valkey_since(9, 1) {
        println!("skipped: this server hangs up on all who wait");
        return;
    }
    let (url, gate) = scene.hold("/a");
    let calls = [
        &["CACHE.GET", &url, "60", "0"][..],
        &["CACHE.MGET", "2", &url, &url, "60", "0"],
        &["CACHE.LEASE", "key", "0"],
    ];
    lease(&mut scene.client, "key", &[]);
    let mut waiters = scene.server.clients(calls.len());
    for (waiter, call) in waiters.iter_mut().zip(calls) {
        waiter.ok(&["CLIENT", "CAPA", "redirect"]);
        waiter.send(call);
    }
    scene.server.until_gauge("cache_waiters", 4);
    make_master(&mut scene, &replica);
    for waiter in &mut waiters {
        assert_eq!(waiter.reply_error(), format!("REDIRECT 127.0.0.1:{}", replica.port()));
    }
    scene.server.until_gauge("cache_waiters", 0);
    gate.open();
}

/// Valkey 9.1 sends clients that can follow to the new master, and leaves alone those that a module blocks.
#[test]
fn who_waits_on_a_demoted_master_and_can_be_redirected_is_redirected() {
    redirected(|scene, replica| {
        promote(replica);
        let port = replica.port().to_string();
        scene.client.ok(&["REPLICAOF", "127.0.0.1", &port]);
    });
}

#[test]
fn who_waits_through_a_failover_in_agreement_and_can_be_redirected_is_redirected() {
    redirected(|scene, replica| {
        let port = replica.port().to_string();
        until_equal("the failover to begin", &Ok(Value::Okay), || {
            scene.client.call(&["FAILOVER", "TO", "127.0.0.1", &port])
        });
    });
}
