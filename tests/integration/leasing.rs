//! What the tests of leases are written in: asking for a lease, what comes of it, and the queue of those
//! who wait.

use crate::scene::{Scene, lock_key};
use crate::support::client::bytes_of;
use crate::support::{Client, Server, Value};

/// What a token that is no good is answered.
pub const LOST: &str = "LEASELOST the lease is lost, or never was";

/// What `CACHE.LEASE` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Value(Vec<u8>),
    Stale(Vec<u8>, Option<String>),
    Lease(String),
    Null,
}

impl Answer {
    /// The answer with this value.
    pub fn value(value: impl AsRef<[u8]>) -> Self {
        Self::Value(value.as_ref().to_vec())
    }

    /// The answer with this stale value, and no lease.
    pub fn stale(value: impl AsRef<[u8]>) -> Self {
        Self::Stale(value.as_ref().to_vec(), None)
    }

    /// Reads a reply; panics at what is none of `CACHE.LEASE`.
    pub fn of(reply: Value) -> Self {
        let parts = match reply {
            Value::Nil => return Self::Null,
            Value::Array(parts) => parts,
            other => panic!("no answer of CACHE.LEASE: {other:?}"),
        };
        let mut parts = parts.into_iter().map(bytes_of);
        let mut next = || parts.next();
        let (kind, second, third) = (next(), next(), next());
        assert_eq!(next(), None, "too many parts");
        match (kind.as_deref(), second, third) {
            (Some(b"value"), Some(value), None) => Self::Value(value),
            (Some(b"stale"), Some(value), token) => Self::Stale(value, token.map(text)),
            (Some(b"lease"), Some(token), None) => Self::Lease(text(token)),
            other => panic!("no answer of CACHE.LEASE: {other:?}"),
        }
    }

    /// The token of the lease that must have come.
    pub fn token(self) -> String {
        match self {
            Self::Lease(token) | Self::Stale(_, Some(token)) => token,
            other => panic!("wanted a lease, got {other:?}"),
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("a token is text")
}

/// A client that leases.
pub trait Leasing {
    /// Sends `CACHE.LEASE` with these arguments.
    fn ask(&mut self, call: &[&str]);
    /// The answer of a call sent before.
    fn answer(&mut self) -> Answer;
    /// Calls `CACHE.LEASE` with these arguments.
    fn lease(&mut self, call: &[&str]) -> Answer;
    /// Calls `CACHE.LEASE`, which must answer a lease, and takes its token.
    fn token(&mut self, call: &[&str]) -> String;
    /// Fills, and is told that it did.
    fn fill(&mut self, key: &str, token: &str, value: impl AsRef<[u8]>);
    /// Gives a lease up, and is told that it did.
    fn release(&mut self, key: &str, token: &str);
    /// Asserts that a token neither fills nor can be given up.
    fn has_lost(&mut self, key: &str, token: &str);
}

impl Leasing for Client {
    fn ask(&mut self, call: &[&str]) {
        self.send(&[&["CACHE.LEASE"], call].concat());
    }

    fn answer(&mut self) -> Answer {
        Answer::of(self.reply().expect("CACHE.LEASE fails"))
    }

    fn lease(&mut self, call: &[&str]) -> Answer {
        self.ask(call);
        self.answer()
    }

    fn token(&mut self, call: &[&str]) -> String {
        self.lease(call).token()
    }

    fn fill(&mut self, key: &str, token: &str, value: impl AsRef<[u8]>) {
        self.ok(&[b"CACHE.FILL", key.as_bytes(), token.as_bytes(), value.as_ref()]);
    }

    fn release(&mut self, key: &str, token: &str) {
        self.ok(&["CACHE.RELEASE", key, token]);
    }

    fn has_lost(&mut self, key: &str, token: &str) {
        assert_eq!(self.error(&["CACHE.FILL", key, token, "too late"]), LOST);
        assert_eq!(self.error(&["CACHE.RELEASE", key, token]), LOST);
    }
}

/// New clients that wait by this call of `CACHE.LEASE`, the longest-waiting first.
pub fn queue(server: &Server, call: &[&str], count: usize) -> Vec<Client> {
    wait_by(server, &[&["CACHE.LEASE"], call].concat(), count)
}

/// New clients that wait by this command for one answer each, the longest-waiting first.
pub fn wait_by(server: &Server, command: &[&str], count: usize) -> Vec<Client> {
    let waiting = server.gauge("cache_waiters");
    let mut clients = server.clients(count);
    for (wanted, client) in (waiting + 1..).zip(&mut clients) {
        client.send(command);
        server.until_gauge("cache_waiters", wanted);
    }
    clients
}

/// Asserts that this many wait.
pub fn waiting(scene: &Scene, wanted: u64) {
    assert_eq!(scene.server.gauge("cache_waiters"), wanted, "cache_waiters");
}

/// Asserts that a key's lock key has this token, and ends.
pub fn locked(scene: &Scene, key: &str, token: &str) {
    let (mut client, lock) = (scene.server.client(), lock_key(key));
    assert_eq!(client.text(&["GET", &lock]), token);
    assert!(client.int(&["PTTL", &lock]) > 0, "the lock key is for ever");
}

/// The lock keys of all databases.
pub fn lock_keys(server: &Server) -> Vec<Value> {
    let mut client = server.client();
    let mut locks = Vec::new();
    for db in 0..16 {
        client.ok(&["SELECT", &db.to_string()]);
        locks.extend(client.array(&["KEYS", "cache:lock:*"]));
    }
    locks
}

/// Waits until nothing is leased or in the air and nobody waits; asserts that no lock key is left over in
/// any database, and that the module still does its work: for the end of a test.
pub fn at_rest(scene: &Scene) {
    for gauge in ["cache_flights", "cache_leases_held", "cache_waiters", "blocked_clients"] {
        scene.server.until_gauge(gauge, 0);
    }
    assert_eq!(lock_keys(&scene.server), []);
    let mut client = scene.server.client();
    let token = client.token(&["at rest"]);
    client.fill("at rest", &token, "works");
    assert_eq!(client.lease(&["at rest"]), Answer::value("works"));
    assert_eq!(client.int(&["DEL", "at rest"]), 1);
}
