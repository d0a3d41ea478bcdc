//! How `CACHE.MGET` waits: one client, one patience, many flights, and all
//! the ways in which the wait can end.

use crate::mget::{bulk, call, hold_each};
use crate::scene::{BODY, Scene};
use crate::support::{Client, Gate, Reply, Value};

/// The elements of the array that answers a call sent before.
fn array(client: &mut Client) -> Vec<Value> {
    match client.reply() {
        Ok(Value::Array(places)) => places,
        other => panic!("wanted an array, got {other:?}"),
    }
}

#[test]
fn all_are_in_the_air_at_once_and_one_client_waits() {
    let scene = Scene::new();
    let gate = Gate::closed();
    let urls = hold_each(&scene, 50, &gate);
    let mut client = scene.server.client();
    client.send(&call("50", &urls, &["60", "0"]));
    scene.origin.until_in_the_air(50);
    assert_eq!(scene.server.gauge("blocked_clients"), 1);
    gate.open();
    let wanted: Vec<_> = (0..50).map(|n| bulk(n.to_string())).collect();
    assert_eq!(array(&mut client), wanted);
    assert_eq!(scene.server.gauge("blocked_clients"), 0);
}

#[test]
fn it_joins_flights_in_the_air_and_others_join_its_own() {
    let scene = Scene::new();
    let mut flight = scene.take_off("/a");
    let (other, gate) = scene.hold("/b");
    let mut client = scene.server.client();
    client.send(&["CACHE.MGET", "2", &flight.url, &other, "60", "0"]);
    scene.server.until_gauge("cache_waiters", 3);
    let mut joiner = scene.waiters(&other, 1).remove(0);
    flight.land();
    gate.open();
    assert_eq!(array(&mut client), [bulk(BODY), bulk(BODY)]);
    assert_eq!(joiner.reply_bytes(), BODY.as_bytes());
    assert_eq!(scene.origin.total(), 2);
}

#[test]
fn what_comes_too_late_is_null_in_its_place_and_found_later() {
    let mut scene = Scene::new();
    let gate = Gate::closed();
    let slow = hold_each(&scene, 2, &gate);
    let warm = scene.serve("/warm", Reply::ok(BODY));
    let dead = scene.serve("/dead", Reply::status(404, "Not Found"));
    scene.client.text(&["CACHE.GET", &warm]);
    let urls = [slow[0].clone(), warm, slow[1].clone(), slow[0].clone(), dead];
    let places = scene.client.array(&call("5", &urls, &["60", "0.5"]));
    assert_eq!(places[..4], [Value::Nil, bulk(BODY), Value::Nil, Value::Nil]);
    assert!(matches!(places[4], Value::ServerError(_)), "{:?}", places[4]);
    assert_eq!(scene.server.gauge("cache_waiters"), 0);
    gate.open();
    scene.until_all_landed();
    let places = scene.client.array(&call("2", &slow, &["60", "0"]));
    assert_eq!(places, [bulk("0"), bulk("1")]);
    assert_eq!(scene.origin.hits("/0") + scene.origin.hits("/1"), 2);
}

#[test]
fn who_hangs_up_leaves_all_flights_and_they_land() {
    let mut scene = Scene::new();
    let gate = Gate::closed();
    let urls = hold_each(&scene, 5, &gate);
    let mut client = scene.server.client();
    client.send(&call("5", &urls, &["60", "0"]));
    scene.server.until_gauge("cache_waiters", 5);
    drop(client);
    scene.server.until_gauge("cache_waiters", 0);
    scene.server.until_gauge("blocked_clients", 0);
    gate.open();
    scene.until_all_landed();
    for (n, url) in urls.iter().enumerate() {
        assert_eq!(scene.client.text(&["CACHE.PEEK", url]), n.to_string());
    }
}

#[test]
fn client_unblock_ends_the_wait_for_all_with_null_or_an_error() {
    let mut scene = Scene::new();
    if scene.server.excepts_io_threads("CLIENT UNBLOCK answers 0") {
        return;
    }
    let gate = Gate::closed();
    let urls = hold_each(&scene, 3, &gate);
    let mut client = scene.server.client();
    let id = client.id();
    for (how, wanted) in [
        ("TIMEOUT", Ok(Value::Nil)),
        ("ERROR", Err("UNBLOCKED client unblocked via CLIENT UNBLOCK".to_owned())),
    ] {
        client.send(&call("3", &urls, &["60", "0"]));
        scene.server.until_gauge("cache_waiters", 3);
        assert_eq!(scene.client.int(&["CLIENT", "UNBLOCK", &id, how]), 1);
        assert_eq!(client.reply(), wanted);
        scene.server.until_gauge("cache_waiters", 0);
    }
    gate.open();
    scene.until_all_landed();
    let places = client.array(&call("3", &urls, &["60", "0"]));
    assert_eq!(places, ["0", "1", "2"].map(bulk));
    assert_eq!(scene.origin.total(), 3);
}

/// Unblocks who waits for several while their flights land: each gets one
/// reply, null or all bodies, and is good for another command.
#[test]
fn unblocking_around_the_landings_loses_no_reply() {
    let scene = Scene::new();
    for round in 0..10 {
        let gate = Gate::closed();
        let paths = [0, 1, 2].map(|n| format!("/{round}/{n}"));
        let urls = paths.map(|path| scene.serve(&path, Reply::ok(BODY).gate(&gate)));
        let mut waiters = scene.server.clients(32);
        let ids: Vec<_> = waiters.iter_mut().map(Client::id).collect();
        for waiter in &mut waiters {
            waiter.send(&call("3", &urls, &["60", "0"]));
        }
        scene.server.until_gauge("cache_waiters", 96);
        scene.origin.until_in_the_air(3);
        gate.open();
        let mut unblocker = scene.server.client();
        for id in &ids {
            unblocker.int(&["CLIENT", "UNBLOCK", id, "TIMEOUT"]);
        }
        let all = Value::Array(vec![bulk(BODY); 3]);
        for waiter in &mut waiters {
            let reply = waiter.reply().expect("neither null nor the bodies");
            assert!(reply == Value::Nil || reply == all, "{reply:?}");
            assert_eq!(waiter.text(&["PING"]), "PONG");
        }
        scene.until_all_landed();
        assert_eq!(scene.server.gauge("cache_waiters"), 0);
    }
}

#[test]
fn a_demotion_ends_the_wait_and_the_server_lives() {
    let mut scene = Scene::new();
    let gate = Gate::closed();
    let urls = hold_each(&scene, 3, &gate);
    let mut client = scene.server.client();
    client.send(&call("3", &urls, &["60", "0"]));
    scene.server.until_gauge("cache_waiters", 3);
    scene.client.ok(&["REPLICAOF", "127.0.0.1", "1"]);
    assert!(client.reply().is_err());
    scene.server.until_gauge("cache_waiters", 0);
    gate.open();
    scene.until_all_landed();
    scene.client.ok(&["REPLICAOF", "NO", "ONE"]);
    assert!(urls.iter().all(|url| !scene.exists(url)));
    scene.still_works();
}

#[test]
fn what_finds_no_room_in_the_queue_is_overloaded_in_its_place() {
    let scene = Scene::with(|server| {
        server.config("cache.max-downloads", "1").config("cache.max-queued-downloads", "1")
    });
    let gate = Gate::closed();
    let urls = hold_each(&scene, 4, &gate);
    let mut client = scene.server.client();
    client.send(&call("4", &urls, &["60", "0"]));
    scene.origin.until_in_the_air(1);
    gate.open();
    let places = array(&mut client);
    assert_eq!(places[..2], [bulk("0"), bulk("1")]);
    for place in &places[2..] {
        let Value::ServerError(error) = place else { panic!("{place:?}") };
        assert_eq!(error.code(), "OVERLOADED");
    }
    assert_eq!(scene.server.gauge("cache_failed_overloaded"), 2);
}

#[test]
fn del_during_its_flights_answers_it_and_stores_nothing() {
    let mut scene = Scene::new();
    let gate = Gate::closed();
    let urls = hold_each(&scene, 2, &gate);
    let mut client = scene.server.client();
    client.send(&call("2", &urls, &["60", "0"]));
    scene.server.until_gauge("cache_waiters", 2);
    scene.client.int(&["CACHE.DEL", &urls[0]]);
    gate.open();
    assert_eq!(array(&mut client), [bulk("0"), bulk("1")]);
    assert!(!scene.exists(&urls[0]) && scene.exists(&urls[1]));
}

const REPLIES: &str = "OVERLOADED too many clients wait for too large a body";

/// A call for a 1 MiB hit, `count` times, and for what is in the air.
fn beside_a_slow_one(scene: &mut Scene, count: usize, slow: &str) -> (Vec<String>, Gate) {
    let large = scene.serve("/large", Reply::ok(vec![b'x'; 1 << 20]));
    scene.client.bytes(&["CACHE.GET", &large]);
    let (slow, gate) = scene.hold(slow);
    let mut urls = vec![large; count];
    urls.push(slow);
    let count = urls.len().to_string();
    let words = call(&count, &urls, &["60", "0"]);
    (words.into_iter().map(str::to_owned).collect(), gate)
}

/// How many places have the large body; those behind them are refused, and the last has what was waited for.
fn large_ones(places: &[Value]) -> usize {
    let (last, others) = places.split_last().unwrap();
    assert_eq!(*last, bulk(BODY));
    let count = others.iter().take_while(|place| **place != refused()).count();
    let is_large = |place: &Value| matches!(place, Value::BulkString(b) if b.len() == 1 << 20);
    assert!(others[..count].iter().all(is_large));
    assert!(others[count..].iter().all(|place| *place == refused()));
    count
}

fn refused() -> Value {
    let mut parser = redis::Parser::new();
    parser.parse_value(format!("-{REPLIES}\r\n").as_bytes()).unwrap()
}

#[test]
fn hits_beside_a_slow_url_are_copied_once_and_no_more_than_fit() {
    let mut scene = Scene::with(|server| server.config("cache.max-reply-memory", "10mb"));
    let (call, gate) = beside_a_slow_one(&mut scene, 500, "/slow");
    let before = scene.server.gauge("used_memory");
    scene.client.send(&call);
    scene.server.until_gauge("cache_waiters", 1);
    let grown = scene.server.gauge("used_memory").saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes are held for one body"); // one copy, not five hundred
    gate.open();
    let places = array(&mut scene.client);
    assert_eq!(large_ones(&places), 10);
    assert_eq!(scene.server.gauge("cache_failed_overloaded"), 490);
}

#[test]
fn many_calls_beside_slow_urls_have_the_bound_together_and_the_first_is_answered() {
    let mut scene = Scene::with(|server| server.config("cache.max-reply-memory", "1"));
    let mut clients = scene.server.clients(5);
    let mut gates = Vec::new();
    for (client, wanted) in clients.iter_mut().zip(1..) {
        let (call, gate) = beside_a_slow_one(&mut scene, 1, &format!("/slow{wanted}"));
        client.send(&call);
        scene.server.until_gauge("cache_waiters", wanted);
        gates.push(gate);
    }
    gates.iter().for_each(Gate::open);
    let counts: Vec<_> = clients.iter_mut().map(|client| large_ones(&array(client))).collect();
    assert_eq!(counts, [1, 0, 0, 0, 0]);
}

#[test]
fn a_call_that_need_not_wait_is_under_no_such_bound() {
    let mut scene = Scene::with(|server| server.config("cache.max-reply-memory", "1"));
    let large = scene.serve("/large", Reply::ok(vec![b'x'; 1 << 20]));
    scene.client.bytes(&["CACHE.GET", &large]);
    let (slow, gate) = scene.hold("/slow");
    let urls = [large.clone(), large, slow];
    let places = scene.client.array(&call("3", &urls, &["NOWAIT"]));
    assert_eq!(places[2], Value::Nil);
    let is_large = |place: &Value| matches!(place, Value::BulkString(b) if b.len() == 1 << 20);
    assert!(places[..2].iter().all(is_large));
    gate.open();
    scene.until_all_landed();
}
