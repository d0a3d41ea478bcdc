//! What to do with a call, once the keyspace and the flight table have been looked at.

use super::entry::Stored;
use super::flights::FlightId;
use super::seconds::Millis;

/// The body that answers a call at once, if what is stored is fresh.
pub fn fresh_body<'a>(stored: &Stored<'a>, now: Millis) -> Option<&'a [u8]> {
    match stored {
        Stored::Entry(entry) => entry.fresh_until.is_fresh(now).then(|| entry.body()),
        Stored::Bare(body) => Some(body),
        Stored::Unknown => None,
    }
}

/// What a miss leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Start a flight, and wait for it or not.
    Lead {
        /// If not, the caller is answered null at once, and the flight goes on.
        wait: bool,
    },
    /// Join the flight that is in the air, and wait for it or not.
    Join {
        /// The flight.
        flight: FlightId,
        /// If not, the caller is answered null at once.
        wait: bool,
    },
}

/// Decides a miss: is a flight in the air for it, and may this caller wait?
///
/// It may not inside MULTI, Lua, or any other context that forbids blocking.
pub const fn decide_miss(in_the_air: Option<FlightId>, may_wait: bool) -> Decision {
    match in_the_air {
        Some(flight) => Decision::Join { flight, wait: may_wait },
        None => Decision::Lead { wait: may_wait },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::entry::{decode, encode_head, stamp};
    use crate::cache::freshness::FreshUntil;
    use crate::cache::headers::StoreHeaders;

    #[test]
    fn an_entry_answers_while_it_is_fresh_and_a_bare_body_always() {
        let head = encode_head(200, &vec![], &StoreHeaders::default());
        let mut bytes = [&head, &b"body"[..]].concat();
        stamp(bytes.first_chunk_mut().unwrap(), 1000, FreshUntil::from_stored(2000));
        let entry = decode(&bytes);
        assert_eq!(fresh_body(&entry, 1999), Some(&b"body"[..]));
        assert_eq!(fresh_body(&entry, 2000), None);
        assert_eq!(fresh_body(&Stored::Bare(b"seed"), 9999), Some(&b"seed"[..]));
        assert_eq!(fresh_body(&Stored::Unknown, 0), None);
    }

    #[test]
    fn a_miss_starts_one_flight_and_the_rest_join_it() {
        let flight = FlightId::from_number(1);
        assert_eq!(decide_miss(None, true), Decision::Lead { wait: true });
        assert_eq!(decide_miss(Some(flight), true), Decision::Join { flight, wait: true });
    }

    #[test]
    fn who_may_not_block_sets_the_flight_off_and_does_not_wait() {
        let flight = FlightId::from_number(1);
        assert_eq!(decide_miss(None, false), Decision::Lead { wait: false });
        assert_eq!(decide_miss(Some(flight), false), Decision::Join { flight, wait: false });
    }
}
