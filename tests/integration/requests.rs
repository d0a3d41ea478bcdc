//! What a call may send along: bounds on bodies, headers, URLs, and on all requests in the air together.

use crate::scene::{BODY, Scene};
use crate::support::client::line;
use crate::support::{Gate, Reply, Value, until};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// The commands that take a body and headers, each with what stands before its options.
const COMMANDS: [&[&str]; 5] = [
    &["CACHE.GET", "http://a.example/"],
    &["CACHE.FETCH", "http://a.example/"],
    &["CACHE.PEEK", "http://a.example/"],
    &["CACHE.DEL", "http://a.example/"],
    &["CACHE.MGET", "1", "http://a.example/"],
];

/// A call with these words behind it.
fn with(command: &[&str], words: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let command = command.iter().map(|word| word.as_bytes().to_vec());
    command.chain(words.iter().cloned()).collect()
}

fn body(size: usize) -> Vec<Vec<u8>> {
    vec![b"METHOD".to_vec(), b"POST".to_vec(), b"BODY".to_vec(), vec![b'x'; size]]
}

fn headers(count: usize, value: usize) -> Vec<Vec<u8>> {
    let header = |n| [b"HEADER".to_vec(), format!("x-{n}").into_bytes(), vec![b'v'; value]];
    (0..count).flat_map(header).collect()
}

#[test]
fn a_body_above_its_bound_is_refused_by_every_command_that_takes_one() {
    let mut scene = Scene::new();
    for command in COMMANDS {
        for size in [256 * KIB + 1, 20 * MIB] {
            let error = scene.client.error(&with(command, &body(size)));
            let wanted =
                format!("ERR body of {size} bytes is above 262144 (cache.max-request-body)");
            assert_eq!(error, wanted, "{command:?}");
        }
    }
    let url = scene.serve("/a", Reply::ok(BODY));
    assert_eq!(scene.client.bytes(&with(&["CACHE.GET", &url], &body(256 * KIB))), BODY.as_bytes());
    assert_eq!(scene.origin.requests()[0].body.len(), 256 * KIB);
    assert_eq!(scene.origin.total(), 1);
}

#[test]
fn more_headers_than_allowed_are_refused_by_every_command_that_takes_them() {
    let mut scene = Scene::new();
    for command in COMMANDS {
        for count in [101, 40_000] {
            let error = scene.client.error(&with(command, &headers(count, 1)));
            assert_eq!(error, "ERR more than 100 headers (cache.max-request-headers)");
        }
        let error = scene.client.error(&with(command, &headers(2, 33 * KIB)));
        let wanted = "ERR headers of more than 65536 bytes (cache.max-request-header-bytes)";
        assert_eq!(error, wanted, "{command:?}");
    }
    assert_eq!(scene.server.gauge("cache_flights"), 0);
}

/// The HTTP library panics at more headers than it can hold: no setting leads there.
#[test]
fn as_many_headers_as_can_be_allowed_are_sent() {
    let mut scene = Scene::new();
    scene.client.ok(&["CONFIG", "SET", "cache.max-request-headers", "10000"]);
    scene.client.ok(&["CONFIG", "SET", "cache.max-request-header-bytes", "16mb"]);
    let url = scene.serve("/a", Reply::ok(BODY));
    let error = scene.client.error(&with(&["CACHE.GET", &url], &headers(10_001, 1)));
    assert_eq!(error, "ERR more than 10000 headers (cache.max-request-headers)");
    let sent = scene.client.call(&with(&["CACHE.GET", &url], &headers(10_000, 1)));
    // The tests' origin reads fewer, and hangs up: but it was asked.
    let error = sent.expect_err("the origin takes that many headers");
    assert!(error.starts_with("FETCHFAILED "), "{error}");
    assert!(!scene.server.log().contains("panicked"), "{}", scene.server.log());
    scene.still_works();
}

#[test]
fn one_call_names_no_more_urls_than_allowed() {
    let mut scene = Scene::new();
    scene.origin.otherwise(|_| Reply::ok(BODY));
    let url = scene.origin.url("/a");
    let mut call = vec!["CACHE.MGET".to_owned(), "20000".to_owned()];
    call.extend(vec![url.clone(); 20_000]);
    assert_eq!(scene.client.error(&call), "ERR 20000 urls are more than 1000 (cache.max-urls)");
    scene.client.ok(&["CONFIG", "SET", "cache.max-urls", "2"]);
    let places = scene.client.array(&["CACHE.MGET", "2", &url, &url]);
    assert_eq!(places, [BODY, BODY].map(|body| Value::BulkString(body.into())));
    let error = scene.client.error(&["CACHE.MGET", "3", &url, &url, &url]);
    assert_eq!(error, "ERR 3 urls are more than 2 (cache.max-urls)");
}

/// How many bytes the server uses more than at first.
fn growth(scene: &Scene, before: u64) -> u64 {
    scene.server.gauge("used_memory").saturating_sub(before)
}

#[test]
fn all_flights_of_a_call_share_one_copy_of_its_body() {
    let mut scene = Scene::new();
    scene.client.ok(&["CONFIG", "SET", "cache.max-request-body", "1mb"]);
    let gate = Gate::closed();
    let held = gate.clone();
    scene.origin.otherwise(move |request| Reply::ok(&request.path).gate(&held));
    let mut call = vec!["CACHE.MGET".to_owned(), "500".to_owned()];
    call.extend((0..500).map(|n| scene.origin.url(&format!("/{n}"))));
    call.extend(["60", "0"].map(str::to_owned));
    let call: Vec<&str> = call.iter().map(String::as_str).collect();
    let before = scene.server.gauge("used_memory");
    scene.client.send(&with(&call, &body(MIB)));
    scene.server.until_gauge("cache_flights", 500);
    scene.origin.until_in_the_air(64); // as many as one host has at once
    let grown = growth(&scene, before);
    assert!(grown < 64 << 20, "{grown} bytes for 500 requests with a mebibyte"); // not 500 MiB
    gate.open();
    let Ok(Value::Array(places)) = scene.client.reply() else { panic!("no array") };
    assert_eq!(places[499], Value::BulkString("/499".into()));
    assert_eq!(scene.origin.requests()[77].body.len(), MIB);
}

const FULL: &str =
    "OVERLOADED requests in the air may take 716800 bytes together (cache.max-request-memory)";

#[test]
fn requests_in_the_air_have_a_bound_together() {
    let mut scene = Scene::with(|server| server.config("cache.max-request-memory", "700kb"));
    let (url, gate) = scene.hold("/a");
    let sent = |fill: u8| {
        let mut words = body(200 * KIB);
        words[3].fill(fill);
        with(&["CACHE.GET", &url, "60", "0"], &words)
    };
    let mut waiters = scene.server.clients(3);
    for (waiter, fill) in waiters.iter_mut().zip(b'a'..) {
        waiter.send(&sent(fill));
    }
    scene.origin.until_hits("/a", 3);
    assert_eq!(scene.client.error(&sent(b'd')), FULL);
    let overloaded = scene.server.gauge("cache_failed_overloaded");
    assert_eq!(overloaded, 1);
    // Who joins one of them, or sends nothing along, is let in.
    let mut joiner = scene.server.client();
    joiner.send(&sent(b'a'));
    scene.server.until_gauge("cache_waiters", 4);
    assert_eq!(scene.client.text(&["CACHE.GET", &scene.serve("/b", Reply::ok(BODY))]), BODY);
    gate.open();
    for waiter in waiters.iter_mut().chain([&mut joiner]) {
        assert_eq!(waiter.reply_bytes(), BODY.as_bytes());
    }
    assert_eq!(scene.client.bytes(&sent(b'd')), BODY.as_bytes());
}

/// Clients that wait for a lease by a URL keep what they would send along, should a download take its place.
#[test]
fn what_waits_for_a_lease_with_a_body_is_under_the_same_bound() {
    let mut scene = Scene::with(|server| server.config("cache.max-request-memory", "300kb"));
    let url = scene.serve("/a", Reply::ok(BODY));
    let call = with(&["CACHE.GET", &url, "60", "0"], &body(200 * KIB));
    scene.client.send(&[&call[..], &[b"NOWAIT".to_vec()]].concat());
    scene.client.reply_null();
    scene.until_all_landed();
    let lock = scene.client.array(&["KEYS", "cache:variant:*"]).remove(0);
    let key = String::from_utf8(crate::support::client::bytes_of(lock)).unwrap();
    scene.client.int(&["DEL", &key]);
    let token = crate::fleet::lease(&mut scene.client, &key, &["0"]);
    let mut first = scene.server.client();
    first.send(&call);
    scene.server.until_gauge("cache_waiters", 1);
    let error = scene.server.client().error(&call);
    assert!(
        error.starts_with("OVERLOADED requests in the air may take 307200 bytes together"),
        "{error}"
    );
    scene.client.ok(&["CACHE.RELEASE", &key, &token]);
    assert_eq!(first.reply_bytes(), BODY.as_bytes());
    let asked = scene.origin.requests();
    assert_eq!(asked.iter().map(|request| request.body.len()).collect::<Vec<_>>(), [200 * KIB; 2]);
}

#[test]
fn the_bound_is_a_sixteenth_of_the_servers_memory_by_default() {
    let mut scene = Scene::with(|server| server.config("maxmemory", "64mb"));
    scene.client.ok(&["CONFIG", "SET", "cache.max-request-body", "3mb"]);
    let (url, gate) = scene.hold("/a");
    let sent = |fill: u8| {
        let mut words = body(3 * MIB);
        words[3].fill(fill);
        with(&["CACHE.GET", &url, "60", "0"], &words)
    };
    let mut waiter = scene.server.client();
    waiter.send(&sent(b'a'));
    scene.origin.until_hits("/a", 1);
    let error = scene.client.error(&sent(b'b'));
    assert!(
        error.starts_with("OVERLOADED requests in the air may take 4194304 bytes together"),
        "{error}"
    );
    gate.open();
    assert_eq!(waiter.reply_bytes(), BODY.as_bytes());
    until("the memory to be free again", || scene.client.call(&sent(b'b')).is_ok());
}

#[test]
fn a_url_that_is_too_long_is_refused_before_it_costs_anything() {
    const TOO_LONG: &str = "ERR invalid url: longer than 16384 bytes";
    let mut scene = Scene::new();
    let url = format!("http://a.example/{}", "a".repeat(10 * MIB));
    for command in ["CACHE.GET", "CACHE.FETCH"] {
        assert_eq!(scene.client.error(&[command, &url]), TOO_LONG);
        assert_eq!(scene.client.error(&[command, &url, "HEADER", "a", "b"]), TOO_LONG);
    }
    for words in [&[][..], &["HEADER", "a", "b"]] {
        let call = [&["CACHE.MGET", "1", &url], words].concat();
        let place = scene.client.array(&call).remove(0);
        assert!(
            matches!(&place, Value::ServerError(error) if line(error) == TOO_LONG),
            "{place:?}"
        );
        for command in ["CACHE.PEEK", "CACHE.DEL"] {
            let reply = scene.client.call(&[&[command, &url], words].concat());
            match (command, words.is_empty()) {
                (_, false) => assert_eq!(reply.unwrap_err(), TOO_LONG),
                ("CACHE.DEL", true) => assert_eq!(reply, Ok(Value::Int(0))),
                _ => assert_eq!(reply, Ok(Value::Nil)),
            }
        }
    }
    let error = scene.client.error(&["CACHE.LEASE", &url]);
    assert_eq!(error, "ERR invalid key: longer than 16384 bytes");
    let token = "0123456789abcdef0123456789abcdef";
    for call in [
        &["CACHE.FILL", &url, token, "value"][..],
        &["CACHE.RELEASE", &url, token],
        &["CACHE.RELEASE", &url, "FORCE"],
    ] {
        assert!(scene.client.error(call).starts_with("LEASELOST "));
    }
    // What somebody has SET under such a key is answered as before.
    scene.client.ok(&["SET", &url, "there"]);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), "there");
    assert_eq!(scene.client.array(&["CACHE.MGET", "1", &url]), [Value::BulkString("there".into())]);
    assert_eq!(scene.client.int(&["CACHE.DEL", &url]), 1);
    scene.until_all_landed();
}

/// To parse a URL takes a time that grows with it, on the main thread.
#[test]
fn one_call_has_so_many_bytes_of_urls_parsed_and_no_more() {
    let mut scene = Scene::new();
    let long = |n: usize| format!("http://127.0.0.1:1/{n}/{}", "a".repeat(15_000));
    let fresh = long(0);
    scene.client.ok(&["SET", &fresh, BODY]);
    let urls: Vec<String> = (0..100).map(long).collect();
    let call = |more: &[&str]| {
        let urls = urls.iter().map(String::as_str);
        ["CACHE.MGET", "101"]
            .into_iter()
            .chain(urls)
            .chain([&*fresh])
            .chain(more.iter().copied())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let places = scene.client.array(&call(&["60", "NOWAIT"]));
    let refused = |place: &Value| format!("{place:?}").contains("may have 1048576 bytes together");
    let bound = (1 << 20) / 15_000;
    assert!(!places[..bound].iter().any(refused), "what fits is refused");
    assert!(places[bound + 2..100].iter().all(refused), "what does not fit is parsed");
    assert_eq!(places[100], Value::BulkString(BODY.into()), "what is fresh needs no parsing");
}
