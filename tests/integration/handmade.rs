//! Entries made by hand, in the stored form of DESIGN section 4: a test puts
//! one that is stale already instead of waiting for one to become so.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::Client;

/// Length of an entry's two fixed lines.
pub const FIXED: usize = 66;
/// How long a hand-made entry is kept by Redis: longer than any test.
const KEPT: &str = "3600000";
/// How long ago a hand-made entry was fetched, in milliseconds.
pub const FETCHED_AGO: i64 = 200_000;

/// An entry, and how to store it.
#[derive(Clone)]
pub struct Entry {
    headers: String,
    body: Vec<u8>,
    /// From now, in milliseconds; negative: it is stale by so much.
    fresh_for: i64,
}

/// An entry that went stale a minute ago.
pub fn stale(body: impl AsRef<[u8]>) -> Entry {
    Entry { headers: String::new(), body: body.as_ref().into(), fresh_for: -61_000 }
}

/// An entry that is fresh for another minute.
pub fn fresh(body: impl AsRef<[u8]>) -> Entry {
    Entry { fresh_for: 60_000, ..stale(body) }
}

impl Entry {
    /// Adds a header; names are stored in lower case.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.extend([name, ": ", value, "\r\n"]);
        self
    }

    /// The value as it lies in the keyspace.
    pub fn bytes(&self) -> Vec<u8> {
        let (fetched, until) = (now() - FETCHED_AGO, now() + self.fresh_for);
        let head = FIXED + self.headers.len() + 2;
        let lines =
            format!("HTTP/1.1 200 \r\ncache-get: 1 {fetched:013} {until:013} {head:08}\r\n");
        [lines.as_bytes(), self.headers.as_bytes(), b"\r\n", &self.body].concat()
    }

    /// Stores it under a key.
    pub fn put(&self, client: &mut Client, key: impl AsRef<[u8]>) {
        client.ok(&[b"SET".as_ref(), key.as_ref(), &self.bytes(), b"PX", KEPT.as_bytes()]);
    }
}

/// The time of day in unix milliseconds.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}

/// The moment until which the entry under a key is fresh, as its head says.
pub fn fresh_until(client: &mut Client, key: &str) -> i64 {
    let stored = client.bytes(&["GETRANGE", key, "42", "54"]);
    String::from_utf8(stored).unwrap().parse().unwrap()
}
