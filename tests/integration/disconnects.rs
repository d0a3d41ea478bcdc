//! A client that hangs up while it waits harms nobody.

use crate::scene::{BODY, Scene};

#[test]
fn the_leader_may_hang_up() {
    let scene = Scene::new();
    let flight = scene.take_off("/a");
    let others = scene.waiters(&flight.url, 3);
    drop(flight.leader);
    scene.server.until_gauge("cache_waiters", 3);
    flight.gate.open();
    for mut other in others {
        assert_eq!(other.reply_bytes(), BODY.as_bytes());
    }
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn a_joiner_may_hang_up() {
    let scene = Scene::new();
    let mut flight = scene.take_off("/a");
    drop(scene.waiters(&flight.url, 5));
    scene.server.until_gauge("cache_waiters", 1);
    flight.land();
}

#[test]
fn when_all_hang_up_the_flight_lands_all_the_same() {
    let mut scene = Scene::new();
    let flight = scene.take_off("/a");
    drop(scene.waiters(&flight.url, 5));
    drop(flight.leader);
    scene.server.until_gauge("cache_waiters", 0);
    assert_eq!(scene.server.gauge("cache_flights"), 1);
    flight.gate.open();
    scene.until_fresh(&flight.url);
    assert_eq!(scene.client.text(&["CACHE.GET", &flight.url]), BODY);
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn hanging_up_while_the_answers_go_out_harms_nobody() {
    let scene = Scene::new();
    let flight = scene.take_off("/a");
    for _ in 0..5 {
        let leaving = scene.waiters(&flight.url, 20);
        let staying = scene.server.gauge("cache_waiters") - 20;
        drop(leaving);
        scene.server.until_gauge("cache_waiters", staying);
    }
    let leaving = scene.waiters(&flight.url, 50);
    let staying = scene.waiters(&flight.url, 50);
    flight.gate.open();
    drop(leaving);
    for mut client in staying {
        assert_eq!(client.reply_bytes(), BODY.as_bytes());
    }
    scene.server.until_gauge("cache_waiters", 0);
    scene.server.until_gauge("blocked_clients", 0);
    scene.still_works();
}

#[test]
fn a_killed_client_is_one_that_hung_up() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    let mut victim = scene.server.client();
    let id = victim.id();
    victim.send(&["CACHE.GET", &flight.url, "60", "0"]);
    scene.server.until_gauge("cache_waiters", 2);
    assert_eq!(scene.client.int(&["CLIENT", "KILL", "ID", &id]), 1);
    scene.server.until_gauge("cache_waiters", 1);
    flight.land();
}
