//! Leases and replication: a replica gives none, what is filled reaches it as a plain string, and a
//! failover ends what the old master gave.

use crate::leasing::{Answer, LOST, Leasing, at_rest, lock_keys, locked, queue, wait_by};
use crate::scene::Scene;
use crate::support::{Server, Value, until};

/// Makes one server a replica of another, and waits for the first synchronisation.
fn follow(replica: &Server, master: &Server) {
    replica.client().ok(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    until("the link", || replica.info("master_link_status").as_deref() == Some("up"));
}

/// A master's scene, and a replica with the module.
fn pair() -> (Scene, Server) {
    let scene = Scene::with(|server| server.config("repl-diskless-sync-delay", "0"));
    let replica = Server::builder().config("repl-diskless-sync-delay", "0").start();
    follow(&replica, &scene.server);
    (scene, replica)
}

/// Waits until the replica has all that was written before.
fn caught_up(scene: &mut Scene) {
    scene.client.ok(&["SET", "a fence", "1"]);
    assert_eq!(scene.client.int(&["WAIT", "1", "20000"]), 1);
    assert_eq!(scene.client.int(&["DEL", "a fence"]), 1);
    assert_eq!(scene.client.int(&["WAIT", "1", "20000"]), 1);
}

#[test]
fn a_replica_neither_leases_nor_fills_nor_releases() {
    let (mut scene, replica) = pair();
    let token = scene.client.token(&["key"]);
    let mut client = replica.client();
    for call in [
        &["CACHE.LEASE", "key"][..],
        &["CACHE.LEASE", "key", "STALE"],
        &["CACHE.FILL", "key", &token, "value"],
        &["CACHE.RELEASE", "key", &token],
    ] {
        let error = client.error(call);
        assert!(error.starts_with("READONLY "), "{call:?}: {error}");
    }
    caught_up(&mut scene);
    assert_eq!(client.int(&["DBSIZE"]), 0, "the lock key was replicated");
    scene.client.fill("key", &token, "value");
    caught_up(&mut scene);
    assert!(client.error(&["CACHE.LEASE", "key"]).starts_with("READONLY "));
    assert_eq!(client.text(&["CACHE.PEEK", "key"]), "value");
    at_rest(&scene);
}

#[test]
fn what_is_filled_in_whatever_way_reaches_a_replica_with_the_same_end() {
    let scene = Scene::with(|server| server.config("repl-diskless-sync-delay", "0"));
    let (mut scene, replica) = (scene, Server::builder().without_module().start());
    follow(&replica, &scene.server);
    let large = "large ".repeat(100_000);
    let mut keys = Vec::new();
    for (value, more) in [
        ("value", &["600"][..]),
        ("value", &["-1"]),
        ("value", &[]),
        ("value", &["600", "STALE", "60"]),
        (&large, &["600"]),
    ] {
        for way in ["plain", "transaction", "script"] {
            let key = format!("{way} {} {more:?}", value.len());
            let token = scene.client.token(&[&key]);
            let fill = [&["CACHE.FILL", &key, &token, value], more].concat();
            match way {
                "plain" => scene.client.ok(&fill),
                "script" => {
                    let eval = ["EVAL", "return redis.call(unpack(ARGV))", "1", &key];
                    scene.client.ok(&[&eval[..], &fill].concat());
                }
                _ => {
                    scene.client.ok(&["MULTI"]);
                    assert_eq!(scene.client.text(&fill), "QUEUED");
                    assert_eq!(scene.client.array(&["EXEC"]), [Value::Okay]);
                }
            }
            keys.push(key);
        }
    }
    caught_up(&mut scene);
    let mut client = replica.client();
    for key in &keys {
        assert!(client.bytes(&["GET", key]) == scene.client.bytes(&["GET", key]), "{key}");
        let ends = client.int(&["PEXPIRETIME", key]);
        assert_eq!(ends, scene.client.int(&["PEXPIRETIME", key]), "{key}");
    }
    assert_eq!(client.int(&["DBSIZE"]), keys.len().try_into().unwrap());
    at_rest(&scene);
}

#[test]
fn a_failover_ends_the_leases_of_the_old_master_and_the_new_one_gives_its_own() {
    let (mut scene, replica) = pair();
    let old = scene.client.token(&["key", "TTL", "600"]);
    let mut waiters = queue(&scene.server, &["key", "0"], 3);
    caught_up(&mut scene);
    replica.client().ok(&["REPLICAOF", "NO", "ONE"]);
    follow(&scene.server, &replica);
    for waiter in &mut waiters {
        let error = waiter.reply().unwrap_err();
        let told = error.starts_with("UNBLOCKED ") || error.starts_with("no reply");
        assert!(told, "{error}");
    }
    scene.client = scene.server.client();
    let fill = ["CACHE.FILL", "key", &old, "value"];
    assert!(scene.client.error(&fill).starts_with("READONLY "));
    let mut client = replica.client();
    client.has_lost("key", &old);
    let new = client.token(&["key"]);
    assert_ne!(new, old);
    client.fill("key", &new, "new");
    assert_eq!(client.int(&["WAIT", "1", "20000"]), 1);
    assert_eq!(scene.client.text(&["CACHE.PEEK", "key"]), "new");
    assert_eq!(lock_keys(&replica), []);
    scene.server.until_gauge("cache_waiters", 0);
    scene.client.ok(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(scene.client.error(&fill), LOST);
    assert_eq!(scene.client.text(&["CACHE.PEEK", "key"]), "new");
    at_rest(&scene);
}

#[test]
fn a_short_demotion_voids_the_leases_and_ends_the_waits() {
    let mut scene = Scene::new();
    let mut tied = scene.server.client();
    tied.token(&["tied", "0", "TIED", "TTL", "600"]);
    let old = scene.client.token(&["key", "TTL", "600"]);
    let url = scene.serve("/a", crate::support::Reply::ok(crate::scene::BODY));
    let on_url = scene.client.token(&[&url, "TTL", "600"]);
    let mut waiters = queue(&scene.server, &["key", "0"], 2);
    waiters.extend(wait_by(&scene.server, &["CACHE.GET", &url, "60", "0"], 1));
    scene.client.ok(&["REPLICAOF", "127.0.0.1", "1"]);
    for waiter in &mut waiters {
        assert!(waiter.reply().is_err());
    }
    drop(tied);
    scene.server.until_gauge("cache_leases_cut", 1);
    scene.client.ok(&["REPLICAOF", "NO", "ONE"]);
    let new = scene.client.token(&["key"]);
    assert_eq!(scene.client.error(&["CACHE.FILL", "key", &old, "old"]), LOST);
    locked(&scene, "key", &new);
    scene.client.fill("key", &new, "new");
    assert_eq!(scene.client.lease(&["key"]), Answer::value("new"));
    assert_eq!(scene.client.error(&["CACHE.RELEASE", &url, &on_url]), LOST);
    assert_eq!(scene.origin.total(), 0);
    scene.client.int(&["DEL", &crate::scene::lock_key("tied")]); // it was not a replica's to remove
    at_rest(&scene);
}

#[test]
fn a_lease_that_runs_out_on_a_demoted_server_leaves_it_alive() {
    let mut scene = Scene::new();
    let token = scene.client.token(&["key", "TTL", "1"]);
    let _waiters = queue(&scene.server, &["key", "0"], 3);
    scene.client.ok(&["REPLICAOF", "127.0.0.1", "1"]);
    scene.server.until_gauge("cache_leases_expired", 1);
    scene.until_all_landed();
    scene.client.ok(&["REPLICAOF", "NO", "ONE"]);
    scene.client.has_lost("key", &token);
    scene.client.int(&["DEL", &crate::scene::lock_key("key")]); // it was not a replica's to remove
    at_rest(&scene);
}

#[test]
fn a_demotion_while_a_large_value_is_copied_leaves_the_server_alive() {
    let mut scene = Scene::new();
    let value = "x".repeat(20 << 20);
    for _ in 0..5 {
        let token = scene.client.token(&["key"]);
        let mut waiter = queue(&scene.server, &["key", "0"], 1).remove(0);
        scene.client.send(&["CACHE.FILL", "key", &token, &value]);
        let mut other = scene.server.client();
        other.ok(&["REPLICAOF", "127.0.0.1", "1"]);
        let (filled, answered) = (scene.client.reply(), waiter.reply());
        if let Ok(reply) = answered {
            assert!(Answer::of(reply) == Answer::value(&value));
        }
        scene.server.until_gauge("cache_flights", 0);
        let exists = scene.exists("key");
        assert!(exists || filled.is_err(), "the value is gone");
        other.ok(&["REPLICAOF", "NO", "ONE"]);
        scene.client = scene.server.client();
        scene.client.ok(&["FLUSHALL"]);
    }
    at_rest(&scene);
}
