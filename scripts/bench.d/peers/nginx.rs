//! nginx as a caching proxy, by `nginx.conf`.

use std::env;
use std::path::Path;

use super::program::Program;
use super::{Peer, Setting, Tongue, seconds};
use crate::support::server::free_port;
use crate::support::tmp::TempDir;

pub const NGINX: &str = "nginx";

/// Where bodies are kept in memory, as all the others keep theirs.
const IN_MEMORY: &str = "/dev/shm";

pub fn start(setting: &Setting<'_>) -> Peer {
    let port = free_port();
    let dir = TempDir::new();
    let cache = TempDir::within(Path::new(IN_MEMORY));
    let config = configuration(setting, port, dir.path(), cache.path());
    std::fs::write(dir.path().join("nginx.conf"), config).expect("a folder of our own");
    let program = Program::start(NGINX, setting.is_on_one_core, dir, |dir, command| {
        command.arg("-e").arg(dir.join("log")).arg("-c").arg(dir.join("nginx.conf"));
    });
    let programs = vec![program.with_folder(cache).until_listening(port)];
    Peer { name: NGINX, port, tongue: Tongue::Http, programs, server: None }
}

fn configuration(setting: &Setting<'_>, port: u16, dir: &Path, cache: &Path) -> String {
    let origin = setting.origin;
    let (scheme, tls) = if origin.is_tls() {
        let authority = origin.ca_file().display();
        ("https", format!("proxy_ssl_trusted_certificate {authority};"))
    } else {
        ("http", String::new())
    };
    let stale = match setting.stale {
        Some(_) => "proxy_cache_use_stale updating;\n            proxy_cache_background_update on;",
        None => "",
    };
    include_str!("nginx.conf")
        .replace("@USER@", &env::var("USER").unwrap_or_else(|_| "root".into()))
        .replace("@PORT@", &port.to_string())
        .replace("@WORKERS@", if setting.is_on_one_core { "1" } else { "auto" })
        .replace("@DIR@", &dir.display().to_string())
        .replace("@CACHE@", &cache.display().to_string())
        .replace("@SCHEME@", scheme)
        .replace("@ORIGIN@", &origin.port().to_string())
        .replace("@TLS@", &tls)
        .replace("@EXPIRY@", &seconds(setting.expiry))
        .replace("@STALE@", stale)
}
