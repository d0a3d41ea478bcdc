//! What fills an entry, on its way to the keyspace; and the life that it begins there.

use std::sync::Arc;

use crate::cache::entry;
use crate::cache::error::FetchError;
use crate::cache::freshness::{Expiry, FreshUntil};
use crate::cache::seconds::Millis;
use crate::clock;
use crate::server::value::Value;

/// How long an entry lives, as its flight's leader wants it.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// How long it is fresh, from its landing.
    pub expiry: Expiry,
    /// How long it is kept past that, for those who welcome it.
    pub stale: Millis,
}

/// The moments of one entry's life.
#[derive(Debug, Clone, Copy)]
pub struct Moments {
    /// Its beginning.
    pub now: Millis,
    /// Until when it is fresh.
    pub fresh_until: FreshUntil,
    /// When it is gone; `None` for never.
    pub ends: Option<Millis>,
}

impl Life {
    /// The moments of a life that begins now.
    ///
    /// # Errors
    /// The expiry was checked when the call was parsed; a clock that has jumped is all that is left.
    pub fn begin(self) -> Result<Moments, FetchError> {
        let now = clock::now();
        let jumped = |_| FetchError::failed("the clock has jumped");
        let fresh_until = self.expiry.ends(now).map_err(jumped)?;
        let ends = fresh_until.moment().map(|moment| moment.saturating_add(self.stale));
        Ok(Moments { now, fresh_until, ends })
    }
}

/// From this size on, what an entry was made from is kept for the replies of several waiters.
const LARGE: usize = 64 * 1024;

/// A complete entry on its way to the keyspace.
pub struct Filled {
    value: Value,
    /// The same bytes once more, which any thread may read at any time, for the replies of several waiters.
    copy: Option<Arc<Vec<u8>>>,
    body_at: usize,
    /// When it is gone from the keyspace; `None` for never.
    pub ends: Option<Millis>,
    /// Its origin forbids to store it: it answers who waits, and no one else.
    pub must_not_be_stored: bool,
}

impl Filled {
    /// Completes an entry with a head, whose body begins at the number, and for which `waiting` tells how
    /// many wait. Its life begins now that it is whole, not when its first byte came.
    ///
    /// # Errors
    /// As [`Life::begin`].
    pub fn seal(
        (mut bytes, body_at): (Vec<u8>, usize),
        life: Life,
        waiting: impl FnOnce() -> usize,
    ) -> Result<Self, FetchError> {
        let Moments { now, fresh_until, ends } = life.begin()?;
        if let Some(start) = bytes.first_chunk_mut() {
            entry::stamp(start, now, fresh_until);
        }
        let mut filled = Self { body_at, ..Self::of(Value::new(&bytes), ends) };
        // One waiter's reply is written from the string, before that is stored: so the body is in memory twice
        // at most. What is small is not worth looking, which takes the flight table's lock.
        if bytes.len() > LARGE && waiting() > 1 {
            bytes.shrink_to_fit();
            filled.copy = Some(Arc::new(bytes));
        }
        Ok(filled)
    }

    /// Completes an entry without a head.
    ///
    /// # Errors
    /// As [`Life::begin`].
    pub fn bare(body: &[u8], life: Life) -> Result<Self, FetchError> {
        let ends = life.begin()?.ends;
        Ok(Self::of(Value::new(body), ends))
    }

    const fn of(value: Value, ends: Option<Millis>) -> Self {
        Self { value, copy: None, body_at: 0, ends, must_not_be_stored: false }
    }

    /// Whether there is a copy for several waiters.
    pub const fn has_copy(&self) -> bool {
        self.copy.is_some()
    }

    /// Sees to it that there is one, which takes a time that grows with the body.
    pub fn make_copy(&mut self) {
        if self.copy.is_none() {
            self.copy = Some(Arc::new(self.value.bytes().to_vec()));
        }
    }

    /// Takes the copy out, if there is one.
    pub fn take_copy(&mut self) -> Option<Arc<Vec<u8>>> {
        self.copy.take()
    }

    /// All of it, as it will be stored.
    pub fn stored(&self) -> &[u8] {
        self.value.bytes()
    }

    /// How many bytes its body has.
    pub fn body_len(&self) -> usize {
        self.value.bytes().len() - self.body_at
    }

    /// Where in it the body begins.
    pub const fn body_at(&self) -> usize {
        self.body_at
    }

    /// The string to be stored.
    pub fn into_value(self) -> Value {
        self.value
    }
}
