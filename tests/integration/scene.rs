//! The scene on which most tests play: a server with the module, an origin,
//! and one client; and the two situations they begin with, a flight in the
//! air and clients that wait.

use crate::support::client::bytes_of;
use crate::support::server::Builder;
use crate::support::until::until_equal;
use crate::support::{Client, Gate, Origin, Reply, Server, Value, until};

/// What an origin answers where the test does not care what.
pub const BODY: &str = "the body, as the origin sent it";

/// A server, an origin and a client.
pub struct Scene {
    pub server: Server,
    pub origin: Origin,
    pub client: Client,
}

/// A flight whose origin has the request and holds the answer back.
pub struct Flight {
    pub url: String,
    pub gate: Gate,
    pub leader: Client,
}

impl Scene {
    /// The usual one.
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// One whose server is set up in its own way.
    pub fn with(setup: impl FnOnce(Builder) -> Builder) -> Self {
        let server = setup(Server::builder()).start();
        let client = server.client();
        Self { server, origin: Origin::start(), client }
    }

    /// Puts a reply at a path, and tells its URL.
    pub fn serve(&self, path: &str, reply: Reply) -> String {
        self.origin.on(path, reply);
        self.origin.url(path)
    }

    /// Puts [`BODY`] at a path, behind a gate.
    pub fn hold(&self, path: &str) -> (String, Gate) {
        self.hold_reply(path, Reply::ok(BODY))
    }

    /// Puts a reply at a path, behind a gate.
    pub fn hold_reply(&self, path: &str, reply: Reply) -> (String, Gate) {
        let gate = Gate::closed();
        (self.serve(path, reply.gate(&gate)), gate)
    }

    /// Starts a flight and returns when its request has reached the origin.
    pub fn take_off(&self, path: &str) -> Flight {
        let (url, gate) = self.hold(path);
        let leader = self.waiters(&url, 1).remove(0);
        self.origin.until_hits(path, 1);
        Flight { url, gate, leader }
    }

    /// New clients that wait for this URL for as long as it may take.
    pub fn waiters(&self, url: &str, count: usize) -> Vec<Client> {
        let wanted = self.server.gauge("cache_waiters") + count as u64;
        let mut waiters = self.server.clients(count);
        for waiter in &mut waiters {
            waiter.send(&["CACHE.GET", url, "3600", "0"]);
        }
        self.server.until_gauge("cache_waiters", wanted);
        waiters
    }

    /// Whether the key exists in database 0.
    pub fn exists(&self, key: &str) -> bool {
        self.server.client().int(&["EXISTS", key]) == 1
    }

    /// Waits until the URL is answered from the cache.
    pub fn until_fresh(&self, url: &str) {
        let mut client = self.server.client();
        until("the entry to be there", || peek(&mut client, url).is_some());
    }

    /// Waits until the URL is answered from the cache, with this body.
    pub fn until_body(&self, url: &str, body: &str) {
        let mut client = self.server.client();
        let wanted = Some(body.as_bytes().to_vec());
        until_equal("the entry", &wanted, || peek(&mut client, url));
    }

    /// Waits until the URL's entry has expired.
    pub fn until_expired(&self, url: &str) {
        let mut client = self.server.client();
        until("the entry to expire", || peek(&mut client, url).is_none());
    }

    /// Waits until nothing is in the air.
    pub fn until_all_landed(&self) {
        self.server.until_gauge("cache_flights", 0);
    }

    /// Asserts that a call which must not wait long gets [`BODY`], and that
    /// the module still does its work: for the end of a test that shook it.
    pub fn still_works(&self) {
        let url = self.serve("/still-works", Reply::ok(BODY));
        assert_eq!(self.server.client().text(&["CACHE.GET", &url]), BODY);
    }
}

impl Flight {
    /// Lets the answer go and asserts that the leader gets it.
    pub fn land(&mut self) {
        self.gate.open();
        assert_eq!(self.leader.reply_bytes(), BODY.as_bytes());
    }
}

/// What `CACHE.PEEK` finds.
fn peek(client: &mut Client, url: &str) -> Option<Vec<u8>> {
    let reply = client.call(&["CACHE.PEEK", url]).expect("PEEK fails");
    (reply != Value::Nil).then(|| bytes_of(reply))
}

/// The URL's lock key, where the URL has no hash tag of its own.
pub fn lock_key(url: &str) -> String {
    format!("cache:lock:{{{url}}}")
}
