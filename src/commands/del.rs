//! `CACHE.DEL url [option ...]`

use super::arguments as arg;
use super::lookup::on_call;
use crate::cache::error::CacheError;
use crate::cache::flights::{FlightKey, Void};
use crate::cache::options::Takes;
use crate::cache::variant;
use crate::flight::lease;
use crate::module;
use crate::server::args::Args;
use crate::server::command::{Command, KeyUse, Keys, Spec};
use crate::server::ctx::Ctx;
use crate::server::keyspace;

/// Deletes an entry, and voids the flight that would bring it back.
pub struct Del;

impl Command for Del {
    const SPEC: Spec = Spec {
        name: c"cache.del",
        flags: c"write fast",
        categories: c"write fast",
        arity: -2,
        keys: Keys::First,
        key_use: KeyUse::Delete,
        summary: c"Deletes what is cached under a URL, and voids a flight under way, so that it does not write back.",
        complexity: c"O(1), as UNLINK of a string.",
        since: c"0.1.0",
        args: &[arg::URL, arg::METHOD, arg::BODY, arg::HEADER],
    };

    fn run(ctx: &Ctx, args: &Args<'_>) -> Result<(), CacheError> {
        on_call(ctx, "cache.del", args, Takes::Naming, |call| {
            let name = call.key()?;
            let deleted = keyspace::delete(ctx, &name).map_err(|_| CacheError::NotDeleted);
            if let Some(url) = variant::url_of(&name).filter(|_| deleted == Ok(true)) {
                keyspace::signal_modified(ctx, url);
            }
            if !call.is_too_long() {
                void(ctx, name.into_owned());
            }
            let deleted = deleted?;
            ctx.reply_integer(i64::from(deleted));
            Ok(())
        })
    }
}

/// Voids the flight of a key; a lease that nobody waits for ends here.
fn void(ctx: &Ctx, name: Vec<u8>) {
    let key = FlightKey { db: ctx.db(), name };
    let freed = {
        let module = module::get();
        let mut flights = module.flights();
        let idle = flights.void_key(&key, Void::Deleted);
        idle.and_then(|flight| flights.land_idle(flight))
    };
    if let Some(freed) = freed {
        lease::free_one(ctx, freed);
    }
}
