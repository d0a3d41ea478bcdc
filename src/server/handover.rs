//! A value that is given away with a command, so that the server need not copy it.
//!
//! `SET` keeps its argument as the value that it stores. Newer servers (Redis 8.6, Valkey 8.1 and 9.1; not Redis 8.0) do so
//! only if nobody else refers to the argument, and else store a copy, which the main thread makes. An argument of
//! `RedisModule_Call` always has a second reference, the caller's. So the call is made with an empty string in
//! the value's place. A command filter, registered for the length of the call alone, puts the value there:
//! `RedisModule_CommandFilterArgReplace` takes over the caller's reference, and the arguments have the only one.
//!
//! - The filter knows its call by the address of the empty string, which no other command has. So a command
//!   that somebody runs within this one (another module, told of the event on the key) is left alone.
//! - Ours is the last filter, and the command is looked up after it. What comes later sees the value: MONITOR,
//!   the slow log, replicas, the append-only file. A filter of another module sees the empty string.
//! - Once the filter has run, the value is the server's, whether it stores it or refuses. So it is given away
//!   only where nobody needs it any more.

use std::cell::Cell;
use std::ptr::{self, NonNull};

use super::api::{OK, api, raw};
use super::ctx::Ctx;
use super::value::Value;

/// What is being given away: the string that stands in for it, and itself.
#[derive(Clone, Copy)]
struct Gift {
    stand_in: *mut raw::RedisModuleString,
    value: *mut raw::RedisModuleString,
}

thread_local! {
    static GIFT: Cell<Option<Gift>> = const { Cell::new(None) };
}

/// Has `call` make a call with the string that it is given among the arguments, and gives the value away in that
/// one's place. Answers what the call has, and the value if the server has not taken it.
pub(super) fn give<T>(
    ctx: &Ctx,
    value: Value,
    call: impl FnOnce(&Value) -> T,
) -> (T, Option<Value>) {
    let stand_in = Value::new(b"");
    GIFT.set(Some(Gift { stand_in: stand_in.raw(), value: value.into_raw() }));
    let answer = {
        let _filter = Filter::register(ctx);
        call(&stand_in)
    };
    let left = GIFT.take().and_then(|gift| NonNull::new(gift.value));
    // SAFETY: what is still there was not given away, so its one reference is ours.
    (answer, left.map(|value| unsafe { Value::from_raw(value) }))
}

/// The filter, for as long as this is held.
struct Filter<'a> {
    ctx: &'a Ctx,
    filter: *mut raw::RedisModuleCommandFilter,
}

impl<'a> Filter<'a> {
    fn register(ctx: &'a Ctx) -> Self {
        // SAFETY: the context is live and knows the module; the callback is of the type the API asks for.
        let filter = unsafe { api!(RedisModule_RegisterCommandFilter(ctx.raw(), Some(put), 0)) };
        Self { ctx, filter }
    }
}

impl Drop for Filter<'_> {
    fn drop(&mut self) {
        if !self.filter.is_null() {
            // SAFETY: registered with this context, and unregistered here alone; no filter is running.
            unsafe { api!(RedisModule_UnregisterCommandFilter(self.ctx.raw(), self.filter)) };
        }
    }
}

/// Puts the value into the place of what stands in for it, in the one command that has that.
unsafe extern "C" fn put(command: *mut raw::RedisModuleCommandFilterCtx) {
    let Some(gift) = GIFT.get() else {
        return;
    };
    super::guarded(|| {
        // SAFETY: the server gives a live filter context; the positions are those that it has. The value's one
        // reference is given away once: `GIFT` is emptied with that.
        unsafe {
            let count = api!(RedisModule_CommandFilterArgsCount(command));
            let place = (0..count).find(|&position| {
                ptr::eq(api!(RedisModule_CommandFilterArgGet(command, position)), gift.stand_in)
            });
            if let Some(place) = place
                && api!(RedisModule_CommandFilterArgReplace(command, place, gift.value)) == OK
            {
                GIFT.set(None);
            }
        }
    });
}
