//! A lease whose ground is gone is void: what its holder brings still answers those who waited, and is not
//! stored. Who comes after begins anew.

use crate::leasing::{Answer, LOST, Leasing, at_rest, lock_keys, locked, queue, wait_by, waiting};
use crate::scene::Scene;

/// What voids a lease of `key` in database 0.
const VOIDERS: [&[&str]; 7] = [
    &["CACHE.DEL", "key"],
    &["FLUSHALL"],
    &["FLUSHALL", "ASYNC"],
    &["FLUSHDB"],
    &["SWAPDB", "0", "1"],
    &["SWAPDB", "1", "0"],
    &["DEBUG", "RELOAD"],
];

fn void(scene: &mut Scene, command: &[&str]) {
    scene.client.call(command).expect("it fails");
}

#[test]
fn a_void_holder_answers_those_who_waited_and_stores_nothing() {
    for command in VOIDERS {
        for large in [false, true] {
            let mut scene = Scene::new();
            let token = scene.client.token(&["key"]);
            let waiters = queue(&scene.server, &["key", "0"], 3);
            let mut gets = wait_by(&scene.server, &["CACHE.GET", "key", "60", "0"], 1).remove(0);
            void(&mut scene, command);
            let value = "value".repeat(if large { 100_000 } else { 1 });
            assert_eq!(scene.client.error(&["CACHE.FILL", "key", &token, &value]), LOST);
            for mut waiter in waiters {
                assert!(waiter.answer() == Answer::value(&value), "{command:?}");
            }
            assert!(gets.reply_bytes() == value.as_bytes());
            assert_eq!(scene.client.int(&["DBSIZE"]), 0, "{command:?}");
            scene.client.has_lost("key", &token);
            // Valkey 9.1 tells of a reload as of a load, and not of a flush before.
            let void = ["cache_not_stored_void", "cache_not_stored_loading"];
            assert_eq!(void.map(|field| scene.server.gauge(field)).iter().sum::<u64>(), 1);
            assert_eq!(scene.server.gauge("cache_leases_filled"), 0);
            at_rest(&scene);
        }
    }
}

#[test]
fn who_comes_after_has_a_lease_of_its_own_which_the_void_one_leaves_alone() {
    for command in VOIDERS {
        let mut scene = Scene::new();
        let old = scene.client.token(&["key"]);
        let mut before = queue(&scene.server, &["key", "0"], 1).remove(0);
        void(&mut scene, command);
        let new = scene.client.token(&["key"]);
        assert_ne!(old, new);
        let mut after = queue(&scene.server, &["key", "0"], 1).remove(0);
        assert_eq!(scene.server.gauge("cache_leases_held"), 2);
        assert_eq!(scene.client.error(&["CACHE.FILL", "key", &old, "old"]), LOST);
        assert_eq!(before.answer(), Answer::value("old"));
        waiting(&scene, 1);
        locked(&scene, "key", &new);
        scene.client.fill("key", &new, "new");
        assert_eq!(after.answer(), Answer::value("new"));
        assert_eq!(scene.client.lease(&["key"]), Answer::value("new"));
        scene.client.int(&["DEL", "key"]);
        at_rest(&scene);
    }
}

#[test]
fn a_new_lease_may_be_filled_before_the_void_one() {
    let mut scene = Scene::new();
    let old = scene.client.token(&["key"]);
    let mut before = queue(&scene.server, &["key", "0"], 1).remove(0);
    scene.client.int(&["CACHE.DEL", "key"]);
    let new = scene.client.token(&["key"]);
    scene.client.fill("key", &new, "new");
    waiting(&scene, 1);
    assert_eq!(scene.client.error(&["CACHE.FILL", "key", &old, "old"]), LOST);
    assert_eq!(before.answer(), Answer::value("old"));
    assert_eq!(scene.client.lease(&["key"]), Answer::value("new"));
    at_rest(&scene);
}

#[test]
fn the_waiters_of_a_void_lease_that_is_lost_get_what_the_new_one_has_brought() {
    let mut scene = Scene::new();
    let old = scene.client.token(&["key"]);
    let mut before = queue(&scene.server, &["key", "0"], 2);
    scene.client.ok(&["FLUSHALL"]);
    let new = scene.client.token(&["key"]);
    scene.client.fill("key", &new, "new");
    waiting(&scene, 2);
    assert_eq!(scene.client.error(&["CACHE.RELEASE", "key", &old]), LOST);
    for waiter in &mut before {
        assert_eq!(waiter.answer(), Answer::value("new"));
    }
    at_rest(&scene);
}

#[test]
fn a_void_lease_that_is_lost_passes_to_the_first_who_waits_and_is_as_good_as_new() {
    for command in VOIDERS {
        for how in ["released", "cut"] {
            let mut scene = Scene::new();
            let mut holder = scene.server.client();
            let old = holder.token(&["key", "0", "TIED"]);
            let mut waiters = queue(&scene.server, &["key", "0"], 2);
            void(&mut scene, command);
            match how {
                "released" => assert_eq!(holder.error(&["CACHE.RELEASE", "key", &old]), LOST),
                _ => drop(holder),
            }
            let new = waiters.remove(0).answer().token();
            locked(&scene, "key", &new);
            assert_eq!(lock_keys(&scene.server).len(), 1, "{command:?}");
            let mut joins = queue(&scene.server, &["key", "0"], 1).remove(0);
            scene.client.has_lost("key", &old);
            scene.client.fill("key", &new, "new");
            assert_eq!(waiters.remove(0).answer(), Answer::value("new"));
            assert_eq!(joins.answer(), Answer::value("new"));
            assert_eq!(scene.client.lease(&["key"]), Answer::value("new"));
            scene.client.int(&["DEL", "key"]);
            at_rest(&scene);
        }
    }
}

#[test]
fn the_waiters_of_a_lost_void_lease_go_over_to_the_next_one_ahead_of_those_there() {
    for command in VOIDERS {
        for how in ["released", "cut"] {
            let mut scene = Scene::new();
            let mut holder = scene.server.client();
            let old = holder.token(&["key", "0", "TIED"]);
            let mut order = queue(&scene.server, &["key", "0"], 2);
            void(&mut scene, command);
            let mut new = scene.client.token(&["key"]);
            order.extend(queue(&scene.server, &["key", "0"], 2));
            match how {
                "released" => assert_eq!(holder.error(&["CACHE.RELEASE", "key", &old]), LOST),
                _ => drop(holder),
            }
            scene.server.until_gauge("cache_flights", 1);
            locked(&scene, "key", &new);
            for (left, mut next) in (0..4).rev().zip(order.drain(..3).collect::<Vec<_>>()) {
                waiting(&scene, left + 1);
                scene.client.release("key", &new);
                new = next.answer().token();
                waiting(&scene, left);
            }
            scene.client.fill("key", &new, "new");
            assert_eq!(order.remove(0).answer(), Answer::value("new"), "{command:?}");
            scene.client.int(&["DEL", "key"]);
            at_rest(&scene);
        }
    }
}

#[test]
fn a_void_lease_that_nobody_waits_for_is_freed_at_once() {
    for command in VOIDERS {
        let mut scene = Scene::new();
        let token = scene.client.token(&["key", "TTL", "600"]);
        let other = scene.client.token(&["other", "TTL", "600"]);
        void(&mut scene, command);
        let left_alone = u64::from(command[0] == "CACHE.DEL");
        assert_eq!(scene.server.gauge("cache_leases_held"), left_alone, "{command:?}");
        scene.server.until_gauge("cache_leases_ended", 2 - left_alone);
        scene.client.has_lost("key", &token);
        scene.client.call(&["CACHE.RELEASE", "other", &other]).ok();
        at_rest(&scene);
    }
}

#[test]
fn a_void_lease_that_somebody_waits_for_stays_until_it_is_lost() {
    for command in VOIDERS {
        let mut scene = Scene::new();
        let token = scene.client.token(&["key", "TTL", "600"]);
        let mut waiter = queue(&scene.server, &["key", "0"], 1).remove(0);
        void(&mut scene, command);
        assert_eq!(scene.server.gauge("cache_leases_held"), 1, "{command:?}");
        assert_eq!(scene.client.error(&["CACHE.RELEASE", "key", &token]), LOST);
        let token = waiter.answer().token();
        scene.client.fill("key", &token, "value");
        at_rest(&scene);
    }
}

#[test]
fn swapping_databases_twice_leaves_no_lock_key_and_no_value_behind() {
    let mut scene = Scene::new();
    let token = scene.client.token(&["key"]);
    let mut waiter = queue(&scene.server, &["key", "0"], 1).remove(0);
    void(&mut scene, &["SWAPDB", "0", "1"]);
    void(&mut scene, &["SWAPDB", "1", "2"]);
    assert_eq!(lock_keys(&scene.server).len(), 1);
    scene.client.ok(&["SELECT", "2"]);
    assert_eq!(scene.client.error(&["CACHE.FILL", "key", &token, "value"]), LOST);
    waiting(&scene, 1);
    scene.client.ok(&["SELECT", "0"]);
    assert_eq!(scene.client.error(&["CACHE.FILL", "key", &token, "value"]), LOST);
    assert_eq!(waiter.answer(), Answer::value("value"));
    for db in ["0", "1", "2"] {
        scene.client.ok(&["SELECT", db]);
        assert_eq!(scene.client.int(&["DBSIZE"]), 0, "db {db}");
    }
    at_rest(&scene);
}

/// The lock key lies in another database by then: to remove it must not move the caller there.
#[test]
fn who_fills_behind_a_swap_stays_in_its_database() {
    for script in [false, true] {
        let mut scene = Scene::new();
        let token = scene.client.token(&["key"]);
        void(&mut scene, &["SWAPDB", "0", "1"]);
        if script {
            let script = "redis.pcall('CACHE.FILL', KEYS[1], ARGV[1], 'value') \
                          return redis.call('SET', 'probe', '1')";
            scene.client.ok(&["EVAL", script, "1", "key", &token]);
        } else {
            scene.client.ok(&["MULTI"]);
            scene.client.text(&["CACHE.FILL", "key", &token, "value"]);
            scene.client.text(&["SET", "probe", "1"]);
            scene.client.array(&["EXEC"]);
        }
        assert!(scene.exists("probe"), "in a script: {script}");
        assert_eq!(scene.client.int(&["DBSIZE"]), 1);
        at_rest(&scene);
    }
}

#[test]
fn leases_of_both_swapped_databases_leave_each_other_alone() {
    let mut scene = Scene::new();
    let mut first = scene.server.client();
    first.ok(&["SELECT", "1"]);
    let tokens = [scene.client.token(&["key"]), first.token(&["key"])];
    void(&mut scene, &["SWAPDB", "0", "1"]);
    let new = [scene.client.token(&["key"]), first.token(&["key"])];
    assert_eq!(scene.client.error(&["CACHE.RELEASE", "key", &tokens[0]]), LOST);
    assert_eq!(first.error(&["CACHE.FILL", "key", &tokens[1], "value"]), LOST);
    scene.server.until_gauge("cache_leases_held", 2);
    scene.client.fill("key", &new[0], "zero");
    first.fill("key", &new[1], "one");
    assert_eq!(scene.client.text(&["GET", "key"]), "zero");
    assert_eq!(first.text(&["GET", "key"]), "one");
    at_rest(&scene);
}

#[test]
fn other_databases_and_other_keys_keep_their_leases() {
    for command in [&["FLUSHDB"][..], &["SWAPDB", "1", "2"], &["CACHE.DEL", "key"]] {
        let mut scene = Scene::new();
        let token = scene.client.token(&["key"]);
        let mut other = scene.server.client();
        other.ok(&["SELECT", "5"]);
        other.call(command).unwrap();
        scene.client.fill("key", &token, "value");
        assert_eq!(scene.client.lease(&["key"]), Answer::value("value"), "{command:?}");
        at_rest(&scene);
    }
    let mut scene = Scene::new();
    let token = scene.client.token(&["key"]);
    scene.client.int(&["CACHE.DEL", "another key"]);
    assert_eq!(scene.client.int(&["DEL", "key"]), 0);
    scene.client.fill("key", &token, "value");
    at_rest(&scene);
}

#[test]
fn a_flush_that_comes_while_a_large_value_is_copied_is_told_or_came_too_late() {
    let mut scene = Scene::new();
    let value = "x".repeat(20 << 20);
    for _ in 0..10 {
        let token = scene.client.token(&["key"]);
        let mut waiter = queue(&scene.server, &["key", "0"], 1).remove(0);
        scene.client.send(&["CACHE.FILL", "key", &token, &value]);
        scene.server.client().ok(&["FLUSHALL"]);
        let outcome = scene.client.reply();
        assert!(waiter.answer() == Answer::value(&value));
        match outcome {
            Err(line) => {
                assert_eq!(line, LOST);
                assert!(!scene.exists("key"));
            }
            // The flush came when the value was stored.
            Ok(_) => scene.client.ok(&["FLUSHALL"]),
        }
        at_rest(&scene);
    }
}
