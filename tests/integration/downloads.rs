//! The download pool: so many at once, so many queued, and no more; and the
//! flight deadline counts from the queue on.

use crate::scene::{BODY, Scene};
use crate::support::{Gate, Reply};

#[test]
fn no_more_downloads_than_allowed_run_at_once() {
    let scene = Scene::with(|server| {
        server.config("cache.max-downloads", "4").config("cache.max-downloads-per-host", "4")
    });
    let gate = Gate::closed();
    let held = gate.clone();
    scene.origin.otherwise(move |request| Reply::ok(&request.path).gate(&held));
    let mut clients = scene.server.clients(20);
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(&["CACHE.GET", &scene.origin.url(&format!("/{n}")), "60", "0"]);
    }
    scene.server.until_gauge("cache_queued", 16);
    scene.origin.until_in_the_air(4);
    assert_eq!(scene.server.gauge("cache_threads"), 4);
    gate.open();
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.reply_bytes(), format!("/{n}").as_bytes());
    }
    assert_eq!(scene.origin.most_in_the_air(), 4);
    assert_eq!(scene.server.gauge("cache_queued"), 0);
}

#[test]
fn what_neither_flies_nor_fits_the_queue_is_overloaded() {
    let mut scene = Scene::with(|server| {
        server.config("cache.max-downloads", "1").config("cache.max-queued-downloads", "1")
    });
    let mut flies = scene.take_off("/flies");
    let (queued, gate) = scene.hold("/queued");
    let mut waits = scene.waiters(&queued, 1).remove(0);
    scene.server.until_gauge("cache_queued", 1);
    let refused = scene.serve("/refused", Reply::ok(BODY));
    assert!(scene.client.error(&["CACHE.GET", &refused]).starts_with("OVERLOADED"));
    assert_eq!(scene.server.gauge("cache_failed_overloaded"), 1);
    assert_eq!(scene.server.gauge("cache_flights"), 2);
    assert!(!scene.exists(&crate::scene::lock_key(&refused)));

    let mut joins = scene.waiters(&queued, 1).remove(0); // joining takes no place
    flies.land();
    gate.open();
    assert_eq!(waits.reply_bytes(), BODY.as_bytes());
    assert_eq!(joins.reply_bytes(), BODY.as_bytes());
    assert_eq!(scene.client.text(&["CACHE.GET", &refused]), BODY);
}

#[test]
fn the_deadline_counts_while_a_flight_is_queued() {
    let mut scene = Scene::with(|server| server.config("cache.max-downloads", "1"));
    let mut flies = scene.take_off("/flies");
    scene.client.ok(&["CONFIG", "SET", "cache.fetch-timeout", "0.1"]);
    let queued = scene.serve("/queued", Reply::ok(BODY));
    let error = scene.client.error(&["CACHE.GET", &queued, "60", "0"]);
    assert!(error.starts_with("FETCHTIMEOUT"), "{error}");
    assert_eq!(scene.server.gauge("cache_flights"), 1);
    flies.land();
    scene.client.ok(&["CONFIG", "SET", "cache.fetch-timeout", "30"]);
    assert_eq!(scene.client.text(&["CACHE.GET", &queued]), BODY);
    assert_eq!(scene.origin.hits("/queued"), 1, "what had timed out was downloaded all the same");
}

#[test]
fn thousands_of_downloads_leave_no_threads_behind() {
    let scene = Scene::with(|server| server.config("cache.max-downloads", "8"));
    scene.origin.otherwise(|request| Reply::ok(&request.path));
    let mut clients = scene.server.clients(20);
    for n in 0..2000 {
        let client = &mut clients[n % 20];
        client.send(&["CACHE.GET", &scene.origin.url(&format!("/{n}")), "60", "0"]);
    }
    for n in 0..2000 {
        assert_eq!(clients[n % 20].reply_bytes(), format!("/{n}").as_bytes());
    }
    assert_eq!(scene.origin.total(), 2000);
    assert!(scene.origin.most_in_the_air() <= 8);
    assert!(scene.server.gauge("cache_threads") <= 8);
}
