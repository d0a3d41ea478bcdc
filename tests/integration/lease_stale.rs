//! `STALE`: a stale value comes at once, and one of those who get it is to fill.

use std::thread;

use crate::handmade;
use crate::leasing::{Answer, LOST, Leasing, at_rest, locked, queue, wait_by, waiting};
use crate::scene::Scene;

/// Asserts that all of many concurrent callers get the stale value and exactly one a lease, and gives it.
fn one_token_among_fifty(scene: &Scene) -> String {
    let call = || scene.server.client().lease(&["key", "0", "STALE"]);
    let answers: Vec<_> = thread::scope(|scope| {
        let callers: Vec<_> = (0..50).map(|_| scope.spawn(call)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    let without = answers.iter().filter(|&answer| *answer == Answer::stale("old")).count();
    assert_eq!(without, 49);
    let with = answers.into_iter().find(|answer| *answer != Answer::stale("old")).unwrap();
    let Answer::Stale(value, Some(token)) = with else { panic!("{with:?}") };
    assert_eq!(value, b"old");
    assert_eq!(scene.server.gauge("cache_leases_held"), 1);
    locked(scene, "key", &token);
    token
}

#[test]
fn a_stale_value_comes_to_all_at_once_and_the_lease_to_one() {
    let mut scene = Scene::with(|server| server.config("cache.refresh-backoff", "0"));
    handmade::stale("old").put(&mut scene.client, "key");
    let first = one_token_among_fifty(&scene);
    scene.client.release("key", &first);
    scene.until_all_landed();
    assert!(scene.exists("key"), "a release took the stale value along");
    let second = one_token_among_fifty(&scene);
    scene.client.has_lost("key", &first);
    scene.client.fill("key", &second, "new");
    assert_eq!(scene.client.lease(&["key", "0", "STALE"]), Answer::value("new"));
    assert_eq!(scene.server.gauge("cache_leases"), 2);
    at_rest(&scene);
}

#[test]
fn what_was_filled_with_stale_is_kept_and_offered_past_its_expiry() {
    let mut scene = Scene::new();
    let token = scene.client.token(&["key"]);
    scene.client.ok(&["CACHE.FILL", "key", &token, "old", "0.05", "STALE", "600"]);
    scene.until_expired("key");
    let (value, token) = match scene.client.lease(&["key", "STALE"]) {
        Answer::Stale(value, Some(token)) => (value, token),
        other => panic!("{other:?}"),
    };
    assert_eq!(value, b"old");
    assert_eq!(scene.client.lease(&["key", "STALE"]), Answer::stale("old"));
    assert_eq!(scene.client.text(&["CACHE.PEEK", "key", "STALE", "600"]), "old");
    scene.client.null(&["CACHE.PEEK", "key"]);
    scene.client.ok(&["CACHE.FILL", "key", &token, "new", "60", "STALE", "600"]);
    assert_eq!(scene.client.lease(&["key", "STALE"]), Answer::value("new"));
    assert!(scene.client.int(&["TTL", "key"]) > 600);
    at_rest(&scene);
}

#[test]
fn who_does_not_welcome_a_stale_value_is_treated_as_if_there_were_none() {
    let mut scene = Scene::new();
    handmade::stale("old").put(&mut scene.client, "key");
    let token = scene.client.token(&["key"]);
    let mut waiter = queue(&scene.server, &["key", "0"], 1).remove(0);
    assert_eq!(scene.client.lease(&["key", "0", "STALE"]), Answer::stale("old"));
    waiting(&scene, 1);
    scene.client.release("key", &token);
    let token = waiter.answer().token();
    assert!(scene.exists("key"));
    scene.client.fill("key", &token, "new");
    assert_eq!(scene.client.lease(&["key"]), Answer::value("new"));
    at_rest(&scene);
}

#[test]
fn who_waits_gets_what_the_one_with_the_stale_value_fills_or_its_lease() {
    let mut scene = Scene::new();
    handmade::stale("old").put(&mut scene.client, "key");
    let token = scene.client.lease(&["key", "STALE"]).token();
    let mut waiters = queue(&scene.server, &["key", "0"], 2);
    let mut gets = wait_by(&scene.server, &["CACHE.GET", "key", "60", "0"], 1).remove(0);
    assert_eq!(scene.client.text(&["CACHE.GET", "key", "60", "0", "STALE", "3600"]), "old");
    scene.client.release("key", &token);
    let token = waiters.remove(0).answer().token();
    waiting(&scene, 2);
    scene.client.fill("key", &token, "new");
    assert_eq!(waiters.remove(0).answer(), Answer::value("new"));
    assert_eq!(gets.reply_bytes(), b"new");
    at_rest(&scene);
}

#[test]
fn with_nothing_there_who_welcomes_stale_waits_as_all_do() {
    let mut scene = Scene::new();
    let token = scene.client.token(&["key", "0", "STALE"]);
    let mut waiter = queue(&scene.server, &["key", "0", "STALE"], 1).remove(0);
    scene.client.fill("key", &token, "value");
    assert_eq!(waiter.answer(), Answer::value("value"));
    at_rest(&scene);
}

#[test]
fn a_tied_lease_on_a_stale_value_is_lost_with_its_connection_and_the_value_stays() {
    let mut scene = Scene::with(|server| server.config("cache.refresh-backoff", "0"));
    handmade::stale("old").put(&mut scene.client, "key");
    let mut holder = scene.server.client();
    let token = holder.lease(&["key", "0", "TIED", "STALE"]).token();
    drop(holder);
    scene.server.until_gauge("cache_leases_cut", 1);
    scene.until_all_landed();
    assert_eq!(scene.client.error(&["CACHE.FILL", "key", &token, "value"]), LOST);
    let token = scene.client.lease(&["key", "0", "STALE", "TTL", "0.05"]).token();
    scene.server.until_gauge("cache_leases_expired", 1);
    scene.until_all_landed();
    scene.client.has_lost("key", &token);
    let token = scene.client.lease(&["key", "0", "STALE"]).token();
    scene.client.release("key", &token);
    at_rest(&scene);
}

#[test]
fn a_value_of_no_known_form_is_as_nothing_and_is_replaced() {
    let mut scene = Scene::new();
    scene.client.ok(&["SET", "key", "HTTP/1.1 200 \r\ncache-get: 2 of another time"]);
    let token = scene.client.token(&["key", "0", "STALE"]);
    scene.client.fill("key", &token, "value");
    assert_eq!(scene.client.lease(&["key"]), Answer::value("value"));
    at_rest(&scene);
}
