//! Leases: a flight that a client fills is given, filled, and lost.
//!
//! It is a flight like any other: the same table, lock key, waiters, voiding and landing. What differs is
//! who fills it, and what happens if nobody does: see the essay of `cache/lease.rs`.

use super::answer::write_lease;
use super::filled::{Filled, Life};
use super::landing::{self, Landing, Ready};
use super::takeoff::{self, LOCK_OUTLIVES, Wish, new_token};
use super::waiting::{Claim, Recipient, Room, Terms, Waiter};
use crate::cache::entry::{self, Stored};
use crate::cache::error::{CacheError, FetchError};
use crate::cache::flights::{FlightId, FlightKey, LockMark};
use crate::cache::headers::StoreHeaders;
use crate::cache::key::lock_key;
use crate::cache::lease::{Filler, Token};
use crate::cache::seconds::Millis;
use crate::cache::stats::NotStored;
use crate::clock;
use crate::config::SETTINGS;
use crate::module::{self, Module, STATS};
use crate::server::args::Arg;
use crate::server::blocked::Blocked;
use crate::server::ctx::Ctx;
use crate::server::keyspace;
use crate::server::main_thread;
use crate::server::timer::Timer;
use crate::server::value::Value;

/// The largest value that is copied on the main thread; a larger one blocks its client for the time that
/// takes on another.
const SMALL: usize = 64 * 1024;

/// How long a large value may take to be copied before its flight is given up: the bound on what a hanging
/// thread could cost.
const COPYING: Millis = 60_000;

impl Terms {
    const fn filler(self) -> (Filler, Millis) {
        (Filler::Holder { tied: self.tied }, self.ttl)
    }
}

/// Gives the lease of a key that has no flight.
///
/// # Errors
/// The key's braces allow no lock key; or the system has no randomness.
pub fn give(
    ctx: &Ctx,
    module: &Module,
    key: &FlightKey,
    terms: Terms,
) -> Result<Token, CacheError> {
    let (_, token) = takeoff::enter(ctx, module, key, terms.filler())?;
    tell_given(ctx, key);
    Ok(token)
}

fn tell_given(ctx: &Ctx, key: &FlightKey) {
    STATS.leases.bump();
    keyspace::notify(ctx, c"cache.lease", &key.name);
}

/// What a holder brings.
pub struct Fill<'a> {
    /// The key that it has leased.
    pub key: FlightKey,
    /// Its token.
    pub token: Token,
    /// The value.
    pub value: Arg<'a>,
    /// For how long it will do.
    pub life: Life,
    /// Whether it is to be kept past its expiry, which takes a head.
    pub keeps_stale: bool,
}

impl Fill<'_> {
    /// Lands the holder's flight with its value, and answers the holder.
    ///
    /// # Errors
    /// The lease is lost, or the server did not take the value.
    pub fn land(self, ctx: &Ctx, module: &Module) -> Result<(), CacheError> {
        let Some(flight) = held(module, &self.key, self.token) else {
            let repeated = module.filled_tokens().has(self.token, &self.key);
            return if repeated { reply(ctx, Ok(())) } else { Err(lost()) };
        };
        if self.value.bytes().len() > SMALL && ctx.may_block() {
            self.land_later(ctx, module, flight);
            return Ok(());
        }
        let filled = self.recipe().make(self.value.bytes())?;
        let size = filled.stored().len();
        let inline = landing::may_answer_inline(module.flights().waiting(flight), size);
        let copy = (!inline).then(|| filled.stored().into());
        let ready = Ready { copy, ..Ready::default() };
        let landing = landing::touch_down(ctx, module, flight, filled, ready);
        reply(ctx, self.receipt().settle(module, landing))
    }

    /// The same for a large value: it is copied off the main thread, and its client waits for that.
    fn land_later(self, ctx: &Ctx, module: &Module, flight: FlightId) {
        let (recipe, receipt, value) = (self.recipe(), self.receipt(), self.value.hold());
        let deadline = takeoff::deadline(ctx, flight, (Filler::Thread, COPYING));
        let lease_ends = {
            let mut flights = module.flights();
            flights.retire(flight, Filler::Thread);
            flights.deadline_mut(flight).and_then(|ends| ends.replace(deadline))
        };
        if let Some(lease_ends) = lease_ends {
            lease_ends.stop(ctx);
        }
        module.filled_tokens().insert(self.token, &self.key, clock::now());
        let client = Blocked::new::<Room>(ctx);
        module.answerer().run(move || {
            let filled = recipe.make(value.bytes());
            main_thread::post(move |ctx| {
                let module = module::get();
                match filled {
                    Ok(filled) => {
                        let then = Box::new(move |landing| {
                            answer(client, receipt.settle(&module::get(), landing));
                        });
                        let ready = Ready { then: Some(then), ..Ready::default() };
                        landing::approach(ctx, &module, flight, filled, ready);
                    }
                    Err(error) => {
                        module.filled_tokens().forget(receipt.token);
                        if let Some(landed) = landing::take_down(ctx, &module, flight) {
                            landing::fail(ctx, &module, landed, &error);
                        }
                        answer(client, Err(error.into()));
                    }
                }
            });
        });
    }

    fn recipe(&self) -> Recipe {
        Recipe { life: self.life, keeps_stale: self.keeps_stale }
    }

    fn receipt(&self) -> Receipt {
        Receipt { key: self.key.clone(), token: self.token }
    }
}

/// How a value becomes what is stored.
struct Recipe {
    life: Life,
    keeps_stale: bool,
}

impl Recipe {
    /// Bare, so that plain `GET` reads it; but a value that would be mistaken for one with a head gets one.
    fn make(&self, bytes: &[u8]) -> Result<Filled, FetchError> {
        if !self.keeps_stale && matches!(entry::decode(bytes), Stored::Bare(_)) {
            return Filled::seal(Value::new(bytes), 0, self.life);
        }
        let head = entry::encode_head(200, &vec![], &StoreHeaders::default());
        let mut value = Value::new(&head);
        value.append(bytes);
        Filled::seal(value, head.len(), self.life)
    }
}

/// What a holder is told about its value, and what is remembered of it.
struct Receipt {
    key: FlightKey,
    token: Token,
}

impl Receipt {
    fn settle(self, module: &Module, landing: Landing) -> Result<(), CacheError> {
        let error = match landing {
            Some(Ok(())) => {
                STATS.leases_filled.bump();
                module.filled_tokens().insert(self.token, &self.key, clock::now());
                return Ok(());
            }
            Some(Err(NotStored::Void(_))) | None => lost(),
            Some(Err(reason)) => CacheError::NotStored(reason),
        };
        module.filled_tokens().forget(self.token);
        Err(error)
    }
}

fn reply(ctx: &Ctx, outcome: Result<(), CacheError>) -> Result<(), CacheError> {
    outcome.inspect(|()| ctx.reply_ok())
}

/// Answers a client that has been blocked meanwhile.
fn answer(client: Blocked, outcome: Result<(), CacheError>) {
    let write = |ctx: &Ctx| match outcome {
        Ok(()) => ctx.reply_ok(),
        Err(error) => ctx.reply_error(&error.to_string()),
    };
    client.answer(write).release();
}

/// Reads a token.
///
/// # Errors
/// What is no token is a lost one.
pub fn token(text: &[u8]) -> Result<Token, CacheError> {
    Token::parse(text).ok_or_else(lost)
}

fn lost() -> CacheError {
    STATS.leases_lost.bump();
    CacheError::LeaseLost
}

/// The flight that this token is to fill, if it is this key's.
fn held(module: &Module, key: &FlightKey, token: Token) -> Option<FlightId> {
    let flights = module.flights();
    flights.held_by(token).filter(|&flight| flights.key(flight) == Some(key))
}

/// Gives up a lease, at its holder's wish, and answers the holder.
///
/// # Errors
/// It is lost already.
pub fn release(
    ctx: &Ctx,
    module: &Module,
    key: &FlightKey,
    token: Token,
) -> Result<(), CacheError> {
    let Some(flight) = held(module, key, token) else {
        return Err(lost());
    };
    lose(module, flight, Lost::Released);
    reply(ctx, if module.flights().is_void(flight) { Err(lost()) } else { Ok(()) })
}

/// A client's connection has closed, and with it go the leases that are tied to it.
pub fn disconnected(module: &Module, client: u64) {
    let tied = module.flights().tied_to(client);
    for token in tied {
        let flight = module.flights().held_by(token);
        if let Some(flight) = flight {
            lose(module, flight, Lost::Cut);
        }
    }
}

/// How a lease is lost.
#[derive(Debug, Clone, Copy)]
pub enum Lost {
    /// Its holder gave it up.
    Released,
    /// Its time ran out.
    Expired,
    /// It was tied, and its holder's connection closed.
    Cut,
}

/// Takes a lease from its holder, at once; the next one is found in a turn of its own, where it may be
/// answered (`server/blocked`), and where nothing else is going on.
pub fn lose(module: &Module, flight: FlightId, how: Lost) {
    match how {
        Lost::Released => &STATS.leases_released,
        Lost::Expired => &STATS.leases_expired,
        Lost::Cut => &STATS.leases_cut,
    }
    .bump();
    module.flights().retire(flight, Filler::Nobody);
    main_thread::post(move |ctx| find_next(ctx, &module::get(), flight));
}

/// Finds who fills a flight whose holder is lost: the next who waits for the lease; without one a download,
/// if somebody waits for that; else the flight ends.
fn find_next(ctx: &Ctx, module: &Module, flight: FlightId) {
    let Some(key) = module.flights().key(flight).cloned() else {
        return;
    };
    if ctx.select(key.db) {
        keyspace::notify(ctx, c"cache.release", &key.name);
    }
    // A void flight may have been followed by another. What waits for it waits for that one, then.
    let follower = module.flights().find(&key).filter(|&other| other != flight);
    let left = if let Some(follower) = follower {
        module.flights().merge(flight, follower)
    } else if give_to_next(ctx, module, flight, &key) || download(ctx, module, flight, &key) {
        None
    } else {
        module.flights().land(flight)
    };
    if let Some(left) = left {
        clear(ctx, &left.lock, left.deadline);
    }
}

/// Clears away what a filler has left.
fn clear(ctx: &Ctx, lock: &LockMark, deadline: Option<Timer>) {
    if let Some(deadline) = deadline {
        deadline.stop(ctx);
    }
    landing::unmark(ctx, lock);
}

/// Gives a lost lease to the one who has waited longest for it, if there is one.
fn give_to_next(ctx: &Ctx, module: &Module, flight: FlightId, key: &FlightKey) -> bool {
    let wants_it = |waiter: &Waiter| matches!(waiter.claim, Claim::Lease(_));
    loop {
        let next = module.flights().take_first(flight, wants_it);
        let Some(Waiter {
            recipient: Recipient::Client(waiting, _),
            claim: Claim::Lease(terms),
            ..
        }) = next
        else {
            return false;
        };
        let client = waiting.end(ctx);
        match pass_on(ctx, module, flight, terms.filler()) {
            Ok(token) => {
                tell_given(ctx, key);
                client.answer(|ctx| write_lease(ctx, token)).release();
                return true;
            }
            Err(error) => answer(client, Err(error)),
        }
    }
}

/// Has a lost lease's flight filled by a download, if somebody waits for it by its URL.
fn download(ctx: &Ctx, module: &Module, flight: FlightId, key: &FlightKey) -> bool {
    let wanted = module.flights().waiters_of(flight).find_map(|waiter| match &waiter.claim {
        Claim::Download(url, options) => Some((url.clone(), options.clone())),
        Claim::Lease(_) | Claim::Nothing => None,
    });
    let Some((url, options)) = wanted else {
        return false;
    };
    let settings = SETTINGS.current();
    let (key, now) = (key.clone(), clock::now());
    let wish = Wish { url: &url, key, options: &options, settings: &settings, now };
    if let Err(error) = wish.take_over(ctx, module, flight)
        && let Some(landed) = landing::take_down(ctx, module, flight)
    {
        landing::refuse(ctx, module, landed, &error);
    }
    true
}

/// Gives a flight to another filler, with a token of its own.
///
/// # Errors
/// The flight has landed; or the system has no randomness.
pub fn pass_on(
    ctx: &Ctx,
    module: &Module,
    flight: FlightId,
    (filler, span): (Filler, Millis),
) -> Result<Token, CacheError> {
    let token = new_token()?;
    let key = module.flights().key(flight).cloned().ok_or(CacheError::LeaseLost)?;
    let lock = LockMark { db: key.db, key: lock_key(&key.name)?, token };
    let deadline = takeoff::deadline(ctx, flight, (filler, span));
    let left = module.flights().pass_on(flight, (lock.clone(), filler, Some(deadline)));
    if let Some((old, deadline)) = left {
        clear(ctx, &old, deadline);
    }
    if landing::may_write(ctx).is_ok() && ctx.select(lock.db) {
        keyspace::mark(ctx, &lock, span + LOCK_OUTLIVES);
    }
    Ok(token)
}
