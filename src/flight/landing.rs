//! The landing: the entry goes into the keyspace, the lock key out of it, and the waiters are answered.
//!
//! It happens on the main thread, in time that depends neither on the body's size nor on the number of
//! waiters. What does depend on them is done by the answerer, before or after:
//!
//! - Small and few replies are written here; that costs less than handing them over.
//! - A large body with one waiter: its reply is written first, off the main thread, from the string that
//!   is about to be stored; then the flight lands.
//! - Several waiters: a copy of the body is made first, off the main thread, and their replies are
//!   written from that. The stored string itself is the main thread's from the moment it is stored.
//!
//! In each case clients are released after the entry is stored: who has the answer finds the entry.

use std::sync::Arc;

use super::Waiter;
use super::download::Filled;
use crate::cache::error::FetchError;
use crate::cache::flights::{Flight, FlightId};
use crate::cache::permit::Outcome;
use crate::cache::stats::NotStored;
use crate::module::{self, Module, STATS};
use crate::server::answers::Answer;
use crate::server::blocked::{Answered, Blocked};
use crate::server::ctx::Ctx;
use crate::server::keyspace::{self, Refusal};
use crate::server::main_thread;
use crate::server::value::{SharedValue, Value};

/// A flight out of the table, its deadline dealt with.
type Landed<D = ()> = Flight<Waiter, D>;

/// The most bytes of replies that one landing writes on the main thread.
const INLINE_BYTES: usize = 64 * 1024;
/// The most clients that one landing answers on the main thread.
const INLINE_CLIENTS: usize = 16;
/// From this size on, memory is given back off the main thread.
const LARGE: usize = 1 << 20;

/// Lands a flight with what its download brought.
pub fn land(ctx: &Ctx, flight: FlightId, outcome: Outcome<Filled>) {
    match outcome {
        Ok(filled) => approach(ctx, flight, filled, Ready::default()),
        Err(error) => {
            let landed = module::get().flights().land(flight);
            if let Some(landed) = landed {
                let (landed, deadline) = landed.without_deadline();
                deadline.stop(ctx);
                fail(ctx, landed, &error);
            }
        }
    }
}

/// Ends a flight whose deadline has passed; the deadline's timer is the one that tells it.
pub fn overdue(ctx: &Ctx, flight: FlightId) {
    let landed = module::get().flights().land(flight);
    if let Some(landed) = landed {
        fail(ctx, landed.without_deadline().0, &FetchError::Timeout);
    }
}

/// What the answerer has made ready for a landing.
#[derive(Default)]
struct Ready {
    /// The first waiter, its reply written.
    first: Option<Answered>,
    /// The body, for all others.
    copy: Option<Arc<[u8]>>,
}

/// Lands, or first has made ready what the main thread must not do itself.
fn approach(ctx: &Ctx, flight: FlightId, filled: Filled, mut ready: Ready) {
    let module = module::get();
    let waiting = module.flights().waiting(flight);
    if ready.copy.is_some() || may_answer_inline(waiting, filled.body().len()) {
        return touch_down(ctx, &module, flight, filled, ready);
    }
    let lone = if waiting == 1 && ready.first.is_none() {
        module.flights().take_first(flight).map(|waiter| stop_waiting(ctx, waiter))
    } else {
        None
    };
    module.answerer().run(move || {
        match lone {
            Some(client) => {
                ready.first = Some(client.answer(|ctx| ctx.reply_bytes(filled.body())));
            }
            None => ready.copy = Some(Arc::from(filled.body())),
        }
        main_thread::post(move |ctx| approach(ctx, flight, filled, ready));
    });
}

const fn may_answer_inline(clients: usize, size: usize) -> bool {
    clients <= INLINE_CLIENTS && clients * size <= INLINE_BYTES
}

fn touch_down(ctx: &Ctx, module: &Module, flight: FlightId, filled: Filled, ready: Ready) {
    let landed = module.flights().land(flight);
    let Some(landed) = landed else {
        // Its deadline came first, and answered its waiters.
        return let_go(module, filled.into_value().0);
    };
    let (landed, deadline) = landed.without_deadline();
    deadline.stop(ctx);
    let fresh_until = filled.fresh_until;
    let (value, body_at) = filled.into_value();
    let kept = store(ctx, &landed, value, fresh_until.moment());
    unmark(ctx, &landed);
    drop(ready.first);
    let clients = stop_all_waiting(ctx, landed);
    match ready.copy {
        Some(copy) => module.answerer().release(clients, Answer::Body(copy)),
        None => answer_inline(clients, |ctx| ctx.reply_bytes(&kept.bytes()[body_at..])),
    }
    if let Kept::Own(value) = kept {
        let_go(module, value);
    }
}

fn fail(ctx: &Ctx, landed: Landed, error: &FetchError) {
    STATS.failed(error);
    unmark(ctx, &landed);
    let clients = stop_all_waiting(ctx, landed);
    let line = error.to_string();
    if may_answer_inline(clients.len(), line.len()) {
        answer_inline(clients, |ctx| ctx.reply_error(&line));
    } else {
        module::get().answerer().release(clients, Answer::Error(line.into()));
    }
}

/// An entry after the attempt to store it.
enum Kept {
    Shared(SharedValue),
    Own(Value),
}

impl Kept {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(value) => value.bytes(),
            Self::Own(value) => value.bytes(),
        }
    }
}

fn store(ctx: &Ctx, landed: &Landed, value: Value, ends: Option<u64>) -> Kept {
    let allowed = match landed.void {
        Some(void) => Err(NotStored::Void(void)),
        None => may_write(ctx),
    };
    let stored = match allowed {
        Ok(()) if ctx.select(landed.key.db) => keyspace::store(ctx, &landed.key.name, value, ends)
            .map_err(|(refusal, value)| {
                let reason = match refusal {
                    Refusal::OutOfMemory => NotStored::OutOfMemory,
                    Refusal::Other => NotStored::Refused,
                };
                (reason, value)
            }),
        Ok(()) => Err((NotStored::Refused, value)),
        Err(reason) => Err((reason, value)),
    };
    match stored {
        Ok(shared) => Kept::Shared(shared),
        Err((reason, value)) => {
            STATS.not_stored(reason);
            Kept::Own(value)
        }
    }
}

/// Whether the keyspace may be written to at all. Propagating a write while writes are paused aborts the
/// server; a replica's keyspace is its master's, one that loads is its file's.
fn may_write(ctx: &Ctx) -> Result<(), NotStored> {
    if ctx.is_loading() {
        Err(NotStored::Loading)
    } else if !ctx.is_master() {
        Err(NotStored::Replica)
    } else if ctx.writes_are_paused() {
        Err(NotStored::Paused)
    } else {
        Ok(())
    }
}

/// Removes the lock key; where nothing may be written it is left to its own expiry, and harms nobody.
fn unmark(ctx: &Ctx, landed: &Landed) {
    if may_write(ctx).is_ok() && ctx.select(landed.lock.db) {
        keyspace::unmark(ctx, &landed.lock);
    }
}

fn stop_waiting(ctx: &Ctx, waiter: Waiter) -> Blocked {
    waiter.patience.stop(ctx);
    waiter.client
}

fn stop_all_waiting(ctx: &Ctx, landed: Landed) -> Vec<Blocked> {
    landed.into_waiters().into_iter().map(|waiter| stop_waiting(ctx, waiter)).collect()
}

fn answer_inline(clients: Vec<Blocked>, write: impl Fn(&Ctx)) {
    for client in clients {
        client.answer(&write).release();
    }
}

/// Frees a large value off the main thread: unmapping takes milliseconds.
fn let_go(module: &Module, value: Value) {
    if value.bytes().len() >= LARGE {
        module.answerer().run(move || drop(value));
    }
}
