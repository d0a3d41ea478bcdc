//! The threads that downloads run on, and the queues in front of them.
//!
//! A thread per download, at most `max-downloads` of them, started on demand and gone again when idle;
//! what finds none free is queued, up to a bound that each call brings along. All that is tokio's
//! blocking pool, which also catches a job's panic and joins its threads at the end. This file adds the
//! bound, the counts, and the lanes:
//!
//! Each host has a lane, in which no more than its share of jobs is at the pool at once. The others wait in
//! the lane, where they take no thread from anybody: an origin that answers late, or never, holds up its own
//! callers and no others. When a job ends, the next of its lane goes to the end of the pool's queue.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::cache::error::Overload;
use crate::cache::expected;

/// How long an idle thread stays.
const IDLE: Duration = Duration::from_secs(10);
/// Downloads need little stack: measured, 60 MB for a thousand threads.
const STACK: usize = 256 * 1024;

/// The pool. Dropping it joins its threads, so it waits for what is running.
pub struct Pool {
    runtime: Runtime,
    most_threads: usize,
    counts: Arc<Counts>,
    lanes: Arc<Mutex<Lanes>>,
}

/// How much may be under way; each call brings it along, since settings change.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most jobs of one lane that are at the pool at once.
    pub per_lane: usize,
    /// The most jobs that wait, in all lanes and for a thread.
    pub queued: usize,
}

#[derive(Default)]
struct Counts {
    /// Jobs given and not yet done.
    jobs: AtomicUsize,
    threads: AtomicUsize,
}

type Job = Box<dyn FnOnce(Start) + Send>;

/// How a job begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// On a thread of the pool.
    OnThread,
    /// On the caller's: the pool has no thread, and the system gives none. The job is to say so, and no more.
    NoThread,
}

/// Gives a job to the pool. Tokio panics if it has no thread and gets none, and keeps the job in its queue for a
/// thread that may never come: so the job is taken back. The panic is no fault here, and is not logged as one.
fn start(pool: &Handle, job: Job) {
    let slot = Arc::new(Mutex::new(Some(job)));
    let take = |slot: &Mutex<Option<Job>>| slot.lock().ok().and_then(|mut job| job.take());
    let queued = Arc::clone(&slot);
    let run = move || {
        if let Some(job) = take(&queued) {
            job(Start::OnThread);
        }
    };
    let spawn = || expected::may_panic(|| drop(pool.spawn_blocking(run)));
    let given = catch_unwind(AssertUnwindSafe(spawn));
    if given.is_err()
        && let Some(job) = take(&slot)
    {
        job(Start::NoThread);
    }
}

/// The lanes by host; one that is empty is gone.
type Lanes = HashMap<String, Lane>;

#[derive(Default)]
struct Lane {
    /// Jobs that are at the pool.
    running: usize,
    /// The most of them, as the last caller had it.
    most: usize,
    waiting: VecDeque<Job>,
}

impl Lane {
    /// Those that may go to the pool now, the longest-waiting first.
    fn advance(&mut self) -> Vec<Job> {
        let free = self.most.saturating_sub(self.running).min(self.waiting.len());
        self.running += free;
        self.waiting.drain(..free).collect()
    }
}

/// A job's place in its lane and in the counts, which it gives up by whichever way it ends.
struct Place {
    host: String,
    pool: Handle,
    counts: Arc<Counts>,
    lanes: Arc<Mutex<Lanes>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        // Whoever sees the job gone sees what it has posted.
        self.counts.jobs.fetch_sub(1, Ordering::Release);
        let next = leave(&mut lock(&self.lanes), &self.host);
        for job in next {
            start(&self.pool, job);
        }
    }
}

/// Takes a job that has ended out of its lane; those that may go to the pool now.
fn leave(lanes: &mut Lanes, host: &str) -> Vec<Job> {
    let Some(lane) = lanes.get_mut(host) else {
        return Vec::new();
    };
    lane.running -= 1;
    let next = lane.advance();
    if lane.running == 0 {
        lanes.remove(host);
    }
    next
}

fn lock(lanes: &Mutex<Lanes>) -> MutexGuard<'_, Lanes> {
    lanes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// A pool of at most so many threads; it starts with none.
    ///
    /// # Errors
    /// The system's, for want of resources.
    pub fn new(most_threads: usize) -> io::Result<Self> {
        let counts = Arc::new(Counts::default());
        let [born, gone] = [Arc::clone(&counts), Arc::clone(&counts)];
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(most_threads)
            .thread_keep_alive(IDLE)
            .thread_stack_size(STACK)
            .thread_name("cache-download")
            .on_thread_start(move || {
                born.threads.fetch_add(1, Ordering::Relaxed);
            })
            .on_thread_stop(move || {
                gone.threads.fetch_sub(1, Ordering::Relaxed);
            })
            .build()?;
        Ok(Self { runtime, most_threads, counts, lanes: Arc::default() })
    }

    /// Whether another job of this host's finds a thread, or a place in the queue. A host may take half of
    /// those places and no more.
    ///
    /// # Errors
    /// Of what there is too much.
    pub fn has_room(&self, host: &str, limits: Limits) -> Result<(), Overload> {
        if self.jobs() >= self.most_threads.saturating_add(limits.queued) {
            return Err(Overload::Downloads);
        }
        let lanes = lock(&self.lanes);
        let full = lanes.get(host).is_some_and(|lane| {
            lane.running >= limits.per_lane && lane.waiting.len() >= limits.queued.div_ceil(2)
        });
        if full { Err(Overload::Host) } else { Ok(()) }
    }

    /// Runs a job on a thread of the pool, when its host's lane has room; if there is no thread to be had, at
    /// once, on the caller's ([`Start`]). A panic ends the job and no more.
    pub fn submit(&self, host: &str, limits: Limits, job: impl FnOnce(Start) + Send + 'static) {
        self.counts.jobs.fetch_add(1, Ordering::Relaxed);
        let place = Place {
            host: host.to_owned(),
            pool: self.runtime.handle().clone(),
            counts: Arc::clone(&self.counts),
            lanes: Arc::clone(&self.lanes),
        };
        let job: Job = Box::new(move |start| {
            let _place = place;
            job(start);
        });
        let next = {
            let mut lanes = lock(&self.lanes);
            let lane = lanes.entry(host.to_owned()).or_default();
            lane.most = limits.per_lane;
            lane.waiting.push_back(job);
            lane.advance()
        };
        for job in next {
            start(self.runtime.handle(), job);
        }
    }

    /// How many jobs were given and have not ended. What those that have ended did is done for who reads this.
    pub fn jobs(&self) -> usize {
        self.counts.jobs.load(Ordering::Acquire)
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.counts.threads.load(Ordering::Relaxed)
    }

    /// How many jobs wait, for a thread or in their lane.
    pub fn queued(&self) -> usize {
        let in_lanes = lock(&self.lanes).values().map(|lane| lane.waiting.len()).sum::<usize>();
        in_lanes.max(self.jobs().saturating_sub(self.most_threads))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::error::FetchError;
    use crate::cache::flights::FlightId;
    use crate::cache::permit::Permit;
    use std::sync::mpsc::{self, Receiver, Sender};

    const fn limits(per_lane: usize, queued: usize) -> Limits {
        Limits { per_lane, queued }
    }

    /// Gives the pool a job that tells its name and then waits.
    fn hold(
        pool: &Pool,
        host: &'static str,
        limits: Limits,
        tell: &Sender<&'static str>,
    ) -> Sender<()> {
        let (open, gate) = mpsc::channel::<()>();
        let tell = tell.clone();
        pool.submit(host, limits, move |_| {
            tell.send(host).unwrap();
            let _ = gate.recv();
        });
        open
    }

    fn two_threads() -> (Pool, Sender<&'static str>, Receiver<&'static str>) {
        let (tell, started) = mpsc::channel();
        (Pool::new(2).unwrap(), tell, started)
    }

    #[test]
    fn jobs_beyond_the_threads_are_queued_and_counted() {
        let pool = Pool::new(1).unwrap();
        let (tell, started) = mpsc::channel();
        let first = hold(&pool, "a", limits(9, 9), &tell);
        assert_eq!(started.recv(), Ok("a"));
        assert_eq!(pool.has_room("b", limits(9, 1)), Ok(()));
        assert_eq!(pool.has_room("b", limits(9, 0)), Err(Overload::Downloads));
        let second = hold(&pool, "b", limits(9, 9), &tell);
        assert_eq!((pool.queued(), pool.threads()), (1, 1));
        assert_eq!(pool.has_room("b", limits(9, 1)), Err(Overload::Downloads));
        drop(first);
        assert_eq!(started.recv(), Ok("b"));
        drop(second);
    }

    #[test]
    fn a_host_that_hangs_leaves_threads_to_the_others() {
        let (pool, tell, started) = two_threads();
        let sick: Vec<_> = (0..3).map(|_| hold(&pool, "sick", limits(1, 9), &tell)).collect();
        assert_eq!(started.recv(), Ok("sick"));
        let well = hold(&pool, "well", limits(1, 9), &tell);
        assert_eq!(started.recv(), Ok("well"), "the sick one has taken both threads");
        assert_eq!(pool.queued(), 2);
        drop(well);
        for gate in sick {
            drop(gate);
        }
        assert_eq!([started.recv(), started.recv()], [Ok("sick"), Ok("sick")]);
    }

    #[test]
    fn a_host_takes_half_of_the_queue_and_no_more() {
        let (pool, tell, started) = two_threads();
        let mut gates = vec![hold(&pool, "a", limits(1, 4), &tell)];
        assert_eq!(started.recv(), Ok("a"));
        for _ in 0..2 {
            assert_eq!(pool.has_room("a", limits(1, 4)), Ok(()));
            gates.push(hold(&pool, "a", limits(1, 4), &tell));
        }
        assert_eq!(pool.has_room("a", limits(1, 4)), Err(Overload::Host));
        assert_eq!(pool.has_room("b", limits(1, 4)), Ok(()));
    }

    #[test]
    fn a_lane_that_is_widened_lets_the_waiting_go_and_an_empty_one_is_gone() {
        let pool = Pool::new(9).unwrap();
        let (tell, started) = mpsc::channel();
        let mut gates: Vec<_> = (0..3).map(|_| hold(&pool, "a", limits(1, 9), &tell)).collect();
        assert_eq!(started.recv(), Ok("a"));
        gates.push(hold(&pool, "a", limits(4, 9), &tell));
        for _ in 0..3 {
            assert_eq!(started.recv(), Ok("a"), "there is room for all now");
        }
        drop(gates);
        while pool.jobs() > 0 || !lock(&pool.lanes).is_empty() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_panicking_download_lands_its_flight_and_spares_the_pool() {
        let pool = Pool::new(1).unwrap();
        let (sender, outcomes) = mpsc::channel();
        let report = sender.clone();
        let permit: Permit<&str> = Permit::new(FlightId::from_number(1), move |_, outcome| {
            report.send(outcome).unwrap();
        });
        pool.submit("a", limits(1, 9), move |_| {
            let _held = permit;
            panic!("as a broken download would");
        });
        assert!(matches!(outcomes.recv(), Ok(Err(FetchError::Failed(_)))));
        pool.submit("a", limits(1, 9), move |_| sender.send(Ok("still at work")).unwrap());
        assert_eq!(outcomes.recv(), Ok(Ok("still at work")));
    }
}
