//! A module context: replies, the selected database, and what state the server is in.

use std::cell::Cell;
use std::ffi::{c_int, c_long};

use super::api::{OK, api, raw};

/// A context that is valid for as long as the callback that was given it, or, for a blocked client's
/// own, until that is freed.
pub struct Ctx {
    raw: *mut raw::RedisModuleCtx,
    /// How many elements its reply still lacks: one, before it is begun. So what is missing is known when a
    /// panic comes between ([`Ctx::reply_rest`]).
    owed: Cell<usize>,
}

impl Ctx {
    /// Wraps a context.
    ///
    /// # Safety
    /// `raw` is a live context of this module, and stays so for as long as the result is used.
    pub(super) const unsafe fn from_raw(raw: *mut raw::RedisModuleCtx) -> Self {
        Self { raw, owed: Cell::new(1) }
    }

    /// One element of the reply is there, which may have others in it.
    #[inline(always)]
    fn pay(&self, others: usize) {
        self.owed.set(self.owed.get().wrapping_sub(1).wrapping_add(others));
    }

    /// The reply is owed by somebody else: its client is blocked.
    pub(super) fn owes_nothing(&self) {
        self.owed.set(0);
    }

    /// Completes a reply that a panic has broken off: each element that is missing becomes an error. It is the
    /// whole reply if none was begun, and nothing if it is complete.
    #[cold]
    pub(super) fn reply_rest(&self, line: &str) {
        for _ in 0..self.owed.get() {
            self.reply_error(line);
        }
    }

    pub(super) const fn raw(&self) -> *mut raw::RedisModuleCtx {
        self.raw
    }

    /// The selected database.
    pub fn db(&self) -> i32 {
        // SAFETY: the context is live (`from_raw`).
        unsafe { api!(RedisModule_GetSelectedDb(self.raw)) }
    }

    /// Selects a database; whether there is one of that number.
    pub fn select(&self, db: i32) -> bool {
        // SAFETY: the context is live (`from_raw`).
        unsafe { api!(RedisModule_SelectDb(self.raw, db)) == OK }
    }

    fn has_flag(&self, flags: u32) -> bool {
        // SAFETY: the context is live (`from_raw`).
        let set = unsafe { api!(RedisModule_GetContextFlags(self.raw)) };
        set.cast_unsigned() & flags != 0
    }

    /// Whether the calling client may be blocked: not inside MULTI, Lua, or where blocking is denied.
    pub fn may_block(&self) -> bool {
        !self.has_flag(
            raw::REDISMODULE_CTX_FLAGS_MULTI
                | raw::REDISMODULE_CTX_FLAGS_LUA
                | raw::REDISMODULE_CTX_FLAGS_DENY_BLOCKING,
        )
    }

    /// Whether a script is what calls.
    pub fn is_script(&self) -> bool {
        self.has_flag(raw::REDISMODULE_CTX_FLAGS_LUA)
    }

    /// The number of the calling client.
    pub fn client_id(&self) -> u64 {
        // SAFETY: the context is live (`from_raw`).
        unsafe { api!(RedisModule_GetClientId(self.raw)) }
    }

    /// Whether the server is a master.
    pub fn is_master(&self) -> bool {
        self.has_flag(raw::REDISMODULE_CTX_FLAGS_MASTER)
    }

    /// Whether the server is a node of a cluster.
    pub fn is_cluster(&self) -> bool {
        self.has_flag(raw::REDISMODULE_CTX_FLAGS_CLUSTER)
    }

    /// Whether the server is loading a data set.
    pub fn is_loading(&self) -> bool {
        self.has_flag(raw::REDISMODULE_CTX_FLAGS_LOADING | raw::REDISMODULE_CTX_FLAGS_ASYNC_LOADING)
    }

    /// Whether writes are paused, by `CLIENT PAUSE` or a failover: propagating one would abort the
    /// server.
    #[allow(clippy::unused_self)] // a context is proof of being on the main thread
    pub fn writes_are_paused(&self) -> bool {
        // SAFETY: takes no arguments, and is called on the main thread.
        unsafe { api!(RedisModule_AvoidReplicaTraffic()) != 0 }
    }

    /// Whether the server does not want a command to run, but to say where its keys are.
    pub(super) fn asks_for_keys(&self) -> bool {
        // SAFETY: the context is live (`from_raw`).
        unsafe { api!(RedisModule_IsKeysPositionRequest(self.raw)) != 0 }
    }

    /// Says that there is a key at this position, and what happens to it.
    pub(super) fn report_key(&self, position: usize, flags: u64) {
        let (Ok(position), Ok(flags)) = (c_int::try_from(position), c_int::try_from(flags)) else {
            return;
        };
        // SAFETY: the context is live (`from_raw`), and the server has asked.
        unsafe { api!(RedisModule_KeyAtPosWithFlags(self.raw, position, flags)) };
    }

    /// Hides the running command's argument at `index` from `MONITOR` and the slow log.
    ///
    /// Take what is needed of the argument before: Valkey 8.1 shows the command the list in which it is hidden.
    /// What was taken ([`super::args::Arg`], or its bytes) stays good on every server, since the client keeps the
    /// string itself for as long as its command runs.
    pub fn redact(&self, index: usize) {
        let Ok(index) = c_int::try_from(index) else {
            return;
        };
        // SAFETY: the context is live (`from_raw`). A refusal means that there is no client, or no such
        // argument: then there is nothing to hide.
        unsafe { api!(RedisModule_RedactClientCommandArgument(self.raw, index)) };
    }

    /// Whether the server uses more memory than `maxmemory` at this moment, evicting or not.
    pub(super) fn is_over_memory(&self) -> bool {
        self.has_flag(raw::REDISMODULE_CTX_FLAGS_OOM)
    }

    /// Answers a bulk string.
    pub fn reply_bytes(&self, bytes: &[u8]) {
        self.pay(0);
        // SAFETY: the context is live (`from_raw`); the bytes are copied before the call returns.
        unsafe {
            api!(RedisModule_ReplyWithStringBuffer(self.raw, bytes.as_ptr().cast(), bytes.len()));
        }
    }

    /// Answers text, as a bulk string.
    pub fn reply_text(&self, text: &str) {
        self.reply_bytes(text.as_bytes());
    }

    /// Answers `OK`.
    pub fn reply_ok(&self) {
        self.pay(0);
        // SAFETY: the context is live (`from_raw`); the text is copied.
        unsafe { api!(RedisModule_ReplyWithSimpleString(self.raw, c"OK".as_ptr())) };
    }

    /// Answers a whole number.
    pub fn reply_integer(&self, number: i64) {
        self.pay(0);
        // SAFETY: the context is live (`from_raw`).
        unsafe { api!(RedisModule_ReplyWithLongLong(self.raw, number)) };
    }

    /// Begins an array of so many elements, which are answered next.
    pub fn reply_array(&self, elements: usize) {
        self.pay(elements);
        // SAFETY: the context is live (`from_raw`).
        unsafe { api!(RedisModule_ReplyWithArray(self.raw, length(elements))) };
    }

    /// Begins a map of so many pairs, which are answered next: a flat array for a RESP2 client.
    pub fn reply_map(&self, pairs: usize) {
        self.pay(2 * pairs);
        // SAFETY: the context is live (`from_raw`).
        unsafe { api!(RedisModule_ReplyWithMap(self.raw, length(pairs))) };
    }

    /// Answers null.
    pub fn reply_null(&self) {
        self.pay(0);
        // SAFETY: the context is live (`from_raw`).
        unsafe { api!(RedisModule_ReplyWithNull(self.raw)) };
    }

    /// Answers an error; its first word is its code.
    pub fn reply_error(&self, line: &str) {
        self.pay(0);
        let line = super::log::c_string(line);
        // SAFETY: the context is live (`from_raw`); the text is copied before the call returns.
        unsafe { api!(RedisModule_ReplyWithError(self.raw, line.as_ptr())) };
    }
}

fn length(elements: usize) -> c_long {
    c_long::try_from(elements).unwrap_or(c_long::MAX)
}
