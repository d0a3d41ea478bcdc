//! The module's keyspace events: what was stored, renewed, or failed; never
//! one for a hit.

use crate::handmade;
use crate::revalidation::not_modified;
use crate::scene::{BODY, Scene};
use crate::support::client::bytes_of;
use crate::support::{Client, Gate, Reply, Value};

/// What ends a look at the events.
const FENCE: &str = "__keyevent@0__:cache.fence";

/// A client that hears the module's events of every database.
fn listener(scene: &mut Scene) -> Client {
    scene.client.ok(&["CONFIG", "SET", "notify-keyspace-events", "Ed"]);
    let mut client = scene.server.client();
    client.send(&["PSUBSCRIBE", "__keyevent@*__:cache.*"]);
    client.reply().unwrap();
    client
}

/// The events since the last look, each as `database event key`.
fn heard(scene: &mut Scene, listener: &mut Client) -> Vec<String> {
    scene.until_all_landed();
    scene.client.int(&["PUBLISH", FENCE, ""]);
    let mut events = Vec::new();
    loop {
        let message = match listener.reply() {
            Ok(Value::Array(parts) | Value::Push { data: parts, .. }) => parts,
            other => panic!("wanted a message, got {other:?}"),
        };
        let [channel, key] = [2, 3].map(|at: usize| {
            // A push has its kind apart from its data.
            let at = at - (4 - message.len());
            String::from_utf8(bytes_of(message[at].clone())).unwrap()
        });
        if channel == FENCE {
            return events;
        }
        let (db, event) = channel["__keyevent@".len()..].split_once("__:").unwrap();
        events.push(format!("{db} {event} {key}"));
    }
}

#[test]
fn a_download_is_a_store_and_hits_are_nothing() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let mut listener = listener(&mut scene);
    scene.client.text(&["CACHE.GET", &url]);
    assert_eq!(heard(&mut scene, &mut listener), [format!("0 cache.store {url}")]);
    for _ in 0..10 {
        for command in ["CACHE.GET", "CACHE.FETCH", "CACHE.PEEK"] {
            scene.client.call(&[command, &url]).unwrap();
        }
        scene.client.call(&["CACHE.MGET", "1", &url]).unwrap();
    }
    assert_eq!(heard(&mut scene, &mut listener), [""; 0]);
}

#[test]
fn one_flight_is_one_event_however_many_wait() {
    let mut scene = Scene::new();
    let mut listener = listener(&mut scene);
    let mut flight = scene.take_off("/a");
    let mut waiters = scene.waiters(&flight.url, 20);
    flight.land();
    for waiter in &mut waiters {
        assert_eq!(waiter.reply_bytes(), BODY.as_bytes());
    }
    assert_eq!(heard(&mut scene, &mut listener), [format!("0 cache.store {}", flight.url)]);
}

#[test]
fn a_304_is_a_refresh_and_a_download_behind_a_stale_hit_a_store() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", not_modified());
    let mut listener = listener(&mut scene);
    handmade::stale("old").header("etag", "\"v1\"").put(&mut scene.client, &url);
    scene.client.text(&["CACHE.GET", &url, "60", "10", "STALE", "3600"]);
    assert_eq!(heard(&mut scene, &mut listener), [format!("0 cache.refresh {url}")]);
    scene.origin.on("/a", Reply::ok(BODY));
    handmade::stale("old").put(&mut scene.client, &url);
    scene.client.text(&["CACHE.GET", &url, "60", "10", "STALE", "3600"]);
    assert_eq!(heard(&mut scene, &mut listener), [format!("0 cache.store {url}")]);
    scene.client.text(&["CACHE.GET", &url, "60", "10", "STALE", "3600"]);
    assert_eq!(heard(&mut scene, &mut listener), [""; 0]);
}

#[test]
fn a_flight_that_fails_is_an_error_whether_or_not_something_was_there() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::status(404, "Not Found"));
    let mut listener = listener(&mut scene);
    scene.client.error(&["CACHE.GET", &url]);
    assert_eq!(heard(&mut scene, &mut listener), [format!("0 cache.error {url}")]);
    handmade::stale("old").put(&mut scene.client, &url);
    scene.client.error(&["CACHE.GET", &url]);
    assert_eq!(heard(&mut scene, &mut listener), [format!("0 cache.error {url}")]);
}

#[test]
fn an_event_names_the_database_and_the_variants_key() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let mut listener = listener(&mut scene);
    let mut client = scene.server.client();
    client.ok(&["SELECT", "5"]);
    client.text(&["CACHE.GET", &url]);
    assert_eq!(heard(&mut scene, &mut listener), [format!("5 cache.store {url}")]);
    scene.client.text(&["CACHE.GET", &url, "60", "10", "HEADER", "A", "1"]);
    let events = heard(&mut scene, &mut listener);
    let [event] = &events[..] else { panic!("{events:?}") };
    assert!(event.starts_with("0 cache.store cache:variant:"), "{event}");
    assert!(event.ends_with(&format!(":{{{url}}}")), "{event}");
}

#[test]
fn what_is_not_stored_is_no_event() {
    let mut scene = Scene::new();
    let mut listener = listener(&mut scene);
    let mut flight = scene.take_off("/a");
    scene.client.int(&["CACHE.DEL", &flight.url]);
    flight.land();
    let gate = Gate::closed();
    let url = scene.serve("/b", not_modified().gate(&gate));
    handmade::stale("old").header("etag", "\"v1\"").put(&mut scene.client, &url);
    let mut waits = scene.waiters(&url, 1).remove(0);
    scene.client.ok(&["CLIENT", "PAUSE", "100000", "WRITE"]);
    gate.open();
    waits.reply_bytes();
    scene.client.ok(&["CLIENT", "UNPAUSE"]);
    assert_eq!(heard(&mut scene, &mut listener), [""; 0]);
}

#[test]
fn who_did_not_ask_for_the_modules_class_hears_nothing_of_it() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let mut listener = listener(&mut scene);
    scene.client.ok(&["CONFIG", "SET", "notify-keyspace-events", "KEg$x"]);
    scene.client.text(&["CACHE.GET", &url]);
    assert_eq!(heard(&mut scene, &mut listener), [""; 0]);
}

#[test]
fn all_classes_together_tell_the_event_on_its_key() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.ok(&["CONFIG", "SET", "notify-keyspace-events", "KEA"]);
    let mut listener = scene.server.client();
    listener.send(&["SUBSCRIBE", &format!("__keyspace@0__:{url}")]);
    listener.reply().unwrap();
    scene.client.text(&["CACHE.GET", &url]);
    for wanted in ["set", "expire", "cache.store"] {
        let Ok(Value::Array(message)) = listener.reply() else { panic!("no message") };
        assert_eq!(message[2], Value::BulkString(wanted.into()));
    }
}
