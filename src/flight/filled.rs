//! What fills an entry, on its way to the keyspace; and the life that it begins there.

use crate::cache::entry::{self, STAMPED};
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

/// A complete entry on its way to the keyspace.
pub struct Filled {
    value: Value,
    body_at: usize,
    /// When it is gone from the keyspace; `None` for never.
    pub ends: Option<Millis>,
    /// Its origin forbids to store it: it answers who waits, and no one else.
    pub must_not_be_stored: bool,
}

impl Filled {
    /// Completes an entry whose body begins at `body_at`, or a bare body (0). Its life begins now that it is
    /// whole, not when its first byte came.
    ///
    /// # Errors
    /// As [`Life::begin`].
    pub fn seal(mut value: Value, body_at: usize, life: Life) -> Result<Self, FetchError> {
        let Moments { now, fresh_until, ends } = life.begin()?;
        if body_at > 0
            && let Some(start) = value.start_mut::<STAMPED>()
        {
            entry::stamp(start, now, fresh_until);
        }
        value.trim();
        Ok(Self { value, body_at, ends, must_not_be_stored: false })
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
