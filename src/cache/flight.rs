//! One flight: what it fills, who fills it, who waits for it, and what it is known by.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::lease::{Filler, Token};
use super::seconds::Millis;

/// What a flight fills: a key in a database.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlightKey {
    /// The database's number.
    pub db: i32,
    /// The entry's key.
    pub name: Vec<u8>,
}

/// Names a flight for the life of the module. A later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlightId(pub(super) u64);

impl FlightId {
    /// As a plain number, to be carried through a timer.
    pub const fn to_number(self) -> u64 {
        self.0
    }

    /// Back from [`Self::to_number`].
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// Names a waiter for as long as it is in the table; the server chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WaiterId {
    /// The wait of its client.
    pub wait: u64,
    /// Which of the answers that the client waits for; 0 where it is one.
    pub part: usize,
}

/// Where a flight's lock key lies and how to know it for one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockMark {
    /// The database it is in now: `SWAPDB` moves it.
    pub db: i32,
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub token: Token,
}

/// Why a flight writes nothing at its landing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Void {
    /// Its database was flushed or swapped.
    Flushed,
    /// `CACHE.DEL` named it.
    Deleted,
    /// The server became a replica.
    Demoted,
    /// The server loads another data set.
    Loading,
}

/// How many bytes a flight has brought so far; whoever brings them counts.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Counts more bytes.
    pub fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Relaxed);
    }

    /// How many there are.
    pub fn bytes(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A flight as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// What it fills.
    pub key: FlightKey,
    /// Who fills it.
    pub filler: Filler,
    /// Whether it will write nothing.
    pub is_void: bool,
    /// When it took off.
    pub since: Millis,
    /// How many bytes it has brought so far.
    pub bytes: u64,
    /// How many wait for it.
    pub waiting: usize,
}

/// One fill in progress.
pub struct Flight<W, D> {
    /// What it fills.
    pub key: FlightKey,
    /// Its lock key.
    pub lock: LockMark,
    /// Who fills it.
    pub filler: Filler,
    /// Set once it may write nothing any more; the first reason stays.
    pub void: Option<Void>,
    /// What ends it if nothing else does.
    pub deadline: D,
    /// When it took off.
    pub(super) since: Millis,
    /// How often its holder was lost.
    pub(super) losses: u32,
    /// What it has brought so far.
    pub(super) progress: Progress,
    /// By their place in the queue: who came first has the smallest number.
    pub(super) waiters: BTreeMap<u64, (WaiterId, W)>,
}

impl<W, D> Flight<W, D> {
    /// Takes the deadline out, to be stopped by whoever landed the flight before it came.
    pub fn without_deadline(self) -> (Flight<W, ()>, D) {
        let Self { key, lock, filler, void, deadline, since, losses, progress, waiters } = self;
        let flight =
            Flight { key, lock, filler, void, deadline: (), since, losses, progress, waiters };
        (flight, deadline)
    }

    /// What an operator sees of it.
    pub fn sighting(&self) -> Sighting {
        Sighting {
            key: self.key.clone(),
            filler: self.filler,
            is_void: self.void.is_some(),
            since: self.since,
            bytes: self.progress.bytes(),
            waiting: self.waiters.len(),
        }
    }

    /// Whether it is a lease that nobody waits for.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.filler, Filler::Holder { .. }) && self.waiters.is_empty()
    }

    /// How many wait for it.
    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Takes out all that wait, the longest-waiting first.
    pub fn into_waiters(self) -> Vec<W> {
        self.waiters.into_values().map(|(_, waiter)| waiter).collect()
    }
}
