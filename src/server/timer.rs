//! Timers on the main thread: within a millisecond or so, where a blocked client's own timeout is up to
//! a hundred late.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::without_provenance_mut;

use super::api::{api, raw};
use super::ctx::Ctx;
use super::guarded;
use crate::cache::seconds::Millis;

/// What a timer does. It is told a number, never given a pointer: what the number names may be gone.
pub trait OnTime {
    /// The time has come. The timer itself is spent; it must not be stopped.
    fn on_time(ctx: &Ctx, number: u64);
}

/// A timer that runs. It is stopped, or it fires; dropping it does neither.
#[derive(Debug)]
pub struct Timer(raw::RedisModuleTimerID);

impl Timer {
    /// Fires once, `delay` from now.
    pub fn start<T: OnTime>(ctx: &Ctx, delay: Millis, number: u64) -> Self {
        // SAFETY: the context is live; the data is a number in a pointer's clothes, never followed.
        Self(unsafe {
            api!(RedisModule_CreateTimer(
                ctx.raw(),
                i64::try_from(delay).unwrap_or(i64::MAX),
                Some(fire::<T>),
                without_provenance_mut(usize::try_from(number).unwrap_or(usize::MAX))
            ))
        })
    }

    /// Stops it before it fires.
    pub fn stop(self, ctx: &Ctx) {
        // SAFETY: the context is live; an id that is unknown is answered with an error, no more.
        unsafe { api!(RedisModule_StopTimer(ctx.raw(), self.0, std::ptr::null_mut())) };
    }
}

thread_local! {
    static FIRES: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is a timer's callback.
pub(super) fn fires() -> bool {
    FIRES.get()
}

/// Runs something as a timer's callback.
pub(super) fn as_fired(run: impl FnOnce()) {
    FIRES.set(true);
    guarded(run);
    FIRES.set(false);
}

unsafe extern "C" fn fire<T: OnTime>(ctx: *mut raw::RedisModuleCtx, data: *mut c_void) {
    // SAFETY: the server gives a live context to a timer's callback.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    as_fired(|| T::on_time(&ctx, data as usize as u64));
}
