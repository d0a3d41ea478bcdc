//! A Redis with the module: `CACHE.GET`, and in the same server `GET` of the
//! same bodies as plain strings, the limit of what a cache in a Redis can do.

use std::rc::Rc;

use super::{Peer, Setting, Tongue};
use crate::process;
use crate::support::Server;
use crate::support::server::Builder;

/// Of strings with an expiry, as a cache would store them.
pub const GET: &str = "GET";
/// Of strings that stay: Redis need not look up when they expire.
pub const GET_FOR_EVER: &str = "GET, no expiry";
pub const CACHE_GET: &str = "CACHE.GET";
pub const CACHE_GET_STALE: &str = "CACHE.GET STALE";

/// `GET` and `CACHE.GET`.
pub fn both(setting: &Setting<'_>) -> [Peer; 2] {
    let server = Rc::new(builder(setting).start());
    [GET, CACHE_GET].map(|name| peer(name, &server, setting))
}

/// These, and `GET` of what does not expire.
pub fn all(setting: &Setting<'_>) -> [Peer; 3] {
    let server = Rc::new(builder(setting).start());
    [GET, GET_FOR_EVER, CACHE_GET].map(|name| peer(name, &server, setting))
}

/// `CACHE.GET`, in a server of its own.
pub fn cache_get(setting: &Setting<'_>) -> Peer {
    let name = if setting.stale.is_some() { CACHE_GET_STALE } else { CACHE_GET };
    peer(name, &Rc::new(builder(setting).start()), setting)
}

fn peer(name: &'static str, server: &Rc<Server>, setting: &Setting<'_>) -> Peer {
    let tongue = match name {
        GET => Tongue::Get { expires: true },
        GET_FOR_EVER => Tongue::Get { expires: false },
        _ => Tongue::CacheGet { expiry: setting.expiry, stale: setting.stale },
    };
    Peer { name, port: server.port(), tongue, programs: vec![], server: Some(Rc::clone(server)) }
}

/// The server as it comes, but for what one origin for all and large bodies make necessary.
pub fn builder(setting: &Setting<'_>) -> Builder {
    let mut builder = Server::builder()
        .release()
        .config("cache.max-body-size", "128mb")
        .config("cache.max-downloads", &setting.downloads.to_string())
        .config("cache.max-downloads-per-host", &setting.downloads.to_string());
    if setting.origin.is_tls() {
        builder = builder.env("SSL_CERT_FILE", setting.origin.ca_file());
    }
    if setting.is_on_one_core { builder.under(&process::ON_FIRST_CORE) } else { builder }
}

/// A key for the same body as a plain string, as long as its URL.
pub fn plain_key(url: &str, expires: bool) -> String {
    let prefix = if expires { "body" } else { "kept" };
    format!("{prefix}{}", &url["http".len()..])
}
