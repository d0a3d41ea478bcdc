//! The flight table's rules, one by one, and in random order.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

type Table = Flights<u32, ()>;

fn key(db: i32, name: &str) -> FlightKey {
    FlightKey { db, name: name.into() }
}

fn waiter(who: u32) -> WaiterId {
    WaiterId { wait: who.into(), part: 0 }
}

fn filled_by(table: &mut Table, db: i32, filler: Filler) -> (LockMark, Filler, ()) {
    let number = u128::from(table.next_number());
    let token = Token::from_random(number.to_ne_bytes());
    (LockMark { db, key: b"lock".to_vec(), token }, filler, ())
}

fn start(table: &mut Table, key: &FlightKey, filler: Filler) -> FlightId {
    let id = table.next_flight();
    let by = filled_by(table, key.db, filler);
    table.take_off(id, key.clone(), by, id.0);
    id
}

fn take_off(table: &mut Table, key: &FlightKey) -> FlightId {
    start(table, key, Filler::Thread)
}

const HELD: Filler = Filler::Holder { client: 0, tied: false };

fn tied(client: u64) -> Filler {
    Filler::Holder { client, tied: true }
}

fn token_of(table: &Table, id: FlightId) -> Token {
    table.by_id[&id].lock.token
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
fn when_all_leave_the_flights_go_on_without_them() {
    let mut table = Table::default();
    let [one, other] = ["a", "b"].map(|name| take_off(&mut table, &key(0, name)));
    let gone = join(&mut table, other, 1);
    join(&mut table, one, 2);
    join(&mut table, one, 3);
    assert_eq!(table.leave_all(), [2, 3, 1]);
    assert_eq!((table.len(), table.waiters()), (2, 0));
    assert_eq!(table.leave(gone), None);
    assert!(table.land(one).unwrap().into_waiters().is_empty());
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
    assert_eq!(table.find(&key(0, "a")), Some(new), "the old one took the new one's place along");
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
fn the_longest_waiting_of_a_kind_can_be_taken_alone() {
    let mut table = Table::default();
    let flight = take_off(&mut table, &key(0, "a"));
    let [_, _, third] = [7, 8, 5].map(|who| join(&mut table, flight, who));
    assert_eq!(table.waiters_of(flight).collect::<Vec<_>>(), [&7, &8, &5]);
    assert_eq!(table.take_first(flight, |&who| who > 7), Some(8));
    assert_eq!(table.take_first(flight, |&who| who > 7), None);
    assert_eq!(table.take_first(flight, |_| true), Some(7));
    assert_eq!((table.waiting(flight), table.waiters()), (1, 1));
    assert_eq!(table.leave(third), Some(5));
    assert_eq!(table.take_first(flight, |_| true), None);
}

#[test]
fn sightings_tell_of_each_flight_the_oldest_first() {
    let mut table = Table::default();
    let first = start(&mut table, &key(0, "a"), HELD);
    let second = take_off(&mut table, &key(1, "b"));
    join(&mut table, second, 1);
    table.progress(second).add(70);
    table.progress(second).add(7);
    table.void(Some(1), Void::Flushed);
    let sightings: Vec<_> = table.sightings().collect();
    let seen = |key, filler, is_void, since: FlightId, bytes, waiting| Sighting {
        key,
        filler,
        is_void,
        since: since.0,
        bytes,
        waiting,
    };
    let expected = [
        seen(key(0, "a"), HELD, false, first, 0, 0),
        seen(key(1, "b"), Filler::Thread, true, second, 77, 1),
    ];
    assert_eq!(sightings, expected);
}

#[test]
fn a_lease_is_known_by_its_token_until_it_is_passed_on_or_lands() {
    let mut table = Table::default();
    let flight = start(&mut table, &key(0, "a"), HELD);
    join(&mut table, flight, 1);
    let first = token_of(&table, flight);
    assert_eq!((table.held_by(first), table.leases()), (Some(flight), 1));
    let filled = filled_by(&mut table, 0, HELD);
    let left = table.pass_on(flight, filled).unwrap();
    assert_eq!(left.0.token, first);
    let second = token_of(&table, flight);
    assert_eq!((table.held_by(first), table.held_by(second)), (None, Some(flight)));
    assert_eq!(table.land(flight).unwrap().into_waiters(), [1]);
    assert_eq!((table.held_by(second), table.leases()), (None, 0));
    let filled = filled_by(&mut table, 0, HELD);
    assert!(table.pass_on(flight, filled).is_none());
}

#[test]
fn a_lease_that_a_thread_takes_over_has_no_token() {
    let mut table = Table::default();
    let flight = start(&mut table, &key(0, "a"), tied(9));
    let filled = filled_by(&mut table, 0, Filler::Thread);
    table.pass_on(flight, filled);
    assert_eq!((table.filler(flight), table.leases()), (Some(Filler::Thread), 0));
    assert_eq!(table.held_by(token_of(&table, flight)), None);
    assert_eq!(table.tied_to(9), []);
}

#[test]
fn a_retired_holder_has_neither_token_nor_tie_and_its_flight_stays_void_if_it_was() {
    let mut table = Table::default();
    let flight = start(&mut table, &key(0, "a"), tied(9));
    let token = token_of(&table, flight);
    table.void_key(&key(0, "a"), Void::Deleted);
    table.retire(flight, Filler::Thread);
    assert_eq!((table.held_by(token), table.tied_to(9)), (None, vec![]));
    assert_eq!(table.land(flight).unwrap().void, Some(Void::Deleted));
}

#[test]
fn ties_are_to_the_holder_of_the_moment() {
    let mut table = Table::default();
    let [one, two] = ["a", "b"].map(|name| start(&mut table, &key(0, name), tied(9)));
    let tied_flights = |table: &Table, client| -> Vec<_> {
        table.tied_to(client).into_iter().map(|token| table.held_by(token).unwrap()).collect()
    };
    assert_eq!(tied_flights(&table, 9), [one, two]);
    let filled = filled_by(&mut table, 0, tied(10));
    table.pass_on(one, filled);
    assert_eq!(tied_flights(&table, 9), [two]);
    assert_eq!(tied_flights(&table, 10), [one]);
    table.land(two);
    assert_eq!(table.tied_to(9), []);
}

#[test]
fn a_void_lease_keeps_its_token_and_is_as_good_as_new_once_passed_on() {
    let mut table = Table::default();
    let flight = start(&mut table, &key(0, "a"), HELD);
    let token = token_of(&table, flight);
    join(&mut table, flight, 1);
    assert_eq!(table.void_key(&key(0, "a"), Void::Deleted), None);
    assert_eq!((table.held_by(token), table.is_void(flight)), (Some(flight), true));
    let filled = filled_by(&mut table, 0, HELD);
    table.pass_on(flight, filled);
    assert_eq!((table.find(&key(0, "a")), table.is_void(flight)), (Some(flight), false));
}

#[test]
fn merged_waiters_keep_the_order_in_which_they_came() {
    let mut table = Table::default();
    let old = start(&mut table, &key(0, "a"), HELD);
    let [first, _] = [1, 2].map(|who| join(&mut table, old, who));
    table.void_key(&key(0, "a"), Void::Deleted);
    let new = start(&mut table, &key(0, "a"), HELD);
    join(&mut table, new, 3);
    assert!(table.merge(new, new).is_none());
    assert_eq!(table.merge(old, new).unwrap().waiting(), 0);
    assert_eq!(table.leave(first), Some(1));
    assert_eq!(table.land(new).unwrap().into_waiters(), [2, 3]);
    assert_eq!((table.len(), table.waiters(), table.leases()), (0, 0, 0));
}

/// One random thing that can happen to the table.
#[derive(Debug, Clone)]
enum Event {
    /// A call in a database: it joins what is in the air, or starts a flight with this filler.
    Call(i32, Option<Filler>),
    /// A waiter's patience ends, or its connection.
    Leave(usize),
    /// A flight lands, with a value or a failure.
    Land(usize),
    /// A filler is lost: released, run out.
    Lose(usize),
    /// A holder's value has come, and is being copied; or it is lost, and the next not found yet.
    Retire(usize, Filler),
    /// A client's connection closes: what is tied to it is lost.
    Disconnect(u64),
    Void(Option<i32>),
    VoidKey(i32),
    Swap(i32, i32),
}

fn event() -> impl Strategy<Value = Event> {
    let filler = prop::option::of(prop_oneof![Just(HELD), (0..3_u64).prop_map(tied)]);
    prop_oneof![
        6 => (0..3, filler).prop_map(|(db, filler)| Event::Call(db, filler)),
        1 => any::<usize>().prop_map(Event::Leave),
        2 => any::<usize>().prop_map(Event::Land),
        3 => any::<usize>().prop_map(Event::Lose),
        1 => (any::<usize>(), prop_oneof![Just(Filler::Thread), Just(Filler::Nobody)])
            .prop_map(|(n, filler)| Event::Retire(n, filler)),
        1 => (0..3_u64).prop_map(Event::Disconnect),
        1 => prop::option::of(0..3).prop_map(Event::Void),
        1 => (0..3).prop_map(Event::VoidKey),
        1 => (0..3, 0..3).prop_map(|(a, b)| Event::Swap(a, b)),
    ]
}

/// The table, what has been put into it and what has come out.
#[derive(Default)]
struct Run {
    table: Table,
    flights: Vec<FlightId>,
    waiters: Vec<WaiterId>,
    joined: u32,
    answered: Vec<u32>,
    /// Tokens that are no good any more.
    spent: Vec<Token>,
}

impl Run {
    fn play(&mut self, event: &Event) {
        match *event {
            Event::Call(db, filler) => self.call(db, filler.unwrap_or(Filler::Thread)),
            Event::Leave(n) if !self.waiters.is_empty() => {
                let waiter = self.waiters[n % self.waiters.len()];
                self.answered.extend(self.table.leave(waiter));
            }
            Event::Land(n) if !self.flights.is_empty() => {
                self.land(self.flights[n % self.flights.len()]);
            }
            Event::Lose(n) if !self.flights.is_empty() => {
                self.lose(self.flights[n % self.flights.len()]);
            }
            Event::Retire(n, filler) if !self.flights.is_empty() => {
                let flight = self.flights[n % self.flights.len()];
                if self.table.key(flight).is_some() {
                    self.spent.push(token_of(&self.table, flight));
                    self.table.retire(flight, filler);
                }
            }
            Event::Disconnect(client) => {
                for token in self.table.tied_to(client) {
                    self.lose(self.table.held_by(token).unwrap());
                }
            }
            Event::Void(db) => {
                let idle = self.table.void(db, Void::Flushed);
                self.free(idle);
            }
            Event::VoidKey(db) => {
                let idle = self.table.void_key(&key(db, "k"), Void::Deleted);
                self.free(idle);
            }
            Event::Swap(a, b) => {
                let idle = self.table.swap(a, b);
                self.free(idle);
            }
            Event::Leave(_) | Event::Land(_) | Event::Lose(_) | Event::Retire(..) => {}
        }
    }

    /// Whoever calls waits, but for the one who is to fill.
    fn call(&mut self, db: i32, filler: Filler) {
        let flight = self.table.find(&key(db, "k"));
        let flight = flight.unwrap_or_else(|| {
            let id = start(&mut self.table, &key(db, "k"), filler);
            self.flights.push(id);
            id
        });
        self.waiters.push(join(&mut self.table, flight, self.joined));
        self.joined += 1;
    }

    fn land(&mut self, flight: FlightId) {
        if let Some(landed) = self.table.land(flight) {
            self.spent.push(landed.lock.token);
            self.answered.extend(landed.into_waiters());
        }
    }

    /// As the server does with void leases that nobody waits for.
    fn free(&mut self, idle: impl IntoIterator<Item = FlightId>) {
        for flight in idle {
            let freed = self.table.land_idle(flight).expect("it is not idle");
            self.spent.push(freed.lock.token);
        }
    }

    /// As the server does: the waiters of a flight in whose place there is another go there; else the
    /// first of them follows the filler, and without one the flight lands.
    fn lose(&mut self, flight: FlightId) {
        let Some(key) = self.table.key(flight).cloned() else {
            return;
        };
        self.spent.push(token_of(&self.table, flight));
        if let Some(other) = self.table.find(&key).filter(|&other| other != flight) {
            assert_eq!(self.table.merge(flight, other).unwrap().waiting(), 0);
        } else if let Some(next) = self.table.take_first(flight, |_| true) {
            self.answered.push(next);
            let filled = filled_by(&mut self.table, key.db, tied(u64::from(next) % 3));
            self.table.pass_on(flight, filled).unwrap();
        } else {
            self.land(flight);
        }
    }

    fn check(&self) {
        let Self { table, spent, .. } = self;
        assert_eq!(table.waiters() + self.answered.len(), self.joined as usize);
        assert!(table.by_key.values().all(|id| table.by_id[id].void.is_none()));
        let unvoided = table.by_id.values().filter(|flight| flight.void.is_none());
        assert_eq!(unvoided.count(), table.by_key.len(), "two flights for one key");
        assert!(spent.iter().all(|&token| table.held_by(token).is_none()), "two fillers");
        let is_held = |flight: &&Flight<_, _>| matches!(flight.filler, Filler::Holder { .. });
        let held = table.by_id.values().filter(is_held);
        assert_eq!(held.count(), table.leases());
        assert_eq!(table.by_holder.values().sum::<u64>(), table.leases() as u64);
        assert!(table.by_holder.values().all(|&held| held > 0));
        let keys = table.by_id.values().map(|flight| flight.key.name.len() as u64);
        assert_eq!(table.key_bytes(), keys.sum::<u64>());
        let mut seen = HashSet::new();
        assert!(table.by_tie.values().flatten().all(|token| seen.insert(token)), "tied twice");
        for (&client, tokens) in &table.by_tie {
            assert!(!tokens.is_empty());
            let filler = |token| table.by_id[&table.by_token[token]].filler;
            assert!(tokens.iter().all(|token| filler(token) == tied(client)));
        }
    }
}

#[test]
fn a_void_lease_is_freed_unless_somebody_waits_for_it() {
    let mut table = Table::default();
    let [idle, waited, other] =
        [(0, "a"), (0, "b"), (1, "c")].map(|(db, name)| start(&mut table, &key(db, name), HELD));
    let download = take_off(&mut table, &key(0, "d"));
    let waits = join(&mut table, waited, 1);
    assert!(table.land_idle(idle).is_none(), "it is not void");
    assert_eq!(table.void(Some(0), Void::Flushed), [idle]);
    assert!(table.land_idle(idle).is_some());
    assert!(table.land_idle(waited).is_none(), "somebody waits for it");
    assert!(table.land_idle(download).is_none(), "it is no lease");
    table.leave(waits);
    assert_eq!(table.void(Some(0), Void::Flushed), [waited], "it was void before");
    assert_eq!(table.void_key(&key(1, "c"), Void::Deleted), Some(other));
}

#[test]
fn leases_are_counted_by_client_and_found_by_key() {
    let mut table = Table::default();
    let [one, two] = ["a", "b"].map(|name| start(&mut table, &key(0, name), tied(9)));
    join(&mut table, one, 1);
    table.void_key(&key(0, "a"), Void::Deleted);
    let three = start(&mut table, &key(0, "a"), HELD);
    assert_eq!((table.leases_by(9), table.leases_by(0), table.leases_by(7)), (2, 1, 0));
    assert_eq!(table.leases_of(&key(0, "a")), [one, three]);
    assert_eq!(table.leases_of(&key(1, "a")), []);
    table.retire(one, Filler::Nobody);
    table.retire(two, Filler::Copier);
    assert_eq!((table.leases_by(9), table.losses(one), table.losses(two)), (0, 1, 0));
    assert_eq!(table.leases_of(&key(0, "a")), [three]);
}

proptest! {
    /// Whatever happens in whatever order: a key has one joinable flight and a flight one filler, and
    /// every waiter comes out exactly once.
    #[test]
    fn no_waiter_is_lost_or_answered_twice_and_there_are_never_two_fillers(
        events in prop::collection::vec(event(), 1..200)
    ) {
        let mut run = Run::default();
        for event in &events {
            run.play(event);
            run.check();
        }
        for flight in run.flights.clone() {
            run.land(flight);
        }
        run.check();
        run.answered.sort_unstable();
        prop_assert_eq!(run.answered, (0..run.joined).collect::<Vec<_>>());
        let table = run.table;
        prop_assert_eq!((table.len(), table.waiters(), table.by_key.len()), (0, 0, 0));
        prop_assert_eq!((table.leases(), table.by_tie.len()), (0, 0));
        prop_assert_eq!((table.by_holder.len(), table.key_bytes()), (0, 0));
    }
}
