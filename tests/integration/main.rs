//! Everything that can be seen of the module from outside, against a real
//! server and a real origin.
//!
//! One binary, one module a theme. Nothing here sleeps: an origin that must
//! be slow is gated, and what must have happened is waited for (`until`).
//! Most tests play on a [`scene::Scene`].

// `clippy.toml` allows these in `#[test]` functions; their helpers are tests too.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod scene;

mod arguments;
mod commands;
mod config;
mod databases;
mod disconnects;
mod downloads;
mod entry;
mod errors;
mod flights;
mod guard;
mod hit_and_miss;
mod http;
mod info;
mod lifecycle;
mod logs;
mod multi_lua;
mod persistence;
mod refusals;
mod rings;
mod stampede;
mod the_support;
mod timeouts;
mod unblock;
mod voiding;
