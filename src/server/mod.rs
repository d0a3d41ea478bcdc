//! The server ring: the one room that speaks to Redis, and the only home of `unsafe`.
//!
//! The module API is used through the raw bindings of the `redis-module` crate rather than through its
//! macros, for three measured reasons: a module registered by `redis_module!` does not load on Redis
//! 7.0, its command wrapper costs a hit a quarter more instructions, and it hides registration errors.
//!
//! Invariants that every `SAFETY:` comment in here leans on:
//!
//! - **The main thread.** Callbacks (commands, timers, events, INFO, settings) run on the server's main
//!   thread, which holds the server lock. A [`ctx::Ctx`] exists only inside one, and cannot leave its
//!   thread. Nothing in this crate ever takes the server lock on another thread: work for the main
//!   thread is handed over by [`main_thread::post`].
//! - **Loaded means filled.** `RedisModule_Init` fills the API's function pointers before anything else
//!   of this crate runs, and nobody writes them afterwards.
//! - **No panic crosses.** Each callback runs under [`guarded`].
#![allow(unsafe_code)]

#[cfg_attr(test, allow(dead_code))] // unit tests have the system's allocator
mod alloc;
mod api;
#[cfg(not(test))]
mod symbols;

pub mod answers;
pub mod args;
pub mod blocked;
pub mod clock;
pub mod command;
pub mod ctx;
mod dispatch;
pub mod events;
mod handover;
pub mod info;
pub mod keyspace;
pub mod load;
pub mod log;
mod lookups;
pub mod main_thread;
pub mod memory;
pub mod refusal;
pub mod settings;
pub mod timer;
pub mod unchanged;
pub mod value;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::cache::expected;

/// Runs a callback's body; a panic ends here and becomes `None`, instead of unwinding into C. The log has its
/// place already ([`log_panics`]).
fn guarded<T>(body: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(body)).ok()
}

/// Has each panic of this library logged, with its place and its thread, but for those that are expected. The library
/// has a standard library of its own, so this concerns no other module.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if expected::is_expected() {
            return;
        }
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("of the server");
        // As the standard library prints it: the place, a line break, the message.
        let what = panic.to_string().replace('\n', " ");
        log::warning(&format!("internal error: thread {name}: {what}"));
    }));
}
