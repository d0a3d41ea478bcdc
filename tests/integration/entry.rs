//! What lies in the keyspace: one string a URL, an HTTP message that anybody
//! can read, and the rules by which it is fresh.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::scene::{BODY, Scene};
use crate::support::{Reply, until};

/// Length of an entry's two fixed lines.
const FIXED: usize = 66;

/// The numbers of a stored entry's second line, and the rest of the value.
struct Stored {
    fetched: i64,
    fresh_until: i64,
    head: usize,
    text: String,
}

fn stored(scene: &mut Scene, url: &str) -> Stored {
    let text = scene.client.text(&["GET", url]);
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    let (fetched, fresh_until, head) = (number(28..41), number(42..55), number(56..64));
    Stored { fetched, fresh_until, head: usize::try_from(head).unwrap(), text }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}

/// Puts a value at a URL by hand, with the origin ready to serve [`BODY`].
fn seed(scene: &mut Scene, path: &str, value: impl AsRef<[u8]>) -> String {
    let url = scene.serve(path, Reply::ok(BODY));
    scene.client.ok(&[b"SET".as_ref(), url.as_bytes(), value.as_ref()]);
    url
}

#[test]
fn an_entry_is_the_http_message_that_the_design_says() {
    let mut scene = Scene::new();
    let reply = Reply::ok(BODY)
        .chunked(10)
        .header("Content-Type", "text/plain")
        .header("X-Powered-By", "magic")
        .header("ETag", "\"v1\"");
    let url = scene.serve("/a", reply);
    let before = now();
    scene.client.text(&["CACHE.GET", &url, "60"]);
    let after = now();
    let entry = stored(&mut scene, &url);
    let (fetched, fresh_until) = (entry.fetched, entry.fresh_until);
    let headers = "content-type: text/plain\r\netag: \"v1\"\r\n\r\n";
    let head = FIXED + headers.len();
    assert_eq!(
        entry.text,
        format!(
            "HTTP/1.1 200 \r\ncache-get: 1 {fetched:013} {fresh_until:013} {head:08}\r\n{headers}{BODY}"
        )
    );
    assert_eq!(entry.head, head);
    assert!((before..=after).contains(&fetched), "{before} {fetched} {after}");
    assert_eq!(fresh_until - fetched, 60_000);
    assert_eq!(scene.client.int(&["PEXPIRETIME", &url]), fresh_until);
    assert_eq!(scene.client.int(&["DBSIZE"]), 1);
}

#[test]
fn an_entry_without_expiry_is_fresh_until_zero() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url, "-1"]);
    assert_eq!(stored(&mut scene, &url).fresh_until, 0);
    assert_eq!(scene.client.int(&["PTTL", &url]), -1);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn the_listed_headers_are_stored_and_no_others() {
    let mut scene = Scene::new();
    let kept = [
        "content-type",
        "content-language",
        "content-disposition",
        "etag",
        "last-modified",
        "cache-control",
        "expires",
        "date",
        "age",
        "vary",
        "link",
        "location",
    ];
    let dropped = ["set-cookie", "server", "x-cache", "keep-alive", "strict-transport-security"];
    let all = kept.iter().chain(&dropped);
    let reply = all.fold(Reply::ok(BODY), |reply, name| reply.header(name, "value"));
    let url = scene.serve("/a", reply);
    scene.client.text(&["CACHE.GET", &url]);
    let text = stored(&mut scene, &url).text;
    for name in kept {
        assert!(text.contains(&format!("\r\n{name}: value\r\n")), "{name} is missing: {text}");
    }
    for name in dropped {
        assert!(!text.contains(name), "{name} is there: {text}");
    }
}

#[test]
fn the_list_of_headers_can_be_changed() {
    let mut scene = Scene::new();
    let reply =
        Reply::ok(BODY).header("X-Mine", "1").header("X-Other", "2").header("ETag", "\"3\"");
    let url = scene.serve("/a", reply);
    scene.client.ok(&["CONFIG", "SET", "cache.store-headers", "x-mine"]);
    scene.client.text(&["CACHE.GET", &url]);
    let entry = stored(&mut scene, &url);
    assert_eq!(&entry.text[FIXED..entry.head], "x-mine: 1\r\n\r\n");
}

#[test]
fn a_header_that_repeats_is_kept_each_time() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY).header("Link", "<a>").header("Link", "<b>"));
    scene.client.text(&["CACHE.GET", &url]);
    let text = stored(&mut scene, &url).text;
    assert!(text.contains("link: <a>\r\n") && text.contains("link: <b>\r\n"), "{text}");
}

#[test]
fn a_string_set_by_hand_is_served_as_it_is() {
    let mut scene = Scene::new();
    for (path, value) in [
        ("/text", &b"seeded"[..]),
        ("/number", b"12345"),
        ("/empty", b""),
        ("/binary", b"\0\xff\r\n"),
        ("/http", b"HTTP/1.1 200 OK\r\n\r\nanother message"),
        ("/cut", b"HTTP/1.1 200 \r\ncache-ge"),
    ] {
        let url = seed(&mut scene, path, value);
        for command in ["CACHE.GET", "CACHE.PEEK"] {
            assert_eq!(scene.client.bytes(&[command, &url]), value, "{command} {path}");
        }
        assert_eq!(scene.client.int(&["TTL", &url]), -1);
    }
    assert_eq!(scene.origin.total(), 0);
}

#[test]
fn a_string_set_by_hand_stays_the_kind_of_string_it_is() {
    let mut scene = Scene::new();
    let url = seed(&mut scene, "/a", "41");
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), "41");
    assert_eq!(scene.client.int(&["INCR", &url]), 42);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), "42");
}

#[test]
fn a_string_need_not_be_at_a_url_to_be_served() {
    let mut scene = Scene::new();
    scene.client.ok(&["SET", "user:1", "seeded"]);
    assert_eq!(scene.client.text(&["CACHE.GET", "user:1"]), "seeded");
}

#[test]
fn an_entry_of_another_version_or_a_damaged_one_is_a_miss() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url]);
    let good = stored(&mut scene, &url).text;
    let damage = |range: std::ops::Range<usize>, with: &str| {
        let mut text = good.clone();
        text.replace_range(range, with);
        text
    };
    for (n, value) in [
        damage(26..27, "2"),        // another version
        damage(26..28, "11"),       // two digits of it
        damage(42..43, "-"),        // fresh until when?
        damage(56..64, "99999999"), // a head longer than the value
        damage(56..64, "00000000"), // no head at all
        damage(56..64, "00000067"), // a head that ends nowhere
        good[..40].to_owned(),      // cut short
    ]
    .into_iter()
    .enumerate()
    {
        let url = seed(&mut scene, &format!("/damaged/{n}"), value);
        scene.client.null(&["CACHE.PEEK", &url]);
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY, "{n}");
        assert_eq!(scene.client.text(&["CACHE.PEEK", &url]), BODY, "{n}");
        assert_eq!(scene.origin.hits(&format!("/damaged/{n}")), 1, "{n}");
    }
}

#[test]
fn hits_do_not_move_the_expiry() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url, "60"]);
    let value = scene.client.bytes(&["GET", &url]);
    let ends = scene.client.int(&["PEXPIRETIME", &url]);
    for expiry in ["1", "60", "5000", "-1"] {
        scene.client.text(&["CACHE.GET", &url, expiry]);
        assert_eq!(scene.client.int(&["PEXPIRETIME", &url]), ends, "{expiry}");
        assert_eq!(scene.client.bytes(&["GET", &url]), value, "{expiry}");
    }
}

#[test]
fn expire_by_hand_can_shorten_an_entrys_life() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url, "60"]);
    scene.client.int(&["PEXPIRE", &url, "1"]);
    scene.until_expired(&url);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(scene.origin.hits("/a"), 2);
}

#[test]
fn expire_by_hand_cannot_make_an_entry_fresh_for_longer() {
    let mut scene = Scene::new();
    for (path, lengthen) in [("/persist", &["PERSIST"][..]), ("/expire", &["EXPIRE", "1000"])] {
        let url = scene.serve(path, Reply::ok(BODY));
        scene.client.text(&["CACHE.GET", &url, "0.3"]);
        let mut call = lengthen.to_vec();
        call.insert(1, &url);
        assert_eq!(scene.client.int(&call), 1, "the entry was gone before it could be lengthened");
        scene.until_expired(&url);
        assert!(scene.exists(&url), "{path}");
        assert_eq!(scene.client.text(&["CACHE.GET", &url, "60"]), BODY);
        assert_eq!(scene.origin.hits(path), 2);
    }
}

#[test]
fn an_entry_can_be_copied_and_renamed() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url]);
    scene.client.int(&["COPY", &url, "a copy"]);
    scene.client.ok(&["RENAME", &url, "a new name"]);
    for key in ["a copy", "a new name"] {
        assert_eq!(scene.client.text(&["CACHE.GET", key]), BODY);
    }
    assert_eq!(scene.origin.total(), 1);
}

#[test]
fn what_is_set_during_a_flight_is_served_and_then_overwritten() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    scene.client.ok(&["SET", &flight.url, "set by hand"]);
    assert_eq!(scene.client.text(&["CACHE.GET", &flight.url]), "set by hand");
    flight.land();
    assert_eq!(scene.client.text(&["CACHE.GET", &flight.url]), BODY);
}

#[test]
fn an_entry_may_expire_as_it_lands() {
    let mut scene = Scene::new();
    scene.origin.otherwise(|_| Reply::ok(BODY));
    for n in 0..50 {
        let url = scene.origin.url(&format!("/{n}"));
        assert_eq!(scene.client.text(&["CACHE.GET", &url, "0.001"]), BODY);
    }
    let mut client = scene.server.client();
    until("all to be gone", || client.int(&["DBSIZE"]) == 0);
}
