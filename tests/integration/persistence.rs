//! Entries are plain strings: they are saved, logged and replicated with no
//! help from the module, and outlive it.

use std::fs;

use crate::scene::{BODY, Scene};
use crate::support::server::Builder;
use crate::support::{Reply, Server, until};

/// Every file under the server's folder whose path holds this text, read whole.
fn files(dir: &std::path::Path, part: &str) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path, part));
        } else if path.to_str().unwrap().contains(part) {
            all.extend(fs::read(&path).unwrap());
        }
    }
    all
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// What is stored at a URL, and when it ends.
fn stored(server: &Server, url: &str) -> (Vec<u8>, i64) {
    let mut client = server.client();
    (client.bytes(&["GET", url]), client.int(&["PEXPIRETIME", url]))
}

#[test]
fn entries_survive_a_save_and_a_restart() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url, "600"]);
    let before = stored(&scene.server, &url);
    scene.client.ok(&["SAVE"]);
    scene.server.restart();
    assert_eq!(stored(&scene.server, &url), before);
    assert_eq!(scene.server.client().text(&["CACHE.GET", &url]), BODY);
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn entries_load_without_the_module() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url, "600"]);
    let before = stored(&scene.server, &url);
    scene.client.ok(&["SAVE"]);
    scene.server.restart_as(Builder::without_module);
    assert_eq!(stored(&scene.server, &url), before);
    assert!(scene.server.client().error(&["CACHE.GET", &url]).starts_with("ERR unknown command"));
}

#[test]
fn a_landing_reaches_the_append_only_file_as_one_set() {
    let mut scene =
        Scene::with(|server| server.config("appendonly", "yes").config("appendfsync", "always"));
    let url = scene.serve("/a", Reply::ok(BODY));
    let forever = scene.serve("/forever", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url, "600"]);
    scene.client.text(&["CACHE.GET", &forever, "-1"]);
    let before = [&url, &forever].map(|url| stored(&scene.server, url));
    let log = files(scene.server.dir(), ".aof");
    assert!(holds(&log, "PXAT") && holds(&log, &url));
    assert!(!holds(&log, "cache:lock:"), "lock keys are logged");
    assert!(!holds(&log, "CACHE.GET") && !holds(&log, "cache.get"), "the command is logged");
    scene.server.restart_as(Builder::without_module);
    let after = [&url, &forever].map(|url| stored(&scene.server, url));
    assert_eq!(after, before);
}

#[test]
fn a_replica_without_the_module_follows() {
    let mut scene = Scene::with(|server| server.config("repl-diskless-sync-delay", "0"));
    let master = format!("127.0.0.1 {}", scene.server.port());
    let replica = Server::builder().without_module().start();
    let master: Vec<_> = master.split(' ').collect();
    replica.client().ok(&["REPLICAOF", master[0], master[1]]);
    until("the link", || replica.info("master_link_status").as_deref() == Some("up"));

    let mut flight = scene.take_off("/a");
    scene.client.ok(&["SET", "a fence", "1"]);
    assert_eq!(scene.client.int(&["WAIT", "1", "20000"]), 1);
    assert_eq!(replica.client().int(&["DBSIZE"]), 1, "the lock key was replicated");
    flight.land();
    let sent = stored(&scene.server, &flight.url);
    scene.client.ok(&["SET", "another fence", "1"]);
    assert_eq!(scene.client.int(&["WAIT", "1", "20000"]), 1);
    assert_eq!(stored(&replica, &flight.url), sent);
}

#[test]
fn a_replica_with_the_module_serves_what_its_master_fetched() {
    let mut scene = Scene::with(|server| server.config("repl-diskless-sync-delay", "0"));
    let url = scene.serve("/a", Reply::ok(BODY));
    let replica = Server::start();
    replica.client().ok(&["REPLICAOF", "127.0.0.1", &scene.server.port().to_string()]);
    until("the link", || replica.info("master_link_status").as_deref() == Some("up"));
    scene.client.text(&["CACHE.GET", &url]);
    assert_eq!(scene.client.int(&["WAIT", "1", "20000"]), 1);
    assert_eq!(replica.client().text(&["CACHE.PEEK", &url]), BODY);
}
