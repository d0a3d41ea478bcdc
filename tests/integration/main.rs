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

mod canary;
mod cluster_nodes;
mod fetched;
mod fleet;
mod handmade;
mod hostile_urls;
mod leasing;
mod scene;

mod acl;
mod arguments;
mod authorities;
mod bodies;
mod cluster;
mod cluster_failover;
mod cluster_of_three;
mod codings;
mod commands;
mod config;
mod crowds;
mod databases;
mod del;
mod disconnects;
mod docs;
mod downloads;
mod entry;
mod errors;
mod events;
mod failover;
mod fair_share;
mod fetch;
mod first_steps;
mod flights;
mod forks;
mod gone;
mod guard;
mod guard_lists;
mod handover;
mod hidden_commands;
mod hit_and_miss;
mod hostile;
mod hostile_redirects;
mod http;
mod in_the_air;
mod info;
mod kill9;
mod lease_bounds;
mod lease_downloads;
mod lease_fill;
mod lease_loss;
mod lease_pauses;
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
mod lifecycle_load;
mod logs;
mod mget;
mod mget_locks;
mod mget_waits;
mod monitored;
mod multi_lua;
mod no_store;
mod no_threads;
mod options;
mod peek;
mod persistence;
mod proxies;
mod refusals;
mod replicas;
mod requests;
mod revalidated_head;
mod revalidation;
mod rings;
mod room;
mod secrets;
mod security_page;
mod sessions;
mod slots;
mod slow_heads;
mod stale;
mod stampede;
mod subscribers;
mod symbols;
mod the_scripts;
mod the_support;
mod timeouts;
mod tracking;
mod unblock;
mod variants;
mod versions;
mod voiding;
