//! Clients that wait: for one answer, or for several that are given together.
//!
//! A client that waits for one answer is itself the waiter in the flight table. One that waits for
//! several ([`Group`], `CACHE.MGET`) is in the group table, and each answer that it lacks is a waiter that
//! names its place. Either way the client has one patience and gets one reply, from whoever takes it out
//! of its table: the last landing, its patience, or the server that tells of its leaving.
//!
//! A wait has a number that no other ever has ([`WaitId`]). What outlives a wait names it by that number, and then
//! finds nothing: a timer that was not stopped, or a place that is on its way to its answer (`telling`). A client's
//! handle is no such name, since the next client may get its address. The server names a client by its handle; that
//! is looked up.

use std::collections::HashMap;
use std::sync::Arc;

use super::answer::{Shape, Source};
use super::takeoff::Wanted;
use super::{Flights, lease};
use crate::cache::error::{FetchError, Overload};
use crate::cache::flights::{FlightId, WaiterId};
use crate::cache::lease::Filler;
use crate::cache::seconds::Millis;
use crate::config::Settings;
use crate::module::{self, Module, STATS};
use crate::server::answers::Promise;
use crate::server::blocked::{Blocked, WaitingRoom};
use crate::server::ctx::Ctx;
use crate::server::main_thread;
use crate::server::timer::{OnTime, Timer};

/// Who is told how a flight ended.
pub struct Waiter {
    /// Whom to tell.
    pub recipient: Recipient,
    /// Where the answer comes from in its eyes, if the flight brings an entry.
    pub source: Source,
    /// What it is to do if the flight's holder is lost.
    pub claim: Claim,
}

impl Waiter {
    /// Where its answer comes from, if the answer of those whose flight it is comes from `leaders`.
    pub fn source_if(&self, leaders: Option<Source>) -> Source {
        match leaders {
            Some(leaders) if self.source == Source::Miss => leaders,
            _ => self.source,
        }
    }
}

/// What one who waits for a leased flight is to do if the lease is lost.
pub enum Claim {
    /// It goes on waiting; or the flight was no lease when it came, and cannot become one.
    Nothing,
    /// To be the next holder.
    Lease(Terms),
    /// To download the flight's URL on these terms, if nobody is there to be the next holder.
    Download(Box<Wanted>),
}

/// On which terms a client holds a lease.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long it may.
    pub ttl: Millis,
    /// Its number.
    pub client: u64,
    /// Whether the lease is lost with its connection.
    pub tied: bool,
}

/// Whom to tell.
pub enum Recipient {
    /// A client that waits for this answer alone.
    Client(Waiting, Shape),
    /// A place in a group's answer.
    Place(WaitId, usize),
}

/// A client that waits, with the timer of its patience.
pub struct Waiting {
    wait: WaitId,
    client: Blocked,
    patience: Timer,
}

/// Names a wait. It is never used again.
pub type WaitId = u64;

/// A client that waits for several answers.
pub struct Group {
    waiting: Waiting,
    places: Vec<Place>,
    missing: usize,
    /// The bytes of the places that are there.
    promise: Promise,
}

/// One of the answers of a group.
#[derive(Clone)]
pub enum Place {
    /// Not there yet: null if the patience ends now.
    Missing,
    /// Null for good.
    Null,
    /// A stored string, and where its body begins.
    Body(Arc<Vec<u8>>, usize),
    /// An error line.
    Error(Arc<str>),
}

impl Place {
    fn size(&self) -> usize {
        match self {
            Self::Body(stored, _) => stored.len(),
            Self::Error(line) => line.len(),
            Self::Missing | Self::Null => 0,
        }
    }
}

/// The waits that have begun and not ended.
#[derive(Default)]
pub struct Waits {
    groups: HashMap<WaitId, Group>,
    /// By the number of the client's handle.
    by_client: HashMap<u64, WaitId>,
    last: WaitId,
}

impl Waits {
    fn begin(&mut self, client: u64) -> WaitId {
        self.last += 1;
        self.by_client.insert(client, self.last);
        self.last
    }

    /// A handle's number may be another wait's by now, if this one was dropped without its end.
    fn end(&mut self, wait: WaitId, client: u64) {
        if self.by_client.get(&client) == Some(&wait) {
            self.by_client.remove(&client);
        }
        self.give_back();
    }

    /// Gives back the memory that a crowd has left, once nobody waits.
    fn give_back(&mut self) {
        const MUCH: usize = 4096;
        let most = self.by_client.capacity().max(self.groups.capacity());
        if self.by_client.is_empty() && self.groups.is_empty() && most > MUCH {
            *self = Self { last: self.last, ..Self::default() };
        }
    }
}

impl Waiting {
    /// Blocks the client of the running command; `None` if the server does not block it.
    fn begin(ctx: &Ctx, module: &Module, patience: Millis) -> Option<Self> {
        let client = Blocked::new::<Room>(ctx)?;
        let wait = module.waits().begin(client.number());
        let patience = Timer::start::<Patience>(ctx, patience, wait);
        Some(Self { wait, client, patience })
    }

    /// Ends the wait; the client is still owed its reply.
    pub fn end(self, ctx: &Ctx, module: &Module) -> Blocked {
        self.patience.stop(ctx);
        Self::ended(module, self.wait, self.client)
    }

    /// The same, in the callback of its own timer, which must not be stopped there.
    fn end_impatient(self, module: &Module) -> Blocked {
        Self::ended(module, self.wait, self.client)
    }

    fn ended(module: &Module, wait: WaitId, client: Blocked) -> Blocked {
        module.waits().end(wait, client.number());
        client
    }
}

/// The places that a call has taken already, before it joins any flight.
#[derive(Default)]
pub struct Places {
    in_all: usize,
    by_flight: HashMap<FlightId, usize>,
}

impl Places {
    /// Takes one more.
    pub fn take(&mut self, flight: FlightId) {
        self.in_all += 1;
        *self.by_flight.entry(flight).or_default() += 1;
    }
}

/// Whether one more may wait, beside the places that its call has taken already: for this flight, or for one
/// that is about to start.
///
/// # Errors
/// As many wait as may, in all or for this flight.
pub fn check_room(
    module: &Module,
    settings: &Settings,
    taken: &Places,
    flight: Option<FlightId>,
) -> Result<(), FetchError> {
    let flights = module.flights();
    let in_all = flights.waiters() + taken.in_all;
    let for_it = flight.map_or(0, |flight| {
        flights.waiting(flight) + taken.by_flight.get(&flight).copied().unwrap_or_default()
    });
    let reached = |count: usize, most: u64| count as u64 >= most;
    if reached(in_all, settings.max_waiters) || reached(for_it, settings.max_waiters_per_flight) {
        return Err(overloaded(Overload::Waiters));
    }
    Ok(())
}

/// Counts that there is too much of something.
pub fn overloaded(what: Overload) -> FetchError {
    let error = FetchError::Overloaded(what);
    STATS.failed(&error);
    error
}

/// Lets the running command's client wait for one flight. One that the server does not block is answered null, as
/// in MULTI; the flight goes on.
pub fn wait_for(
    ctx: &Ctx,
    module: &Module,
    flight: FlightId,
    patience: Millis,
    (shape, source, claim): (Shape, Source, Claim),
) {
    let Some(waiting) = Waiting::begin(ctx, module, patience) else {
        ctx.reply_null();
        return;
    };
    let id = WaiterId { wait: waiting.wait, part: 0 };
    let recipient = Recipient::Client(waiting, shape);
    // A flight cannot land between being found and being joined: both are in this one callback. Were it
    // so all the same, the waiter would be dropped here, and so be answered with an error.
    let _ = module.flights().join(flight, id, Waiter { recipient, source, claim });
}

/// Lets the running command's client wait for several answers: `places` has those that are there, and
/// `flights` those that are not, each with its place. One that the server does not block is answered at once, with
/// nulls for these.
pub fn wait_for_all(
    ctx: &Ctx,
    module: &Module,
    places: Vec<Place>,
    flights: Vec<(usize, FlightId, Claim)>,
    patience: Millis,
) {
    let Some(waiting) = Waiting::begin(ctx, module, patience) else {
        write_places(ctx, &places);
        return;
    };
    let (group, missing) = (waiting.wait, flights.len());
    for (part, flight, claim) in flights {
        let recipient = Recipient::Place(group, part);
        let waiter = Waiter { recipient, source: Source::Miss, claim };
        let _ = module.flights().join(flight, WaiterId { wait: group, part }, waiter);
    }
    let promise = module.answerer().promise(size(&places));
    module.waits().groups.insert(group, Group { waiting, places, missing, promise });
}

/// Puts an answer into its place; if it was the last to come, the client and all its answers. The group may have
/// ended meanwhile.
pub fn arrive(
    ctx: &Ctx,
    module: &Module,
    group: WaitId,
    place: usize,
    answer: Place,
) -> Option<(Blocked, Vec<Place>)> {
    let done = {
        let groups = &mut module.waits().groups;
        let waiting_group = groups.get_mut(&group)?;
        waiting_group.promise.add(answer.size());
        *waiting_group.places.get_mut(place)? = answer;
        waiting_group.missing -= 1;
        if waiting_group.missing > 0 {
            return None;
        }
        groups.remove(&group)?
    };
    Some((done.waiting.end(ctx, module), done.places))
}

/// Takes a client out of its table, and its waiters out of their flights.
fn take(module: &Module, wait: WaitId) -> Option<(Waiting, Option<Vec<Place>>)> {
    let group = module.waits().groups.remove(&wait);
    if let Some(group) = group {
        let mut flights = module.flights();
        for part in 0..group.places.len() {
            leave(&mut flights, WaiterId { wait, part });
        }
        return Some((group.waiting, Some(group.places)));
    }
    let waiter = leave(&mut module.flights(), WaiterId { wait, part: 0 })?;
    match waiter.recipient {
        Recipient::Client(waiting, _) => Some((waiting, None)),
        Recipient::Place(..) => None,
    }
}

/// Takes a waiter out of its flight. A flight that nobody fills, in the pause after a lost lease, ends with the last that
/// waits for it.
fn leave(flights: &mut Flights, waiter: WaiterId) -> Option<Waiter> {
    let flight = flights.flight_of(waiter)?;
    let left = flights.leave(waiter);
    if flights.filler(flight) == Some(Filler::Nobody) && flights.waiting(flight) == 0 {
        main_thread::post(move |ctx| lease::pause_ended(ctx, &module::get(), flight));
    }
    left
}

/// Takes all clients out of their tables; their flights go on.
pub fn take_all(ctx: &Ctx, module: &Module) -> Vec<Blocked> {
    let groups = std::mem::take(&mut module.waits().groups);
    let waiters = module.flights().leave_all();
    let alone = waiters.into_iter().filter_map(|waiter| match waiter.recipient {
        Recipient::Client(waiting, _) => Some(waiting),
        Recipient::Place(..) => None, // its client is the group's
    });
    let grouped = groups.into_values().map(|group| group.waiting);
    alone.chain(grouped).map(|waiting| waiting.end(ctx, module)).collect()
}

/// A client's patience has ended; its flights go on.
struct Patience;

impl OnTime for Patience {
    fn on_time(_: &Ctx, wait: u64) {
        let module = module::get();
        if let Some((waiting, places)) = take(&module, wait) {
            let client = waiting.end_impatient(&module);
            match places {
                None => client.answer(Ctx::reply_null).release(),
                Some(places) => super::telling::answer_group(&module, client, places),
            }
        }
    }
}

/// Where blocked clients wait.
pub struct Room;

impl WaitingRoom for Room {
    fn leave(ctx: &Ctx, client: u64) -> Option<Blocked> {
        let module = module::get();
        let wait = module.waits().by_client.get(&client).copied()?;
        let (waiting, _) = take(&module, wait)?;
        Some(waiting.end(ctx, &module))
    }
}

/// Writes the answer of a group.
pub fn write_places(ctx: &Ctx, places: &[Place]) {
    ctx.reply_array(places.len());
    for place in places {
        match place {
            Place::Missing | Place::Null => ctx.reply_null(),
            Place::Body(stored, body_at) => ctx.reply_bytes(&stored[*body_at..]),
            Place::Error(line) => ctx.reply_error(line),
        }
    }
}

/// How many bytes the answer of a group has.
pub fn size(places: &[Place]) -> usize {
    places.iter().map(Place::size).sum()
}
