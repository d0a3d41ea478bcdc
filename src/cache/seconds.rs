//! Times as people type them: seconds, with or without decimals.
//!
//! Plain integers are by far the most common and are parsed by hand, since a hit pays for this too.

/// Milliseconds: of unix time where it names a moment, else of a span.
pub type Millis = u64;

/// The longest span that is understood: past it a time leaves the 13 digits of the stored format.
const LONGEST: f64 = 9_999_999_999.0;

/// Milliseconds by which the largest binary fraction may miss the decimal that was typed.
const NOISE: f64 = 0.004;

/// Parses seconds into whole milliseconds, rounded up; negative values are kept so that a caller can
/// tell "negative" from "not a number". `None`: not a finite decimal number.
///
/// A span beyond the year 2286 is cut to a value that is beyond it still.
pub fn parse(text: &[u8]) -> Option<i64> {
    parse_integer(text).or_else(|| parse_decimal(text))
}

fn parse_integer(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 10 {
        return None;
    }
    let mut seconds = 0_i64;
    for &byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        seconds = seconds * 10 + i64::from(byte - b'0');
    }
    Some(seconds * 1000)
}

#[allow(clippy::cast_possible_truncation)] // clamped to LONGEST, far inside an i64
fn parse_decimal(text: &[u8]) -> Option<i64> {
    let seconds: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    if !seconds.is_finite() {
        return None;
    }
    Some((seconds.clamp(-LONGEST, LONGEST) * 1000.0 - NOISE).ceil() as i64)
}

/// Prints milliseconds as seconds, the shortest way that [`parse`] reads back.
pub fn print(span: Millis) -> String {
    let (seconds, rest) = (span / 1000, span % 1000);
    if rest == 0 {
        return seconds.to_string();
    }
    format!("{seconds}.{rest:03}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_and_decimals_become_milliseconds_rounded_up() {
        for (text, expected) in [
            ("0", 0),
            ("60", 60_000),
            ("0.25", 250),
            ("1e1", 10_000),
            ("0.0001", 1),
            ("0.3", 300),
            ("-1", -1000),
            ("-0.5", -500),
            ("99999999999", 9_999_999_999_000),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_finite_number_is_refused() {
        for text in ["", " ", "1 ", "abc", "nan", "inf", "-inf", "0x10", "1,5", "\u{661}"] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn printing_reads_back(span in 0..9_999_999_999_999_u64) {
            prop_assert_eq!(parse(print(span).as_bytes()), Some(i64::try_from(span).unwrap()));
        }

        #[test]
        fn no_bytes_panic_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&bytes);
        }
    }
}
