//! The module's section of `INFO`.

use std::ffi::{CStr, c_int};
use std::ptr::NonNull;

use super::api::{OK, api, raw};
use super::ctx::Ctx;
use super::guarded;
use super::log::c_string;

/// A whole number from the server's own INFO; `None` if there is no such field.
pub fn server_field(ctx: &Ctx, section: &CStr, field: &CStr) -> Option<u64> {
    ServerInfo::read(ctx, section)?.number(field)
}

/// Where the master of this replica is: host and port.
pub fn master(ctx: &Ctx) -> Option<(String, u64)> {
    let info = ServerInfo::read(ctx, c"replication")?;
    Some((info.text(c"master_host")?, info.number(c"master_port")?))
}

/// A section of the server's own INFO.
struct ServerInfo<'a> {
    ctx: &'a Ctx,
    data: NonNull<raw::RedisModuleServerInfoData>,
}

impl<'a> ServerInfo<'a> {
    fn read(ctx: &'a Ctx, section: &CStr) -> Option<Self> {
        // SAFETY: the context is live, and the name lives through the call.
        let data = unsafe { api!(RedisModule_GetServerInfo(ctx.raw(), section.as_ptr())) };
        NonNull::new(data).map(|data| Self { ctx, data })
    }

    fn number(&self, field: &CStr) -> Option<u64> {
        let mut status = OK;
        // SAFETY: the data lives as long as `self`; the name lives through the call.
        let value = unsafe {
            api!(RedisModule_ServerInfoGetFieldUnsigned(
                self.data.as_ptr(),
                field.as_ptr(),
                &raw mut status
            ))
        };
        (status == OK).then_some(value)
    }

    fn text(&self, field: &CStr) -> Option<String> {
        // SAFETY: as in `number`; the text is a C string of the data's, or null, and is copied at once.
        unsafe {
            let start = api!(RedisModule_ServerInfoGetFieldC(self.data.as_ptr(), field.as_ptr()));
            (!start.is_null()).then(|| CStr::from_ptr(start).to_string_lossy().into_owned())
        }
    }
}

impl Drop for ServerInfo<'_> {
    fn drop(&mut self) {
        // SAFETY: the data is ours since `read`, and freed here alone.
        unsafe { api!(RedisModule_FreeServerInfo(self.ctx.raw(), self.data.as_ptr())) };
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
