//! Whether the server has memory for more.

use std::ffi::{c_int, c_longlong};

use super::api::{api, raw};
use super::ctx::Ctx;
use super::value::Value;

#[allow(clippy::cast_possible_truncation)] // a small number, which bindgen takes for an enum value
const ERROR_REPLY: c_int = raw::REDISMODULE_REPLY_ERROR as c_int;

/// Whether the server is over `maxmemory` and could not evict enough: it would refuse the running command if
/// that could grow the data set. `key` is a key of the command's cluster slot; it is not changed.
///
/// The flag of the context alone would not do. It tells of the memory of the moment, which is above
/// `maxmemory` all the time on a server that evicts. What the server decides by is the outcome of the eviction
/// before the command, and only a call that heeds it (`M`) learns that.
pub fn is_out(ctx: &Ctx, key: &[u8]) -> bool {
    ctx.is_over_memory() && refuses_growth(ctx, key)
}

/// Asks by a `SETRANGE` of nothing, which changes nothing and is refused as any write is.
fn refuses_growth(ctx: &Ctx, key: &[u8]) -> bool {
    let key = Value::new(key);
    // SAFETY: the arguments are as the format names them and outlive the call. With `E` a refusal is a reply
    // on every server. A reply that is not null is ours to look at and to free once; its text lives as long
    // as it does, and null stands for no text.
    unsafe {
        let reply = api!(RedisModule_Call(
            ctx.raw(),
            c"SETRANGE".as_ptr(),
            c"MEslb".as_ptr(),
            key.raw(),
            c_longlong::from(0),
            c"".as_ptr(),
            0_usize
        ));
        if reply.is_null() {
            return true;
        }
        let refused = api!(RedisModule_CallReplyType(reply)) == ERROR_REPLY && {
            let mut length = 0;
            let start = api!(RedisModule_CallReplyStringPtr(reply, &raw mut length));
            let text = if start.is_null() {
                &[]
            } else {
                std::slice::from_raw_parts(start.cast::<u8>(), length)
            };
            says_out_of_memory(text)
        };
        api!(RedisModule_FreeCallReply(reply));
        refused
    }
}

/// Whether an error is the server's refusal for want of memory. A server whose operator has renamed the command
/// cannot be asked; then the moment's memory is all that is known.
fn says_out_of_memory(error: &[u8]) -> bool {
    let error = error.strip_prefix(b"-").unwrap_or(error);
    error.starts_with(b"OOM ") || error.starts_with(b"ERR unknown command")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_for_memory_counts_or_a_command_that_is_not_there() {
        assert!(says_out_of_memory(b"OOM command not allowed when used memory > 'maxmemory'."));
        assert!(says_out_of_memory(b"-OOM command not allowed"));
        assert!(says_out_of_memory(b"ERR unknown command 'SETRANGE', with args"));
        for other in [&b"MOVED 1 127.0.0.1:1"[..], b"WRONGTYPE Operation", b"READONLY", b""] {
            assert!(!says_out_of_memory(other));
        }
    }
}
