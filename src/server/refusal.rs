//! Commands of the server that we call, and how it refuses them.
//!
//! Each call asks for errors as replies (`E`): Valkey 9.1 crashes where it refuses a call with `S` and without
//! `E`. The server then answers with an error line, and says more by `errno` where the line has no code of its
//! own. `errno` is cleared before, since Redis 7.0 leaves it as it was where a command runs.

use std::ffi::{CStr, c_int};

use super::api::{api, raw};
use super::ctx::Ctx;

/// Why the server did not run a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// `maxmemory` is reached and nothing could be evicted.
    OutOfMemory,
    /// This is a replica, or one that has lost its master.
    Replica,
    /// The key's slot is another node's or nobody's, or the cluster is down.
    Elsewhere,
    /// There is no command of this name: `rename-command`.
    NoSuchCommand,
    /// Anything else: a disk error, too few replicas, a value of another type.
    Other,
}

/// Runs one call, and tells how it went.
///
/// # Errors
/// The server's refusal, or the command's own error.
///
/// # Safety
/// `call` makes one `RedisModule_Call` and returns what that has returned.
pub(super) unsafe fn outcome(
    call: impl FnOnce() -> *mut raw::RedisModuleCallReply,
) -> Result<(), Refusal> {
    set_errno(0);
    let reply = call();
    // Read before anything else can change it.
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    if reply.is_null() {
        return Err(classify(b"", errno));
    }
    // SAFETY: a reply that is not null is ours to look at and to free once; its text lives as long.
    unsafe {
        let refused = (api!(RedisModule_CallReplyType(reply)) == ERROR_REPLY)
            .then(|| classify(text(reply), errno));
        api!(RedisModule_FreeCallReply(reply));
        refused.map_or(Ok(()), Err)
    }
}

/// Whether the server has a command of this name, which must take an argument: it is called without any, and so
/// never runs.
pub fn has_command(ctx: &Ctx, name: &CStr) -> bool {
    // SAFETY: the arguments are as the format names them and outlive the call.
    let called =
        unsafe { outcome(|| api!(RedisModule_Call(ctx.raw(), name.as_ptr(), c"E".as_ptr()))) };
    called != Err(Refusal::NoSuchCommand)
}

#[allow(clippy::cast_possible_truncation)] // a small number, which bindgen takes for an enum value
const ERROR_REPLY: c_int = raw::REDISMODULE_REPLY_ERROR as c_int;

/// # Safety
/// `reply` is live, and stays so for as long as the result is used.
unsafe fn text<'a>(reply: *mut raw::RedisModuleCallReply) -> &'a [u8] {
    let mut length = 0;
    // SAFETY: as the caller promises; the server gives a pointer to `length` bytes, or null.
    unsafe {
        let start = api!(RedisModule_CallReplyStringPtr(reply, &raw mut length));
        if start.is_null() { b"" } else { std::slice::from_raw_parts(start.cast(), length) }
    }
}

fn classify(line: &[u8], errno: c_int) -> Refusal {
    let line = line.strip_prefix(b"-").unwrap_or(line);
    match line.split(|&byte| byte == b' ').next().unwrap_or_default() {
        b"OOM" => return Refusal::OutOfMemory,
        b"READONLY" | b"MASTERDOWN" => return Refusal::Replica,
        b"MOVED" | b"ASK" | b"TRYAGAIN" | b"CROSSSLOT" | b"CLUSTERDOWN" => {
            return Refusal::Elsewhere;
        }
        b"MISCONF" | b"NOREPLICAS" | b"NOPERM" | b"WRONGTYPE" | b"BUSY" | b"LOADING" => {
            return Refusal::Other;
        }
        _ => {}
    }
    match errno {
        libc::ENOSPC => Refusal::OutOfMemory,
        libc::EPERM | libc::EROFS | libc::ENETDOWN => Refusal::Elsewhere,
        libc::ENOENT => Refusal::NoSuchCommand,
        _ => Refusal::Other,
    }
}

fn set_errno(value: c_int) {
    // SAFETY: the place is this thread's own, and always there.
    unsafe {
        #[cfg(target_os = "linux")]
        let errno = libc::__errno_location();
        #[cfg(not(target_os = "linux"))]
        let errno = libc::__error();
        *errno = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_known_by_its_code_or_else_by_errno() {
        let cases: [(&str, c_int, Refusal); 15] = [
            ("OOM command not allowed when used memory > 'maxmemory'.", 28, Refusal::OutOfMemory),
            ("-OOM command not allowed", 0, Refusal::OutOfMemory),
            ("", libc::ENOSPC, Refusal::OutOfMemory),
            (
                "READONLY You can't write against a read only replica.",
                libc::ESPIPE,
                Refusal::Replica,
            ),
            ("MASTERDOWN Link with MASTER is down", libc::ESPIPE, Refusal::Replica),
            ("ERR Attempted to access a non local key", libc::EPERM, Refusal::Elsewhere),
            ("ERR Can not execute a command 'set'", libc::ENETDOWN, Refusal::Elsewhere),
            ("ERR Can not execute a write command", libc::EROFS, Refusal::Elsewhere),
            ("MOVED 1 127.0.0.1:7001", 0, Refusal::Elsewhere),
            ("ERR unknown command 'SET'", libc::ENOENT, Refusal::NoSuchCommand),
            ("", libc::ENOENT, Refusal::NoSuchCommand),
            ("MISCONF Errors writing to the AOF file", libc::ESPIPE, Refusal::Other),
            ("NOREPLICAS Not enough good replicas to write.", libc::ESPIPE, Refusal::Other),
            ("WRONGTYPE Operation against a key", 0, Refusal::Other),
            ("ERR string exceeds maximum allowed size", 0, Refusal::Other),
        ];
        for (line, errno, refusal) in cases {
            assert_eq!(classify(line.as_bytes(), errno), refusal, "{line:?}, errno {errno}");
        }
    }
}
