//! The download: on a thread of the pool, from the origin into the string that will be stored.
//!
//! The string is Redis's own, and it is built here, off the server's main thread: head first, then the
//! body as it comes. So it is never copied again on its way into the keyspace.

use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use crate::cache::entry::{self, STAMPED};
use crate::cache::error::FetchError;
use crate::cache::freshness::{Expiry, FreshUntil};
use crate::cache::headers::{Headers, StoreHeaders};
use crate::cache::key::without_query;
use crate::cache::origin::{Origin, Request, Sink};
use crate::cache::permit::Permit;
use crate::clock;
use crate::module::STATS;
use crate::server::log;
use crate::server::value::Value;

/// What a download thread is given.
pub struct Job {
    /// The duty to land the flight.
    pub permit: Permit<Filled>,
    /// Where from.
    pub url: Url,
    /// When the flight must have ended.
    pub deadline: Instant,
    /// How long the entry will be fresh, from its landing.
    pub expiry: Expiry,
    /// The largest body that is taken.
    pub max_body: u64,
    /// The headers that are kept.
    pub store_headers: Arc<StoreHeaders>,
}

/// A complete entry on its way to the keyspace.
pub struct Filled {
    value: Value,
    body_at: usize,
    /// Until when it is fresh.
    pub fresh_until: FreshUntil,
}

impl Filled {
    /// Its body.
    pub fn body(&self) -> &[u8] {
        &self.value.bytes()[self.body_at..]
    }

    /// The string to be stored, and where in it the body begins.
    pub fn into_value(self) -> (Value, usize) {
        (self.value, self.body_at)
    }
}

/// Runs one download and lands its flight.
pub fn run(job: Job, origin: &dyn Origin) {
    let start = Instant::now();
    let shown = without_query(job.url.as_str());
    let request = Request {
        url: job.url,
        time_left: job.deadline.saturating_duration_since(start),
        max_body: job.max_body,
    };
    let outcome = fetch(&request, origin, job.store_headers, job.expiry);
    let took = start.elapsed();
    STATS.downloaded_for(took);
    report(&shown, took, &outcome);
    job.permit.complete(outcome);
}

fn fetch(
    request: &Request,
    origin: &dyn Origin,
    store_headers: Arc<StoreHeaders>,
    expiry: Expiry,
) -> Result<Filled, FetchError> {
    if request.time_left.is_zero() {
        return Err(FetchError::Timeout);
    }
    let mut response = Arriving { store_headers, filling: None };
    origin.fetch(request, &mut response)?;
    let (value, body_at) = response.filling.ok_or_else(|| FetchError::failed("no response"))?;
    finish(value, body_at, expiry)
}

/// A response as it arrives.
struct Arriving {
    store_headers: Arc<StoreHeaders>,
    /// The string, and where in it the body begins; there once the head is.
    filling: Option<(Value, usize)>,
}

impl Sink for Arriving {
    fn begin(&mut self, status: u16, headers: &Headers) {
        let head = entry::encode_head(status, headers, &self.store_headers);
        self.filling = Some((Value::new(&head), head.len()));
    }

    fn append(&mut self, bytes: &[u8]) {
        if let Some((value, _)) = &mut self.filling {
            value.append(bytes);
        }
    }
}

/// Stamps the entry: its life begins now that it is complete, not when its first byte came.
fn finish(mut value: Value, body_at: usize, expiry: Expiry) -> Result<Filled, FetchError> {
    let now = clock::now();
    // The expiry was checked when the call was parsed; a clock that has jumped is all that is left.
    let fresh_until = expiry.ends(now).map_err(|_| FetchError::failed("the clock has jumped"))?;
    if let Some(start) = value.start_mut::<STAMPED>() {
        entry::stamp(start, now, fresh_until);
    }
    value.trim();
    Ok(Filled { value, body_at, fresh_until })
}

fn report(url: &str, took: Duration, outcome: &Result<Filled, FetchError>) {
    let seconds = took.as_secs_f64();
    match outcome {
        Ok(filled) => {
            let bytes = filled.body().len();
            STATS.downloads.bump();
            STATS.bytes_fetched.add(bytes as u64);
            log::verbose(&format!("downloaded {url}: {bytes} bytes in {seconds:.3} s"));
        }
        Err(error) => {
            log::notice(&format!("download of {url} failed after {seconds:.3} s: {error}"));
        }
    }
}
