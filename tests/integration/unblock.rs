//! `CLIENT UNBLOCK`, in the quiet of a flight and in the storm around a
//! landing, where old servers lose a reply or abort if a client is unblocked
//! twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::scene::{BODY, Scene};
use crate::support::client::bytes_of;
use crate::support::server::Builder;
use crate::support::{Client, Value};

/// Unblocks the second waiter of a flight, and asserts that it gets `reply`.
fn unblocks(how: &str, reply: &Result<Value, String>) {
    let mut scene = Scene::new();
    if scene.server.excepts_io_threads("CLIENT UNBLOCK answers 0") {
        return;
    }
    let mut flight = scene.take_off("/a");
    let mut waiter = scene.server.client();
    let id = waiter.id();
    waiter.send(&["CACHE.GET", &flight.url, "60", "0"]);
    scene.server.until_gauge("cache_waiters", 2);
    assert_eq!(scene.client.int(&["CLIENT", "UNBLOCK", &id, how]), 1);
    assert_eq!(waiter.reply(), *reply);
    assert_eq!(waiter.text(&["PING"]), "PONG");
    scene.server.until_gauge("cache_waiters", 1);
    flight.land();
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn unblocked_by_timeout_is_null() {
    unblocks("TIMEOUT", &Ok(Value::Nil));
}

#[test]
fn unblocked_by_error_is_an_error() {
    let error = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
    unblocks("ERROR", &Err(error.to_owned()));
}

/// Unblocks many waiters, several at a time, while their flight lands. Each
/// must get one reply, null or the body, and be good for another command.
fn storm(scene: &Scene, path: &str) {
    let (url, gate) = scene.hold(path);
    let mut waiters = scene.server.clients(64);
    let ids: Vec<_> = waiters.iter_mut().map(Client::id).collect();
    for waiter in &mut waiters {
        waiter.send(&["CACHE.GET", &url, "60", "0"]);
    }
    scene.server.until_gauge("cache_waiters", 64);
    scene.origin.until_hits(path, 1);
    gate.open();
    let mut unblockers = scene.server.clients(8);
    for some in ids.chunks(unblockers.len()) {
        for (unblocker, id) in unblockers.iter_mut().zip(some) {
            unblocker.send(&["CLIENT", "UNBLOCK", id, "TIMEOUT"]);
        }
        for unblocker in &mut unblockers {
            unblocker.reply().expect("CLIENT UNBLOCK fails");
        }
    }
    for waiter in &mut waiters {
        let reply = waiter.reply().expect("neither null nor a body");
        assert!([Value::Nil, Value::BulkString(BODY.into())].contains(&reply), "{reply:?}");
        assert_eq!(waiter.text(&["PING"]), "PONG");
    }
    scene.server.until_gauge("cache_waiters", 0);
}

#[test]
fn unblocking_around_the_landing_loses_no_reply() {
    let scene = Scene::new();
    for round in 0..10 {
        storm(&scene, &format!("/{round}"));
    }
    scene.still_works();
}

/// With threads for input and output a server runs commands in a place where
/// it otherwise runs none: between the event loop's timers and the service to
/// unblocked clients. They are only put to work when there is much to do.
#[test]
fn unblocking_around_the_landing_loses_no_reply_where_io_has_threads() {
    storms_where_io_has_threads(|server| server);
}

/// The same where nobody can tell that io has threads.
#[test]
fn unblocking_around_the_landing_loses_no_reply_where_config_is_hidden() {
    storms_where_io_has_threads(|server| server.hide("CONFIG"));
}

fn storms_where_io_has_threads(setup: impl FnOnce(Builder) -> Builder) {
    let scene = Scene::with(|server| {
        setup(server.config("io-threads", "2").config("io-threads-do-reads", "yes"))
    });
    let calm = AtomicBool::new(false);
    thread::scope(|scope| {
        let _calms_at_the_end = Calms(&calm);
        for _ in 0..2 {
            scope.spawn(|| make_noise(scene.server.clients(16), &calm));
        }
        for round in 0..20 {
            storm(&scene, &format!("/{round}"));
        }
    });
    scene.still_works();
}

fn make_noise(mut crowd: Vec<Client>, calm: &AtomicBool) {
    while !calm.load(Ordering::Relaxed) {
        let sent = crowd.iter_mut().all(|client| client.try_send(&["PING"]).is_ok());
        let answered = crowd.iter_mut().all(|client| client.reply().is_ok());
        if !(sent && answered) {
            return; // the server is gone, which the storm will tell
        }
    }
}

/// Ends the noise when the storm is over, however it ends.
struct Calms<'a>(&'a AtomicBool);

impl Drop for Calms<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Has one client lease a key and another wait for it, then runs a command of the holder's and the
/// unblocking of the waiter in one transaction, so that nothing comes between them.
fn in_one_breath(command: &[&str]) -> Option<(Scene, Client)> {
    let mut scene = Scene::new();
    if scene.server.excepts_io_threads("CLIENT UNBLOCK answers 0") {
        return None;
    }
    let lease = scene.client.array(&["CACHE.LEASE", "k"]);
    let token = String::from_utf8(bytes_of(lease[1].clone())).unwrap();
    let mut waiter = scene.server.client();
    let id = waiter.id();
    waiter.send(&["CACHE.LEASE", "k", "0"]);
    scene.server.until_gauge("cache_waiters", 1);
    let command = [&[command[0], "k", &token], &command[1..]].concat();
    scene.client.ok(&["MULTI"]);
    scene.client.call(&command).unwrap();
    scene.client.call(&["CLIENT", "UNBLOCK", &id]).unwrap();
    let replies = scene.client.array(&["EXEC"]);
    assert_eq!(replies, [Value::Okay, Value::Int(1)]);
    Some((scene, waiter))
}

#[test]
fn a_waiter_unblocked_right_behind_the_fill_gets_one_reply() {
    let Some((mut scene, mut waiter)) = in_one_breath(&["CACHE.FILL", "the value"]) else {
        return;
    };
    waiter.reply_null();
    assert_eq!(waiter.text(&["GET", "k"]), "the value");
    assert_eq!(scene.client.text(&["GET", "k"]), "the value");
}

#[test]
fn a_waiter_unblocked_right_behind_the_release_takes_no_lease_along() {
    let Some((mut scene, mut waiter)) = in_one_breath(&["CACHE.RELEASE"]) else {
        return;
    };
    waiter.reply_null();
    scene.until_all_landed();
    assert_eq!(waiter.text(&["PING"]), "PONG");
    let lease = scene.client.array(&["CACHE.LEASE", "k", "0.001"]);
    assert_eq!(bytes_of(lease[0].clone()), b"lease");
}
