//! How long an entry is good for: expiries that callers ask for, and the moments they come to.

use super::error::ArgumentError;
use super::seconds::{self, Millis};

/// The last moment the stored format can name: 13 digits of unix milliseconds, in the year 2286.
pub const LATEST: Millis = 9_999_999_999_999;

/// How long an entry stays fresh, as a caller asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// For this many milliseconds, at least one.
    After(Millis),
    /// For ever: `-1`, as `TTL` prints it.
    Never,
}

impl Expiry {
    /// Parses the `expiry` argument: seconds, at least 1 ms, or `-1` for no expiry.
    ///
    /// # Errors
    /// [`ArgumentError::NotAFloat`] for what is no number, [`ArgumentError::InvalidExpiry`] for zero
    /// and other negatives. What reaches past [`LATEST`] is found by [`Expiry::ends`].
    pub fn parse(text: &[u8]) -> Result<Self, ArgumentError> {
        if text == b"-1" {
            return Ok(Self::Never);
        }
        match seconds::parse(text).ok_or(ArgumentError::NotAFloat)? {
            span @ 1.. => Ok(Self::After(span.unsigned_abs())),
            _ => Err(ArgumentError::InvalidExpiry),
        }
    }

    /// The moment an entry that lands `now` stops being fresh.
    ///
    /// # Errors
    /// [`ArgumentError::InvalidExpiry`] past [`LATEST`], as Redis refuses what overflows.
    pub fn ends(self, now: Millis) -> Result<FreshUntil, ArgumentError> {
        match self {
            Self::Never => Ok(FreshUntil::FOR_EVER),
            Self::After(span) => match now.checked_add(span) {
                Some(moment) if moment <= LATEST => Ok(FreshUntil(moment)),
                _ => Err(ArgumentError::InvalidExpiry),
            },
        }
    }
}

/// The moment at which an entry goes stale; zero stands for "never", as the stored format has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreshUntil(Millis);

impl FreshUntil {
    /// Never goes stale.
    pub const FOR_EVER: Self = Self(0);

    /// From the number in the stored format.
    pub const fn from_stored(number: Millis) -> Self {
        Self(number)
    }

    /// The number in the stored format.
    pub const fn to_stored(self) -> Millis {
        self.0
    }

    /// Whether it is still fresh at `now`.
    pub const fn is_fresh(self, now: Millis) -> bool {
        self.0 == 0 || now < self.0
    }

    /// The moment, where there is one.
    pub fn moment(self) -> Option<Millis> {
        (self.0 != 0).then_some(self.0)
    }
}

/// Parses the `timeout` argument, one client's patience: seconds, zero for "as long as it may take".
///
/// # Errors
/// In `BLPOP`'s words: not a float, or negative.
pub fn parse_timeout(text: &[u8]) -> Result<Millis, ArgumentError> {
    match seconds::parse(text) {
        None => Err(ArgumentError::TimeoutNotAFloat),
        Some(..0) => Err(ArgumentError::TimeoutNegative),
        Some(span) => Ok(span.unsigned_abs()),
    }
}

/// The wait timeout that holds: what was asked for, at most `longest`; zero asks for the longest.
pub fn wait_timeout(asked: Millis, longest: Millis) -> Millis {
    if asked == 0 { longest } else { asked.min(longest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_expiry_is_positive_or_minus_one() {
        assert_eq!(Expiry::parse(b"60"), Ok(Expiry::After(60_000)));
        assert_eq!(Expiry::parse(b"0.001"), Ok(Expiry::After(1)));
        assert_eq!(Expiry::parse(b"-1"), Ok(Expiry::Never));
        for refused in [&b"0"[..], b"-2", b"-0.5", b"0.0"] {
            assert_eq!(Expiry::parse(refused), Err(ArgumentError::InvalidExpiry));
        }
        assert_eq!(Expiry::parse(b"soon"), Err(ArgumentError::NotAFloat));
    }

    #[test]
    fn no_expiry_reaches_past_the_year_2286() {
        let now = 1_700_000_000_000;
        let last = Expiry::After(LATEST - now);
        assert_eq!(last.ends(now), Ok(FreshUntil(LATEST)));
        assert_eq!(last.ends(now + 1), Err(ArgumentError::InvalidExpiry));
        let parsed = Expiry::parse(b"1e300").unwrap();
        assert_eq!(parsed.ends(now), Err(ArgumentError::InvalidExpiry));
    }

    #[test]
    fn freshness_ends_at_its_moment_and_for_ever_never() {
        let until = Expiry::After(1000).ends(5000).unwrap();
        assert!(until.is_fresh(5999));
        assert!(!until.is_fresh(6000));
        assert!(FreshUntil::FOR_EVER.is_fresh(LATEST));
    }

    #[test]
    fn patience_is_capped_and_zero_asks_for_all_of_it() {
        assert_eq!(parse_timeout(b"-1"), Err(ArgumentError::TimeoutNegative));
        assert_eq!(parse_timeout(b"x"), Err(ArgumentError::TimeoutNotAFloat));
        assert_eq!(wait_timeout(0, 300_000), 300_000);
        assert_eq!(wait_timeout(250, 300_000), 250);
        assert_eq!(wait_timeout(900_000, 300_000), 300_000);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_times_and_none_ends_out_of_reach(
            text in prop_oneof![
                "-?[0-9]{0,20}(\\.[0-9]{0,6})?([eE][+-]?[0-9]{0,4})?".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..24),
            ],
            now in 0..=2 * LATEST,
        ) {
            let _ = parse_timeout(&text);
            if let Ok(until) = Expiry::parse(&text).and_then(|expiry| expiry.ends(now)) {
                prop_assert!(until.moment().is_none_or(|moment| moment <= LATEST));
                let _ = until.is_fresh(now);
            }
        }
    }
}
