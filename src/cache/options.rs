//! What a call asks for behind its URL: `[expiry [timeout]] [option ...]`.
//!
//! The positional times come first, if at all; a word that names an option ends them. Options come in
//! any order, each at most once but `HEADER`.

use super::error::ArgumentError;
use super::freshness::{Expiry, FreshUntil, LATEST, parse_timeout};
use super::seconds::{self, Millis};
use super::variant::{Method, Variant};

/// What a call asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
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
    pub variant: Variant,
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

impl Options {
    /// What a call asks for that gives no more than its URL.
    pub const NONE: Self = Self {
        expiry: None,
        timeout: None,
        stale: None,
        refresh: false,
        no_wait: false,
        variant: Variant::PLAIN,
    };

    /// Parses what stands behind the URL.
    ///
    /// # Errors
    /// In Redis's words; an unknown, repeated or incomplete option is a syntax error.
    pub fn parse<'a>(
        words: impl Iterator<Item = &'a [u8]>,
        takes: Takes,
        now: Millis,
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
        let mut seen = Vec::new();
        while let Some(word) = words.next() {
            let name = Name::parse(word).ok_or(ArgumentError::Syntax)?;
            if !name.fits(takes) || (name != Name::Header && seen.contains(&name)) {
                return Err(ArgumentError::Syntax);
            }
            seen.push(name);
            options.take(name, || words.next().ok_or(ArgumentError::Syntax))?;
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

    fn take<'a>(
        &mut self,
        name: Name,
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
            Name::Body => self.variant.body = Some(next()?.to_vec()),
            Name::Header => {
                let (name, value) = (next()?, next()?);
                if !self.variant.add_header(name, value) {
                    return Err(ArgumentError::Header);
                }
            }
        }
        Ok(())
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

    fn parse_as(takes: Takes, words: &str) -> Result<Options, ArgumentError> {
        Options::parse(words.split_whitespace().map(str::as_bytes), takes, 1_700_000_000_000)
    }

    fn parse(words: &str) -> Result<Options, ArgumentError> {
        parse_as(Takes::All, words)
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
        assert_eq!(options.variant.body.as_deref(), Some(&b"x"[..]));
        assert_eq!(options.variant.headers.len(), 2);
        assert!(parse("METHOD GET").unwrap().variant.is_plain());
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
                let parsed = Options::parse(words.iter().map(Vec::as_slice), takes, now);
                if let Ok(options) = parsed {
                    let end = options.expiry.map(|expiry| expiry.ends(now));
                    prop_assert!(end.is_none_or(|end| end.is_ok()), "its life ends out of reach");
                }
            }
        }
    }
}
