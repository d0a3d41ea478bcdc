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

use std::collections::HashSet;

use memchr::memchr;

use super::freshness::FreshUntil;
use super::headers::{Headers, MOST_BYTES, OfConnection, StoreHeaders, too_much};
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
/// The longest head that is updated. One that was stored here is far from it: this is for strings that others
/// have put there.
const MOST_HEAD: usize = 4 * MOST_BYTES;

/// The headers that describe the body as it is stored, which a 304 does not have.
const OF_THE_BODY: [&str; 7] = [
    "content-length",
    "content-encoding",
    "content-range",
    "content-digest",
    "content-md5",
    "repr-digest",
    "digest",
];

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
    ///
    /// The head keeps within what a received one may have. Where it would not, the names that the entry has not
    /// had are left out; where even that is too much, there is no new head, and the old one stays.
    pub fn updated_head(&self, new: &Headers, store: &StoreHeaders) -> Option<Vec<u8>> {
        if self.head_length > MOST_HEAD {
            return None;
        }
        let of_connection = OfConnection::of(new);
        let taken: Vec<_> = new
            .iter()
            .filter(|(name, value)| {
                !OF_THE_BODY.contains(&name.as_str())
                    && !of_connection.contains(name)
                    && may_stand(name, value, store)
            })
            .map(|(name, value)| (name.as_bytes(), value.as_slice()))
            .collect();
        let old: HashSet<_> = self.headers().map(|(name, _)| name).collect();
        let replaced: HashSet<_> = taken.iter().map(|(name, _)| *name).collect();
        let kept = self.headers().filter(|(name, value)| {
            let is_kept = |text: &str| may_stand(text, value, store) || text == "content-encoding";
            !replaced.contains(name) && std::str::from_utf8(name).is_ok_and(is_kept)
        });
        let all: Vec<_> = kept.chain(taken).collect();
        let known = || {
            let is_known = |name: &[u8]| old.contains(name);
            all.iter().copied().filter(|(name, _)| is_known(name)).collect::<Vec<_>>()
        };
        let fields = if too_much(all.iter().copied()) { known() } else { all };
        (!too_much(fields.iter().copied())).then(|| write_head(self.status(), fields.into_iter()))
    }

    /// The start of its head, where its two times are.
    pub fn start(&self) -> &'a [u8] {
        &self.bytes[..FIXED]
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

impl Validators {
    /// Whether a 304 with these `ETag` and `Last-Modified` speaks of the version that these are of (RFC 9111 section
    /// 4.3.4). An `ETag` decides, by weak comparison, where both have one. A strong one that the entry has not is
    /// of another version, or of one that cannot be told to be the same. Else a `Last-Modified` decides, where both
    /// have one. A 304 that names nothing speaks of what it was asked about.
    pub fn are_of<'a>(
        &self,
        etags: impl Iterator<Item = &'a [u8]>,
        last_modified: impl Iterator<Item = &'a [u8]>,
    ) -> bool {
        let mut etags = etags.peekable();
        if let Some(own) = &self.etag
            && etags.peek().is_some()
        {
            return etags.any(|tag| is_same_version(tag, own));
        }
        if self.etag.is_none() && etags.any(|tag| !is_weak(tag)) {
            return false;
        }
        let mut last_modified = last_modified.peekable();
        match &self.last_modified {
            Some(own) if last_modified.peek().is_some() => {
                last_modified.any(|date| date.trim_ascii() == own.trim_ascii())
            }
            _ => true,
        }
    }
}

/// Whether two entity tags are the same by weak comparison (RFC 9110 section 8.8.3.2).
pub fn is_same_version(one: &[u8], other: &[u8]) -> bool {
    opaque(one) == opaque(other)
}

fn is_weak(tag: &[u8]) -> bool {
    tag.trim_ascii().starts_with(b"W/")
}

/// An entity tag without the mark of a weak one.
fn opaque(tag: &[u8]) -> &[u8] {
    let tag = tag.trim_ascii();
    tag.strip_prefix(b"W/").unwrap_or(tag)
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
/// Of `headers` only those that `store` allows are kept; none that is of the message's connection, and none
/// that would break the message. What says how the body is to be decoded is kept whatever `store` says.
pub fn encode_head(status: u16, headers: &Headers, store: &StoreHeaders) -> Vec<u8> {
    let of_connection = OfConnection::of(headers);
    let fields = headers.iter().filter(|(name, value)| {
        name == "content-encoding" && is_sound(value)
            || !of_connection.contains(name) && may_stand(name, value, store)
    });
    write_head(status, fields.map(|(name, value)| (name.as_bytes(), value.as_slice())))
}

fn may_stand(name: &str, value: &[u8], store: &StoreHeaders) -> bool {
    store.allows(name) && is_sound(value)
}

/// Whether a value leaves the message whole.
fn is_sound(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

fn write_head<'a>(status: u16, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let mut head =
        format!("HTTP/1.1 {status:03} \r\ncache-get: 1 {:013} {:013} {:08}\r\n", 0, 0, 0)
            .into_bytes();
    for (name, value) in fields {
        head.extend_from_slice(name);
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
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
mod tests;
