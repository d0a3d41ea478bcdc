//! What becomes of leases when the server is saved, killed, stopped or loses the module.

use std::fs;
use std::path::Path;

use crate::leasing::{Answer, LOST, Leasing, at_rest, lock_keys, locked, queue, waiting};
use crate::scene::{Scene, lock_key};
use crate::support::server::Builder;
use crate::support::{Server, Value, until};

/// A client's view after the server has been started again: the old token is lost, and a lock key that is
/// left over is in nobody's way.
fn begins_anew(scene: &mut Scene, old: &str) {
    scene.client = scene.server.client();
    assert_eq!(scene.server.gauge("cache_leases_held"), 0);
    scene.client.has_lost("key", old);
    let token = scene.client.token(&["key"]);
    assert_ne!(token, old);
    locked(scene, "key", &token);
    scene.client.fill("key", &token, "value");
    assert_eq!(scene.client.lease(&["key"]), Answer::value("value"));
    at_rest(scene);
}

#[test]
fn a_lease_does_not_outlive_a_crash_and_the_lock_key_that_does_blocks_nobody() {
    let mut scene = Scene::new();
    let old = scene.client.token(&["key", "TTL", "600"]);
    let mut waiters = queue(&scene.server, &["key", "0"], 3);
    scene.client.ok(&["SAVE"]);
    scene.server.restart();
    for waiter in &mut waiters {
        assert!(waiter.reply().unwrap_err().starts_with("no reply"));
    }
    assert!(scene.exists(&lock_key("key")), "the lock key was not saved: what is tested?");
    begins_anew(&mut scene, &old);
}

#[test]
fn a_server_with_leases_and_waiters_shuts_down_in_good_order() {
    let mut scene = Scene::new();
    let old = scene.client.token(&["key", "TTL", "600"]);
    scene.client.token(&["tied", "0", "TIED"]);
    scene.client.lease(&["stale", "STALE"]).token();
    let _waiters = queue(&scene.server, &["key", "0"], 20);
    assert!(scene.server.shutdown_nosave(), "{}", scene.server.log());
    scene.server.restart();
    begins_anew(&mut scene, &old);
}

#[test]
fn a_shutdown_while_a_large_value_is_copied_is_in_good_order() {
    let mut scene = Scene::new();
    let token = scene.client.token(&["key"]);
    let _waiters = queue(&scene.server, &["key", "0"], 3);
    scene.client.send(&["CACHE.FILL", "key", &token, &"x".repeat(50 << 20)]);
    assert!(scene.server.shutdown_nosave(), "{}", scene.server.log());
}

#[test]
fn a_reload_keeps_what_was_filled_and_voids_what_is_leased() {
    let mut scene = Scene::new();
    let filled = scene.client.token(&["filled"]);
    scene.client.ok(&["CACHE.FILL", "filled", &filled, "value", "600"]);
    let token = scene.client.token(&["key"]);
    let mut waiter = queue(&scene.server, &["key", "0"], 1).remove(0);
    scene.client.ok(&["DEBUG", "RELOAD"]);
    assert_eq!(scene.client.lease(&["filled"]), Answer::value("value"));
    assert_eq!(scene.client.error(&["CACHE.FILL", "key", &token, "value"]), LOST);
    assert_eq!(waiter.answer(), Answer::value("value"));
    scene.client.int(&["DEL", &lock_key("key")]); // loaded from what was saved with it
    at_rest(&scene);
}

/// All that the server has logged of its writes.
fn append_only_file(dir: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(append_only_file(&path));
        } else if path.to_str().unwrap().contains(".aof") {
            all.extend(fs::read(&path).unwrap());
        }
    }
    all
}

#[test]
fn a_fill_reaches_the_append_only_file_as_one_set_and_is_loaded_from_it() {
    let mut scene =
        Scene::with(|server| server.config("appendonly", "yes").config("appendfsync", "always"));
    let large = "large ".repeat(30_000);
    let fills: [(&str, &str, &[&str]); 4] = [
        ("short", "value", &["600"]),
        ("for ever", "value", &["-1"]),
        ("with a head", "value", &["600", "STALE", "60"]),
        ("large", &large, &["0.5e3"]),
    ];
    for (key, value, more) in fills {
        let token = scene.client.token(&[key]);
        scene.client.ok(&[&["CACHE.FILL", key, &token, value], more].concat());
    }
    let token = scene.client.token(&["held", "TTL", "600"]);
    let stored = |server: &Server| {
        let mut client = server.client();
        fills.map(|(key, ..)| (client.bytes(&["GET", key]), client.int(&["PEXPIRETIME", key])))
    };
    let before = stored(&scene.server);
    let log = append_only_file(scene.server.dir());
    let holds = |text: &[u8]| log.windows(text.len()).any(|window| window == text);
    assert!(holds(b"PXAT"));
    for absent in ["cache.", "CACHE.", "cache:lock:", &token] {
        assert!(!holds(absent.as_bytes()), "{absent} is logged");
    }
    scene.server.restart();
    assert!(stored(&scene.server) == before);
    assert_eq!(scene.server.client().lease(&["with a head"]), Answer::value("value"));
    scene.server.restart_as(Builder::without_module);
    assert!(stored(&scene.server) == before);
    assert_eq!(lock_keys(&scene.server), []);
}

#[test]
fn the_module_is_not_unloaded_while_a_lease_is_held() {
    for end in ["fill", "release", "run out", "cut"] {
        let mut scene = Scene::new();
        let mut holder = scene.server.client();
        let ttl = if end == "run out" { "1" } else { "60" };
        let token = holder.token(&["key", "0", "TIED", "TTL", ttl]);
        let refused = scene.client.error(&["MODULE", "UNLOAD", "cache"]);
        assert!(refused.starts_with("ERR "), "{refused}");
        assert_eq!(scene.server.gauge("cache_leases_held"), 1);
        match end {
            "fill" => holder.fill("key", &token, "x".repeat(1 << 20)),
            "release" => holder.release("key", &token),
            "run out" => scene.server.until_gauge("cache_leases_held", 0),
            _ => {}
        }
        drop(holder);
        let unload = ["MODULE", "UNLOAD", "cache"];
        until("the module to be unloaded", || scene.server.call(&unload).is_ok());
        let unknown = scene.client.error(&["CACHE.LEASE", "key"]);
        assert!(unknown.starts_with("ERR unknown command"), "{unknown}");
        assert_eq!(lock_keys(&scene.server), [], "{end}");
        load(&scene);
        assert_eq!(scene.client.error(&["CACHE.FILL", "other", &token, "value"]), LOST);
        at_rest(&scene);
    }
}

/// Loads the module again, as the scene has it.
fn load(scene: &Scene) {
    let networks = ["CONFIG", "cache.allowed-networks", "127.0.0.0/8"];
    let library = scene.server.so();
    let load = [&["MODULE", "LOADEX", &library], &networks[..]].concat();
    scene.server.call(&load).expect("the module does not load");
}

#[test]
fn unloading_right_behind_a_large_value_is_done_or_refused() {
    let mut scene = Scene::new();
    let value = "x".repeat(8 << 20);
    for _ in 0..30 {
        let token = scene.client.token(&["key"]);
        let call = ["CACHE.FILL", "key", &token, &value];
        scene.client.send(&call);
        scene.client.send(&["MODULE", "UNLOAD", "cache"]);
        assert_eq!(scene.client.reply(), Ok(Value::Okay));
        if scene.client.reply().is_err() {
            let unload = ["MODULE", "UNLOAD", "cache"];
            until("the module to be unloaded", || scene.server.call(&unload).is_ok());
        }
        assert_eq!(scene.client.text(&["PING"]), "PONG");
        load(&scene);
        assert_eq!(scene.client.int(&["DEL", "key"]), 1);
    }
    at_rest(&scene);
}

#[test]
fn leases_work_in_a_cluster() {
    let mut scene = Scene::with(crate::cluster::clustered);
    scene.client.ok(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    until("the cluster", || scene.client.text(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
    for key in ["key", "page{tag}", "{tag}page", "a{b"] {
        let token = scene.client.token(&[key]);
        let mut waiters = queue(&scene.server, &[key, "0"], 2);
        scene.client.release(key, &token);
        let token = waiters.remove(0).answer().token();
        let locks = scene.client.array(&["KEYS", "cache:lock:*"]);
        let lock = crate::support::client::bytes_of(locks[0].clone());
        let mut slot = |key: &[u8]| scene.client.int(&[b"CLUSTER".as_ref(), b"KEYSLOT", key]);
        assert_eq!(slot(&lock), slot(key.as_bytes()), "{key}");
        scene.client.fill(key, &token, "value");
        assert_eq!(waiters.remove(0).answer(), Answer::value("value"));
        assert_eq!(scene.client.lease(&[key]), Answer::value("value"));
        assert_eq!(scene.client.int(&["DBSIZE"]), 1);
        scene.client.int(&["DEL", key]);
    }
    waiting(&scene, 0);
    assert_eq!(scene.server.gauge("cache_flights"), 0);
}
