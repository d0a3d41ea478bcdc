//! How other threads get something done on the server's main thread.
//!
//! No thread of ours ever takes the server lock. Taking it stalls the server for as long as the thread
//! is off the processor, and makes unloading a deadlock waiting to happen. Instead a thread posts a
//! task, and the event loop runs it:
//!
//! 1. [`post`] queues the task and, if nobody has yet, wakes the event loop by a one-shot event.
//! 2. The one-shot event may run *inside* a slow script or a load, where the server answers `BUSY` and
//!    nothing may be touched. So it does no more than start a timer of 0 ms. Timers do not run there.
//! 3. The timer, in the same turn of the loop, runs tasks for at most [`SLICE`] and leaves the rest to
//!    the next turn.
//!
//! All landings that have become ready in one turn share this, and a client's commands always get their
//! turn between two slices. Clients that a task unblocks are served before the loop sleeps, in the same
//! turn. On a plain server no command, and so no `CLIENT UNBLOCK`, comes between; for the others see
//! `server/blocked.rs`.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::api::{api, raw};
use super::ctx::Ctx;
use super::guarded;
use super::timer::{OnTime, Timer};

/// The longest that tasks hold the event loop in one turn.
const SLICE: Duration = Duration::from_millis(1);

type Task = Box<dyn FnOnce(&Ctx) + Send>;

static TASKS: Mutex<VecDeque<Task>> = Mutex::new(VecDeque::new());

/// Whether the event loop has been told that there are tasks.
static AWAKE: AtomicBool = AtomicBool::new(false);

/// A context of no client, for what needs one outside of any callback.
static DETACHED: AtomicPtr<raw::RedisModuleCtx> = AtomicPtr::new(ptr::null_mut());

fn tasks() -> MutexGuard<'static, VecDeque<Task>> {
    TASKS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn detached() -> *mut raw::RedisModuleCtx {
    DETACHED.load(Ordering::Acquire)
}

/// At load.
pub(super) fn open(ctx: &Ctx) {
    // SAFETY: the context of the load is live and knows the module.
    let detached = unsafe { api!(RedisModule_GetDetachedThreadSafeContext(ctx.raw())) };
    DETACHED.store(detached, Ordering::Release);
}

/// Whether a task is queued, or a wake-up on its way that would find the module gone.
pub(super) fn is_busy() -> bool {
    AWAKE.load(Ordering::Acquire) || !tasks().is_empty()
}

/// At unload, once nothing is left that could post.
pub(super) fn close() {
    *tasks() = VecDeque::new();
    let detached = DETACHED.swap(ptr::null_mut(), Ordering::AcqRel);
    if !detached.is_null() {
        // SAFETY: made in `open`, taken out of its place, so freed once.
        unsafe { api!(RedisModule_FreeThreadSafeContext(detached)) };
    }
}

/// Runs `task` on the main thread soon. From any thread.
pub fn post(task: impl FnOnce(&Ctx) + Send + 'static) {
    tasks().push_back(Box::new(task));
    wake();
}

fn wake() {
    if !AWAKE.swap(true, Ordering::AcqRel) {
        // SAFETY: the one function of the API's event loop that any thread may call; `AWAKE` keeps the
        // module from being unloaded under the callback (`is_busy`).
        unsafe { api!(RedisModule_EventLoopAddOneShot(Some(woken), ptr::null_mut())) };
    }
}

unsafe extern "C" fn woken(_: *mut c_void) {
    // SAFETY: one-shot events run on the main thread; the detached context lives until `close`, which
    // `AWAKE` holds off.
    let ctx = unsafe { Ctx::from_raw(detached()) };
    guarded(|| Timer::start::<Turn>(&ctx, 0, 0));
}

struct Turn;

impl OnTime for Turn {
    fn on_time(ctx: &Ctx, _: u64) {
        AWAKE.store(false, Ordering::Release);
        let start = Instant::now();
        loop {
            let Some(task) = tasks().pop_front() else {
                return;
            };
            guarded(|| task(ctx));
            if start.elapsed() >= SLICE {
                break;
            }
        }
        if !tasks().is_empty() {
            wake();
        }
    }
}
