//! `INFO cache`: what operators look at, and these tests too.

use std::time::Instant;

use crate::scene::{BODY, Scene};
use crate::support::{Reply, Server};

const FIELDS: [&str; 38] = [
    "hits",
    "stale_hits",
    "misses",
    "coalesced",
    "flights",
    "leases_held",
    "waiters",
    "queued",
    "threads",
    "downloads",
    "revalidated",
    "bytes_saved",
    "failed_refreshes",
    "ended_by_origin",
    "failed_httpstatus",
    "failed_fetchfailed",
    "failed_fetchtimeout",
    "failed_fetchdenied",
    "failed_toolarge",
    "failed_overloaded",
    "refused_oom",
    "not_stored_void",
    "not_stored_paused",
    "not_stored_replica",
    "not_stored_loading",
    "not_stored_oom",
    "not_stored_forbidden",
    "not_stored_refused",
    "bytes_fetched",
    "leases",
    "leases_filled",
    "leases_released",
    "leases_expired",
    "leases_cut",
    "leases_ended",
    "leases_lost",
    "download_seconds",
    "landing_usec",
];

#[test]
fn every_field_is_there_and_begins_at_zero() {
    let server = Server::start();
    for field in FIELDS {
        let value = server.info(&format!("cache_{field}")).unwrap_or_default();
        assert_eq!(value.parse::<f64>(), Ok(0.0), "{field} is {value:?}");
    }
    let info = server.client().text(&["INFO", "cache"]);
    let fields = info.lines().filter(|line| line.contains(':'));
    assert_eq!(fields.count(), FIELDS.len(), "{info}");
}

#[test]
fn the_section_is_part_of_the_whole_and_of_nothing_else() {
    let server = Server::start();
    let mut client = server.client();
    assert!(client.text(&["INFO", "everything"]).contains("cache_hits:"));
    assert!(client.text(&["INFO", "modules"]).contains("cache_hits:"));
    assert!(!client.text(&["INFO", "memory"]).contains("cache_hits:"));
}

#[test]
fn hits_misses_and_joins_are_counted() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    let joiners = scene.waiters(&flight.url, 4);
    flight.land();
    for mut joiner in joiners {
        joiner.reply_bytes();
    }
    for _ in 0..7 {
        assert_eq!(scene.client.text(&["CACHE.GET", &flight.url]), BODY);
    }
    let gauge = |name: &str| scene.server.gauge(name);
    assert_eq!((gauge("cache_hits"), gauge("cache_misses"), gauge("cache_coalesced")), (7, 5, 4));
    assert_eq!((gauge("cache_downloads"), gauge("cache_bytes_fetched")), (1, BODY.len() as u64));
}

#[test]
fn what_is_in_the_air_now_rises_and_falls() {
    let scene = Scene::new();
    let mut flights = ["/a", "/b", "/c"].map(|path| scene.take_off(path));
    assert_eq!(scene.server.gauge("cache_flights"), 3);
    assert_eq!(scene.server.gauge("cache_waiters"), 3);
    assert!(scene.server.gauge("cache_threads") >= 3);
    assert_eq!(scene.server.gauge("cache_queued"), 0);
    for flight in &mut flights {
        flight.land();
    }
    scene.server.until_gauge("cache_flights", 0);
    scene.server.until_gauge("cache_waiters", 0);
}

#[test]
fn the_time_spent_downloading_is_counted() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url]);
    scene.until_all_landed();
    let seconds: f64 = scene.server.info("cache_download_seconds").unwrap().parse().unwrap();
    assert!(seconds > 0.0 && seconds < 20.0, "{seconds}");
}

#[test]
fn the_main_threads_time_for_landings_is_counted_and_no_time_in_the_air_is() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    let (landing, begun) =
        (|scene: &Scene| scene.server.gauge("cache_landing_usec"), Instant::now());
    assert_eq!(landing(&scene), 0, "nothing has landed");
    flight.land();
    let (one, took) = (landing(&scene), begun.elapsed().as_micros());
    assert!(one > 0 && u128::from(one) < took, "{one} of {took} µs");
    for _ in 0..9 {
        scene.client.bytes(&["CACHE.GET", &flight.url]);
    }
    assert_eq!(landing(&scene), one, "a hit lands nothing");
    // Too large for the main thread to write its reply: this lands in three turns, all of which are counted.
    let url = scene.serve("/large", Reply::ok(vec![b'x'; 1 << 20]));
    scene.client.bytes(&["CACHE.GET", &url]);
    assert!(landing(&scene) > one);
}
