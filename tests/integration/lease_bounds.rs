//! Leases have bounds: how many, how long, under which names; and others can end them.

use crate::handmade;
use crate::leasing::{Answer, LOST, Leasing, at_rest, queue, wait_by, waiting};
use crate::scene::{BODY, Scene};
use crate::support::{Client, Reply};

const ALL: &str = "OVERLOADED 3 leases are held (cache.max-leases)";
const CLIENTS: &str = "OVERLOADED this client holds 3 leases (cache.max-leases-per-client)";

fn refused(client: &mut Client, call: &[&str]) -> String {
    client.error(&[&["CACHE.LEASE"], call].concat())
}

#[test]
fn no_more_leases_are_held_than_allowed() {
    let mut scene = Scene::with(|server| server.config("cache.max-leases", "3"));
    handmade::stale("old").put(&mut scene.client, "stale");
    let url = scene.serve("/a", Reply::ok(BODY));
    let tokens = ["a", "b", "c"].map(|key| scene.server.client().token(&[key, "TTL", "600"]));
    assert_eq!(refused(&mut scene.client, &["d"]), ALL);
    assert_eq!(scene.server.gauge("cache_failed_overloaded"), 1);
    // Who has a value, or waits for one, is not concerned.
    assert_eq!(scene.client.lease(&["stale", "STALE"]), Answer::stale("old"));
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    let mut waiter = queue(&scene.server, &["a", "0"], 1).remove(0);
    scene.client.release("a", &tokens[0]);
    let token = waiter.answer().token();
    assert_eq!(refused(&mut scene.client, &["d"]), ALL);
    scene.client.fill("a", &token, "value");
    let token = scene.client.token(&["d"]);
    scene.client.release("d", &token);
    scene.client.release("b", &tokens[1]);
    scene.client.release("c", &tokens[2]);
    at_rest(&scene);
}

#[test]
fn one_client_holds_no_more_leases_than_allowed() {
    let mut scene = Scene::with(|server| server.config("cache.max-leases-per-client", "3"));
    handmade::stale("old").put(&mut scene.client, "stale");
    let mut holder = scene.server.client();
    let tokens = ["a", "b", "c"].map(|key| holder.token(&[key, "TTL", "600"]));
    assert_eq!(refused(&mut holder, &["d"]), CLIENTS);
    assert_eq!(holder.lease(&["stale", "STALE"]), Answer::stale("old"));
    let other = scene.client.token(&["d", "TTL", "600"]);
    // It may not wait for one more, either.
    assert_eq!(refused(&mut holder, &["d", "0"]), CLIENTS);
    holder.fill("a", &tokens[0], "value");
    let mut own = holder;
    own.ask(&["d", "0", "TTL", "600"]);
    scene.server.until_gauge("cache_waiters", 1);
    scene.client.release("d", &other);
    let token = own.answer().token();
    assert_eq!(refused(&mut own, &["e"]), CLIENTS);
    own.release("d", &token);
    own.release("b", &tokens[1]);
    own.release("c", &tokens[2]);
    at_rest(&scene);
}

#[test]
fn what_scripts_are_given_counts_for_no_client_and_for_all_together() {
    const SCRIPT: &str = "return redis.pcall('CACHE.LEASE', KEYS[1], 'TTL', '600')";
    let mut scene = Scene::with(|server| {
        server.config("cache.max-leases-per-client", "2").config("cache.max-leases", "6")
    });
    let mut clients = scene.server.clients(2);
    let mut held = vec![];
    for n in 0..4 {
        let key = format!("script {n}");
        let reply = clients[n % 2].array(&["EVAL", SCRIPT, "1", &key]);
        held.push((key, crate::fleet::token_of(reply)));
    }
    for key in ["a", "b"] {
        held.push((key.to_owned(), clients[0].token(&[key, "TTL", "600"])));
    }
    let wanted = "OVERLOADED this client holds 2 leases (cache.max-leases-per-client)";
    assert_eq!(refused(&mut clients[0], &["c"]), wanted);
    let wanted = "OVERLOADED 6 leases are held (cache.max-leases)";
    assert_eq!(clients[1].error(&["EVAL", SCRIPT, "1", "c"]), wanted);
    for (key, token) in held {
        scene.client.release(&key, &token);
    }
    at_rest(&scene);
}

#[test]
fn zero_allows_no_leases_at_all() {
    for setting in ["cache.max-leases", "cache.max-leases-per-client"] {
        let mut scene = Scene::with(|server| server.config(setting, "0"));
        let error = refused(&mut scene.client, &["key"]);
        assert!(error.starts_with("OVERLOADED ") && error.contains(setting), "{error}");
        assert_eq!(scene.server.gauge("cache_flights"), 0);
    }
}

#[test]
fn a_lease_is_held_no_longer_than_allowed() {
    let mut scene = Scene::with(|server| server.config("cache.max-lease-ttl", "2"));
    let error = refused(&mut scene.client, &["key", "TTL", "2.001"]);
    let wanted = "ERR lease time must be above 0 and at most 2 seconds (cache.max-lease-ttl)";
    assert_eq!(error, wanted);
    for call in [&["key"][..], &["key", "TTL", "2"]] {
        let token = scene.client.token(call); // cache.lease-ttl is cut to it
        let ends = scene.client.int(&["PTTL", "cache:lock:{key}"]);
        assert!(ends <= 3000, "{ends}");
        scene.client.release("key", &token);
        scene.until_all_landed();
    }
    scene.client.ok(&["CONFIG", "SET", "cache.max-lease-ttl", "86400"]);
    let token = scene.client.token(&["key", "TTL", "86400"]);
    scene.client.release("key", &token);
    at_rest(&scene);
}

#[test]
fn the_names_of_leases_count_as_requests_do() {
    let mut scene = Scene::with(|server| server.config("cache.max-request-memory", "1mb"));
    let key = |n: usize| format!("{n:016384}");
    // Each is kept five times.
    let tokens: Vec<_> = (0..12).map(|n| scene.client.token(&[&key(n), "TTL", "600"])).collect();
    let error = refused(&mut scene.client, &[&key(12)]);
    let wanted =
        "OVERLOADED requests in the air may take 1048576 bytes together (cache.max-request-memory)";
    assert_eq!(error, wanted);
    let token = scene.client.token(&["short"]);
    scene.client.release("short", &token);
    for (n, token) in tokens.iter().enumerate() {
        scene.client.release(&key(n), token);
    }
    at_rest(&scene);
}

#[test]
fn a_lease_can_be_ended_by_others() {
    let mut scene = Scene::new();
    let token = scene.server.client().token(&["key", "TTL", "600"]);
    let mut waiters = queue(&scene.server, &["key", "0", "TTL", "600"], 2);
    scene.client.ok(&["CACHE.RELEASE", "key", "force"]);
    let next = waiters.remove(0).answer().token();
    scene.client.has_lost("key", &token);
    waiting(&scene, 1);
    scene.client.fill("key", &next, "value");
    assert_eq!(waiters.remove(0).answer(), Answer::value("value"));
    assert_eq!(scene.server.gauge("cache_leases_ended"), 1);
    assert_eq!(scene.client.error(&["CACHE.RELEASE", "key", "FORCE"]), LOST);
    at_rest(&scene);
}

#[test]
fn with_nobody_waiting_an_ended_lease_is_free_for_the_next() {
    let mut scene = Scene::new();
    let token = scene.server.client().token(&["key", "TTL", "600"]);
    scene.client.ok(&["CACHE.RELEASE", "key", "FORCE"]);
    scene.until_all_landed();
    let next = scene.client.token(&["key"]);
    scene.client.has_lost("key", &token);
    scene.client.fill("key", &next, "value");
    at_rest(&scene);
}

#[test]
fn an_ended_lease_of_a_url_is_downloaded_for_those_who_wait_by_it() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.server.client().token(&[&url, "TTL", "600"]);
    let mut waiter = wait_by(&scene.server, &["CACHE.GET", &url, "60", "0"], 1).remove(0);
    scene.client.ok(&["CACHE.RELEASE", &url, "FORCE"]);
    assert_eq!(waiter.reply_bytes(), BODY.as_bytes());
    at_rest(&scene);
}

#[test]
fn void_leases_of_a_key_are_ended_with_it() {
    let mut scene = Scene::new();
    let old = scene.server.client().token(&["key", "TTL", "600"]);
    let mut waiters = queue(&scene.server, &["key", "0", "TTL", "600"], 1);
    scene.client.int(&["CACHE.DEL", "key"]);
    let new = scene.server.client().token(&["key", "TTL", "600"]);
    waiters.extend(queue(&scene.server, &["key", "0", "TTL", "600"], 1));
    assert_eq!(scene.server.gauge("cache_leases_held"), 2);
    scene.client.ok(&["CACHE.RELEASE", "key", "FORCE"]);
    for token in [old, new] {
        scene.client.has_lost("key", &token);
    }
    let next = waiters.remove(0).answer().token();
    assert_eq!(scene.server.gauge("cache_leases_held"), 1);
    scene.client.fill("key", &next, "value");
    assert_eq!(waiters.remove(0).answer(), Answer::value("value"));
    at_rest(&scene);
}

#[test]
fn who_may_not_write_a_key_may_not_end_its_lease() {
    let mut scene = Scene::new();
    let token = scene.client.token(&["key", "TTL", "600"]);
    let rules = ["ACL", "SETUSER", "reader", "on", "nopass", "+@all", "%R~*"];
    scene.client.ok(&rules);
    let mut reader = scene.server.client();
    reader.ok(&["AUTH", "reader", "any"]);
    let error = reader.error(&["CACHE.RELEASE", "key", "FORCE"]);
    assert!(error.starts_with("NOPERM"), "{error}");
    scene.client.fill("key", &token, "value");
    at_rest(&scene);
}

#[test]
fn thousands_of_leases_are_free_again_after_a_flush() {
    let mut scene = Scene::new();
    for count in [1, 2] {
        for n in 0..1000 {
            scene.client.ask(&[&n.to_string(), "TTL", "600"]);
        }
        for _ in 0..1000 {
            scene.client.answer().token();
        }
        let error = refused(&mut scene.client, &["one more"]);
        let wanted = "OVERLOADED this client holds 1000 leases (cache.max-leases-per-client)";
        assert_eq!(error, wanted);
        scene.client.ok(&["FLUSHALL"]);
        assert_eq!(scene.server.gauge("cache_leases_held"), 0);
        scene.server.until_gauge("cache_leases_ended", 1000 * count);
    }
    at_rest(&scene);
}
