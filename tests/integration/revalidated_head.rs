//! Header changes that a 304 brings (RFC 9111 section 4.3.4): taken over
//! where that needs no copy of a large body.

use crate::fetched::{Fetched, fetch};
use crate::handmade;
use crate::revalidation::not_modified;
use crate::scene::Scene;

const OLD: &str = "max-age=300";
const LARGE: usize = (1 << 20) + 1;

/// Revalidates a stale entry of this size with a 304 that says this of
/// `Cache-Control`, and fetches what lies there then.
fn after_a_304(size: usize, cache_control: &str) -> Fetched {
    let mut scene = Scene::new();
    let reply = not_modified().header("ETag", "\"v1\"").header("Cache-Control", cache_control);
    let url = scene.serve("/a", reply);
    let body = vec![b'x'; size];
    let entry = handmade::stale(&body).header("etag", "\"v1\"").header("cache-control", OLD);
    entry.header("content-type", "text/plain").put(&mut scene.client, &url);
    assert_eq!(scene.client.bytes(&["CACHE.GET", &url, "60", "10", "STALE", "60"]), body);
    let ends = scene.client.int(&["PEXPIRETIME", &url]);
    assert_eq!(ends - handmade::fresh_until(&mut scene.client, &url), 60_000);
    let fetched = fetch(&mut scene.client, &["CACHE.FETCH", &url]);
    assert!(fetched.body == body, "the body has changed");
    assert_eq!(fetched.cache, "hit");
    assert_eq!(fetched.all("etag"), ["\"v1\""]);
    assert_eq!(fetched.all("content-type"), ["text/plain"]);
    assert_eq!(scene.server.gauge("cache_revalidated"), 1);
    fetched
}

#[test]
fn changed_headers_are_taken_over_whatever_their_length() {
    for new in ["max-age=600", "no-cache", "x", "max-age=600, must-revalidate, stale-if-error=9"] {
        assert_eq!(after_a_304(10, new).all("cache-control"), [new]);
    }
}

#[test]
fn in_a_large_entry_they_are_taken_over_if_the_head_is_no_longer() {
    for new in [OLD, "max-age=600", "no-cache"] {
        assert_eq!(after_a_304(LARGE, new).all("cache-control"), [new]);
    }
    let new = "max-age=600, must-revalidate";
    assert_eq!(after_a_304(LARGE, new).all("cache-control"), [OLD]);
}

#[test]
fn at_one_mebibyte_the_entry_is_written_anew() {
    let new = "max-age=600, must-revalidate";
    assert_eq!(after_a_304(1 << 20, new).all("cache-control"), [new]);
}

#[test]
fn a_name_that_repeats_replaces_all_of_that_name() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", not_modified().header("Link", "<c>").header("Link", "<d>"));
    let entry = handmade::stale("old").header("etag", "\"v1\"").header("link", "<a>");
    entry.header("link", "<b>").put(&mut scene.client, &url);
    let fetched = fetch(&mut scene.client, &["CACHE.FETCH", &url]);
    assert_eq!(fetched.all("link"), ["<c>", "<d>"]);
    assert_eq!(fetch(&mut scene.client, &["CACHE.FETCH", &url]).headers, fetched.headers);
}

#[test]
fn what_describes_the_stored_body_is_not_taken_over() {
    let mut scene = Scene::new();
    let reply = not_modified().header("Content-Length", "999").header("Content-Encoding", "gzip");
    let url = scene.serve("/a", reply.header("Content-Language", "eo").header("X-Odd", "1"));
    handmade::stale("old").header("etag", "\"v1\"").put(&mut scene.client, &url);
    let fetched = fetch(&mut scene.client, &["CACHE.FETCH", &url]);
    assert_eq!(fetched.body, b"old");
    assert_eq!(fetched.all("content-length"), [""; 0]);
    assert_eq!(fetched.all("content-encoding"), [""; 0]);
    assert_eq!(fetched.all("x-odd"), [""; 0]);
    assert_eq!(fetched.all("content-language"), ["eo"]);
}

#[test]
fn a_new_validator_is_the_one_the_origin_is_asked_with_next() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", not_modified().header("ETag", "\"v1\""));
    handmade::stale("old").header("etag", "W/\"v1\"").put(&mut scene.client, &url);
    for _ in 0..2 {
        assert_eq!(scene.client.text(&["CACHE.GET", &url, "60", "10", "REFRESH"]), "old");
    }
    let asked = scene.origin.requests();
    assert_eq!(asked[0].header("if-none-match"), Some("W/\"v1\""));
    assert_eq!(asked[1].header("if-none-match"), Some("\"v1\""));
}

#[test]
fn many_renewals_leave_the_entry_whole() {
    let mut scene = Scene::new();
    let url = scene.origin.url("/a");
    handmade::stale("old").header("etag", "\"v1\"").put(&mut scene.client, &url);
    for length in [5, 50, 7, 7, 300, 1, 40] {
        let value = "v".repeat(length);
        scene.serve("/a", not_modified().header("Cache-Control", &value));
        let call = ["CACHE.FETCH", &url, "60", "10", "REFRESH"];
        assert_eq!(fetch(&mut scene.client, &call).all("cache-control"), [value.as_str()]);
        let hit = fetch(&mut scene.client, &["CACHE.FETCH", &url]);
        assert_eq!(hit.all("cache-control"), [value.as_str()]);
        assert_eq!(hit.body, b"old");
    }
}

#[test]
fn names_that_are_new_each_time_do_not_make_the_head_grow_for_ever() {
    let mut scene = Scene::with(|server| server.config("cache.store-headers", "*"));
    let url = scene.origin.url("/a");
    handmade::stale("x").header("etag", "\"v1\"").put(&mut scene.client, &url);
    for round in 0..60 {
        let reply = not_modified().header("ETag", "\"v1\"").header("X-Round", &round.to_string());
        let reply = (0..80)
            .fold(reply, |reply, n| reply.header(&format!("x-{round}-{n}"), &"v".repeat(300)));
        scene.serve("/a", reply);
        let call = ["CACHE.FETCH", &url, "60", "10", "REFRESH"];
        let fetched = fetch(&mut scene.client, &call);
        assert_eq!(
            fetched.all("x-round"),
            [round.to_string()],
            "what it has had is still taken over"
        );
        assert_eq!(fetched.body, b"x");
    }
    let length = scene.client.int(&["STRLEN", &url]);
    assert!((40_000..70_000).contains(&length), "{length}");
    assert_eq!(scene.server.gauge("cache_revalidated"), 60);
}

#[test]
fn fields_of_the_304s_connection_are_not_taken_over() {
    let mut scene = Scene::with(|server| server.config("cache.store-headers", "*"));
    let reply = not_modified().header("Connection", "X-Session").header("X-Session", "1");
    let url = scene.serve("/a", reply.header("X-Other", "2"));
    let entry = handmade::stale("old").header("etag", "\"v1\"").header("x-session", "0");
    entry.put(&mut scene.client, &url);
    let fetched = fetch(&mut scene.client, &["CACHE.FETCH", &url]);
    assert_eq!((fetched.all("x-session"), fetched.all("x-other")), (vec!["0"], vec!["2"]));
}
