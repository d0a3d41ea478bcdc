//! A holder that fails, again and again: the next lease has the pause that refreshes have.

use crate::handmade;
use crate::leasing::{Answer, Leasing, at_rest, queue, wait_by, waiting};
use crate::scene::{BODY, Scene};
use crate::support::{Client, Reply, Value, until};

/// One whose pause never ends by itself.
fn scene() -> Scene {
    Scene::with(|server| server.config("cache.refresh-backoff", "3600"))
}

/// Calls so often for a renewal, and tells how many got the lease, which each gives up at once.
fn renewals(client: &mut Client, calls: usize) -> usize {
    let mut given = 0;
    for _ in 0..calls {
        let Answer::Stale(value, token) = client.lease(&["key", "1", "STALE"]) else {
            panic!("no stale value")
        };
        assert_eq!(value, b"old");
        if let Some(token) = token {
            client.release("key", &token);
            given += 1;
        }
    }
    given
}

#[test]
fn a_stale_value_whose_renewal_failed_is_renewed_after_the_pause() {
    let mut scene = scene();
    handmade::stale("old").put(&mut scene.client, "key");
    assert_eq!(renewals(&mut scene.client, 20), 1);
    scene.until_all_landed();
    assert_eq!(renewals(&mut scene.client, 20), 0);
    // Who does not take a stale value cannot be told to wait: for it there is none.
    let token = scene.client.token(&["key"]);
    scene.client.fill("key", &token, "new");
    assert_eq!(scene.client.lease(&["key"]), Answer::value("new"));
    at_rest(&scene);
}

#[test]
fn the_pause_ends() {
    let mut scene = Scene::with(|server| server.config("cache.refresh-backoff", "0.05"));
    handmade::stale("old").put(&mut scene.client, "key");
    assert_eq!(renewals(&mut scene.client, 1), 1);
    until("another renewal", || renewals(&mut scene.client, 1) == 1);
    at_rest(&scene);
}

#[test]
fn a_renewal_that_ran_out_or_was_cut_has_the_pause_too() {
    for how in ["TTL", "TIED"] {
        let mut scene = scene();
        handmade::stale("old").put(&mut scene.client, "key");
        let mut holder = scene.server.client();
        let ttl = if how == "TTL" { "0.01" } else { "600" };
        holder.lease(&["key", "0", "STALE", "TIED", "TTL", ttl]).token();
        if how == "TIED" {
            drop(holder);
        }
        scene.until_all_landed();
        assert_eq!(scene.client.lease(&["key", "STALE"]), Answer::stale("old"), "{how}");
        at_rest(&scene);
    }
}

#[test]
fn a_lease_that_was_voided_says_nothing_about_the_next() {
    let mut scene = scene();
    let token = scene.client.token(&["key"]);
    let mut waiter = queue(&scene.server, &["key", "0"], 1).remove(0);
    scene.client.int(&["CACHE.DEL", "key"]);
    handmade::stale("old").put(&mut scene.client, "key");
    scene.client.call(&["CACHE.RELEASE", "key", &token]).ok();
    let token = waiter.answer().token();
    scene.client.fill("key", &token, "value");
    handmade::stale("old").put(&mut scene.client, "key");
    let token = scene.client.lease(&["key", "STALE"]).token();
    scene.client.fill("key", &token, "value");
    at_rest(&scene);
}

/// The first who waits tries at once: the holder may have been at fault. Then there is a pause.
#[test]
fn those_who_wait_try_one_after_another_with_pauses_from_the_second_loss_on() {
    let mut scene = scene();
    let token = scene.client.token(&["key", "TTL", "600"]);
    let mut waiters = queue(&scene.server, &["key", "0", "TTL", "600"], 3);
    let mut patient = queue(&scene.server, &["key", "0.3", "TTL", "600"], 1).remove(0);
    scene.client.release("key", &token);
    let token = waiters.remove(0).answer().token();
    scene.client.release("key", &token);
    scene.server.until_gauge("cache_leases_held", 0);
    // Nobody has got it when the patience of one of them ends.
    assert_eq!(patient.reply(), Ok(Value::Nil));
    waiting(&scene, 2);
    assert_eq!(scene.server.gauge("cache_leases"), 2);
    let Value::Array(flight) = scene.client.array(&["CACHE.FLIGHTS"]).remove(0) else {
        panic!("no flight")
    };
    assert!(flight.contains(&Value::BulkString("lease".into())), "{flight:?}");
    // Who asks now waits with them; a value deletes the need, and CACHE.DEL makes a new beginning.
    scene.client.int(&["CACHE.DEL", "key"]);
    let token = scene.client.token(&["key"]);
    scene.client.fill("key", &token, "value");
    drop(waiters);
    scene.server.until_gauge("cache_waiters", 0);
}

#[test]
fn nobody_who_waits_is_forgotten_in_the_pauses() {
    let mut scene = Scene::with(|server| server.config("cache.refresh-backoff", "0.02"));
    let mut token = scene.client.token(&["key", "TTL", "600"]);
    let waiters = queue(&scene.server, &["key", "0", "TTL", "600"], 6);
    for mut waiter in waiters {
        scene.client.release("key", &token);
        token = waiter.answer().token();
    }
    scene.client.fill("key", &token, "value");
    assert_eq!(scene.server.gauge("cache_leases"), 7);
    at_rest(&scene);
}

#[test]
fn a_value_that_is_set_in_the_pause_is_answered_at_its_end() {
    let mut scene = Scene::with(|server| server.config("cache.refresh-backoff", "0.2"));
    let token = scene.client.token(&["key", "TTL", "600"]);
    let mut waiters = queue(&scene.server, &["key", "0", "TTL", "600"], 2);
    scene.client.release("key", &token);
    let token = waiters.remove(0).answer().token();
    scene.client.send(&["CACHE.RELEASE", "key", &token]);
    scene.client.send(&["SET", "key", "value"]);
    assert_eq!((scene.client.reply(), scene.client.reply()), (Ok(Value::Okay), Ok(Value::Okay)));
    assert_eq!(waiters.remove(0).answer(), Answer::value("value"));
    at_rest(&scene);
}

#[test]
fn who_waits_by_the_url_alone_waits_for_no_pause() {
    let mut scene = scene();
    let url = scene.serve("/a", Reply::ok(BODY));
    let token = scene.client.token(&[&url, "TTL", "600"]);
    let mut next = queue(&scene.server, &[&url, "0", "TTL", "600"], 1).remove(0);
    let mut gets = wait_by(&scene.server, &["CACHE.GET", &url, "60", "0"], 1).remove(0);
    scene.client.release(&url, &token);
    let token = next.answer().token();
    scene.client.release(&url, &token);
    assert_eq!(gets.reply_bytes(), BODY.as_bytes());
    at_rest(&scene);
}

#[test]
fn a_pause_ends_with_the_last_that_waits() {
    for impatient in [false, true] {
        let mut scene = scene();
        let token = scene.client.token(&["key"]);
        let mut first = queue(&scene.server, &["key", "0"], 1).remove(0);
        let patience = if impatient { "2" } else { "0" };
        let mut last = queue(&scene.server, &["key", patience], 1).remove(0);
        scene.client.release("key", &token);
        let token = first.answer().token();
        scene.client.release("key", &token);
        if impatient {
            assert_eq!(last.answer(), Answer::Null);
        } else {
            drop(last);
        }
        scene.until_all_landed();
        let token = scene.client.token(&["key"]);
        scene.client.fill("key", &token, "value");
        at_rest(&scene);
    }
}
