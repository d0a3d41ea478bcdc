//! Leases: one caller gets it, the others wait for what it fills.

use std::collections::HashSet;
use std::thread;

use crate::leasing::{Answer, LOST, Leasing, at_rest, locked, queue, waiting};
use crate::scene::{Scene, lock_key};
use crate::support::{Client, Value};

#[test]
fn of_a_hundred_callers_one_gets_the_lease_and_all_others_its_value() {
    let scene = Scene::new();
    let call = || {
        let mut client = scene.server.client();
        let answer = client.lease(&["key", "0"]);
        if let Answer::Lease(token) = &answer {
            scene.server.until_gauge("cache_waiters", 99);
            client.fill("key", token, "the value");
        }
        answer
    };
    let answers: Vec<_> = thread::scope(|scope| {
        let callers: Vec<_> = (0..100).map(|_| scope.spawn(call)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    let values = answers.iter().filter(|&answer| *answer == Answer::value("the value")).count();
    let leases = answers.iter().filter(|answer| matches!(answer, Answer::Lease(_))).count();
    assert_eq!((leases, values), (1, 99));
    assert_eq!(scene.server.gauge("cache_leases"), 1);
    assert_eq!(scene.server.gauge("cache_leases_filled"), 1);
    at_rest(&scene);
}

#[test]
fn what_is_fresh_is_answered_whoever_stored_it() {
    let mut scene = Scene::new();
    scene.client.ok(&["SET", "key", "by hand"]);
    assert_eq!(scene.client.lease(&["key"]), Answer::value("by hand"));
    scene.client.ok(&["SET", "key", ""]);
    assert_eq!(scene.client.lease(&["key", "0", "TTL", "5", "STALE", "TIED"]), Answer::value(""));
    crate::handmade::fresh("with a head").put(&mut scene.client, "key");
    assert_eq!(scene.client.lease(&["key"]), Answer::value("with a head"));
    assert_eq!(scene.server.gauge("cache_leases"), 0);
    at_rest(&scene);
}

#[test]
fn a_wait_ends_with_null_after_what_the_caller_or_the_settings_allow() {
    for (setting, call) in [
        (["cache.lease-ttl", "10"], &["key", "0.05"][..]),
        (["cache.default-timeout", "0.05"], &["key"]),
        (["cache.default-timeout", "0.05"], &["key", "TTL", "60", "TIED", "STALE"]),
        (["cache.max-timeout", "0.05"], &["key", "0"]),
        (["cache.max-timeout", "0.05"], &["key", "3600"]),
    ] {
        let mut scene = Scene::new();
        let token = scene.client.token(&["key", "TTL", "60"]);
        scene.client.ok(&["CONFIG", "SET", setting[0], setting[1]]);
        let mut waiter = scene.server.client();
        assert_eq!(waiter.lease(call), Answer::Null, "{setting:?}");
        waiting(&scene, 0);
        assert_eq!(scene.server.gauge("cache_leases_held"), 1, "{setting:?}");
        scene.client.fill("key", &token, "value");
        assert_eq!(waiter.lease(call), Answer::value("value"));
        at_rest(&scene);
    }
}

#[test]
fn the_lock_key_has_the_token_while_the_lease_is_held_and_goes_with_it() {
    let mut scene = Scene::new();
    let left = |scene: &Scene| scene.server.client().int(&["PTTL", &lock_key("key")]);
    for (call, longest) in [(&["key"][..], 10_000), (&["key", "TTL", "100"], 100_000)] {
        let token = scene.client.token(call);
        locked(&scene, "key", &token);
        let left = left(&scene);
        assert!(left > longest / 2 && left <= longest + 1000, "{left}");
        assert_eq!(scene.client.int(&["DBSIZE"]), 1);
        scene.client.release("key", &token);
        scene.until_all_landed();
        assert_eq!(scene.client.int(&["DBSIZE"]), 0);
    }
    let token = scene.client.token(&["key"]);
    scene.client.fill("key", &token, "value");
    assert_eq!(scene.client.int(&["DBSIZE"]), 1);
    at_rest(&scene);
}

#[test]
fn the_setting_says_how_long_a_lease_is_held_unless_its_holder_does() {
    let mut scene = Scene::with(|server| server.config("cache.lease-ttl", "0.05"));
    scene.client.token(&["runs out"]);
    let token = scene.client.token(&["stays", "TTL", "60"]);
    scene.server.until_gauge("cache_leases_expired", 1);
    assert_eq!(scene.server.gauge("cache_leases_held"), 1);
    scene.client.fill("stays", &token, "value");
    at_rest(&scene);
}

#[test]
fn the_lock_key_decides_nothing() {
    let mut scene = Scene::new();
    scene.client.ok(&["SET", &lock_key("key"), "left over"]);
    let token = scene.client.token(&["key"]);
    locked(&scene, "key", &token);
    assert_eq!(scene.client.int(&["DEL", &lock_key("key")]), 1);
    let mut waiter = queue(&scene.server, &["key", "0"], 1).remove(0);
    scene.client.ok(&["SET", &lock_key("key"), "somebody else's"]);
    scene.client.fill("key", &token, "value");
    assert_eq!(waiter.answer(), Answer::value("value"));
    assert_eq!(scene.client.text(&["GET", &lock_key("key")]), "somebody else's");
    scene.client.int(&["DEL", &lock_key("key")]);
    at_rest(&scene);
}

#[test]
fn ten_thousand_tokens_are_all_different() {
    let mut scene = Scene::with(|server| server.config("cache.max-leases-per-client", "10000"));
    let keys: Vec<_> = (0..10_000).map(|n| format!("key {n}")).collect();
    let mut tokens = Vec::new();
    for some in keys.chunks(100) {
        for key in some {
            scene.client.ask(&[key, "TTL", "600"]);
        }
        tokens.extend(some.iter().map(|_| scene.client.answer().token()));
    }
    for token in &tokens {
        assert!(token.len() == 32, "{token}");
        assert!(token.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{token}");
    }
    assert_eq!(tokens.iter().collect::<HashSet<_>>().len(), keys.len());
    assert_eq!(scene.server.gauge("cache_leases_held"), 10_000);
    for (key, token) in keys.iter().zip(&tokens) {
        scene.client.release(key, token);
    }
    at_rest(&scene);
}

#[test]
fn a_token_fills_its_own_key_alone_and_only_as_it_was_given() {
    let mut scene = Scene::new();
    let mut token = scene.client.token(&["a", "TTL", "60"]);
    while token.bytes().all(|byte| byte.is_ascii_digit()) {
        scene.client.release("a", &token);
        token = scene.client.token(&["a", "TTL", "60"]);
    }
    let other = scene.client.token(&["b", "TTL", "60"]);
    scene.client.has_lost("b", &token);
    scene.client.has_lost("a", &other);
    scene.client.has_lost("never leased", &token);
    for wrong in [&token.to_uppercase(), &token[1..], &format!("0{token}"), "", "token", "0"] {
        scene.client.has_lost("a", wrong);
    }
    scene.client.ok(&["SELECT", "1"]);
    scene.client.has_lost("a", &token);
    scene.client.ok(&["SELECT", "0"]);
    assert_eq!(scene.client.int(&["EXISTS", "a", "b", "never leased"]), 0);
    scene.server.client().fill("a", &token, "by another connection");
    scene.client.release("b", &other);
    assert!(scene.server.gauge("cache_leases_lost") >= 20);
    at_rest(&scene);
}

#[test]
fn each_database_has_leases_of_its_own() {
    let mut scene = Scene::new();
    let mut fifth = scene.server.client();
    fifth.ok(&["SELECT", "5"]);
    let tokens = [scene.client.token(&["key"]), fifth.token(&["key"])];
    assert_ne!(tokens[0], tokens[1]);
    fifth.fill("key", &tokens[1], "five");
    assert_eq!(scene.client.int(&["EXISTS", "key"]), 0);
    scene.client.fill("key", &tokens[0], "zero");
    assert_eq!(fifth.lease(&["key"]), Answer::value("five"));
    assert_eq!(scene.client.lease(&["key"]), Answer::value("zero"));
    at_rest(&scene);
}

#[test]
fn what_someone_sets_meanwhile_answers_who_comes_and_the_holders_value_who_waited() {
    let mut scene = Scene::new();
    let token = scene.client.token(&["key"]);
    let mut waiter = queue(&scene.server, &["key", "0"], 1).remove(0);
    scene.client.ok(&["SET", "key", "by hand"]);
    assert_eq!(scene.client.lease(&["key"]), Answer::value("by hand"));
    waiting(&scene, 1);
    scene.client.fill("key", &token, "the holder's");
    assert_eq!(waiter.answer(), Answer::value("the holder's"));
    assert_eq!(scene.client.text(&["GET", "key"]), "the holder's");
    at_rest(&scene);
}

#[test]
fn a_key_of_another_type_is_not_leased_but_filled_if_it_was() {
    const WRONG: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
    let mut scene = Scene::new();
    let token = scene.client.token(&["key"]);
    scene.client.int(&["LPUSH", "key", "element"]);
    assert_eq!(scene.client.error(&["CACHE.LEASE", "key"]), WRONG);
    assert_eq!(scene.client.error(&["CACHE.LEASE", "key", "STALE"]), WRONG);
    scene.client.fill("key", &token, "value");
    assert_eq!(scene.client.text(&["GET", "key"]), "value");
    at_rest(&scene);
}

#[test]
fn a_key_that_can_have_no_lock_key_is_not_leased() {
    const EMPTY: &str = "ERR invalid key: it is empty";
    const BRACES: &str = "ERR invalid key: its braces allow no lock key in its cluster slot; leave out its \
                          '}', or put a hash tag such as {a} before it";
    let mut scene = Scene::new();
    for (key, wrong) in [("", EMPTY), ("a}", BRACES), ("{}a", BRACES), ("a}b{c", BRACES)] {
        for call in [&["CACHE.LEASE", key][..], &["CACHE.LEASE", key, "1", "STALE"]] {
            assert_eq!(scene.client.error(call), wrong, "{key:?}");
        }
        let no_token = "0".repeat(32);
        assert_eq!(scene.client.error(&["CACHE.FILL", key, &no_token, "value"]), LOST);
        assert_eq!(scene.client.error(&["CACHE.RELEASE", key, &no_token]), LOST);
        scene.client.ok(&["SET", key, "value"]);
        assert_eq!(scene.client.lease(&[key]), Answer::value("value"), "{key:?}");
    }
    let tagged = "page{one}";
    let token = scene.client.token(&[tagged]);
    assert_eq!(scene.client.text(&["GET", "cache:lock:page{one}"]), token);
    scene.client.fill(tagged, &token, "value");
    at_rest(&scene);
}

#[test]
fn a_waiter_that_hangs_up_or_is_unblocked_leaves_the_others_waiting() {
    let mut scene = Scene::new();
    if scene.server.excepts_io_threads("CLIENT UNBLOCK answers 0") {
        return;
    }
    let token = scene.client.token(&["key", "TTL", "60"]);
    let mut waiters = queue(&scene.server, &["key", "0"], 4);
    let mut unblock = |client: &mut Client, how: &str, id: &str| {
        assert_eq!(scene.client.int(&["CLIENT", "UNBLOCK", id, how]), 1);
        client.reply()
    };
    let mut with_id = |how: &str| {
        let mut client = scene.server.client();
        let id = client.id();
        client.ask(&["key", "0"]);
        scene.server.until_gauge("cache_waiters", 5);
        let reply = unblock(&mut client, how, &id);
        assert_eq!(client.text(&["PING"]), "PONG");
        reply
    };
    assert_eq!(with_id("TIMEOUT"), Ok(Value::Nil));
    let error = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
    assert_eq!(with_id("ERROR"), Err(error.to_owned()));
    waiters.remove(1);
    scene.server.until_gauge("cache_waiters", 3);
    scene.client.fill("key", &token, "value");
    for mut waiter in waiters {
        assert_eq!(waiter.answer(), Answer::value("value"));
    }
    at_rest(&scene);
}
