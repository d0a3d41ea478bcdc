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

#[cfg(not(test))]
mod alloc;
mod api;

pub mod answers;
pub mod args;
pub mod blocked;
pub mod clock;
pub mod command;
pub mod ctx;
pub mod events;
pub mod info;
pub mod keyspace;
pub mod load;
pub mod log;
pub mod main_thread;
pub mod memory;
pub mod settings;
pub mod timer;
pub mod value;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a callback's body; a panic ends here and becomes `None`, instead of unwinding into C.
fn guarded<T>(body: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(body));
    if result.is_err() {
        log::warning("internal error: a callback panicked");
    }
    result.ok()
}
