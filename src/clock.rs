//! The precise clocks. Rules never read a clock; `now` is handed to them.
//!
//! What is stored goes by unix time, which may be set forward and back. What lives in memory alone goes by a clock
//! that is never set: a pause that is to last a second lasts a second.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::cache::seconds::Millis;

/// Unix time now.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() * 1000 + Millis::from(since.subsec_millis())
}

/// Milliseconds since some moment in the life of this module; they never go back. For what is not stored.
pub fn monotonic() -> Millis {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    Millis::try_from(START.elapsed().as_millis()).unwrap_or(Millis::MAX)
}
