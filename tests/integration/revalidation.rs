//! Revalidation: an origin that says 304 spares the body, and the entry gets
//! a new life where it lies.

use crate::fetched::fetch;
use crate::handmade::{self, FIXED, fresh_until, now};
use crate::scene::{BODY, Scene};
use crate::support::server::Builder;
use crate::support::{Gate, Reply, Request, Server, Value, until};

/// An answer to a conditional request.
pub fn not_modified() -> Reply {
    Reply::status(304, "Not Modified")
}

/// Puts a stale entry with `ETag: "v1"` at a path whose origin answers 304
/// to whoever has that, and [`BODY`] to others.
fn stale_with_etag(scene: &mut Scene, path: &str, body: &[u8]) -> String {
    let of = |request: &Request| match request.header("if-none-match") {
        Some("\"v1\"") => not_modified(),
        _ => Reply::ok(BODY),
    };
    scene.origin.on_fn(path, of);
    let url = scene.origin.url(path);
    handmade::stale(body).header("etag", "\"v1\"").put(&mut scene.client, &url);
    url
}

/// What lies behind the two fixed lines.
fn rest(scene: &mut Scene, url: &str) -> Vec<u8> {
    scene.client.bytes(&["GET", url])[FIXED..].to_vec()
}

#[test]
fn the_origin_is_asked_with_the_stored_validators() {
    for (etag, modified) in [
        (Some("\"v1\""), None),
        (Some("W/\"v1\""), None),
        (None, Some("Sat, 01 Nov 2025 10:00:00 GMT")),
        (Some("W/\"v1\""), Some("Sat, 01 Nov 2025 10:00:00 GMT")),
    ] {
        let mut scene = Scene::new();
        let with = |reply: Reply, name, value| match value {
            Some(value) => reply.header(name, value),
            None => reply,
        };
        let reply = with(with(Reply::ok(BODY), "ETag", etag), "Last-Modified", modified);
        let url = scene.serve("/a", reply);
        scene.client.text(&["CACHE.GET", &url]);
        scene.origin.on("/a", not_modified());
        let call = ["CACHE.FETCH", &url, "60", "10", "REFRESH"];
        let fetched = fetch(&mut scene.client, &call);
        assert_eq!((fetched.cache.as_str(), fetched.body), ("revalidated", BODY.into()));
        let asked = scene.origin.requests();
        assert_eq!(asked[0].header("if-none-match"), None);
        assert_eq!(asked[0].header("if-modified-since"), None);
        assert_eq!(asked[1].header("if-none-match"), etag);
        assert_eq!(asked[1].header("if-modified-since"), modified);
    }
}

#[test]
fn a_304_keeps_the_bytes_and_renews_the_freshness() {
    let mut scene = Scene::new();
    let url = stale_with_etag(&mut scene, "/a", b"\0the old body\xff");
    let before = rest(&mut scene, &url);
    let start = now();
    assert_eq!(
        scene.client.bytes(&["CACHE.GET", &url, "100", "10", "STALE", "30"]),
        b"\0the old body\xff"
    );
    assert_eq!(rest(&mut scene, &url), before);
    let until = fresh_until(&mut scene.client, &url);
    assert!((start + 100_000..=now() + 100_000).contains(&until), "{start} {until}");
    assert_eq!(scene.client.int(&["PEXPIRETIME", &url]), until + 30_000);
    assert_eq!(scene.client.int(&["DBSIZE"]), 1, "the lock key stays");
    let hit = fetch(&mut scene.client, &["CACHE.FETCH", &url]);
    assert_eq!(hit.cache, "hit");
    assert!(hit.age < Some(30), "its age counts from the 304: {:?}", hit.age);
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn a_304_is_counted_apart_with_the_bytes_it_saved() {
    let mut scene = Scene::new();
    let url = stale_with_etag(&mut scene, "/a", &[b'x'; 1000]);
    scene.client.text(&["CACHE.GET", &url]);
    for (gauge, wanted) in [
        ("cache_revalidated", 1),
        ("cache_bytes_saved", 1000),
        ("cache_downloads", 0),
        ("cache_bytes_fetched", 0),
        ("cache_misses", 1),
    ] {
        assert_eq!(scene.server.gauge(gauge), wanted, "{gauge}");
    }
}

#[test]
fn a_304_may_give_an_entry_for_ever() {
    let mut scene = Scene::new();
    let url = stale_with_etag(&mut scene, "/a", b"old");
    assert_eq!(scene.client.text(&["CACHE.GET", &url, "-1"]), "old");
    assert_eq!(fresh_until(&mut scene.client, &url), 0);
    assert_eq!(scene.client.int(&["PTTL", &url]), -1);
}

/// Renews entries of this size for a millisecond.
fn renew_for_a_moment(body: &[u8]) {
    let mut scene = Scene::new();
    for n in 0..100 {
        let url = stale_with_etag(&mut scene, &format!("/{n}"), body);
        let reply = scene.client.call(&["CACHE.GET", &url, "0.001"]);
        assert!(reply == Ok(Value::BulkString(body.into())), "{:?}", reply.err());
    }
}

#[test]
fn an_entry_may_expire_as_it_is_renewed() {
    renew_for_a_moment(b"old");
}

#[test]
fn a_large_entry_may_expire_as_it_is_renewed() {
    renew_for_a_moment(&vec![b'x'; 100_000]);
}

#[test]
fn behind_a_stale_hit_a_304_renews_the_entry() {
    let mut scene = Scene::new();
    let url = stale_with_etag(&mut scene, "/a", b"old");
    assert_eq!(scene.client.text(&["CACHE.GET", &url, "60", "10", "STALE", "3600"]), "old");
    scene.until_body(&url, "old");
    assert_eq!(scene.server.gauge("cache_revalidated"), 1);
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn all_who_wait_for_a_304_get_the_body() {
    for size in [10, 100_000] {
        let mut scene = Scene::new();
        let (body, gate) = (vec![b'x'; size], Gate::closed());
        let url = scene.serve("/a", not_modified().gate(&gate));
        handmade::stale(&body).header("etag", "\"v1\"").put(&mut scene.client, &url);
        let mut waiters = scene.waiters(&url, 20);
        let mut group = scene.server.client();
        group.send(&["CACHE.MGET", "1", &url, "60", "0"]);
        scene.server.until_gauge("cache_waiters", 21);
        gate.open();
        for waiter in &mut waiters {
            assert_eq!(waiter.reply_bytes(), body);
        }
        let wanted = Value::Array(vec![Value::BulkString(body)]);
        assert_eq!(group.reply(), Ok(wanted));
        assert_eq!(scene.origin.hits("/a"), 1);
    }
}

#[test]
fn an_origin_that_answers_200_to_a_conditional_replaces_the_entry() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok("new").header("ETag", "\"v2\""));
    handmade::stale("old").header("etag", "\"v1\"").put(&mut scene.client, &url);
    let fetched = fetch(&mut scene.client, &["CACHE.FETCH", &url]);
    assert_eq!((fetched.cache.as_str(), fetched.body.as_slice()), ("miss", &b"new"[..]));
    assert_eq!(fetched.all("etag"), ["\"v2\""]);
    assert_eq!(scene.origin.requests()[0].header("if-none-match"), Some("\"v1\""));
    assert_eq!(scene.server.gauge("cache_revalidated"), 0);
}

#[test]
fn a_304_to_an_unconditional_request_is_an_error() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", not_modified());
    assert_eq!(scene.client.error(&["CACHE.GET", &url]), "HTTPSTATUS 304 Not Modified");
    handmade::stale("old").put(&mut scene.client, &url); // it has no validator
    assert_eq!(scene.client.error(&["CACHE.GET", &url]), "HTTPSTATUS 304 Not Modified");
    assert_eq!(scene.client.text(&["CACHE.PEEK", &url, "STALE", "3600"]), "old");
    assert_eq!(scene.server.gauge("cache_revalidated"), 0);
}

#[test]
fn a_304_that_names_another_version_renews_nothing_and_is_asked_again_without_a_condition() {
    for (named, renews) in [
        ("\"v2\"", false),
        ("W/\"v2\"", false),
        ("v1", false),
        ("\"v1\"", true),
        ("W/\"v1\"", true),
    ] {
        let mut scene = Scene::new();
        scene.origin.on_fn("/a", move |request| match request.header("if-none-match") {
            Some("W/\"v1\"") => not_modified().header("ETag", named),
            Some(other) => panic!("asked with {other:?}"),
            None => Reply::ok("new").header("ETag", "\"v2\""),
        });
        let url = scene.origin.url("/a");
        handmade::stale("old").header("etag", "W/\"v1\"").put(&mut scene.client, &url);
        let body = if renews { "old" } else { "new" };
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), body, "{named}");
        assert_eq!(scene.client.text(&["CACHE.PEEK", &url]), body, "{named}");
        assert_eq!(scene.origin.hits("/a"), if renews { 1 } else { 2 }, "{named}");
        assert_eq!(scene.server.gauge("cache_revalidated"), u64::from(renews), "{named}");
    }
}

#[test]
fn a_304_to_an_entry_without_an_etag_renews_it_or_is_asked_again_without_a_condition() {
    const OLD: &str = "Sat, 01 Nov 2025 10:00:00 GMT";
    const NEW: &str = "Sun, 02 Nov 2025 10:00:00 GMT";
    for (etag, modified, renews) in [
        (None, None, true),
        (None, Some(OLD), true),
        (Some("W/\"v1\""), Some(OLD), true),
        (Some("\"v2\""), None, false),
        (Some("\"v2\""), Some(OLD), false),
        (None, Some(NEW), false),
    ] {
        let mut scene = Scene::new();
        scene.origin.on_fn("/a", move |request| match request.header("if-modified-since") {
            Some(OLD) => {
                let named = [("ETag", etag), ("Last-Modified", modified)];
                let named = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
                named.fold(not_modified(), |reply, (name, value)| reply.header(name, value))
            }
            Some(other) => panic!("asked with {other:?}"),
            None => Reply::ok("new").header("ETag", "\"v2\""),
        });
        let url = scene.origin.url("/a");
        handmade::stale("old").header("last-modified", OLD).put(&mut scene.client, &url);
        let (body, hits) = if renews { ("old", 1) } else { ("new", 2) };
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), body, "{etag:?} {modified:?}");
        assert_eq!(scene.client.text(&["CACHE.PEEK", &url]), body, "{etag:?} {modified:?}");
        assert_eq!(scene.origin.hits("/a"), hits, "{etag:?} {modified:?}");
        assert_eq!(scene.server.gauge("cache_revalidated"), u64::from(renews));
    }
}

#[test]
fn a_304_that_is_never_of_the_right_version_fails_and_the_entry_stays() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", not_modified().header("ETag", "\"v2\""));
    handmade::stale("old").header("etag", "\"v1\"").put(&mut scene.client, &url);
    assert_eq!(scene.client.error(&["CACHE.GET", &url]), "HTTPSTATUS 304 Not Modified");
    assert_eq!(scene.origin.hits("/a"), 2);
    assert_eq!(scene.client.text(&["CACHE.PEEK", &url, "STALE", "3600"]), "old");
}

#[test]
fn the_second_question_is_asked_within_the_same_deadline() {
    let mut scene = Scene::with(|server| server.config("cache.fetch-timeout", "1"));
    let gate = Gate::closed();
    let held = Reply::ok("new").gate(&gate);
    scene.origin.on_fn("/a", move |request| match request.header("if-none-match") {
        Some(_) => not_modified().header("ETag", "\"v2\""),
        None => held.clone(),
    });
    let url = scene.origin.url("/a");
    handmade::stale("old").header("etag", "\"v1\"").put(&mut scene.client, &url);
    let error = scene.client.error(&["CACHE.GET", &url, "60", "0"]);
    assert!(error.starts_with("FETCHTIMEOUT"), "{error}");
    assert_eq!(scene.origin.hits("/a"), 2);
    gate.open();
}

#[test]
fn what_changes_under_a_conditional_request_is_downloaded_anew() {
    let delete: fn(&mut Scene, &str) = |scene, url| {
        scene.client.int(&["DEL", url]);
    };
    let replace: fn(&mut Scene, &str) = |scene, url| {
        handmade::stale("other").header("etag", "\"v0\"").put(&mut scene.client, url);
    };
    let seed: fn(&mut Scene, &str) = |scene, url| scene.client.ok(&["SET", url, "seeded"]);
    for change in [delete, replace, seed] {
        let mut scene = Scene::new();
        let gate = Gate::closed();
        let held = not_modified().gate(&gate);
        scene.origin.on_fn("/a", move |request| match request.header("if-none-match") {
            Some("\"v1\"") => held.clone(),
            None => Reply::ok(BODY),
            other => panic!("asked with {other:?}"),
        });
        let url = scene.origin.url("/a");
        handmade::stale("old").header("etag", "\"v1\"").put(&mut scene.client, &url);
        let mut waits = scene.waiters(&url, 1).remove(0);
        scene.origin.until_hits("/a", 1);
        change(&mut scene, &url);
        gate.open();
        assert_eq!(waits.reply_bytes(), BODY.as_bytes());
        assert_eq!(scene.client.text(&["CACHE.PEEK", &url]), BODY);
        assert_eq!(scene.origin.hits("/a"), 2);
        assert_eq!(scene.server.gauge("cache_revalidated"), 0);
    }
}

#[test]
fn a_304_while_writes_are_paused_answers_and_writes_nothing() {
    let mut scene = Scene::with(|server| server.config("appendonly", "yes"));
    let gate = Gate::closed();
    let url = scene.serve("/a", not_modified().gate(&gate));
    handmade::stale("old").header("etag", "\"v1\"").put(&mut scene.client, &url);
    let mut waits = scene.waiters(&url, 1).remove(0);
    let before = scene.client.bytes(&["GET", &url]);
    scene.client.ok(&["CLIENT", "PAUSE", "100000", "WRITE"]);
    gate.open();
    assert_eq!(waits.reply_bytes(), b"old");
    assert_eq!(scene.server.gauge("cache_not_stored_paused"), 1);
    assert_eq!(scene.client.bytes(&["GET", &url]), before);
    scene.client.ok(&["CLIENT", "UNPAUSE"]);
    scene.still_works();
    assert!(scene.server.is_alive());
}

#[test]
fn a_304_on_a_full_server_answers_and_leaves_the_entry_as_it_is() {
    let mut scene = Scene::new();
    let url = stale_with_etag(&mut scene, "/a", b"old");
    let gate = Gate::closed();
    scene.origin.on("/a", Reply::status(304, "Not Modified").gate(&gate));
    let before = scene.client.bytes(&["GET", &url]);
    let mut waiter = scene.waiters(&url, 1).remove(0);
    scene.origin.until_hits("/a", 1);
    scene.client.ok(&["CONFIG", "SET", "maxmemory", "1"]);
    scene.client.text(&["ECHO", "full"]); // a landing goes by what the last command has met with
    gate.open();
    assert_eq!(waiter.reply_bytes(), b"old");
    assert_eq!(scene.client.bytes(&["GET", &url]), before);
    assert_eq!(scene.server.gauge("cache_not_stored_oom"), 1);
}

#[test]
fn a_304_renews_the_entry_of_its_flights_database() {
    let mut scene = Scene::new();
    let url = stale_with_etag(&mut scene, "/a", b"in 0");
    let before = scene.client.bytes(&["GET", &url]);
    let mut other = scene.server.client();
    other.ok(&["SELECT", "5"]);
    handmade::stale("in 5").header("etag", "\"v1\"").put(&mut other, &url);
    assert_eq!(other.text(&["CACHE.GET", &url]), "in 5");
    assert_eq!(other.text(&["CACHE.PEEK", &url]), "in 5");
    assert_eq!(scene.client.bytes(&["GET", &url]), before);
}

#[test]
fn a_304_leaves_replica_and_restarted_server_with_the_same_bytes() {
    let mut scene = Scene::with(|server| {
        let server = server.config("appendonly", "yes").config("appendfsync", "always");
        server.config("repl-diskless-sync-delay", "0")
    });
    let replica = Server::builder().without_module().start();
    replica.client().ok(&["REPLICAOF", "127.0.0.1", &scene.server.port().to_string()]);
    until("the link", || replica.info("master_link_status").as_deref() == Some("up"));

    let large = vec![b'x'; 2 << 20];
    let mut urls = Vec::new();
    for (name, body) in [("small", &b"old"[..]), ("large", &large)] {
        for cache_control in ["max-age=600", "max-age=1", "max-age=600, must-revalidate"] {
            let path = format!("/{name}/{}", cache_control.len());
            let url = scene.serve(&path, not_modified().header("Cache-Control", cache_control));
            let entry = handmade::stale(body).header("etag", "\"v1\"");
            entry.header("cache-control", "max-age=300").put(&mut scene.client, &url);
            let expiry = if name == "small" { "600" } else { "-1" };
            assert_eq!(scene.client.bytes(&["CACHE.GET", &url, expiry, "10", "STALE", "60"]), body);
            urls.push(url);
        }
    }
    assert_eq!(scene.server.gauge("cache_revalidated"), 6);
    let stored = |server: &Server| {
        let mut client = server.client();
        let of = |url: &String| (client.bytes(&["GET", url]), client.int(&["PEXPIRETIME", url]));
        urls.iter().map(of).collect::<Vec<_>>()
    };
    let sent = stored(&scene.server);
    scene.client.ok(&["SET", "a fence", "1"]);
    assert_eq!(scene.client.int(&["WAIT", "1", "20000"]), 1);
    assert!(stored(&replica) == sent, "the replica differs");
    scene.server.restart_as(Builder::without_module);
    assert!(stored(&scene.server) == sent, "the restarted server differs");
}

#[test]
fn a_crowd_gets_a_large_entry_whole_that_a_304_renews() {
    let mut scene = Scene::new();
    for (path, etag) in [("/same", "\"v1\""), ("/longer", "W/\"v1\"")] {
        let body = "a line of a large body\n".repeat(150_000);
        let gate = Gate::closed();
        scene.origin.on(path, not_modified().header("etag", etag).gate(&gate));
        let url = scene.origin.url(path);
        handmade::stale(body.as_bytes()).header("etag", "\"v1\"").put(&mut scene.client, &url);
        let mut waiters = scene.waiters(&url, 30);
        gate.open();
        for waiter in &mut waiters {
            assert!(waiter.reply_bytes() == body.as_bytes(), "{path}: a waiter got something else");
        }
        assert!(scene.client.bytes(&["CACHE.GET", &url]) == body.as_bytes(), "{path}");
    }
    assert_eq!(scene.server.gauge("cache_revalidated"), 2);
}
