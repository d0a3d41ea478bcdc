//! Keys: reading an entry, storing one, and the lock key.

use std::ffi::{CStr, c_int, c_longlong};
use std::ptr::NonNull;

use super::api::{api, raw};
use super::args::Arg;
use super::ctx::Ctx;
use super::handover;
use super::log;
use super::refusal;
pub use super::refusal::Refusal;
use super::value::{SharedValue, Value};
use crate::cache::flights::LockMark;
use crate::cache::lease::Token;
use crate::cache::seconds::Millis;

/// Commands of the server without which something here fails, and what that is. Where there are two, either will
/// do. A server hides commands by `rename-command`.
const NEEDED: [(&[&CStr], &str); 6] = [
    (&[c"SET"], "nothing can be stored, and each call is a download"),
    (&[c"SETRANGE"], "an entry that its origin confirms (304) is not renewed"),
    (&[c"PEXPIREAT"], "an entry that its origin confirms (304) ends when it did before"),
    (
        &[c"PERSIST"],
        "an entry that its origin confirms (304) ends when it did before, even with expiry -1",
    ),
    (&[c"UNLINK", c"DEL"], "CACHE.DEL fails"),
    (&[c"CONFIG"], "CLIENT UNBLOCK answers 0 for clients that wait here, as with io-threads"),
];

/// Warns once, at load, of each command that is needed and hidden.
pub fn warn_of_hidden_commands(ctx: &Ctx) {
    for (names, so) in NEEDED {
        if !names.iter().any(|name| refusal::has_command(ctx, name)) {
            let names: Vec<_> = names.iter().map(|name| name.to_string_lossy()).collect();
            let names = names.join(" and ");
            log::warning(&format!("this server hides {names} (rename-command): {so}"));
        }
    }
}

/// The name of a key, which lives as long as this does.
pub trait Name {
    /// The server's string.
    fn raw(&self) -> *mut raw::RedisModuleString;
}

impl Name for Arg<'_> {
    fn raw(&self) -> *mut raw::RedisModuleString {
        Arg::raw(*self)
    }
}

impl Name for Value {
    fn raw(&self) -> *mut raw::RedisModuleString {
        Value::raw(self)
    }
}

#[allow(clippy::cast_possible_truncation)] // a small number, which bindgen takes for an enum value
const STRING_KEY: c_int = raw::REDISMODULE_KEYTYPE_STRING as c_int;

/// A key opened for reading. Reading is all it does: closing a key opened for writing would signal
/// WATCH and tracking even if nothing changed.
pub struct ReadKey {
    key: NonNull<raw::RedisModuleKey>,
}

impl ReadKey {
    /// Opens a key; `None` if there is none. Counts as a hit or miss of the keyspace and touches LRU
    /// and LFU, as `GET` does.
    #[inline(always)]
    pub fn open(ctx: &Ctx, name: Arg<'_>) -> Option<Self> {
        Self::open_as(ctx, &name, 0)
    }

    /// As [`ReadKey::open`], for a key that is no argument.
    pub fn open_named(ctx: &Ctx, name: &[u8]) -> Option<Self> {
        Self::open_as(ctx, &Value::new(name), 0)
    }

    /// As [`ReadKey::open`], with further flags (`REDISMODULE_OPEN_KEY_…`).
    #[inline(always)]
    pub(super) fn open_as(ctx: &Ctx, name: &impl Name, flags: u32) -> Option<Self> {
        let mode = mode(raw::REDISMODULE_READ | flags);
        // SAFETY: both live through the call; the open key holds its own reference of its name.
        let key = unsafe { api!(RedisModule_OpenKey(ctx.raw(), name.raw(), mode)) };
        NonNull::new(key.cast()).map(|key| Self { key })
    }

    /// Whether it holds a string of at most so many bytes.
    pub(super) fn is_string_up_to(&self, length: usize) -> bool {
        // SAFETY: the key is open.
        unsafe {
            let kind: c_int = api!(RedisModule_KeyType(self.key.as_ptr()));
            kind == STRING_KEY && api!(RedisModule_ValueLength(self.key.as_ptr())) <= length
        }
    }

    /// The string it holds; `None` if it is of another type.
    pub fn string(&self) -> Option<&[u8]> {
        // SAFETY: the key is open, and until it is closed nothing writes to it, so that the bytes stay where they are
        // while `self` is borrowed. Commands write their lock keys when they have closed all keys
        // (`flight/takeoff::Marks`); a landing that writes while a key is open writes another. No key expires
        // meanwhile: the server's clock stands still while a command runs, and a landing opens one key at a time.
        // Other modules are told by the server not to write in the handlers of keyspace events.
        unsafe { string_at(self.key.as_ptr()) }
    }
}

impl Drop for ReadKey {
    fn drop(&mut self) {
        // SAFETY: opened in `open`, closed here alone.
        unsafe { api!(RedisModule_CloseKey(self.key.as_ptr())) };
    }
}

/// An open key with its string, which the server is asked for once.
pub struct ReadString {
    string: Option<NonNull<[u8]>>,
    _key: ReadKey,
}

impl From<ReadKey> for ReadString {
    fn from(key: ReadKey) -> Self {
        Self { string: key.string().map(NonNull::from), _key: key }
    }
}

impl ReadString {
    /// As [`ReadKey::string`].
    pub fn string(&self) -> Option<&[u8]> {
        // SAFETY: the key is open for as long as `self` is there; else as in `ReadKey::string`.
        self.string.map(|string| unsafe { string.as_ref() })
    }
}

const fn mode(flags: u32) -> c_int {
    flags.cast_signed()
}

/// Stores an entry under `name` in the selected database, to expire at `ends`.
///
/// By `SET`, which brings along all that a write owes: the refusals (memory, disk, replicas, slot),
/// replication and AOF, WATCH, tracking, the keyspace event. The value is not copied.
///
/// # Errors
/// Redis's refusal, and the value back; nothing is stored then.
pub fn store(
    ctx: &Ctx,
    name: &[u8],
    value: Value,
    ends: Option<Millis>,
) -> Result<SharedValue, (Refusal, Value)> {
    match set(ctx, name, &value, ends) {
        Ok(()) => Ok(SharedValue::new(value)),
        Err(refusal) => Err((refusal, value)),
    }
}

/// As [`store`], but gives the value away, so that no server copies it (`server/handover.rs`). For a large value
/// that nobody needs any more.
///
/// # Errors
/// Redis's refusal; nothing is stored then.
pub fn give(ctx: &Ctx, name: &[u8], value: Value, ends: Option<Millis>) -> Result<(), Refusal> {
    let (outcome, left) = handover::give(ctx, value, |stand_in| set(ctx, name, stand_in, ends));
    match (outcome, left) {
        (Ok(()), None) => Ok(()),
        // The server has no filters, or another module's has taken the stand-in away: what is stored is not
        // the value.
        (Ok(()), Some(value)) => set(ctx, name, &value, ends),
        (Err(refusal), _) => Err(refusal),
    }
}

fn set(ctx: &Ctx, name: &[u8], value: &Value, ends: Option<Millis>) -> Result<(), Refusal> {
    let name = Value::new(name);
    // `!` replicates, `S` asks for the refusals of disk and replicas, `M` for that of memory, `E` for errors as
    // replies. Called on the main thread, `M` goes by the state after the last command's eviction, so that a
    // full server that evicts goes on storing.
    // SAFETY: the arguments are as the format names them and outlive the call; this is the main thread,
    // where the reference that the keyspace takes of `value` may be counted.
    unsafe {
        let set = c"SET".as_ptr();
        refusal::outcome(|| match ends {
            None => {
                api!(RedisModule_Call(ctx.raw(), set, c"!SMEss".as_ptr(), name.raw(), value.raw()))
            }
            Some(ends) => api!(RedisModule_Call(
                ctx.raw(),
                set,
                c"!SMEsscl".as_ptr(),
                name.raw(),
                value.raw(),
                c"PXAT".as_ptr(),
                c_longlong::try_from(ends).unwrap_or(c_longlong::MAX)
            )),
        })
    }
}

/// Writes over the start of an entry of the selected database, in place.
///
/// # Errors
/// Redis's refusal.
pub fn overwrite(ctx: &Ctx, name: &[u8], start: &[u8]) -> Result<(), Refusal> {
    let name = Value::new(name);
    // SAFETY: the arguments are as the format names them and outlive the call.
    unsafe {
        refusal::outcome(|| {
            api!(RedisModule_Call(
                ctx.raw(),
                c"SETRANGE".as_ptr(),
                c"!SMEslb".as_ptr(),
                name.raw(),
                c_longlong::from(0),
                start.as_ptr(),
                start.len()
            ))
        })
    }
}

/// Has a key of the selected database expire at `ends`; never, if there is no such moment.
///
/// # Errors
/// Redis's refusal.
pub fn expire_at(ctx: &Ctx, name: &[u8], ends: Option<Millis>) -> Result<(), Refusal> {
    let Some(ends) = ends else {
        return call_with_key(ctx, c"PERSIST", c"!SEs", name);
    };
    let name = Value::new(name);
    // SAFETY: the arguments are as the format names them and outlive the call.
    unsafe {
        refusal::outcome(|| {
            api!(RedisModule_Call(
                ctx.raw(),
                c"PEXPIREAT".as_ptr(),
                c"!SEsl".as_ptr(),
                name.raw(),
                c_longlong::try_from(ends).unwrap_or(c_longlong::MAX)
            ))
        })
    }
}

/// Deletes a key of the selected database, as `UNLINK` does: a large list or hash is freed off the main thread, a
/// string at once, as every server does. Whether there was one. Refused where the server refuses clients' writes (`S`:
/// disk error, too few replicas).
///
/// # Errors
/// Redis's refusal; the key is still there.
pub fn delete(ctx: &Ctx, name: &[u8]) -> Result<bool, Refusal> {
    let there = exists(ctx, name);
    // Either may be hidden by `rename-command`.
    let unlinked = call_with_key(ctx, c"UNLINK", c"!SEs", name);
    if unlinked == Err(Refusal::NoSuchCommand) {
        call_with_key(ctx, c"DEL", c"!SEs", name)?;
    } else {
        unlinked?;
    }
    Ok(there)
}

/// Calls a command that takes a key and no more. The format says so, by `s`.
fn call_with_key(ctx: &Ctx, command: &CStr, format: &CStr, name: &[u8]) -> Result<(), Refusal> {
    let name = Value::new(name);
    // SAFETY: the argument is as the format names it and outlives the call.
    unsafe {
        refusal::outcome(|| {
            api!(RedisModule_Call(ctx.raw(), command.as_ptr(), format.as_ptr(), name.raw()))
        })
    }
}

/// Tells whoever watches or tracks a key of the selected database that it has changed.
pub fn signal_modified(ctx: &Ctx, name: &[u8]) {
    let name = Value::new(name);
    // SAFETY: both live through the call.
    unsafe { api!(RedisModule_SignalModifiedKey(ctx.raw(), name.raw())) };
}

/// Whether a key is in the selected database; touches neither its statistics nor its age.
pub fn exists(ctx: &Ctx, name: &[u8]) -> bool {
    let name = Value::new(name);
    // SAFETY: both live through the call.
    unsafe { api!(RedisModule_KeyExists(ctx.raw(), name.raw())) != 0 }
}

/// Whether a key is another cluster node's, or on its way there: the server then refuses to touch it.
pub fn is_elsewhere(ctx: &Ctx, name: &[u8]) -> bool {
    if !ctx.is_cluster() {
        return false;
    }
    let looked = call_with_key(ctx, c"EXISTS", c"Es", name);
    // Where that is hidden by `rename-command`, another that reads will do.
    let looked = match looked {
        Err(Refusal::NoSuchCommand) => call_with_key(ctx, c"TYPE", c"Es", name),
        looked => looked,
    };
    looked.is_err_and(|refusal| refusal != Refusal::NoSuchCommand)
}

/// Tells an event of the module's class on a key, to whoever has `notify-keyspace-events` with `d`.
pub fn notify(ctx: &Ctx, event: &CStr, name: &[u8]) {
    let name = Value::new(name);
    // SAFETY: all live through the call.
    unsafe {
        api!(RedisModule_NotifyKeyspaceEvent(
            ctx.raw(),
            raw::REDISMODULE_NOTIFY_MODULE,
            event.as_ptr(),
            name.raw()
        ));
    }
}

/// Puts a lock key into the selected database, without replicating it; one that is there, left over
/// from another life, is taken over.
pub fn mark(ctx: &Ctx, lock: &LockMark, lives: Millis) {
    with_write_key(ctx, &lock.key, |key| {
        let token = Value::new(lock.token.to_string().as_bytes());
        // SAFETY: the key is open for writing; it takes its own reference of the string, on the main
        // thread.
        unsafe {
            api!(RedisModule_StringSet(key, token.raw()));
            api!(RedisModule_SetExpire(key, i64::try_from(lives).unwrap_or(i64::MAX)));
        }
    });
}

/// Removes a lock key from the selected database, if it still is that of this flight.
pub fn unmark(ctx: &Ctx, lock: &LockMark) {
    with_write_key(ctx, &lock.key, |key| {
        // SAFETY: the key is open, and its bytes are looked at no more when it is deleted.
        unsafe {
            if string_at(key).and_then(Token::parse) == Some(lock.token) {
                api!(RedisModule_DeleteKey(key));
            }
        }
    });
}

/// The string that a key holds, the empty one if it is empty; `None` if it is of another type.
///
/// # Safety
/// The key is open, and nothing writes to it for as long as the result is used.
unsafe fn string_at<'a>(key: *mut raw::RedisModuleKey) -> Option<&'a [u8]> {
    let mut length = 0;
    // SAFETY: as the caller promises; the server gives a pointer to `length` bytes, or null if there is no
    // string.
    unsafe {
        let start = api!(RedisModule_StringDMA(key, &raw mut length, mode(raw::REDISMODULE_READ)));
        (!start.is_null()).then(|| std::slice::from_raw_parts(start.cast(), length))
    }
}

fn with_write_key(ctx: &Ctx, name: &[u8], act: impl FnOnce(*mut raw::RedisModuleKey)) {
    let name = Value::new(name);
    // SAFETY: context and name live through the call; the key is closed before the name is dropped.
    unsafe {
        let key: *mut raw::RedisModuleKey = api!(RedisModule_OpenKey(
            ctx.raw(),
            name.raw(),
            mode(raw::REDISMODULE_READ | raw::REDISMODULE_WRITE)
        ))
        .cast();
        if !key.is_null() {
            act(key);
            api!(RedisModule_CloseKey(key));
        }
    }
}
