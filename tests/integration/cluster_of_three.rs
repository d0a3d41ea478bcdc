//! Three masters with replicas, and clients as applications have them: each URL is fetched once in the whole
//! cluster, by the master that has its slot.

use std::thread;

use redis::cluster::ClusterConnection;

use crate::cluster_nodes::{Nodes, moved};
use crate::support::until::until_equal;
use crate::support::{Gate, Origin, Reply, Server, Value, until};

/// Asks by a cluster's own client.
fn get(client: &mut ClusterConnection, url: &str) -> redis::RedisResult<String> {
    redis::cmd("CACHE.GET").arg(url).arg(3600).arg(15).query(client)
}

/// The master that has a key's slot.
fn owner<'a>(nodes: &'a Nodes, key: &str) -> &'a Server {
    let has = |node: &&Server| node.client().call(&["CACHE.PEEK", key]).is_ok();
    nodes.masters.iter().find(has).expect("nobody has the slot")
}

#[test]
fn each_url_is_fetched_once_in_the_whole_cluster() {
    const URLS: usize = 60;
    let (nodes, origin) = (Nodes::start(3, true), Origin::start());
    let gate = Gate::closed();
    let held = gate.clone();
    origin.otherwise(move |request| Reply::ok(&request.path).gate(&held));
    let ask_for_all = |start: usize| {
        let mut client = nodes.client();
        for n in (0..URLS).map(|n| (n + start) % URLS) {
            let body = get(&mut client, &origin.url(&format!("/{n}")));
            assert_eq!(body.unwrap(), format!("/{n}"));
        }
    };
    thread::scope(|scope| {
        for start in [0, 0, 0, 0, 20, 40] {
            scope.spawn(move || ask_for_all(start));
        }
        let waiting = || nodes.masters.iter().map(|node| node.gauge("cache_waiters")).sum::<u64>();
        until("everyone to wait", || waiting() == 6);
        gate.open();
    });
    assert_eq!(origin.total(), URLS as u64, "something was fetched twice");
    let downloads = nodes.masters.iter().map(|node| node.gauge("cache_downloads"));
    let downloads: Vec<_> = downloads.collect();
    assert_eq!(downloads.iter().sum::<u64>(), URLS as u64);
    assert!(downloads.iter().all(|&count| count > 0), "a master was idle: {downloads:?}");
    strangers_are_sent_to_the_owner(&nodes, &origin.url("/0"));
    whoever_computes_is_sent_to_the_owner(&nodes);
}

fn strangers_are_sent_to_the_owner(nodes: &Nodes, url: &str) {
    let owner = owner(nodes, url);
    let at = nodes.masters.iter().position(|node| node.port() == owner.port()).unwrap();
    let others = nodes.all().filter(|node| node.port() != owner.port());
    for node in others {
        let mut client = node.client();
        let moved = moved(&mut client, url, owner);
        for call in [
            &["CACHE.GET", url][..],
            &["CACHE.FETCH", url],
            &["CACHE.MGET", "1", url],
            &["CACHE.PEEK", url],
            &["CACHE.DEL", url],
            &["CACHE.LEASE", url],
            &["CACHE.FILL", url, "a token", "a value"],
            &["CACHE.RELEASE", url, "a token"],
        ] {
            assert_eq!(client.error(call), moved, "{call:?}");
        }
    }
    let mut client = nodes.replicas[at].client();
    let moved = moved(&mut client, url, owner);
    client.ok(&["READONLY"]);
    let body = Ok(Value::BulkString("/0".into()));
    until_equal("what the replica has", &body, || client.call(&["CACHE.PEEK", url]));
    assert_eq!(client.error(&["CACHE.GET", url]), moved);
    assert_eq!(client.error(&["CACHE.LEASE", url]), moved);
}

fn whoever_computes_is_sent_to_the_owner(nodes: &Nodes) {
    let mut client = nodes.client();
    for n in 0..10 {
        let key = format!("value:{n}");
        let given: Vec<String> = redis::cmd("CACHE.LEASE").arg(&key).query(&mut client).unwrap();
        let mut fill = redis::cmd("CACHE.FILL");
        fill.arg(&key).arg(&given[1]).arg(n).exec(&mut client).unwrap();
        let filled: Vec<String> = redis::cmd("CACHE.LEASE").arg(&key).query(&mut client).unwrap();
        assert_eq!(filled, ["value", &n.to_string()]);
    }
}
