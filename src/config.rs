//! Every setting, in one table.
//!
//! A setting has a name, a default and bounds, and the two functions that read and write it in
//! [`Settings`]. Redis stores, prints and rewrites them by its own means (`CONFIG`, `redis.conf`,
//! `MODULE LOADEX`); `server/settings.rs` makes the connection.

use std::ffi::CStr;
use std::sync::Arc;

use url::Url;

use crate::cache::freshness::Expiry;
use crate::cache::guard::{Guard, Hosts, Ports, parse_proxy};
use crate::cache::headers::StoreHeaders;
use crate::cache::lease::LONGEST_LEASE;
use crate::cache::limits::Limits;
use crate::cache::networks::Networks;
use crate::cache::seconds::{self, Millis};
use crate::clock;
use crate::server::settings::{Kind, Scope, Setting, Store};

/// The settings in force. A flight goes under those of its take-off.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Expiry of calls that give none.
    pub default_expiry: Expiry,
    /// Timeout of calls that give none.
    pub default_timeout: Millis,
    /// The longest that a client waits.
    pub max_timeout: Millis,
    /// The flight deadline, unless the leader's timeout is longer.
    pub fetch_timeout: Millis,
    /// How long after a failed refresh the next one may be tried.
    pub refresh_backoff: Millis,
    /// How long a lease is held, unless its holder says how long.
    pub lease_ttl: Millis,
    /// The longest that a holder may ask for.
    pub max_lease_ttl: Millis,
    /// Most leases that are held, in all.
    pub max_leases: u64,
    /// Most leases that one client holds.
    pub max_leases_per_client: u64,
    /// Most downloads at once.
    pub max_downloads: u64,
    /// Most flights that wait for a thread.
    pub max_queued_downloads: u64,
    /// Most downloads at once from one host; 0 for a quarter of all.
    pub max_downloads_per_host: u64,
    /// Most clients that wait, in all.
    pub max_waiters: u64,
    /// Most clients that wait for one flight.
    pub max_waiters_per_flight: u64,
    /// Most bytes of replies to waiting clients that are under way at once; 0 for a quarter of the memory.
    pub max_reply_memory: u64,
    /// Most bytes of a request's body.
    pub max_request_body: u64,
    /// Most headers of a request.
    pub max_request_headers: u64,
    /// Most bytes of a request's headers.
    pub max_request_header_bytes: u64,
    /// Most bytes of requests in the air; 0 for a sixteenth of the memory.
    pub max_request_memory: u64,
    /// Most URLs of one call.
    pub max_urls: u64,
    /// Largest body in bytes, on the wire and after decoding.
    pub max_body_size: u64,
    /// Most redirects that are followed.
    pub max_redirects: u64,
    /// Whether what its origin says is not to be stored is not.
    pub respect_no_store: bool,
    /// Which headers are stored.
    pub store_headers: Arc<StoreHeaders>,
    /// Where may be fetched from.
    pub guard: Arc<Guard>,
    /// Whether callers are told of a denial as of any other failure.
    pub hide_denials: bool,
}

/// Where the settings in force are held.
pub static SETTINGS: Store<Settings> = Store::empty();

/// The longest span that a setting takes: a day, as long as a lease may be held.
const DAY: Millis = LONGEST_LEASE;

/// The table.
pub static TABLE: [Setting<Settings>; 30] = [
    text(
        c"default-expiry",
        c"3600",
        |s| match s.default_expiry {
            Expiry::Never => "-1".into(),
            Expiry::After(span) => seconds::print(span),
        },
        |s, text| {
            let expiry = Expiry::parse(text.as_bytes());
            let in_reach = |expiry: &Expiry| expiry.ends(clock::now()).is_ok();
            s.default_expiry = expiry
                .ok()
                .filter(in_reach)
                .ok_or("must be seconds above 0, ending before 2286, or -1 for no expiry")?;
            Ok(())
        },
    ),
    time(c"default-timeout", c"10", 0, |s| s.default_timeout, |s, span| s.default_timeout = span),
    time(c"max-timeout", c"300", 1, |s| s.max_timeout, |s, span| s.max_timeout = span),
    time(c"fetch-timeout", c"30", 1, |s| s.fetch_timeout, |s, span| s.fetch_timeout = span),
    time(c"refresh-backoff", c"1", 0, |s| s.refresh_backoff, |s, span| s.refresh_backoff = span),
    time(c"lease-ttl", c"10", 1, |s| s.lease_ttl, |s, span| s.lease_ttl = span),
    time(c"max-lease-ttl", c"3600", 1, |s| s.max_lease_ttl, |s, span| s.max_lease_ttl = span),
    number(
        c"max-leases",
        [10_000, 0, 1_000_000],
        |s| s.max_leases,
        |s, count| s.max_leases = count,
    ),
    number(
        c"max-leases-per-client",
        [1_000, 0, 1_000_000],
        |s| s.max_leases_per_client,
        |s, count| s.max_leases_per_client = count,
    ),
    at_load(number(
        c"max-downloads",
        [256, 1, 10_000],
        |s| s.max_downloads,
        |s, count| s.max_downloads = count,
    )),
    number(
        c"max-queued-downloads",
        [10_000, 0, 1_000_000],
        |s| s.max_queued_downloads,
        |s, count| s.max_queued_downloads = count,
    ),
    number(
        c"max-downloads-per-host",
        [0, 0, 10_000],
        |s| s.max_downloads_per_host,
        |s, count| s.max_downloads_per_host = count,
    ),
    number(
        c"max-waiters",
        [20_000, 1, 1_000_000],
        |s| s.max_waiters,
        |s, count| s.max_waiters = count,
    ),
    number(
        c"max-waiters-per-flight",
        [10_000, 1, 1_000_000],
        |s| s.max_waiters_per_flight,
        |s, count| s.max_waiters_per_flight = count,
    ),
    size(
        c"max-reply-memory",
        [0, 0, 1 << 50],
        |s| s.max_reply_memory,
        |s, bytes| s.max_reply_memory = bytes,
    ),
    size(
        c"max-request-body",
        [256 << 10, 0, 512 << 20],
        |s| s.max_request_body,
        |s, bytes| s.max_request_body = bytes,
    ),
    // The HTTP library holds at most 24,576 headers, and panics at more.
    number(
        c"max-request-headers",
        [100, 0, 10_000],
        |s| s.max_request_headers,
        |s, count| s.max_request_headers = count,
    ),
    size(
        c"max-request-header-bytes",
        [64 << 10, 0, 16 << 20],
        |s| s.max_request_header_bytes,
        |s, bytes| s.max_request_header_bytes = bytes,
    ),
    size(
        c"max-request-memory",
        [0, 0, 1 << 50],
        |s| s.max_request_memory,
        |s, bytes| s.max_request_memory = bytes,
    ),
    number(c"max-urls", [1_000, 1, 1_000_000], |s| s.max_urls, |s, count| s.max_urls = count),
    size(
        c"max-body-size",
        [64 << 20, 1, 4 << 30],
        |s| s.max_body_size,
        |s, bytes| s.max_body_size = bytes,
    ),
    number(c"max-redirects", [5, 0, 20], |s| s.max_redirects, |s, count| s.max_redirects = count),
    yes_no(c"respect-no-store", |s| s.respect_no_store, |s, yes| s.respect_no_store = yes),
    text(
        c"store-headers",
        c"content-* etag last-modified cache-control expires date age vary link location",
        |s| s.store_headers.to_string(),
        |s, text| {
            s.store_headers = Arc::new(StoreHeaders::parse(text)?);
            Ok(())
        },
    ),
    protected(text(
        c"allowed-networks",
        c"",
        |s| s.guard.allowed.to_string(),
        |s, text| {
            s.guard_mut().allowed = Networks::parse(text)?;
            Ok(())
        },
    )),
    protected(text(
        c"denied-networks",
        c"",
        |s| s.guard.denied.to_string(),
        |s, text| {
            s.guard_mut().denied = Networks::parse(text)?;
            Ok(())
        },
    )),
    protected(text(
        c"allowed-hosts",
        c"",
        |s| s.guard.hosts.to_string(),
        |s, text| {
            s.guard_mut().hosts = Hosts::parse(text)?;
            Ok(())
        },
    )),
    protected(text(
        c"allowed-ports",
        c"80 443",
        |s| s.guard.ports.to_string(),
        |s, text| {
            s.guard_mut().ports = Ports::parse(text)?;
            Ok(())
        },
    )),
    protected(text(
        c"proxy",
        c"",
        |s| s.guard.proxy.as_ref().map_or_else(String::new, Url::to_string),
        |s, text| {
            s.guard_mut().proxy = parse_proxy(text)?;
            Ok(())
        },
    )),
    yes_no(c"hide-denials", |s| s.hide_denials, |s, yes| s.hide_denials = yes),
];

type Get<T> = fn(&Settings) -> T;
type Set<T> = fn(&mut Settings, T);

const fn anytime(name: &'static CStr, kind: Kind<Settings>) -> Setting<Settings> {
    Setting { name, scope: Scope::Anytime, kind }
}

const fn at_load(setting: Setting<Settings>) -> Setting<Settings> {
    Setting { scope: Scope::AtLoad, ..setting }
}

const fn protected(setting: Setting<Settings>) -> Setting<Settings> {
    Setting { scope: Scope::Protected, ..setting }
}

/// A whole number: its default, the least, the most.
const fn number(
    name: &'static CStr,
    [default, min, max]: [i64; 3],
    get: Get<u64>,
    set: Set<u64>,
) -> Setting<Settings> {
    anytime(name, Kind::Number { default, min, max, get, set })
}

/// A number of bytes: its default, the least, the most.
const fn size(
    name: &'static CStr,
    [default, min, max]: [i64; 3],
    get: Get<u64>,
    set: Set<u64>,
) -> Setting<Settings> {
    anytime(name, Kind::Bytes { default, min, max, get, set })
}

/// Seconds, up to a day.
const fn time(
    name: &'static CStr,
    default: &'static CStr,
    min: Millis,
    get: Get<Millis>,
    set: Set<Millis>,
) -> Setting<Settings> {
    anytime(name, Kind::Seconds { default, min, max: DAY, get, set })
}

/// Yes or no; no unless it is set.
const fn yes_no(name: &'static CStr, get: Get<bool>, set: Set<bool>) -> Setting<Settings> {
    anytime(name, Kind::YesNo { default: false, get, set })
}

const fn text(
    name: &'static CStr,
    default: &'static CStr,
    get: Get<String>,
    set: fn(&mut Settings, &str) -> Result<(), String>,
) -> Setting<Settings> {
    anytime(name, Kind::Text { default, get, set })
}

impl Settings {
    /// How much a call may send along.
    pub const fn limits(&self) -> Limits {
        Limits {
            body: self.max_request_body,
            headers: self.max_request_headers,
            header_bytes: self.max_request_header_bytes,
        }
    }

    fn guard_mut(&mut self) -> &mut Guard {
        Arc::make_mut(&mut self.guard)
    }
}

impl Default for Settings {
    /// As the table has it.
    fn default() -> Self {
        let mut settings = Self {
            default_expiry: Expiry::Never,
            default_timeout: 0,
            max_timeout: 0,
            fetch_timeout: 0,
            refresh_backoff: 0,
            lease_ttl: 0,
            max_lease_ttl: 0,
            max_leases: 0,
            max_leases_per_client: 0,
            max_downloads: 0,
            max_queued_downloads: 0,
            max_downloads_per_host: 0,
            max_waiters: 0,
            max_waiters_per_flight: 0,
            max_reply_memory: 0,
            max_request_body: 0,
            max_request_headers: 0,
            max_request_header_bytes: 0,
            max_request_memory: 0,
            max_urls: 0,
            max_body_size: 0,
            max_redirects: 0,
            respect_no_store: false,
            store_headers: Arc::default(),
            guard: Arc::default(),
            hide_denials: false,
        };
        for setting in &TABLE {
            let taken = setting.set_default(&mut settings);
            debug_assert!(taken.is_ok(), "a default is refused: {taken:?}");
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_one_that_its_setting_takes() {
        let settings = Settings::default();
        assert_eq!(settings.default_expiry, Expiry::After(3_600_000));
        assert_eq!(settings.fetch_timeout, 30_000);
        assert_eq!(settings.max_body_size, 64 << 20);
        assert!(settings.store_headers.allows("content-type"));
        let web = Guard { ports: Ports::parse("80 443").unwrap(), ..Guard::default() };
        assert_eq!(*settings.guard, web);
    }
}
