//! Everything that can go wrong, as types; and the one place where they become the text of a reply.
//!
//! The first word of each is its code, which `INFO errorstats` counts. Codes are few and fixed.

use std::fmt;

use super::key::{LONGEST, UrlError};
use super::seconds::{self, Millis};
use super::stats::NotStored;

/// What a command answers instead of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheError {
    /// The arguments of the command named here, in lower case, are wrong.
    Argument(&'static str, ArgumentError),
    /// The URL of a miss cannot be fetched as it stands.
    Url(UrlError),
    /// The key holds something that is no string.
    WrongType,
    /// The flight failed.
    Fetch(FetchError),
    /// A key that is to be leased is empty, and so can have no lock key in its cluster slot.
    EmptyKey,
    /// The braces of a key that is to be leased allow no lock key in its cluster slot.
    StrayBraces,
    /// A key that is to be leased is longer than a URL may be.
    KeyTooLong,
    /// The server is over `maxmemory` and may not evict: no flight starts.
    OutOfMemory,
    /// The token is no lease's, or no longer: nothing was stored.
    LeaseLost,
    /// A lease's value was answered to those who waited for it, but the server did not take it.
    NotStored(NotStored),
    /// The server has neither `UNLINK` nor `DEL`, or refused them.
    NotDeleted,
    /// The key has moved to another cluster node. In the words by which a cluster tells its clients to ask
    /// again, which they are then redirected for.
    Elsewhere,
    /// The system has no randomness to make a token of.
    NoRandomness,
}

/// What can be wrong with an argument; worded as Redis words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentError {
    /// Leftover or unknown words.
    Syntax,
    /// An expiry that is no number.
    NotAFloat,
    /// An expiry of zero, below `-1`, or past the year 2286.
    InvalidExpiry,
    /// A timeout that is no number.
    TimeoutNotAFloat,
    /// A timeout below zero.
    TimeoutNegative,
    /// A stale window below zero.
    StaleNegative,
    /// A method other than GET and POST.
    Method,
    /// A body without `METHOD POST`.
    Body,
    /// A header that is not well-formed, or not the caller's to set.
    Header,
    /// A lease's time of zero, below, or above the longest.
    LeaseTime {
        /// The longest, in milliseconds.
        most: Millis,
    },
    /// The body is larger than `cache.max-request-body`.
    BodyTooLarge {
        /// Its bytes.
        size: u64,
        /// The most.
        most: u64,
    },
    /// There are more headers than `cache.max-request-headers`.
    TooManyHeaders {
        /// The most.
        most: u64,
    },
    /// The headers have more bytes than `cache.max-request-header-bytes`.
    HeadersTooLarge {
        /// The most.
        most: u64,
    },
    /// There are more URLs than `cache.max-urls`.
    TooManyUrls {
        /// How many there are.
        count: u64,
        /// The most.
        most: u64,
    },
    /// A count that is no whole number above zero.
    Count,
    /// `TIED` in a script, which has no connection of its own.
    Tied,
    /// A number of keys that is none, or not that of the keys given.
    KeyCount,
}

/// Why a flight brought no entry home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchError {
    /// The origin answered with a status that is no success.
    Status(u16, &'static str),
    /// No answer could be had: connection, name, TLS, or a malformed or broken-off response.
    Failed(String),
    /// The flight deadline passed.
    Timeout,
    /// The guard forbids it.
    Denied(Denied),
    /// The body is larger than `cache.max-body-size`.
    TooLarge,
    /// There is more of something than is allowed at once.
    Overloaded(Overload),
}

/// Of what there is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overload {
    /// Every download thread is busy and the queue is full.
    Downloads,
    /// One host has its share of the threads and of the queue.
    Host,
    /// `max-waiters`, in all or for one flight.
    Waiters,
    /// The replies to all who wait would not fit into `max-reply-memory`.
    Replies,
    /// The requests and keys of all flights would take more bytes than `max-request-memory` allows: so many.
    Requests(u64),
    /// As many leases are held as `max-leases` allows: so many.
    Leases(u64),
    /// One call asks for URLs that would have to be parsed, of more bytes than this.
    UrlBytes(u64),
    /// The client holds as many leases as `max-leases-per-client` allows: so many.
    LeasesOfClient(u64),
}

impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Downloads => "too many downloads are queued",
            Self::Host => "too many downloads from this host are queued",
            Self::Waiters => "too many clients are waiting",
            Self::Replies => "too many clients wait for too large a body",
            Self::Requests(most) => {
                return write!(
                    f,
                    "requests in the air may take {most} bytes together (cache.max-request-memory)"
                );
            }
            Self::Leases(most) => {
                return write!(f, "{most} leases are held (cache.max-leases)");
            }
            Self::UrlBytes(most) => {
                return write!(
                    f,
                    "the urls of one call that are not fresh may have {most} bytes together"
                );
            }
            Self::LeasesOfClient(most) => {
                return write!(f, "this client holds {most} leases (cache.max-leases-per-client)");
            }
        })
    }
}

/// Why the guard said no. The texts name no resolved address: a reply is no way to explore a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The host is, or resolves to, an address outside the public internet and `allowed-networks`.
    Address,
    /// The host is not among `allowed-hosts`.
    Host,
    /// The port is not among `allowed-ports`.
    Port,
    /// A redirect to something that is neither http nor https.
    Scheme,
    /// A redirect to a URL with a user name or password.
    UserInfo,
    /// A redirect from https down to http.
    Downgrade,
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(command, ArgumentError::InvalidExpiry) => {
                write!(f, "ERR invalid expire time in '{command}' command")
            }
            Self::Argument(_, ArgumentError::LeaseTime { most }) => {
                let most = seconds::print(*most);
                write!(
                    f,
                    "ERR lease time must be above 0 and at most {most} seconds (cache.max-lease-ttl)"
                )
            }
            Self::Argument(_, ArgumentError::BodyTooLarge { size, most }) => {
                write!(f, "ERR body of {size} bytes is above {most} (cache.max-request-body)")
            }
            Self::Argument(_, ArgumentError::TooManyHeaders { most }) => {
                write!(f, "ERR more than {most} headers (cache.max-request-headers)")
            }
            Self::Argument(_, ArgumentError::HeadersTooLarge { most }) => {
                write!(f, "ERR headers of more than {most} bytes (cache.max-request-header-bytes)")
            }
            Self::Argument(_, ArgumentError::TooManyUrls { count, most }) => {
                write!(f, "ERR {count} urls are more than {most} (cache.max-urls)")
            }
            Self::Argument(_, error) => f.write_str(match error {
                ArgumentError::Syntax => "ERR syntax error",
                ArgumentError::NotAFloat => "ERR value is not a valid float",
                ArgumentError::TimeoutNotAFloat => "ERR timeout is not a float or out of range",
                ArgumentError::TimeoutNegative => "ERR timeout is negative",
                ArgumentError::StaleNegative => "ERR stale is negative",
                ArgumentError::Method => "ERR method must be GET or POST",
                ArgumentError::Body => "ERR body needs METHOD POST",
                ArgumentError::Header => "ERR header is malformed or not allowed",
                ArgumentError::Count => "ERR count should be greater than 0",
                ArgumentError::Tied => "ERR TIED needs a connection, and a script has none",
                ArgumentError::KeyCount => {
                    "ERR numkeys should be greater than 0 and match the urls"
                }
                // These have numbers in them, and are written above.
                ArgumentError::InvalidExpiry
                | ArgumentError::LeaseTime { .. }
                | ArgumentError::BodyTooLarge { .. }
                | ArgumentError::TooManyHeaders { .. }
                | ArgumentError::HeadersTooLarge { .. }
                | ArgumentError::TooManyUrls { .. } => "ERR invalid argument",
            }),
            Self::Url(error) => write!(f, "ERR invalid url: {error}"),
            Self::WrongType => {
                f.write_str("WRONGTYPE Operation against a key holding the wrong kind of value")
            }
            Self::Fetch(error) => error.fmt(f),
            Self::EmptyKey => f.write_str("ERR invalid key: it is empty"),
            Self::StrayBraces => f.write_str(
                "ERR invalid key: its braces allow no lock key in its cluster slot; leave out its '}', or \
                 put a hash tag such as {a} before it",
            ),
            Self::KeyTooLong => write!(f, "ERR invalid key: longer than {LONGEST} bytes"),
            Self::OutOfMemory => f.write_str(
                "OOM used memory is above 'maxmemory': no new download or lease is started",
            ),
            Self::LeaseLost => f.write_str("LEASELOST the lease is lost, or never was"),
            Self::NotStored(reason) => write!(f, "ERR not stored: {reason}"),
            Self::NotDeleted => {
                f.write_str("ERR not deleted: the server refused UNLINK and DEL (rename-command?)")
            }
            Self::Elsewhere => f.write_str("TRYAGAIN the key's slot has moved to another node"),
            Self::NoRandomness => f.write_str("ERR the system has no randomness for a token"),
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(code, "") => write!(f, "HTTPSTATUS {code}"),
            Self::Status(code, reason) => write!(f, "HTTPSTATUS {code} {reason}"),
            Self::Failed(reason) => write!(f, "FETCHFAILED {reason}"),
            Self::Timeout => f.write_str("FETCHTIMEOUT the flight deadline passed"),
            Self::Denied(denied) => write!(f, "FETCHDENIED {denied}"),
            Self::TooLarge => f.write_str("TOOLARGE the body exceeds cache.max-body-size"),
            Self::Overloaded(what) => write!(f, "OVERLOADED {what}"),
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "the host is not in a public or allowed network",
            Self::Host => "the host is not among cache.allowed-hosts",
            Self::Port => "the port is not among cache.allowed-ports",
            Self::Scheme => "redirected to a scheme other than http and https",
            Self::UserInfo => "redirected to a url with user information",
            Self::Downgrade => "redirected from https to http",
        })
    }
}

impl std::error::Error for Denied {}
impl std::error::Error for FetchError {}

impl From<FetchError> for CacheError {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

impl From<UrlError> for CacheError {
    fn from(error: UrlError) -> Self {
        Self::Url(error)
    }
}

impl FetchError {
    /// Whether an origin that is there has said that it has no such content for this request. All else is an
    /// outage, over which an entry that is there stays: no answer, or a status by which the origin says that it
    /// cannot for now (5xx, 408, 429), one of a proxy's (407), or one that answers no question (304).
    pub const fn ends_entry(&self) -> bool {
        match self {
            Self::Status(status, _) => !matches!(status, 304 | 407 | 408 | 429 | 500..),
            _ => false,
        }
    }

    /// What kind of failure it is, in a word or two; there are few of them.
    pub fn kind(&self) -> String {
        let line = self.to_string();
        let words = if matches!(self, Self::Status(..)) { 2 } else { 1 };
        line.split(' ').take(words).collect::<Vec<_>>().join(" ")
    }

    /// The same, for callers who are not to learn what the guard has denied.
    pub fn without_denials(&self) -> Self {
        match self {
            Self::Denied(_) | Self::Failed(_) => Self::failed("the download failed"),
            other => other.clone(),
        }
    }

    /// A failure with a reason made safe for a one-line reply: control characters become spaces, and
    /// it is cut at a length that no log or client minds. Reasons come from the origin's side.
    pub fn failed(reason: &str) -> Self {
        const LONGEST: usize = 160;
        let clean: String =
            reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
        Self::Failed(clean.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_error_begins_with_its_code() {
        let texts = [
            (CacheError::WrongType.to_string(), "WRONGTYPE"),
            (FetchError::Status(404, "Not Found").to_string(), "HTTPSTATUS 404 Not Found"),
            (FetchError::Status(599, "").to_string(), "HTTPSTATUS 599"),
            (FetchError::failed("no route").to_string(), "FETCHFAILED no route"),
            (FetchError::Timeout.to_string(), "FETCHTIMEOUT"),
            (FetchError::Denied(Denied::Address).to_string(), "FETCHDENIED"),
            (FetchError::TooLarge.to_string(), "TOOLARGE"),
            (FetchError::Overloaded(Overload::Downloads).to_string(), "OVERLOADED"),
            (CacheError::LeaseLost.to_string(), "LEASELOST"),
            (CacheError::NotStored(NotStored::Paused).to_string(), "ERR not stored: "),
            (
                CacheError::Argument("cache.get", ArgumentError::InvalidExpiry).to_string(),
                "ERR invalid expire time in 'cache.get' command",
            ),
        ];
        for (text, start) in texts {
            assert!(text.starts_with(start), "{text}");
        }
    }

    #[test]
    fn content_that_is_gone_is_no_outage() {
        for status in [201, 206, 303, 400, 401, 403, 404, 405, 410, 451, 499] {
            assert!(FetchError::Status(status, "").ends_entry(), "{status}");
        }
        for status in [304, 407, 408, 429, 500, 501, 503, 599, 999] {
            assert!(!FetchError::Status(status, "").ends_entry(), "{status}");
        }
        let others = [
            FetchError::failed("no route"),
            FetchError::Timeout,
            FetchError::Denied(Denied::Address),
            FetchError::TooLarge,
            FetchError::Overloaded(Overload::Host),
        ];
        assert!(others.iter().all(|error| !error.ends_entry()));
    }

    #[test]
    fn kinds_are_few_and_denials_can_be_hidden() {
        assert_eq!(FetchError::Status(404, "Not Found").kind(), "HTTPSTATUS 404");
        assert_eq!(FetchError::failed("no route to x").kind(), "FETCHFAILED");
        assert_eq!(FetchError::Timeout.kind(), "FETCHTIMEOUT");
        let hidden = [FetchError::Denied(Denied::Host), FetchError::failed("no route")];
        let [denied, failed] = hidden.map(|error| error.without_denials().to_string());
        assert_eq!(denied, failed);
        assert_eq!(FetchError::Timeout.without_denials(), FetchError::Timeout);
    }

    #[test]
    fn a_reason_from_outside_stays_on_one_short_line() {
        let FetchError::Failed(reason) = FetchError::failed(&format!("a\r\nb{}", "x".repeat(999)))
        else {
            panic!("no failure");
        };
        assert!(reason.starts_with("a  b"));
        assert!(reason.len() <= 160);
    }

    proptest! {
        #[test]
        fn whatever_an_origin_says_is_one_short_line(reason in "\\PC{0,300}|[\r\n\t\\x00-\\x1f é]{0,200}") {
            let line = FetchError::failed(&reason).to_string();
            prop_assert!(!line.contains(char::is_control), "{line:?}");
            prop_assert!(line.chars().count() <= 180, "{line}");
        }
    }
}
