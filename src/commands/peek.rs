//! `CACHE.PEEK url [option ...]`

use super::arguments as arg;
use super::lookup::{judge_string, on_call};
use crate::cache::error::CacheError;
use crate::cache::options::Takes;
use crate::server::args::Args;
use crate::server::command::{Command, KeyUse, Keys, Spec};
use crate::server::ctx::Ctx;

/// Answers the fresh body cached under a URL, or null; never downloads.
pub struct Peek;

impl Command for Peek {
    const SPEC: Spec = Spec {
        name: c"cache.peek",
        flags: c"readonly fast",
        categories: c"read fast",
        arity: -2,
        keys: Keys::First,
        key_use: KeyUse::Read,
        summary: c"Returns the fresh body cached under a URL, or null; never downloads.",
        complexity: c"O(N) where N is the size of the body, as GET.",
        since: c"0.1.0",
        args: &[arg::URL, arg::STALE, arg::METHOD, arg::BODY, arg::HEADER],
    };

    fn run(ctx: &Ctx, args: &Args<'_>) -> Result<(), CacheError> {
        on_call(ctx, "cache.peek", args, Takes::Reading, |call| {
            let Some(read) = call.read_unchanged(ctx)? else {
                ctx.reply_null();
                return Ok(());
            };
            match judge_string(read.string(), call.options.stale, call.now)?.body() {
                Some(body) => ctx.reply_bytes(body),
                None => ctx.reply_null(),
            }
            Ok(())
        })
    }
}
