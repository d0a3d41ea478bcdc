//! A blocked client: one reply that is owed.
//!
//! Life cycle. [`Blocked::new`], in the command's callback, blocks the client and makes the context
//! that its reply will be written to. Then the handle waits in the flight table. Whoever takes it out
//! owns the reply, and ends it in one of two steps:
//!
//! - [`Blocked::answer`], on any thread, writes the reply into the context's own buffer, and gives an
//!   [`Answered`], whose [`release`](Answered::release), on the main thread, lets the client have it;
//! - [`Blocked::abandon`], on the main thread, for a client that needs no reply any more.
//!
//! Dropping either does what remains to be done, so that no path forgets a client: the crate's own
//! `BlockedClient` unblocks on drop *without* a reply, and its client hangs.
//!
//! Clients also end a wait from their side: by `CLIENT UNBLOCK … TIMEOUT` (answered null here, as a
//! passed timeout is), by `… ERROR` (answered by Redis itself) or by closing the connection. The server
//! then forgets the client, but still expects the one unblocking of its handle.
//!
//! A client is unblocked in a timer's callback only: the server then serves it before it looks at the next
//! command. Between an unblocking in a command and its service there may be other commands, and if one is
//! `CLIENT UNBLOCK`, the client is unblocked twice: it loses its reply (7.0), or the server aborts (7.2). So
//! what is released elsewhere is posted to a timer.
//!
//! With `io-threads`, and for TLS clients, a server runs commands between its timers and its service to
//! unblocked clients all the same. There, clients are blocked without a timeout callback, and `CLIENT
//! UNBLOCK` answers 0. So it is where the server does not tell its configuration (`rename-command CONFIG`).
//!
//! A server may refuse to block a client: Valkey 8.1 and newer do so for those that have subscribed to
//! something (RESP3). Such a call is answered like one in MULTI, at once.

use std::ptr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use super::api::{OK, api, raw};
use super::ctx::Ctx;
use super::settings::{Untold, server_number};
use super::{guarded, main_thread, timer};
use crate::cache::error::CacheError;

/// Whether commands may come between a client's unblocking and its service.
static COMMANDS_MAY_INTERVENE: AtomicBool = AtomicBool::new(false);

/// Looks whether they may: at load, and when the server's configuration changes. Where the server does not tell,
/// they may.
pub fn look_whether_commands_may_intervene(ctx: &Ctx) {
    let above = |name, bound| match server_number(ctx, name) {
        Ok(number) => number.is_some_and(|number| number > bound),
        Err(Untold) => true,
    };
    COMMANDS_MAY_INTERVENE.store(above(c"io-threads", 1) || above(c"tls-port", 0), Relaxed);
}

/// Where handles wait.
pub trait WaitingRoom {
    /// Takes the handle of this number out, because its client needs it no more; `None` if somebody else has it.
    fn leave(ctx: &Ctx, client: u64) -> Option<Blocked>;
}

/// A client that waits for its reply; see the module's essay.
pub struct Blocked {
    handle: *mut raw::RedisModuleBlockedClient,
    /// The context that takes the reply; null once it is freed.
    reply: *mut raw::RedisModuleCtx,
}

/// A client whose reply is written and not yet released.
pub struct Answered {
    handle: *mut raw::RedisModuleBlockedClient,
}

// SAFETY: the handle and its context belong to the one owner of the value. The API offers such a context "to
// accumulate a reply for when the client will be unblocked", from a thread, without the lock: writing touches only
// the buffers of the context's own pseudo-client, which nobody else uses before the release. Freeing the context
// touches no more than that: its pseudo-client stays the handle's (in all sources from Redis 7.0 and Valkey 8 on).
unsafe impl Send for Blocked {}
// SAFETY: as above; what remains is `RedisModule_UnblockClient`, which "can be called from threads spawned by the
// module", and which is called on the main thread alone here.
unsafe impl Send for Answered {}

impl Blocked {
    /// Blocks the client of the running command, which must not answer it then, for as long as it may take.
    /// `None` if the server does not block this client: it is to be answered at once.
    pub fn new<R: WaitingRoom>(ctx: &Ctx) -> Option<Self> {
        let may_unblock = !COMMANDS_MAY_INTERVENE.load(Relaxed);
        Self::with::<R>(ctx, if may_unblock { Some(timed_out::<R>) } else { None })
    }

    /// Blocks it for the moment that it takes to get its answer ready: `CLIENT UNBLOCK` answers 0. `None` as
    /// for [`Blocked::new`].
    pub fn briefly<R: WaitingRoom>(ctx: &Ctx) -> Option<Self> {
        Self::with::<R>(ctx, None)
    }

    fn with<R: WaitingRoom>(ctx: &Ctx, on_timeout: raw::RedisModuleCmdFunc) -> Option<Self> {
        // SAFETY: this is the client's own command, and the caller has seen that it may block. No
        // timeout of the server's is set. The reply's context is made here, not in the thread that will
        // write to it, because making it looks at the client, which may be gone by then. A handle without
        // a context is ended at once, and nobody has it any more.
        unsafe {
            let handle: *mut raw::RedisModuleBlockedClient =
                api!(RedisModule_BlockClient(ctx.raw(), None, on_timeout, None, 0));
            if handle.is_null() {
                return None;
            }
            let reply: *mut raw::RedisModuleCtx = api!(RedisModule_GetThreadSafeContext(handle));
            if reply.is_null() {
                api!(RedisModule_AbortBlock(handle));
                return None;
            }
            ctx.owes_nothing();
            api!(RedisModule_SetDisconnectCallback(handle, Some(disconnected::<R>)));
            Some(Self { handle, reply })
        }
    }

    /// Its number: the handle's address. No other handle has it before this one is unblocked; the next that the
    /// server makes may have it then. So it says whom the server means ([`WaitingRoom::leave`]), and names nothing
    /// that may be looked for after the unblocking.
    pub fn number(&self) -> u64 {
        number(self.handle)
    }

    /// Writes the reply.
    pub fn answer(mut self, write: impl FnOnce(&Ctx)) -> Answered {
        self.write(write)
    }

    /// Answers `OK` or an error, and lets the client have it.
    pub fn answer_outcome(self, outcome: Result<(), CacheError>) {
        let write = |ctx: &Ctx| match outcome {
            Ok(()) => ctx.reply_ok(),
            Err(error) => ctx.reply_error(&error.to_string()),
        };
        self.answer(write).release();
    }

    /// Lets go of a client that needs no reply, because the server has forgotten it.
    pub fn abandon(mut self) {
        self.free_context();
        unblock(self.handle);
    }

    fn write(&mut self, write: impl FnOnce(&Ctx)) -> Answered {
        // SAFETY: the context lives until `free_context` below, and is ours alone (`Send`).
        let ctx = unsafe { Ctx::from_raw(self.reply) };
        if guarded(|| write(&ctx)).is_none() {
            ctx.reply_rest("ERR internal error; the server's log has its place");
        }
        self.free_context();
        Answered { handle: self.handle }
    }

    fn free_context(&mut self) {
        let reply = std::mem::replace(&mut self.reply, ptr::null_mut());
        // SAFETY: made in `new`, replaced by null, so freed once. What was written stays in the handle.
        unsafe { api!(RedisModule_FreeThreadSafeContext(reply)) };
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        if !self.reply.is_null() {
            drop(self.write(|ctx| ctx.reply_error("FETCHFAILED the flight was lost")));
        }
    }
}

impl Answered {
    /// Lets the client have its reply.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        if timer::fires() {
            return unblock(self.handle);
        }
        let later = Self { handle: self.handle };
        main_thread::post(move |_| later.release());
    }
}

/// A handle is unblocked once: this is called by the last that owns it, a [`Blocked`] without its context or
/// an [`Answered`].
fn unblock(handle: *mut raw::RedisModuleBlockedClient) {
    // SAFETY: as said above; the server frees the handle after this, and nobody has it any more.
    unsafe { api!(RedisModule_UnblockClient(handle, ptr::null_mut())) };
}

/// `CLIENT UNBLOCK id TIMEOUT`: the reply is written here, into the client itself.
unsafe extern "C" fn timed_out<R: WaitingRoom>(
    ctx: *mut raw::RedisModuleCtx,
    _: *mut *mut raw::RedisModuleString,
    _: std::ffi::c_int,
) -> std::ffi::c_int {
    // SAFETY: the server gives a live context, and its blocked client's handle with it.
    let (ctx, handle) =
        unsafe { (Ctx::from_raw(ctx), api!(RedisModule_GetBlockedClientHandle(ctx))) };
    guarded(|| {
        ctx.reply_null();
        leave::<R>(&ctx, handle);
    });
    OK
}

/// The connection was closed, or `CLIENT UNBLOCK id ERROR` has answered.
unsafe extern "C" fn disconnected<R: WaitingRoom>(
    ctx: *mut raw::RedisModuleCtx,
    handle: *mut raw::RedisModuleBlockedClient,
) {
    // SAFETY: the server gives a live context.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    guarded(|| leave::<R>(&ctx, handle));
}

fn leave<R: WaitingRoom>(ctx: &Ctx, handle: *mut raw::RedisModuleBlockedClient) {
    if let Some(blocked) = R::leave(ctx, number(handle)) {
        blocked.abandon();
    }
}

fn number(handle: *mut raw::RedisModuleBlockedClient) -> u64 {
    handle as usize as u64
}
