//! What an origin says is gone: its entry ends, however long it was to be kept.
//!
//! An origin that is down leaves its entry to those who welcome a stale one. One that answers, and says that there
//! is no such content, or not for this caller, is not down ([`FetchError::ends_entry`]).

use super::landing::{self, Landed};
use crate::cache::entry::{Stored, decode};
use crate::cache::error::FetchError;
use crate::cache::variant;
use crate::module::STATS;
use crate::server::ctx::Ctx;
use crate::server::keyspace::{self, ReadKey};

/// Deletes the entry over which a flight has failed, if that is what its failure says, and the flight may write.
/// Whether it has.
///
/// A string that somebody put there without a head is no answer of this origin's, and stays.
pub fn end_entry(ctx: &Ctx, landed: &Landed, error: &FetchError) -> bool {
    if !error.ends_entry() || landing::may_store(ctx, landed).is_err() {
        return false;
    }
    let name = &landed.key.name;
    if !holds_an_entry(ctx, name) || keyspace::delete(ctx, name) != Ok(true) {
        return false;
    }
    if let Some(url) = variant::url_of(name) {
        keyspace::signal_modified(ctx, url);
    }
    STATS.ended_by_origin.bump();
    true
}

fn holds_an_entry(ctx: &Ctx, name: &[u8]) -> bool {
    let open = ReadKey::open_named(ctx, name);
    let stored = open.as_ref().and_then(ReadKey::string);
    stored.is_some_and(|stored| !matches!(decode(stored), Stored::Bare(_)))
}
