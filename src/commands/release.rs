//! `CACHE.RELEASE key token`

use super::arguments as arg;
use crate::cache::error::{ArgumentError, CacheError};
use crate::cache::flights::FlightKey;
use crate::flight::lease;
use crate::module;
use crate::server::args::Args;
use crate::server::command::{Command, KeyUse, Keys, Spec};
use crate::server::ctx::Ctx;

/// Gives up a lease: the next who waits for it gets it.
pub struct Release;

impl Command for Release {
    const SPEC: Spec = Spec {
        name: c"cache.release",
        flags: c"write fast",
        categories: c"write fast",
        arity: 3,
        keys: Keys::First,
        key_use: KeyUse::Write,
        summary: c"Gives up the lease of a key: the client that has waited longest for it gets it.",
        complexity: c"O(N) where N is the number of clients that wait by CACHE.GET; O(1) where they wait by CACHE.LEASE.",
        since: c"0.1.0",
        args: &[arg::KEY, arg::TOKEN],
    };

    fn run(ctx: &Ctx, args: &Args<'_>) -> Result<(), CacheError> {
        let (Some(name), Some(token)) = (args.get(1), args.get(2)) else {
            return Err(CacheError::Argument("cache.release", ArgumentError::Syntax));
        };
        let key = FlightKey { db: ctx.db(), name: name.bytes().to_vec() };
        lease::release(ctx, &module::get(), &key, lease::token(token.bytes())?)
    }
}
