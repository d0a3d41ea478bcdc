//! Telling all who wait for a flight how it ended.
//!
//! Few clients, and small replies, are answered on the spot. What is more goes to the answerer, with one copy
//! of the entry for all, which has been made before: nothing here takes longer the larger the body is. A crowd
//! is handed over in slices, each in a task of its own. Between two slices, the timer of one who has not had its turn
//! yet may fire, and its connection may close: both look for a waiter in the table, and find none. A group may end
//! that has a place in the crowd: the answer then looks for the group, and finds none, since no other ever gets its
//! name.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use super::answer::{Shape, Source, write_stored};
use super::landing::Landed;
use super::waiting::{self, Place, Recipient, WaitId, Waiter};
use crate::cache::error::{CacheError, FetchError, Overload};
use crate::cache::seconds::Millis;
use crate::module::{self, Module, STATS};
use crate::server::answers::{Answer, Promise};
use crate::server::blocked::Blocked;
use crate::server::ctx::Ctx;
use crate::server::timer::{OnTime, Timer};
use crate::server::{info, main_thread};

/// The most bytes of replies that one landing writes on the main thread.
const INLINE_BYTES: usize = 64 * 1024;
/// The most clients that one landing answers on the main thread.
const INLINE_CLIENTS: usize = 16;
/// How many waiters are taken out of their waits at a time. One takes about a microsecond.
const SLICE: usize = 256;

/// Whether a landing may answer so many clients with so many bytes each by itself.
pub const fn may_answer_inline(clients: usize, size: usize) -> bool {
    clients <= INLINE_CLIENTS && clients * size <= INLINE_BYTES
}

/// An entry that all waiters of a flight are answered with.
pub enum ForAll<'a> {
    /// Small enough, and they few enough, to be answered at once.
    Inline(&'a [u8]),
    /// To be answered by the answerer.
    Copy(&'a Arc<Vec<u8>>),
}

impl ForAll<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Inline(bytes) => bytes.len(),
            Self::Copy(bytes) => bytes.len(),
        }
    }
}

/// Answers all waiters of a flight, but for the latest where the replies to all of them would take more memory
/// than they may (`max-reply-memory`): those are refused. `leaders` is where the answer comes from in the
/// leader's eyes, if that is not the flight itself.
pub fn answer_all(
    ctx: &Ctx,
    module: &Module,
    landed: Landed,
    entry: &ForAll<'_>,
    body_at: usize,
    leaders: Option<Source>,
) {
    let mut waiters = landed.into_waiters();
    let latest = waiters.split_off(module.answerable(waiters.len(), entry.len()));
    if !latest.is_empty() {
        STATS.failed_overloaded.add(latest.len() as u64);
        refuse_all(ctx, module, latest, &FetchError::Overloaded(Overload::Replies));
    }
    match entry {
        ForAll::Inline(bytes) => {
            for waiter in waiters {
                let source = waiter.source_if(leaders);
                match waiter.recipient {
                    Recipient::Client(waiting, shape) => {
                        let client = waiting.end(ctx, module);
                        client.answer(|ctx| write_stored(ctx, shape, bytes, source)).release();
                    }
                    Recipient::Place(group, place) => {
                        let copy = Arc::new(bytes.to_vec());
                        arrive(ctx, module, group, place, Place::Body(copy, body_at));
                    }
                }
            }
        }
        ForAll::Copy(copy) => {
            let promise = module.answerer().promise(copy.len().saturating_mul(waiters.len()));
            let copy = Arc::clone(copy);
            let crowd = Crowd { waiters: waiters.into(), copy, body_at, leaders, promise };
            crowd.hand_over(ctx, module);
        }
    }
}

/// Many waiters, out of the table, on their way to the answerer.
struct Crowd {
    waiters: VecDeque<Waiter>,
    copy: Arc<Vec<u8>>,
    body_at: usize,
    leaders: Option<Source>,
    /// The replies of those who are still here.
    promise: Promise,
}

impl Crowd {
    /// Hands over the first slice, and has the others follow.
    fn hand_over(mut self, ctx: &Ctx, module: &Module) {
        let mut paced: HashMap<(Shape, Source), Vec<Blocked>> = HashMap::new();
        let slice = self.waiters.len().min(SLICE);
        for waiter in self.waiters.drain(..slice) {
            let source = waiter.source_if(self.leaders);
            match waiter.recipient {
                Recipient::Client(waiting, shape) => {
                    paced.entry((shape, source)).or_default().push(waiting.end(ctx, module));
                }
                Recipient::Place(group, place) => {
                    let body = Place::Body(Arc::clone(&self.copy), self.body_at);
                    arrive(ctx, module, group, place, body);
                }
            }
        }
        for ((shape, source), clients) in paced {
            let (size, copy) = (self.copy.len(), Arc::clone(&self.copy));
            let write = Box::new(move |ctx: &Ctx| write_stored(ctx, shape, &copy, source));
            module.answerer().release(clients, Answer { size, write });
        }
        self.promise.keep(self.copy.len().saturating_mul(slice));
        if !self.waiters.is_empty() {
            main_thread::post(move |ctx| self.hand_over(ctx, &module::get()));
        }
    }
}

/// The largest string that is copied at once for several waiters.
const COPIED_AT_ONCE: usize = 256 * 1024;

/// Whether so many waiters may be answered at once with what lies in the keyspace, by [`answer_stored`]. One waiter
/// costs the copy that a hit costs; for several there is one copy.
pub const fn may_answer_stored(clients: usize, size: usize) -> bool {
    clients <= 1 || size <= COPIED_AT_ONCE
}

/// Answers all waiters with what lies in the keyspace, whose body begins at the second number.
pub fn answer_stored(
    ctx: &Ctx,
    module: &Module,
    landed: Landed,
    (stored, body_at): (&[u8], usize),
    leaders: Option<Source>,
) {
    let waiting = landed.waiting();
    if waiting <= 1 || may_answer_inline(waiting, stored.len()) {
        answer_all(ctx, module, landed, &ForAll::Inline(stored), body_at, leaders);
    } else {
        let copy = Arc::new(stored.to_vec());
        answer_all(ctx, module, landed, &ForAll::Copy(&copy), body_at, leaders);
    }
}

/// Answers one waiter with what lies in the keyspace, as a hit would.
pub fn answer_one(ctx: &Ctx, module: &Module, waiter: Waiter, (stored, body_at): (&[u8], usize)) {
    match waiter.recipient {
        Recipient::Client(waiting, shape) => {
            let client = waiting.end(ctx, module);
            client.answer(|ctx| write_stored(ctx, shape, stored, waiter.source)).release();
        }
        Recipient::Place(group, place) => {
            let body = Place::Body(Arc::new(stored.to_vec()), body_at);
            arrive(ctx, module, group, place, body);
        }
    }
}

/// Tells them all that there is nothing for them, and why.
pub fn refuse_all(ctx: &Ctx, module: &Module, waiters: Vec<Waiter>, error: &impl fmt::Display) {
    refuse_some(ctx, module, waiters.into(), error.to_string().into());
}

/// Tells a slice of them, and has the others follow.
fn refuse_some(ctx: &Ctx, module: &Module, mut waiters: VecDeque<Waiter>, line: Arc<str>) {
    let mut clients = Vec::new();
    let slice = waiters.len().min(SLICE);
    for waiter in waiters.drain(..slice) {
        match waiter.recipient {
            Recipient::Client(waiting, _) => clients.push(waiting.end(ctx, module)),
            Recipient::Place(group, place) => {
                arrive(ctx, module, group, place, Place::Error(Arc::clone(&line)));
            }
        }
    }
    refuse_clients(module, clients, &line);
    if !waiters.is_empty() {
        main_thread::post(move |ctx| refuse_some(ctx, &module::get(), waiters, line));
    }
}

fn refuse_clients(module: &Module, clients: Vec<Blocked>, line: &Arc<str>) {
    if may_answer_inline(clients.len(), line.len()) {
        for client in clients {
            client.answer(|ctx| ctx.reply_error(line)).release();
        }
    } else {
        let line = Arc::clone(line);
        let write = Box::new(move |ctx: &Ctx| ctx.reply_error(&line));
        module.answerer().release(clients, Answer { size: 64, write });
    }
}

/// Lets go of all who wait on a server that has become a replica, as the server does with those who wait for a key
/// of its own. Like there, it takes a time that grows with their number; it happens once.
///
/// Most servers have done so already: they hang up on every blocked client. Valkey 9.1 sends clients to the new
/// master instead, but not those that a module blocks. During a failover in agreement (`FAILOVER`), where writes are
/// paused, it is not decided yet who will be master; those who wait go on until it is.
pub fn send_all_elsewhere(ctx: &Ctx, module: &Module) {
    if ctx.is_master() {
        return;
    }
    if !ctx.is_cluster() && ctx.writes_are_paused() {
        Timer::start::<Decision>(ctx, UNDECIDED, 0);
        return;
    }
    let clients = waiting::take_all(ctx, module);
    if clients.is_empty() {
        return;
    }
    let line = if ctx.is_cluster() {
        CacheError::Elsewhere.to_string()
    } else {
        match info::master(ctx) {
            // Only a client that has said `CLIENT CAPA redirect` still waits here.
            Some((host, port)) => format!("REDIRECT {host}:{port}"),
            None => "UNBLOCKED this server is a replica now".to_owned(),
        }
    };
    refuse_clients(module, clients, &line.into());
}

/// How long to wait before looking again whether a failover is decided.
const UNDECIDED: Millis = 50;

/// A failover may be decided by now.
struct Decision;

impl OnTime for Decision {
    fn on_time(ctx: &Ctx, _: u64) {
        send_all_elsewhere(ctx, &module::get());
    }
}

fn arrive(ctx: &Ctx, module: &Module, group: WaitId, place: usize, answer: Place) {
    if let Some((client, places)) = waiting::arrive(ctx, module, group, place, answer) {
        answer_group(module, client, places);
    }
}

/// Answers a client that has waited for several answers.
pub fn answer_group(module: &Module, client: Blocked, places: Vec<Place>) {
    let size = waiting::size(&places);
    if size <= INLINE_BYTES {
        client.answer(|ctx| waiting::write_places(ctx, &places)).release();
    } else {
        let write = Box::new(move |ctx: &Ctx| waiting::write_places(ctx, &places));
        module.answerer().release(vec![client], Answer { size, write });
    }
}
