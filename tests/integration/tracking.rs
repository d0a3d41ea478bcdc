//! Client-side caching: what a client has read by `CACHE.PEEK` under
//! `CLIENT TRACKING` is taken back when it changes or goes.

use crate::handmade;
use crate::revalidation::not_modified;
use crate::scene::{BODY, Scene};
use crate::support::client::bytes_of;
use crate::support::{Client, Reply, Value};

/// A client that tracks what it reads.
fn tracking(scene: &Scene) -> Client {
    let mut client = scene.server.client().resp3();
    client.ok(&["CLIENT", "TRACKING", "ON"]);
    client
}

/// Asserts that an invalidation of this key comes next.
fn invalidated(client: &mut Client, key: &str) {
    let Ok(Value::Push { data, .. }) = client.reply() else {
        panic!("no invalidation came");
    };
    let Some(Value::Array(names)) = data.last() else {
        panic!("it names no keys: {data:?}");
    };
    let names: Vec<_> = names.iter().cloned().map(bytes_of).collect();
    assert_eq!(names, [key.as_bytes()]);
}

#[test]
fn a_download_invalidates_what_was_read() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url]);
    let mut client = tracking(&scene);
    client.text(&["CACHE.PEEK", &url]);
    scene.client.text(&["CACHE.GET", &url, "60", "10", "REFRESH"]);
    invalidated(&mut client, &url);
}

#[test]
fn a_first_download_invalidates_that_there_was_nothing() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let mut client = tracking(&scene);
    client.null(&["CACHE.PEEK", &url]);
    scene.client.text(&["CACHE.GET", &url]);
    invalidated(&mut client, &url);
}

#[test]
fn a_304_invalidates_what_was_read() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", not_modified());
    handmade::fresh("old").header("etag", "\"v1\"").put(&mut scene.client, &url);
    let mut client = tracking(&scene);
    client.text(&["CACHE.PEEK", &url]);
    scene.client.text(&["CACHE.GET", &url, "60", "10", "REFRESH"]);
    invalidated(&mut client, &url);
}

#[test]
fn a_refresh_behind_a_stale_hit_invalidates_what_was_read() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    handmade::stale("old").put(&mut scene.client, &url);
    let mut client = tracking(&scene);
    assert_eq!(client.text(&["CACHE.PEEK", &url, "STALE", "3600"]), "old");
    scene.client.text(&["CACHE.GET", &url, "60", "10", "STALE", "3600"]);
    invalidated(&mut client, &url);
}

#[test]
fn del_and_cache_del_invalidate_what_was_read() {
    for command in ["DEL", "CACHE.DEL"] {
        let mut scene = Scene::new();
        handmade::fresh("old").put(&mut scene.client, "http://a/");
        let mut client = tracking(&scene);
        client.text(&["CACHE.PEEK", "http://a/"]);
        scene.client.int(&[command, "http://a/"]);
        invalidated(&mut client, "http://a/");
    }
}

#[test]
fn its_expiry_invalidates_what_was_read() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let mut client = tracking(&scene);
    client.null(&["CACHE.PEEK", &url]);
    scene.client.text(&["CACHE.GET", &url, "0.3"]);
    invalidated(&mut client, &url);
    client.text(&["CACHE.PEEK", &url]);
    invalidated(&mut client, &url);
    client.null(&["CACHE.PEEK", &url]);
}

#[test]
fn hits_invalidate_nothing() {
    let mut scene = Scene::new();
    handmade::fresh("old").put(&mut scene.client, "http://a/");
    let mut client = tracking(&scene);
    client.text(&["CACHE.PEEK", "http://a/"]);
    for command in ["CACHE.GET", "CACHE.FETCH", "CACHE.PEEK"] {
        scene.client.call(&[command, "http://a/"]).unwrap();
    }
    scene.client.call(&["CACHE.MGET", "1", "http://a/"]).unwrap();
    assert_eq!(client.text(&["PING"]), "PONG", "something else came first");
}

/// The server tracks the keys that stand in the command; a variant's does
/// not, so nothing but the module can tell who has read it.
#[test]
fn a_changed_variant_invalidates_the_url_it_was_read_by() {
    for change in [&["CACHE.GET", "60", "10", "REFRESH"][..], &["CACHE.DEL"]] {
        let mut scene = Scene::new();
        let url = scene.serve("/a", Reply::ok(BODY));
        let variant = ["HEADER", "Accept", "a"];
        scene.client.text(&[&["CACHE.GET", &url], &variant[..]].concat());
        let mut client = tracking(&scene);
        client.text(&[&["CACHE.PEEK", &url], &variant[..]].concat());
        let change = [&[change[0], url.as_str()], &change[1..], &variant].concat();
        scene.client.call(&change).unwrap();
        client.send(&["PING"]);
        invalidated(&mut client, &url);
    }
}

#[test]
fn a_client_that_tracks_by_prefix_hears_of_variants() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let mut client = scene.server.client().resp3();
    client.ok(&["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "cache:variant:"]);
    scene.client.text(&["CACHE.GET", &url, "60", "10", "HEADER", "Accept", "a"]);
    let keys = scene.client.array(&["KEYS", "cache:variant:*"]);
    invalidated(&mut client, std::str::from_utf8(&bytes_of(keys[0].clone())).unwrap());
}
