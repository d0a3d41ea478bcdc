//! Bodies that mean harm: too large on the wire, too large once unpacked, cut off, in codings that nobody
//! asked for. Whatever comes, the memory it takes is bounded.

use std::io::Write;
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::canary::RawOrigin;
use crate::fetched::fetch;
use crate::scene::{BODY, Scene};
use crate::support::{Gate, Reply, until};

const TOO_LARGE: &str = "TOOLARGE the body exceeds cache.max-body-size";

/// `hello`, as brotli puts it.
const BROTLI_HELLO: &[u8] = b"\x0b\x02\x80hello\x03";
/// `hello`, in a zstd frame of one raw block.
const ZSTD_HELLO: &[u8] = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello";

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// 10 MiB of gzip that unpack to 10 GiB of zeros: the same member over and over.
fn gzip_bomb() -> &'static [u8] {
    static BOMB: OnceLock<Vec<u8>> = OnceLock::new();
    BOMB.get_or_init(|| gzip(&vec![0; 10 << 20]).repeat(1024))
}

/// A gibibyte of zeros in zstd: a frame of 8192 blocks of one byte 131072 times (RFC 8878 3.1.1.2).
fn zstd_bomb() -> Vec<u8> {
    let head = b"\x28\xb5\x2f\xfd\x00\x58"; // a window of 2 MiB, no size, no checksum
    let block = |last: u32| {
        let header = (131_072_u32 << 3) | (1 << 1) | last;
        [&header.to_le_bytes()[..3], &[0]].concat()
    };
    [&head[..], &block(0).repeat(8191), &block(1)].concat()
}

/// 64 MiB of zeros, as brotli puts them.
fn brotli_bomb() -> Vec<u8> {
    let mut bomb = Vec::new();
    let zeros = vec![0; 64 << 20];
    brotli::CompressorWriter::new(&mut bomb, 1 << 16, 9, 22).write_all(&zeros).unwrap();
    bomb
}

fn encoded(body: impl AsRef<[u8]>, coding: &str) -> Reply {
    Reply::ok(body).header("Content-Encoding", coding)
}

fn with_most(bytes: &str) -> Scene {
    Scene::with(|server| server.config("cache.max-body-size", bytes))
}

#[test]
fn a_length_above_the_limit_is_refused_before_a_byte_of_the_body_is_read() {
    let mut scene = with_most("1000");
    for length in ["1001", "1099511627776", "9223372036854775807"] {
        let origin =
            RawOrigin::answering(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
        assert_eq!(scene.client.error(&["CACHE.GET", &origin.url("/")]), TOO_LARGE, "{length}");
    }
}

#[test]
fn a_body_that_never_ends_is_cut_at_the_limit() {
    let mut scene = with_most("1mb");
    for (name, head, piece) in [
        ("chunked", "Transfer-Encoding: chunked\r\n", [&b"400\r\n"[..], &[b'x'; 1024], b"\r\n"]),
        ("until close", "", [&[b'x'; 512], &[b'x'; 512], b""]),
    ] {
        let piece = piece.concat();
        let origin = RawOrigin::at("127.0.0.1", move |_, stream| {
            write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n")?;
            loop {
                stream.write_all(&piece)?;
            }
        });
        assert_eq!(scene.client.error(&["CACHE.GET", &origin.url("/")]), TOO_LARGE, "{name}");
        origin.until_ended(1); // the connection was closed on it
    }
}

#[test]
fn members_of_nothing_over_and_over_are_too_large() {
    let mut scene = with_most("100kb");
    let nothing = gzip(b"");
    let enough = Reply::ok(nothing.repeat(6000)).header("Content-Encoding", "gzip");
    let url = scene.serve("/much", enough.clone().chunked(1000));
    assert_eq!(scene.client.error(&["CACHE.GET", &url]), TOO_LARGE);
    let url = scene.serve("/declared", enough);
    assert_eq!(scene.client.error(&["CACHE.GET", &url]), TOO_LARGE);
    let endless = RawOrigin::at("127.0.0.1", move |_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")?;
        loop {
            stream.write_all(&nothing)?;
        }
    });
    assert_eq!(scene.client.error(&["CACHE.GET", &endless.url("/")]), TOO_LARGE);
    endless.until_ended(1);
}

#[test]
fn a_bomb_in_any_coding_is_too_large_and_takes_little_memory() {
    let mut scene = with_most("16mb");
    scene.client.ok(&["CONFIG", "RESETSTAT"]);
    let before = scene.server.gauge("used_memory");
    for (path, bomb, coding) in [
        ("/gzip", gzip_bomb().to_vec(), "gzip"),
        ("/x-gzip", gzip_bomb().to_vec(), "x-gzip"),
        ("/zstd", zstd_bomb(), "zstd"),
        ("/br", brotli_bomb(), "br"),
    ] {
        assert!(bomb.len() < 16 << 20, "{path}: refused for its length alone");
        for (framing, reply) in [
            ("length", encoded(&bomb, coding)),
            ("chunked", encoded(&bomb, coding).chunked(1 << 16)),
        ] {
            let url = scene.serve(&format!("{path}/{framing}"), reply);
            let error = scene.client.error(&["CACHE.GET", &url, "60", "0"]);
            assert_eq!(error, TOO_LARGE, "{path} {framing}");
        }
    }
    let peak = scene.server.gauge("used_memory_peak");
    assert!(peak < before + (64 << 20), "{before} bytes have become {peak}");
    assert_eq!(scene.client.int(&["DBSIZE"]), 0);
}

#[test]
fn many_bombs_at_once_take_no_more_than_their_limits_together() {
    let scene = with_most("4mb");
    scene.origin.otherwise(|_| encoded(&gzip_bomb()[..3 << 20], "gzip"));
    let before = scene.server.gauge("used_memory");
    let mut clients = scene.server.clients(20);
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(&["CACHE.GET", &scene.origin.url(&format!("/{n}")), "60", "0"]);
    }
    for client in &mut clients {
        assert_eq!(client.reply_error(), TOO_LARGE);
    }
    let peak = scene.server.gauge("used_memory_peak");
    assert!(peak < before + (320 << 20), "{before} bytes have become {peak}");
    scene.still_works();
}

#[test]
fn a_large_body_is_in_memory_once_when_all_have_it_however_many_waited() {
    const SIZE: usize = 8 << 20;
    let scene = Scene::new();
    scene.still_works();
    let body: Vec<u8> = (0..=250).cycle().take(SIZE).collect();
    for waiting in [0, 1, 2, 20] {
        for (framing, reply) in
            [("length", Reply::ok(&body)), ("chunked", Reply::ok(&body).chunked(100_000))]
        {
            let before = scene.server.gauge("used_memory");
            let gate = Gate::closed();
            let url = scene.serve(&format!("/{framing}/{waiting}"), reply.gate(&gate));
            scene.server.client().null(&["CACHE.GET", &url, "60", "0.01"]);
            let mut waiters = scene.waiters(&url, waiting);
            gate.open();
            for waiter in &mut waiters {
                assert!(waiter.reply_bytes() == body, "{url}");
            }
            drop(waiters);
            scene.until_fresh(&url);
            let most = before + (SIZE + SIZE / 2) as u64;
            until("the memory to be free", || scene.server.gauge("used_memory") < most);
            let read = scene.server.client().bytes(&["CACHE.PEEK", &url]);
            assert!(read == body, "{url}");
        }
    }
}

#[test]
fn a_zstd_frame_with_a_huge_window_is_refused() {
    let mut scene = Scene::new();
    let window_of_2_gib = b"\x28\xb5\x2f\xfd\x00\xa8\x29\x00\x00hello";
    let url = scene.serve("/a", encoded(window_of_2_gib, "zstd"));
    assert!(scene.client.error(&["CACHE.GET", &url]).starts_with("FETCHFAILED "));
}

#[test]
fn each_coding_is_decoded_and_its_headers_are_gone() {
    let mut scene = Scene::new();
    for (path, body, coding) in [
        ("/gzip", gzip(b"hello"), "gzip"),
        ("/upper", gzip(b"hello"), "GZIP"),
        ("/x-gzip", gzip(b"hello"), "x-gzip"),
        ("/members", [gzip(b"hel"), gzip(b"lo")].concat(), "gzip"),
        ("/br", BROTLI_HELLO.to_vec(), "br"),
        ("/zstd", ZSTD_HELLO.to_vec(), "zstd"),
        ("/frames", [ZSTD_HELLO, ZSTD_HELLO].concat(), "zstd"),
    ] {
        let url = scene.serve(path, encoded(&body, coding).header("Content-Type", "text/plain"));
        for _ in 0..2 {
            let fetched = fetch(&mut scene.client, &["CACHE.FETCH", &url]);
            let hello = if path == "/frames" { "hellohello" } else { "hello" };
            assert_eq!(fetched.body, hello.as_bytes(), "{path}");
            let names: Vec<_> = fetched.headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["content-type"], "{path}");
        }
    }
}

#[test]
fn a_coding_that_nobody_asked_for_is_kept_as_it_comes_with_its_header() {
    let mut scene = Scene::new();
    for coding in ["compress", "gzip, aws-chunked", "aws-chunked", "?, gzip", "gzip br"] {
        let url = scene.serve(&format!("/{}", coding.len()), encoded("as it comes", coding));
        scene.client.call(&["DEL", &url]).unwrap();
        let fetched = fetch(&mut scene.client, &["CACHE.FETCH", &url]);
        assert_eq!(fetched.body, b"as it comes", "{coding}");
        assert_eq!(fetched.all("content-encoding"), [coding]);
        assert_eq!(fetched.all("content-length"), ["11"]);
    }
}

#[test]
fn an_empty_body_is_empty_in_any_coding() {
    let mut scene = Scene::new();
    for coding in ["gzip", "br", "zstd", "deflate"] {
        for (framing, reply) in [
            ("length", encoded("", coding)),
            ("chunked", encoded("", coding).chunked(1)),
            ("close", encoded("", coding).until_close()),
            ("204", Reply::status(204, "No Content").header("Content-Encoding", coding)),
        ] {
            let url = scene.serve(&format!("/{coding}/{framing}"), reply);
            assert_eq!(scene.client.text(&["CACHE.GET", &url]), "", "{url}");
        }
    }
}

#[test]
fn what_is_cut_off_or_not_in_its_coding_fails() {
    let mut scene = Scene::new();
    let whole = gzip(&b"a body of some length, not easy to pack: 8a7sd98f7".repeat(3));
    for (path, body, coding) in [
        ("/gzip", &whole[..whole.len() - 1], "gzip"),
        ("/gzip-half", &whole[..whole.len() / 2], "gzip"),
        ("/gzip-head", &whole[..5], "gzip"),
        ("/gzip-sum", &[&whole[..whole.len() - 8], &[0; 8]].concat(), "gzip"),
        ("/gzip-again", &[&whole[..], &whole[..30]].concat(), "gzip"),
        ("/br", &BROTLI_HELLO[..5], "br"),
        ("/zstd", &ZSTD_HELLO[..9], "zstd"),
        ("/text", BODY.as_bytes(), "gzip"),
        ("/text-zstd", BODY.as_bytes(), "zstd"),
        ("/wrong", &whole, "br"),
    ] {
        let url = scene.serve(path, encoded(body, coding));
        let error = scene.client.error(&["CACHE.GET", &url]);
        assert!(error.starts_with("FETCHFAILED "), "{path}: {error}");
        assert!(!scene.exists(&url), "{path}");
    }
}
