//! `CACHE.MGET` of URLs together with the lock keys of their flights: what is read lies still while it is read.

use crate::mget::{bulk, call, hold_each};
use crate::scene::Scene;
use crate::support::{Client, Gate, Value};

const SEEDED: usize = 12;

/// Short strings, which the server keeps within its own object, and longer ones.
fn seeds() -> [String; 3] {
    [12, 300, 70_000].map(|size| "A".repeat(size))
}

/// The URLs, then their lock keys, in each of which stands `seed`.
fn with_locks(client: &mut Client, urls: &[String], seed: &str) -> Vec<String> {
    let locks: Vec<_> = urls.iter().map(|url| format!("cache:lock:{{{url}}}")).collect();
    for lock in &locks {
        client.ok(&["SET", lock, seed]);
    }
    [urls, &locks].concat()
}

#[test]
fn urls_and_their_lock_keys_are_read_in_one_call() {
    for (round, seed) in seeds().iter().enumerate() {
        for in_multi in [false, true] {
            let mut scene = Scene::new();
            let gate = Gate::closed();
            let urls = hold_each(&scene, SEEDED, &gate);
            let keys = with_locks(&mut scene.client, &urls, seed);
            let words = call("24", &keys, &["60", "0", "NOWAIT"]);
            let places = if in_multi {
                scene.client.ok(&["MULTI"]);
                scene.client.text(&words);
                match scene.client.array(&["EXEC"]).remove(0) {
                    Value::Array(places) => places,
                    other => panic!("no array: {other:?}"),
                }
            } else {
                scene.client.array(&words)
            };
            assert_eq!(places[..SEEDED], vec![Value::Nil; SEEDED], "{round}");
            assert_eq!(places[SEEDED..], vec![bulk(seed); SEEDED], "{round}");
            // The flights have their marks all the same.
            for lock in &keys[SEEDED..] {
                assert_ne!(scene.client.text(&["GET", lock]), *seed);
                assert!(scene.client.int(&["PTTL", lock]) > 0);
            }
            gate.open();
            scene.until_all_landed();
            for lock in &keys[SEEDED..] {
                assert_eq!(scene.client.int(&["EXISTS", lock]), 0);
            }
            scene.still_works();
        }
    }
}

#[test]
fn a_call_that_waits_has_what_the_lock_keys_held_when_it_came() {
    for seed in seeds() {
        let mut scene = Scene::new();
        let gate = Gate::closed();
        let urls = hold_each(&scene, SEEDED, &gate);
        let keys = with_locks(&mut scene.client, &urls, &seed);
        scene.client.send(&call("24", &keys, &["60", "0"]));
        scene.origin.until_in_the_air(SEEDED as u64);
        gate.open();
        let Ok(Value::Array(places)) = scene.client.reply() else { panic!("no array") };
        let bodies: Vec<_> = (0..SEEDED).map(|n| bulk(n.to_string())).collect();
        assert_eq!(places[..SEEDED], bodies);
        assert_eq!(places[SEEDED..], vec![bulk(&seed); SEEDED]);
        scene.still_works();
    }
}

#[test]
fn a_lock_key_and_what_it_locks_are_read_by_calls_for_one_url() {
    let mut scene = Scene::new();
    let gate = Gate::closed();
    let url = hold_each(&scene, 1, &gate).remove(0);
    let lock = format!("cache:lock:{{{url}}}");
    scene.client.null(&["CACHE.GET", &url, "60", "0", "NOWAIT"]);
    let token = scene.client.text(&["GET", &lock]);
    assert_eq!(scene.client.text(&["CACHE.GET", &lock]), token);
    let error = scene.client.error(&["CACHE.GET", &lock, "REFRESH"]);
    assert!(error.starts_with("ERR invalid url: "), "{error}");
    // A stale entry under the name of a lock key is answered, and is no URL that could be refreshed.
    crate::handmade::stale("old").put(&mut scene.client, &lock);
    assert_eq!(scene.client.text(&["CACHE.GET", &lock, "60", "STALE", "86400"]), "old");
    gate.open();
    scene.until_all_landed();
    scene.still_works();
}
