//! Leases where a client may not be blocked, a transaction or a script; and what a fill tells those who
//! watch, track and listen.

use crate::handmade::now;
use crate::leasing::{Answer, LOST, Leasing, at_rest, locked, queue, waiting};
use crate::scene::{BODY, Scene};
use crate::support::client::{bytes_of, line};
use crate::support::{Client, Reply, Value, until};

const SCRIPT: &str = "return redis.call(unpack(ARGV))";

/// Runs a command in a transaction of its own.
fn in_a_transaction(client: &mut Client, call: &[&str]) -> Result<Value, String> {
    client.ok(&["MULTI"]);
    assert_eq!(client.text(call), "QUEUED");
    match client.array(&["EXEC"]).remove(0) {
        Value::ServerError(error) => Err(line(&error)),
        reply => Ok(reply),
    }
}

/// Runs a command in a script.
fn in_a_script(client: &mut Client, call: &[&str]) -> Result<Value, String> {
    client.call(&[&["EVAL", SCRIPT, "1", call[1]], call].concat())
}

type Way = fn(&mut Client, &[&str]) -> Result<Value, String>;

const WAYS: [Way; 2] = [in_a_transaction, in_a_script];

#[test]
fn there_a_lease_is_given_a_value_answered_and_no_wait_begun() {
    for way in WAYS {
        let mut scene = Scene::new();
        let mut lease = |call: &[&str]| {
            let call = [&["CACHE.LEASE"], call].concat();
            Answer::of(way(&mut scene.client, &call).unwrap())
        };
        let token = lease(&["key", "0"]).token();
        assert_eq!(lease(&["key", "0"]), Answer::Null);
        scene.server.client().fill("key", &token, "value");
        assert_eq!(lease(&["key", "0"]), Answer::value("value"));
        crate::handmade::stale("old").put(&mut scene.server.client(), "stale");
        let token = lease(&["stale", "0", "STALE"]).token();
        assert_eq!(lease(&["stale", "0", "STALE"]), Answer::stale("old"));
        assert_eq!(lease(&["stale", "0"]), Answer::Null);
        waiting(&scene, 0);
        scene.client.release("stale", &token);
        at_rest(&scene);
    }
}

#[test]
fn there_a_lease_is_filled_with_any_size_and_all_who_wait_have_the_value() {
    for way in WAYS {
        let mut scene = Scene::new();
        for size in [0, 10, 70_000, 10 << 20] {
            for count in [0, 1, 20] {
                let value = "v".repeat(size);
                let token = scene.client.token(&["key"]);
                let waiters = queue(&scene.server, &["key", "0"], count);
                let fill = ["CACHE.FILL", "key", &token, &value];
                assert_eq!(way(&mut scene.client, &fill), Ok(Value::Okay));
                for mut waiter in waiters {
                    assert!(waiter.answer() == Answer::value(&value));
                }
                assert_eq!(way(&mut scene.client, &fill), Ok(Value::Okay));
                assert!(scene.client.text(&["GET", "key"]) == value);
                scene.client.int(&["DEL", "key"]);
            }
        }
        at_rest(&scene);
    }
}

#[test]
fn there_a_lease_is_given_up_and_what_fails_is_told() {
    for way in WAYS {
        let mut scene = Scene::new();
        let token = scene.client.token(&["key"]);
        let mut waiter = queue(&scene.server, &["key", "0"], 1).remove(0);
        let release = ["CACHE.RELEASE", "key", &token];
        assert_eq!(way(&mut scene.client, &release), Ok(Value::Okay));
        let next = waiter.answer().token();
        for call in [&release[..], &["CACHE.FILL", "key", &token, "value"]] {
            let error = way(&mut scene.client, call).unwrap_err();
            assert!(error.starts_with(LOST), "{error}");
        }
        let error = way(&mut scene.client, &["CACHE.LEASE", "key", "-1"]).unwrap_err();
        assert!(error.starts_with("ERR timeout is negative"), "{error}");
        scene.client.release("key", &next);
        at_rest(&scene);
    }
}

#[test]
fn tied_is_refused_in_a_script_and_holds_in_a_transaction() {
    let mut scene = Scene::new();
    let error = in_a_script(&mut scene.client, &["CACHE.LEASE", "key", "TIED"]).unwrap_err();
    assert!(error.starts_with("ERR TIED needs a connection, and a script has none"), "{error}");
    assert_eq!(scene.server.gauge("cache_flights"), 0);
    let mut holder = scene.server.client();
    let answer = in_a_transaction(&mut holder, &["CACHE.LEASE", "key", "0", "TIED"]).unwrap();
    let token = Answer::of(answer).token();
    let mut waiter = queue(&scene.server, &["key", "0"], 1).remove(0);
    drop(holder);
    let next = waiter.answer().token();
    scene.client.has_lost("key", &token);
    scene.client.fill("key", &next, "value");
    at_rest(&scene);
}

#[test]
fn a_whole_life_fits_into_one_script_and_one_transaction() {
    let mut scene = Scene::new();
    let script = "local lease = redis.call('CACHE.LEASE', KEYS[1]) \
                  redis.call('CACHE.FILL', KEYS[1], lease[2], 'made in Lua', 60) \
                  redis.call('CACHE.DEL', KEYS[1]) \
                  lease = redis.call('CACHE.LEASE', KEYS[1]) \
                  redis.call('CACHE.FILL', KEYS[1], lease[2], 'made again', 60) \
                  return redis.call('CACHE.LEASE', KEYS[1])";
    let answer = scene.client.call(&["EVAL", script, "1", "key"]).unwrap();
    assert_eq!(Answer::of(answer), Answer::value("made again"));
    scene.client.int(&["DEL", "key"]);
    let token = scene.client.token(&["key"]);
    scene.client.ok(&["MULTI"]);
    for call in
        [&["CACHE.FILL", "key", &token, "value"][..], &["CACHE.LEASE", "key"], &["FLUSHALL"]]
    {
        assert_eq!(scene.client.text(call), "QUEUED");
    }
    let replies = scene.client.array(&["EXEC"]);
    assert_eq!(Answer::of(replies[1].clone()), Answer::value("value"));
    assert!(!scene.exists("key"));
    at_rest(&scene);
}

#[test]
fn a_flush_in_the_fills_own_transaction_voids_it() {
    let mut scene = Scene::new();
    let token = scene.client.token(&["key"]);
    let mut waiter = queue(&scene.server, &["key", "0"], 1).remove(0);
    scene.client.ok(&["MULTI"]);
    for call in
        [&["FLUSHALL"][..], &["CACHE.FILL", "key", &token, "value"], &["CACHE.LEASE", "key"]]
    {
        assert_eq!(scene.client.text(call), "QUEUED");
    }
    let replies = scene.client.array(&["EXEC"]);
    assert!(matches!(&replies[1], Value::ServerError(error) if error.code() == "LEASELOST"));
    assert_eq!(waiter.answer(), Answer::value("value"));
    let token = Answer::of(replies[2].clone()).token();
    locked(&scene, "key", &token);
    scene.client.fill("key", &token, "new");
    at_rest(&scene);
}

#[test]
fn a_lease_that_runs_out_during_a_busy_script_is_passed_on_when_it_ends() {
    let mut scene = Scene::with(|server| server.config("lua-time-limit", "10"));
    let begun = now();
    let token = scene.client.token(&["key", "TTL", "1"]);
    let mut waiter = queue(&scene.server, &["key", "0", "TTL", "60"], 1).remove(0);
    let mut busy = scene.server.client();
    busy.send(&["EVAL", "while true do end", "0"]);
    until("the server to be busy", || {
        scene.client.call(&["PING"]).is_err_and(|error| error.starts_with("BUSY "))
    });
    assert!(scene.client.error(&["CACHE.FILL", "key", &token, "value"]).starts_with("BUSY "));
    until("the lease's time to be over", || now() > begun + 1000);
    scene.client.ok(&["SCRIPT", "KILL"]);
    busy.reply_error();
    let next = waiter.answer().token();
    scene.client.has_lost("key", &token);
    scene.client.fill("key", &next, "value");
    at_rest(&scene);
}

#[test]
fn a_fill_breaks_a_watch_and_a_lease_does_not() {
    let mut scene = Scene::new();
    let watch = |scene: &mut Scene, act: &dyn Fn(&mut Client)| {
        let mut watcher = scene.server.client();
        watcher.ok(&["WATCH", "key"]);
        act(&mut scene.client);
        scene.until_all_landed();
        watcher.ok(&["MULTI"]);
        assert_eq!(watcher.text(&["PING"]), "QUEUED");
        watcher.call(&["EXEC"]).unwrap()
    };
    let kept = watch(&mut scene, &|client| {
        let token = client.token(&["key"]);
        client.release("key", &token);
    });
    assert!(matches!(kept, Value::Array(_)), "{kept:?}");
    let broken = watch(&mut scene, &|client| {
        let token = client.token(&["key"]);
        client.fill("key", &token, "value");
    });
    assert_eq!(broken, Value::Nil);
    let kept = watch(&mut scene, &|client| {
        assert_eq!(client.lease(&["key"]), Answer::value("value"));
    });
    assert!(matches!(kept, Value::Array(_)), "{kept:?}");
    at_rest(&scene);
}

#[test]
fn a_fill_invalidates_what_was_read() {
    for command in ["GET", "CACHE.PEEK"] {
        for size in [10, 1 << 20] {
            let mut scene = Scene::new();
            let mut reader = scene.server.client().resp3();
            reader.ok(&["CLIENT", "TRACKING", "ON"]);
            reader.null(&[command, "key"]);
            let token = scene.client.token(&["key"]);
            scene.client.fill("key", &token, "v".repeat(size));
            let Ok(Value::Push { data, .. }) = reader.reply() else { panic!("no invalidation") };
            let names = Value::Array(vec![Value::BulkString(b"key".to_vec())]);
            assert_eq!(data.last(), Some(&names), "{command}");
            at_rest(&scene);
        }
    }
}

/// The events of the class `d` that are told while this is done, each as `database event key`.
fn heard(scene: &mut Scene, act: impl FnOnce(&mut Scene)) -> Vec<String> {
    scene.client.ok(&["CONFIG", "SET", "notify-keyspace-events", "Ed"]);
    let mut listener = scene.server.client();
    listener.send(&["PSUBSCRIBE", "__keyevent@*__:cache.*"]);
    listener.reply().unwrap();
    act(scene);
    scene.until_all_landed();
    scene.client.int(&["PUBLISH", "__keyevent@0__:cache.fence", ""]);
    let mut events = Vec::new();
    loop {
        let Ok(Value::Array(parts)) = listener.reply() else { panic!("no message") };
        let [channel, key] =
            [2, 3].map(|at: usize| String::from_utf8(bytes_of(parts[at].clone())).unwrap());
        let (db, event) = channel["__keyevent@".len()..].split_once("__:").unwrap();
        if event == "cache.fence" {
            return events;
        }
        events.push(format!("{db} {event} {key}"));
    }
}

#[test]
fn leases_fills_and_losses_are_events() {
    let mut scene = Scene::new();
    let filled = heard(&mut scene, |scene| {
        let token = scene.client.token(&["key"]);
        let _waiters = queue(&scene.server, &["key", "0"], 3);
        scene.client.fill("key", &token, "value");
        scene.client.fill("key", &token, "value");
        scene.client.lease(&["key"]);
    });
    assert_eq!(filled, ["0 cache.lease key", "0 cache.store key"]);
    let passed_on = heard(&mut scene, |scene| {
        scene.client.ok(&["SELECT", "5"]);
        let token = scene.client.token(&["key"]);
        let mut waiter = scene.server.client();
        waiter.ok(&["SELECT", "5"]);
        waiter.ask(&["key", "0", "TIED"]);
        scene.server.until_gauge("cache_waiters", 1);
        scene.client.release("key", &token);
        waiter.answer().token();
        drop(waiter);
        scene.until_all_landed();
        scene.client.token(&["key", "TTL", "0.01"]);
        scene.until_all_landed();
    });
    let round = ["5 cache.lease key", "5 cache.release key"];
    assert_eq!(passed_on, [round, round, round].concat());
    let void = heard(&mut scene, |scene| {
        let token = scene.client.token(&["key"]);
        scene.client.ok(&["FLUSHALL"]);
        assert_eq!(scene.client.error(&["CACHE.FILL", "key", &token, "value"]), LOST);
    });
    assert_eq!(void, round);
    at_rest(&scene);
}

#[test]
fn a_download_that_takes_over_is_told_as_a_release_and_a_store() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let events = heard(&mut scene, |scene| {
        let token = scene.client.token(&[&url]);
        let mut waiter = scene.waiters(&url, 1).remove(0);
        scene.client.release(&url, &token);
        assert_eq!(waiter.reply_bytes(), BODY.as_bytes());
    });
    let wanted = ["lease", "release", "store"].map(|event| format!("0 cache.{event} {url}"));
    assert_eq!(events, wanted);
    at_rest(&scene);
}
