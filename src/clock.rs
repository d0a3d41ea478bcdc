//! The one clock: unix time, as the stored format has it. Rules never read it; it is handed to them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::cache::seconds::Millis;

/// Unix time now.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}
