//! A slot moves to another master while a flight is in the air: who waits gets the body, and nothing is
//! written where the slot is not.

use std::thread;

use crate::cluster_nodes::{Nodes, id, moved};
use crate::fleet::lease;
use crate::scene::{BODY, lock_key};
use crate::support::{Client, Gate, Origin, Reply, Server};

/// Two masters; a URL whose slot is the first's, behind a gate, and a key for leases in that slot.
struct Move {
    nodes: Nodes,
    origin: Origin,
    url: String,
    leased: String,
    slot: String,
    gate: Gate,
}

impl Move {
    fn new() -> Self {
        let (nodes, origin, gate) = (Nodes::start(2, false), Origin::start(), Gate::closed());
        let (url, slot) = nodes.url_of_the_first(&origin, "/a");
        origin.on("/a", Reply::ok(BODY).gate(&gate));
        let leased = format!("value:{{{url}}}");
        Self { nodes, origin, url, leased, slot, gate }
    }

    fn from(&self) -> &Server {
        &self.nodes.masters[0]
    }

    fn to(&self) -> &Server {
        &self.nodes.masters[1]
    }

    /// So many clients that wait at a server for the URL.
    fn waiters(&self, server: &Server, count: usize) -> Vec<Client> {
        let mut waiters = server.clients(count);
        for waiter in &mut waiters {
            waiter.send(&["CACHE.GET", &self.url, "3600", "0"]);
        }
        server.until_gauge("cache_waiters", count as u64);
        waiters
    }

    /// Begins to move the slot, as every tool does.
    fn begin(&self) {
        let (from, to) = (id(self.from()), id(self.to()));
        self.to().client().ok(&["CLUSTER", "SETSLOT", &self.slot, "IMPORTING", &from]);
        self.from().client().ok(&["CLUSTER", "SETSLOT", &self.slot, "MIGRATING", &to]);
    }

    /// Moves all keys of the slot, lock keys too, as every tool does.
    fn move_keys(&self) {
        let (mut client, port) = (self.from().client(), self.to().port().to_string());
        let keys = client.array(&["CLUSTER", "GETKEYSINSLOT", &self.slot, "1000"]);
        for key in keys.into_iter().map(crate::support::client::bytes_of) {
            let key = String::from_utf8(key).unwrap();
            client.ok(&["MIGRATE", "127.0.0.1", &port, &key, "0", "5000", "REPLACE"]);
        }
    }

    /// Says whose the slot is now.
    fn end(&self) {
        let to = id(self.to());
        for node in [self.to(), self.from()] {
            node.client().ok(&["CLUSTER", "SETSLOT", &self.slot, "NODE", &to]);
        }
    }

    fn keys_left(&self, server: &Server) -> i64 {
        server.client().int(&["CLUSTER", "COUNTKEYSINSLOT", &self.slot])
    }

    /// Asserts that the first master holds nothing of the slot, and sends on who asks for it.
    fn is_gone(&self) {
        assert_eq!(self.keys_left(self.from()), 0, "something was written where the slot is not");
        let mut client = self.from().client();
        let moved = moved(&mut client, &self.url, self.to());
        assert_eq!(client.error(&["CACHE.GET", &self.url]), moved);
        assert_eq!(client.error(&["CACHE.FILL", &self.leased, "token", "x"]), moved);
    }
}

/// Asserts that all of them get this body.
fn all_get(waiters: &mut [Client], body: &str) {
    for waiter in waiters {
        assert_eq!(waiter.reply_bytes(), body.as_bytes());
    }
}

#[test]
fn a_flight_whose_slot_has_moved_answers_and_writes_nothing() {
    let scene = Move::new();
    let mut waiters = scene.waiters(scene.from(), 3);
    scene.origin.until_hits("/a", 1);
    scene.begin();
    scene.move_keys();
    scene.end();
    let mut client = scene.to().client();
    let lock = lock_key(&scene.url);
    assert_eq!(client.int(&["EXISTS", &lock]), 1, "the lock key did not come along");
    scene.is_gone();
    scene.origin.on("/a", Reply::ok("the new owner's"));
    assert_eq!(client.text(&["CACHE.GET", &scene.url, "60", "0"]), "the new owner's");
    assert_eq!(client.int(&["EXISTS", &lock]), 0);
    scene.gate.open();
    all_get(&mut waiters, BODY);
    scene.from().until_gauge("cache_not_stored_refused", 1);
    scene.is_gone();
    assert_eq!(client.text(&["CACHE.PEEK", &scene.url]), "the new owner's");
}

#[test]
fn a_flight_whose_slot_is_moving_answers_and_writes_nothing() {
    let scene = Move::new();
    let mut waiters = scene.waiters(scene.from(), 3);
    scene.origin.until_hits("/a", 1);
    scene.begin();
    let asked = scene.from().client().error(&["CACHE.GET", &scene.url]);
    assert_eq!(asked, format!("ASK {} 127.0.0.1:{}", scene.slot, scene.to().port()));
    scene.gate.open();
    all_get(&mut waiters, BODY);
    scene.from().until_gauge("cache_not_stored_refused", 1);
    scene.move_keys();
    scene.end();
    scene.is_gone();
    assert_eq!(scene.to().client().text(&["CACHE.GET", &scene.url]), BODY);
    assert_eq!(scene.keys_left(scene.to()), 1);
}

#[test]
fn who_is_asked_while_the_slot_is_on_its_way_answers_and_stores_once_it_has_come() {
    let scene = Move::new();
    scene.begin();
    scene.gate.open();
    let mut client = scene.to().client();
    client.ok(&["ASKING"]);
    assert_eq!(client.text(&["CACHE.GET", &scene.url]), BODY);
    assert_eq!(scene.keys_left(scene.from()), 0);
    client.ok(&["ASKING"]);
    let token = lease(&mut client, &scene.leased, &[]);
    client.ok(&["ASKING"]);
    client.ok(&["CACHE.FILL", &scene.leased, &token, "computed"]);
    let mut everyone = scene.nodes.client();
    let body: String = redis::cmd("CACHE.GET").arg(&scene.url).query(&mut everyone).unwrap();
    assert_eq!(body, BODY);
    scene.end();
    scene.is_gone();
    assert_eq!(client.text(&["CACHE.GET", &scene.url]), BODY);
    assert_eq!(client.text(&["CACHE.PEEK", &scene.url]), BODY);
    assert_eq!(client.text(&["GET", &scene.leased]), "computed");
}

#[test]
fn an_entry_that_is_refreshed_while_its_slot_moves_stays_with_its_key() {
    let scene = Move::new();
    scene.gate.open();
    let mut client = scene.from().client();
    client.text(&["CACHE.GET", &scene.url]);
    let gate = Gate::closed();
    scene.origin.on("/a", Reply::ok("refreshed").gate(&gate));
    client.send(&["CACHE.GET", &scene.url, "3600", "0", "REFRESH"]);
    scene.origin.until_hits("/a", 2);
    scene.begin();
    gate.open();
    assert_eq!(client.reply_bytes(), b"refreshed");
    scene.move_keys();
    scene.end();
    scene.is_gone();
    assert_eq!(scene.to().client().text(&["CACHE.PEEK", &scene.url]), "refreshed");
}

#[test]
fn a_lease_does_not_move_with_its_slot() {
    let scene = Move::new();
    let (mut old, mut new) = (scene.from().client(), scene.to().client());
    let token = lease(&mut old, &scene.leased, &["0", "TTL", "3600"]);
    let fill = ["CACHE.FILL", &scene.leased, &token, "late"];
    scene.begin();
    scene.move_keys();
    let asked = format!("ASK {} 127.0.0.1:{}", scene.slot, scene.to().port());
    assert_eq!(old.error(&fill), asked);
    scene.end();
    assert_eq!(old.error(&fill), moved(&mut old, &scene.leased, scene.to()));
    assert!(new.error(&fill).starts_with("LEASELOST "));
    let next = lease(&mut new, &scene.leased, &[]);
    new.ok(&["CACHE.FILL", &scene.leased, &next, "in time"]);
    scene.is_gone();
    assert_eq!(new.text(&["GET", &scene.leased]), "in time");
}

#[test]
fn a_lease_lost_after_its_slot_has_moved_sends_those_who_wait_to_where_it_is() {
    let scene = Move::new();
    let (mut holder, mut waits, mut asks) =
        (scene.from().client(), scene.from().client(), scene.from().client());
    lease(&mut holder, &scene.url, &["0", "TIED"]);
    waits.send(&["CACHE.LEASE", &scene.url, "0"]);
    asks.send(&["CACHE.GET", &scene.url, "60", "0"]);
    scene.from().until_gauge("cache_waiters", 2);
    // This one does as every cluster's client: it asks again, there where it is sent.
    let mut client = scene.nodes.client();
    thread::scope(|scope| {
        let next = scope.spawn(|| {
            let mut lease = redis::cmd("CACHE.LEASE");
            let given: Vec<String> = lease.arg(&scene.url).arg(0).query(&mut client).unwrap();
            assert_eq!(given[0], "lease");
            let mut fill = redis::cmd("CACHE.FILL");
            fill.arg(&scene.url).arg(&given[1]).arg("computed").exec(&mut client).unwrap();
        });
        scene.from().until_gauge("cache_waiters", 3);
        scene.begin();
        scene.move_keys();
        scene.end();
        drop(holder);
        for waiter in [&mut waits, &mut asks] {
            let error = waiter.reply_error();
            assert!(error.starts_with("TRYAGAIN "), "{error}");
        }
        next.join().unwrap();
    });
    scene.is_gone();
    assert_eq!(scene.from().gauge("cache_flights"), 0);
    assert_eq!(scene.to().client().text(&["CACHE.PEEK", &scene.url]), "computed");
    assert_eq!(scene.origin.total(), 0);
}

#[test]
fn a_lease_lost_while_its_slot_moves_is_given_again_where_the_slot_goes() {
    let scene = Move::new();
    let (mut holder, mut waits) = (scene.from().client(), scene.from().client());
    let token = lease(&mut holder, &scene.leased, &["0", "TIED"]);
    let call = ["CACHE.LEASE", &scene.leased, "0"];
    waits.send(&call);
    scene.from().until_gauge("cache_waiters", 1);
    scene.begin();
    assert!(holder.error(&["CACHE.RELEASE", &scene.leased, &token]).starts_with("ASK "));
    drop(holder);
    assert!(waits.reply_error().starts_with("TRYAGAIN "));
    assert!(waits.error(&call).starts_with("ASK "));
    scene.move_keys();
    let mut new = scene.to().client();
    new.ok(&["ASKING"]);
    let next = lease(&mut new, &scene.leased, &["0"]);
    scene.end();
    new.ok(&["CACHE.FILL", &scene.leased, &next, "computed"]);
    scene.is_gone();
    assert_eq!(new.text(&["GET", &scene.leased]), "computed");
}
