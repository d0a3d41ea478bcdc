//! What is filled is what is answered and stored, byte for byte, whatever its size and whoever waits; and
//! what becomes of a large value whose bearer leaves while it is copied.

use crate::handmade;
use crate::leasing::{Answer, LOST, Leasing, at_rest, queue, wait_by};
use crate::scene::Scene;
use crate::support::{Client, Value, until};

const MIB: usize = 1 << 20;

/// A value of this size in which no part is like another.
fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]).collect()
}

/// The call that fills.
fn filling<'a>(key: &'a str, token: &'a str, value: &'a [u8]) -> [&'a [u8]; 4] {
    [b"CACHE.FILL", key.as_bytes(), token.as_bytes(), value]
}

/// Leases, has so many clients wait, fills, and asserts that all have the value, and the keyspace too.
fn fills(scene: &mut Scene, value: &[u8], waiters: usize) {
    let token = scene.client.token(&["key", "TTL", "60"]);
    let waiters = queue(&scene.server, &["key", "0"], waiters);
    scene.client.fill("key", &token, value);
    for mut waiter in waiters {
        assert!(waiter.answer() == Answer::value(value), "a waiter has something else");
        assert_eq!(waiter.text(&["PING"]), "PONG");
    }
    assert!(scene.client.bytes(&["GET", "key"]) == value, "something else is stored");
    assert!(scene.client.lease(&["key"]) == Answer::value(value));
    assert_eq!(scene.client.int(&["DEL", "key"]), 1);
}

#[test]
fn values_of_every_size_come_back_byte_for_byte_whoever_waits() {
    let mut scene = Scene::new();
    for size in [0, 1, 65_536, 65_537, MIB, 10 * MIB] {
        for waiters in [0, 1, 2, 20] {
            fills(&mut scene, &bytes(size), waiters);
        }
    }
    at_rest(&scene);
}

#[test]
fn a_bulk_of_waiters_is_answered_with_small_and_middling_values() {
    let mut scene = Scene::new();
    for size in [10, 5000] {
        fills(&mut scene, &bytes(size), 100);
    }
    at_rest(&scene);
}

/// Bytes that begin as a stored head does.
fn like_heads() -> Vec<Vec<u8>> {
    let head = handmade::fresh("body").header("etag", "\"1\"").bytes();
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        head.clone(),
        handmade::stale("body").bytes(),
        [&head[..], &bytes(100_000)].concat(),
        head[..handmade::FIXED].to_vec(),
        head[..40].to_vec(),
        text("HTTP/1.1 200 \r\ncache-get: 1 "),
        text("HTTP/1.1 200 \r\ncache-get: 1 nonsense\r\n\r\n"),
        text("HTTP/1.1 200 \r\ncache-get: 2 of another time"),
        text("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody"),
    ]
}

#[test]
fn bytes_that_begin_as_a_head_does_come_back_as_they_were_given() {
    let mut scene = Scene::new();
    for value in like_heads() {
        for waiters in [0, 1, 20] {
            let token = scene.client.token(&["key"]);
            let queue = queue(&scene.server, &["key", "0"], waiters);
            scene.client.fill("key", &token, &value);
            for mut waiter in queue {
                assert_eq!(waiter.answer(), Answer::value(&value));
            }
            assert_eq!(scene.client.lease(&["key"]), Answer::value(&value));
            assert_eq!(scene.client.bytes(&["CACHE.GET", "key"]), value);
            assert_eq!(scene.client.bytes(&["CACHE.PEEK", "key"]), value);
            assert_eq!(scene.client.int(&["DEL", "key"]), 1);
        }
        let token = scene.client.token(&["key"]);
        let call = filling("key", &token, &value);
        scene.client.ok(&[&call[..], &[b"60", b"STALE", b"5"]].concat());
        assert_eq!(scene.client.lease(&["key"]), Answer::value(&value));
        assert_eq!(scene.client.int(&["DEL", "key"]), 1);
    }
    at_rest(&scene);
}

#[test]
fn the_value_is_stored_when_its_bearer_and_the_waiters_have_their_answers() {
    let scene = Scene::new();
    for round in 0..20 {
        let key = format!("key {round}");
        let (mut bearer, mut reader) = (scene.server.client(), scene.server.client());
        let token = bearer.token(&[&key, "0", "TIED"]);
        let mut waiter = queue(&scene.server, &[&key, "0"], 1).remove(0);
        bearer.send(&filling(&key, &token, &bytes(MIB)));
        assert_eq!(bearer.reply(), Ok(Value::Okay));
        assert_eq!(reader.int(&["STRLEN", &key]), MIB.try_into().unwrap());
        drop(bearer);
        assert!(waiter.answer() == Answer::value(bytes(MIB)));
    }
    assert_eq!(scene.server.gauge("cache_leases_cut"), 0);
    at_rest(&scene);
}

/// Fills with a large value, of which no answer is awaited, and returns when the server has it.
fn begin(scene: &Scene, bearer: &mut Client, (key, token): (&str, &str), value: &[u8]) {
    let calls = calls(scene);
    bearer.send(&filling(key, token, value));
    until("the server to have the value", || self::calls(scene) > calls);
}

/// How often the server has been called to fill.
fn calls(scene: &Scene) -> u64 {
    let stats = scene.server.info("cmdstat_cache.fill").unwrap_or_default();
    let calls = stats.strip_prefix("calls=").and_then(|rest| rest.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

/// The value has been taken over by then, and is stored without its bearer.
#[test]
fn a_bearer_may_leave_while_its_value_is_copied() {
    let mut scene = Scene::new();
    let value = bytes(20 * MIB);
    for how in ["hangs up", "is killed", "is unblocked", "is unblocked by an error"] {
        for waiters in [0, 1, 3] {
            let mut bearer = scene.server.client();
            let id = bearer.id();
            let token = bearer.token(&["key", "0", "TIED"]);
            let queue = queue(&scene.server, &["key", "0"], waiters);
            begin(&scene, &mut bearer, ("key", &token), &value);
            match how {
                "hangs up" => drop(bearer),
                "is killed" => {
                    scene.client.call(&["CLIENT", "KILL", "ID", &id]).unwrap();
                }
                _ => {
                    let by = if how == "is unblocked" { "TIMEOUT" } else { "ERROR" };
                    assert_eq!(scene.client.int(&["CLIENT", "UNBLOCK", &id, by]), 0);
                    assert_eq!(bearer.reply(), Ok(Value::Okay));
                    assert_eq!(bearer.text(&["PING"]), "PONG");
                }
            }
            for mut waiter in queue {
                assert!(waiter.answer() == Answer::value(&value), "{how}, {waiters}");
            }
            scene.server.until_gauge("cache_flights", 0);
            assert!(scene.client.bytes(&["GET", "key"]) == value, "{how}, {waiters}");
            scene.client.fill("key", &token, "again");
            assert_eq!(scene.client.int(&["DEL", "key"]), 1);
        }
    }
    at_rest(&scene);
}

#[test]
fn who_comes_while_a_large_value_is_copied_waits_for_it_or_finds_it() {
    let mut scene = Scene::new();
    let value = bytes(30 * MIB);
    for _ in 0..5 {
        let token = scene.client.token(&["key"]);
        let mut others = queue(&scene.server, &["key", "0"], 2);
        scene.client.send(&filling("key", &token, &value));
        for command in ["CACHE.LEASE", "CACHE.LEASE", "CACHE.LEASE"] {
            let mut late = scene.server.client();
            late.send(&[command, "key", "0"]);
            others.push(late);
        }
        assert_eq!(scene.client.reply(), Ok(Value::Okay));
        for mut other in others {
            assert!(other.answer() == Answer::value(&value));
        }
        assert_eq!(scene.client.int(&["DEL", "key"]), 1);
    }
    at_rest(&scene);
}

#[test]
fn a_large_value_of_a_lost_lease_is_refused_at_once() {
    let mut scene = Scene::new();
    let token = scene.client.token(&["key"]);
    scene.client.release("key", &token);
    assert_eq!(scene.client.error(&filling("key", &token, &bytes(10 * MIB))), LOST);
    assert_eq!(scene.client.int(&["EXISTS", "key"]), 0);
    at_rest(&scene);
}

#[test]
fn waiters_that_leave_while_a_large_value_is_copied_harm_nobody() {
    let mut scene = Scene::new();
    let value = bytes(10 * MIB);
    for round in 0..10 {
        let token = scene.client.token(&["key"]);
        let leave = queue(&scene.server, &["key", "0"], if round % 2 == 0 { 1 } else { 5 });
        let stay = wait_by(&scene.server, &["CACHE.LEASE", "key", "0"], round % 3);
        scene.client.send(&filling("key", &token, &value));
        drop(leave);
        assert_eq!(scene.client.reply(), Ok(Value::Okay));
        for mut waiter in stay {
            assert!(waiter.answer() == Answer::value(&value));
        }
        assert_eq!(scene.client.int(&["DEL", "key"]), 1);
    }
    at_rest(&scene);
}
