//! `respect-no-store`: what its origin forbids to store is answered and not stored. And what is never
//! stored, and what never decides.

use crate::fetched::fetch;
use crate::handmade;
use crate::scene::{BODY, Scene, lock_key};
use crate::support::{Gate, Reply};

const FORBIDDING: &[&str] = &[
    "no-store",
    "private",
    "NO-STORE",
    "No-Store, max-age=60",
    "public, max-age=60,no-store",
    "max-age=60 , private ",
    "private=\"set-cookie\"",
    "max-age=0, no-cache, no-store, must-revalidate",
    "no-cache; private; no-store",
    "private;max-age=0",
    "no-cache no-store must-revalidate",
    "\"no-store\"",
    "no-cache=\"set-cookie, no-store",
];

const ALLOWING: &[&str] = &[
    "",
    "no-cache",
    "max-age=0",
    "must-revalidate",
    "public",
    "no-storey",
    "x-private",
    "max-age=\"no-store\"",
];

fn respectful() -> Scene {
    Scene::with(|server| server.config("cache.respect-no-store", "yes"))
}

#[test]
fn what_must_not_be_stored_is_answered_to_all_who_wait_and_not_stored() {
    let mut scene = respectful();
    for (n, control) in FORBIDDING.iter().enumerate() {
        let gate = Gate::closed();
        let reply = Reply::ok(BODY).header("Cache-Control", control).gate(&gate);
        let path = format!("/{n}");
        let url = scene.serve(&path, reply);
        let waiters = scene.waiters(&url, 5);
        gate.open();
        for mut waiter in waiters {
            assert_eq!(waiter.reply_bytes(), BODY.as_bytes(), "{control}");
        }
        assert!(!scene.exists(&url) && !scene.exists(&lock_key(&url)), "{control}");
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
        assert_eq!(scene.origin.hits(&path), 2, "{control}");
        scene.client.null(&["CACHE.PEEK", &url]);
        assert_eq!(scene.server.gauge("cache_not_stored_forbidden"), 2 * (n as u64 + 1));
    }
}

#[test]
fn what_may_be_stored_is() {
    let mut scene = respectful();
    for (n, control) in ALLOWING.iter().enumerate() {
        let reply = Reply::ok(BODY).header("Cache-Control", control);
        let url = scene.serve(&format!("/{n}"), reply);
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
        assert!(scene.exists(&url), "{control}");
    }
    assert_eq!(scene.server.gauge("cache_not_stored_forbidden"), 0);
}

#[test]
fn by_default_the_caller_decides_and_all_is_stored() {
    let mut scene = Scene::new();
    for (n, control) in FORBIDDING.iter().enumerate() {
        let reply = Reply::ok(BODY).header("Cache-Control", control);
        let url = scene.serve(&format!("/{n}"), reply);
        assert_eq!(scene.client.text(&["CACHE.GET", &url, "60"]), BODY);
        assert_eq!(scene.client.int(&["TTL", &url]), 60, "{control}");
    }
    assert_eq!(scene.server.gauge("cache_not_stored_forbidden"), 0);
}

#[test]
fn it_counts_from_the_next_download_on() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY).header("Cache-Control", "no-store"));
    let gate = Gate::closed();
    let reply = Reply::ok(BODY).header("Cache-Control", "no-store").gate(&gate);
    let in_the_air = scene.serve("/b", reply);
    let mut waiter = scene.waiters(&in_the_air, 1).remove(0);
    scene.client.ok(&["CONFIG", "SET", "cache.respect-no-store", "yes"]);
    gate.open();
    assert_eq!(waiter.reply_bytes(), BODY.as_bytes());
    assert!(scene.exists(&in_the_air), "a flight goes under the settings of its take-off");
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert!(!scene.exists(&url));
}

#[test]
fn every_command_answers_what_is_not_stored() {
    let mut scene = respectful();
    let url = scene.serve("/a", Reply::ok(BODY).header("Cache-Control", "no-store"));
    let fetched = fetch(&mut scene.client, &["CACHE.FETCH", &url]);
    assert_eq!((&*fetched.body, &*fetched.cache), (BODY.as_bytes(), "miss"));
    assert_eq!(fetched.all("cache-control"), ["no-store"]);
    let many = scene.client.array(&["CACHE.MGET", "1", &url]);
    assert_eq!(format!("{many:?}").matches(BODY).count(), 1, "{many:?}");
    let large = "x".repeat(300_000);
    let url = scene.serve("/large", Reply::ok(&large).header("Cache-Control", "no-store"));
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), large);
    assert_eq!(scene.client.int(&["DBSIZE"]), 0);
}

#[test]
fn an_entry_from_before_stays_as_it_was() {
    let mut scene = respectful();
    let url = scene.serve("/a", Reply::ok(BODY).header("Cache-Control", "no-store"));
    handmade::stale("as it was").put(&mut scene.client, &url);
    let before = scene.client.bytes(&["GET", &url]);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(scene.client.bytes(&["GET", &url]), before);
    assert_eq!(scene.client.text(&["CACHE.GET", &url, "60", "5", "STALE", "9999999"]), "as it was");
    scene.until_all_landed();
    assert_eq!(scene.client.bytes(&["GET", &url]), before);
}

#[test]
fn a_304_that_forbids_storing_renews_nothing() {
    let mut scene = respectful();
    let reply = Reply::status(304, "Not Modified").header("Cache-Control", "no-store");
    let url = scene.serve("/a", reply);
    handmade::stale("as it was").header("etag", "\"1\"").put(&mut scene.client, &url);
    let before = scene.client.bytes(&["GET", &url]);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), "as it was");
    assert_eq!(scene.origin.requests()[0].header("if-none-match"), Some("\"1\""));
    assert_eq!(scene.client.bytes(&["GET", &url]), before);
    scene.client.null(&["CACHE.PEEK", &url]);
    assert_eq!(scene.server.gauge("cache_not_stored_forbidden"), 1);
}

#[test]
fn a_304_renews_by_default_whatever_it_says() {
    let mut scene = Scene::new();
    let reply = Reply::status(304, "Not Modified").header("Cache-Control", "no-store");
    let url = scene.serve("/a", reply);
    handmade::stale("as it was").header("etag", "\"1\"").put(&mut scene.client, &url);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), "as it was");
    assert_eq!(scene.client.text(&["CACHE.PEEK", &url]), "as it was");
}

#[test]
fn cookies_are_in_no_entry_and_no_answer_whatever_is_stored() {
    let mut scene = Scene::new();
    for list in ["*", "set-cookie set-cookie2 set-*", "Set-Cookie"] {
        scene.client.ok(&["CONFIG", "SET", "cache.store-headers", list]);
        let reply = Reply::ok(BODY)
            .header("Set-Cookie", "id=hush")
            .header("SET-COOKIE", "id2=hush; HttpOnly")
            .header("Set-Cookie2", "id3=hush");
        let url = scene.serve("/a", reply);
        scene.client.call(&["DEL", &url]).unwrap();
        for _ in 0..2 {
            let answer = format!("{:?}", scene.client.call(&["CACHE.FETCH", &url]).unwrap());
            assert!(!answer.contains("hush") && !answer.contains("cookie"), "{answer}");
        }
        assert!(!scene.client.text(&["GET", &url]).contains("hush"), "{list}");
    }
}

#[test]
fn fields_of_the_connection_and_of_a_proxy_are_never_stored() {
    let mut scene = Scene::with(|server| server.config("cache.store-headers", "*"));
    let reply = Reply::ok(BODY)
        .header("Connection", "X-Session, keep-alive")
        .header("X-Session", "hush")
        .header("Proxy-Authentication-Info", "nextnonce=hush")
        .header("Proxy-Status", "hush")
        .header("Authentication-Info", "nextnonce=hush")
        .header("X-Kept", "1");
    let url = scene.serve("/a", reply);
    for _ in 0..2 {
        let fetched = fetch(&mut scene.client, &["CACHE.FETCH", &url]);
        let names: Vec<_> = fetched.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["content-length", "x-kept"]);
    }
    assert!(!scene.client.text(&["GET", &url]).contains("hush"));
}

#[test]
fn what_forbids_is_heeded_though_connection_names_its_field() {
    let mut scene = respectful();
    let reply = Reply::ok(BODY).header("Connection", "cache-control");
    let url = scene.serve("/a", reply.header("Cache-Control", "no-store"));
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert!(!scene.exists(&url));
}

#[test]
fn the_callers_expiry_wins_over_the_origins() {
    for respect in ["no", "yes"] {
        let mut scene = Scene::with(|server| server.config("cache.respect-no-store", respect));
        for (n, control) in ["max-age=1", "s-maxage=1", "max-age=0", "max-age=86400, immutable"]
            .into_iter()
            .enumerate()
        {
            let reply = Reply::ok(BODY)
                .header("Cache-Control", control)
                .header("Expires", "Thu, 01 Jan 1970 00:00:00 GMT");
            let url = scene.serve(&format!("/{n}"), reply);
            assert_eq!(scene.client.text(&["CACHE.GET", &url, "500"]), BODY);
            let ttl = scene.client.int(&["TTL", &url]);
            assert!((495..=500).contains(&ttl), "{control}: {ttl}");
            assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
            assert_eq!(scene.origin.hits(&format!("/{n}")), 1);
        }
    }
}
