//! What is counted. Each counter is defined where it is declared; `INFO cache` prints them all.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::error::FetchError;
use super::flights::Void;

/// A number that only grows, until the module is loaded anew.
pub struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds one.
    pub fn bump(&self) {
        self.add(1);
    }

    /// Adds one to what is counted on one thread only, without the 5 ns that a lock on the number takes.
    pub fn bump_alone(&self) {
        self.0.store(self.get() + 1, Relaxed);
    }

    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    fn reset(&self) {
        self.0.store(0, Relaxed);
    }

    /// What it stands at.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Why a body was answered but not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotStored {
    /// The flight was void.
    Void(Void),
    /// The server takes no writes for now: `CLIENT PAUSE`, or a failover is under way.
    Paused,
    /// The server is a replica.
    Replica,
    /// The server loads its data.
    Loading,
    /// `maxmemory` is reached and nothing may be evicted.
    OutOfMemory,
    /// The origin forbids it, and `respect-no-store` is on.
    Forbidden,
    /// Redis refused the write for another reason: disk error, too few replicas, slot elsewhere.
    Refused,
}

impl fmt::Display for NotStored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Void(_) => "the data has changed underneath",
            Self::Paused => "writes are paused",
            Self::Replica => "this is a replica",
            Self::Loading => "the server is loading its data",
            Self::OutOfMemory => "no memory is left under maxmemory",
            Self::Forbidden => "the origin forbids it",
            Self::Refused => "the server refused the write",
        })
    }
}

/// Declares the counters, once: their definitions, their names in INFO, their zeros.
macro_rules! counters {
    ($($(#[$definition:meta])* $name:ident,)*) => {
        /// Everything that is counted.
        pub struct Stats {
            $($(#[$definition])* pub $name: Counter,)*
            /// Time spent downloading, all threads together, in microseconds.
            download_micros: Counter,
        }

        impl Stats {
            /// All at zero.
            pub const fn new() -> Self {
                Self { $($name: Counter::new(),)* download_micros: Counter::new() }
            }

            /// Sets all to zero.
            pub fn reset(&self) {
                $(self.$name.reset();)*
                self.download_micros.reset();
            }

            /// All that count something, with their names, in the order of their declaration.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.get()),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Calls answered at once with a fresh entry, or value of a lease's. Counted on the main thread.
    hits,
    /// Calls that found none: those that started a flight, joined one, or were refused.
    misses,
    /// Calls answered at once with a stale entry that they welcome.
    stale_hits,
    /// Misses that joined a flight already in the air.
    coalesced,
    /// Flights whose download succeeded.
    downloads,
    /// Flights whose entry the origin found to be still good (304): nothing was downloaded.
    revalidated,
    /// Body bytes that revalidation spared.
    bytes_saved,
    /// Flights that failed over an entry that was there, stale or to be refreshed, and stays.
    failed_refreshes,
    /// Entries deleted since their origin answered a refresh with a status that is no outage, such as 404.
    ended_by_origin,
    /// Flights that failed with `HTTPSTATUS`.
    failed_httpstatus,
    /// Flights that failed with `FETCHFAILED`.
    failed_fetchfailed,
    /// Flights that failed with `FETCHTIMEOUT`.
    failed_fetchtimeout,
    /// Flights that failed with `FETCHDENIED`.
    failed_fetchdenied,
    /// Flights that failed with `TOOLARGE`.
    failed_toolarge,
    /// Calls refused with `OVERLOADED`: too many downloads, waiters, or bytes to answer.
    failed_overloaded,
    /// Downloads and leases that did not start, since the server was out of memory.
    refused_oom,
    /// Answered, not stored: the database was flushed or swapped under the flight, or `CACHE.DEL` called.
    not_stored_void,
    /// Answered, not stored: writes were paused.
    not_stored_paused,
    /// Answered, not stored: the server is a replica, or became one under the flight.
    not_stored_replica,
    /// Answered, not stored: the server loads data, or did so under the flight.
    not_stored_loading,
    /// Answered, not stored: no memory left under `maxmemory`.
    not_stored_oom,
    /// Answered, not stored: the origin said `no-store` or `private`, and `respect-no-store` is on.
    not_stored_forbidden,
    /// Answered, not stored: Redis refused the write otherwise.
    not_stored_refused,
    /// Body bytes of successful downloads, after decoding.
    bytes_fetched,
    /// Leases given: tokens handed out by `CACHE.LEASE`.
    leases,
    /// Leases that `CACHE.FILL` has filled.
    leases_filled,
    /// Leases given up by `CACHE.RELEASE`.
    leases_released,
    /// Leases whose time ran out.
    leases_expired,
    /// Tied leases lost with their holder's connection.
    leases_cut,
    /// Leases that were ended: by `CACHE.RELEASE` with `FORCE`; or by `CACHE.DEL`, a flush or the like, when
    /// nobody waited for them.
    leases_ended,
    /// Calls refused with `LEASELOST`.
    leases_lost,
}

impl Stats {
    /// Counts a failure by its kind.
    pub fn failed(&self, error: &FetchError) {
        match error {
            FetchError::Status(..) => &self.failed_httpstatus,
            FetchError::Failed(_) => &self.failed_fetchfailed,
            FetchError::Timeout => &self.failed_fetchtimeout,
            FetchError::Denied(_) => &self.failed_fetchdenied,
            FetchError::TooLarge => &self.failed_toolarge,
            FetchError::Overloaded(_) => &self.failed_overloaded,
        }
        .bump();
    }

    /// Counts a body that was answered but not stored.
    pub fn not_stored(&self, reason: NotStored) {
        match reason {
            NotStored::Void(Void::Flushed | Void::Deleted) => &self.not_stored_void,
            NotStored::Paused => &self.not_stored_paused,
            NotStored::Replica | NotStored::Void(Void::Demoted) => &self.not_stored_replica,
            NotStored::Loading | NotStored::Void(Void::Loading) => &self.not_stored_loading,
            NotStored::OutOfMemory => &self.not_stored_oom,
            NotStored::Forbidden => &self.not_stored_forbidden,
            NotStored::Refused => &self.not_stored_refused,
        }
        .bump();
    }

    /// Counts the time one download took, however it ended.
    pub fn downloaded_for(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.download_micros.add(micros);
    }

    /// Seconds of downloading, all threads together.
    #[allow(clippy::cast_precision_loss)] // exact for the first 285 years
    pub fn download_seconds(&self) -> f64 {
        self.download_micros.get() as f64 / 1e6
    }
}
