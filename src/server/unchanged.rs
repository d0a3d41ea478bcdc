//! Reading without a change to how the server keeps a value.
//!
//! The server keeps a number as a number and a short text together with its object (`OBJECT ENCODING` says `int` or
//! `embstr`). `RedisModule_StringDMA`, by which a hit reads, turns either into a plain string first, which takes
//! memory and stays so. A command that only reads must not do that. So it reads a short string by `GET`, which
//! copies the bytes and changes nothing.
//!
//! The keyspace's statistics count one read. A first look at the value's length leaves no trace there. Redis 7.0
//! has no such look: there the read of a short string counts twice.

use std::ffi::c_int;
use std::ptr::NonNull;

use super::api::{api, raw};
use super::ctx::Ctx;
use super::keyspace::{Name, ReadKey};

/// The longest string that some server keeps in another form than a plain one: Valkey 9 puts up to 128 bytes of key
/// and value together.
const LONGEST: usize = 128;

/// A look that leaves no trace: neither statistics, nor the key's age, nor an event.
const TRACELESS: u32 = raw::REDISMODULE_OPEN_KEY_NOTOUCH
    | raw::REDISMODULE_OPEN_KEY_NONOTIFY
    | raw::REDISMODULE_OPEN_KEY_NOSTATS;

#[allow(clippy::cast_possible_truncation)] // a small number, which bindgen takes for an enum value
const STRING_REPLY: c_int = raw::REDISMODULE_REPLY_STRING as c_int;

/// What a key holds, read without a change to it.
pub enum Unchanged {
    /// A short string, copied.
    Short(ShortString),
    /// Anything else, to be read where it lies.
    InPlace(ReadKey),
}

impl Unchanged {
    /// Reads a key of the selected database; `None` if there is none.
    pub fn read(ctx: &Ctx, name: &impl Name) -> Option<Self> {
        let traceless = can_look_traceless();
        let looked = ReadKey::open_as(ctx, name, if traceless { TRACELESS } else { 0 });
        if looked.as_ref().is_some_and(|key| key.is_string_up_to(LONGEST))
            && let Some(short) = ShortString::get(ctx, name)
        {
            return Some(Self::Short(short));
        }
        let key = if traceless { ReadKey::open_as(ctx, name, 0) } else { looked };
        key.map(Self::InPlace)
    }

    /// The string; `None` if the key holds something else.
    pub fn string(&self) -> Option<&[u8]> {
        match self {
            Self::Short(short) => Some(short.bytes()),
            Self::InPlace(key) => key.string(),
        }
    }
}

/// The bytes of a short string.
pub struct ShortString(NonNull<raw::RedisModuleCallReply>);

impl ShortString {
    /// `None` if the server does not answer with a string: `GET` may be hidden by `rename-command`.
    fn get(ctx: &Ctx, name: &impl Name) -> Option<Self> {
        // SAFETY: the argument is as the format names it and outlives the call; a reply that is not null is ours,
        // and is freed once, by `drop`.
        unsafe {
            let get = c"GET".as_ptr();
            let reply = api!(RedisModule_Call(ctx.raw(), get, c"Es".as_ptr(), name.raw()));
            let read = Self(NonNull::new(reply)?);
            (api!(RedisModule_CallReplyType(reply)) == STRING_REPLY).then_some(read)
        }
    }

    fn bytes(&self) -> &[u8] {
        let mut length = 0;
        // SAFETY: the reply lives as long as `self`; the server gives a pointer to `length` bytes, or null.
        unsafe {
            let start = api!(RedisModule_CallReplyStringPtr(self.0.as_ptr(), &raw mut length));
            if start.is_null() { &[] } else { std::slice::from_raw_parts(start.cast(), length) }
        }
    }
}

impl Drop for ShortString {
    fn drop(&mut self) {
        // SAFETY: made in `get`, freed here alone.
        unsafe { api!(RedisModule_FreeCallReply(self.0.as_ptr())) };
    }
}

/// Whether the server has a look that leaves no trace (Redis 7.2, Valkey).
fn can_look_traceless() -> bool {
    // SAFETY: the pointer is written at load alone; the function takes no arguments.
    let modes = unsafe { raw::RedisModule_GetOpenKeyModesAll.map_or(0, |modes| modes()) };
    modes.cast_unsigned() & TRACELESS == TRACELESS
}
