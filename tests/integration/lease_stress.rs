//! All at once: threads that lease, fill, give up, delete, flush, swap, and hang up on the same few keys. At no time has
//! a key two holders, unless what the first held was void; and in the end nothing is left and nobody hangs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use crate::leasing::{Answer, LOST, Leasing, at_rest};
use crate::scene::{BODY, Scene};
use crate::support::server::Builder;
use crate::support::{Client, Reply, Server, until};

const THREADS: u64 = 8;
/// How long it goes on, or longer, until all has happened that is to.
const SPAN: Duration = Duration::from_secs(2);

/// A key, and what the test knows of it.
struct Key {
    name: String,
    /// How often it has begun to be voided.
    voids: AtomicU64,
    /// How often it has been voided. Less than the count above at any later time: it may have been since.
    voided: AtomicU64,
    /// The count above when its holder asked for the lease; `None` while nobody holds it.
    held_since: Mutex<Option<u64>>,
    filled: AtomicBool,
}

impl Key {
    fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            voids: AtomicU64::new(0),
            voided: AtomicU64::new(0),
            held_since: Mutex::new(None),
            filled: AtomicBool::new(false),
        }
    }

    /// Notes that a token has come to one who asked for it at this count of voids.
    fn taken(&self, asked_at: u64) {
        let before = self.held_since.lock().unwrap().replace(asked_at);
        if let Some(before) = before {
            assert!(before < self.voids.load(SeqCst), "{} has two holders", self.name);
        }
    }

    /// Does what voids these keys.
    fn void(keys: &[Self], act: impl FnOnce()) {
        for key in keys {
            key.voids.fetch_add(1, SeqCst);
        }
        act();
        for key in keys {
            key.voided.fetch_add(1, SeqCst);
        }
    }

    /// Notes that the holder is about to let go; what another has taken since is left alone.
    fn about_to_go(&self, asked_at: u64) {
        let mut held = self.held_since.lock().unwrap();
        if *held == Some(asked_at) {
            *held = None;
        }
    }

    /// Asserts that a holder was only refused if its lease may have become void.
    fn refused(&self, outcome: Result<(), String>, asked_at: u64) {
        if let Err(line) = outcome {
            assert_eq!(line, LOST);
            assert!(asked_at < self.voids.load(SeqCst), "{}: a holder was refused", self.name);
        }
    }

    /// Asserts that this is what somebody filled, or the origin sent.
    fn read(&self, value: &[u8]) {
        let ours = value.starts_with(self.name.as_bytes()) || value == BODY.as_bytes();
        assert!(ours, "{}: not a value of its own", self.name);
    }
}

/// Random numbers, the same ones for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// One client after another, doing one thing after another.
struct Player<'a> {
    server: &'a Server,
    client: Client,
    dice: Dice,
}

impl Player<'_> {
    fn act(&mut self, key: &Key) {
        match self.dice.roll(12) {
            0..=5 => self.lease(key),
            6 => {
                self.client.int(&["DEL", &key.name]);
            }
            7 => {
                Key::void(std::slice::from_ref(key), || {
                    self.client.int(&["CACHE.DEL", &key.name]);
                });
            }
            8 if key.name.starts_with("http") => {
                let value = self.client.bytes(&["CACHE.GET", &key.name, "60", "0"]);
                key.read(&value);
            }
            9 => {
                // Hangs up, perhaps while it waits, and perhaps with a lease that will run out.
                self.client.ask(&[&key.name, "0", "TTL", "0.02"]);
                self.client = self.server.client();
            }
            _ => {
                self.client.ask(&[&key.name, "0", "TIED"]);
                self.client = self.server.client();
            }
        }
    }

    fn lease(&mut self, key: &Key) {
        let asked_at = key.voided.load(SeqCst);
        let tied = self.dice.roll(2) == 0;
        let call = [&key.name, "0", "TTL", "600", "TIED"];
        let token = match self.client.lease(if tied { &call } else { &call[..4] }) {
            Answer::Lease(token) => token,
            Answer::Value(value) => return key.read(&value),
            other => panic!("{}: {other:?}", key.name),
        };
        key.taken(asked_at);
        let way = self.dice.roll(if tied { 4 } else { 3 });
        key.about_to_go(asked_at);
        match way {
            0 => {
                let outcome = self.client.call(&["CACHE.RELEASE", &key.name, &token]);
                key.refused(outcome.map(drop), asked_at);
            }
            3 => self.client = self.server.client(),
            _ => {
                let size = [1, 100, 20_000][usize::try_from(self.dice.roll(3)).unwrap()];
                let value = key.name.repeat(size);
                let outcome = self.client.call(&["CACHE.FILL", &key.name, &token, &value]);
                key.filled.fetch_or(outcome.is_ok(), SeqCst);
                key.refused(outcome.map(drop), asked_at);
            }
        }
    }
}

/// Ends the game when dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

fn play(setup: impl FnOnce(Builder) -> Builder) {
    let scene = Scene::with(|server| {
        let server = server.config("cache.max-timeout", "15");
        setup(server.config("cache.refresh-backoff", "0.005"))
    });
    let url = scene.serve("/a", Reply::ok(BODY));
    let keys = [Key::new("one key"), Key::new("another"), Key::new(url)];
    let (end, over) = (Instant::now() + SPAN, AtomicBool::new(false));
    thread::scope(|scope| {
        for seed in 1..=THREADS {
            let (keys, server, over) = (&keys, &scene.server, &over);
            scope.spawn(move || {
                let dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                let mut player = Player { server, client: server.client(), dice };
                while !over.load(SeqCst) {
                    let at = usize::try_from(player.dice.roll(3)).unwrap();
                    match player.dice.roll(50) {
                        0 => Key::void(keys, || player.client.ok(&["FLUSHALL"])),
                        1 => Key::void(keys, || player.client.ok(&["SWAPDB", "0", "1"])),
                        _ => player.act(&keys[at]),
                    }
                }
            });
        }
        let _over_however_it_ends = Over(&over);
        let happens = |what: &&str| scene.server.gauge(&format!("cache_leases_{what}")) > 0;
        until("leases to end in every way there is", || {
            Instant::now() >= end
                && keys.iter().all(|key| key.filled.load(SeqCst))
                && ["released", "cut", "expired", "lost"].iter().all(happens)
        });
    });
    at_rest(&scene);
}

#[test]
fn whatever_clients_do_a_key_has_one_holder_and_nobody_hangs() {
    play(|server| server);
}

#[test]
fn whatever_clients_do_a_key_has_one_holder_where_io_has_threads() {
    play(|server| server.config("io-threads", "2").config("io-threads-do-reads", "yes"));
}
