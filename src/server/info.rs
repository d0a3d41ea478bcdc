//! The module's section of `INFO`.

use std::ffi::{CStr, c_int};

use super::api::{OK, api, raw};
use super::ctx::Ctx;
use super::guarded;
use super::log::c_string;

/// A whole number from the server's own INFO; `None` if there is no such field.
pub fn server_field(ctx: &Ctx, section: &CStr, field: &CStr) -> Option<u64> {
    // SAFETY: the context is live; the data is ours from its making to its freeing, in this function.
    unsafe {
        let data = api!(RedisModule_GetServerInfo(ctx.raw(), section.as_ptr()));
        let mut status = OK;
        let value =
            api!(RedisModule_ServerInfoGetFieldUnsigned(data, field.as_ptr(), &raw mut status));
        api!(RedisModule_FreeServerInfo(ctx.raw(), data));
        (status == OK).then_some(value)
    }
}

/// Writes the section.
pub trait OnInfo {
    /// Adds every field, in the order they are to be read.
    fn on_info(section: &Section);
}

/// The section that is being written.
pub struct Section(*mut raw::RedisModuleInfoCtx);

impl Section {
    /// Adds a whole number.
    pub fn number(&self, name: &str, value: u64) {
        let name = c_string(name);
        // SAFETY: the section lives through the callback that was given it; the name is copied.
        unsafe { api!(RedisModule_InfoAddFieldULongLong(self.0, name.as_ptr(), value)) };
    }

    /// Adds a number with three decimals: the server's own way prints all seventeen digits.
    pub fn decimal(&self, name: &str, value: f64) {
        let (name, value) = (c_string(name), c_string(&format!("{value:.3}")));
        // SAFETY: the section lives through the callback that was given it; both texts are copied.
        unsafe { api!(RedisModule_InfoAddFieldCString(self.0, name.as_ptr(), value.as_ptr())) };
    }
}

/// Registers the section.
///
/// # Errors
/// The server refuses.
pub fn register<I: OnInfo>(ctx: &Ctx) -> Result<(), String> {
    // SAFETY: called during the load; the callback is of the type the API asks for.
    let status = unsafe { api!(RedisModule_RegisterInfoFunc(ctx.raw(), Some(write::<I>))) };
    if status == OK { Ok(()) } else { Err("the server takes no INFO section".into()) }
}

unsafe extern "C" fn write<I: OnInfo>(info: *mut raw::RedisModuleInfoCtx, for_crash_report: c_int) {
    // A crash report is no time to ask for locks that the crashed code may hold.
    if for_crash_report != 0 {
        return;
    }
    // SAFETY: the server gives a live section to write to; an empty name makes it the module's own.
    let wanted = unsafe { api!(RedisModule_InfoAddSection(info, c"".as_ptr())) };
    if wanted == OK {
        guarded(|| I::on_info(&Section(info)));
    }
}
