//! Leases: a flight that a client fills is given, given up, lost, and passed on.
//!
//! It is a flight like any other: the same table, lock key, waiters, voiding and landing (`fill`). What
//! differs is who fills it, and what happens if nobody does: see the essay of `cache/lease.rs`.

use std::sync::Arc;

use super::answer::write_lease;
use super::takeoff::{self, LOCK_OUTLIVES, Marks, SharedRequest, Wish, new_token};
use super::waiting::{self, Claim, Places, Recipient, Terms, Waiter};
use super::{landing, telling};
use crate::cache::decide::Found;
use crate::cache::entry;
use crate::cache::error::{CacheError, FetchError, Overload};
use crate::cache::flights::{Flight, FlightId, FlightKey, LockMark};
use crate::cache::key::lock_key;
use crate::cache::lease::{Filler, Token};
use crate::cache::seconds::Millis;
use crate::cache::variant;
use crate::clock;
use crate::config::{SETTINGS, Settings};
use crate::module::{self, Module, STATS};
use crate::server::ctx::Ctx;
use crate::server::keyspace::{self, ReadKey};
use crate::server::main_thread;
use crate::server::timer::Timer;

impl Terms {
    const fn filler(self) -> (Filler, Millis) {
        (Filler::Holder { client: self.client, tied: self.tied }, self.ttl)
    }
}

/// The holder of a lease that a script was given. Whose script it is the server does not tell: it has one client for
/// all, and the numbers of others begin with 1.
pub const A_SCRIPT: u64 = 0;

/// Gives the lease of a key that has no flight.
///
/// # Errors
/// The key can have no lock key; as many leases are held as may be; there is no memory for another; or the system
/// has no randomness.
pub fn give(
    ctx: &Ctx,
    module: &Module,
    settings: &Settings,
    key: &FlightKey,
    terms: Terms,
) -> Result<Token, CacheError> {
    check_room_for(module, settings, terms.client)?;
    if module.flights().leases() as u64 >= settings.max_leases {
        return Err(waiting::overloaded(Overload::Leases(settings.max_leases)).into());
    }
    let entered = takeoff::check_memory(ctx, module, settings, key)
        .and_then(|()| takeoff::enter(&Marks::new(ctx), module, key, terms.filler()));
    let (_, token) = entered.map_err(|error| match error {
        // A key need not be a URL, and so is not told of as one.
        CacheError::Url(_) if key.name.is_empty() => CacheError::EmptyKey,
        CacheError::Url(_) => CacheError::StrayBraces,
        other => other,
    })?;
    tell_given(ctx, key);
    Ok(token)
}

/// Whether this client may hold one more lease. Scripts may, as far as this bound goes.
///
/// # Errors
/// It holds as many as it may.
pub fn check_room_for(module: &Module, settings: &Settings, client: u64) -> Result<(), FetchError> {
    let most = settings.max_leases_per_client;
    if client != A_SCRIPT && module.flights().leases_by(client) >= most {
        return Err(waiting::overloaded(Overload::LeasesOfClient(most)));
    }
    Ok(())
}

fn tell_given(ctx: &Ctx, key: &FlightKey) {
    STATS.leases.bump();
    keyspace::notify(ctx, c"cache.lease", &key.name);
}

/// Reads a token.
///
/// # Errors
/// What is no token is a lost one.
pub fn token(text: &[u8]) -> Result<Token, CacheError> {
    Token::parse(text).ok_or_else(lost)
}

/// Counts that a token is no good.
pub fn lost() -> CacheError {
    STATS.leases_lost.bump();
    CacheError::LeaseLost
}

/// The flight that this token is to fill, if it is this key's.
pub fn held(module: &Module, key: &FlightKey, token: Token) -> Option<FlightId> {
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
    if module.flights().is_void(flight) {
        return Err(lost());
    }
    ctx.reply_ok();
    Ok(())
}

/// Ends the leases of a key, whoever holds them, and answers who has asked for that.
///
/// # Errors
/// There is none.
pub fn force(ctx: &Ctx, module: &Module, key: &FlightKey) -> Result<(), CacheError> {
    let held = module.flights().leases_of(key);
    if held.is_empty() {
        return Err(lost());
    }
    for flight in held {
        lose(module, flight, Lost::Ended);
    }
    ctx.reply_ok();
    Ok(())
}

/// A lease that nobody needs any more, out of the table.
pub type Freed = Flight<Waiter, Option<Timer>>;

/// Clears away what leases have left that nobody needs any more, some at a time.
pub fn free(leases: Vec<Freed>) {
    const SOME: usize = 64;
    let mut leases = leases.into_iter();
    loop {
        let some: Vec<_> = leases.by_ref().take(SOME).collect();
        if some.is_empty() {
            return;
        }
        main_thread::post(move |ctx| some.into_iter().for_each(|lease| free_one(ctx, lease)));
    }
}

/// Clears away what such a lease has left.
pub fn free_one(ctx: &Ctx, lease: Freed) {
    STATS.leases_ended.bump();
    if ctx.select(lease.key.db) {
        keyspace::notify(ctx, c"cache.release", &lease.key.name);
    }
    clear(ctx, &lease.lock, lease.deadline);
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
    /// Somebody else has ended it.
    Ended,
}

/// Takes a lease from its holder, at once; the next one is found in a turn of its own, where it may be
/// answered (`server/blocked`), and where nothing else is going on.
pub fn lose(module: &Module, flight: FlightId, how: Lost) {
    match how {
        Lost::Released => &STATS.leases_released,
        Lost::Expired => &STATS.leases_expired,
        Lost::Cut => &STATS.leases_cut,
        Lost::Ended => &STATS.leases_ended,
    }
    .bump();
    module.flights().retire(flight, Filler::Nobody);
    main_thread::post(move |ctx| find_next(ctx, &module::get(), flight));
}

/// Tells that a lease is lost, and finds who fills its flight next.
fn find_next(ctx: &Ctx, module: &Module, flight: FlightId) {
    let Some(key) = module.flights().key(flight).cloned() else {
        return;
    };
    if ctx.select(key.db) {
        keyspace::notify(ctx, c"cache.release", &key.name);
    }
    // A value that could not be renewed is renewed after a pause. What has voided a flight says nothing about
    // the next.
    if !module.flights().is_void(flight) {
        landing::hold_back(ctx, module, &key);
    }
    let losses = module.flights().losses(flight);
    let pause = SETTINGS.current().refresh_backoff;
    seek(ctx, module, flight, &key, if losses > 1 { pause } else { 0 });
}

/// The pause is over, for which those who wait for a lease had to wait; or the next of them is to be answered.
pub fn pause_ended(ctx: &Ctx, module: &Module, flight: FlightId) {
    let key = module.flights().key(flight).cloned();
    if let Some(key) = key {
        seek(ctx, module, flight, &key, 0);
    }
}

/// Finds who fills a flight that nobody fills: nobody need, if the key has a value by now; else the next who
/// waits for the lease, after a pause if there is to be one; without one a download, if somebody waits for that;
/// else the flight ends.
///
/// The first who waits gets a lost lease at once, since its holder may have been the one at fault. After that
/// there is a pause each time: what fails for two may fail for all, and each try costs the source.
fn seek(ctx: &Ctx, module: &Module, flight: FlightId, key: &FlightKey, pause: Millis) {
    if module.flights().filler(flight) != Some(Filler::Nobody) {
        return; // somebody has been found meanwhile
    }
    // A void flight may have been followed by another. What waits for it waits for that one, then.
    let follower = module.flights().find(key).filter(|&other| other != flight);
    let left = if let Some(follower) = follower {
        module.flights().merge(flight, follower)
    } else if keyspace::is_elsewhere(ctx, &key.name) {
        // Whoever filled it here would do so in vain.
        if let Some(landed) = landing::take_down(ctx, module, flight) {
            landing::refuse(ctx, module, landed, &CacheError::Elsewhere);
        }
        None
    } else if answer_fresh(ctx, module, flight, key)
        || begin_pause(ctx, module, flight, pause)
        || give_to_next(ctx, module, flight, key)
        || download(ctx, module, flight, key)
    {
        None
    } else {
        module.flights().land(flight)
    };
    if let Some(left) = left {
        clear(ctx, &left.lock, left.deadline);
    }
}

/// Has those who wait for the lease wait for a while before one of them gets it, if there are any.
fn begin_pause(ctx: &Ctx, module: &Module, flight: FlightId, pause: Millis) -> bool {
    if pause == 0 || !module.flights().waiters_of(flight).any(wants_lease) {
        return false;
    }
    let ends = takeoff::deadline(ctx, flight, (Filler::Nobody, pause));
    let old = module.flights().deadline_mut(flight).and_then(|deadline| deadline.replace(ends));
    if let Some(old) = old {
        old.stop(ctx);
    }
    true
}

const fn wants_lease(waiter: &Waiter) -> bool {
    matches!(waiter.claim, Claim::Lease(_))
}

/// Answers all who wait with the key's value, if somebody else has stored one meanwhile.
///
/// Several who wait for a large one are answered one after another, each in a task of its own, with what lies there
/// then, as a hit would be. No copy is shared: it would be made in slices, and a plain string tells nobody that it has
/// changed between two of them. The flight stays in the table until the last has its answer; if the value goes before
/// that, the others are dealt with as if it had never come.
fn answer_fresh(ctx: &Ctx, module: &Module, flight: FlightId, key: &FlightKey) -> bool {
    let open = ctx.select(key.db).then(|| ReadKey::open_named(ctx, &key.name)).flatten();
    let Some(stored) = open.as_ref().and_then(ReadKey::string) else {
        return false;
    };
    let body_at = match Found::judge(entry::decode(stored), None, clock::now()) {
        Found::Fresh(entry) => entry.body_at(),
        Found::Bare(_) => 0,
        Found::Welcome(_) | Found::Stale(_) | Found::Nothing => return false,
    };
    if !telling::may_answer_stored(module.flights().waiting(flight), stored.len()) {
        let waiter = module.flights().take_first(flight, |_| true);
        if let Some(waiter) = waiter {
            telling::answer_one(ctx, module, waiter, (stored, body_at));
        }
        // A deadline that is left of the last holder, or of a pause, would seek as well.
        let deadline = module.flights().deadline_mut(flight).and_then(Option::take);
        if let Some(deadline) = deadline {
            deadline.stop(ctx);
        }
        main_thread::post(move |ctx| pause_ended(ctx, &module::get(), flight));
        return true;
    }
    if let Some(landed) = landing::take_down(ctx, module, flight) {
        landing::unmark(ctx, &landed.lock);
        telling::answer_stored(ctx, module, landed, (stored, body_at), None);
    }
    true
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
    loop {
        let next = module.flights().take_first(flight, wants_lease);
        let Some(Waiter {
            recipient: Recipient::Client(waiting, _),
            claim: Claim::Lease(terms),
            ..
        }) = next
        else {
            return false;
        };
        let client = waiting.end(ctx, module);
        match pass_on(ctx, module, flight, terms.filler()) {
            Ok(token) => {
                tell_given(ctx, key);
                client.answer(|ctx| write_lease(ctx, token)).release();
                return true;
            }
            Err(error) => client.answer_outcome(Err(error)),
        }
    }
}

/// Has a lost lease's flight filled by a download, if somebody waits for it by its URL.
fn download(ctx: &Ctx, module: &Module, flight: FlightId, key: &FlightKey) -> bool {
    let wanted = module.flights().waiters_of(flight).find_map(|waiter| match &waiter.claim {
        Claim::Download(wanted) => Some((wanted.options(), Arc::clone(&wanted.variant))),
        Claim::Lease(_) | Claim::Nothing => None,
    });
    let Some((options, copy)) = wanted else {
        return false;
    };
    // The key of a plain call is its URL, whatever it looks like. A caller that names a variant's key has named no URL.
    let url = if copy.is_plain() { None } else { variant::url_of(&key.name) };
    let wish = Wish {
        url: url.unwrap_or(&key.name),
        key: key.clone(),
        options: &options,
        request: &SharedRequest::copied(copy),
        settings: &SETTINGS.current(),
        taken: &Places::default(),
        marks: &Marks::new(ctx),
    };
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
