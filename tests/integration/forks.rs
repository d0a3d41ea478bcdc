//! The server forks, to save itself or to rewrite its log, while flights are in the air, and they land while
//! the child is at work.

use crate::fleet::lease;
use crate::scene::{BODY, Scene, lock_key};
use crate::support::{Client, Gate, Reply, Value, until};

/// How long a child takes over each key, in microseconds: so long that flights land meanwhile.
const SLOW: &str = "600000";

/// Clients that wait for a small body, a large one, and a lease; all of them land together.
struct Flights {
    small: String,
    large: String,
    gate: Gate,
    waiters: Vec<Client>,
    token: String,
}

impl Flights {
    fn take_off(scene: &mut Scene) -> Self {
        let gate = Gate::closed();
        let small = scene.serve("/small", Reply::ok(BODY).gate(&gate));
        let large = scene.serve("/large", Reply::ok(BODY.repeat(10_000)).gate(&gate));
        let mut waiters = scene.waiters(&small, 3);
        waiters.extend(scene.waiters(&large, 3));
        scene.origin.until_total(2);
        let token = lease(&mut scene.client, "value", &["0", "TTL", "3600"]);
        Self { small, large, gate, waiters, token }
    }

    fn land(self, scene: &mut Scene) {
        self.gate.open();
        for (at, mut waiter) in self.waiters.into_iter().enumerate() {
            let body = if at < 3 { BODY.to_owned() } else { BODY.repeat(10_000) };
            assert_eq!(waiter.reply_bytes(), body.into_bytes());
        }
        scene.client.ok(&["CACHE.FILL", "value", &self.token, "computed"]);
    }

    fn keys(&self) -> [String; 3] {
        [self.small.clone(), self.large.clone(), "value".to_owned()]
    }
}

/// Asserts that each of these is there, or that none is, and that neither way anybody is blocked.
fn are_there(scene: &Scene, keys: &[String], there: bool) {
    for key in keys {
        assert_eq!(scene.exists(key), there, "{key}");
    }
    let mut client = scene.server.client();
    for url in &keys[..2] {
        client.bytes(&["CACHE.GET", url]);
    }
    let answer = client.array(&["CACHE.LEASE", "value", "0"]);
    let word = if there { "value" } else { "lease" };
    assert_eq!(answer[0], Value::BulkString(word.into()));
}

#[test]
fn a_save_in_the_background_keeps_flights_and_their_lock_keys_apart() {
    let mut scene = Scene::new();
    let flights = Flights::take_off(&mut scene);
    scene.client.ok(&["CONFIG", "SET", "rdb-key-save-delay", SLOW]);
    scene.client.call(&["BGSAVE"]).unwrap();
    let keys = flights.keys();
    flights.land(&mut scene);
    assert_eq!(scene.server.gauge("rdb_bgsave_in_progress"), 1, "the child was too fast");
    scene.server.until_gauge("rdb_bgsave_in_progress", 0);
    assert_eq!(scene.server.info("rdb_last_bgsave_status").as_deref(), Some("ok"));
    scene.server.restart();
    assert!(keys.iter().all(|key| scene.exists(&lock_key(key))), "what is tested?");
    are_there(&scene, &keys, false);
}

#[test]
fn what_lands_while_the_log_is_rewritten_is_in_the_log() {
    let mut scene =
        Scene::with(|server| server.config("appendonly", "yes").config("appendfsync", "always"));
    let flights = Flights::take_off(&mut scene);
    scene.client.ok(&["CONFIG", "SET", "rdb-key-save-delay", SLOW]);
    scene.client.call(&["BGREWRITEAOF"]).unwrap();
    let keys = flights.keys();
    flights.land(&mut scene);
    assert_eq!(scene.server.gauge("aof_rewrite_in_progress"), 1, "the child was too fast");
    scene.server.until_gauge("aof_rewrite_in_progress", 0);
    assert_eq!(scene.server.info("aof_last_bgrewrite_status").as_deref(), Some("ok"));
    scene.server.restart();
    are_there(&scene, &keys, true);
}

#[test]
fn what_lands_while_the_log_is_rewritten_outlives_a_kill_before_that_is_done() {
    let mut scene =
        Scene::with(|server| server.config("appendonly", "yes").config("appendfsync", "always"));
    let flights = Flights::take_off(&mut scene);
    scene.client.ok(&["CONFIG", "SET", "rdb-key-save-delay", SLOW]);
    scene.client.call(&["BGREWRITEAOF"]).unwrap();
    let keys = flights.keys();
    flights.land(&mut scene);
    assert_eq!(scene.server.gauge("aof_rewrite_in_progress"), 1, "the child was too fast");
    scene.server.restart();
    are_there(&scene, &keys, true);
}

#[test]
fn a_shutdown_that_saves_leaves_nobody_blocked() {
    let mut scene = Scene::with(|server| server.config("shutdown-timeout", "0"));
    let flights = Flights::take_off(&mut scene);
    scene.client.send(&["SHUTDOWN", "SAVE"]);
    assert!(scene.server.until_ended(), "{}", scene.server.log());
    let keys = flights.keys();
    for mut waiter in flights.waiters {
        let end = waiter.reply_error();
        assert!(end.starts_with("no reply"), "{end}");
    }
    flights.gate.open();
    scene.server.restart();
    assert!(keys.iter().all(|key| scene.exists(&lock_key(key))), "what is tested?");
    are_there(&scene, &keys, false);
    until("the flights to land", || scene.server.gauge("cache_downloads") == 2);
}
