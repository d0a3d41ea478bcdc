//! The path of one flight through all rings: take-off, download, landing.
//!
//! ```text
//! main thread       takeoff    a miss: lock key, deadline, flight table, a job for the pool
//! download thread   download   the origin's bytes, into the string that will be stored
//! main thread       landing    still valid? store it, drop the lock key, take the waiters, answer
//! ```
//!
//! The flight table and the keyspace are touched on the main thread alone, so nothing here waits for a
//! lock that another thread holds for long.

pub mod download;
pub mod landing;
pub mod takeoff;

use crate::server::blocked::Blocked;
use crate::server::timer::Timer;

/// A client that waits for a flight, with the timer of its own patience.
pub struct Waiter {
    /// The client.
    pub client: Blocked,
    /// Its wait timeout.
    pub patience: Timer,
}

/// The flight table as the server uses it.
pub type Flights = crate::cache::flights::Flights<Waiter, Timer>;
