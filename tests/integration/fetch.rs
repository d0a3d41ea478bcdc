//! `CACHE.FETCH`: the whole response, and where it came from.

use crate::fetched::{Fetched, fetch};
use crate::handmade;
use crate::revalidation::not_modified;
use crate::scene::{BODY, Scene};
use crate::support::{Client, Gate, Reply, Value};

fn bulk(text: &str) -> Value {
    Value::BulkString(text.into())
}

/// A reply with a header that repeats, and one that is not stored.
fn reply() -> Reply {
    let reply =
        Reply::ok(BODY).chunked(10).header("Content-Type", "text/plain").header("Link", "<a>");
    reply.header("X-Not-Stored", "1").header("Link", "<b>")
}

/// The map that must come for [`reply`], as its names and values in order.
fn wanted(cache: &str) -> Vec<Value> {
    let pair = |name: &str, value: &str| Value::Array(vec![bulk(name), bulk(value)]);
    let headers = [("content-type", "text/plain"), ("link", "<a>"), ("link", "<b>")];
    let headers = headers.iter().map(|(name, value)| pair(name, value)).collect();
    vec![
        bulk("status"),
        Value::Int(200),
        bulk("headers"),
        Value::Array(headers),
        bulk("body"),
        bulk(BODY),
        bulk("age"),
        Value::Int(0),
        bulk("ttl"),
        Value::Int(3600),
        bulk("cache"),
        bulk(cache),
    ]
}

#[test]
fn resp2_clients_get_a_flat_array() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", reply());
    assert_eq!(scene.client.array(&["CACHE.FETCH", &url, "3600", "10"]), wanted("miss"));
    assert_eq!(scene.client.array(&["CACHE.FETCH", &url])[11], bulk("hit"));
}

#[test]
fn resp3_clients_get_a_map() {
    let scene = Scene::new();
    let url = scene.serve("/a", reply());
    let mut client = scene.server.client().resp3();
    let map = client.call(&["CACHE.FETCH", &url, "3600", "10"]);
    let pairs = wanted("miss").chunks(2).map(|two| (two[0].clone(), two[1].clone())).collect();
    assert_eq!(map, Ok(Value::Map(pairs)));
    assert_eq!(fetch(&mut client, &["CACHE.FETCH", &url]).cache, "hit");
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn cache_says_hit_miss_joined_stale_or_revalidated() {
    let mut scene = Scene::new();
    let (url, gate) = scene.hold("/a");
    let (mut leader, mut joiner) = (scene.server.client(), scene.server.client().resp3());
    leader.send(&["CACHE.FETCH", &url, "60", "0"]);
    scene.server.until_gauge("cache_waiters", 1);
    joiner.send(&["CACHE.FETCH", &url, "60", "0"]);
    scene.server.until_gauge("cache_waiters", 2);
    gate.open();
    let landed = |client: &mut Client| Fetched::read(client.reply().unwrap()).cache;
    assert_eq!(landed(&mut leader), "miss");
    assert_eq!(landed(&mut joiner), "joined");
    assert_eq!(fetch(&mut scene.client, &["CACHE.FETCH", &url]).cache, "hit");

    let gate = Gate::closed();
    let url = scene.serve("/b", not_modified().gate(&gate));
    handmade::stale("old").header("etag", "\"v1\"").put(&mut scene.client, &url);
    let stale = fetch(&mut scene.client, &["CACHE.FETCH", &url, "60", "0", "STALE", "3600"]);
    assert_eq!((stale.cache.as_str(), stale.ttl), ("stale", Some(0)));
    joiner.send(&["CACHE.FETCH", &url, "60", "0"]);
    scene.server.until_gauge("cache_waiters", 1);
    gate.open();
    assert_eq!(landed(&mut joiner), "joined");
    let call = ["CACHE.FETCH", &url, "60", "0", "REFRESH"];
    assert_eq!(fetch(&mut scene.client, &call).cache, "revalidated");
    assert_eq!(fetch(&mut scene.client, &["CACHE.FETCH", &url]).cache, "hit");
}

#[test]
fn the_bodies_of_fetch_and_get_are_one_entry() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", reply());
    fetch(&mut scene.client, &["CACHE.FETCH", &url]);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(scene.client.int(&["DBSIZE"]), 1);
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn ttl_is_null_without_expiry() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", reply());
    for _ in ["miss", "hit"] {
        assert_eq!(fetch(&mut scene.client, &["CACHE.FETCH", &url, "-1"]).ttl, None);
    }
    let mut client = scene.server.client().resp3();
    assert_eq!(fetch(&mut client, &["CACHE.FETCH", &url]).ttl, None);
}

#[test]
fn ttl_is_the_freshness_left_without_the_stale_window() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", reply());
    let miss = fetch(&mut scene.client, &["CACHE.FETCH", &url, "100", "10", "STALE", "9000"]);
    assert_eq!(miss.ttl, Some(100));
    let hit = fetch(&mut scene.client, &["CACHE.FETCH", &url]);
    assert!((50..=100).contains(&hit.ttl.unwrap()), "{hit:?}");
}

#[test]
fn age_counts_from_when_it_was_fetched() {
    let mut scene = Scene::new();
    handmade::fresh("old").put(&mut scene.client, "http://a/");
    let hit = fetch(&mut scene.client, &["CACHE.FETCH", "http://a/"]);
    let ago = handmade::FETCHED_AGO / 1000;
    assert!((ago..ago + 60).contains(&hit.age.unwrap()), "{hit:?}");
}

#[test]
fn of_a_string_set_by_hand_only_the_body_is_known() {
    let mut scene = Scene::new();
    for body in ["seeded", "12345", ""] {
        scene.client.ok(&["SET", "http://a/", body, "EX", "100"]);
        for mut client in [scene.server.client(), scene.server.client().resp3()] {
            let bare = Fetched {
                status: 200,
                headers: vec![],
                body: body.into(),
                age: None,
                ttl: None,
                cache: "hit".into(),
            };
            assert_eq!(fetch(&mut client, &["CACHE.FETCH", "http://a/"]), bare);
        }
    }
}

#[test]
fn the_status_is_the_origins() {
    let mut scene = Scene::new();
    for status in [200, 203, 204] {
        let url = scene.serve(&format!("/{status}"), Reply::status(status, ""));
        for _ in ["miss", "hit"] {
            let fetched = fetch(&mut scene.client, &["CACHE.FETCH", &url]);
            assert_eq!(fetched.status, i64::from(status));
        }
    }
}

#[test]
fn what_failed_is_an_error_and_what_comes_too_late_is_null() {
    let mut scene = Scene::new();
    let gone = scene.serve("/gone", Reply::status(404, "Not Found"));
    assert_eq!(scene.client.error(&["CACHE.FETCH", &gone]), "HTTPSTATUS 404 Not Found");
    let (url, gate) = scene.hold("/a");
    scene.client.null(&["CACHE.FETCH", &url, "60", "0.05"]);
    scene.client.ok(&["MULTI"]);
    scene.client.text(&["CACHE.FETCH", &url]);
    assert_eq!(scene.client.array(&["EXEC"]), [Value::Nil]);
    gate.open();
    scene.until_fresh(&url);
    assert_eq!(fetch(&mut scene.client, &["CACHE.FETCH", &url]).cache, "hit");
}

#[test]
fn a_hit_inside_multi_or_lua_is_the_same_map() {
    let mut scene = Scene::new();
    handmade::fresh("old").header("link", "<a>").put(&mut scene.client, "http://a/");
    let script = "return redis.call('CACHE.FETCH', KEYS[1])";
    for mut client in [scene.server.client(), scene.server.client().resp3()] {
        let mut direct = fetch(&mut client, &["CACHE.FETCH", "http://a/"]);
        client.ok(&["MULTI"]);
        client.text(&["CACHE.FETCH", "http://a/"]);
        let mut others = client.array(&["EXEC"]);
        others.push(client.call(&["EVAL", script, "1", "http://a/"]).unwrap());
        direct.ttl = None; // a second may have passed
        direct.age = None;
        for other in others {
            let other = Fetched { ttl: None, age: None, ..Fetched::read(other) };
            assert_eq!(other, direct);
        }
    }
}

#[test]
fn another_type_is_a_wrong_type() {
    let mut scene = Scene::new();
    scene.client.int(&["LPUSH", "http://a/", "x"]);
    assert!(scene.client.error(&["CACHE.FETCH", "http://a/"]).starts_with("WRONGTYPE "));
}

#[test]
fn large_responses_and_many_waiters_get_the_whole_map_in_either_protocol() {
    for (size, count) in [(2 << 20, 1), (100_000, 40), (10, 40)] {
        let scene = Scene::new();
        let (body, gate) = (vec![b'x'; size], Gate::closed());
        let url = scene.serve("/a", Reply::ok(&body).header("ETag", "\"v1\"").gate(&gate));
        let mut clients = scene.server.clients(count);
        let half = clients.split_off(count / 2);
        clients.extend(half.into_iter().map(Client::resp3));
        for client in &mut clients {
            client.send(&["CACHE.FETCH", &url, "-1", "0"]);
        }
        let mut plain = scene.server.client();
        plain.send(&["CACHE.GET", &url, "-1", "0"]);
        scene.server.until_gauge("cache_waiters", count as u64 + 1);
        gate.open();
        let mut missed = 0;
        for client in &mut clients {
            let fetched = Fetched::read(client.reply().unwrap());
            assert!(fetched.body == body && fetched.all("etag") == ["\"v1\""]);
            missed += usize::from(fetched.cache == "miss");
        }
        assert!(missed <= 1, "{missed} say that they led one flight");
        assert!(plain.reply_bytes() == body);
        assert_eq!(scene.origin.hits("/a"), 1);
    }
}

#[test]
fn a_length_that_a_transfer_coding_overrides_is_not_kept() {
    let mut scene = Scene::with(|server| server.config("cache.store-headers", "*"));
    let framed = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                  5\r\nhello\r\n0\r\n\r\n";
    let twice = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    for (path, reply, wanted) in [("/framed", framed, 0), ("/twice", twice, 1)] {
        let url = scene.serve(path, Reply::raw(reply));
        let whole = fetch(&mut scene.client, &["CACHE.FETCH", &url]);
        assert_eq!(whole.body, b"hello");
        assert_eq!(whole.all("content-length").len(), wanted, "{:?}", whole.headers);
    }
}
