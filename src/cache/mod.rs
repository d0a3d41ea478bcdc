//! The pure ring: what a cache *is*, without Redis, HTTP or a clock.
//!
//! Nothing here performs I/O, reads the time or touches `unsafe`: values go in, values come out, and
//! `now` is an argument. Every rule can therefore be read, and tested, alone. The rings around it
//! (`server`, `origin`) know this one; it knows neither.

pub mod backoff;
pub mod budget;
pub mod decide;
pub mod entry;
pub mod error;
pub mod expected;
pub mod flight;
pub mod flights;
pub mod freshness;
pub mod guard;
pub mod headers;
pub mod incoming;
pub mod key;
pub mod lease;
pub mod limits;
pub mod networks;
pub mod options;
pub mod origin;
pub mod permit;
pub mod repeats;
pub mod seconds;
pub mod stats;
pub mod variant;
