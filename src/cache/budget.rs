//! A budget of bytes: how many are in use, counted by whoever uses them for as long as it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The count; shared with every [`Charge`].
#[derive(Debug, Clone, Default)]
pub struct Budget(Arc<AtomicU64>);

/// Bytes in use, until this is dropped, on any thread.
#[derive(Debug)]
pub struct Charge {
    used: Arc<AtomicU64>,
    bytes: u64,
}

impl Budget {
    /// How many bytes are in use.
    pub fn used(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Counts more of them.
    pub fn charge(&self, bytes: u64) -> Charge {
        self.0.fetch_add(bytes, Relaxed);
        Charge { used: Arc::clone(&self.0), bytes }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_in_use_for_as_long_as_their_charge_lives() {
        let budget = Budget::default();
        let one = budget.charge(5);
        let other = budget.clone().charge(7);
        assert_eq!(budget.used(), 12);
        drop(one);
        assert_eq!(budget.used(), 7);
        drop(other);
        assert_eq!(budget.used(), 0);
    }
}
