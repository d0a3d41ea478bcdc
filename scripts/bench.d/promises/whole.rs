//! The whole response and its whole life: `CACHE.FETCH` against `GET`, stale
//! hits against fresh ones, `CACHE.MGET` against `MGET`, and a refresh that the
//! origin answers with 304.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::race::{self, CLIENTS, Contender};
use crate::load::Load;
use crate::neighbour::Neighbour;
use crate::process::command_micros;
use crate::support::{Gate, Origin, Reply, Server};
use crate::table::{Bound, Row, Sample, Table, Unit, progress};
use crate::wire::{body, bulk, command};

const HEADERS: [(&str, &str); 5] = [
    ("content-type", "image/png"),
    ("etag", "\"33a64df551425fcc55e4d42a148795d9f25f89d4\""),
    ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
    ("cache-control", "public, max-age=31536000"),
    ("date", "Wed, 21 Oct 2026 07:28:00 GMT"),
];

/// The latest moment that an entry can name: fetched then, it has no age, which makes its answer the
/// same for as long as the race lasts.
const LATEST: u64 = 9_999_999_999_999;

pub fn run(table: &mut Table) {
    let server = Server::builder().release().config("cache.fetch-timeout", "300").start();
    let mut load = Load::connect(server.port(), CLIENTS);
    for (pipeline, asked) in [(1, 0.95), (16, 0.5)] {
        fetch(table, &server, &mut load, pipeline, asked);
    }
    stale(table, &server, &mut load);
    mget(table, &server, &mut load);
    revalidation(table);
}

/// An entry as it is stored, its times given.
fn entry(fetched: u64, fresh_until: u64, body: &[u8]) -> Vec<u8> {
    let mut headers = String::new();
    for (name, value) in HEADERS {
        let _ = write!(headers, "{name}: {value}\r\n");
    }
    let length = 66 + headers.len() + 2;
    let head = format!(
        "HTTP/1.1 200 \r\ncache-get: 1 {fetched:013} {fresh_until:013} {length:08}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn fetch(table: &mut Table, server: &Server, load: &mut Load, pipeline: usize, asked: f64) {
    let body = body(1, 1024);
    let mut client = server.client();
    client.ok(&[b"SET", &b"http://a/fetch"[..], &entry(LATEST, 0, &body)]);
    client.ok(&[b"SET", &b"plain a/ fetch"[..], &body]);
    let get = Contender { request: command(&["GET", "plain a/ fetch"]), reply: bulk(&body) };
    let fetch = Contender {
        request: command(&["CACHE.FETCH", "http://a/fetch"]),
        reply: fetch_reply(&body),
    };
    let name = format!("FETCH against GET, 1 KiB, 5 headers, pipeline {pipeline}");
    let outcome = race::run(&name, server, load, [&get, &fetch], pipeline);
    table.add(&Row {
        what: name,
        unit: Unit::Times,
        asked: Bound::AtLeast(asked),
        beside: format!("GET {}", Unit::PerSecond.write(outcome.measure.per_second.median())),
        measured: outcome.throughput,
    });
}

fn fetch_reply(body: &[u8]) -> Vec<u8> {
    let text = |text: &str| bulk(text.as_bytes());
    let mut reply =
        [&b"*12\r\n"[..], &text("status"), b":200\r\n", &text("headers"), b"*5\r\n"].concat();
    for (name, value) in HEADERS {
        reply.extend([&b"*2\r\n"[..], &text(name), &text(value)].concat());
    }
    let rest = [
        &text("body")[..],
        &bulk(body),
        &text("age"),
        b":0\r\n",
        &text("ttl"),
        b"$-1\r\n",
        &text("cache"),
        &text("hit"),
    ];
    reply.extend(rest.concat());
    reply
}

/// Stale hits while their refresh is in the air, which the origin holds back.
fn stale(table: &mut Table, server: &Server, load: &mut Load) {
    let body = body(2, 1024);
    let (origin, gate) = (Origin::start(), Gate::closed());
    origin.on("/stale", Reply::ok(&body).gate(&gate));
    let [stale, fresh] = ["/stale", "/fresh"].map(|path| origin.url(path));
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = u64::try_from(since.as_millis()).unwrap();
    let mut client = server.client();
    client.ok(&[b"SET", stale.as_bytes(), &entry(now - 2000, now - 1000, &body)]);
    client.ok(&[b"SET", fresh.as_bytes(), &entry(now, 0, &body)]);
    let contender = |url: &str| Contender {
        request: command(&["CACHE.GET", url, "60", "300", "STALE", "3600"]),
        reply: bulk(&body),
    };
    let [fresh, stale] = [&fresh, &stale].map(|url| contender(url));
    let outcome =
        race::run("stale hits, their refresh in the air", server, load, [&fresh, &stale], 1);
    assert_eq!(origin.hits("/stale"), 1, "one refresh and no more");
    gate.open();
    table.add(&Row {
        what: "stale hits against fresh ones, 1 KiB".into(),
        unit: Unit::Times,
        asked: Bound::AtLeast(0.9),
        beside: format!("fresh {}", Unit::PerSecond.write(outcome.measure.per_second.median())),
        measured: outcome.throughput,
    });
}

fn mget(table: &mut Table, server: &Server, load: &mut Load) {
    const KEYS: usize = 16;
    let mut client = server.client();
    let mut reply = format!("*{KEYS}\r\n").into_bytes();
    let [mut warm, mut plain] = [vec![], vec![]];
    for number in 0..KEYS {
        let body = body(number as u64 + 10, 1024);
        let (url, key) = (format!("http://a/{number:02}"), format!("plain a/ {number:02}"));
        client.ok(&[b"SET", url.as_bytes(), &entry(LATEST, 0, &body)]);
        client.ok(&[b"SET", key.as_bytes(), &body]);
        reply.extend(bulk(&body));
        warm.push(url);
        plain.push(key);
    }
    let count = KEYS.to_string();
    let args = |start: &[&str], keys: &[String]| {
        let words: Vec<&str> =
            start.iter().copied().chain(keys.iter().map(String::as_str)).collect();
        Contender { request: command(&words), reply: reply.clone() }
    };
    let (mget, cache_mget) = (args(&["MGET"], &plain), args(&["CACHE.MGET", &count], &warm));
    let outcome = race::run("CACHE.MGET against MGET", server, load, [&mget, &cache_mget], 1);
    table.add(&Row {
        what: "MGET of 16 warm 1 KiB URLs against MGET".into(),
        unit: Unit::Times,
        asked: Bound::AtLeast(0.8),
        beside: format!(
            "MGET {} keys; CPU {}",
            Unit::PerSecond.write(outcome.measure.per_second.median() * KEYS as f64),
            Unit::Times.write(outcome.cpu.median()),
        ),
        measured: outcome.throughput,
    });
}

/// What a 304 costs the main thread, for an entry of 10 MiB.
fn revalidation(table: &mut Table) {
    const ROUNDS: usize = 20;
    let origin = Origin::start();
    let body = body(3, 10 << 20);
    let full = Reply::ok(&body).header("ETag", "\"1\"");
    origin.on_fn("/large", move |request| match request.header("if-none-match") {
        Some(_) => Reply::status(304, "Not Modified").header("ETag", "\"1\""),
        None => full.clone(),
    });
    let server = Server::builder().release().start();
    let url = origin.url("/large");
    let mut client = server.client();
    assert!(client.bytes(&["CACHE.GET", &url]) == body);
    let idle = Neighbour::idle(&server, Duration::from_millis(150));
    let [mut held, mut pings] = [Sample::default(), Sample::default()];
    for round in 0..ROUNDS {
        progress(format_args!("304 for 10 MiB, round {} of {ROUNDS}", round + 1));
        client.ok(&["CONFIG", "RESETSTAT"]);
        let neighbour = Neighbour::of(&server);
        client.null(&["CACHE.GET", &url, "60", "REFRESH", "NOWAIT"]);
        server.until_gauge("cache_revalidated", round as u64 + 1);
        pings.add(neighbour.leave().longest());
        let micros = command_micros(&server, "setrange") + command_micros(&server, "pexpireat");
        held.add(micros / 1e3);
    }
    assert_eq!(origin.hits("/large"), ROUNDS as u64 + 1);
    table.add(&Row {
        what: "304 for an entry of 10 MiB: held to write".into(),
        unit: Unit::Millis,
        asked: Bound::AtMost(1.0),
        beside: format!(
            "PING {}, idle {}",
            Unit::Millis.write(pings.median()),
            Unit::Millis.write(idle.longest()),
        ),
        measured: held,
    });
}
