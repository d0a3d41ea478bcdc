//! The path of one flight through all rings: take-off, download, landing.
//!
//! ```text
//! main thread       takeoff    what a call leads to: an answer, a flight, a place among its waiters
//! download thread   download   the origin's bytes, into the string that will be stored
//! main thread       landing    still valid? store it, drop the lock key, take the waiters
//! main thread       revalidation   the same, where the origin says that nothing has changed
//! main thread       gone       the same, where the origin says that there is no such content any more
//! main thread       lease      where it is a client that fills: given, given up, lost, passed on
//! main thread       fill       the client's value, and its landing
//! main thread       waiting    clients that wait, each for one answer or for several, and their patience
//! main thread       telling    all who wait are told how it ended
//! any thread        answer     an entry, as each command writes it
//! any thread        filled     what is stored at the end, and when its life begins
//! ```
//!
//! The flight table and the keyspace are touched on the main thread alone, so nothing here waits for a
//! lock that another thread holds for long.

pub mod answer;
pub mod download;
pub mod fill;
pub mod filled;
mod gathering;
pub mod gone;
pub mod landing;
pub mod lease;
pub mod revalidation;
pub mod takeoff;
pub mod telling;
pub mod waiting;

use crate::server::timer::Timer;

/// The flight table as the server uses it. A deadline is `None` once it has passed.
pub type Flights = crate::cache::flights::Flights<waiting::Waiter, Option<Timer>>;
