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
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::api::{api, raw};
use super::ctx::Ctx;
use super::guarded;
use super::timer::{self, OnTime, Timer};

/// The longest that tasks hold the event loop in one turn.
const SLICE: Duration = Duration::from_millis(1);

type Task = Box<dyn FnOnce(&Ctx) + Send>;

static QUEUE: Mutex<Queue> =
    Mutex::new(Queue { tasks: VecDeque::new(), awake: false, held_back: false });

struct Queue {
    tasks: VecDeque<Task>,
    /// Whether the event loop has been told that there are tasks.
    awake: bool,
    /// Whether it is not to be told, because the module is being unloaded.
    held_back: bool,
}

impl Queue {
    /// Whether the event loop is to be told now.
    fn must_wake(&mut self) -> bool {
        let must = !self.tasks.is_empty() && !self.awake && !self.held_back;
        self.awake |= must;
        must
    }
}

/// A context of no client, for what needs one outside of any callback.
static DETACHED: AtomicPtr<raw::RedisModuleCtx> = AtomicPtr::new(ptr::null_mut());

/// Nanoseconds that tasks have held the main thread, since the load.
static HELD: AtomicU64 = AtomicU64::new(0);

fn queue() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn detached() -> *mut raw::RedisModuleCtx {
    DETACHED.load(Ordering::Acquire)
}

/// At load; false if the server gives no context.
pub(super) fn open(ctx: &Ctx) -> bool {
    // SAFETY: the context of the load is live and knows the module.
    let detached: *mut raw::RedisModuleCtx =
        unsafe { api!(RedisModule_GetDetachedThreadSafeContext(ctx.raw())) };
    DETACHED.store(detached, Ordering::Release);
    HELD.store(0, Ordering::Relaxed);
    !detached.is_null()
}

/// At unload, before threads are ended: what they post in their last breath wakes nobody, since the event
/// loop would come to a module that is gone. False if it is on its way already, or has something to do.
pub(super) fn hold_back() -> bool {
    let mut queue = queue();
    let is_quiet = !queue.awake && queue.tasks.is_empty();
    queue.held_back = is_quiet;
    is_quiet
}

/// If there is no unload after all.
pub(super) fn go_on() {
    queue().held_back = false;
    wake();
}

/// Whether tasks wait.
pub(super) fn has_tasks() -> bool {
    !queue().tasks.is_empty()
}

/// Whether the module is loaded.
pub(super) fn is_open() -> bool {
    !detached().is_null()
}

/// At unload, and after a failed load, once nothing is left that could post. No task runs any more: what it
/// would ask for is gone. An unload finds none (`load::on_unload`). A task that is dropped answers the clients
/// that it has, here, as a timer's callback may.
pub(super) fn close() {
    while let Some(task) = next_task() {
        timer::as_fired(|| drop(task));
    }
    queue().held_back = false;
    let detached = DETACHED.swap(ptr::null_mut(), Ordering::AcqRel);
    if !detached.is_null() {
        // SAFETY: made in `open`, taken out of its place, so freed once.
        unsafe { api!(RedisModule_FreeThreadSafeContext(detached)) };
    }
}

/// Runs `task` on the main thread soon. From any thread.
pub fn post(task: impl FnOnce(&Ctx) + Send + 'static) {
    queue().tasks.push_back(Box::new(task));
    wake();
}

/// How long tasks have held the main thread, all together, since the load.
pub fn held() -> Duration {
    Duration::from_nanos(HELD.load(Ordering::Relaxed))
}

fn next_task() -> Option<Task> {
    queue().tasks.pop_front()
}

fn wake() {
    let must_wake = queue().must_wake();
    if must_wake {
        // SAFETY: the one function of the API's event loop that any thread may call; `awake` keeps the
        // module from being unloaded under the callback (`hold_back`).
        unsafe { api!(RedisModule_EventLoopAddOneShot(Some(woken), ptr::null_mut())) };
    }
}

unsafe extern "C" fn woken(_: *mut c_void) {
    // After a load that failed; whoever comes next wakes the event loop anew.
    if !is_open() {
        queue().awake = false;
        return;
    }
    // SAFETY: one-shot events run on the main thread; the detached context lives until `close`, which
    // `awake` holds off.
    let ctx = unsafe { Ctx::from_raw(detached()) };
    guarded(|| Timer::start::<Turn>(&ctx, 0, 0));
}

struct Turn;

impl OnTime for Turn {
    fn on_time(ctx: &Ctx, _: u64) {
        queue().awake = false;
        let start = Instant::now();
        let mut held = Duration::ZERO;
        while held < SLICE
            && let Some(task) = next_task()
        {
            guarded(|| task(ctx));
            held = start.elapsed();
        }
        // Summed up in nanoseconds: a small landing takes less than ten microseconds.
        HELD.fetch_add(held.as_nanos().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
        wake();
    }
}
