//! Varnish, by `default.vcl`.

use super::program::Program;
use super::{Peer, Setting, Tongue, seconds};
use crate::support::server::free_port;
use crate::support::tmp::TempDir;

pub const VARNISH: &str = "Varnish";

/// Before a plain origin: Varnish speaks no TLS to origins.
pub fn start(setting: &Setting<'_>) -> Peer {
    assert!(!setting.origin.is_tls(), "Varnish needs another program for that");
    let port = free_port();
    let dir = TempDir::new();
    let program = include_str!("default.vcl")
        .replace("@ORIGIN@", &setting.origin.port().to_string())
        .replace("@EXPIRY@", &seconds(setting.expiry))
        .replace("@GRACE@", &seconds(setting.stale.unwrap_or_default()));
    std::fs::write(dir.path().join("default.vcl"), program).expect("a folder of our own");
    let program = Program::start("varnishd", setting.is_on_one_core, dir, |dir, command| {
        command.args(["-F", "-j", "none", "-s", "malloc,8g", "-T", "none"]);
        command.arg("-a").arg(format!("127.0.0.1:{port}"));
        command.arg("-n").arg(dir.join("work"));
        command.arg("-f").arg(dir.join("default.vcl"));
        for parameter in PARAMETERS {
            command.arg("-p").arg(parameter);
        }
    });
    let programs = vec![program.until_listening(port)];
    Peer { name: VARNISH, port, tongue: Tongue::Http, programs, server: None }
}

/// Threads for as many downloads and clients as any scenario has, some of them there from the start; and room
/// for connections that come at once, which are reset where the queue for a thread is full.
const PARAMETERS: [&str; 7] = [
    "thread_pools=2",
    "thread_pool_min=500",
    "thread_pool_max=5000",
    "thread_pool_add_delay=0",
    "thread_queue_limit=5000",
    "listen_depth=4096",
    "timeout_idle=300",
];
