//! Leases: flights that a client fills.
//!
//! Life cycle. `CACHE.LEASE` on a key that has nothing starts a flight whose filler is the calling
//! client, its *holder*, and answers the flight's token. Everyone else waits, as for a download. Then
//! one of these happens:
//!
//! - `CACHE.FILL` with the token: the flight lands with the holder's value;
//! - the lease is lost: the holder gives it up (`CACHE.RELEASE`), its time runs out, or it is *tied* and
//!   its connection closes. If somebody has stored a value meanwhile, by a plain `SET` for one, all get that.
//!   Else the longest-waiting client that asked for a lease gets a new token, and the rest go on waiting. If
//!   none did, but some wait by `CACHE.GET`, a download takes over;
//! - the flight becomes void, as any may: the holder's value still answers those who wait, is not stored,
//!   and `CACHE.FILL` says so.
//!
//! A token is the right to fill once. It comes from the operating system's randomness and cannot be
//! guessed. A lost one never works again: a new holder has a new one.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::BuildHasher;

use super::error::ArgumentError;
use super::flights::FlightKey;
use super::freshness::parse_timeout;
use super::seconds::{self, Millis};

/// What a flight is known by: the value of its lock key, and the right to fill it where that is a
/// client's to do. 128 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(u128);

impl Token {
    /// How many random bytes make one.
    pub const BYTES: usize = 16;

    /// Made of random bytes.
    pub const fn from_random(bytes: [u8; Self::BYTES]) -> Self {
        Self(u128::from_ne_bytes(bytes))
    }

    /// Reads what [`fmt::Display`] has written, and nothing else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 2 * Self::BYTES || !text.iter().all(is_digit) {
            return None;
        }
        u128::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok().map(Self)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Who fills a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filler {
    /// A thread of ours: a download.
    Thread,
    /// A client that holds a lease.
    Holder {
        /// Its number.
        client: u64,
        /// Whether the lease is lost with its connection.
        tied: bool,
    },
    /// A thread of ours that copies the large value which the holder has brought.
    Copier,
    /// Nobody, for the moment: the holder is lost, and the next is being looked for, or must wait for a pause.
    Nobody,
}

/// What a caller of `CACHE.LEASE` asks for behind the key: `[timeout] [TTL seconds] [STALE] [TIED]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeaseOptions {
    /// The caller's patience.
    pub timeout: Option<Millis>,
    /// How long it may hold the lease.
    pub ttl: Option<Millis>,
    /// Whether a stale value is welcome, however stale.
    pub stale: bool,
    /// Whether the lease is lost with the connection.
    pub tied: bool,
}

/// The longest that a lease may be held, whatever the settings say: a day.
pub const LONGEST_LEASE: Millis = 24 * 60 * 60 * 1000;

impl LeaseOptions {
    /// Parses them. `longest` is asked only by a call that gives a `TTL`.
    ///
    /// # Errors
    /// In Redis's words; an unknown, repeated or incomplete option is a syntax error.
    pub fn parse<'a>(
        words: impl Iterator<Item = &'a [u8]>,
        longest: impl Fn() -> Millis,
    ) -> Result<Self, ArgumentError> {
        let mut words = words.peekable();
        let mut options = Self::default();
        if let Some(word) = words.next_if(|word| !Self::is_name(word)) {
            options.timeout = Some(parse_timeout(word)?);
        }
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"TTL") && options.ttl.is_none() {
                let word = words.next().ok_or(ArgumentError::Syntax)?;
                options.ttl = Some(parse_ttl(word, longest())?);
            } else if word.eq_ignore_ascii_case(b"STALE") && !options.stale {
                options.stale = true;
            } else if word.eq_ignore_ascii_case(b"TIED") && !options.tied {
                options.tied = true;
            } else {
                return Err(ArgumentError::Syntax);
            }
        }
        Ok(options)
    }

    fn is_name(word: &[u8]) -> bool {
        [&b"TTL"[..], b"STALE", b"TIED"].iter().any(|name| name.eq_ignore_ascii_case(word))
    }
}

fn parse_ttl(text: &[u8], most: Millis) -> Result<Millis, ArgumentError> {
    let span = seconds::parse(text).ok_or(ArgumentError::NotAFloat)?;
    let span = Millis::try_from(span).unwrap_or(0);
    if (1..=most).contains(&span) { Ok(span) } else { Err(ArgumentError::LeaseTime { most }) }
}

/// The tokens that have filled of late: a client that has lost the answer to its `CACHE.FILL` asks again,
/// and is to hear that it is done.
pub struct FilledTokens {
    /// Of each token, the digest of the key that it has filled.
    keys: HashMap<Token, u64>,
    /// When each may be forgotten, the oldest first.
    order: VecDeque<(Millis, Token)>,
    digest: RandomState,
}

impl FilledTokens {
    /// How long a token is remembered.
    const SPAN: Millis = 60_000;
    /// How many are remembered at most; the oldest go first.
    const MOST: usize = 65_536;

    /// None yet.
    pub fn new() -> Self {
        Self { keys: HashMap::new(), order: VecDeque::new(), digest: RandomState::new() }
    }

    /// Remembers that a token has filled a key.
    pub fn insert(&mut self, token: Token, key: &FlightKey, now: Millis) {
        while let Some(&(until, oldest)) = self.order.front()
            && (until <= now || self.order.len() >= Self::MOST)
        {
            self.keys.remove(&oldest);
            self.order.pop_front();
        }
        self.keys.insert(token, self.digest.hash_one(key));
        self.order.push_back((now + Self::SPAN, token));
    }

    /// Takes it back: the value was not stored after all.
    pub fn forget(&mut self, token: Token) {
        self.keys.remove(&token);
    }

    /// Whether this token has filled this key.
    pub fn has(&self, token: Token, key: &FlightKey) -> bool {
        self.keys.get(&token) == Some(&self.digest.hash_one(key))
    }
}

impl Default for FilledTokens {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LONGEST: Millis = 3_600_000;

    fn parse(words: &str) -> Result<LeaseOptions, ArgumentError> {
        LeaseOptions::parse(words.split_whitespace().map(str::as_bytes), || LONGEST)
    }

    #[test]
    fn options_follow_the_timeout_in_any_order() {
        assert_eq!(parse(""), Ok(LeaseOptions::default()));
        let all = LeaseOptions { timeout: Some(500), ttl: Some(2500), stale: true, tied: true };
        assert_eq!(parse("0.5 TTL 2.5 STALE TIED"), Ok(all));
        assert_eq!(parse("0.5 tied stale ttl 2.5"), Ok(all));
        assert_eq!(parse("TIED"), Ok(LeaseOptions { tied: true, ..LeaseOptions::default() }));
    }

    #[test]
    fn wrong_options_have_their_reasons() {
        for words in ["1 2", "STALE STALE", "TIED 5", "TTL", "TTL 1 TTL 2", "STALE 60"] {
            assert_eq!(parse(words), Err(ArgumentError::Syntax), "{words}");
        }
        assert_eq!(parse("-1"), Err(ArgumentError::TimeoutNegative));
        assert_eq!(parse("soon"), Err(ArgumentError::TimeoutNotAFloat));
        assert_eq!(parse("TTL x"), Err(ArgumentError::NotAFloat));
        assert_eq!(parse("TTL 3600").map(|options| options.ttl), Ok(Some(LONGEST)));
        let refused = ArgumentError::LeaseTime { most: LONGEST };
        for ttl in ["0", "-1", "3600.001", "1e99"] {
            assert_eq!(parse(&format!("TTL {ttl}")), Err(refused), "{ttl}");
        }
    }

    #[test]
    fn only_what_was_printed_is_a_token() {
        let token = Token::from_random([7; 16]);
        assert_eq!(Token::parse(token.to_string().as_bytes()), Some(token));
        assert_eq!(Token::from_random([0; 16]).to_string().len(), 32);
        let text = "0123456789abcdef0123456789abcdef";
        for wrong in [&text[1..], &text.to_uppercase(), &format!("+{}", &text[1..]), "", "é"] {
            assert_eq!(Token::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_token_parser(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Token::parse(&bytes);
        }
    }

    fn key(name: &str) -> FlightKey {
        FlightKey { db: 0, name: name.into() }
    }

    fn token(number: usize) -> Token {
        Token(number as u128)
    }

    #[test]
    fn a_token_that_has_filled_is_known_for_its_key_for_a_while() {
        let mut filled = FilledTokens::new();
        filled.insert(token(1), &key("a"), 0);
        assert!(filled.has(token(1), &key("a")));
        assert!(!filled.has(token(1), &key("b")));
        assert!(!filled.has(token(2), &key("a")));
        filled.insert(token(2), &key("b"), FilledTokens::SPAN);
        assert!(!filled.has(token(1), &key("a")), "it is forgotten in time");
        filled.forget(token(2));
        assert!(!filled.has(token(2), &key("b")));
    }

    #[test]
    fn no_more_tokens_are_remembered_than_fit() {
        let mut filled = FilledTokens::new();
        for number in 0..=FilledTokens::MOST {
            filled.insert(token(number), &key("a"), 0);
        }
        assert_eq!(
            (filled.keys.len(), filled.order.len()),
            (FilledTokens::MOST, FilledTokens::MOST)
        );
        assert!(!filled.has(token(0), &key("a")));
        assert!(filled.has(token(FilledTokens::MOST), &key("a")));
    }

    proptest! {
        #[test]
        fn no_words_panic_the_options(
            known in prop::collection::vec(
                prop::sample::select(vec!["TTL", "stale", "TIED", "0", "0.001", "86400", "1e308", "nan", "-1", ""]),
                0..6,
            ),
            other in prop::collection::vec(any::<u8>(), 0..12),
            at in 0..7_usize,
        ) {
            let mut words: Vec<&[u8]> = known.iter().map(|word| word.as_bytes()).collect();
            words.insert(at.min(words.len()), &other);
            if let Ok(LeaseOptions { ttl: Some(ttl), .. }) = LeaseOptions::parse(words.into_iter(), || LONGEST) {
                prop_assert!((1..=LONGEST).contains(&ttl));
            }
        }
    }
}
