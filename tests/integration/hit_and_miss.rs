//! The main job: a miss downloads and stores, a hit answers from the cache.

use crate::scene::{BODY, Scene};
use crate::support::{Reply, Value, until};

#[test]
fn a_miss_downloads_and_a_hit_does_not() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    for _ in 0..3 {
        assert_eq!(scene.client.text(&["CACHE.GET", &url, "60", "10"]), BODY);
    }
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn resp3_clients_get_the_same_replies() {
    let scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let mut client = scene.server.client().resp3();
    client.null(&["CACHE.PEEK", &url]);
    assert_eq!(client.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(client.text(&["CACHE.GET", &url]), BODY);
}

#[test]
fn an_expired_entry_is_downloaded_again() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok("old"));
    assert_eq!(scene.client.text(&["CACHE.GET", &url, "0.05"]), "old");
    scene.until_expired(&url);
    scene.origin.on("/a", Reply::ok("new"));
    assert_eq!(scene.client.text(&["CACHE.GET", &url, "60"]), "new");
    assert_eq!(scene.origin.hits("/a"), 2);
}

#[test]
fn peek_answers_what_is_there_and_never_downloads() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.null(&["CACHE.PEEK", &url]);
    scene.client.text(&["CACHE.GET", &url]);
    assert_eq!(scene.client.text(&["CACHE.PEEK", &url]), BODY);
    scene.client.null(&["CACHE.PEEK", "no url at all"]);
    assert_eq!(scene.origin.total(), 1);
    assert_eq!(scene.server.gauge("cache_downloads"), 1);
}

#[test]
fn peek_joins_no_flight() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    scene.client.null(&["CACHE.PEEK", &flight.url]);
    assert_eq!(scene.server.gauge("cache_waiters"), 1);
    flight.land();
}

#[test]
fn a_replica_answers_peek_and_refuses_get() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url]);
    scene.client.ok(&["REPLICAOF", "127.0.0.1", "1"]);
    assert_eq!(scene.client.text(&["CACHE.PEEK", &url]), BODY);
    assert!(scene.client.error(&["CACHE.GET", &url]).starts_with("READONLY "));
}

#[test]
fn peek_is_tracked_for_client_side_caching() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url]);
    let mut tracked = scene.server.client().resp3();
    tracked.ok(&["CLIENT", "TRACKING", "ON"]);
    tracked.text(&["CACHE.PEEK", &url]);
    scene.client.int(&["DEL", &url]);
    let push = tracked.reply().expect("no invalidation came");
    assert!(matches!(push, Value::Push { .. }), "{push:?}");
}

#[test]
fn a_hit_does_not_disturb_who_watches_the_key_and_a_landing_does() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url]);
    let mut watcher = scene.server.client();
    let mut exec_after = |meanwhile: &[&str]| {
        watcher.ok(&["WATCH", &url]);
        assert_eq!(scene.client.text(meanwhile), BODY);
        watcher.ok(&["MULTI"]);
        watcher.text(&["PING"]);
        watcher.call(&["EXEC"]).unwrap()
    };
    let undisturbed = Value::Array(vec![Value::SimpleString("PONG".into())]);
    assert_eq!(exec_after(&["CACHE.GET", &url]), undisturbed);
    assert_eq!(exec_after(&["CACHE.PEEK", &url]), undisturbed);
    scene.server.client().int(&["DEL", &url]);
    assert_eq!(exec_after(&["CACHE.GET", &url]), Value::Nil);
}

#[test]
fn calls_in_one_pipeline_are_answered_in_order() {
    let mut scene = Scene::new();
    let urls: Vec<_> =
        (0..20).map(|n| scene.serve(&format!("/{n}"), Reply::ok(n.to_string()))).collect();
    for url in &urls {
        scene.client.send(&["CACHE.GET", url]);
        scene.client.send(&["PING"]);
    }
    for n in 0..urls.len() {
        assert_eq!(scene.client.reply_bytes(), n.to_string().as_bytes());
        assert_eq!(scene.client.reply_bytes(), b"PONG");
    }
}

#[test]
fn a_deleted_entry_is_downloaded_again() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url]);
    assert_eq!(scene.client.int(&["DEL", &url]), 1);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(scene.origin.hits("/a"), 2);
}

#[test]
fn the_landing_is_announced_as_a_set() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.ok(&["CONFIG", "SET", "notify-keyspace-events", "K$"]);
    let mut listener = scene.server.client();
    listener.send(&["SUBSCRIBE", &format!("__keyspace@0__:{url}")]);
    listener.reply().unwrap();
    scene.client.text(&["CACHE.GET", &url]);
    let message = format!("{:?}", listener.reply().unwrap());
    let set = format!("{:?}", Value::BulkString(b"set".to_vec()));
    assert!(message.contains(&set), "{message}");
    until("the air to be empty", || scene.origin.in_the_air() == 0);
}
