//! After the storm: everything is back where it began.

use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

use super::storm::Storm;
use crate::support::{Client, Server, Value, until, until::until_equal};

/// How much more memory may be in use after the storm than before it, the module loaded. What remains is
/// bounded, and known: the tokens that have filled of late (65536 at most), the keys whose refresh has failed
/// (some thousands), the HTTP client's tables, Redis's script cache and client buffers.
const MORE_WHILE_LOADED: u64 = 4 << 20;

/// The same once the module is gone: then all that remains is Redis's own.
const MORE_WHEN_GONE: u64 = 1 << 20;

/// The server before the storm.
pub struct Before {
    memory: u64,
    threads: usize,
}

impl Before {
    pub fn of(server: &Server) -> Self {
        // On a connection of its own: the storm may close it, but not that which comes after the storm.
        let info = server.client().text(&["INFO", "memory"]);
        let memory = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        let memory = memory.and_then(|bytes| bytes.parse().ok()).expect("no used_memory in INFO");
        Self { memory, threads: threads(server) }
    }
}

/// Checks that all is calm, then unloads the module, loads it, and sees it work.
pub fn check(storm: &Storm, server: &Server, before: &Before) {
    storm.origin.calm_down();
    for gauge in ["cache_flights", "cache_waiters", "cache_leases_held", "cache_queued"] {
        server.until_gauge(gauge, 0);
    }
    let mut client = server.client();
    until_equal("the lock keys", &Vec::<String>::new(), || lock_keys(&mut client));
    storm.origin.hang_up();
    server.until_gauge("cache_threads", 0);
    client.ok(&["FLUSHALL"]);
    client.ok(&["SCRIPT", "FLUSH"]);
    until_memory("with the module loaded", server, before.memory + MORE_WHILE_LOADED);

    unload_is_refused_in_flight(storm, server);
    until("the module to be unloaded", || client.call(&["MODULE", "UNLOAD", "cache"]).is_ok());
    until("the threads to be gone", || threads(server) <= before.threads);
    client.ok(&["FLUSHALL"]);
    until_memory("with the module gone", server, before.memory + MORE_WHEN_GONE);

    let library = server.so();
    let open =
        ["CONFIG", "cache.allowed-networks", "127.0.0.0/8", "CONFIG", "cache.allowed-ports", ""];
    client.ok(&[&["MODULE", "LOADEX", &library], &open[..]].concat());
    let url = storm.origin.url("/0/afterwards");
    assert!(!client.bytes(&["CACHE.GET", &url]).is_empty());
    let log = server.log();
    for word in ["panic", "REDIS BUG REPORT", "VALKEY BUG REPORT", "ASSERTION"] {
        assert!(!log.contains(word), "the log has {word:?}:\n{log}");
    }
}

fn until_memory(when: &str, server: &Server, most: u64) {
    let mut seen = 0;
    for _ in 0..100 {
        seen = server.gauge("used_memory");
        if seen <= most {
            eprintln!("chaos: {when} {seen} bytes of memory are in use, and at most {most} may be");
            return;
        }
        thread::sleep(Duration::from_millis(200));
    }
    panic!("{when} {seen} bytes of memory are in use, at most {most} may be");
}

/// The lock keys of all databases.
fn lock_keys(client: &mut Client) -> Vec<String> {
    let mut found = Vec::new();
    for db in 0..16 {
        client.ok(&["SELECT", &db.to_string()]);
        for key in client.array(&["KEYS", "cache:lock:*"]) {
            if let Value::BulkString(name) = key {
                found.push(format!("{db}: {}", String::from_utf8_lossy(&name)));
            }
        }
    }
    client.ok(&["SELECT", "0"]);
    found
}

/// A lease is a flight like any other, and can be held in the air for certain.
fn unload_is_refused_in_flight(storm: &Storm, server: &Server) {
    let mut client = server.client();
    let lease = client.array(&["CACHE.LEASE", "held", "0", "TTL", "60", "TIED"]);
    assert_eq!(lease.len(), 2, "{lease:?}");
    let refused = client.call(&["MODULE", "UNLOAD", "cache"]);
    assert!(refused.is_err(), "unloaded with a flight in the air");
    drop(client);
    server.until_gauge("cache_flights", 0);
    storm.ledger.count("unloads refused");
}

/// How many threads the server has. Those of its allocator are left out: they come as they like, and stay.
fn threads(server: &Server) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid()));
    let name = |task: io::Result<fs::DirEntry>| fs::read_to_string(task?.path().join("comm"));
    let names = tasks.into_iter().flatten().filter_map(|task| name(task).ok());
    names.filter(|name| !name.starts_with("jemalloc")).count()
}
