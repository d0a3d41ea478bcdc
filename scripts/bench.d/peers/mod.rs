//! What is compared: each a cache on a port of this machine, started before
//! one origin, asked for URLs, ended when dropped.
//!
//! | file         | its one job                                                  |
//! | ------------ | ------------------------------------------------------------ |
//! | `redis.rs`   | `CACHE.GET`, and plain `GET`, in one server                  |
//! | `nginx.rs`   | nginx, by `nginx.conf`                                       |
//! | `varnish.rs` | Varnish, by `default.vcl`                                    |
//! | `python.rs`  | cache code in clients, by `clients.py`                       |
//! | `tongue.rs`  | how each is asked, and how it answers                        |
//! | `program.rs` | a program in the background, its folder, its processor time  |

pub mod nginx;
mod program;
pub mod python;
pub mod redis;
mod tongue;
pub mod varnish;

use std::rc::Rc;
use std::time::Duration;

use crate::load::{Answer, Load};
use crate::neighbour::Neighbour;
use crate::process;
use crate::support::{Origin, Reply, Server};
use program::Program;
use tongue::{PATIENCE, Tongue, seconds};

/// How a cache is to be set up: all of them get the same.
#[derive(Clone)]
pub struct Setting<'a> {
    /// Where it downloads from.
    pub origin: &'a Origin,
    /// How long a body is fresh.
    pub expiry: Duration,
    /// How long after that it is still served, while one request refreshes it.
    pub stale: Option<Duration>,
    /// How many downloads it may have at once.
    pub downloads: usize,
    /// Whether the cache has one processor, and this program the rest.
    pub is_on_one_core: bool,
}

impl<'a> Setting<'a> {
    /// For an hour, on all processors.
    pub const fn before(origin: &'a Origin) -> Self {
        let expiry = Duration::from_secs(3600);
        Self { origin, expiry, stale: None, downloads: 1024, is_on_one_core: false }
    }
}

/// A running cache.
pub struct Peer {
    pub name: &'static str,
    port: u16,
    tongue: Tongue,
    programs: Vec<Program>,
    /// The Redis that it is, or that it keeps its bodies in.
    server: Option<Rc<Server>>,
}

/// As much as a neighbour asks for.
const SMALL: &[u8] = b"a small body";

impl Peer {
    /// Connections to it.
    pub fn load(&self, count: usize) -> Load {
        Load::connect(self.port, count)
    }

    /// Whether it is cache code in clients, not a server's.
    pub const fn is_client(&self) -> bool {
        matches!(self.tongue, Tongue::Client)
    }

    /// The request for a URL of the origin.
    pub fn request(&self, url: &str) -> Vec<u8> {
        self.tongue.request(url)
    }

    /// The request for a URL that is there, in as few words as it takes.
    pub fn request_hit(&self, url: &str) -> Vec<u8> {
        self.tongue.request_hit(url)
    }

    /// The answer that must come.
    pub fn answer(&self, body: &[u8]) -> Answer {
        self.tongue.answer(body)
    }

    /// What makes these, to be taken elsewhere.
    pub const fn tongue(&self) -> Tongue {
        self.tongue
    }

    /// The Redis that it is, or keeps its bodies in.
    pub fn server(&self) -> Option<&Server> {
        self.server.as_deref()
    }

    /// Has it hold a body of the origin's.
    pub fn warm(&self, url: &str, body: &[u8]) {
        if let Tongue::Get { .. } = self.tongue {
            self.store(url, body);
        }
        let mut load = self.load(1);
        load.send(&self.request(url));
        load.receive(&self.answer(body));
    }

    /// Puts a body as a plain string where `GET` finds it.
    pub fn store(&self, url: &str, body: &[u8]) {
        let Tongue::Get { expires } = self.tongue else { panic!("{} has no strings", self.name) };
        let server = self.server.as_ref().expect("it is a Redis");
        let key = redis::plain_key(url, expires);
        let mut words = vec![&b"SET"[..], key.as_bytes(), body];
        if expires {
            words.extend([&b"EX"[..], b"3600"]);
        }
        server.client().ok(&words);
    }

    /// Another client: one that pings the Redis, or asks an HTTP cache for a small body that it has.
    pub fn neighbour(&self, origin: &Origin) -> Neighbour {
        if let Some(server) = &self.server {
            return Neighbour::of(server);
        }
        let url = origin.url("/neighbour");
        origin.on("/neighbour", Reply::ok(SMALL));
        self.warm(&url, SMALL);
        Neighbour::asking(self.port, self.request(&url), &self.answer(SMALL))
    }

    /// Processor seconds that it has used, all its processes together.
    pub fn cpu_seconds(&self) -> f64 {
        self.pids().map(process::cpu_seconds_of).sum()
    }

    /// Bytes that it keeps its bodies in, and itself: what a Redis says it uses, for it knows best; of
    /// others, what their processes have resident and what lies in their folders.
    pub fn kept_bytes(&self) -> f64 {
        if let (Some(server), false) = (&self.server, self.is_client()) {
            server.until_gauge("connected_clients", 1); // that is the one who asks
            return server.gauge("used_memory") as f64;
        }
        let resident: u64 = self.pids().map(process::resident_kib_of).sum();
        resident as f64 * 1024.0 + self.bytes_in_folders()
    }

    /// The most memory that its processes have had, and what lies in their folders.
    pub fn peak_bytes(&self) -> f64 {
        let peak: u64 = self.pids().map(process::peak_resident_kib_of).sum();
        peak as f64 * 1024.0 + self.bytes_in_folders()
    }

    fn bytes_in_folders(&self) -> f64 {
        self.programs.iter().map(Program::bytes_in_folders).sum::<u64>() as f64
    }

    fn pids(&self) -> impl Iterator<Item = u32> {
        let server = self.server.iter().map(|server| server.pid());
        self.programs.iter().map(Program::pid).chain(server).flat_map(process::family)
    }
}
