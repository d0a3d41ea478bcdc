//! Keys: which URLs may be fetched at all, and what an entry's companion keys are called.
//!
//! An entry's key is its URL, byte for byte as the client gave it, so that ACL patterns such as
//! `~https://images.example.com/*` say which user may fetch from where. Such a pattern is only worth
//! something if the URL it matches is the URL that is fetched. Spellings by which a URL parser would
//! wander off (dot segments, backslashes, control characters) are therefore refused.

use std::fmt;

use url::Url;

/// Longest URL that is fetched, and longest key that is leased, in bytes: it is parsed, hashed and copied on
/// the server's main thread.
pub const LONGEST: usize = 16 * 1024;

/// Why a URL is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlError {
    /// Not of the form `http://host…` or `https://host…`.
    NotAbsolute,
    /// It names no host, or one that cannot be.
    NoHost,
    /// It carries a user name or password.
    UserInfo,
    /// A parser would fetch something else than what is written; here is what, where it is known, and its beginning
    /// if it is long.
    NotCanonical(Option<String>),
    /// More than 16 KiB.
    TooLong,
    /// Its braces allow no lock key in the URL's own cluster slot.
    StrayBraces,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute => f.write_str("it must begin with http:// or https://"),
            Self::NoHost => f.write_str("it has no valid host"),
            Self::UserInfo => f.write_str("user information is not allowed"),
            Self::NotCanonical(Some(form)) => write!(f, "not in canonical form, which is {form}"),
            Self::NotCanonical(None) => f.write_str("it holds characters that no url may hold"),
            Self::TooLong => write!(f, "longer than {LONGEST} bytes"),
            Self::StrayBraces => f.write_str(
                "its braces allow no lock key in its cluster slot; encode them as %7B and %7D",
            ),
        }
    }
}

/// Parses the URL of a miss.
///
/// # Errors
/// See [`UrlError`]; a hit never comes here, since what is in the keyspace is simply served.
pub fn parse_url(key: &[u8]) -> Result<Url, UrlError> {
    if key.len() > LONGEST {
        return Err(UrlError::TooLong);
    }
    let text = std::str::from_utf8(key).map_err(|_| UrlError::NotCanonical(None))?;
    let rest = after_scheme(text).ok_or(UrlError::NotAbsolute)?;
    let (authority, path) = split_authority(rest);
    if authority.is_empty() {
        return Err(UrlError::NoHost);
    }
    if authority.contains('@') {
        return Err(UrlError::UserInfo);
    }
    let url = Url::parse(text).map_err(|_| UrlError::NoHost)?;
    if wanders(text) || path.split('/').any(is_dot_segment) {
        return Err(UrlError::NotCanonical(Some(shown(url.into()))));
    }
    Ok(url)
}

/// A canonical form as an error shows it: a caller may send a thousand long URLs, and wait for their errors.
fn shown(form: String) -> String {
    const LONGEST_SHOWN: usize = 256;
    if form.len() <= LONGEST_SHOWN {
        return form;
    }
    form.chars().take(LONGEST_SHOWN).chain(['…']).collect()
}

fn after_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    known.then_some(rest)
}

/// Splits what follows the scheme into authority and path; query and fragment are left out.
fn split_authority(rest: &str) -> (&str, &str) {
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    rest.split_once('/').unwrap_or((rest, ""))
}

/// Characters that a URL parser drops or turns into something else.
fn wanders(text: &str) -> bool {
    text.chars().any(|c| c == '\\' || c == ' ' || c.is_control())
}

fn is_dot_segment(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

/// The lock key of an entry: the mark, in the entry's own cluster slot, that a flight is in the air.
///
/// # Errors
/// [`UrlError::StrayBraces`] where the key's braces prevent that.
pub fn lock_key(key: &[u8]) -> Result<Vec<u8>, UrlError> {
    companion(b"cache:lock:", key).ok_or(UrlError::StrayBraces)
}

/// A key that begins with `prefix` and hashes to the same cluster slot as `key`: the key's own hash
/// tag is kept where it has one, else the whole key becomes the tag. `None` if neither can be.
///
/// <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags>
pub(super) fn companion(prefix: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    if has_hash_tag(key) {
        Some([prefix, key].concat())
    } else if key.is_empty() || key.contains(&b'}') {
        None
    } else {
        Some([prefix, b"{", key, b"}"].concat())
    }
}

fn has_hash_tag(key: &[u8]) -> bool {
    let Some(open) = key.iter().position(|&b| b == b'{') else {
        return false;
    };
    matches!(key[open + 1..].iter().position(|&b| b == b'}'), Some(1..))
}

/// A URL fit for a log line: without what follows `?` or `#`, where secrets travel.
pub fn without_query(url: &str) -> String {
    match url.split_once(['?', '#']) {
        Some((start, _)) => format!("{start}?…"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_urls_pass_as_they_are() {
        for url in [
            "http://example.com",
            "https://example.com/a.jpg?size=1&x=../..#{page1}",
            "HTTPS://Example.com:8443/a..b/.c/d.",
            "http://[2606:4700::1111]/",
            "http://2130706433/",
        ] {
            assert!(parse_url(url.as_bytes()).is_ok(), "{url}");
        }
    }

    #[test]
    fn what_is_no_fetchable_url_is_refused_for_its_reason() {
        for (url, error) in [
            ("", UrlError::NotAbsolute),
            ("foo", UrlError::NotAbsolute),
            ("ftp://example.com/", UrlError::NotAbsolute),
            ("file:///etc/passwd", UrlError::NotAbsolute),
            ("http:/example.com", UrlError::NotAbsolute),
            ("http:example.com", UrlError::NotAbsolute),
            ("http://", UrlError::NoHost),
            ("http:///example.com", UrlError::NoHost),
            ("http://?q", UrlError::NoHost),
            ("http://a:99999/", UrlError::NoHost),
            ("http://user@example.com/", UrlError::UserInfo),
            ("http://:@example.com/", UrlError::UserInfo),
            ("http://@example.com/", UrlError::UserInfo),
        ] {
            assert_eq!(parse_url(url.as_bytes()), Err(error), "{url}");
        }
        assert_eq!(parse_url(b"http://a/\xff"), Err(UrlError::NotCanonical(None)));
        assert_eq!(parse_url(&vec![b'a'; LONGEST + 1]), Err(UrlError::TooLong));
    }

    #[test]
    fn a_url_that_a_parser_would_change_names_its_canonical_form() {
        for (url, canonical) in [
            ("https://example.com/pub/../secret", "https://example.com/secret"),
            ("https://example.com/pub/%2E%2e/secret", "https://example.com/secret"),
            ("https://example.com/./a", "https://example.com/a"),
            ("https://example.com/pub\\..\\secret", "https://example.com/secret"),
            ("https://exam\tple.com/", "https://example.com/"),
            ("https://example.com/a\n", "https://example.com/a"),
            ("https://example.com/a b", "https://example.com/a%20b"),
        ] {
            let form = Some(canonical.to_owned());
            assert_eq!(parse_url(url.as_bytes()), Err(UrlError::NotCanonical(form)), "{url:?}");
        }
    }

    #[test]
    fn a_lock_key_shares_the_slot_of_its_entry() {
        assert_eq!(lock_key(b"http://a/b").unwrap(), b"cache:lock:{http://a/b}");
        assert_eq!(lock_key(b"http://a/#{p}").unwrap(), b"cache:lock:http://a/#{p}");
        assert_eq!(lock_key(b"http://a/{b").unwrap(), b"cache:lock:{http://a/{b}");
        assert_eq!(lock_key(b"http://a/}b"), Err(UrlError::StrayBraces));
        assert_eq!(lock_key(b"http://a/{}"), Err(UrlError::StrayBraces));
    }

    /// What Redis hashes of a key, written from the cluster specification.
    fn hashed_part(key: &[u8]) -> &[u8] {
        let Some(open) = key.iter().position(|&b| b == b'{') else {
            return key;
        };
        match key[open + 1..].iter().position(|&b| b == b'}') {
            None | Some(0) => key,
            Some(length) => &key[open + 1..=open + length],
        }
    }

    #[test]
    fn an_error_shows_the_beginning_of_a_long_canonical_form() {
        let error = parse_url(format!("http://a/../{}", "b".repeat(9000)).as_bytes()).unwrap_err();
        let line = error.to_string();
        assert!(line.contains("which is http://a/bbb") && line.ends_with('…'), "{line}");
        assert!(line.len() < 400, "{line}");
    }

    proptest! {
        #[test]
        fn every_companion_hashes_as_its_key(key in "[ab{}]{1,10}") {
            if let Some(companion) = companion(b"cache:lock:", key.as_bytes()) {
                prop_assert_eq!(hashed_part(&companion), hashed_part(key.as_bytes()));
            }
        }

        #[test]
        fn no_bytes_panic_the_companions_and_the_log(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = lock_key(&bytes);
            let _ = without_query(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn no_bytes_panic_the_url_rules(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse_url(&bytes);
            let _ = lock_key(&bytes);
        }

        #[test]
        fn nothing_that_passes_changes_its_path(path in "[a./%2eE\\\\]{0,12}") {
            let text = format!("http://h/{path}");
            if let Ok(url) = parse_url(text.as_bytes()) {
                prop_assert_eq!(url.as_str(), text);
            }
        }
    }

    #[test]
    fn a_log_line_shows_no_query() {
        assert_eq!(without_query("http://a/b?token=1"), "http://a/b?…");
        assert_eq!(without_query("http://a/b"), "http://a/b");
    }
}
