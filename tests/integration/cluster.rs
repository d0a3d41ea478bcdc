//! In a cluster: what belongs together lies in one slot, and who spans slots
//! is told so.

use std::net::{Ipv4Addr, TcpListener};

use crate::scene::{BODY, Scene};
use crate::support::server::Builder;
use crate::support::{Reply, Value, until};

/// With cluster mode on. The bus gets a port of its own: the usual one, ten
/// thousand above the server's, may not exist.
pub fn clustered(builder: Builder) -> Builder {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    builder.config("cluster-enabled", "yes").config("cluster-port", &port)
}

/// A cluster of one node, which has all slots.
fn cluster() -> Scene {
    let mut scene = Scene::with(clustered);
    scene.client.ok(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let mut client = scene.server.client();
    until("the cluster", || client.text(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
    scene
}

#[test]
fn mget_across_slots_is_refused() {
    let mut scene = cluster();
    let [one, other] = ["/a", "/b"].map(|path| scene.serve(path, Reply::ok(path)));
    let error = scene.client.error(&["CACHE.MGET", "2", &one, &other, "60", "10"]);
    assert!(error.starts_with("CROSSSLOT "), "{error}");
    assert_eq!(scene.origin.total(), 0);
}

#[test]
fn mget_spans_urls_that_a_tag_in_the_fragment_joins() {
    let mut scene = cluster();
    let [one, other] = ["/a", "/b"].map(|path| scene.serve(path, Reply::ok(path)) + "#{page1}");
    let wanted = ["/a", "/b"].map(|path| Value::BulkString(path.into()));
    for _ in ["misses", "hits"] {
        let bodies = scene.client.array(&["CACHE.MGET", "2", &one, &other, "60", "10"]);
        assert_eq!(bodies, wanted);
    }
    assert!(scene.origin.requests().iter().all(|asked| !asked.path.contains('#')));
    assert_eq!(scene.origin.total(), 2);
}

#[test]
fn a_url_whose_slot_nobody_serves_is_refused() {
    let mut scene = cluster();
    let url = scene.serve("/a", Reply::ok(BODY));
    let slot = scene.client.int(&["CLUSTER", "KEYSLOT", &url]).to_string();
    scene.client.ok(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    scene.client.ok(&["CLUSTER", "DELSLOTS", &slot]);
    for call in [
        &["CACHE.GET", &url][..],
        &["CACHE.FETCH", &url],
        &["CACHE.PEEK", &url],
        &["CACHE.DEL", &url],
        &["CACHE.MGET", "1", &url],
        &["CACHE.MGET", "2", &url, &url],
    ] {
        let reply = scene.client.call(call);
        assert_eq!(reply, Err("CLUSTERDOWN Hash slot not served".to_owned()), "{call:?}");
    }
    assert_eq!(scene.origin.total(), 0);
}

#[test]
fn variants_and_their_flights_work_in_the_slot_of_their_url() {
    let mut scene = cluster();
    for path in ["/a", "/b#{tag}"] {
        scene.origin.otherwise(|_| Reply::ok(BODY));
        let url = scene.origin.url(path);
        let variant = ["HEADER", "Accept", "a"];
        let get = [&["CACHE.GET", &url, "60", "10"], &variant[..]].concat();
        assert_eq!(scene.client.text(&get), BODY);
        assert_eq!(scene.client.text(&[&["CACHE.PEEK", &url], &variant[..]].concat()), BODY);
        assert_eq!(scene.client.int(&[&["CACHE.DEL", &url], &variant[..]].concat()), 1);
    }
    assert_eq!(scene.server.gauge("cache_not_stored_refused"), 0);
    assert_eq!(scene.client.int(&["DBSIZE"]), 0);
}
