//! Content that is gone: an origin that is there and says so ends the entry, however long it was to be served
//! stale. An outage does not.

use crate::fleet::{as_master, fence, replica_of};
use crate::handmade;
use crate::scene::Scene;
use crate::support::{Gate, Reply, Server, until};

const GONE: [(u16, &str); 6] = [
    (401, "Unauthorized"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (410, "Gone"),
    (451, "Unavailable For Legal Reasons"),
];

const OUTAGES: [(u16, &str); 6] = [
    (407, "Proxy Authentication Required"),
    (408, "Request Timeout"),
    (429, "Too Many Requests"),
    (500, "Internal Server Error"),
    (503, "Service Unavailable"),
    (504, "Gateway Timeout"),
];

#[test]
fn what_is_gone_ends_the_entry_and_an_outage_does_not() {
    let mut scene = Scene::with(|server| server.config("cache.refresh-backoff", "0"));
    for (status, reason) in GONE {
        let url = scene.serve(&format!("/{status}"), Reply::status(status, reason));
        let call = ["CACHE.GET", &url, "60", "10", "STALE", "3600"];
        handmade::stale("old").put(&mut scene.client, &url);
        assert_eq!(scene.client.text(&call), "old");
        scene.until_all_landed();
        assert!(!scene.exists(&url), "{status}");
        assert_eq!(scene.client.error(&call), format!("HTTPSTATUS {status} {reason}"));
    }
    assert_eq!(scene.server.gauge("cache_ended_by_origin"), GONE.len() as u64);
    assert_eq!(scene.server.gauge("cache_failed_refreshes"), 0);
    for (status, reason) in OUTAGES {
        let url = scene.serve(&format!("/{status}"), Reply::status(status, reason));
        let call = ["CACHE.GET", &url, "60", "10", "STALE", "3600"];
        handmade::stale("old").put(&mut scene.client, &url);
        for _ in 0..3 {
            assert_eq!(scene.client.text(&call), "old", "{status}");
            scene.until_all_landed();
        }
    }
    assert_eq!(scene.server.gauge("cache_ended_by_origin"), GONE.len() as u64);
}

#[test]
fn those_who_wait_get_the_error_and_a_fresh_entry_ends_too() {
    for entry in [handmade::stale("old"), handmade::fresh("old")] {
        let mut scene = Scene::new();
        let gate = Gate::closed();
        let url = scene.serve("/a", Reply::status(410, "Gone").gate(&gate));
        entry.put(&mut scene.client, &url);
        let mut waiters = scene.server.clients(3);
        for waiter in &mut waiters {
            waiter.send(&["CACHE.GET", &url, "60", "0", "REFRESH"]);
        }
        scene.server.until_gauge("cache_waiters", 3);
        gate.open();
        for waiter in &mut waiters {
            assert_eq!(waiter.reply_error(), "HTTPSTATUS 410 Gone");
            assert!(!scene.exists(&url));
        }
    }
}

#[test]
fn a_variant_ends_and_those_who_track_its_url_hear_of_it() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok("old"));
    let call = ["CACHE.GET", &url, "60", "10", "REFRESH", "HEADER", "Accept", "x"];
    scene.client.ok(&["CONFIG", "SET", "notify-keyspace-events", "KA"]);
    assert_eq!(scene.client.text(&call), "old");
    assert_eq!(scene.client.int(&["DBSIZE"]), 1);
    let mut watcher = scene.server.client();
    watcher.ok(&["WATCH", &url]);
    scene.serve("/a", Reply::status(404, "Not Found"));
    assert_eq!(scene.client.error(&call), "HTTPSTATUS 404 Not Found");
    assert_eq!(scene.client.int(&["DBSIZE"]), 0);
    watcher.ok(&["MULTI"]);
    watcher.call(&["PING"]).unwrap();
    watcher.null(&["EXEC"]);
}

#[test]
fn what_somebody_put_there_without_a_head_stays() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::status(404, "Not Found"));
    scene.client.ok(&["SET", &url, "seeded"]);
    let error = scene.client.error(&["CACHE.GET", &url, "60", "10", "REFRESH"]);
    assert_eq!(error, "HTTPSTATUS 404 Not Found");
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), "seeded");
    assert_eq!(scene.server.gauge("cache_failed_refreshes"), 1);
}

#[test]
fn a_flight_that_may_not_write_ends_nothing() {
    let void: fn(&mut Scene) = |scene| scene.client.ok(&["FLUSHALL"]);
    let pause: fn(&mut Scene) = |scene| scene.client.ok(&["CLIENT", "PAUSE", "100000", "WRITE"]);
    for forbid in [void, pause] {
        let mut scene = Scene::new();
        let gate = Gate::closed();
        let url = scene.serve("/a", Reply::status(404, "Not Found").gate(&gate));
        handmade::stale("old").put(&mut scene.client, &url);
        let mut waits = scene.waiters(&url, 1).remove(0);
        scene.origin.until_hits("/a", 1);
        forbid(&mut scene);
        if !scene.exists(&url) {
            handmade::stale("from after the flush").put(&mut scene.client, &url);
        }
        gate.open();
        assert_eq!(waits.reply_error(), "HTTPSTATUS 404 Not Found");
        assert!(scene.exists(&url));
        assert_eq!(scene.server.gauge("cache_ended_by_origin"), 0);
    }
}

#[test]
fn a_server_that_refuses_writes_keeps_the_entry() {
    let few_replicas: fn(&mut Scene) =
        |scene| scene.client.ok(&["CONFIG", "SET", "min-replicas-to-write", "9"]);
    let broken_disk: fn(&mut Scene) = |scene| {
        // No save can succeed where its file is a folder.
        std::fs::create_dir(scene.server.dir().join("dump.rdb")).unwrap();
        scene.client.call(&["BGSAVE"]).unwrap();
        until("a save to fail", || {
            scene.server.info("rdb_last_bgsave_status").as_deref() == Some("err")
        });
    };
    for (forbid, code) in [(few_replicas, "NOREPLICAS "), (broken_disk, "MISCONF ")] {
        let mut scene = Scene::with(|server| server.config("save", "3600 1"));
        let gate = Gate::closed();
        let url = scene.serve("/a", Reply::status(404, "Not Found").gate(&gate));
        handmade::stale("old").put(&mut scene.client, &url);
        let mut waits = scene.waiters(&url, 1).remove(0);
        scene.origin.until_hits("/a", 1);
        forbid(&mut scene);
        let refused = scene.client.error(&["SET", "key", "value"]);
        assert!(refused.starts_with(code), "{refused}");
        gate.open();
        assert_eq!(waits.reply_error(), "HTTPSTATUS 404 Not Found");
        scene.until_all_landed();
        assert!(scene.exists(&url));
        assert_eq!(scene.server.gauge("cache_ended_by_origin"), 0);
    }
}

#[test]
fn a_replica_without_the_module_follows() {
    let mut scene = Scene::with(as_master);
    let replica = replica_of(&scene.server, Server::builder().without_module());
    let url = scene.serve("/a", Reply::status(404, "Not Found"));
    handmade::stale("old").put(&mut scene.client, &url);
    fence(&mut scene.client);
    assert_eq!(replica.client().int(&["EXISTS", &url]), 1);
    scene.client.error(&["CACHE.GET", &url]);
    fence(&mut scene.client);
    assert_eq!(replica.client().int(&["EXISTS", &url]), 0);
}
