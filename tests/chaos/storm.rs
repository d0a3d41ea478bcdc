//! What all who take part in the storm share.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::ledger::{Deeds, ENOUGH, Ledger, Since, lock};
use super::origin::Origin;
use super::plan::Plan;

/// The storm.
pub struct Storm {
    pub plan: Plan,
    pub ledger: Arc<Ledger>,
    pub origin: Origin,
    pub port: u16,
    pub roster: Roster,
    /// The server was a replica for a moment.
    pub demotions: Deeds,
    /// The server has loaded its data again, and answered meanwhile that it does.
    pub reloads: Deeds,
    /// No memory was left for a moment.
    pub squeezes: Deeds,
    /// Databases have changed places.
    pub swaps: Deeds,
    begun: Instant,
    over: AtomicBool,
}

/// How long nothing is voided, so that what is said of downloads in the air is strict; and how long it may be.
const CALM: Duration = Duration::from_secs(20);
const VOIDING: Duration = Duration::from_secs(10);

/// The connections, and what was done to them.
pub struct Roster {
    /// Of each client, its connection's id.
    ids: Mutex<HashMap<usize, String>>,
    /// Connections that may be gone, because the storm has closed them.
    killed: Mutex<HashSet<String>>,
    /// All were closed.
    sweeps: Deeds,
    /// `CLIENT UNBLOCK`, by client.
    pub unblocked: Vec<Deeds>,
}

impl Storm {
    pub fn new(plan: Plan, ledger: Arc<Ledger>, origin: Origin, port: u16) -> Self {
        let unblocked = (0..plan.clients).map(|_| Deeds::default()).collect();
        let (ids, killed, sweeps) = (Mutex::default(), Mutex::default(), Deeds::default());
        let roster = Roster { ids, killed, sweeps, unblocked };
        let over = AtomicBool::new(false);
        let [demotions, reloads, squeezes, swaps] = [(); 4].map(|()| Deeds::default());
        let begun = Instant::now();
        Self {
            plan,
            ledger,
            origin,
            port,
            roster,
            demotions,
            reloads,
            squeezes,
            swaps,
            begun,
            over,
        }
    }

    /// Whether flights may be voided for now.
    pub fn may_void(&self) -> bool {
        let round = (CALM + VOIDING).as_millis();
        self.begun.elapsed().as_millis() % round >= CALM.as_millis()
    }

    pub fn end(&self) {
        self.over.store(true, SeqCst);
    }

    pub fn is_over(&self) -> bool {
        self.over.load(SeqCst) || self.ledger.violations().len() >= ENOUGH
    }
}

impl Roster {
    /// A moment before a connection is made.
    pub fn before(&self) -> Since {
        self.sweeps.now()
    }

    /// A client has a connection, made since then; it may have been swept away before it came here.
    pub fn enter(&self, client: usize, id: &str, since: Since) {
        lock(&self.ids).insert(client, id.to_owned());
        if self.sweeps.any(since) {
            lock(&self.killed).insert(id.to_owned());
        }
    }

    /// The connection of a client.
    pub fn id_of(&self, client: usize) -> Option<String> {
        lock(&self.ids).get(&client).cloned()
    }

    /// Runs something that closes these connections.
    pub fn kill<T>(&self, ids: &[String], deed: impl FnOnce() -> T) -> T {
        lock(&self.killed).extend(ids.iter().cloned());
        deed()
    }

    /// Runs something that may close any connection.
    pub fn sweep<T>(&self, deed: impl FnOnce() -> T) -> T {
        self.sweeps.run(|| {
            let all: Vec<String> = lock(&self.ids).values().cloned().collect();
            self.kill(&all, deed)
        })
    }

    /// Whether the storm may have closed this connection.
    pub fn was_killed(&self, id: &str) -> bool {
        lock(&self.killed).contains(id)
    }
}
