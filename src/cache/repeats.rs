//! Which of many alike lines go to the log.
//!
//! An origin that is down fails each download from it. The first failure of a kind from a host is told at once.
//! Those that follow are counted, and told of in one line when [`SPAN`] has passed. So is what fails beyond
//! [`MOST`] kinds and hosts: neither the log nor this table grows with the failures, nor with the hosts.

use std::collections::HashMap;

use super::seconds::{self, Millis};

/// For how long the repeats of one line are counted.
const SPAN: Millis = 10_000;
/// How many kinds and hosts are told apart in that time.
const MOST: usize = 64;

/// The failures of late.
#[derive(Default)]
pub struct Repeats {
    of_late: HashMap<(String, String), Counted>,
    /// Those that found no place among them.
    others: Option<Counted>,
}

struct Counted {
    since: Millis,
    repeats: u64,
}

impl Counted {
    const fn is_over(&self, now: Millis) -> bool {
        now.saturating_sub(self.since) >= SPAN
    }
}

impl Repeats {
    /// A download from this host has failed in this way. Whether that is to be told.
    pub fn failed(&mut self, host: &str, kind: &str, now: Millis) -> bool {
        let place = (host.to_owned(), kind.to_owned());
        if let Some(counted) = self.of_late.get_mut(&place) {
            counted.repeats += 1;
            return false;
        }
        if self.of_late.len() < MOST {
            self.of_late.insert(place, Counted { since: now, repeats: 0 });
            return true;
        }
        self.others.get_or_insert(Counted { since: now, repeats: 0 }).repeats += 1;
        false
    }

    /// What is to be told of those that were not, and whose time has passed.
    pub fn due(&mut self, now: Millis) -> Vec<String> {
        self.sums(now, |counted| counted.is_over(now))
    }

    /// What is to be told of all that were not.
    pub fn all(&mut self, now: Millis) -> Vec<String> {
        self.sums(now, |_| true)
    }

    /// Whether there is nothing to be told, now or later.
    pub fn is_empty(&self) -> bool {
        self.of_late.is_empty() && self.others.is_none()
    }

    fn sums(&mut self, now: Millis, is_due: impl Fn(&Counted) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        self.of_late.retain(|(host, kind), counted| {
            let due = is_due(counted);
            if due && counted.repeats > 0 {
                lines.push(sum(counted, host, kind, now));
            }
            !due
        });
        lines.sort();
        if let Some(counted) = self.others.take_if(|counted| is_due(counted)) {
            lines.push(sum(&counted, "other hosts", "", now));
        }
        lines
    }
}

fn sum(counted: &Counted, host: &str, kind: &str, now: Millis) -> String {
    let (count, span) = (counted.repeats, seconds::print(now.saturating_sub(counted.since)));
    let kind = if kind.is_empty() { String::new() } else { format!(": {kind}") };
    format!("{count} more downloads from {host} failed within {span} s{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_the_rest_in_one_line() {
        let mut repeats = Repeats::default();
        assert!(repeats.is_empty());
        assert!(repeats.failed("a", "FETCHFAILED", 0));
        for now in 1..5000 {
            assert!(!repeats.failed("a", "FETCHFAILED", now));
        }
        assert!(repeats.failed("a", "HTTPSTATUS 404", 1), "another kind");
        assert!(repeats.failed("b", "FETCHFAILED", 1), "another host");
        assert_eq!(repeats.due(9_999), [""; 0]);
        let sum = "4999 more downloads from a failed within 10 s: FETCHFAILED";
        assert_eq!(repeats.due(10_000), [sum]);
        assert!(repeats.failed("a", "FETCHFAILED", 10_001), "a new span");
        assert_eq!(repeats.due(10_001), [""; 0], "nothing is told of what has not come again");
        assert!(!repeats.is_empty());
        repeats.due(30_000);
        assert!(repeats.is_empty());
    }

    #[test]
    fn what_was_not_told_is_told_at_the_end() {
        let mut repeats = Repeats::default();
        for host in ["a", "a", "b", "b", "b"] {
            repeats.failed(host, "FETCHTIMEOUT", 0);
        }
        let sums = [
            "1 more downloads from a failed within 0.5 s: FETCHTIMEOUT",
            "2 more downloads from b failed within 0.5 s: FETCHTIMEOUT",
        ];
        assert_eq!(repeats.all(500), sums);
        assert!(repeats.is_empty());
    }

    #[test]
    fn neither_lines_nor_memory_grow_with_the_hosts() {
        let mut repeats = Repeats::default();
        let told =
            (0..5000).filter(|host| repeats.failed(&host.to_string(), "FETCHFAILED", 7)).count();
        assert_eq!((told, repeats.of_late.len()), (MOST, MOST));
        let others = format!("{} more downloads from other hosts failed within 10 s", 5000 - MOST);
        assert_eq!(repeats.due(10_007), [others]);
        assert!(repeats.is_empty());
    }

    #[test]
    fn a_clock_that_goes_back_panics_nothing() {
        let mut repeats = Repeats::default();
        repeats.failed("a", "FETCHFAILED", 10_000);
        assert_eq!(repeats.due(0), [""; 0]);
    }
}
