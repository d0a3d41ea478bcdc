//! `CACHE.MGET`: many URLs, all at once, each answer in its place.

use crate::handmade;
use crate::scene::{BODY, Scene};
use crate::support::client::line;
use crate::support::{Gate, Reply, Value, until};

pub fn bulk(text: impl AsRef<[u8]>) -> Value {
    Value::BulkString(text.as_ref().into())
}

/// The words of a call for these URLs.
pub fn call<'a>(count: &'a str, urls: &'a [String], rest: &[&'a str]) -> Vec<&'a str> {
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    assert_eq!(count, urls.len().to_string());
    [&["CACHE.MGET", count], &urls[..], rest].concat()
}

/// Gated replies at `/0`, `/1` …, each with its number as its body.
pub fn hold_each(scene: &Scene, count: usize, gate: &Gate) -> Vec<String> {
    let reply = |n: usize| Reply::ok(n.to_string()).gate(gate);
    (0..count).map(|n| scene.serve(&format!("/{n}"), reply(n))).collect()
}

#[test]
fn a_hundred_cold_warm_dead_and_repeated_each_get_their_place_and_one_request() {
    for resp3 in [false, true] {
        let mut scene = Scene::new();
        scene.origin.otherwise(|request| match request.path.strip_prefix("/dead") {
            Some(_) => Reply::status(404, "Not Found"),
            None => Reply::ok(format!("at {}", request.path)),
        });
        let path = |n: usize| match n {
            0..50 => format!("/cold{n}"),
            50..80 => format!("/warm{n}"),
            80..90 => format!("/dead{n}"),
            _ => format!("/cold{}", n - 90),
        };
        // Spread over the list, so that no kind stands by itself.
        let paths: Vec<_> = (0..100).map(|n| path(n * 37 % 100)).collect();
        let urls: Vec<_> = paths.iter().map(|path| scene.origin.url(path)).collect();
        for n in 50..80 {
            let url = scene.origin.url(&path(n));
            handmade::fresh(format!("at {}", path(n))).put(&mut scene.client, url);
        }
        let mut client = scene.server.client();
        if resp3 {
            client = client.resp3();
        }
        let places = client.array(&call("100", &urls, &["60", "0"]));
        assert_eq!(places.len(), 100);
        for (path, place) in paths.iter().zip(places) {
            match place {
                Value::ServerError(error) => {
                    assert!(path.starts_with("/dead"), "{path}: {error:?}");
                    assert_eq!(line(&error), "HTTPSTATUS 404 Not Found");
                }
                body => assert_eq!(body, bulk(format!("at {path}"))),
            }
            let wanted = u64::from(!path.starts_with("/warm"));
            assert_eq!(scene.origin.hits(path), wanted, "{path}");
        }
        assert_eq!(scene.origin.total(), 60);
        for (gauge, wanted) in
            [("hits", 30), ("misses", 70), ("coalesced", 10), ("downloads", 50), ("waiters", 0)]
        {
            assert_eq!(scene.server.gauge(&format!("cache_{gauge}")), wanted, "{gauge}");
        }
    }
}

#[test]
fn all_hits_are_answered_at_once_inside_multi_and_lua_too() {
    let mut scene = Scene::new();
    let urls = ["http://a/", "http://b/", "http://a/"].map(str::to_owned);
    handmade::fresh("a").put(&mut scene.client, "http://a/");
    scene.client.ok(&["SET", "http://b/", "seeded"]);
    let wanted = vec![bulk("a"), bulk("seeded"), bulk("a")];
    assert_eq!(scene.client.array(&call("3", &urls, &[])), wanted);
    scene.client.ok(&["MULTI"]);
    scene.client.text(&call("3", &urls, &[]));
    assert_eq!(scene.client.array(&["EXEC"]), [Value::Array(wanted.clone())]);
    let script = "return redis.call('CACHE.MGET', '3', KEYS[1], KEYS[2], KEYS[3])";
    let eval = [&["EVAL", script, "3"][..], &["http://a/", "http://b/", "http://a/"]].concat();
    assert_eq!(scene.client.array(&eval), wanted);
    assert_eq!(scene.server.gauge("cache_hits"), 9);
    assert_eq!(scene.server.gauge("cache_misses"), 0);
}

#[test]
fn misses_inside_multi_are_null_and_their_downloads_go_on() {
    let mut scene = Scene::new();
    let urls = [scene.serve("/a", Reply::ok(BODY)), "http://warm/".to_owned()];
    handmade::fresh("warm").put(&mut scene.client, "http://warm/");
    scene.client.ok(&["MULTI"]);
    scene.client.text(&call("2", &urls, &[]));
    assert_eq!(scene.client.array(&["EXEC"]), [Value::Array(vec![Value::Nil, bulk("warm")])]);
    scene.until_fresh(&urls[0]);
    let places = scene.client.array(&call("2", &urls, &["60", "0", "NOWAIT"]));
    assert_eq!(places, [bulk(BODY), bulk("warm")]);
}

#[test]
fn a_wrong_number_of_keys_is_an_error() {
    let mut scene = Scene::new();
    let numkeys = "ERR numkeys should be greater than 0 and match the urls";
    for count in ["0", "-1", "3", "x", "", "1.5", "+2", "02", "99999999999999999999"] {
        let error = scene.client.error(&["CACHE.MGET", count, "http://a/", "http://b/"]);
        assert_eq!(error, numkeys, "{count}");
    }
    assert_eq!(
        scene.client.error(&["CACHE.MGET", "1", "http://a/", "http://b/"]),
        "ERR value is not a valid float"
    );
    assert!(scene.client.error(&["CACHE.MGET", "1"]).starts_with("ERR wrong number of arguments"));
    assert_eq!(scene.server.gauge("cache_misses"), 0);
}

#[test]
fn what_is_wrong_with_one_is_an_error_in_its_place() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.int(&["LPUSH", "http://list/", "x"]);
    let urls = ["no url at all".to_owned(), url, "http://list/".to_owned()];
    let places = scene.client.array(&call("3", &urls, &["60", "10"]));
    let error = |place: &Value| match place {
        Value::ServerError(error) => line(error),
        other => panic!("wanted an error, got {other:?}"),
    };
    assert!(error(&places[0]).starts_with("ERR invalid url: "));
    assert_eq!(places[1], bulk(BODY));
    assert!(error(&places[2]).starts_with("WRONGTYPE "));
}

#[test]
fn bodies_of_any_size_come_whole() {
    let mut scene = Scene::new();
    let sizes = [0, 1, 70_000, 3 << 20, 100];
    let serve = |(n, size): (usize, &usize)| {
        scene.serve(&format!("/{n}"), Reply::ok(vec![b'a' + u8::try_from(n).unwrap(); *size]))
    };
    let urls: Vec<_> = sizes.iter().enumerate().map(serve).collect();
    for round in ["misses", "hits"] {
        let places = scene.client.array(&call("5", &urls, &["60", "0"]));
        for (n, (place, size)) in places.into_iter().zip(sizes).enumerate() {
            let body = vec![b'a' + u8::try_from(n).unwrap(); size];
            assert!(place == bulk(body), "{round}: place {n}");
        }
    }
}

#[test]
fn stale_places_are_answered_at_once_and_refreshed_behind() {
    let mut scene = Scene::new();
    let gate = Gate::closed();
    let urls = hold_each(&scene, 2, &gate);
    for url in &urls {
        handmade::stale("old").put(&mut scene.client, url);
    }
    let places = scene.client.array(&call("2", &urls, &["60", "0", "STALE", "3600"]));
    assert_eq!(places, [bulk("old"), bulk("old")]);
    scene.origin.until_total(2);
    gate.open();
    for (n, url) in urls.iter().enumerate() {
        scene.until_body(url, &n.to_string());
    }
    assert_eq!(scene.server.gauge("cache_stale_hits"), 2);
}

#[test]
fn refresh_nowait_and_variants_are_for_all_of_its_urls() {
    let mut scene = Scene::new();
    let reply = |n: usize| Reply::ok(format!("new {n}"));
    let urls: Vec<_> = (0..2).map(|n| scene.serve(&format!("/{n}"), reply(n))).collect();
    for url in &urls {
        handmade::fresh("old").put(&mut scene.client, url);
    }
    let places = scene.client.array(&call("2", &urls, &["60", "0", "HEADER", "X-A", "1"]));
    assert_eq!(places, [bulk("new 0"), bulk("new 1")]);
    assert!(scene.origin.requests().iter().all(|asked| asked.header("x-a") == Some("1")));
    let one = scene.client.text(&["CACHE.PEEK", &urls[1], "HEADER", "x-a", "1"]);
    assert_eq!(one, "new 1");
    assert_eq!(scene.client.array(&call("2", &urls, &[])), [bulk("old"), bulk("old")]);
    let places = scene.client.array(&call("2", &urls, &["60", "0", "REFRESH", "NOWAIT"]));
    assert_eq!(places, [Value::Nil, Value::Nil]);
    until("the refresh", || scene.origin.total() == 4);
    scene.until_body(&urls[0], "new 0");
}

#[test]
fn it_works_in_its_clients_database() {
    let mut scene = Scene::new();
    let urls = [scene.serve("/a", Reply::ok("a")), scene.serve("/b", Reply::ok("b"))];
    scene.client.ok(&["SELECT", "5"]);
    assert_eq!(scene.client.array(&call("2", &urls, &[])), [bulk("a"), bulk("b")]);
    assert_eq!(scene.client.int(&["DBSIZE"]), 2);
    assert!(!scene.exists(&urls[0]));
}

/// The server keeps short strings and numbers in forms of their own, which it gives up when they are looked at.
#[test]
fn short_values_and_numbers_that_are_listed_twice_are_answered_twice() {
    let mut scene = Scene::new();
    let slow = scene.serve("/a", Reply::ok(BODY));
    for round in 0..50 {
        let [short, number] =
            ["short", "number"].map(|name| format!("http://{name}.example/{round}"));
        scene.client.ok(&["SET", &short, "short"]);
        scene.client.ok(&["SET", &number, "42"]);
        let mut urls = vec![short.clone(), number.clone(), short.clone(), number, short];
        let mut wanted = ["short", "42", "short", "42", "short"].map(bulk).to_vec();
        if round % 2 == 1 {
            scene.client.int(&["DEL", &slow]);
            urls.push(slow.clone());
            wanted.push(bulk(BODY));
        }
        let count = urls.len().to_string();
        assert_eq!(scene.client.array(&call(&count, &urls, &["60", "0"])), wanted);
    }
}
