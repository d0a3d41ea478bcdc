//! Each database is a cache of its own: a client fills the one it selected.

use crate::scene::{BODY, Scene, lock_key};
use crate::support::Reply;

#[test]
fn a_client_gets_from_and_fills_the_database_it_selected() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let mut third = scene.server.client();
    third.ok(&["SELECT", "3"]);
    assert_eq!(third.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(third.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(third.int(&["DBSIZE"]), 1);
    assert_eq!(scene.client.int(&["DBSIZE"]), 0);
    scene.client.null(&["CACHE.PEEK", &url]);
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn the_same_url_in_two_databases_is_two_flights() {
    let mut scene = Scene::new();
    let (url, gate) = scene.hold("/a");
    let mut clients = scene.server.clients(4);
    for (client, db) in clients.iter_mut().zip(["0", "3", "0", "3"]) {
        client.ok(&["SELECT", db]);
        client.send(&["CACHE.GET", &url, "60", "0"]);
    }
    scene.server.until_gauge("cache_waiters", 4);
    scene.origin.until_hits("/a", 2);
    assert_eq!(scene.server.gauge("cache_flights"), 2);
    for db in ["0", "3"] {
        scene.client.ok(&["SELECT", db]);
        assert_eq!(scene.client.int(&["EXISTS", &lock_key(&url)]), 1, "db {db}");
    }
    gate.open();
    for mut client in clients {
        assert_eq!(client.reply_bytes(), BODY.as_bytes());
    }
    for db in ["0", "3"] {
        scene.client.ok(&["SELECT", db]);
        assert_eq!(scene.client.int(&["DBSIZE"]), 1, "db {db}");
        assert_eq!(scene.client.text(&["CACHE.PEEK", &url]), BODY, "db {db}");
    }
}
