//! After a refresh has failed: when the next may be tried.
//!
//! A stale entry that cannot be refreshed goes on being served to those who welcome it. Without a pause,
//! each of their calls would start another download from an origin that is in trouble already.

use std::collections::HashMap;

use super::flights::FlightKey;
use super::seconds::Millis;

/// The keys whose refresh has failed of late.
#[derive(Default)]
pub struct Backoff {
    until: HashMap<FlightKey, Millis>,
    /// When the moments that have passed are forgotten next, by how many there are.
    sweep_at: usize,
}

/// How many are remembered before those that have passed are swept out.
const FEW: usize = 1024;

impl Backoff {
    /// A refresh of `key` has failed: none is to be tried before `until`.
    pub fn failed(&mut self, key: FlightKey, until: Millis, now: Millis) {
        if self.until.len() >= self.sweep_at.max(FEW) {
            self.until.retain(|_, moment| *moment > now);
            // Twice what is left, so that sweeping costs each failure the same, however many there are.
            self.sweep_at = self.until.len() * 2;
        }
        self.until.insert(key, until);
    }

    /// Whether a refresh of `key` has to wait.
    pub fn holds(&self, key: &FlightKey, now: Millis) -> bool {
        self.until.get(key).is_some_and(|&until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> FlightKey {
        FlightKey { db: 0, name: name.into() }
    }

    #[test]
    fn a_failure_holds_its_key_back_until_its_moment() {
        let mut backoff = Backoff::default();
        backoff.failed(key("a"), 1500, 500);
        assert!(backoff.holds(&key("a"), 1499));
        assert!(!backoff.holds(&key("a"), 1500));
        assert!(!backoff.holds(&key("b"), 1000));
    }

    #[test]
    fn what_has_passed_is_forgotten() {
        let mut backoff = Backoff::default();
        for number in 0..10_000 {
            backoff.failed(key(&number.to_string()), number + 10, number);
        }
        assert!(backoff.until.len() <= 2 * FEW, "{}", backoff.until.len());
        assert!(backoff.holds(&key("9999"), 10_000));
    }
}
