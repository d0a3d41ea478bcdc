//! What has happened, as far as it decides what may be answered: which bodies were made, which failures the
//! origin has shown, what has voided flights; and the violations that were found.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::body::Key;

/// After so many violations the storm is over: more of them tell nothing new.
pub const ENOUGH: usize = 20;

/// What voids flights.
#[derive(Debug, Clone)]
pub enum Scope {
    /// All of them.
    All,
    /// Those of one database.
    Database(usize),
    /// That of one key.
    Key(Key),
}

/// A body that was made.
#[derive(Debug, Clone, Copy)]
pub struct Made {
    /// When; no flight that took off later can be without it.
    pub at: Instant,
    /// When it was last sent, or found to be still good.
    pub good_at: Instant,
}

/// The book.
pub struct Ledger {
    seed: u64,
    begun: Instant,
    last_serial: AtomicU64,
    made: Mutex<HashMap<u64, Made>>,
    faults: Mutex<HashMap<Key, HashSet<String>>>,
    voids: Mutex<Vec<(Instant, Scope)>>,
    violations: Mutex<Vec<String>>,
    tally: Mutex<HashMap<String, u64>>,
}

impl Ledger {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            begun: Instant::now(),
            last_serial: AtomicU64::new(0),
            made: Mutex::default(),
            faults: Mutex::default(),
            voids: Mutex::default(),
            violations: Mutex::default(),
            tally: Mutex::default(),
        }
    }

    /// A number for a body, which nobody may be answered with until it is [`Ledger::send`].
    pub fn next_serial(&self) -> u64 {
        self.last_serial.fetch_add(1, Relaxed) + 1
    }

    /// From here on the body may be seen: it is about to be sent, whole. Made when `at` says.
    pub fn send(&self, serial: u64, at: Instant) {
        lock(&self.made).insert(serial, Made { at, good_at: Instant::now() });
    }

    /// The body has been found to be still good.
    pub fn confirm(&self, serial: u64) {
        if let Some(made) = lock(&self.made).get_mut(&serial) {
            made.good_at = Instant::now();
        }
    }

    /// The body with this number, if it may be seen.
    pub fn made(&self, serial: u64) -> Option<Made> {
        lock(&self.made).get(&serial).copied()
    }

    /// From here on calls for this key may fail in this way.
    pub fn fault(&self, key: &Key, how: &str) {
        lock(&self.faults).entry(key.clone()).or_default().insert(how.to_owned());
    }

    /// Whether calls for this key may fail in this way.
    pub fn may_fail(&self, key: &Key, how: &str) -> bool {
        lock(&self.faults).get(key).is_some_and(|faults| faults.contains(how))
    }

    /// Flights of this scope are about to be voided.
    pub fn void(&self, scope: Scope) {
        lock(&self.voids).push((Instant::now(), scope));
    }

    /// How often a flight of this key can have been voided since `then`.
    pub fn voids_since(&self, key: &Key, then: Instant) -> usize {
        let hits = |scope: &Scope| match scope {
            Scope::All => true,
            Scope::Database(db) => key.name.split(['/', ':']).nth(1) == Some(&db.to_string()),
            Scope::Key(voided) => voided == key,
        };
        let voids = lock(&self.voids);
        voids.iter().rev().take_while(|(at, _)| *at >= then).filter(|(_, s)| hits(s)).count()
    }

    /// Counts what has happened, for the summary.
    pub fn count(&self, what: &str) {
        *lock(&self.tally).entry(what.to_owned()).or_default() += 1;
    }

    /// A promise was broken.
    pub fn violation(&self, what: &str) {
        let time = self.begun.elapsed();
        let line = format!("violation (seed {}, after {time:.3?}): {what}", self.seed);
        eprintln!("{line}");
        lock(&self.violations).push(line);
    }

    pub fn violations(&self) -> Vec<String> {
        lock(&self.violations).clone()
    }

    /// All that was counted, in words, a line each.
    pub fn summary(&self) -> Vec<String> {
        let mut tally: BTreeMap<_, _> = lock(&self.tally).clone().into_iter().collect();
        let mut take = |what: &str| tally.remove(what).unwrap_or_default();
        let (calls, bodies, nulls) = (take("calls"), take("bodies"), take("nulls"));
        let (leases, lost) = (take("leases"), take("connections lost"));
        let (strict, others) = (take("strict downloads"), take("downloads"));
        let listed = |all: BTreeMap<String, u64>| {
            let words = all.into_iter().map(|(what, count)| format!("{what} {count}"));
            words.collect::<Vec<_>>().join(", ")
        };
        let (troubles, errors) = tally.into_iter().partition(|(what, _)| what.starts_with('('));
        vec![
            format!(
                "{calls} calls, some of them for several URLs: answered by {bodies} bodies, {leases} leases and \
                 {nulls} nulls; {lost} connections were closed under them"
            ),
            format!("and by errors, each with a cause that the storm had made: {}", listed(errors)),
            format!("what the troublemaker did, and how often: {}", listed(troubles)),
            format!(
                "of the downloads {strict} were held to be the only one in the air for their key, and {others}, where \
                 some had been voided of late, to be no more than there were voidings"
            ),
        ]
    }
}

/// Something that is done to calls, so that a call can tell whether it may have been hit.
#[derive(Default)]
pub struct Deeds {
    begun: AtomicU64,
    done: AtomicU64,
}

/// A moment from which on deeds are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Since(u64);

impl Deeds {
    pub fn run<T>(&self, deed: impl FnOnce() -> T) -> T {
        self.begun.fetch_add(1, Relaxed);
        let outcome = deed();
        self.done.fetch_add(1, Relaxed);
        outcome
    }

    pub fn now(&self) -> Since {
        Since(self.done.load(Relaxed))
    }

    /// Whether one was under way at any time since then.
    pub fn any(&self, since: Since) -> bool {
        self.begun.load(Relaxed) > since.0
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A moment so long ago, or the first there is.
pub fn before(moment: Instant, span: Duration) -> Instant {
    moment.checked_sub(span).unwrap_or(moment)
}
