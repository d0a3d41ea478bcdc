//! Bodies that say what they are: for which key and variant they were made, and which one it is. What
//! follows is noise that the number decides, so whoever has a body can make it again and compare each byte.

use fastrand::Rng;

/// What a body was made for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The URL's path, which has the database in it; or a leased key's name.
    pub name: String,
    /// The variant as the origin sees it.
    pub variant: String,
}

/// The ways that a URL is asked for: the options of a call, and what the origin sees of them.
pub const VARIANTS: [(&[&str], &str); 5] = [
    (&[], "GET::"),
    (&["HEADER", "X-Variant", "a"], "GET::a"),
    (&["header", "X-Other", "1", "HEADER", "x-variant", "b"], "GET::b"),
    (&["METHOD", "POST", "BODY", "one"], "POST:one:"),
    (&["HEADER", "X-VARIANT", "a", "BODY", "two", "method", "post"], "POST:two:a"),
];

impl Key {
    pub fn plain(name: impl Into<String>) -> Self {
        Self { name: name.into(), variant: VARIANTS[0].1.to_owned() }
    }
}

/// How an entry begins: a value that looks like one must come back as it was.
const DISGUISE: &[u8] =
    b"HTTP/1.1 200 \r\ncache-get: 1 0000000000000 0000000000000 00000068\r\n\r\n";

/// Whether the body with this number looks like an entry.
pub const fn is_disguised(serial: u64) -> bool {
    serial.is_multiple_of(7)
}

/// Makes the body with this number, with so many bytes of noise.
pub fn make(key: &Key, serial: u64, noise: usize) -> Vec<u8> {
    let mut body = if is_disguised(serial) { DISGUISE.to_vec() } else { Vec::new() };
    body.extend(format!("chaos {} {} {serial} {noise}\n", key.name, key.variant).into_bytes());
    let start = body.len();
    body.resize(start + noise, 0);
    Rng::with_seed(serial).fill(&mut body[start..]);
    body
}

/// The number of a body that is whole and was made for this key.
pub fn check(key: &Key, body: &[u8]) -> Result<u64, String> {
    let line = body.strip_prefix(DISGUISE).unwrap_or(body);
    let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(&line[..line.len().min(300)]);
    let words: Vec<&str> = line.split(' ').collect();
    let ["chaos", name, variant, serial, noise] = words[..] else {
        return Err(format!("{} bytes that nobody made: {line:?}", body.len()));
    };
    if (name, variant) != (&key.name, &key.variant) {
        return Err(format!("a body of another key: {line}"));
    }
    let (Ok(serial), Ok(noise)) = (serial.parse(), noise.parse()) else {
        return Err(format!("a body with a damaged head: {line}"));
    };
    if body.len() > noise && body == make(key, serial, noise) {
        Ok(serial)
    } else {
        Err(format!("a damaged body of {} bytes: {line}", body.len()))
    }
}

/// How large the noise is: mostly small, sometimes about the size from which replies are written on another
/// thread (64 KiB), seldom so large that memory is given back there (1 MiB).
pub fn size(rng: &mut Rng) -> usize {
    match rng.u32(..100) {
        0..10 => 0,
        10..70 => rng.usize(..2_000),
        70..85 => rng.usize(..40_000),
        85..96 => rng.usize(60_000..70_000),
        _ => rng.usize(100_000..2_500_000),
    }
}
