//! `CACHE.FILL key token value [expiry] [STALE s]`

use super::arguments as arg;
use crate::cache::error::{ArgumentError, CacheError};
use crate::cache::flights::FlightKey;
use crate::cache::key::LONGEST;
use crate::cache::limits::Limits;
use crate::cache::options::{Options, Takes};
use crate::config::SETTINGS;
use crate::flight::filled::Life;
use crate::flight::{fill, lease};
use crate::module;
use crate::server::args::Args;
use crate::server::clock;
use crate::server::command::{Command, KeyUse, Keys, Spec};
use crate::server::ctx::Ctx;

/// Stores the value of a leased key, and answers all who wait for it.
pub struct Fill;

/// Where its token stands.
const TOKEN_AT: usize = 2;

impl Command for Fill {
    const SPEC: Spec = Spec {
        name: c"cache.fill",
        flags: c"write deny-oom",
        categories: c"write",
        arity: -4,
        keys: Keys::First,
        key_use: KeyUse::Write,
        summary: c"Stores the value of a leased key, and answers all who wait for it.",
        complexity: c"O(N) where N is the number of clients that wait; a large value is copied off the main thread.",
        since: c"0.1.0",
        args: &[arg::KEY, arg::TOKEN, arg::VALUE, arg::EXPIRY, arg::STALE],
    };

    fn run(ctx: &Ctx, args: &Args<'_>) -> Result<(), CacheError> {
        let wrong = |error| CacheError::Argument("cache.fill", error);
        let given = (args.get(1), args.get(TOKEN_AT), args.get(3));
        let rest = args.bytes_from(4);
        let options = Options::parse(rest, Takes::Storing, clock::recent(), || Limits::NONE);
        ctx.redact(TOKEN_AT);
        let (Some(name), Some(token), Some(value)) = given else {
            return Err(wrong(ArgumentError::Syntax));
        };
        let options = options.map_err(wrong)?;
        let token = lease::token(token.bytes())?;
        if name.bytes().len() > LONGEST {
            return Err(lease::lost()); // no such key is ever leased
        }
        let fill = fill::Fill {
            key: FlightKey { db: ctx.db(), name: name.bytes().to_vec() },
            token,
            value,
            life: Life {
                expiry: options.expiry.unwrap_or(SETTINGS.current().default_expiry),
                stale: options.stale.unwrap_or(0),
            },
            keeps_stale: options.stale.is_some(),
        };
        fill.land(ctx, &module::get())
    }
}
