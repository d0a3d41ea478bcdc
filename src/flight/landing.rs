//! The landing: the entry goes into the keyspace, the lock key out of it, and the waiters are answered.
//!
//! It happens on the main thread, in time that depends neither on the body's size nor on the number of
//! waiters. What does depend on them is done by the answerer, before or after:
//!
//! - Small and few replies are written here; that costs less than handing them over.
//! - A large body with one waiter: its reply is written first, off the main thread, from the string that
//!   is about to be stored; then the flight lands.
//! - Several waiters: their replies are written from a copy of the entry. The stored string itself is the main
//!   thread's from the moment it is stored. A download has the copy at hand, since it reads into it; where
//!   waiters have come too late for that, it is made first, off the main thread.
//!
//! In each case clients are released after the entry is stored: who has the answer finds the entry.
//! A flight that found the entry to be still good lands in `revalidation`; one that a client fills begins its
//! landing in `fill`.

use std::ffi::CStr;
use std::fmt;

use super::answer::{Shape, Source, write_stored};
use super::download::Brought;
use super::filled::Filled;
use super::lease::Lost;
use super::waiting::{Recipient, Waiter};
use super::{gone, lease, revalidation, telling};
use crate::cache::error::FetchError;
use crate::cache::flights::{Flight, FlightId, FlightKey, LockMark};
use crate::cache::lease::Filler;
use crate::cache::permit::Outcome;
use crate::cache::stats::NotStored;
use crate::cache::variant;
use crate::clock;
use crate::config::SETTINGS;
use crate::module::{self, Module, STATS};
use crate::server::blocked::{Answered, Blocked};
use crate::server::ctx::Ctx;
use crate::server::keyspace::{self, Refusal};
use crate::server::main_thread;
use crate::server::value::{SharedValue, Value};

/// A flight out of the table, its deadline dealt with.
pub type Landed = Flight<Waiter, ()>;

/// How a landing went: whether what the flight brought was stored; `None` if the deadline came first.
pub type Landing = Option<Result<(), NotStored>>;

/// From this size on, memory is given back off the main thread.
const LARGE: usize = 1 << 20;
/// From this size on, a string is given away where that spares the server a copy.
const GIVEN_AWAY: usize = 64 * 1024;

/// Lands a flight with what its download brought.
pub fn land(ctx: &Ctx, flight: FlightId, outcome: Outcome<Brought>) {
    let module = module::get();
    match outcome {
        Ok(Brought::Entry(filled)) => approach(ctx, &module, flight, filled, Ready::default()),
        Ok(Brought::StillGood(headers, task)) => {
            revalidation::land(ctx, &module, flight, headers, *task);
        }
        Err(error) => {
            if let Some(landed) = take_down(ctx, &module, flight) {
                fail(ctx, &module, landed, &error);
            }
        }
    }
}

/// Ends a flight whose deadline has passed; the deadline's timer is the one that tells it.
pub fn overdue(ctx: &Ctx, flight: FlightId) {
    let module = module::get();
    // The timer is spent. It must not be stopped any more, least of all here, inside it.
    module.flights().deadline_mut(flight).and_then(Option::take);
    let filler = module.flights().filler(flight);
    match filler {
        Some(Filler::Thread | Filler::Copier) => {
            if let Some(landed) = take_down(ctx, &module, flight) {
                fail(ctx, &module, landed, &FetchError::Timeout);
            }
        }
        Some(Filler::Holder { .. }) => lease::lose(&module, flight, Lost::Expired),
        Some(Filler::Nobody) => lease::pause_ended(ctx, &module, flight),
        None => {}
    }
}

/// Takes a flight out of the table; `None` if its deadline came first, and answered its waiters.
pub fn take_down(ctx: &Ctx, module: &Module, flight: FlightId) -> Option<Landed> {
    let (landed, deadline) = module.flights().land(flight)?.without_deadline();
    if let Some(deadline) = deadline {
        deadline.stop(ctx);
    }
    Some(landed)
}

/// What has been made ready for a landing, beside the entry.
#[derive(Default)]
pub struct Ready {
    /// The first waiter, its reply written.
    pub first: Option<Answered>,
    /// Who is to be told how it went.
    pub then: Option<Then>,
}

/// Told how a landing went.
pub type Then = Box<dyn FnOnce(Landing) + Send>;

/// Lands, or first has made ready what the main thread must not do itself.
pub fn approach(
    ctx: &Ctx,
    module: &Module,
    flight: FlightId,
    mut filled: Filled,
    mut ready: Ready,
) {
    let waiting = module.flights().waiting(flight);
    if filled.has_copy() || telling::may_answer_inline(waiting, filled.stored().len()) {
        let then = ready.then.take();
        let landing = touch_down(ctx, module, flight, filled, ready);
        if let Some(then) = then {
            then(landing);
        }
        return;
    }
    let lone = if waiting == 1 && ready.first.is_none() {
        take_lone_client(ctx, module, flight)
    } else {
        None
    };
    module.answerer().run(move || {
        match lone {
            Some((client, shape, source)) => {
                let write = |ctx: &Ctx| write_stored(ctx, shape, filled.stored(), source);
                ready.first = Some(client.answer(write));
            }
            None => filled.make_copy(),
        }
        main_thread::post(move |ctx| approach(ctx, &module::get(), flight, filled, ready));
    });
}

fn take_lone_client(
    ctx: &Ctx,
    module: &Module,
    flight: FlightId,
) -> Option<(Blocked, Shape, Source)> {
    let is_client = |waiter: &Waiter| matches!(waiter.recipient, Recipient::Client(..));
    let waiter = module.flights().take_first(flight, is_client)?;
    match waiter.recipient {
        Recipient::Client(waiting, shape) => Some((waiting.end(ctx, module), shape, waiter.source)),
        Recipient::Place(..) => None,
    }
}

/// Lands a flight: stores what it has brought, and answers its waiters.
pub fn touch_down(
    ctx: &Ctx,
    module: &Module,
    flight: FlightId,
    mut filled: Filled,
    ready: Ready,
) -> Landing {
    let (size, copy) = (filled.stored().len(), filled.take_copy());
    let Some(landed) = take_down(ctx, module, flight) else {
        let_go(module, size, (filled.into_value(), copy));
        return None;
    };
    let body_at = filled.body_at();
    // Nobody reads the stored string: there is a copy for all who wait, or nobody waits.
    let is_spare = copy.is_some() || landed.waiting() == 0;
    let kept = store(ctx, module, &landed, filled, is_spare);
    unmark(ctx, &landed.lock);
    drop(ready.first);
    let entry = match &copy {
        Some(copy) => telling::ForAll::Copy(copy),
        None => telling::ForAll::Inline(kept.bytes()),
    };
    telling::answer_all(ctx, module, landed, &entry, body_at, None);
    let_go(module, size, copy);
    Some(match kept {
        Kept::Shared(_) => Ok(()),
        Kept::Given(given) => given,
        Kept::Own(value, reason) => {
            let_go(module, size, value);
            Err(reason)
        }
    })
}

/// Tells all who wait that the flight brought nothing.
pub fn fail(ctx: &Ctx, module: &Module, landed: Landed, error: &FetchError) {
    STATS.failed(error);
    if !gone::end_entry(ctx, &landed, error) && hold_back(ctx, module, &landed.key) {
        STATS.failed_refreshes.bump();
    }
    if ctx.select(landed.key.db) {
        keyspace::notify(ctx, c"cache.error", &landed.key.name);
    }
    if SETTINGS.current().hide_denials {
        refuse(ctx, module, landed, &error.without_denials());
    } else {
        refuse(ctx, module, landed, error);
    }
}

/// Counts that what a flight has brought was not stored.
pub fn not_stored(ctx: &Ctx, module: &Module, key: &FlightKey, reason: NotStored) {
    STATS.not_stored(reason);
    // What has voided a flight says nothing about the next.
    if !matches!(reason, NotStored::Void(_)) {
        hold_back(ctx, module, key);
    }
}

/// Has the next refresh of an entry wait for a while, since this one has failed, or what it brought was not
/// stored. False if there is no entry that could be refreshed.
pub fn hold_back(ctx: &Ctx, module: &Module, key: &FlightKey) -> bool {
    if !ctx.select(key.db) || !keyspace::exists(ctx, &key.name) {
        return false;
    }
    pause_refreshes(module, key);
    true
}

/// As [`hold_back`], of an entry that is there.
pub fn pause_refreshes(module: &Module, key: &FlightKey) {
    let now = clock::monotonic();
    let pause = SETTINGS.current().refresh_backoff;
    if pause > 0 {
        module.backoff().failed(key.clone(), now + pause, now);
    }
}

/// Removes a flight's lock key, and answers all who wait with an error.
pub fn refuse(ctx: &Ctx, module: &Module, landed: Landed, error: &impl fmt::Display) {
    unmark(ctx, &landed.lock);
    telling::refuse_all(ctx, module, landed.into_waiters(), error);
}

/// An entry after the attempt to store it.
enum Kept {
    Shared(SharedValue),
    /// The server has the string alone, or has freed it as it refused.
    Given(Result<(), NotStored>),
    Own(Value, NotStored),
}

impl Kept {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(value) => value.bytes(),
            Self::Own(value, _) => value.bytes(),
            Self::Given(_) => &[],
        }
    }

    const fn outcome(&self) -> Result<(), NotStored> {
        match self {
            Self::Shared(_) => Ok(()),
            Self::Given(outcome) => *outcome,
            Self::Own(_, reason) => Err(*reason),
        }
    }
}

/// Stores what a flight has brought, if it may, and tells of it. A string that is to spare is given away if it is
/// large.
fn store(ctx: &Ctx, module: &Module, landed: &Landed, filled: Filled, is_spare: bool) -> Kept {
    let (ends, forbidden) = (filled.ends, filled.must_not_be_stored);
    let (name, value) = (&landed.key.name, filled.into_value());
    let kept = match may_store(ctx, landed) {
        Ok(()) if forbidden => Kept::Own(value, NotStored::Forbidden),
        Ok(()) if is_spare && value.bytes().len() >= GIVEN_AWAY => {
            Kept::Given(keyspace::give(ctx, name, value, ends).map_err(Into::into))
        }
        Ok(()) => match keyspace::store(ctx, name, value, ends) {
            Ok(shared) => Kept::Shared(shared),
            Err((refusal, value)) => Kept::Own(value, refusal.into()),
        },
        Err(reason) => Kept::Own(value, reason),
    };
    match kept.outcome() {
        Ok(()) => tell_changed(ctx, c"cache.store", name),
        Err(reason) => not_stored(ctx, module, &landed.key, reason),
    }
    kept
}

/// Tells that an entry has changed: by an event on its key and, if it is a variant's, to whoever has
/// read it by its URL, which is the key that tracking remembers of such a call.
pub fn tell_changed(ctx: &Ctx, event: &CStr, name: &[u8]) {
    keyspace::notify(ctx, event, name);
    if let Some(url) = variant::url_of(name) {
        keyspace::signal_modified(ctx, url);
    }
}

impl From<Refusal> for NotStored {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::OutOfMemory => Self::OutOfMemory,
            Refusal::Replica => Self::Replica,
            Refusal::Elsewhere | Refusal::NoSuchCommand | Refusal::Other => Self::Refused,
        }
    }
}

/// Whether what a flight brought may be stored; selects its database.
///
/// # Errors
/// Why not.
pub fn may_store(ctx: &Ctx, flight: &Landed) -> Result<(), NotStored> {
    if let Some(void) = flight.void {
        return Err(NotStored::Void(void));
    }
    may_write(ctx)?;
    if ctx.select(flight.key.db) { Ok(()) } else { Err(NotStored::Refused) }
}

/// Whether the keyspace may be written to at all. Propagating a write while writes are paused aborts the
/// server; a replica's keyspace is its master's, one that loads is its file's.
pub fn may_write(ctx: &Ctx) -> Result<(), NotStored> {
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

/// Removes a lock key; where nothing may be written it is left to its own expiry, and harms nobody.
pub fn unmark(ctx: &Ctx, lock: &LockMark) {
    if may_write(ctx).is_ok() {
        // It may lie in another database than its flight's key, and this may be a client's own context.
        let db = ctx.db();
        if ctx.select(lock.db) {
            keyspace::unmark(ctx, lock);
        }
        ctx.select(db);
    }
}

/// Frees what is large off the main thread: unmapping takes milliseconds.
fn let_go(module: &Module, size: usize, what: impl Send + 'static) {
    if size >= LARGE {
        module.answerer().run(move || drop(what));
    }
}
