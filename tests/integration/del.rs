//! `CACHE.DEL`: the entry goes, and the flight that would bring it back is
//! void.

use crate::handmade;
use crate::revalidation::not_modified;
use crate::scene::{BODY, Flight, Scene, lock_key};
use crate::support::{Gate, Reply, Server, Value, until};

#[test]
fn it_answers_whether_there_was_an_entry() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    assert_eq!(scene.client.int(&["CACHE.DEL", &url]), 0);
    scene.client.text(&["CACHE.GET", &url]);
    assert_eq!(scene.client.int(&["CACHE.DEL", &url]), 1);
    assert_eq!(scene.client.int(&["CACHE.DEL", &url]), 0);
    assert!(!scene.exists(&url));
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(scene.origin.hits("/a"), 2);
}

#[test]
fn a_stale_entry_goes_too() {
    let mut scene = Scene::new();
    handmade::stale("old").put(&mut scene.client, "http://a/");
    assert_eq!(scene.client.int(&["CACHE.DEL", "http://a/"]), 1);
    scene.client.null(&["CACHE.PEEK", "http://a/", "STALE", "3600"]);
}

#[test]
fn during_a_flight_its_waiters_get_the_body_and_nothing_is_written() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    let mut joiners = scene.waiters(&flight.url, 3);
    assert_eq!(scene.client.int(&["CACHE.DEL", &flight.url]), 0);
    flight.land();
    for joiner in &mut joiners {
        assert_eq!(joiner.reply_bytes(), BODY.as_bytes());
    }
    scene.until_all_landed();
    assert_eq!(scene.client.int(&["DBSIZE"]), 0);
    assert_eq!(scene.server.gauge("cache_not_stored_void"), 1);
    scene.still_works();
}

#[test]
fn who_asks_after_it_gets_a_flight_of_its_own() {
    let mut scene = Scene::new();
    let mut void = scene.take_off("/a");
    scene.client.int(&["CACHE.DEL", &void.url]);
    let gate = Gate::closed();
    scene.origin.on("/a", Reply::ok("newer").gate(&gate));
    let mut asks_after = scene.waiters(&void.url, 1).remove(0);
    scene.origin.until_hits("/a", 2);
    void.land();
    assert!(!scene.exists(&void.url));
    assert!(scene.exists(&lock_key(&void.url)), "the void flight took the other's lock key along");
    gate.open();
    assert_eq!(asks_after.reply_bytes(), b"newer");
    assert_eq!(scene.client.text(&["CACHE.PEEK", &void.url]), "newer");
}

#[test]
fn a_void_flight_that_lands_last_overwrites_nothing() {
    let mut scene = Scene::new();
    let mut void = scene.take_off("/a");
    scene.client.int(&["CACHE.DEL", &void.url]);
    scene.origin.on("/a", Reply::ok("newer"));
    assert_eq!(scene.client.text(&["CACHE.GET", &void.url]), "newer");
    void.land();
    scene.until_all_landed();
    assert_eq!(scene.client.text(&["CACHE.PEEK", &void.url]), "newer");
}

#[test]
fn a_refresh_in_the_air_does_not_bring_the_entry_back() {
    for reply in [Reply::ok(BODY), not_modified()] {
        let mut scene = Scene::new();
        let gate = Gate::closed();
        scene.origin.on_fn("/a", {
            let held = reply.gate(&gate);
            // Once the entry is gone there is nothing to be asked about.
            move |request| match request.header("if-none-match") {
                Some(_) => held.clone(),
                None => Reply::ok(BODY),
            }
        });
        let url = scene.origin.url("/a");
        handmade::stale("old").header("etag", "\"v1\"").put(&mut scene.client, &url);
        let mut waits = scene.waiters(&url, 1).remove(0);
        scene.origin.until_hits("/a", 1);
        assert_eq!(scene.client.int(&["CACHE.DEL", &url]), 1);
        gate.open();
        assert_eq!(waits.reply_bytes(), BODY.as_bytes());
        scene.until_all_landed();
        assert!(!scene.exists(&url));
    }
}

#[test]
fn an_entry_put_back_by_hand_is_not_renewed_by_the_void_flight() {
    let mut scene = Scene::new();
    let gate = Gate::closed();
    let url = scene.serve("/a", not_modified().gate(&gate));
    let entry = handmade::stale("old").header("etag", "\"v1\"");
    entry.put(&mut scene.client, &url);
    let mut waits = scene.waiters(&url, 1).remove(0);
    scene.origin.until_hits("/a", 1);
    scene.client.int(&["CACHE.DEL", &url]);
    entry.put(&mut scene.client, &url);
    let before = scene.client.bytes(&["GET", &url]);
    gate.open();
    assert_eq!(waits.reply_bytes(), b"old");
    scene.until_all_landed();
    assert_eq!(scene.client.bytes(&["GET", &url]), before);
    assert_eq!(scene.server.gauge("cache_not_stored_void"), 1);
}

#[test]
fn only_the_flight_of_its_key_and_database_is_void() {
    let mut scene = Scene::new();
    let [mut named, mut other] = ["/a", "/b"].map(|path| scene.take_off(path));
    let mut elsewhere = scene.server.client();
    elsewhere.ok(&["SELECT", "5"]);
    elsewhere.int(&["CACHE.DEL", &other.url]);
    scene.client.int(&["CACHE.DEL", &named.url]);
    Flight::land(&mut named);
    Flight::land(&mut other);
    assert!(!scene.exists(&named.url) && scene.exists(&other.url));
}

#[test]
fn plain_del_voids_nothing() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    scene.client.int(&["DEL", &flight.url]);
    flight.land();
    assert_eq!(scene.client.text(&["CACHE.PEEK", &flight.url]), BODY);
}

#[test]
fn it_works_inside_multi_and_lua() {
    let mut scene = Scene::new();
    for url in ["http://a/", "http://b/"] {
        handmade::fresh("old").put(&mut scene.client, url);
    }
    scene.client.ok(&["MULTI"]);
    scene.client.text(&["CACHE.DEL", "http://a/"]);
    assert_eq!(scene.client.array(&["EXEC"]), [Value::Int(1)]);
    let script = "return redis.call('CACHE.DEL', KEYS[1])";
    assert_eq!(scene.client.int(&["EVAL", script, "1", "http://b/"]), 1);
    assert_eq!(scene.client.int(&["DBSIZE"]), 0);
}

#[test]
fn it_reaches_a_replica_without_the_module() {
    let mut scene = Scene::with(|server| server.config("repl-diskless-sync-delay", "0"));
    handmade::fresh("old").put(&mut scene.client, "http://a/");
    let replica = Server::builder().without_module().start();
    replica.client().ok(&["REPLICAOF", "127.0.0.1", &scene.server.port().to_string()]);
    until("the link", || replica.info("master_link_status").as_deref() == Some("up"));
    assert_eq!(replica.client().int(&["DBSIZE"]), 1);
    assert_eq!(scene.client.int(&["CACHE.DEL", "http://a/"]), 1);
    assert_eq!(scene.client.int(&["WAIT", "1", "20000"]), 1);
    assert_eq!(replica.client().int(&["DBSIZE"]), 0);
}

#[test]
fn what_is_large_under_its_key_is_freed_off_the_main_thread() {
    let mut scene = Scene::new();
    // A string is one piece of memory, which a server frees at once.
    let fields: Vec<String> = (0..2000).map(|n| n.to_string()).collect();
    let call = ["HSET", "hash"].into_iter().chain(fields.iter().map(String::as_str));
    assert_eq!(scene.client.int(&call.collect::<Vec<_>>()), 1000);
    assert_eq!(scene.client.int(&["CACHE.DEL", "hash"]), 1);
    scene.server.until_gauge("lazyfreed_objects", 1);
}
