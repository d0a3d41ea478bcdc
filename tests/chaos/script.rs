//! What the origin answers: one script for each request, honest or not.
//!
//! A script says what is sent, when, and how the connection ends. Who writes one tells the ledger first
//! what may come of it: a body that may be seen from then on, or a failure that may be answered.

use std::io::Write;
use std::time::{Duration, Instant};

use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::body::{self, Key};
use super::ledger::Ledger;
use super::plan::{chance, one};

/// What is asked for.
pub struct Asked {
    pub key: Key,
    /// How many redirects have led here.
    pub hops: u32,
    /// `If-None-Match`, or `If-Modified-Since`.
    pub validator: Option<String>,
}

/// What is sent.
pub struct Script {
    pub pieces: Vec<Piece>,
    pub end: End,
    /// The body that is sent, to be confirmed when it has gone out.
    pub serial: Option<u64>,
}

/// One step of a script.
pub enum Piece {
    Send(Vec<u8>),
    Wait(Duration),
}

/// How the connection goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    Keep,
    Close,
    Reset,
}

/// As long as any flight lasts, and longer.
const FOR_EVER: Duration = Duration::from_secs(8);

/// Writes the script for a request. Once it is `calm`, the origin only has honest ones, without delay.
pub fn write(asked: &Asked, ledger: &Ledger, rng: &mut Rng, calm: bool) -> Script {
    if calm {
        return honest(asked, ledger, rng, false);
    }
    if let Some(validator) = &asked.validator
        && chance(rng, 60)
        && let Some(script) = not_modified(validator, ledger, rng)
    {
        return script;
    }
    let mut script = match rng.u32(..100) {
        0..60 => honest(asked, ledger, rng, true),
        60..68 => status(asked, ledger, rng),
        68..72 => empty(asked, ledger, rng),
        72..79 => redirect(asked, ledger, rng),
        79..82 => stall(asked, ledger, rng),
        82..87 => forged(asked, ledger, rng),
        _ => broken(asked, ledger, rng),
    };
    if chance(rng, 30) {
        script.pieces.insert(0, Piece::Wait(Duration::from_millis(rng.u64(..300))));
    }
    script
}

fn send(bytes: impl Into<Vec<u8>>, end: End) -> Script {
    Script { pieces: vec![Piece::Send(bytes.into())], end, serial: None }
}

fn head(status: &str, headers: &[String]) -> Vec<u8> {
    let start = format!("HTTP/1.1 {status}");
    let lines = std::iter::once(&start).chain(headers).map(String::as_str);
    (lines.collect::<Vec<_>>().join("\r\n") + "\r\n\r\n").into_bytes()
}

/// A whole body, in one of the ways in which that can be sent.
fn honest(asked: &Asked, ledger: &Ledger, rng: &mut Rng, drips: bool) -> Script {
    let serial = ledger.next_serial();
    let size = body::size(rng);
    let body = body::make(&asked.key, serial, size);
    ledger.send(serial, Instant::now());
    if body.len() > super::plan::bounds::BODY {
        ledger.fault(&asked.key, "TOOLARGE");
    }
    let mut headers = vec![format!("Content-Type: text/x-chaos-{serial}")];
    match rng.u32(..4) {
        0 => headers.push(format!("ETag: \"{serial}\"")),
        1 => headers.push(format!("Last-Modified: {serial}")),
        2 => headers.push(format!("ETag: \"{serial}\"\r\nLast-Modified: {serial}")),
        _ => {}
    }
    if chance(rng, 10) {
        headers.push("Cache-Control: no-store".into());
    }
    let status = one(rng, &["200 OK", "200 OK", "200 ", "203 Non-Authoritative Information"]);
    let mut early = Vec::new();
    if chance(rng, 10) {
        early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n".to_vec();
    }
    let (headers, wire, end) = framed(headers, body, rng);
    let mut start = [early, head(status, &headers)].concat();
    let mut pieces = Vec::new();
    if drips && chance(rng, 20) && wire.len() > 10 {
        let cut = rng.usize(1..wire.len());
        start.extend_from_slice(&wire[..cut]);
        pieces.push(Piece::Send(start));
        pieces.push(Piece::Wait(Duration::from_millis(rng.u64(..400))));
        pieces.push(Piece::Send(wire[cut..].to_vec()));
    } else {
        start.extend(wire);
        pieces.push(Piece::Send(start));
    }
    Script { pieces, end, serial: Some(serial) }
}

/// How a body goes over the wire: by length, in chunks, to the end of the connection, or packed.
fn framed(mut headers: Vec<String>, body: Vec<u8>, rng: &mut Rng) -> (Vec<String>, Vec<u8>, End) {
    let closes = chance(rng, 10);
    if closes {
        headers.push("Connection: close".into());
    }
    let end = if closes { End::Close } else { End::Keep };
    match rng.u32(..10) {
        0..5 => {
            headers.push(format!("Content-Length: {}", body.len()));
            (headers, body, end)
        }
        5..7 => {
            headers.push("Transfer-Encoding: chunked".into());
            let size = one(rng, &[1_000, 4_096, 70_000]);
            let mut wire = chunked(&body, size);
            wire.extend_from_slice(b"0\r\n\r\n");
            (headers, wire, end)
        }
        7 => (headers, body, End::Close),
        _ => {
            let (coding, packed) = packed(&body, rng);
            headers.push(format!("Content-Encoding: {coding}"));
            headers.push(format!("Content-Length: {}", packed.len()));
            (headers, packed, end)
        }
    }
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut wire = Vec::with_capacity(body.len() + 64);
    for chunk in body.chunks(size) {
        wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

/// A body in one of the codings that are asked for, and its name.
fn packed(body: &[u8], rng: &mut Rng) -> (&'static str, Vec<u8>) {
    match rng.u32(..3) {
        0 => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).expect("a vector takes all");
            ("gzip", encoder.finish().expect("a vector takes all"))
        }
        1 => {
            let mut packed = Vec::new();
            let mut encoder = brotli::CompressorWriter::new(&mut packed, 4096, 1, 18);
            encoder.write_all(body).expect("a vector takes all");
            drop(encoder);
            ("br", packed)
        }
        _ => ("zstd", zstd::encode_all(body, 1).expect("a slice can be read")),
    }
}

/// The word that a body is still good; sometimes with a new validator, or a head longer than any before.
fn not_modified(validator: &str, ledger: &Ledger, rng: &mut Rng) -> Option<Script> {
    let digits = validator.trim_matches('"').split('.').next()?;
    let serial: u64 = digits.parse().ok()?;
    ledger.confirm(serial);
    let mut headers = Vec::new();
    if chance(rng, 30) {
        headers.push(format!("ETag: \"{serial}.{}\"", rng.u32(..1_000_000)));
    }
    if chance(rng, 30) {
        headers.push(format!("Vary: {}", "x".repeat(rng.usize(1..3_000))));
    }
    let mut script = send(head("304 Not Modified", &headers), End::Keep);
    script.serial = Some(serial);
    Some(script)
}

fn status(asked: &Asked, ledger: &Ledger, rng: &mut Rng) -> Script {
    let all = [
        "500 Internal Server Error",
        "503 Service Unavailable",
        "404 Not Found",
        "206 Partial Content",
    ];
    let status = one(rng, &all);
    ledger.fault(&asked.key, &format!("HTTPSTATUS {status}"));
    let body = body::make(&asked.key, 0, 20); // number 0 is never sent: whoever is answered with it is wrong
    let headers = [format!("Content-Length: {}", body.len())];
    send([head(status, &headers), body].concat(), End::Keep)
}

fn empty(asked: &Asked, ledger: &Ledger, rng: &mut Rng) -> Script {
    if chance(rng, 50) {
        ledger.fault(&asked.key, "empty");
        return send(head("204 No Content", &[]), End::Keep);
    }
    // Nobody is asked to send this.
    let asks = asked.validator.is_some();
    ledger.fault(&asked.key, "HTTPSTATUS 304 Not Modified");
    let status = if asks { "501 Not Implemented" } else { "304 Not Modified" };
    ledger.fault(&asked.key, &format!("HTTPSTATUS {status}"));
    let headers = if asks { vec!["Content-Length: 0".to_owned()] } else { vec![] };
    send(head(status, &headers), End::Keep)
}

/// To itself: a few times, for ever, or away from what may be fetched.
fn redirect(asked: &Asked, ledger: &Ledger, rng: &mut Rng) -> Script {
    let code = one(rng, &["301 Moved", "302 Found", "307 Temporary Redirect"]);
    let again = format!("{}?hops={}&for={}", asked.key.name, asked.hops + 1, asked.key.variant);
    // With fewer redirects allowed than come, any chain is too long.
    ledger.fault(&asked.key, "FETCHFAILED");
    let to = match rng.u32(..10) {
        0..7 => again,
        7 => format!("{}?loop=1&for={}", asked.key.name, asked.key.variant),
        8 => "http://10.1.2.3/".into(),
        _ => "ftp://127.0.0.1/".into(),
    };
    if !to.starts_with('/') {
        ledger.fault(&asked.key, "FETCHDENIED");
    }
    send(head(code, &[format!("Location: {to}"), "Content-Length: 0".into()]), End::Keep)
}

/// What the origin says to a request that has followed the loop.
pub fn around(path: &str) -> Script {
    let headers = [format!("Location: {path}"), "Content-Length: 0".into()];
    send(head("302 Found", &headers), End::Keep)
}

/// Nothing, or half of an answer, and then silence.
fn stall(asked: &Asked, ledger: &Ledger, rng: &mut Rng) -> Script {
    ledger.fault(&asked.key, "FETCHFAILED");
    let body = body::make(&asked.key, 0, 500);
    let answer = [head("200 OK", &[format!("Content-Length: {}", body.len())]), body].concat();
    let cut = if chance(rng, 50) { 0 } else { rng.usize(1..answer.len()) };
    let pieces = vec![Piece::Send(answer[..cut].to_vec()), Piece::Wait(FOR_EVER)];
    Script { pieces, end: End::Reset, serial: None }
}

/// A whole body, and in the same breath an answer that nobody has asked for. Then the connection is gone: a
/// request that was sent on it meanwhile is lost, whichever it is for.
fn forged(asked: &Asked, ledger: &Ledger, rng: &mut Rng) -> Script {
    let serial = ledger.next_serial();
    let body = body::make(&asked.key, serial, rng.usize(..500));
    ledger.send(serial, Instant::now());
    let forgery = body::make(&asked.key, 0, 20);
    let answer = |body: &[u8]| {
        [&head("200 OK", &[format!("Content-Length: {}", body.len())]), body].concat()
    };
    let mut script = send([answer(&body), answer(&forgery)].concat(), End::Close);
    script.serial = Some(serial);
    script
}

/// How much longer than what comes a broken answer says that it is.
const LONGER: usize = 5_000;

/// An answer that breaks off, or is none.
fn broken(asked: &Asked, ledger: &Ledger, rng: &mut Rng) -> Script {
    ledger.fault(&asked.key, "FETCHFAILED");
    let size = body::size(rng);
    let body = body::make(&asked.key, 0, size);
    // What is announced may be as much as this, and is refused for that alone.
    if body.len() + LONGER > super::plan::bounds::BODY {
        ledger.fault(&asked.key, "TOOLARGE");
    }
    let length = |length: usize| format!("Content-Length: {length}");
    let part = &body[..rng.usize(..body.len())];
    let end = if chance(rng, 50) { End::Close } else { End::Reset };
    let answer = match rng.u32(..12) {
        0 => Vec::new(),
        1 => head("200 OK", &[length(body.len())])[..15].to_vec(),
        2 => [&head("200 OK", &[length(body.len())]), part].concat(),
        3 => [&head("200 OK", &[length(body.len() + rng.usize(1..=LONGER))]), &body[..]].concat(),
        4 => {
            let chunks = chunked(part, 1_000); // without the last one
            [head("200 OK", &["Transfer-Encoding: chunked".into()]), chunks].concat()
        }
        5 => {
            let chunks = [chunked(part, 1_000), b"no size\r\n".to_vec()].concat();
            [head("200 OK", &["Transfer-Encoding: chunked".into()]), chunks].concat()
        }
        6 => {
            let (coding, packed) = packed(&body, rng);
            let cut = &packed[..packed.len() - 1 - rng.usize(..packed.len() / 2)];
            let headers = [format!("Content-Encoding: {coding}"), length(cut.len())];
            [&head("200 OK", &headers), cut].concat()
        }
        7 => {
            let coding = one(rng, &["gzip", "br", "zstd"]);
            let headers = [format!("Content-Encoding: {coding}"), length(body.len())];
            [&head("200 OK", &headers), &body[..]].concat()
        }
        8 => {
            let headers = ["Content-Length: 5".into(), "Content-Length: 6".into()];
            [&head("200 OK", &headers), &b"lies!!"[..]].concat()
        }
        9 => {
            let many = vec![format!("X-Long: {}", "x".repeat(5_000)); 200];
            [&head("200 OK", &many), &body[..]].concat()
        }
        10 => {
            b"HTTP/1.1 200 OK\r\nX-Bad: a\0b\r\n: nameless\r\nContent-Length: -3\r\n\r\n".to_vec()
        }
        _ => {
            let mut garbage = vec![0; rng.usize(1..3_000)];
            rng.fill(&mut garbage);
            garbage
        }
    };
    send(answer, end)
}
