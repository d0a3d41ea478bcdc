//! Large values at their landing: they are given away with the command that stores them, and so nobody but
//! the server has them then (`server/handover.rs`).

use std::fs;

use crate::fleet::{lease, master_and_replica};
use crate::scene::Scene;
use crate::support::Reply;
use crate::support::client::bytes_of;
use crate::support::tmp::TempDir;

/// Above the size from which a value is given away.
const LARGE: usize = 3 << 20;

fn large() -> String {
    "a line of a large body\n".repeat(LARGE / 23)
}

/// What is stored under a URL, without the head.
fn stored(scene: &Scene, url: &str) -> Vec<u8> {
    let mut client = scene.server.client();
    bytes_of(client.call(&["CACHE.PEEK", url]).unwrap())
}

#[test]
fn a_large_body_is_stored_whole_and_comes_whole_to_a_crowd() {
    let mut scene = Scene::new();
    for (path, crowd) in [("/nobody", 0), ("/one", 1), ("/many", 9)] {
        let (url, gate) = scene.hold_reply(path, Reply::ok(large()));
        scene.client.null(&["CACHE.GET", &url, "60", "0.01"]);
        let mut waiters = scene.waiters(&url, crowd);
        gate.open();
        for waiter in &mut waiters {
            assert!(
                waiter.reply_bytes() == large().as_bytes(),
                "{path}: a waiter got something else"
            );
        }
        scene.until_fresh(&url);
        assert!(stored(&scene, &url) == large().as_bytes(), "{path}: something else is stored");
    }
    assert_eq!(scene.server.gauge("cache_downloads"), 3);
}

#[test]
fn a_large_body_reaches_the_replica() {
    let (scene, replica) = master_and_replica();
    let mut client = scene.server.client();
    let url = scene.serve("/a", Reply::ok(large()));
    assert!(client.bytes(&["CACHE.GET", &url, "600"]) == large().as_bytes());
    assert_eq!(client.int(&["WAIT", "1", "20000"]), 1, "the replica has not followed");
    let whole = client.bytes(&["GET", &url]);
    assert!(replica.client().bytes(&["GET", &url]) == whole, "the replica has something else");
}

#[test]
fn a_large_body_reaches_the_append_only_file() {
    let mut scene =
        Scene::with(|server| server.config("appendonly", "yes").config("appendfsync", "always"));
    let url = scene.serve("/a", Reply::ok(large()));
    assert!(scene.client.bytes(&["CACHE.GET", &url, "600"]) == large().as_bytes());
    let whole = scene.client.bytes(&["GET", &url]);
    scene.server.restart();
    assert!(scene.server.client().bytes(&["GET", &url]) == whole, "the file has something else");
}

#[test]
fn a_large_body_that_the_server_refuses_comes_whole_to_a_crowd_and_is_not_stored() {
    let mut scene = Scene::with(|server| server.config("cache.max-reply-memory", "64mb"));
    let (url, gate) = scene.hold_reply("/a", Reply::ok(large()));
    let mut waiters = scene.waiters(&url, 5);
    scene.client.ok(&["CONFIG", "SET", "maxmemory", "1"]);
    scene.client.text(&["PING"]); // at the next command the server looks how much it has
    gate.open();
    for waiter in &mut waiters {
        assert!(waiter.reply_bytes() == large().as_bytes(), "a waiter got something else");
    }
    scene.client.ok(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(!scene.exists(&url));
    assert_eq!(scene.server.gauge("cache_not_stored_oom"), 1);
}

#[test]
fn a_large_body_is_answered_on_a_server_whose_set_has_another_name() {
    let dir = TempDir::new();
    let config = dir.path().join("renamed.conf");
    fs::write(&config, "rename-command SET STORE\n").unwrap();
    let mut scene = Scene::with(|server| server.config("include", config.to_str().unwrap()));
    let url = scene.serve("/a", Reply::ok(large()));
    assert!(scene.client.bytes(&["CACHE.GET", &url]) == large().as_bytes());
    assert_eq!(scene.server.gauge("cache_not_stored_refused"), 1);
    assert!(!scene.exists(&url));
}

#[test]
fn commands_pass_unchanged_while_large_values_land() {
    let mut scene = Scene::new();
    for round in 0..20 {
        let token = lease(&mut scene.client, "value", &["0"]);
        scene.client.ok(&["CACHE.FILL", "value", &token, &large()]);
        scene.client.ok(&["SET", "plain", ""]);
        assert_eq!(scene.client.text(&["GET", "plain"]), "", "round {round}");
        assert!(scene.client.bytes(&["GET", "value"]) == large().as_bytes(), "round {round}");
        assert_eq!(scene.client.int(&["DEL", "value", "plain"]), 2);
    }
}

#[test]
fn filled_values_of_every_size_arrive_whole() {
    let mut scene = Scene::new();
    // Sizes across the allocator's classes: a server moves an argument that has room to spare.
    for size in (1..60).map(|step| 65_537 + step * 4_099) {
        let value: String = ('a'..='w').cycle().take(size).collect();
        let token = lease(&mut scene.client, "value", &["0"]);
        scene.client.ok(&["CACHE.FILL", "value", &token, &value]);
        assert!(scene.client.text(&["GET", "value"]) == value, "{size} bytes");
        assert_eq!(scene.client.int(&["DEL", "value"]), 1);
    }
}
