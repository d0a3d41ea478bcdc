//! Which response headers are kept: real CDNs send one to two KiB of them, and most are of no use to
//! a reader of the cache.

use std::collections::HashSet;
use std::fmt;

/// Response headers in the order they came, names in lower case; a name may repeat.
pub type Headers = Vec<(String, Vec<u8>)>;

/// The most bytes of names and values that a head may have, received or stored.
pub const MOST_BYTES: usize = 64 * 1024;
/// The most fields that a head may have.
pub const MOST_FIELDS: usize = 1000;

/// Whether so many fields, with so many bytes of names and values, are more than a head may have.
pub fn too_much<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> bool {
    let (mut count, mut bytes) = (0, 0);
    for (name, value) in fields {
        count += 1;
        bytes += name.len() + value.len();
        if count > MOST_FIELDS || bytes > MOST_BYTES {
            return true;
        }
    }
    false
}

/// Never kept, whatever the list says: they speak of one connection (RFC 9110 section 7.6.1), or to
/// one user. So does all that begins with `proxy-`.
const NEVER: [&str; 9] = [
    "authentication-info",
    "connection",
    "keep-alive",
    "set-cookie",
    "set-cookie2",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The fields that a message itself says are of its connection only: the names in `Connection`.
pub struct OfConnection(HashSet<Vec<u8>>);

impl OfConnection {
    /// By a message's headers.
    pub fn of(headers: &Headers) -> Self {
        let values = headers.iter().filter(|(name, _)| name == "connection");
        let names = values.flat_map(|(_, value)| words(value)).map(<[u8]>::to_ascii_lowercase);
        Self(names.collect())
    }

    /// Whether a header of this lower-case name is one.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name.as_bytes())
    }
}

/// The allow-list `cache.store-headers`: names in lower case, `content-*` for all that begin so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreHeaders(Vec<String>);

impl StoreHeaders {
    /// Parses a list separated by spaces or commas.
    ///
    /// # Errors
    /// Names the first word that is no header name.
    pub fn parse(list: &str) -> Result<Self, String> {
        let words = list.split([' ', ',']).filter(|word| !word.is_empty());
        let mut patterns = Vec::new();
        for word in words {
            let name = word.strip_suffix('*').unwrap_or(word);
            if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                return Err(format!("'{word}' is not a header name or prefix*"));
            }
            patterns.push(word.to_ascii_lowercase());
        }
        Ok(Self(patterns))
    }

    /// Whether a header of this lower-case name is stored.
    pub fn allows(&self, name: &str) -> bool {
        !NEVER.contains(&name)
            && !name.starts_with("proxy-")
            && self.0.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == pattern,
            })
    }
}

impl fmt::Display for StoreHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// Whether a response says that it must not be stored (RFC 9111 section 5.2.2): by anybody, or by a cache
/// that more than one user shares.
///
/// What forbids is heeded in doubt: as a word of its own, in whatever case, between whatever stands for a comma,
/// in quotes or not. It is no word of its own in what another directive is set to.
pub fn forbid_storing(headers: &Headers) -> bool {
    let values = headers.iter().filter(|(name, _)| name == "cache-control");
    values
        .map(|(_, value)| value.as_slice())
        .any(|value| forbids(value, memchr::memchr_iter(b'"', value).count().is_multiple_of(2)))
}

/// Whether one line of `Cache-Control` forbids. `has_strings`: its quotes come in pairs, so that what lies in one
/// pair can be told from what does not.
fn forbids(mut rest: &[u8], has_strings: bool) -> bool {
    let mut is_argument = false;
    while let Some((&first, after)) = rest.split_first() {
        if is_token_byte(first) {
            let length = rest.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(length);
            let forbids =
                word.eq_ignore_ascii_case(b"no-store") || word.eq_ignore_ascii_case(b"private");
            if forbids && !is_argument {
                return true;
            }
            (rest, is_argument) = (after, false);
        } else if first == b'"' && is_argument && has_strings {
            let end = memchr::memchr(b'"', after).map_or(after.len(), |end| end + 1);
            (rest, is_argument) = (&after[end..], false);
        } else {
            (rest, is_argument) = (after, first == b'=');
        }
    }
    false
}

/// The words of a list, whatever stands between them.
fn words(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| !is_token_byte(byte)).filter(|word| !word.is_empty())
}

/// RFC 9110 section 5.6.2, but for `'`, which is a quote where it stands in a list.
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'*' | b'+' | b'-' | b'.' | b'^')
        || matches!(byte, b'_' | b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_panics_a_list_and_no_bytes_a_directive(
            text in ".{0,30}",
            value in prop::collection::vec(any::<u8>(), 0..30),
        ) {
            let _ = StoreHeaders::parse(&text);
            let _ = forbid_storing(&vec![("cache-control".into(), value)]);
        }
    }

    #[test]
    fn names_prefixes_and_nothing_of_one_connection_or_user() {
        let list = StoreHeaders::parse("Content-*, etag connection set-cookie").unwrap();
        assert!(list.allows("content-type"));
        assert!(list.allows("etag"));
        assert!(!list.allows("etag2"));
        assert!(!list.allows("server"));
        assert!(!list.allows("set-cookie"));
        assert!(!list.allows("connection"));
        let all = StoreHeaders::parse("*").unwrap();
        assert!(all.allows("x-anything"));
        for never in
            ["set-cookie", "proxy-authentication-info", "proxy-status", "authentication-info"]
        {
            assert!(!all.allows(never), "{never}");
        }
    }

    #[test]
    fn no_store_and_private_forbid_in_whatever_company() {
        let forbids = |value: &str| {
            forbid_storing(&vec![("cache-control".into(), value.as_bytes().to_vec())])
        };
        for value in [
            "no-store",
            "max-age=5, No-Store",
            "private",
            " private=\"set-cookie\" ,x",
            "no-cache; private",
            "no-store;",
            "private;max-age=0",
            "no-cache no-store must-revalidate",
            "max-age=0\tno-store",
            "\"no-store\"",
            "'no-store'",
            "\"no-cache, no-store\"",
            "no-store: 1",
            "no-store=",
            "max-age = private",
            "max-age=, no-store",
            "no-cache=\"a\", private",
            "no-cache=\"a\" private",
            "no-cache=\"set-cookie, no-store",
            "x=\"a\"\", no-store, b",
            "max-age=1 private",
            "max-age=1/private",
        ] {
            assert!(forbids(value), "{value}");
        }
        for value in [
            "",
            "no-cache",
            "max-age=0",
            "x-private",
            "public",
            "x=private",
            "x=\"private\"",
            "x=\"a, no-store, b\", public",
            "no-storex",
            "not-private",
            "private-ish",
        ] {
            assert!(!forbids(value), "{value}");
        }
        let several = [("cache-control", "public"), ("cache-control", "no-store"), ("vary", "a")];
        let pairs = several.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        assert!(forbid_storing(&pairs.to_vec()));
        assert!(!forbid_storing(&vec![("pragma".into(), b"no-store".to_vec())]));
    }

    #[test]
    fn what_a_message_names_in_connection_is_of_its_connection() {
        let values =
            [("connection", "Close, X-Session"), ("connection", "etag;\"x-other\""), ("x", "y")];
        let headers = values.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        let named = OfConnection::of(&headers.to_vec());
        for name in ["close", "x-session", "etag", "x-other"] {
            assert!(named.contains(name), "{name}");
        }
        assert!(!named.contains("x") && !named.contains("y"));
    }

    #[test]
    fn a_head_has_so_many_fields_and_bytes_and_no_more() {
        let fields = |count: usize, value: usize| {
            too_much(std::iter::repeat_n((&b"n"[..], &vec![b'v'; value][..]), count))
        };
        assert!(!fields(MOST_FIELDS, 1));
        assert!(fields(MOST_FIELDS + 1, 0));
        assert!(!fields(1, MOST_BYTES - 1));
        assert!(fields(1, MOST_BYTES));
        assert!(fields(64, 1024));
    }

    #[test]
    fn a_list_prints_as_it_reads_and_refuses_what_is_no_name() {
        assert_eq!(StoreHeaders::parse(" A,,b* ").unwrap().to_string(), "a b*");
        assert!(StoreHeaders::parse("a: b").is_err());
        assert!(StoreHeaders::parse("a*b").is_err());
    }
}
