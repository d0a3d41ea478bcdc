//! Whether the server has memory for more.

use std::ffi::c_longlong;

use super::api::api;
use super::ctx::Ctx;
use super::refusal::{self, Refusal};
use super::value::Value;

/// Whether the server is over `maxmemory` and could not evict enough: it would refuse the running command if
/// that could grow the data set. `key` makes a key of the command's cluster slot, if one is needed; it is not changed.
///
/// The flag of the context alone would not do. It tells of the memory of the moment, which is above
/// `maxmemory` all the time on a server that evicts. What the server decides by is the outcome of the eviction
/// before the command, and only a call that heeds it (`M`) learns that.
pub fn is_out(ctx: &Ctx, key: impl FnOnce() -> Vec<u8>) -> bool {
    ctx.is_over_memory() && refuses_growth(ctx, &key())
}

/// Asks by a `SETRANGE` of nothing, which changes nothing and is refused as any write is. A server that hides the
/// command (`rename-command`) cannot be asked; then the moment's memory is all that is known.
fn refuses_growth(ctx: &Ctx, key: &[u8]) -> bool {
    let key = Value::new(key);
    // SAFETY: one call, whose arguments are as the format names them and outlive it.
    let asked = unsafe {
        refusal::outcome(|| {
            api!(RedisModule_Call(
                ctx.raw(),
                c"SETRANGE".as_ptr(),
                c"MEslb".as_ptr(),
                key.raw(),
                c_longlong::from(0),
                c"".as_ptr(),
                0_usize
            ))
        })
    };
    matches!(asked, Err(Refusal::OutOfMemory | Refusal::NoSuchCommand))
}
