//! The download: on a thread of the pool, from the origin into the string that will be stored.
//!
//! The string is Redis's own, and it is built here, off the server's main thread: head first, then the
//! body as it comes. So it is never copied again on its way into the keyspace.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cache::entry::{self, STAMPED};
use crate::cache::error::FetchError;
use crate::cache::freshness::{Expiry, FreshUntil};
use crate::cache::headers::{Headers, StoreHeaders};
use crate::cache::key::without_query;
use crate::cache::origin::{Fetched, Origin, Request, Sink};
use crate::cache::permit::Permit;
use crate::cache::seconds::Millis;
use crate::clock;
use crate::module::STATS;
use crate::server::log;
use crate::server::value::Value;

/// What a download thread is given.
pub struct Job {
    /// The duty to land the flight.
    pub permit: Permit<Brought>,
    /// What to do.
    pub task: Task,
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
}

/// How long an entry lives, as its flight's leader wants it.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// How long it is fresh, from its landing.
    pub expiry: Expiry,
    /// How long it is kept past that, for those who welcome it.
    pub stale: Millis,
}

/// The moments of one entry's life.
#[derive(Debug, Clone, Copy)]
pub struct Moments {
    /// Its beginning.
    pub now: Millis,
    /// Until when it is fresh.
    pub fresh_until: FreshUntil,
    /// When it is gone; `None` for never.
    pub ends: Option<Millis>,
}

impl Life {
    /// The moments of a life that begins now.
    ///
    /// # Errors
    /// The expiry was checked when the call was parsed; a clock that has jumped is all that is left.
    pub fn begin(self) -> Result<Moments, FetchError> {
        let now = clock::now();
        let jumped = |_| FetchError::failed("the clock has jumped");
        let fresh_until = self.expiry.ends(now).map_err(jumped)?;
        let ends = fresh_until.moment().map(|moment| moment.saturating_add(self.stale));
        Ok(Moments { now, fresh_until, ends })
    }
}

/// What a download brings.
pub enum Brought {
    /// A complete entry.
    Entry(Filled),
    /// The word that what the cache has is still good: the headers of the 304, and the task, in case
    /// that what the cache had is gone by now.
    StillGood(Headers, Box<Task>),
}

/// A complete entry on its way to the keyspace.
pub struct Filled {
    value: Value,
    body_at: usize,
    /// When it is gone from the keyspace; `None` for never.
    pub ends: Option<Millis>,
}

impl Filled {
    /// All of it, as it will be stored.
    pub fn stored(&self) -> &[u8] {
        self.value.bytes()
    }

    /// How many bytes its body has.
    pub fn body_len(&self) -> usize {
        self.value.bytes().len() - self.body_at
    }

    /// Where in it the body begins.
    pub const fn body_at(&self) -> usize {
        self.body_at
    }

    /// The string to be stored.
    pub fn into_value(self) -> Value {
        self.value
    }
}

/// Runs one download and lands its flight.
pub fn run(job: Job, origin: &dyn Origin) {
    let start = Instant::now();
    let mut task = job.task;
    task.request.time_left = task.deadline.saturating_duration_since(start);
    let outcome = fetch(&task, origin);
    let took = start.elapsed();
    STATS.downloaded_for(took);
    report(&without_query(task.request.url.as_str()), took, &outcome);
    job.permit.complete(outcome.map(|arrived| match arrived {
        Arrived::Entry(filled) => Brought::Entry(filled),
        Arrived::StillGood(headers) => Brought::StillGood(headers, Box::new(task)),
    }));
}

enum Arrived {
    Entry(Filled),
    StillGood(Headers),
}

fn fetch(task: &Task, origin: &dyn Origin) -> Result<Arrived, FetchError> {
    if task.request.time_left.is_zero() {
        return Err(FetchError::Timeout);
    }
    let mut response = Arriving { store_headers: &task.store_headers, filling: None };
    match origin.fetch(&task.request, &mut response)? {
        Fetched::NotModified(headers) => Ok(Arrived::StillGood(headers)),
        Fetched::Whole => {
            let filling = response.filling.ok_or_else(|| FetchError::failed("no response"))?;
            finish(filling, task.life).map(Arrived::Entry)
        }
    }
}

/// A response as it arrives.
struct Arriving<'a> {
    store_headers: &'a StoreHeaders,
    /// The string, and where in it the body begins; there once the head is.
    filling: Option<(Value, usize)>,
}

impl Sink for Arriving<'_> {
    fn begin(&mut self, status: u16, headers: &Headers) {
        let head = entry::encode_head(status, headers, self.store_headers);
        self.filling = Some((Value::new(&head), head.len()));
    }

    fn append(&mut self, bytes: &[u8]) {
        if let Some((value, _)) = &mut self.filling {
            value.append(bytes);
        }
    }
}

/// Stamps the entry: its life begins now that it is complete, not when its first byte came.
fn finish((mut value, body_at): (Value, usize), life: Life) -> Result<Filled, FetchError> {
    let Moments { now, fresh_until, ends } = life.begin()?;
    if let Some(start) = value.start_mut::<STAMPED>() {
        entry::stamp(start, now, fresh_until);
    }
    value.trim();
    Ok(Filled { value, body_at, ends })
}

fn report(url: &str, took: Duration, outcome: &Result<Arrived, FetchError>) {
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
            log::notice(&format!("download of {url} failed after {seconds:.3} s: {error}"));
        }
    }
}
