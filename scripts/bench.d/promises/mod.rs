//! What is promised of the module alone, beside what is compared with others:
//! each number, against what the same server does without it.
//!
//! | file            | its one job                                           |
//! | --------------- | ----------------------------------------------------- |
//! | `timeouts.rs`   | how late a null comes                                 |
//! | `large_body.rs` | a body of 100 MiB: the server's stall, its memory     |
//! | `whole.rs`      | FETCH, MGET, stale hits, a refresh answered by 304    |
//! | `lease.rs`      | values that clients compute, and who waits for them   |
//! | `safety.rs`     | what the guard costs, and hits beside many downloads  |
//! | `left.rs`       | what many misses leave behind, once they are over     |
//! | `race.rs`       | two commands against each other, round by round       |

pub mod large_body;
pub mod lease;
pub mod left;
mod race;
pub mod safety;
pub mod timeouts;
pub mod whole;
