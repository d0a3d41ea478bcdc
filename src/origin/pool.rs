//! The threads that downloads run on, and the queue in front of them.
//!
//! A thread per download, at most `max-downloads` of them, started on demand and gone again when idle;
//! what finds none free is queued, up to a bound that each call brings along. All that is tokio's
//! blocking pool, which also catches a job's panic and joins its threads at the end. This file adds the
//! bound and the counts.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// How long an idle thread stays.
const IDLE: Duration = Duration::from_secs(10);
/// Downloads need little stack: measured, 60 MB for a thousand threads.
const STACK: usize = 256 * 1024;

/// The pool. Dropping it joins its threads, so it waits for what is running.
pub struct Pool {
    runtime: Runtime,
    most_threads: usize,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Jobs given and not yet done.
    jobs: AtomicUsize,
    threads: AtomicUsize,
}

/// A job that is counted until it is dropped, by whichever way it ends.
struct Counted(Arc<Counts>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.jobs.fetch_sub(1, Ordering::Relaxed);
    }
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
        Ok(Self { runtime, most_threads, counts })
    }

    /// Whether another job finds a thread, or one of `most_queued` places in the queue.
    pub fn has_room(&self, most_queued: usize) -> bool {
        self.jobs() < self.most_threads.saturating_add(most_queued)
    }

    /// Runs a job on a thread of the pool. A panic ends the job and no more.
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) {
        self.counts.jobs.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(Arc::clone(&self.counts));
        drop(self.runtime.spawn_blocking(move || {
            let _counted = counted;
            job();
        }));
    }

    /// How many jobs were given and have not ended.
    pub fn jobs(&self) -> usize {
        self.counts.jobs.load(Ordering::Relaxed)
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.counts.threads.load(Ordering::Relaxed)
    }

    /// How many jobs wait for a thread.
    pub fn queued(&self) -> usize {
        self.jobs().saturating_sub(self.most_threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::error::FetchError;
    use crate::cache::flights::FlightId;
    use crate::cache::permit::Permit;
    use std::sync::mpsc;

    #[test]
    fn jobs_beyond_the_threads_are_queued_and_counted() {
        let pool = Pool::new(1).unwrap();
        let (open, gate) = mpsc::channel::<()>();
        let (tell, started) = mpsc::channel();
        pool.submit(move || {
            tell.send(()).unwrap();
            gate.recv().unwrap();
        });
        started.recv().unwrap();
        assert!(pool.has_room(1));
        assert!(!pool.has_room(0));
        let (tell, done) = mpsc::channel();
        pool.submit(move || tell.send(()).unwrap());
        assert_eq!((pool.queued(), pool.threads()), (1, 1));
        assert!(!pool.has_room(1));
        open.send(()).unwrap();
        done.recv().unwrap();
    }

    #[test]
    fn a_panicking_download_lands_its_flight_and_spares_the_pool() {
        let pool = Pool::new(1).unwrap();
        let (sender, outcomes) = mpsc::channel();
        let report = sender.clone();
        let permit: Permit<&str> = Permit::new(FlightId::from_number(1), move |_, outcome| {
            report.send(outcome).unwrap();
        });
        pool.submit(move || {
            let _held = permit;
            panic!("as a broken download would");
        });
        assert!(matches!(outcomes.recv(), Ok(Err(FetchError::Failed(_)))));
        pool.submit(move || sender.send(Ok("still at work")).unwrap());
        assert_eq!(outcomes.recv(), Ok(Ok("still at work")));
    }
}
