//! `CACHE.DEL url [option ...]`

use super::arguments as arg;
use super::lookup::on_call;
use crate::cache::error::CacheError;
use crate::cache::flights::{FlightKey, Void};
use crate::cache::options::Takes;
use crate::cache::variant;
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
        on_call("cache.del", args, Takes::Naming, |call| {
            let name = call.key()?;
            let deleted = keyspace::delete(ctx, &name);
            if let Some(url) = variant::url_of(&name).filter(|_| deleted) {
                keyspace::signal_modified(ctx, url);
            }
            let key = FlightKey { db: ctx.db(), name };
            module::get().flights().void_key(&key, Void::Deleted);
            ctx.reply_integer(i64::from(deleted));
            Ok(())
        })
    }
}
