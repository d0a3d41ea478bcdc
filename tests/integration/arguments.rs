//! What a call may say, and what it is told otherwise: Redis's own words
//! where Redis has some.

use crate::scene::{BODY, Scene};
use crate::support::Reply;

#[test]
fn each_wrong_argument_has_its_error() {
    let mut scene = Scene::new();
    let url = &scene.serve("/a", Reply::ok(BODY));
    let arity = "ERR wrong number of arguments for 'cache.get' command";
    let expire = "ERR invalid expire time in 'cache.get' command";
    let float = "ERR value is not a valid float";
    let timeout = "ERR timeout is not a float or out of range";
    let cases: &[(&[&str], &str)] = &[
        (&["CACHE.GET"], arity),
        (&["CACHE.GET", url, "60", "10", "more"], "ERR syntax error"),
        (&["CACHE.GET", url, "0"], expire),
        (&["CACHE.GET", url, "0.0"], expire),
        (&["CACHE.GET", url, "-2"], expire),
        (&["CACHE.GET", url, "-0.5"], expire),
        (&["CACHE.GET", url, "9999999999"], expire),
        (&["CACHE.GET", url, "1e300"], expire),
        (&["CACHE.GET", url, "soon"], float),
        (&["CACHE.GET", url, ""], float),
        (&["CACHE.GET", url, "1s"], float),
        (&["CACHE.GET", url, "nan"], float),
        (&["CACHE.GET", url, "60", "soon"], timeout),
        (&["CACHE.GET", url, "60", ""], timeout),
        (&["CACHE.GET", url, "60", "inf"], timeout),
        (&["CACHE.GET", url, "60", "-1"], "ERR timeout is negative"),
        (&["CACHE.GET", url, "60", "-0.001"], "ERR timeout is negative"),
        (&["CACHE.PEEK"], "ERR wrong number of arguments for 'cache.peek' command"),
    ];
    for (call, error) in cases {
        assert_eq!(scene.client.error(call), *error, "{call:?}");
    }
    assert!(scene.client.error(&["CACHE.PEEK", url, "more"]).starts_with("ERR "));
    assert_eq!(scene.origin.total(), 0);
    assert_eq!(scene.server.gauge("cache_misses"), 0);
}

#[test]
fn wrong_arguments_are_refused_on_a_hit_too() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url]);
    for wrong in [["0", "1"], ["soon", "1"], ["60", "-1"], ["60", "soon"]] {
        let error = scene.client.error(&["CACHE.GET", &url, wrong[0], wrong[1]]);
        assert!(error.starts_with("ERR "), "{wrong:?}: {error}");
    }
}

#[test]
fn times_may_have_decimals() {
    let mut scene = Scene::new();
    for (expiry, most) in [("1.5", 1_500), ("2e1", 20_000), ("0.75", 750)] {
        let path = format!("/{expiry}");
        let url = scene.serve(&path, Reply::ok(BODY));
        scene.client.text(&["CACHE.GET", &url, expiry, "9.75"]);
        let left = scene.client.int(&["PTTL", &url]);
        assert!((1..=most).contains(&left), "{expiry}: {left}");
    }
}

#[test]
fn an_expiry_may_be_for_ever_or_up_to_2286() {
    let mut scene = Scene::new();
    let [forever, long] = ["/forever", "/long"].map(|path| scene.serve(path, Reply::ok(BODY)));
    scene.client.text(&["CACHE.GET", &forever, "-1"]);
    assert_eq!(scene.client.int(&["TTL", &forever]), -1);
    scene.client.text(&["CACHE.GET", &long, "8000000000"]);
    let left = scene.client.int(&["TTL", &long]);
    assert!((7_999_999_900..=8_000_000_000).contains(&left), "{left}");
}

#[test]
fn an_expiry_left_out_is_the_default() {
    let mut scene = Scene::new();
    let [usual, changed] = ["/usual", "/changed"].map(|path| scene.serve(path, Reply::ok(BODY)));
    scene.client.text(&["CACHE.GET", &usual]);
    let left = scene.client.int(&["TTL", &usual]);
    assert!((3500..=3600).contains(&left), "{left}");
    scene.client.ok(&["CONFIG", "SET", "cache.default-expiry", "-1"]);
    scene.client.text(&["CACHE.GET", &changed]);
    assert_eq!(scene.client.int(&["TTL", &changed]), -1);
}

#[test]
fn what_is_no_fetchable_url_is_refused_on_a_miss() {
    let mut scene = Scene::new();
    for url in [
        "",
        "page",
        "/page",
        "http:",
        "http://",
        "http:///page",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "http://user@127.0.0.1/",
        "http://user:password@127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/a b",
    ] {
        let error = scene.client.error(&["CACHE.GET", url]);
        assert!(error.starts_with("ERR invalid url: "), "{url:?}: {error}");
    }
    let endless = scene.origin.url(&format!("/{}", "x".repeat(20_000)));
    assert!(scene.client.error(&["CACHE.GET", &endless]).starts_with("ERR invalid url: "));
    let not_text = [b"CACHE.GET".as_ref(), b"http://127.0.0.1/\xff\0"];
    assert!(scene.client.error(&not_text).starts_with("ERR invalid url: "));
    assert_eq!(scene.server.gauge("cache_flights"), 0);
}

#[test]
fn a_url_that_would_wander_off_is_refused_and_told_where_to() {
    let mut scene = Scene::new();
    for (url, canonical) in [
        ("http://127.0.0.1/open/../secret", "http://127.0.0.1/secret"),
        ("http://127.0.0.1/open/%2e%2E/secret", "http://127.0.0.1/secret"),
        ("http://127.0.0.1/./page", "http://127.0.0.1/page"),
        ("http://127.0.0.1\\page", "http://127.0.0.1/page"),
        ("http://127.0.0.1/pa\tge", "http://127.0.0.1/page"),
        ("http://127.0.0.1/pa\nge", "http://127.0.0.1/page"),
    ] {
        let error = scene.client.error(&["CACHE.GET", url]);
        assert!(error.starts_with("ERR invalid url: "), "{url:?}: {error}");
        assert!(error.contains(canonical), "{url:?}: {error}");
    }
}

#[test]
fn a_url_whose_braces_allow_no_lock_key_is_refused() {
    let mut scene = Scene::new();
    for braces in ["}", "{}", "}{"] {
        let url = scene.origin.url(&format!("/a#{braces}"));
        assert!(scene.client.error(&["CACHE.GET", &url]).starts_with("ERR "), "{url}");
    }
    assert_eq!(scene.origin.total(), 0);
}
