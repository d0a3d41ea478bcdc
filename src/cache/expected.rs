//! Panics that are expected: of a library that has no other way to say something which is no fault here.

use std::cell::Cell;

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs what may panic and is caught by the caller. Whoever logs panics is to leave its panic out.
pub fn may_panic<T>(body: impl FnOnce() -> T) -> T {
    let _scope = Scope(EXPECTED.replace(true));
    body()
}

/// Whether a panic on this thread, at this moment, is expected.
pub fn is_expected() -> bool {
    EXPECTED.get()
}

/// Puts back what was there before, by whichever way it ends.
struct Scope(bool);

impl Drop for Scope {
    fn drop(&mut self) {
        EXPECTED.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn a_panic_is_expected_within_and_not_behind() {
        assert!(!is_expected());
        assert!(may_panic(|| may_panic(is_expected) && is_expected()));
        assert!(!is_expected());
        assert!(catch_unwind(|| may_panic(|| panic!("as a library would"))).is_err());
        assert!(!is_expected());
    }
}
