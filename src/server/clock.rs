//! The time of day as hits read it: a few milliseconds behind, at a tenth of the cost.
//!
//! The precise clock takes 20 ns, which is a thirtieth of a pipelined hit. The coarse one is the time of
//! the kernel's last tick. By it an entry may be answered some 4 ms past its expiry; where no stale window
//! keeps it, Redis's own expiry, which is precise, ends it before that.

use crate::cache::seconds::Millis;

/// Unix time, at most a tick ago.
#[cfg(target_os = "linux")]
pub fn recent() -> Millis {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is ours, and all that the call writes to.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &raw mut time) };
    debug_assert_eq!(status, 0, "Linux has had this clock since 2.6.32");
    time.tv_sec.unsigned_abs() * 1000 + time.tv_nsec.unsigned_abs() / 1_000_000
}

/// Unix time.
#[cfg(not(target_os = "linux"))]
pub fn recent() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let since = since.unwrap_or_default();
    since.as_secs() * 1000 + Millis::from(since.subsec_millis())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_the_time_of_day() {
        let precise = crate::clock::now();
        let recent = super::recent();
        assert!(recent.abs_diff(precise) < 60_000, "{recent} is not {precise}");
    }
}
