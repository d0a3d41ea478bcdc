//! Content and transfer codings: whatever HTTP allows is decoded, in one line or in several, and what is not is
//! an error with a name, or passed on whole with its header. And what decoders take before a body has come.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use crate::fetched::fetch;
use crate::scene::{BODY, Scene};
use crate::support::{Gate, Reply, Server};

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn encoded(body: impl AsRef<[u8]>, codings: &[&str]) -> Reply {
    let reply = Reply::ok(body);
    codings.iter().fold(reply, |reply, coding| reply.header("Content-Encoding", coding))
}

#[test]
fn codings_upon_codings_are_decoded_however_they_are_listed() {
    let mut scene = Scene::new();
    let body = BODY.as_bytes();
    let twice = gzip(&gzip(body));
    for (n, (wire, codings)) in [
        (twice.clone(), &["gzip", "gzip"][..]),
        (twice.clone(), &["gzip, gzip"]),
        (twice, &["X-Gzip", "", "identity ,GZIP,"]),
        (gzip(&zlib(body)), &["deflate, gzip"]),
        (deflate(&gzip(body)), &["gzip", "deflate"]),
        (zlib(body), &["Deflate"]),
        (deflate(body), &["deflate"]),
        (body.to_vec(), &["identity"]),
        (body.to_vec(), &[" , ", "Identity"]),
        ([&gzip(body)[..], b"\0\0 and more"].concat(), &["gzip"]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut reply = encoded(&wire, codings).header("Content-Type", "text/plain");
        if wire != body {
            reply = reply.header("Content-MD5", "x").header("Content-Digest", "sha-256=:x:");
        }
        let url = scene.serve(&format!("/{n}"), reply.chunked(7));
        for _ in 0..2 {
            let fetched = fetch(&mut scene.client, &["CACHE.FETCH", &url]);
            assert_eq!(fetched.body, body, "{codings:?}");
            let names: Vec<_> = fetched.headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["content-type"], "{codings:?}");
        }
    }
}

/// A whole response with these header lines; its body is in chunks if they say so, else until the end.
fn response(lines: &[&str], body: &[u8]) -> Reply {
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{}\r\n\r\n", lines.join("\r\n"));
    if !lines.iter().any(|line| line.to_ascii_lowercase().ends_with("chunked")) {
        return Reply::raw([head.as_bytes(), body].concat());
    }
    let size = format!("{:x}\r\n", body.len());
    Reply::raw([head.as_bytes(), size.as_bytes(), body, b"\r\n0\r\n\r\n"].concat())
}

#[test]
fn transfer_codings_are_decoded_or_named() {
    let mut scene = Scene::new();
    let body = BODY.as_bytes();
    for (n, (lines, wire)) in [
        (&["Transfer-Encoding: gzip, chunked"][..], gzip(body)),
        (&["transfer-encoding: X-GZIP ,CHUNKED"], gzip(body)),
        (&["Transfer-Encoding: deflate", "Transfer-Encoding: chunked"], zlib(body)),
        (&["Transfer-Encoding: gzip"], gzip(body)),
        (&["Content-Encoding: deflate", "Transfer-Encoding: chunked"], zlib(body)),
        (&["Transfer-Encoding: gzip, chunked", "Content-Encoding: deflate"], gzip(&zlib(body))),
    ]
    .into_iter()
    .enumerate()
    {
        let url = scene.serve(&format!("/{n}"), response(lines, &wire));
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY, "{lines:?}");
    }
    let url = scene.serve("/unknown", response(&["Transfer-Encoding: compress, chunked"], body));
    let error = scene.client.error(&["CACHE.GET", &url]);
    assert_eq!(error, "FETCHFAILED transfer coding 'compress' is not supported");
    assert!(!scene.exists(&url));
}

#[test]
fn what_cannot_be_decoded_is_named() {
    let mut scene = Scene::new();
    for (path, codings, named) in [
        ("/many", "gzip, gzip, gzip, gzip, gzip", "5 codings"),
        ("/large", "br, br", "'br, br'"),
        ("/text", "gzip", "not gzip"),
        ("/deflated", "deflate", "not deflate"),
    ] {
        let url = scene.serve(path, encoded(BODY, &[codings]));
        let error = scene.client.error(&["CACHE.GET", &url]);
        assert!(error.starts_with("FETCHFAILED ") && error.contains(named), "{path}: {error}");
        assert!(!scene.exists(&url), "{path}");
    }
}

#[test]
fn an_unknown_coding_keeps_its_header_whatever_headers_are_stored() {
    let mut scene = Scene::with(|server| server.config("cache.store-headers", "etag"));
    for (n, codings) in [&["compress"][..], &["gzip", "aws-chunked"]].into_iter().enumerate() {
        let url = scene.serve(&format!("/{n}"), encoded("as it comes", codings));
        for _ in 0..2 {
            let fetched = fetch(&mut scene.client, &["CACHE.FETCH", &url]);
            assert_eq!(fetched.body, b"as it comes");
            assert_eq!(fetched.all("content-encoding"), codings);
        }
    }
}

/// A brotli stream with a window of 16 MiB, and in it one block of 16 MiB as it is, of which so much comes.
fn brotli(comes: usize) -> Vec<u8> {
    [b"\xcf\xff\xff\xff", &vec![b'x'; comes][..]].concat()
}

/// A zstd frame with a window of 8 MiB, and in it a block of 128 KiB as it is, of which so much comes.
fn zstd(comes: usize) -> Vec<u8> {
    [b"\x28\xb5\x2f\xfd\x00\x68\x00\x00\x10", &vec![b'x'; comes][..]].concat()
}

const MANY: usize = 40;

/// The memory that the server counts, and what it really has, now.
fn memory(server: &Server) -> [u64; 2] {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    [server.gauge("used_memory"), kib << 10]
}

#[test]
fn a_decoder_takes_no_more_than_what_has_come_warrants() {
    for (coding, start) in [("br", brotli as fn(usize) -> Vec<u8>), ("zstd", zstd)] {
        for comes in [3, 40_000] {
            let scene = Scene::new();
            scene.still_works();
            let gate = Gate::closed();
            let body = [start(comes), b"more".to_vec()].concat();
            let sent = body.len() - 4;
            let reply = encoded(body, &[coding]).gate_body(sent, &gate);
            scene.origin.otherwise(move |_| reply.clone());
            let before = memory(&scene.server);
            let mut clients = scene.server.clients(MANY);
            for (n, client) in clients.iter_mut().enumerate() {
                client.send(&["CACHE.GET", &scene.origin.url(&format!("/{n}")), "60", "0"]);
            }
            scene.origin.until_in_the_air(MANY as u64);
            if comes > 16 << 10 {
                // All that has come and can be decoded has been.
                let bytes = || {
                    let flights = format!("{:?}", scene.server.call(&["CACHE.FLIGHTS"]));
                    flights.matches("int(40000)").count()
                };
                if coding == "br" {
                    crate::support::until("all to be decoded", || bytes() == MANY);
                }
            }
            let after = memory(&scene.server);
            for (before, after) in before.into_iter().zip(after) {
                // Of each: a thread's stack, a connection, a blocked client, and buffers; a window is 8 or 16 MiB.
                let most = before + MANY as u64 * (512 << 10);
                assert!(after < most, "{coding} {comes}: {before} bytes have become {after}");
            }
            gate.open();
            for client in &mut clients {
                let error = client.reply_error();
                assert!(error.starts_with("FETCHFAILED the body ends before"), "{error}");
            }
        }
    }
}

#[test]
fn tiny_bodies_that_claim_much_take_little_and_a_large_window_is_refused() {
    let mut scene = Scene::new();
    scene.client.ok(&["CONFIG", "RESETSTAT"]);
    let before = scene.server.gauge("used_memory");
    let mut clients = scene.server.clients(MANY);
    scene.origin.otherwise(|_| encoded(brotli(3), &["br"]));
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(&["CACHE.GET", &scene.origin.url(&format!("/{n}")), "60", "0"]);
    }
    for client in &mut clients {
        assert_eq!(client.reply_error(), "FETCHFAILED the body ends before its br does");
    }
    let peak = scene.server.gauge("used_memory_peak");
    assert!(peak < before + MANY as u64 * (512 << 10), "{before} bytes have become {peak}");
    let url = scene.serve("/large-window", encoded(b"\x11\x1e\x80hello\x03", &["br"]));
    assert!(scene.client.error(&["CACHE.GET", &url]).starts_with("FETCHFAILED the body is not br"));
}

#[test]
fn what_a_stream_says_it_unpacks_to_is_held_against_the_limit_at_once() {
    let mut scene = Scene::with(|server| server.config("cache.max-body-size", "1mb"));
    let gate = Gate::closed();
    let reply = encoded(brotli(20_000), &["br"]).gate_body(19_000, &gate);
    let url = scene.serve("/a", reply);
    let error = scene.client.error(&["CACHE.GET", &url, "60", "0"]);
    assert_eq!(error, "TOOLARGE the body exceeds cache.max-body-size");
}
