//! Leases and downloads of the same key: there is one flight, whoever fills it, and all get what it brings.

use crate::leasing::{Answer, LOST, Leasing, at_rest, locked, queue, wait_by, waiting};
use crate::scene::{BODY, Flight, Scene, lock_key};
use crate::support::{Client, Gate, Reply, Value};

fn bulk(text: &str) -> Value {
    Value::BulkString(text.into())
}

/// The part of a reply of `CACHE.FETCH` that a field names.
fn field(reply: &Value, name: &str) -> Value {
    let Value::Array(parts) = reply else { panic!("no map: {reply:?}") };
    let at = parts.iter().position(|part| *part == bulk(name)).expect("no such field");
    parts[at + 1].clone()
}

/// One client each that waits by `CACHE.GET`, `CACHE.FETCH` and `CACHE.MGET`, in this order.
fn readers(scene: &Scene, url: &str) -> [Client; 3] {
    [
        &["CACHE.GET", url, "60", "0"][..],
        &["CACHE.FETCH", url, "60", "0"],
        &["CACHE.MGET", "2", url, url, "60", "0"],
    ]
    .map(|command| {
        let mut client = scene.server.client();
        let wanted = scene.server.gauge("cache_waiters") + 1;
        client.send(command);
        crate::support::until("it to wait", || scene.server.gauge("cache_waiters") >= wanted);
        client
    })
}

fn all_read(readers: [Client; 3], wanted: &str) {
    let [mut get, mut fetch, mut mget] = readers;
    assert_eq!(get.reply_bytes(), wanted.as_bytes());
    let fetched = fetch.reply().unwrap();
    assert_eq!(field(&fetched, "body"), bulk(wanted));
    assert_eq!(field(&fetched, "status"), Value::Int(200));
    assert_eq!(field(&fetched, "cache"), bulk("joined"));
    assert_eq!(mget.reply(), Ok(Value::Array(vec![bulk(wanted), bulk(wanted)])));
}

/// Gives up the lease of a URL for which only others than callers of `CACHE.LEASE` wait.
fn taken_over(scene: &mut Scene, url: &str, token: &str) {
    scene.client.release(url, token);
    scene.origin.until_total(1);
    scene.server.until_gauge("cache_leases_held", 0);
    assert_eq!(scene.server.gauge("cache_flights"), 1);
}

#[test]
fn whoever_reads_a_leased_url_waits_for_it_and_nothing_is_downloaded() {
    for (more, large) in [(&[][..], false), (&["60", "STALE", "60"], false), (&[], true)] {
        let mut scene = Scene::new();
        let url = scene.serve("/a", Reply::ok(BODY));
        let token = scene.client.token(&[&url]);
        let readers = readers(&scene, &url);
        let mut leases = queue(&scene.server, &[&url, "0"], 1).remove(0);
        scene.client.null(&["CACHE.GET", &url, "60", "0", "NOWAIT"]);
        scene.client.null(&["CACHE.PEEK", &url]);
        let value = "filled ".repeat(if large { 100_000 } else { 1 });
        scene.client.ok(&[&["CACHE.FILL", &url, &token, &value], more].concat());
        all_read(readers, &value);
        assert_eq!(leases.answer(), Answer::value(&value));
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), value);
        assert_eq!(scene.origin.total(), 0);
        at_rest(&scene);
    }
}

#[test]
fn who_leases_what_is_being_downloaded_waits_and_gets_it() {
    let scene = Scene::new();
    let mut flight: Flight = scene.take_off("/a");
    let mut waiters = queue(&scene.server, &[&flight.url, "0", "TIED", "STALE"], 3);
    assert_eq!(scene.server.gauge("cache_leases_held"), 0);
    waiters.remove(0);
    scene.server.until_gauge("cache_waiters", 3);
    flight.land();
    for mut waiter in waiters {
        assert_eq!(waiter.answer(), Answer::value(BODY));
    }
    assert_eq!(scene.server.gauge("cache_leases"), 0);
    assert_eq!(scene.origin.hits("/a"), 1);
    at_rest(&scene);
}

#[test]
fn who_leases_what_is_being_downloaded_in_vain_gets_the_error() {
    let mut scene = Scene::new();
    let gate = Gate::closed();
    let url = scene.serve("/a", Reply::status(404, "Not Found").gate(&gate));
    let mut reader = scene.waiters(&url, 1).remove(0);
    let mut leases = queue(&scene.server, &[&url, "0"], 1).remove(0);
    gate.open();
    assert_eq!(reader.reply_error(), "HTTPSTATUS 404 Not Found");
    assert_eq!(leases.reply_error(), "HTTPSTATUS 404 Not Found");
    let token = scene.client.token(&[&url]);
    scene.client.fill(&url, &token, "better");
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), "better");
    at_rest(&scene);
}

#[test]
fn a_lease_given_up_becomes_a_download_for_those_who_read() {
    for how in ["released", "cut", "run out"] {
        let mut scene = Scene::new();
        let (url, gate) = scene.hold("/a");
        let mut holder = scene.server.client();
        let ttl = if how == "run out" { "0.5" } else { "60" };
        let token = holder.token(&[&url, "0", "TIED", "TTL", ttl]);
        let readers = readers(&scene, &url);
        match how {
            "released" => holder.release(&url, &token),
            "cut" => drop(holder),
            _ => {}
        }
        scene.origin.until_hits("/a", 1);
        scene.client.has_lost(&url, &token);
        assert_ne!(scene.client.text(&["GET", &lock_key(&url)]), token);
        let mut late = queue(&scene.server, &[&url, "0"], 1).remove(0);
        let mut late_reader = scene.waiters(&url, 1).remove(0);
        gate.open();
        all_read(readers, BODY);
        assert_eq!(late.answer(), Answer::value(BODY), "{how}");
        assert_eq!(late_reader.reply_bytes(), BODY.as_bytes());
        assert_eq!(scene.client.text(&["CACHE.PEEK", &url]), BODY);
        assert_eq!(scene.origin.hits("/a"), 1);
        at_rest(&scene);
    }
}

#[test]
fn callers_of_lease_come_first_even_if_others_have_waited_longer() {
    let mut scene = Scene::new();
    let (url, gate) = scene.hold("/a");
    let token = scene.client.token(&[&url]);
    let readers = readers(&scene, &url);
    let mut leases = queue(&scene.server, &[&url, "0"], 2);
    scene.client.release(&url, &token);
    let token = leases.remove(0).answer().token();
    scene.client.release(&url, &token);
    let token = leases.remove(0).answer().token();
    locked(&scene, &url, &token);
    assert_eq!(scene.origin.total(), 0);
    taken_over(&mut scene, &url, &token);
    gate.open();
    all_read(readers, BODY);
    assert_eq!(scene.origin.total(), 1);
    at_rest(&scene);
}

#[test]
fn the_download_is_led_by_the_options_of_who_has_waited_longest() {
    for (gone, expected) in [(false, 1000), (true, 3000)] {
        let mut scene = Scene::new();
        let url = scene.serve("/a", Reply::ok(BODY));
        let token = scene.client.token(&[&url]);
        let mut first =
            wait_by(&scene.server, &["CACHE.GET", &url, "1000", "0", "STALE", "500"], 1);
        let options = ["CACHE.MGET", "1", &url, "3000", "0", "STALE", "500"];
        let mut second = wait_by(&scene.server, &options, 1).remove(0);
        let mut third = wait_by(&scene.server, &["CACHE.FETCH", &url, "5000", "0"], 1).remove(0);
        first.truncate(usize::from(!gone));
        scene.server.until_gauge("cache_waiters", if gone { 2 } else { 3 });
        scene.client.release(&url, &token);
        for first in &mut first {
            assert_eq!(first.reply_bytes(), BODY.as_bytes());
        }
        assert_eq!(second.reply(), Ok(Value::Array(vec![bulk(BODY)])));
        assert_eq!(field(&third.reply().unwrap(), "body"), bulk(BODY));
        let left = scene.client.int(&["TTL", &url]);
        assert!((expected + 470..=expected + 500).contains(&left), "{gone}: {left}");
        at_rest(&scene);
    }
}

#[test]
fn who_reads_what_is_no_url_waits_for_a_lease_and_else_gets_the_error() {
    let mut scene = Scene::new();
    let wrong = scene.client.error(&["CACHE.GET", "key"]);
    assert!(wrong.starts_with("ERR invalid url: "), "{wrong}");
    let token = scene.client.token(&["key"]);
    let readers = readers(&scene, "key");
    scene.client.fill("key", &token, "value");
    all_read(readers, "value");
    scene.client.int(&["DEL", "key"]);
    let token = scene.client.token(&["key"]);
    let [mut get, mut fetch, mut mget] = self::readers(&scene, "key");
    scene.client.release("key", &token);
    assert_eq!(get.reply_error(), wrong);
    assert_eq!(fetch.reply_error(), wrong);
    let Ok(Value::Array(places)) = mget.reply() else { panic!("no places") };
    assert_eq!(places.len(), 2);
    assert!(places.iter().all(|place| matches!(place, Value::ServerError(_))), "{places:?}");
    assert_eq!(scene.client.int(&["DBSIZE"]), 0);
    at_rest(&scene);
}

#[test]
fn a_download_that_takes_over_and_fails_tells_all() {
    for (networks, path, code) in
        [("127.0.0.0/8", "/missing", "HTTPSTATUS 404"), ("", "/a", "FETCHDENIED ")]
    {
        let mut scene = Scene::with(|server| server.config("cache.allowed-networks", networks));
        scene.serve("/a", Reply::ok(BODY));
        let url = scene.origin.url(path);
        let token = scene.client.token(&[&url]);
        let mut readers = scene.waiters(&url, 3);
        scene.client.release(&url, &token);
        for reader in &mut readers {
            let error = reader.reply_error();
            assert!(error.starts_with(code), "{error}");
        }
        let token = scene.client.token(&[&url]);
        scene.client.fill(&url, &token, "value");
        at_rest(&scene);
    }
}

#[test]
fn a_download_that_finds_no_room_takes_nothing_over_and_all_are_told() {
    let mut scene = Scene::with(|server| {
        server.config("cache.max-downloads", "1").config("cache.max-queued-downloads", "1")
    });
    let (url, leased) = (scene.serve("/a", Reply::ok(BODY)), lock_key);
    let token = scene.client.token(&[&url]);
    let mut readers = scene.waiters(&url, 2);
    let busy = scene.take_off("/busy");
    let (queued, gate) = scene.hold("/queued");
    let mut queued = scene.waiters(&queued, 1).remove(0);
    scene.client.release(&url, &token);
    for reader in &mut readers {
        assert!(reader.reply_error().starts_with("OVERLOADED "));
    }
    assert!(!scene.exists(&leased(&url)));
    busy.gate.open();
    gate.open();
    assert_eq!(queued.reply_bytes(), BODY.as_bytes());
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    at_rest(&scene);
}

#[test]
fn a_full_server_has_no_download_take_over_and_all_are_told() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let token = scene.client.token(&[&url]);
    let mut readers = scene.waiters(&url, 2);
    scene.client.ok(&["CONFIG", "SET", "maxmemory", "1"]);
    scene.client.release(&url, &token);
    for reader in &mut readers {
        let error = reader.reply_error();
        assert!(error.starts_with("OOM used memory is above 'maxmemory'"), "{error}");
    }
    assert_eq!(scene.server.gauge("cache_refused_oom"), 1);
    assert_eq!(scene.origin.total(), 0);
    assert!(!scene.exists(&lock_key(&url)));
    scene.client.ok(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    at_rest(&scene);
}

#[test]
fn a_void_lease_that_is_lost_becomes_a_download_whose_result_is_stored() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let token = scene.client.token(&[&url]);
    let readers = readers(&scene, &url);
    scene.client.ok(&["FLUSHALL"]);
    assert_eq!(scene.client.error(&["CACHE.RELEASE", &url, &token]), LOST);
    all_read(readers, BODY);
    assert_eq!(scene.client.text(&["CACHE.PEEK", &url]), BODY);
    at_rest(&scene);
}

#[test]
fn the_waiters_of_a_lost_void_lease_go_over_to_a_download_that_has_begun_since() {
    let mut scene = Scene::new();
    let (url, gate) = scene.hold("/a");
    let token = scene.client.token(&[&url]);
    let mut before = queue(&scene.server, &[&url, "0"], 2);
    scene.client.int(&["CACHE.DEL", &url]);
    let mut leader = scene.waiters(&url, 1).remove(0);
    scene.origin.until_hits("/a", 1);
    assert_eq!(scene.client.error(&["CACHE.RELEASE", &url, &token]), LOST);
    scene.server.until_gauge("cache_flights", 1);
    waiting(&scene, 3);
    gate.open();
    assert_eq!(leader.reply_bytes(), BODY.as_bytes());
    for waiter in &mut before {
        assert_eq!(waiter.answer(), Answer::value(BODY));
    }
    assert_eq!(scene.origin.hits("/a"), 1);
    at_rest(&scene);
}

#[test]
fn a_refresh_is_no_way_around_a_lease_and_a_variant_is_a_key_of_its_own() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let token = scene.client.token(&[&url]);
    let refresh = ["CACHE.GET", &url, "60", "0", "REFRESH"];
    let mut refreshes = wait_by(&scene.server, &refresh, 1).remove(0);
    let variant = ["CACHE.GET", &url, "60", "10", "HEADER", "Accept", "a"];
    assert_eq!(scene.client.text(&variant), BODY);
    assert_eq!(scene.origin.total(), 1);
    scene.client.fill(&url, &token, "filled");
    assert_eq!(refreshes.reply_bytes(), b"filled");
    assert_eq!(scene.origin.total(), 1);
    at_rest(&scene);
}

/// A variant's key is a name like any other to who leases it. To who reads it, it is no URL: the download for it would
/// be another request than the variant's, and its answer would be stored as the variant's.
#[test]
fn a_lost_lease_of_a_variants_key_is_downloaded_by_nobody() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok("without credentials"));
    let key = format!("cache:variant:{}:{{{url}}}", "0".repeat(64));
    let token = scene.client.token(&[&key]);
    let mut reader = scene.server.client();
    reader.send(&["CACHE.GET", &key, "600", "0"]);
    scene.server.until_gauge("cache_waiters", 1);
    scene.client.release(&key, &token);
    let error = reader.reply_error();
    assert!(error.starts_with("ERR invalid url: "), "{error}");
    assert_eq!(scene.origin.total(), 0);
    assert!(!scene.exists(&key));
}

#[test]
fn a_lost_lease_of_a_variants_key_is_downloaded_as_the_variant() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let call = ["CACHE.GET", &url, "600", "0", "HEADER", "X-Key", "mine"];
    scene.client.text(&call);
    let keys = scene.client.array(&["KEYS", "cache:variant:*"]);
    let key = String::from_utf8(crate::support::client::bytes_of(keys[0].clone())).unwrap();
    scene.client.int(&["DEL", &key]);
    let token = scene.client.token(&[&key]);
    let mut reader = scene.server.client();
    reader.send(&call);
    scene.server.until_gauge("cache_waiters", 1);
    scene.client.release(&key, &token);
    assert_eq!(reader.reply_bytes(), BODY.as_bytes());
    let asked = scene.origin.requests();
    assert_eq!(asked.last().and_then(|request| request.header("x-key")), Some("mine"));
}
