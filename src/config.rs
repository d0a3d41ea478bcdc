//! Every setting, in one table.
//!
//! A setting has a name, a default and bounds, and the two functions that read and write it in
//! [`Settings`]. Redis stores, prints and rewrites them by its own means (`CONFIG`, `redis.conf`,
//! `MODULE LOADEX`); `server/settings.rs` makes the connection.

use std::sync::Arc;

use url::Url;

use crate::cache::freshness::Expiry;
use crate::cache::guard::{Guard, Hosts, Ports, parse_proxy};
use crate::cache::headers::StoreHeaders;
use crate::cache::lease::LONGEST_LEASE;
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
}

/// Where the settings in force are held.
pub static SETTINGS: Store<Settings> = Store::empty();

/// The longest span that a setting takes: a day.
const DAY: Millis = 24 * 60 * 60 * 1000;

/// The table.
pub static TABLE: [Setting<Settings>; 21] = [
    Setting {
        name: c"default-expiry",
        scope: Scope::Anytime,
        kind: Kind::Text {
            default: c"3600",
            get: |s| match s.default_expiry {
                Expiry::Never => "-1".into(),
                Expiry::After(span) => seconds::print(span),
            },
            set: |s, text| {
                let expiry = Expiry::parse(text.as_bytes());
                let in_reach = |expiry: &Expiry| expiry.ends(clock::now()).is_ok();
                s.default_expiry = expiry
                    .ok()
                    .filter(in_reach)
                    .ok_or("must be seconds above 0, ending before 2286, or -1 for no expiry")?;
                Ok(())
            },
        },
    },
    Setting {
        name: c"default-timeout",
        scope: Scope::Anytime,
        kind: Kind::Seconds {
            default: c"10",
            min: 0,
            max: DAY,
            get: |s| s.default_timeout,
            set: |s, span| s.default_timeout = span,
        },
    },
    Setting {
        name: c"max-timeout",
        scope: Scope::Anytime,
        kind: Kind::Seconds {
            default: c"300",
            min: 1,
            max: DAY,
            get: |s| s.max_timeout,
            set: |s, span| s.max_timeout = span,
        },
    },
    Setting {
        name: c"fetch-timeout",
        scope: Scope::Anytime,
        kind: Kind::Seconds {
            default: c"30",
            min: 1,
            max: DAY,
            get: |s| s.fetch_timeout,
            set: |s, span| s.fetch_timeout = span,
        },
    },
    Setting {
        name: c"refresh-backoff",
        scope: Scope::Anytime,
        kind: Kind::Seconds {
            default: c"1",
            min: 0,
            max: DAY,
            get: |s| s.refresh_backoff,
            set: |s, span| s.refresh_backoff = span,
        },
    },
    Setting {
        name: c"lease-ttl",
        scope: Scope::Anytime,
        kind: Kind::Seconds {
            default: c"10",
            min: 1,
            max: LONGEST_LEASE,
            get: |s| s.lease_ttl,
            set: |s, span| s.lease_ttl = span,
        },
    },
    Setting {
        name: c"max-downloads",
        scope: Scope::AtLoad,
        kind: Kind::Number {
            default: 256,
            min: 1,
            max: 10_000,
            get: |s| s.max_downloads,
            set: |s, number| s.max_downloads = number,
        },
    },
    Setting {
        name: c"max-queued-downloads",
        scope: Scope::Anytime,
        kind: Kind::Number {
            default: 10_000,
            min: 0,
            max: 1_000_000,
            get: |s| s.max_queued_downloads,
            set: |s, number| s.max_queued_downloads = number,
        },
    },
    Setting {
        name: c"max-downloads-per-host",
        scope: Scope::Anytime,
        kind: Kind::Number {
            default: 0,
            min: 0,
            max: 10_000,
            get: |s| s.max_downloads_per_host,
            set: |s, number| s.max_downloads_per_host = number,
        },
    },
    Setting {
        name: c"max-waiters",
        scope: Scope::Anytime,
        kind: Kind::Number {
            default: 20_000,
            min: 1,
            max: 1_000_000,
            get: |s| s.max_waiters,
            set: |s, number| s.max_waiters = number,
        },
    },
    Setting {
        name: c"max-waiters-per-flight",
        scope: Scope::Anytime,
        kind: Kind::Number {
            default: 10_000,
            min: 1,
            max: 1_000_000,
            get: |s| s.max_waiters_per_flight,
            set: |s, number| s.max_waiters_per_flight = number,
        },
    },
    Setting {
        name: c"max-reply-memory",
        scope: Scope::Anytime,
        kind: Kind::Bytes {
            default: 0,
            min: 0,
            max: 1 << 50,
            get: |s| s.max_reply_memory,
            set: |s, bytes| s.max_reply_memory = bytes,
        },
    },
    Setting {
        name: c"max-body-size",
        scope: Scope::Anytime,
        kind: Kind::Bytes {
            default: 64 << 20,
            min: 1,
            max: 4 << 30,
            get: |s| s.max_body_size,
            set: |s, bytes| s.max_body_size = bytes,
        },
    },
    Setting {
        name: c"max-redirects",
        scope: Scope::Anytime,
        kind: Kind::Number {
            default: 5,
            min: 0,
            max: 20,
            get: |s| s.max_redirects,
            set: |s, number| s.max_redirects = number,
        },
    },
    Setting {
        name: c"store-headers",
        scope: Scope::Anytime,
        kind: Kind::Text {
            default:
                c"content-* etag last-modified cache-control expires date age vary link location",
            get: |s| s.store_headers.to_string(),
            set: |s, text| {
                s.store_headers = Arc::new(StoreHeaders::parse(text)?);
                Ok(())
            },
        },
    },
    Setting {
        name: c"respect-no-store",
        scope: Scope::Anytime,
        kind: Kind::YesNo {
            default: false,
            get: |s| s.respect_no_store,
            set: |s, yes| s.respect_no_store = yes,
        },
    },
    Setting {
        name: c"allowed-networks",
        scope: Scope::Protected,
        kind: Kind::Text {
            default: c"",
            get: |s| s.guard.allowed.to_string(),
            set: |s, text| {
                s.guard_mut().allowed = Networks::parse(text)?;
                Ok(())
            },
        },
    },
    Setting {
        name: c"denied-networks",
        scope: Scope::Protected,
        kind: Kind::Text {
            default: c"",
            get: |s| s.guard.denied.to_string(),
            set: |s, text| {
                s.guard_mut().denied = Networks::parse(text)?;
                Ok(())
            },
        },
    },
    Setting {
        name: c"allowed-hosts",
        scope: Scope::Protected,
        kind: Kind::Text {
            default: c"",
            get: |s| s.guard.hosts.to_string(),
            set: |s, text| {
                s.guard_mut().hosts = Hosts::parse(text)?;
                Ok(())
            },
        },
    },
    Setting {
        name: c"allowed-ports",
        scope: Scope::Protected,
        kind: Kind::Text {
            default: c"80 443",
            get: |s| s.guard.ports.to_string(),
            set: |s, text| {
                s.guard_mut().ports = Ports::parse(text)?;
                Ok(())
            },
        },
    },
    Setting {
        name: c"proxy",
        scope: Scope::Protected,
        kind: Kind::Text {
            default: c"",
            get: |s| s.guard.proxy.as_ref().map_or_else(String::new, Url::to_string),
            set: |s, text| {
                s.guard_mut().proxy = parse_proxy(text)?;
                Ok(())
            },
        },
    },
];

impl Settings {
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
            max_downloads: 0,
            max_queued_downloads: 0,
            max_downloads_per_host: 0,
            max_waiters: 0,
            max_waiters_per_flight: 0,
            max_reply_memory: 0,
            max_body_size: 0,
            max_redirects: 0,
            respect_no_store: false,
            store_headers: Arc::default(),
            guard: Arc::default(),
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
