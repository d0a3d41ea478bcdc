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

mod fetched;
mod handmade;
mod leasing;
mod scene;

mod arguments;
mod cluster;
mod commands;
mod config;
mod databases;
mod del;
mod disconnects;
mod docs;
mod downloads;
mod entry;
mod errors;
mod events;
mod fetch;
mod flights;
mod guard;
mod hit_and_miss;
mod http;
mod info;
mod lease_downloads;
mod lease_fill;
mod lease_loss;
mod lease_replicas;
mod lease_server;
mod lease_stale;
mod lease_stress;
mod lease_transactions;
mod lease_values;
mod lease_voiding;
mod lease_words;
mod leases;
mod lifecycle;
mod logs;
mod mget;
mod mget_waits;
mod multi_lua;
mod options;
mod persistence;
mod refusals;
mod revalidated_head;
mod revalidation;
mod rings;
mod stale;
mod stampede;
mod the_support;
mod timeouts;
mod tracking;
mod unblock;
mod variants;
mod voiding;
