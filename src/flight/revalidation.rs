//! The landing of a flight that found the entry to be still good (304, RFC 9111 section 4.3).
//!
//! Nothing was downloaded, so the entry gets a new life where it lies: its head is written over in place,
//! which costs the same whatever the body's size, and reaches replicas and the AOF as `SETRANGE` and
//! `PEXPIREAT`. Header fields of the 304 are taken over where the new head fits into the old one's place,
//! or the entry is small enough to be written anew; a large entry with a longer head keeps its old fields. So
//! does one whose head would be longer than a received one may be.

use std::sync::Arc;

use super::answer::Source;
use super::download::Task;
use super::filled::Moments;
use super::gathering::Gathering;
use super::takeoff;
use super::telling::{ForAll, may_answer_inline};
use super::{landing, telling};
use crate::cache::entry::{self, Entry, Stored, decode};
use crate::cache::error::FetchError;
use crate::cache::flights::{FlightId, FlightKey};
use crate::cache::headers::{Headers, forbid_storing};
use crate::cache::stats::NotStored;
use crate::module::{self, Module, STATS};
use crate::server::ctx::Ctx;
use crate::server::keyspace::{self, ReadKey};
use crate::server::main_thread;
use crate::server::value::Value;

/// The largest body that is copied to take over a longer head.
const SMALL: usize = 1 << 20;

/// Lands it; or, if the entry it asked about has gone meanwhile, sends it out again to download.
pub fn land(ctx: &Ctx, module: &Module, flight: FlightId, headers: Headers, task: Task) {
    gather(ctx, module, flight, (headers, task), Gathering::new());
}

/// Has the entry copied, slice by slice, if it is large and several wait; then lands.
fn gather(
    ctx: &Ctx,
    module: &Module,
    flight: FlightId,
    (headers, task): (Headers, Task),
    mut gathering: Gathering,
) {
    let (waiting, key) = {
        let flights = module.flights();
        (flights.waiting(flight), flights.key(flight).cloned())
    };
    let Some(key) = key else {
        return;
    };
    let open = ctx.select(key.db).then(|| ReadKey::open_named(ctx, &key.name)).flatten();
    let stored = open.as_ref().and_then(ReadKey::string).unwrap_or_default();
    let copy = match decode(stored) {
        Stored::Entry(entry) if waiting > 1 && !may_answer_inline(waiting, stored.len()) => {
            if !gathering.go_on(stored, &entry) {
                main_thread::post(move |ctx| {
                    gather(ctx, &module::get(), flight, (headers, task), gathering);
                });
                return;
            }
            Some(gathering)
        }
        _ => None,
    };
    drop(open);
    land_gathered(ctx, module, flight, (&headers, task), &key, copy);
}

/// Lands, with a copy of the entry if several wait for a large one.
fn land_gathered(
    ctx: &Ctx,
    module: &Module,
    flight: FlightId,
    (headers, mut task): (&Headers, Task),
    key: &FlightKey,
    copy: Option<Gathering>,
) {
    let Some(renewal) = Renewal::of(ctx, key, headers, &task) else {
        task.request.validators = None;
        return takeoff::send(module, flight, task);
    };
    let Some(landed) = landing::take_down(ctx, module, flight) else {
        return;
    };
    STATS.revalidated.bump();
    STATS.bytes_saved.add(renewal.body_length as u64);
    landing::unmark(ctx, &landed.lock);
    let forbidden = task.respect_no_store && forbid_storing(headers);
    let heeded = if forbidden { Err(NotStored::Forbidden) } else { Ok(()) };
    let allowed = landing::may_store(ctx, &landed).and(heeded);
    let mut waiting = Some((landed, copy));
    let renewed = allowed.and_then(|()| {
        renewal.write(ctx, key, &task, |stored| {
            waiting.take().into_iter().for_each(|waiting| answer(ctx, module, waiting, stored));
        })
    });
    match renewed {
        Ok(()) => landing::tell_changed(ctx, c"cache.refresh", &key.name),
        Err(reason) => landing::not_stored(ctx, module, key, reason),
    }
    if let Some(waiting) = waiting {
        let open = ctx.select(key.db).then(|| ReadKey::open_named(ctx, &key.name)).flatten();
        let stored = open.as_ref().and_then(ReadKey::string).unwrap_or_default();
        answer(ctx, module, waiting, stored);
    }
}

/// Answers the waiters with the entry as it is stored.
fn answer(
    ctx: &Ctx,
    module: &Module,
    (landed, copy): (landing::Landed, Option<Gathering>),
    stored: &[u8],
) {
    match decode(stored) {
        Stored::Entry(entry) => {
            let (leaders, body_at) = (Some(Source::Revalidated), entry.body_at());
            match copy {
                Some(copy) => {
                    let copy = Arc::new(copy.finish(stored, &entry));
                    let entry = ForAll::Copy(&copy);
                    telling::answer_all(ctx, module, landed, &entry, body_at, leaders);
                }
                None => telling::answer_stored(ctx, module, landed, (stored, body_at), leaders),
            }
        }
        Stored::Bare(_) | Stored::Unknown => {
            landing::fail(ctx, module, landed, &FetchError::failed("the entry has expired"));
        }
    }
}

/// How an entry gets its new life.
struct Renewal {
    body_length: usize,
    /// Its new head, to be written in the place of the old one; only the start of it, with the times, where the
    /// old one stays.
    head: Vec<u8>,
    /// Whether the body is there too, since the head is longer than the old one: the entry is written anew.
    anew: bool,
}

impl Renewal {
    /// Looks at the entry as it lies; `None` if it is not the one that the origin was asked about.
    fn of(ctx: &Ctx, key: &FlightKey, headers: &Headers, task: &Task) -> Option<Self> {
        if !ctx.select(key.db) {
            return None;
        }
        let open = ReadKey::open_named(ctx, &key.name)?;
        let stored = open.string()?;
        let Stored::Entry(entry) = decode(stored) else {
            return None;
        };
        if entry.validators() != task.request.validators {
            return None;
        }
        Some(Self::new(&entry, headers, task))
    }

    fn new(entry: &Entry<'_>, headers: &Headers, task: &Task) -> Self {
        let (body_length, body_at) = (entry.body().len(), entry.body_at());
        if let Some(mut head) = entry.updated_head(headers, &task.store_headers) {
            if entry::pad_head(&mut head, body_at) {
                return Self { body_length, head, anew: false };
            }
            if body_length <= SMALL {
                head.extend_from_slice(entry.body());
                return Self { body_length, head, anew: true };
            }
        }
        Self { body_length, head: entry.start().to_vec(), anew: false }
    }

    /// Writes it. `then` is shown the renewed entry before its end is set: that may be a moment which has
    /// passed already, and the entry is gone then.
    fn write(
        mut self,
        ctx: &Ctx,
        key: &FlightKey,
        task: &Task,
        then: impl FnOnce(&[u8]),
    ) -> Result<(), NotStored> {
        let Moments { now, fresh_until, ends } =
            task.life.begin().map_err(|_| NotStored::Refused)?;
        if let Some(start) = self.head.first_chunk_mut() {
            entry::stamp(start, now, fresh_until);
        }
        if self.anew {
            keyspace::give(ctx, &key.name, Value::new(&self.head), ends)?;
            then(&self.head);
            return Ok(());
        }
        keyspace::overwrite(ctx, &key.name, &self.head)?;
        if let Some(stored) = ReadKey::open_named(ctx, &key.name).as_ref().and_then(ReadKey::string)
        {
            then(stored);
        }
        Ok(keyspace::expire_at(ctx, &key.name, ends)?)
    }
}
