//! The origin ring: HTTP, and the only home of `reqwest`. It knows the pure ring and nothing of Redis.

mod authorities;
mod codings;
mod decode;
pub mod http;
pub mod pool;
pub mod resolver;
mod window;
