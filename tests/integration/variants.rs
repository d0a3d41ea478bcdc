//! Variants: what differs by method, body or headers has an entry of its
//! own, and what does not has not.

use crate::cluster::clustered;
use crate::fetched::fetch;
use crate::handmade;
use crate::revalidation::not_modified;
use crate::scene::{BODY, Scene};
use crate::support::client::bytes_of;
use crate::support::{Origin, Reply, Server};

/// Every key there is, in order.
fn keys(scene: &mut Scene) -> Vec<String> {
    let keys = scene.client.array(&["KEYS", "*"]).into_iter();
    let mut keys: Vec<_> = keys.map(|key| String::from_utf8(bytes_of(key)).unwrap()).collect();
    keys.sort();
    keys
}

/// Calls once with each of these, and asserts how many entries there are then.
fn make_entries(calls: &[&[&str]], wanted: usize) {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    for call in calls {
        let call = [&["CACHE.GET", &url, "60", "10"], *call].concat();
        assert_eq!(scene.client.text(&call), BODY, "{call:?}");
    }
    assert_eq!(keys(&mut scene).len(), wanted, "{calls:?}");
    assert_eq!(scene.origin.hits("/a"), wanted as u64, "{calls:?}");
}

#[test]
fn how_headers_are_ordered_and_written_makes_no_other_variant() {
    make_entries(
        &[
            &["HEADER", "Accept", "text/html", "HEADER", "X-Key", "1"],
            &["HEADER", "X-Key", "1", "HEADER", "Accept", "text/html"],
            &["HEADER", "ACCEPT", "text/html", "HEADER", "x-KEY", "1"],
            &["header", "accept", "text/html", "method", "get", "Header", "x-key", "1"],
        ],
        1,
    );
}

#[test]
fn other_values_or_names_make_other_variants() {
    make_entries(
        &[
            &[],
            &["HEADER", "Accept", "text/html"],
            &["HEADER", "Accept", "text/HTML"],
            &["HEADER", "Accept-Language", "text/html"],
            &["HEADER", "Accept", "text/html", "HEADER", "Accept", "text/plain"],
            &["HEADER", "Accept", ""],
        ],
        6,
    );
}

#[test]
fn bodies_and_methods_make_other_variants() {
    make_entries(
        &[
            &["METHOD", "POST", "BODY", "the same but for one byte: a"],
            &["METHOD", "POST", "BODY", "the same but for one byte: b"],
            &["METHOD", "POST", "BODY", ""],
            &["METHOD", "POST"],
            &["METHOD", "POST", "BODY", "x", "HEADER", "Content-Type", "text/plain"],
            &["METHOD", "POST", "BODY", "x"],
        ],
        6,
    );
}

#[test]
fn the_plain_request_is_no_variant_however_it_is_written() {
    make_entries(&[&[], &["METHOD", "GET"], &["method", "get"], &["STALE", "5"]], 1);
}

#[test]
fn one_users_answer_never_reaches_another() {
    let mut scene = Scene::new();
    scene.origin.on_fn("/me", |request| {
        let who = request.header("authorization").or(request.header("cookie"));
        Reply::ok(format!("for {who:?}"))
    });
    let url = scene.origin.url("/me");
    let mut ask = |words: &[&str]| {
        let call = [&["CACHE.GET", &url, "60", "10"], words].concat();
        let first = scene.client.text(&call);
        assert_eq!(scene.client.text(&call), first);
        first
    };
    assert_eq!(ask(&["HEADER", "Authorization", "Bearer 1"]), "for Some(\"Bearer 1\")");
    assert_eq!(ask(&["HEADER", "authorization", "Bearer 2"]), "for Some(\"Bearer 2\")");
    assert_eq!(ask(&["HEADER", "Cookie", "id=1"]), "for Some(\"id=1\")");
    assert_eq!(ask(&["HEADER", "Cookie", "id=2"]), "for Some(\"id=2\")");
    assert_eq!(ask(&[]), "for None");
    assert_eq!(scene.origin.hits("/me"), 5);
    for key in keys(&mut scene) {
        assert!(!key.contains("Bearer") && !key.contains("id="), "{key} shows a credential");
        let stored = scene.client.text(&["GETRANGE", &key, "0", "65"]);
        assert!(!stored.contains("Bearer"), "{stored}");
    }
}

#[test]
fn the_origin_gets_method_body_and_headers() {
    let mut scene = Scene::new();
    let url = scene.serve("/predict", Reply::ok(BODY));
    let body = b"{\"x\": [1, 2]}\0\xff".as_ref();
    let call = [
        b"CACHE.GET".as_ref(),
        url.as_bytes(),
        b"METHOD",
        b"POST",
        b"BODY",
        body,
        b"HEADER",
        b"Content-Type",
        b"application/json",
        b"HEADER",
        b"X-Twice",
        b"1",
        b"HEADER",
        b"X-Twice",
        b"2",
        b"HEADER",
        b"User-Agent",
        b"mine",
    ];
    assert_eq!(scene.client.bytes(&call), BODY.as_bytes());
    let asked = scene.origin.requests().remove(0);
    assert_eq!((asked.method.as_str(), asked.body.as_slice()), ("POST", body));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    let all = |name| asked.headers.iter().filter(move |(given, _)| given == name);
    assert_eq!(all("x-twice").map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    let length = body.len().to_string();
    assert_eq!(asked.header("content-length"), Some(length.as_str()));
    assert_eq!(all("user-agent").map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["mine"]);
}

#[test]
fn peek_fetch_and_del_with_the_same_options_name_the_same_entry() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let variant = ["METHOD", "POST", "BODY", "x", "HEADER", "Accept", "a"];
    let same = ["HEADER", "accept", "a", "BODY", "x", "METHOD", "post"];
    let peek = [&["CACHE.PEEK", &url], &same[..]].concat();
    let del = [&["CACHE.DEL", &url], &same[..]].concat();
    scene.client.null(&peek);
    scene.client.text(&[&["CACHE.GET", &url], &variant[..]].concat());
    assert_eq!(scene.client.text(&peek), BODY);
    let hit = fetch(&mut scene.client, &[&["CACHE.FETCH", &url], &same[..]].concat());
    assert_eq!(hit.cache, "hit");
    scene.client.null(&["CACHE.PEEK", &url]);
    assert_eq!(scene.client.int(&["CACHE.DEL", &url]), 0);
    assert_eq!(scene.client.text(&peek), BODY);
    assert_eq!(scene.client.int(&del), 1);
    scene.client.null(&peek);
    assert_eq!(scene.client.int(&del), 0);
}

#[test]
fn each_variant_has_a_flight_of_its_own_and_del_voids_that_alone() {
    let mut scene = Scene::new();
    let (url, gate) = scene.hold("/a");
    let plain = scene.waiters(&url, 2);
    let mut variants = scene.server.clients(2);
    for client in &mut variants {
        client.send(&["CACHE.GET", &url, "60", "0", "HEADER", "A", "1"]);
    }
    scene.server.until_gauge("cache_waiters", 4);
    scene.origin.until_hits("/a", 2);
    assert_eq!(scene.server.gauge("cache_flights"), 2);
    scene.client.int(&["CACHE.DEL", &url, "HEADER", "a", "1"]);
    gate.open();
    for mut client in plain.into_iter().chain(variants) {
        assert_eq!(client.reply_bytes(), BODY.as_bytes());
    }
    scene.until_all_landed();
    assert_eq!(keys(&mut scene), [url]);
}

#[test]
fn a_variants_key_carries_a_digest_and_the_slot_of_its_url() {
    let mut scene = Scene::new();
    let cluster = clustered(Server::builder().without_module()).start();
    let mut slots = cluster.client();
    let mut slot = |key: &str| slots.int(&["CLUSTER", "KEYSLOT", key]);
    for path in ["/a", "/b?c=d", "/e#{tag}", "/f#{two}{tags}"] {
        let url = scene.serve(path, Reply::ok(BODY));
        scene.origin.otherwise(|_| Reply::ok(BODY));
        scene.client.text(&["CACHE.GET", &url, "60", "10", "HEADER", "Accept", "a"]);
        let key = keys(&mut scene).remove(0);
        let rest = key.strip_prefix("cache:variant:").expect(&key);
        let (digest, rest) = rest.split_at(64);
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        assert!(digest.bytes().all(is_hex), "{key}");
        let tagged = if path.contains('{') { format!(":{url}") } else { format!(":{{{url}}}") };
        assert_eq!(rest, tagged);
        assert_eq!(slot(&key), slot(&url));
        scene.client.int(&["DEL", &key]);
    }
}

#[test]
fn a_url_whose_braces_allow_no_variant_key_is_refused() {
    let mut scene = Scene::new();
    let url = scene.serve("/a{}", Reply::ok(BODY));
    for command in ["CACHE.GET", "CACHE.PEEK", "CACHE.FETCH", "CACHE.DEL"] {
        let error = scene.client.error(&[command, &url, "HEADER", "A", "1"]);
        assert!(error.starts_with("ERR invalid url: "), "{command}: {error}");
    }
}

#[test]
fn a_variant_is_revalidated_and_refreshed_as_itself() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok("old"));
    let variant = ["STALE", "3600", "METHOD", "POST", "BODY", "x", "HEADER", "A", "1"];
    let call = |expiry| [&["CACHE.GET", &url, expiry, "10"], &variant[..]].concat();
    scene.client.text(&call("60"));
    let key = keys(&mut scene).remove(0);
    handmade::stale("old").header("etag", "\"v1\"").put(&mut scene.client, &key);
    scene.origin.on("/a", not_modified());
    assert_eq!(scene.client.text(&call("60")), "old");
    scene.server.until_gauge("cache_revalidated", 1);
    let asked = scene.origin.requests().remove(1);
    assert_eq!((asked.method.as_str(), asked.body.as_slice()), ("POST", &b"x"[..]));
    assert_eq!((asked.header("a"), asked.header("if-none-match")), (Some("1"), Some("\"v1\"")));
    assert_eq!(keys(&mut scene), [key]);
}

#[test]
fn credentials_do_not_follow_a_redirect_to_another_origin() {
    let mut scene = Scene::new();
    let elsewhere = Origin::start();
    elsewhere.on("/b", Reply::ok(BODY));
    let url = scene.serve("/a", Reply::redirect(&elsewhere.url("/b")));
    for name in ["Authorization", "Cookie"] {
        scene.client.text(&["CACHE.GET", &url, "60", "10", "HEADER", name, "secret"]);
    }
    for asked in elsewhere.requests() {
        assert!(!format!("{asked:?}").contains("secret"), "{asked:?}");
    }
    assert_eq!(elsewhere.hits("/b"), 2);
}
