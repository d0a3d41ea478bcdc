//! The precise clock: unix time, as the stored format has it. Rules never read a clock; `now` is handed to
//! them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::cache::seconds::Millis;

/// Unix time now.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() * 1000 + Millis::from(since.subsec_millis())
}
