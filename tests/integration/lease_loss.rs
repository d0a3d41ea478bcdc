//! A lease is lost: its holder gives it up, its time runs out, or it is tied and its connection closes.
//! Whoever has waited longest gets the next.

use crate::handmade;
use crate::leasing::{Answer, Leasing, at_rest, locked, queue, waiting};
use crate::scene::{BODY, Scene};
use crate::support::{Client, Reply, Value};

/// Asserts that a client has been given the lease, not the old one, and that so many still wait.
fn passed_to(scene: &Scene, client: &mut Client, old: &str, left: u64) -> String {
    let token = client.answer().token();
    assert_ne!(token, old);
    waiting(scene, left);
    assert_eq!(scene.server.gauge("cache_leases_held"), 1);
    locked(scene, "key", &token);
    scene.server.client().has_lost("key", old);
    token
}

#[test]
fn a_lease_that_is_given_up_goes_down_the_queue() {
    let mut scene = Scene::new();
    let mut token = scene.client.token(&["key"]);
    let mut waiters = queue(&scene.server, &["key", "0"], 6);
    for left in (1..6).rev() {
        scene.client.release("key", &token);
        token = passed_to(&scene, &mut waiters.remove(0), &token, left);
    }
    scene.client.fill("key", &token, "value");
    assert_eq!(waiters.remove(0).answer(), Answer::value("value"));
    assert_eq!(scene.server.gauge("cache_leases"), 6);
    assert_eq!(scene.server.gauge("cache_leases_released"), 5);
    at_rest(&scene);
}

#[test]
fn a_tied_lease_goes_down_the_queue_as_connections_close() {
    let mut scene = Scene::new();
    let mut holder = scene.server.client();
    let mut token = holder.token(&["key", "0", "TIED"]);
    for (left, mut waiter) in (0..5).rev().zip(queue(&scene.server, &["key", "0", "TIED"], 5)) {
        if left % 2 == 0 {
            drop(holder);
        } else {
            let id = holder.id();
            scene.client.int(&["CLIENT", "KILL", "ID", &id]);
        }
        token = passed_to(&scene, &mut waiter, &token, left);
        holder = waiter;
    }
    drop(holder);
    scene.server.until_gauge("cache_leases_cut", 6);
    scene.client.has_lost("key", &token);
    at_rest(&scene);
}

#[test]
fn a_lease_goes_down_the_queue_as_it_runs_out() {
    let mut scene = Scene::new();
    let mut token = scene.client.token(&["key", "TTL", "60"]);
    let mut waiters = queue(&scene.server, &["key", "0", "TTL", "0.05"], 5);
    scene.client.release("key", &token);
    for waiter in &mut waiters {
        let next = waiter.answer().token();
        assert_ne!(next, token);
        scene.client.has_lost("key", &token);
        token = next;
    }
    scene.server.until_gauge("cache_leases_expired", 5);
    scene.client.has_lost("key", &token);
    at_rest(&scene);
}

#[test]
fn a_lease_that_runs_out_with_nobody_waiting_leaves_nothing_behind() {
    let mut scene = Scene::new();
    let token = scene.client.token(&["key", "TTL", "0.01"]);
    scene.server.until_gauge("cache_leases_expired", 1);
    scene.until_all_landed();
    assert_eq!(scene.client.int(&["DBSIZE"]), 0);
    scene.client.has_lost("key", &token);
    let token = scene.client.token(&["key"]);
    scene.client.fill("key", &token, "value");
    at_rest(&scene);
}

#[test]
fn an_untied_lease_outlives_its_holders_connection() {
    let mut scene = Scene::new();
    let mut holder = scene.server.client();
    let token = holder.token(&["key", "0", "TTL", "60"]);
    holder.token(&["marker", "0", "TIED"]);
    let mut waiter = queue(&scene.server, &["key", "0"], 1).remove(0);
    drop(holder);
    scene.server.until_gauge("cache_leases_cut", 1);
    waiting(&scene, 1);
    scene.client.fill("key", &token, "value");
    assert_eq!(waiter.answer(), Answer::value("value"));
    at_rest(&scene);
}

#[test]
fn a_client_may_be_tied_to_many_leases_and_loses_those_it_holds_still() {
    let mut scene = Scene::new();
    let mut holder = scene.server.client();
    let keys = ["a", "b", "c", "d", "e"];
    let tokens = keys.map(|key| holder.token(&[key, "0", "TTL", "60", "TIED"]));
    let mut waiters = ["a", "b", "c"].map(|key| queue(&scene.server, &[key, "0"], 1).remove(0));
    holder.fill("d", &tokens[3], "filled");
    holder.release("e", &tokens[4]);
    let after = scene.client.token(&["e", "0", "TTL", "60"]);
    drop(holder);
    for (waiter, key) in waiters.iter_mut().zip(keys) {
        let token = waiter.answer().token();
        waiter.fill(key, &token, key);
    }
    assert_eq!(scene.server.gauge("cache_leases_cut"), 3);
    scene.client.fill("e", &after, "e");
    assert_eq!(scene.client.lease(&["d"]), Answer::value("filled"));
    at_rest(&scene);
}

/// What a client was tied to and has given back is no business of its connection any more.
#[test]
fn a_tied_holder_that_filled_or_released_and_then_closes_harms_nobody() {
    for how in ["fill", "release", "run out"] {
        let mut scene = Scene::new();
        let mut first = scene.server.client();
        let ttl = if how == "run out" { "0.02" } else { "60" };
        let token = first.token(&["key", "0", "TTL", ttl, "TIED"]);
        match how {
            "fill" => {
                first.fill("key", &token, "first");
                assert_eq!(scene.client.int(&["DEL", "key"]), 1);
            }
            "release" => first.release("key", &token),
            _ => scene.server.until_gauge("cache_leases_expired", 1),
        }
        let token = scene.client.token(&["key", "TTL", "60"]);
        first.token(&["marker", "0", "TIED"]);
        drop(first);
        scene.server.until_gauge("cache_leases_cut", 1);
        locked(&scene, "key", &token);
        scene.client.fill("key", &token, "second");
        assert_eq!(scene.client.lease(&["key"]), Answer::value("second"), "{how}");
        at_rest(&scene);
    }
}

#[test]
fn a_waiter_that_is_given_the_lease_is_tied_by_its_own_connection_and_its_own_wish() {
    let mut scene = Scene::new();
    let mut first = scene.server.client();
    let token = first.token(&["key", "0", "TIED"]);
    let mut second = queue(&scene.server, &["key", "0", "TTL", "60", "TIED"], 1).remove(0);
    let mut third = queue(&scene.server, &["key", "0", "TTL", "60"], 1).remove(0);
    let mut fourth = queue(&scene.server, &["key", "0"], 1).remove(0);
    first.release("key", &token);
    let token = passed_to(&scene, &mut second, &token, 2);
    first.token(&["marker", "0", "TIED"]);
    drop(first);
    scene.server.until_gauge("cache_leases_cut", 1);
    locked(&scene, "key", &token);
    drop(second);
    let token = passed_to(&scene, &mut third, &token, 1);
    third.token(&["another marker", "0", "TIED"]);
    drop(third);
    scene.server.until_gauge("cache_leases_cut", 3);
    waiting(&scene, 1);
    scene.client.fill("key", &token, "value");
    assert_eq!(fourth.answer(), Answer::value("value"));
    at_rest(&scene);
}

#[test]
fn who_has_left_the_queue_is_passed_over() {
    let mut scene = Scene::new();
    if scene.server.excepts_io_threads("CLIENT UNBLOCK answers 0") {
        return;
    }
    let token = scene.client.token(&["key", "TTL", "60"]);
    let mut client = scene.server.client();
    let id = client.id();
    client.ask(&["key", "0", "TIED"]);
    scene.server.until_gauge("cache_waiters", 1);
    let hangs_up = queue(&scene.server, &["key", "0", "TIED"], 1);
    let mut impatient = queue(&scene.server, &["key", "1"], 1).remove(0);
    let mut stays = queue(&scene.server, &["key", "0"], 1).remove(0);
    assert_eq!(scene.client.int(&["CLIENT", "UNBLOCK", &id, "TIMEOUT"]), 1);
    assert_eq!(client.reply(), Ok(Value::Nil));
    drop(hangs_up);
    assert_eq!(impatient.answer(), Answer::Null);
    scene.server.until_gauge("cache_waiters", 1);
    scene.client.release("key", &token);
    let token = passed_to(&scene, &mut stays, &token, 0);
    assert_eq!(scene.server.gauge("cache_leases"), 2);
    scene.client.release("key", &token);
    at_rest(&scene);
}

#[test]
fn a_waiter_has_the_lease_for_as_long_as_it_asked_from_when_it_gets_it() {
    let mut scene = Scene::new();
    let token = scene.client.token(&["key", "TTL", "60"]);
    let mut long = queue(&scene.server, &["key", "0", "TTL", "500"], 1).remove(0);
    let mut short = queue(&scene.server, &["key", "0", "TTL", "0.05"], 1).remove(0);
    let mut last = queue(&scene.server, &["key", "0"], 1).remove(0);
    scene.client.release("key", &token);
    let token = passed_to(&scene, &mut long, &token, 2);
    let lock = crate::scene::lock_key("key");
    assert!((490_000..=501_000).contains(&scene.client.int(&["PTTL", &lock])));
    scene.client.release("key", &token);
    short.answer().token();
    let token = last.answer().token();
    assert_eq!(scene.server.gauge("cache_leases_expired"), 1);
    scene.client.fill("key", &token, "value");
    at_rest(&scene);
}

#[test]
fn a_lease_that_is_filled_in_time_does_not_run_out_later() {
    let mut scene = Scene::new();
    let token = scene.client.token(&["key", "TTL", "0.5"]);
    scene.client.fill("key", &token, "value");
    assert_eq!(scene.client.int(&["DEL", "key"]), 1);
    let token = scene.client.token(&["key", "TTL", "60"]);
    scene.client.token(&["marker", "TTL", "0.5"]);
    scene.server.until_gauge("cache_leases_expired", 1);
    locked(&scene, "key", &token);
    scene.client.release("key", &token);
    at_rest(&scene);
}

#[test]
fn a_lease_lost_while_writes_are_paused_goes_on_to_the_next() {
    let mut scene = Scene::with(|server| server.config("appendonly", "yes"));
    let mut holder = scene.server.client();
    let old = holder.token(&["key", "0", "TIED"]);
    let mut waiter = queue(&scene.server, &["key", "0", "TTL", "60"], 1).remove(0);
    scene.client.ok(&["CLIENT", "PAUSE", "100000", "WRITE"]);
    let mut late = scene.server.client();
    late.send(&["CACHE.FILL", "key", &old, "too late"]);
    drop(holder);
    let token = waiter.answer().token();
    scene.client.ok(&["CLIENT", "UNPAUSE"]);
    assert_eq!(late.reply_error(), crate::leasing::LOST);
    scene.client.fill("key", &token, "value");
    assert_eq!(scene.client.lease(&["key"]), Answer::value("value"));
    scene.client.int(&["DEL", &crate::scene::lock_key("key")]); // it could not be removed, or was
    at_rest(&scene);
}

#[test]
fn what_somebody_has_stored_meanwhile_answers_all_who_wait_for_a_lost_lease() {
    let large = "large ".repeat(200_000);
    for (how, value) in [("released", "by hand"), ("cut", ""), ("run out", "1"), ("cut", &large)] {
        let mut scene = Scene::new();
        let url = scene.serve("/a", Reply::ok(BODY));
        let mut holder = scene.server.client();
        let ttl = if how == "run out" { "1" } else { "60" };
        let token = holder.token(&[&url, "0", "TIED", "TTL", ttl]);
        let waiters = queue(&scene.server, &[&url, "0"], 3);
        let mut gets = scene.waiters(&url, 1).remove(0);
        let mut mget = scene.server.client();
        mget.send(&["CACHE.MGET", "2", &url, &url, "60", "0"]);
        scene.server.until_gauge("cache_waiters", 6);
        scene.client.ok(&["SET", &url, value]);
        match how {
            "released" => holder.release(&url, &token),
            "cut" => drop(holder),
            _ => {}
        }
        for mut waiter in waiters {
            assert!(waiter.answer() == Answer::value(value), "{how}");
        }
        assert!(gets.reply_bytes() == value.as_bytes());
        let place = Value::BulkString(value.into());
        assert!(mget.reply() == Ok(Value::Array(vec![place.clone(), place])));
        assert!(scene.client.text(&["GET", &url]) == value);
        assert_eq!(scene.server.gauge("cache_leases"), 1);
        assert_eq!(scene.origin.total(), 0);
        at_rest(&scene);
    }
}

#[test]
fn what_is_stale_or_no_string_answers_nobody_who_waits_for_a_lost_lease() {
    let mut scene = Scene::new();
    let token = scene.client.token(&["key"]);
    let mut waiters = queue(&scene.server, &["key", "0"], 2);
    handmade::stale("old").put(&mut scene.client, "key");
    scene.client.release("key", &token);
    let token = passed_to(&scene, &mut waiters.remove(0), &token, 1);
    scene.client.int(&["DEL", "key"]);
    scene.client.int(&["LPUSH", "key", "element"]);
    scene.client.release("key", &token);
    let token = passed_to(&scene, &mut waiters.remove(0), &token, 0);
    scene.client.fill("key", &token, "value");
    at_rest(&scene);
}
