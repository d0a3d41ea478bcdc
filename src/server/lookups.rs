//! Commands that the server has looked up, and would run after an unload.
//!
//! An unload frees the structures that the server has made of a module's commands. Some servers keep their
//! addresses elsewhere, and look at them afterwards:
//!
//! | where | servers | what comes of it |
//! | --- | --- | --- |
//! | a client's last command | Redis 8.0 on; in `CLIENT LIST` all | a repeated command is run by the freed structure, or by another's that has its place now |
//! | commands queued in `MULTI` | all | `EXEC` runs them |
//! | commands parsed ahead: of a pipeline, or by `io-threads` | Redis 8.0 on, Valkey 8 on | they are run |
//!
//! The first two can be seen, in `CLIENT LIST`: as long as there are such clients, the module stays loaded
//! ([`check`]). The third cannot be seen. For that, the library stays mapped, so that the server calls something
//! that is there ([`begin`]), and a command that is called under another's name, or without a module, answers
//! an error (`dispatch.rs`). What the server reads in its own freed memory before that is out of reach.

use std::ptr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicPtr};

use super::api::{api, raw};
use super::ctx::Ctx;

/// Whether the server has begun with a command since the module was loaded, be it one that it refuses. As long as it
/// has not, it is within the command that has loaded the module, or is starting.
static LOAD_IS_OVER: AtomicBool = AtomicBool::new(false);

/// The filter that sees the first command after the load; null once it is gone.
static FILTER: AtomicPtr<raw::RedisModuleCommandFilter> = AtomicPtr::new(ptr::null_mut());

/// At the end of a load that has succeeded, as far as it is ours.
pub(super) fn begin(ctx: &Ctx) {
    stay_mapped();
    // SAFETY: the context is live and knows the module; the callback is of the type the API asks for.
    let filter: *mut raw::RedisModuleCommandFilter =
        unsafe { api!(RedisModule_RegisterCommandFilter(ctx.raw(), Some(command_begins), 0)) };
    // Where the server takes no filter, each unload looks for lookups.
    LOAD_IS_OVER.store(filter.is_null(), Relaxed);
    FILTER.store(filter, Relaxed);
}

/// The server calls this before it looks a command up, and so for those too that it refuses. Commands of other
/// modules and scripts pass here as well.
unsafe extern "C" fn command_begins(_: *mut raw::RedisModuleCommandFilterCtx) {
    LOAD_IS_OVER.store(true, Relaxed);
}

/// At each tick of the server's clock, when no filter is running: takes the filter away, once it has seen what it is
/// there for. From there on it would cost each command something, and tell nothing.
pub(super) fn ticked(ctx: &Ctx) {
    if LOAD_IS_OVER.load(Relaxed) {
        end(ctx);
    }
}

/// At a tick, and at the end of the module.
pub(super) fn end(ctx: &Ctx) {
    let filter = FILTER.swap(ptr::null_mut(), Relaxed);
    if !filter.is_null() {
        // SAFETY: registered in `begin` for this module, taken out of its place, so unregistered once. No filter is
        // running: neither a tick nor an unload comes in the middle of the server's list of filters.
        unsafe { api!(RedisModule_UnregisterCommandFilter(ctx.raw(), filter)) };
    }
}

/// Keeps this library in memory for as long as the process lives. It would stay anyway: threads that have used
/// the standard library's thread-local memory hold it.
fn stay_mapped() {
    // SAFETY: the address is one of this library's, and the name that is found for it is valid until the
    // library is closed. Opening it again by that name finds the one that is loaded, and marks it.
    unsafe {
        let mut library: libc::Dl_info = std::mem::zeroed();
        let inside = (&raw const LOAD_IS_OVER).cast();
        if libc::dladdr(inside, &raw mut library) != 0 && !library.dli_fname.is_null() {
            let flags = libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
            let handle = libc::dlopen(library.dli_fname, flags);
            if !handle.is_null() {
                libc::dlclose(handle);
            }
        }
    }
}

/// Whether no client would have the server run a command that an unload removes.
///
/// # Errors
/// How many would, and what helps.
pub(super) fn check(ctx: &Ctx) -> Result<(), String> {
    if !LOAD_IS_OVER.load(Relaxed) {
        // This is the unload by which the server ends a MODULE LOADEX whose settings were wrong. It is within that
        // command, so that no client has named one of ours since, and the server may abort if it is refused.
        return Ok(());
    }
    let Some(clients) = clients(ctx) else {
        return Err(
            "CLIENT LIST tells nothing, and so not whether the server would run a command of \
                    the module that is gone; restart the server without the module"
                .into(),
        );
    };
    let found = Found::among(&clients);
    match found {
        Found { last: 0, queued: 0 } => Ok(()),
        Found { last: 0, queued } => Err(format!(
            "{queued} connections are inside MULTI with commands queued, which EXEC would run though \
             they were gone; try again when they are done"
        )),
        Found { last, .. } => Err(format!(
            "{last} connections have sent a CACHE command as their last, and the server would go on \
             to use what it knows of that; have them send another command (PING), or close them \
             (CLIENT KILL), and try again"
        )),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// Clients whose last command is one of ours.
    last: usize,
    /// Others that have queued commands of whatever kind.
    queued: usize,
}

impl Found {
    fn among(clients: &str) -> Self {
        let mut found = Self { last: 0, queued: 0 };
        for client in clients.lines() {
            let field = |name| client.split(' ').find_map(|field| field.strip_prefix(name));
            if field("cmd=").is_some_and(|command| command.starts_with("cache.")) {
                found.last += 1;
            } else if field("multi=").is_some_and(|queued| !matches!(queued, "-1" | "0")) {
                found.queued += 1;
            }
        }
        found
    }
}

/// What `CLIENT LIST` answers.
fn clients(ctx: &Ctx) -> Option<String> {
    // SAFETY: the arguments are as the format names them; a reply that is not null is ours to look at and to
    // free once, and its text is copied before that.
    unsafe {
        let (client, list) = (c"CLIENT".as_ptr(), c"LIST".as_ptr());
        let reply = api!(RedisModule_Call(ctx.raw(), client, c"cE".as_ptr(), list));
        if reply.is_null() {
            return None;
        }
        let is_text = api!(RedisModule_CallReplyType(reply)) == STRING_REPLY;
        let mut length = 0;
        let start = api!(RedisModule_CallReplyStringPtr(reply, &raw mut length));
        let text = (is_text && !start.is_null()).then(|| {
            String::from_utf8_lossy(std::slice::from_raw_parts(start.cast(), length)).into_owned()
        });
        api!(RedisModule_FreeCallReply(reply));
        text
    }
}

#[allow(clippy::cast_possible_truncation)] // a small number, which bindgen takes for an enum value
const STRING_REPLY: std::ffi::c_int = raw::REDISMODULE_REPLY_STRING as std::ffi::c_int;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_found_that_would_have_a_removed_command_run() {
        for (clients, last, queued) in [
            ("", 0, 0),
            ("id=3 name= multi=-1 cmd=get user=default\n", 0, 0),
            ("id=3 multi=-1 cmd=module|unload\nid=4 multi=0 cmd=multi\n", 0, 0),
            ("id=3 multi=-1 cmd=cache.get\nid=4 multi=-1 cmd=cache.lease\n", 2, 0),
            ("id=3 multi=2 cmd=set\nid=4 multi=1 cmd=cache.del\n", 1, 1),
            ("id=3 name=cmd:cache.get multi=-1 cmd=NULL\n", 0, 0),
        ] {
            assert_eq!(Found::among(clients), Found { last, queued }, "{clients}");
        }
    }
}
