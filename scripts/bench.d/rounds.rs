//! Rounds: what is compared takes turns, so that what the machine does
//! meanwhile falls on all of it alike.

use crate::peers::Peer;
use crate::process::until_quiet;
use crate::table::progress;

/// As many as a median with a spread needs.
pub const ROUNDS: usize = 5;

/// Lets each peer have its turn in each round; who goes first changes from
/// round to round.
pub fn in_turn(what: &str, rounds: usize, peers: &[&Peer], mut turn: impl FnMut(&Peer, usize)) {
    for round in 0..rounds {
        for at in 0..peers.len() {
            let peer = peers[(round + at) % peers.len()];
            progress(format_args!("{what}, round {} of {rounds}, {}", round + 1, peer.name));
            until_quiet();
            turn(peer, round);
        }
    }
}
