//! The stored form of an entry: a Redis string that holds an HTTP/1.1 response message.
//!
//! ```text
//! HTTP/1.1 200 \r\n
//! cache-get: 1 <fetched, 13 digits> <fresh until, 13 digits> <head length, 8 digits>\r\n
//! content-type: image/jpeg\r\n
//! \r\n
//! <body>
//! ```
//!
//! The first two lines have fixed widths, so that a hit reads its numbers at fixed offsets and
//! answers with a slice. Times are unix milliseconds, the second all zeros for "for ever". The `1` is
//! the format's version; it is never widened silently: another layout takes another number, and a
//! version that this code does not know is a miss.

use memchr::memchr;

use super::freshness::FreshUntil;
use super::headers::{Headers, StoreHeaders};
use super::seconds::Millis;

const STATUS: std::ops::Range<usize> = 9..12;
const MARK: &[u8] = b" \r\ncache-get: ";
const MARK_AT: usize = 12;
const VERSION: &[u8] = b"1 ";
const VERSION_AT: usize = MARK_AT + MARK.len();
const FETCHED: std::ops::Range<usize> = 28..41;
const FRESH_UNTIL: std::ops::Range<usize> = 42..55;
const HEAD_LENGTH: std::ops::Range<usize> = 56..64;
/// Length of the two fixed lines.
const FIXED: usize = 66;

/// What a string in the keyspace turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored<'a> {
    /// One of ours.
    Entry(Entry<'a>),
    /// A body that someone put there with plain `SET`: fresh for as long as it lives.
    Bare(&'a [u8]),
    /// Ours by its mark, but of another version or damaged: a miss.
    Unknown,
}

/// A stored entry, borrowed from the keyspace. What a hit needs is read at once; the rest when asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    bytes: &'a [u8],
    head_length: usize,
    /// Until when it is fresh.
    pub fresh_until: FreshUntil,
}

impl<'a> Entry<'a> {
    /// The response body.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[self.head_length..]
    }

    /// Where in the stored string the body begins.
    pub const fn body_at(&self) -> usize {
        self.head_length
    }

    /// The HTTP status; zero where it is damaged.
    pub fn status(&self) -> u16 {
        let digits = self.bytes.get(STATUS).and_then(|digits| std::str::from_utf8(digits).ok());
        digits.and_then(|digits| digits.parse().ok()).unwrap_or_default()
    }

    /// When the response came; zero where it is damaged.
    pub fn fetched(&self) -> Millis {
        let fixed = self.bytes.first_chunk();
        fixed.and_then(|fixed| moment(fixed, FETCHED.start)).unwrap_or_default()
    }

    /// The stored headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut rest = &self.bytes[FIXED..self.head_length];
        std::iter::from_fn(move || {
            let colon = memchr(b':', rest)?;
            let end = colon + memchr(b'\r', &rest[colon..])?;
            let header = (&rest[..colon], rest[colon + 1..end].trim_ascii());
            rest = rest.get(end + 2..)?;
            Some(header)
        })
    }

    /// What to ask the origin with, whether the entry is still good; `None` if it has no validator.
    pub fn validators(&self) -> Option<Validators> {
        let find = |wanted: &[u8]| {
            let found = self.headers().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| value.to_vec())
        };
        let validators = Validators { etag: find(b"etag"), last_modified: find(b"last-modified") };
        (validators != Validators::default()).then_some(validators)
    }

    /// The head with the headers of a 304 taken over (RFC 9111 sections 3.2 and 4.3.4): each name that
    /// it has replaces all of that name, but for those that describe the body as it is stored.
    pub fn updated_head(&self, new: &Headers, store: &StoreHeaders) -> Vec<u8> {
        const OF_THE_BODY: [&[u8]; 3] = [b"content-length", b"content-encoding", b"content-range"];
        let replaced = |name: &[u8]| {
            !OF_THE_BODY.contains(&name) && new.iter().any(|(new, _)| new.as_bytes() == name)
        };
        let kept = self
            .headers()
            .filter(|(name, _)| !replaced(name))
            .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()));
        let taken = new.iter().filter(|(name, _)| !OF_THE_BODY.contains(&name.as_bytes())).cloned();
        encode_head(self.status(), &kept.chain(taken).collect(), store)
    }
}

/// What an origin recognises a response of its own by (RFC 9110 section 8.8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`, to be sent as `If-None-Match`.
    pub etag: Option<Vec<u8>>,
    /// `Last-Modified`, to be sent as `If-Modified-Since`.
    pub last_modified: Option<Vec<u8>>,
}

/// Makes a head longer without changing what it says, so that it fits where a longer one lay: blanks at
/// the end of a line are none of its value (RFC 9112 section 5). False if it is longer already, or has
/// no header to carry them.
pub fn pad_head(head: &mut Vec<u8>, length: usize) -> bool {
    let Some(missing) = length.checked_sub(head.len()) else {
        return false;
    };
    let line_end = head.len() - 4;
    if missing > 0 && line_end < FIXED {
        return false;
    }
    head.splice(line_end..line_end, std::iter::repeat_n(b' ', missing));
    let length = format!("{length:08}");
    head[HEAD_LENGTH].copy_from_slice(&length.as_bytes()[..8]);
    true
}

/// Reads a stored string; constant time, whatever its size, and any bytes at all may be given.
#[inline(always)]
pub fn decode(bytes: &[u8]) -> Stored<'_> {
    if !bytes.starts_with(b"HTTP/1.1 ") || bytes.get(MARK_AT..VERSION_AT) != Some(MARK) {
        return Stored::Bare(bytes);
    }
    decode_marked(bytes).map_or(Stored::Unknown, Stored::Entry)
}

#[inline(always)]
fn decode_marked(bytes: &[u8]) -> Option<Entry<'_>> {
    let fixed = bytes.first_chunk::<FIXED>()?;
    if &fixed[VERSION_AT..FETCHED.start] != VERSION {
        return None;
    }
    let length = eight_digits(*fixed[HEAD_LENGTH].first_chunk()?)?;
    let head_length = usize::try_from(length).ok()?;
    if head_length < FIXED + 2 || !bytes.get(..head_length)?.ends_with(b"\r\n\r\n") {
        return None;
    }
    let fresh_until = FreshUntil::from_stored(moment(fixed, FRESH_UNTIL.start)?);
    Some(Entry { bytes, head_length, fresh_until })
}

/// A moment, which has thirteen digits: eight, and eight that begin with three zeros for those that overlap.
#[inline(always)]
fn moment(fixed: &[u8; FIXED], at: usize) -> Option<Millis> {
    let first = eight_digits(*fixed[at..].first_chunk()?)?;
    let mut last = *fixed[at + 5..].first_chunk()?;
    last[..3].fill(b'0');
    Some(first * 100_000 + eight_digits(last)?)
}

/// Eight digits in the time of one: hits pay for this. The bytes are the lanes of one word, whose
/// neighbours are joined three times over, to four numbers of two digits, two of four, one of eight.
#[inline(always)]
const fn eight_digits(digits: [u8; 8]) -> Option<u64> {
    let lanes = u64::from_le_bytes(digits);
    let above_nine = lanes.wrapping_add(0x0606_0606_0606_0606);
    // A digit is 0x30 to 0x39: its upper half is 3, and is so still when 6 is added.
    let halves = (lanes ^ 0x3030_3030_3030_3030) | (above_nine ^ 0x3030_3030_3030_3030);
    if halves & 0xf0f0_f0f0_f0f0_f0f0 != 0 {
        return None;
    }
    let ones = lanes & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = ((ones * 10) + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = ((pairs * 100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some(((fours * 10_000) + (fours >> 32)) & 0xffff_ffff)
}

/// Builds an entry's head, its times still zero: they are known when the body has come ([`stamp`]).
///
/// Of `headers` only those that `store` allows are kept, and none that would break the message.
pub fn encode_head(status: u16, headers: &Headers, store: &StoreHeaders) -> Vec<u8> {
    let mut head =
        format!("HTTP/1.1 {status:03} \r\ncache-get: 1 {:013} {:013} {:08}\r\n", 0, 0, 0)
            .into_bytes();
    for (name, value) in headers {
        if store.allows(name) && !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
    }
    head.extend_from_slice(b"\r\n");
    let length = format!("{:08}", head.len());
    head[HEAD_LENGTH].copy_from_slice(&length.as_bytes()[..8]);
    head
}

/// Writes an entry's two times into its two fixed lines.
pub fn stamp(start: &mut [u8; FIXED], fetched: Millis, fresh_until: FreshUntil) {
    let mut put = |at: std::ops::Range<usize>, number: Millis| {
        let digits = format!("{number:013}");
        start[at].copy_from_slice(&digits.as_bytes()[digits.len() - 13..]);
    };
    put(FETCHED, fetched);
    put(FRESH_UNTIL, fresh_until.to_stored());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::freshness::LATEST;
    use proptest::prelude::*;

    fn all_headers() -> StoreHeaders {
        StoreHeaders::parse("*").unwrap()
    }

    fn encode(status: u16, headers: &Headers, times: (Millis, Millis), body: &[u8]) -> Vec<u8> {
        let mut bytes = encode_head(status, headers, &all_headers());
        let start = bytes.first_chunk_mut().unwrap();
        stamp(start, times.0, FreshUntil::from_stored(times.1));
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn the_message_reads_as_documented() {
        let headers = vec![("content-type".into(), b"text/plain".to_vec())];
        let bytes = encode(200, &headers, (1_700_000_000_000, 1_700_000_060_000), b"hi");
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "HTTP/1.1 200 \r\n\
             cache-get: 1 1700000000000 1700000060000 00000094\r\n\
             content-type: text/plain\r\n\
             \r\n\
             hi"
        );
    }

    #[test]
    fn eight_digits_are_eight_digits() {
        assert_eq!(eight_digits(*b"00000000"), Some(0));
        assert_eq!(eight_digits(*b"12345678"), Some(12_345_678));
        assert_eq!(eight_digits(*b"99999999"), Some(99_999_999));
        for at in 0..8 {
            for byte in (0..=255_u8).filter(|byte| !byte.is_ascii_digit()) {
                let mut digits = *b"12345678";
                digits[at] = byte;
                assert_eq!(eight_digits(digits), None, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn other_strings_are_bodies_and_other_versions_are_unknown() {
        for bare in [&b""[..], b"hello", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 \r\ncache-ge"] {
            assert_eq!(decode(bare), Stored::Bare(bare));
        }
        let good = encode(200, &vec![], (1, 2), b"body");
        assert!(matches!(decode(&good), Stored::Entry(_)));
        for (at, byte) in [(26, b'2'), (27, b'1'), (50, b' '), (63, b'0'), (56, b'9')] {
            let mut damaged = good.clone();
            damaged[at] = byte;
            assert_eq!(decode(&damaged), Stored::Unknown, "byte {at}");
        }
        assert_eq!(decode(&good[..60]), Stored::Unknown);
    }

    #[test]
    fn a_header_that_would_break_the_message_is_left_out() {
        let headers =
            vec![("x-evil".into(), b"a\r\n\r\nbody".to_vec()), ("x-good".into(), b"b".to_vec())];
        let head = String::from_utf8(encode_head(200, &headers, &all_headers())).unwrap();
        assert!(!head.contains("x-evil"));
        assert!(head.ends_with("x-good: b\r\n\r\n"));
    }

    fn entry_of(bytes: &[u8]) -> Entry<'_> {
        match decode(bytes) {
            Stored::Entry(entry) => entry,
            other => panic!("no entry: {other:?}"),
        }
    }

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().map(|(name, value)| ((*name).into(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn headers_read_back_with_their_repeats() {
        let stored = headers(&[("link", "a"), ("x", ""), ("link", "b: c")]);
        let bytes = encode(203, &stored, (1, 2), b"link: no\r\n");
        let entry = entry_of(&bytes);
        let read: Vec<_> = entry.headers().collect();
        assert_eq!(read, [(&b"link"[..], &b"a"[..]), (b"x", b""), (b"link", b"b: c")]);
        assert_eq!((entry.status(), entry.fetched()), (203, 1));
        assert_eq!(entry_of(&encode(200, &vec![], (1, 2), b"a: b\r\n")).headers().count(), 0);
    }

    #[test]
    fn only_an_entry_with_a_validator_can_be_asked_about() {
        let with = headers(&[("etag", "W/\"1\""), ("last-modified", "today")]);
        let validators = entry_of(&encode(200, &with, (1, 2), b"")).validators().unwrap();
        assert_eq!(validators.etag.unwrap(), b"W/\"1\"");
        assert_eq!(validators.last_modified.unwrap(), b"today");
        let without = headers(&[("date", "today")]);
        assert_eq!(entry_of(&encode(200, &without, (1, 2), b"")).validators(), None);
    }

    #[test]
    fn a_304_replaces_what_it_names_but_not_what_describes_the_body() {
        let old = headers(&[("etag", "1"), ("content-length", "4"), ("vary", "a"), ("vary", "b")]);
        let bytes = encode(200, &old, (1, 2), b"body");
        let new = headers(&[("vary", "c"), ("content-length", "0"), ("date", "today")]);
        let mut head = entry_of(&bytes).updated_head(&new, &all_headers());
        head.extend_from_slice(b"body");
        let read: Vec<_> = entry_of(&head).headers().map(|(name, _)| name.to_vec()).collect();
        assert_eq!(read, [&b"etag"[..], b"content-length", b"vary", b"date"]);
    }

    #[test]
    fn a_shorter_head_is_padded_to_the_place_of_a_longer_one() {
        let bytes = encode(200, &headers(&[("etag", "123456")]), (1, 2), b"body");
        let length = bytes.len() - 4;
        let mut head = encode_head(200, &headers(&[("etag", "12")]), &all_headers());
        assert!(pad_head(&mut head, length));
        assert_eq!(head.len(), length);
        head.extend_from_slice(b"body");
        let entry = entry_of(&head);
        assert_eq!(entry.body(), b"body");
        assert_eq!(entry.headers().collect::<Vec<_>>(), [(&b"etag"[..], &b"12"[..])]);
        assert!(!pad_head(&mut head.clone(), length - 1), "a longer one fits nowhere");
        let mut bare = encode_head(200, &vec![], &all_headers());
        assert!(!pad_head(&mut bare, length), "there is no line to pad");
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(
            status in 100..1000_u16,
            headers in prop::collection::vec(("[a-z-]{1,12}", prop::collection::vec(any::<u8>(), 0..20)), 0..6),
            fetched in 0..=LATEST,
            fresh_until in 0..=LATEST,
            body in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let bytes = encode(status, &headers, (fetched, fresh_until), &body);
            let Stored::Entry(entry) = decode(&bytes) else {
                return Err(TestCaseError::fail("no entry"));
            };
            prop_assert_eq!(entry.fresh_until, FreshUntil::from_stored(fresh_until));
            prop_assert_eq!(entry.body(), &body);
        }

        #[test]
        fn no_damaged_head_panics_what_reads_or_renews_it(
            damage in prop::collection::vec((0..200_usize, any::<u8>()), 0..4),
            old in prop::collection::vec(("[a-z-]{0,12}", prop::collection::vec(any::<u8>(), 0..20)), 0..6),
            new in prop::collection::vec(("[a-z-]{1,12}", prop::collection::vec(any::<u8>(), 0..20)), 0..6),
            length in 0..400_usize,
        ) {
            let mut bytes = encode(200, &old, (5, 6), b"body");
            for (at, byte) in damage {
                if let Some(hit) = bytes.get_mut(at) {
                    *hit = byte;
                }
            }
            if let Stored::Entry(entry) = decode(&bytes) {
                let _ = (entry.status(), entry.fetched(), entry.body(), entry.validators());
                let mut head = entry.updated_head(&new, &all_headers());
                let whole = [&head[..], b"body"].concat();
                prop_assert!(matches!(decode(&whole), Stored::Entry(again) if again.body() == b"body"));
                if pad_head(&mut head, length) {
                    head.extend_from_slice(b"body");
                    prop_assert!(matches!(decode(&head), Stored::Entry(again) if again.body() == b"body"));
                }
            }
        }

        #[test]
        fn no_bytes_panic_the_decoder(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn no_damage_panics_the_decoder(
            at in 0..120_usize, byte: u8, cut in 0..130_usize, body in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut bytes = encode(200, &vec![("etag".into(), b"\"a\"".to_vec())], (5, 6), &body);
            if let Some(hit) = bytes.get_mut(at) {
                *hit = byte;
            }
            bytes.truncate(cut);
            let _ = decode(&bytes);
        }
    }
}
