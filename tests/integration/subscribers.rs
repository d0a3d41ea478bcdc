//! Clients that have subscribed to something and speak RESP3, which lets them call anything. Valkey 8.1 and newer
//! block no such client; there it is answered at once, as in MULTI.

use crate::fleet::lease;
use crate::handmade;
use crate::scene::{BODY, Scene};
use crate::support::client::bytes_of;
use crate::support::{Client, Reply, Value};

const SUBSCRIPTIONS: [&str; 3] = ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"];

fn subscriber(scene: &Scene, how: &str) -> Client {
    let mut client = scene.server.client().resp3();
    let confirmed = client.call(&[how, "channel"]).expect("no subscription");
    assert!(matches!(confirmed, Value::Push { .. }), "{confirmed:?}");
    client
}

#[test]
fn a_subscriber_that_cannot_be_blocked_is_answered_null_and_the_download_goes_on() {
    for how in SUBSCRIPTIONS {
        let scene = Scene::new();
        let may_block = !scene.server.is_valkey_since(8, 1);
        let mut client = subscriber(&scene, how);
        for (command, null) in [
            (&["CACHE.GET"][..], Value::Nil),
            (&["CACHE.FETCH"], Value::Nil),
            (&["CACHE.MGET", "1"], Value::Array(vec![Value::Nil])),
        ] {
            let path = format!("/{}", command[0]);
            let (url, gate) = scene.hold(&path);
            client.send(&[command, &[&url, "60", "0"]].concat());
            if may_block {
                scene.server.until_gauge("cache_waiters", 1);
                gate.open();
                assert_ne!(client.reply(), Ok(null), "{how}, {command:?}");
            } else {
                assert_eq!(client.reply(), Ok(null), "{how}, {command:?}");
                assert_eq!(scene.server.gauge("cache_waiters"), 0);
                gate.open();
            }
            scene.until_body(&url, BODY);
            assert_eq!(client.text(&["CACHE.GET", &url]), BODY);
            assert_eq!(scene.origin.hits(&path), 1);
        }
    }
}

#[test]
fn a_subscriber_that_joins_a_flight_leaves_the_others_alone() {
    let mut scene = Scene::new();
    let may_block = !scene.server.is_valkey_since(8, 1);
    let mut flight = scene.take_off("/a");
    let mut client = subscriber(&scene, "SUBSCRIBE");
    client.send(&["CACHE.GET", &flight.url, "60", "0"]);
    if may_block {
        scene.server.until_gauge("cache_waiters", 2);
    } else {
        client.reply_null();
        assert_eq!(scene.server.gauge("cache_waiters"), 1);
    }
    flight.land();
    if may_block {
        assert_eq!(client.reply_bytes(), BODY.as_bytes());
    }
    assert_eq!(client.text(&["CACHE.GET", &flight.url]), BODY);
    assert_eq!(scene.client.int(&["PUBLISH", "channel", "message"]), 1);
    assert!(matches!(client.reply(), Ok(Value::Push { .. })));
}

#[test]
fn a_subscriber_leases_waits_and_fills_values_of_any_size() {
    let mut scene = Scene::new();
    let may_block = !scene.server.is_valkey_since(8, 1);
    let mut client = subscriber(&scene, "SUBSCRIBE");
    let mut others = scene.server.client();
    for (key, size) in [("small", 10), ("large", 300_000)] {
        let value = "v".repeat(size);
        let token = lease(&mut client, key, &[]);
        others.send(&["CACHE.LEASE", key, "0"]);
        scene.server.until_gauge("cache_waiters", 1);
        client.ok(&["CACHE.FILL", key, &token, &value]);
        let Ok(Value::Array(told)) = others.reply() else { panic!("no answer") };
        assert!(bytes_of(told[1].clone()) == value.as_bytes());
    }
    let token = lease(&mut scene.client, "key", &[]);
    client.send(&["CACHE.LEASE", "key", "0"]);
    if may_block {
        scene.server.until_gauge("cache_waiters", 1);
    } else {
        client.reply_null();
    }
    scene.client.ok(&["CACHE.FILL", "key", &token, "value"]);
    if may_block {
        assert!(matches!(client.reply(), Ok(Value::Array(_))));
    }
    let told = client.array(&["CACHE.LEASE", "key"]);
    assert_eq!(told[1], Value::BulkString("value".into()));
}

#[test]
fn a_subscriber_sees_a_crowd_of_flights() {
    const MANY: usize = 70;
    let mut scene = Scene::new();
    for n in 0..MANY {
        lease(&mut scene.client, &format!("key:{n}"), &[]);
    }
    let mut client = subscriber(&scene, "SUBSCRIBE");
    assert_eq!(client.array(&["CACHE.FLIGHTS"]).len(), MANY);
}

#[test]
fn a_subscriber_is_served_a_stale_entry_while_one_refresh_runs() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok("new"));
    handmade::stale("old").put(&mut scene.client, &url);
    let mut client = subscriber(&scene, "SUBSCRIBE");
    assert_eq!(client.text(&["CACHE.GET", &url, "60", "0", "STALE", "3600"]), "old");
    scene.until_body(&url, "new");
    assert_eq!(client.text(&["CACHE.GET", &url]), "new");
}
