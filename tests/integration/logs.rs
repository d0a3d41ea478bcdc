//! What is logged: enough to follow a download, and no secrets.

use crate::scene::{BODY, Scene};
use crate::support::{Reply, until};

#[test]
fn downloads_are_logged_when_asked_for_and_without_their_query() {
    let mut scene = Scene::with(|server| server.config("loglevel", "verbose"));
    let url = scene.serve("/page?token=hush", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url]);
    scene.server.until_log("/page");
    assert!(!scene.server.log().contains("hush"));
}

#[test]
fn failures_are_always_logged_and_without_their_query() {
    let mut scene = Scene::new();
    let url = scene.serve("/page?token=hush", Reply::status(404, "Not Found"));
    scene.client.error(&["CACHE.GET", &url]);
    scene.server.until_log("/page");
    assert!(scene.server.log().contains("404"));
    assert!(!scene.server.log().contains("hush"));
}

#[test]
fn no_error_reply_shows_the_query_of_a_redirect() {
    let mut scene = Scene::new();
    let gone = crate::support::Origin::start().url("/?token=hush");
    let url = scene.serve("/page", Reply::redirect(&gone));
    let error = scene.client.error(&["CACHE.GET", &url]);
    assert!(error.starts_with("FETCHFAILED "), "{error}");
    assert!(!error.contains("hush"), "{error}");
    assert!(!scene.server.log().contains("hush"));
}

#[test]
fn downloads_that_succeed_are_not_logged_unasked() {
    let mut scene = Scene::new();
    let url = scene.serve("/page", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url]);
    scene.until_all_landed();
    assert!(!scene.server.log().contains("/page"));
}

#[test]
fn repeated_failures_are_counted_and_told_in_one_line() {
    const FAILURES: usize = 500;
    let mut scene = Scene::new();
    scene.origin.otherwise(|_| Reply::status(404, "Not Found"));
    for n in 0..FAILURES {
        scene.client.error(&["CACHE.GET", &scene.origin.url(&format!("/{n}"))]);
    }
    let before = scene.server.log();
    let lines = before.lines().filter(|line| line.contains("download of ")).count();
    assert!((1..=5).contains(&lines), "{before}");
    scene.server.until_log("more downloads from 127.0.0.1 failed within ");
    scene.server.until_log("s: HTTPSTATUS 404");
    assert!(!scene.server.log().contains("/499"));
}

#[test]
fn what_was_not_told_is_told_when_the_module_is_unloaded() {
    let mut scene = Scene::new();
    scene.origin.otherwise(|_| Reply::status(410, "Gone"));
    for n in 0..3 {
        scene.client.error(&["CACHE.GET", &scene.origin.url(&format!("/{n}"))]);
    }
    scene.client.text(&["PING"]); // whose last command is the module's keeps it loaded
    until("the module to be unloaded", || {
        scene.server.call(&["MODULE", "UNLOAD", "cache"]).is_ok()
    });
    scene.server.until_log("2 more downloads from 127.0.0.1 failed within ");
}

#[test]
fn unloading_names_the_settings_that_are_forgotten() {
    let scene = Scene::with(|server| {
        server
            .config("cache.denied-networks", "192.0.2.0/24")
            .config("cache.proxy", "http://u:hush@p.example")
    });
    until("the module to be unloaded", || {
        scene.server.call(&["MODULE", "UNLOAD", "cache"]).is_ok()
    });
    scene.server.until_log("cache.denied-networks");
    let log = scene.server.log();
    let line = log.lines().find(|line| line.contains("cache.denied-networks")).unwrap();
    assert!(line.contains("cache.proxy") && line.contains("MODULE LOADEX"), "{line}");
    assert!(!line.contains("cache.max-redirects") && !log.contains("hush"), "{line}");
}
