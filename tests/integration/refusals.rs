//! A server that takes no writes still answers: from the cache, and unstored
//! from the origin.

use crate::fleet::lease;
use crate::handmade;
use crate::scene::{BODY, Scene};
use crate::support::{Reply, Value, until};

const OOM: &str = "OOM used memory is above 'maxmemory': no new download or lease is started";

#[test]
fn a_full_server_answers_what_is_there_and_in_the_air_and_starts_nothing() {
    let mut scene = Scene::with(|server| server.config("cache.max-reply-memory", "1mb"));
    let [hit, miss] = ["/hit", "/miss"].map(|path| scene.serve(path, Reply::ok(BODY)));
    scene.client.text(&["CACHE.GET", &hit]);
    handmade::stale("old").put(&mut scene.client, "stale");
    let mut flight = scene.take_off("/in-the-air");
    scene.client.ok(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(scene.client.error(&["SET", "key", "value"]).starts_with("OOM "));
    assert_eq!(scene.client.text(&["CACHE.GET", &hit]), BODY);
    for command in ["CACHE.GET", "CACHE.FETCH"] {
        assert_eq!(scene.client.error(&[command, &miss]), OOM);
        assert_eq!(scene.client.error(&[command, &miss, "NOWAIT"]), OOM);
    }
    assert_eq!(scene.client.error(&["CACHE.GET", &hit, "REFRESH"]), OOM);
    assert_eq!(scene.client.error(&["CACHE.LEASE", "key"]), OOM);
    let renewed = scene.client.array(&["CACHE.LEASE", "stale", "STALE"]);
    assert_eq!(renewed.len(), 2, "a lease was given: {renewed:?}");
    let places = scene.client.array(&["CACHE.MGET", "2", &hit, &miss]);
    assert_eq!(places[0], Value::BulkString(BODY.into()));
    assert!(matches!(&places[1], Value::ServerError(error) if error.code() == "OOM"));
    assert_eq!(scene.server.gauge("cache_refused_oom"), 8);
    assert_eq!(scene.origin.hits("/miss") + scene.origin.hits("/hit"), 1);
    let mut joiner = scene.waiters(&flight.url, 1).remove(0);
    flight.land();
    assert_eq!(joiner.reply_bytes(), BODY.as_bytes());
    assert_eq!(scene.server.gauge("cache_not_stored_oom"), 1);
    scene.client.ok(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(scene.client.text(&["CACHE.GET", &miss]), BODY);
    assert!(scene.exists(&miss));
}

/// Under each policy that evicts nothing here, and for a body that is large enough to be written off the main
/// thread.
#[test]
fn a_full_server_answers_whatever_its_policy_and_however_large_the_body() {
    let mut scene = Scene::new();
    let body = "x".repeat(80 << 10);
    scene.client.ok(&["SET", "forever", "a value"]);
    for policy in ["noeviction", "volatile-ttl", "volatile-lru", "volatile-random"] {
        scene.client.ok(&["CONFIG", "SET", "maxmemory-policy", policy]);
        let before = scene.server.gauge("cache_not_stored_oom");
        for n in 1..=2 {
            let (url, gate) = scene.hold_reply(&format!("/{policy}/{n}"), Reply::ok(&body));
            let mut waiters = scene.waiters(&url, 1);
            // A full server starts no download. This one is in the air when the server becomes full.
            scene.client.ok(&["CONFIG", "SET", "maxmemory", "1"]);
            scene.client.text(&["PING"]); // at a command the server sees that it is full
            gate.open();
            assert_eq!(waiters[0].reply_bytes().len(), 80 << 10, "{policy}");
            assert_eq!(scene.server.gauge("cache_not_stored_oom"), before + n, "{policy}");
            scene.client.ok(&["CONFIG", "SET", "maxmemory", "0"]);
        }
    }
    scene.still_works();
}

#[test]
fn a_refresh_that_finds_no_room_is_tried_again_after_the_backoff() {
    let mut scene = Scene::with(|server| server.config("cache.refresh-backoff", "3600"));
    let urls = ["/a", "/b"].map(|path| scene.serve(path, Reply::ok(BODY)));
    for key in [&urls[0], &urls[1], "leased"] {
        handmade::stale("old").put(&mut scene.client, key);
    }
    scene.client.ok(&["CONFIG", "SET", "maxmemory", "1"]);
    for _ in 0..5 {
        let old = scene.client.text(&["CACHE.GET", &urls[0], "60", "STALE", "86400"]);
        assert_eq!(old, "old");
        let words = ["CACHE.MGET", "2", &urls[0], &urls[1], "60", "STALE", "86400"];
        assert_eq!(scene.client.array(&words), vec![Value::BulkString("old".into()); 2]);
        assert_eq!(scene.client.array(&["CACHE.LEASE", "leased", "STALE"]).len(), 2);
    }
    assert_eq!(scene.server.gauge("cache_refused_oom"), 3, "one try for each key");
    scene.client.ok(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(scene.client.text(&["CACHE.GET", &urls[0], "60", "STALE", "86400"]), "old");
    assert_eq!(scene.origin.total(), 0);
    scene.client.ok(&["CONFIG", "SET", "cache.refresh-backoff", "0.01"]);
    // Who does not welcome a stale entry is not concerned.
    assert_eq!(scene.client.text(&["CACHE.GET", &urls[0]]), BODY);
}

#[test]
fn a_refresh_for_which_the_queue_is_full_is_tried_again_after_the_backoff() {
    let mut scene = Scene::with(|server| {
        server.config("cache.max-downloads", "1").config("cache.max-queued-downloads", "1")
    });
    scene.client.ok(&["CONFIG", "SET", "cache.refresh-backoff", "0.05"]);
    let url = scene.serve("/a", Reply::ok(BODY));
    handmade::stale("old").put(&mut scene.client, &url);
    let mut busy = scene.take_off("/busy");
    let (queued, gate) = scene.hold("/queued");
    let mut queued = scene.waiters(&queued, 1).remove(0);
    let call = ["CACHE.GET", &url, "60", "STALE", "86400"];
    scene.client.ok(&["MULTI"]);
    for _ in 0..50 {
        scene.client.text(&call);
    }
    scene.client.array(&["EXEC"]);
    let refused = scene.server.gauge("cache_failed_overloaded");
    assert!((1..50).contains(&refused), "{refused} tries");
    busy.land();
    gate.open();
    assert_eq!(queued.reply_bytes(), BODY.as_bytes());
    let mut client = scene.server.client();
    until("the entry to be refreshed", || client.text(&call) == BODY);
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn a_full_server_starts_nothing_for_a_script_either() {
    let mut scene = Scene::new();
    let miss = scene.serve("/miss", Reply::ok(BODY));
    scene.client.ok(&["CONFIG", "SET", "maxmemory", "1"]);
    let script = "#!lua flags=allow-oom\nreturn redis.pcall('CACHE.GET', KEYS[1])";
    assert_eq!(scene.client.error(&["EVAL", script, "1", &miss]), OOM);
    assert_eq!(scene.origin.total(), 0);
    assert_eq!(scene.server.gauge("cache_flights"), 0);
}

/// On a server that evicts, more than `maxmemory` is in use at most moments: that is no reason to refuse.
#[test]
fn a_full_server_that_evicts_goes_on_downloading_and_leasing() {
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let mut scene = Scene::new();
        let body = "x".repeat(1 << 20);
        scene.origin.otherwise(move |_| Reply::ok(&body));
        let limit = scene.server.gauge("used_memory") + (6 << 20);
        scene.client.ok(&["CONFIG", "SET", "maxmemory-policy", policy]);
        scene.client.ok(&["CONFIG", "SET", "maxmemory", &limit.to_string()]);
        for n in 0..20 {
            let urls = [0, 1, 2].map(|m| scene.origin.url(&format!("/{n}/{m}")));
            let bodies = scene.client.array(&["CACHE.MGET", "3", &urls[0], &urls[1], &urls[2]]);
            let whole = |body: &Value| matches!(body, Value::BulkString(b) if b.len() == 1 << 20);
            assert!(bodies.iter().all(whole), "{policy} {n}");
            let key = format!("key {n}");
            let token = lease(&mut scene.client, &key, &[]);
            scene.client.ok(&["CACHE.FILL", &key, &token, "value", "60"]);
        }
        assert!(scene.server.gauge("evicted_keys") >= 40);
        assert_eq!(scene.server.gauge("cache_refused_oom"), 0, "{policy}");
    }
}

#[test]
fn a_server_that_evicts_stores_all_the_same() {
    let mut scene = Scene::new();
    let body = "x".repeat(1 << 20);
    scene.origin.otherwise(move |_| Reply::ok(&body));
    let limit = scene.server.gauge("used_memory") + (8 << 20);
    scene.client.ok(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    scene.client.ok(&["CONFIG", "SET", "maxmemory", &limit.to_string()]);
    for n in 0..30 {
        let url = scene.origin.url(&format!("/{n}"));
        assert_eq!(scene.client.bytes(&["CACHE.GET", &url]).len(), 1 << 20);
    }
    assert!(scene.server.gauge("evicted_keys") >= 20);
    assert!(scene.client.int(&["DBSIZE"]) >= 1, "nothing at all was stored");
    assert_eq!(scene.server.gauge("cache_not_stored_oom"), 0);
}

#[test]
fn a_lock_key_that_is_evicted_changes_nothing() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    scene.client.ok(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    scene.client.ok(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = scene.client.error(&["SET", "key", "value"]); // evicts what there is, and fails
    assert!(full.starts_with("OOM "), "{full}");
    assert!(!scene.exists(&crate::scene::lock_key(&flight.url)));
    scene.client.ok(&["CONFIG", "SET", "maxmemory", "0"]);
    let mut joiner = scene.waiters(&flight.url, 1).remove(0);
    flight.land();
    assert_eq!(joiner.reply_bytes(), BODY.as_bytes());
    assert_eq!(scene.client.text(&["CACHE.GET", &flight.url]), BODY);
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn a_write_refused_for_another_reason_is_counted_apart() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    scene.client.ok(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    flight.land();
    scene.until_all_landed();
    assert!(!scene.exists(&flight.url));
    assert_eq!(scene.server.gauge("cache_not_stored_refused"), 1);
    scene.client.ok(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert_eq!(scene.client.text(&["CACHE.GET", &flight.url]), BODY);
    assert!(scene.exists(&flight.url));
}

#[test]
fn a_server_whose_disk_is_full_answers_who_waits_and_peek() {
    let mut scene = Scene::with(|server| server.config("save", "3600 1"));
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url]);
    let mut flight = scene.take_off("/in-the-air");
    let token = lease(&mut scene.client, "value", &["0", "TTL", "3600"]);
    // No save can succeed where its file is a folder, which is as good as a full disk.
    let in_the_way = scene.server.dir().join("dump.rdb");
    std::fs::create_dir(&in_the_way).unwrap();
    scene.client.call(&["BGSAVE"]).unwrap();
    until("the save to fail", || {
        scene.server.info("rdb_last_bgsave_status").as_deref() == Some("err")
    });
    flight.land();
    assert_eq!(scene.server.gauge("cache_not_stored_refused"), 1);
    assert!(!scene.exists(&flight.url));
    assert_eq!(scene.client.text(&["CACHE.PEEK", &url]), BODY);
    for call in [
        &["CACHE.GET", &url][..],
        &["CACHE.GET", &flight.url],
        &["CACHE.FILL", "value", &token, "computed"],
    ] {
        let error = scene.client.error(call);
        assert!(error.starts_with("MISCONF "), "{call:?}: {error}");
    }
    std::fs::remove_dir(&in_the_way).unwrap();
    scene.client.call(&["BGSAVE"]).unwrap();
    until("the save to succeed", || {
        scene.server.info("rdb_last_bgsave_status").as_deref() == Some("ok")
    });
    scene.client.ok(&["CACHE.FILL", "value", &token, "computed"]);
    assert_eq!(scene.client.text(&["CACHE.GET", &flight.url]), BODY);
    assert!(scene.exists(&flight.url));
}

#[test]
fn a_full_server_refuses_what_is_computed_and_keeps_the_lease() {
    let mut scene = Scene::new();
    let token = lease(&mut scene.client, "value", &["0", "TTL", "3600"]);
    let mut waiter = scene.server.client();
    waiter.send(&["CACHE.LEASE", "value", "0"]);
    scene.server.until_gauge("cache_waiters", 1);
    scene.client.ok(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = scene.client.error(&["CACHE.FILL", "value", &token, "computed"]);
    assert!(refused.starts_with("OOM "), "{refused}");
    scene.client.ok(&["CONFIG", "SET", "maxmemory", "0"]);
    scene.client.ok(&["CACHE.FILL", "value", &token, "computed"]);
    let told = waiter.array(&["PING"]); // the reply to the lease comes first
    assert_eq!(told[1], Value::BulkString("computed".into()));
}
