//! `max-downloads-per-host`: an origin that hangs takes its share of the threads and of the queue, and no
//! more. The two hosts of these tests are two names of one origin: `127.0.0.1` hangs, `localhost` does not.

use crate::scene::{BODY, Scene, lock_key};
use crate::support::until::until_equal;
use crate::support::{Client, Gate, Reply};

const OVERLOADED: &str = "OVERLOADED too many downloads from this host are queued";

/// A scene whose origin holds back whatever is not asked of it as `localhost`.
fn sick_and_well(settings: &[(&str, &str)]) -> (Scene, Gate) {
    let scene = Scene::with(|server| {
        settings.iter().fold(server, |server, (name, value)| server.config(name, value))
    });
    let gate = Gate::closed();
    let held = gate.clone();
    scene.origin.otherwise(move |request| {
        let reply = Reply::ok(&request.path);
        let host = request.header("host").unwrap_or_default();
        if host.starts_with("localhost") { reply } else { reply.gate(&held) }
    });
    (scene, gate)
}

/// Calls for so many URLs of a host, each on a connection of its own, and returns when all wait.
fn call(scene: &Scene, host: &str, numbers: std::ops::Range<usize>) -> Vec<Client> {
    let wanted = scene.server.gauge("cache_waiters") + numbers.len() as u64;
    let mut clients = scene.server.clients(numbers.len());
    for (client, n) in clients.iter_mut().zip(numbers) {
        client.send(&["CACHE.GET", &scene.origin.url_at(host, &format!("/{n}")), "60", "0"]);
    }
    scene.server.until_gauge("cache_waiters", wanted);
    clients
}

fn all_are_answered(clients: Vec<Client>, first: usize) {
    for (n, mut client) in (first..).zip(clients) {
        assert_eq!(client.reply_bytes(), format!("/{n}").as_bytes());
    }
}

#[test]
fn a_host_that_hangs_leaves_threads_to_another() {
    let (mut scene, gate) =
        sick_and_well(&[("cache.max-downloads", "4"), ("cache.max-downloads-per-host", "3")]);
    let sick = call(&scene, "127.0.0.1", 0..20);
    scene.origin.until_in_the_air(3);
    assert_eq!(scene.server.gauge("cache_queued"), 17);
    for n in 0..30 {
        let url = scene.origin.url_at("localhost", &format!("/well/{n}"));
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), format!("/well/{n}"));
    }
    assert_eq!(scene.origin.in_the_air(), 3);
    assert_eq!(scene.server.gauge("cache_queued"), 17);
    gate.open();
    all_are_answered(sick, 0);
    scene.server.until_gauge("cache_queued", 0);
    assert!(scene.origin.most_in_the_air() <= 4);
}

#[test]
fn the_share_is_a_quarter_of_all_by_default() {
    for (all, share) in [("8", 2), ("7", 2), ("2", 1), ("1", 1)] {
        let (scene, gate) = sick_and_well(&[("cache.max-downloads", all)]);
        let sick = call(&scene, "127.0.0.1", 0..5);
        scene.origin.until_in_the_air(share);
        assert_eq!(scene.server.gauge("cache_queued"), 5 - share, "of {all}");
        gate.open();
        all_are_answered(sick, 0);
        assert_eq!(scene.origin.most_in_the_air(), share, "of {all}");
    }
}

#[test]
fn the_queued_go_on_one_by_one_as_places_become_free() {
    let scene = Scene::with(|server| server.config("cache.max-downloads-per-host", "1"));
    let held: Vec<_> = (0..5).map(|n| scene.hold(&format!("/{n}"))).collect();
    let mut clients: Vec<Client> =
        held.iter().map(|(url, _)| scene.waiters(url, 1).remove(0)).collect();
    for (n, (_, gate)) in held.iter().enumerate() {
        scene.origin.until_hits(&format!("/{n}"), 1);
        assert_eq!(scene.origin.total(), n as u64 + 1, "in the order of their coming");
        scene.server.until_gauge("cache_queued", 4 - n as u64);
        gate.open();
        assert_eq!(clients[n].reply_bytes(), BODY.as_bytes());
    }
}

#[test]
fn a_host_that_has_half_of_the_queue_is_overloaded_and_others_are_not() {
    let (mut scene, gate) = sick_and_well(&[
        ("cache.max-downloads", "4"),
        ("cache.max-downloads-per-host", "1"),
        ("cache.max-queued-downloads", "6"),
    ]);
    let sick = call(&scene, "127.0.0.1", 0..4);
    assert_eq!(scene.server.gauge("cache_queued"), 3);
    let url = scene.origin.url("/one-more");
    assert_eq!(scene.client.error(&["CACHE.GET", &url]), OVERLOADED);
    assert_eq!(scene.client.error(&["CACHE.FETCH", &url, "NOWAIT"]), OVERLOADED);
    assert!(!scene.exists(&lock_key(&url)));
    assert_eq!(scene.server.gauge("cache_failed_overloaded"), 2);
    let well = scene.origin.url_at("localhost", "/well");
    assert_eq!(scene.client.text(&["CACHE.GET", &well]), "/well");
    let joined = scene.origin.url("/3");
    let joins = scene.waiters(&joined, 1); // joining takes no place
    gate.open();
    all_are_answered(sick, 0);
    all_are_answered(joins, 3);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), "/one-more");
}

#[test]
fn a_queue_of_none_leaves_a_host_its_share() {
    let (mut scene, gate) =
        sick_and_well(&[("cache.max-downloads", "8"), ("cache.max-queued-downloads", "0")]);
    let sick = call(&scene, "127.0.0.1", 0..2);
    assert_eq!(scene.client.error(&["CACHE.GET", &scene.origin.url("/2")]), OVERLOADED);
    let well = scene.origin.url_at("localhost", "/well");
    assert_eq!(scene.client.text(&["CACHE.GET", &well]), "/well");
    gate.open();
    all_are_answered(sick, 0);
}

#[test]
fn a_host_that_is_written_in_another_way_is_the_same_host() {
    let (scene, gate) = sick_and_well(&[("cache.max-downloads-per-host", "1")]);
    let mut clients = scene.server.clients(3);
    for (client, host) in clients.iter_mut().zip(["127.0.0.1", "127.1", "2130706433"]) {
        client.send(&["CACHE.GET", &scene.origin.url_at(host, "/a"), "60", "0"]);
    }
    scene.server.until_gauge("cache_waiters", 3);
    scene.origin.until_in_the_air(1);
    assert_eq!(scene.server.gauge("cache_queued"), 2);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.reply_bytes(), b"/a");
    }
    assert_eq!(scene.origin.most_in_the_air(), 1);
}

#[test]
fn a_share_that_is_widened_lets_more_go_with_the_next_call() {
    let (mut scene, gate) = sick_and_well(&[("cache.max-downloads-per-host", "1")]);
    let mut clients = call(&scene, "127.0.0.1", 0..4);
    assert_eq!(scene.server.gauge("cache_queued"), 3);
    scene.client.ok(&["CONFIG", "SET", "cache.max-downloads-per-host", "4"]);
    clients.extend(call(&scene, "127.0.0.1", 4..5));
    scene.origin.until_in_the_air(4);
    assert_eq!(scene.server.gauge("cache_queued"), 1);
    gate.open();
    all_are_answered(clients, 0);
}

#[test]
fn a_share_that_is_narrowed_starts_no_more_until_there_is_room() {
    let (mut scene, gate) = sick_and_well(&[("cache.max-downloads-per-host", "3")]);
    let mut clients = call(&scene, "127.0.0.1", 0..3);
    scene.origin.until_in_the_air(3);
    scene.client.ok(&["CONFIG", "SET", "cache.max-downloads-per-host", "1"]);
    clients.extend(call(&scene, "127.0.0.1", 3..6));
    assert_eq!(scene.server.gauge("cache_queued"), 3);
    gate.open();
    all_are_answered(clients, 0);
    assert_eq!(scene.origin.most_in_the_air(), 3);
}

#[test]
fn a_queued_flight_whose_deadline_passes_is_answered_and_never_asks_its_origin() {
    let (mut scene, gate) = sick_and_well(&[("cache.max-downloads-per-host", "1")]);
    let sick = call(&scene, "127.0.0.1", 0..1);
    scene.origin.until_in_the_air(1);
    scene.client.ok(&["CONFIG", "SET", "cache.fetch-timeout", "0.1"]);
    let late = scene.origin.url("/late");
    let error = scene.client.error(&["CACHE.GET", &late, "60", "0"]);
    assert!(error.starts_with("FETCHTIMEOUT "), "{error}");
    gate.open();
    all_are_answered(sick, 0);
    until_equal("the queue", &0, || scene.server.gauge("cache_queued"));
    scene.still_works();
    assert_eq!(scene.origin.hits("/late"), 0);
}

#[test]
fn the_server_shuts_down_with_a_lane_full_of_waiting_downloads() {
    let (mut scene, _gate) = sick_and_well(&[("cache.max-downloads-per-host", "1")]);
    let _clients = call(&scene, "127.0.0.1", 0..50);
    assert!(scene.server.shutdown_nosave());
}
