//! A cluster's master is lost with flights in the air, or gives its place to its replica.

use redis::cluster::ClusterConnection;

use crate::cluster_nodes::{Nodes, until_cluster_info};
use crate::fleet::{is_unblocked, lease, until_linked, until_role};
use crate::scene::BODY;
use crate::support::{Client, Gate, Origin, Reply, Server, Value, until};

/// A cluster whose first master has an entry, a flight in the air, a lease, and clients that wait for both.
struct Scene {
    nodes: Nodes,
    origin: Origin,
    client: ClusterConnection,
    entry: String,
    in_the_air: String,
    gate: Gate,
    /// The key of the lease, which lies in the slot of the flight.
    leased: String,
    token: String,
    waiters: Vec<Client>,
}

/// As an application asks, which is sent here and there, and patient.
fn get(client: &mut ClusterConnection, url: &str) -> String {
    redis::cmd("CACHE.GET").arg(url).arg(3600).arg(15).query(client).expect("no answer")
}

impl Scene {
    fn new() -> Self {
        let (nodes, origin, gate) = (Nodes::start(3, true), Origin::start(), Gate::closed());
        let [entry, in_the_air] =
            ["/entry", "/in-the-air"].map(|path| nodes.url_of_the_first(&origin, path).0);
        origin.on("/entry", Reply::ok(BODY));
        origin.on("/in-the-air", Reply::ok(BODY).gate(&gate));
        let mut client = nodes.client();
        assert_eq!(get(&mut client, &entry), BODY);
        let mut reader = nodes.replicas[0].client();
        reader.ok(&["READONLY"]);
        let stored = Ok(Value::BulkString(BODY.into()));
        until("the entry to be replicated", || reader.call(&["CACHE.PEEK", &entry]) == stored);
        let master = &nodes.masters[0];
        let leased = format!("value:{{{in_the_air}}}");
        let token = lease(&mut master.client(), &leased, &["0", "TTL", "3600"]);
        let calls = [
            &["CACHE.GET", &in_the_air, "60", "0"][..],
            &["CACHE.FETCH", &in_the_air, "60", "0"],
            &["CACHE.MGET", "1", &in_the_air, "60", "0"],
            &["CACHE.LEASE", &leased, "0"],
        ];
        let mut waiters = master.clients(calls.len());
        for (waiter, call) in waiters.iter_mut().zip(calls) {
            waiter.send(call);
        }
        master.until_gauge("cache_waiters", calls.len() as u64);
        origin.until_hits("/in-the-air", 1);
        Self { nodes, origin, client, entry, in_the_air, gate, leased, token, waiters }
    }

    /// Asserts that the replica goes on where its master has stopped.
    fn goes_on(&mut self) {
        self.origin.on("/in-the-air", Reply::ok("the new master's"));
        assert_eq!(get(&mut self.client, &self.entry), BODY);
        assert_eq!(self.origin.hits("/entry"), 1, "the entry was fetched again");
        assert_eq!(get(&mut self.client, &self.in_the_air), "the new master's");
        assert_eq!(self.origin.hits("/in-the-air"), 2);
        let mut fill = redis::cmd("CACHE.FILL");
        let late = fill.arg(&self.leased).arg(&self.token).arg("late").exec(&mut self.client);
        assert_eq!(late.unwrap_err().code(), Some("LEASELOST"));
        let lease: Vec<String> =
            redis::cmd("CACHE.LEASE").arg(&self.leased).query(&mut self.client).unwrap();
        assert_eq!(lease[0], "lease");
        let mut fill = redis::cmd("CACHE.FILL");
        fill.arg(&self.leased).arg(&lease[1]).arg("in time").exec(&mut self.client).unwrap();
    }

    fn first(&self) -> (&Server, &Server) {
        (&self.nodes.masters[0], &self.nodes.replicas[0])
    }
}

#[test]
fn a_master_killed_during_flights_is_replaced_by_its_replica() {
    let mut scene = Scene::new();
    scene.nodes.masters[0].kill9();
    for waiter in &mut scene.waiters {
        assert!(waiter.reply_error().starts_with("no reply"));
    }
    until_role(&scene.nodes.replicas[0], "master");
    for node in scene.nodes.all().skip(1) {
        until_cluster_info(node, "cluster_state:ok");
    }
    scene.client = scene.nodes.client();
    scene.goes_on();
}

#[test]
fn a_master_that_gives_its_place_away_lets_go_of_all_who_wait_and_writes_nothing() {
    let mut scene = Scene::new();
    let hangs_up = !scene.nodes.masters[0].is_valkey_since(9, 1);
    scene.nodes.replicas[0].client().ok(&["CLUSTER", "FAILOVER"]);
    for waiter in &mut scene.waiters {
        let error = waiter.reply_error();
        if hangs_up {
            assert!(is_unblocked(&error), "{error}");
        } else {
            assert!(error.starts_with("TRYAGAIN "), "{error}");
            assert!(waiter.error(&["CACHE.GET", &scene.in_the_air]).starts_with("MOVED "));
        }
    }
    let (old, new) = scene.first();
    until_role(new, "master");
    until_role(old, "slave");
    scene.goes_on();
    scene.gate.open();
    let (old, new) = scene.first();
    old.until_gauge("cache_not_stored_replica", 1);
    until_linked(old);
    let mut reader = old.client();
    reader.ok(&["READONLY"]);
    let stored = Ok(Value::BulkString("the new master's".into()));
    until("the old master to follow", || reader.call(&["CACHE.PEEK", &scene.in_the_air]) == stored);
    assert_eq!(new.client().text(&["CACHE.PEEK", &scene.in_the_air]), "the new master's");
}
