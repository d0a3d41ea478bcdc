//! What a call asks for behind its URL: `[expiry [timeout]] [option ...]`.
//!
//! The positional times come first, if at all; a word that names an option ends them. Options come in
//! any order, each at most once but `HEADER`.

use super::error::ArgumentError;
use super::freshness::{Expiry, FreshUntil, LATEST, parse_timeout};
use super::limits::Limits;
use super::seconds::{self, Millis};
use super::variant::{Method, Variant};

/// What a call asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options<'a> {
    /// How long an entry that this call leads home stays fresh.
    pub expiry: Option<Expiry>,
    /// This client's patience.
    pub timeout: Option<Millis>,
    /// `STALE s`: how far past its expiry an entry is still welcome, and is kept.
    pub stale: Option<Millis>,
    /// `REFRESH`: download even if fresh.
    pub refresh: bool,
    /// `NOWAIT`: do not wait for a download.
    pub no_wait: bool,
    /// `METHOD`, `BODY`, `HEADER`.
    pub variant: Variant<'a>,
}

/// Which of them a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// All: it may download.
    All,
    /// `STALE` and the variant: it reads.
    Reading,
    /// The expiry and `STALE`: it stores what the caller gives.
    Storing,
    /// The variant alone: it names an entry.
    Naming,
}

impl Takes {
    const fn expiry(self) -> bool {
        matches!(self, Self::All | Self::Storing)
    }
}

impl<'a> Options<'a> {
    /// What a call asks for that gives no more than its URL.
    pub const NONE: Self = Self {
        expiry: None,
        timeout: None,
        stale: None,
        refresh: false,
        no_wait: false,
        variant: Variant::PLAIN,
    };

    /// Whether it has a body or headers, which are secrets or may be.
    pub const fn has_secrets(&self) -> bool {
        self.variant.body.is_some() || !self.variant.headers.is_empty()
    }

    /// Parses what stands behind the URL. `limits` is asked only by a call that has a body or headers.
    ///
    /// # Errors
    /// In Redis's words; an unknown, repeated or incomplete option is a syntax error.
    pub fn parse(
        words: impl Iterator<Item = &'a [u8]>,
        takes: Takes,
        now: Millis,
        limits: impl Fn() -> Limits,
    ) -> Result<Self, ArgumentError> {
        let mut words = words.peekable();
        let mut options = Self::default();
        let is_time = |word: &&[u8]| Name::parse(word).is_none();
        if takes.expiry()
            && let Some(word) = words.next_if(is_time)
        {
            options.expiry = Some(Expiry::parse(word)?);
        }
        if takes == Takes::All
            && let Some(word) = words.next_if(is_time)
        {
            options.timeout = Some(parse_timeout(word)?);
        }
        let mut seen = [false; Name::ALL.len()];
        let mut request = Sizes::new(limits);
        while let Some(word) = words.next() {
            let name = Name::parse(word).ok_or(ArgumentError::Syntax)?;
            let repeated = std::mem::replace(&mut seen[name as usize], true);
            if !name.fits(takes) || (repeated && name != Name::Header) {
                return Err(ArgumentError::Syntax);
            }
            options.take(name, &mut request, || words.next().ok_or(ArgumentError::Syntax))?;
        }
        if options.variant.body.is_some() && options.variant.method != Method::Post {
            return Err(ArgumentError::Body);
        }
        options.check_end(now)?;
        Ok(options)
    }

    /// Refuses a life that reaches past what the stored format can name.
    fn check_end(&self, now: Millis) -> Result<(), ArgumentError> {
        let end = self.expiry.map_or(Ok(FreshUntil::FOR_EVER), |expiry| expiry.ends(now))?;
        let stale = self.stale.unwrap_or(0);
        match end.moment().unwrap_or(now).checked_add(stale) {
            Some(end) if end <= LATEST => Ok(()),
            _ => Err(ArgumentError::InvalidExpiry),
        }
    }

    fn take(
        &mut self,
        name: Name,
        request: &mut Sizes<impl Fn() -> Limits>,
        mut next: impl FnMut() -> Result<&'a [u8], ArgumentError>,
    ) -> Result<(), ArgumentError> {
        match name {
            Name::Stale => {
                let span = seconds::parse(next()?).ok_or(ArgumentError::NotAFloat)?;
                let span = Millis::try_from(span).map_err(|_| ArgumentError::StaleNegative)?;
                self.stale = Some(span);
            }
            Name::Refresh => self.refresh = true,
            Name::NoWait => self.no_wait = true,
            Name::Method => {
                self.variant.method = Method::parse(next()?).ok_or(ArgumentError::Method)?;
            }
            Name::Body => {
                let body = next()?;
                request.check_body(body.len())?;
                self.variant.body = Some(body);
            }
            Name::Header => {
                let (name, value) = (next()?, next()?);
                request.check_header(name.len() + value.len())?;
                if !self.variant.add_header(name, value) {
                    return Err(ArgumentError::Header);
                }
            }
        }
        Ok(())
    }
}

/// Holds what a call sends along against the limits, before anything of it is looked at.
struct Sizes<L> {
    limits: L,
    /// The limits, once they were asked for.
    known: Option<Limits>,
    headers: u64,
    header_bytes: u64,
}

impl<L: Fn() -> Limits> Sizes<L> {
    const fn new(limits: L) -> Self {
        Self { limits, known: None, headers: 0, header_bytes: 0 }
    }

    fn limits(&mut self) -> Limits {
        *self.known.get_or_insert_with(&self.limits)
    }

    fn check_body(&mut self, size: usize) -> Result<(), ArgumentError> {
        let (size, most) = (size as u64, self.limits().body);
        if size > most { Err(ArgumentError::BodyTooLarge { size, most }) } else { Ok(()) }
    }

    fn check_header(&mut self, size: usize) -> Result<(), ArgumentError> {
        let Limits { headers, header_bytes, .. } = self.limits();
        self.headers += 1;
        self.header_bytes += size as u64;
        if self.headers > headers {
            Err(ArgumentError::TooManyHeaders { most: headers })
        } else if self.header_bytes > header_bytes {
            Err(ArgumentError::HeadersTooLarge { most: header_bytes })
        } else {
            Ok(())
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Stale,
    Refresh,
    NoWait,
    Method,
    Body,
    Header,
}

impl Name {
    /// All, in the order of their declaration.
    const ALL: [(&'static [u8], Self); 6] = [
        (b"STALE", Self::Stale),
        (b"REFRESH", Self::Refresh),
        (b"NOWAIT", Self::NoWait),
        (b"METHOD", Self::Method),
        (b"BODY", Self::Body),
        (b"HEADER", Self::Header),
    ];

    fn parse(word: &[u8]) -> Option<Self> {
        let found = Self::ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        found.map(|&(_, name)| name)
    }

    fn fits(self, takes: Takes) -> bool {
        match self {
            Self::Refresh | Self::NoWait => takes == Takes::All,
            Self::Stale => takes != Takes::Naming,
            Self::Method | Self::Body | Self::Header => takes != Takes::Storing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { body: 8, headers: 3, header_bytes: 20 };

    fn parse_as(takes: Takes, words: &str) -> Result<Options<'_>, ArgumentError> {
        let words = words.split_whitespace().map(str::as_bytes);
        Options::parse(words, takes, 1_700_000_000_000, || LIMITS)
    }

    fn parse(words: &str) -> Result<Options<'_>, ArgumentError> {
        parse_as(Takes::All, words)
    }

    #[test]
    fn what_a_call_sends_along_is_bounded() {
        let body = |body: &str| parse(&format!("METHOD POST BODY {body}")).map(|_| ());
        assert_eq!(body("12345678"), Ok(()));
        assert_eq!(body("123456789"), Err(ArgumentError::BodyTooLarge { size: 9, most: 8 }));
        let headers = |headers: &str| parse(headers).map(|_| ());
        assert_eq!(headers("HEADER a 1 HEADER a 2 HEADER a 3"), Ok(()));
        let four = "HEADER a 1 HEADER a 2 HEADER a 3 HEADER a 4";
        assert_eq!(headers(four), Err(ArgumentError::TooManyHeaders { most: 3 }));
        assert_eq!(headers("HEADER name 6789012345678901"), Ok(()));
        let long = "HEADER a 1 HEADER name 678901234567890";
        assert_eq!(headers(long), Err(ArgumentError::HeadersTooLarge { most: 20 }));
        assert_eq!(
            parse_as(Takes::Naming, "METHOD POST BODY 123456789").map(|_| ()),
            Err(ArgumentError::BodyTooLarge { size: 9, most: 8 })
        );
    }

    #[test]
    fn times_come_first_and_options_in_any_order() {
        let all = parse("60 5 nowait STALE 1.5 Refresh").unwrap();
        assert_eq!(all.expiry, Some(Expiry::After(60_000)));
        assert_eq!(all.timeout, Some(5000));
        assert_eq!(all.stale, Some(1500));
        assert!(all.refresh && all.no_wait && all.variant.is_plain());
        assert_eq!(parse("REFRESH STALE 1.5 NOWAIT").unwrap().expiry, None);
        assert_eq!(parse("60 STALE 0").unwrap().stale, Some(0));
        assert_eq!(parse(""), Ok(Options::default()));
    }

    #[test]
    fn a_variant_is_made_of_method_body_and_headers() {
        let options = parse("METHOD post BODY x HEADER A 1 HEADER A 2").unwrap();
        assert_eq!(options.variant.method, Method::Post);
        assert_eq!(options.variant.body, Some(&b"x"[..]));
        assert_eq!(options.variant.headers.len(), 2);
        assert!(parse("METHOD GET").unwrap().variant.is_plain());
    }

    #[test]
    fn a_body_and_headers_are_secrets_and_nothing_else_is() {
        for (words, wanted) in [
            ("60 5 STALE 1 REFRESH NOWAIT METHOD POST", false),
            ("METHOD POST BODY x", true),
            ("60 header a 1", true),
        ] {
            assert_eq!(parse(words).unwrap().has_secrets(), wanted, "{words}");
        }
        let empty = [&b"METHOD"[..], b"POST", b"BODY", b""].into_iter();
        let empty = Options::parse(empty, Takes::All, 1_700_000_000_000, || LIMITS).unwrap();
        assert!(empty.has_secrets());
    }

    #[test]
    fn what_is_unknown_repeated_or_incomplete_is_a_syntax_error() {
        for words in [
            "60 5 7",
            "60 5 FOO",
            "STALE",
            "STALE 1 STALE 2",
            "REFRESH REFRESH",
            "BODY",
            "HEADER a",
            "METHOD",
            "60 STALE 1 5",
        ] {
            assert_eq!(parse(words), Err(ArgumentError::Syntax), "{words}");
        }
    }

    #[test]
    fn wrong_values_have_errors_of_their_own() {
        assert_eq!(parse("soon"), Err(ArgumentError::NotAFloat));
        assert_eq!(parse("0"), Err(ArgumentError::InvalidExpiry));
        assert_eq!(parse("60 -1"), Err(ArgumentError::TimeoutNegative));
        assert_eq!(parse("STALE x"), Err(ArgumentError::NotAFloat));
        assert_eq!(parse("STALE -1"), Err(ArgumentError::StaleNegative));
        assert_eq!(parse("METHOD PUT"), Err(ArgumentError::Method));
        assert_eq!(parse("BODY x"), Err(ArgumentError::Body));
        assert_eq!(parse("METHOD GET BODY x"), Err(ArgumentError::Body));
        assert_eq!(parse("HEADER Host a"), Err(ArgumentError::Header));
    }

    #[test]
    fn each_command_takes_what_means_something_for_it() {
        assert!(parse_as(Takes::Reading, "STALE 1 HEADER a b").is_ok());
        assert!(parse_as(Takes::Naming, "METHOD POST BODY x").is_ok());
        let storing = parse_as(Takes::Storing, "60 STALE 5").unwrap();
        assert_eq!((storing.expiry, storing.stale), (Some(Expiry::After(60_000)), Some(5000)));
        for (takes, words) in [
            (Takes::Reading, "60"),
            (Takes::Reading, "REFRESH"),
            (Takes::Reading, "NOWAIT"),
            (Takes::Naming, "STALE 1"),
            (Takes::Naming, "60"),
            (Takes::Storing, "60 5"),
            (Takes::Storing, "NOWAIT"),
            (Takes::Storing, "60 HEADER a b"),
        ] {
            assert_eq!(parse_as(takes, words), Err(ArgumentError::Syntax), "{words}");
        }
    }

    /// Words as a client may send them: what is known, what is nearly so, and any bytes.
    fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let known = prop::sample::select(vec![
            "STALE",
            "refresh",
            "NOWAIT",
            "METHOD",
            "GET",
            "post",
            "BODY",
            "HEADER",
            "x-a",
            "1",
            "0.001",
            "-1",
            "1e308",
            "9999999999",
            "nan",
            "inf",
            "-0",
            "",
        ]);
        let word = prop_oneof![
            4 => known.prop_map(|word| word.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..12),
        ];
        prop::collection::vec(word, 0..10)
    }

    proptest! {
        #[test]
        fn no_words_panic_the_options(words in words(), now in 0..=2 * LATEST) {
            for takes in [Takes::All, Takes::Reading, Takes::Storing, Takes::Naming] {
                let words = words.iter().map(Vec::as_slice);
                let parsed = Options::parse(words, takes, now, || LIMITS);
                if let Ok(options) = parsed {
                    let end = options.expiry.map(|expiry| expiry.ends(now));
                    prop_assert!(end.is_none_or(|end| end.is_ok()), "its life ends out of reach");
                }
            }
        }
    }
}
