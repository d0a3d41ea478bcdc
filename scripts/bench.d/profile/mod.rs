//! Where each microsecond goes: what a hit, a landing, a body and a miss cost, and whom.
//!
//! | file              | its one job                                                       |
//! | ----------------- | ----------------------------------------------------------------- |
//! | `instructions.rs` | instructions of a hit, against `GET`, by function                  |
//! | `landing.rs`      | how long a landing holds the main thread, by the body's size       |
//! | `copies.rs`       | how often a body is copied between the socket and the keyspace     |
//! | `handoffs.rs`     | processor time and context switches of a miss, by thread           |
//! | `threads.rs`      | what the kernel says of each thread of the server, and of this one |
//! | `syscalls.rs`     | system calls of the server, where `strace` is there to count them  |
//! | `tool.rs`         | a server that runs under one of valgrind's tools                   |
//! | `dhat.rs`         | reads what valgrind's dhat has counted                             |
//! | `columns.rs`      | prints what has more than one number a line                        |
//!
//! Asked for by name only: under valgrind a server is slower by a factor of fifty, and `scripts/bench`
//! installs it then. It runs the release build, whose line tables name the functions.

mod columns;
mod copies;
mod dhat;
mod handoffs;
mod instructions;
mod landing;
mod syscalls;
mod threads;
mod tool;

use crate::table::Table;

pub fn run(table: &mut Table) {
    instructions::run(table);
    landing::run(table);
    copies::run(table);
    handoffs::run(table);
}
