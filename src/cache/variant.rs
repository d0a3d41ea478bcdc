//! Variants: requests for one URL that differ by method, body or headers, and so have entries of their
//! own.
//!
//! A variant's key carries a SHA-256 over a canonical form of all that distinguishes it, credentials
//! among them: one user's answer can never be another's. In the canonical form each part is preceded by
//! its length, so that no two requests have the same; header names are folded to lower case and sorted,
//! so that how a client writes or orders them does not split the cache.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::key::{UrlError, companion};

/// How a resource is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Method {
    /// The default.
    #[default]
    Get,
    /// For origins that answer to a body, as prediction services do.
    Post,
}

impl Method {
    /// By its name, in whatever case.
    pub fn parse(name: &[u8]) -> Option<Self> {
        match name {
            _ if name.eq_ignore_ascii_case(b"GET") => Some(Self::Get),
            _ if name.eq_ignore_ascii_case(b"POST") => Some(Self::Post),
            _ => None,
        }
    }

    const fn name(self) -> &'static [u8] {
        match self {
            Self::Get => b"GET",
            Self::Post => b"POST",
        }
    }
}

/// What distinguishes a request from the plain one for its URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variant {
    /// The method.
    pub method: Method,
    /// The request's body.
    pub body: Option<Vec<u8>>,
    /// Its headers; names in lower case, in the caller's order.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Header names that are not the caller's to set: of one connection, of the message's framing, the proxy's, the
/// cache's own (RFC 9110 section 7.6.1, RFC 9112 section 6), or such as have the origin take another method.
const REFUSED: [&str; 21] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];

impl Variant {
    /// The plain request for a URL.
    pub const PLAIN: Self = Self { method: Method::Get, body: None, headers: Vec::new() };

    /// Whether this is the plain request for the URL, whose entry is under the URL itself.
    pub const fn is_plain(&self) -> bool {
        matches!(self.method, Method::Get) && self.body.is_none() && self.headers.is_empty()
    }

    /// Adds a header; false if its name or value is none that may be sent.
    pub fn add_header(&mut self, name: &[u8], value: &[u8]) -> bool {
        let Some(name) = header_name(name) else {
            return false;
        };
        let sendable = value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f));
        if sendable {
            self.headers.push((name, value.to_vec()));
        }
        sendable
    }

    /// The key of this variant's entry, in the cluster slot of its URL.
    ///
    /// # Errors
    /// [`UrlError::StrayBraces`] where the URL's braces prevent that.
    pub fn key(&self, url: &[u8]) -> Result<Vec<u8>, UrlError> {
        let prefix = format!("cache:variant:{}:", self.digest());
        companion(prefix.as_bytes(), url).ok_or(UrlError::StrayBraces)
    }

    fn digest(&self) -> String {
        let mut headers: Vec<_> = self.headers.iter().collect();
        // Stable, so that the order of values under one name, which does mean something, is kept.
        headers.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(self.method.name());
        part(if self.body.is_some() { b"body" } else { b"" });
        part(self.body.as_deref().unwrap_or_default());
        for (name, value) in headers {
            part(name.as_bytes());
            part(value);
        }
        hash.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// The URL whose variant has this key; `None` if it is no variant's.
pub fn url_of(key: &[u8]) -> Option<&[u8]> {
    const DIGEST: usize = 64;
    let (digest, url) = key.strip_prefix(b"cache:variant:")?.split_at_checked(DIGEST)?;
    let url = url.strip_prefix(b":")?;
    let wrapped = url.strip_prefix(b"{").and_then(|url| url.strip_suffix(b"}"));
    digest.iter().all(u8::is_ascii_hexdigit).then_some(wrapped.unwrap_or(url))
}

/// A header's name in lower case, if it is a token (RFC 9110 section 5.6.2) that may be sent.
fn header_name(name: &[u8]) -> Option<String> {
    let is_token_byte =
        |&byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
    let is_token = !name.is_empty() && name.as_bytes().iter().all(is_token_byte);
    (is_token && !REFUSED.contains(&name.as_str())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with_headers(headers: &[(&str, &str)]) -> Variant {
        let mut variant = Variant::default();
        for (name, value) in headers {
            assert!(variant.add_header(name.as_bytes(), value.as_bytes()), "{name}: {value}");
        }
        variant
    }

    #[test]
    fn how_headers_are_written_or_ordered_makes_no_other_variant() {
        let one = with_headers(&[("Accept", "a"), ("X-Key", "b")]);
        let other = with_headers(&[("x-key", "b"), ("ACCEPT", "a")]);
        assert_eq!(one.key(b"http://a/"), other.key(b"http://a/"));
    }

    #[test]
    fn all_that_distinguishes_a_request_makes_another_variant() {
        let body = |bytes: &[u8]| Variant { body: Some(bytes.to_vec()), ..Variant::default() };
        let all = [
            with_headers(&[("accept", "a")]),
            with_headers(&[("accept", "b")]),
            with_headers(&[("accept", "a"), ("accept", "b")]),
            with_headers(&[("accept", "b"), ("accept", "a")]),
            with_headers(&[("authorization", "Bearer 1")]),
            with_headers(&[("authorization", "Bearer 2")]),
            with_headers(&[("cookie", "Bearer 1")]),
            with_headers(&[("a", "bc")]),
            with_headers(&[("ab", "c")]),
            Variant { method: Method::Post, ..Variant::default() },
            body(b""),
            body(b"x"),
            body(b"y"),
        ];
        for (at, one) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                assert_ne!(one.digest(), other.digest(), "{one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn the_key_keeps_the_slot_of_the_url_and_shows_the_digest() {
        let key = with_headers(&[("accept", "a")]).key(b"http://a/b").unwrap();
        let key = String::from_utf8(key).unwrap();
        let digest = key.strip_prefix("cache:variant:").unwrap().strip_suffix(":{http://a/b}");
        assert!(digest.is_some_and(|hex| hex.len() == 64), "{key}");
        assert_eq!(with_headers(&[("a", "b")]).key(b"http://a/{}"), Err(UrlError::StrayBraces));
    }

    #[test]
    fn a_variants_key_tells_its_url() {
        let variant = with_headers(&[("a", "b")]);
        for url in [&b"http://a/b"[..], b"http://a/#{page1}", b"http://a/{b"] {
            assert_eq!(url_of(&variant.key(url).unwrap()), Some(url));
            assert_eq!(url_of(url), None);
        }
        assert_eq!(url_of(b"cache:variant:short"), None);
    }

    #[test]
    fn headers_that_would_break_or_forge_a_message_are_refused() {
        let mut variant = Variant::default();
        for (name, value) in [
            ("", "a"),
            ("a b", "a"),
            ("a:", "a"),
            ("a\r\nb", "a"),
            ("Host", "a"),
            ("Content-Length", "1"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "close"),
            ("Proxy-Authorization", "Basic eA=="),
            ("X-HTTP-Method-Override", "DELETE"),
            ("x-http-method", "DELETE"),
            ("X-Method-Override", "DELETE"),
            ("Range", "bytes=0-1"),
            ("x", "a\r\nb: c"),
            ("x", "a\nb"),
            ("x", "a\0b"),
        ] {
            assert!(!variant.add_header(name.as_bytes(), value.as_bytes()), "{name:?}: {value:?}");
        }
        assert!(variant.is_plain());
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_names_of_methods_and_variants(
            bytes in prop::collection::vec(any::<u8>(), 0..120),
            digest in "[0-9a-f]{60,68}",
        ) {
            let _ = (Method::parse(&bytes), url_of(&bytes));
            let _ = url_of(&[b"cache:variant:", digest.as_bytes(), b":", &bytes].concat());
            let body = Variant { body: Some(bytes.clone()), ..Variant::default() };
            let _ = body.key(&bytes).map(|key| url_of(&key).map(<[u8]>::len));
        }

        #[test]
        fn no_bytes_panic_the_header_rules(
            name in prop::collection::vec(any::<u8>(), 0..20),
            value in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            Variant::default().add_header(&name, &value);
        }
    }
}
