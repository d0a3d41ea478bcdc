//! What is logged: enough to follow a download, and no secrets.

use crate::scene::{BODY, Scene};
use crate::support::Reply;

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
