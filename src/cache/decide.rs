//! What to do with a call, once the keyspace and the flight table have been looked at.

use super::entry::{Entry, Stored};
use super::flights::FlightId;
use super::seconds::Millis;

/// What was found under a call's key, in the call's own eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// An entry that is fresh.
    Fresh(Entry<'a>),
    /// A body without a head: someone's plain `SET`. Always fresh.
    Bare(&'a [u8]),
    /// An entry past its expiry, but not further than the call accepts.
    Welcome(Entry<'a>),
    /// An entry further past its expiry; it may still be revalidated.
    Stale(Entry<'a>),
    /// Nothing that could be used.
    Nothing,
}

impl<'a> Found<'a> {
    /// Judges what is stored, for a call that accepts entries up to `stale` past their expiry.
    #[inline(always)]
    pub fn judge(stored: Stored<'a>, stale: Option<Millis>, now: Millis) -> Self {
        match stored {
            Stored::Bare(body) => Self::Bare(body),
            Stored::Unknown => Self::Nothing,
            Stored::Entry(entry) if entry.fresh_until.is_fresh(now) => Self::Fresh(entry),
            Stored::Entry(entry) => match (stale, entry.fresh_until.moment()) {
                (Some(span), Some(end)) if now < end.saturating_add(span) => Self::Welcome(entry),
                _ => Self::Stale(entry),
            },
        }
    }

    /// The body that answers a call at once, if there is one.
    pub fn body(&self) -> Option<&'a [u8]> {
        match self {
            Self::Fresh(entry) | Self::Welcome(entry) => Some(entry.body()),
            Self::Bare(body) => Some(body),
            Self::Stale(_) | Self::Nothing => None,
        }
    }

    /// The entry, however old.
    pub const fn entry(&self) -> Option<Entry<'a>> {
        match self {
            Self::Fresh(entry) | Self::Welcome(entry) | Self::Stale(entry) => Some(*entry),
            Self::Bare(_) | Self::Nothing => None,
        }
    }

    const fn need(&self, refresh: bool) -> Need {
        match (self, refresh) {
            (_, true) | (Self::Stale(_) | Self::Nothing, _) => Need::Download,
            (Self::Welcome(_), _) => Need::Refresh,
            (Self::Fresh(_) | Self::Bare(_), _) => Need::Nothing,
        }
    }
}

/// How urgently a call needs a download.
enum Need {
    /// Not at all.
    Nothing,
    /// The answer is there; the entry should be refreshed behind it.
    Refresh,
    /// There is no answer without.
    Download,
}

/// What surrounds a call.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// It asks to download even if fresh.
    pub refresh: bool,
    /// It may wait: it does not ask not to, and is not inside MULTI, Lua or the like.
    pub may_wait: bool,
    /// The flight that is in the air for its key.
    pub in_the_air: Option<FlightId>,
    /// Its last refresh has failed so recently that another must wait.
    pub backing_off: bool,
}

/// What a call leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Answer what was found.
    Serve,
    /// Answer what was found, and start a flight behind it.
    ServeAndRefresh,
    /// Start a flight, and wait for it or be answered null at once.
    Lead {
        /// Whether the caller waits.
        wait: bool,
    },
    /// Join the flight in the air, and wait for it or be answered null at once.
    Join {
        /// The flight.
        flight: FlightId,
        /// Whether the caller waits.
        wait: bool,
    },
}

/// Decides.
pub const fn decide(found: &Found<'_>, around: Circumstances) -> Decision {
    let wait = around.may_wait;
    match (found.need(around.refresh), around.in_the_air) {
        (Need::Nothing, _) | (Need::Refresh, Some(_)) => Decision::Serve,
        (Need::Refresh, None) if around.backing_off => Decision::Serve,
        (Need::Refresh, None) => Decision::ServeAndRefresh,
        (Need::Download, Some(flight)) => Decision::Join { flight, wait },
        (Need::Download, None) => Decision::Lead { wait },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::entry::{decode, encode_head, stamp};
    use crate::cache::freshness::FreshUntil;
    use crate::cache::headers::StoreHeaders;

    const ALONE: Circumstances =
        Circumstances { refresh: false, may_wait: true, in_the_air: None, backing_off: false };
    const FLIGHT: FlightId = FlightId::from_number(1);

    fn stored() -> Vec<u8> {
        let head = encode_head(200, &vec![], &StoreHeaders::default());
        let mut bytes = [&head, &b"body"[..]].concat();
        stamp(bytes.first_chunk_mut().unwrap(), 1000, FreshUntil::from_stored(2000));
        bytes
    }

    fn decide_at(now: Millis, stale: Option<Millis>, around: Circumstances) -> Decision {
        decide(&Found::judge(decode(&stored()), stale, now), around)
    }

    #[test]
    fn a_fresh_entry_and_a_bare_body_answer_at_once() {
        assert_eq!(decide_at(1999, None, ALONE), Decision::Serve);
        assert_eq!(
            decide(&Found::judge(Stored::Bare(b"seed"), None, 9999), ALONE),
            Decision::Serve
        );
        let fresh = stored();
        assert_eq!(Found::judge(decode(&fresh), None, 1999).body(), Some(&b"body"[..]));
    }

    #[test]
    fn a_miss_starts_one_flight_and_the_rest_join_it() {
        let joined = Circumstances { in_the_air: Some(FLIGHT), ..ALONE };
        assert_eq!(decide(&Found::Nothing, ALONE), Decision::Lead { wait: true });
        assert_eq!(decide(&Found::Nothing, joined), Decision::Join { flight: FLIGHT, wait: true });
        let hurried = Circumstances { may_wait: false, ..ALONE };
        assert_eq!(decide(&Found::Nothing, hurried), Decision::Lead { wait: false });
        assert_eq!(
            decide(&Found::judge(Stored::Unknown, None, 0), joined),
            Decision::Join { flight: FLIGHT, wait: true }
        );
    }

    #[test]
    fn a_stale_entry_answers_who_welcomes_it_as_far_as_they_do() {
        assert_eq!(decide_at(2000, Some(500), ALONE), Decision::ServeAndRefresh);
        assert_eq!(decide_at(2499, Some(500), ALONE), Decision::ServeAndRefresh);
        assert_eq!(decide_at(2500, Some(500), ALONE), Decision::Lead { wait: true });
        assert_eq!(decide_at(2000, None, ALONE), Decision::Lead { wait: true });
        assert_eq!(decide_at(2000, Some(0), ALONE), Decision::Lead { wait: true });
    }

    #[test]
    fn one_refresh_at_a_time_and_none_right_after_a_failure() {
        let flying = Circumstances { in_the_air: Some(FLIGHT), ..ALONE };
        assert_eq!(decide_at(2000, Some(500), flying), Decision::Serve);
        let failed = Circumstances { backing_off: true, ..ALONE };
        assert_eq!(decide_at(2000, Some(500), failed), Decision::Serve);
        assert_eq!(decide_at(2000, None, failed), Decision::Lead { wait: true });
    }

    #[test]
    fn a_refresh_downloads_what_is_fresh_and_joins_what_flies() {
        let refresh = Circumstances { refresh: true, ..ALONE };
        assert_eq!(decide_at(1500, None, refresh), Decision::Lead { wait: true });
        let flying = Circumstances { in_the_air: Some(FLIGHT), ..refresh };
        assert_eq!(decide_at(1500, None, flying), Decision::Join { flight: FLIGHT, wait: true });
    }
}
