//! Cache code in clients, as `clients.py` has it: Python before a Redis, one
//! process that serves as many clients as there are connections to it.

use std::env;
use std::path::PathBuf;
use std::rc::Rc;

use super::program::Program;
use super::{PATIENCE, Peer, Setting, Tongue, redis, seconds};
use crate::support::server::free_port;
use crate::support::tmp::TempDir;

pub const CACHE_ASIDE: &str = "cache-aside";
pub const LOCK_AND_POLL: &str = "lock-and-poll";
pub const TUTORIAL: &str = "tutorial";
pub const CACHE_GET: &str = "cache-get via redis-py";

/// Whatever there is in `clients.py`.
pub const STRATEGIES: [&str; 4] = [CACHE_ASIDE, LOCK_AND_POLL, TUTORIAL, CACHE_GET];

/// The clients, and the Redis that they keep their bodies in.
pub fn start(setting: &Setting<'_>, name: &'static str) -> Peer {
    let (strategy, _) = name.split_once(' ').unwrap_or((name, ""));
    let port = free_port();
    let server = Rc::new(redis::builder(setting).start());
    let python = environment().join("bin/python");
    let python = python.to_str().expect("its path is text");
    let program = Program::start(python, setting.is_on_one_core, TempDir::new(), |_, command| {
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/bench.d/clients.py"));
        command.arg(strategy);
        command.args(["--listen", &port.to_string(), "--redis", &server.port().to_string()]);
        command.args(["--expiry", &seconds(setting.expiry), "--timeout", PATIENCE]);
        if setting.origin.is_tls() {
            command.arg("--ca-file").arg(setting.origin.ca_file());
        }
    });
    let programs = vec![program.until_listening(port)];
    Peer { name, port, tongue: Tongue::Client, programs, server: Some(server) }
}

/// The Python environment that `scripts/bench` makes.
fn environment() -> PathBuf {
    env::var_os("CACHE_GET_BENCH_ENV").expect("scripts/bench sets it").into()
}
