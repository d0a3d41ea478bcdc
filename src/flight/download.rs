//! The download: on a thread of the pool, from the origin to the string that will be stored.
//!
//! The string is Redis's own, and it is made here, off the server's main thread, when the response is whole. So
//! it is never copied on the main thread on its way into the keyspace.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use url::Url;

use super::filled::{Filled, Life};
use crate::cache::entry;
use crate::cache::error::FetchError;
use crate::cache::flights::Progress;
use crate::cache::headers::{Headers, StoreHeaders, forbid_storing};
use crate::cache::incoming::Incoming;
use crate::cache::key::without_query;
use crate::cache::origin::{Fetched, Origin, Request, Sink};
use crate::cache::permit::Permit;
use crate::cache::repeats::Repeats;
use crate::clock;
use crate::module::STATS;
use crate::server::log;

/// What a download thread is given.
pub struct Job {
    /// The duty to land the flight.
    pub permit: Permit<Brought>,
    /// What to do.
    pub task: Task,
    /// Where the bytes are counted as they come.
    pub progress: Progress,
    /// Tells how many wait for it.
    pub waiting: Box<dyn FnOnce() -> usize + Send>,
}

/// What a flight is to bring, and for how long it will do.
#[derive(Clone)]
pub struct Task {
    /// What to ask the origin; its time is set when the download begins.
    pub request: Request,
    /// When the flight must have ended.
    pub deadline: Instant,
    /// The life of what it brings.
    pub life: Life,
    /// The headers that are kept.
    pub store_headers: Arc<StoreHeaders>,
    /// Whether the origin may forbid to store it.
    pub respect_no_store: bool,
}

/// What a download brings.
pub enum Brought {
    /// A complete entry.
    Entry(Filled),
    /// The word that what the cache has is still good: the headers of the 304, and the task, in case
    /// that what the cache had is gone by now.
    StillGood(Headers, Box<Task>),
}

/// Runs one download and lands its flight.
pub fn run(job: Job, origin: &dyn Origin) {
    let start = Instant::now();
    let mut task = job.task;
    task.request.time_left = task.deadline.saturating_duration_since(start);
    let outcome = fetch(&task, origin, job.progress, job.waiting);
    let took = start.elapsed();
    STATS.downloaded_for(took);
    report(&task.request.url, took, &outcome);
    job.permit.complete(outcome.map(|arrived| match arrived {
        Arrived::Entry(filled) => Brought::Entry(filled),
        Arrived::StillGood(headers) => Brought::StillGood(headers, Box::new(task)),
    }));
}

/// Lands the flight of a download that gets no thread; on any thread. It is logged as all failures are: once a host,
/// then summed up.
pub fn fail_for_want_of_a_thread(job: Job) {
    let error = FetchError::failed(
        "no thread for the download: the system gives no more (ulimit -u, or the limit on tasks of \
         its unit or container)",
    );
    report(&job.task.request.url, Duration::ZERO, &Err(error.clone()));
    job.permit.complete(Err(error));
}

enum Arrived {
    Entry(Filled),
    StillGood(Headers),
}

fn fetch(
    task: &Task,
    origin: &dyn Origin,
    progress: Progress,
    waiting: impl FnOnce() -> usize,
) -> Result<Arrived, FetchError> {
    if task.request.time_left.is_zero() {
        return Err(FetchError::Timeout);
    }
    let mut response = Arriving { task, progress, incoming: None, forbidden: false };
    match origin.fetch(&task.request, &mut response)? {
        Fetched::NotModified(headers) => Ok(Arrived::StillGood(headers)),
        Fetched::Whole => {
            let incoming = response.incoming.ok_or_else(|| FetchError::failed("no response"))?;
            let mut filled = Filled::seal(incoming.complete(), task.life, waiting)?;
            filled.must_not_be_stored = response.forbidden;
            Ok(Arrived::Entry(filled))
        }
    }
}

/// A response as it arrives.
struct Arriving<'a> {
    task: &'a Task,
    progress: Progress,
    /// There once the head is.
    incoming: Option<Incoming>,
    /// Whether the origin forbids to store it, and is heeded.
    forbidden: bool,
}

impl Sink for Arriving<'_> {
    fn begin(&mut self, status: u16, headers: &Headers, length: Option<u64>) -> &mut Incoming {
        self.forbidden = self.task.respect_no_store && forbid_storing(headers);
        let head = entry::encode_head(status, headers, &self.task.store_headers);
        let (most, progress) = (self.task.request.max_body, self.progress.clone());
        self.incoming.insert(Incoming::new(head, length, most, progress))
    }
}

fn report(url: &Url, took: Duration, outcome: &Result<Arrived, FetchError>) {
    let (host, url) = (url.host_str().unwrap_or_default(), without_query(url.as_str()));
    let seconds = took.as_secs_f64();
    match outcome {
        Ok(Arrived::Entry(filled)) => {
            let bytes = filled.body_len();
            STATS.downloads.bump();
            STATS.bytes_fetched.add(bytes as u64);
            log::verbose(&format!("downloaded {url}: {bytes} bytes in {seconds:.3} s"));
        }
        Ok(Arrived::StillGood(_)) => {
            log::verbose(&format!("asked {url}: not modified, in {seconds:.3} s"));
        }
        Err(error) => {
            let line = format!("download of {url} failed after {seconds:.3} s: {error}");
            if repeats().failed(host, &error.kind(), clock::monotonic()) {
                log::notice(&line);
            } else {
                log::verbose(&line);
            }
        }
    }
}

/// The failures of late that the log has not been told of.
static REPEATS: LazyLock<Mutex<Repeats>> = LazyLock::new(Mutex::default);

fn repeats() -> MutexGuard<'static, Repeats> {
    REPEATS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells the log of repeated failures whose time has passed; called some times in a second.
pub fn tell_due_repeats() {
    let lines = {
        let mut repeats = repeats();
        if repeats.is_empty() { Vec::new() } else { repeats.due(clock::monotonic()) }
    };
    for line in lines {
        log::notice(&line);
    }
}

/// Tells the log of all repeated failures that it has not been told of: no more is to come.
pub fn tell_all_repeats() {
    let lines = repeats().all(clock::monotonic());
    for line in lines {
        log::notice(&line);
    }
}
