//! Take-off: what a miss sets in motion, and how its caller comes to wait.

use std::time::{Duration, Instant};

use url::Url;

use super::Waiter;
use super::download::Job;
use super::landing;
use crate::cache::decide::{Decision, decide_miss};
use crate::cache::error::{CacheError, FetchError};
use crate::cache::flights::{FlightId, FlightKey, LockMark, WaiterId};
use crate::cache::freshness::{Expiry, wait_timeout};
use crate::cache::key::{lock_key, parse_url};
use crate::cache::permit::Permit;
use crate::cache::seconds::Millis;
use crate::config::{SETTINGS, Settings};
use crate::module::{self, Module, STATS};
use crate::server::blocked::{Blocked, WaitingRoom};
use crate::server::ctx::Ctx;
use crate::server::keyspace;
use crate::server::main_thread;
use crate::server::timer::{OnTime, Timer};

/// How much longer than its download's deadline a flight is let be. The download ends at the deadline
/// itself; this is for one that never got a thread, or hangs.
const GRACE: Millis = 50;

/// How much longer than its flight's deadline a lock key lives.
const LOCK_OUTLIVES: Millis = 1000;

/// What a caller who missed has asked for.
pub struct Miss<'a> {
    /// The URL, as it was given.
    pub url: &'a [u8],
    /// Its expiry, if it gave one.
    pub expiry: Option<Expiry>,
    /// Its timeout, if it gave one.
    pub timeout: Option<Millis>,
}

impl Miss<'_> {
    /// Starts a flight or joins the one in the air; then blocks the caller, or answers it null.
    ///
    /// # Errors
    /// The URL cannot be fetched, or too many downloads are queued.
    pub fn fly(&self, ctx: &Ctx) -> Result<(), CacheError> {
        STATS.misses.bump();
        let settings = SETTINGS.current();
        let asked = self.timeout.unwrap_or(settings.default_timeout);
        let patience = wait_timeout(asked, settings.max_timeout);
        let key = FlightKey { db: ctx.db(), name: self.url.to_vec() };
        let module = module::get();
        let in_the_air = module.flights().find(&key);
        let (flight, wait) = match decide_miss(in_the_air, ctx.may_block()) {
            Decision::Join { flight, wait } => {
                STATS.coalesced.bump();
                (flight, wait)
            }
            Decision::Lead { wait } => {
                let span = flight_span(asked, &settings);
                (self.lead(ctx, &module, &settings, key, span)?, wait)
            }
        };
        if wait {
            wait_for(ctx, &module, flight, patience);
        } else {
            ctx.reply_null();
        }
        Ok(())
    }

    fn lead(
        &self,
        ctx: &Ctx,
        module: &Module,
        settings: &Settings,
        key: FlightKey,
        span: Millis,
    ) -> Result<FlightId, CacheError> {
        let url = parse_url(self.url)?;
        let lock = LockMark { db: key.db, key: lock_key(self.url)?, token: new_token() };
        if !module.has_room(settings) {
            STATS.failed(&FetchError::Overloaded);
            return Err(FetchError::Overloaded.into());
        }
        keyspace::mark(ctx, &lock, span + LOCK_OUTLIVES);
        let mut flights = module.flights();
        let flight = flights.next_flight();
        let deadline = Timer::start::<Deadline>(ctx, span + GRACE, flight.to_number());
        flights.take_off(flight, key, lock, deadline);
        drop(flights);
        module.download(self.job(flight, url, settings, span));
        Ok(flight)
    }

    fn job(&self, flight: FlightId, url: Url, settings: &Settings, span: Millis) -> Job {
        Job {
            permit: Permit::new(flight, |flight, outcome| {
                main_thread::post(move |ctx| landing::land(ctx, flight, outcome));
            }),
            url,
            deadline: Instant::now() + Duration::from_millis(span),
            expiry: self.expiry.unwrap_or(settings.default_expiry),
            max_body: settings.max_body_size,
            store_headers: settings.store_headers.clone(),
        }
    }
}

/// How long a flight may take: a leader that is patient makes it longer, one that waits for as long as it
/// may take (0) leaves that to the setting.
fn flight_span(asked: Millis, settings: &Settings) -> Millis {
    settings.fetch_timeout.max(asked.min(settings.max_timeout))
}

fn wait_for(ctx: &Ctx, module: &Module, flight: FlightId, patience: Millis) {
    let client = Blocked::new::<Room>(ctx);
    let id = client.id();
    let patience = Timer::start::<Patience>(ctx, patience, id.to_number());
    // A flight cannot land between being found and being joined: both are this one callback. Were it
    // so all the same, the waiter would be dropped here, and so be answered with an error.
    let _ = module.flights().join(flight, id, Waiter { client, patience });
}

/// The token of a flight: its lock key's value, 128 random bits.
fn new_token() -> String {
    let mut random = [0; 16];
    // Without entropy the system has worse problems; a token of zeros is still only a mark.
    let _ = getrandom::fill(&mut random);
    format!("{:032x}", u128::from_ne_bytes(random))
}

/// A flight's deadline has passed, and its download has not ended it.
struct Deadline;

impl OnTime for Deadline {
    fn on_time(ctx: &Ctx, number: u64) {
        landing::overdue(ctx, FlightId::from_number(number));
    }
}

/// A waiter's own patience has ended; the flight goes on.
struct Patience;

impl OnTime for Patience {
    fn on_time(_: &Ctx, number: u64) {
        let waiter = module::get().flights().leave(WaiterId::from_number(number));
        if let Some(waiter) = waiter {
            waiter.client.answer(Ctx::reply_null).release();
        }
    }
}

/// Where blocked clients wait: the flight table.
struct Room;

impl WaitingRoom for Room {
    fn leave(ctx: &Ctx, waiter: WaiterId) -> Option<Blocked> {
        let waiter = module::get().flights().leave(waiter)?;
        waiter.patience.stop(ctx);
        Some(waiter.client)
    }
}
