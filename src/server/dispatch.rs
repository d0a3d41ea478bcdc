//! A call of a command: under a guard against panics, and of the command that the server means.
//!
//! A server that keeps lookups over an unload (`server/lookups.rs`) may call a command that is gone, or one by
//! another's name. It can do so only once the module was unloaded in this process. A module that the server has loaded
//! as it started, and that was never unloaded, lets a call through after a look at one number. One that is loaded later
//! may have come after another copy of it, of which it knows nothing: it compares names from its first call on.

use std::ffi::c_int;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8};

use super::api::{OK, raw};
use super::args::{Arg, Args};
use super::command::{Command, KeyUse, Keys};
use super::ctx::Ctx;
use super::guarded;
use super::info::server_field;
use crate::cache::error::CacheError;

/// What the server calls.
pub(super) unsafe extern "C" fn handle<C: Command>(
    ctx: *mut raw::RedisModuleCtx,
    start: *mut *mut raw::RedisModuleString,
    count: c_int,
) -> c_int {
    if LIFE.load(Relaxed) != FIRST_LIFE {
        // SAFETY: as the server calls.
        return unsafe { handle_carefully::<C>(ctx, start, count) };
    }
    // SAFETY: as the server calls.
    unsafe { handle_known::<C>(ctx, start, count) }
}

/// Runs a command of a module that was never unloaded, and so is the one that the server means.
///
/// # Safety
/// As a server calls a command.
#[inline(always)]
unsafe fn handle_known<C: Command>(
    ctx: *mut raw::RedisModuleCtx,
    start: *mut *mut raw::RedisModuleString,
    count: c_int,
) -> c_int {
    // SAFETY: the server gives a live context and the arguments, for the time of the call.
    let (ctx, args) = unsafe { (Ctx::from_raw(ctx), Args::from_raw(start, count)) };
    if C::SPEC.keys == Keys::Counted && ctx.asks_for_keys() {
        guarded(|| report_keys(&ctx, &args, C::SPEC.key_use));
        return OK;
    }
    // The outcome stays within the guard: to carry it out of there takes longer than the guard itself.
    let ran = guarded(|| C::run(&ctx, &args).unwrap_or_else(|error| answer_error(&ctx, &error)));
    if ran.is_none() {
        ctx.reply_rest("ERR internal error; the server's log has its place");
    }
    OK
}

/// What the server may call: nothing that is known of yet; the commands of this load, the first in this process;
/// or, since the module was or may have been unloaded once, a command that is gone (`server/lookups.rs`).
static LIFE: AtomicU8 = AtomicU8::new(NO_LIFE);
const NO_LIFE: u8 = 0;
const FIRST_LIFE: u8 = 1;
const LATER_LIFE: u8 = 2;
/// Whether this copy of the module was unloaded in this process. The library stays mapped (`server/lookups.rs`).
static WAS_UNLOADED: AtomicBool = AtomicBool::new(false);

/// The commands may be called.
pub(super) fn loaded(ctx: &Ctx) {
    let is_later = WAS_UNLOADED.load(Relaxed) || has_clients(ctx);
    LIFE.store(if is_later { LATER_LIFE } else { FIRST_LIFE }, Relaxed);
}

/// Whether the server has clients, and so has started before this load. A library under another file name has memory
/// of its own, and so does not know whether one was unloaded before it. Where the server does not tell, it has.
fn has_clients(ctx: &Ctx) -> bool {
    server_field(ctx, c"clients", c"connected_clients") != Some(0)
}

/// They may not.
pub(super) fn unloaded() {
    WAS_UNLOADED.store(true, Relaxed);
    LIFE.store(NO_LIFE, Relaxed);
}

/// Runs the command if it is the one that its client has named; else answers an error. It does not run the one
/// that was named: what the server has checked of its client's rights and of the arguments was another's.
///
/// # Safety
/// As a server calls a command.
#[cold]
unsafe fn handle_carefully<C: Command>(
    ctx: *mut raw::RedisModuleCtx,
    start: *mut *mut raw::RedisModuleString,
    count: c_int,
) -> c_int {
    // SAFETY: the server gives a live context and the arguments, for the time of the call.
    let (wrapped, args) = unsafe { (Ctx::from_raw(ctx), Args::from_raw(start, count)) };
    let named = args.get(0).map(Arg::bytes).unwrap_or_default();
    let is_meant = named.eq_ignore_ascii_case(C::SPEC.name.to_bytes());
    if LIFE.load(Relaxed) != NO_LIFE && is_meant {
        // SAFETY: as the caller promises.
        return unsafe { handle_known::<C>(ctx, start, count) };
    }
    // Who asks for keys has no client that could be answered.
    if !(C::SPEC.keys == Keys::Counted && wrapped.asks_for_keys()) {
        wrapped.reply_error(STALE_LOOKUP);
    }
    OK
}

const STALE_LOOKUP: &str =
    "ERR the server has called a command that MODULE UNLOAD had removed; send it again";

#[cold]
fn answer_error(ctx: &Ctx, error: &CacheError) {
    ctx.reply_error(&error.to_string());
}

/// Tells where the keys of a call are, if their count is one that can be.
fn report_keys(ctx: &Ctx, args: &Args<'_>, key_use: KeyUse) {
    for position in 2..2 + args.key_count().unwrap_or(0) {
        ctx.report_key(position, key_use.flags());
    }
}

#[cfg(test)]
mod tests;
