//! The landing of a flight that found the entry to be still good (304, RFC 9111 section 4.3).
//!
//! Nothing was downloaded, so the entry gets a new life where it lies: its head is written over in place,
//! which costs the same whatever the body's size, and reaches replicas and the AOF as `SETRANGE` and
//! `PEXPIREAT`. Header fields of the 304 are taken over where the new head fits into the old one's place,
//! or the entry is small enough to be written anew; a large entry with a longer head keeps its old fields.

use std::sync::Arc;

use super::answer::Source;
use super::download::{Moments, Task};
use super::landing::{self, ForAll};
use super::takeoff;
use crate::cache::entry::{self, Entry, Stored, decode};
use crate::cache::error::FetchError;
use crate::cache::flights::{FlightId, FlightKey};
use crate::cache::headers::Headers;
use crate::cache::stats::NotStored;
use crate::module::{Module, STATS};
use crate::server::ctx::Ctx;
use crate::server::keyspace::{self, ReadKey};
use crate::server::value::Value;

/// The largest body that is copied to take over a longer head.
const SMALL: usize = 1 << 20;

/// Lands it; or, if the entry it asked about has gone meanwhile, sends it out again to download.
pub fn land(ctx: &Ctx, module: &Module, flight: FlightId, headers: &Headers, mut task: Task) {
    let Some(key) = module.flights().key(flight).cloned() else {
        return;
    };
    let Some(renewal) = Renewal::of(ctx, &key, headers, &task) else {
        task.request.validators = None;
        return takeoff::send(module, flight, task);
    };
    let Some(landed) = landing::take_down(ctx, module, flight) else {
        return;
    };
    STATS.revalidated.bump();
    STATS.bytes_saved.add(renewal.body_length as u64);
    let waiting = landed.waiting();
    // A small entry is answered from a copy: its new life may be so short that it ends right here.
    let copy = (waiting > 0 && landing::may_answer_inline(waiting, renewal.length()))
        .then(|| copy_of(ctx, &key))
        .flatten();
    let allowed = landing::may_store(ctx, &landed);
    let renewed = allowed.and_then(|()| renewal.write(ctx, &key, &task));
    landing::unmark(ctx, &landed);
    let copy = match renewed {
        Ok(head) => {
            landing::tell_changed(ctx, c"cache.refresh", &key.name);
            copy.map(|(stored, body_at)| (([&head, &stored[body_at..]]).concat(), head.len()))
        }
        Err(reason) => {
            STATS.not_stored(reason);
            copy
        }
    };
    let leaders = Some(Source::Revalidated);
    match copy {
        Some((stored, body_at)) => {
            let entry = ForAll::Inline(&stored);
            landing::answer_all(ctx, module, landed, &entry, body_at, leaders);
        }
        None => answer_from_keyspace(ctx, module, landed, &key, leaders),
    }
}

fn copy_of(ctx: &Ctx, key: &FlightKey) -> Option<(Vec<u8>, usize)> {
    let open = ctx.select(key.db).then(|| ReadKey::open_named(ctx, &key.name)).flatten()?;
    let stored = open.string()?;
    match decode(stored) {
        Stored::Entry(entry) => Some((stored.to_vec(), entry.body_at())),
        _ => None,
    }
}

fn answer_from_keyspace(
    ctx: &Ctx,
    module: &Module,
    landed: landing::Landed,
    key: &FlightKey,
    leaders: Option<Source>,
) {
    let waiting = landed.waiting();
    if waiting == 0 {
        return;
    }
    let open = ctx.select(key.db).then(|| ReadKey::open_named(ctx, &key.name)).flatten();
    let stored = open.as_ref().and_then(ReadKey::string).unwrap_or_default();
    let Stored::Entry(entry) = decode(stored) else {
        return landing::fail(ctx, module, landed, &FetchError::failed("it expired at once"));
    };
    // One waiter costs the copy that a hit costs; for several there is one, and the answerer's.
    let entry_bytes =
        if waiting == 1 { ForAll::Inline(stored) } else { ForAll::Copy(Arc::from(stored)) };
    landing::answer_all(ctx, module, landed, &entry_bytes, entry.body_at(), leaders);
}

/// How an entry gets its new life.
struct Renewal {
    body_length: usize,
    /// Its new head: in the place of the old one, or for a copy of the entry.
    head: Vec<u8>,
    copy_of_body: Option<Vec<u8>>,
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
        Some(Self::new(stored, &entry, headers, task))
    }

    fn new(stored: &[u8], entry: &Entry<'_>, headers: &Headers, task: &Task) -> Self {
        let (body_length, body_at) = (entry.body().len(), entry.body_at());
        let mut head = entry.updated_head(headers, &task.store_headers);
        if entry::pad_head(&mut head, body_at) {
            return Self { body_length, head, copy_of_body: None };
        }
        if body_length <= SMALL {
            return Self { body_length, head, copy_of_body: Some(entry.body().to_vec()) };
        }
        Self { body_length, head: stored[..body_at].to_vec(), copy_of_body: None }
    }

    /// How long the renewed entry will be.
    const fn length(&self) -> usize {
        self.head.len() + self.body_length
    }

    /// Writes it, and gives back its new head.
    fn write(mut self, ctx: &Ctx, key: &FlightKey, task: &Task) -> Result<Vec<u8>, NotStored> {
        let Moments { now, fresh_until, ends } =
            task.life.begin().map_err(|_| NotStored::Refused)?;
        if let Some(start) = self.head.first_chunk_mut() {
            entry::stamp(start, now, fresh_until);
        }
        match self.copy_of_body {
            None => keyspace::overwrite(ctx, &key.name, &self.head, ends)?,
            Some(body) => {
                let mut value = Value::new(&self.head);
                value.append(&body);
                keyspace::store(ctx, &key.name, value, ends).map_err(|(refusal, _)| refusal)?;
            }
        }
        Ok(self.head)
    }
}
