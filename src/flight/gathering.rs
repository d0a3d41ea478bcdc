//! A copy of an entry that lies in the keyspace, for the replies of several waiters.
//!
//! The stored string is the main thread's, and to copy a large one at once would hold that up. So it is copied in
//! slices, each in a task of its own, before the flight lands. The entry may change in between. Its head then
//! differs, which has the moment of its storing, and the copy is begun anew.

use crate::cache::entry::Entry;

/// How much is copied at a time.
const SLICE: usize = 256 * 1024;

/// See the file's head.
pub struct Gathering {
    bytes: Vec<u8>,
    length: usize,
    body_at: usize,
}

impl Gathering {
    /// Begins a copy; nothing is copied yet.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), length: 0, body_at: 0 }
    }

    /// Copies the next slice of an entry as it lies there now; whether that was the last.
    pub fn go_on(&mut self, stored: &[u8], entry: &Entry<'_>) -> bool {
        let is_same = stored.len() == self.length
            && stored.get(..self.body_at) == self.bytes.get(..self.body_at);
        if self.bytes.is_empty() || !is_same {
            self.bytes = Vec::with_capacity(stored.len());
            self.length = stored.len();
            self.body_at = entry.body_at();
        }
        let done = self.bytes.len();
        // The head is copied whole, so that it can be compared.
        let next = (done + SLICE).max(self.body_at).min(stored.len());
        self.bytes.extend_from_slice(&stored[done..next]);
        next == stored.len()
    }

    /// The whole of it, under the head that the entry has now.
    pub fn finish(self, stored: &[u8], entry: &Entry<'_>) -> Vec<u8> {
        let (head, body) = (&stored[..entry.body_at()], &self.bytes[self.body_at..]);
        if head.len() == self.body_at && body.len() == entry.body().len() {
            let mut bytes = self.bytes;
            bytes[..head.len()].copy_from_slice(head);
            return bytes;
        }
        stored.to_vec() // written anew under a longer head, which is done to small entries only
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::entry::{Stored, decode, encode_head};
    use crate::cache::headers::StoreHeaders;

    fn stored(status: u16, length: usize) -> Vec<u8> {
        let mut bytes = encode_head(status, &vec![], &StoreHeaders::default());
        bytes.extend((0..=250).cycle().take(length));
        bytes
    }

    fn entry(stored: &[u8]) -> Entry<'_> {
        let Stored::Entry(entry) = decode(stored) else { panic!("this is no entry") };
        entry
    }

    #[test]
    fn an_entry_is_copied_in_slices_and_gets_the_head_that_it_has_at_the_end() {
        for length in [0, 1, SLICE, 3 * SLICE + 5] {
            let (before, after) = (stored(200, length), stored(404, length));
            let mut gathering = Gathering::new();
            let mut slices = 1;
            while !gathering.go_on(&before, &entry(&before)) {
                slices += 1;
            }
            assert!(slices <= length / SLICE + 2, "{length} bytes in {slices} slices");
            assert!(gathering.finish(&after, &entry(&after)) == after, "{length} bytes");
        }
    }

    #[test]
    fn a_copy_of_an_entry_that_changes_is_begun_anew() {
        let (before, after) = (stored(200, 3 * SLICE), stored(404, 2 * SLICE));
        let mut gathering = Gathering::new();
        assert!(!gathering.go_on(&before, &entry(&before)));
        while !gathering.go_on(&after, &entry(&after)) {}
        assert!(gathering.finish(&after, &entry(&after)) == after);
    }
}
