//! `CACHE.PEEK url`

use crate::cache::decide::fresh_body;
use crate::cache::entry;
use crate::cache::error::{ArgumentError, CacheError};
use crate::clock;
use crate::server::args::Args;
use crate::server::command::{Argument, ArgumentKind, Command, KeyUse, Spec};
use crate::server::ctx::Ctx;
use crate::server::keyspace::ReadKey;

/// Answers the fresh body cached under a URL, or null; never downloads.
pub struct Peek;

impl Command for Peek {
    const SPEC: Spec = Spec {
        name: c"cache.peek",
        flags: c"readonly fast",
        arity: 2,
        key: KeyUse::Read,
        summary: c"Returns the fresh body cached under a URL, or null; never downloads.",
        complexity: c"O(N) where N is the size of the body, as GET.",
        since: c"0.1.0",
        args: &[Argument { name: c"url", kind: ArgumentKind::Key, optional: false }],
    };

    fn run(ctx: &Ctx, args: &Args<'_>) -> Result<(), CacheError> {
        let syntax = CacheError::Argument("cache.peek", ArgumentError::Syntax);
        let url = args.get(1).ok_or(syntax)?;
        if let Some(key) = ReadKey::open(ctx, url) {
            let stored = entry::decode(key.string().ok_or(CacheError::WrongType)?);
            if let Some(body) = fresh_body(&stored, clock::now()) {
                ctx.reply_bytes(body);
                return Ok(());
            }
        }
        ctx.reply_null();
        Ok(())
    }
}
