//! Lines in the server's log; any thread may write them.

use std::ffi::{CStr, CString};

use super::api::api;
use super::main_thread;

/// For those who want to see each download.
pub fn verbose(line: &str) {
    log(c"verbose", line);
}

/// For what an operator should know.
pub fn notice(line: &str) {
    log(c"notice", line);
}

/// For what should not be.
pub fn warning(line: &str) {
    log(c"warning", line);
}

fn log(level: &CStr, line: &str) {
    let line = c_string(line);
    // SAFETY: the detached context lives as long as the module and serves here only for its name;
    // `%s` takes one C string, which outlives the call; the server's log may be written by any thread.
    unsafe {
        api!(RedisModule_Log(
            main_thread::detached(),
            level.as_ptr(),
            c"%s".as_ptr(),
            line.as_ptr()
        ));
    }
}

/// Text as C wants it; it ends where a NUL byte would be.
pub(super) fn c_string(text: &str) -> CString {
    let until_nul = text.split('\0').next().unwrap_or_default();
    CString::new(until_nul).unwrap_or_default()
}
