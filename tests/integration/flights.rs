//! The lock key: a mark of what is in the air, by which nothing is decided.

use crate::scene::{BODY, Scene, lock_key};
use crate::support::Reply;

#[test]
fn the_lock_key_is_there_during_the_flight_and_gone_after() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    let lock = lock_key(&flight.url);
    assert!(!scene.client.bytes(&["GET", &lock]).is_empty());
    let left = scene.client.int(&["PTTL", &lock]);
    assert!((1..=31_000).contains(&left), "{left}");
    assert_eq!(scene.client.int(&["DBSIZE"]), 1);
    flight.land();
    assert!(!scene.exists(&lock));
    assert_eq!(scene.client.int(&["DBSIZE"]), 1);
}

#[test]
fn the_lock_key_keeps_the_hash_tag_of_the_url() {
    let mut scene = Scene::new();
    let (url, gate) = scene.hold("/a");
    let tagged = format!("{url}#{{page1}}");
    scene.client.send(&["CACHE.GET", &tagged, "60", "0"]);
    scene.origin.until_hits("/a", 1);
    assert!(scene.exists(&format!("cache:lock:{tagged}")));
    gate.open();
    assert_eq!(scene.client.reply_bytes(), BODY.as_bytes());
    assert!(!scene.exists(&format!("cache:lock:{tagged}")));
}

#[test]
fn each_flight_has_a_token_of_its_own() {
    let mut scene = Scene::new();
    let flights = ["/a", "/b", "/c"].map(|path| scene.take_off(path));
    let mut tokens = flights
        .iter()
        .map(|flight| scene.client.bytes(&["GET", &lock_key(&flight.url)]))
        .collect::<Vec<_>>();
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), flights.len());
}

#[test]
fn deleting_the_lock_key_changes_nothing() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    assert_eq!(scene.client.int(&["DEL", &lock_key(&flight.url)]), 1);
    let mut joiner = scene.waiters(&flight.url, 1).remove(0);
    flight.land();
    assert_eq!(joiner.reply_bytes(), BODY.as_bytes());
    assert_eq!(scene.client.text(&["CACHE.GET", &flight.url]), BODY);
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn overwriting_the_lock_key_changes_nothing_and_what_is_there_then_stays() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    let lock = lock_key(&flight.url);
    scene.client.ok(&["SET", &lock, "somebody else's"]);
    let mut joiner = scene.waiters(&flight.url, 1).remove(0);
    flight.land();
    assert_eq!(joiner.reply_bytes(), BODY.as_bytes());
    assert_eq!(scene.client.text(&["CACHE.GET", &flight.url]), BODY);
    assert_eq!(scene.client.text(&["GET", &lock]), "somebody else's");
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn a_lock_key_left_over_is_taken_over() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.ok(&["SET", &lock_key(&url), "left over, without an expiry"]);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert!(!scene.exists(&lock_key(&url)));
}

#[test]
fn a_lock_key_of_the_wrong_type_is_no_obstacle() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.int(&["LPUSH", &lock_key(&url), "a list"]);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
}

#[test]
fn a_lock_key_from_before_a_restart_is_taken_over() {
    let mut scene = Scene::new();
    let flight = scene.take_off("/a");
    scene.client.ok(&["SAVE"]);
    scene.server.restart();
    scene.client = scene.server.client();
    assert!(scene.exists(&lock_key(&flight.url)), "the lock key was not saved: what is tested?");
    scene.origin.on("/a", Reply::ok(BODY));
    assert_eq!(scene.client.text(&["CACHE.GET", &flight.url]), BODY);
    assert!(!scene.exists(&lock_key(&flight.url)));
    assert_eq!(scene.origin.hits("/a"), 2);
}

#[test]
fn deleting_the_entry_during_the_flight_does_not_void_it() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    scene.client.int(&["DEL", &flight.url]);
    flight.land();
    assert_eq!(scene.client.text(&["CACHE.PEEK", &flight.url]), BODY);
}

#[test]
fn flights_and_lock_keys_work_in_a_cluster() {
    let mut scene = Scene::with(|server| server.config("cluster-enabled", "yes"));
    scene.client.ok(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let ready = || scene.server.call(&["CLUSTER", "INFO"]).unwrap();
    crate::support::until("the cluster to be ready", || {
        format!("{:?}", ready()).contains("cluster_state:ok")
    });
    for fragment in ["", "#{page1}"] {
        let (plain, gate) = scene.hold(&format!("/{}", fragment.len()));
        let url = format!("{plain}{fragment}");
        let mut leader = scene.waiters(&url, 1).remove(0);
        let locks = scene.client.array(&["KEYS", "cache:lock:*"]);
        let lock = crate::support::client::bytes_of(locks[0].clone());
        let mut slot = |key: &[u8]| scene.client.int(&[b"CLUSTER".as_ref(), b"KEYSLOT", key]);
        assert_eq!(slot(&lock), slot(url.as_bytes()));
        gate.open();
        assert_eq!(leader.reply_bytes(), BODY.as_bytes());
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    }
}
