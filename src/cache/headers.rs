//! Which response headers are kept: real CDNs send one to two KiB of them, and most are of no use to
//! a reader of the cache.

use std::fmt;

/// Response headers in the order they came, names in lower case; a name may repeat.
pub type Headers = Vec<(String, Vec<u8>)>;

/// Never kept, whatever the list says: they speak of one connection (RFC 9110 section 7.6.1), or to
/// one user.
const NEVER: [&str; 11] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "set-cookie2",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

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
pub fn forbid_storing(headers: &Headers) -> bool {
    let values = headers.iter().filter(|(name, _)| name == "cache-control");
    values.flat_map(|(_, value)| value.split(|&byte| byte == b',')).any(|directive| {
        let name = directive.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
        name.eq_ignore_ascii_case(b"no-store") || name.eq_ignore_ascii_case(b"private")
    })
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
        assert!(!all.allows("set-cookie"));
    }

    #[test]
    fn no_store_and_private_forbid_in_whatever_company() {
        let forbids = |value: &str| {
            forbid_storing(&vec![("cache-control".into(), value.as_bytes().to_vec())])
        };
        for value in ["no-store", "max-age=5, No-Store", "private", " private=\"set-cookie\" ,x"] {
            assert!(forbids(value), "{value}");
        }
        for value in ["", "no-cache", "max-age=0", "x-private", "public", "x=private"] {
            assert!(!forbids(value), "{value}");
        }
        let several = [("cache-control", "public"), ("cache-control", "no-store"), ("vary", "a")];
        let pairs = several.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        assert!(forbid_storing(&pairs.to_vec()));
        assert!(!forbid_storing(&vec![("pragma".into(), b"no-store".to_vec())]));
    }

    #[test]
    fn a_list_prints_as_it_reads_and_refuses_what_is_no_name() {
        assert_eq!(StoreHeaders::parse(" A,,b* ").unwrap().to_string(), "a b*");
        assert!(StoreHeaders::parse("a: b").is_err());
        assert!(StoreHeaders::parse("a*b").is_err());
    }
}
