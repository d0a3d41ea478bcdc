//! The flight table: which keys are being filled, and who waits for them.
//!
//! A flight takes off on a miss, is joined by every other caller that asks for the same key in the
//! same database, and lands once: with a body, or with an error. Rules:
//!
//! - A key has at most one flight that others can join. [`Flights::find`] tells it.
//! - A flight has one filler at a time: a thread of ours, or a client that holds a lease (`lease`). A
//!   client that is lost is followed by another filler, and its token is no good any more.
//! - A flight is *void* once `FLUSHALL`, `SWAPDB`, a demotion or the like has come between: it goes
//!   on for those who wait already, writes nothing at its end, and is not found any more, so that the
//!   next caller starts a new one and never gets an answer from before. If its filler is lost, its
//!   waiters get a new one, and with that the flight is as good as new.
//! - A waiter is in the table until somebody takes it out: its timeout, its disconnection or the
//!   landing. Whoever takes it owns its one reply. Taking moves it, so there cannot be two.
//! - Nothing is decided by the lock key. It is the table's shadow in the keyspace, for people to see.
//!
//! The table is used by the server's main thread alone. It is generic over the waiter `W` and the
//! handle `D` of the flight's deadline, which are the server's business.

use std::collections::{BTreeMap, HashMap};

pub use super::flight::{
    Flight, FlightId, FlightKey, LockMark, Progress, Sighting, Void, WaiterId,
};
use super::lease::{Filler, Token};
use super::seconds::Millis;

/// The table; see the module's essay.
pub struct Flights<W, D> {
    by_id: BTreeMap<FlightId, Flight<W, D>>,
    by_key: HashMap<FlightKey, FlightId>,
    /// A waiter's flight, and its place in the queue there.
    by_waiter: HashMap<WaiterId, (FlightId, u64)>,
    /// Those that clients fill.
    by_token: HashMap<Token, FlightId>,
    /// By client, how many leases it holds.
    by_holder: HashMap<u64, u64>,
    /// By client, the tokens of the leases that are lost with its connection.
    by_tie: HashMap<u64, Vec<Token>>,
    /// The bytes of all flights' keys.
    key_bytes: u64,
    last_number: u64,
}

impl<W, D> Default for Flights<W, D> {
    fn default() -> Self {
        Self {
            by_id: BTreeMap::new(),
            by_key: HashMap::new(),
            by_waiter: HashMap::new(),
            by_token: HashMap::new(),
            by_holder: HashMap::new(),
            by_tie: HashMap::new(),
            key_bytes: 0,
            last_number: 0,
        }
    }
}

impl<W, D> Flights<W, D> {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// A fresh id for [`Flights::take_off`].
    pub fn next_flight(&mut self) -> FlightId {
        FlightId(self.next_number())
    }

    /// The flight that fills `key` and may be joined.
    pub fn find(&self, key: &FlightKey) -> Option<FlightId> {
        self.by_key.get(key).copied()
    }

    /// Enters a flight. The caller has looked: no other is found for its key.
    pub fn take_off(
        &mut self,
        id: FlightId,
        key: FlightKey,
        (lock, filler, deadline): (LockMark, Filler, D),
        since: Millis,
    ) {
        debug_assert!(self.find(&key).is_none());
        self.by_key.insert(key.clone(), id);
        self.seat(id, lock.token, filler);
        self.key_bytes += key.name.len() as u64;
        let (progress, waiters) = (Progress::default(), BTreeMap::new());
        let (void, losses) = (None, 0);
        let flight = Flight { key, lock, filler, void, deadline, since, losses, progress, waiters };
        self.by_id.insert(id, flight);
    }

    /// Gives a flight another filler, whose token `lock` has; the old one's is no good any more. Answers
    /// what the old one leaves to be cleared away; `None` if the flight has landed.
    ///
    /// A void flight is found again from here on, since its filler begins after what has voided it; the
    /// caller has looked: no other is found for its key.
    pub fn pass_on(
        &mut self,
        id: FlightId,
        (lock, filler, deadline): (LockMark, Filler, D),
    ) -> Option<(LockMark, D)> {
        let flight = self.by_id.get_mut(&id)?;
        let old = (flight.lock.token, flight.filler);
        let token = lock.token;
        if flight.void.take().is_some() {
            self.by_key.insert(flight.key.clone(), id);
        }
        flight.filler = filler;
        let left = (
            std::mem::replace(&mut flight.lock, lock),
            std::mem::replace(&mut flight.deadline, deadline),
        );
        self.unseat(old.0, old.1);
        self.seat(id, token, filler);
        Some(left)
    }

    /// Takes a lease from its holder, whose token is no good any more: it is lost, and nobody fills the
    /// flight for the moment; or its value has come, and a thread of ours does.
    pub fn retire(&mut self, id: FlightId, filler: Filler) {
        let Some(flight) = self.by_id.get_mut(&id) else {
            return;
        };
        if filler == Filler::Nobody {
            flight.losses += 1;
        }
        let old = std::mem::replace(&mut flight.filler, filler);
        let token = flight.lock.token;
        self.unseat(token, old);
    }

    /// A flight's deadline.
    pub fn deadline_mut(&mut self, id: FlightId) -> Option<&mut D> {
        self.by_id.get_mut(&id).map(|flight| &mut flight.deadline)
    }

    /// Makes a filler known by its token, its number and its tie, if it is a client.
    fn seat(&mut self, id: FlightId, token: Token, filler: Filler) {
        if let Filler::Holder { client, tied } = filler {
            self.by_token.insert(token, id);
            *self.by_holder.entry(client).or_default() += 1;
            if tied {
                self.by_tie.entry(client).or_default().push(token);
            }
        }
    }

    fn unseat(&mut self, token: Token, filler: Filler) {
        if let Filler::Holder { client, tied } = filler {
            self.by_token.remove(&token);
            if let Some(held) = self.by_holder.get_mut(&client) {
                *held -= 1;
                if *held == 0 {
                    self.by_holder.remove(&client);
                }
            }
            if tied && let Some(tokens) = self.by_tie.get_mut(&client) {
                tokens.retain(|&tied| tied != token);
                if tokens.is_empty() {
                    self.by_tie.remove(&client);
                }
            }
        }
    }

    /// The flight that the client with this token is to fill, void or not.
    pub fn held_by(&self, token: Token) -> Option<FlightId> {
        self.by_token.get(&token).copied()
    }

    /// The tokens of the leases that are lost with this client's connection.
    pub fn tied_to(&self, client: u64) -> Vec<Token> {
        self.by_tie.get(&client).cloned().unwrap_or_default()
    }

    /// Lets a waiter join; hands it back if the flight has landed.
    pub fn join(&mut self, id: FlightId, waiter: WaiterId, what: W) -> Result<(), W> {
        let place = self.next_number();
        let Some(flight) = self.by_id.get_mut(&id) else {
            return Err(what);
        };
        flight.waiters.insert(place, (waiter, what));
        self.by_waiter.insert(waiter, (id, place));
        Ok(())
    }

    /// What a waiter waits for.
    pub fn flight_of(&self, waiter: WaiterId) -> Option<FlightId> {
        self.by_waiter.get(&waiter).map(|&(flight, _)| flight)
    }

    /// Takes one waiter out, whatever its flight does; `None` if somebody else has taken it.
    pub fn leave(&mut self, waiter: WaiterId) -> Option<W> {
        let (flight, place) = self.by_waiter.remove(&waiter)?;
        let (_, what) = self.by_id.get_mut(&flight)?.waiters.remove(&place)?;
        Some(what)
    }

    /// Takes out all that wait, for whatever flight, the longest-waiting of the oldest flight first.
    pub fn leave_all(&mut self) -> Vec<W> {
        self.by_waiter.clear();
        let waiters = self.by_id.values_mut().map(|flight| std::mem::take(&mut flight.waiters));
        waiters.flat_map(BTreeMap::into_values).map(|(_, what)| what).collect()
    }

    /// Of those who wait for a flight and are such ones, takes out the one who has waited longest.
    pub fn take_first(&mut self, id: FlightId, fits: impl Fn(&W) -> bool) -> Option<W> {
        let waiters = &mut self.by_id.get_mut(&id)?.waiters;
        let place = *waiters.iter().find(|(_, (_, what))| fits(what))?.0;
        let (waiter, what) = waiters.remove(&place)?;
        self.by_waiter.remove(&waiter);
        Some(what)
    }

    /// All that wait for a flight, the longest-waiting first.
    pub fn waiters_of(&self, id: FlightId) -> impl Iterator<Item = &W> {
        let flight = self.by_id.get(&id).into_iter();
        flight.flat_map(|flight| flight.waiters.values().map(|(_, what)| what))
    }

    /// Lands a flight whose waiters go on waiting for another, each with the place it has had.
    pub fn merge(&mut self, from: FlightId, into: FlightId) -> Option<Flight<W, D>> {
        if from == into || !self.by_id.contains_key(&into) {
            return None;
        }
        let mut landed = self.land(from)?;
        let waiters = std::mem::take(&mut landed.waiters);
        for (&place, (waiter, _)) in &waiters {
            self.by_waiter.insert(*waiter, (into, place));
        }
        self.by_id.get_mut(&into)?.waiters.extend(waiters);
        Some(landed)
    }

    /// Takes the flight out, with all that wait for it; `None` if it has landed before.
    pub fn land(&mut self, id: FlightId) -> Option<Flight<W, D>> {
        let flight = self.by_id.remove(&id)?;
        if flight.void.is_none() {
            self.by_key.remove(&flight.key);
        }
        self.key_bytes -= flight.key.name.len() as u64;
        self.unseat(flight.lock.token, flight.filler);
        for (waiter, _) in flight.waiters.values() {
            self.by_waiter.remove(waiter);
        }
        self.give_back();
        Some(flight)
    }

    /// Gives back the memory that a crowd has left, once the table is empty.
    fn give_back(&mut self) {
        const MUCH: usize = 4096;
        let most = self.by_key.capacity().max(self.by_waiter.capacity());
        if self.by_id.is_empty() && most > MUCH {
            *self = Self { last_number: self.last_number, ..Self::default() };
        }
    }

    /// Voids the flights of one database, or of all. Answers those that nobody needs any more: leases that
    /// nobody waits for.
    pub fn void(&mut self, db: Option<i32>, reason: Void) -> Vec<FlightId> {
        let mut idle = Vec::new();
        for (&id, flight) in &mut self.by_id {
            if db.is_none_or(|db| db == flight.key.db) {
                if flight.void.is_none() {
                    flight.void = Some(reason);
                    self.by_key.remove(&flight.key);
                }
                if flight.is_idle() {
                    idle.push(id);
                }
            }
        }
        idle
    }

    /// Voids the flight of one key. Answers it if nobody needs it any more: a lease that nobody waits for.
    pub fn void_key(&mut self, key: &FlightKey, reason: Void) -> Option<FlightId> {
        let id = self.by_key.remove(key)?;
        let flight = self.by_id.get_mut(&id)?;
        flight.void = Some(reason);
        flight.is_idle().then_some(id)
    }

    /// Lands a void lease that nobody waits for; `None` if it has landed, or is needed after all.
    pub fn land_idle(&mut self, id: FlightId) -> Option<Flight<W, D>> {
        let flight = self.by_id.get(&id)?;
        if flight.void.is_some() && flight.is_idle() { self.land(id) } else { None }
    }

    /// The leases of one key that clients hold, void ones among them.
    pub fn leases_of(&self, key: &FlightKey) -> Vec<FlightId> {
        let held = self.by_id.iter().filter(|(_, flight)| {
            matches!(flight.filler, Filler::Holder { .. }) && flight.key == *key
        });
        held.map(|(&id, _)| id).collect()
    }

    /// After `SWAPDB`: voids the flights of both databases, as [`Flights::void`] does; their lock keys have
    /// changed places.
    pub fn swap(&mut self, one: i32, other: i32) -> Vec<FlightId> {
        let mut idle = self.void(Some(one), Void::Flushed);
        if other != one {
            idle.append(&mut self.void(Some(other), Void::Flushed));
        }
        for flight in self.by_id.values_mut() {
            if flight.lock.db == one {
                flight.lock.db = other;
            } else if flight.lock.db == other {
                flight.lock.db = one;
            }
        }
        idle
    }

    /// What a flight fills.
    pub fn key(&self, id: FlightId) -> Option<&FlightKey> {
        self.by_id.get(&id).map(|flight| &flight.key)
    }

    /// Who fills this flight.
    pub fn filler(&self, id: FlightId) -> Option<Filler> {
        self.by_id.get(&id).map(|flight| flight.filler)
    }

    /// How often this flight's holder was lost.
    pub fn losses(&self, id: FlightId) -> u32 {
        self.by_id.get(&id).map_or(0, |flight| flight.losses)
    }

    /// Whether this flight will write nothing.
    pub fn is_void(&self, id: FlightId) -> bool {
        self.by_id.get(&id).is_some_and(|flight| flight.void.is_some())
    }

    /// How many wait for this flight.
    pub fn waiting(&self, id: FlightId) -> usize {
        self.by_id.get(&id).map_or(0, |flight| flight.waiters.len())
    }

    /// Where a flight's bytes are counted.
    pub fn progress(&self, id: FlightId) -> Progress {
        self.by_id.get(&id).map(|flight| flight.progress.clone()).unwrap_or_default()
    }

    /// The flights in the air, the oldest first.
    pub fn sightings(&self) -> impl Iterator<Item = Sighting> {
        self.by_id.values().map(Flight::sighting)
    }

    /// How many flights are in the air.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// How many of them clients fill.
    pub fn leases(&self) -> usize {
        self.by_token.len()
    }

    /// How many of those one client fills.
    pub fn leases_by(&self, client: u64) -> u64 {
        self.by_holder.get(&client).copied().unwrap_or_default()
    }

    /// The bytes of all flights' keys.
    pub fn key_bytes(&self) -> u64 {
        self.key_bytes
    }

    /// How many waiters there are in all.
    pub fn waiters(&self) -> usize {
        self.by_waiter.len()
    }
}

#[cfg(test)]
mod tests;
