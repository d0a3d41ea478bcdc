//! A server that is killed in the middle of its work and comes back: what a client was told is stored, is
//! there, and nobody waits for what was in the air.
//!
//! The log is synced before each answer (`appendfsync always`). `CACHE_GET_KILLS` says how many times the
//! server is killed; as a rule it is 50 times.

use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::failover::all_who_can_wait;
use crate::fleet::lease;
use crate::scene::{BODY, Scene};
use crate::support::client::bytes_of;
use crate::support::until::PATIENCE;
use crate::support::{Client, Reply, Value, until};

/// How often the server is killed where the environment does not say.
const KILLS: usize = 50;
/// Clients that ask at once.
const CLIENTS: usize = 6;
/// So many of a client's calls are answered, at most, before the server is killed: it differs by round.
const CALLS: usize = 12;
/// A body too large to be answered where it lands.
const LARGE: usize = 80 * 1024;

fn kills() -> usize {
    env::var("CACHE_GET_KILLS").map_or(KILLS, |text| text.parse().expect("CACHE_GET_KILLS"))
}

/// What the origin answers at a path, and holders of leases compute for a key: its last letter says how long
/// it is.
fn body_of(path: &str) -> Vec<u8> {
    let size = if path.ends_with("large") { LARGE } else { path.len() };
    path.bytes().cycle().take(size).collect()
}

/// A key that a client was told is stored, and the path by which `body_of` knows its value.
type Stored = (String, String);

/// One client's calls until the server is gone; tells the keys that it was told are stored.
struct Caller<'a> {
    client: Client,
    origin: &'a str,
    stored: Vec<Stored>,
    answered: &'a AtomicUsize,
}

impl Caller<'_> {
    /// A call for each kind of flight in turn: alone and shared, small and large, downloaded and computed.
    fn call_until_killed(mut self, round: usize, me: usize) -> Vec<Stored> {
        for call in 0.. {
            let size = if call % 3 == 0 { "large" } else { "small" };
            let mine = format!("/{round}/{me}/{call}/{size}");
            let shared = format!("/{round}/all/{call}/{size}");
            let done = match (call + me) % 4 {
                0 => self.get(&mine),
                1 => self.fill(&mine),
                2 => self.get_both(&mine, &format!("/{round}/both/{call}/small")),
                _ => self.get(&shared),
            };
            if done.is_none() {
                break;
            }
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        self.stored
    }

    fn get(&mut self, path: &str) -> Option<()> {
        let url = format!("{}{path}", self.origin);
        let body = self.call(&["CACHE.GET", &url, "3600", "0"])?;
        assert_eq!(bytes_of(body), body_of(path));
        self.stored.push((url, path.to_owned()));
        Some(())
    }

    fn get_both(&mut self, one: &str, other: &str) -> Option<()> {
        let urls = [one, other].map(|path| format!("{}{path}", self.origin));
        let bodies = self.call(&["CACHE.MGET", "2", &urls[0], &urls[1], "3600", "0"])?;
        assert_eq!(
            bodies,
            Value::Array([one, other].map(|p| Value::BulkString(body_of(p))).into())
        );
        self.stored.extend(urls.into_iter().zip([one, other].map(str::to_owned)));
        Some(())
    }

    fn fill(&mut self, path: &str) -> Option<()> {
        let key = &format!("value:{path}");
        let Value::Array(lease) = self.call(&["CACHE.LEASE", key, "0"])? else {
            panic!("no lease of {key}");
        };
        let token = lease.into_iter().nth(1).map(bytes_of).unwrap();
        let value = body_of(path);
        let told = self.call(&[b"CACHE.FILL", key.as_bytes(), &token, &value, b"3600"])?;
        assert_eq!(told, Value::Okay);
        self.stored.push((key.to_owned(), path.to_owned()));
        Some(())
    }

    /// The reply; none if there is none. Any other error is a failure.
    fn call(&mut self, args: &[impl AsRef<[u8]>]) -> Option<Value> {
        self.client.try_send(args).ok()?;
        match self.client.reply() {
            Ok(value) => Some(value),
            Err(end) if end.starts_with("no reply") => None,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Has clients call until the server is killed, after this many answers; tells what they were told is stored.
fn kill_under_load(scene: &mut Scene, round: usize) -> Vec<Stored> {
    let origin = scene.origin.url("");
    let origin = &*origin;
    let enough = 1 + (round * 17) % (CLIENTS * CALLS);
    let answered = AtomicUsize::new(0);
    let callers: Vec<_> = scene.server.clients(CLIENTS).into_iter().enumerate().collect();
    thread::scope(|scope| {
        let calls: Vec<_> = callers
            .into_iter()
            .map(|(me, client)| {
                let answered = &answered;
                let caller = Caller { client, origin, stored: vec![], answered };
                scope.spawn(move || caller.call_until_killed(round, me))
            })
            .collect();
        if round.is_multiple_of(5) {
            scene.server.call(&["BGREWRITEAOF"]).expect("no rewrite");
        }
        until("enough answers", || answered.load(Ordering::Relaxed) >= enough);
        scene.server.kill9();
        let killed = Instant::now();
        let stored = calls.into_iter().flat_map(|call| call.join().expect("a caller failed"));
        let stored = stored.collect();
        assert!(killed.elapsed() < PATIENCE / 2, "somebody waits for a server that is gone");
        stored
    })
}

/// Asserts that each of these is stored as its client was told.
fn all_there(scene: &Scene, stored: &[Stored]) {
    let mut client = scene.server.client();
    for (key, path) in stored {
        let found = client.call(&["CACHE.PEEK", key]);
        let found = if key.starts_with("http") { found } else { client.call(&["GET", key]) };
        let wanted = Value::BulkString(body_of(path));
        assert!(found == Ok(wanted), "{key} was lost, which its client had been told is stored");
    }
}

#[test]
fn what_a_client_was_told_is_stored_outlives_every_kill() {
    let mut scene =
        Scene::with(|server| server.config("appendonly", "yes").config("appendfsync", "always"));
    if scene
        .server
        .excepts_io_threads("a kill may lose what was answered, a plain SET's too (Redis 8)")
    {
        return;
    }
    scene.origin.otherwise(|request| Reply::ok(body_of(&request.path)));
    let mut stored = vec![];
    for round in 0..kills() {
        let told = kill_under_load(&mut scene, round);
        scene.server.restart();
        all_there(&scene, &told);
        assert_eq!(scene.server.gauge("cache_flights"), 0);
        stored.extend(told);
    }
    all_there(&scene, &stored);
    scene.still_works();
}

#[test]
fn lock_keys_that_a_rewritten_log_holds_block_nobody_after_a_kill() {
    let mut scene =
        Scene::with(|server| server.config("appendonly", "yes").config("appendfsync", "always"));
    let (url, gate) = scene.hold("/a");
    let _waiters = scene.waiters(&url, 3);
    let old = lease(&mut scene.client, "value", &["0", "TTL", "3600", "TIED"]);
    scene.server.call(&["BGREWRITEAOF"]).expect("no rewrite");
    scene.server.until_log("Background AOF rewrite finished successfully");
    scene.server.restart();
    scene.client = scene.server.client();
    for key in [&url, "value"] {
        assert!(
            scene.exists(&crate::scene::lock_key(key)),
            "no lock key was kept: what is tested?"
        );
    }
    gate.open();
    assert_eq!(scene.client.text(&["CACHE.GET", &url, "60", "0"]), BODY);
    let new = lease(&mut scene.client, "value", &["0"]);
    let late = scene.client.error(&["CACHE.FILL", "value", &old, "the old holder's"]);
    assert!(late.starts_with("LEASELOST "), "{late}");
    scene.client.ok(&["CACHE.FILL", "value", &new, "the new holder's"]);
    assert_eq!(scene.client.int(&["DBSIZE"]), 2);
}

#[test]
fn waiters_of_every_kind_learn_at_once_that_their_server_is_gone() {
    let mut scene = Scene::new();
    let flight = scene.take_off("/a");
    let (waiters, _) = all_who_can_wait(&mut scene, &flight);
    scene.server.kill9();
    for mut waiter in waiters {
        let end = waiter.reply_error();
        assert!(end.starts_with("no reply"), "{end}");
    }
}
