//! The troublemaker: what is done to the server while its clients call.
//!
//! It tells first what it is about to do, where that decides what calls may be answered. One thing is done at
//! a time: some of them together are more than servers without this module bear, such as `CLIENT UNBLOCK` of
//! a client that `CLIENT PAUSE` holds back, which aborts Redis 7.0.

use std::thread;
use std::time::Duration;

use fastrand::Rng;

use super::body::{self, Key};
use super::calls;
use super::ledger::Scope;
use super::plan::{DATABASES, bounds, chance, one};
use super::storm::Storm;
use crate::support::{Client, Value};

/// What the settings are set to, at random. `bounds` has the extremes of those that checks depend on.
const SETTINGS: [(&str, &[&str]); 16] = [
    ("cache.default-expiry", &["0.1", "1", "3"]),
    ("cache.default-timeout", &["0.3", "1", "2"]),
    ("cache.max-timeout", &["2", "4"]),
    ("cache.fetch-timeout", &["0.1", "0.5", "0.5", "2", "4"]),
    ("cache.refresh-backoff", &["0", "0.1", "1"]),
    ("cache.lease-ttl", &["0.05", "0.5", "2"]),
    ("cache.max-queued-downloads", &["0", "20", "1000", "1000"]),
    ("cache.max-downloads-per-host", &["0", "4", "40"]),
    ("cache.max-waiters", &["5", "20000", "20000", "20000"]),
    ("cache.max-waiters-per-flight", &["1", "10000", "10000", "10000"]),
    ("cache.max-reply-memory", &["0", "0", "2mb"]),
    ("cache.respect-no-store", &["yes", "no"]),
    ("cache.max-body-size", &["64kb", "1mb", "64mb"]),
    ("cache.max-redirects", &["0", "2", "5", "20"]),
    ("cache.store-headers", &["*", "", "etag last-modified", "content-* vary", "etag vary link"]),
    ("maxmemory-policy", &["noeviction", "allkeys-lru", "allkeys-random", "volatile-ttl"]),
];

/// What the server is started with: the extremes hold from the beginning.
pub const AT_START: [(&str, &str); 6] = [
    ("cache.default-expiry", "1"),
    ("cache.default-timeout", "1"),
    ("cache.max-timeout", "4"),
    ("cache.fetch-timeout", "2"),
    ("cache.lease-ttl", "2"),
    ("cache.max-downloads", "48"),
];

/// The troublemaker.
pub struct Trouble<'a> {
    storm: &'a Storm,
    client: Client,
    rng: Rng,
}

impl<'a> Trouble<'a> {
    pub fn new(storm: &'a Storm) -> Self {
        let client = Client::connect(storm.port);
        Self { storm, client, rng: storm.plan.rng(u64::from(u32::MAX)) }
    }

    /// Makes trouble until the storm is over, and then puts all right that would stay.
    pub fn run(mut self) {
        while !self.storm.is_over() {
            thread::sleep(Duration::from_millis(self.rng.u64(..60)));
            if self.storm.may_void() && chance(&mut self.rng, 20) {
                self.void();
            } else {
                self.annoy();
            }
        }
        self.call(&["CONFIG", "SET", "cache.max-body-size", "64mb", "maxmemory", "0"]).ok();
    }

    fn call(&mut self, args: &[impl AsRef<[u8]>]) -> Result<Value, String> {
        let name = String::from_utf8_lossy(args[0].as_ref()).into_owned();
        self.storm.ledger.count(&format!("({name})"));
        let reply = self.client.call(args);
        if let Err(line) = &reply
            && line.starts_with("no reply")
        {
            self.storm.ledger.violation(&format!("the server does not answer {name}: {line}"));
            self.storm.end();
        }
        reply
    }

    fn annoy(&mut self) {
        match self.rng.u32(..100) {
            0..20 => self.unblock(),
            20..30 => self.kill_one(),
            30..31 => {
                let roster = &self.storm.roster;
                roster
                    .sweep(|| self.call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]))
                    .ok();
            }
            31..60 => {
                let (name, values) = one(&mut self.rng, &SETTINGS);
                let value = one(&mut self.rng, values);
                if let Err(line) = self.call(&["CONFIG", "SET", name, value]) {
                    self.storm.ledger.violation(&format!("CONFIG SET {name} {value}: {line}"));
                }
            }
            60..66 => self.pause(),
            66..70 => self.squeeze(),
            70..73 => {
                let time = one(&mut self.rng, &["0.01", "0.1", "0.25"]);
                self.call(&["DEBUG", "SLEEP", time]).ok();
            }
            73..75 => {
                // Refused while another of the kind is under way.
                let save = one(&mut self.rng, &["BGSAVE", "BGREWRITEAOF"]);
                self.call(&[save]).ok();
            }
            75..85 => self.meddle_with_a_lock(),
            85..95 => self.meddle_with_an_entry(),
            _ => {
                self.call(&["MEMORY", "PURGE"]).ok();
                self.call(&["INFO", "everything"]).ok();
            }
        }
    }

    fn unblock(&mut self) {
        let victim = self.rng.usize(..self.storm.plan.clients);
        let how = one(&mut self.rng, &["TIMEOUT", "ERROR"]);
        let Some(id) = self.storm.roster.id_of(victim) else { return };
        self.storm.roster.unblocked[victim]
            .run(|| self.call(&["CLIENT", "UNBLOCK", &id, how]))
            .ok();
    }

    fn kill_one(&mut self) {
        let victim = self.rng.usize(..self.storm.plan.clients);
        let Some(id) = self.storm.roster.id_of(victim) else { return };
        let roster = &self.storm.roster;
        roster.kill(std::slice::from_ref(&id), || self.call(&["CLIENT", "KILL", "ID", &id])).ok();
    }

    /// No call is answered meanwhile; those that wait are, but nothing is stored.
    fn pause(&mut self) {
        let time = self.rng.u64(20..250);
        let what = one(&mut self.rng, &["WRITE", "WRITE", "ALL"]);
        self.call(&["CLIENT", "PAUSE", &time.to_string(), what]).ok();
        thread::sleep(Duration::from_millis(time + 20));
        // The server notices the end of a pause up to 0.1 s late; nothing else may come before that.
        self.call(&["CLIENT", "UNPAUSE"]).ok();
    }

    /// No memory is left for a moment.
    fn squeeze(&mut self) {
        let storm = self.storm;
        storm.squeezes.run(|| {
            self.call(&["CONFIG", "SET", "maxmemory", "1mb"]).ok();
            thread::sleep(Duration::from_millis(self.rng.u64(..200)));
            self.call(&["CONFIG", "SET", "maxmemory", "0"]).ok();
        });
    }

    fn select(&mut self) -> (usize, String) {
        let db = self.rng.usize(..DATABASES);
        self.call(&["SELECT", &db.to_string()]).ok();
        let path = format!("/{db}/u{}", self.rng.usize(..calls::URLS));
        (db, path)
    }

    /// A lock key decides nothing, whatever becomes of it. What is put there goes by itself, since the module
    /// leaves alone what is not its own.
    fn meddle_with_a_lock(&mut self) {
        let (_, path) = self.select();
        let lock = format!("cache:lock:{{{}}}", self.storm.origin.url(&path));
        match self.rng.u32(..3) {
            0 => self.call(&["DEL", &lock]).ok(),
            1 => self.call(&["SET", &lock, "not yours", "PX", "300"]).ok(),
            _ => self.put_a_list(&lock),
        };
    }

    fn put_a_list(&mut self, key: &str) -> Option<Value> {
        let script = "redis.call('DEL', KEYS[1]) redis.call('LPUSH', KEYS[1], 'x') redis.call('PEXPIRE', KEYS[1], 300)";
        self.call(&["EVAL", script, "1", key]).ok()
    }

    /// What anybody may do to a key: put something there, shorten its life, delete it.
    fn meddle_with_an_entry(&mut self) {
        let (_, path) = self.select();
        let (key, url) = (Key::plain(path.clone()), self.storm.origin.url(&path));
        match self.rng.u32(..4) {
            0 => self.call(&["DEL", &url]).ok(),
            1 => self.call(&["PEXPIRE", &url, "50"]).ok(),
            2 => {
                self.storm.ledger.fault(&key, "WRONGTYPE");
                self.put_a_list(&url)
            }
            _ => {
                // A bare string that looks like an entry would be one, so the value is such as does not.
                let serial = std::iter::repeat_with(|| self.storm.ledger.next_serial())
                    .find(|&serial| !body::is_disguised(serial));
                let serial = serial.unwrap_or_default();
                let value = body::make(&key, serial, 300);
                self.storm.ledger.send(serial, std::time::Instant::now());
                self.call(&[b"SET", url.as_bytes(), &value, b"PX", b"200"]).ok()
            }
        };
    }

    /// What voids flights.
    fn void(&mut self) {
        let (ledger, storm) = (&self.storm.ledger, self.storm);
        let db = self.rng.usize(..DATABASES);
        let how = one(&mut self.rng, &["ASYNC", "SYNC"]);
        match self.rng.u32(..10) {
            0..2 => {
                ledger.void(Scope::All);
                self.call(&["FLUSHALL", how]).ok();
            }
            2..5 => {
                ledger.void(Scope::Database(db));
                self.call(&["SELECT", &db.to_string()]).ok();
                self.call(&["FLUSHDB", how]).ok();
            }
            5..8 => {
                let other = self.rng.usize(..DATABASES);
                ledger.void(Scope::Database(db));
                ledger.void(Scope::Database(other));
                let call = ["SWAPDB".to_owned(), db.to_string(), other.to_string()];
                storm.swaps.run(|| self.call(&call)).ok();
            }
            8 => {
                ledger.void(Scope::All);
                storm.reloads.run(|| self.call(&["DEBUG", "RELOAD"])).ok();
            }
            _ => self.demote(),
        }
    }

    /// A replica for a moment, of a master that is not there: the server disconnects all who wait.
    fn demote(&mut self) {
        let storm = self.storm;
        storm.ledger.void(Scope::All);
        storm.demotions.run(|| {
            storm.roster.sweep(|| self.call(&["REPLICAOF", "127.0.0.1", "1"])).ok();
            thread::sleep(Duration::from_millis(self.rng.u64(..150)));
            storm.roster.sweep(|| self.call(&["REPLICAOF", "NO", "ONE"])).ok();
        });
    }
}

// What is checked is computed from these.
const _: () = assert!(bounds::SPAN >= bounds::MAX_TIMEOUT.1);
