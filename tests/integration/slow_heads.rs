//! Origins that answer without end, or without haste: heads that are too large or never complete, and bodies
//! that drip. Each ends within a limit, and holds up nobody else.

use std::io::Write;
use std::thread;
use std::time::Duration;

use crate::canary::RawOrigin;
use crate::scene::{BODY, Scene};
use crate::support::Reply;

const TIMEOUT: &str = "FETCHTIMEOUT the flight deadline passed";

/// The pace of a drip: that of the origin, on which no test relies.
const PACE: Duration = Duration::from_millis(20);

fn hurried() -> Scene {
    Scene::with(|server| server.config("cache.fetch-timeout", "0.3"))
}

fn head_of(lines: usize, length: usize) -> String {
    let value = "x".repeat(length);
    let lines: Vec<String> = (0..lines).map(|n| format!("X-{n}: {value}\r\n")).collect();
    format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{}\r\nhi", lines.concat())
}

#[test]
fn a_head_of_more_than_64_kib_fails() {
    let mut scene = Scene::new();
    for (lines, length) in [(1, 70_000), (70, 1000), (3, 22_000), (90, 4000), (1, 1 << 20)] {
        let origin = RawOrigin::answering(head_of(lines, length));
        let error = scene.client.error(&["CACHE.GET", &origin.url("/")]);
        assert!(error.starts_with("FETCHFAILED "), "{lines} × {length}: {error}");
    }
    let origin = RawOrigin::answering(head_of(60, 1000));
    assert_eq!(scene.client.text(&["CACHE.GET", &origin.url("/")]), "hi");
}

#[test]
fn a_head_of_very_many_lines_fails() {
    let mut scene = Scene::new();
    for lines in [1000, 100_000] {
        let origin = RawOrigin::answering(head_of(lines, 1));
        let error = scene.client.error(&["CACHE.GET", &origin.url("/")]);
        assert!(error.starts_with("FETCHFAILED "), "{lines}: {error}");
    }
}

#[test]
fn a_head_without_end_is_cut_off_and_takes_little_memory() {
    let mut scene = Scene::new();
    for endless in ["X-More: and more\r\n", "x", "\r\n", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let origin = RawOrigin::at("127.0.0.1", move |_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nX-First: ")?;
            let piece = endless.repeat(100);
            loop {
                stream.write_all(piece.as_bytes())?;
            }
        });
        let reply = scene.client.call(&["CACHE.GET", &origin.url("/"), "60", "0"]);
        if endless.contains("\r\n\r\n") || endless == "\r\n" {
            // That head has an end; its body has none.
            assert!(reply.is_err(), "{endless:?}: {reply:?}");
        } else {
            assert!(
                reply.as_ref().is_err_and(|error| error.starts_with("FETCHFAILED ")),
                "{endless:?}: {reply:?}"
            );
        }
        origin.until_ended(1);
    }
}

#[test]
fn interim_answers_without_end_are_cut_off_at_the_deadline() {
    let mut scene = hurried();
    let origin = RawOrigin::at("127.0.0.1", |_, stream| {
        loop {
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")?;
        }
    });
    let error = scene.client.error(&["CACHE.GET", &origin.url("/"), "60", "0"]);
    assert!(error.starts_with("FETCHTIMEOUT ") || error.starts_with("FETCHFAILED "), "{error}");
    origin.until_ended(1);
}

#[test]
fn an_answer_whose_head_never_ends_is_given_up_at_the_deadline() {
    let mut scene = hurried();
    for start in ["", "H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nX-Slow: a\r\n"] {
        let origin = RawOrigin::at("127.0.0.1", move |_, stream| {
            stream.write_all(start.as_bytes())?;
            loop {
                thread::sleep(PACE);
                if start.ends_with('\n') {
                    stream.write_all(b"X-Slow: b\r\n")?;
                } else {
                    stream.set_nonblocking(true)?;
                    if matches!(stream.peek(&mut [0]), Ok(0)) {
                        return Ok(());
                    }
                }
            }
        });
        assert_eq!(scene.client.error(&["CACHE.GET", &origin.url("/"), "60", "0"]), TIMEOUT);
        origin.until_ended(1);
    }
}

#[test]
fn a_body_that_drips_is_given_up_at_the_deadline() {
    let mut scene = hurried();
    for head in ["Content-Length: 100000\r\n", "", "Content-Encoding: gzip\r\n"] {
        let origin = RawOrigin::at("127.0.0.1", move |_, stream| {
            write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n")?;
            let bytes = b"\x1f\x8b\x08\x08\0\0\0\0\0\0"; // a gzip head with a name, which may be long
            for byte in bytes.iter().chain(std::iter::repeat(&b'x')) {
                thread::sleep(PACE);
                stream.write_all(&[*byte])?;
            }
            Ok(())
        });
        let error = scene.client.error(&["CACHE.GET", &origin.url("/"), "60", "0"]);
        assert_eq!(error, TIMEOUT, "{head}");
        origin.until_ended(1);
    }
    assert_eq!(scene.client.int(&["DBSIZE"]), 0);
}

#[test]
fn redirects_that_drip_share_one_deadline() {
    let mut scene = hurried();
    scene.client.ok(&["CONFIG", "SET", "cache.max-redirects", "20"]);
    let origin = RawOrigin::at("127.0.0.1", |_, stream| {
        thread::sleep(PACE * 3);
        stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n")?;
        stream.write_all(b"Connection: close\r\n\r\n")
    });
    assert_eq!(scene.client.error(&["CACHE.GET", &origin.url("/"), "60", "0"]), TIMEOUT);
}

#[test]
fn an_origin_that_drips_holds_up_nobody_else() {
    let mut scene = Scene::new();
    let origin = RawOrigin::at("127.0.0.1", |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nX-Slow: ")?;
        loop {
            thread::sleep(PACE);
            stream.write_all(b"x")?;
        }
    });
    let mut slow = scene.server.client();
    slow.send(&["CACHE.GET", &origin.url("/"), "60", "0"]);
    scene.server.until_gauge("cache_flights", 1);
    for n in 0..50 {
        let url = scene.serve(&format!("/{n}"), Reply::ok(BODY));
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    }
    assert_eq!(scene.server.gauge("cache_flights"), 1);
}
