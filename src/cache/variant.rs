//! Variants: requests for one URL that differ by method, body or headers, and so have entries of their
//! own.
//!
//! A variant's key carries a SHA-256 over a canonical form of all that distinguishes it, credentials
//! among them: one user's answer can never be another's. In the canonical form each part is preceded by
//! its length, so that no two requests have the same; header names are folded to lower case and sorted,
//! so that how a client writes or orders them does not split the cache.

use std::borrow::Cow;
use std::fmt::Write;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::budget::Charge;
use super::key::{LONGEST, UrlError, companion};

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

/// What distinguishes a request from the plain one for its URL, as its call gives it. Nothing is copied: a
/// hit needs no copy, and a call that is refused must cost none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variant<'a> {
    /// The method.
    pub method: Method,
    /// The request's body.
    pub body: Option<&'a [u8]>,
    /// Its headers, names as they were written, in the caller's order.
    pub headers: Vec<(&'a [u8], &'a [u8])>,
}

/// The copy of a variant that is kept for the time of a download. All flights of one call share one.
#[derive(Debug, Default)]
pub struct VariantCopy {
    /// The method.
    pub method: Method,
    /// The request's body.
    pub body: Option<Bytes>,
    /// Its headers; names in lower case, in the caller's order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Counts its bytes for as long as it lives.
    _charge: Option<Charge>,
}

/// The digest of a variant, in hexadecimal digits. It is the same for every URL: a call computes it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(String);

impl VariantCopy {
    /// Whether this is the plain request for a URL, as [`Variant::is_plain`].
    pub const fn is_plain(&self) -> bool {
        matches!(self.method, Method::Get) && self.body.is_none() && self.headers.is_empty()
    }
}

/// Header names that are not the caller's to set: of one connection, of the message's framing, the proxy's, the
/// cache's own (RFC 9110 section 7.6.1, RFC 9112 section 6), or such as have the origin take another method, or another
/// path than the URL's, which the ACL has admitted.
const REFUSED: [&str; 26] = [
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
    "x-http-destinationurl",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-uri",
    "x-original-url",
    "x-override-url",
    "x-rewrite-url",
];

impl<'a> Variant<'a> {
    /// The plain request for a URL.
    pub const PLAIN: Self = Self { method: Method::Get, body: None, headers: Vec::new() };

    /// Whether this is the plain request for the URL, whose entry is under the URL itself.
    pub const fn is_plain(&self) -> bool {
        matches!(self.method, Method::Get) && self.body.is_none() && self.headers.is_empty()
    }

    /// Adds a header; false if its name or value is none that may be sent.
    pub fn add_header(&mut self, name: &'a [u8], value: &'a [u8]) -> bool {
        let may_send = may_send_name(name)
            && value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f));
        if may_send {
            self.headers.push((name, value));
        }
        may_send
    }

    /// How many bytes of body and headers it has.
    pub fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        self.body.map_or(0, <[u8]>::len) + headers.sum::<usize>()
    }

    /// The copy that flights keep, whose bytes `charge` counts.
    pub fn copy(&self, charge: Option<Charge>) -> VariantCopy {
        let header = |(name, value): &(&[u8], &[u8])| {
            (String::from_utf8_lossy(name).to_ascii_lowercase(), value.to_vec())
        };
        VariantCopy {
            method: self.method,
            body: self.body.map(Bytes::copy_from_slice),
            headers: self.headers.iter().map(header).collect(),
            _charge: charge,
        }
    }

    /// The digest of all that distinguishes it.
    pub fn digest(&self) -> Digest {
        let mut headers: Cow<'_, [(&[u8], &[u8])]> = Cow::Borrowed(&self.headers);
        if headers.len() > 1 {
            // Stable, so that the order of values under one name, which does mean something, is kept.
            headers.to_mut().sort_by(|(one, _), (other, _)| lower_case(one).cmp(lower_case(other)));
        }
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(self.method.name());
        part(if self.body.is_some() { b"body" } else { b"" });
        part(self.body.unwrap_or_default());
        for (name, value) in headers.iter() {
            part(&name.to_ascii_lowercase());
            part(value);
        }
        let hex = hash.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Digest(hex)
    }
}

impl Digest {
    /// The key of the variant's entry, in the cluster slot of its URL.
    ///
    /// # Errors
    /// [`UrlError::TooLong`]; [`UrlError::StrayBraces`] where the URL's braces prevent that.
    pub fn key(&self, url: &[u8]) -> Result<Vec<u8>, UrlError> {
        if url.len() > LONGEST {
            return Err(UrlError::TooLong);
        }
        let prefix = format!("cache:variant:{}:", self.0);
        companion(prefix.as_bytes(), url).ok_or(UrlError::StrayBraces)
    }
}

fn lower_case(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().map(u8::to_ascii_lowercase)
}

/// The URL whose variant has this key; `None` if it is no variant's.
pub fn url_of(key: &[u8]) -> Option<&[u8]> {
    const DIGEST: usize = 64;
    let (digest, url) = key.strip_prefix(b"cache:variant:")?.split_at_checked(DIGEST)?;
    let url = url.strip_prefix(b":")?;
    let wrapped = url.strip_prefix(b"{").and_then(|url| url.strip_suffix(b"}"));
    digest.iter().all(u8::is_ascii_hexdigit).then_some(wrapped.unwrap_or(url))
}

/// Whether a header's name is a token (RFC 9110 section 5.6.2) that may be sent.
fn may_send_name(name: &[u8]) -> bool {
    let is_token_byte =
        |&byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.iter().all(is_token_byte)
        && !REFUSED.iter().any(|refused| is_same_name(refused.as_bytes(), name))
}

/// Whether a name is a refused one, as origins read names: in whatever case, and those behind CGI and its like
/// take `_` for `-`.
fn is_same_name(refused: &[u8], name: &[u8]) -> bool {
    let as_read = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    refused.len() == name.len() && name.iter().map(as_read).eq(refused.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with_headers<'a>(headers: &[(&'a str, &'a str)]) -> Variant<'a> {
        let mut variant = Variant::default();
        for (name, value) in headers {
            assert!(variant.add_header(name.as_bytes(), value.as_bytes()), "{name}: {value}");
        }
        variant
    }

    fn key(variant: &Variant<'_>, url: &[u8]) -> Result<Vec<u8>, UrlError> {
        variant.digest().key(url)
    }

    #[test]
    fn how_headers_are_written_or_ordered_makes_no_other_variant() {
        let one = with_headers(&[("Accept", "a"), ("X-Key", "b")]);
        let other = with_headers(&[("x-key", "b"), ("ACCEPT", "a")]);
        assert_eq!(one.digest(), other.digest());
    }

    #[test]
    fn all_that_distinguishes_a_request_makes_another_variant() {
        let body = |bytes: &'static [u8]| Variant { body: Some(bytes), ..Variant::default() };
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
        let key_of = key(&with_headers(&[("accept", "a")]), b"http://a/b").unwrap();
        let text = String::from_utf8(key_of).unwrap();
        let digest = text.strip_prefix("cache:variant:").unwrap().strip_suffix(":{http://a/b}");
        assert!(digest.is_some_and(|hex| hex.len() == 64), "{text}");
        let variant = with_headers(&[("a", "b")]);
        assert_eq!(key(&variant, b"http://a/{}"), Err(UrlError::StrayBraces));
        assert_eq!(key(&variant, &vec![b'a'; LONGEST + 1]), Err(UrlError::TooLong));
    }

    #[test]
    fn a_variants_key_tells_its_url() {
        let variant = with_headers(&[("a", "b")]);
        for url in [&b"http://a/b"[..], b"http://a/#{page1}", b"http://a/{b"] {
            assert_eq!(url_of(&key(&variant, url).unwrap()), Some(url));
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
            ("X-Original-URL", "/admin"),
            ("x-rewrite-url", "/admin"),
            ("X_Rewrite_URL", "/admin"),
            ("X-Override-Url", "/admin"),
            ("X-Original-URI", "/admin"),
            ("X-HTTP-DestinationURL", "/admin"),
            ("content_length", "1"),
            ("Range", "bytes=0-1"),
            ("x", "a\r\nb: c"),
            ("x", "a\nb"),
            ("x", "a\0b"),
        ] {
            assert!(!variant.add_header(name.as_bytes(), value.as_bytes()), "{name:?}: {value:?}");
        }
        assert!(variant.is_plain());
    }

    #[test]
    fn headers_that_tell_where_a_request_comes_from_are_allowed() {
        for name in ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Prefix", "Forwarded"] {
            assert!(Variant::default().add_header(name.as_bytes(), b"a"), "{name}");
        }
    }

    #[test]
    fn the_copy_has_what_the_call_gave() {
        let mut variant = with_headers(&[("X-B", "1"), ("x-a", "2"), ("X-b", "3")]);
        (variant.method, variant.body) = (Method::Post, Some(&b"body"[..]));
        assert_eq!(variant.size(), 4 + 3 * 4);
        let copy = variant.copy(None);
        let headers: Vec<_> =
            copy.headers.iter().map(|(name, value)| (name.as_str(), &value[..])).collect();
        assert_eq!(headers, [("x-b", &b"1"[..]), ("x-a", b"2"), ("x-b", b"3")]);
        assert_eq!((copy.method, copy.body.as_deref()), (Method::Post, Some(&b"body"[..])));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_names_of_methods_and_variants(
            bytes in prop::collection::vec(any::<u8>(), 0..120),
            digest in "[0-9a-f]{60,68}",
        ) {
            let _ = (Method::parse(&bytes), url_of(&bytes));
            let _ = url_of(&[b"cache:variant:", digest.as_bytes(), b":", &bytes].concat());
            let body = Variant { body: Some(&bytes), ..Variant::default() };
            let _ = key(&body, &bytes).map(|key| url_of(&key).map(<[u8]>::len));
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
