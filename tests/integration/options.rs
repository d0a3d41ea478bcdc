//! The words behind the positionals: which there are, what is wrong with the
//! others, and what `REFRESH` and `NOWAIT` do.

use crate::handmade;
use crate::scene::{BODY, Scene};
use crate::support::{Gate, Reply};

const SYNTAX: &str = "ERR syntax error";

/// Words that are wrong wherever they may stand, with their error.
const WRONG: &[(&[&str], &str)] = &[
    (&["FOO"], SYNTAX),
    (&["METHOD"], SYNTAX),
    (&["BODY"], SYNTAX),
    (&["HEADER"], SYNTAX),
    (&["HEADER", "accept"], SYNTAX),
    (&["METHOD", "GET", "METHOD", "GET"], SYNTAX),
    (&["BODY", "x", "BODY", "x"], SYNTAX),
    (&["METHOD", "POST", "FOO"], SYNTAX),
    (&["METHOD", "PUT"], "ERR method must be GET or POST"),
    (&["METHOD", ""], "ERR method must be GET or POST"),
    (&["BODY", "x"], "ERR body needs METHOD POST"),
    (&["BODY", "x", "METHOD", "GET"], "ERR body needs METHOD POST"),
];

/// Words that are wrong for commands with times and all options.
const WRONG_AFTER_TIMES: &[(&[&str], &str)] = &[
    (&["STALE"], SYNTAX),
    (&["STALE", "1", "STALE", "1"], SYNTAX),
    (&["REFRESH", "REFRESH"], SYNTAX),
    (&["NOWAIT", "NOWAIT"], SYNTAX),
    (&["STALE", "1", "5"], SYNTAX),
    (&["STALE", "-1"], "ERR stale is negative"),
    (&["STALE", "-0.001"], "ERR stale is negative"),
    (&["STALE", "soon"], "ERR value is not a valid float"),
    (&["STALE", "inf"], "ERR value is not a valid float"),
];

#[test]
fn each_wrong_option_has_its_error() {
    let mut scene = Scene::new();
    let url = &scene.serve("/a", Reply::ok(BODY));
    let with_times: &[&[&str]] = &[
        &["CACHE.GET", url, "60", "10"],
        &["CACHE.FETCH", url, "60", "10"],
        &["CACHE.MGET", "1", url, "60", "10"],
    ];
    let without: &[&[&str]] = &[&["CACHE.PEEK", url], &["CACHE.DEL", url]];
    for call in with_times {
        for (words, error) in WRONG.iter().chain(WRONG_AFTER_TIMES) {
            assert_eq!(scene.client.error(&[*call, *words].concat()), *error, "{call:?} {words:?}");
        }
    }
    for call in without {
        for (words, error) in WRONG {
            assert_eq!(scene.client.error(&[*call, *words].concat()), *error, "{call:?} {words:?}");
        }
    }
    for (call, name) in with_times.iter().zip(["cache.get", "cache.fetch", "cache.mget"]) {
        let call = [&call[..call.len() - 2], &["0"]].concat();
        let error = format!("ERR invalid expire time in '{name}' command");
        assert_eq!(scene.client.error(&call), error);
    }
    assert_eq!(scene.origin.total(), 0);
    assert_eq!(scene.server.gauge("cache_misses"), 0);
}

#[test]
fn headers_that_would_forge_a_message_are_refused() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    for (name, value) in [
        ("", "a"),
        ("two words", "a"),
        ("x:", "a"),
        ("x\r\ny", "a"),
        ("x\0", "a"),
        ("x", "a\r\nforged: b"),
        ("x", "a\nb"),
        ("x", "a\0b"),
        ("Host", "elsewhere"),
        ("Content-Length", "1"),
        ("transfer-encoding", "chunked"),
        ("Connection", "close"),
        ("Keep-Alive", "1"),
        ("Upgrade", "h2c"),
        ("TE", "trailers"),
        ("Trailer", "x"),
        ("Proxy-Connection", "close"),
        ("Proxy-Authorization", "Basic eA=="),
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-HTTP-Method", "DELETE"),
        ("X-Method-Override", "DELETE"),
        ("X-Original-URL", "/admin"),
        ("X-Rewrite-URL", "/admin"),
        ("X_Rewrite_URL", "/admin"),
        ("Range", "bytes=0-1"),
        ("If-None-Match", "\"a\""),
    ] {
        for command in [&["CACHE.GET", &url][..], &["CACHE.PEEK", &url], &["CACHE.DEL", &url]] {
            let call = [command, &["HEADER", name, value]].concat();
            let error = "ERR header is malformed or not allowed";
            assert_eq!(scene.client.error(&call), error, "{name:?}: {value:?}");
        }
    }
    assert_eq!(scene.origin.total(), 0);
}

#[test]
fn each_command_refuses_the_options_that_mean_nothing_for_it() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    for words in [&["60"][..], &["60", "10"], &["REFRESH"], &["NOWAIT"]] {
        for command in ["CACHE.PEEK", "CACHE.DEL"] {
            let call = [&[command, &url], words].concat();
            assert_eq!(scene.client.error(&call), SYNTAX, "{call:?}");
        }
    }
    assert_eq!(scene.client.error(&["CACHE.DEL", &url, "STALE", "1"]), SYNTAX);
    scene.client.null(&["CACHE.PEEK", &url, "STALE", "1"]);
}

#[test]
fn options_come_in_any_order_and_case_with_or_without_times() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    for call in [
        &["60", "10", "STALE", "5", "REFRESH"][..],
        &["60", "refresh", "Stale", "5.5"],
        &["STALE", "5", "REFRESH"],
        &["REFRESH", "STALE", "0"],
    ] {
        let call = [&["CACHE.GET", &url], call].concat();
        assert_eq!(scene.client.text(&call), BODY, "{call:?}");
    }
    assert_eq!(scene.origin.hits("/a"), 4);
}

#[test]
fn an_entry_whose_stale_window_reaches_past_2286_is_refused() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    for stale in ["9999999999", "1e300"] {
        let error = scene.client.error(&["CACHE.GET", &url, "60", "10", "STALE", stale]);
        assert_eq!(error, "ERR invalid expire time in 'cache.get' command", "{stale}");
    }
    assert_eq!(scene.origin.total(), 0);
}

#[test]
fn refresh_downloads_though_the_entry_is_fresh() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok("old"));
    scene.client.text(&["CACHE.GET", &url]);
    scene.origin.on("/a", Reply::ok("new"));
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), "old");
    assert_eq!(scene.client.text(&["CACHE.GET", &url, "60", "10", "REFRESH"]), "new");
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), "new");
    assert_eq!(scene.origin.hits("/a"), 2);
    assert_eq!(scene.server.gauge("cache_misses"), 2);
}

#[test]
fn refresh_joins_a_flight_in_the_air() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    let mut refresher = scene.server.client();
    refresher.send(&["CACHE.GET", &flight.url, "60", "0", "REFRESH"]);
    scene.server.until_gauge("cache_waiters", 2);
    flight.land();
    assert_eq!(refresher.reply_bytes(), BODY.as_bytes());
    assert_eq!(scene.origin.hits("/a"), 1);
    assert_eq!(scene.client.text(&["CACHE.PEEK", &flight.url]), BODY);
}

#[test]
fn others_are_answered_from_the_fresh_entry_while_it_is_refreshed() {
    let mut scene = Scene::new();
    let (url, gate) = scene.hold("/a");
    handmade::fresh("old").put(&mut scene.client, &url);
    let mut refresher = scene.server.client();
    refresher.send(&["CACHE.GET", &url, "60", "0", "REFRESH"]);
    scene.origin.until_hits("/a", 1);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), "old");
    gate.open();
    assert_eq!(refresher.reply_bytes(), BODY.as_bytes());
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
}

#[test]
fn a_refresh_that_fails_answers_its_error_and_leaves_the_entry() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url]);
    scene.origin.on("/a", Reply::status(503, "Service Unavailable"));
    let error = scene.client.error(&["CACHE.GET", &url, "60", "10", "REFRESH"]);
    assert_eq!(error, "HTTPSTATUS 503 Service Unavailable");
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(scene.server.gauge("cache_failed_refreshes"), 1);
}

#[test]
fn refresh_replaces_a_string_set_by_hand() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.ok(&["SET", &url, "seeded"]);
    assert_eq!(scene.client.text(&["CACHE.GET", &url, "60", "10", "REFRESH"]), BODY);
    assert_eq!(scene.client.text(&["CACHE.PEEK", &url]), BODY);
}

#[test]
fn nowait_answers_null_at_once_and_the_download_goes_on() {
    let mut scene = Scene::new();
    let (url, gate) = scene.hold("/a");
    scene.client.null(&["CACHE.GET", &url, "60", "10", "NOWAIT"]);
    scene.client.null(&["CACHE.FETCH", &url, "60", "10", "NOWAIT"]);
    scene.origin.until_hits("/a", 1);
    assert_eq!(scene.server.gauge("cache_waiters"), 0);
    gate.open();
    scene.until_fresh(&url);
    assert_eq!(scene.client.text(&["CACHE.GET", &url, "60", "10", "NOWAIT"]), BODY);
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn nowait_is_null_during_the_flight_of_others() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    scene.client.null(&["CACHE.GET", &flight.url, "60", "10", "NOWAIT"]);
    assert_eq!(scene.server.gauge("cache_waiters"), 1);
    flight.land();
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn refresh_with_nowait_is_null_and_refreshes_behind_the_fresh_entry() {
    let mut scene = Scene::new();
    let gate = Gate::closed();
    let url = scene.serve("/a", Reply::ok("new").gate(&gate));
    handmade::fresh("old").put(&mut scene.client, &url);
    scene.client.null(&["CACHE.GET", &url, "60", "10", "REFRESH", "NOWAIT"]);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), "old");
    gate.open();
    scene.until_body(&url, "new");
}

#[test]
fn nowait_of_what_cannot_be_fetched_is_an_error() {
    let mut scene = Scene::new();
    let error = scene.client.error(&["CACHE.GET", "no url at all", "60", "10", "NOWAIT"]);
    assert!(error.starts_with("ERR invalid url: "), "{error}");
}
