//! The examples, each run as its README says, on a real server with the module.
//!
//! `scripts/test examples` installs what they need, and runs this. One file an example, and one for the demo;
//! `run.rs` is what they share.

// `clippy.toml` allows these in `#[test]` functions; their helpers are tests too.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod run;

mod demo;
mod images;
mod leaderboard;
mod memoize;
mod predictions;
mod users_api;
