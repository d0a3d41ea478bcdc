//! Where a client may not be blocked (a transaction, a script), a hit is
//! answered, and a miss is null at once while its download goes on.

use crate::scene::{BODY, Scene};
use crate::support::{Client, Reply, Value, until};

const SCRIPT: &str = "return redis.call(ARGV[1], KEYS[1])";

fn in_a_transaction(client: &mut Client, call: &[&str]) -> Value {
    client.ok(&["MULTI"]);
    assert_eq!(client.text(call), "QUEUED");
    client.array(&["EXEC"]).remove(0)
}

fn in_a_script(client: &mut Client, command: &str, url: &str) -> Result<Value, String> {
    client.call(&["EVAL", SCRIPT, "1", url, command])
}

#[test]
fn a_transaction_answers_hits_and_does_not_wait_for_misses() {
    let mut scene = Scene::new();
    let (url, gate) = scene.hold("/a");
    let call = ["CACHE.GET", &url, "60", "0"];
    assert_eq!(in_a_transaction(&mut scene.client, &call), Value::Nil);
    scene.origin.until_hits("/a", 1);
    assert_eq!(in_a_transaction(&mut scene.client, &call), Value::Nil);
    gate.open();
    scene.until_fresh(&url);
    let hit = Value::BulkString(BODY.into());
    assert_eq!(in_a_transaction(&mut scene.client, &call), hit);
    assert_eq!(in_a_transaction(&mut scene.client, &["CACHE.PEEK", &url]), hit);
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn a_transaction_joins_no_flight() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    assert_eq!(in_a_transaction(&mut scene.client, &["CACHE.GET", &flight.url]), Value::Nil);
    assert_eq!(scene.server.gauge("cache_waiters"), 1);
    flight.land();
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn a_script_answers_hits_and_does_not_wait_for_misses() {
    let mut scene = Scene::new();
    let (url, gate) = scene.hold("/a");
    let null = Ok(Value::Nil);
    assert_eq!(in_a_script(&mut scene.client, "CACHE.PEEK", &url), null);
    assert_eq!(in_a_script(&mut scene.client, "CACHE.GET", &url), null);
    scene.origin.until_hits("/a", 1);
    gate.open();
    scene.until_fresh(&url);
    let hit = Ok(Value::BulkString(BODY.into()));
    assert_eq!(in_a_script(&mut scene.client, "CACHE.GET", &url), hit);
    assert_eq!(in_a_script(&mut scene.client, "CACHE.PEEK", &url), hit);
    assert_eq!(scene.client.text(&["EVAL_RO", SCRIPT, "1", &url, "CACHE.PEEK"]), BODY);
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn errors_reach_transactions_and_scripts_too() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let reply = in_a_transaction(&mut scene.client, &["CACHE.GET", &url, "0"]);
    assert!(matches!(reply, Value::ServerError(_)), "{reply:?}");
    let error = in_a_script(&mut scene.client, "CACHE.GET", "no url").unwrap_err();
    assert!(error.starts_with("ERR invalid url: "), "{error}");
    assert_eq!(scene.origin.total(), 0);
}

#[test]
fn a_landing_waits_for_a_busy_script_to_end() {
    let mut scene = Scene::with(|server| server.config("lua-time-limit", "10"));
    let mut flight = scene.take_off("/a");
    let mut busy = scene.server.client();
    busy.send(&["EVAL", "while true do end", "0"]);
    until("the server to be busy", || {
        scene.client.call(&["PING"]).is_err_and(|error| error.starts_with("BUSY "))
    });
    flight.gate.open();
    scene.origin.until_in_the_air(0);
    assert!(scene.client.error(&["CACHE.GET", &flight.url]).starts_with("BUSY "));
    scene.client.ok(&["SCRIPT", "KILL"]);
    busy.reply_error();
    flight.land();
    assert_eq!(scene.client.text(&["CACHE.GET", &flight.url]), BODY);
    assert_eq!(scene.origin.hits("/a"), 1);
}
