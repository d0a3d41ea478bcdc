//! Stale service: what is past its expiry is still answered, at once, to
//! those who welcome it, while one flight refreshes it behind them.

use crate::handmade::{self, fresh_until};
use crate::scene::{BODY, Scene};
use crate::support::client::bytes_of;
use crate::support::{Gate, Origin, Reply, Value, until};

/// A stale `"old"` at a path, behind which the origin has [`BODY`], gated.
fn stale_and_held(scene: &mut Scene, path: &str) -> (String, Gate) {
    let (url, gate) = scene.hold(path);
    handmade::stale("old").put(&mut scene.client, &url);
    (url, gate)
}

#[test]
fn a_hundred_who_welcome_a_stale_entry_make_one_request_and_none_waits() {
    let mut scene = Scene::new();
    let (url, gate) = stale_and_held(&mut scene, "/a");
    let mut clients = scene.server.clients(100);
    for client in &mut clients {
        client.send(&["CACHE.GET", &url, "60", "0", "STALE", "3600"]);
    }
    for client in &mut clients {
        assert_eq!(client.reply_bytes(), b"old");
    }
    assert_eq!(scene.server.gauge("cache_waiters"), 0);
    assert_eq!(scene.server.gauge("cache_stale_hits"), 100);
    assert_eq!(scene.server.gauge("cache_hits"), 0);
    scene.origin.until_hits("/a", 1);
    gate.open();
    scene.until_body(&url, BODY);
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn an_entry_is_kept_for_its_stale_window_past_its_expiry() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok("old"));
    scene.client.text(&["CACHE.GET", &url, "0.05", "10", "STALE", "600"]);
    scene.until_expired(&url);
    assert_eq!(scene.client.text(&["CACHE.PEEK", &url, "STALE", "600"]), "old");
    scene.origin.on("/a", Reply::ok("new"));
    assert_eq!(scene.client.text(&["CACHE.GET", &url, "60", "10", "STALE", "600"]), "old");
    scene.until_body(&url, "new");
    assert_eq!(scene.origin.hits("/a"), 2);
}

#[test]
fn the_key_lives_for_expiry_and_stale_window_together() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    for (expiry, stale, window) in [("60", "600", 600_000), ("60", "0", 0), ("60", "0.5", 500)] {
        scene.client.text(&["CACHE.GET", &url, expiry, "10", "STALE", stale, "REFRESH"]);
        let fresh = fresh_until(&mut scene.client, &url);
        assert_eq!(scene.client.int(&["PEXPIRETIME", &url]) - fresh, window, "{stale}");
    }
    scene.client.text(&["CACHE.GET", &url, "-1", "10", "STALE", "600", "REFRESH"]);
    assert_eq!(scene.client.int(&["PTTL", &url]), -1);
}

#[test]
fn what_the_leader_asks_for_is_stored_and_not_what_a_joiner_or_hitter_does() {
    let mut scene = Scene::new();
    let (url, gate) = scene.hold("/a");
    let (mut leader, mut joiner) = (scene.server.client(), scene.server.client());
    leader.send(&["CACHE.GET", &url, "100", "0", "STALE", "1000"]);
    scene.server.until_gauge("cache_waiters", 1);
    joiner.send(&["CACHE.GET", &url, "7", "0", "STALE", "70"]);
    scene.server.until_gauge("cache_waiters", 2);
    gate.open();
    leader.reply_bytes();
    joiner.reply_bytes();
    let ends = scene.client.int(&["PEXPIRETIME", &url]);
    assert_eq!(ends - fresh_until(&mut scene.client, &url), 1_000_000);
    let left = scene.client.int(&["PTTL", &url]);
    assert!((1_050_000..=1_100_000).contains(&left), "{left}");
    scene.client.text(&["CACHE.GET", &url, "7", "0", "STALE", "70"]);
    assert_eq!(scene.client.int(&["PEXPIRETIME", &url]), ends, "a hit has moved it");
}

#[test]
fn a_hitters_own_stale_caps_how_stale_it_accepts() {
    let mut scene = Scene::new();
    let (url, gate) = stale_and_held(&mut scene, "/a"); // stale by a minute
    assert_eq!(scene.client.text(&["CACHE.PEEK", &url, "STALE", "3600"]), "old");
    scene.client.null(&["CACHE.PEEK", &url, "STALE", "30"]);
    scene.client.null(&["CACHE.PEEK", &url, "STALE", "0"]);
    scene.client.null(&["CACHE.PEEK", &url]);
    let mut choosy = scene.server.client();
    choosy.send(&["CACHE.GET", &url, "60", "0", "STALE", "30"]);
    scene.server.until_gauge("cache_waiters", 1);
    assert_eq!(scene.client.text(&["CACHE.GET", &url, "60", "0", "STALE", "3600"]), "old");
    gate.open();
    assert_eq!(choosy.reply_bytes(), BODY.as_bytes());
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn who_does_not_welcome_stale_waits_for_the_refresh_in_the_air() {
    let mut scene = Scene::new();
    let (url, gate) = stale_and_held(&mut scene, "/a");
    assert_eq!(scene.client.text(&["CACHE.GET", &url, "60", "0", "STALE", "3600"]), "old");
    scene.origin.until_hits("/a", 1);
    let mut waits = scene.waiters(&url, 1).remove(0);
    gate.open();
    assert_eq!(waits.reply_bytes(), BODY.as_bytes());
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn who_does_not_welcome_stale_gets_the_error_and_the_stale_entry_stays() {
    let mut scene = Scene::new();
    let gate = Gate::closed();
    let url = scene.serve("/a", Reply::status(502, "Bad Gateway").gate(&gate));
    handmade::stale("old").put(&mut scene.client, &url);
    let mut waits = scene.waiters(&url, 1).remove(0);
    gate.open();
    assert_eq!(waits.reply_error(), "HTTPSTATUS 502 Bad Gateway");
    assert_eq!(scene.client.text(&["CACHE.PEEK", &url, "STALE", "3600"]), "old");
    assert_eq!(scene.client.text(&["CACHE.GET", &url, "60", "0", "STALE", "3600"]), "old");
    assert_eq!(scene.server.gauge("cache_failed_refreshes"), 1);
}

#[test]
fn stale_survives_an_origin_that_dies() {
    let mut scene = Scene::new();
    let origin = Origin::start();
    origin.on("/a", Reply::ok(BODY));
    let url = origin.url("/a");
    scene.client.text(&["CACHE.GET", &url, "0.05", "10", "STALE", "600"]);
    scene.until_expired(&url);
    drop(origin);
    for failed in 1..=3 {
        assert_eq!(scene.client.text(&["CACHE.GET", &url, "60", "10", "STALE", "600"]), BODY);
        scene.until_all_landed();
        assert_eq!(scene.server.gauge("cache_failed_refreshes"), 1, "call {failed}");
    }
    assert!(scene.client.error(&["CACHE.GET", &url]).starts_with("FETCHFAILED "));
    assert_eq!(scene.client.text(&["CACHE.PEEK", &url, "STALE", "600"]), BODY);
}

#[test]
fn a_failed_refresh_holds_back_the_next_for_the_backoff() {
    let mut scene = Scene::with(|server| server.config("cache.refresh-backoff", "3600"));
    let url = scene.serve("/a", Reply::status(500, "Internal Server Error"));
    handmade::stale("old").put(&mut scene.client, &url);
    for _ in 0..20 {
        assert_eq!(scene.client.text(&["CACHE.GET", &url, "60", "10", "STALE", "3600"]), "old");
        scene.until_all_landed();
    }
    assert_eq!(scene.origin.hits("/a"), 1);
    assert_eq!(scene.server.gauge("cache_failed_refreshes"), 1);
    assert_eq!(scene.server.gauge("cache_stale_hits"), 20);
    scene.origin.on("/a", Reply::ok("new"));
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), "new", "who must wait is held back too");
}

#[test]
fn a_refresh_that_brings_what_must_not_be_stored_holds_back_the_next() {
    let mut scene = Scene::with(|server| {
        server.config("cache.refresh-backoff", "3600").config("cache.respect-no-store", "yes")
    });
    let url = scene.serve("/a", Reply::ok("new").header("Cache-Control", "no-store"));
    handmade::stale("old").put(&mut scene.client, &url);
    for _ in 0..5 {
        assert_eq!(scene.client.text(&["CACHE.GET", &url, "60", "10", "STALE", "3600"]), "old");
        scene.until_all_landed();
    }
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn a_void_refresh_holds_back_none() {
    let mut scene = Scene::with(|server| server.config("cache.refresh-backoff", "3600"));
    let (url, gate) = scene.hold("/a");
    let stale = ["CACHE.GET", &url, "60", "10", "STALE", "3600"];
    handmade::stale("old").put(&mut scene.client, &url);
    assert_eq!(scene.client.text(&stale), "old");
    scene.origin.until_hits("/a", 1);
    scene.client.ok(&["FLUSHALL"]);
    handmade::stale("older").put(&mut scene.client, &url);
    gate.open();
    scene.until_all_landed();
    assert_eq!(scene.server.gauge("cache_not_stored_void"), 1);
    assert_eq!(scene.client.text(&stale), "older");
    scene.origin.until_hits("/a", 2);
}

#[test]
fn when_the_backoff_has_passed_the_next_stale_hit_refreshes() {
    let mut scene = Scene::with(|server| server.config("cache.refresh-backoff", "0.05"));
    let url = scene.serve("/a", Reply::status(500, "Internal Server Error"));
    handmade::stale("old").put(&mut scene.client, &url);
    let stale = ["CACHE.GET", &url, "60", "10", "STALE", "3600"];
    let (mut client, origin) = (scene.server.client(), &scene.origin);
    until("another refresh", || client.text(&stale) == "old" && origin.hits("/a") == 2);
    origin.on("/a", Reply::ok("new"));
    until("the origin to be well again", || client.text(&stale) == "new");
}

#[test]
fn each_key_has_a_backoff_of_its_own() {
    let mut scene = Scene::with(|server| server.config("cache.refresh-backoff", "3600"));
    for path in ["/a", "/b"] {
        let url = scene.serve(path, Reply::status(500, "Internal Server Error"));
        handmade::stale("old").put(&mut scene.client, &url);
        scene.client.text(&["CACHE.GET", &url, "60", "10", "STALE", "3600"]);
        scene.origin.until_hits(path, 1);
        scene.until_all_landed();
    }
}

#[test]
fn a_stale_hit_inside_multi_and_lua_is_answered_and_refreshes_once() {
    let mut scene = Scene::new();
    let (url, gate) = stale_and_held(&mut scene, "/a");
    let stale = ["CACHE.GET", &url, "60", "0", "STALE", "3600"];
    scene.client.ok(&["MULTI"]);
    scene.client.text(&stale);
    scene.client.text(&stale);
    let old = Value::BulkString(b"old".into());
    assert_eq!(scene.client.array(&["EXEC"]), [old.clone(), old]);
    let script = "return redis.call('CACHE.GET', KEYS[1], '60', '0', 'STALE', '3600')";
    assert_eq!(scene.client.text(&["EVAL", script, "1", &url]), "old");
    gate.open();
    scene.until_body(&url, BODY);
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn a_stale_hit_whose_refresh_cannot_start_is_answered_all_the_same() {
    let mut scene = Scene::new();
    let key = "ftp://no.origin/at-all";
    handmade::stale("old").put(&mut scene.client, key);
    assert_eq!(scene.client.text(&["CACHE.GET", key, "60", "10", "STALE", "3600"]), "old");
    assert!(scene.client.error(&["CACHE.GET", key]).starts_with("ERR invalid url: "));
}

#[test]
fn a_stale_entry_that_was_moved_or_copied_still_works() {
    for how in ["RENAME", "COPY", "DUMP"] {
        let mut scene = Scene::new();
        let [from, to] = ["/from", "/to"].map(|path| scene.serve(path, Reply::ok(BODY)));
        handmade::stale("old").header("etag", "\"v1\"").put(&mut scene.client, &from);
        if how == "DUMP" {
            let dump = bytes_of(scene.client.call(&["DUMP", &from]).unwrap());
            scene.client.ok(&[b"RESTORE".as_ref(), to.as_bytes(), b"3600000", &dump]);
        } else {
            scene.client.call(&[how, &from, &to]).unwrap();
        }
        let stale = ["CACHE.GET", &to, "60", "10", "STALE", "3600"];
        assert_eq!(scene.client.text(&stale), "old", "{how}");
        scene.until_body(&to, BODY);
        assert_eq!((scene.origin.hits("/from"), scene.origin.hits("/to")), (0, 1), "{how}");
        let asked = scene.origin.requests().remove(0);
        assert_eq!(asked.header("if-none-match"), Some("\"v1\""), "{how}");
    }
}
