//! An entry that is put together as its response arrives: head first, then the body.
//!
//! The body is read into its place, and its memory is taken in few steps: what grows is moved, and a large body
//! that grows a little at a time is moved again and again. How long it will be is often announced; but a word is
//! no reason to set memory aside, so that it counts only when enough of the body has really come.

use super::error::FetchError;
use super::flight::Progress;

/// The most that is taken for the first bytes of a body.
const FIRST: usize = 16 * 1024;
/// What must have come of a body before its announced length is believed.
const BELIEVED: usize = 1 << 20;
/// The most room that is made ready for one read.
const STEP: usize = 64 * 1024;

/// See the file's head.
pub struct Incoming {
    /// The head and what has come of the body, then room for more of it, as far as it has been made ready.
    bytes: Vec<u8>,
    /// Where in them the body begins.
    body_at: usize,
    /// Where in them the next byte belongs.
    end: usize,
    /// How long the body is said to be.
    announced: Option<usize>,
    /// How long it may be.
    most: usize,
    progress: Progress,
}

impl Incoming {
    /// An entry with this head, for a body that may have so many bytes, and is said to have so many.
    pub fn new(head: Vec<u8>, announced: Option<u64>, most: u64, progress: Progress) -> Self {
        let size = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        let (announced, most) = (announced.map(size), size(most));
        Self { body_at: head.len(), end: head.len(), bytes: head, announced, most, progress }
    }

    /// Where the body's next bytes are to be written; never empty.
    pub fn room(&mut self) -> &mut [u8] {
        if self.end == self.bytes.len() {
            if self.end == self.bytes.capacity() {
                self.bytes.reserve_exact(self.more());
            }
            let ready = self.bytes.capacity().min(self.end + STEP);
            self.bytes.resize(ready, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// Takes in so many bytes that have been written there.
    ///
    /// # Errors
    /// The body is longer than it may be.
    pub fn arrived(&mut self, count: usize) -> Result<(), FetchError> {
        self.end = self.bytes.len().min(self.end + count);
        self.progress.add(count);
        if self.body_len() > self.most { Err(FetchError::TooLarge) } else { Ok(()) }
    }

    /// The entry, and where in it the body begins.
    pub fn complete(mut self) -> (Vec<u8>, usize) {
        self.bytes.truncate(self.end);
        (self.bytes, self.body_at)
    }

    const fn body_len(&self) -> usize {
        self.end - self.body_at
    }

    /// How many bytes more are to be taken. There is always one beyond the end, into which that end is read.
    fn more(&self) -> usize {
        let come = self.body_len();
        let doubled = come.max(FIRST);
        let left = |whole: usize| whole.saturating_sub(come).saturating_add(1);
        let wanted = match self.announced {
            Some(whole) if whole >= come && (come >= BELIEVED || left(whole) <= doubled) => {
                left(whole)
            }
            _ => doubled,
        };
        wanted.min(left(self.most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: usize = 1 << 20;

    fn incoming(announced: Option<usize>, most: usize) -> Incoming {
        let announced = announced.map(|bytes| bytes as u64);
        Incoming::new(b"head".to_vec(), announced, most as u64, Progress::default())
    }

    /// Has so many bytes arrive; answers all capacities that there were on the way.
    fn arrive(incoming: &mut Incoming, mut bytes: usize) -> Vec<usize> {
        let mut capacities = vec![];
        while bytes > 0 {
            let count = incoming.room().len().min(bytes);
            incoming.room()[..count].fill(b'x');
            incoming.arrived(count).unwrap();
            bytes -= count;
            capacities.push(incoming.bytes.capacity());
        }
        capacities.dedup();
        capacities
    }

    #[test]
    fn an_announced_length_is_believed_once_enough_has_come() {
        let mut liar = incoming(Some(60 * MIB), 64 * MIB);
        assert!(liar.room().len() <= FIRST);
        arrive(&mut liar, 10);
        assert!(liar.bytes.capacity() <= 2 * FIRST);
        arrive(&mut liar, MIB - 11);
        assert!(liar.bytes.capacity() <= 2 * MIB);
        arrive(&mut liar, 2 * MIB);
        assert_eq!(liar.bytes.capacity(), 4 + 60 * MIB + 1);
    }

    #[test]
    fn a_large_body_is_moved_a_few_times_and_has_what_it_needs() {
        for whole in [16 * MIB, 100 * MIB] {
            let mut body = incoming(Some(whole), 128 * MIB);
            let capacities = arrive(&mut body, whole);
            assert!(capacities.len() <= 8, "{capacities:?}");
            assert_eq!(body.room().len(), 1, "room to see that there is no more");
            assert_eq!(body.bytes.capacity(), 4 + whole + 1);
        }
    }

    #[test]
    fn a_small_one_has_exactly_what_it_needs_from_the_start() {
        for whole in [0, 1, 1024, FIRST - 1] {
            let mut body = incoming(Some(whole), 64 * MIB);
            assert_eq!(body.room().len(), whole + 1);
            arrive(&mut body, whole);
            assert_eq!(body.room().len(), 1);
        }
    }

    #[test]
    fn without_a_length_it_is_doubled_but_for_what_there_may_be() {
        let mut body = incoming(None, 5 * MIB);
        let capacities = arrive(&mut body, 5 * MIB);
        assert!(capacities.windows(2).all(|pair| pair[1] <= 2 * pair[0]), "{capacities:?}");
        assert_eq!(capacities.last(), Some(&(4 + 5 * MIB + 1)));
        assert_eq!(body.room().len(), 1);
        assert_eq!(body.arrived(1), Err(FetchError::TooLarge));
    }

    #[test]
    fn more_than_was_announced_is_taken_too() {
        let mut body = incoming(Some(3), 64 * MIB);
        let capacities = arrive(&mut body, 2 * MIB);
        assert!(capacities.len() <= 10, "{capacities:?}");
    }

    proptest! {
        #[test]
        fn what_arrives_is_what_is_there(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40_000), 0..12),
            announced in prop::option::of(0..400_000_usize),
        ) {
            let mut body = incoming(announced, MIB);
            for piece in &pieces {
                let mut rest = &piece[..];
                while !rest.is_empty() {
                    let room = body.room();
                    prop_assert!(!room.is_empty());
                    let count = room.len().min(rest.len());
                    room[..count].copy_from_slice(&rest[..count]);
                    body.arrived(count).unwrap();
                    rest = &rest[count..];
                }
            }
            let sent = pieces.concat();
            prop_assert_eq!(body.progress.bytes(), sent.len() as u64);
            let (bytes, body_at) = body.complete();
            prop_assert_eq!(&bytes[..body_at], b"head");
            prop_assert_eq!(&bytes[body_at..], &sent[..]);
        }
    }
}
