//! Two clocks, never one: a client's patience ends with a null for that
//! client alone; the flight's deadline ends the flight.

use crate::scene::{BODY, Scene, lock_key};

#[test]
fn a_call_whose_time_is_up_is_null_and_the_flight_goes_on() {
    let mut scene = Scene::new();
    let (url, gate) = scene.hold("/a");
    scene.client.null(&["CACHE.GET", &url, "60", "0.05"]);
    assert_eq!(scene.server.gauge("cache_flights"), 1);
    scene.client.null(&["CACHE.GET", &url, "60", "0.05"]);
    gate.open();
    scene.until_fresh(&url);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn the_leaders_time_ends_for_the_leader_alone() {
    let scene = Scene::new();
    let (url, gate) = scene.hold("/a");
    let mut leader = scene.server.client();
    leader.send(&["CACHE.GET", &url, "60", "0.3"]);
    scene.server.until_gauge("cache_flights", 1);
    let mut others = scene.server.clients(3);
    for other in &mut others {
        other.send(&["CACHE.GET", &url, "60", "0"]);
    }
    leader.reply_null();
    scene.server.until_gauge("cache_waiters", 3);
    gate.open();
    for mut other in others {
        assert_eq!(other.reply_bytes(), BODY.as_bytes());
    }
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn a_joiners_time_ends_for_the_joiner_alone() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    scene.client.null(&["CACHE.GET", &flight.url, "60", "0.05"]);
    assert_eq!(scene.server.gauge("cache_waiters"), 1);
    flight.land();
}

#[test]
fn a_client_that_timed_out_can_go_on_at_once() {
    let mut scene = Scene::new();
    let (url, gate) = scene.hold("/a");
    for _ in 0..20 {
        scene.client.null(&["CACHE.GET", &url, "60", "0.01"]);
        assert_eq!(scene.client.text(&["PING"]), "PONG");
    }
    gate.open();
    assert_eq!(scene.client.text(&["CACHE.GET", &url, "60", "0"]), BODY);
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn a_timeout_left_out_is_the_default() {
    let mut scene = Scene::with(|server| server.config("cache.default-timeout", "0.05"));
    let (url, _gate) = scene.hold("/a");
    scene.client.null(&["CACHE.GET", &url]);
    scene.client.null(&["CACHE.GET", &url, "60"]);
}

#[test]
fn a_timeout_above_the_longest_is_cut() {
    let mut scene = Scene::with(|server| server.config("cache.max-timeout", "0.05"));
    let (url, _gate) = scene.hold("/a");
    scene.client.null(&["CACHE.GET", &url, "60", "1000"]);
    scene.client.null(&["CACHE.GET", &url, "60", "1e30"]);
}

#[test]
fn the_flight_deadline_is_the_longer_of_the_setting_and_the_leaders_timeout() {
    let scene = Scene::new();
    for (path, setting, timeout, seconds) in
        [("/setting", "100", "5", 100), ("/leader", "5", "100", 100), ("/none", "100", "0", 100)]
    {
        let (url, _gate) = scene.hold(path);
        let mut client = scene.server.client();
        client.ok(&["CONFIG", "SET", "cache.fetch-timeout", setting]);
        client.send(&["CACHE.GET", &url, "60", timeout]);
        scene.origin.until_hits(path, 1);
        let left = scene.server.client().int(&["PTTL", &lock_key(&url)]);
        let (least, most) = ((seconds - 30) * 1000, (seconds + 1) * 1000);
        assert!((least..=most).contains(&left), "{path}: {left}");
    }
}

#[test]
fn the_deadline_tells_all_that_still_wait() {
    let scene = Scene::with(|server| server.config("cache.fetch-timeout", "0.3"));
    let (url, _gate) = scene.hold("/a");
    let mut impatient = scene.server.client();
    impatient.send(&["CACHE.GET", &url, "60", "0.01"]);
    let mut patient = scene.server.clients(3);
    for client in &mut patient {
        client.send(&["CACHE.GET", &url, "60", "0"]);
    }
    impatient.reply_null();
    for mut client in patient {
        assert!(client.reply_error().starts_with("FETCHTIMEOUT"));
    }
    assert_eq!(scene.origin.hits("/a"), 1);
    scene.until_all_landed();
    scene.origin.until_in_the_air(0); // the download itself was given up
}
