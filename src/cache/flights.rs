//! The flight table: which keys are being filled, and who waits for them.
//!
//! A flight takes off on a miss, is joined by every other caller that asks for the same key in the
//! same database, and lands once: with a body, or with an error. Rules:
//!
//! - A key has at most one flight that others can join. [`Flights::find`] tells it.
//! - A flight is *void* once `FLUSHALL`, `SWAPDB`, a demotion or the like has come between: it goes
//!   on for those who wait already, writes nothing at its end, and is not found any more, so that the
//!   next caller starts a new one and never gets an answer from before.
//! - A waiter is in the table until somebody takes it out: its timeout, its disconnection or the
//!   landing. Whoever takes it owns its one reply. Taking moves it, so there cannot be two.
//! - Nothing is decided by the lock key. It is the table's shadow in the keyspace, for people to see.
//!
//! The table is used by the server's main thread alone. It is generic over the waiter `W` and the
//! handle `D` of the flight's deadline, which are the server's business.

use std::collections::{BTreeMap, HashMap};

/// What a flight fills: a key in a database.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlightKey {
    /// The database's number.
    pub db: i32,
    /// The entry's key.
    pub name: Vec<u8>,
}

/// Names a flight for the life of the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlightId(u64);

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
    /// The client.
    pub client: u64,
    /// Which of the answers that this client waits for; 0 where it is one.
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
    pub token: String,
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

/// One fill in progress.
pub struct Flight<W, D> {
    /// What it fills.
    pub key: FlightKey,
    /// Its lock key.
    pub lock: LockMark,
    /// Set once it may write nothing any more; the first reason stays.
    pub void: Option<Void>,
    /// What ends it if nothing else does.
    pub deadline: D,
    /// By their place in the queue: who came first has the smallest number.
    waiters: BTreeMap<u64, (WaiterId, W)>,
}

impl<W, D> Flight<W, D> {
    /// Takes the deadline out, to be stopped by whoever landed the flight before it came.
    pub fn without_deadline(self) -> (Flight<W, ()>, D) {
        let Self { key, lock, void, deadline, waiters } = self;
        (Flight { key, lock, void, deadline: (), waiters }, deadline)
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

/// The table; see the module's essay.
pub struct Flights<W, D> {
    by_id: HashMap<FlightId, Flight<W, D>>,
    by_key: HashMap<FlightKey, FlightId>,
    /// A waiter's flight, and its place in the queue there.
    by_waiter: HashMap<WaiterId, (FlightId, u64)>,
    last_number: u64,
}

impl<W, D> Default for Flights<W, D> {
    fn default() -> Self {
        Self {
            by_id: HashMap::new(),
            by_key: HashMap::new(),
            by_waiter: HashMap::new(),
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
    pub fn take_off(&mut self, id: FlightId, key: FlightKey, lock: LockMark, deadline: D) {
        debug_assert!(self.find(&key).is_none());
        self.by_key.insert(key.clone(), id);
        let waiters = BTreeMap::new();
        self.by_id.insert(id, Flight { key, lock, void: None, deadline, waiters });
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

    /// Takes one waiter out, whatever its flight does; `None` if somebody else has taken it.
    pub fn leave(&mut self, waiter: WaiterId) -> Option<W> {
        let (flight, place) = self.by_waiter.remove(&waiter)?;
        let (_, what) = self.by_id.get_mut(&flight)?.waiters.remove(&place)?;
        Some(what)
    }

    /// Takes out the one who has waited longest for a flight, if it is such a one.
    pub fn take_first_if(&mut self, id: FlightId, fits: impl FnOnce(&W) -> bool) -> Option<W> {
        let first = self.by_id.get_mut(&id)?.waiters.first_entry()?;
        if !fits(&first.get().1) {
            return None;
        }
        let (waiter, what) = first.remove();
        self.by_waiter.remove(&waiter);
        Some(what)
    }

    /// Takes the flight out, with all that wait for it; `None` if it has landed before.
    pub fn land(&mut self, id: FlightId) -> Option<Flight<W, D>> {
        let flight = self.by_id.remove(&id)?;
        if flight.void.is_none() {
            self.by_key.remove(&flight.key);
        }
        for (waiter, _) in flight.waiters.values() {
            self.by_waiter.remove(waiter);
        }
        Some(flight)
    }

    /// Voids the flights of one database, or of all.
    pub fn void(&mut self, db: Option<i32>, reason: Void) {
        for flight in self.by_id.values_mut() {
            if flight.void.is_none() && db.is_none_or(|db| db == flight.key.db) {
                flight.void = Some(reason);
                self.by_key.remove(&flight.key);
            }
        }
    }

    /// Voids the flight of one key; whether there was one.
    pub fn void_key(&mut self, key: &FlightKey, reason: Void) -> bool {
        let Some(flight) = self.by_key.remove(key).and_then(|id| self.by_id.get_mut(&id)) else {
            return false;
        };
        flight.void = Some(reason);
        true
    }

    /// After `SWAPDB`: voids the flights of both databases; their lock keys have changed places.
    pub fn swap(&mut self, one: i32, other: i32) {
        self.void(Some(one), Void::Flushed);
        self.void(Some(other), Void::Flushed);
        for flight in self.by_id.values_mut() {
            if flight.lock.db == one {
                flight.lock.db = other;
            } else if flight.lock.db == other {
                flight.lock.db = one;
            }
        }
    }

    /// What a flight fills.
    pub fn key(&self, id: FlightId) -> Option<&FlightKey> {
        self.by_id.get(&id).map(|flight| &flight.key)
    }

    /// How many wait for this flight.
    pub fn waiting(&self, id: FlightId) -> usize {
        self.by_id.get(&id).map_or(0, |flight| flight.waiters.len())
    }

    /// How many flights are in the air.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// How many waiters there are in all.
    pub fn waiters(&self) -> usize {
        self.by_waiter.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Table = Flights<u32, ()>;

    fn key(db: i32, name: &str) -> FlightKey {
        FlightKey { db, name: name.into() }
    }

    fn waiter(who: u32) -> WaiterId {
        WaiterId { client: who.into(), part: 0 }
    }

    fn take_off(table: &mut Table, key: &FlightKey) -> FlightId {
        let id = table.next_flight();
        let lock = LockMark { db: key.db, key: key.name.clone(), token: id.0.to_string() };
        table.take_off(id, key.clone(), lock, ());
        id
    }

    fn join(table: &mut Table, flight: FlightId, who: u32) -> WaiterId {
        let id = waiter(who);
        table.join(flight, id, who).unwrap();
        id
    }

    #[test]
    fn waiters_come_out_in_the_order_they_came() {
        let mut table = Table::default();
        let flight = take_off(&mut table, &key(0, "a"));
        for who in 0..5 {
            join(&mut table, flight, who);
        }
        assert_eq!(table.waiting(flight), 5);
        assert_eq!(table.land(flight).unwrap().into_waiters(), [0, 1, 2, 3, 4]);
        assert!(table.land(flight).is_none());
        assert_eq!((table.len(), table.waiters()), (0, 0));
    }

    #[test]
    fn who_leaves_is_not_there_at_the_landing() {
        let mut table = Table::default();
        let flight = take_off(&mut table, &key(0, "a"));
        let gone = join(&mut table, flight, 1);
        join(&mut table, flight, 2);
        assert_eq!(table.leave(gone), Some(1));
        assert_eq!(table.leave(gone), None);
        assert_eq!(table.land(flight).unwrap().into_waiters(), [2]);
    }

    #[test]
    fn nobody_joins_what_has_landed() {
        let mut table = Table::default();
        let flight = take_off(&mut table, &key(0, "a"));
        table.land(flight);
        assert_eq!(table.join(flight, waiter(9), 9), Err(9));
    }

    #[test]
    fn a_void_flight_is_not_found_and_keeps_its_waiters() {
        let mut table = Table::default();
        let old = take_off(&mut table, &key(0, "a"));
        join(&mut table, old, 1);
        table.void(Some(1), Void::Flushed);
        assert_eq!(table.find(&key(0, "a")), Some(old));
        table.void(Some(0), Void::Flushed);
        table.void(None, Void::Demoted);
        assert_eq!(table.find(&key(0, "a")), None);
        let new = take_off(&mut table, &key(0, "a"));
        let landed = table.land(old).unwrap();
        assert_eq!(landed.void, Some(Void::Flushed));
        assert_eq!(landed.into_waiters(), [1]);
        assert_eq!(
            table.find(&key(0, "a")),
            Some(new),
            "the old one took the new one's place along"
        );
    }

    #[test]
    fn a_swap_voids_both_databases_and_follows_the_lock_keys() {
        let mut table = Table::default();
        let [zero, one, two] = [0, 1, 2].map(|db| take_off(&mut table, &key(db, "a")));
        table.swap(0, 1);
        let mut lands = |id| {
            let flight = table.land(id).unwrap();
            (flight.void, flight.lock.db)
        };
        assert_eq!(lands(zero), (Some(Void::Flushed), 1));
        assert_eq!(lands(one), (Some(Void::Flushed), 0));
        assert_eq!(lands(two), (None, 2));
    }

    #[test]
    fn the_longest_waiting_can_be_taken_alone() {
        let mut table = Table::default();
        let flight = take_off(&mut table, &key(0, "a"));
        join(&mut table, flight, 8);
        let second = join(&mut table, flight, 5);
        assert_eq!(table.take_first_if(flight, |_| true), Some(8));
        assert_eq!((table.waiting(flight), table.waiters()), (1, 1));
        assert_eq!(table.leave(second), Some(5));
        assert_eq!(table.take_first_if(flight, |_| true), None);
    }

    /// One random thing that can happen to the table.
    #[derive(Debug, Clone)]
    enum Event {
        Call(i32),
        Leave(usize),
        TakeFirst(usize),
        Land(usize),
        Void(Option<i32>),
        Swap(i32, i32),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => (0..3).prop_map(Event::Call),
            1 => any::<usize>().prop_map(Event::Leave),
            1 => any::<usize>().prop_map(Event::TakeFirst),
            2 => any::<usize>().prop_map(Event::Land),
            1 => prop::option::of(0..3).prop_map(Event::Void),
            1 => (0..3, 0..3).prop_map(|(a, b)| Event::Swap(a, b)),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order: a key has one joinable flight, and every waiter comes
        /// out exactly once.
        #[test]
        fn no_waiter_is_lost_or_answered_twice(events in prop::collection::vec(event(), 1..200)) {
            let mut table = Table::default();
            let (mut flights, mut waiters) = (Vec::new(), Vec::new());
            let (mut joined, mut answered) = (0, Vec::new());
            for event in events {
                match event {
                    Event::Call(db) => {
                        let key = key(db, "k");
                        let flight = table.find(&key).unwrap_or_else(|| {
                            let id = take_off(&mut table, &key);
                            flights.push(id);
                            id
                        });
                        waiters.push(join(&mut table, flight, joined));
                        joined += 1;
                    }
                    Event::Leave(n) if !waiters.is_empty() => {
                        answered.extend(table.leave(waiters[n % waiters.len()]));
                    }
                    Event::TakeFirst(n) if !flights.is_empty() => {
                        answered.extend(table.take_first_if(flights[n % flights.len()], |_| true));
                    }
                    Event::Land(n) if !flights.is_empty() => {
                        let landed = table.land(flights[n % flights.len()]);
                        answered.extend(landed.into_iter().flat_map(Flight::into_waiters));
                    }
                    Event::Void(db) => table.void(db, Void::Flushed),
                    Event::Swap(a, b) => table.swap(a, b),
                    Event::Leave(_) | Event::TakeFirst(_) | Event::Land(_) => {}
                }
                prop_assert_eq!(table.waiters() + answered.len(), joined as usize);
                prop_assert!(table.by_key.values().all(|id| table.by_id[id].void.is_none()));
            }
            for id in flights {
                answered.extend(table.land(id).into_iter().flat_map(Flight::into_waiters));
            }
            answered.sort_unstable();
            prop_assert_eq!(answered, (0..joined).collect::<Vec<_>>());
            prop_assert_eq!((table.len(), table.waiters(), table.by_key.len()), (0, 0, 0));
        }
    }
}
