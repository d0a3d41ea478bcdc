//! `CACHE.RELEASE key token|FORCE`

use super::arguments as arg;
use crate::cache::error::{ArgumentError, CacheError};
use crate::cache::flights::FlightKey;
use crate::cache::key::LONGEST;
use crate::flight::lease;
use crate::module;
use crate::server::args::Args;
use crate::server::command::{Command, KeyUse, Keys, Spec};
use crate::server::ctx::Ctx;

/// Gives up a lease, or ends it whoever holds it: the next who waits for it gets it.
pub struct Release;

/// Where its token stands.
const TOKEN_AT: usize = 2;

impl Command for Release {
    const SPEC: Spec = Spec {
        name: c"cache.release",
        flags: c"write fast",
        categories: c"write fast",
        arity: 3,
        keys: Keys::First,
        key_use: KeyUse::Write,
        summary: c"Gives up the lease of a key, or ends it whoever holds it: the client that has waited longest for it gets it.",
        complexity: c"O(N) where N is the number of clients that wait by CACHE.GET; O(1) where they wait by CACHE.LEASE. FORCE adds the number of flights in the air.",
        since: c"0.1.0",
        args: &[arg::KEY, arg::TOKEN_OR_FORCE],
    };

    fn run(ctx: &Ctx, args: &Args<'_>) -> Result<(), CacheError> {
        let (Some(name), Some(token)) = (args.get(1), args.get(TOKEN_AT)) else {
            return Err(CacheError::Argument("cache.release", ArgumentError::Syntax));
        };
        let key = || FlightKey { db: ctx.db(), name: name.bytes().to_vec() };
        let is_too_long = name.bytes().len() > LONGEST; // no such key is ever leased
        if token.bytes().eq_ignore_ascii_case(b"FORCE") {
            return if is_too_long {
                Err(lease::lost())
            } else {
                lease::force(ctx, &module::get(), &key())
            };
        }
        ctx.redact(TOKEN_AT);
        let token = lease::token(token.bytes())?;
        if is_too_long {
            return Err(lease::lost());
        }
        lease::release(ctx, &module::get(), &key(), token)
    }
}
