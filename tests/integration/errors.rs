//! Each error code, on its own; and what a failed flight leaves behind:
//! nothing.

use crate::scene::{BODY, Scene, lock_key};
use crate::support::{Gate, Reply};

/// Calls for a reply that must fail, and checks what holds after every
/// failure: it is counted by its kind, nothing is stored, no lock key stays,
/// and the next call tries again.
fn fails(scene: &mut Scene, reply: Reply, gauge: &str) -> String {
    let url = scene.serve("/fails", reply);
    let (failed, asked) = (scene.server.gauge(gauge), scene.origin.hits("/fails"));
    let error = scene.client.error(&["CACHE.GET", &url, "60", "0"]);
    assert_eq!(scene.server.gauge(gauge), failed + 1, "{error}");
    assert!(!scene.exists(&url), "{error}");
    assert!(!scene.exists(&lock_key(&url)), "{error}");
    assert_eq!(scene.client.error(&["CACHE.GET", &url, "60", "0"]), error);
    assert_eq!(scene.origin.hits("/fails"), asked + 2);
    error
}

#[test]
fn httpstatus_names_a_status_that_is_no_success() {
    let mut scene = Scene::new();
    for (status, reason) in [
        (404, "Not Found"),
        (500, "Internal Server Error"),
        (201, "Created"),
        (206, "Partial Content"),
        (304, "Not Modified"),
    ] {
        let error = fails(&mut scene, Reply::status(status, reason), "cache_failed_httpstatus");
        assert_eq!(error, format!("HTTPSTATUS {status} {reason}"));
    }
    let error = fails(&mut scene, Reply::status(599, "Odd"), "cache_failed_httpstatus");
    assert!(error.starts_with("HTTPSTATUS 599"), "{error}");
}

#[test]
fn each_success_status_is_stored() {
    let mut scene = Scene::new();
    for status in [200, 203, 204] {
        let path = format!("/{status}");
        let url = scene.serve(&path, Reply::status(status, ""));
        for _ in 0..2 {
            assert_eq!(scene.client.text(&["CACHE.GET", &url]), "", "{status}");
        }
        assert_eq!(scene.origin.hits(&path), 1);
        assert!(scene.client.text(&["GET", &url]).starts_with(&format!("HTTP/1.1 {status} \r\n")));
    }
}

#[test]
fn fetchfailed_when_nobody_listens() {
    let mut scene = Scene::new();
    let url = {
        let gone = crate::support::Origin::start();
        gone.url("/")
    };
    let error = scene.client.error(&["CACHE.GET", &url]);
    assert!(error.starts_with("FETCHFAILED "), "{error}");
}

#[test]
fn fetchfailed_when_the_answer_is_broken() {
    let mut scene = Scene::new();
    let head = "HTTP/1.1 200 OK\r\n";
    for broken in [
        String::new(),
        "SSH-2.0-OpenSSH_9.2p1\r\n".to_owned(),
        format!("{head}Content-Length: 10\r\n\r\nshort"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\nnot a number\r\n"),
        format!("{head}Content-Encoding: gzip\r\nContent-Length: 12\r\n\r\nthis is text"),
        format!("{head}Content-Length: 5"),
    ] {
        let error = fails(&mut scene, Reply::raw(&broken), "cache_failed_fetchfailed");
        assert!(error.starts_with("FETCHFAILED "), "{broken:?}: {error}");
    }
}

#[test]
fn fetchtimeout_when_the_answer_does_not_come() {
    let mut scene = Scene::with(|server| server.config("cache.fetch-timeout", "0.1"));
    let never = Gate::closed();
    let error = fails(&mut scene, Reply::ok(BODY).gate(&never), "cache_failed_fetchtimeout");
    assert!(error.starts_with("FETCHTIMEOUT"), "{error}");
}

#[test]
fn fetchtimeout_when_the_body_does_not_end() {
    let mut scene = Scene::with(|server| server.config("cache.fetch-timeout", "0.1"));
    let never = Gate::closed();
    let error =
        fails(&mut scene, Reply::ok(BODY).gate_body(5, &never), "cache_failed_fetchtimeout");
    assert!(error.starts_with("FETCHTIMEOUT"), "{error}");
}

#[test]
fn fetchdenied_where_the_guard_forbids_it() {
    let mut scene = Scene::with(|server| server.config("cache.allowed-networks", ""));
    let url = scene.serve("/a", Reply::ok(BODY));
    let error = scene.client.error(&["CACHE.GET", &url]);
    assert!(error.starts_with("FETCHDENIED "), "{error}");
    assert_eq!(scene.server.gauge("cache_failed_fetchdenied"), 1);
    assert_eq!(scene.origin.total(), 0);
}

#[test]
fn overloaded_where_there_is_no_room_for_one_more() {
    let mut scene = Scene::with(|server| server.config("cache.max-waiters", "1"));
    let mut flight = scene.take_off("/flies");
    let url = scene.serve("/a", Reply::ok(BODY));
    let error = scene.client.error(&["CACHE.GET", &url]);
    assert_eq!(error, "OVERLOADED too many clients are waiting");
    assert_eq!(scene.server.gauge("cache_failed_overloaded"), 1);
    assert!(!scene.exists(&url) && !scene.exists(&lock_key(&url)));
    assert_eq!(scene.origin.hits("/a"), 0);
    flight.land();
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
}

#[test]
fn toolarge_for_a_body_above_the_limit_however_it_is_sent() {
    let mut scene = Scene::with(|server| server.config("cache.max-body-size", "1000"));
    let too_large = "x".repeat(1001);
    for reply in [
        Reply::ok(&too_large),
        Reply::ok(&too_large).chunked(100),
        Reply::ok(&too_large).until_close(),
        Reply::gzip(&too_large),
    ] {
        let error = fails(&mut scene, reply, "cache_failed_toolarge");
        assert!(error.starts_with("TOOLARGE"), "{error}");
    }
    let just_fits = &too_large[1..];
    let url = scene.serve("/fits", Reply::ok(just_fits));
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), just_fits);
}

#[test]
fn wrongtype_for_a_key_that_holds_no_string() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.int(&["LPUSH", &url, "element"]);
    for command in ["CACHE.GET", "CACHE.PEEK"] {
        assert_eq!(
            scene.client.error(&[command, &url]),
            "WRONGTYPE Operation against a key holding the wrong kind of value"
        );
    }
    assert_eq!(scene.origin.total(), 0);
}

#[test]
fn a_failed_flight_tells_all_its_waiters() {
    let scene = Scene::new();
    let gate = Gate::closed();
    let url = scene.serve("/a", Reply::status(503, "Service Unavailable").gate(&gate));
    let waiters = scene.waiters(&url, 50);
    gate.open();
    for mut waiter in waiters {
        assert_eq!(waiter.reply_error(), "HTTPSTATUS 503 Service Unavailable");
    }
    assert_eq!(scene.origin.hits("/a"), 1);
    assert_eq!(scene.server.gauge("cache_failed_httpstatus"), 1);
}

#[test]
fn the_server_counts_each_code_in_its_error_statistics() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::status(404, "Not Found"));
    for _ in 0..3 {
        scene.client.error(&["CACHE.GET", &url]);
    }
    assert_eq!(scene.server.info("errorstat_HTTPSTATUS").as_deref(), Some("count=3"));
}

#[test]
fn a_failed_refill_leaves_what_someone_set_meanwhile() {
    let mut scene = Scene::new();
    let gate = Gate::closed();
    let url = scene.serve("/a", Reply::status(404, "Not Found").gate(&gate));
    let mut waiter = scene.waiters(&url, 1).remove(0);
    scene.client.ok(&["SET", &url, "set by hand"]);
    gate.open();
    assert_eq!(waiter.reply_error(), "HTTPSTATUS 404 Not Found");
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), "set by hand");
}

#[test]
fn toolarge_for_a_body_that_no_string_of_the_server_can_hold() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok("x".repeat(600_000)));
    scene.client.ok(&["CONFIG", "SET", "proto-max-bulk-len", "1mb"]);
    assert!(scene.client.error(&["CACHE.GET", &url]).starts_with("TOOLARGE"));
    scene.client.ok(&["CONFIG", "SET", "proto-max-bulk-len", "2mb"]);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]).len(), 600_000);
}
