//! Waiting for a condition, the only waiting there is in these tests.
//!
//! Nothing here ever trusts that some time is enough for something to happen.
//! A wait ends when its condition holds, and [`PATIENCE`] is only the point
//! at which it is clear that it never will: it is generous, and passing it is
//! always a failure that names what was awaited.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// How long a condition may take to come true before the wait is given up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The pause between two looks: short for the test, long for the processor.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// Looks until `holds` answers true; panics with `what` after [`PATIENCE`].
pub fn until(what: &str, holds: impl FnMut() -> bool) {
    until_equal(what, &true, holds);
}

/// Looks until `look` answers `wanted`; panics with `what` and with what it
/// saw last after [`PATIENCE`].
pub fn until_equal<T: PartialEq + Debug>(what: &str, wanted: &T, mut look: impl FnMut() -> T) {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let seen = look();
        if seen == *wanted {
            return;
        }
        assert!(
            Instant::now() < give_up,
            "waited {PATIENCE:?} for {what} to be {wanted:?}; it is {seen:?}"
        );
        thread::park_timeout(BETWEEN_LOOKS);
    }
}
