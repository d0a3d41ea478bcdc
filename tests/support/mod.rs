//! What every test, the demo and the benchmark stand on: a real server with
//! the module in it, a real HTTP origin that does as it is told, and plain
//! clients of both.
//!
//! | file        | its one job                                                |
//! | ----------- | ---------------------------------------------------------- |
//! | `module.rs` | builds the module, once a process                          |
//! | `server.rs` | starts a server on a free port, follows its log, ends it   |
//! | `client.rs` | one connection: send a command, read its reply             |
//! | `origin.rs` | an HTTP origin in this process, gated and counted          |
//! | `origin/`   | its parts: what to answer, what was asked, TLS, the wire   |
//! | `sentinel.rs` | a Sentinel that watches a master and promotes its replica |
//! | `signal.rs` | sends a signal to a process                                |
//! | `until.rs`  | waits for a condition, never for an amount of time         |
//!
//! Three programs include this folder by path, and none of them uses all of
//! it; hence the one `allow` below.

#![allow(dead_code, unused_imports)]
// A support that cannot do its work has nothing better to do than to say why and stop.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::missing_panics_doc, clippy::must_use_candidate)]

pub mod client;
pub mod module;
pub mod origin;
pub mod sentinel;
pub mod server;
pub mod signal;
pub mod tmp;
pub mod until;

pub use client::{Client, Value};
pub use origin::{Gate, Origin, Reply, Request};
pub use server::Server;
pub use until::until;
